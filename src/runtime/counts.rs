//! What a shard's shell counts. Written by the shard alone, read by whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number with one writer.
#[derive(Default, Debug)]
pub struct Count(AtomicU64);

impl Count {
    /// The number as it is now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, more: u64) {
        self.set(self.value() + more);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// The counts of one shard. All but `connections`, `owed` and those that end in `_now` only grow.
#[derive(Default, Debug)]
pub struct ShardCounts {
    /// Sockets that the ring owns now.
    pub connections: Count,
    /// What somebody elsewhere waits for.
    pub owed: Count,
    /// REST tasks that run now.
    pub handed_off_now: Count,
    /// Sockets accepted.
    pub accepted: Count,
    /// Accepts that failed for want of descriptors or memory.
    pub accept_faults: Count,
    /// Waiting peers that were closed at once because no descriptor was free.
    pub shed: Count,
    /// Receives that found no buffer and were armed again.
    pub receive_pauses: Count,
    /// Sends submitted.
    pub sends: Count,
    /// Letters taken from other shards.
    pub letters: Count,
    /// Letters sent to shards.
    pub letters_out: Count,
    /// While the shard hands over: how far it is (see `parting`).
    pub quiet: Count,
    /// Letters that found the queue to their shard full and had to wait in the spill.
    pub spilled: Count,
    /// Letters that wait in the spill now.
    pub spilled_now: Count,
    /// Turns that found something to do.
    pub busy_turns: Count,
    /// Times the shard went to sleep.
    pub sleeps: Count,
    /// TLS handshakes that came to their end.
    pub tls_handshakes: Count,
    /// Those of them that took up an earlier session.
    pub tls_resumed: Count,
    /// Those of them that speak TLS 1.3.
    pub tls_newest: Count,
    /// Connections that TLS ended: what came was none, or not what it wants.
    pub tls_faults: Count,
    /// Handshakes that wait for their turn now.
    pub tls_waiting_now: Count,
    /// Connections of a proxy that began with no header that could be read.
    pub proxy_faults: Count,
}

impl ShardCounts {
    /// Grows as long as the shard turns, also when there is nothing to do: its sleeps are short.
    pub fn turns(&self) -> u64 {
        self.busy_turns.value() + self.sleeps.value()
    }
}
