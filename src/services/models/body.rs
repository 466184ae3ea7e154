//! How the body of an answer lies on its connection (RFC 9112, sections 6 and 7.1): what of the bytes that come is content.

use std::mem;

/// A line of a chunk's size or of the trailer may be so long, extensions included.
const MAX_LINE_BYTES: usize = 4 << 10;
/// The trailer may have so many bytes.
const MAX_TRAILER_BYTES: usize = 16 << 10;

/// What is left of a body. Bytes may come in any pieces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Body {
    /// So many bytes.
    Sized(u64),
    /// As many as come before the connection ends.
    UntilClosed,
    /// In chunks.
    Chunked(Chunk),
    /// It has ended where it said that it would.
    Over,
}

/// Where in a chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Chunk {
    /// In the line that says its size.
    Size(Vec<u8>),
    /// So many bytes of content are left.
    Content(u64),
    /// Behind the content: so many bytes of the line end have come.
    Behind(u8),
    /// Behind the last chunk: bytes in this line, and in all.
    Trailer(usize, usize),
}

/// It does not lie there as it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken;

impl Body {
    pub(super) fn chunked() -> Body {
        Body::Chunked(Chunk::Size(Vec::new()))
    }

    pub(super) fn sized(length: u64) -> Body {
        if length == 0 { Body::Over } else { Body::Sized(length) }
    }

    /// Hands on what of these bytes is content. Bytes behind the end are [`Broken`].
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<(), Broken> {
        while !bytes.is_empty() {
            bytes = match self {
                Body::Over => return Err(Broken),
                Body::UntilClosed => {
                    content(bytes);
                    &[]
                }
                Body::Sized(left) => {
                    let (front, rest) = bytes.split_at(bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                    content(front);
                    *self = Body::sized(*left - front.len() as u64);
                    rest
                }
                Body::Chunked(chunk) => match chunk.feed(bytes, &mut content)? {
                    Some(rest) => rest,
                    None => {
                        *self = Body::Over;
                        &bytes[bytes.len()..]
                    }
                },
            };
        }
        Ok(())
    }
}

impl Chunk {
    /// Takes some of the bytes and gives the rest; `None` behind the end, where there must be none.
    fn feed<'a>(&mut self, bytes: &'a [u8], content: &mut impl FnMut(&[u8])) -> Result<Option<&'a [u8]>, Broken> {
        match self {
            Chunk::Size(line) => {
                let end = memchr::memchr(b'\n', bytes);
                let (front, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
                if line.len() + front.len() > MAX_LINE_BYTES {
                    return Err(Broken);
                }
                if end.is_none() {
                    line.extend_from_slice(front);
                } else if line.is_empty() {
                    *self = Chunk::sized(front)?;
                } else {
                    line.extend_from_slice(front);
                    *self = Chunk::sized(&mem::take(line))?;
                }
                Ok(Some(rest))
            }
            Chunk::Content(left) => {
                let (front, rest) = bytes.split_at(bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                content(front);
                *left -= front.len() as u64;
                if *left == 0 {
                    *self = Chunk::Behind(0);
                }
                Ok(Some(rest))
            }
            Chunk::Behind(seen) => {
                if bytes[0] != [b'\r', b'\n'][usize::from(*seen)] {
                    return Err(Broken);
                }
                *self = if *seen == 0 { Chunk::Behind(1) } else { Chunk::Size(Vec::new()) };
                Ok(Some(&bytes[1..]))
            }
            Chunk::Trailer(line, all) => {
                *all += 1;
                match bytes[0] {
                    b'\n' if *line == 0 => return if bytes.len() == 1 { Ok(None) } else { Err(Broken) },
                    b'\n' => *line = 0,
                    b'\r' => {}
                    _ => *line += 1,
                }
                if *all > MAX_TRAILER_BYTES { Err(Broken) } else { Ok(Some(&bytes[1..])) }
            }
        }
    }

    /// Behind the line that says its size.
    fn sized(line: &[u8]) -> Result<Chunk, Broken> {
        // An empty line passes for a size of 0 there.
        if !line[0].is_ascii_hexdigit() {
            return Err(Broken);
        }
        match httparse::parse_chunk_size(line) {
            Ok(httparse::Status::Complete((_, 0))) => Ok(Chunk::Trailer(0, 0)),
            Ok(httparse::Status::Complete((read, size))) if read == line.len() => Ok(Chunk::Content(size)),
            Ok(_) | Err(_) => Err(Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Body, pieces: &[&[u8]]) -> Result<(Vec<u8>, Body), Broken> {
        let (mut body, mut read) = (body.clone(), Vec::new());
        for piece in pieces {
            body.feed(piece, |content| read.extend_from_slice(content))?;
        }
        Ok((read, body))
    }

    #[test]
    fn content_is_the_same_in_any_pieces() {
        let wire = b"5;name=value\r\nHello\r\nA\r\n, in hexes\r\n0\r\nTrailer: x\r\n\r\n";
        for first in 0..=wire.len() {
            for second in first..=wire.len() {
                let pieces = [&wire[..first], &wire[first..second], &wire[second..]];
                assert_eq!(read(&Body::chunked(), &pieces), Ok((b"Hello, in hexes".to_vec(), Body::Over)), "{first} {second}");
            }
        }
        assert_eq!(read(&Body::sized(5), &[b"He", b"llo"]), Ok((b"Hello".to_vec(), Body::Over)));
        assert_eq!(read(&Body::UntilClosed, &[b"He", b"llo"]), Ok((b"Hello".to_vec(), Body::UntilClosed)));
    }

    #[test]
    fn an_end_that_has_not_come_is_not_taken_for_one() {
        assert_eq!(read(&Body::sized(6), &[b"Hello"]), Ok((b"Hello".to_vec(), Body::Sized(1))));
        for cut in [&b"5\r\nHello"[..], b"5\r\nHello\r\n", b"5\r\nHello\r\n0\r\n", b"5\r\nHello\r\n0\r\nTrailer: x\r\n"] {
            assert!(matches!(read(&Body::chunked(), &[cut]), Ok((_, Body::Chunked(_)))), "{}", cut.escape_ascii());
        }
    }

    #[test]
    fn what_does_not_lie_there_as_it_should() {
        for wire in
            [&b"x\r\n"[..], b"\r\n", b"-1\r\n", b"5\r\nHelloX\r\n", b"5\r\nHello\r\r", b"5\nHello", b"11111111111111111\r\n"]
        {
            assert_eq!(read(&Body::chunked(), &[wire]), Err(Broken), "{}", wire.escape_ascii());
        }
        assert_eq!(read(&Body::chunked(), &[b"0\r\n\r\nmore"]), Err(Broken));
        assert_eq!(read(&Body::sized(1), &[b"ab"]), Err(Broken));
        assert_eq!(read(&Body::Over, &[b"a"]), Err(Broken));
        assert_eq!(read(&Body::chunked(), &[&b"1;".repeat(MAX_LINE_BYTES)]), Err(Broken));
        assert_eq!(read(&Body::chunked(), &[b"0\r\n", &b"a: b\r\n".repeat(MAX_TRAILER_BYTES)]), Err(Broken));
    }
}
