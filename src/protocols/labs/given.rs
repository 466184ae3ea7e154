//! What names, quantities and the like may be: one rule for those who ask over REST, the settings and the shell.

use super::{idle, model::Template};

/// What is expected of a name.
pub const NAME: &str = "Expected 1 to 64 letters, digits and . _ -";
/// What is expected of an idle timeout.
pub const IDLE: &str = "Expected a time such as 30m, 1h30m or 90s";
/// What is expected of an amount of memory.
pub const MEMORY: &str = "Expected a quantity such as 2Gi or 512Mi";
/// What is expected of an amount of CPU.
pub const CPU: &str = "Expected a quantity such as 1000m or 2";
/// What is expected of tags.
pub const TAGS: &str = "Expected at most 32 texts of 1 to 64 characters without commas";
/// What is expected of an address.
pub const EMAIL: &str = "Expected an address such as name@example.com";
/// What is expected of the address of a picture.
pub const PICTURE: &str = "Expected at most 2000 characters without spaces: an http or https address, or one without a scheme";
/// What is expected of a password.
pub const PASSWORD: &str = "Expected 8 to 200 characters";

/// Of users, templates, platforms and regions.
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// As [`idle::parse`] reads it.
pub fn is_idle(text: &str) -> bool {
    idle::parse(text).is_some()
}

/// Bytes, with or without a unit.
pub fn is_memory(text: &str) -> bool {
    is_quantity(text, &["", "k", "K", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"])
}

/// Cores, or thousandths of one.
pub fn is_cpu(text: &str) -> bool {
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
pub fn are_tags(tags: &[String]) -> bool {
    tags.len() <= 32 && tags.iter().all(|tag| has_chars(tag, 1, 64) && !tag.contains(','))
}

/// An address of mail, as far as one can see.
pub fn is_email(text: &str) -> bool {
    let plain = text.chars().all(|letter| !letter.is_whitespace() && !letter.is_control());
    plain && text.len() <= 254 && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

/// Where a page may take a picture from: nothing that a browser would run. An address without a scheme is of the page's own.
pub fn is_picture(url: &str) -> bool {
    let is_plain = |letter: char| !letter.is_whitespace() && !letter.is_control();
    // A scheme ends at the first colon, unless the path, the query or the fragment has begun (RFC 3986, 4.2).
    let scheme = url.split(['/', '?', '#']).next().and_then(|start| start.split_once(':')).map(|(scheme, _)| scheme);
    let is_known = scheme.is_none_or(|scheme| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)));
    has_chars(url, 0, 2000) && url.chars().all(is_plain) && is_known
}

/// Long enough, and no longer than anyone types.
pub fn is_password(text: &str) -> bool {
    has_chars(text, 8, 200)
}

/// Whether a text has so many characters.
pub fn has_chars(text: &str, least: usize, most: usize) -> bool {
    // No text has more characters than bytes, or less than a fourth.
    text.len() <= most * 4 && (least..=most).contains(&text.chars().count())
}

/// What is wrong with a template: the whole name of the first such field, and what is expected there.
pub fn template_flaw(template: &Template) -> Option<(&'static str, &'static str)> {
    const TEXT: &str = "The text is too long";
    let Template { default_resources: resources, vnc, .. } = template;
    let image = &template.base_image;
    let image = has_chars(image, 1, 500) && !image.chars().any(|letter| letter.is_whitespace() || letter.is_control());
    let checks = [
        ("name", is_name(&template.name), NAME),
        ("base_image", image, "Expected 1 to 500 characters without spaces"),
        ("tags", are_tags(&template.tags), TAGS),
        ("display_name", has_chars(&template.display_name, 0, 200), TEXT),
        ("category", has_chars(&template.category, 0, 100), TEXT),
        ("description", has_chars(&template.description, 0, 4000), TEXT),
        ("icon_url", template.icon_url.as_deref().is_none_or(is_picture), PICTURE),
        ("default_resources.memory", is_memory(&resources.memory), MEMORY),
        ("default_resources.cpu", is_cpu(&resources.cpu), CPU),
        ("default_resources.storage", resources.storage.as_deref().is_none_or(is_memory), MEMORY),
        ("vnc.port", vnc.port != 0, "Expected a port from 1 to 65535"),
        ("vnc.resolution", vnc.resolution.as_deref().is_none_or(is_resolution), "Expected a size such as 1920x1080"),
        ("environment", is_environment(template), "Expected at most 100 names without = and texts of at most 4000 characters"),
        ("idle_timeout", is_idle(&template.idle_timeout), IDLE),
    ];
    checks.into_iter().find(|(_, holds, _)| !holds).map(|(field, _, expected)| (field, expected))
}

fn is_resolution(text: &str) -> bool {
    let side = |text: &str| text.parse::<u16>().is_ok_and(|side| (1..=16_384).contains(&side));
    text.split_once('x').is_some_and(|(width, height)| side(width) && side(height))
}

fn is_environment(template: &Template) -> bool {
    let is_plain = |text: &str, least, most| has_chars(text, least, most) && !text.contains('\0');
    let suits = |(name, value): (&String, &String)| is_plain(name, 1, 200) && !name.contains('=') && is_plain(value, 0, 4000);
    template.environment.len() <= 100 && template.environment.iter().all(suits)
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
    fn a_picture_is_nothing_that_runs() {
        let most = "x".repeat(2000);
        let good = [
            "https://cdn.example/a.svg",
            "HTTP://x:80/y?z:1#q",
            "/icons/a.png",
            "//cdn.example/a",
            "icons/a:b.png",
            "?a:b",
            "a.png",
            "",
            &most,
        ];
        let bad = [
            "javascript:alert(1)",
            "JavaScript:x",
            "data:image/svg+xml,x",
            "java\tscript:x",
            " https://x",
            "ftp://x",
            ":x",
            "file:///x",
            "https ://x",
            "a\u{1}b",
            "vbscript:x",
            &"x".repeat(2001),
        ];
        holds(is_picture, &good, &bad);
    }

    #[test]
    fn tags() {
        let tags = |tags: &[&str]| are_tags(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        assert!(tags(&[]) && tags(&["project-alpha", "é"]) && tags(&["x"; 32]));
        assert!(!tags(&[""]) && !tags(&["a,b"]) && !tags(&["x"; 33]) && !tags(&[&"x".repeat(65)]));
    }
}
