//! The passwords of those who sign in here: Argon2id, on a few threads of their own.
//!
//! A hash takes 19 MiB and some 20 ms of a core, so that nobody guesses quickly; a bound on both waiting and working ones keeps a
//! flood of guesses from the memory and the cores of everybody else. There may be no core to spare, so the threads have a low
//! priority: a shard that has something to do takes the core from them at once.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, RECOMMENDED_SALT_LEN, Version, password_hash};
use rustix::process::setpriority_process;
use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The cost of a hash: OWASP's "Password Storage Cheat Sheet", Argon2id: 19 MiB, two passes, one lane.
const PARAMS: Params = match Params::new(19 * 1024, 2, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("these are right"),
};
/// Hashes that are made at a time, each by a thread.
const WORKING: usize = 2;
/// The niceness of these threads (sched(7)): a tenth of what a shard gets where both want the core all the time, so that nobody waits for
/// ever who signs in to a machine that is full.
const NICENESS: i32 = 10;
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

type Job = Box<dyn FnOnce() + Send>;

/// The hashing of passwords, one for the process. Cloning shares its threads and their bounds; they end when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Passwords {
    jobs: Sender<Job>,
    under_way: Arc<Semaphore>,
}

impl Passwords {
    /// Starts the threads.
    ///
    /// # Errors
    /// A system that gives none.
    pub fn start() -> io::Result<Passwords> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WORKING {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name("passwords".to_owned()).spawn(move || work(&queue))?;
        }
        Ok(Passwords { jobs, under_way: Arc::new(Semaphore::new(UNDER_WAY)) })
    }

    /// A password's hash as a PHC string, with a new salt.
    ///
    /// # Errors
    /// See [`PasswordFault`].
    pub async fn hash(&self, password: String) -> Result<String, PasswordFault> {
        self.call(move || hash(&password)).await
    }

    /// Whether the password is the one behind `known`, a PHC string. Without one it is not, which takes as long to say.
    ///
    /// # Errors
    /// See [`PasswordFault`].
    pub async fn check(&self, password: String, known: Option<String>) -> Result<bool, PasswordFault> {
        self.call(move || check(&password, known.as_deref())).await
    }

    async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, PasswordFault> + Send + 'static,
    ) -> Result<T, PasswordFault> {
        let place = self.under_way.clone().try_acquire_owned().map_err(|_| PasswordFault::Crowded)?;
        let (sender, answer) = oneshot::channel();
        let job = move || {
            // Nobody waits for it any more.
            if sender.is_closed() {
                return;
            }
            let outcome = job();
            // Held until the work is done, even when nobody waits for it by then.
            drop::<OwnedSemaphorePermit>(place);
            let _ = sender.send(outcome);
        };
        self.jobs.send(Box::new(job)).map_err(|_| PasswordFault::Failed)?;
        answer.await.unwrap_or(Err(PasswordFault::Failed))
    }
}

/// One thread's work.
fn work(queue: &Mutex<Receiver<Job>>) {
    // Where that is forbidden hashes are made all the same.
    let _ = setpriority_process(None, NICENESS);
    loop {
        // Whoever waits for a job holds the lock; the other waits for the lock.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
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
        test(Passwords::start().unwrap())
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
            let (open, gate) = channel::<()>();
            let gate = Arc::new(Mutex::new(gate));
            for _ in 0..WORKING {
                let gate = Arc::clone(&gate);
                passwords.jobs.send(Box::new(move || assert!(gate.lock().unwrap().recv().is_err()))).unwrap();
            }
            let mut waiting: Vec<_> = (0..UNDER_WAY).map(|_| Box::pin(passwords.check("12345678".to_owned(), None))).collect();
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(waiting.iter_mut().all(|one| one.as_mut().poll(&mut context).is_pending()));
            assert_eq!(block_on(passwords.check("12345678".to_owned(), None)), Err(PasswordFault::Crowded));
            let (first, last) = (waiting.remove(0), waiting.pop().unwrap());
            // Their places are not free before a thread has seen that nobody waits.
            drop(waiting);
            assert_eq!(block_on(passwords.check("12345678".to_owned(), None)), Err(PasswordFault::Crowded));
            drop(open);
            assert_eq!(block_on(zip(first, last)), (Ok(false), Ok(false)));
            let all = block_on(passwords.under_way.acquire_many(UNDER_WAY as u32));
            assert!(all.is_ok(), "every place is free again");
        });
    }

    #[test]
    fn hashes_give_way_to_everything_else() {
        with_passwords(|passwords| {
            let niceness = passwords.call(|| rustix::process::getpriority_process(None).map_err(|_| PasswordFault::Failed));
            assert_eq!(block_on(niceness), Ok(NICENESS));
            assert_ne!(rustix::process::getpriority_process(None), Ok(NICENESS), "of those threads alone");
        });
    }
}
