//! One signed-in listener: what was published must reach it in order, without gaps and doubles, and what it hears of others must add up.

use crate::{
    clients::Seat,
    model::{Published, Session},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

type Members = BTreeMap<i64, String>;

/// What one listener has heard since its `connect_success`.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) seat: Seat,
    /// When it succeeded, in the model's order.
    since: u64,
    /// All of the room's publications from here on are for it, unless they have another receiver.
    next: usize,
    heard_any: bool,
    /// The last number that the home gave to what was heard.
    sequence: i64,
    /// Of whom it has heard; true: that he left.
    of: BTreeMap<i64, bool>,
    /// Who was there when all was quiet the last time, and of whom it had heard then.
    remembered: Option<(Members, BTreeMap<i64, bool>)>,
}

impl Listening {
    pub(crate) fn new(seat: Seat, since: u64, published: usize) -> Listening {
        Listening { seat, since, next: published, heard_any: false, sequence: 0, of: BTreeMap::new(), remembered: None }
    }

    /// One event.
    pub(crate) fn hears(&mut self, text: &str, log: &[Published], sessions: &BTreeMap<i64, Session>) -> Result<(), String> {
        let event: Value = serde_json::from_str(text).map_err(|fault| fault.to_string())?;
        let payload = &event["payload"];
        match event["id"]["operation"].as_str() {
            Some("tick") => {
                let sequence = event["id"]["sequence_id"].as_i64().ok_or("no sequence")?;
                if std::mem::replace(&mut self.sequence, sequence) >= sequence {
                    return Err("its number does not rise".into());
                }
                self.hears_published(payload["n"].as_u64().ok_or("no number")?, log)
            }
            Some("changed") => {
                for (list, left) in [("entered", false), ("left", true)] {
                    for agent in payload[list].as_array().ok_or("no list")? {
                        self.hears_of(agent, left, true, sessions)?;
                    }
                }
                Ok(())
            }
            Some(operation) => {
                let mut agent = payload.clone();
                agent["sequence_id"] = event["id"]["sequence_id"].clone();
                self.hears_of(&agent, operation == "left", false, sessions)
            }
            None => Err("no operation".into()),
        }
    }

    fn is_for_me(&self, published: &Published) -> bool {
        published.receiver.as_ref().is_none_or(|receiver| *receiver == self.seat.agent)
    }

    fn hears_published(&mut self, number: u64, log: &[Published]) -> Result<(), String> {
        let place = log.iter().rposition(|published| published.number == number).ok_or("it was never published to this room")?;
        if !self.is_for_me(&log[place]) {
            return Err("it is for another".into());
        }
        if place < self.next && self.heard_any {
            return Err("it comes twice, or out of order".into());
        }
        if let Some(missed) = (self.next..place).find(|&missed| self.is_for_me(&log[missed])) {
            return Err(format!("{} was missed", log[missed].number));
        }
        (self.next, self.heard_any) = (place + 1, true);
        Ok(())
    }

    fn hears_of(&mut self, agent: &Value, left: bool, among_many: bool, sessions: &BTreeMap<i64, Session>) -> Result<(), String> {
        let number = agent["sequence_id"].as_i64().ok_or("no session number")?;
        let session = sessions.get(&number).ok_or("there was never such a session")?;
        if session.seat.room != self.seat.room || agent["agent_id"].as_str() != Some(&session.seat.agent) {
            return Err(format!("the session is that of {:?}", session.seat));
        }
        if session.seat.agent == self.seat.agent && !among_many {
            return Err("that is the listener itself".into());
        }
        match (self.of.insert(number, left), left) {
            (None, false) | (Some(false), true) => Ok(()),
            (None, true) if session.asked > self.since => Err("it left without having entered".into()),
            (None, true) => Ok(()),
            (Some(_), _) => Err("that was known".into()),
        }
    }

    /// When all is quiet, what it was told must be what is.
    pub(crate) fn check_quiet(
        &self,
        log: &[Published],
        sessions: &BTreeMap<i64, Session>,
        members: &Members,
    ) -> Result<(), String> {
        if let Some(missed) = log[self.next.min(log.len())..].iter().find(|published| self.is_for_me(published)) {
            return Err(format!("{} was never delivered", missed.number));
        }
        for (number, left) in &self.of {
            if members.contains_key(number) == *left {
                return Err(format!("it believes that {number} {}", if *left { "left" } else { "is there" }));
            }
        }
        let came_later = |number: &i64| sessions.get(number).is_some_and(|session| session.answered > self.since);
        let unheard = members
            .iter()
            .find(|(number, agent)| **agent != self.seat.agent && came_later(number) && !self.of.contains_key(number));
        if let Some((number, agent)) = unheard {
            return Err(format!("it was not told that {agent} ({number}) entered"));
        }
        self.check_difference(members)
    }

    /// Between two times of quiet: of who stayed nothing, of who left that.
    fn check_difference(&self, members: &Members) -> Result<(), String> {
        let Some((before, of)) = &self.remembered else { return Ok(()) };
        for number in before.keys().collect::<BTreeSet<_>>() {
            let expected = if members.contains_key(number) { of.get(number) } else { Some(&true) };
            if self.of.get(number) != expected {
                return Err(format!("of {number} it heard {:?}, not {expected:?}", self.of.get(number)));
            }
        }
        Ok(())
    }

    pub(crate) fn remember(&mut self, members: Members) {
        self.remembered = Some((members, self.of.clone()));
    }
}
