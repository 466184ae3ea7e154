//! Binary frames between us and an agent: five bytes, then what they are about.
//!
//! | Byte | |
//! |---|---|
//! | 0 | kind: 1 data, 2 credit |
//! | 1 to 4 | the number of the tunnel, as in `proxy-<number>`, big-endian |
//! | from 5 | data: bytes of the screen's stream, any number of them; credit: how many bytes more may be sent, 4 bytes, big-endian |

use super::{
    chunk::{Chunk, Wire},
    model::ProxyId,
};

/// How long the header is.
pub const HEADER_BYTES: usize = 5;

const DATA: u8 = 1;
const CREDIT: u8 = 2;

/// What a binary frame of an agent says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyFrame<'a> {
    /// Bytes.
    Data(ProxyId, &'a [u8]),
    /// So many bytes more may be sent.
    Credit(ProxyId, u32),
}

/// Reads the payload of a binary frame; none: it is none of ours.
pub fn read(payload: &[u8]) -> Option<ProxyFrame<'_>> {
    let (&[kind, number @ ..], rest) = payload.split_first_chunk::<HEADER_BYTES>()?;
    let proxy = ProxyId(u32::from_be_bytes(number));
    match kind {
        DATA => Some(ProxyFrame::Data(proxy, rest)),
        CREDIT => Some(ProxyFrame::Credit(proxy, u32::from_be_bytes(rest.try_into().ok()?))),
        _ => None,
    }
}

/// Bytes as a whole binary frame, not moved.
pub fn data(proxy: ProxyId, chunk: Chunk) -> Wire {
    chunk.framed(&header(DATA, proxy))
}

/// A credit as a whole binary frame.
pub fn credit(proxy: ProxyId, bytes: u32) -> Wire {
    Chunk::copied(&bytes.to_be_bytes()).framed(&header(CREDIT, proxy))
}

/// What comes before the bytes of a tunnel, for an agent that writes its own frames.
pub fn data_header(proxy: ProxyId) -> [u8; HEADER_BYTES] {
    header(DATA, proxy)
}

/// The payload of a credit's frame, for an agent that writes its own frames.
pub fn credit_payload(proxy: ProxyId, bytes: u32) -> [u8; HEADER_BYTES + 4] {
    let mut payload = [0; HEADER_BYTES + 4];
    payload[..HEADER_BYTES].copy_from_slice(&header(CREDIT, proxy));
    payload[HEADER_BYTES..].copy_from_slice(&bytes.to_be_bytes());
    payload
}

fn header(kind: u8, proxy: ProxyId) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = proxy.0.to_be_bytes();
    [kind, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_documented() {
        let wire = data(ProxyId(0x0102_0304), Chunk::copied(b"RFB"));
        assert_eq!(wire.bytes(), b"\x82\x08\x01\x01\x02\x03\x04RFB");
        let wire = credit(ProxyId(7), 0x0010_0000);
        assert_eq!(wire.bytes(), b"\x82\x09\x02\0\0\0\x07\0\x10\0\0");
    }

    #[test]
    fn what_is_written_is_read() {
        for number in [0, 1, 255, 256, u32::MAX] {
            let proxy = ProxyId(number);
            for bytes in [&b""[..], b"x", b"\x02\0\0"] {
                let wire = data(proxy, Chunk::copied(bytes));
                assert_eq!(read(&wire.bytes()[2..]), Some(ProxyFrame::Data(proxy, bytes)));
            }
            assert_eq!(read(&credit(proxy, number).bytes()[2..]), Some(ProxyFrame::Credit(proxy, number)));
            assert_eq!(credit(proxy, number).bytes()[2..], credit_payload(proxy, number));
            assert_eq!(read(&data_header(proxy)), Some(ProxyFrame::Data(proxy, b"")));
        }
    }

    #[test]
    fn what_is_none_of_ours() {
        for payload in
            [&b""[..], b"\x01", b"\x01\0\0\0", b"\0\0\0\0\0", b"\x03\0\0\0\0", b"\x02\0\0\0\0\0\0\0", b"\x02\0\0\0\0\0\0\0\0\0"]
        {
            assert_eq!(read(payload), None, "{payload:?}");
        }
    }
}
