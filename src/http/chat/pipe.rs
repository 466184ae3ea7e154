//! From the letters of a session's home to the request that waits for them: a queue with a bound in bytes, for one shard.

use crate::protocols::chat::Told;
use futures_lite::Stream;
use std::{
    cell::RefCell,
    collections::VecDeque,
    mem::size_of,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// What may wait for a reader who is slow, in bytes of text. One who has more waiting is cut off.
pub const WAITING_BYTES: usize = 256 << 10;

#[derive(Default)]
struct Shared {
    waiting: VecDeque<Told>,
    bytes: usize,
    most: usize,
    /// Nobody tells any more.
    is_over: bool,
    /// Nobody listens any more.
    is_left: bool,
    /// More came than may wait.
    is_cut: bool,
    waker: Option<Waker>,
}

/// The end that tells.
pub struct Teller(Rc<RefCell<Shared>>);

/// The end that listens: the pieces in their order.
pub struct Tellings(Rc<RefCell<Shared>>);

/// A pipe in which [`WAITING_BYTES`] may wait.
pub fn pipe() -> (Teller, Tellings) {
    pipe_of(WAITING_BYTES)
}

/// A pipe in which so many bytes may wait, and any one piece.
pub(super) fn pipe_of(most: usize) -> (Teller, Tellings) {
    let shared = Rc::new(RefCell::new(Shared { most, ..Shared::default() }));
    (Teller(Rc::clone(&shared)), Tellings(shared))
}

impl Teller {
    /// Tells a piece. False: nobody listens, or too much waits already; so it will stay.
    pub fn tell(&self, told: Told) -> bool {
        let mut shared = self.0.borrow_mut();
        let bytes = weight(&told);
        shared.is_cut |= !shared.waiting.is_empty() && shared.bytes + bytes > shared.most;
        if shared.is_left || shared.is_cut {
            shared.waiting.clear();
        } else {
            shared.bytes += bytes;
            shared.waiting.push_back(told);
        }
        let is_heard = !shared.is_left && !shared.is_cut;
        let waker = shared.waker.take();
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
        is_heard
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let waker = {
            let mut shared = self.0.borrow_mut();
            shared.is_over = true;
            shared.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Tellings {
    /// Whether the reader was too slow. Nothing comes any more then.
    pub fn is_cut(&self) -> bool {
        self.0.borrow().is_cut
    }
}

impl Stream for Tellings {
    type Item = Told;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        let mut shared = self.0.borrow_mut();
        if let Some(told) = shared.waiting.pop_front() {
            shared.bytes -= weight(&told);
            return Poll::Ready(Some(told));
        }
        if shared.is_over || shared.is_cut {
            return Poll::Ready(None);
        }
        shared.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Tellings {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.is_left = true;
        shared.waiting = VecDeque::new();
        shared.waker = None;
    }
}

/// What a piece takes while it waits, about.
fn weight(told: &Told) -> usize {
    let text = match told {
        Told::Delta(text) => text.len(),
        Told::Call { tool, arguments } => tool.len() + arguments.len(),
        Told::Result { tool, result } => tool.len() + result.len(),
        Told::Asked { approval } => approval.call.arguments.len(),
        Told::Begin { .. } | Told::Refused(_) => 0,
        // The last, which has the text that was told before.
        Told::Waits(_) | Told::End { .. } => 0,
    };
    size_of::<Told>() + text
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::{
        StreamExt,
        future::{block_on, poll_once},
    };

    fn delta(bytes: usize) -> Told {
        Told::Delta("x".repeat(bytes).into())
    }

    #[test]
    fn pieces_come_in_their_order_and_wake_who_waits() {
        let (teller, mut tellings) = pipe();
        block_on(async {
            assert!(poll_once(tellings.next()).await.is_none());
            assert!(teller.tell(delta(1)) && teller.tell(delta(2)));
            assert_eq!((tellings.next().await, tellings.next().await), (Some(delta(1)), Some(delta(2))));
            assert!(poll_once(tellings.next()).await.is_none());
            drop(teller);
            assert_eq!(tellings.next().await, None);
            assert!(!tellings.is_cut());
        });
    }

    #[test]
    fn what_waits_at_the_end_is_told_before_it() {
        let (teller, tellings) = pipe();
        teller.tell(delta(1));
        drop(teller);
        assert_eq!(block_on(tellings.collect::<Vec<_>>()), [delta(1)]);
    }

    #[test]
    fn a_slow_reader_is_cut_off() {
        let (teller, mut tellings) = pipe_of(1_000);
        assert!(teller.tell(delta(5_000)), "one piece always fits");
        assert!(!teller.tell(delta(1)));
        assert!(tellings.is_cut());
        assert_eq!(block_on(tellings.next()), None);
        assert!(!teller.tell(delta(1)), "and nothing is heard later");
        assert_eq!(block_on(tellings.next()), None);
    }

    #[test]
    fn a_reader_who_reads_is_not() {
        let (teller, mut tellings) = pipe_of(1_000);
        for _ in 0..100 {
            assert!(teller.tell(delta(500)));
            assert_eq!(block_on(tellings.next()), Some(delta(500)));
        }
    }

    #[test]
    fn who_left_is_not_told_more() {
        let (teller, tellings) = pipe();
        drop(tellings);
        assert!(!teller.tell(delta(1)));
    }
}
