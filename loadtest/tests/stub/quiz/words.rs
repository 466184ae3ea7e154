//! What the stub says, as bytes and as JSON.

use serde_json::{Value, json};

pub(super) fn every(n: u64, number: u64) -> bool {
    n > 0 && number.is_multiple_of(n)
}

/// A whole text frame of a server.
pub(super) fn frame(message: &Value) -> Vec<u8> {
    let text = message.to_string();
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..=125 => frame.push(short as u8),
        middling @ 126..=65_535 => {
            frame.push(126);
            frame.extend_from_slice(&(middling as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}

pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

pub(super) fn good(status: u16, data: &Value) -> (u16, Value) {
    (status, json!({ "code": "0000", "message": "ok", "data": data }))
}

pub(super) fn bad(status: u16, code: &str) -> (u16, Value) {
    (status, json!({ "code": code, "message": "no" }))
}
