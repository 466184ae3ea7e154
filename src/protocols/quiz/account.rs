//! What the name and the password of an account may be: one rule for those who ask over REST and the shell.

/// What is expected of a name.
pub const NAME: &str = "name is 1 to 100 of a-z, 0-9 and . _ - @";
/// What is expected of a password.
pub const PASSWORD: &str = "password is 8 to 200 characters";

/// Of an account.
pub fn is_name(text: &str) -> bool {
    let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'@');
    (1..=100).contains(&text.len()) && text.bytes().all(fits)
}

/// Long enough, and no longer than anyone types.
pub fn is_password(text: &str) -> bool {
    // No text has more characters than bytes.
    text.len() <= 200 * 4 && (8..=200).contains(&text.chars().count())
}
