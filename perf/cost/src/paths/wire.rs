//! Frames and heads: what every byte passes on its way in or out.

use super::{Line, Walk};
use crate::house::{head, masked};
use homeroom::websocket::{
    BulkSession, Limits, Opcode, Pieces, Scratch, Session,
    frame::{encode, text},
    upgrade::{self, Bounds, Head},
};
use std::hint::black_box;

pub(super) const PATHS: &[Line] = &[
    ("frame-encode-256", 100, encoding),
    ("frame-encode-shared-256", 100, sharing),
    ("frame-read-64", 100, || reading(64)),
    ("frame-read-256", 100, || reading(256)),
    ("frame-read-4096", 100, || reading(4_096)),
    ("frame-read-in-two-256", 100, reading_in_two),
    ("frame-read-bulk-32768", 10, reading_bulk),
    ("head-of-a-library", 100, || reading_head(&head("/ws?token=abc.def.ghi"))),
    ("head-of-a-browser", 100, || reading_head(BROWSER)),
];

const LIMITS: Limits = Limits { frame: 1 << 20, message: 1 << 20 };
const BROWSER: &[u8] = b"GET /ws?token=abc.def.ghi HTTP/1.1\r\nHost: school.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
Gecko/20100101 Firefox/140.0\r\nAccept: */*\r\nAccept-Language: en-GB,en;q=0.8,de;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
Sec-WebSocket-Version: 13\r\nOrigin: https://school.example\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: keep-alive, Upgrade\r\nCookie: theme=dark; language=en\r\n\
Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
Upgrade: websocket\r\n\r\n";

fn encoding() -> Walk {
    let mut out = Vec::with_capacity(1_024);
    Box::new(move || {
        for _ in 0..100 {
            out.clear();
            encode(&mut out, Opcode::Text, black_box(&[b'x'; 256]));
            black_box(&out);
        }
    })
}

fn sharing() -> Walk {
    Box::new(|| (0..100).for_each(|_| drop(black_box(text(black_box(&[b'x'; 256]))))))
}

fn reading(length: usize) -> Walk {
    let (mut session, mut scratch, mut out) = (Session::new(), Scratch::new(), Vec::new());
    let frame = masked(0x81, &vec![b'x'; length]);
    Box::new(move || {
        for _ in 0..100 {
            let fed = session.feed(&mut scratch, black_box(&frame), &LIMITS, &mut out, &mut |event, _| {
                black_box(event);
            });
            assert!(fed.is_ok());
        }
    })
}

fn reading_in_two() -> Walk {
    let (mut session, mut scratch, mut out) = (Session::new(), Scratch::new(), Vec::new());
    let frame = masked(0x81, &[b'x'; 256]);
    Box::new(move || {
        for _ in 0..100 {
            for piece in [&frame[..100], &frame[100..]] {
                let fed = session.feed(&mut scratch, black_box(piece), &LIMITS, &mut out, &mut |event, _| {
                    black_box(event);
                });
                assert!(fed.is_ok());
            }
        }
    })
}

fn reading_bulk() -> Walk {
    let (mut session, mut scratch, mut out) = (BulkSession::default(), Scratch::new(), Vec::new());
    let frame = masked(0x82, &vec![0xA5; 32_768]);
    Box::new(move || {
        for _ in 0..10 {
            let how = (&LIMITS, Pieces { headroom: 16, most: 32_768 });
            let fed = session.feed(&mut scratch, black_box(&frame), how, &mut out, &mut |said| drop(black_box(said)));
            assert!(fed.is_ok());
        }
    })
}

fn reading_head(head: &[u8]) -> Walk {
    let head = head.to_vec();
    assert!(matches!(upgrade::read(&head, Bounds::default()), Head::Upgrade(_)));
    Box::new(move || (0..100).for_each(|_| drop(black_box(upgrade::read(black_box(&head), Bounds::default())))))
}
