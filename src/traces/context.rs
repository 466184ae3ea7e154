//! Which span of which trace something belongs to, as it goes over the wire: `traceparent` of W3C's Trace Context (Level 1, a
//! Recommendation).
//!
//! `tracestate` is not taken: nothing that a client says goes to others but these checked bytes.

use std::fmt;

/// A span of a trace. Neither number is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// Which trace.
    pub trace: u128,
    /// Which span of it.
    pub span: u64,
    /// Whether it is told of: whoever goes on in the trace does as well.
    pub is_sampled: bool,
}

/// The bytes of version 00, and the least that another one has.
const LENGTH: usize = 55;
/// The one flag that Level 1 knows.
const SAMPLED: u8 = 1;

impl Context {
    /// What a header says (section 3.2). `None`: what is no such header, and is to be treated as if it were not there. Of a version that is
    /// not known yet the front is read, as section 4 has it.
    pub fn read(header: &str) -> Option<Context> {
        let bytes = header.as_bytes();
        let (version, rest) = (hex(bytes.get(..2)?)?, bytes.get(LENGTH..)?);
        let is_whole = match version {
            0xff => false,
            0 => rest.is_empty(),
            _ => rest.first().is_none_or(|next| *next == b'-'),
        };
        let has_dashes = [2, 35, 52].iter().all(|at| bytes[*at] == b'-');
        let (trace, span, flags) = (hex(&bytes[3..35])?, hex(&bytes[36..52])?, hex(&bytes[53..LENGTH])?);
        let (span, flags) = (u64::try_from(span).ok()?, u8::try_from(flags).ok()?);
        let is_right = is_whole && has_dashes && trace != 0 && span != 0;
        is_right.then_some(Context { trace, span, is_sampled: flags & SAMPLED != 0 })
    }
}

impl fmt::Display for Context {
    /// As a header, version 00.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

/// A number in lower-case hexadecimal digits, 32 at most.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

    #[test]
    fn headers_that_are_right() {
        for (header, is_sampled) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
            // Flags that are not known are passed over.
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe", false),
            // Versions that are not known: the front counts.
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like", true),
            ("fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", true),
        ] {
            assert_eq!(Context::read(header), Some(Context { trace: TRACE, span: SPAN, is_sampled }), "{header}");
        }
    }

    #[test]
    fn headers_that_are_none() {
        for header in [
            "",
            "00",
            "00-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-.0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
            "00-.bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7-01---",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-010",
            ".0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::read(header), None, "{header:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for is_sampled in [true, false] {
            let small = Context { trace: 1, span: 2, is_sampled };
            assert_eq!(Context::read(&small.to_string()), Some(small));
        }
        let one = Context { trace: TRACE, span: SPAN, is_sampled: true };
        assert_eq!(one.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    }
}
