//! Who listens to the channels of one quiz, and when a channel's next snapshot may go out.

use super::letters::Channel;
use crate::realtime::{ConnId, Moment, ShardId, TimerId};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use smallvec::SmallVec;
use std::time::Duration;

/// On which shards listeners are, and how many.
pub type Shards = SmallVec<[(ShardId, u32); 4]>;

/// What a change of a channel's state asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// A snapshot at once.
    Now,
    /// A timer: the last snapshot was only just sent.
    At(Moment),
    /// Nothing: nobody listens, or a snapshot is due already and will show this as well.
    Never,
}

#[derive(Default)]
struct Listeners {
    shards: Shards,
    last: Option<Moment>,
    due: Option<TimerId>,
}

/// See the file.
pub struct Audience {
    /// Who listens to what. Whoever asks twice, since a home moved meanwhile, or by two names of one channel, takes that back once.
    watches: HashSet<(ConnId, Channel), FixedState>,
    channels: [Listeners; 3],
}

impl Audience {
    /// Nobody yet.
    pub fn new(hasher: FixedState) -> Audience {
        Audience { watches: HashSet::with_hasher(hasher), channels: Default::default() }
    }

    /// Whether nobody listens to anything.
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// A connection listens.
    pub fn watch(&mut self, conn: ConnId, channel: Channel) {
        if !self.watches.insert((conn, channel)) {
            return;
        }
        let shards = &mut self.channels[channel as usize].shards;
        match shards.iter_mut().find(|(shard, _)| *shard == conn.shard) {
            Some((_, count)) => *count += 1,
            None => shards.push((conn.shard, 1)),
        }
    }

    /// A connection listens no more; one that did not changes nothing. Returns the timer of a snapshot that nobody waits for any more.
    pub fn unwatch(&mut self, conn: ConnId, channel: Channel) -> Option<TimerId> {
        if !self.watches.remove(&(conn, channel)) {
            return None;
        }
        let Listeners { shards, due, .. } = &mut self.channels[channel as usize];
        let at = shards.iter().position(|(shard, _)| *shard == conn.shard)?;
        shards[at].1 -= 1;
        if shards[at].1 == 0 {
            shards.swap_remove(at);
        }
        if shards.is_empty() { due.take() } else { None }
    }

    /// These shards and their connections are no more. Returns the timers of snapshots that nobody waits for any more.
    pub fn lose(&mut self, is_gone: &dyn Fn(ShardId) -> bool) -> Vec<TimerId> {
        let lost: Vec<_> = self.watches.iter().filter(|(conn, _)| is_gone(conn.shard)).copied().collect();
        lost.into_iter().filter_map(|(conn, channel)| self.unwatch(conn, channel)).collect()
    }

    /// Whether a connection listens to a channel.
    pub fn has(&self, conn: ConnId, channel: Channel) -> bool {
        self.watches.contains(&(conn, channel))
    }

    /// Where the listeners of a channel are.
    pub fn shards(&self, channel: Channel) -> &Shards {
        &self.channels[channel as usize].shards
    }

    /// The state of a channel has changed. [`Due::Now`] and [`Due::At`] are to be followed.
    pub fn changed(&mut self, channel: Channel, now: Moment, interval: Duration) -> Due {
        let Listeners { shards, last, due } = &mut self.channels[channel as usize];
        if shards.is_empty() || due.is_some() {
            return Due::Never;
        }
        match last.map(|last| last + interval).filter(|&next| next > now) {
            Some(next) => Due::At(next),
            None => {
                *last = Some(now);
                Due::Now
            }
        }
    }

    /// The timer that [`Due::At`] asked for was set.
    pub fn scheduled(&mut self, channel: Channel, timer: TimerId) {
        self.channels[channel as usize].due = Some(timer);
    }

    /// That timer fired, and the snapshot goes out.
    pub fn fired(&mut self, channel: Channel, now: Moment) {
        let listeners = &mut self.channels[channel as usize];
        listeners.due = None;
        listeners.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::Wheel;

    const INTERVAL: Duration = Duration::from_millis(200);

    fn conn(shard: u16, slot: u32) -> ConnId {
        ConnId { shard: ShardId(shard), generation: 0, slot }
    }

    fn audience() -> Audience {
        Audience::new(FixedState::with_seed(1))
    }

    #[test]
    fn a_connection_counts_once_however_often_it_asked() {
        let mut audience = audience();
        audience.watch(conn(0, 1), Channel::Quiz);
        audience.watch(conn(0, 1), Channel::Quiz);
        audience.watch(conn(0, 2), Channel::Quiz);
        audience.watch(conn(3, 1), Channel::Quiz);
        audience.watch(conn(3, 1), Channel::Attempts);
        assert_eq!(audience.shards(Channel::Quiz)[..], [(ShardId(0), 2), (ShardId(3), 1)]);
        audience.unwatch(conn(0, 1), Channel::Quiz);
        assert!(!audience.has(conn(0, 1), Channel::Quiz));
        audience.unwatch(conn(0, 1), Channel::Quiz);
        assert_eq!(audience.shards(Channel::Quiz)[..], [(ShardId(0), 1), (ShardId(3), 1)]);
        audience.unwatch(conn(0, 2), Channel::Quiz);
        audience.unwatch(conn(3, 1), Channel::Quiz);
        assert!(audience.shards(Channel::Quiz).is_empty() && !audience.is_empty());
        audience.unwatch(conn(3, 1), Channel::Attempts);
        assert!(audience.is_empty());
    }

    #[test]
    fn snapshots_keep_their_distance() {
        let (mut audience, mut wheel) = (audience(), Wheel::new(Moment(0)));
        let at = |millis: u64| Moment(millis * 1_000);
        assert_eq!(audience.changed(Channel::Attempts, at(0), INTERVAL), Due::Never, "nobody listens");
        audience.watch(conn(0, 1), Channel::Attempts);
        assert_eq!(audience.changed(Channel::Attempts, at(10), INTERVAL), Due::Now);
        assert_eq!(audience.changed(Channel::Attempts, at(11), INTERVAL), Due::At(at(210)));
        let timer = wheel.set(at(210), ());
        audience.scheduled(Channel::Attempts, timer);
        assert_eq!(audience.changed(Channel::Attempts, at(12), INTERVAL), Due::Never, "one is due already");
        audience.fired(Channel::Attempts, at(211));
        assert_eq!(audience.changed(Channel::Attempts, at(410), INTERVAL), Due::At(at(411)));
        assert_eq!(audience.changed(Channel::Attempts, at(411), INTERVAL), Due::Now);
        audience.scheduled(Channel::Attempts, timer);
        assert_eq!(audience.unwatch(conn(0, 1), Channel::Attempts), Some(timer), "nobody waits for it");
    }
}
