//! What is said to a room while one of its members goes from one connection to another: the old one hears it no more, the new one not
//! yet. It is kept, and told right behind the new one's `connect_success`, so that nobody misses anything who comes by a second connection.

use super::{
    homes::Outcome,
    room::{Circumstances, Room},
};
use crate::realtime::{ConnId, Frame};

/// What is kept for one member at most. A replacement takes some milliseconds; whoever would miss something is turned away as
/// `messaging_failed`, and comes again.
const FRAMES: usize = 1_024;
/// See [`FRAMES`].
const BYTES: usize = 1 << 20;

/// What a member missed between two connections, in order.
#[derive(Default)]
pub(super) struct Missed {
    frames: Vec<Frame>,
    bytes: usize,
    /// It was too much, and nothing is kept.
    is_torn: bool,
}

impl Missed {
    /// False: it is too much.
    fn keep(&mut self, frame: &Frame) -> bool {
        self.bytes += frame.len();
        self.is_torn |= self.frames.len() >= FRAMES || self.bytes > BYTES;
        if self.is_torn {
            self.frames = Vec::new();
        } else {
            self.frames.push(frame.clone());
        }
        !self.is_torn
    }
}

impl Room {
    /// Says this to all but one; to how many.
    pub(super) fn say(&mut self, frame: &Frame, but: Option<u32>, c: &mut Circumstances<'_>) -> u64 {
        let but_member = but.and_then(|place| self.members.get(place as usize)).filter(|member| member.seated);
        let except = but_member.and_then(|member| member.owner);
        let shards = self.shards.clone();
        c.out.push(Outcome::Publish { classroom: self.id, frame: frame.clone(), shards, except });
        let heard = self.seated as u64 - u64::from(except.is_some());
        let between: Vec<u32> = self.missed.keys().copied().filter(|place| Some(*place) != but).collect();
        heard + between.into_iter().map(|place| self.keep(place, frame)).sum::<u64>()
    }

    /// Says this to one; 1, or 0 where he is not there.
    pub(super) fn say_to(&mut self, place: u32, frame: Frame, c: &mut Circumstances<'_>) -> u64 {
        if self.missed.contains_key(&place) {
            return self.keep(place, &frame);
        }
        let member = self.member(place);
        let owner = member.owner.filter(|_| member.seated);
        c.out.extend(owner.map(|conn| Outcome::Deliver(conn, frame)));
        u64::from(owner.is_some())
    }

    /// Keeps this for a member between two connections: 1, or 0 where it is too much.
    fn keep(&mut self, place: u32, frame: &Frame) -> u64 {
        u64::from(self.missed.get_mut(&place).is_some_and(|missed| missed.keep(frame)))
    }

    /// Whether more was said meanwhile than is kept.
    pub(super) fn has_missed_too_much(&self, place: u32) -> bool {
        self.missed.get(&place).is_some_and(|missed| missed.is_torn)
    }

    /// The new connection is signed in: it hears what it missed.
    pub(super) fn catch_up(&mut self, place: u32, owner: ConnId, c: &mut Circumstances<'_>) {
        let missed = self.missed.remove(&place).unwrap_or_default();
        c.out.extend(missed.frames.into_iter().map(|frame| Outcome::Deliver(owner, frame)));
    }
}
