//! What is heard, held against what was done: an owner's screen hears of all attempts at his quizzes, a participant of the end of his own.

use super::{
    Hall, Sheet, Whose,
    contract::{self, Channel, Data, Event, Kind, Message, On},
    desk::{Desk, What},
    socket::Socket,
};
use crate::{fault::Fault, tally::Measure, wire::frames};
use std::ops::Range;

/// The server may send a snapshot of one channel so often.
const SNAPSHOT_EVERY_NS: u64 = 200_000_000;
/// An attempt's end, in what a screen remembers of it.
const ENDED: u32 = 1 << 31;

/// One screen of an owner.
pub(super) struct Screen {
    pub(super) owner: usize,
    pub(super) socket: Socket,
    /// His quizzes' participants.
    desks: Range<u32>,
    /// What was heard of each: 0 nothing, 1 the start, 1 + n its answer number n, and [`ENDED`].
    heard: Vec<u32>,
    pub(super) boards: Vec<Board>,
}

/// The snapshots of one channel of one quiz.
pub(super) struct Board {
    /// Among the worker's quizzes.
    pub(super) sheet: usize,
    pub(super) channel: Channel,
    /// The last one.
    pub(super) text: String,
    seen: u64,
    first_ns: u64,
    last_ns: u64,
}

impl Board {
    /// How many came beyond five a second. One more than that is the one behind `subscribed`, one more the width of the first interval.
    pub(super) fn hurried(&self) -> u64 {
        self.seen.saturating_sub((self.last_ns - self.first_ns) / SNAPSHOT_EVERY_NS + 2)
    }
}

impl Screen {
    /// `sheets`: the owner's quizzes, the first of which is the worker's number `first`.
    pub(super) fn new(owner: usize, sheets: &[Sheet], first: usize, channels: &[Channel]) -> Screen {
        let start = sheets.first().map_or(0, |sheet| sheet.first_desk);
        let end = sheets.last().map_or(0, |sheet| sheet.first_desk + sheet.desks);
        let snapshots: Vec<Channel> = channels.iter().copied().filter(|channel| *channel != Channel::Quiz).collect();
        let board = |sheet, channel| Board { sheet, channel, text: String::new(), seen: 0, first_ns: 0, last_ns: 0 };
        Screen {
            owner,
            socket: Socket::default(),
            desks: start..end,
            heard: vec![0; (end - start) as usize],
            boards: (first..first + sheets.len())
                .flat_map(|sheet| snapshots.iter().map(move |channel| board(sheet, *channel)))
                .collect(),
        }
    }
}

impl Hall {
    fn subscriptions(&self, screen: u32) -> Vec<String> {
        let owner = self.screens[screen as usize].owner;
        contract::subscriptions(&self.order.channels, self.order.owners[owner].quizzes.iter().map(|paper| paper.id))
    }

    /// Asks for all that the owner watches.
    pub(super) fn subscribe(&mut self, screen: u32) -> Result<(), Fault> {
        let text = contract::subscribe(&self.subscriptions(screen));
        let mut frame = Vec::with_capacity(text.len() + 16);
        frames::put_text(&mut frame, text.as_bytes(), self.mask(Whose::Screen(screen)));
        self.screens[screen as usize].socket.line.send(&frame)
    }

    /// A text has come.
    pub(super) fn hear_text(&mut self, whose: Whose, text: &[u8], now_ns: u64) -> Result<(), Fault> {
        let message: Message<'_> = serde_json::from_slice(text).map_err(|_| Fault::Broken("a message that is not understood"))?;
        match (message.event, message.data) {
            (Event::Subscribed, _) => self.hear_subscribed(whose, message.subscriptions.unwrap_or_default())?,
            (Event::Error, _) => return Err(Fault::Broken("an error message")),
            (Event::Snapshot, _) => {
                self.hear_snapshot(whose, message.channel, message.snapshot.map_or("", |rows| rows.get()), now_ns);
            }
            (Event::Update, Some(data)) => {
                let is_true = match (whose, message.t, message.channel) {
                    (Whose::Screen(screen), Some(Kind::AttemptQuiz), Some(On::Quiz)) => self.hear_start(screen, &data),
                    (Whose::Screen(screen), Some(Kind::AttemptUpdate), Some(On::Quiz)) => self.hear_update(screen, &data, now_ns),
                    (Whose::Screen(screen), Some(Kind::AttemptFinished), Some(On::Quiz)) => self.hear_end(screen, &data),
                    (Whose::Listener(desk), Some(Kind::AttemptClosed), Some(On::Notification)) => {
                        self.hear_closed(desk, &data, now_ns)
                    }
                    _ => false,
                };
                self.tally.quiz.untrue += u64::from(!is_true);
            }
            (Event::Update | Event::Other, _) => self.tally.quiz.untrue += 1,
        }
        Ok(())
    }

    fn hear_subscribed(&mut self, whose: Whose, told: Vec<String>) -> Result<(), Fault> {
        let (asked, count) = match whose {
            Whose::Screen(screen) => (self.subscriptions(screen), &mut self.tally.quiz.watching),
            Whose::Desk(desk) | Whose::Listener(desk) => {
                let attempt = self.desks[desk as usize].attempt.as_ref().map(|attempt| attempt.id).unwrap_or_default();
                (vec![format!("notification:{attempt}")], &mut self.tally.quiz.listening)
            }
        };
        if told != asked {
            return Err(Fault::Broken("subscribed to something else"));
        }
        *count += 1;
        self.joined(whose);
        Ok(())
    }

    fn hear_snapshot(&mut self, whose: Whose, channel: Option<On>, rows: &str, now_ns: u64) {
        let Whose::Screen(screen) = whose else {
            self.tally.quiz.untrue += 1;
            return;
        };
        self.tally.quiz.snapshots += 1;
        // One without rows names no quiz.
        let Some(quiz) = contract::quiz_of(rows) else { return };
        let sheets = &self.sheets;
        let boards = &mut self.screens[screen as usize].boards;
        let found = boards.iter_mut().find(|board| {
            let same = matches!(
                (board.channel, channel),
                (Channel::Attempts, Some(On::Attempts)) | (Channel::Leaderboard, Some(On::Leaderboard))
            );
            same && sheets[board.sheet].id == quiz
        });
        match found {
            Some(board) => {
                board.first_ns = if board.seen == 0 { now_ns } else { board.first_ns };
                board.last_ns = now_ns;
                board.seen += 1;
                board.text.clear();
                board.text.push_str(rows);
            }
            None => self.tally.quiz.untrue += 1,
        }
    }

    /// Whose attempt an update tells of, if its owner watches on this screen.
    fn whose(&self, screen: u32, data: &Data<'_>) -> Option<u32> {
        let desk = contract::desk(data.alias?).filter(|desk| self.screens[screen as usize].desks.contains(desk))?;
        let at = &self.desks[desk as usize];
        let attempt = at.attempt.as_ref().map(|attempt| attempt.id).or(at.told);
        let same = attempt.is_none_or(|attempt| attempt == data.attempt_id);
        (same && self.sheet(desk).id == data.quiz_id).then_some(desk)
    }

    /// What a screen remembers of an attempt; counts what comes out of its order.
    fn follows(&mut self, screen: u32, desk: u32, before: u32, after: u32) {
        let screen = &mut self.screens[screen as usize];
        let heard = &mut screen.heard[(desk - screen.desks.start) as usize];
        self.tally.quiz.disordered += u64::from(*heard != before);
        *heard = after.max(*heard);
    }

    /// The event may come before the participant's own answer. Returns whether it is true.
    fn hear_start(&mut self, screen: u32, data: &Data<'_>) -> bool {
        self.tally.quiz.begins_heard += 1;
        let Some(desk) = self.whose(screen, data) else { return false };
        self.follows(screen, desk, 0, 1);
        self.desks[desk as usize].told = Some(data.attempt_id);
        true
    }

    fn hear_update(&mut self, screen: u32, data: &Data<'_>, now_ns: u64) -> bool {
        self.tally.quiz.updates_heard += 1;
        let (Some(desk), Some(count)) = (self.whose(screen, data), data.answered_count) else { return false };
        let Some(answer) = count.checked_sub(1).filter(|answer| self.was_given(desk, *answer)) else { return false };
        self.follows(screen, desk, count, count + 1);
        let slot = *self.slot(desk, answer);
        let question = self.sheet(desk).questions[usize::from(slot.question)];
        let is_true = data.question_id == Some(question.id)
            && data.question_order == Some(u32::from(slot.question) + 1)
            && data.is_correct == Some(slot.right)
            && data.score == Some(self.worth(desk, &slot))
            && data.answer_id.is_some()
            && slot.answer.is_none_or(|known| data.answer_id == Some(known));
        let kept = self.slot(desk, answer);
        kept.answer = data.answer_id.filter(|_| slot.answer.is_none()).or(slot.answer);
        kept.heard += 1;
        self.tally.record(Measure::Screen, now_ns.saturating_sub(slot.intended_ns));
        if slot.accepted_ns > 0 {
            self.tally.record(Measure::Behind, now_ns.saturating_sub(slot.accepted_ns));
        }
        is_true
    }

    /// Whether the participant has given this answer, or is giving it.
    fn was_given(&self, desk: u32, answer: u32) -> bool {
        let at = &self.desks[desk as usize];
        let giving = at.asked.is_some_and(|asked| asked.what == What::Answer);
        (answer as usize) < self.questions && (answer < at.accepted || (giving && answer == at.accepted))
    }

    fn hear_end(&mut self, screen: u32, data: &Data<'_>) -> bool {
        self.tally.quiz.ends_heard += 1;
        let Some(desk) = self.whose(screen, data) else { return false };
        let at = &self.desks[desk as usize];
        let (is_true, last) = (is_ending(at) && data.answered_count == Some(at.accepted), at.accepted + 1);
        self.follows(screen, desk, last, ENDED);
        is_true
    }

    fn hear_closed(&mut self, desk: u32, data: &Data<'_>, now_ns: u64) -> bool {
        self.tally.quiz.closes_heard += 1;
        let quiz = self.sheet(desk).id;
        let at = &mut self.desks[desk as usize];
        let again = std::mem::replace(&mut at.socket.told_closed, true);
        let Some(attempt) = &at.attempt else { return false };
        self.tally.record(Measure::Ending, now_ns.saturating_sub(attempt.submit_ns));
        let told = (data.attempt_id, data.quiz_id, data.reason, data.score, data.answered_count);
        !again && is_ending(at) && told == (attempt.id, quiz, Some("submitted"), Some(at.score), Some(at.accepted))
    }
}

/// Whether a participant has submitted or is submitting.
fn is_ending(desk: &Desk) -> bool {
    desk.attempt.as_ref().is_some_and(|attempt| attempt.submitted) || desk.asked.is_some_and(|asked| asked.what == What::Submit)
}
