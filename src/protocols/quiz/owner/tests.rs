//! The owner's conversation, message by message.

use super::*;
use crate::{
    protocols::quiz::{connection::Connection, requests::Parser, settings::Settings},
    realtime::{Moment, ShardId},
};
use serde_json::json;
use std::time::Duration;

const CONN: ConnId = ConnId { shard: ShardId(1), generation: 2, slot: 3 };

struct Bench {
    machine: Connection,
    parser: Parser,
    now: Now,
}

fn owner() -> Bench {
    let mut out = Vec::new();
    let first_ping = Duration::from_secs(3);
    let machine = Connection::owner("school/ada".into(), first_ping, Now::default(), &mut out);
    assert_eq!(out, [Effect::Timer(Some(first_ping))]);
    Bench { machine, parser: Parser::default(), now: Now::default() }
}

impl Bench {
    fn effects(&mut self, event: Event<'_>) -> Vec<Effect> {
        let mut out = Vec::new();
        let gate = &mut Gate { settings: &Settings::default(), parser: &mut self.parser };
        self.machine.handle(event, CONN, self.now, gate, &mut out);
        out
    }

    fn subscribe(&mut self, keys: &[&str]) -> Vec<Effect> {
        self.effects(Event::Text(&json!({"action": "subscribe", "subscriptions": keys}).to_string()))
    }

    fn unsubscribe(&mut self, keys: &[&str]) -> Vec<Effect> {
        self.effects(Event::Text(&json!({"action": "unsubscribe", "subscriptions": keys}).to_string()))
    }

    fn watched(&mut self, key: &str, verdict: Verdict) -> Vec<Effect> {
        let (quiz, channel) = channel(key).unwrap();
        self.effects(Event::Home(FromQuiz::Watched { quiz, channel, verdict }))
    }

    /// With these channels granted.
    fn listening(keys: &[&str]) -> Bench {
        let mut bench = owner();
        bench.subscribe(keys);
        keys.iter().for_each(|key| {
            bench.watched(key, Verdict::Granted);
        });
        bench
    }
}

fn watch(key: &str, owner: Option<&str>) -> Effect {
    let (quiz, channel) = channel(key).unwrap();
    Effect::Home(ToQuiz::Watch { conn: CONN, quiz, channel, owner: owner.map(Into::into) })
}

fn ask(key: &str) -> Effect {
    watch(key, Some("school/ada"))
}

fn unwatch(key: &str) -> Effect {
    let (quiz, channel) = channel(key).unwrap();
    Effect::Home(ToQuiz::Unwatch { conn: CONN, quiz, channel })
}

fn snapshot(key: &str) -> Effect {
    let (quiz, channel) = channel(key).unwrap();
    Effect::Home(ToQuiz::Snapshot { conn: CONN, quiz, channel })
}

fn listen(key: &str) -> Effect {
    let (quiz, channel) = channel(key).unwrap();
    Effect::Listen(quiz, channel)
}

fn unlisten(key: &str) -> Effect {
    let (quiz, channel) = channel(key).unwrap();
    Effect::Unlisten(quiz, channel)
}

fn subscriptions(keys: &[&str]) -> Vec<Subscription> {
    keys.iter()
        .map(|key| {
            let (quiz, channel) = channel(key).unwrap();
            Subscription::Quiz(channel, quiz)
        })
        .collect()
}

/// One send with a confirmation, if there is one, and these errors.
fn answer(confirmed: Option<&[&str]>, errors: &[&str]) -> Effect {
    let mut frames = Vec::new();
    if let Some(keys) = confirmed {
        messages::subscribed(&mut frames, subscriptions(keys));
    }
    errors.iter().for_each(|text| messages::error(&mut frames, text));
    Effect::Send(frames)
}

fn error(text: &str) -> Effect {
    answer(None, &[text])
}

fn removed(keys: &[&str]) -> Effect {
    let mut frame = Vec::new();
    messages::unsubscribed(&mut frame, subscriptions(keys));
    Effect::Send(frame)
}

#[test]
fn a_socket_has_so_many_channels_and_no_more() {
    let keys: Vec<String> = (1..CHANNELS).map(|number| format!("quiz:{number}")).collect();
    let mut bench = Bench::listening(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let asked = bench.subscribe(&["quiz:1", "leaderboard:1", "quiz:2000", "attempts:2000"]);
    assert_eq!(asked, [watch("leaderboard:1", None)], "one of them is held, for one there is room");
    let too_many = ["quiz:2000", "attempts:2000"].map(|key| format!("Subscription denied: {key}: too many subscriptions"));
    let answered = [
        listen("leaderboard:1"),
        answer(Some(&["quiz:1", "leaderboard:1"]), &too_many.each_ref().map(String::as_str)),
        snapshot("leaderboard:1"),
    ];
    assert_eq!(bench.watched("leaderboard:1", Verdict::Granted), answered);
    assert_eq!(bench.subscribe(&["quiz:2000"]), [error(&too_many[0])]);
    bench.unsubscribe(&["quiz:1"]);
    assert_eq!(bench.subscribe(&["quiz:2000"]), [ask("quiz:2000")]);
}

#[test]
fn a_batch_is_answered_when_every_home_has_answered_in_the_order_of_the_request() {
    let mut bench = owner();
    let asked = bench.subscribe(&["quiz:99", "leaderboard:42", "quiz:42", "attempts:7", "attempts:42"]);
    assert_eq!(asked, ["quiz:99", "leaderboard:42", "quiz:42", "attempts:7", "attempts:42"].map(ask));
    assert_eq!(bench.watched("attempts:42", Verdict::Granted), []);
    assert_eq!(bench.watched("quiz:42", Verdict::Granted), []);
    assert_eq!(bench.watched("quiz:99", Verdict::NotOwned), []);
    assert_eq!(bench.watched("attempts:7", Verdict::Unavailable), []);
    let refused =
        ["Subscription denied: quiz:99: not found or not owned", "Subscription denied: attempts:7: temporarily unavailable"];
    let expected = [
        listen("leaderboard:42"),
        listen("quiz:42"),
        listen("attempts:42"),
        answer(Some(&["leaderboard:42", "quiz:42", "attempts:42"]), &refused),
        snapshot("leaderboard:42"),
        snapshot("attempts:42"),
    ];
    assert_eq!(bench.watched("leaderboard:42", Verdict::Granted), expected);
}

#[test]
fn the_example_of_the_contract() {
    let mut bench = owner();
    bench.subscribe(&["quiz:42", "quiz:99"]);
    bench.watched("quiz:42", Verdict::Granted);
    let refused = "Subscription denied: quiz:99: not found or not owned";
    assert_eq!(bench.watched("quiz:99", Verdict::NotOwned), [listen("quiz:42"), answer(Some(&["quiz:42"]), &[refused])]);
}

#[test]
fn when_none_is_accepted_there_are_only_errors() {
    let mut bench = owner();
    assert_eq!(bench.subscribe(&["quiz:99"]), [ask("quiz:99")]);
    let refused = error("Subscription denied: quiz:99: not found or not owned");
    assert_eq!(bench.watched("quiz:99", Verdict::NotOwned), [refused]);
    assert_eq!(bench.subscribe(&["quiz:99"]), [ask("quiz:99")], "a refused id may be asked for again");
    assert_eq!(bench.watched("quiz:99", Verdict::Granted), [listen("quiz:99"), answer(Some(&["quiz:99"]), &[])]);
}

#[test]
fn what_cannot_be_a_channel_is_refused_without_asking() {
    let long = format!("quiz:{}", "é\"".repeat(400));
    let keys = [
        "quiz",
        "",
        "room:42",
        ":42",
        "Quiz:42",
        "notification:019364ab-7c12-7def-8000-abcdef123456",
        "quiz:",
        "quiz:abc",
        "quiz: 42",
        "quiz:4.2",
        "quiz:+42",
        "quiz:42:1",
        "quiz:--1",
        "quiz:9007199254740992",
        "attempts:99999999999999999999999",
        "leaderboard:-1",
        "quiz:0",
        "quiz:042",
        "a\"\\\n:1",
        &long,
    ];
    let texts = [
        "quiz: not of the form <channel_type>:<id>",
        ": not of the form <channel_type>:<id>",
        "room:42: unknown channel type",
        ":42: unknown channel type",
        "Quiz:42: unknown channel type",
        "notification:019364ab-7c12-7def-8000-abcdef123456: only for the participant's own session",
        "quiz:: the id is not a number",
        "quiz:abc: the id is not a number",
        "quiz: 42: the id is not a number",
        "quiz:4.2: the id is not a number",
        "quiz:+42: the id is not a number",
        "quiz:42:1: the id is not a number",
        "quiz:--1: the id is not a number",
        "quiz:9007199254740992: not found or not owned",
        "attempts:99999999999999999999999: not found or not owned",
        "leaderboard:-1: not found or not owned",
        "quiz:0: not found or not owned",
        "quiz:042: not found or not owned",
        "a\"\\\n:1: unknown channel type",
        &format!("quiz:{}é: the id is not a number", "é\"".repeat(29)),
    ]
    .map(|text| format!("Subscription denied: {text}"));
    assert_eq!(owner().subscribe(&keys), [answer(None, &texts.each_ref().map(String::as_str))]);
}

#[test]
fn a_batch_goes_on_past_what_is_refused() {
    let mut bench = owner();
    assert_eq!(bench.subscribe(&["nonsense", "quiz:42", "quiz:x"]), [ask("quiz:42")]);
    let refused = [
        "Subscription denied: nonsense: not of the form <channel_type>:<id>",
        "Subscription denied: quiz:x: the id is not a number",
    ];
    assert_eq!(bench.watched("quiz:42", Verdict::Granted), [listen("quiz:42"), answer(Some(&["quiz:42"]), &refused)]);
}

#[test]
fn a_channel_is_asked_for_once_and_confirmed_each_time() {
    let mut bench = owner();
    assert_eq!(bench.subscribe(&["quiz:42", "quiz:42", "x", "x"]), [ask("quiz:42")]);
    let refused = "Subscription denied: x: not of the form <channel_type>:<id>";
    assert_eq!(bench.watched("quiz:42", Verdict::Granted), [listen("quiz:42"), answer(Some(&["quiz:42"]), &[refused])]);
    assert_eq!(bench.subscribe(&["quiz:42"]), [answer(Some(&["quiz:42"]), &[])]);
    assert_eq!(bench.effects(Event::Gone), [unwatch("quiz:42")]);
}

#[test]
fn a_snapshot_follows_every_confirmation() {
    let mut bench = Bench::listening(&["attempts:42"]);
    let again = [answer(Some(&["attempts:42"]), &[]), snapshot("attempts:42")];
    assert_eq!(bench.subscribe(&["attempts:42"]), again);
}

#[test]
fn a_quiz_found_to_be_the_owners_is_not_checked_again() {
    let mut bench = Bench::listening(&["quiz:42"]);
    let mixed = bench.subscribe(&["attempts:42", "quiz:42", "quiz:43"]);
    assert_eq!(mixed, [watch("attempts:42", None), ask("quiz:43")]);
    assert_eq!(bench.watched("quiz:43", Verdict::NotOwned), []);
    let refused = "Subscription denied: quiz:43: not found or not owned";
    let expected = [listen("attempts:42"), answer(Some(&["attempts:42", "quiz:42"]), &[refused]), snapshot("attempts:42")];
    assert_eq!(bench.watched("attempts:42", Verdict::Granted), expected);
    bench.unsubscribe(&["quiz:42", "attempts:42"]);
    assert_eq!(bench.subscribe(&["quiz:42"]), [watch("quiz:42", None)]);
}

#[test]
fn unsubscribe_names_what_was_really_removed() {
    let mut bench = Bench::listening(&["quiz:42", "attempts:42"]);
    let keys = ["leaderboard:42", "attempts:42", "nonsense", "quiz:99", "attempts:42"];
    assert_eq!(bench.unsubscribe(&keys), [unlisten("attempts:42"), unwatch("attempts:42"), removed(&["attempts:42"])]);
    assert_eq!(bench.unsubscribe(&keys), [removed(&[])]);
    assert_eq!(bench.unsubscribe(&[]), [removed(&[])]);
    assert_eq!(bench.effects(Event::Gone), [unwatch("quiz:42")]);
}

#[test]
fn an_empty_batch_is_confirmed() {
    assert_eq!(owner().subscribe(&[]), [answer(Some(&[]), &[])]);
}

#[test]
fn messages_behind_a_batch_wait_for_its_answer() {
    let mut bench = owner();
    bench.subscribe(&["quiz:42"]);
    assert_eq!(bench.unsubscribe(&["quiz:42"]), []);
    assert_eq!(bench.effects(Event::Text("hello")), []);
    assert_eq!(bench.effects(Event::Binary), []);
    assert_eq!(bench.subscribe(&["attempts:42", "quiz:7"]), []);
    assert_eq!(bench.subscribe(&["quiz:7"]), []);
    let expected = [
        listen("quiz:42"),
        answer(Some(&["quiz:42"]), &[]),
        unlisten("quiz:42"),
        unwatch("quiz:42"),
        removed(&["quiz:42"]),
        error(Fault::NotJson.text()),
        error(Fault::Binary.text()),
        watch("attempts:42", None),
        ask("quiz:7"),
    ];
    assert_eq!(bench.watched("quiz:42", Verdict::Granted), expected);
    assert_eq!(bench.watched("quiz:7", Verdict::Granted), []);
    let expected = [
        listen("attempts:42"),
        listen("quiz:7"),
        answer(Some(&["attempts:42", "quiz:7"]), &[]),
        snapshot("attempts:42"),
        answer(Some(&["quiz:7"]), &[]),
    ];
    assert_eq!(bench.watched("attempts:42", Verdict::Granted), expected);
}

#[test]
fn too_many_messages_behind_a_batch_are_refused() {
    let mut bench = owner();
    bench.subscribe(&["quiz:42"]);
    for _ in 0..WAITING_MESSAGES {
        assert_eq!(bench.effects(Event::Text("hello")), []);
    }
    assert_eq!(bench.effects(Event::Text("hello")), [error(Fault::Crowded.text())]);
    let answers = bench.watched("quiz:42", Verdict::Granted);
    assert_eq!(answers.len(), 2 + WAITING_MESSAGES);
    assert_eq!(bench.effects(Event::Text("hello")), [error(Fault::NotJson.text())]);
}

#[test]
fn messages_behind_a_batch_are_bounded_in_what_they_name() {
    let mut bench = owner();
    bench.subscribe(&["quiz:1"]);
    let keys: Vec<String> = (2..2 + BATCH_ITEMS).map(|number| format!("quiz:{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(bench.subscribe(&keys), []);
    assert_eq!(bench.subscribe(&keys), []);
    assert_eq!(bench.subscribe(&keys[..1]), [error(Fault::Crowded.text())]);
}

#[test]
fn faulty_messages_are_answered_and_end_nothing() {
    let mut bench = Bench::listening(&["quiz:42"]);
    for (text, fault) in [
        ("hello", Fault::NotJson),
        ("[]", Fault::NotJson),
        (r#"{"action":"publish","subscriptions":[]}"#, Fault::Action),
        (r#"{"action":"subscribe","subscriptions":"quiz:42"}"#, Fault::Subscriptions),
        (r#"{"action":"subscribe","subscriptions":["quiz:42",43]}"#, Fault::Subscriptions),
    ] {
        assert_eq!(bench.effects(Event::Text(text)), [error(fault.text())], "{text}");
    }
    assert_eq!(bench.effects(Event::Binary), [error(Fault::Binary.text())]);
    let keys = vec!["quiz:1"; BATCH_ITEMS + 1];
    assert_eq!(bench.subscribe(&keys), [error(Fault::TooMany.text())]);
    assert_eq!(bench.subscribe(&["quiz:42"]), [answer(Some(&["quiz:42"]), &[])]);
}

#[test]
fn one_that_goes_gives_back_what_it_was_granted_and_a_late_grant_is_given_back_as_well() {
    let mut bench = Bench::listening(&["quiz:42", "leaderboard:7"]);
    bench.subscribe(&["attempts:42", "quiz:8", "quiz:9"]);
    bench.subscribe(&["quiz:10"]);
    bench.watched("attempts:42", Verdict::Granted);
    bench.watched("quiz:8", Verdict::NotOwned);
    let gone = bench.effects(Event::Gone);
    assert_eq!(gone, [unwatch("leaderboard:7"), unwatch("quiz:42"), unwatch("attempts:42")]);
    let (quiz, channel) = channel("quiz:9").unwrap();
    let letter = FromQuiz::Watched { quiz, channel, verdict: Verdict::Granted };
    assert_eq!(late(&letter, CONN).map(Effect::Home), Some(unwatch("quiz:9")));
}

#[test]
fn one_that_does_not_pong_says_nothing_more_and_still_gives_back() {
    let mut bench = Bench::listening(&["quiz:42"]);
    bench.subscribe(&["quiz:43"]);
    let second = Duration::from_secs(1);
    for n in [3, 8] {
        bench.now.moment = Moment(0) + n * second;
        assert_eq!(bench.effects(Event::TimerFired), [Effect::Ping, Effect::Timer(Some(5 * second))]);
    }
    bench.now.moment = Moment(0) + 13 * second;
    assert_eq!(bench.effects(Event::TimerFired), [Effect::End(Farewell::NoPong)]);
    assert_eq!(bench.effects(Event::Text("hello")), []);
    assert_eq!(bench.watched("quiz:43", Verdict::Granted), []);
    assert_eq!(bench.effects(Event::Gone), [unwatch("quiz:42"), unwatch("quiz:43")]);
}

#[test]
fn a_pong_keeps_an_owner() {
    let mut bench = owner();
    for n in 0..6 {
        bench.now.moment = Moment(0) + Duration::from_secs(3 + 5 * n);
        assert_eq!(bench.effects(Event::TimerFired), [Effect::Ping, Effect::Timer(Some(Duration::from_secs(5)))]);
        assert_eq!(bench.effects(Event::Pong), []);
    }
}
