//! Who may begin, what may change, and what concerns no quiz.

use super::{
    shelf::{question, question_id, quiz, rules},
    world::{QUIZ, START, Said, World, answer, conn, flags, id, look, refused, start, submit, wall},
};
use crate::{
    protocols::quiz::{
        Channel,
        asks::{Ask, Pass, Refused, Reply},
        edits::QUESTIONS,
        model::{AccessType, Availability, Quiz, Role, Rules, Status},
        record::{Edit, Kept, Key, KeyChange, Participant, Record},
    },
    realtime::StoreFault,
};
use std::time::Duration;

fn edit(edit: Edit) -> Ask {
    Ask::Edit { quiz: QUIZ, owner: "owner".into(), edit, seen: None }
}

fn of(rules: Rules) -> World {
    World::of(Quiz { rules, ..quiz(42, 5) })
}

fn start_with(n: u128, owner: Option<&str>, code: Option<&str>) -> Ask {
    let Ask::Start { quiz, attempt, entrant, event, .. } = start(QUIZ, n) else { panic!() };
    Ask::Start { quiz, attempt, entrant, event, pass: Pass { owner: owner.map(Into::into), code: code.map(Into::into) } }
}

fn start_again(n: u128, participant: u128, known_to: &str) -> Ask {
    let Ask::Start { quiz, attempt, mut entrant, event, pass } = start(QUIZ, n) else { panic!() };
    (entrant.participant, entrant.known_to) = (id(participant), Some(known_to.into()));
    Ask::Start { quiz, attempt, entrant, event, pass }
}

#[test]
fn only_what_is_published_and_open_is_begun() {
    for status in [Status::Draft, Status::Archived] {
        let mut world = World::of(Quiz { status, ..quiz(42, 5) });
        assert_eq!(world.get(start_with(1, Some("owner"), None)), Reply::Refused(Refused::NotPublished));
    }
    let second = Duration::from_secs(1);
    let times = |opens_at, closes_at| Rules { availability: Availability::Scheduled, opens_at, closes_at, ..rules() };
    for (opens_at, closes_at, is_open) in [
        (None, None, true),
        (Some(START), None, true),
        (Some(wall(START, second)), None, false),
        (None, Some(START), false),
        (Some(START), Some(wall(START, second)), true),
    ] {
        let expected = (!is_open).then_some(Reply::Refused(Refused::NotOpen));
        let reply = of(times(opens_at, closes_at)).get(start(QUIZ, 1));
        assert_eq!(Some(reply).filter(|reply| !matches!(reply, Reply::Started(_))), expected);
    }
    let always = Rules { availability: Availability::Always, ..times(Some(wall(START, second)), Some(START)) };
    assert!(matches!(of(always).get(start(QUIZ, 1)), Reply::Started(_)));
}

#[test]
fn the_pass_must_suit_the_access_and_the_owners_always_does() {
    use AccessType::{Private, Public, Shared};
    for (access_type, owner, code, may) in [
        (Public, None, None, true),
        (Public, Some("another"), None, true),
        (Shared, None, None, false),
        (Shared, None, Some("wrong"), false),
        (Shared, Some("another"), None, false),
        (Shared, None, Some("code"), true),
        (Shared, Some("another"), Some("code"), true),
        (Shared, Some("owner"), None, true),
        (Private, None, Some("code"), false),
        (Private, Some("another"), None, false),
        (Private, Some("owner"), None, true),
    ] {
        let reply = of(Rules { access_type, ..rules() }).get(start_with(1, owner, code));
        let expected = if may { None } else { Some(Reply::Refused(Refused::NoPass(access_type))) };
        assert_eq!(Some(reply).filter(|reply| !matches!(reply, Reply::Started(_))), expected);
    }
}

#[test]
fn a_participant_is_of_the_quizs_owner_or_new() {
    let mut world = World::new();
    assert_eq!(world.get(start_again(1, 500, "another")), Reply::Refused(Refused::NotFound));
    for (ask, is_new) in [(start(QUIZ, 2), true), (start_again(3, 500, "owner"), false)] {
        world.ask(ask);
        world.settle();
        let Some(Record::Started(started)) = world.shelf.journal.last() else { panic!() };
        assert_eq!((started.new_participant, &*started.owner), (is_new, "owner"));
    }
    let Reply::Looked(view) = world.get(look(QUIZ, 3)) else { panic!() };
    assert_eq!((view.participant, &*view.alias), (id(500), "P3"));
    let twice = Reply::Refused(Refused::Store(StoreFault::Failed));
    assert_eq!(world.get(start(QUIZ, 3)), twice, "an id is an attempt's for good");
}

#[test]
fn who_begins_again_what_has_begun_gets_it_as_it_is_now() {
    let mut world = of(Rules { max_attempts: 1, access_type: AccessType::Shared, time_limit_seconds: 60, ..rules() });
    let again = || start_with(1, None, Some("code"));
    let (first, second) = (world.ask(again()), world.ask(again()));
    world.load();
    assert_eq!(world.pending.len(), 1, "one of them begins it");
    world.pass(Duration::from_secs(6));
    assert_eq!(world.hush(), [], "both wait for the store's own word");
    world.keep();
    assert!(matches!(world.reply(second), Some(Reply::Started(_))));
    assert_eq!(world.reply(first), world.reply(second));
    world.get(answer(QUIZ, 1, 0, true));
    let Some(Reply::Started(view)) = world.get_unkept(again()) else { panic!() };
    assert_eq!((view.attempt, &*view.answered), (id(1), &[question_id(0)][..]));
    world.pass(Duration::from_secs(61));
    let Reply::Started(view) = world.get(again()) else { panic!() };
    assert!(view.end.is_some(), "also when it is over");
    assert_eq!(world.shelf.journal.iter().filter(|record| matches!(record, Record::Started(_))).count(), 1);
    let pass = Reply::Refused(Refused::NoPass(AccessType::Shared));
    assert_eq!(world.get(start_with(1, None, Some("wrong"))), pass, "without the pass it is not told");
    let mut after = World::new();
    after.shelf = world.shelf.clone();
    assert!(matches!(after.get(again()), Reply::Started(_)), "and after a restart");
}

#[test]
fn who_begins_again_what_could_not_begin_hears_the_same() {
    let mut world = World::new();
    let (first, second) = (world.ask(start(QUIZ, 1)), world.ask(start(QUIZ, 1)));
    world.load();
    world.fail(StoreFault::Failed);
    let mut said = world.hush();
    said.sort_by_key(|said| matches!(said, Said::Replied(number, _) if *number == second));
    assert_eq!(said, [first, second].map(|number| refused(number, Refused::Store(StoreFault::Failed))));
    assert!(matches!(world.get(start(QUIZ, 1)), Reply::Started(_)));
    world.get(submit(QUIZ, 1));
    world.rest();
    assert!(world.is_empty());
}

#[test]
fn attempts_are_counted_with_those_on_their_way() {
    let mut world = of(Rules { max_attempts: 2, ..rules() });
    let over = Refused::NoAttemptsLeft;
    world.ask(start_again(1, 500, "owner"));
    world.load();
    let second = world.ask(start_again(2, 500, "owner"));
    let third = world.ask(start_again(3, 500, "owner"));
    assert_eq!(world.hush(), [refused(third, over)]);
    world.keep();
    world.fail(StoreFault::Busy);
    assert_eq!(world.words()[1..], [format!("{second}: Store(Busy)")]);
    assert!(matches!(world.get(start_again(4, 500, "owner")), Reply::Started(_)), "what failed does not count");
    world.get(submit(QUIZ, 4));
    assert_eq!(world.get(start_again(5, 500, "owner")), Reply::Refused(over), "what is over does");
    let mut after = World::new();
    after.shelf = world.shelf.clone();
    assert_eq!(after.get(start_again(6, 500, "owner")), Reply::Refused(over));
    assert!(matches!(after.get(start_again(6, 501, "owner")), Reply::Started(_)));
}

#[test]
fn an_edit_is_there_when_it_is_on_disk() {
    let mut world = World::of(Quiz { status: Status::Draft, ..quiz(42, 0) });
    for step in [
        Edit::Question(Box::new(question(7))),
        Edit::Question(Box::new(question(8))),
        Edit::Order(vec![question_id(8), question_id(7)]),
        Edit::Status(Status::Published),
        Edit::Question(Box::new(crate::protocols::quiz::model::Question { text: "!".into(), ..question(7) })),
        Edit::Rules(Box::new(Rules { title: "Lakes".into(), ..rules() })),
        Edit::NoQuestion(question_id(8)),
    ] {
        world.pass_ms(1);
        let Reply::Edited(quiz) = world.get(edit(step)) else { panic!() };
        assert_eq!(*quiz, *world.quiz(), "it is as the store has it");
        assert_eq!(quiz.updated_at, world.now.wall);
    }
    world.get(start(QUIZ, 1));
    assert!(matches!(world.get(answer(QUIZ, 1, 7, true)), Reply::Answered { .. }));
    assert_eq!(world.get(answer(QUIZ, 1, 8, true)), Reply::Refused(Refused::NotFound), "that question is gone");
    let Reply::Looked(view) = world.get(look(QUIZ, 1)) else { panic!() };
    assert_eq!((view.quiz.rules.title.as_str(), view.quiz.questions.len()), ("Lakes", 1));
}

#[test]
fn an_edit_has_its_rules() {
    let rules_edit = || Edit::Rules(Box::new(rules()));
    let try_one = |quiz: Quiz, step: Edit| World::of(quiz).get(edit(step));
    let refusal = |quiz: Quiz, step: Edit| match try_one(quiz, step) {
        Reply::Refused(refused) => refused,
        reply => panic!("{reply:?}"),
    };
    let strangers = Ask::Edit { quiz: QUIZ, owner: "another".into(), edit: rules_edit(), seen: None };
    assert_eq!(World::new().get(strangers), Reply::Refused(Refused::NotFound));
    let archived = || Quiz { status: Status::Archived, ..quiz(42, 5) };
    for step in [rules_edit(), Edit::Status(Status::Published), Edit::Status(Status::Archived), Edit::NoQuestion(id(1))] {
        assert_eq!(refusal(archived(), step), Refused::Archived);
    }
    let draft = Quiz { status: Status::Draft, ..quiz(42, 0) };
    assert_eq!(refusal(draft, Edit::Status(Status::Published)), Refused::NoQuestions);
    assert_eq!(refusal(quiz(42, 1), Edit::NoQuestion(question_id(0))), Refused::NoQuestions);
    assert_eq!(refusal(quiz(42, 2), Edit::NoQuestion(question_id(2))), Refused::NotFound);
    let full = || quiz(42, QUESTIONS as u128);
    assert_eq!(refusal(full(), Edit::Question(Box::new(question(501)))), Refused::TooManyQuestions);
    assert!(matches!(try_one(full(), Edit::Question(Box::new(question(499)))), Reply::Edited(_)));
    for wrong in [vec![0, 1], vec![0, 1, 1], vec![0, 1, 2, 3], vec![0, 1, 3]] {
        let order = wrong.into_iter().map(question_id).collect();
        assert_eq!(refusal(quiz(42, 3), Edit::Order(order)), Refused::WrongOrder);
    }
}

#[test]
fn an_edit_of_what_has_changed_since_is_refused() {
    let mut world = World::new();
    let step = |title: &str, seen| {
        let edit = Edit::Rules(Box::new(Rules { title: title.into(), ..rules() }));
        Ask::Edit { quiz: QUIZ, owner: "owner".into(), edit, seen }
    };
    let before = Some(world.quiz().updated_at);
    let (first, second) = (world.ask(step("A", before)), world.ask(step("B", before)));
    world.settle();
    assert!(matches!(world.reply(first), Some(Reply::Edited(_))));
    assert_eq!(world.reply(second), Some(Reply::Refused(Refused::Changed)));
    let strangers = Ask::Edit { quiz: QUIZ, owner: "another".into(), edit: Edit::Status(Status::Archived), seen: before };
    assert_eq!(world.get(strangers), Reply::Refused(Refused::NotFound), "what another's quiz is is not told");
    let since = Some(world.quiz().updated_at);
    assert!(matches!(world.get(step("B", since)), Reply::Edited(_)));
    assert_eq!(world.get(step("C", since)), Reply::Refused(Refused::Changed));
}

#[test]
fn no_two_edits_are_of_one_time_whatever_the_clock_says() {
    let mut world = World::new();
    let mut last = world.quiz().updated_at;
    for back in [0, 0, 5_000_000, 0] {
        world.now.wall.0 -= back;
        let Reply::Edited(quiz) = world.get(edit(Edit::Rules(Box::new(rules())))) else { panic!() };
        assert!(quiz.updated_at > last && *quiz == *world.quiz());
        last = quiz.updated_at;
    }
}

#[test]
fn nothing_changes_under_those_who_take_it() {
    let mut world = World::new();
    world.ask(start(QUIZ, 1));
    world.load();
    world.hush();
    for _ in 0..2 {
        let number = world.ask(edit(Edit::Rules(Box::new(rules()))));
        assert_eq!(world.reply(number), Some(Reply::Refused(Refused::ActiveAttempts)), "also while the beginning is on its way");
        world.settle();
    }
    let number = world.ask(edit(Edit::Status(Status::Published)));
    assert!(matches!(world.reply(number), Some(Reply::Edited(_))), "nothing changes");
    assert!(world.pending.is_empty());
    world.get(submit(QUIZ, 1));
    assert!(matches!(world.get(edit(Edit::Status(Status::Archived))), Reply::Edited(_)));
    assert_eq!(world.get(start(QUIZ, 2)), Reply::Refused(Refused::NotPublished));
    assert!(matches!(world.get(flags(QUIZ, 1, &["LATE"])), Reply::Flagged { .. }));
}

#[test]
fn while_a_quiz_is_edited_all_requests_wait_and_listeners_do_not() {
    let mut world = World::watched(0);
    let edited = world.ask(edit(Edit::Status(Status::Archived)));
    let started = world.ask(start(QUIZ, 1));
    let again = world.ask(edit(Edit::Rules(Box::new(rules()))));
    world.watch(conn(0, 2), Channel::Attempts);
    assert_eq!((world.words(), world.pending.len()), (vec!["Granted 2".to_owned()], 1));
    world.keep();
    let told = [format!("{edited}: Edited"), format!("{started}: NotPublished"), format!("{again}: Archived")];
    assert_eq!(world.words(), told);

    let mut world = World::watched(0);
    let edited = world.ask(edit(Edit::Status(Status::Archived)));
    let started = world.ask(start(QUIZ, 1));
    let again = world.ask(edit(Edit::Rules(Box::new(rules()))));
    world.fail(StoreFault::Failed);
    assert_eq!(world.words(), [format!("{edited}: Store(Failed)"), format!("{again}: ActiveAttempts")]);
    world.keep();
    assert!(matches!(world.reply(started), Some(Reply::Started(_))));
}

#[test]
fn edits_wait_for_each_other_and_a_late_one_holds() {
    let mut world = World::watched(0);
    let title = |title: &str| edit(Edit::Rules(Box::new(Rules { title: title.into(), ..rules() })));
    let first = world.ask(title("A"));
    world.pass(Duration::from_secs(4));
    let second = world.ask(title("B"));
    assert_eq!(world.pending.len(), 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.hush(), [refused(first, Refused::Store(StoreFault::Busy))]);
    world.keep();
    assert_eq!(world.hush(), []);
    world.keep();
    let Some(Reply::Edited(quiz)) = world.reply(second) else { panic!() };
    assert_eq!(quiz.rules.title, "B");
    world.ask(title("C"));
    world.pass(Duration::from_secs(6));
    world.keep();
    let Reply::Edited(quiz) = world.get(edit(Edit::Status(Status::Published))) else { panic!() };
    assert_eq!(quiz.rules.title, "C");
}

#[test]
fn what_concerns_no_quiz_is_written_and_answered() {
    let mut world = World::new();
    let participant = Participant { id: id(1), owner: "owner".into(), alias: "P".into(), created_at: START };
    let number = world.ask(Ask::Keep(Record::Participant(participant.clone())));
    assert_eq!(world.hush(), []);
    world.keep();
    assert_eq!(world.hush(), [Said::Replied(number, Reply::Kept(Kept::Done))]);
    let number = world.ask(Ask::Keep(Record::Participant(participant.clone())));
    world.fail(StoreFault::Failed);
    assert_eq!(world.hush(), [refused(number, Refused::Store(StoreFault::Failed))]);
    let number = world.ask(Ask::Keep(Record::Participant(participant)));
    world.pass(Duration::from_secs(6));
    assert_eq!(world.hush(), [refused(number, Refused::Store(StoreFault::Busy))]);
    world.keep();
    assert!(world.hush().is_empty() && world.is_empty());
}

#[test]
fn every_shard_hears_of_a_key_that_is_on_disk() {
    let mut world = World::new();
    let key = Key {
        id: id(1),
        owner: "owner".into(),
        label: "a".into(),
        role: Role::User,
        hash: [7; 32],
        hint: "wxyz".into(),
        created_at: START,
    };
    let added = KeyChange::Added(Box::new(key.clone()));
    let revoked = Record::Revoked { owner: "owner".into(), key: id(1), at: START };
    for (record, change) in [(Record::Key(key.clone()), added.clone()), (revoked.clone(), KeyChange::Revoked(id(1)))] {
        let number = world.ask(Ask::Keep(record.clone()));
        world.keep();
        assert_eq!(world.hush(), [Said::KeyChanged(number, change.clone())]);
        let late = world.ask(Ask::Keep(record.clone()));
        world.pass(Duration::from_secs(6));
        world.keep();
        let busy = refused(late, Refused::Store(StoreFault::Busy));
        assert_eq!(world.hush(), [busy, Said::KeyChanged(late, change)], "it holds all the same");
        let failed = world.ask(Ask::Keep(record));
        world.fail(StoreFault::Failed);
        assert_eq!(world.hush(), [refused(failed, Refused::Store(StoreFault::Failed))]);
    }
    let number = world.ask(Ask::Keep(revoked));
    let (ticket, _) = world.pending.pop_front().unwrap();
    world.act(|homes, now, out| homes.kept(ticket, Ok(Kept::Missing), now, out));
    world.act(|homes, now, out| homes.kept(ticket, Ok(Kept::Done), now, out));
    assert_eq!(world.hush(), [Said::Replied(number, Reply::Kept(Kept::Missing))], "and a ticket is good once");
    assert!(world.is_empty());
}

#[test]
fn a_quiz_with_nothing_to_do_is_forgotten_after_a_while() {
    let mut world = World::new();
    world.get(start(QUIZ, 1));
    world.pass(Duration::from_secs(3_600));
    assert_eq!(world.homes.population(), (1, 1), "an attempt runs");
    world.get(submit(QUIZ, 1));
    world.pass(Duration::from_secs(59));
    world.get(look(QUIZ, 1));
    world.pass(Duration::from_secs(59));
    assert_eq!((world.homes.population(), world.homes.timers()), ((1, 0), 1));
    world.pass(Duration::from_secs(2));
    assert!(world.is_empty());
    assert!(matches!(world.get(look(QUIZ, 1)), Reply::Looked(view) if view.end.is_some()));
    world.watch(conn(0, 1), Channel::Quiz);
    world.pass(Duration::from_secs(3_600));
    assert_eq!(world.homes.population(), (1, 0), "somebody watches");
}
