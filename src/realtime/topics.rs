//! Who on this shard listens to what, and what was published in this turn.
//!
//! Frames published to a topic gather in one contiguous batch; at the end of the turn each listener gets a segment of it, by
//! reference. A listener that came in the middle of the turn hears only what came after it.

use super::{moment::Moment, outbox::Segment};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::{hash::Hash, rc::Rc};

/// When a topic's batch has grown to this many bytes the turn must not wait longer with its delivery.
pub const BATCH_BYTES: usize = 256 << 10;

/// The place of one listener in one topic. Kept by the listener; it changes when another listener leaves ([`Topics::unsubscribe`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// Which topic.
    pub topic: u32,
    /// Where among its listeners.
    pub position: u32,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    slot: u32,
    /// Where in this turn's batch its share begins.
    from: u32,
}

#[derive(Debug)]
struct Topic<K> {
    key: K,
    /// A session of chat has one, and then there is one place in memory less to go to for each word.
    listeners: SmallVec<[Listener; 1]>,
    batch: Vec<u8>,
    /// Where each frame of the batch ends.
    ends: SmallVec<[u32; 2]>,
    /// When the first frame of the batch was taken by whoever published it.
    since: Moment,
}

/// What a turn has for one listener of a topic, beside the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// How many frames.
    pub frames: u32,
    /// When the first frame of the topic's batch was taken by whoever published it.
    pub since: Moment,
}

/// How many of these frames end after `from`.
fn frames_after(ends: &[u32], from: u32) -> u32 {
    (ends.len() - ends.partition_point(|&end| end <= from)) as u32
}

/// The topics of one shard that have listeners here.
#[derive(Debug)]
pub struct Topics<K, S> {
    by_key: HashMap<K, u32, S>,
    topics: Vec<Option<Topic<K>>>,
    free: Vec<u32>,
    dirty: Vec<u32>,
}

impl<K: Copy + Eq + Hash, S: std::hash::BuildHasher> Topics<K, S> {
    /// No topics yet. `hasher` places the keys.
    pub fn new(hasher: S) -> Self {
        Topics { by_key: HashMap::with_hasher(hasher), topics: Vec::new(), free: Vec::new(), dirty: Vec::new() }
    }

    /// How many topics have listeners here.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nobody listens to anything.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// What [`Subscription::topic`] is of those who listen to `key`, while there are any.
    pub fn index(&self, key: &K) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// How many listen to `key` here.
    pub fn listeners(&self, key: &K) -> usize {
        self.by_key.get(key).and_then(|&index| self.topics[index as usize].as_ref()).map_or(0, |topic| topic.listeners.len())
    }

    /// Those who listen to `key` here.
    pub fn slots(&self, key: &K) -> Vec<u32> {
        let topic = self.by_key.get(key).and_then(|&index| self.topics[index as usize].as_ref());
        topic.map_or_else(Vec::new, |topic| topic.listeners.iter().map(|listener| listener.slot).collect())
    }

    /// Lets `slot` hear what is published to `key` from now on.
    pub fn subscribe(&mut self, key: K, slot: u32) -> Subscription {
        let index = match self.by_key.get(&key) {
            Some(&index) => index,
            None => self.open(key),
        };
        let topic = self.topics[index as usize].as_mut().expect("a key names a topic that is open");
        topic.listeners.push(Listener { slot, from: topic.batch.len() as u32 });
        Subscription { topic: index, position: topic.listeners.len() as u32 - 1 }
    }

    /// Ends a subscription: what this turn still held for it is not delivered. When another listener took its place, that
    /// listener's slot is returned and its [`Subscription::position`] is now the one that was given up.
    pub fn unsubscribe(&mut self, subscription: Subscription) -> Option<u32> {
        let topic = self.topics.get_mut(subscription.topic as usize)?.as_mut()?;
        let position = subscription.position as usize;
        topic.listeners.swap_remove(position);
        let moved = topic.listeners.get(position).map(|listener| listener.slot);
        if topic.listeners.is_empty() {
            let key = topic.key;
            self.by_key.remove(&key);
            self.topics[subscription.topic as usize] = None;
            self.dirty.retain(|&index| index != subscription.topic);
            self.free.push(subscription.topic);
        }
        moved
    }

    /// Adds a frame to the topic's batch, taken at `since` by whoever published it. Returns whether the batch is so large that it should be
    /// flushed before the turn ends.
    pub fn publish(&mut self, key: &K, frame: &[u8], since: Moment) -> bool {
        let Some(&index) = self.by_key.get(key) else { return false };
        let Some(topic) = self.topics[index as usize].as_mut() else { return false };
        if topic.batch.is_empty() {
            self.dirty.push(index);
            topic.since = since;
        }
        topic.batch.extend_from_slice(frame);
        topic.ends.push(topic.batch.len() as u32);
        topic.batch.len() >= BATCH_BYTES
    }

    /// Takes what this turn has for one listener before its end, so that a frame for it alone can come behind it. A copy: this is rare.
    pub fn take(&mut self, subscription: Subscription) -> Option<(Segment, u32)> {
        let topic = self.topics.get_mut(subscription.topic as usize)?.as_mut()?;
        let end = topic.batch.len() as u32;
        let from = std::mem::replace(&mut topic.listeners.get_mut(subscription.position as usize)?.from, end);
        let frames = frames_after(&topic.ends, from);
        Segment::whole(topic.batch[from as usize..].to_vec()).map(|segment| (segment, frames))
    }

    /// Ends the turn of every topic: `deliver(slot, segment, share)` for each listener that has something to hear, which says whether that
    /// leaves with this turn; `left(since, frames)` for each topic of which something does.
    pub fn flush(&mut self, mut deliver: impl FnMut(u32, Segment, Share) -> bool, mut left: impl FnMut(Moment, u64)) {
        for index in self.dirty.drain(..) {
            let Some(topic) = self.topics[index as usize].as_mut() else { continue };
            let batch = Rc::new(std::mem::take(&mut topic.batch));
            let end = batch.len() as u32;
            let (all, since) = (topic.ends.len() as u32, topic.since);
            let mut leaving = 0;
            for listener in &mut topic.listeners {
                let Listener { slot, from } = std::mem::replace(listener, Listener { from: 0, ..*listener });
                if from < end {
                    let frames = if from == 0 { all } else { frames_after(&topic.ends, from) };
                    if deliver(slot, Segment { batch: batch.clone(), range: from..end }, Share { frames, since }) {
                        leaving += u64::from(frames);
                    }
                }
            }
            topic.ends.clear();
            if leaving > 0 {
                left(since, leaving);
            }
        }
    }

    fn open(&mut self, key: K) -> u32 {
        let (batch, ends, since) = (Vec::new(), SmallVec::new(), Moment::default());
        let topic = Topic { key, listeners: SmallVec::new(), batch, ends, since };
        let index = match self.free.pop() {
            Some(index) => {
                self.topics[index as usize] = Some(topic);
                index
            }
            None => {
                self.topics.push(Some(topic));
                self.topics.len() as u32 - 1
            }
        };
        self.by_key.insert(key, index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldhash::fast::FixedState;

    const NOW: Moment = Moment(7);

    fn topics() -> Topics<u8, FixedState> {
        Topics::new(FixedState::with_seed(1))
    }

    fn flushed(topics: &mut Topics<u8, FixedState>) -> Vec<(u32, String, u32)> {
        let mut heard = Vec::new();
        let mut deliver = |slot, segment: Segment, share: Share| {
            heard.push((slot, String::from_utf8_lossy(segment.bytes()).into_owned(), share.frames));
        };
        topics.flush(
            |slot, segment, share| {
                deliver(slot, segment, share);
                true
            },
            |_, _| {},
        );
        heard
    }

    #[test]
    fn a_listener_hears_what_came_after_it_and_the_batch_is_shared() {
        let mut topics = topics();
        topics.subscribe(7, 1);
        topics.publish(&7, b"a", NOW);
        topics.subscribe(7, 2);
        topics.publish(&7, b"b", NOW);
        topics.publish(&8, b"nobody", NOW);
        assert_eq!(flushed(&mut topics), [(1, "ab".into(), 2), (2, "b".into(), 1)]);
        topics.publish(&7, b"c", NOW);
        assert_eq!(flushed(&mut topics), [(1, "c".into(), 1), (2, "c".into(), 1)]);
        assert_eq!(flushed(&mut topics), []);
    }

    #[test]
    fn what_leaves_with_the_turn_counts_from_its_oldest_frame() {
        let (mut topics, mut left) = (topics(), Vec::new());
        for (key, slot) in [(7, 1), (7, 2), (7, 3), (8, 4)] {
            topics.subscribe(key, slot);
        }
        topics.publish(&7, b"a", Moment(5));
        topics.publish(&8, b"b", Moment(6));
        topics.publish(&7, b"c", Moment(9));
        topics.flush(|slot, _, share| slot < 3 && share.since == Moment(5), |since, frames| left.push((since, frames)));
        assert_eq!(left, [(Moment(5), 4)], "two frames to two, and of the other topic nothing left");
        topics.publish(&7, b"d", Moment(20));
        topics.flush(|_, _, _| true, |since, frames| left.push((since, frames)));
        assert_eq!(left[1..], [(Moment(20), 3)]);
    }

    #[test]
    fn taking_early_leaves_only_the_rest() {
        let mut topics = topics();
        let first = topics.subscribe(7, 1);
        topics.publish(&7, b"a", NOW);
        let (segment, frames) = topics.take(first).expect("one frame waits");
        assert_eq!((segment.bytes(), frames), (&b"a"[..], 1));
        assert!(topics.take(first).is_none());
        topics.publish(&7, b"b", NOW);
        assert_eq!(flushed(&mut topics), [(1, "b".into(), 1)]);
    }

    #[test]
    fn the_last_listener_closes_the_topic_and_a_moved_one_is_named() {
        let mut topics = topics();
        let first = topics.subscribe(7, 1);
        let second = topics.subscribe(7, 2);
        topics.subscribe(7, 3);
        topics.publish(&7, b"a", NOW);
        assert_eq!(topics.unsubscribe(first), Some(3));
        assert_eq!(topics.unsubscribe(second), None);
        assert_eq!(flushed(&mut topics), [(3, "a".into(), 1)]);
        topics.publish(&7, b"b", NOW);
        assert_eq!(topics.unsubscribe(Subscription { topic: 0, position: 0 }), None);
        assert!(topics.is_empty());
        assert_eq!(flushed(&mut topics), []);
        topics.subscribe(9, 4);
        topics.publish(&9, b"c", NOW);
        assert_eq!(flushed(&mut topics), [(4, "c".into(), 1)]);
    }
}
