//! A participant: begins an attempt, answers, submits, over one kept connection.

use super::{
    Hall, Whose,
    contract::{self, Begun, Ended, Envelope, Graded},
    order::Pace,
    socket::Socket,
};
use crate::{
    clock,
    fault::Fault,
    order::mix,
    tally::{Measure, When},
    wire::{
        http::{Answer, response},
        line::Line,
        poll::Lines,
    },
};
use std::io::Write;
use uuid::Uuid;

/// A server ends a connection that has been idle for a minute: one that has been idle for so long is not used again.
const STALE_NS: u64 = 45_000_000_000;

/// One participant.
pub(super) struct Desk {
    pub(super) sheet: u32,
    pub(super) line: Line,
    pub(super) socket: Socket,
    pub(super) attempt: Option<Attempt>,
    /// The attempt that a screen named before its participant heard of it.
    pub(super) told: Option<Uuid>,
    pub(super) asked: Option<Asked>,
    /// Questions gone through.
    pub(super) step: u32,
    /// Answers accepted.
    pub(super) accepted: u32,
    /// Answers that are due and wait for the one under way.
    pub(super) owed: u32,
    /// The place in the schedule's round.
    pub(super) place: u32,
    pub(super) score: f64,
    idle_since_ns: u64,
}

/// An attempt that has begun.
pub(super) struct Attempt {
    pub(super) id: Uuid,
    pub(super) session: Box<str>,
    pub(super) submitted: bool,
    /// When it was to be submitted.
    pub(super) submit_ns: u64,
    /// Whole seconds: of its start and of its last answer.
    pub(super) started_s: i64,
    pub(super) answered_s: i64,
}

/// A request that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    pub(super) what: What,
    pub(super) intended_ns: u64,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    Start,
    Answer,
    Submit,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Start => "start",
            What::Answer => "answer",
            What::Submit => "submit",
        }
    }

    fn when(self) -> When {
        match self {
            What::Start => When::Starting,
            What::Answer => When::Answering,
            What::Submit => When::Submitting,
        }
    }
}

/// One answer: what the participant did, and who has heard of it.
#[derive(Clone, Copy, Default)]
pub(super) struct Slot {
    /// The answer's id, as it was first told by anyone.
    pub(super) answer: Option<Uuid>,
    pub(super) intended_ns: u64,
    /// When REST accepted it; 0 before.
    pub(super) accepted_ns: u64,
    /// How many times a screen heard of it.
    pub(super) heard: u32,
    /// Which question, from 0.
    pub(super) question: u16,
    pub(super) right: bool,
}

impl Desk {
    /// A participant who has not begun.
    pub(super) fn new(sheet: u32) -> Desk {
        Desk {
            sheet,
            line: Line::default(),
            socket: Socket::default(),
            attempt: None,
            told: None,
            asked: None,
            step: 0,
            accepted: 0,
            owed: 0,
            place: 0,
            score: 0.0,
            idle_since_ns: 0,
        }
    }

    /// Whether the attempt runs.
    pub(super) fn is_in(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| !attempt.submitted)
    }
}

impl Hall {
    /// Begins a request, and the connection for it where none stands.
    pub(super) fn ask(&mut self, desk: u32, what: What, intended_ns: u64) {
        let quiz = &mut self.tally.quiz;
        match what {
            What::Start => quiz.starts_asked += 1,
            What::Answer => quiz.answers_asked += 1,
            What::Submit => quiz.submits_asked += 1,
        }
        if what == What::Answer {
            self.choose(desk, intended_ns);
        }
        let now_ns = clock::now_ns();
        let at = &mut self.desks[desk as usize];
        at.asked = Some(Asked { what, intended_ns });
        if let (What::Submit, Some(attempt)) = (what, &mut at.attempt) {
            attempt.submit_ns = intended_ns;
        }
        self.under_way += 1;
        if at.line.socket.is_some() && now_ns.saturating_sub(at.idle_since_ns) > STALE_NS {
            at.line.drop_socket();
        }
        let stands = at.line.socket.is_some();
        self.tally.quiz.redialled += u64::from(!stands && what != What::Start);
        self.await_next(Whose::Desk(desk), what.name());
        let begun = if stands { self.send_request(desk) } else { self.dial(Whose::Desk(desk)) };
        if let Err(fault) = begun {
            self.line_over(desk, &fault);
        }
    }

    /// Decides what is answered next, and notes it in its slot.
    fn choose(&mut self, desk: u32, intended_ns: u64) {
        let (questions, correct) = (self.questions as u64, self.order.correct);
        let who = self.order.seed ^ u64::from(self.order.worker) << 40 ^ u64::from(desk) << 8;
        let at = &self.desks[desk as usize];
        let (step, answer) = (u64::from(at.step), at.accepted);
        // Each begins somewhere else, so that the place in the quiz and the number of the answer differ.
        let question = (mix(who) % questions + step) % questions;
        let right = ((mix(mix(who) ^ step) >> 11) as f64) < correct * (1u64 << 53) as f64;
        let fresh = Slot { intended_ns, question: question as u16, right, ..Slot::default() };
        *self.slot(desk, answer) = fresh;
    }

    /// The connection stands: sends what is asked.
    pub(super) fn send_request(&mut self, desk: u32) -> Result<(), Fault> {
        let at = &self.desks[desk as usize];
        let Some(Asked { what, .. }) = at.asked else { return Ok(()) };
        let sheet = &self.sheets[at.sheet as usize];
        let session = at.attempt.as_ref().map_or("", |attempt| &attempt.session);
        self.body.clear();
        if what == What::Start {
            contract::write_start(&mut self.body, desk);
        }
        if what == What::Answer {
            let slot = &self.slots[desk as usize * self.questions + at.accepted as usize];
            let question = &sheet.questions[usize::from(slot.question)];
            let wrong = (question.correct + 1) % question.options;
            contract::write_answer(&mut self.body, question.id, if slot.right { question.correct } else { wrong });
        }
        let (path, host, quiz) = (&self.rest_path, &self.order.target.host, sheet.id);
        self.request.clear();
        let head = match what {
            What::Start => write!(self.request, "POST {path}/quizzes/{quiz}/attempts HTTP/1.1\r\n"),
            What::Answer => write!(self.request, "POST {path}/attempts/{session}/answers HTTP/1.1\r\n"),
            What::Submit => write!(self.request, "POST {path}/attempts/{session}/submit HTTP/1.1\r\n"),
        };
        let length = self.body.len();
        let rest = write!(self.request, "Host: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        debug_assert!(head.is_ok() && rest.is_ok());
        self.request.extend_from_slice(&self.body);
        self.desks[desk as usize].line.send(&self.request)
    }

    /// Bytes of an answer have come.
    pub(super) fn hear_answer(&mut self, desk: u32, bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        match response(bytes)? {
            Answer::Incomplete => self.desks[desk as usize].line.rest.extend_from_slice(bytes),
            Answer::Whole(_, end) if end != bytes.len() => return Err(Fault::Broken("an answer to no question")),
            Answer::Whole((status, body), _) => {
                let at = &mut self.desks[desk as usize];
                at.idle_since_ns = now_ns;
                let asked = at.asked.take().ok_or(Fault::Broken("an answer to no question"))?;
                at.line.rest_assured();
                self.under_way -= 1;
                let answered = match asked.what {
                    What::Start => self.begun(desk, status, body, asked, now_ns),
                    What::Answer => self.answered(desk, status, body, asked, now_ns),
                    What::Submit => self.submitted(desk, status, body, asked, now_ns),
                };
                if let Err(fault) = answered {
                    self.blame(asked.what.when(), &fault);
                }
                self.decided(desk, asked.what, now_ns);
            }
        }
        Ok(())
    }

    fn begun(&mut self, desk: u32, status: u16, body: &[u8], asked: Asked, now_ns: u64) -> Result<(), Fault> {
        let begun: Begun = data(status, 201, body)?;
        let sheet = self.sheet(desk);
        let asks = begun.questions.iter().map(|question| question.id).eq(sheet.questions.iter().map(|question| question.id));
        let (screens, is_ours) = (u64::from(sheet.screens), begun.quiz_id == sheet.id && asks);
        let started_s = contract::seconds(&begun.started_at).ok_or(Fault::Broken("a time that is none"))?;
        let at = &mut self.desks[desk as usize];
        let is_told = at.told.is_none_or(|told| told == begun.attempt_id);
        at.attempt = Some(Attempt {
            id: begun.attempt_id,
            session: begun.session_token.into(),
            submitted: false,
            submit_ns: 0,
            started_s,
            answered_s: started_s,
        });
        self.tally.quiz.untrue += u64::from(!is_told) + u64::from(!is_ours);
        self.tally.quiz.started += 1;
        self.tally.quiz.begins_owed += screens;
        self.tally.starting.hold(now_ns);
        self.tally.record(Measure::Start, now_ns.saturating_sub(asked.intended_ns));
        if !self.order.holds.line() {
            self.desks[desk as usize].line.drop_socket();
        }
        if self.order.holds.socket() {
            self.open_socket(Whose::Listener(desk));
        }
        Ok(())
    }

    fn answered(&mut self, desk: u32, status: u16, body: &[u8], asked: Asked, now_ns: u64) -> Result<(), Fault> {
        let graded: Graded<'_> = data(status, 201, body)?;
        let at_s = contract::seconds(graded.answered_at).ok_or(Fault::Broken("a time that is none"))?;
        let (screens, answer) = (self.sheet(desk).screens, self.desks[desk as usize].accepted);
        let slot = *self.slot(desk, answer);
        let worth = self.worth(desk, &slot);
        let is_ours = graded.answered_count == answer + 1
            && graded.is_correct == Some(slot.right)
            && graded.score == Some(worth)
            && slot.answer.is_none_or(|told| told == graded.answer_id);
        let kept = self.slot(desk, answer);
        (kept.answer, kept.accepted_ns) = (Some(graded.answer_id), now_ns);
        let at = &mut self.desks[desk as usize];
        at.accepted += 1;
        at.score += worth;
        if let Some(attempt) = &mut at.attempt {
            attempt.answered_s = at_s;
        }
        self.tally.quiz.untrue += u64::from(!is_ours);
        self.tally.quiz.answered += 1;
        self.tally.quiz.updates_owed += u64::from(screens);
        self.tally.answering.hold(now_ns);
        self.tally.record(Measure::Answer, now_ns.saturating_sub(asked.intended_ns));
        (0..slot.heard).for_each(|_| self.tally.record(Measure::Behind, 0));
        Ok(())
    }

    fn submitted(&mut self, desk: u32, status: u16, body: &[u8], asked: Asked, now_ns: u64) -> Result<(), Fault> {
        let ended: Ended<'_> = data(status, 200, body)?;
        let screens = self.sheet(desk).screens;
        let at = &mut self.desks[desk as usize];
        let is_ours = (ended.reason, ended.score, ended.answered_count) == ("submitted", at.score, at.accepted);
        if let Some(attempt) = &mut at.attempt {
            attempt.submitted = true;
        }
        self.tally.quiz.untrue += u64::from(!is_ours);
        self.tally.quiz.submitted += 1;
        self.tally.quiz.ends_owed += u64::from(screens);
        self.tally.quiz.closes_owed += u64::from(self.order.holds.socket());
        self.tally.record(Measure::Submit, now_ns.saturating_sub(asked.intended_ns));
        Ok(())
    }

    /// What an answer is worth.
    pub(super) fn worth(&self, desk: u32, slot: &Slot) -> f64 {
        if slot.right { self.sheet(desk).questions[usize::from(slot.question)].points } else { 0.0 }
    }

    /// The connection for REST is over: what was under way on it has failed.
    pub(super) fn line_over(&mut self, desk: u32, fault: &Fault) {
        let at = &mut self.desks[desk as usize];
        at.line.drop_socket();
        // A kept connection that ends between two requests has failed nothing.
        if let Some(asked) = at.asked.take() {
            self.under_way -= 1;
            self.blame(asked.what.when(), fault);
            self.decided(desk, asked.what, clock::now_ns());
        }
    }

    /// A request is over, however it went: what comes next.
    fn decided(&mut self, desk: u32, what: What, now_ns: u64) {
        if what == What::Answer {
            self.desks[desk as usize].step += 1;
            self.continue_answers(desk, now_ns);
        } else if what == What::Start && self.order.pace == Pace::Never && self.desks[desk as usize].attempt.is_none() {
            self.desks[desk as usize].line.drop_socket();
        }
    }
}

/// The `data` of an answer with the status that it must have.
fn data<'a, T: serde::Deserialize<'a>>(status: u16, wanted: u16, body: &'a [u8]) -> Result<T, Fault> {
    let envelope = serde_json::from_slice::<Envelope<'a, T>>(body);
    match envelope {
        Ok(Envelope { code: "0000", data: Some(data) }) if status == wanted => Ok(data),
        Ok(Envelope { code, .. }) if code != "0000" => Err(Fault::Contract(format!("http {status}, {code}"))),
        _ if status != wanted => Err(Fault::Http(status)),
        _ => Err(Fault::Broken("an answer that is not understood")),
    }
}
