//! Frames of a client, whole and in pieces, good and bad.

use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { frame: 4_096, message: 8_192 };
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CONTINUATION: u8 = 0;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What was delivered, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    Close(Option<u16>),
}

impl From<Event<'_>> for Said {
    fn from(event: Event<'_>) -> Said {
        match event {
            Event::Text(text) => Said::Text(text.to_owned()),
            Event::Binary(bytes) => Said::Binary(bytes.to_owned()),
            Event::Ping => Said::Ping,
            Event::Pong(bytes) => Said::Pong(bytes.to_owned()),
            Event::Close(code) => Said::Close(code),
        }
    }
}

/// A masked frame as a client sends it; `first` is its first byte.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

struct Peer {
    session: Session,
    scratch: Scratch,
    limits: Limits,
    said: Vec<Said>,
    out: Vec<u8>,
}

impl Peer {
    fn new(limits: Limits) -> Peer {
        Peer { session: Session::new(), scratch: Scratch::new(), limits, said: Vec::new(), out: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        let Peer { session, scratch, limits, said, out } = self;
        session.feed(scratch, bytes, limits, out, &mut |event, _| said.push(event.into()))
    }

    fn feed_by(&mut self, size: usize, bytes: &[u8]) -> Result<(), CloseReason> {
        bytes.chunks(size).try_for_each(|piece| self.feed(piece))
    }
}

/// Whole, and byte by byte: the events and what was answered are the same.
fn both_ways(bytes: &[u8]) -> (Vec<Said>, Vec<u8>, Result<(), CloseReason>) {
    let mut whole = Peer::new(LIMITS);
    let result = whole.feed(bytes);
    let mut dripped = Peer::new(LIMITS);
    assert_eq!(dripped.feed_by(1, bytes), result);
    assert_eq!(dripped.said, whole.said);
    assert_eq!(dripped.out, whole.out);
    assert_eq!(dripped.session.ended(), whole.session.ended());
    (whole.said, whole.out, result)
}

fn closed_with(reason: CloseReason) -> Vec<u8> {
    let mut out = Vec::new();
    frame::close(&mut out, Some(reason.code()), "");
    out
}

fn refused(bytes: &[u8], reason: CloseReason) {
    let (said, out, result) = both_ways(bytes);
    assert_eq!((said, out, result), (vec![], closed_with(reason), Err(reason)), "{bytes:02x?}");
}

#[test]
fn messages() {
    let mut stream = client(FINAL | TEXT, "grüß".as_bytes());
    stream.extend(client(FINAL | BINARY, &[0, 255]));
    stream.extend(client(FINAL | PONG, b"unasked"));
    stream.extend(client(FINAL | TEXT, b""));
    stream.extend(client(FINAL | TEXT, &[b'x'; 4_096]));
    let (said, out, result) = both_ways(&stream);
    let texts = [Said::Text("grüß".into()), Said::Binary(vec![0, 255]), Said::Pong(b"unasked".to_vec())];
    assert_eq!(said[..3], texts);
    assert_eq!(said[3..], [Said::Text(String::new()), Said::Text("x".repeat(4_096))]);
    assert_eq!((out, result), (vec![], Ok(())));
}

#[test]
fn every_ping_has_its_pong_in_order() {
    let stream: Vec<u8> = (0..10_u8).flat_map(|n| client(FINAL | PING, &[n; 125])).collect();
    let (said, out, _) = both_ways(&stream);
    assert_eq!(said, vec![Said::Ping; 10]);
    let mut expected = Vec::new();
    (0..10_u8).for_each(|n| frame::encode(&mut expected, frame::Opcode::Pong, &[n; 125]));
    assert_eq!(out, expected);
}

#[test]
fn fragments_with_control_frames_between() {
    let mut stream = client(TEXT, "a€".as_bytes().split_at(2).0);
    stream.extend(client(FINAL | PING, b"!"));
    stream.extend(client(CONTINUATION, &"a€".as_bytes()[2..]));
    stream.extend(client(CONTINUATION, b""));
    stream.extend(client(FINAL | PONG, b""));
    stream.extend(client(FINAL | CONTINUATION, b"z"));
    stream.extend(client(FINAL | TEXT, b"next"));
    let (said, out, result) = both_ways(&stream);
    assert_eq!(said, [Said::Ping, Said::Pong(vec![]), Said::Text("a€z".into()), Said::Text("next".into())]);
    assert_eq!((&out[..], result), (&[0x8A, 1, b'!'][..], Ok(())));
}

#[test]
fn close_is_answered_and_ends_all() {
    for (payload, code) in [(&b""[..], None), (&[0x03, 0xE8], Some(1000)), (b"\x0F\xA0bye", Some(4000))] {
        let mut stream = client(FINAL | CLOSE, payload);
        stream.extend(client(FINAL | TEXT, b"too late"));
        stream.extend([0xFF; 40]);
        let (said, out, result) = both_ways(&stream);
        assert_eq!((said, result), (vec![Said::Close(code)], Ok(())));
        let mut expected = Vec::new();
        frame::encode(&mut expected, frame::Opcode::Close, payload);
        assert_eq!(out, expected);
    }
}

#[test]
fn bad_closes() {
    refused(&client(FINAL | CLOSE, b"\x03"), CloseReason::Protocol);
    refused(&client(FINAL | CLOSE, b"\x03\xE8\xFF"), CloseReason::NotUtf8);
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        let (said, out, _) = both_ways(&client(FINAL | CLOSE, &code.to_be_bytes()));
        assert_eq!(said, [Said::Close(Some(1002))], "{code}");
        assert_eq!(out[2..4], 1002_u16.to_be_bytes());
    }
}

#[test]
fn breaches_of_the_protocol() {
    for reserved in [0x40, 0x20, 0x10] {
        refused(&client(FINAL | reserved | TEXT, b"x"), CloseReason::Protocol);
    }
    for opcode in [3, 7, 11, 15] {
        refused(&client(FINAL | opcode, b""), CloseReason::Protocol);
    }
    refused(&[FINAL | TEXT, 1, b'x'], CloseReason::Protocol); // no mask
    refused(&client(PING, b"in fragments"), CloseReason::Protocol);
    refused(&client(FINAL | PING, &[0; 126]), CloseReason::Protocol);
    refused(&client(FINAL | CONTINUATION, b"of nothing"), CloseReason::Protocol);
    refused(&client(CONTINUATION, b"of nothing"), CloseReason::Protocol);
    let twice = [client(TEXT, b"one"), client(FINAL | TEXT, b"two")].concat();
    refused(&twice, CloseReason::Protocol);
}

#[test]
fn texts_that_are_not_utf8() {
    refused(&client(FINAL | TEXT, b"\xED\xA0\x80"), CloseReason::NotUtf8);
    refused(&client(FINAL | TEXT, b"cut\xE2\x82"), CloseReason::NotUtf8);
    // The first fragment is enough.
    refused(&client(TEXT, b"\xC0\xAF"), CloseReason::NotUtf8);
    let cut = [client(TEXT, b"\xE2\x82"), client(FINAL | CONTINUATION, b"")].concat();
    refused(&cut, CloseReason::NotUtf8);
}

#[test]
fn the_header_alone_betrays_what_is_too_big() {
    refused(&client(FINAL | TEXT, &[b'x'; 4_097])[..8], CloseReason::TooBig);
    let mut huge = vec![FINAL | BINARY, 0x80 | 127];
    huge.extend(u64::MAX.to_be_bytes());
    huge.extend(MASK);
    refused(&huge, CloseReason::TooBig);
    let mut fragments = [client(TEXT, &[b'x'; 4_096]), client(CONTINUATION, &[b'x'; 4_096])].concat();
    fragments.extend(&client(FINAL | CONTINUATION, b"y")[..6]);
    refused(&fragments, CloseReason::TooBig);
}

#[test]
fn no_state_leaks_through_the_scratch() {
    let ends: [&[u8]; 5] = [
        &client(FINAL | CONTINUATION, b"x"),
        &client(FINAL | TEXT, b"\xFF"),
        &client(FINAL | CLOSE, b""),
        &client(FINAL | CLOSE, b"\x03"),
        &client(FINAL | 0x40 | TEXT, b"x"),
    ];
    let mut peer = Peer::new(LIMITS);
    for end in ends {
        peer.session = Session::new();
        let _any = peer.feed(end);
        assert!(peer.session.ended());
        (peer.session, peer.said, peer.out) = (Session::new(), vec![], vec![]);
        assert_eq!(peer.feed(&client(FINAL | TEXT, b"the next connection")), Ok(()));
        assert_eq!((&peer.said[..], &peer.out[..]), (&[Said::Text("the next connection".into())][..], &[][..]));
    }
}

#[test]
fn an_idle_session_is_small_and_empty() {
    assert!(size_of::<Session>() <= 16);
    let mut peer = Peer::new(LIMITS);
    let stream = [client(TEXT, b"a"), client(FINAL | PING, b""), client(FINAL | CONTINUATION, b"b")].concat();
    for (end, _) in stream.iter().enumerate() {
        peer.feed(&stream[end..=end]).unwrap();
        assert_eq!(peer.session.is_partial(), end + 1 < stream.len());
    }
}

#[test]
fn sixteen_mebibytes() {
    const SIZE: usize = 16 << 20;
    let limits = Limits { frame: SIZE, message: SIZE };
    let payload = vec![b'm'; SIZE];
    let mut peer = Peer::new(limits);
    peer.feed_by(16_384, &client(FINAL | BINARY, &payload)).unwrap();
    let fragments: Vec<u8> = payload.chunks(65_536).flat_map(|piece| client(CONTINUATION, piece)).collect();
    peer.feed(&client(BINARY, b"")).unwrap();
    peer.feed_by(16_384, &fragments).unwrap();
    peer.feed(&client(FINAL | CONTINUATION, b"")).unwrap();
    assert_eq!(peer.said.len(), 2);
    assert!(peer.said.iter().all(|said| *said == Said::Binary(payload.clone())));
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload =
        || prop_oneof![3 => prop::collection::vec(any::<u8>(), 0..40), 1 => prop::collection::vec(any::<u8>(), 120..300)];
    let control = || {
        (prop_oneof![Just(PING), Just(PONG)], prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(opcode, payload)| client(FINAL | opcode, &payload))
    };
    let single =
        (prop_oneof![Just(TEXT), Just(BINARY)], "\\PC{0,60}").prop_map(|(opcode, text)| client(FINAL | opcode, text.as_bytes()));
    let fragmented = prop::collection::vec((payload(), prop::option::of(control())), 1..5).prop_map(|parts| {
        let mut stream = client(BINARY, b"");
        for (payload, control) in parts {
            stream.extend(client(CONTINUATION, &payload));
            stream.extend(control.unwrap_or_default());
        }
        stream.extend(client(FINAL | CONTINUATION, b"end"));
        stream
    });
    prop::collection::vec(prop_oneof![single, control(), fragmented], 1..8).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn where_it_is_cut_does_not_matter(stream in frames(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut whole = Peer::new(LIMITS);
        prop_assert_eq!(whole.feed(&stream), Ok(()));
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut pieces = Peer::new(LIMITS);
        for cut in cuts.windows(2) {
            prop_assert_eq!(pieces.feed(&stream[cut[0]..cut[1]]), Ok(()));
        }
        prop_assert!(!whole.said.is_empty());
        prop_assert!(!pieces.session.is_partial() && !whole.session.is_partial());
        prop_assert_eq!(pieces.said, whole.said);
        prop_assert_eq!(pieces.out, whole.out);
    }

    #[test]
    fn random_bytes_do_the_same_whole_and_cut(stream in prop::collection::vec(any::<u8>(), 0..400), masked in any::<bool>()) {
        let mut stream = stream;
        if masked && stream.len() > 1 {
            stream[0] &= 0x8F;
            stream[1] |= 0x80;
        }
        let _outcome = both_ways(&stream);
    }
}
