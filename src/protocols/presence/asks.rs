//! What the REST routes ask of a classroom's home, and what it answers.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use crate::realtime::ClassroomId;

/// Longer names of entity types and operations are refused.
const NAME_MAX: usize = 64;

/// A question to the home of one classroom ([`Ask::Counts`]: of all the classrooms named, which must share a home).
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Ask {
    /// The members with a session number greater than `after`, in order, at most `limit`.
    Members {
        /// The room.
        classroom: ClassroomId,
        /// Exclusive lower bound of the session number.
        after: i64,
        /// At most so many.
        limit: usize,
    },
    /// How many are in each room.
    Counts {
        /// The rooms, all with the same home.
        classrooms: Vec<ClassroomId>,
    },
    /// Deliver an event to every member, or to one.
    Publish {
        /// The room.
        classroom: ClassroomId,
        /// What is said.
        event: Publication,
    },
    /// End the session of this agent as `replaced`.
    Close {
        /// The room.
        classroom: ClassroomId,
        /// `label.sub.aud`.
        agent_id: String,
    },
}

/// An event that a service publishes to a classroom.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Publication {
    /// `id.entity_type` of the event, for example `ban`.
    pub entity_type: String,
    /// `id.operation` of the event, for example `created`.
    pub operation: String,
    /// `id.sequence_id`. Where it is absent the home counts: on from the room's last one, or from the clock in microseconds since 1970.
    pub sequence_id: Option<i64>,
    /// The payload, a JSON object exactly as it is to be delivered.
    pub payload: Box<str>,
    /// Only this agent (`label.sub.aud`) is to hear it.
    pub receiver: Option<String>,
    /// This agent says it, and does not hear it himself.
    pub sender: Option<String>,
}

/// Whether a text can be the entity type or the operation of a [`Publication`].
pub fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// One who is in the room.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Member {
    /// The session's number.
    pub sequence_id: i64,
    /// `label.sub.aud`.
    pub agent_id: String,
}

/// The home's answer to an [`Ask`], variant by variant, or what is said in its place.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Reply {
    /// To [`Ask::Members`].
    Members(Vec<Member>),
    /// To [`Ask::Counts`]: rooms with nobody are absent.
    Counts(Vec<(ClassroomId, u64)>),
    /// To [`Ask::Publish`].
    Published {
        /// The number that the event went out with.
        sequence_id: i64,
        /// How many members it was sent to.
        members: u64,
    },
    /// To [`Ask::Close`]: whether there was such a session.
    Closed(bool),
    /// To any: the home did not answer in time, and nobody can say whether it was done.
    Late,
}

impl Ask {
    /// A classroom whose home answers it.
    pub fn classroom(&self) -> ClassroomId {
        match self {
            Ask::Members { classroom, .. } | Ask::Publish { classroom, .. } | Ask::Close { classroom, .. } => *classroom,
            Ask::Counts { classrooms } => classrooms.first().copied().unwrap_or_default(),
        }
    }
}
