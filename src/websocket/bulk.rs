//! A session whose peer sends much in binary messages: their payload is unmasked out of the buffer that it was received in into one that is
//! given away, and copied nowhere else. All else goes through [`Session`].

use super::{
    close::CloseReason,
    session::{Announced, Collected, Event, Limits, Scratch, Session, WHOLE_BINARY, announced, unmask},
};

/// What binary messages are delivered in, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pieces {
    /// Room before the payload of each buffer, for those who send it on with a header of theirs.
    pub headroom: usize,
    /// A longer message comes in pieces of this length and a rest, each as an event of its own.
    pub most: usize,
}

/// Something that the peer said.
#[derive(PartialEq, Eq, Debug)]
pub enum Said<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message, or a piece of one, behind the headroom.
    Binary(Vec<u8>),
    /// A Ping. Its Pong stands in the output already.
    Ping,
    /// A Pong, asked for or not.
    Pong,
    /// The peer ends the conversation. The answer stands in the output already; nothing follows.
    Close,
}

/// A connection's place in the protocol, after the upgrade.
#[derive(Debug, Default)]
pub struct BulkSession {
    session: Session,
    /// Of a header that is not complete, between two messages.
    header: Collected,
    payload: Option<Payload>,
}

/// A final binary frame of which payload is missing.
#[derive(Debug)]
struct Payload {
    /// Of the next byte.
    mask: [u8; 4],
    missing: usize,
    buffer: Vec<u8>,
}

impl BulkSession {
    /// Whether a message has come in part that is told only as a whole: one in fragments, or a text.
    pub fn is_collecting(&self) -> bool {
        self.session.is_partial()
    }

    /// As [`Session::feed`]; binary messages in `pieces`.
    ///
    /// # Errors
    /// As [`Session::feed`].
    pub fn feed(
        &mut self,
        scratch: &mut Scratch,
        mut bytes: &[u8],
        (limits, pieces): (&Limits, Pieces),
        out: &mut Vec<u8>,
        deliver: &mut impl FnMut(Said<'_>),
    ) -> Result<(), CloseReason> {
        while !bytes.is_empty() && !self.session.ended() {
            if let Some(payload) = &mut self.payload {
                if payload.take(&mut bytes, pieces, deliver) {
                    self.payload = None;
                }
            } else if self.session.is_partial() {
                self.pass(scratch, &mut bytes, (limits, pieces), out, deliver)?;
            } else {
                self.begin(scratch, &mut bytes, (limits, pieces), out, deliver)?;
            }
        }
        Ok(())
    }

    /// Between two messages.
    fn begin(
        &mut self,
        scratch: &mut Scratch,
        bytes: &mut &[u8],
        (limits, pieces): (&Limits, Pieces),
        out: &mut Vec<u8>,
        deliver: &mut impl FnMut(Said<'_>),
    ) -> Result<(), CloseReason> {
        let is_cut = !self.header.is_empty() || matches!(announced(bytes, limits), Ok(None));
        if !is_cut {
            return match announced(bytes, limits) {
                Ok(Some(header)) if bytes[0] == WHOLE_BINARY => {
                    let (own, rest) = bytes.split_at(header.header_length);
                    *bytes = rest;
                    self.open(own, header, pieces, deliver);
                    Ok(())
                }
                // The session judges what is wrong with it.
                Ok(_) | Err(_) => self.pass(scratch, bytes, (limits, pieces), out, deliver),
            };
        }
        self.header.take(bytes);
        match announced(self.header.bytes(), limits) {
            Ok(None) => Ok(()),
            Ok(Some(header)) if self.header.bytes()[0] == WHOLE_BINARY => {
                let own = std::mem::take(&mut self.header);
                self.open(own.bytes(), header, pieces, deliver);
                Ok(())
            }
            Ok(Some(_)) | Err(_) => {
                let own = std::mem::take(&mut self.header);
                let mut own = own.bytes();
                while !own.is_empty() && !self.session.ended() {
                    self.pass(scratch, &mut own, (limits, pieces), out, deliver)?;
                }
                Ok(())
            }
        }
    }

    fn open(&mut self, header: &[u8], announced: Announced, pieces: Pieces, deliver: &mut impl FnMut(Said<'_>)) {
        let mut mask = [0; 4];
        mask.copy_from_slice(&header[announced.header_length - 4..announced.header_length]);
        // The limit of messages was a `usize`.
        let missing = announced.payload_length as usize;
        let mut payload = Payload { mask, missing, buffer: Vec::new() };
        if missing == 0 {
            payload.renew(pieces);
            return deliver(Said::Binary(payload.buffer));
        }
        self.payload = Some(payload);
    }

    /// A step of the session that reads all else.
    fn pass(
        &mut self,
        scratch: &mut Scratch,
        bytes: &mut &[u8],
        (limits, pieces): (&Limits, Pieces),
        out: &mut Vec<u8>,
        deliver: &mut impl FnMut(Said<'_>),
    ) -> Result<(), CloseReason> {
        self.session.step(scratch, bytes, limits, out, &mut |event, _| match event {
            Event::Text(text) => deliver(Said::Text(text)),
            // In fragments, which tungstenite put together.
            Event::Binary([]) => deliver(Said::Binary(vec![0; pieces.headroom])),
            Event::Binary(message) => {
                for piece in message.chunks(pieces.most) {
                    let mut buffer = Vec::with_capacity(pieces.headroom + piece.len());
                    buffer.resize(pieces.headroom, 0);
                    buffer.extend_from_slice(piece);
                    deliver(Said::Binary(buffer));
                }
            }
            Event::Ping => deliver(Said::Ping),
            Event::Pong(_) => deliver(Said::Pong),
            Event::Close(_) => deliver(Said::Close),
        })
    }
}

impl Payload {
    /// An empty buffer for what comes next.
    fn renew(&mut self, pieces: Pieces) {
        self.buffer = Vec::with_capacity(pieces.headroom + self.missing.min(pieces.most));
        self.buffer.resize(pieces.headroom, 0);
    }

    /// Takes what belongs to the frame, and delivers what is complete. Whether all is.
    fn take(&mut self, bytes: &mut &[u8], pieces: Pieces, deliver: &mut impl FnMut(Said<'_>)) -> bool {
        if self.buffer.is_empty() {
            self.renew(pieces);
        }
        let room = pieces.headroom + pieces.most - self.buffer.len();
        let (own, rest) = bytes.split_at(self.missing.min(room).min(bytes.len()));
        *bytes = rest;
        let start = self.buffer.len();
        self.buffer.extend_from_slice(own);
        unmask(&mut self.buffer[start..], self.mask);
        self.mask.rotate_left(own.len() % 4);
        self.missing -= own.len();
        if self.missing == 0 || own.len() == room {
            deliver(Said::Binary(std::mem::take(&mut self.buffer)));
        }
        self.missing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { frame: 70_000, message: 70_000 };
    const PIECES: Pieces = Pieces { headroom: 3, most: 1_000 };
    const WHOLE: Pieces = Pieces { headroom: 0, most: usize::MAX >> 1 };

    /// What was said, put together again: pieces of binary messages become one text of their bytes.
    #[derive(Default)]
    struct Peer {
        session: BulkSession,
        scratch: Scratch,
        said: Vec<String>,
        lengths: Vec<usize>,
        out: Vec<u8>,
    }

    impl Peer {
        fn feed(&mut self, bytes: &[u8], pieces: Pieces) -> Result<(), CloseReason> {
            let Peer { session, scratch, said, lengths, out } = self;
            session.feed(scratch, bytes, (&LIMITS, pieces), out, &mut |event| match event {
                Said::Binary(buffer) => {
                    lengths.push(buffer.len() - pieces.headroom);
                    said.push(format!("binary {:?}", &buffer[pieces.headroom..]));
                }
                Said::Text(text) => said.push(format!("text {text}")),
                other => said.push(format!("{other:?}")),
            })
        }
    }

    fn client(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
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
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    #[test]
    fn a_long_message_comes_in_pieces_with_room_before_each() {
        let payload: Vec<u8> = (0..2_500_u32).map(|n| n as u8).collect();
        let mut peer = Peer::default();
        peer.feed(&client(WHOLE_BINARY, &payload, [1, 2, 3, 4]), PIECES).unwrap();
        assert_eq!(peer.lengths, [1_000, 1_000, 500]);
        let expected: Vec<String> = payload.chunks(1_000).map(|piece| format!("binary {piece:?}")).collect();
        assert_eq!(peer.said, expected);
        assert!(peer.session.payload.is_none(), "nothing is left over");
    }

    #[test]
    fn a_message_of_exactly_the_pieces_length_is_one_and_an_empty_one_is_one() {
        for (length, lengths) in [(1_000, &[1_000][..]), (2_000, &[1_000, 1_000]), (0, &[0])] {
            let mut peer = Peer::default();
            peer.feed(&client(WHOLE_BINARY, &vec![7; length], [9; 4]), PIECES).unwrap();
            assert_eq!(peer.lengths, lengths);
        }
    }

    #[test]
    fn a_payload_is_held_once_and_in_the_buffer_that_is_given_away() {
        let mut peer = Peer::default();
        let frame = client(WHOLE_BINARY, &[5; 60_000], [1; 4]);
        peer.feed(&frame[..30_000], WHOLE).unwrap();
        let payload = peer.session.payload.as_ref().unwrap();
        assert_eq!((payload.buffer.capacity(), payload.missing), (60_000, 60_000 - 30_000 + 8));
        let place = payload.buffer.as_ptr();
        let mut given = None;
        let BulkSession { payload, .. } = &mut peer.session;
        payload.as_mut().unwrap().take(&mut &frame[30_000..], WHOLE, &mut |said| {
            let Said::Binary(buffer) = said else { panic!() };
            given = Some(buffer.as_ptr());
        });
        assert_eq!(given, Some(place));
    }

    #[test]
    fn what_is_wrong_is_judged_as_by_the_session() {
        for (bytes, reason) in [
            (client(WHOLE_BINARY, &[0; 70_001], [1; 4]), CloseReason::TooBig),
            (vec![0x82, 5, 1, 2, 3, 4, 5], CloseReason::Protocol),
            (vec![0xC2, 0x80, 0, 0, 0, 0], CloseReason::Protocol),
            (client(0x83, b"x", [1; 4]), CloseReason::Protocol),
            (client(0x81, &[0xff], [0; 4]), CloseReason::NotUtf8),
            (client(0x80, b"x", [1; 4]), CloseReason::Protocol),
        ] {
            for step in [1, bytes.len()] {
                let mut peer = Peer::default();
                let results: Vec<_> = bytes.chunks(step).map(|bytes| peer.feed(bytes, WHOLE)).collect();
                assert!(results.contains(&Err(reason)), "{reason:?} in steps of {step}: {results:?}");
                assert_eq!(peer.out[..4], [&[0x88, 2][..], &reason.code().to_be_bytes()].concat());
                peer.feed(&client(WHOLE_BINARY, b"more", [1; 4]), WHOLE).unwrap();
                assert_eq!(peer.said, [""; 0], "nothing is heard after it");
            }
        }
    }

    #[test]
    fn a_binary_message_between_fragments_is_a_fault() {
        let mut peer = Peer::default();
        peer.feed(&client(0x02, b"begin", [1; 4]), WHOLE).unwrap();
        assert_eq!(peer.feed(&client(WHOLE_BINARY, b"x", [1; 4]), WHOLE), Err(CloseReason::Protocol));
    }

    fn some_frame() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..3_000);
        prop_oneof![
            4 => (bytes(), any::<[u8; 4]>()).prop_map(|(bytes, mask)| vec![client(WHOLE_BINARY, &bytes, mask)]),
            2 => ("[a-zé]{0,200}", any::<[u8; 4]>()).prop_map(|(text, mask)| vec![client(0x81, text.as_bytes(), mask)]),
            1 => any::<[u8; 4]>().prop_map(|mask| vec![client(0x89, b"there?", mask)]),
            1 => any::<[u8; 4]>().prop_map(|mask| vec![client(0x8A, b"", mask)]),
            1 => (bytes(), bytes(), any::<[u8; 4]>()).prop_map(|(one, two, mask)| {
                vec![client(0x02, &one, mask), client(0x89, b"", mask), client(0x80, &two, mask)]
            }),
        ]
    }

    /// As the plain session reads it.
    fn plain(bytes: &[u8]) -> (Vec<String>, Vec<u8>) {
        let (mut session, mut scratch, mut said, mut out) = (Session::new(), Scratch::new(), Vec::new(), Vec::new());
        session
            .feed(&mut scratch, bytes, &LIMITS, &mut out, &mut |event, _| {
                said.push(match event {
                    Event::Binary(bytes) => format!("binary {bytes:?}"),
                    Event::Text(text) => format!("text {text}"),
                    Event::Ping => "Ping".into(),
                    Event::Pong(_) => "Pong".into(),
                    Event::Close(_) => "Close".into(),
                });
            })
            .unwrap();
        (said, out)
    }

    proptest! {
        #[test]
        fn in_any_pieces_it_hears_what_the_plain_session_hears(
            frames in prop::collection::vec(some_frame(), 1..8),
            cuts in prop::collection::vec(1_usize..4_000, 1..20),
        ) {
            let bytes = frames.concat().concat();
            let mut peer = Peer::default();
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                peer.feed(piece, WHOLE).unwrap();
                rest = after;
            }
            prop_assert_eq!((peer.said, peer.out), plain(&bytes));
        }

        #[test]
        fn any_bytes_in_any_pieces_are_no_way_to_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1_usize..20) {
            let mut peer = Peer::default();
            for piece in bytes.chunks(step) {
                let _judged = peer.feed(piece, PIECES);
            }
        }
    }
}
