//! What stands behind the question mark of an upgrade's path.

use std::borrow::Cow;

/// The first parameter of this name, as forms write them: parted by `&`, percent-encoded, a plus is a space. None where there is none, or
/// where it is not well-formed.
pub fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let parameters = query?.split('&').map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
    let mut found = parameters.filter(|(own, _)| decoded(own).is_some_and(|own| own == name));
    decoded(found.next()?.1)
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (&[high, low], after) = rest.split_first_chunk()?;
                rest = after;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                (digit(high)? << 4 | digit(low)?) as u8
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_is_found_and_decoded() {
        for (query, found) in [
            (None, None),
            (Some(""), None),
            (Some("token=a.b-c_d"), Some("a.b-c_d")),
            (Some("x=1&token=a%2Eb+c&token=d"), Some("a.b c")),
            (Some("to%6ben=a"), Some("a")),
            (Some("token"), Some("")),
            (Some("token=%"), None),
            (Some("token=%f"), None),
            (Some("token=%ff"), None),
            (Some("tokens=a"), None),
        ] {
            assert_eq!(parameter(query, "token").as_deref(), found, "{query:?}");
        }
    }
}
