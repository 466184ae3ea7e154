//! What is said and answered, from the first word to the row on disk.

use super::*;
use crate::{
    models::talk::Attached,
    protocols::chat::{
        asks::Broken,
        model::{Author, Completeness, Stage},
    },
};

#[test]
fn a_message_is_on_disk_before_its_answer_begins() {
    let mut bench = Bench::joined();
    let said = bench.say(1);
    let (ticket, change) = kept_in(&said);
    assert_eq!(said.len(), 1, "nobody hears of it yet");
    let [user, answer] = &change.messages[..] else { panic!("two rows") };
    assert_eq!((user.number, user.author, &*user.content), (1, Author::User, "words 1"));
    assert_eq!((answer.number, answer.completeness), (2, Completeness::Streaming));
    assert_eq!(&*change.session.as_ref().unwrap().title, "words 1");
    let begun = bench.store(ticket);
    assert_eq!(types(&begun), ["message_start"]);
    let Some(Outcome::Model { answer, prompt, .. }) = begun.get(1) else { panic!("{begun:?}") };
    assert_eq!((*answer, prompt.utterances.len()), (message_ids(1)[1], 2));
}

#[test]
fn an_answer_is_on_disk_before_its_end_is_told() {
    let mut bench = Bench::joined();
    bench.begun(1);
    assert_eq!(heard(&bench.delta(1, "two "))[0]["delta"], "two ");
    assert_eq!(heard(&bench.delta(1, "words"))[0]["delta"], "words");
    let over = bench.ended(1, Stop::Done);
    let (ticket, change) = kept_in(&over);
    assert!(heard(&over).is_empty());
    let message = &change.messages[0];
    assert_eq!((&*message.content, message.completeness, message.usage.total()), ("two words", Completeness::Whole, 7));
    assert_eq!(change.session.as_ref().unwrap().message_count, 2);
    let end = bench.store(ticket);
    assert_eq!(heard(&end)[0]["usage"]["total_tokens"], 7);
    assert_eq!(types(&end), ["message_end"]);
    assert_eq!(bench.homes.levels().answers, 0);
}

#[test]
fn no_more_is_held_than_a_model_is_shown() {
    let settings = Settings { context_messages: 5, context_bytes: 60, ..Settings::default() };
    let mut bench = Bench::with(settings);
    bench.join(conn(2), 1);
    bench.load(session());
    let mut shown = Vec::new();
    for n in 1..=8 {
        // Each is 27 bytes, but for the last, which alone is more than all may be.
        let data = if n == 8 { vec![0; 100] } else { vec![0; 20] };
        let attachments = vec![Attached { name: "a".into(), media_type: "a/b".into(), bytes: data.into() }];
        let content = format!("words {n}").into();
        let said = bench.letter(ToSession::Say { conn: conn(2), session: SESSION, ids: message_ids(n), content, attachments });
        let begun = bench.store(kept_in(&said).0);
        let prompt = begun.iter().find_map(|outcome| match outcome {
            Outcome::Model { prompt, .. } => Some(prompt),
            _ => None,
        });
        // Without the instructions.
        shown.push(prompt.unwrap().utterances.len() - 1);
        bench.delta(n, "ok");
        let over = bench.ended(n, Stop::Done);
        bench.store(kept_in(&over).0);
    }
    assert_eq!(shown, [1, 3, 4, 4, 4, 4, 4, 1], "two messages with files, and what was answered to both, are 58 bytes");
}

#[test]
fn messages_wait_for_their_turn_and_too_many_are_refused() {
    let mut bench = Bench::joined();
    bench.begun(1);
    for n in 2..10 {
        assert_eq!(bench.say(n), []);
    }
    assert_eq!(bench.say(10), [not_taken(conn(2), 10, Refused::Crowded)]);
    let over = bench.ended(1, Stop::Done);
    let next = bench.store(kept_in(&over).0);
    let (ticket, change) = kept_in(&next);
    assert_eq!((change.messages[0].id, change.messages[0].number), (message_ids(2)[0], 3));
    let begun = bench.store(ticket);
    let Some(Outcome::Model { prompt, .. }) = begun.get(1) else { panic!("{begun:?}") };
    assert_eq!(prompt.utterances.len(), 3, "the first answer was empty");
}

#[test]
fn over_rest_the_last_word_is_enough() {
    let mut bench = Bench::new();
    bench.say_by_rest(1, false);
    let said = bench.load(session());
    bench.store(kept_in(&said).0);
    assert!(told(&bench.delta(1, "4")).is_empty());
    let over = bench.ended(1, Stop::Done);
    let end = bench.store(kept_in(&over).0);
    let [Told::End { message, usage, broken: None }] = told(&end)[..] else { panic!("{end:?}") };
    assert_eq!((&*message.content, usage.total()), ("4", 7));
    assert_eq!(bench.homes.levels().sessions, 0, "nobody needs it any more");
    assert_eq!(bench.homes.timers(), 0);
}

#[test]
fn a_stream_that_nobody_reads_any_more_is_broken_off() {
    let mut bench = Bench::new();
    bench.say_by_rest(1, true);
    let said = bench.load(session());
    let begun = bench.store(kept_in(&said).0);
    assert!(matches!(told(&begun)[..], [Told::Begin { .. }]));
    assert!(matches!(told(&bench.delta(1, "a"))[..], [Told::Delta(_)]));
    let left = bench.ask(Ask::Leave { session: SESSION, answer: message_ids(1)[1] });
    assert!(left.iter().any(|outcome| matches!(outcome, Outcome::StopModel { .. })));
    let (ticket, change) = kept_in(&left);
    assert_eq!((&*change.messages[0].content, change.messages[0].completeness), ("a", Completeness::Incomplete));
    assert!(told(&bench.store(ticket)).is_empty());
}

#[test]
fn a_stream_that_nobody_waits_for_before_it_begins_is_broken_off_as_it_does() {
    for (streamed, ends) in [(true, true), (false, false)] {
        let mut bench = Bench::new();
        bench.say_by_rest(1, streamed);
        let said = bench.load(session());
        assert_eq!(bench.ask(Ask::Leave { session: SESSION, answer: message_ids(1)[1] }), []);
        let begun = bench.store(kept_in(&said).0);
        assert!(told(&begun).is_empty());
        let is_over = begun.iter().any(|outcome| matches!(outcome, Outcome::StopModel { .. }));
        assert_eq!(is_over, ends, "what is not streamed is answered all the same");
        let ticket = if ends { kept_in(&begun).0 } else { kept_in(&bench.ended(1, Stop::Done)).0 };
        assert!(told(&bench.store(ticket)).is_empty());
        assert_eq!((bench.homes.levels().sessions, bench.homes.timers()), (0, 0));
    }
}

#[test]
fn a_cancelled_answer_says_no_more_and_ends() {
    let mut bench = Bench::joined();
    bench.begun(1);
    bench.delta(1, "a");
    assert_eq!(bench.letter(ToSession::Cancel { conn: conn(2), session: SESSION, answer: Some(Uuid::nil()) }), []);
    let cancelled = bench.letter(ToSession::Cancel { conn: conn(2), session: SESSION, answer: None });
    assert!(cancelled.iter().any(|outcome| matches!(outcome, Outcome::StopModel { .. })));
    assert_eq!(bench.delta(1, "late"), []);
    let end = bench.store(kept_in(&cancelled).0);
    assert_eq!(types(&end), ["message_end"], "who wished it hears no error");
    assert_eq!(bench.letter(ToSession::Cancel { conn: conn(2), session: SESSION, answer: None }), []);
}

#[test]
fn what_fails_says_so_and_ends() {
    for (fault, code) in [
        (crate::models::Fault::Unreachable, "AGENT_UNAVAILABLE"),
        (crate::models::Fault::Cut, "AGENT_ERROR"),
        (crate::models::Fault::TimedOut, "AGENT_TIMEOUT"),
    ] {
        let mut bench = Bench::joined();
        bench.begun(1);
        let failed = bench.word(1, Word::Failed(fault));
        let end = bench.store(kept_in(&failed).0);
        assert_eq!(types(&end), ["error", "message_end"]);
        assert_eq!(heard(&end)[0]["code"], code);
    }
    let mut bench = Bench::joined();
    bench.begun(1);
    let late = bench.pass(60 * SECOND + SECOND);
    assert_eq!(heard(&bench.store(kept_in(&late).0))[0]["code"], "AGENT_TIMEOUT");
}

#[test]
fn tools_at_home_are_called_at_once_and_others_by_the_house() {
    let mut bench = Bench::joined();
    bench.begun(1);
    assert_eq!(types(&bench.call(1, "calculator")), ["tool_call"]);
    let again = bench.ended(1, Stop::Calls);
    assert_eq!(heard(&again)[0], serde_json::json!({"type": "tool_result", "tool": "calculator", "result": {"value": 4}}));
    assert!(again.iter().any(|outcome| matches!(outcome, Outcome::Model { .. })));
    bench.call(1, "look");
    let called = bench.ended(1, Stop::Calls);
    assert!(called.iter().any(|outcome| matches!(outcome, Outcome::Tool { call: 1, .. })));
    let outcome = crate::models::ToolOutcome::TimedOut;
    bench.homes.tool((SESSION, message_ids(1)[1]), 1, outcome, bench.now, &mut bench.out);
    let told = bench.take();
    assert_eq!(heard(&told)[0]["result"]["error"], "TOOL_TIMEOUT");
    let over = bench.ended(1, Stop::Done);
    let calls = &kept_in(&over).1.messages[0].calls;
    assert_eq!(calls.iter().map(|called| called.stage).collect::<Vec<_>>(), [Stage::Done, Stage::Failed]);
}

#[test]
fn an_answer_that_cannot_be_written_is_told_once_and_written_later() {
    let mut bench = Bench::joined();
    bench.begun(1);
    let over = bench.ended(1, Stop::Done);
    let end = bench.fail(kept_in(&over).0);
    assert_eq!(types(&end), ["error", "message_end"]);
    assert_eq!(heard(&end)[0]["code"], "MESSAGE_SEND_FAILED");
    assert_eq!(bench.say(2), [], "it waits for the row before it");
    let again = bench.pass(2 * SECOND);
    let next = bench.store(kept_in(&again).0);
    assert!(heard(&next).is_empty());
    assert_eq!(kept_in(&next).1.messages[0].number, 3);
}

#[test]
fn nobody_waits_for_an_answer_that_cannot_be_written() {
    let mut bench = Bench::joined();
    bench.begun(1);
    let over = bench.ended(1, Stop::Done);
    bench.fail(kept_in(&over).0);
    assert_eq!(bench.ask(Ask::End { session: SESSION, caller: caller(1) }), []);
    assert_eq!(bench.say_by_rest(2, false), []);
    assert_eq!(bench.say(3), []);
    let again = bench.pass(2 * SECOND);
    let failed = bench.fail(kept_in(&again).0);
    let why = Refused::Store(StoreFault::Failed);
    assert_eq!(refused(&failed), Some(why));
    assert!(matches!(told(&failed)[..], [Told::Refused(refused)] if *refused == why));
    assert!(failed.contains(&not_taken(conn(2), 3, why)));
    let again = bench.pass(2 * SECOND);
    assert_eq!(bench.store(kept_in(&again).0), [], "nothing is left of what was refused");
    assert_eq!(kept_in(&bench.say(4)).1.messages[0].number, 3);
}

#[test]
fn a_message_that_cannot_be_written_is_refused() {
    let mut bench = Bench::joined();
    let said = bench.say(1);
    let why = Refused::Store(StoreFault::Failed);
    assert_eq!(bench.fail(kept_in(&said).0), [not_taken(conn(2), 1, why)]);
    assert_eq!(kept_in(&bench.say(2)).1.messages[0].number, 1);
}

#[test]
fn an_end_breaks_off_what_runs_and_refuses_what_waits() {
    let mut bench = Bench::joined();
    bench.begun(1);
    bench.say(2);
    let cancelled = bench.ask(Ask::End { session: SESSION, caller: caller(1) });
    let finished = bench.store(kept_in(&cancelled).0);
    assert_eq!(types(&finished), ["message_end"]);
    let (ticket, change) = kept_in(&finished);
    assert_eq!(change.session.as_ref().unwrap().status, Status::Ended);
    let ended = bench.store(ticket);
    assert!(matches!(replies(&ended)[..], [Reply::Session(session)] if session.ended_at.is_some()));
    assert_eq!(types(&ended), ["error"]);
    assert!(ended.contains(&not_taken(conn(2), 2, Refused::Ended)));
    assert_eq!(ended.last(), Some(&Outcome::Tell(conn(2), FromSession::Over)));
    assert_eq!(refused(&bench.ask(Ask::End { session: SESSION, caller: caller(1) })), Some(Refused::Ended));
    assert!(matches!(told(&bench.say_by_rest(3, false))[..], [Told::Refused(Refused::Ended)]));
}

#[test]
fn nobody_speaks_for_an_hour_and_it_has_ended() {
    let mut bench = Bench::joined();
    assert_eq!(bench.pass(3599 * SECOND), []);
    let silent = bench.pass(2 * SECOND);
    assert_eq!(kept_in(&silent).1.session.as_ref().unwrap().status, Status::Ended);
    let ended = bench.store(kept_in(&silent).0);
    assert_eq!(ended.last(), Some(&Outcome::Tell(conn(2), FromSession::Over)));
}

#[test]
fn a_stop_ends_every_answer_and_begins_none() {
    let mut bench = Bench::joined();
    bench.begun(1);
    bench.delta(1, "a");
    bench.say(2);
    bench.homes.stop(bench.now, &mut bench.out);
    let stopped = bench.take();
    assert!(stopped.contains(&not_taken(conn(2), 2, Refused::Stopping)));
    let end = bench.store(kept_in(&stopped).0);
    assert_eq!(types(&end), ["error", "message_end"]);
    assert_eq!(bench.say(3), [not_taken(conn(2), 3, Refused::Stopping)]);
    assert_ne!(Broken::Stopping.error(), None);
}
