//! Limits of requests: how many each window of the contract lets through, counted by the home of each key.

use super::{
    asks::{LimitKey, Reply, Window},
    settings::Settings,
};
use crate::realtime::{
    Now,
    quota::{Quota, network},
};

/// The windows that have their home on this shard.
pub struct Limits {
    allowed: [u32; 4],
    counts: Quota<(LimitKey, Window)>,
}

/// Whom a request without a user is counted by.
pub fn address(mapped: u128) -> LimitKey {
    LimitKey::Address(network(mapped))
}

fn allowed(settings: &Settings) -> [u32; 4] {
    [settings.logins_a_minute, settings.creations_a_minute, settings.agent_requests_a_minute, settings.requests_a_minute]
}

impl Limits {
    /// Nobody has asked for anything. `seed` keeps the places of keys from being guessed.
    pub fn new(settings: &Settings, seed: u64) -> Limits {
        Limits { allowed: allowed(settings), counts: Quota::new(seed) }
    }

    /// From now on these count; what was counted stays.
    pub fn reform(&mut self, settings: &Settings) {
        self.allowed = allowed(settings);
    }

    /// One more request: always [`Reply::Limit`]. One that was too many does not lengthen its window.
    pub fn ask(&mut self, key: LimitKey, window: Window, now: Now) -> Reply {
        let limit = self.allowed[match window {
            Window::Login => 0,
            Window::Create => 1,
            Window::Agent => 2,
            Window::Other => 3,
        }];
        let counted = self.counts.count((key, window), limit, now);
        Reply::Limit { limit, remaining: counted.remaining, reset: counted.reset }
    }

    /// How many windows are counted.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::{Moment, UnixMicros};
    use uuid::Uuid;

    const WALL: i64 = 1_700_000_000;

    fn at(micros: u64) -> Now {
        Now { moment: Moment(5_000_000 + micros), wall: UnixMicros(WALL * 1_000_000 + micros as i64) }
    }

    fn user(n: u128) -> LimitKey {
        LimitKey::User(Uuid::from_u128(n))
    }

    fn left(reply: &Reply) -> Option<u32> {
        let Reply::Limit { remaining, .. } = reply else { panic!("{reply:?}") };
        *remaining
    }

    #[test]
    fn the_sixth_login_of_a_minute_is_too_many() {
        let mut limits = Limits::new(&Settings::default(), 1);
        let left: Vec<_> = (0..7).map(|n| left(&limits.ask(user(1), Window::Login, at(n)))).collect();
        assert_eq!(left, [Some(4), Some(3), Some(2), Some(1), Some(0), None, None]);
    }

    #[test]
    fn each_window_has_the_limit_of_the_contract() {
        for (window, allowed) in [(Window::Login, 5), (Window::Create, 10), (Window::Other, 100)] {
            let mut limits = Limits::new(&Settings::default(), 1);
            let through = (0..200).filter(|_| left(&limits.ask(user(1), window, at(0))).is_some()).count();
            assert_eq!(through, allowed);
            assert_eq!(
                limits.ask(user(1), window, at(0)),
                Reply::Limit { limit: allowed as u32, remaining: None, reset: WALL + 60 }
            );
        }
    }

    #[test]
    fn windows_keys_and_users_are_apart() {
        let mut limits = Limits::new(&Settings::default(), 1);
        for _ in 0..5 {
            limits.ask(user(1), Window::Login, at(0));
        }
        assert_eq!(left(&limits.ask(user(1), Window::Login, at(0))), None);
        assert_eq!(left(&limits.ask(user(1), Window::Create, at(0))), Some(9));
        assert_eq!(left(&limits.ask(user(2), Window::Login, at(0))), Some(4));
        assert_eq!(left(&limits.ask(LimitKey::Address(1), Window::Login, at(0))), Some(4));
    }

    #[test]
    fn a_window_is_over_in_the_second_that_was_told_and_not_before() {
        let mut limits = Limits::new(&Settings::default(), 1);
        for _ in 0..9 {
            limits.ask(user(1), Window::Login, at(750_000));
        }
        assert_eq!(
            limits.ask(user(1), Window::Login, at(59_999_999)),
            Reply::Limit { limit: 5, remaining: None, reset: WALL + 60 }
        );
        assert_eq!(
            limits.ask(user(1), Window::Login, at(60_000_000)),
            Reply::Limit { limit: 5, remaining: Some(4), reset: WALL + 120 }
        );
    }

    #[test]
    fn a_clock_that_is_set_back_lengthens_no_window() {
        let mut limits = Limits::new(&Settings::default(), 1);
        for _ in 0..6 {
            limits.ask(user(1), Window::Login, at(0));
        }
        let back = Now { wall: UnixMicros(0), ..at(60_000_000) };
        assert_eq!(limits.ask(user(1), Window::Login, back), Reply::Limit { limit: 5, remaining: Some(4), reset: 60 });
    }

    #[test]
    fn who_comes_again_when_told_finds_the_window_over_also_when_the_clock_was_set() {
        for leap in [-3600, -1, 1, 3600] {
            let mut limits = Limits::new(&Settings::default(), 1);
            limits.ask(user(1), Window::Login, at(0));
            let after = |micros: u64| Now { wall: UnixMicros(at(micros).wall.0 + leap * 1_000_000), ..at(micros) };
            let Reply::Limit { reset, .. } = limits.ask(user(1), Window::Login, after(20_000_000)) else { panic!() };
            assert_eq!(reset - after(20_000_000).wall.seconds(), 40, "{leap}");
        }
    }

    #[test]
    fn an_ipv6_network_is_one() {
        assert_eq!(address(0xffff_0a00_0001), LimitKey::Address(0xffff_0a00_0001));
        assert_ne!(address(0xffff_0a00_0001), address(0xffff_0a00_0002));
        let network = 0x2001_0db8_0000_0001_u128 << 64;
        assert_eq!(address(network | 5), address(network | 6));
        assert_ne!(address(network), address(0x2001_0db8_0000_0002_u128 << 64));
    }
}
