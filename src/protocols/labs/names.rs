//! What sessions are called: `user-template-6hex`, dots in the user's name as dashes.

use std::fmt::Write;

/// A name.
pub(super) fn name(user: &str, template: &str, suffix: [u8; 3]) -> String {
    let mut name = format!("{}-{template}-", user.replace('.', "-"));
    for byte in suffix {
        // A `String` takes everything.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_the_contract() {
        assert_eq!(name("john.doe", "firefox-browser", [0xab, 0xc1, 0x23]), "john-doe-firefox-browser-abc123");
        assert_eq!(name("a.b.c", "x.y", [0, 1, 0x0f]), "a-b-c-x.y-00010f");
    }
}
