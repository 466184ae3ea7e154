//! An answer over HTTP as it comes: chunks of the body (RFC 9112 section 7.1), and the server-sent events in them.

use crate::{fault::Fault, wire::http::Answer};

/// An event above this size is a fault.
const LARGEST_EVENT_BYTES: usize = 1 << 20;
/// The longest line that says how long a chunk is.
const LONGEST_SIZE_BYTES: usize = 32;

/// The head of an answer that is a stream.
///
/// # Errors
/// Another status than 200, no HTTP, a body that does not come in chunks.
pub(super) fn head(bytes: &[u8]) -> Result<Answer<()>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Err(_) => Err(Fault::Broken("answer is not HTTP")),
        Ok(httparse::Status::Partial) => Ok(Answer::Incomplete),
        Ok(httparse::Status::Complete(end)) => {
            let is_chunked = |header: &httparse::Header<'_>| {
                header.name.eq_ignore_ascii_case("transfer-encoding") && header.value.eq_ignore_ascii_case(b"chunked")
            };
            match response.code {
                Some(200) if response.headers.iter().any(is_chunked) => Ok(Answer::Whole((), end)),
                Some(200) => Err(Fault::Broken("a stream that does not come in chunks")),
                status => Err(Fault::Http(status.unwrap_or(0))),
            }
        }
    }
}

/// The chunk at the front: its bytes, none for the last, which ends the body.
///
/// # Errors
/// No chunk stands there.
pub(super) fn chunk(bytes: &[u8]) -> Result<Answer<&[u8]>, Fault> {
    const BROKEN: Fault = Fault::Broken("a chunk that is none");
    let Some(line) = bytes.windows(2).take(LONGEST_SIZE_BYTES).position(|pair| pair == b"\r\n") else {
        return if bytes.len() > LONGEST_SIZE_BYTES { Err(BROKEN) } else { Ok(Answer::Incomplete) };
    };
    let size =
        std::str::from_utf8(&bytes[..line]).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok()).ok_or(BROKEN)?;
    let begin = line + 2;
    let end = begin.checked_add(size).filter(|end| *end <= LARGEST_EVENT_BYTES).ok_or(BROKEN)?;
    match bytes.get(begin..end + 2) {
        None => Ok(Answer::Incomplete),
        Some(chunk) => match chunk.strip_suffix(b"\r\n") {
            Some(chunk) => Ok(Answer::Whole(chunk, end + 2)),
            None => Err(BROKEN),
        },
    }
}

/// Events of which a part has come.
#[derive(Debug, Default)]
pub(super) struct Events {
    part: Vec<u8>,
}

impl Events {
    /// More of the body came; `each` gets the data of each event that is whole. Comments are nothing.
    ///
    /// # Errors
    /// Those of `each`; an event that is too long, or has not one line of data.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let joined;
        let mut bytes = if self.part.is_empty() {
            bytes
        } else {
            self.part.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.part);
            &joined
        };
        while let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") {
            match bytes[..end].strip_prefix(b"data: ") {
                Some(data) if !data.contains(&b'\n') => each(data)?,
                None if bytes[0] == b':' => {}
                Some(_) | None => return Err(Fault::Broken("an event that is none")),
            }
            bytes = &bytes[end + 2..];
        }
        if bytes.len() > LARGEST_EVENT_BYTES {
            return Err(Fault::Broken("an event above 1 MiB"));
        }
        self.part = bytes.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_read_whole_and_never_early() {
        let bytes = b"1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
        for cut in 0..32 {
            assert_eq!(chunk(&bytes[..cut]), Ok(Answer::Incomplete), "{cut}");
        }
        assert_eq!(chunk(bytes), Ok(Answer::Whole(b"abcdefghijklmnopqrstuvwxyz".as_slice(), 32)));
        assert_eq!(chunk(&bytes[32..]), Ok(Answer::Whole(b"".as_slice(), 5)));
        assert!(chunk(b"xyz\r\n").is_err() && chunk(b"1\r\nabc").is_err() && chunk(&[b'1'; 64]).is_err());
    }

    #[test]
    fn events_are_found_however_they_are_cut() {
        let bytes = b": hello\n\ndata: {\"a\":1}\n\ndata: {\"b\":2}\n\n";
        for piece in [1, 3, 10, 100] {
            let (mut events, mut found) = (Events::default(), Vec::new());
            for part in bytes.chunks(piece) {
                let each = |data: &[u8]| {
                    found.push(String::from_utf8_lossy(data).into_owned());
                    Ok(())
                };
                events.feed(part, each).unwrap();
            }
            assert_eq!(found, ["{\"a\":1}", "{\"b\":2}"], "in pieces of {piece}");
        }
        for wrong in [&b"event: x\n\n"[..], b"data: a\ndata: b\n\n", b"data:a\n\n"] {
            assert!(Events::default().feed(wrong, |_| Ok(())).is_err());
        }
    }

    #[test]
    fn only_a_stream_is_one() {
        let head = |text: &str| head(text.as_bytes());
        let stream = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(head(stream), Ok(Answer::Whole((), stream.len())));
        assert_eq!(head(&stream[..20]), Ok(Answer::Incomplete));
        assert_eq!(head("HTTP/1.1 429 X\r\ncontent-length: 2\r\n\r\n{}"), Err(Fault::Http(429)));
        assert!(head("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").is_err());
    }
}
