//! The life of an attempt: what is told, to whom and in which order.

use super::{
    shelf::{question_id, quiz},
    world::{QUIZ, START, Said, World, answer, conn, flags, id, look, refused, start, submit, wall},
};
use crate::{
    protocols::quiz::{
        Channel, QuizId,
        asks::{Ask, End, Refused, Reply},
        model::{Given, Grade, Kind, Reason, SubmissionMode},
        record::Record,
    },
    realtime::StoreFault,
};
use serde_json::{Value, json};
use std::time::Duration;

fn who(extra: Value) -> Value {
    let mut data = json!({
        "attempt_id": id(1), "participant_id": id(1_000_001), "alias": "P1", "quiz_id": 42, "event_id": null,
    });
    data.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    data
}

fn event(slug: &str, extra: Value) -> Said {
    let event = json!({"event": "update", "t": slug, "channel": "quiz", "data": who(extra)});
    Said::Published(QUIZ, Channel::Quiz, event)
}

/// With attempt 1 running.
fn started(limit: u32) -> World {
    let mut world = World::watched(limit);
    world.get(start(QUIZ, 1));
    world.hush();
    world
}

#[test]
fn a_life_is_told_in_its_order_and_only_what_is_on_disk() {
    let mut world = World::watched(0);
    world.ask(start(QUIZ, 1));
    assert_eq!(world.hush(), [], "nothing is told before it is on disk");
    world.keep();
    let said = world.hush();
    assert_eq!(said[0], event("attempt_quiz", json!({"started_at": "2023-11-14T22:13:20+00:00"})));
    let Said::Replied(1, Reply::Started(view)) = &said[1] else { panic!("{said:?}") };
    assert_eq!((view.attempt, view.started_at, view.deadline, view.end), (id(1), START, None, None));
    assert_eq!(said.len(), 2);

    world.admit(conn(0, 7), 1);
    world.pass(Duration::from_secs(5));
    world.hush();
    for (question, truth, count) in [(2, true, 1), (0, false, 2)] {
        let number = world.ask(answer(QUIZ, 1, question, truth));
        assert_eq!(world.hush(), []);
        world.keep();
        let score = if truth { 0.3 } else { 0.0 };
        let told = event(
            "attempt_update",
            json!({
                "question_id": question_id(question), "answer_id": id(0xA000 + question), "is_correct": truth, "score": score,
                "answered_at": "2023-11-14T22:13:25+00:00", "answered_count": count, "question_order": question + 1,
            }),
        );
        let reply = Reply::Answered {
            id: id(0xA000 + question),
            grade: Some(Grade { is_correct: Some(truth), score }),
            answered_count: count,
            at: wall(START, Duration::from_secs(5)),
        };
        assert_eq!(world.hush(), [told, Said::Replied(number, reply)]);
    }

    let number = world.ask(flags(QUIZ, 1, &["TAB_SWITCH", "TAB_SWITCH", "CLIPBOARD"]));
    world.keep();
    let labels = ["TAB_SWITCH", "CLIPBOARD"];
    let at = wall(START, Duration::from_secs(5));
    assert_eq!(
        world.hush(),
        [
            event("attempt_flagged", json!({"labels": labels, "flagged_at": "2023-11-14T22:13:25+00:00"})),
            Said::Replied(number, Reply::Flagged { labels: labels.map(String::from).to_vec(), at }),
        ]
    );

    world.pass_ms(1_234);
    let number = world.ask(submit(QUIZ, 1));
    world.keep();
    let closed = json!({
        "attempt_id": id(1), "quiz_id": 42, "event_id": null, "reason": "submitted", "score": 0.3, "answered_count": 2,
        "submitted_at": "2023-11-14T22:13:26+00:00",
    });
    let said = world.hush();
    assert_eq!(said[0], event("attempt_finished", json!({"answered_count": 2, "time_taken_ms": 6_234})));
    let closed = json!({"event": "update", "t": "attempt_closed", "channel": "notification", "data": closed});
    assert_eq!(said[1], Said::Delivered(conn(0, 7), closed));
    assert_eq!(said[2], Said::Told(conn(0, 7), crate::protocols::quiz::FromQuiz::Over));
    let at = wall(at, Duration::from_millis(1_234));
    let end = End { reason: Reason::Submitted, at, score: 0.3, answered_count: 2 };
    assert_eq!(said[3..], [Said::Replied(number, Reply::Submitted(end))]);
    world.part(conn(0, 7), 1);
    world.unwatch(conn(0, 1), Channel::Quiz);
    world.rest();
    assert!(world.is_empty());
}

#[test]
fn another_answer_takes_the_place_of_the_first() {
    let mut world = started(0);
    let count = |reply| match reply {
        Reply::Answered { answered_count, .. } => answered_count,
        _ => panic!("{reply:?}"),
    };
    for (question, truth, expected) in [(0, true, 1), (1, true, 2), (0, false, 2), (0, true, 2), (0, false, 2)] {
        assert_eq!(count(world.get(answer(QUIZ, 1, question, truth))), expected);
    }
    let told = world.words().into_iter().filter(|word| word == "attempt_update").count();
    assert_eq!(told, 5, "each is told");
    let Reply::Submitted(end) = world.get(submit(QUIZ, 1)) else { panic!() };
    assert_eq!((end.score, end.answered_count), (0.2, 2));
}

#[test]
fn what_does_not_suit_is_refused_and_nothing_written() {
    let mut world = started(0);
    let wrong =
        Ask::Answer { quiz: QUIZ, attempt: id(1), question: question_id(0), id: id(9), given: Given::Text("true".into()) };
    for (ask, reason) in [
        (answer(QUIZ, 1, 99, true), Refused::NotFound),
        (wrong, Refused::WrongAnswer),
        (answer(QUIZ, 2, 0, true), Refused::NotFound),
        (look(QUIZ, 2), Refused::NotFound),
        (flags(QUIZ, 2, &["A"]), Refused::NotFound),
        (submit(QUIZ, 2), Refused::NotFound),
    ] {
        let number = world.ask(ask);
        assert_eq!(world.hush(), [refused(number, reason)]);
    }
    world.get(submit(QUIZ, 1));
    for ask in [answer(QUIZ, 1, 0, true), submit(QUIZ, 1)] {
        assert_eq!(world.get(ask), Reply::Refused(Refused::Over));
    }
    assert!(world.pending.is_empty());
}

#[test]
fn numbers_that_no_quiz_has_are_not_looked_for() {
    let mut world = World::new();
    for number in [0, -1, i64::MIN, QuizId::MAX + 1, i64::MAX] {
        assert_eq!(world.get(start(QuizId(number), 1)), Reply::Refused(Refused::NotFound));
    }
    assert!(world.loads.is_empty() && world.is_empty());
    world.ask(start(QuizId(QuizId::MAX), 1));
    assert_eq!(world.loads.len(), 1);
}

#[test]
fn points_are_told_at_once_only_where_the_quiz_says_so() {
    let mut quiz = quiz(42, 2);
    quiz.rules.submission_mode = SubmissionMode::OnSubmit;
    quiz.questions[1].kind = Kind::ShortText { correct: vec![] };
    let mut world = World::of(quiz);
    world.watch(conn(0, 1), Channel::Quiz);
    world.get(start(QUIZ, 1));
    let Reply::Answered { grade, .. } = world.get(answer(QUIZ, 1, 0, true)) else { panic!() };
    assert_eq!(grade, None);
    world.hush();
    let given = Given::Text("an essay".into());
    world.get(Ask::Answer { quiz: QUIZ, attempt: id(1), question: question_id(1), id: id(9), given });
    let Said::Published(.., told) = &world.hush()[0] else { panic!() };
    assert_eq!((&told["data"]["is_correct"], &told["data"]["score"]), (&Value::Null, &json!(0.0)), "graded by hand");
}

#[test]
fn flags_are_taken_a_while_after_the_end_and_no_more_than_300() {
    let mut world = started(0);
    for batch in 0..15 {
        let labels: Vec<String> = (0..20).map(|n| format!("L{}", n % (batch + 1))).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        assert!(matches!(world.get(flags(QUIZ, 1, &labels)), Reply::Flagged { .. }));
    }
    assert_eq!(world.get(flags(QUIZ, 1, &["ONE"])), Reply::Refused(Refused::TooManyFlags));
    world.get(start(QUIZ, 2));
    world.get(submit(QUIZ, 2));
    world.pass(Duration::from_secs(30));
    assert!(matches!(world.get(flags(QUIZ, 2, &["LATE"])), Reply::Flagged { .. }));
    world.pass(Duration::from_micros(1));
    assert_eq!(world.get(flags(QUIZ, 2, &["LATE"])), Reply::Refused(Refused::Over));
    assert_eq!(world.get(flags(QUIZ, 1, &["ONE"])), Reply::Refused(Refused::TooManyFlags));
}

#[test]
fn flags_on_their_way_count() {
    let mut world = started(0);
    let batch = ["F"; 20];
    let numbers: Vec<u64> = (0..16).map(|_| world.ask(flags(QUIZ, 1, &batch))).collect();
    world.settle();
    assert_eq!(world.shelf.attempt(id(1)).unwrap().flags, 300);
    assert_eq!(world.reply(numbers[15]), Some(Reply::Refused(Refused::TooManyFlags)));
}

#[test]
fn one_record_is_on_its_way_at_a_time_and_the_others_keep_their_order() {
    let mut world = started(0);
    for question in 0..3 {
        world.ask(answer(QUIZ, 1, question, true));
    }
    let looked = world.ask(look(QUIZ, 1));
    world.ask(submit(QUIZ, 1));
    assert_eq!(world.pending.len(), 1);
    for _ in 0..4 {
        world.keep();
        assert!(world.pending.len() <= 1);
    }
    let Some(Reply::Looked(view)) = world.reply(looked) else { panic!() };
    assert_eq!(view.answered, [0, 1, 2].map(question_id), "it shows what was answered before it");
    let told = ["attempt_update", "2: Answered", "attempt_update", "3: Answered", "attempt_update", "4: Answered"];
    assert_eq!(world.words(), [&told[..], &["5: Looked", "attempt_finished", "6: Submitted"]].concat());
}

#[test]
fn what_the_store_did_not_take_changes_nothing() {
    let mut world = started(0);
    world.get(answer(QUIZ, 1, 0, true));
    world.hush();
    for (ask, fault) in [
        (answer(QUIZ, 1, 1, true), StoreFault::Busy),
        (answer(QUIZ, 1, 0, false), StoreFault::Failed),
        (flags(QUIZ, 1, &["A"]), StoreFault::Failed),
        (submit(QUIZ, 1), StoreFault::Failed),
    ] {
        let number = world.ask(ask);
        world.fail(fault);
        assert_eq!(world.hush(), [refused(number, Refused::Store(fault))]);
    }
    let Reply::Looked(view) = world.get(look(QUIZ, 1)) else { panic!() };
    assert_eq!((view.answered, view.end), (vec![question_id(0)], None));
    let Reply::Submitted(end) = world.get(submit(QUIZ, 1)) else { panic!() };
    assert_eq!((end.score, end.answered_count), (0.1, 1));
}

#[test]
fn who_waits_too_long_is_told_so_and_what_comes_later_holds() {
    let mut world = started(0);
    let first = world.ask(answer(QUIZ, 1, 0, true));
    let second = world.ask(answer(QUIZ, 1, 1, true));
    world.pass(Duration::from_secs(6));
    let busy = Refused::Store(StoreFault::Busy);
    assert_eq!(world.hush(), [refused(first, busy), refused(second, busy)]);
    let third = world.ask(answer(QUIZ, 1, 2, true));
    world.keep();
    assert_eq!(world.words(), ["attempt_update"], "the first is on disk, nobody waits for it");
    let Some((_, Record::Answered(answered))) = world.pending.front() else { panic!() };
    assert_eq!(answered.question, question_id(2), "the second was never asked for");
    world.keep();
    let Some(Reply::Answered { answered_count, .. }) = world.reply(third) else { panic!() };
    assert_eq!(answered_count, 2);

    let fourth = world.ask(answer(QUIZ, 1, 3, true));
    world.pass(Duration::from_secs(6));
    world.hush();
    world.fail(StoreFault::Busy);
    assert_eq!((world.hush(), world.reply(fourth)), (vec![], None), "it is not on disk, and nobody waits");
}

#[test]
fn who_begins_waits_for_the_store_alone() {
    let mut world = World::watched(10);
    let number = world.ask(start(QUIZ, 1));
    assert_eq!(world.get_unkept(look(QUIZ, 1)), Some(Reply::Refused(Refused::NotFound)), "it has not begun");
    world.pass(Duration::from_secs(6));
    assert_eq!(world.words(), [format!("{}: NotFound", number + 1)], "it may begin yet, and nobody else gets the session token");
    world.keep();
    assert_eq!(world.words(), ["attempt_quiz".to_owned(), format!("{number}: Started")]);
    world.pass(Duration::from_secs(5));
    world.settle();
    assert_eq!(world.words(), ["attempt_finished"]);

    let late = world.ask(start(QUIZ, 2));
    world.pass(Duration::from_secs(6));
    world.fail(StoreFault::Busy);
    assert_eq!(world.words(), [format!("{late}: Store(Busy)")]);
}

#[test]
fn an_attempt_that_could_not_begin_never_was() {
    let mut world = World::watched(10);
    world.ask(start(QUIZ, 1));
    world.fail(StoreFault::Failed);
    assert_eq!(world.words(), ["1: Store(Failed)"]);
    assert_eq!(world.get(look(QUIZ, 1)), Reply::Refused(Refused::NotFound));
    assert!(matches!(world.get(start(QUIZ, 1)), Reply::Started(_)));
}

#[test]
fn a_quiz_is_not_forgotten_while_a_record_is_on_its_way() {
    let mut world = World::new();
    let minutes = Duration::from_secs(600);
    world.ask(start(QUIZ, 1));
    world.load();
    world.pass(minutes);
    world.keep();
    assert!(matches!(world.get(submit(QUIZ, 1)), Reply::Submitted(_)));
    world.ask(flags(QUIZ, 1, &["A"]));
    world.pass(minutes);
    assert_eq!(world.homes.population(), (1, 0));
    world.watch(conn(0, 1), Channel::Quiz);
    world.hush();
    world.keep();
    assert_eq!(world.words(), ["attempt_flagged"]);
}
