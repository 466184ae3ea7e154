//! Homes that move: what is given up, what is held, and what the next home tells whoever comes.

use super::*;
use crate::protocols::chat::{
    homes::LetGo,
    model::{Author, Completeness, Message},
};

fn moves(bench: &mut Bench, is_here: bool) -> Vec<Outcome> {
    bench.homes.move_out(|_| is_here, bench.now, &mut bench.out);
    bench.take()
}

fn gone(was_held: bool) -> LetGo {
    LetGo { session: SESSION, was_held, listeners: vec![conn(2)], ..LetGo::default() }
}

fn come(bench: &mut Bench, last: Option<u128>, is_open: bool) -> Vec<Outcome> {
    let heard = Heard { last: last.map(|n| message_ids(n)[1]), is_open };
    bench.letter(ToSession::Join { conn: conn(4), session: SESSION, caller: caller(1), heard: Some(heard) })
}

/// A home that has read a session with one answer.
fn with_an_answer(completeness: Completeness) -> Bench {
    let mut bench = Bench::new();
    bench.join(conn(2), 1);
    let answer = Message {
        author: Author::Assistant,
        completeness,
        ..Message::user(SESSION, message_ids(1)[1], 2, &"".into(), &[], UnixMicros(0))
    };
    let question = Message::user(SESSION, message_ids(1)[0], 1, &"".into(), &[], UnixMicros(0));
    let loaded = Loaded { session: session(), messages: vec![question, answer], approvals: Vec::new() };
    bench.homes.loaded(SESSION, Ok(Some(Box::new(loaded))), bench.now, &mut bench.out);
    bench.take();
    bench
}

#[test]
fn an_idle_session_is_given_up_at_once() {
    let mut bench = Bench::joined();
    assert_eq!(moves(&mut bench, true), []);
    assert_eq!(moves(&mut bench, false), [Outcome::LetGo(Box::new(gone(false)))]);
    assert_eq!((bench.homes.levels().sessions, bench.homes.timers()), (0, 0));
}

#[test]
fn an_answer_is_held_until_it_is_on_disk_and_nothing_is_begun_behind_it() {
    let mut bench = Bench::joined();
    bench.begun(1);
    assert_eq!(moves(&mut bench, false), [Outcome::Hold(SESSION)]);
    assert_eq!(moves(&mut bench, false), [Outcome::Hold(SESSION)], "each view may have another home");
    bench.say(2);
    bench.say_by_rest(3, true);
    bench.letter(ToSession::Part { conn: conn(2), session: SESSION });
    bench.join(conn(3), 1);
    let ended = bench.ended(1, Stop::Done);
    let told = bench.store(kept_in(&ended).0);
    assert_eq!(types(&told), ["message_end"]);
    let Some(Outcome::LetGo(gone)) = told.last() else { panic!("{told:?}") };
    assert_eq!((gone.was_held, &gone.listeners[..], &gone.askers[..]), (true, &[conn(3)][..], &[(ShardId(1), 1)][..]));
    assert!(matches!(&gone.unbegun[..], [Ask::Say { ids, .. }] if *ids == message_ids(2)), "of one who has gone");
    assert_eq!(bench.homes.levels().sessions, 0);
}

#[test]
fn a_home_that_has_it_back_goes_on() {
    let mut bench = Bench::joined();
    bench.begun(1);
    moves(&mut bench, false);
    assert_eq!(moves(&mut bench, true), []);
    bench.say(2);
    let ended = bench.ended(1, Stop::Done);
    let next = bench.store(kept_in(&ended).0);
    assert_eq!(kept_in(&next).1.messages[0].id, message_ids(2)[0]);
}

#[test]
fn what_waits_to_be_read_is_passed_on_and_what_is_read_late_is_read_again() {
    let mut bench = Bench::new();
    bench.join(conn(2), 1);
    let passed = moves(&mut bench, false);
    assert!(matches!(&passed[..], [Outcome::Pass(letter)] if matches!(**letter, ToSession::Join { .. })));
    assert_eq!(moves(&mut bench, true), []);
    assert_eq!(bench.join(conn(3), 1), []);
    assert_eq!(bench.load(session()), [Outcome::Load(SESSION)], "it may have changed meanwhile");
    assert_eq!(bench.load(session()), [joined(conn(3))]);
    let mut bench = Bench::new();
    bench.join(conn(2), 1);
    moves(&mut bench, false);
    assert_eq!(bench.load(session()), []);
    assert_eq!((bench.homes.levels().sessions, bench.homes.timers()), (0, 0));
}

#[test]
fn whoever_has_heard_all_goes_on_and_whoever_has_not_is_told_so() {
    for (last, is_open, is_missed) in
        [(Some(1), false, false), (None, false, true), (Some(1), true, true), (Some(2), false, true)]
    {
        let told = come(&mut with_an_answer(Completeness::Whole), last, is_open);
        assert_eq!(told == [Outcome::Tell(conn(4), FromSession::Missed)], is_missed, "{last:?} {is_open}: {told:?}");
        assert_eq!(told.len(), 1);
    }
    let told = come(&mut with_an_answer(Completeness::Incomplete), Some(1), true);
    assert!(matches!(told[..], [Outcome::Tell(_, FromSession::Joined { .. }), Outcome::Deliver(..), Outcome::Deliver(..)]));
}

#[test]
fn one_who_comes_while_an_answer_is_given_hears_it_from_its_beginning() {
    let mut bench = Bench::joined();
    bench.begun(1);
    bench.delta(1, "Once");
    let told = come(&mut bench, None, false);
    assert!(matches!(told[..], [Outcome::Tell(_, FromSession::Joined { .. }), Outcome::Deliver(..), Outcome::Deliver(..)]));
    // It has heard it begin from elsewhere, which nobody can have said but this home.
    assert_eq!(come(&mut bench, Some(1), true), [Outcome::Tell(conn(4), FromSession::Missed)]);
}

#[test]
fn one_who_comes_when_all_has_ended_hears_that() {
    let mut bench = Bench::new();
    bench.join(conn(2), 1);
    bench.load(Session { status: Status::Ended, ..session() });
    let told = come(&mut bench, None, false);
    assert_eq!(told, [Outcome::Load(SESSION)]);
    let told = bench.load(Session { status: Status::Ended, ..session() });
    assert!(
        matches!(&told[..], [Outcome::Deliver(_, frame), Outcome::Tell(_, FromSession::Over)] if text(frame)["code"] == "SESSION_ENDED")
    );
}

#[test]
fn shards_that_are_gone_are_not_told_and_their_requests_wait_no_more() {
    let mut bench = Bench::joined();
    bench.join(conn(3), 1);
    bench.say_by_rest(1, true);
    let change = bench.say_by_rest(2, true);
    assert_eq!(change, []);
    bench.homes.lose(&|shard| shard == ShardId(1), bench.now, &mut bench.out);
    bench.take();
    let begun = bench.store(0);
    let Some(Outcome::Publish { shards, .. }) = begun.first() else { panic!("{begun:?}") };
    assert_eq!(shards[..], [(ShardId(0), 1)]);
    assert!(begun.iter().any(|outcome| matches!(outcome, Outcome::StopModel { .. })), "it is broken off as it begins");
    assert_eq!(types(&bench.store(kept_in(&begun).0)), ["message_end"]);
    assert_eq!(bench.homes.levels().answers, 0, "the second is not begun");
}
