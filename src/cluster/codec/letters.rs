//! The bytes of the letters of one turn.

use super::{LETTERS_AT_MOST, LETTERS_BYTES_AT_MOST, TooLong, Unreadable};
use crate::{
    engine::{Letter, Since, Topic},
    protocols::{
        labs::TunnelWord,
        tasks::{News, UserName},
    },
    realtime::{Frame, ShardId},
};
use bytes::Bytes;
use rkyv::{
    rancor::Failure,
    ser::{Serializer, sharing::Unshare},
    util::with_arena,
};

/// What a letter without frames and bytes is reckoned to take.
const LETTER_WEIGHT: usize = 256;
/// One body is not to grow beyond this weight where there is a choice; and so much of the buffer is kept for the next one.
const FULL_WEIGHT: usize = 1 << 20;

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
    /// [`Letter::TasksNews`] to several shards of the node.
    News {
        from: ShardId,
        owner: UserName,
        news: News,
        to: Vec<ShardId>,
    },
}

/// Letters on their way to one node, in the order in which they were posted.
#[derive(Default, Debug)]
pub struct Letters {
    records: Vec<Record>,
    count: usize,
    weight: usize,
    buffer: Vec<u8>,
}

impl Letters {
    /// One more. A frame that is published to several shards one after the other is in the bytes once.
    pub fn push(&mut self, from: ShardId, to: ShardId, letter: Letter) {
        self.count += 1;
        let (topic, frame, members) = match letter {
            Letter::Publish { topic, frame, members, .. } => (topic, frame, members),
            Letter::TasksNews { owner, news } => return self.push_news(from, to, owner, news),
            letter => {
                self.weight += LETTER_WEIGHT + bulk_bytes(&letter);
                return self.records.push(Record::Letter(Addressed { from, to, letter }));
            }
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

    fn push_news(&mut self, from: ShardId, to: ShardId, owner: UserName, news: News) {
        if let Some(Record::News { from: sender, news: shared, to: shards, .. }) = self.records.last_mut()
            && *sender == from
            && shared.frame.is_same(&news.frame)
        {
            return shards.push(to);
        }
        self.weight += LETTER_WEIGHT + news.frame.len();
        self.records.push(Record::News { from, owner, news, to: vec![to] });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether they are to be written before one more is pushed. Whoever heeds this sees [`TooLong`] only of a single letter that is.
    pub fn is_full(&self) -> bool {
        self.weight >= FULL_WEIGHT || self.count >= LETTERS_AT_MOST
    }

    /// Their bytes; there are none of them after it. Where they are too long they are lost, and the link is to be broken off.
    pub fn write(&mut self) -> Result<Bytes, TooLong> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = write_records(&self.records, buffer);
        let is_short = self.count <= LETTERS_AT_MOST;
        self.records.clear();
        (self.count, self.weight) = (0, 0);
        self.buffer = written.map_err(|_| TooLong)?;
        // Its own memory, and no more than it needs: a link keeps it until the other node has it.
        let body = Bytes::copy_from_slice(&self.buffer);
        self.buffer.clear();
        self.buffer.shrink_to(FULL_WEIGHT);
        if is_short && body.len() <= LETTERS_BYTES_AT_MOST { Ok(body) } else { Err(TooLong) }
    }
}

fn write_records(records: &Vec<Record>, buffer: Vec<u8>) -> Result<Vec<u8>, Failure> {
    with_arena(|arena| {
        let mut serializer = Serializer::new(buffer, arena.acquire(), Unshare);
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
    let count: usize = records.iter().map(letters_in).sum();
    if count > LETTERS_AT_MOST {
        return Err(Unreadable::TooLong);
    }
    let mut letters = Vec::with_capacity(count);
    for record in records.iter() {
        match rkyv::deserialize::<Record, Failure>(record)? {
            Record::Letter(addressed) => letters.push(addressed),
            Record::Publish { from, topic, frame, to } => letters.extend(to.into_iter().map(|(to, members)| {
                let letter = Letter::Publish { topic, frame: frame.clone(), members, since: Since::default() };
                Addressed { from, to, letter }
            })),
            Record::News { from, owner, news, to } => letters.extend(to.into_iter().map(|to| {
                let letter = Letter::TasksNews { owner: owner.clone(), news: news.clone() };
                Addressed { from, to, letter }
            })),
        }
    }
    Ok(letters)
}

fn letters_in(record: &ArchivedRecord) -> usize {
    match record {
        ArchivedRecord::Letter(_) => 1,
        ArchivedRecord::Publish { to, .. } => to.len(),
        ArchivedRecord::News { to, .. } => to.len(),
    }
}

/// What is in a letter that may be large.
fn bulk_bytes(letter: &Letter) -> usize {
    match letter {
        Letter::Publish { frame, .. } | Letter::PublishBut { frame, .. } => frame.len(),
        Letter::Deliver(_, frame) | Letter::Show { frame, .. } => frame.len(),
        Letter::Tunnel { word, .. } => match word {
            TunnelWord::Bytes(chunk) => chunk.len(),
            TunnelWord::Ready { .. } | TunnelWord::Credit(_) | TunnelWord::Closed => 0,
        },
        Letter::TasksNews { news, .. } => news.frame.len(),
        Letter::ChatHome(letter) => letter.bytes(),
        Letter::ChatTold { told, .. } => told.bytes(),
        Letter::Home(letter) => letter.bytes(),
        Letter::Connection(..)
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
        | Letter::ChatConnection(..)
        | Letter::ChatReply { .. }
        | Letter::ChatCount { .. }
        | Letter::ChatCounted { .. }
        | Letter::TasksUser(..)
        | Letter::TaskHome(..)
        | Letter::ExecutionHome(..)
        | Letter::TasksHold(..)
        | Letter::TasksInterest(..)
        | Letter::TasksConnection(..)
        | Letter::TasksCounts { .. }
        | Letter::TasksTotals(..)
        | Letter::TasksReply { .. }
        | Letter::ViewBegins { .. }
        | Letter::ChatMark { .. }
        | Letter::ChatElsewhere { .. }
        | Letter::ViewReached { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::NodeSlot;

    /// A few bytes each, and a letter each when they are read.
    fn many(letters: usize) -> Record {
        let shard = ShardId::of(NodeSlot(1), 0);
        Record::Publish { from: shard, topic: Topic::SystemStatus, frame: Frame::from_wire(b"x"), to: vec![(shard, 1); letters] }
    }

    #[test]
    fn no_more_letters_are_read_than_may_be_in_a_body() {
        let body = |records: Vec<Record>| write_records(&records, Vec::new()).unwrap();
        assert_eq!(read_letters(&body(vec![many(LETTERS_AT_MOST)])).unwrap().len(), LETTERS_AT_MOST);
        assert_eq!(read_letters(&body(vec![many(LETTERS_AT_MOST), many(1)])).unwrap_err(), Unreadable::TooLong);
    }

    #[test]
    fn letters_are_full_before_they_are_too_long() {
        let shard = ShardId::of(NodeSlot(1), 0);
        let frame = Frame::from_wire(&[7; 1000]);
        for shared in [true, false] {
            let mut letters = Letters::default();
            while !letters.is_full() {
                let frame = if shared { frame.clone() } else { Frame::from_wire(&frame) };
                letters.push(
                    shard,
                    shard,
                    Letter::Publish { topic: Topic::SystemStatus, frame, members: 1, since: Since::default() },
                );
            }
            let body = letters.write().unwrap();
            assert!(body.len() < FULL_WEIGHT * 2 && !letters.is_full() && letters.is_empty());
            assert!(letters.buffer.capacity() <= FULL_WEIGHT);
        }
    }
}
