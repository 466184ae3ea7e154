//! The commands that were carried out, so that one that comes again is answered and not carried out twice.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many are remembered. A command comes again only if its result was lost with the connection, so it is among the last.
const REMEMBERED: usize = 512;

/// Commands and the results that they were answered with, oldest first.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Done(VecDeque<(String, String)>);

impl Done {
    /// What a command was answered with.
    pub(super) fn said(&self, command: &str) -> Option<&str> {
        self.0.iter().rev().find(|(id, _)| id == command).map(|(_, said)| said.as_str())
    }

    pub(super) fn add(&mut self, command: String, said: String) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((command, said));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut done = Done::default();
        for number in 0..=REMEMBERED {
            done.add(number.to_string(), format!("result {number}"));
        }
        assert_eq!((done.said("0"), done.said("1")), (None, Some("result 1")));
        assert_eq!(done.0.len(), REMEMBERED);
    }
}
