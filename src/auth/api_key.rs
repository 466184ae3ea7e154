//! API keys: 32 random bytes in words that are easy to recognise. Only their hashes are kept.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// What every key begins with, so that people and scanners know it for one.
const PREFIX: &str = "hr_";
/// Every key has so many characters.
const CHARS: usize = PREFIX.len() + 43;

/// A key from 32 random bytes: `hr_` and 43 characters of base64url. To be shown once; [`hash`] is what is kept.
pub fn api_key(random: [u8; 32]) -> String {
    let mut key = String::with_capacity(CHARS);
    key.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(random, &mut key);
    key
}

/// SHA-256 of a key as it is shown. A key is random, so no salt or slow hash is wanted, and whoever finds one by its hash tells nobody
/// by the time that takes how close a guess came.
pub fn hash(key: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    hash
}

/// Whether it has the form of a key. A JWT never has: it has dots.
pub fn looks_like_a_key(text: &str) -> bool {
    let in_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == CHARS && text.strip_prefix(PREFIX).is_some_and(|rest| rest.bytes().all(in_base64url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_prefix_and_its_bytes() {
        let key = api_key([0; 32]);
        assert_eq!(key, format!("hr_{}", "A".repeat(43)));
        assert!(looks_like_a_key(&key));
        assert!(looks_like_a_key(&api_key([0xff; 32])));
        assert_ne!(api_key([1; 32]), api_key([2; 32]));
    }

    #[test]
    fn other_texts_do_not_look_like_keys() {
        let key = api_key([9; 32]);
        let dotted = key.replace(&key[10..11], ".");
        let other_prefix = key.replacen("hr_", "HR_", 1);
        for text in ["", "hr_", &key[..45], &format!("{key}A"), &format!(" {}", &key[..45]), &dotted, &other_prefix] {
            assert!(!looks_like_a_key(text), "{text}");
        }
        assert!(!looks_like_a_key(&format!("hr_{}", "é".repeat(21)).chars().chain(['A']).collect::<String>()));
    }

    /// The first example of FIPS 180-2, appendix B.1.
    #[test]
    fn the_hash_is_sha_256() {
        assert_eq!(hash("abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_ne!(hash("hr_a"), hash("hr_b"));
    }
}
