//! Who follows which session's log. Its agent is asked for the last lines every second while somebody does, and only then; what is new
//! among them goes to all who follow.

use super::{
    desk::{Timer, Turn},
    letters::{FromRegistry, ViewRefused},
    logs::{events, last},
    model::{SessionId, State},
    registry::{Outcome, Registry},
};
use crate::realtime::{ConnId, Moment, TimerId};
use std::sync::Arc;

/// How many lines an agent is asked for, when nobody wants more. Of a log that grows by more than that in a second, lines are left out.
const LINES: u32 = 500;
/// Where the numbers of these questions begin: above all that name a request (48 bits), and exact where JSON's numbers are doubles (53).
const FIRST_QUESTION: u64 = 1 << 50;

/// Those who follow one session's log.
#[derive(Default)]
pub(super) struct Following {
    followers: Vec<Follower>,
    /// The last lines that the agent told: what comes behind them is new.
    seen: Vec<String>,
    /// What the followers were told last of what the registry itself knows.
    event: Option<String>,
    question: Option<Question>,
    timer: Option<TimerId>,
}

struct Follower {
    conn: ConnId,
    tail: u32,
    /// Whether it was told anything that was there before it came: by the registry, by the agent.
    has_events: bool,
    has_lines: bool,
}

/// What the agent was asked.
struct Question {
    number: u64,
    /// Of whom.
    place: u32,
    tail: u32,
    /// No answer is waited for any longer.
    until: Moment,
}

/// Whether a number names one of these questions.
pub(super) fn is_question(number: u64) -> bool {
    number >= FIRST_QUESTION
}

impl Registry {
    /// Somebody wants to follow a session's log.
    pub(super) fn follow(&mut self, conn: ConnId, id: SessionId, (user, admin): (&str, bool), tail: u32, t: &mut Turn<'_>) {
        let refused = match self.row_of(id) {
            None => Some(ViewRefused::NoSession),
            Some(row) if !admin && *row.user != *user => Some(ViewRefused::NotYours),
            Some(row) if row.state == State::Terminated => {
                t.out.push(Outcome::Tell(conn, FromRegistry::Following));
                tell(conn, last(events(row), tail), t);
                return t.out.push(Outcome::Tell(conn, FromRegistry::LogOver));
            }
            Some(_) => None,
        };
        if let Some(refused) = refused {
            return t.out.push(Outcome::Tell(conn, FromRegistry::Refused(refused)));
        }
        t.out.push(Outcome::Tell(conn, FromRegistry::Following));
        let following = self.follows.entry(id).or_default();
        following.followers.push(Follower { conn, tail, has_events: false, has_lines: false });
        if following.question.is_none() {
            self.ask_for_lines(id, t);
        }
    }

    /// One who followed is gone.
    pub(super) fn follower_gone(&mut self, conn: ConnId, id: SessionId) {
        let Some(following) = self.follows.get_mut(&id) else { return };
        following.followers.retain(|follower| follower.conn != conn);
        if following.followers.is_empty() {
            self.stop_following(id);
        }
    }

    /// It is time to ask again.
    pub(super) fn follow_on(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(following) = self.follows.get_mut(&id) else { return };
        following.timer = None;
        let waits = following.question.as_ref().is_some_and(|question| t.now.moment < question.until);
        if waits {
            return self.set_follow_timer(id, t);
        }
        if let Some(question) = following.question.take() {
            self.questions.remove(&question.number);
            self.tell_events(id, t);
        }
        self.ask_for_lines(id, t);
    }

    /// An agent has answered one of these questions.
    pub(super) fn lines_came(&mut self, place: u32, number: u64, lines: Vec<String>, t: &mut Turn<'_>) {
        let Some(&id) = self.questions.get(&number) else { return };
        let Some(following) = self.follows.get_mut(&id) else { return };
        let Some(question) = following.question.take_if(|asked| asked.number == number && asked.place == place) else { return };
        self.questions.remove(&number);
        let newest = last(lines.clone(), LINES);
        let new: Arc<[String]> = newest[overlap(&following.seen, &newest)..].into();
        for follower in &mut following.followers {
            if follower.has_lines {
                if !new.is_empty() {
                    t.out.push(Outcome::Tell(follower.conn, FromRegistry::Lines(Arc::clone(&new))));
                }
            } else if follower.tail <= question.tail {
                follower.has_lines = true;
                tell(follower.conn, last(lines.clone(), follower.tail), t);
            }
        }
        following.seen = newest;
    }

    /// A session is over, and so is its log.
    pub(super) fn end_follows(&mut self, id: SessionId, t: &mut Turn<'_>) {
        self.tell_events(id, t);
        if let Some(following) = self.stop_following(id) {
            let over = following.followers.iter().map(|follower| Outcome::Tell(follower.conn, FromRegistry::LogOver));
            t.out.extend(over);
        }
    }

    fn stop_following(&mut self, id: SessionId) -> Option<Following> {
        let mut following = self.follows.remove(&id)?;
        self.desk.cancel(following.timer.take());
        if let Some(question) = following.question.take() {
            self.questions.remove(&question.number);
        }
        Some(following)
    }

    /// Asks a session's agent for lines. Where it cannot be asked, the registry tells what it knows itself.
    fn ask_for_lines(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(following) = self.follows.get(&id) else { return };
        let wanted = following.followers.iter().filter(|follower| !follower.has_lines).map(|follower| follower.tail);
        let tail = wanted.max().unwrap_or(0).max(LINES);
        let number = FIRST_QUESTION + self.log_numbers + self.asked_for_lines;
        match self.log_question(id, number, tail) {
            Some((asked, place)) => {
                self.asked_for_lines += 1;
                self.questions.insert(number, id);
                t.out.push(asked);
                let until = t.now.moment + self.desk.settings.logs_wait;
                if let Some(following) = self.follows.get_mut(&id) {
                    following.question = Some(Question { number, place, tail, until });
                }
            }
            None => self.tell_events(id, t),
        }
        self.set_follow_timer(id, t);
    }

    fn set_follow_timer(&mut self, id: SessionId, t: &Turn<'_>) {
        let timer = self.desk.after(self.desk.settings.follow_interval, Timer::Follow(id), t);
        let before = self.follows.get_mut(&id).and_then(|following| following.timer.replace(timer));
        self.desk.cancel(before);
    }

    /// Tells what the registry itself knows of a session: to those who were told nothing yet all of it, to the others what is new.
    fn tell_events(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(row) = self.desktops.get(&id).map(|desktop| &desktop.row) else { return };
        let Some(following) = self.follows.get_mut(&id) else { return };
        let known = events(row);
        let newest = known.last().cloned();
        let is_new = newest != following.event;
        for follower in &mut following.followers {
            let is_first = !follower.has_events && !follower.has_lines;
            if is_first {
                tell(follower.conn, last(known.clone(), follower.tail), t);
            } else if is_new {
                tell(follower.conn, newest.iter().cloned().collect(), t);
            }
            follower.has_events = true;
        }
        following.event = newest;
    }

    /// All who follow one, and which.
    pub(super) fn following(&self) -> impl Iterator<Item = (ConnId, SessionId)> {
        self.follows.iter().flat_map(|(id, following)| following.followers.iter().map(|follower| (follower.conn, *id)))
    }

    /// How many follow a log.
    pub(super) fn followers(&self) -> usize {
        self.follows.values().map(|following| following.followers.len()).sum()
    }
}

fn tell(conn: ConnId, lines: Vec<String>, t: &mut Turn<'_>) {
    if !lines.is_empty() {
        t.out.push(Outcome::Tell(conn, FromRegistry::Lines(lines.into())));
    }
}

/// How many of the first lines of `newer` are the last ones of `older` (the automaton of Knuth, Morris and Pratt, so that a log of one line
/// said over and over costs no more than another).
fn overlap(older: &[String], newer: &[String]) -> usize {
    let mut borders = vec![0; newer.len()];
    for at in 1..newer.len() {
        borders[at] = longer(newer, &borders, borders[at - 1], &newer[at]);
    }
    older.iter().fold(0, |met, line| longer(newer, &borders, met, line))
}

/// The longest beginning of `lines` that is met with one more line, when `met` lines of it were met before.
fn longer(lines: &[String], borders: &[usize], mut met: usize, line: &String) -> usize {
    while met > 0 && lines.get(met) != Some(line) {
        met = borders[met - 1];
    }
    if lines.get(met) == Some(line) { met + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_looks_at_a_log_share() {
        let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        for (older, newer, shared) in [
            ("", "abc", 0),
            ("abc", "", 0),
            ("abc", "abc", 3),
            ("abc", "bcd", 2),
            ("abc", "xyz", 0),
            ("ab", "abcd", 2),
            ("abab", "ababab", 4),
            ("aaab", "aabx", 3),
            ("aaaa", "aaaa", 4),
            ("abcabc", "abcabd", 3),
        ] {
            assert_eq!(overlap(&lines(older), &lines(newer)), shared, "{older} {newer}");
        }
    }
}
