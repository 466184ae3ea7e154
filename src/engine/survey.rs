//! What an operator asks of a shard beside what it serves: to look around, and to end connections.
//!
//! Nobody pays for it who is not looked at: frames are counted by room only while somebody looks, and a look reads a part of the
//! connections, the next one goes on from there.

use super::{Connection, Engine, Phase};
use crate::{
    protocols::{quiz, tasks},
    realtime::{
        ClassroomId, ConnId, Moment, Now,
        survey::{Chore, Done, Looked, Most, ReaderSeen, RoomSeen, Whom},
        table::Key,
    },
    websocket::CloseReason,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// Places of connections that one look reads: a fraction of a millisecond's work.
const READ_AT_ONCE: usize = 16_384;
/// Connections that are remembered as slow, at most.
const REMEMBERED: usize = 256;
/// Who waits for more than this part of what may wait for him reads slowly.
const SLOW_PART: usize = 8;
/// Rates are counted over at least so long.
const WINDOW: Duration = Duration::from_millis(900);
/// Nobody looks any more: nothing is counted.
const NOBODY_LOOKS: Duration = Duration::from_secs(10);

/// One thing to do, and whom to tell what came of it: called on the shard, so it must not wait.
pub struct Errand {
    /// What.
    pub chore: Chore,
    /// Gets the outcome.
    pub reply: Box<dyn FnOnce(Done) + Send>,
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chore.fmt(f)
    }
}

/// What is remembered from one look to the next.
#[derive(Default)]
pub(super) struct Survey {
    heed: Option<Heed>,
    /// The place that the next look begins with.
    next: usize,
    slow: BTreeSet<ConnId>,
}

/// Frames by room, as long as somebody looks.
struct Heed {
    looked: Moment,
    since: Moment,
    counts: BTreeMap<ClassroomId, u32>,
    /// Of the window before; none: there was none.
    rates: Option<BTreeMap<ClassroomId, f64>>,
}

impl Heed {
    fn new(now: Moment) -> Heed {
        Heed { looked: now, since: now, counts: BTreeMap::new(), rates: None }
    }

    /// Somebody looks: a window that is long enough becomes rates.
    fn look(&mut self, now: Moment) {
        self.looked = now;
        let length = now.since(self.since);
        if length >= WINDOW {
            let seconds = length.as_secs_f64();
            let counts = std::mem::take(&mut self.counts);
            self.rates = Some(counts.into_iter().map(|(room, count)| (room, f64::from(count) / seconds)).collect());
            self.since = now;
        }
    }

    fn rate(&self, room: ClassroomId) -> Option<f64> {
        self.rates.as_ref().map(|rates| rates.get(&room).copied().unwrap_or(0.0))
    }
}

impl Survey {
    /// A frame was published to a room at home here.
    pub(super) fn published(&mut self, room: ClassroomId) {
        if let Some(heed) = &mut self.heed {
            *heed.counts.entry(room).or_default() += 1;
        }
    }

    /// Gives up counting where nobody looks.
    pub(super) fn rest(&mut self, now: Now) {
        if self.heed.as_ref().is_some_and(|heed| now.moment.since(heed.looked) > NOBODY_LOOKS) {
            self.heed = None;
        }
    }
}

impl Engine {
    /// Does what an operator wants done.
    pub fn run(&mut self, chore: &Chore, now: Now) -> Done {
        let done = match chore {
            Chore::Kick(whom) => Done::Kicked(self.kick(whom, now)),
            Chore::Look(most) => Done::Looked(self.look(*most, now)),
        };
        self.settle(now);
        done
    }

    fn kick(&mut self, whom: &Whom, now: Now) -> u64 {
        let keys: Vec<Key> = match whom {
            Whom::Connection(conn) if conn.shard != self.id => Vec::new(),
            Whom::Connection(conn) => vec![self.key(*conn)],
            Whom::User(_) | Whom::Classroom(_) => {
                let connections = &self.connections;
                connections.keys().filter(|key| connections.at(*key).is_some_and(|one| one.is(whom))).collect()
            }
        };
        keys.into_iter().map(|key| u64::from(self.dismiss(key, now))).sum()
    }

    /// Ends a connection because an operator wants it: 1008, where there is a WebSocket. False: it ends already, or is not there.
    fn dismiss(&mut self, key: Key, now: Now) -> bool {
        match self.connections.at(key).map(|connection| &connection.phase) {
            Some(Phase::Tasks(_)) => self.tasks_event(key, tasks::Event::Close(tasks::Farewell::Dismissed), now),
            Some(Phase::Labs(seat)) if seat.is_held() => self.cut(key, now),
            Some(Phase::Presence(_) | Phase::Quiz(_) | Phase::Chat(_) | Phase::Labs(_) | Phase::Echo) => {
                self.close_for(key, CloseReason::Policy, now);
            }
            Some(Phase::Head(..) | Phase::Admitting(_)) => self.cut(key, now),
            Some(Phase::Closing { .. } | Phase::Lingering | Phase::Over) | None => return false,
        }
        true
    }

    fn look(&mut self, most: Most, now: Now) -> Looked {
        let heed = self.survey.heed.get_or_insert_with(|| Heed::new(now.moment));
        heed.look(now.moment);
        Looked { rooms: self.rooms_seen(most.rooms), readers: self.readers_seen(most.readers) }
    }

    fn rooms_seen(&self, most: usize) -> Vec<RoomSeen> {
        let heed = self.survey.heed.as_ref();
        let seen = |(classroom, members): (ClassroomId, usize)| RoomSeen {
            classroom,
            members: members as u64,
            rate: heed.and_then(|heed| heed.rate(classroom)),
        };
        let mut all: Vec<RoomSeen> = self.homes.crowds().map(seen).collect();
        let mut chosen = top(&mut all, most, |room| (Reverse(room.members), room.classroom));
        // Rates are finite and not negative, so that their bits are in their order.
        chosen.extend(top(&mut all, most, |room| (Reverse(room.rate.unwrap_or(0.0).to_bits()), room.classroom)));
        chosen.sort_by_key(|room| (Reverse(room.members), room.classroom));
        chosen.dedup_by_key(|room| room.classroom);
        chosen
    }

    /// The slow among a part of the connections, and of those that were slow before.
    fn readers_seen(&mut self, most: usize) -> Vec<ReaderSeen> {
        let places = self.connections.places();
        let first = if self.survey.next < places { self.survey.next } else { 0 };
        let last = (first + READ_AT_ONCE).min(places);
        self.survey.next = last;
        let mut keys: BTreeSet<ConnId> = std::mem::take(&mut self.survey.slow);
        for slot in first..last {
            if let Some((key, _)) = self.connections.in_slot_mut(slot as u32) {
                keys.insert(self.conn_id(key));
            }
        }
        let mut seen: Vec<ReaderSeen> = keys.into_iter().filter_map(|conn| self.reader(conn)).collect();
        seen.sort_by_key(|reader| Reverse(reader.waiting.saturating_mul(1000) / reader.bound.max(1)));
        self.survey.slow = seen.iter().take(REMEMBERED).map(|reader| reader.conn).collect();
        seen.truncate(most);
        seen
    }

    fn reader(&self, conn: ConnId) -> Option<ReaderSeen> {
        let connection = self.connections.at(self.key(conn)).filter(|connection| connection.is_open())?;
        let (waiting, bound) = (connection.outbox.bytes(), connection.bound(&self.limits));
        (waiting > bound / SLOW_PART).then(|| ReaderSeen {
            conn,
            api: connection.api(),
            user: connection.user_name(),
            waiting,
            bound,
        })
    }
}

/// The first `most` by this order.
fn top<K: Ord>(rooms: &mut [RoomSeen], most: usize, by: impl Fn(&RoomSeen) -> K + Copy) -> Vec<RoomSeen> {
    if most == 0 {
        return Vec::new();
    }
    if rooms.len() > most {
        rooms.select_nth_unstable_by_key(most - 1, by);
    }
    rooms.iter().take(most).cloned().collect()
}

impl Connection {
    fn is(&self, whom: &Whom) -> bool {
        match whom {
            Whom::User(name) => match &self.phase {
                Phase::Presence(machine) => machine.agent().is_some_and(|agent| {
                    let (account, _) = agent.account();
                    [agent.subject(), account, &agent.id].contains(&name.as_str())
                }),
                _ => self.user_name().is_some_and(|own| own == *name),
            },
            Whom::Classroom(classroom) => {
                matches!(&self.phase, Phase::Presence(machine) if machine.classroom() == Some(*classroom))
            }
            // Found by its place.
            Whom::Connection(_) => false,
        }
    }

    /// Whose it is, as its protocol names him, where that is known.
    pub(super) fn user_name(&self) -> Option<String> {
        match &self.phase {
            Phase::Presence(machine) => machine.agent().map(|agent| agent.subject().to_owned()),
            Phase::Quiz(machine) => match &**machine {
                quiz::Connection::Owner(owner) => Some(owner.id().to_string()),
                quiz::Connection::Participant(participant) => Some(participant.own_attempt().to_string()),
            },
            Phase::Labs(seat) => seat.user().map(|user| user.to_string()),
            Phase::Chat(seat) => seat.user().map(|user| user.to_string()),
            Phase::Tasks(seat) => Some(seat.user_name().to_string()),
            Phase::Head(..) | Phase::Echo | Phase::Admitting(_) => None,
            Phase::Closing { .. } | Phase::Lingering | Phase::Over => None,
        }
    }

    fn api(&self) -> &'static str {
        match &self.phase {
            Phase::Presence(_) => "presence",
            Phase::Quiz(_) | Phase::Admitting(_) => "quiz",
            Phase::Labs(_) => "labs",
            Phase::Chat(_) => "chat",
            Phase::Tasks(_) => "tasks",
            Phase::Head(..) | Phase::Echo | Phase::Closing { .. } | Phase::Lingering | Phase::Over => "none",
        }
    }
}
