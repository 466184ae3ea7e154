//! How a shard's connections pass to another process: what is carried, in which form, and how it is dealt to the shards that take it over.
//!
//! The passage has three steps. [`Engine::leave`]: what cannot be carried is closed, and told to come back.
//! [`Engine::part_for_good`]: nothing is received any more, and what is under way ends; see [`Engine::is_quiet`]. [`Engine::estate`]:
//! what is left, as a value that rkyv writes.
//! Carried are connections of presence that are signed in or about to be, owners and participants of quizzes, sockets of chat and of
//! tasks, and those whose first request is not whole yet. Rooms, quizzes, sessions and tasks are not: each is made of its members, or of
//! what is on disk and who listens, before anybody is heard.

use super::{
    Connection, Engine, Listener, Phase, Topic, chat,
    door::{Address, Counted},
    tasks,
};
use crate::{
    protocols::{
        chat::ToSession,
        presence::{self, Carriage, Held, Seat, ToHome},
        quiz::{self, ToQuiz},
        tasks::ToUser,
    },
    realtime::{ClassroomId, ConnId, HashRing, Moment, Now, ShardId, table::Key},
};
use rkyv::rancor::Failure;
use std::time::Duration;

/// The version of the form. It rises with every change of a type in it; processes of two versions carry nothing over.
pub const VERSION: u16 = 2;

/// Whose timer fires while another process is about to hear him is heard there first: what he has said may be why it need not fire.
const UNHEARD: Duration = Duration::from_secs(1);

/// What a connection is that is carried.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
enum Carried {
    /// Its first request is not whole: what was read of it.
    Head(Vec<u8>),
    /// Presence.
    Presence(Carriage),
    /// Quiz.
    Quiz(quiz::Carriage),
    /// Chat.
    Chat(chat::Carriage),
    /// Tasks.
    Tasks(tasks::Carriage),
}

/// One connection.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Passenger {
    listener: u8,
    /// In so many microseconds its one timer fires.
    timer: Option<u64>,
    /// What was read of a message that is not whole.
    unread: Vec<u8>,
    carried: Carried,
}

/// All that one shard leaves.
#[derive(Clone, PartialEq, Eq, Default, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Estate {
    passengers: Vec<Passenger>,
    /// The highest number that an event was published with, of rooms at home here.
    published: Vec<(ClassroomId, i64)>,
    /// Those in classrooms who are not carried, of whom nobody was told that they go.
    lost: Vec<(ClassroomId, Held)>,
    /// Something of tasks was on its way to disk: it may be there by now, and nobody was told of it.
    is_cut: bool,
}

/// What a home must know before anybody is heard.
#[derive(Clone, PartialEq, Debug)]
enum Word {
    Quiz(ToQuiz),
    Chat(ToSession),
    Tasks(ToUser),
}

/// All that one shard takes over. Its n-th passenger has the n-th place.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Legacy {
    passengers: Vec<Passenger>,
    members: Vec<(ConnId, ClassroomId, Held)>,
    /// To homes.
    letters: Vec<Word>,
    published: Vec<(ClassroomId, i64)>,
    lost: Vec<(ClassroomId, Held)>,
    /// See [`Estate`].
    is_cut: bool,
}

impl Legacy {
    /// How many connections are in it.
    pub fn len(&self) -> usize {
        self.passengers.len()
    }

    /// Whether nobody comes with it.
    pub fn is_empty(&self) -> bool {
        self.passengers.is_empty()
    }
}

/// Why what a former process left is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// It is of this version, and we are of another.
    Version(u16),
    /// It ends too soon, or something in it cannot be.
    Damaged,
}

impl Estate {
    /// Its bytes: the version, how many there are, and the rest by rkyv.
    pub fn write(&self) -> Vec<u8> {
        // Only memory could fail, and that ends the process.
        let body = rkyv::to_bytes::<Failure>(self).expect("a value of our own types can be written");
        let mut bytes = VERSION.to_le_bytes().to_vec();
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads what [`Estate::write`] wrote, checked.
    ///
    /// # Errors
    /// It is of another version, or damaged.
    pub fn read(bytes: &[u8]) -> Result<Estate, Unreadable> {
        let (version, rest) = bytes.split_first_chunk().ok_or(Unreadable::Damaged)?;
        match u16::from_le_bytes(*version) {
            VERSION => {
                let (length, body) = rest.split_first_chunk().ok_or(Unreadable::Damaged)?;
                if body.len() as u64 != u64::from_le_bytes(*length) {
                    return Err(Unreadable::Damaged);
                }
                rkyv::from_bytes::<Estate, Failure>(body).map_err(|_| Unreadable::Damaged)
            }
            other => Err(Unreadable::Version(other)),
        }
    }

    /// How many connections are in it.
    pub fn len(&self) -> usize {
        self.passengers.len()
    }

    /// Whether nobody is left by it.
    pub fn is_empty(&self) -> bool {
        self.passengers.is_empty()
    }

    /// The numbers of the sessions that go on, or end as soon as somebody can be told.
    pub fn sessions(&self) -> impl Iterator<Item = i64> + '_ {
        let carried = self.passengers.iter().filter_map(|passenger| passenger.held().map(|(_, held)| held.session));
        carried.chain(self.lost.iter().map(|(_, held)| held.session))
    }
}

impl Passenger {
    fn held(&self) -> Option<(ClassroomId, &Held)> {
        match &self.carried {
            Carried::Presence(carriage) => carriage.held(),
            Carried::Head(_) | Carried::Quiz(_) | Carried::Chat(_) | Carried::Tasks(_) => None,
        }
    }

    /// What homes must know of it, as when they move.
    fn letters(&self, conn: ConnId) -> Vec<Word> {
        match &self.carried {
            Carried::Quiz(carriage) => {
                let letters = quiz::Connection::carried(carriage, Moment(0)).again(conn, &|_| true);
                letters.into_iter().map(Word::Quiz).collect()
            }
            Carried::Chat(carriage) => carriage.letter(conn).map(Word::Chat).into_iter().collect(),
            Carried::Tasks(carriage) => vec![Word::Tasks(carriage.letter(conn))],
            Carried::Presence(_) | Carried::Head(_) => Vec::new(),
        }
    }
}

/// Deals what the shards of a process left to as many shards, each the passengers of the one in its place, and what the homes on it must
/// know of the passengers of all.
pub fn deal(estates: Vec<Estate>, ring: &HashRing) -> Vec<Legacy> {
    let is_cut = estates.iter().any(|estate| estate.is_cut);
    let mut legacies: Vec<Legacy> = estates.iter().map(|_| Legacy { is_cut, ..Legacy::default() }).collect();
    let shards = legacies.len();
    let of = |bytes: &[u8]| usize::from(ring.home(bytes).local()) % shards;
    let home = |classroom: ClassroomId| of(classroom.as_bytes());
    for (place, estate) in estates.into_iter().enumerate() {
        for (slot, passenger) in (0..).zip(&estate.passengers) {
            let conn = ConnId { shard: ShardId(place as u16), generation: 0, slot };
            if let Some((classroom, held)) = passenger.held() {
                legacies[home(classroom)].members.push((conn, classroom, held.clone()));
            }
            for letter in passenger.letters(conn) {
                let home = match &letter {
                    Word::Quiz(letter) => letter.quiz().map_or(place, |quiz| of(&quiz.place())),
                    Word::Chat(letter) => of(letter.session().as_bytes()),
                    Word::Tasks(letter) => of(letter.user().as_bytes()),
                };
                legacies[home].letters.push(letter);
            }
        }
        for (classroom, number) in estate.published {
            legacies[home(classroom)].published.push((classroom, number));
        }
        for (classroom, held) in estate.lost {
            legacies[home(classroom)].lost.push((classroom, held));
        }
        legacies[place].passengers = estate.passengers;
    }
    legacies
}

impl Engine {
    /// The process hands its connections over: those that cannot be carried are closed, and told to come back. `is_plain`: whether nothing
    /// stands before a connection's socket. All else goes on being served.
    pub fn leave(&mut self, is_plain: &dyn Fn(ConnId) -> bool, now: Now) {
        self.is_parting = true;
        self.close_those_who_stay(is_plain, now);
        for key in self.connections.keys().collect::<Vec<_>>() {
            self.leave_unheard(key);
        }
        self.sessions_part(now);
        self.tasks_part(now);
        self.settle(now);
    }

    /// What a socket of chat or tasks says from now on the next process hears: here nothing is begun any more.
    pub(super) fn leave_unheard(&mut self, key: Key) {
        if self.is_parting
            && let Some(Connection { phase: Phase::Chat(_) | Phase::Tasks(_), .. }) = self.connections.at(key)
        {
            self.output.pauses.push(self.conn_id(key));
        }
    }

    /// Whether what this connection has said last may not have been heard, and its timer is to fire later.
    pub(super) fn may_be_unheard(&mut self, key: Key, now: Now) -> bool {
        let is_unheard = self.is_parting
            && matches!(self.connections.at(key), Some(Connection { phase: Phase::Chat(_) | Phase::Tasks(_), .. }));
        if is_unheard {
            self.set_timer(key, Some(UNHEARD), now);
        }
        is_unheard
    }

    fn close_those_who_stay(&mut self, is_plain: &dyn Fn(ConnId) -> bool, now: Now) {
        for key in self.connections.keys().collect::<Vec<_>>() {
            if !self.is_carried(key) || !is_plain(self.conn_id(key)) {
                self.close_for_restart(key, now);
            }
        }
    }

    /// What is to be on disk, or told, before the sockets can go: sign-ins, and where they go already what ends in sessions and tasks.
    pub fn owed(&self) -> usize {
        let rest = !self.is_parting || self.sessions_rest() && self.tasks_rest();
        self.entering() + usize::from(!rest)
    }

    /// Nothing is received any more. Rooms say what they have gathered; whoever has become something that cannot be carried is closed.
    pub fn part_for_good(&mut self, is_plain: &dyn Fn(ConnId) -> bool, now: Now) {
        self.close_those_who_stay(is_plain, now);
        self.with_homes(|homes, out| homes.tick_all(now, out));
        self.settle(now);
    }

    /// Whether nothing is under way here that a passenger waits for or would have to be told, as far as this shard knows: letters may be on
    /// their way to it. To be asked when a turn is over.
    pub fn is_quiet(&self) -> bool {
        let writes = self.homes.entering() + self.quizzes.writing();
        let rests = self.sessions_rest() && self.tasks_rest();
        writes == 0 && rests && self.local.is_empty() && self.connections.keys().all(|key| !self.is_waiting(key))
    }

    fn is_waiting(&self, key: Key) -> bool {
        self.connections.at(key).is_some_and(|connection| {
            let signs_in = match &connection.phase {
                Phase::Presence(machine) => machine.carriage(Moment(0)).is_none(),
                Phase::Quiz(machine) => machine.carriage(Moment(0)).is_none(),
                Phase::Head(_) | Phase::Echo | Phase::Admitting(_) | Phase::Labs(_) | Phase::Chat(_) | Phase::Tasks(_) => false,
                Phase::Closing { .. } | Phase::Lingering | Phase::Over => false,
            };
            !matches!(connection.phase, Phase::Lingering | Phase::Over) && (signs_in || !connection.outbox.is_empty())
        })
    }

    fn is_carried(&self, key: Key) -> bool {
        match self.connections.at(key).map(|own| &own.phase) {
            Some(Phase::Head(_) | Phase::Presence(_) | Phase::Quiz(_) | Phase::Tasks(_)) => true,
            Some(Phase::Chat(seat)) => seat.is_light(),
            Some(Phase::Echo | Phase::Admitting(_) | Phase::Labs(_)) => false,
            Some(Phase::Closing { .. } | Phase::Lingering | Phase::Over) | None => false,
        }
    }

    /// What is left when all is quiet: the estate, and whose sockets go with it, in its order. All others are lost to whoever takes it: one
    /// who has not read what he was told, and one who was being let in.
    pub fn estate(&mut self, is_plain: &dyn Fn(ConnId) -> bool, now: Now) -> (Estate, Vec<ConnId>) {
        let (mut passengers, mut conns, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        for key in self.connections.keys().collect::<Vec<_>>() {
            let conn = self.conn_id(key);
            match self.passenger(key, now).filter(|_| is_plain(conn)) {
                Some(passenger) => {
                    passengers.push(passenger);
                    conns.push(conn);
                }
                None => lost.extend(self.held(key)),
            }
        }
        (Estate { passengers, published: self.homes.published(), lost, is_cut: !self.tasks_rest() }, conns)
    }

    fn held(&self, key: Key) -> Option<(ClassroomId, Held)> {
        let Phase::Presence(machine) = &self.connections.at(key)?.phase else { return None };
        machine.carriage(Moment(0))?.held().map(|(classroom, held)| (classroom, held.clone()))
    }

    fn passenger(&self, key: Key, now: Now) -> Option<Passenger> {
        let connection = self.connections.at(key).filter(|own| own.outbox.is_empty() && own.refused.is_none())?;
        let unread = connection.session.unread()?.to_vec();
        let carried = match &connection.phase {
            Phase::Head(opening) => Carried::Head(opening.read.to_vec()),
            Phase::Presence(machine) => Carried::Presence(machine.carriage(now.moment)?),
            Phase::Quiz(machine) => Carried::Quiz(machine.carriage(now.moment)?),
            Phase::Chat(seat) => Carried::Chat(seat.carriage(now.moment)?),
            Phase::Tasks(seat) => Carried::Tasks(seat.carriage(now.moment)?),
            Phase::Echo | Phase::Admitting(_) | Phase::Labs(_) => return None,
            Phase::Closing { .. } | Phase::Lingering | Phase::Over => return None,
        };
        let left = |timer| self.wheel.deadline(timer).map(|due| micros(due.since(now.moment)));
        let timer = connection.timer.and_then(left);
        Some(Passenger { listener: connection.listener.0, timer, unread, carried })
    }

    /// Takes over what was left, before anything else happens on this shard. `from`: where each passenger's socket comes from. Returns
    /// their names, in order. Nobody is told anything, but that those are gone who are not among them.
    ///
    /// # Panics
    /// If there is a connection already.
    pub fn take_over(&mut self, legacy: Legacy, from: &[Address], now: Now) -> Vec<ConnId> {
        assert!(self.connections.is_empty(), "passengers come first");
        let Legacy { passengers, members, letters, published, lost, is_cut } = legacy;
        let conns = passengers.into_iter().enumerate();
        let conns = conns.map(|(place, passenger)| self.admit_passenger(passenger, from.get(place), (!is_cut, now))).collect();
        for (conn, classroom, held) in members {
            let letter = ToHome::Resume { conn, classroom, held };
            self.with_homes(|homes, out| homes.letter(letter, now, out));
        }
        self.with_homes(|homes, _| homes.publish_from(&published));
        for letter in letters {
            match letter {
                Word::Quiz(letter) => self.with_quizzes(|homes, out| homes.letter(letter, now, out)),
                Word::Chat(letter) => self.with_sessions(now, |homes, out| homes.letter(letter, now, out)),
                Word::Tasks(letter) => self.with_tasks(now, |homes, out| homes.user(letter, out)),
            }
        }
        // A connection that there is not.
        let conn = ConnId { shard: self.id, generation: u16::MAX, slot: u32::MAX };
        for (classroom, held) in lost {
            let came = ToHome::Resume { conn, classroom, held: held.clone() };
            self.with_homes(|homes, out| homes.letter(came, now, out));
            let goes = ToHome::Leave { conn, classroom, seat: Seat::Held(held), at: now.wall };
            self.with_homes(|homes, out| homes.letter(goes, now, out));
        }
        self.settle(now);
        conns
    }

    fn admit_passenger(&mut self, passenger: Passenger, from: Option<&Address>, (is_whole, now): (bool, Now)) -> ConnId {
        let Passenger { listener, timer, unread, carried } = passenger;
        let mut connection = Connection::new(Listener(listener), self.line.ticket(), now.moment);
        self.limits.seats.take_over();
        let from = from.copied().unwrap_or(Address::UNKNOWN);
        if self.limits.door.counts(from)
            && let Counted::In(place) = self.limits.door.addresses.come(&from, 1 << 20).0
        {
            connection.address = place;
        }
        let key = match carried {
            Carried::Head(read) => {
                if let Phase::Head(opening) = &mut connection.phase {
                    opening.read = read[..].into();
                }
                let key = self.connections.insert(connection);
                self.thin_out(key, now);
                key
            }
            Carried::Presence(carriage) => {
                let held = carriage.held().map(|(classroom, held)| (classroom, held.clone()));
                connection.phase = Phase::Presence(presence::Connection::carried(carriage, now.moment));
                let key = self.connections.insert(connection);
                if let Some((classroom, held)) = held {
                    self.live += 1;
                    self.listen(key, Topic::Classroom(classroom));
                    // Who may be there too often is there already.
                    self.claim(key, &("presence", held.agent.account()));
                }
                key
            }
            Carried::Quiz(carriage) => self.admit_to_quiz(connection, &carriage, now),
            Carried::Chat(carriage) => self.readmit_to_chat(connection, carriage, now),
            Carried::Tasks(carriage) => {
                let (key, has_missed) = self.readmit_to_tasks(connection, carriage, (is_whole, now));
                if has_missed {
                    self.close_for_restart(key, now);
                    return self.conn_id(key);
                }
                key
            }
        };
        self.note_address(key, from);
        self.set_timer(key, timer.map(Duration::from_micros), now);
        match self.connections.at(key).map(|own| &own.phase) {
            _ if unread.is_empty() => {}
            Some(Phase::Chat(_)) => self.chat_received(key, &unread, now),
            Some(Phase::Tasks(_)) => self.tasks_received(key, &unread, now),
            Some(_) | None => self.read_messages(key, &unread, now),
        }
        self.conn_id(key)
    }

    fn admit_to_quiz(&mut self, mut connection: Connection, carriage: &quiz::Carriage, now: Now) -> Key {
        connection.phase = Phase::Quiz(Box::new(quiz::Connection::carried(carriage, now.moment)));
        let key = self.connections.insert(connection);
        match carriage {
            quiz::Carriage::Owner { owner, .. } => {
                self.present.owners += 1;
                self.claim(key, &("quiz", owner));
            }
            quiz::Carriage::Participant { .. } => self.present.participants += 1,
        }
        for (quiz, channel) in carriage.channels() {
            self.present.watching += 1;
            self.listen(key, Topic::Quiz(*quiz, *channel));
        }
        key
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
