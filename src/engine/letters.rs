//! What leaves a shard and what comes back: letters to other shards, questions to the store and the bridge, their answers.

use crate::{
    auth::PermissionQuestion,
    protocols::presence::{
        FromHome, ToHome,
        asks::Reply,
        record::{Entering, Leaving, StoreFault},
    },
    realtime::{ClassroomId, ConnId, Frame},
};

/// From one shard to another. Between two shards letters keep their order and come exactly once.
#[derive(Debug)]
pub enum Letter {
    /// To the home of a classroom.
    Home(ToHome),
    /// From a home to a connection.
    Connection(ConnId, FromHome),
    /// To all who listen to the classroom on the shard that gets this.
    Publish {
        /// The topic.
        classroom: ClassroomId,
        /// What was published.
        frame: Frame,
        /// How many listeners the home knows on that shard. One whose end has not come to the home's ears is among them, and
        /// counted as dropped.
        members: u32,
    },
    /// To one connection.
    Deliver(ConnId, Frame),
    /// To a REST ask that waits on the shard that gets this.
    Reply {
        /// The ask's number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
}

/// From a shard to the store or the bridge. What is answered is answered with [`Answer`].
#[derive(Debug)]
pub enum Question {
    /// Write a row; answered with [`Answer::Entered`].
    Enter {
        /// To be given back.
        ticket: u64,
        /// The row.
        entering: Entering,
    },
    /// Move a row to the history; not answered.
    Leave(Leaving),
    /// Ask a permission service; answered with [`Answer::Permission`].
    Permission {
        /// Who waits.
        conn: ConnId,
        /// What is asked.
        question: PermissionQuestion,
    },
}

/// From the store or the bridge to the shard that asked.
#[derive(Debug)]
pub enum Answer {
    /// To [`Question::Enter`].
    Entered {
        /// Of the question.
        ticket: u64,
        /// The session's number, once its row is on disk.
        result: Result<i64, StoreFault>,
    },
    /// To [`Question::Permission`].
    Permission {
        /// Of the question.
        conn: ConnId,
        /// `None`: the service could not be asked.
        allowed: Option<bool>,
    },
}
