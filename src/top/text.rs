//! Text and numbers as a terminal may show them.

use ratatui::text::Span;

/// What stands for a character that is not shown.
const HIDDEN: char = '\u{fffd}';

/// A text of others as one line that does nothing to a terminal: control characters, and those that hide or turn others, are replaced.
pub fn clean(text: &str) -> String {
    text.chars().map(|own| if is_hidden(own) { HIDDEN } else { own }).collect()
}

/// JSON with such characters written as escapes: the same value, and nothing that a terminal would obey.
pub fn escaped(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for own in json.chars() {
        if is_hidden(own) && own != '\n' {
            let mut units = [0; 2];
            own.encode_utf16(&mut units).iter().for_each(|unit| safe += &format!("\\u{unit:04x}"));
        } else {
            safe.push(own);
        }
    }
    safe
}

fn is_hidden(own: char) -> bool {
    own.is_control()
        || matches!(own,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Columns that it takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// As much of it as has room, with a sign where something is left out.
pub(super) fn fitted(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for own in text.chars() {
        kept.push(own);
        if width(&kept) + 1 > room {
            kept.pop();
            break;
        }
    }
    if room > 0 { kept + "…" } else { String::new() }
}

/// Lines of so many columns at most; words are kept whole where they fit.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        if !last.is_empty() && width(last) + 1 + width(word) <= room {
            *last = format!("{last} {word}");
            continue;
        }
        if !last.is_empty() {
            lines.push(String::new());
        }
        for own in word.chars() {
            let last = lines.last_mut().expect("there is always a line");
            if !last.is_empty() && width(last) + width(own.encode_utf8(&mut [0; 4])) > room {
                lines.push(own.to_string());
            } else {
                last.push(own);
            }
        }
    }
    lines
}

/// A whole number in so many columns: in groups of three where that fits, else rounded.
pub(super) fn count(number: u64, room: usize) -> String {
    let whole = grouped(number);
    if whole.len() <= room {
        return whole;
    }
    let (mut value, mut sign) = (number as f64, "");
    for larger in ["k", "M", "G", "T"] {
        // What would be rounded to a thousand is one of the next.
        if value < 999.5 {
            break;
        }
        (value, sign) = (value / 1000.0, larger);
    }
    let short = format!("{value:.0}{sign}");
    let fine = format!("{value:.1}{sign}");
    if fine.len() <= room && value < 100.0 { fine } else { short }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many a second: with a tenth below ten.
pub(super) fn rate(value: f64, room: usize) -> String {
    if value > 0.0 && value < 9.95 { format!("{value:.1}") } else { count(value.max(0.0).round() as u64, room) }
}

/// A part of one, in hundredths.
pub(super) fn share(value: f64) -> String {
    let percent = value * 100.0;
    if percent > 0.0 && percent < 9.95 { format!("{percent:.1}%") } else { format!("{percent:.0}%") }
}

/// An amount of memory.
pub(super) fn bytes(amount: u64) -> String {
    let (mut value, mut unit) = (amount as f64, "B");
    for larger in ["KiB", "MiB", "GiB"] {
        if value < 1023.5 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" || value >= 99.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A time in its two largest units.
pub fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let planted = "a\x1b[2Jb\u{9b}31mc\u{7f}\r\n\u{202e}d\u{200b}\u{e0041}é学";
        let shown = clean(planted);
        assert_eq!(shown, "a\u{fffd}[2Jb\u{fffd}31mc\u{fffd}\u{fffd}\u{fffd}\u{fffd}d\u{fffd}\u{fffd}é学");
        let json = serde_json::to_string(&[planted]).unwrap();
        let safe = escaped(&json);
        assert!(!safe.chars().any(is_hidden), "{safe:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&safe).unwrap(), [planted], "and it says the same");
    }

    #[test]
    fn a_text_is_cut_by_the_columns_it_takes() {
        let cut = |text, room| fitted(text, room);
        assert_eq!([cut("anna", 4), cut("anna", 3), cut("anna", 1), cut("anna", 0)], ["anna", "an…", "…", ""]);
        assert_eq!(cut("学学学", 4), "学…");
    }

    #[test]
    fn lines_are_broken_between_words_and_else_anywhere() {
        assert_eq!(wrapped("the store is busy", 9), ["the store", "is busy"]);
        assert_eq!(wrapped("aaaaaaa b", 3), ["aaa", "aaa", "a b"]);
        assert_eq!(wrapped("", 3), [""]);
        assert_eq!(wrapped("ab", 0), ["a", "b"]);
    }

    #[test]
    fn numbers_have_as_many_digits_as_there_is_room_for() {
        let short = [0, 999, 12_345, 99_999, 999_499, 999_500, 12_345_678, 99_960_000].map(|number| count(number, 6));
        assert_eq!(short, ["0", "999", "12,345", "99,999", "999k", "1.0M", "12.3M", "100.0M"]);
        assert_eq!(count(12_345_678, 10), "12,345,678");
        assert_eq!([0.0, 0.04, 9.94, 9.96, 1234.4].map(|value| rate(value, 6)), ["0", "0.0", "9.9", "10", "1,234"]);
        assert_eq!([0.0, 0.042, 0.0996, 1.0].map(share), ["0%", "4.2%", "10%", "100%"]);
        assert_eq!([0, 1023, 1024, 262_144, 8 << 20].map(bytes), ["0 B", "1023 B", "1.0 KiB", "256 KiB", "8.0 MiB"]);
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let said = [0.4, 59.9, 60.0, 7199.0, 90_000.0].map(span);
        assert_eq!(said, ["0 s", "59 s", "1 min 0 s", "1 h 59 min", "1 d 1 h"]);
    }
}
