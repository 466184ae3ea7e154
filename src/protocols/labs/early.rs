//! What agents of the second dialect send for sessions that nobody watches yet: the banner of the screen's protocol, which is said once.

use super::{chunk::Chunk, model::SessionId};
use std::collections::BTreeMap;

/// Sessions of one agent of which something may be kept; what others send is not.
const SESSIONS_AT_MOST: usize = 256;
/// How every stream of a screen begins (RFC 6143, section 7.1.1). By nothing else is it known that an agent has opened its tunnel again.
const BANNER: &[u8] = b"RFB ";
/// What a whole one looks like: a digit for each `0`.
const WHOLE_BANNER: &[u8; 12] = b"RFB 000.000\n";

/// See the file.
#[derive(Default, Debug)]
pub(super) struct Early {
    sessions: BTreeMap<SessionId, Kept>,
    /// How many tunnels were closed so far.
    closed: u64,
}

#[derive(Debug)]
enum Kept {
    /// From the beginning of a stream.
    Bytes(Chunk),
    /// The tunnel was closed, after so many others; what still comes is the end of a stream.
    Shut(u64),
}

/// Whether bytes begin a stream, and are not in the middle of one: nobody but an agent that means it begins a message with a whole banner.
pub(super) fn is_banner(bytes: &[u8]) -> bool {
    let like = |(byte, model): (&u8, &u8)| if *model == b'0' { byte.is_ascii_digit() } else { byte == model };
    bytes.len() >= WHOLE_BANNER.len() && bytes.iter().zip(WHOLE_BANNER).all(like)
}

impl Early {
    /// Whether bytes are of a stream that somebody may see. After a tunnel was closed the rest of its stream is not.
    pub(super) fn passes(&mut self, session: SessionId, bytes: &[u8]) -> bool {
        let is_shut = matches!(self.sessions.get(&session), Some(Kept::Shut(_)));
        let passes = !is_shut || bytes.starts_with(BANNER);
        if is_shut && passes {
            self.forget(session);
        }
        passes
    }

    /// Keeps bytes that pass: at most so many of a session, and of all together. Whether they could be. If not, what was kept is of no use,
    /// and is kept no longer.
    pub(super) fn keep(&mut self, session: SessionId, chunk: Chunk, (most, together): (usize, usize)) -> bool {
        if is_banner(chunk.bytes()) {
            // What was kept is of a stream that nobody will go on with.
            self.forget(session);
        }
        let has_room = self.has_room(session) && self.bytes() + chunk.len() <= together;
        match self.sessions.get_mut(&session) {
            Some(Kept::Bytes(kept)) if has_room && kept.len() + chunk.len() <= most => kept.append(chunk.bytes()),
            None if chunk.len() <= most && has_room => {
                self.sessions.insert(session, Kept::Bytes(chunk));
            }
            Some(Kept::Bytes(_) | Kept::Shut(_)) | None => {
                self.shut(session);
                return false;
            }
        }
        true
    }

    /// What was kept, for the first viewer.
    pub(super) fn take(&mut self, session: SessionId) -> Option<Chunk> {
        match self.sessions.get(&session)? {
            Kept::Bytes(_) => {}
            Kept::Shut(_) => return None,
        }
        match self.sessions.remove(&session)? {
            Kept::Bytes(chunk) => Some(chunk),
            Kept::Shut(_) => None,
        }
    }

    /// The stream that was kept is over.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// The tunnel is open: whatever comes now is the beginning of a stream, or follows what was kept.
    pub(super) fn renew(&mut self, session: SessionId) {
        if matches!(self.sessions.get(&session), Some(Kept::Shut(_))) {
            self.forget(session);
        }
    }

    /// The agent was told to close the tunnel.
    pub(super) fn shut(&mut self, session: SessionId) {
        if self.has_room(session) {
            self.closed += 1;
            self.sessions.insert(session, Kept::Shut(self.closed));
        }
    }

    /// How many bytes are kept.
    fn bytes(&self) -> usize {
        let of = |kept: &Kept| match kept {
            Kept::Bytes(chunk) => chunk.len(),
            Kept::Shut(_) => 0,
        };
        self.sessions.values().map(of).sum()
    }

    /// Whether something of this session may be kept. Of a tunnel that was closed longest ago nothing comes any more: it makes room.
    fn has_room(&mut self, session: SessionId) -> bool {
        if self.sessions.len() < SESSIONS_AT_MOST || self.sessions.contains_key(&session) {
            return true;
        }
        let shut = self.sessions.iter().filter_map(|(id, kept)| match kept {
            Kept::Shut(closed) => Some((*closed, *id)),
            Kept::Bytes(_) => None,
        });
        shut.min().is_some_and(|(_, oldest)| self.sessions.remove(&oldest).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ONE: SessionId = Uuid::from_u128(1);
    const ALL: usize = 1 << 20;

    fn chunk(bytes: &[u8]) -> Chunk {
        Chunk::copied(bytes)
    }

    #[test]
    fn bytes_are_kept_in_order_for_the_first() {
        let mut early = Early::default();
        assert!(early.keep(ONE, chunk(b"RFB 003"), (12, ALL)));
        assert!(early.keep(ONE, chunk(b".008\n"), (12, ALL)));
        assert_eq!(early.take(ONE), Some(chunk(b"RFB 003.008\n")));
        assert_eq!(early.take(ONE), None);
    }

    #[test]
    fn of_two_streams_the_second_is_kept() {
        let mut early = Early::default();
        assert!(early.keep(ONE, chunk(b"RFB 003.008\nthe first"), (40, ALL)));
        assert!(early.keep(ONE, chunk(b"RFB 003.008\n"), (40, ALL)));
        assert!(early.keep(ONE, chunk(b"the second"), (40, ALL)));
        assert_eq!(early.take(ONE), Some(chunk(b"RFB 003.008\nthe second")));
    }

    #[test]
    fn too_much_is_not_kept_at_all() {
        let mut early = Early::default();
        assert!(early.keep(ONE, chunk(b"RFB 003"), (8, ALL)));
        assert!(!early.keep(ONE, chunk(b".008\n"), (8, ALL)));
        assert!(!early.passes(ONE, b"more of it"));
        assert_eq!(early.take(ONE), None);
        assert!(early.passes(ONE, b"RFB 1"));
        assert!(!early.keep(ONE, chunk(b"123456789"), (8, ALL)));
    }

    #[test]
    fn the_end_of_a_stream_is_not_the_beginning_of_the_next() {
        let mut early = Early::default();
        early.shut(ONE);
        assert!(!early.passes(ONE, b"late"));
        assert!(early.passes(ONE, b"RFB 1"));
        early.shut(ONE);
        early.renew(ONE);
        assert!(early.passes(ONE, b"anything"));
        assert!(early.keep(ONE, chunk(b"kept"), (8, ALL)));
        early.renew(ONE);
        assert_eq!(early.take(ONE), Some(chunk(b"kept")));
    }

    #[test]
    fn sessions_that_are_over_take_nothing_from_those_that_begin() {
        let mut early = Early::default();
        let session = |n: usize| Uuid::from_u128(10_000 - n as u128);
        for n in 0..SESSIONS_AT_MOST * 4 {
            assert!(early.keep(session(n), chunk(b"RFB 1"), (8, ALL)), "{n}");
            assert_eq!(early.take(session(n)), Some(chunk(b"RFB 1")));
            early.shut(session(n));
            assert!(!early.passes(session(n), b"late"));
        }
        assert_eq!(early.sessions.len(), SESSIONS_AT_MOST);
        assert!(!early.passes(session(SESSIONS_AT_MOST * 4 - 200), b"late"), "only those of long ago are forgotten");
    }

    #[test]
    fn what_is_kept_of_all_sessions_is_bounded_as_well() {
        let mut early = Early::default();
        let kept = |early: &mut Early, n| early.keep(Uuid::from_u128(n), chunk(b"12345678"), (8, 20));
        assert!(kept(&mut early, 1) && kept(&mut early, 2) && !kept(&mut early, 3));
        assert_eq!(early.bytes(), 16);
        early.take(Uuid::from_u128(1));
        assert!(kept(&mut early, 4));
    }

    #[test]
    fn so_many_sessions_and_no_more() {
        let mut early = Early::default();
        for n in 0..1_000 {
            assert_eq!(early.keep(Uuid::from_u128(n), chunk(b"x"), (8, ALL)), n < SESSIONS_AT_MOST as u128);
        }
        early.shut(Uuid::from_u128(5_000));
        assert_eq!(early.sessions.len(), SESSIONS_AT_MOST);
        early.forget(ONE);
        assert!(early.keep(Uuid::from_u128(700), chunk(b"x"), (8, ALL)));
    }
}
