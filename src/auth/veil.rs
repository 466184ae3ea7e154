//! Ids that everybody may see, from a seed that nobody may know.

use aws_lc_rs::digest;
use uuid::{Builder, Uuid};

/// The id of this name, by SHA-256 (FIPS 180-4): a UUID of version 4. Whoever knows any number of ids, and their names, finds neither the
/// seed in them nor another id. No two names have the same.
pub fn veiled(seed: u64, name: &[u8]) -> Uuid {
    let hash = digest::digest(&digest::SHA256, &[&seed.to_be_bytes(), name].concat());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_beginning_of_a_hash_that_cannot_be_undone() {
        // printf '\0\0\0\0\0\0\0\1abc' | sha256sum
        let id = veiled(1, b"abc");
        assert_eq!(id.get_version_num(), 4);
        assert_eq!(id.simple().to_string(), "e98bc483cc6a49ccb82bc23e481a128c");
        assert!(veiled(2, b"abc") != id && veiled(1, b"abd") != id);
    }
}
