//! A store that does not answer in time.

use super::*;
use crate::protocols::chat::homes::Levels;

const BUSY: Refused = Refused::Store(StoreFault::Busy);
/// The rest of the five seconds, and what the wheel is late.
const TICK: Duration = Duration::from_millis(110);
const JUST_BEFORE: Duration = Duration::from_millis(4_900);

fn told(number: u64) -> Outcome {
    Outcome::Told { asker: ShardId(1), number, told: Box::new(Told::Refused(BUSY)) }
}

fn refused(number: u64) -> Outcome {
    Outcome::Reply { asker: ShardId(1), number, reply: Box::new(Reply::Refused(BUSY)) }
}

fn end() -> Ask {
    Ask::End { session: SESSION, caller: caller(1) }
}

#[test]
fn who_waits_for_a_row_is_told_once_and_what_was_asked_for_comes_to_be() {
    for streamed in [false, true] {
        let mut bench = Bench::joined();
        let kept = bench.say_by_rest(1, streamed);
        let ticket = kept_in(&kept).0;
        assert_eq!(bench.ask(end()), [], "it waits behind the message");
        assert_eq!(bench.say(2), []);
        assert_eq!(bench.pass(JUST_BEFORE), []);
        let gave_up = bench.pass(TICK);
        assert_eq!(gave_up, [not_taken(conn(2), 2, BUSY), refused(2), told(1)]);
        assert_eq!(bench.say_by_rest(3, false), [told(3)], "nobody begins to wait");
        assert_eq!(bench.ask(end()), [refused(4)]);
        assert_eq!(bench.say(5), [not_taken(conn(2), 5, BUSY)]);
        let begun = bench.store(ticket);
        assert!(begun.iter().any(|outcome| matches!(outcome, Outcome::Model { .. })), "{begun:?}");
        assert!(!begun.iter().any(|outcome| matches!(outcome, Outcome::Told { .. } | Outcome::Reply { .. })), "{begun:?}");
        // As for anybody who has gone.
        assert_eq!(begun.iter().any(|outcome| matches!(outcome, Outcome::StopModel { .. })), streamed);
    }
}

#[test]
fn a_session_that_is_made_late_is_told_of_once() {
    let mut bench = Bench::new();
    let kept = bench.ask(Ask::Create(Box::new(session())));
    let ticket = kept_in(&kept).0;
    assert_eq!(bench.pass(JUST_BEFORE + TICK), [refused(1)]);
    assert_eq!(bench.store(ticket), []);
    assert_eq!((bench.homes.levels(), bench.homes.timers()), (Levels::default(), 0));
}

#[test]
fn who_waits_for_a_session_that_is_not_read_is_told_and_nothing_old_is_taken() {
    let mut bench = Bench::new();
    assert_eq!(bench.say_by_rest(1, true), [Outcome::Load(SESSION)]);
    assert_eq!(bench.join(conn(2), 1), []);
    assert_eq!(bench.pass(JUST_BEFORE), []);
    let gave_up = bench.pass(TICK);
    assert_eq!(gave_up, [told(1), Outcome::Tell(conn(2), FromSession::Refused { invalid: false })]);
    assert_eq!(bench.say_by_rest(2, true), [told(2)], "it is being read, and not again");
    assert_eq!(bench.load(session()), []);
    assert_eq!((bench.homes.levels(), bench.homes.timers()), (Levels::default(), 0));
    assert_eq!(bench.say_by_rest(3, true), [Outcome::Load(SESSION)]);
}

#[test]
fn a_store_in_time_leaves_no_timer() {
    let mut bench = Bench::new();
    let kept = bench.ask(Ask::Create(Box::new(session())));
    let ticket = kept_in(&kept).0;
    assert_eq!(bench.store(ticket).len(), 1);
    assert_eq!(bench.homes.timers(), 0);
}

#[test]
fn an_end_that_is_not_written_in_time_is_told_once() {
    for streamed in [false, true] {
        let mut bench = Bench::joined();
        let begun = bench.say_by_rest(1, streamed);
        bench.store(kept_in(&begun).0);
        let over = bench.ended(1, Stop::Done);
        let ticket = kept_in(&over).0;
        assert_eq!(bench.pass(JUST_BEFORE), []);
        let gave_up = bench.pass(TICK);
        assert_eq!(types(&gave_up), ["error", "message_end"]);
        assert_eq!(gave_up.last(), Some(&told(1)));
        assert_eq!(bench.store(ticket), [], "it is written, and nobody hears that again");
        assert_eq!((bench.homes.levels().answers, bench.homes.levels().writing), (0, 0));
    }
}

#[test]
fn who_waits_for_the_whole_of_it_waits_no_longer_for_a_question_than_for_a_row() {
    for streamed in [false, true] {
        let mut bench = Bench::joined();
        let begun = bench.say_by_rest(1, streamed);
        bench.store(kept_in(&begun).0);
        bench.call(1, "send");
        let asks = bench.ended(1, Stop::Calls);
        let ticket = kept_in(&asks).0;
        let gave_up = bench.pass(JUST_BEFORE + TICK);
        // A stream is told of the question when it is asked, however late.
        assert_eq!(gave_up, if streamed { Vec::new() } else { vec![told(1)] });
        let asked = bench.store(ticket);
        assert_eq!(types(&asked), ["approval_required"]);
        let further = super::told(&asked);
        assert_eq!(further.iter().any(|told| matches!(told, Told::Asked { .. })), streamed, "{further:?}");
        assert!(!further.iter().any(|told| matches!(told, Told::Waits(_))), "it was told already: {further:?}");
    }
}

#[test]
fn an_end_behind_what_is_not_written_in_time_is_told() {
    let mut bench = Bench::joined();
    let begun = bench.say_by_rest(1, true);
    bench.store(kept_in(&begun).0);
    bench.call(1, "send");
    let asks = bench.ended(1, Stop::Calls);
    let ticket = kept_in(&asks).0;
    assert_eq!(bench.pass(JUST_BEFORE + TICK), []);
    let cancelled = bench.letter(ToSession::Cancel { conn: conn(2), session: SESSION, answer: None });
    assert_eq!((types(&cancelled), cancelled.last()), (vec!["error".to_owned(), "message_end".to_owned()], Some(&told(1))));
    // The question is on disk, and expires with its answer.
    let asked = bench.store(ticket);
    let (ticket, change) = kept_in(&asked);
    assert_eq!((types(&asked).len(), change.approvals.len(), change.messages.len()), (0, 1, 1));
    assert_eq!(bench.store(ticket), []);
}

#[test]
fn who_waits_for_the_whole_of_it_does_not_wait_for_a_disk_that_is_full() {
    let mut bench = Bench::joined();
    let begun = bench.say_by_rest(1, false);
    bench.store(kept_in(&begun).0);
    bench.call(1, "send");
    let asks = bench.ended(1, Stop::Calls);
    let failed = bench.fail(kept_in(&asks).0);
    let why = Refused::Store(StoreFault::Failed);
    assert_eq!(failed, [Outcome::Told { asker: ShardId(1), number: 1, told: Box::new(Told::Refused(why)) }]);
    let again = bench.pass(2 * SECOND);
    let asked = bench.store(kept_in(&again).0);
    assert_eq!((types(&asked), super::told(&asked).len()), (vec!["approval_required".to_owned()], 0));
}
