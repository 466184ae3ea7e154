//! The last lines of a session's log: its agent is asked, and what it does not know the registry tells.

use super::{
    asks::{Caller, Reply},
    desk::{Asking, Turn, key_of, number_of},
    desktop::Desktop,
    dialect, followers,
    model::{Session, SessionId, State},
    registry::{Outcome, Registry},
};
use crate::realtime::ShardId;

impl Registry {
    /// Somebody asks for a session's log.
    pub(super) fn logs(&mut self, (asker, number): (ShardId, u64), id: SessionId, caller: &Caller, tail: u32, t: &mut Turn<'_>) {
        let Some(asking) = self.desk.receive(asker, number, t) else { return };
        let row = match self.row_for(id, caller) {
            Ok(row) => row.clone(),
            Err(refused) => return self.desk.refuse(asking, refused, t),
        };
        let events = Reply::Logs(last(events(&row), tail));
        let request = self.log_request(asking);
        let Some((asked, place)) = self.log_question(id, request, tail) else { return self.desk.reply(asking, events, t) };
        t.out.push(asked);
        self.log_asks.insert(request, (place, tail));
        self.desk.wait(asking, self.desk.settings.logs_wait, Box::new(events), t);
    }

    /// The question to a session's agent for the last lines of its log, and which agent that is; none: it has no log now, or its agent
    /// cannot be asked.
    pub(super) fn log_question(&mut self, id: SessionId, request: u64, tail: u32) -> Option<(Outcome, u32)> {
        let Desktop { row, host: place, .. } = self.desktops.get(&id)?;
        let has_log = match row.state {
            State::Running | State::Hibernating | State::Terminating | State::Failed => true,
            State::Pending | State::Hibernated | State::Waking | State::Terminated => false,
        };
        let place = place.filter(|_| has_log)?;
        let host = self.hosts.get(place as usize)?;
        let (conn, command) = (host.online()?, self.ids.next());
        let namespace = &self.desk.settings.namespace;
        let frame = dialect::logs_request(host.dialect, command, row, namespace, request, tail)?;
        Some((Outcome::Deliver(conn, frame), place))
    }

    /// The number of a request's question.
    pub(super) fn log_request(&self, asking: Asking) -> u64 {
        number_of(asking) ^ self.log_numbers
    }

    /// An agent has sent lines.
    pub(super) fn logs_came(&mut self, place: u32, request: u64, lines: Vec<String>, t: &mut Turn<'_>) {
        if followers::is_question(request) {
            return self.lines_came(place, request, lines, t);
        }
        if let Some(&(asked, tail)) = self.log_asks.get(&request)
            && asked == place
        {
            self.log_asks.remove(&request);
            self.desk.reply(key_of(request ^ self.log_numbers), Reply::Logs(last(lines, tail)), t);
        }
    }
}

/// What the registry itself knows of a session, oldest first.
pub(super) fn events(row: &Session) -> Vec<String> {
    let level = if row.state == State::Failed { "ERROR" } else { "INFO" };
    vec![
        format!("{} [INFO] Session created", dialect::iso(row.created_at)),
        format!("{} [{level}] {}", dialect::iso(row.updated_at), row.message),
    ]
}

/// A line without the time that it begins with, if it does.
pub fn stripped(line: &str) -> &str {
    match line.split_once(' ') {
        Some((first, rest)) if first.parse::<jiff::Timestamp>().is_ok() => rest,
        Some(_) | None => line,
    }
}

/// The last lines, at most so many.
pub(super) fn last(mut lines: Vec<String>, tail: u32) -> Vec<String> {
    let too_many = lines.len().saturating_sub(tail as usize);
    lines.drain(..too_many);
    lines
}
