//! Questions for leave: exactly one outcome, on disk before anyone hears of it.

use super::*;
use crate::protocols::chat::model::{ApprovalId, Completeness, Decision, Stage};

/// An answer that waits for leave to call `send`.
fn asking() -> (Bench, ApprovalId) {
    let mut bench = Bench::joined();
    bench.begun(1);
    bench.call(1, "send");
    let asked = bench.ended(1, Stop::Calls);
    let (ticket, change) = kept_in(&asked);
    assert!(heard(&asked).is_empty(), "not before it is on disk");
    let id = change.approvals[0].id;
    let told = bench.store(ticket);
    assert_eq!(heard(&told)[0]["approval_id"], format!("appr_{}", id.simple()));
    (bench, id)
}

fn decide(bench: &mut Bench, user: u128, approval: ApprovalId, yes: bool) -> Vec<Outcome> {
    bench.ask(Ask::Decide { session: SESSION, caller: caller(user), approval, yes, reason: Some("why".into()), comment: None })
}

fn is_called(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| matches!(outcome, Outcome::Tool { .. }))
}

#[test]
fn approved_it_is_called() {
    let (mut bench, id) = asking();
    let pending = bench.ask(Ask::Approvals { session: SESSION, caller: caller(9) });
    assert!(matches!(replies(&pending)[..], [Reply::Approvals(list)] if list.len() == 1));
    let decided = decide(&mut bench, 9, id, true);
    assert!(!is_called(&decided));
    let (ticket, change) = kept_in(&decided);
    assert_eq!(change.approvals[0].decided_by.as_deref(), Some("user9@school.example"));
    let called = bench.store(ticket);
    assert!(is_called(&called));
    assert!(matches!(replies(&called)[..], [Reply::Decided(approval)] if approval.decision == Decision::Approved));
    assert_eq!(refused(&decide(&mut bench, 1, id, false)), Some(Refused::Processed));
    assert_eq!(bench.homes.levels().approvals, 0);
}

#[test]
fn rejected_the_model_goes_on() {
    let (mut bench, id) = asking();
    let decided = decide(&mut bench, 1, id, false);
    let told = bench.store(kept_in(&decided).0);
    assert!(!is_called(&told));
    assert_eq!(heard(&told)[0]["result"], serde_json::json!({"error": "TOOL_APPROVAL_DENIED", "message": "why"}));
    assert!(told.iter().any(|outcome| matches!(outcome, Outcome::Model { .. })));
}

#[test]
fn expired_the_answer_ends() {
    let (mut bench, id) = asking();
    assert_eq!(bench.pass(1799 * SECOND), []);
    let expired = bench.pass(2 * SECOND);
    assert_eq!(kept_in(&expired).1.approvals[0].decision, Decision::Expired);
    assert_eq!(refused(&decide(&mut bench, 1, id, true)), None, "it waits for what is being written");
    let finishing = bench.store(kept_in(&expired).0);
    assert_eq!(types(&finishing), ["tool_result"]);
    let (ticket, change) = kept_in(&finishing);
    assert_eq!(refused(&finishing), Some(Refused::Expired));
    assert_eq!((change.messages[0].completeness, change.messages[0].calls[0].stage), (Completeness::Incomplete, Stage::Expired));
    let end = bench.store(ticket);
    assert_eq!(types(&end), ["error", "message_end"]);
    assert_eq!(heard(&end)[0]["code"], "TOOL_APPROVAL_EXPIRED");
}

#[test]
fn of_two_who_decide_at_once_the_first_does() {
    let (mut bench, id) = asking();
    let first = decide(&mut bench, 1, id, true);
    assert_eq!(decide(&mut bench, 9, id, false), []);
    let after = bench.store(kept_in(&first).0);
    assert!(is_called(&after));
    assert_eq!(refused(&after), Some(Refused::Processed));
}

#[test]
fn a_decision_that_is_being_written_outlives_a_cancel_and_an_expiry() {
    let (mut bench, id) = asking();
    let deciding = decide(&mut bench, 1, id, true);
    let told = bench.pass(1801 * SECOND);
    assert_eq!(
        (told.len(), refused(&told)),
        (1, Some(Refused::Store(StoreFault::Busy))),
        "what expires now waits for the decision"
    );
    let cancelled = bench.letter(ToSession::Cancel { conn: conn(2), session: SESSION, answer: None });
    assert_eq!(types(&cancelled), ["error", "message_end"], "nobody waits for this store");
    let decided = bench.store(kept_in(&deciding).0);
    assert!(replies(&decided).is_empty(), "it was told that this takes too long");
    assert!(!is_called(&decided), "the answer was cancelled");
    let (ticket, change) = kept_in(&decided);
    assert!(change.approvals.is_empty() && change.messages[0].calls[0].stage == Stage::Dropped);
    bench.store(ticket);
    assert_eq!(refused(&decide(&mut bench, 1, id, false)), Some(Refused::Processed));
}

#[test]
fn a_cancel_expires_what_is_asked() {
    let (mut bench, id) = asking();
    let cancelled = bench.letter(ToSession::Cancel { conn: conn(2), session: SESSION, answer: None });
    let (ticket, change) = kept_in(&cancelled);
    assert_eq!(change.approvals[0].decision, Decision::Expired);
    assert_eq!(types(&bench.store(ticket)), ["message_end"]);
    assert_eq!(refused(&decide(&mut bench, 1, id, true)), Some(Refused::Expired));
}

#[test]
fn a_question_that_is_being_written_when_the_answer_is_cancelled_is_not_told() {
    let mut bench = Bench::joined();
    bench.begun(1);
    bench.call(1, "send");
    let asked = bench.ended(1, Stop::Calls);
    bench.letter(ToSession::Cancel { conn: conn(2), session: SESSION, answer: None });
    let finishing = bench.store(kept_in(&asked).0);
    assert!(heard(&finishing).is_empty());
    assert_eq!(kept_in(&finishing).1.approvals[0].decision, Decision::Expired);
}

#[test]
fn without_a_stream_the_answer_so_far_is_told_with_its_question() {
    let mut bench = Bench::new();
    bench.say_by_rest(1, false);
    let said = bench.load(session());
    bench.store(kept_in(&said).0);
    bench.delta(1, "I will");
    bench.call(1, "send");
    let asked = bench.ended(1, Stop::Calls);
    let waits = bench.store(kept_in(&asked).0);
    let [Told::Waits(message)] = told(&waits)[..] else { panic!("{waits:?}") };
    assert_eq!((&*message.content, message.calls[0].stage), ("I will", Stage::Pending));
    assert!(message.calls[0].approval.is_some());
}

#[test]
fn strangers_decide_nothing() {
    let (mut bench, id) = asking();
    assert_eq!(refused(&decide(&mut bench, 2, id, true)), Some(Refused::NoSession));
    assert_eq!(refused(&decide(&mut bench, 1, Uuid::nil(), true)), Some(Refused::NoApproval));
    assert_eq!(bench.homes.levels().approvals, 1);
}
