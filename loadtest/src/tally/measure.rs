//! What is measured, each in a histogram of its own.

use super::{
    Latencies,
    series::{Buckets, Fresh},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// From the intended moment to `connect_success`.
    SignIn,
    /// From the intended moment of a return to `connect_success`.
    Return,
    /// From `connect()` until the socket is writable.
    Connect,
    /// From the upgrade request to its complete answer.
    Upgrade,
    /// From the `connect_request` to `connect_success`.
    Admission,
    /// From our Close frame until the server ended the connection.
    Close,
    /// From a publish's intended moment to the answer of the internal route.
    Publish,
    /// From a publish's intended moment until one member has it.
    Delivery,
    /// The same, to a member who reads, while others do not.
    Beside,
    /// From the intended moment to the answer of a begun attempt.
    Start,
    /// From an answer's intended moment to what REST says of it.
    Answer,
    /// From an answer's intended moment until one owner's screen has it.
    Screen,
    /// How much later than the participant one owner's screen heard of an answer; nothing when it was first.
    Behind,
    /// From the intended moment to the answer of a submitted attempt.
    Submit,
    /// From the intended moment of a submit until the participant's socket has `attempt_closed`.
    Ending,
    /// From a viewer's `connect()` until it watches: the 101, and the agent's end.
    Watch,
    /// From a REST request that creates a session to its answer.
    Create,
    /// From a key's intended moment until its echo is back at the viewer.
    Key,
    /// From the moment at which the model sent a word, the first of an answer not counted, until a connection has it.
    Word,
    /// The same of the first word, with which the model's answer begins.
    FirstWord,
    /// From a message's intended moment to the first word of its answer.
    Reply,
    /// How far the distance between two words is from that at which they were sent.
    Gap,
    /// From a cancel to the last word of its answer; nothing where none came after it.
    CancelWord,
    /// From a cancel to the end of its answer.
    CancelEnd,
    /// From a cancel until the model's request was gone.
    CancelGone,
    /// From a task's intended moment until the first of its user's sockets has `pending`.
    Pending,
    /// The same of its first progress.
    Begun,
    /// The same of its completion.
    Ended,
    /// From an execution's intended moment to its completion at the socket that asked for it.
    Execution,
    /// How much later than the first of its user's sockets another one heard of a task.
    FanOut,
    /// How much later than the first of its user's sockets an admin's heard of a task; nothing when it was first.
    AtAdmins,
    /// From a cancellation's intended moment to the task's error at the socket that cancelled it.
    Cancel,
    /// From the intended moment to REST's list of tasks.
    List,
    /// From the intended moment to REST's one task.
    Look,
    /// How far from its moment a Ping came: its distance from the one before, against what that should be.
    Jitter,
    /// How much later than intended the generator began an operation, where nothing but itself held it up.
    Lag,
}

impl Measure {
    /// All, in the order in which they are told.
    pub(crate) const ALL: [Measure; 36] = {
        use Measure::{Admission, Beside, Close, Connect, Delivery, Lag, Publish, Return, SignIn, Upgrade};
        use Measure::{Answer, Behind, Ending, Screen, Start, Submit};
        use Measure::{AtAdmins, Begun, Cancel, Ended, Execution, FanOut, List, Look, Pending};
        use Measure::{CancelEnd, CancelGone, CancelWord, FirstWord, Gap, Reply, Word};
        use Measure::{Create, Jitter, Key, Watch};
        [
            SignIn, Return, Connect, Upgrade, Admission, Close, Publish, Delivery, Beside, Start, Answer, Screen, Behind, Submit,
            Ending, Create, Watch, Key, Word, FirstWord, Reply, Gap, CancelWord, CancelEnd, CancelGone, Pending, Begun, Ended,
            Execution, FanOut, AtAdmins, Cancel, List, Look, Jitter, Lag,
        ]
    };

    /// Its name in the report.
    pub(crate) fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Histograms for each measure, in the order of [`Measure`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Measures {
    /// Of the whole run.
    all: Vec<Latencies>,
    /// Of the slice of time that is still open, where something was recorded.
    #[serde(skip, default = "none_fresh")]
    fresh: Vec<Option<Fresh>>,
}

fn none_fresh() -> Vec<Option<Fresh>> {
    vec![None; Measure::ALL.len()]
}

impl Default for Measures {
    fn default() -> Self {
        Measures { all: vec![Latencies::default(); Measure::ALL.len()], fresh: none_fresh() }
    }
}

impl Measures {
    /// Records one duration, nanoseconds.
    pub(super) fn record(&mut self, measure: Measure, ns: u64) {
        self.all[measure as usize].record(ns);
        self.fresh[measure as usize].get_or_insert_default().record(ns);
    }

    /// Records one duration of the whole run alone.
    pub(super) fn record_past(&mut self, measure: Measure, ns: u64) {
        self.all[measure as usize].record(ns);
    }

    /// What was recorded since this was asked before.
    pub(super) fn take_fresh(&mut self) -> BTreeMap<Measure, Buckets> {
        let fresh = &mut self.fresh;
        let taken = |measure: Measure| Some((measure, fresh[measure as usize].as_mut()?.take()?));
        Measure::ALL.into_iter().filter_map(taken).collect()
    }

    /// The histogram of a measure.
    pub(super) fn of(&self, measure: Measure) -> &Latencies {
        &self.all[measure as usize]
    }

    /// Adds another's.
    pub(super) fn merge(&mut self, other: &Measures) {
        for (mine, theirs) in self.all.iter_mut().zip(&other.all) {
            mine.merge(theirs);
        }
    }
}
