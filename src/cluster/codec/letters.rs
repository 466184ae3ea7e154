//! The bytes of the letters of one turn.

use super::{LETTERS_BYTES_AT_MOST, TooLong, Unreadable};
use crate::{
    engine::{Letter, Topic},
    protocols::labs::TunnelWord,
    realtime::{Frame, ShardId},
};
use rkyv::{
    rancor::Failure,
    ser::{Serializer, sharing::Unshare},
    util::with_arena,
};

/// What a letter without frames and bytes is reckoned to take.
const LETTER_WEIGHT: usize = 256;

/// A letter and its way.
#[derive(Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Addressed {
    /// The shard that sent it.
    pub from: ShardId,
    /// The shard that it is for.
    pub to: ShardId,
    /// It.
    pub letter: Letter,
}

/// One record. Its order is the order in which the letters were posted.
#[derive(Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
enum Record {
    Letter(Addressed),
    /// [`Letter::Publish`] of one frame to several shards of the node: shard and members each.
    Publish {
        from: ShardId,
        topic: Topic,
        frame: Frame,
        to: Vec<(ShardId, u32)>,
    },
}

/// Letters on their way to one node, in the order in which they were posted.
#[derive(Default, Debug)]
pub struct Letters {
    records: Vec<Record>,
    weight: usize,
}

impl Letters {
    /// One more. A frame that is published to several shards one after the other is in the bytes once.
    pub fn push(&mut self, from: ShardId, to: ShardId, letter: Letter) {
        let Letter::Publish { topic, frame, members } = letter else {
            self.weight += LETTER_WEIGHT + bulk_bytes(&letter);
            return self.records.push(Record::Letter(Addressed { from, to, letter }));
        };
        if let Some(Record::Publish { from: sender, topic: same, frame: shared, to: shards }) = self.records.last_mut()
            && (*sender, *same) == (from, topic)
            && shared.is_same(&frame)
        {
            return shards.push((to, members));
        }
        self.weight += LETTER_WEIGHT + frame.len();
        self.records.push(Record::Publish { from, topic, frame, to: vec![(to, members)] });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// About how many bytes they will be. Whoever writes them before this is a few MiB stays far below what a body may have.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Their bytes; there are none of them after it.
    pub fn write(&mut self) -> Result<Vec<u8>, TooLong> {
        let bytes = write_records(&self.records, self.weight);
        self.records.clear();
        self.weight = 0;
        bytes.ok().filter(|bytes| bytes.len() <= LETTERS_BYTES_AT_MOST).ok_or(TooLong)
    }
}

fn write_records(records: &Vec<Record>, weight: usize) -> Result<Vec<u8>, Failure> {
    with_arena(|arena| {
        let mut serializer = Serializer::new(Vec::with_capacity(weight), arena.acquire(), Unshare);
        rkyv::api::serialize_using::<_, Failure>(records, &mut serializer)?;
        Ok(serializer.into_writer())
    })
}

/// The letters of a body, each with its way. All of them, or none. A frame that went to several shards is copied out of the body once,
/// and shared.
pub fn read_letters(body: &[u8]) -> Result<Vec<Addressed>, Unreadable> {
    if body.len() > LETTERS_BYTES_AT_MOST {
        return Err(Unreadable::TooLong);
    }
    let records = rkyv::access::<rkyv::Archived<Vec<Record>>, Failure>(body)?;
    let mut letters = Vec::with_capacity(records.len());
    for record in records.iter() {
        match rkyv::deserialize::<Record, Failure>(record)? {
            Record::Letter(addressed) => letters.push(addressed),
            Record::Publish { from, topic, frame, to } => letters.extend(to.into_iter().map(|(to, members)| {
                let letter = Letter::Publish { topic, frame: frame.clone(), members };
                Addressed { from, to, letter }
            })),
        }
    }
    Ok(letters)
}

/// What is in a letter that may be large.
fn bulk_bytes(letter: &Letter) -> usize {
    match letter {
        Letter::Publish { frame, .. } | Letter::Deliver(_, frame) | Letter::Show { frame, .. } => frame.len(),
        Letter::Tunnel { word, .. } => match word {
            TunnelWord::Bytes(chunk) => chunk.len(),
            TunnelWord::Ready { .. } | TunnelWord::Credit(_) | TunnelWord::Closed => 0,
        },
        Letter::TasksNews { news, .. } => news.frame.len(),
        Letter::Home(..)
        | Letter::Connection(..)
        | Letter::QuizHome(..)
        | Letter::QuizConnection(..)
        | Letter::Reply { .. }
        | Letter::QuizReply { .. }
        | Letter::Key { .. }
        | Letter::KeyHeard { .. }
        | Letter::Registry(..)
        | Letter::LabsConnection(..)
        | Letter::LabsReply { .. }
        | Letter::Revoked { .. }
        | Letter::RevokedHeard { .. }
        | Letter::ChatHome(..)
        | Letter::ChatConnection(..)
        | Letter::ChatReply { .. }
        | Letter::ChatTold { .. }
        | Letter::ChatCount { .. }
        | Letter::ChatCounted { .. }
        | Letter::TasksUser(..)
        | Letter::TaskHome(..)
        | Letter::ExecutionHome(..)
        | Letter::TasksConnection(..)
        | Letter::TasksCounts { .. }
        | Letter::TasksTotals(..)
        | Letter::TasksReply { .. }
        | Letter::ViewBegins { .. }
        | Letter::ViewReached { .. } => 0,
    }
}
