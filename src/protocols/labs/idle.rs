//! `idle_timeout`: `30m`, `1h30m`, `90s`.

use std::time::Duration;

/// No longer than this.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Reads hours, minutes and seconds, in this order, each at most once, at least one of them: whole numbers of at most nine digits.
/// Nothing at all (`0s`) means never. None: it is something else, or longer than [`LONGEST`].
pub fn parse(text: &str) -> Option<Duration> {
    let mut units = [('h', 3600), ('m', 60), ('s', 1)].into_iter();
    let (mut rest, mut seconds) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).filter(|_| (1..=9).contains(&digits))?;
        let unit = after.chars().next()?;
        let (_, each) = units.find(|(name, _)| *name == unit)?;
        seconds += number.parse::<u64>().ok()? * each;
        rest = &after[1..];
    }
    let duration = Duration::from_secs(seconds);
    (!text.is_empty() && duration <= LONGEST).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("30m", 1800),
            ("1h30m", 5400),
            ("90s", 90),
            ("1h", 3600),
            ("2h0m5s", 7205),
            ("0s", 0),
            ("1h5s", 3605),
            ("8784h", 31_622_400),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for text in
            ["", "30", "m", "30 m", "-5m", "30m1h", "1m1m", "1.5h", "5d", "30M", "9999999999s", "8785h", "１m", "5m ", "é", "1é"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_may_be_said(text in ".{0,12}") {
            parse(&text);
        }

        #[test]
        fn what_is_written_is_read(hours in 0_u64..8000, minutes in 0_u64..1000, seconds in 0_u64..1000) {
            let expected = Duration::from_secs(hours * 3600 + minutes * 60 + seconds);
            prop_assert_eq!(parse(&format!("{hours}h{minutes}m{seconds}s")), Some(expected));
        }
    }
}
