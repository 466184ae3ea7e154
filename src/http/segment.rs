//! One part of a path, as it was meant (RFC 3986, 2.1).

/// A part without its escapes; none: one of them is no escape. A plus is a plus. What is no UTF-8 becomes U+FFFD, and so names nothing
/// that anybody made.
pub(super) fn decoded(part: &str) -> Option<String> {
    if !part.contains('%') {
        return Some(part.to_owned());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let (&[high, low], after) = rest.split_first_chunk()?;
                rest = after;
                digit(high)? << 4 | digit(low)?
            }
            plain => *plain,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_once() {
        for (part, meant) in [
            ("", ""),
            ("plain-1.x_y~", "plain-1.x_y~"),
            ("a%20b", "a b"),
            ("a+b", "a+b"),
            ("%C3%a9", "é"),
            ("a%2Fb", "a/b"),
            ("%2520", "%20"),
            ("%25", "%"),
            ("a%ff", "a\u{FFFD}"),
            ("%C3", "\u{FFFD}"),
        ] {
            assert_eq!(decoded(part).as_deref(), Some(meant), "{part}");
        }
    }

    #[test]
    fn what_is_no_escape_is_nothing() {
        for part in ["%", "a%2", "%zz", "%+1", "%%20", "é%"] {
            assert_eq!(decoded(part), None, "{part}");
        }
    }
}
