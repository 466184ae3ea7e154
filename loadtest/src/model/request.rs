//! A request for chat completions: which answer it asks for.

use crate::{
    chat::{contract::asked, order::Name},
    fault::Fault,
    wire::http::Answer,
};
use serde::Deserialize;
use std::borrow::Cow;

/// A request that is whole.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// The answer that it asks for; none: that is not to be understood.
    pub(super) name: Option<Name>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    stream: bool,
    #[serde(borrow)]
    messages: Vec<Said<'a>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
}

/// Reads the request at the front.
///
/// # Errors
/// No HTTP.
pub(super) fn read(bytes: &[u8]) -> Result<Answer<Request>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Err(_) => return Err(Fault::Broken("request is not HTTP")),
        Ok(httparse::Status::Partial) => return Ok(Answer::Incomplete),
        Ok(httparse::Status::Complete(head)) => head,
    };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    let end = head.saturating_add(length.ok_or(Fault::Broken("request without a content-length"))?);
    let is_post = request.method == Some("POST");
    Ok(match bytes.get(head..end) {
        Some(body) => Answer::Whole(Request { name: if is_post { wanted(body) } else { None } }, end),
        None => Answer::Incomplete,
    })
}

/// What the user said last.
fn wanted(body: &[u8]) -> Option<Name> {
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    let last = body.messages.last().filter(|said| body.stream && said.role == "user")?;
    asked(last.content.as_deref()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> Vec<u8> {
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn the_last_that_a_user_said_is_answered() {
        let body = r#"{"model":"x","messages":[{"role":"system","content":"be kind"},{"role":"user","content":"answer 1.2"},
            {"role":"assistant","tool_calls":[]},{"role":"user","content":"answer 7.3"}],"stream":true}"#;
        let bytes = request(body);
        for cut in [0, 20, bytes.len() - 1] {
            assert_eq!(read(&bytes[..cut]), Ok(Answer::Incomplete));
        }
        let name = Some(Name { session: 7, message: 3 });
        assert_eq!(read(&bytes), Ok(Answer::Whole(Request { name }, bytes.len())));
    }

    #[test]
    fn what_is_no_question_is_told_apart() {
        let name = |body: &str| match read(&request(body)) {
            Ok(Answer::Whole(Request { name }, _)) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name("nonsense"), None);
        assert_eq!(name(r#"{"messages":[{"role":"user","content":"answer 7.3"}]}"#), None, "not streamed");
        assert_eq!(name(r#"{"messages":[{"role":"user","content":"hello"}],"stream":true}"#), None);
        assert!(read(b"POST / HTTP/1.1\r\n\r\n").is_err() && read(b"\x16\x03\x01\r\n\r\n").is_err());
    }
}
