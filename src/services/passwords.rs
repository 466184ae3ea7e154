//! The passwords of those who sign in here: Argon2id, on the bridge's threads that may block, a few at a time.
//!
//! A hash takes 19 MiB and some 20 ms of a core, so that nobody guesses quickly; a bound on both waiting and working ones keeps a
//! flood of guesses from the memory, the cores and the reads of everybody else.

use crate::bridge::Bridge;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, RECOMMENDED_SALT_LEN, Version, password_hash};
use std::{fmt, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The cost of a hash: OWASP's "Password Storage Cheat Sheet", Argon2id: 19 MiB, two passes, one lane.
const PARAMS: Params = match Params::new(19 * 1024, 2, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("these are right"),
};
/// Hashes that are made at a time: as many of the bridge's threads are left to those that read records.
const WORKING: usize = 2;
/// Those that may be under way, waiting ones included: about half a second of work.
const UNDER_WAY: usize = 64;
/// Nobody's: checked where there is no such account, so that it takes as long as where there is one.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password was neither hashed nor checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordFault {
    /// As many are under way as may be: try again.
    Crowded,
    /// No memory, no randomness, or the process ends.
    Failed,
}

impl fmt::Display for PasswordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PasswordFault::Crowded => "too many passwords are being checked",
            PasswordFault::Failed => "the password could not be hashed",
        })
    }
}

impl std::error::Error for PasswordFault {}

/// The hashing of passwords, one for the process. Cloning shares its bounds.
#[derive(Clone, Debug)]
pub struct Passwords {
    bridge: Bridge,
    under_way: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

/// Held until the work is done, even when nobody waits for it any more.
struct Place {
    _under_way: OwnedSemaphorePermit,
    _working: OwnedSemaphorePermit,
}

impl Passwords {
    /// Works on this bridge.
    pub fn new(bridge: Bridge) -> Passwords {
        let bound = |places| Arc::new(Semaphore::new(places));
        Passwords { bridge, under_way: bound(UNDER_WAY), working: bound(WORKING) }
    }

    /// A password's hash as a PHC string, with a new salt.
    pub async fn hash(&self, password: String) -> Result<String, PasswordFault> {
        let place = self.place().await?;
        let work = move || {
            let _place = place;
            hash(&password)
        };
        self.bridge.call(work).await.unwrap_or(Err(PasswordFault::Failed))
    }

    /// Whether the password is the one behind `known`, a PHC string. Without one it is not, which takes as long to say.
    pub async fn check(&self, password: String, known: Option<String>) -> Result<bool, PasswordFault> {
        let place = self.place().await?;
        let work = move || {
            let _place = place;
            check(&password, known.as_deref())
        };
        self.bridge.call(work).await.unwrap_or(Err(PasswordFault::Failed))
    }

    async fn place(&self) -> Result<Place, PasswordFault> {
        let under_way = self.under_way.clone().try_acquire_owned().map_err(|_| PasswordFault::Crowded)?;
        let working = self.working.clone().acquire_owned().await.map_err(|_| PasswordFault::Failed)?;
        Ok(Place { _under_way: under_way, _working: working })
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

/// As [`Passwords::hash`], here and now: for a process that serves nobody.
pub fn hash(password: &str) -> Result<String, PasswordFault> {
    let mut salt = [0; RECOMMENDED_SALT_LEN];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| PasswordFault::Failed)?;
    let hash = argon2().hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| PasswordFault::Failed)?;
    Ok(hash.to_string())
}

/// As [`Passwords::check`], here and now.
pub fn check(password: &str, known: Option<&str>) -> Result<bool, PasswordFault> {
    match argon2().verify_password(password.as_bytes(), known.unwrap_or(NOBODYS)) {
        Ok(()) => Ok(known.is_some()),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        // No memory, or a record that is no hash.
        Err(_) => Err(PasswordFault::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, zip};
    use std::future::Future;

    fn with_passwords<T>(test: impl FnOnce(Passwords) -> T) -> T {
        let (bridge, thread) = Bridge::start().unwrap();
        let result = test(Passwords::new(bridge));
        thread.join().unwrap();
        result
    }

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        with_passwords(|passwords| {
            let hashed = |password: &str| block_on(passwords.hash(password.to_owned())).unwrap();
            let checked = |password: &str, known: &str| block_on(passwords.check(password.to_owned(), Some(known.to_owned())));
            let (one, other) = (hashed("correct horse"), hashed("correct horse"));
            assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !one.contains("horse"), "{one}");
            assert_ne!(one, other, "each has a salt of its own");
            assert_eq!(checked("correct horse", &one), Ok(true));
            assert_eq!(checked("correct horse", &other), Ok(true));
            for wrong in ["correct Horse", "correct horse ", ""] {
                assert_eq!(checked(wrong, &one), Ok(false), "{wrong}");
            }
            assert_eq!(checked("correct horse", "no hash"), Err(PasswordFault::Failed));
        });
    }

    #[test]
    fn who_is_unknown_costs_as_much_as_who_is_known() {
        let known = password_hash::phc::PasswordHash::new(&hash("12345678").unwrap()).unwrap();
        let nobodys = password_hash::phc::PasswordHash::new(NOBODYS).unwrap();
        assert_eq!((nobodys.algorithm, nobodys.version, &nobodys.params), (known.algorithm, known.version, &known.params));
        assert_eq!(nobodys.salt.unwrap().len(), known.salt.unwrap().len());
        assert_eq!(nobodys.hash.unwrap().len(), known.hash.unwrap().len());
        assert_eq!(check("12345678", None), Ok(false), "it was hashed, not refused as unreadable");
    }

    #[test]
    fn a_flood_is_refused_and_leaves_nothing_behind() {
        with_passwords(|passwords| {
            let held = passwords.working.clone().try_acquire_many_owned(WORKING as u32).unwrap();
            let mut waiting: Vec<_> = (0..UNDER_WAY).map(|_| Box::pin(passwords.check("12345678".to_owned(), None))).collect();
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(waiting.iter_mut().all(|one| one.as_mut().poll(&mut context).is_pending()));
            assert_eq!(block_on(passwords.check("12345678".to_owned(), None)), Err(PasswordFault::Crowded));
            let (first, last) = (waiting.remove(0), waiting.pop().unwrap());
            drop(waiting);
            drop(held);
            assert_eq!(block_on(zip(first, last)), (Ok(false), Ok(false)));
            assert_eq!(passwords.under_way.available_permits(), UNDER_WAY);
        });
    }
}
