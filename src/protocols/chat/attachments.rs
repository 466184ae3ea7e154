//! What comes with a message, on a socket or by REST: `{"name", "media_type", "data"}` each, `data` in base64 (RFC 4648, section 4). The
//! contract leaves the form open.

use super::settings::Settings;
use crate::models::talk::Attached;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use std::borrow::Cow;

const NAME_CHARS: usize = 255;
const MEDIA_TYPE_CHARS: usize = 127;

/// One as it is given.
#[derive(Deserialize, utoipa::ToSchema)]
pub struct Given<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, alias = "content_type", default = "unknown")]
    media_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

fn unknown<'a>() -> Cow<'a, str> {
    "application/octet-stream".into()
}

/// Why attachments are not taken, for whoever sent them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// More than [`Settings::max_attachments`].
    TooMany,
    /// More than [`Settings::max_attachment_bytes`] together.
    TooLarge,
    /// A name or media type that is empty, too long, or has control characters.
    Name,
    /// Not base64.
    Data,
}

impl Fault {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Fault::TooMany => "too many attachments",
            Fault::TooLarge => "the attachments are too large",
            Fault::Name => "an attachment needs a name and a media_type without control characters",
            Fault::Data => "the data of an attachment must be base64",
        }
    }
}

/// Reads what was given.
pub fn read(given: &[Given<'_>], settings: &Settings) -> Result<Vec<Attached>, Fault> {
    if given.len() > settings.max_attachments {
        return Err(Fault::TooMany);
    }
    let encoded: usize = given.iter().map(|one| one.data.len()).sum();
    if encoded / 4 * 3 > settings.max_attachment_bytes + 3 * settings.max_attachments {
        return Err(Fault::TooLarge);
    }
    let read: Vec<Attached> = given.iter().map(one).collect::<Result<_, Fault>>()?;
    let bytes: usize = read.iter().map(|attached| attached.bytes.len()).sum();
    if bytes > settings.max_attachment_bytes { Err(Fault::TooLarge) } else { Ok(read) }
}

fn one(given: &Given<'_>) -> Result<Attached, Fault> {
    let is_good = |text: &str, most| (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !is_good(&given.name, NAME_CHARS) || !is_good(&given.media_type, MEDIA_TYPE_CHARS) {
        return Err(Fault::Name);
    }
    let bytes = BASE64_STANDARD.decode(given.data.as_bytes()).map_err(|_| Fault::Data)?;
    Ok(Attached { name: given.name.as_ref().into(), media_type: given.media_type.as_ref().into(), bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(json: &str) -> Result<Vec<Attached>, Fault> {
        let given: Vec<Given<'_>> = serde_json::from_str(json).unwrap();
        let settings = Settings { max_attachments: 2, max_attachment_bytes: 5, ..Settings::default() };
        read(&given, &settings)
    }

    #[test]
    fn what_is_good_is_read() {
        let read = given(r#"[{"name":"a.txt","media_type":"text/plain","data":"YWJj"},{"name":"b","data":""}]"#).unwrap();
        assert_eq!((&*read[0].name, &*read[0].media_type, &*read[0].bytes), ("a.txt", "text/plain", &b"abc"[..]));
        assert_eq!((&*read[1].media_type, read[1].bytes.len()), ("application/octet-stream", 0));
        assert_eq!(given("[]").unwrap(), []);
    }

    #[test]
    fn what_is_not_says_why() {
        let one = |name: &str, data: &str| format!(r#"[{{"name":{name:?},"data":{data:?}}}]"#);
        let empty = r#"{"name":"a","data":""}"#;
        assert_eq!(given(&format!("[{empty},{empty},{empty}]")), Err(Fault::TooMany));
        assert_eq!(given(&one("a", "YWJjZGVm")), Err(Fault::TooLarge));
        assert_eq!(given(&one("a", &"A".repeat(4_000))), Err(Fault::TooLarge));
        assert_eq!(given(&one("", "")), Err(Fault::Name));
        assert_eq!(given(&one("a\nb", "")), Err(Fault::Name));
        assert_eq!(given(&one("a", "?")), Err(Fault::Data));
    }
}
