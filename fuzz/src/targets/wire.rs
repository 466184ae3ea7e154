//! HTTP heads, WebSocket frames, the header of a screen's bytes.

use homeroom::{
    protocols::labs::proxy_frames::{self, ProxyFrame},
    websocket::{
        BulkSession, Event, Limits, Pieces, Said, Scratch, Session,
        upgrade::{self, Bounds, Head},
    },
};

const LIMITS: Limits = Limits { frame: 4096, message: 4096 };

/// A head is judged the same however it comes in pieces: what is not complete becomes what the whole is, and what was judged stays so.
pub(crate) fn head(bytes: &[u8]) {
    let bounds = Bounds { bytes: 1024, headers: 16 };
    let whole = upgrade::read(bytes, bounds);
    let first =
        (0..=bytes.len()).map(|end| (end, upgrade::read(&bytes[..end], bounds))).find(|(_, head)| *head != Head::Incomplete);
    match (&first, &whole) {
        (None, whole) => assert_eq!(*whole, Head::Incomplete),
        (Some((_, Head::Upgrade(early))), Head::Upgrade(late)) => assert_eq!(early, late),
        // What is too long is found before its end, and rubbish behind a head is not looked at.
        (Some((end, head)), whole) => assert!(head == whole || *end < bytes.len(), "{head:?} at {end}, {whole:?} in the end"),
    }
    if let Head::Upgrade(request) = whole {
        assert!(request.path.starts_with('/') && request.length <= bytes.len());
        let mut answer = Vec::new();
        upgrade::accept(&request, &[], request.protocols.first().copied(), &mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(b"\r\n\r\n"));
    }
    let _any = (upgrade::plain_get(bytes), upgrade::header_of(bytes, "Authorization"));
}

/// Everything that a session says, in an order, and how it ends.
fn heard(pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>, String) {
    let (mut session, mut scratch, mut out, mut heard) = (Session::default(), Scratch::default(), Vec::new(), Vec::new());
    let mut end = String::new();
    for piece in pieces {
        let result = session.feed(&mut scratch, piece, &LIMITS, &mut out, &mut |event, _| {
            if let Event::Text(text) = &event {
                assert!(text.len() <= LIMITS.message);
            }
            heard.push(format!("{event:?}"));
        });
        if let Err(reason) = result {
            end = format!("{reason:?}");
            break;
        }
    }
    (heard, out, end)
}

/// Frames say the same however they come in pieces. The first byte says where they are cut.
pub(crate) fn frames(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let whole = heard(&[bytes]);
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(cut) + 1).collect();
    assert_eq!(heard(&pieces), whole);
}

/// Large messages: what is said in pieces is what was sent, and no piece is larger than it may be.
pub(crate) fn bulk(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let said = |pieces: &[&[u8]]| {
        let (mut session, mut scratch, mut out, mut said) = (BulkSession::default(), Scratch::default(), Vec::new(), Vec::new());
        let mut end = None;
        for piece in pieces {
            let shape = Pieces { headroom: 16, most: 512 };
            let result = session.feed(&mut scratch, piece, (&LIMITS, shape), &mut out, &mut |event| match event {
                Said::Binary(buffer) => {
                    assert!((16..=16 + 512).contains(&buffer.len()), "{}", buffer.len());
                    said.extend_from_slice(&buffer[16..]);
                }
                Said::Text(text) => said.extend_from_slice(text.as_bytes()),
                Said::Ping | Said::Pong | Said::Close => said.push(0),
            });
            if let Err(reason) = result {
                end = Some(reason);
                break;
            }
        }
        (said, out, end)
    };
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(cut) + 1).collect();
    assert_eq!(said(&pieces), said(&[bytes]));
}

/// The header of an agent's binary frame.
pub(crate) fn screen(bytes: &[u8]) {
    match proxy_frames::read(bytes) {
        Some(ProxyFrame::Data(proxy, rest)) => {
            assert_eq!([&proxy_frames::data_header(proxy)[..], rest].concat(), bytes);
        }
        Some(ProxyFrame::Credit(proxy, count)) => assert_eq!(proxy_frames::credit_payload(proxy, count), bytes),
        None => {}
    }
}

/// What a proxy says first is judged the same however it comes in pieces, and never longer than it may be.
pub(crate) fn proxy(bytes: &[u8]) {
    let whole = homeroom::proxy::read(bytes);
    let judged = (0..=bytes.len()).map(|end| homeroom::proxy::read(&bytes[..end])).find(|read| !matches!(read, Ok(None)));
    assert_eq!(judged.unwrap_or(Ok(None)), whole);
    if let Ok(Some(header)) = whole {
        assert!(header.length <= bytes.len() && header.length <= homeroom::proxy::LONGEST_BYTES);
    }
}
