//! What names, quantities and the like may be.

use super::rooms::Chance;
use crate::protocols::labs::idle;
use uuid::{Builder, Uuid};

pub(super) const NAME: &str = "Expected 1 to 64 letters, digits and . _ -";
pub(super) const IDLE: &str = "Expected a time such as 30m, 1h30m or 90s";
pub(super) const MEMORY: &str = "Expected a quantity such as 2Gi or 512Mi";
pub(super) const CPU: &str = "Expected a quantity such as 1000m or 2";
pub(super) const TAGS: &str = "Expected at most 32 texts of 1 to 64 characters without commas";
pub(super) const EMAIL: &str = "Expected an address such as name@example.com";
pub(super) const PASSWORD: &str = "Expected 8 to 200 characters";

/// Of users, templates, platforms and regions.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

pub(super) fn is_idle(text: &str) -> bool {
    idle::parse(text).is_some()
}

/// Bytes, with or without a unit.
pub(super) fn is_memory(text: &str) -> bool {
    is_quantity(text, &["", "k", "K", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"])
}

/// Cores, or thousandths of one.
pub(super) fn is_cpu(text: &str) -> bool {
    is_quantity(text, &["", "m"])
}

fn is_quantity(text: &str, units: &[&str]) -> bool {
    let digits = |text: &str| (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let end = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    digits(whole) && digits(part) && units.contains(&unit) && number.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// Tags are filtered by lists with commas, so that none has one.
pub(super) fn are_tags(tags: &[String]) -> bool {
    tags.len() <= 32 && tags.iter().all(|tag| has_chars(tag, 1, 64) && !tag.contains(','))
}

pub(super) fn is_email(text: &str) -> bool {
    let plain = text.chars().all(|letter| !letter.is_whitespace() && !letter.is_control());
    plain && text.len() <= 254 && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

pub(super) fn is_password(text: &str) -> bool {
    has_chars(text, 8, 200)
}

/// Whether a text has so many characters.
pub(super) fn has_chars(text: &str, least: usize, most: usize) -> bool {
    // No text has more characters than bytes, or less than a fourth.
    text.len() <= most * 4 && (least..=most).contains(&text.chars().count())
}

/// A random id.
pub(super) fn v4(house: &impl Chance) -> Uuid {
    let mut bytes = [0; 16];
    house.fill(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(suits: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        good.iter().for_each(|text| assert!(suits(text), "{text}"));
        bad.iter().for_each(|text| assert!(!suits(text), "{text}"));
    }

    #[test]
    fn names_quantities_and_addresses() {
        holds(is_name, &["a", "john.doe", "a_b-C9", &"x".repeat(64)], &["", "a b", "é", "a/b", &"x".repeat(65)]);
        holds(
            is_memory,
            &["2Gi", "512Mi", "1.5Gi", "1000000", "2G", "64k"],
            &["", "Gi", "2gi", "-1Gi", "0Gi", "2 Gi", "1.Gi", "1e3", "2m"],
        );
        holds(is_cpu, &["1000m", "2", "0.5"], &["", "m", "1M", "0", "1.5.5", "½", "2Gi"]);
        holds(is_email, &["a@b", "john.doe@example.com"], &["", "a", "@b", "a@", "a b@c", "a@b\n"]);
        holds(is_password, &["password", "pässwört"], &["", "passwor", "ööööööö", &"x".repeat(201)]);
        holds(is_idle, &["30m", "1h30m", "90s"], &["", "30", "soon"]);
    }

    #[test]
    fn tags() {
        let tags = |tags: &[&str]| are_tags(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        assert!(tags(&[]) && tags(&["project-alpha", "é"]) && tags(&["x"; 32]));
        assert!(!tags(&[""]) && !tags(&["a,b"]) && !tags(&["x"; 33]) && !tags(&[&"x".repeat(65)]));
    }
}
