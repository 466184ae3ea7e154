//! What those who listen to a quiz are told: each event as it happens, and the state of lists as snapshots.

use super::{
    asks::Reply,
    attempt::{Attempt, millis},
    audience::Due,
    desk::{Circumstances, Timer},
    homes::Outcome,
    letters::{Channel, FromQuiz},
    messages::{self, Row, Update},
    model::{AnswerId, Grade, QuestionId, SubmissionMode},
    record::Closed,
    sitting::Sitting,
};
use crate::realtime::{ConnId, Frame, Moment, UnixMicros};

/// An answer that is on disk.
pub(super) struct Answer {
    pub(super) id: AnswerId,
    pub(super) question: QuestionId,
    /// The question's place, from 0.
    pub(super) number: u16,
    pub(super) grade: Grade,
    pub(super) at: UnixMicros,
}

impl Sitting {
    pub(super) fn tell_started(&mut self, place: u32, c: &mut Circumstances<'_>) {
        let Attempt { ref who, started_at, .. } = self.attempts[place as usize];
        self.publish(Update::Started { who, started_at }, c);
        self.changed(&[Channel::Attempts, Channel::Leaderboard], c);
    }

    /// Returns what its participant is told.
    pub(super) fn tell_answered(&mut self, place: u32, answer: &Answer, c: &mut Circumstances<'_>) -> Reply {
        let Attempt { ref who, answered_count, .. } = self.attempts[place as usize];
        let &Answer { id, question, number, grade, at } = answer;
        let update = Update::Answered {
            who,
            question,
            answer: id,
            is_correct: grade.is_correct,
            score: grade.score,
            answered_at: at,
            answered_count,
            question_order: u32::from(number) + 1,
        };
        self.publish(update, c);
        self.changed(&[Channel::Attempts, Channel::Leaderboard], c);
        let grade = match self.quiz.rules.submission_mode {
            SubmissionMode::Immediate => Some(grade),
            SubmissionMode::OnSubmit => None,
        };
        Reply::Answered { id, grade, answered_count, at }
    }

    pub(super) fn tell_flagged(&mut self, place: u32, labels: &[String], at: UnixMicros, c: &mut Circumstances<'_>) {
        let who = &self.attempts[place as usize].who;
        self.publish(Update::Flagged { who, labels, flagged_at: at }, c);
        self.changed(&[Channel::Attempts], c);
    }

    pub(super) fn tell_closed(&mut self, place: u32, closed: &Closed, sockets: &[ConnId], c: &mut Circumstances<'_>) {
        let Attempt { ref who, started_at, .. } = self.attempts[place as usize];
        let &Closed { answered_count, score, reason, at, .. } = closed;
        self.publish(Update::Finished { who, answered_count, time_taken_ms: millis(started_at, at) }, c);
        self.changed(&[Channel::Attempts, Channel::Leaderboard], c);
        if sockets.is_empty() {
            return;
        }
        let who = &self.attempts[place as usize].who;
        let frame = messages::update(&Update::Closed { who, reason, score, answered_count, submitted_at: at });
        for &conn in sockets {
            c.out.push(Outcome::Deliver(conn, frame.clone()));
            c.out.push(Outcome::Tell(conn, FromQuiz::Over));
        }
    }

    /// The state of a channel, to one connection that listens to it.
    pub(super) fn show(&self, conn: ConnId, channel: Channel, c: &mut Circumstances<'_>) {
        if channel != Channel::Quiz && self.audience.has(conn, channel) {
            let frame = self.snapshot(channel, c.desk.settings.snapshot_rows);
            c.out.push(Outcome::Show { conn, quiz: self.quiz.id, channel, frame });
        }
    }

    /// The time has come for a snapshot that was put off.
    pub(super) fn snapshot_due(&mut self, channel: Channel, c: &mut Circumstances<'_>) {
        self.audience.fired(channel, c.now.moment);
        self.publish_snapshot(channel, c);
    }

    fn changed(&mut self, channels: &[Channel], c: &mut Circumstances<'_>) {
        for &channel in channels {
            match self.audience.changed(channel, c.now.moment, c.desk.settings.snapshot_interval) {
                Due::Now => self.publish_snapshot(channel, c),
                Due::At(at) => self.put_off(channel, at, c),
                Due::Never => {}
            }
        }
    }

    fn put_off(&mut self, channel: Channel, at: Moment, c: &mut Circumstances<'_>) {
        let timer = c.desk.wheel.set(at, Timer::Snapshot(self.quiz.id, channel));
        self.audience.scheduled(channel, timer);
    }

    fn publish(&self, update: Update<'_>, c: &mut Circumstances<'_>) {
        if !self.audience.shards(Channel::Quiz).is_empty() {
            self.send(Channel::Quiz, messages::update(&update), c);
        }
    }

    fn publish_snapshot(&self, channel: Channel, c: &mut Circumstances<'_>) {
        self.send(channel, self.snapshot(channel, c.desk.settings.snapshot_rows), c);
    }

    fn send(&self, channel: Channel, frame: Frame, c: &mut Circumstances<'_>) {
        c.out.push(Outcome::Publish { quiz: self.quiz.id, channel, frame, shards: self.audience.shards(channel).clone() });
    }

    fn snapshot(&self, channel: Channel, rows: usize) -> Frame {
        let attempt = |place: u32| &self.attempts[place as usize];
        match channel {
            Channel::Leaderboard => {
                let ranks = self.standing.iter().take(rows).zip(1..);
                messages::snapshot(channel, ranks.map(|(place, rank)| Row { rank: Some(rank), ..row(attempt(place)) }))
            }
            Channel::Attempts => {
                let recent = self.recent.iter().take(rows).map(attempt);
                messages::snapshot(
                    channel,
                    recent.map(|attempt| Row {
                        started_at: Some(attempt.started_at),
                        flags: Some(attempt.flags),
                        ..row(attempt)
                    }),
                )
            }
            Channel::Quiz => messages::snapshot(channel, []),
        }
    }
}

fn row(attempt: &Attempt) -> Row<'_> {
    Row {
        who: &attempt.who,
        rank: None,
        started_at: None,
        ended: attempt.end().is_some(),
        answered_count: attempt.answered_count,
        score: attempt.score,
        flags: None,
    }
}
