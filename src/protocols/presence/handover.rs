//! What is said to a room while one of its members goes from one connection to another: the old one hears it no more, the new one not
//! yet. It is kept, and told right behind the new one's `connect_success`, so that nobody misses anything who comes by a second connection.
//! A room that moves meanwhile takes it along.

use super::{
    homes::Outcome,
    letters::{Gap, Said},
    room::{Circumstances, Room},
};
use crate::realtime::{ConnId, Frame, ShardId};

/// What is kept for one member at most. A replacement takes some milliseconds; whoever would miss something is turned away as
/// `messaging_failed`, and comes again.
const FRAMES: usize = 1_024;
/// See [`FRAMES`].
const BYTES: usize = 1 << 20;

/// What a member missed between two connections, in order.
#[derive(Default)]
pub(super) struct Missed {
    gap: Gap,
    bytes: usize,
    /// Where the connection was that heard all before.
    former: Option<ShardId>,
}

impl Missed {
    /// Nothing yet, since a connection on this shard is to be told that it was replaced.
    pub(super) fn since(former: ConnId) -> Missed {
        Missed { former: Some(former.shard), ..Missed::default() }
    }

    /// What a former home kept, which may know more than this one of what the former connection heard.
    pub(super) fn of(gap: Gap) -> Missed {
        let bytes = gap.said.iter().map(|said| said.frame.len()).sum();
        Missed { gap, bytes, former: None }
    }

    /// For the room's next home, as long as that is no more than so many bytes: they are fewer by this.
    pub(super) fn bequeath(mut self, bytes_left: &mut usize) -> Gap {
        match bytes_left.checked_sub(self.bytes) {
            Some(left) => *bytes_left = left,
            None => self.tear(),
        }
        self.gap
    }

    fn tear(&mut self) {
        self.gap = Gap { said: Vec::new(), is_torn: true };
    }

    /// False: it is too much. `shards`: those that the frame goes to.
    fn keep(&mut self, frame: &Frame, shards: &dyn Fn(ShardId) -> bool) -> bool {
        self.bytes += frame.len();
        if self.gap.is_torn || self.gap.said.len() >= FRAMES || self.bytes > BYTES {
            self.tear();
        } else {
            self.gap.said.push(Said { frame: frame.clone(), is_heard: self.former.is_some_and(shards) });
        }
        !self.gap.is_torn
    }
}

/// As much of what its members missed as a room leaves to its next home, in bytes: a letter must be able to carry it.
pub(super) const BEQUEATHED: usize = BYTES;

impl Room {
    /// Says this to all but one; to how many.
    pub(super) fn say(&mut self, frame: &Frame, but: Option<u32>, c: &mut Circumstances<'_>) -> u64 {
        let but_member = but.and_then(|place| self.members.get(place as usize)).filter(|member| member.seated);
        let except = but_member.and_then(|member| member.owner);
        let shards = self.shards.clone();
        let heard = self.seated as u64 - u64::from(except.is_some());
        // No letter goes where nobody but this one would hear it.
        let others = |shard, members| members - u32::from(except.is_some_and(|conn| conn.shard == shard));
        let goes_to = |shard| shards.iter().any(|(own, members)| *own == shard && others(shard, *members) > 0);
        let between = self.missed.iter_mut().filter(|(place, _)| Some(**place) != but);
        let kept = between.map(|(_, missed)| u64::from(missed.keep(frame, &goes_to))).sum::<u64>();
        c.out.push(Outcome::Publish { classroom: self.id, frame: frame.clone(), shards, except });
        heard + kept
    }

    /// Says this to one; 1, or 0 where he is not there.
    pub(super) fn say_to(&mut self, place: u32, frame: Frame, c: &mut Circumstances<'_>) -> u64 {
        if let Some(missed) = self.missed.get_mut(&place) {
            return u64::from(missed.keep(&frame, &|_| false));
        }
        let member = self.member(place);
        let owner = member.owner.filter(|_| member.seated);
        c.out.extend(owner.map(|conn| Outcome::Deliver(conn, frame)));
        u64::from(owner.is_some())
    }

    /// Whether more was said meanwhile than is kept.
    pub(super) fn has_missed_too_much(&self, place: u32) -> bool {
        self.missed.get(&place).is_some_and(|missed| missed.gap.is_torn)
    }

    /// The new connection is signed in: it hears what it missed.
    pub(super) fn catch_up(&mut self, place: u32, owner: ConnId, c: &mut Circumstances<'_>) {
        let missed = self.missed.remove(&place).unwrap_or_default();
        c.out.extend(missed.gap.said.into_iter().map(|said| Outcome::Deliver(owner, said.frame)));
    }
}
