//! Rings that the kernel has no memory for at once (ENOMEM). It takes their pages without waiting until some are free, and what rings of others
//! had locked of a user's memory it gives back only some time after they were closed. Both pass within moments, so a start waits for them.

use std::{
    fmt::Display,
    io, thread,
    time::{Duration, Instant},
};

/// How long memory is waited for, and how long from one try to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    at_most: Duration,
    pause: Duration,
}

/// At the start of a process, where nobody is served yet.
pub(super) const AT_START: Patience = Patience { at_most: Duration::from_secs(3), pause: Duration::from_millis(20) };

impl Patience {
    /// Makes a thing that needs a ring. It is tried again as long as memory is all that is missing and the time is not over; every other fault,
    /// and the last one, is returned. Blocks the thread.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub(super) fn make<T>(self, what: impl Display, mut make: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let (begun, mut is_told) = (Instant::now(), false);
        loop {
            match make() {
                Err(fault) if is_memory(&fault) && begun.elapsed() < self.at_most => {
                    if !is_told {
                        tracing::warn!(%what, %fault, at_most_s = self.at_most.as_secs(), "no memory for a ring: it is tried again for a while");
                    }
                    is_told = true;
                    thread::sleep(self.pause);
                }
                made => {
                    if is_told && made.is_ok() {
                        tracing::info!(%what, after_ms = begun.elapsed().as_millis() as u64, "there is memory for the ring now");
                    }
                    return made;
                }
            }
        }
    }
}

fn is_memory(fault: &io::Error) -> bool {
    fault.kind() == io::ErrorKind::OutOfMemory
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    const QUICK: Patience = Patience { at_most: Duration::from_millis(50), pause: Duration::from_millis(1) };

    /// How often it was tried, and what came of it, where the tries have these ends one after the other and then the last one for ever.
    fn tried(patience: Patience, ends: &[Result<(), Errno>]) -> (usize, io::Result<()>) {
        let mut tries = 0;
        let made = patience.make("a ring of a test", || {
            tries += 1;
            ends[(tries - 1).min(ends.len() - 1)].map_err(io::Error::from)
        });
        (tries, made)
    }

    #[test]
    fn memory_is_waited_for_and_nothing_else() {
        let (tries, made) = tried(AT_START, &[Err(Errno::NOMEM), Err(Errno::NOMEM), Ok(())]);
        assert!(tries == 3 && made.is_ok());
        let (tries, made) = tried(AT_START, &[Err(Errno::NOMEM), Err(Errno::INVAL)]);
        assert_eq!((tries, made.unwrap_err().kind()), (2, io::ErrorKind::InvalidInput));
        let (tries, made) = tried(AT_START, &[Err(Errno::PERM)]);
        assert_eq!((tries, made.unwrap_err().kind()), (1, io::ErrorKind::PermissionDenied));
    }

    #[test]
    fn it_is_not_waited_for_without_end() {
        let begun = Instant::now();
        let (tries, made) = tried(QUICK, &[Err(Errno::NOMEM)]);
        assert!(tries >= 2 && begun.elapsed() >= QUICK.at_most, "{tries} tries");
        assert_eq!(made.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }

    #[test]
    fn a_fault_that_names_its_step_is_known_too() {
        let told = io::Error::new(io::Error::from(Errno::NOMEM).kind(), "io_uring_setup: out of memory");
        let executor = io::Error::from(glommio::GlommioError::<()>::IoError(Errno::NOMEM.into()));
        assert!(is_memory(&told) && is_memory(&executor));
    }
}
