//! What was given to a socket and has not left it.

use std::collections::VecDeque;

/// Pieces of tunnels in the order in which they were given to one socket. Without memory while there are none.
///
/// Beside them other frames wait for the same socket. All leave in order; so of what waits at its end at most as much is ours, and what
/// is more than that has left.
#[derive(Debug)]
pub(super) struct Afloat<K> {
    pieces: VecDeque<Piece<K>>,
    bytes: usize,
}

#[derive(Debug)]
struct Piece<K> {
    key: K,
    /// On the wire.
    bytes: usize,
    /// Of the tunnel.
    payload: usize,
}

impl<K> Default for Afloat<K> {
    fn default() -> Self {
        Afloat { pieces: VecDeque::new(), bytes: 0 }
    }
}

impl<K> Afloat<K> {
    /// A frame of `bytes` bytes was given, with `payload` bytes of the tunnel `key`.
    pub(super) fn push(&mut self, key: K, bytes: usize, payload: usize) {
        self.bytes += bytes;
        self.pieces.push_back(Piece { key, bytes, payload });
    }

    /// How many bytes have not left, with their headers.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next piece that has left, now that `waiting` bytes wait at the socket, ours and others': its tunnel and its payload.
    pub(super) fn leave(&mut self, waiting: usize) -> Option<(K, usize)> {
        let first = self.pieces.front()?;
        if self.bytes < waiting + first.bytes {
            return None;
        }
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.bytes;
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
        Some((piece.key, piece.payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(afloat: &mut Afloat<u8>, waiting: usize) -> Vec<(u8, usize)> {
        std::iter::from_fn(|| afloat.leave(waiting)).collect()
    }

    #[test]
    fn what_does_not_wait_has_left() {
        let mut afloat = Afloat::default();
        afloat.push(1, 102, 100);
        afloat.push(2, 52, 50);
        assert_eq!(left(&mut afloat, 154), []);
        assert_eq!(left(&mut afloat, 53), [], "a part of the first may be there still");
        assert_eq!(left(&mut afloat, 52), [(1, 100)]);
        afloat.push(1, 12, 10);
        assert_eq!(left(&mut afloat, 64), []);
        assert_eq!(left(&mut afloat, 0), [(2, 50), (1, 10)]);
        assert_eq!((afloat.bytes(), afloat.pieces.capacity()), (0, 0));
    }

    #[test]
    fn others_frames_never_let_ours_leave_too_early() {
        let mut afloat = Afloat::default();
        afloat.push(1, 10, 5);
        assert_eq!(left(&mut afloat, 1_000), []);
        assert_eq!(left(&mut afloat, 10), []);
        assert_eq!(left(&mut afloat, 9), []);
        assert_eq!(left(&mut afloat, 0), [(1, 5)]);
    }
}
