//! What boss and worker say to each other: JSON behind a length of four bytes, over any stream of bytes.

use super::offset::Exchange;
use crate::{
    chat::order::{ChatOrder, ModelOrder},
    lab::order::LabOrder,
    order::Order,
    quiz::order::HallOrder,
    rolling::order::RollingOrder,
    tally::{Slice, Tally, When},
    tasks::order::OfficeOrder,
    usage::Usage,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::IpAddr,
};

/// The largest letter: a tally of full histograms is well below.
const LARGEST_BYTES: u32 = 256 << 20;

/// A part of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Sign-ins, at the rate of the order.
    SignIn,
    /// Nothing but answering pings and hearing events. Never settles by itself.
    Hold,
    /// Publishes, at the pace of the order.
    Publish,
    /// Everybody drops and comes back, as the order says; publishing goes on.
    Storm,
    /// Some do not read any more; publishing goes on.
    Stall,
    /// Publishing ends, and what was published is heard.
    Calm,
    /// Owners' screens, or users' sockets, connect and subscribe.
    Watch,
    /// Attempts begin, at the rate of the order.
    Start,
    /// Questions are answered, at the pace of the order.
    Answer,
    /// What was not submitted is.
    Submit,
    /// Tasks are asked for, at the rate of the order, until all are over.
    Ask,
    /// Agents connect and register.
    Join,
    /// Viewers, or those who talk, connect to their sessions.
    View,
    /// Bytes are pushed, keys pressed; answers are given.
    Stream,
    /// Viewers close.
    Leave,
    /// Every connection is closed.
    Close,
    /// What the server keeps is read and compared with what was done.
    Prove,
}

impl Stage {
    /// Its name in the report.
    pub(crate) fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// What a worker is to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Students sign in to classrooms.
    Classrooms(Order),
    /// Students move from node to node.
    Rolling(RollingOrder),
    /// Participants take quizzes, owners watch.
    Quizzes(HallOrder),
    /// Agents run sessions, viewers watch them.
    Labs(LabOrder),
    /// People talk to agents.
    Chats(ChatOrder),
    /// The endpoint that the server asks for answers.
    Model(ModelOrder),
    /// Users have agents do tasks.
    Tasks(OfficeOrder),
}

impl Task {
    /// The source addresses, and whether the server is on the host of the boss alone; nothing where no connection is opened.
    pub(crate) fn sources(&mut self) -> Option<(&mut Vec<IpAddr>, bool)> {
        let (sources, target) = match self {
            Task::Classrooms(order) => (&mut order.sources, &order.target),
            Task::Rolling(order) => (&mut order.crowd.sources, &order.crowd.target),
            Task::Quizzes(order) => (&mut order.sources, &order.target),
            Task::Labs(order) => (&mut order.sources, &order.target),
            Task::Chats(order) => (&mut order.sources, &order.target),
            Task::Tasks(order) => (&mut order.sources, &order.target),
            Task::Model(_) => return None,
        };
        Some((sources, target.address.ip().is_loopback()))
    }
}

/// Boss to worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// To one that joined: answer with the moments, as an exchange of clocks.
    Clock(Exchange),
    /// To one that joined, before its order: its clock is so many nanoseconds ahead, which it takes off from now on.
    Ahead(i64),
    /// The order: what is to be done.
    Order(Box<Task>),
    /// Somebody looks: tell each slice of time as it ends.
    Show,
    /// Begin a stage at this moment, nanoseconds of the run's clock.
    Enter(Stage, u64),
    /// A phase of the day begins at this moment: what is measured is put into phases, too.
    Phase(u64),
    /// Send the tally and go.
    Finish,
}

/// Worker to boss.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToBoss {
    /// The first letter of one that joined.
    Here(Place),
    /// What the worker knows of an exchange of clocks.
    Clock(Exchange),
    /// Everything is made; a stage may begin.
    Ready,
    /// A few times a second.
    Progress(Progress),
    /// A slice of time, as it ends, where somebody looks.
    Seen(Box<Seen>),
    /// Nothing is left to do in this stage, and what it cost this worker until then.
    Settled(Stage, Usage),
    /// The last letter.
    Done(Box<Tally>),
    /// The last letter of a worker that cannot work.
    Failed(String),
}

/// Where a worker is that joined.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The name that it joins under.
    pub(crate) name: String,
    /// Kernel release.
    pub(crate) kernel: String,
    /// The first CPU's model.
    pub(crate) cpu: String,
    /// CPUs that may be used.
    pub(crate) cores: usize,
}

/// What happened at a worker in a slice of time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// What was measured.
    pub(crate) slice: Slice,
    /// What has gone wrong until then, by kind.
    pub(crate) faults: BTreeMap<When, BTreeMap<String, u64>>,
}

/// What a worker has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Sign-ins or starts that succeeded.
    pub(crate) signed_in: u64,
    /// Members, screens and participants whose connection ended by itself.
    pub(crate) lost: u64,
    /// Members who were let drop, to come back, and slow ones that were cut off.
    pub(crate) dropped: u64,
    /// Faults of every kind.
    pub(crate) faults: u64,
    /// Connections that were closed as they should.
    pub(crate) closed: u64,
    /// Publishes sent.
    pub(crate) published: u64,
    /// Ticks heard.
    pub(crate) delivered: u64,
    /// Owners' screens that watch, and participants that listen.
    pub(crate) watching: u64,
    pub(crate) listening: u64,
    /// Answers accepted.
    pub(crate) answered: u64,
    /// Events that screens, participants and users must hear of what was done so far.
    pub(crate) owed: u64,
    /// Those that they have heard.
    pub(crate) heard: u64,
    /// Agents that are registered.
    pub(crate) online: u64,
    /// Sessions that agents were told to start, and to stop.
    pub(crate) begun: u64,
    pub(crate) stopped: u64,
    /// Bytes that came as they were sent.
    pub(crate) streamed: u64,
    /// Keys whose echo came back.
    pub(crate) keys: u64,
    /// Tasks and executions that are over.
    pub(crate) ended: u64,
    /// WebSockets that are open now.
    pub(crate) connections: u64,
}

impl Progress {
    /// Adds another worker's.
    pub(crate) fn add(&mut self, other: &Progress) {
        self.signed_in += other.signed_in;
        self.lost += other.lost;
        self.dropped += other.dropped;
        self.faults += other.faults;
        self.closed += other.closed;
        self.published += other.published;
        self.delivered += other.delivered;
        self.watching += other.watching;
        self.listening += other.listening;
        self.answered += other.answered;
        self.owed += other.owed;
        self.heard += other.heard;
        self.online += other.online;
        self.begun += other.begun;
        self.stopped += other.stopped;
        self.streamed += other.streamed;
        self.keys += other.keys;
        self.ended += other.ended;
        self.connections += other.connections;
    }
}

/// Writes one letter and flushes.
///
/// # Errors
/// Those of the stream.
pub(crate) fn send(to: &mut impl Write, letter: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, letter)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads one letter.
///
/// # Errors
/// Those of the stream, its end, and letters that are too long or not understood.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LARGEST_BYTES {
        return Err(io::Error::other("a letter of impossible length"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_arrive_whole_and_in_order() {
        let mut wire = Vec::new();
        send(&mut wire, &ToWorker::Enter(Stage::SignIn, 42)).unwrap();
        send(&mut wire, &ToWorker::Finish).unwrap();
        let mut from = wire.as_slice();
        assert!(matches!(receive(&mut from).unwrap(), ToWorker::Enter(Stage::SignIn, 42)));
        assert!(matches!(receive(&mut from).unwrap(), ToWorker::Finish));
        assert!(receive::<ToWorker>(&mut from).is_err());
    }

    #[test]
    fn impossible_lengths_are_refused_before_memory_is_taken() {
        assert!(receive::<ToWorker>(&mut [0xff; 8].as_slice()).is_err());
    }
}
