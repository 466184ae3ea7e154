//! What goes through a tunnel, and how it is told whether all of it came, once, in order and unchanged.
//!
//! Bytes are pushed in blocks of one size: eight bytes that say which block of which stream it is, then bytes that are always the same and
//! repeat nowhere in a block. Whoever hears them knows at each place of the stream what must stand there. A frame is made once and
//! only stamped for each block, so that pushing costs hardly more than the kernel's calls.

use crate::{
    order::mix,
    wire::frames::{opcode, put_head},
};

/// So many blocks go out with one call.
pub(super) const BATCH: usize = 8;
/// The mask of blocks. That of a browser would be another one each time, which no server can tell by its work.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// How long a stamp is.
const STAMP_BYTES: usize = 8;
/// `1` and the number of the tunnel (`src/protocols/labs/README.md`, "A screen's bytes").
const TUNNEL_BYTES: usize = 5;
const DATA: u8 = 1;

/// How a block is wrapped by its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrap {
    /// An agent's frame, with the tunnel's number.
    Agent,
    /// A viewer's frame.
    Viewer,
    /// Not at all.
    Raw,
}

/// The bytes of a block behind its stamp. The first eight stand where the stamp will.
pub(super) fn pattern(seed: u64, chunk: usize) -> Vec<u8> {
    (0..chunk.div_ceil(8) as u64).flat_map(|place| mix(seed ^ place << 8).to_le_bytes()).take(chunk).collect()
}

/// So many blocks, wrapped, that wait for their stamps.
pub(super) struct Template {
    wrap: Wrap,
    bytes: Vec<u8>,
    /// Bytes of one block with what is around it, and of what stands before it and is not masked.
    each: usize,
    head: usize,
}

impl Template {
    /// Of blocks with this pattern.
    pub(super) fn new(wrap: Wrap, pattern: &[u8]) -> Template {
        let mut one = Vec::new();
        let payload: Vec<u8> = match wrap {
            Wrap::Agent => [&[0; TUNNEL_BYTES], pattern].concat(),
            Wrap::Viewer | Wrap::Raw => pattern.to_vec(),
        };
        if wrap != Wrap::Raw {
            put_head(&mut one, opcode::BINARY, payload.len(), MASK);
        }
        let head = one.len();
        one.extend(payload.iter().enumerate().map(|(place, byte)| byte ^ key_at(wrap, place)));
        Template { wrap, each: one.len(), head, bytes: one.repeat(BATCH) }
    }

    /// So many blocks of a stream, from this one on; at most [`BATCH`].
    pub(super) fn stamp(&mut self, tunnel: u32, key: u64, first: u64, blocks: usize) -> &[u8] {
        let Template { wrap, bytes, each, head } = self;
        let blocks = blocks.min(BATCH);
        for (number, frame) in (first..).zip(bytes.chunks_exact_mut(*each).take(blocks)) {
            let body = &mut frame[*head..];
            let stamp = stamp(key, number);
            match wrap {
                Wrap::Agent => {
                    let [a, b, c, d] = tunnel.to_be_bytes();
                    write(*wrap, body, 0, &[DATA, a, b, c, d]);
                    write(*wrap, body, TUNNEL_BYTES, &stamp);
                }
                Wrap::Viewer | Wrap::Raw => write(*wrap, body, 0, &stamp),
            }
        }
        &self.bytes[..self.each * blocks]
    }
}

fn key_at(wrap: Wrap, place: usize) -> u8 {
    if wrap == Wrap::Raw { 0 } else { MASK[place % 4] }
}

fn write(wrap: Wrap, body: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in (at..).zip(bytes) {
        body[place] = byte ^ key_at(wrap, place);
    }
}

fn stamp(key: u64, number: u64) -> [u8; STAMP_BYTES] {
    (key ^ number).to_le_bytes()
}

/// What a stream was heard to be.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Proof {
    at: u64,
}

impl Proof {
    /// More of it came. Whether it is what must stand there.
    pub(super) fn hear(&mut self, pattern: &[u8], key: u64, mut bytes: &[u8]) -> bool {
        let chunk = pattern.len() as u64;
        let mut holds = true;
        while !bytes.is_empty() {
            let (number, place) = (self.at / chunk, (self.at % chunk) as usize);
            let stamp = stamp(key, number);
            let wanted = if place < STAMP_BYTES { &stamp[place..] } else { &pattern[place..] };
            let (now, rest) = bytes.split_at(wanted.len().min(bytes.len()));
            holds &= now == &wanted[..now.len()];
            self.at += now.len() as u64;
            bytes = rest;
        }
        holds
    }
}

/// How long a key is: when it was meant to be pressed, and its number.
pub(super) const KEY_BYTES: usize = 16;

/// A key.
pub(super) fn key(intended_ns: u64, number: u64) -> [u8; KEY_BYTES] {
    (u128::from(intended_ns) | u128::from(number) << 64).to_le_bytes()
}

/// The keys that come back to a typist.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Echoes {
    next: u64,
    part: [u8; KEY_BYTES],
    have: usize,
}

impl Echoes {
    /// More came; `each` is told when the next of them was meant to be pressed. False: that is not the next one.
    pub(super) fn hear(&mut self, bytes: &[u8], mut each: impl FnMut(u64)) -> bool {
        for byte in bytes {
            self.part[self.have] = *byte;
            self.have += 1;
            if self.have == KEY_BYTES {
                let whole = u128::from_le_bytes(self.part);
                if (whole >> 64) as u64 != self.next {
                    return false;
                }
                (self.have, self.next) = (0, self.next + 1);
                each(whole as u64);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::{
        Message,
        protocol::{Role, WebSocket},
    };

    #[test]
    fn stamped_frames_are_understood_by_another_implementation() {
        let pattern = pattern(3, 1_000);
        for (wrap, before) in [(Wrap::Agent, &b"\x01\0\0\x02\x09"[..]), (Wrap::Viewer, b"")] {
            let mut template = Template::new(wrap, &pattern);
            template.stamp(1, 2, 3, BATCH);
            let bytes = template.stamp(0x209, 7, 40, 3).to_vec();
            let mut server = WebSocket::from_raw_socket(std::io::Cursor::new(bytes), Role::Server, None);
            let mut proof = Proof { at: 40 * 1_000 };
            for _ in 0..3 {
                let Message::Binary(bytes) = server.read().unwrap() else { panic!("no bytes") };
                assert!(proof.hear(&pattern, 7, bytes.strip_prefix(before).unwrap()));
            }
            assert!(server.read().is_err());
        }
    }

    #[test]
    fn whatever_happens_to_a_stream_shows() {
        let pattern = pattern(3, 64);
        let mut template = Template::new(Wrap::Raw, &pattern);
        let good: Vec<u8> = (0..6).flat_map(|first| template.stamp(0, 9, first, 1).to_vec()).collect();
        let holds = |bytes: &[u8], piece: usize| {
            let mut proof = Proof::default();
            bytes.chunks(piece).all(|bytes| proof.hear(&pattern, 9, bytes))
        };
        for piece in [1, 7, 64, 1_000] {
            assert!(holds(&good, piece));
            let mut spoilt = good.clone();
            spoilt[200] ^= 1;
            assert!(!holds(&spoilt, piece), "one bit");
            assert!(!holds(&[&good[..100], &good[101..]].concat(), piece), "a byte is missing");
            assert!(!holds(&[&good[..64], &good[128..]].concat(), piece), "a block is missing");
            assert!(!holds(&[&good[..128], &good[64..]].concat(), piece), "a block comes again");
            assert!(!holds(&[&good[64..128], &good[..64]].concat(), piece), "two change places");
        }
        assert!(!Proof::default().hear(&pattern, 8, &good), "another's");
    }

    #[test]
    fn keys_come_back_in_any_pieces_but_in_order() {
        let keys: Vec<u8> = (0..5).flat_map(|number| key(100 + number, number)).collect();
        for piece in [1, 16, 23, 80] {
            let (mut echoes, mut heard) = (Echoes::default(), Vec::new());
            assert!(keys.chunks(piece).all(|bytes| echoes.hear(bytes, |at| heard.push(at))));
            assert_eq!(heard, [100, 101, 102, 103, 104]);
        }
        assert!(!Echoes::default().hear(&keys[16..], |_| {}), "one is missing");
        assert!(!Echoes::default().hear(&[&keys[..16], &keys[..16]].concat(), |_| {}), "one comes again");
    }
}
