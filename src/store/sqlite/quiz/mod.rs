//! Records of quizzes in tables: written by the store's thread inside its batches, read by whoever may wait.

mod answers;
mod attempts;
mod columns;
mod library;
mod lists;
mod loaded;
mod owned;
mod quizzes;
mod results;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use tables::SECOND;

use super::fault::is_of_the_row;
use crate::protocols::quiz::record::{Kept, Record};
use attempts::Attempts;
use owned::Owners;
use rusqlite::{Connection, Statement};

/// Writes records. Always inside the caller's transaction.
pub(super) struct Records<'c> {
    conn: &'c Connection,
    owners: Owners<'c>,
    attempts: Attempts<'c>,
    begin: Statement<'c>,
    undo: Statement<'c>,
    done: Statement<'c>,
}

impl<'c> Records<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> rusqlite::Result<Records<'c>> {
        Ok(Records {
            conn,
            owners: Owners::prepare(conn)?,
            attempts: Attempts::prepare(conn)?,
            begin: conn.prepare("SAVEPOINT record")?,
            undo: conn.prepare("ROLLBACK TO record")?,
            done: conn.prepare("RELEASE record")?,
        })
    }

    /// Writes all of a record, or nothing of it when it is not [`Kept::Done`] or is refused by itself.
    pub(super) fn keep(&mut self, record: &Record) -> rusqlite::Result<Kept> {
        match record {
            // One row each.
            Record::Answered(answered) => self.attempts.answer(answered),
            Record::Closed(closed) => self.attempts.close(closed),
            Record::Owner(account) => owned::account(self.conn, account),
            // Several.
            Record::NewQuiz(_)
            | Record::Edited { .. }
            | Record::Participant(_)
            | Record::Event(_)
            | Record::Key(_)
            | Record::Revoked { .. }
            | Record::Started(_)
            | Record::Flagged { .. } => self.whole(record),
        }
    }

    /// The transaction was rolled back: what was learnt in it is no longer so.
    pub(super) fn rolled_back(&mut self) {
        self.owners.rolled_back();
        self.attempts.rolled_back();
    }

    fn whole(&mut self, record: &Record) -> rusqlite::Result<Kept> {
        self.begin.execute([])?;
        let result = self.several(record);
        match &result {
            Ok(Kept::Done | Kept::Quiz(_)) => {}
            Err(error) if !is_of_the_row(error) => return result,
            Ok(Kept::Missing) | Err(_) => {
                self.undo.execute([])?;
                self.owners.rolled_back();
            }
        }
        self.done.execute([])?;
        result
    }

    fn several(&mut self, record: &Record) -> rusqlite::Result<Kept> {
        let (conn, owners) = (self.conn, &mut self.owners);
        match record {
            Record::NewQuiz(new) => quizzes::new(conn, owners.number(&new.owner)?, new),
            Record::Edited { quiz, edit, at } => quizzes::edit(conn, *quiz, edit, *at),
            Record::Participant(participant) => owned::participant(conn, owners.number(&participant.owner)?, participant),
            Record::Event(event) => owned::event(conn, owners.number(&event.owner)?, event),
            Record::Key(key) => owned::key(conn, owners.number(&key.owner)?, key),
            Record::Revoked { owner, key, at } => owned::revoked(conn, owners.number(owner)?, *key, *at),
            Record::Started(started) => self.attempts.start(owners.number(&started.owner)?, started),
            Record::Flagged { attempt, at, flags } => self.attempts.flag(*attempt, *at, flags),
            Record::Answered(_) | Record::Closed(_) | Record::Owner(_) => self.keep(record),
        }
    }
}
