//! New ids and codes, from randomness and the clock of the house; and times as clients write them.

use super::rooms::Chance;
use crate::{http::rooms::Clock, realtime::UnixMicros};
use aws_lc_rs::digest;
use uuid::{Builder, Uuid};

/// Without what is mistaken for another: 0 and O, 1 and I.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// 40 bits: at ten thousand guesses a second, more than a year for one code.
const CODE_LETTERS: usize = 8;

/// A random id.
pub(super) fn v4(house: &impl Chance) -> Uuid {
    Builder::from_random_bytes(random(house)).into_uuid()
}

/// A random id that begins with the time.
pub(super) fn v7(house: &(impl Chance + Clock)) -> Uuid {
    let millis = u64::try_from(house.now().0.div_euclid(1_000)).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &random(house)).into_uuid()
}

/// An id that is made of these parts, in this order: the same each time, and nobody else's.
pub(super) fn v8(parts: &[&[u8]]) -> Uuid {
    let mut digest = digest::Context::new(&digest::SHA256);
    for part in parts {
        digest.update(&part.len().to_be_bytes());
        digest.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finish().as_ref()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// A code that people read to each other.
pub(super) fn access_code(house: &impl Chance) -> String {
    let random: [u8; CODE_LETTERS] = random(house);
    random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// So many bytes.
pub(super) fn random<const N: usize>(house: &impl Chance) -> [u8; N] {
    let mut bytes = [0; N];
    house.fill(&mut bytes);
    bytes
}

/// RFC 3339, 5.6, and nothing else that looks like a time.
pub(super) fn moment(text: &str) -> Option<UnixMicros> {
    const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
    let (head, tail) = text.as_bytes().split_at_checked(SHAPE.len())?;
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte.eq_ignore_ascii_case(shape) };
    if !head.iter().zip(SHAPE).all(fits) || !is_fraction_and_offset(tail) {
        return None;
    }
    text.parse().ok().map(|time: jiff::Timestamp| UnixMicros(time.as_microsecond()))
}

fn is_fraction_and_offset(tail: &[u8]) -> bool {
    let offset = match tail.strip_prefix(b".") {
        None => tail,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            &fraction[digits..]
        }
    };
    match offset {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', hour @ .., b':', _, _] => hour.len() == 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Dice(Cell<u8>);

    impl Chance for Dice {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.get();
                self.0.set(self.0.get().wrapping_add(37));
            }
        }
    }

    impl Clock for Dice {
        fn now(&self) -> UnixMicros {
            UnixMicros(1_767_323_045_123_456)
        }
    }

    #[test]
    fn ids_say_their_version_and_the_time() {
        let house = Dice(Cell::new(3));
        assert_eq!(v4(&house).get_version_num(), 4);
        assert_ne!(v4(&house), v4(&house));
        let id = v7(&house);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_timestamp().unwrap().to_unix(), (1_767_323_045, 123_000_000));
        assert_ne!(id, v7(&house));
    }

    #[test]
    fn an_id_is_that_of_its_parts() {
        let id = v8(&[b"one", b"two"]);
        assert_eq!((id.get_version_num(), v8(&[b"one", b"two"])), (8, id));
        for other in [&[&b"onet"[..], b"wo"][..], &[b"one", b"", b"two"], &[b"two", b"one"], &[b"onetwo"]] {
            assert_ne!(v8(other), id);
        }
    }

    #[test]
    fn codes_are_of_letters_that_differ() {
        let house = Dice(Cell::new(0));
        let code = access_code(&house);
        assert_eq!(code.len(), 8);
        assert!(code.bytes().all(|letter| LETTERS.contains(&letter)));
        assert_ne!(code, access_code(&house));
        assert_eq!(LETTERS.iter().collect::<std::collections::BTreeSet<_>>().len(), 32);
    }

    #[test]
    fn moments_are_rfc_3339() {
        let expected = Some(UnixMicros(1_767_323_045_000_000));
        for text in
            ["2026-01-02T03:04:05Z", "2026-01-02t03:04:05z", "2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05.000000000-00:00"]
        {
            assert_eq!(moment(text), expected, "{text}");
        }
        assert_eq!(moment("2026-01-02T03:04:05.5Z"), Some(UnixMicros(1_767_323_045_500_000)));
        for text in [
            "",
            "1767323045",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04Z",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.1234567890Z",
            "2026-01-02T03:04:05+2:00",
            "2026-01-02T03:04:05+0200",
            "2026-01-02T03:04:05+xx:00",
            "2026-01-02T03:04:05Z[UTC]",
            "+002026-01-02T03:04:05Z",
            "2026-01-02T03:04:05é",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
