//! What must hold: what each connection may hear and when, and what that says of the shards' levels. It sees only what crosses the
//! engine's border.

use crate::{
    clients::{Meaning, Seat},
    conn::{Conn, GRACE, InFlight, PING_INTERVAL, is_in_time},
    listening::Listening,
    quiz::sockets::Quizzes,
    wire::{self, Said},
};
use homeroom::{
    engine::Counters,
    protocols::quiz::Channel,
    realtime::{ClassroomId, ConnId, Moment, UnixMicros},
};
use std::collections::{BTreeMap, BTreeSet};

/// By which a client is told that it is in.
const SUCCESS: &[u8] = b"\"connect_success\"";
/// What a home keeps at most for a member between two connections.
const MISSED_BYTES: usize = 1 << 20;
/// The longest last words: an error and its Close; an answer to all that was asked in the same turn.
const LAST_WORDS: usize = 2_000;

/// A session as the store knows it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) seat: Seat,
    /// The model's order of events when its row was asked for, and when the answer was given.
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    pub(crate) left: bool,
}

/// Something published: to all, or to one agent.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) number: u64,
    pub(crate) receiver: Option<String>,
}

/// What one shard must have counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) released: u64,
    pub(crate) handed_off: u64,
    pub(crate) letters: u64,
    pub(crate) delivered: u64,
    pub(crate) lost_in_flight: u64,
    pub(crate) entering: u64,
    pub(crate) writing: u64,
    pub(crate) upgraded: u64,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    /// Bytes published to the shard since its last turn; at most, as far as they cannot be seen.
    pub(crate) brought: usize,
    /// The last time that nothing was due, or what was due had been done.
    pub(crate) turned: Moment,
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) rooms: BTreeMap<ClassroomId, Vec<Published>>,
    pub(crate) sessions: BTreeMap<i64, Session>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) quizzes: Quizzes,
    /// What may wait for one connection.
    pub(crate) outbox_bytes: usize,
    /// How many frames told of many changes at once.
    pub(crate) coalesced: u64,
    /// Counts what happens, so that before and after can be told.
    pub(crate) order: u64,
}

impl Model {
    pub(crate) fn conn(&mut self, conn: ConnId) -> &mut Conn {
        self.conns.get_mut(&conn).unwrap_or_else(|| panic!("the engine speaks of {conn:?}, which it does not hold"))
    }

    pub(crate) fn accepted(&mut self, conn: ConnId, now: Moment) {
        self.tallies[conn.shard.index()].accepted += 1;
        let before = self.conns.insert(conn, Conn { accepted_at: now, settled: true, ..Conn::default() });
        assert!(before.is_none(), "{conn:?} was given out twice");
    }

    /// A client's words have arrived. `first`: they are the first that its shard was fed since its last turn, so nothing unseen has
    /// happened before.
    pub(crate) fn said(&mut self, conn: ConnId, meaning: &Meaning, first: bool, now: Moment) {
        let Model { conns, quizzes, .. } = self;
        let own = conns.get_mut(&conn).expect("the world speaks only for those whom it holds");
        let for_sure = first && own.settled;
        if own.upgraded_at.is_none() {
            if let Meaning::Comes(bearer) = meaning {
                (own.upgraded_at, own.quiz) = (Some(now), Some(Box::new(quizzes.comes(bearer, own.accepted_at))));
            }
            if let Meaning::Upgrade { echo } = meaning {
                (own.upgraded_at, own.echo) = (Some(now), *echo);
            }
            return;
        }
        if let Some(socket) = &mut own.quiz {
            socket.said(meaning);
        }
        match meaning {
            Meaning::Request(_) | Meaning::BadRequest | Meaning::Noise if own.spoke => {}
            Meaning::Request(_) | Meaning::BadRequest | Meaning::Noise => {
                (own.spoke, own.spoke_in_time) = (true, for_sure);
                if let Meaning::Request(seat) = meaning {
                    own.seat = Some(seat.clone());
                }
            }
            Meaning::Ping => own.pings_said += 1,
            Meaning::Pong => {
                own.ponged |= for_sure;
                own.ponged_at.get_or_insert(now);
            }
            Meaning::Upgrade { .. } | Meaning::Http | Meaning::BadHead | Meaning::Comes(_) | Meaning::Wish(_) => {}
            Meaning::Close | Meaning::Broken | Meaning::Fragment => {}
        }
    }

    /// Bytes are handed to a socket: the order of these calls is the order in which the world is told.
    pub(crate) fn handed(&mut self, conn: ConnId, mut bytes: &[u8], now: Moment) {
        let own = self.conn(conn);
        assert!(!own.over, "a send to {conn:?} after its end");
        assert!(!own.half_closed, "a send to {conn:?} after its FIN");
        assert!(own.in_flight.is_none(), "two sends in flight to {conn:?}");
        // The newest of each list that waited for the send before.
        let lists =
            own.quiz.as_ref().map_or(0, |socket| socket.channels().filter(|(_, channel)| *channel != Channel::Quiz).count());
        let owed = lists * self.quizzes.list_bytes();
        // What was said while the key came from another connection follows the word that it is here.
        let missed = if bytes.windows(SUCCESS.len()).any(|part| part == SUCCESS) { MISSED_BYTES } else { 0 };
        let bound = self.outbox_bytes + self.tallies[conn.shard.index()].brought + owed + missed + LAST_WORDS;
        assert!(bytes.len() <= bound, "{} bytes waited for {conn:?}, where {bound} may", bytes.len());
        let mut flight = InFlight::default();
        while !bytes.is_empty() {
            let (said, length) = wire::next(bytes);
            bytes = &bytes[length..];
            flight.frames += u64::from(said.is_event());
            flight.pings += usize::from(matches!(said, Said::Ping));
            self.hears(conn, said, now);
        }
        self.conn(conn).in_flight = Some(flight);
    }

    fn hears(&mut self, conn: ConnId, said: Said<'_>, now: Moment) {
        let tally = &mut self.tallies[conn.shard.index()];
        tally.upgraded += u64::from(matches!(said, Said::Http(101)));
        tally.successes += u64::from(matches!(said, Said::Success));
        tally.failures += u64::from(matches!(said, Said::Failed(_)));
        let turned = tally.turned;
        let own = self.conn(conn);
        assert!(!own.closed && !own.refused, "{conn:?} hears {said:?} after its Close");
        if own.quiz.is_some() {
            return self.quiz_hears(conn, said, now);
        }
        // Who asks for more in one turn than may wait for him is cut before he is answered at all.
        let cut_at_once = matches!(said, Said::Close(Some(1013))) && own.upgraded_at.is_some();
        assert!(
            own.heard_http != matches!(said, Said::Http(_)) || cut_at_once,
            "{conn:?} hears {said:?} where its HTTP answer should be"
        );
        let is_live = own.is_live();
        match said {
            Said::Http(101) => own.heard_http = true,
            Said::Http(status) => {
                assert!(own.upgraded_at.is_none(), "{conn:?}: a good head is answered {status}");
                own.refused = true;
            }
            Said::Close(code) => {
                let usual = [1000, 1002, 1007, 1009, 1012, 1013];
                assert!(code.is_none_or(|code| usual.contains(&code)), "{conn:?} is closed with {code:?}");
                own.closed = true;
            }
            Said::Pong => {
                own.pongs_heard += 1;
                assert!(own.pongs_heard <= own.pings_said, "{conn:?} hears a Pong to no Ping");
            }
            said if own.failed => panic!("{conn:?} hears {said:?} after its error"),
            Said::Text | Said::Binary | Said::Quiz(_) => assert!(own.echo, "{conn:?} hears {said:?}"),
            Said::Ping => {
                assert!(is_live, "{conn:?} hears a Ping before connect_success");
                let waited = own.pinged_at.map(|at| now.since(at));
                assert!(
                    own.stalled || waited.is_none_or(|waited| waited >= PING_INTERVAL),
                    "{conn:?} hears a Ping after {waited:?}"
                );
                // One whose Pong came after that, to a shard that was late, is asked again at once.
                let due = own.pinged_at.map(|at| (at + PING_INTERVAL).max(own.ponged_at.unwrap_or(at)));
                assert!(own.stalled || is_in_time(due, turned), "{conn:?} hears a Ping too late, after {waited:?}");
                (own.pinged_at, own.ponged, own.ponged_at) = (Some(now), false, None);
            }
            Said::Success => self.succeeds(conn),
            Said::Terminated => {
                assert!(is_live && !own.terminated, "{conn:?} is told twice, or before it is signed in, that the server stops");
                own.terminated = true;
            }
            Said::Failed(name) => {
                own.failed = true;
                own.check_failure(conn, name, now, turned);
            }
            Said::Event(text) => {
                assert!(is_live, "{conn:?} hears an event before connect_success: {text}");
                self.hears_event(conn, text);
            }
        }
    }

    fn succeeds(&mut self, conn: ConnId) {
        self.order += 1;
        let own = self.conn(conn);
        let Some(seat) = own.seat.clone() else { panic!("{conn:?} succeeds without a good request") };
        assert!(own.success.is_none(), "{conn:?} succeeds twice");
        // What is said to one whose earlier send is still in flight was meant for an earlier moment.
        let in_time = own.settled;
        let rival =
            self.conns.iter().find(|(other, c)| **other != conn && c.seat.as_ref() == Some(&seat) && c.is_live() && c.settled);
        assert!(!in_time || rival.is_none(), "{conn:?} succeeds as {seat:?} before {:?} was told", rival.map(|(other, _)| other));
        let heard = self.rooms.get(&seat.room).map_or(0, Vec::len);
        let order = self.order;
        self.conn(conn).success = Some(Listening::new(seat, order, heard));
    }

    fn hears_event(&mut self, conn: ConnId, text: &str) {
        let Model { conns, rooms, sessions, coalesced, .. } = self;
        *coalesced += u64::from(text.contains(r#""operation":"changed""#));
        let Some(listening) = conns.get_mut(&conn).and_then(|own| own.success.as_mut()) else { return };
        let log = rooms.get(&listening.seat.room).map_or(&[][..], |log| log);
        listening.hears(text, log, sessions).unwrap_or_else(|fault| panic!("{conn:?} hears {text}: {fault}"));
    }

    /// What is over before its bytes could be sent was still in flight: every send is finished once.
    pub(crate) fn sent(&mut self, conn: ConnId, ok: bool) -> InFlight {
        let flight = self.conn(conn).in_flight.take().expect("the world finishes only what is in flight");
        let tally = &mut self.tallies[conn.shard.index()];
        *(if ok { &mut tally.delivered } else { &mut tally.lost_in_flight }) += flight.frames;
        flight
    }

    pub(crate) fn half_closed(&mut self, conn: ConnId) {
        let own = self.conn(conn);
        assert!(!own.half_closed && !own.over, "a second FIN to {conn:?}");
        assert!(own.in_flight.is_none(), "a FIN to {conn:?} before all was sent");
        assert!(own.closed || own.refused, "{conn:?} is given a FIN without a Close before it");
        own.half_closed = true;
    }

    pub(crate) fn over(&mut self, conn: ConnId) {
        let own = self.conn(conn);
        assert!(!own.over, "{conn:?} is ended twice");
        own.over = true;
    }

    pub(crate) fn released(&mut self, conn: ConnId) {
        let own = self.conns.remove(&conn).expect("the world releases only what it holds");
        assert!(own.over && own.in_flight.is_none());
        self.tallies[conn.shard.index()].released += 1;
    }

    /// Which connections have a send in flight when a turn ends: for them alone something may still wait after it.
    pub(crate) fn waiting(&self, shard: usize) -> Vec<ConnId> {
        self.conns
            .iter()
            .filter(|(conn, own)| conn.shard.index() == shard && own.in_flight.is_some())
            .map(|(conn, _)| *conn)
            .collect()
    }

    /// A turn's sends were all handed out, but to those who were `waiting` before.
    pub(crate) fn turn_ended(&mut self, shard: usize, waiting: &[ConnId]) {
        self.tallies[shard].brought = 0;
        for (conn, own) in self.conns.iter_mut().filter(|(conn, _)| conn.shard.index() == shard) {
            own.settled = !waiting.contains(conn);
            own.stalled |= !own.settled;
        }
    }

    /// The levels and counts of a shard, right after its turn was carried out.
    pub(crate) fn check_turn(&self, shard: usize, counters: &Counters) {
        let tally = &self.tallies[shard];
        let exact = [
            ("accepted", &counters.accepted, tally.accepted),
            ("refused", &counters.refused, tally.refused),
            ("handed_off", &counters.handed_off, tally.handed_off),
            ("letters", &counters.letters, tally.letters),
            ("delivered", &counters.delivered, tally.delivered),
            ("connections", &counters.connections, tally.accepted - tally.released),
            ("entering", &counters.entering, tally.entering),
            ("quiz_writing", &counters.quiz_writing, tally.writing),
        ];
        for (name, counter, expected) in exact {
            assert_eq!(counter.read(), expected, "shard {shard}: {name}");
        }
        let errors = counters.presence_errors.iter().map(|count| count.read()).sum::<u64>();
        let at_least = [
            ("upgraded", counters.upgraded.read(), tally.upgraded),
            ("presence_success", counters.presence_success.read(), tally.successes),
            ("presence_errors", errors, tally.failures),
            ("dropped_gone", counters.dropped_gone.read(), tally.lost_in_flight),
        ];
        for (name, count, heard) in at_least {
            assert!(count >= heard, "shard {shard}: {name} is {count}, and {heard} were heard");
        }
        let (offered, done) = (counters.offered.read(), done(counters));
        assert!(done <= offered, "shard {shard}: {done} frames delivered or dropped of {offered} published");
        let unknown = self.of(shard).filter(|own| !own.settled && !own.over).count() as u64;
        let live = self.live(shard).count() as u64;
        within("presence_live", shard, counters.presence_live.read(), live, live + unknown);
        let timers: u64 = self.of(shard).filter(|own| own.settled).map(Conn::timers).sum();
        let of_homes = counters.entering.read() + counters.rooms.read() + Model::quiz_timers_at_most(counters);
        within("timers", shard, counters.timers.read(), timers, timers + unknown + of_homes);
        within("topics", shard, counters.topics.read(), self.topics(shard), self.topics(shard) + unknown * 10);
        self.check_quiz_levels(shard, counters, unknown);
        let members: u64 = counters.members.read();
        assert!(members <= self.sessions.values().filter(|session| !session.left).count() as u64, "more members than rows");
    }

    /// When all is quiet: every level is what the connections say.
    pub(crate) fn check_quiet(&self, shards: &[(usize, &Counters)], home: impl Fn(ClassroomId) -> usize, now: Moment) {
        for (conn, own) in &self.conns {
            assert!(own.settled && own.in_flight.is_none() && !own.over, "{conn:?} is not at rest: {own:?}");
            assert!(own.echo || own.quiz.is_some() || own.is_live(), "{conn:?} is neither signed in nor was it ended: {own:?}");
            let since_ping = own.pinged_at.map(|at| now.since(at)).unwrap_or_default();
            assert!(since_ping <= PING_INTERVAL + GRACE, "{conn:?} was not pinged for {since_ping:?}");
            if let Some(listening) = own.success.as_ref().filter(|_| own.is_live()) {
                let log = self.rooms.get(&listening.seat.room).map_or(&[][..], |log| log);
                let members = self.members(listening.seat.room);
                listening.check_quiet(log, &self.sessions, &members).unwrap_or_else(|fault| panic!("{conn:?}: {fault}"));
            }
        }
        let rooms = self.occupied();
        for (shard, counters) in shards {
            let shard = *shard;
            let at_home = || rooms.iter().filter(|(room, _)| home(**room) == shard);
            assert_eq!(counters.offered.read(), done(counters), "shard {shard}: published = delivered + dropped");
            assert_eq!(counters.presence_live.read(), self.live(shard).count() as u64, "shard {shard}: presence_live");
            assert_eq!(counters.rooms.read(), at_home().count() as u64, "shard {shard}: rooms");
            assert_eq!(counters.members.read(), at_home().map(|(_, members)| *members).sum::<u64>(), "shard {shard}: members");
            assert_eq!(counters.entering.read(), 0, "shard {shard}: entering");
            assert_eq!(
                counters.timers.read(),
                self.of(shard).map(Conn::timers).sum::<u64>() + self.quiz_timers(shard, counters),
                "shard {shard}: timers"
            );
            self.check_quiz_levels(shard, counters, 0);
            assert_eq!(counters.topics.read(), self.topics(shard), "shard {shard}: topics");
        }
        let live = self.conns.values().filter(|own| own.is_live()).count();
        let rows = self.sessions.values().filter(|session| !session.left).count();
        assert_eq!(rows, live, "rows in the store and live sockets");
    }

    /// The process is gone, and with it whoever was connected.
    pub(crate) fn restart(&mut self, at: UnixMicros) {
        self.conns.clear();
        self.rooms.clear();
        self.sessions.values_mut().for_each(|session| session.left = true);
        self.quizzes.restart();
        self.quizzes.now = at;
    }

    /// After a drain: whoever was signed in and has nothing in flight has been told.
    pub(crate) fn check_drained(&self) {
        for (conn, own) in self.conns.iter().filter(|(_, own)| own.settled && own.is_live()) {
            assert!(own.terminated, "{conn:?} was not told that the server stops");
        }
    }

    /// After a close: whoever has nothing in flight has been told, or has gone.
    pub(crate) fn check_closed(&self) {
        for (conn, own) in self.conns.iter().filter(|(_, own)| own.settled && !own.over) {
            assert!(own.closed || own.refused, "{conn:?} was not told that the server has stopped");
        }
    }

    /// Remembers who is there, so that the next time of quiet can tell who must have been heard of.
    pub(crate) fn remember(&mut self) {
        let rooms: BTreeMap<_, _> = self.rooms.keys().map(|room| (*room, self.members(*room))).collect();
        for own in self.conns.values_mut().filter(|own| own.is_live()) {
            if let Some(listening) = &mut own.success {
                listening.remember(rooms.get(&listening.seat.room).cloned().unwrap_or_default());
            }
        }
    }

    /// Who is signed in to a room, by session number, as the sockets tell. Every row has exactly one of them.
    pub(crate) fn members(&self, room: ClassroomId) -> BTreeMap<i64, String> {
        let sessions = self.sessions.iter().filter(|(_, session)| session.seat.room == room && !session.left);
        let live = |seat: &Seat| self.conns.values().filter(|own| own.is_live() && own.seat.as_ref() == Some(seat)).count();
        let with_socket = sessions.filter(|(_, session)| live(&session.seat) > 0);
        with_socket.map(|(number, session)| (*number, session.seat.agent.clone())).collect()
    }

    /// On which shards somebody is signed in to a room.
    pub(crate) fn listening(&self, room: ClassroomId) -> BTreeSet<usize> {
        let live = self.conns.iter().filter(|(_, own)| own.is_live() && own.seat.as_ref().is_some_and(|seat| seat.room == room));
        live.map(|(conn, _)| conn.shard.index()).collect()
    }

    /// How many are signed in to each room that has somebody in it.
    pub(crate) fn occupied(&self) -> BTreeMap<ClassroomId, u64> {
        let mut rooms = BTreeMap::new();
        for seat in self.conns.values().filter(|own| own.is_live()).filter_map(|own| own.seat.as_ref()) {
            *rooms.entry(seat.room).or_default() += 1;
        }
        rooms
    }

    pub(crate) fn of(&self, shard: usize) -> impl Iterator<Item = &Conn> {
        self.conns.iter().filter(move |(conn, _)| conn.shard.index() == shard).map(|(_, own)| own)
    }

    fn live(&self, shard: usize) -> impl Iterator<Item = &Conn> {
        self.of(shard).filter(|own| own.settled && own.is_live())
    }

    fn topics(&self, shard: usize) -> u64 {
        let rooms: BTreeSet<_> = self.live(shard).filter_map(|own| Some(own.seat.as_ref()?.room)).collect();
        (rooms.len() + self.quiz_topics(shard).len()) as u64
    }
}

fn done(counters: &Counters) -> u64 {
    counters.delivered.read() + counters.dropped_slow.read() + counters.dropped_gone.read() + counters.superseded.read()
}

pub(crate) fn within(name: &str, shard: usize, level: u64, low: u64, high: u64) {
    assert!((low..=high).contains(&level), "shard {shard}: {name} is {level}, not from {low} to {high}");
}
