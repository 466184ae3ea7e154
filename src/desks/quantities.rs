//! Memory and processor time as the contract writes them: `2Gi`, `512Mi`, `1000m`, `0.5`.

/// Bytes; none: it is no such quantity.
pub fn memory(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    amount(digits).map(|amount| (amount * factor) as u64)
}

/// Thousandths of a core; none: it is no such quantity.
pub fn cpu_millis(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(millis) => amount(millis).map(|millis| millis as u64),
        None => amount(text).map(|cores| (cores * 1000.0) as u64),
    }
}

fn amount(digits: &str) -> Option<f64> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    digits.parse().ok().filter(|amount: &f64| is_plain && *amount > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_the_contract() {
        assert_eq!((memory("2Gi"), memory("1.5Mi"), memory("64k")), (Some(2 << 30), Some(1_572_864), Some(64_000)));
        assert_eq!((cpu_millis("1000m"), cpu_millis("2"), cpu_millis("0.5")), (Some(1000), Some(2000), Some(500)));
        for wrong in ["", "Gi", "2gi", "-1Gi", "0Gi", "1e3", "½", "inf", "NaN"] {
            assert_eq!((memory(wrong), cpu_millis(wrong)), (None, None), "{wrong}");
        }
    }
}
