//! What the server keeps, read back when all is over, and held against what the participants did.

use super::{
    Hall,
    contract::{Channel, Detail, Outcome, PAGE, Page, Row, SNAPSHOT_ROWS},
    desk::Desk,
};
use crate::{fault::Fault, tally::When, wire::rest::Rest};
use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    io,
};
use uuid::Uuid;

/// How far it has come.
#[derive(Default)]
pub(super) struct Proof {
    sheet: usize,
    read: u64,
    /// The owner whose quiz was read last.
    owner: Option<(usize, Rest)>,
    desks: HashMap<Uuid, u32>,
    found: HashSet<Uuid>,
    /// The score of the row before.
    last_score: f64,
    boards_done: bool,
}

impl Hall {
    /// One step: a quiz's boards, a page of results, or the details of one quiz. Blocks: no socket is open any more.
    pub(super) fn prove(&mut self) -> u64 {
        let Some(mut proof) = self.proof.take() else { return u64::MAX };
        if !proof.boards_done {
            let ids = self.desks.iter().zip(0..).filter_map(|(desk, place)| Some((desk.attempt.as_ref()?.id, place)));
            proof.desks = ids.collect();
            self.prove_boards(&proof.desks);
            proof.boards_done = true;
        }
        match self.prove_results(&mut proof) {
            Ok(true) => self.proof = Some(proof),
            Ok(false) => {}
            Err(fault) => self.blame(When::Proving, &Fault::Contract(fault.to_string())),
        }
        0
    }

    /// The next page of results, and behind the last the details of the quiz. Whether there is more.
    fn prove_results(&mut self, proof: &mut Proof) -> io::Result<bool> {
        let Some(sheet) = self.sheets.get(proof.sheet) else { return Ok(false) };
        if proof.owner.as_ref().is_none_or(|(owner, _)| *owner != sheet.owner) {
            let token = &self.order.owners[sheet.owner].token;
            proof.owner = Some((sheet.owner, Rest::new(&self.order.target, &token.0, self.order.timeout)));
        }
        let Some((_, rest)) = &mut proof.owner else { return Ok(false) };
        let (quiz, offset) = (sheet.id, proof.read);
        let page: Page<Outcome> = rest.read(&format!("/quizzes/{quiz}/results?offset={offset}&limit={PAGE}"))?;
        for (row, outcome) in (offset + 1..).zip(&page.items) {
            self.tally.quiz.results += 1;
            let first = row == 1 || outcome.score <= proof.last_score;
            proof.last_score = outcome.score;
            let desk = proof.desks.get(&outcome.attempt_id).map(|desk| &self.desks[*desk as usize]);
            let right = desk.is_some_and(|desk| is_result_of(desk, outcome)) && proof.found.insert(outcome.attempt_id);
            self.tally.quiz.result_faults += u64::from(!(right && first && u64::from(outcome.rank) <= row));
        }
        proof.read += page.items.len() as u64;
        if proof.read < page.total && !page.items.is_empty() {
            return Ok(true);
        }
        for desk in self.sample(proof.sheet) {
            self.prove_details(rest, desk)?;
        }
        (proof.sheet, proof.read) = (proof.sheet + 1, 0);
        Ok(proof.sheet < self.sheets.len())
    }

    /// Which participants of a quiz have each answer read back.
    fn sample(&self, sheet: usize) -> Vec<u32> {
        let sheet = &self.sheets[sheet];
        let every = (self.desks.len() as u64).div_ceil(u64::from(self.order.sample.max(1))).max(1);
        let all = sheet.first_desk..sheet.first_desk + sheet.desks;
        let sampled = all.filter(|desk| self.order.sample > 0 && u64::from(*desk).is_multiple_of(every));
        sampled.filter(|desk| self.desks[*desk as usize].attempt.is_some()).collect()
    }

    fn prove_details(&mut self, rest: &mut Rest, desk: u32) -> io::Result<()> {
        let at = &self.desks[desk as usize];
        let Some(attempt) = &at.attempt else { return Ok(()) };
        let detail: Detail = rest.read(&format!("/info/attempts/{}", attempt.id))?;
        let mut kept: HashMap<Uuid, _> = detail.answers.iter().map(|answer| (answer.answer_id, answer)).collect();
        let (questions, accepted) = (&self.sheet(desk).questions, at.accepted);
        let mut faults = detail.answers.len().abs_diff(accepted as usize) as u64;
        let first = desk as usize * self.questions;
        for slot in self.slots.get(first..first + accepted as usize).unwrap_or_default() {
            let question = &questions[usize::from(slot.question)];
            let right = slot.answer.and_then(|id| kept.remove(&id)).is_some_and(|kept| {
                let said = (kept.question_id, kept.answer == question.correct, kept.is_correct, kept.score);
                said == (question.id, slot.right, Some(slot.right), self.worth(desk, slot))
            });
            faults += u64::from(!right);
        }
        self.tally.quiz.details += u64::from(accepted);
        self.tally.quiz.detail_faults += faults;
        Ok(())
    }

    /// The last snapshot of each channel.
    fn prove_boards(&mut self, desks: &HashMap<Uuid, u32>) {
        for screen in &self.screens {
            for board in &screen.boards {
                let rows: Vec<Row> = serde_json::from_str(&board.text).unwrap_or_default();
                self.tally.quiz.boards += 1;
                self.tally.quiz.board_faults += self.board_faults(board.sheet, board.channel, &rows, desks);
            }
        }
    }

    /// What is wrong in a snapshot, row by row.
    fn board_faults(&self, sheet: usize, channel: Channel, rows: &[Row], desks: &HashMap<Uuid, u32>) -> u64 {
        let sheet = &self.sheets[sheet];
        let whose = |row: &Row| desks.get(&row.attempt_id).map(|desk| &self.desks[*desk as usize]);
        let untrue = rows.iter().filter(|row| row.quiz_id != sheet.id || !whose(row).is_some_and(|desk| is_row_of(desk, row)));
        let twice = rows.len() - rows.iter().map(|row| row.attempt_id).collect::<HashSet<_>>().len();
        let all = &self.desks[sheet.first_desk as usize..(sheet.first_desk + sheet.desks) as usize];
        let begun = all.iter().filter(|desk| desk.attempt.is_some()).count();
        let missing = begun.min(SNAPSHOT_ROWS).abs_diff(rows.len());
        let mut faults = untrue.count() + twice + missing;
        if channel == Channel::Leaderboard {
            faults += (1..).zip(rows).filter(|(place, row)| row.rank != Some(*place)).count();
            let pairs = rows.windows(2).filter_map(|pair| Some((whose(&pair[0])?, whose(&pair[1])?)));
            faults += pairs.filter(|(above, below)| rank(above, below) == Some(Ordering::Greater)).count();
            let shown: HashSet<Uuid> = rows.iter().map(|row| row.attempt_id).collect();
            let left_out = |desk: &&Desk| desk.attempt.as_ref().is_some_and(|attempt| !shown.contains(&attempt.id));
            let last = rows.last().and_then(whose);
            faults += all
                .iter()
                .filter(left_out)
                .filter(|desk| last.is_some_and(|last| rank(desk, last) == Some(Ordering::Less)))
                .count();
        }
        faults as u64
    }
}

/// Who stands above whom on a leaderboard: by score, then by the time to the last answer. None where whole seconds do not tell.
fn rank(one: &Desk, other: &Desk) -> Option<Ordering> {
    let took = |desk: &Desk| desk.attempt.as_ref().map(|attempt| attempt.answered_s - attempt.started_s);
    let (took, others) = (took(one)?, took(other)?);
    // Two times that were cut to whole seconds make a span that may be off by less than one, either way.
    let by_time = if took.abs_diff(others) >= 2 { Some(took.cmp(&others)) } else { None };
    match other.score.total_cmp(&one.score) {
        Ordering::Equal => by_time,
        unequal => Some(unequal),
    }
}

fn is_row_of(desk: &Desk, row: &Row) -> bool {
    let status = if desk.is_in() { "running" } else { "ended" };
    (row.score, row.answered_count, row.status.as_str()) == (desk.score, desk.accepted, status)
}

fn is_result_of(desk: &Desk, outcome: &Outcome) -> bool {
    let told = (outcome.status.as_str(), outcome.reason.as_deref(), outcome.score, outcome.answered_count);
    told == ("ended", Some("submitted"), desk.score, desk.accepted)
}
