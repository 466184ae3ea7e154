//! What keys mean.

use ratatui::crossterm::event::{KeyCode, KeyModifiers};

/// What somebody wants who has pressed a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// To end.
    End,
    /// To be interrupted, as by SIGINT.
    Interrupt,
    /// The next table.
    Next,
    /// The one before.
    Former,
    /// This table: 0 to 2.
    Table(usize),
    /// To sort by the column to the right.
    Right,
    /// To sort by the column to the left.
    Left,
    /// The other order.
    Reverse,
    /// So many rows further down, or up.
    Scroll(i32),
    /// The first rows.
    First,
    /// The last rows.
    Last,
    /// This table alone, or all.
    Alone,
    /// To hold the picture, or let it go on.
    Hold,
    /// What keys and columns mean, or no more of that.
    Help,
    /// Nothing: of the page of help any key goes back.
    Nothing,
}

/// Rows of a page.
const PAGE: i32 = 10;

/// What a key means; most mean nothing.
pub fn wish(code: KeyCode, modifiers: KeyModifiers) -> Wish {
    if modifiers.contains(KeyModifiers::CONTROL) {
        return if code == KeyCode::Char('c') { Wish::Interrupt } else { Wish::Nothing };
    }
    match code {
        KeyCode::Char('q') => Wish::End,
        KeyCode::Tab => Wish::Next,
        KeyCode::BackTab => Wish::Former,
        KeyCode::Char(digit @ '1'..='3') => Wish::Table(digit as usize - '1' as usize),
        KeyCode::Right | KeyCode::Char('>' | 'l') => Wish::Right,
        KeyCode::Left | KeyCode::Char('<' | 'h') => Wish::Left,
        KeyCode::Char('r') => Wish::Reverse,
        KeyCode::Down | KeyCode::Char('j') => Wish::Scroll(1),
        KeyCode::Up | KeyCode::Char('k') => Wish::Scroll(-1),
        KeyCode::PageDown => Wish::Scroll(PAGE),
        KeyCode::PageUp => Wish::Scroll(-PAGE),
        KeyCode::Home | KeyCode::Char('g') => Wish::First,
        KeyCode::End | KeyCode::Char('G') => Wish::Last,
        KeyCode::Enter | KeyCode::Char('z') => Wish::Alone,
        KeyCode::Char(' ') => Wish::Hold,
        KeyCode::Char('?') | KeyCode::F(1) => Wish::Help,
        _ => Wish::Nothing,
    }
}

/// What `?` shows of keys.
pub(super) const HELP: [(&str, &str); 8] = [
    ("q", "ends"),
    ("Tab  1 2 3", "the next table; shards, classrooms, slow readers"),
    ("← →", "sort by the column to the left or right"),
    ("r", "the other order"),
    ("↑ ↓ PgUp PgDn", "scroll; Home and End: the first and last rows"),
    ("Enter, z", "this table alone, or all"),
    ("Space", "hold the picture, or go on"),
    ("?", "this page"),
];
