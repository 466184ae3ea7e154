//! Requests that a proxy in front could read otherwise than we do: raw bytes, and what must become of them. Whatever hides in one request,
//! it is never answered as a second.

use super::{PATIENCE, rest, served};
use crate::http::limits::Limits;
use std::{io::Write, net::Shutdown};

/// What is hidden, and would be answered with `now`.
const HIDDEN: &str = "GET /now HTTP/1.1\r\nhost: h\r\n\r\n";

/// What must be said, and then the connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Must {
    /// 400.
    Refuse,
    /// Nothing, or 400: the request never becomes whole.
    Drop,
    /// One answer of this status, with this body.
    Answer(u16, &'static str),
}

use Must::{Answer, Drop, Refuse};

fn post(headers: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nhost: h\r\n{headers}\r\n\r\n{body}")
}

/// Each by a name. What a row hides stands behind what we take for its end, or inside of what we take for its body.
fn corpus() -> Vec<(&'static str, Vec<u8>, Must)> {
    let chunk = |size: &str| format!("{size}\r\nabc\r\n0\r\n\r\n{HIDDEN}");
    let all = format!("0\r\n\r\n{HIDDEN}");
    let length = all.len();
    let rows: Vec<(&'static str, String, Must)> = vec![
        // Both are refused where they are the first of a connection, before they come here (`websocket::upgrade`).
        ("CL.TE", post(&format!("content-length: {length}\r\ntransfer-encoding: chunked"), &all), Answer(200, "")),
        ("TE.CL", post("transfer-encoding: chunked\r\ncontent-length: 4", &all), Answer(200, "")),
        ("TE.TE, two headers", post("transfer-encoding: chunked\r\ntransfer-encoding: identity", &all), Refuse),
        ("TE.TE, in the other order", post("transfer-encoding: identity\r\ntransfer-encoding: chunked", &all), Refuse),
        ("TE.TE, a list", post("transfer-encoding: identity, chunked", &all), Refuse),
        ("TE, gzip before it", post("transfer-encoding: gzip, chunked", &all), Refuse),
        ("TE, chunked twice", post("transfer-encoding: chunked, chunked", &all), Refuse),
        ("TE, chunked not the last", post("transfer-encoding: chunked, identity", &all), Refuse),
        ("TE, another word", post("transfer-encoding: xchunked", &all), Refuse),
        ("TE, in quotes", post("transfer-encoding: \"chunked\"", &all), Refuse),
        ("TE, in capitals", post("Transfer-Encoding: CHUNKED", &all), Answer(200, "")),
        ("TE, a tab before it", post("transfer-encoding:\tchunked", &all), Answer(200, "")),
        ("TE, a vertical tab before it", post("transfer-encoding: \u{b}chunked", &all), Refuse),
        ("TE, a parameter", post("transfer-encoding: chunked;q=1", &all), Refuse),
        ("TE, a comma behind", post("transfer-encoding: chunked,", &all), Refuse),
        ("TE, a space before the colon", post("transfer-encoding : chunked", &all), Refuse),
        ("TE, a NUL in the name", post("transfer-encoding\0: chunked", &all), Refuse),
        ("TE, a NUL behind", post("transfer-encoding: chunked\0", &all), Refuse),
        ("TE, folded", post("transfer-encoding:\r\n chunked", &all), Refuse),
        ("TE, a line feed in the name", post("transfer\n-encoding: chunked", &all), Refuse),
        ("TE, a bare CR before the name", post("x: y\rtransfer-encoding: chunked", &all), Refuse),
        ("TE in HTTP/1.0", post("transfer-encoding: chunked", &all).replace("HTTP/1.1", "HTTP/1.0"), Refuse),
        ("CL twice, otherwise", post("content-length: 0\r\ncontent-length: 5", HIDDEN), Refuse),
        ("CL a list of two", post("content-length: 0, 5", HIDDEN), Refuse),
        ("CL a list of two that are the same", post("content-length: 0, 0", HIDDEN), Refuse),
        ("CL negative", post("content-length: -1", HIDDEN), Refuse),
        ("CL with a plus", post("content-length: +3", "abc"), Refuse),
        ("CL in hexadecimal", post("content-length: 0x3", "abc"), Refuse),
        ("CL with a point", post("content-length: 3.0", "abc"), Refuse),
        ("CL with an underscore", post("content-length: 3_0", "abc"), Refuse),
        ("CL empty", post("content-length: ", HIDDEN), Refuse),
        ("CL beyond numbers", post("content-length: 18446744073709551616", HIDDEN), Refuse),
        ("CL a space before the colon", post("content-length : 3", "abc"), Refuse),
        ("CL a space in the name", post("content length: 3", "abc"), Refuse),
        ("CL folded", post("content-length:\r\n 3", "abc"), Refuse),
        ("CL in Arabic digits", post("content-length: \u{663}", "abc"), Refuse),
        ("chunk size negative", post("transfer-encoding: chunked", &chunk("-3")), Refuse),
        ("chunk size with 0x", post("transfer-encoding: chunked", &chunk("0x3")), Refuse),
        ("chunk size empty", post("transfer-encoding: chunked", &chunk("")), Refuse),
        ("chunk size beyond numbers", post("transfer-encoding: chunked", &chunk("10000000000000003")), Refuse),
        ("chunk size huge", post("transfer-encoding: chunked", &chunk("ffffffffffffffff")), Refuse),
        ("chunk longer than its size", post("transfer-encoding: chunked", &chunk("2")), Refuse),
        ("chunk shorter than its size", post("transfer-encoding: chunked", &chunk("4")), Refuse),
        ("chunk with an extension", post("transfer-encoding: chunked", &chunk("3;a=b")), Answer(200, "abc")),
        ("chunk with a line feed in its extension", post("transfer-encoding: chunked", &chunk("3;a\nb")), Refuse),
        ("chunk with a long extension", post("transfer-encoding: chunked", &chunk(&format!("3;{}", "a".repeat(20_000)))), Refuse),
        ("chunk by a bare line feed", post("transfer-encoding: chunked", "3\nabc\n0\n\n"), Refuse),
        ("chunk ended otherwise", post("transfer-encoding: chunked", "3\r\nabcX\r\n0\r\n\r\n"), Refuse),
        ("trailers", post("transfer-encoding: chunked", &format!("0\r\ncontent-length: 5\r\n\r\n{HIDDEN}")), Answer(200, "")),
        ("two hosts", format!("GET /now HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n{HIDDEN}"), Refuse),
        ("a space before a name", format!("GET /now HTTP/1.1\r\n host: h\r\n\r\n{HIDDEN}"), Refuse),
        ("a fold", format!("GET /now HTTP/1.1\r\nhost: h\r\nx: a\r\n b\r\n\r\n{HIDDEN}"), Refuse),
        ("a NUL in a value", format!("GET /now HTTP/1.1\r\nhost: h\r\nx: a\0b\r\n\r\n{HIDDEN}"), Refuse),
        ("a bare CR in a value", format!("GET /now HTTP/1.1\r\nhost: h\r\nx: a\rb\r\n\r\n{HIDDEN}"), Refuse),
        ("no colon", format!("GET /now HTTP/1.1\r\nhost: h\r\nnocolon\r\n\r\n{HIDDEN}"), Refuse),
        ("no name", format!("GET /now HTTP/1.1\r\nhost: h\r\n: x\r\n\r\n{HIDDEN}"), Refuse),
        ("a space in the target", format!("GET /now HTTP/1.1 x HTTP/1.1\r\nhost: h\r\n\r\n{HIDDEN}"), Refuse),
        ("two spaces", format!("GET  /now HTTP/1.1\r\nhost: h\r\n\r\n{HIDDEN}"), Refuse),
        ("a NUL in the target", format!("GET /now\0 HTTP/1.1\r\nhost: h\r\n\r\n{HIDDEN}"), Refuse),
        ("a version that is none", format!("GET /now HTTP/1.x\r\nhost: h\r\n\r\n{HIDDEN}"), Refuse),
        ("no version", format!("GET /now\r\nhost: h\r\n\r\n{HIDDEN}"), Refuse),
        (
            "absolute, and another host",
            "GET http://evil/now HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n".into(),
            Answer(200, "now"),
        ),
        (
            "a body that a GET has",
            format!("GET /now HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()),
            Answer(200, "now"),
        ),
        ("a body that never comes", post("content-length: 9", "abc"), Drop),
    ];
    rows.into_iter().map(|(name, text, must)| (name, text.into_bytes(), must)).collect()
}

/// How many answers there are in what was heard.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.").count()
}

/// As the first request of a connection, and as the second of one that is kept.
#[test]
fn nothing_hides_in_a_request() {
    let rows = corpus();
    assert!(rows.len() >= 60);
    let wrong: Vec<String> = rows.iter().flat_map(|row| ["", HIDDEN].map(|before| (row, before))).filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What was said to a request behind another, where that is not what must be.
fn wrong(((name, bytes, must), before): (&(&'static str, Vec<u8>, Must), &str)) -> Option<String> {
    let (sent, earlier) = ([before.as_bytes(), bytes].concat(), usize::from(!before.is_empty()));
    let text = served(Limits { linger: PATIENCE, ..Limits::default() }, b"", move |mut client| {
        // Who is hung up on while he still speaks has heard what there was to hear.
        let _spoken = client.socket.write_all(&sent);
        let _ended = client.socket.shutdown(Shutdown::Write);
        rest(&mut client.socket)
    });
    let own = text.splitn(earlier + 2, "HTTP/1.").nth(earlier + 1).unwrap_or_default();
    let status = own.get(2..5).and_then(|status| status.parse::<u16>().ok());
    let is_right = match must {
        Drop => status.is_none_or(|status| status == 400),
        Refuse => status == Some(400),
        Answer(expected, body) => status == Some(*expected) && own.ends_with(body),
    };
    (!is_right || answers(&text) > earlier + 1).then(|| format!("{name}, behind {earlier}: {text}"))
}
