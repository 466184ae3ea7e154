//! When the keys of an issuer are read again: one read at a time, when the issuer's word on them has run out, sooner when a token names a
//! key that nobody knows, and less and less often while reading fails.

use crate::realtime::Moment;
use std::time::Duration;

/// However long an issuer says that its keys may be kept, they are read again in this time: a key that it takes back must go.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The times that somebody may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefreshTimes {
    /// The shortest time from the beginning of one read to that of the next, whoever wants it: strangers name unknown keys too.
    pub pause: Duration,
    /// How long keys are kept where the issuer does not say.
    pub usual: Duration,
}

/// See the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refresh {
    times: RefreshTimes,
    /// When the read that is under way or was last began.
    begun: Option<Moment>,
    is_reading: bool,
    due: Moment,
    /// How many reads in a row have failed.
    failures: u32,
}

impl Refresh {
    /// The first read is due at once.
    pub fn new(times: RefreshTimes, now: Moment) -> Refresh {
        Refresh { times, begun: None, is_reading: false, due: now, failures: 0 }
    }

    /// A token named a key that nobody knows. While a read is under way it is the next one's business.
    pub fn wanted(&mut self) {
        if let (false, Some(begun)) = (self.is_reading, self.begun) {
            self.due = self.due.min(begun + self.times.pause);
        }
    }

    /// Whether a read begins now. One that has begun is followed by [`Refresh::read`] or [`Refresh::failed`], and by no other meanwhile.
    pub fn begin(&mut self, now: Moment) -> bool {
        if self.is_reading || now < self.due {
            return false;
        }
        (self.is_reading, self.begun) = (true, Some(now));
        true
    }

    /// The read was right; the issuer says how long it is good for, or does not.
    pub fn read(&mut self, good_for: Option<Duration>, now: Moment) {
        (self.is_reading, self.failures) = (false, 0);
        let longest = LONGEST.max(self.times.pause);
        self.due = now + good_for.unwrap_or(self.times.usual).clamp(self.times.pause, longest);
    }

    /// The read failed: the next comes after the pause, and after twice as long each time that it fails again.
    pub fn failed(&mut self, now: Moment) {
        self.is_reading = false;
        let longer = self.times.pause.saturating_mul(1 << self.failures.min(16));
        self.due = now + longer.min(self.times.usual.max(self.times.pause));
        self.failures = self.failures.saturating_add(1);
    }

    /// How many reads in a row have failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// How long an answer may be kept by its `Cache-Control` (RFC 9111, section 5.2.2): `max-age` in whole seconds. `None`: it does not say, or
/// says something else before.
pub fn max_age(cache_control: &str) -> Option<Duration> {
    let mut age = None;
    for directive in cache_control.split(',').map(str::trim) {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache") {
            return None;
        }
        let Some((name, value)) = directive.split_once('=') else { continue };
        if name.trim_end().eq_ignore_ascii_case("max-age") {
            let digits = value.trim().trim_matches('"');
            let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            // More than fits is as long as can be.
            age = is_number.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::from(u32::MAX))));
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: RefreshTimes = RefreshTimes { pause: Duration::from_secs(10), usual: Duration::from_secs(600) };

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000)
    }

    /// The next second from `from` on in which a read begins.
    fn next(refresh: &mut Refresh, from: u64) -> u64 {
        (from..=from + 200_000).find(|second| refresh.begin(at(*second))).expect("it is never read again")
    }

    #[test]
    fn one_read_at_a_time_and_the_first_at_once() {
        let mut refresh = Refresh::new(TIMES, at(5));
        assert!(refresh.begin(at(5)));
        for second in [5, 6, 100, 100_000] {
            refresh.wanted();
            assert!(!refresh.begin(at(second)), "one is under way");
        }
        refresh.read(None, at(7));
        assert_eq!(next(&mut refresh, 7), 607);
    }

    #[test]
    fn an_unknown_key_has_it_read_after_the_pause_and_no_sooner() {
        let mut refresh = Refresh::new(TIMES, at(0));
        assert!(refresh.begin(at(0)));
        refresh.read(None, at(1));
        // A storm of unknown keys: one read in each pause.
        let mut begun = Vec::new();
        for second in 1..60 {
            refresh.wanted();
            if refresh.begin(at(second)) {
                begun.push(second);
                refresh.read(None, at(second));
            }
        }
        assert_eq!(begun, [10, 20, 30, 40, 50]);
        // Long after the last read it is at once.
        assert!(refresh.begin(at(60)));
        refresh.read(None, at(60));
        assert!(!refresh.begin(at(300)));
        refresh.wanted();
        assert!(refresh.begin(at(300)));
    }

    #[test]
    fn the_issuers_word_counts_within_bounds() {
        for (said, expected) in [(Some(120), 120), (Some(0), 10), (Some(3), 10), (Some(10_000_000), 24 * 3600), (None, 600)] {
            let mut refresh = Refresh::new(TIMES, at(0));
            assert!(refresh.begin(at(0)));
            refresh.read(said.map(Duration::from_secs), at(0));
            assert_eq!(next(&mut refresh, 0), expected, "{said:?}");
        }
    }

    #[test]
    fn failures_are_tried_again_less_and_less_often_and_forgotten_by_one_that_is_right() {
        let mut refresh = Refresh::new(TIMES, at(0));
        let (mut second, mut waits) = (0, Vec::new());
        for _ in 0..9 {
            let begun = next(&mut refresh, second);
            waits.push(begun - second);
            refresh.failed(at(begun));
            second = begun;
        }
        assert_eq!((waits, refresh.failures()), (vec![0, 10, 20, 40, 80, 160, 320, 600, 600], 9));
        // An unknown key does not wait so long.
        refresh.wanted();
        assert_eq!(next(&mut refresh, second), second + 10);
        refresh.read(None, at(second + 10));
        assert_eq!((next(&mut refresh, second), refresh.failures()), (second + 610, 0));
    }

    #[test]
    fn a_pause_longer_than_all_else_holds() {
        let times = RefreshTimes { pause: Duration::from_secs(200_000), usual: Duration::from_secs(1) };
        let mut refresh = Refresh::new(times, at(0));
        assert!(refresh.begin(at(0)));
        refresh.read(Some(Duration::from_secs(5)), at(0));
        assert_eq!(next(&mut refresh, 0), 200_000);
        refresh.failed(at(200_000));
        assert_eq!(next(&mut refresh, 200_001), 400_000);
    }

    #[test]
    fn cache_control_is_read_as_it_is_meant() {
        for (said, expected) in [
            ("max-age=300", Some(300)),
            ("public, Max-Age=300, must-revalidate", Some(300)),
            ("max-age = \"60\"", Some(60)),
            ("max-age=0", Some(0)),
            ("s-maxage=10", None),
            ("max-age", None),
            ("max-age=", None),
            ("max-age=-1", None),
            ("max-age=1.5", None),
            ("max-age=99999999999999999999999", Some(u64::from(u32::MAX))),
            ("max-age=300, no-store", None),
            ("no-cache, max-age=300", None),
            ("", None),
        ] {
            assert_eq!(max_age(said), expected.map(Duration::from_secs), "{said}");
        }
    }
}
