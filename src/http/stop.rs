//! The end of service, told to every connection of a shard: finish the request in hand, then close.

use tokio::sync::watch;

/// Tells it. Dropping it tells it too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Hears it. Each connection has a clone; it may come from another thread.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    /// A stopper and what hears it.
    pub fn new() -> (Stopper, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Stop(receiver))
    }

    /// Says it, once and for all.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether it has been said.
    pub fn said(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits for it; at once when it has been said.
    pub async fn heard(mut self) {
        // An error means that the stopper is gone, and with it the service.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use std::pin::pin;

    #[test]
    fn it_is_heard_once_it_is_said_by_all_and_also_later() {
        let (stopper, stop) = Stopper::new();
        let mut early = pin!(stop.clone().heard());
        assert!(block_on(poll_once(early.as_mut())).is_none() && !stop.said());
        stopper.stop();
        assert!(block_on(poll_once(early)).is_some() && stop.said());
        assert!(block_on(poll_once(stop.heard())).is_some());
    }

    #[test]
    fn a_stopper_that_is_gone_has_said_it() {
        let (stopper, stop) = Stopper::new();
        drop(stopper);
        assert!(stop.said());
        block_on(stop.heard());
    }
}
