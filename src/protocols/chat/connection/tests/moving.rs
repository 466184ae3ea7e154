//! A socket whose session moves, or whose home is gone: it says what it has heard, and again what nobody began.

use super::*;
use crate::protocols::chat::Mark;

const ANSWER: MessageId = Uuid::from_u128(0xa5);
const THERE: FromSession = FromSession::Moved { to: ShardId(0x100) };

fn again(heard: Heard) -> Effect {
    Effect::Home(ToSession::Join { conn: CONN, session: SESSION, caller: caller(), heard: Some(heard) })
}

#[test]
fn it_joins_the_next_home_with_what_it_has_heard_and_nobody_is_told() {
    let mut bench = Bench::joined();
    bench.happens(Event::Hears(Mark::Begins(ANSWER)));
    bench.happens(Event::Hears(Mark::Ends));
    let heard = Heard { last: Some(ANSWER), is_open: false };
    assert_eq!(bench.happens(Event::Home(THERE)), [Effect::Unlisten, again(heard)]);
    assert_eq!(bench.happens(Event::Home(THERE)), [], "once");
    assert_eq!(bench.happens(Event::Home(FromSession::Elsewhere { at: ShardId(3) })), [again(heard)]);
    assert_eq!(bench.text(r#"{"type":"cancel"}"#), []);
    let cancel = ToSession::Cancel { conn: CONN, session: SESSION, answer: None };
    assert_eq!(bench.happens(Event::Home(JOINED)), [Effect::Listen(SESSION), Effect::Home(cancel)]);
    assert_eq!(bench.happens(Event::Home(FromSession::Elsewhere { at: ShardId(3) })), [], "it has joined");
}

#[test]
fn what_nobody_began_is_said_again_in_order_and_what_was_begun_is_not() {
    let mut bench = Bench::joined();
    let mut ids = Vec::new();
    for content in ["one", "two", "three"] {
        bench.text(&format!(r#"{{"type":"message","content":"{content}"}}"#));
        let told = bench.happens(Event::Limited(None));
        assert_eq!(said(&told), [content]);
        ids.extend(told.iter().filter_map(|effect| match effect {
            Effect::Home(ToSession::Say { ids, .. }) => Some(ids[1]),
            _ => None,
        }));
    }
    bench.happens(Event::Hears(Mark::Begins(ids[0])));
    bench.happens(Event::Home(FromSession::NotTaken { answer: ids[2], why: Refused::Crowded }));
    bench.text(r#"{"type":"message","content":"four"}"#);
    bench.happens(Event::Home(THERE));
    assert_eq!(bench.happens(Event::Limited(None)), [], "it is said when it has joined");
    assert_eq!(said(&bench.happens(Event::Home(JOINED))), ["two", "four"]);
}

#[test]
fn no_more_is_said_than_the_home_may_keep_until_it_has_answered() {
    let mut bench = Bench::joined();
    for _ in 0..Settings::default().max_waiting + 2 {
        assert_eq!(bench.text(r#"{"type":"message","content":"more"}"#), [Effect::Limit(USER)]);
        bench.happens(Event::Limited(None));
    }
    assert_eq!(bench.text(r#"{"type":"message","content":"last"}"#), []);
    let first = Uuid::from_u128(3);
    let told = bench.happens(Event::Home(FromSession::NotTaken { answer: first, why: Refused::Crowded }));
    assert_eq!(told.last(), Some(&Effect::Limit(USER)));
    assert_eq!(said(&bench.happens(Event::Limited(None))), ["last"]);
}

#[test]
fn one_who_leaves_while_it_moves_is_heard_all_the_same() {
    let mut bench = Bench::joined();
    bench.text(r#"{"type":"message","content":"one"}"#);
    bench.happens(Event::Limited(None));
    bench.happens(Event::Home(THERE));
    let last = bench.happens(Event::Gone);
    assert_eq!(said(&last), ["one"]);
    assert_eq!(last[1..], [Effect::Home(ToSession::Part { conn: CONN, session: SESSION })]);
}

#[test]
fn when_the_home_dies_another_is_asked_whatever_is_open() {
    let mut bench = Bench::new(Some("good"));
    let join = ToSession::Join { conn: CONN, session: SESSION, caller: caller(), heard: None };
    assert_eq!(bench.happens(Event::HomeDied), [Effect::Home(join)]);
    bench.happens(Event::Home(JOINED));
    bench.happens(Event::Hears(Mark::Begins(ANSWER)));
    let heard = Heard { last: Some(ANSWER), is_open: true };
    assert_eq!(bench.happens(Event::HomeDied), [Effect::Unlisten, again(heard)]);
    assert_eq!(bench.happens(Event::Home(FromSession::Missed)), [Effect::End(Farewell::Missed)]);
    assert_eq!(Farewell::Missed.code(), 1012);
}

#[test]
fn when_words_are_lost_whoever_may_have_missed_some_is_closed() {
    let mut bench = Bench::joined();
    assert_eq!(bench.happens(Event::Cut), [Effect::Unlisten, again(NOTHING)]);
    assert_eq!(bench.happens(Event::Cut), [again(NOTHING)], "it asks again");
    bench.happens(Event::Home(JOINED));
    bench.happens(Event::Hears(Mark::Begins(ANSWER)));
    assert_eq!(bench.happens(Event::Cut), [Effect::End(Farewell::Missed)]);
    let mut bench = Bench::joined();
    bench.text(r#"{"type":"message","content":"one"}"#);
    bench.happens(Event::Limited(None));
    assert_eq!(bench.happens(Event::Cut), [Effect::End(Farewell::Missed)], "nobody knows whether it was taken");
}

#[test]
fn a_session_that_cannot_be_read_at_the_next_home_closes_it() {
    let mut bench = Bench::joined();
    bench.happens(Event::Home(THERE));
    let told = bench.happens(Event::Home(FromSession::Refused { invalid: false }));
    assert_eq!(told, [Effect::End(Farewell::Missed)]);
}
