//! What a session may hold: counted by an allocator of this test's own, for the thread that asks.

#![allow(clippy::unwrap_used)]

use homeroom::websocket::{Limits, Scratch, Session};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // During the end of a thread there is nothing left to count in.
    let _counted = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        PEAK.with(|peak| peak.set(peak.get().max(live.get())));
        if bytes > 0 {
            CALLS.with(|calls| calls.set(calls.get() + 1));
        }
    });
}

// SAFETY: hands everything to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LIMITS: Limits = Limits { frame: 65_536, message: 65_536 };
/// A context with its read buffer, and what is kept of a message for another process, which grows by doubling.
const CONTEXT: isize = 4_096;

fn client(first: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![first];
    if length < 126 {
        frame.push(0x80 | length as u8);
    } else {
        frame.push(0xFE);
        frame.extend((length as u16).to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend(vec![b'x'; length]);
    frame
}

/// Feeds; returns the most that was held meanwhile, over what was held before the session began.
fn peak_over(live: isize, session: &mut Session, scratch: &mut Scratch, out: &mut Vec<u8>, bytes: &[u8]) -> isize {
    PEAK.set(LIVE.get());
    let _any = session.feed(scratch, bytes, &LIMITS, out, &mut |_, _| {});
    PEAK.get() - live
}

#[test]
fn a_whole_message_allocates_nothing() {
    let (mut session, mut scratch, mut out) = (Session::new(), Scratch::new(), Vec::with_capacity(65_536));
    let mut stream = [client(0x81, 20), client(0x82, 200), client(0x8A, 0), client(0x81, 400), client(0x89, 3)].concat();
    stream.extend(client(0x81, 1_000));
    let mut texts = 0;
    let mut feed = |scratch: &mut Scratch| session.feed(scratch, &stream, &LIMITS, &mut out, &mut |_, _| texts += 1);
    // The first pass grows the shared buffer.
    (0..3).for_each(|_| feed(&mut scratch).unwrap());
    let (calls, live) = (CALLS.get(), LIVE.get());
    (0..100).for_each(|_| feed(&mut scratch).unwrap());
    // A Pong passes through a vector of tungstenite's.
    assert!(CALLS.get() - calls <= 100, "{} allocations", CALLS.get() - calls);
    assert_eq!(LIVE.get(), live);
    assert_eq!(texts, 103 * 6);
}

#[test]
fn a_drip_holds_no_more_than_the_limit_and_an_idle_session_nothing() {
    let (mut session, mut scratch, mut out) = (Session::new(), Scratch::new(), Vec::with_capacity(1 << 20));
    let whole = client(0x81, 60_000);
    let mut fragments = client(0x01, 0);
    (0..60_000).for_each(|_| fragments.extend(client(0x00, 1)));
    fragments.extend(client(0x80, 1));
    let live = LIVE.get();
    // A message in fragments is collected in a string, which grows by doubling: old and new are there for a moment.
    for (stream, most) in [(&whole, 60_000 + CONTEXT), (&fragments, 2 * LIMITS.message as isize + CONTEXT)] {
        for byte in stream {
            let peak = peak_over(live, &mut session, &mut scratch, &mut out, std::slice::from_ref(byte));
            assert!(peak <= most, "{peak}");
        }
        assert!(!session.is_partial() && !session.ended());
        assert_eq!(LIVE.get(), live);
    }
}

#[test]
fn rubbish_holds_no_more_than_the_limit() {
    let (mut scratch, mut out) = (Scratch::new(), Vec::with_capacity(1 << 20));
    let mut state = 1_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for round in 0..2_000 {
        let mut bytes = [0; 512];
        bytes.fill_with(&mut draw);
        if round % 2 == 0 {
            bytes[0] &= 0x8F;
            bytes[1] |= 0x80;
        }
        let live = LIVE.get();
        let mut session = Session::new();
        for piece in bytes.chunks(usize::from(draw()) + 1) {
            let peak = peak_over(live, &mut session, &mut scratch, &mut out, piece);
            assert!(peak <= LIMITS.frame as isize + CONTEXT, "{peak}");
        }
        drop(session);
        out.clear();
        assert!(LIVE.get() <= live + CONTEXT);
    }
}
