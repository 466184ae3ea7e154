//! The header itself, from bytes that come piece by piece.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the header says, and how long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Bytes of the header; what follows is the client's.
    pub length: usize,
    /// The client's address; none: the proxy speaks for itself (`LOCAL`, a health check), or names none that is of IP.
    pub client: Option<IpAddr>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// They begin as neither version does: the proxy sends none.
    Absent,
    /// They begin as one does, and go on as none.
    Malformed,
    /// Longer than [`LONGEST_BYTES`].
    TooLong,
}

/// The longest header that is taken: addresses are 36 bytes at most, and what proxies add is some hundred.
pub const LONGEST_BYTES: usize = 2048;

/// Of a line of version 1, its end included (the specification's own worst case).
const LONGEST_LINE: usize = 107;
const LINE_BEGINS: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// Reads the header at the beginning of what has come. `None`: there is more of it to come.
///
/// # Errors
/// A [`Flaw`], as soon as it shows.
pub fn read(bytes: &[u8]) -> Result<Option<Header>, Flaw> {
    let begins = |text: &[u8]| {
        let common = text.len().min(bytes.len());
        bytes[..common] == text[..common]
    };
    if begins(SIGNATURE) {
        return binary(bytes);
    }
    if begins(LINE_BEGINS) { line(bytes) } else { Err(Flaw::Absent) }
}

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`.
fn line(bytes: &[u8]) -> Result<Option<Header>, Flaw> {
    let seen = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(Flaw::Malformed) };
    };
    let text = std::str::from_utf8(&seen[LINE_BEGINS.len().min(end)..end]).map_err(|_| Flaw::Malformed)?;
    let client = match text.split_once(' ').unwrap_or((text, "")) {
        ("UNKNOWN", _) => None,
        ("TCP4", rest) => Some(IpAddr::V4(pair::<Ipv4Addr>(rest)?)),
        ("TCP6", rest) => Some(IpAddr::V6(pair::<Ipv6Addr>(rest)?)),
        _ => return Err(Flaw::Malformed),
    };
    Ok(Some(Header { length: end + 2, client }))
}

/// Source, destination and their ports; the source is returned.
fn pair<A: std::str::FromStr>(text: &str) -> Result<A, Flaw> {
    let parts: Vec<&str> = text.split(' ').collect();
    let &[source, destination, source_port, destination_port] = parts.as_slice() else { return Err(Flaw::Malformed) };
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    if !is_port(source_port) || !is_port(destination_port) || destination.parse::<A>().is_err() {
        return Err(Flaw::Malformed);
    }
    source.parse().map_err(|_| Flaw::Malformed)
}

/// Version 2.
fn binary(bytes: &[u8]) -> Result<Option<Header>, Flaw> {
    let (Some(&[version, family, high, low]), 16..) = (bytes.get(12..FIXED_BYTES), bytes.len()) else { return Ok(None) };
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_BYTES {
        return Err(Flaw::TooLong);
    }
    let (is_local, addresses) = match (version, family) {
        (0x20, _) => (true, 0),
        (0x21, 0x11) => (false, 12),
        (0x21, 0x21) => (false, 36),
        // Datagrams, unix sockets and what nobody has named yet: there is an address behind, and none of ours.
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => (true, 0),
        _ => return Err(Flaw::Malformed),
    };
    if length < FIXED_BYTES + addresses {
        return Err(Flaw::Malformed);
    }
    let Some(body) = bytes.get(FIXED_BYTES..length) else { return Ok(None) };
    let client = match (is_local, body.first_chunk::<4>(), body.first_chunk::<16>()) {
        (true, _, _) => None,
        (false, Some(v4), _) if addresses == 12 => Some(IpAddr::V4(Ipv4Addr::from(*v4))),
        (false, _, Some(v6)) => Some(IpAddr::V6(Ipv6Addr::from(*v6))),
        (false, _, None) => return Err(Flaw::Malformed),
    };
    Ok(Some(Header { length, client }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2, with these bytes behind the signature.
    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    fn v4_body() -> Vec<u8> {
        vec![192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb]
    }

    fn v6_body() -> Vec<u8> {
        let mut body = "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        body.extend([0; 16]);
        body.extend([0xdc, 4, 1, 0xbb]);
        body
    }

    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let with_more = [v4_body(), vec![4, 0, 3, 1, 2, 3]].concat();
        vec![
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n".to_vec(), Some("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n".to_vec(), Some("2001:db8::7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (v2(0x21, 0x11, &v4_body()), Some("192.0.2.7")),
            (v2(0x21, 0x21, &v6_body()), Some("2001:db8::7")),
            (v2(0x21, 0x11, &with_more), Some("192.0.2.7")),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &v4_body()), None),
            (v2(0x21, 0x00, &[]), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ]
    }

    #[test]
    fn a_header_is_read_however_it_is_cut_and_what_follows_is_left() {
        for (header, client) in good() {
            for cut in 0..header.len() {
                assert_eq!(read(&header[..cut]), Ok(None), "{header:02x?} cut at {cut}");
            }
            let client = client.map(|client| client.parse().unwrap());
            let want = Ok(Some(Header { length: header.len(), client }));
            assert_eq!(read(&header), want, "{header:02x?}");
            assert_eq!(read(&[&header[..], b"GET / HTTP/1.1\r\n"].concat()), want);
        }
    }

    #[test]
    fn what_is_none_is_told_from_what_is_a_broken_one() {
        for absent in [&b"GET / HTTP/1.1\r\n"[..], &[0x16, 3, 1], b"proxy TCP4", b"\r\n\r\nGET", b"X"] {
            assert_eq!(read(absent), Err(Flaw::Absent), "{absent:02x?}");
        }
        let broken: Vec<Vec<u8>> = vec![
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 1\r\n".to_vec(),
            b"PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.7 198.51.100.1 1 443\r\n".to_vec(),
            b"PROXY \r\n".to_vec(),
            b"PROXY TCP4 \xff 198.51.100.1 1 443\r\n".to_vec(),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat(),
            v2(0x11, 0x11, &v4_body()),
            v2(0x22, 0x11, &v4_body()),
            v2(0x21, 0x11, &v4_body()[..11]),
            v2(0x21, 0x21, &v4_body()),
            v2(0x21, 0x41, &v4_body()),
        ];
        for header in broken {
            assert_eq!(read(&header), Err(Flaw::Malformed), "{}", String::from_utf8_lossy(&header));
        }
        assert_eq!(read(&v2(0x21, 0x11, &[0; LONGEST_BYTES])), Err(Flaw::TooLong));
    }
}
