//! Arithmetic as people type it: `+ - * / % ^`, parentheses, decimals. Numbers are IEEE 754 doubles.

use std::{iter::Peekable, str::Bytes};

/// Nested deeper than this, an expression is refused.
const MAX_DEPTH: u32 = 64;

/// Why there is no result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// Not an expression.
    Malformed,
    /// Nested too deeply.
    TooDeep,
    /// By zero, or beyond what a double can hold.
    NotANumber,
}

impl Fault {
    /// For people and models.
    pub fn text(self) -> &'static str {
        match self {
            Fault::Malformed => "not an arithmetic expression",
            Fault::TooDeep => "nested too deeply",
            Fault::NotANumber => "the result is not a number",
        }
    }
}

/// The value of an expression. `^` binds tightest and to the right, then a sign, then `* / %`, then `+ -`.
pub fn value(expression: &str) -> Result<f64, Fault> {
    // Typographic signs are what word processors make of the others.
    let plain = expression.replace(['×', '·'], "*").replace('÷', "/").replace(['−', '–'], "-");
    let mut parser = Parser { bytes: plain.bytes().peekable(), depth: 0 };
    let value = parser.sum()?;
    if parser.next().is_some() {
        return Err(Fault::Malformed);
    }
    if value.is_finite() { Ok(value) } else { Err(Fault::NotANumber) }
}

/// The longest expression of at least two numbers that stands in a text, and its value: "What is 2 + 2?" holds "2 + 2".
pub fn found_in(text: &str) -> Option<(&str, f64)> {
    let is_part = |c: char| c.is_ascii_digit() || c.is_whitespace() || "+-*/%^().×·÷−–".contains(c);
    text.split(|c| !is_part(c))
        .map(|part| part.trim().trim_end_matches(['.', '-', '+']).trim())
        .filter(|part| part.split(|c: char| !c.is_ascii_digit() && c != '.').filter(|number| !number.is_empty()).count() > 1)
        .filter_map(|part| Some((part, value(part).ok()?)))
        .max_by_key(|(part, _)| part.len())
}

struct Parser<'a> {
    bytes: Peekable<Bytes<'a>>,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.next_if(u8::is_ascii_whitespace).is_some() {}
        self.bytes.peek().copied()
    }

    fn next(&mut self) -> Option<u8> {
        self.peek()?;
        self.bytes.next()
    }

    fn sum(&mut self) -> Result<f64, Fault> {
        let mut value = self.product()?;
        while let Some(sign @ (b'+' | b'-')) = self.peek() {
            self.next();
            let other = self.product()?;
            value = if sign == b'+' { value + other } else { value - other };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<f64, Fault> {
        let mut value = self.signed()?;
        while let Some(sign @ (b'*' | b'/' | b'%')) = self.peek() {
            self.next();
            let other = self.signed()?;
            value = match sign {
                b'*' => value * other,
                b'/' => value / other,
                _ => value % other,
            };
        }
        Ok(value)
    }

    fn signed(&mut self) -> Result<f64, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        let value = match self.peek() {
            Some(b'-') => {
                self.next();
                -self.signed()?
            }
            Some(b'+') => {
                self.next();
                self.signed()?
            }
            Some(_) | None => self.power()?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn power(&mut self) -> Result<f64, Fault> {
        let base = self.atom()?;
        if self.peek() != Some(b'^') {
            return Ok(base);
        }
        self.next();
        Ok(base.powf(self.signed()?))
    }

    fn atom(&mut self) -> Result<f64, Fault> {
        match self.peek() {
            Some(b'(') => {
                self.next();
                let value = self.sum()?;
                if self.next() == Some(b')') { Ok(value) } else { Err(Fault::Malformed) }
            }
            Some(b'0'..=b'9' | b'.') => self.number(),
            Some(_) | None => Err(Fault::Malformed),
        }
    }

    fn number(&mut self) -> Result<f64, Fault> {
        let mut digits = String::new();
        while let Some(byte) = self.bytes.next_if(|byte| byte.is_ascii_digit() || *byte == b'.') {
            digits.push(char::from(byte));
        }
        digits.parse().map_err(|_| Fault::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_is_that_of_school() {
        for (expression, expected) in [
            ("2 + 2", 4.0),
            ("2+3*4", 14.0),
            ("(2+3)*4", 20.0),
            ("-2^2", -4.0),
            ("2^3^2", 512.0),
            ("2^-1", 0.5),
            ("10 - 4 - 3", 3.0),
            ("7 % 4 / 2", 1.5),
            ("3 × 4 ÷ 2 − 1", 5.0),
            (".5 + 1.25", 1.75),
            ("--1", 1.0),
        ] {
            assert_eq!(value(expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_has_no_value_says_why() {
        for text in ["", "2 +", "(1", "1)", "1 2", "a", "1..2", "2**3"] {
            assert_eq!(value(text), Err(Fault::Malformed), "{text}");
        }
        assert_eq!(value("1/0"), Err(Fault::NotANumber));
        assert_eq!(value("9^9^9"), Err(Fault::NotANumber));
        assert_eq!(value(&"(".repeat(100_000)), Err(Fault::TooDeep));
        assert_eq!(value(&"-".repeat(100_000)), Err(Fault::TooDeep));
        assert_eq!(value(&"2^".repeat(100_000)), Err(Fault::TooDeep));
    }

    #[test]
    fn expressions_are_found_in_sentences() {
        assert_eq!(found_in("What is 2 + 2?"), Some(("2 + 2", 4.0)));
        assert_eq!(found_in("It is 17. And (3+4)*2."), Some(("(3+4)*2", 14.0)));
        assert_eq!(found_in("order #12345 on 3.5 -"), None);
        assert_eq!(found_in("no numbers - here"), None);
        assert_eq!(found_in("print(1) at -5"), None, "no arithmetic");
    }
}
