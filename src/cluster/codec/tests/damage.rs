//! Bytes that nobody wrote: random ones, and written ones that were changed.

use super::*;

/// Steele, Lea and Flood's SplitMix64.
struct Dice(u64);

impl Dice {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.number() % end.max(1) as u64) as usize
    }

    /// Some bytes are changed, some are taken out or put in, or the end is cut off.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let place = self.below(bytes.len());
            match self.below(10) {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, self.number() as u8),
                2 if !bytes.is_empty() => drop(bytes.remove(place)),
                3 => bytes.iter_mut().skip(place).take(4).for_each(|byte| *byte = 0xff),
                _ => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte = self.number() as u8),
            }
        }
    }
}

#[test]
fn letters_that_were_changed_are_read_or_refused_and_never_more_than_their_bytes_can_be() {
    let mut dice = Dice(1);
    let mut refused = 0;
    let samples = samples::all();
    for round in 0..4000 {
        let mut letters = Letters::default();
        let first = dice.below(samples.len());
        samples::all().into_iter().skip(first).take(3).for_each(|letter| letters.push(FROM, TO, letter));
        let mut body = letters.write().unwrap().to_vec();
        dice.change(&mut body);
        match read_letters(&body) {
            Ok(letters) => assert!(letters.len() <= LETTERS_AT_MOST.min(body.len() / 4), "round {round}"),
            Err(why) => {
                assert_eq!(why, Unreadable::Damaged);
                refused += 1;
            }
        }
    }
    assert!((500..4000).contains(&refused), "{refused}");
}

#[test]
fn random_bytes_are_no_letters_and_no_packet() {
    let mut dice = Dice(2);
    for _ in 0..20_000 {
        let length = dice.below(300);
        let bytes: Vec<u8> = (0..length).map(|_| dice.number() as u8 >> dice.below(8)).collect();
        let _either = read_letters(&bytes);
        assert!(read_packet(bytes.into()).is_err());
    }
}

#[test]
fn any_change_of_a_packet_is_found() {
    let message = write_packet(&Packet { header: header(), body: Bytes::from_static(b"letters") });
    for place in 0..message.len() {
        for bit in 0..8 {
            let mut damaged = message.to_vec();
            damaged[place] ^= 1 << bit;
            let version = u16::from_le_bytes([damaged[0], damaged[1]]);
            let expected = if place < 2 { Unreadable::Version(version) } else { Unreadable::Damaged };
            assert_eq!(read_packet(damaged.into()), Err(expected));
        }
        assert_eq!(read_packet(message.slice(..place)), Err(Unreadable::Damaged));
    }
    let long = [&message[..], &vec![0; MESSAGE_BYTES_AT_MOST]].concat();
    assert_eq!(read_packet(long.into()), Err(Unreadable::TooLong));
}
