//! Buffers that the kernel receives into: it takes the next free one as bytes come, whatever the connection.

use io_uring::types::BufRingEntry;
use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicU16, Ordering},
};

const PAGE: usize = 4096;

/// A buffer with received bytes, on loan from the ring.
#[derive(Debug)]
pub(in crate::runtime) struct Loan {
    pub(super) group: u16,
    buffer: u16,
    len: u32,
}

impl Loan {
    /// How many bytes.
    pub(in crate::runtime) fn len(&self) -> usize {
        self.len as usize
    }
}

/// The provided-buffer ring: the kernel takes buffers from it as bytes come, whatever the connection.
pub(super) struct Buffers {
    group: u16,
    pub(super) entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    count: u16,
    size: usize,
    tail: u16,
    lent: Vec<bool>,
}

impl Buffers {
    pub(super) fn new(group: u16, count: u16, size: usize) -> Buffers {
        assert!(count.is_power_of_two() && size > 0, "the kernel wants a power of two");
        let entries = pages(usize::from(count) * size_of::<BufRingEntry>()).cast();
        let memory = pages(usize::from(count) * size);
        let mut buffers = Buffers { group, entries, memory, count, size, tail: 0, lent: vec![true; usize::from(count)] };
        for buffer in 0..count {
            buffers.give_back(Loan { group, buffer, len: 0 });
        }
        buffers
    }

    pub(super) fn lend(&mut self, buffer: u16, len: u32) -> Loan {
        self.lent[usize::from(buffer)] = true;
        Loan { group: self.group, buffer, len }
    }

    pub(super) fn bytes(&self, loan: &Loan) -> &[u8] {
        let (place, len) = (usize::from(loan.buffer), loan.len as usize);
        assert!(self.lent[place] && len <= self.size, "a loan of this ring");
        // SAFETY: the buffer lies within `memory`; it is lent out, so the kernel does not write to it before it is given back,
        // for which a `&mut` is needed, so not while this borrow lives.
        unsafe { slice::from_raw_parts(self.memory.as_ptr().add(place * self.size), len) }
    }

    pub(super) fn give_back(&mut self, loan: Loan) {
        let place = usize::from(loan.buffer);
        assert!(std::mem::replace(&mut self.lent[place], false), "a loan of this ring");
        // SAFETY: the index is masked, so the entry lies within `entries`; the kernel reads it only after the tail has passed it,
        // and the tail pointer is the one that the kernel reads, valid as long as `entries` is.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(usize::from(self.tail & (self.count - 1)));
            entry.set_addr(self.memory.as_ptr().add(place * self.size) as u64);
            entry.set_len(self.size as u32);
            entry.set_bid(loan.buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut());
            tail.store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        let count = usize::from(self.count);
        // SAFETY: both were allocated by `pages` with these sizes.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), layout(count * size_of::<BufRingEntry>()));
            dealloc(self.memory.as_ptr(), layout(count * self.size));
        }
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, PAGE).expect("a few MiB, aligned to a power of two")
}

fn pages(bytes: usize) -> NonNull<u8> {
    assert!(bytes > 0);
    // SAFETY: the size is not zero.
    let pointer = unsafe { alloc_zeroed(layout(bytes)) };
    NonNull::new(pointer).unwrap_or_else(|| handle_alloc_error(layout(bytes)))
}
