//! What workers of other hosts must know to join a run.

use aws_lc_rs::digest::{SHA256, digest};
use std::{env, fmt, fs, path::Path};

/// Where the secret is when no file is named.
pub(crate) const VARIABLE: &str = "HOMEROOM_LOAD_SECRET";
/// What can be guessed from a recording of a handshake must be long.
const SHORTEST: usize = 16;

/// A key made of the secret. Never printed.
#[derive(Clone)]
pub(crate) struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

impl Secret {
    /// From a file, or from the environment where none is named; white space around it is no part of it.
    ///
    /// # Errors
    /// A sentence for the user: there is none, or it is too short.
    pub(crate) fn read(file: Option<&Path>) -> Result<Secret, String> {
        let text = match file {
            Some(path) => fs::read(path).map_err(|fault| format!("{}: {fault}", path.display()))?,
            None => env::var_os(VARIABLE)
                .ok_or_else(|| format!("give --join-secret FILE, or the secret in {VARIABLE}"))?
                .into_encoded_bytes(),
        };
        Secret::of(text.trim_ascii())
    }

    /// From its bytes.
    ///
    /// # Errors
    /// A sentence for the user: it is too short.
    pub(crate) fn of(bytes: &[u8]) -> Result<Secret, String> {
        if bytes.len() < SHORTEST {
            return Err(format!("the secret of a run has at least {SHORTEST} bytes"));
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, &[b"homeroom-load join: ", bytes].concat()).as_ref());
        Ok(Secret(key))
    }

    /// The key.
    pub(super) fn key(&self) -> &[u8; 32] {
        &self.0
    }
}
