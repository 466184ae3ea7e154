//! What sockets of chat say and hear, as JSON texts. Contract: "WebSocket API", "Message Types".

use super::model::{ApprovalId, MessageId, SessionId};
use crate::{
    models::Usage,
    realtime::Frame,
    websocket::frame::{self, Opcode},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    fmt::{self, Display},
};

/// An id as the wire has it: a prefix and 32 hexadecimal digits.
pub struct Shown(&'static str, uuid::Uuid);

impl utoipa::PartialSchema for Shown {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        String::schema()
    }
}

impl utoipa::ToSchema for Shown {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Id")
    }
}

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1.simple())
    }
}

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `sess_…`.
pub fn session(id: SessionId) -> Shown {
    Shown("sess_", id)
}

/// `msg_…`.
pub fn message(id: MessageId) -> Shown {
    Shown("msg_", id)
}

/// `appr_…`.
pub fn approval(id: ApprovalId) -> Shown {
    Shown("appr_", id)
}

/// Reads what [`session`], [`message`] and [`approval`] show; only in that very form.
pub fn read(prefix: &str, text: &str) -> Option<uuid::Uuid> {
    let digits = text.strip_prefix(prefix)?;
    let is_form = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_form.then(|| uuid::Uuid::try_parse(digits).ok()).flatten()
}

/// What a socket hears.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message<'a> {
    /// Auth successful.
    AuthSuccess {
        /// Where it is now.
        session_id: Shown,
    },
    /// Response start.
    MessageStart {
        /// Of the answer; also its `operation_id`.
        message_id: Shown,
    },
    /// Content chunk.
    ContentDelta {
        /// More text.
        delta: &'a str,
    },
    /// Tool invocation.
    ToolCall {
        /// Which.
        tool: &'a str,
        /// What it is given.
        #[schema(value_type = Object)]
        args: &'a RawValue,
    },
    /// Tool result.
    ToolResult {
        /// Which.
        tool: &'a str,
        /// Any JSON; of one that gave none an object with `error` and `message`.
        #[schema(value_type = Value)]
        result: &'a RawValue,
    },
    /// Needs approval.
    ApprovalRequired {
        /// To be approved or rejected by REST.
        approval_id: Shown,
        /// What would be called.
        tool: &'a str,
    },
    /// Response complete.
    MessageEnd {
        /// What it took.
        usage: Tokens,
    },
    /// Error occurred.
    Error {
        /// Of the contract's tables.
        code: &'a str,
        /// For people.
        message: &'a str,
    },
    /// Keep-alive response.
    Pong {},
}

/// `usage`.
#[derive(Clone, Copy, Serialize, utoipa::ToSchema)]
pub struct Tokens {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Tokens {
        let Usage { prompt_tokens, completion_tokens } = usage;
        Tokens { prompt_tokens, completion_tokens, total_tokens: usage.total() }
    }
}

impl Message<'_> {
    /// A frame to be shared.
    pub fn frame(&self) -> Frame {
        frame::text(&self.json())
    }

    /// Appends a frame.
    pub fn append(&self, out: &mut Vec<u8>) {
        frame::encode(out, Opcode::Text, &self.json());
    }

    fn json(&self) -> Vec<u8> {
        // Texts, numbers and JSON that was parsed before: it is always written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// JSON that was parsed before, as itself; anything else is `null`.
pub fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap_or(RawValue::NULL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ID: Uuid = Uuid::from_u128(0xabc);

    #[test]
    fn every_message_is_as_the_contract_has_it() {
        let digits = "00000000000000000000000000000abc";
        let tokens = Tokens::from(Usage { prompt_tokens: 45, completion_tokens: 28 });
        for (told, expected) in [
            (
                Message::AuthSuccess { session_id: session(ID) },
                format!(r#"{{"type":"auth_success","session_id":"sess_{digits}"}}"#),
            ),
            (
                Message::MessageStart { message_id: message(ID) },
                format!(r#"{{"type":"message_start","message_id":"msg_{digits}"}}"#),
            ),
            (Message::ContentDelta { delta: "a \"b\"" }, r#"{"type":"content_delta","delta":"a \"b\""}"#.into()),
            (
                Message::ToolCall { tool: "search", args: raw(r#"{"q": 1}"#) },
                r#"{"type":"tool_call","tool":"search","args":{"q": 1}}"#.into(),
            ),
            (Message::ToolResult { tool: "t", result: raw("[4]") }, r#"{"type":"tool_result","tool":"t","result":[4]}"#.into()),
            (
                Message::ApprovalRequired { approval_id: approval(ID), tool: "send_email" },
                format!(r#"{{"type":"approval_required","approval_id":"appr_{digits}","tool":"send_email"}}"#),
            ),
            (
                Message::MessageEnd { usage: tokens },
                r#"{"type":"message_end","usage":{"prompt_tokens":45,"completion_tokens":28,"total_tokens":73}}"#.into(),
            ),
            (Message::Error { code: "C", message: "m" }, r#"{"type":"error","code":"C","message":"m"}"#.into()),
            (Message::Pong {}, r#"{"type":"pong"}"#.into()),
        ] {
            assert_eq!(String::from_utf8(told.json()).unwrap(), expected);
            let (mut appended, frame) = (Vec::new(), told.frame());
            told.append(&mut appended);
            assert_eq!(appended, *frame);
        }
    }

    #[test]
    fn ids_are_read_in_one_form() {
        let text = approval(ID).to_string();
        assert_eq!(read("appr_", &text), Some(ID));
        for other in ["", "appr_", "00000000000000000000000000000abc", "msg_00000000000000000000000000000abc"] {
            assert_eq!(read("appr_", other), None);
        }
        assert_eq!(read("appr_", &text.to_uppercase()), None);
        assert_eq!(read("appr_", &format!("{text}0")), None);
    }
}
