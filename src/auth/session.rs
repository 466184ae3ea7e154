//! Session tokens: what a participant holds of an attempt. Nothing is stored for them: the server's key signs quiz and attempt, and whether
//! the attempt still runs is its home's to say.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;
use uuid::Uuid;

/// What else is signed, so that no signature made with this key for another purpose is a session token.
const PURPOSE: &[u8] = b"homeroom quiz session 1\0";
const QUIZ_BYTES: usize = size_of::<i64>();
const WHAT_BYTES: usize = QUIZ_BYTES + size_of::<Uuid>();
const SIGNATURE_BYTES: usize = 32;
const TOKEN_BYTES: usize = WHAT_BYTES + SIGNATURE_BYTES;
/// Every token has so many characters: unpadded base64url of quiz, attempt and signature.
pub const SESSION_TOKEN_CHARS: usize = (TOKEN_BYTES * 4).div_ceil(3);

/// The key that signs session tokens. One for all shards; a new one makes every token invalid. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct SessionKey(hmac::Key);

impl SessionKey {
    /// Takes the bytes of a random secret; 32 are as good as any more.
    pub fn new(secret: &[u8]) -> SessionKey {
        SessionKey(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The token of an attempt: always the same one.
    pub fn token(&self, quiz: i64, attempt: Uuid) -> String {
        let mut token = [0; TOKEN_BYTES];
        let (what, signature) = token.split_at_mut(WHAT_BYTES);
        what[..QUIZ_BYTES].copy_from_slice(&quiz.to_be_bytes());
        what[QUIZ_BYTES..].copy_from_slice(attempt.as_bytes());
        signature.copy_from_slice(hmac::sign(&self.0, &signed(what)).as_ref());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The quiz and the attempt that a token was issued for; `None` when this key did not sign it. In constant time once it has a token's
    /// length and alphabet.
    pub fn read(&self, token: &str) -> Option<(i64, Uuid)> {
        // The decoder wants room for its worst guess at this length.
        let mut bytes = [0; TOKEN_BYTES + 1];
        if token.len() != SESSION_TOKEN_CHARS || URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) != Ok(TOKEN_BYTES) {
            return None;
        }
        let (what, signature) = bytes[..TOKEN_BYTES].split_at(WHAT_BYTES);
        hmac::verify(&self.0, &signed(what), signature).ok()?;
        let (quiz, attempt) = what.split_first_chunk()?;
        Some((i64::from_be_bytes(*quiz), Uuid::from_slice(attempt).ok()?))
    }
}

fn signed(what: &[u8]) -> [u8; PURPOSE.len() + WHAT_BYTES] {
    let mut signed = [0; PURPOSE.len() + WHAT_BYTES];
    signed[..PURPOSE.len()].copy_from_slice(PURPOSE);
    signed[PURPOSE.len()..].copy_from_slice(what);
    signed
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn key(byte: u8) -> SessionKey {
        SessionKey::new(&[byte; 32])
    }

    #[test]
    fn a_token_reads_back_with_the_key_that_signed_it_and_no_other() {
        let attempts = [Uuid::nil(), Uuid::from_u128(7), Uuid::max()];
        for quiz in [1, 42, (1 << 53) - 1] {
            for attempt in attempts {
                let token = key(1).token(quiz, attempt);
                assert_eq!(token.len(), SESSION_TOKEN_CHARS);
                assert_eq!(key(1).read(&token), Some((quiz, attempt)));
                assert_eq!(key(2).read(&token), None);
            }
        }
        let tokens: HashSet<_> = attempts.iter().map(|attempt| key(1).token(42, *attempt)).collect();
        assert_eq!(tokens.len(), attempts.len());
    }

    #[test]
    fn no_other_character_anywhere_is_as_good() {
        let token = key(1).token(42, Uuid::from_u128(5));
        for place in 0..token.len() {
            for other in ["A", "B", "_", "=", "+", "é"] {
                let mut changed = token.clone();
                changed.replace_range(place..=place, other);
                assert_eq!(key(1).read(&changed).is_some(), changed == token, "{place} {other}");
            }
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let token = key(1).token(42, Uuid::from_u128(5));
        let longer = format!("{token}A");
        for text in
            ["", " ", "abc123-session-token", &token[1..], &token[..token.len() - 1], &longer, &"é".repeat(SESSION_TOKEN_CHARS)]
        {
            assert_eq!(key(1).read(text), None, "{text}");
        }
    }

    #[test]
    fn a_plain_signature_of_quiz_and_attempt_is_no_token() {
        let mut token = [42_i64.to_be_bytes().as_slice(), Uuid::from_u128(5).as_bytes()].concat();
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]), &token);
        token.extend_from_slice(signature.as_ref());
        assert_eq!(key(1).read(&URL_SAFE_NO_PAD.encode(token)), None);
    }

    #[test]
    fn a_key_never_shows_itself() {
        assert_eq!(format!("{:?}", key(7)), "SessionKey(…)");
    }
}
