//! Records of quizzes: what the contract says, asked of each implementation.

use super::{InMemory, OnDisk, PATIENCE, Subject, ticket};
use crate::{
    protocols::quiz::{
        model::{AccessType, Availability, Given, Grade, Kind, Question, QuizId, Reason, Role, Rules, Status, SubmissionMode},
        record::{
            Account, Answered, AttemptFilter, Closed, Edit, Event, Flag, FlagCount, FlagSummary, Kept, Key, Listed, NewQuiz,
            Page, Participant, Record, Started,
        },
    },
    realtime::{StoreFault, UnixMicros},
    store::{Answer, Store},
};
use uuid::Uuid;

pub(in super::super) const ADA: &str = "school.local/ada";
const BOB: &str = "school.local/bob";
const ALL: Page = Page { offset: 0, limit: 200 };

pub(in super::super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn at(micros: i64) -> UnixMicros {
    UnixMicros(micros)
}

pub(in super::super) fn rules(title: &str) -> Rules {
    Rules {
        title: title.into(),
        access_type: AccessType::Private,
        availability: Availability::Always,
        opens_at: None,
        closes_at: None,
        time_limit_seconds: 0,
        max_attempts: 0,
        submission_mode: SubmissionMode::Immediate,
        client_only: false,
    }
}

pub(in super::super) fn new_quiz(owner: &str, title: &str) -> Record {
    Record::NewQuiz(Box::new(NewQuiz { owner: owner.into(), rules: rules(title), access_code: "code".into(), at: at(5) }))
}

fn question(number: u128, kind: Kind) -> Question {
    Question { id: id(number), text: format!("question {number}"), points: 0.1, kind }
}

fn edited(quiz: i64, edit: Edit) -> Record {
    Record::Edited { quiz: QuizId(quiz), edit, at: at(9) }
}

fn participant(number: u128, owner: &str) -> Participant {
    Participant { id: id(number), owner: owner.into(), alias: format!("alias {number}").into(), created_at: at(number as i64) }
}

fn event(number: u128, owner: &str) -> Event {
    Event { id: id(number), owner: owner.into(), title: format!("event {number}"), created_at: at(number as i64) }
}

/// An attempt of a new participant, whose number is a thousand more.
pub(in super::super) fn started(attempt: u128, quiz: i64, owner: &str) -> Started {
    Started {
        attempt: id(attempt),
        quiz: QuizId(quiz),
        owner: owner.into(),
        participant: id(attempt + 1_000),
        new_participant: true,
        alias: format!("alias of {attempt}").into(),
        event: None,
        started_at: at(attempt as i64),
        deadline: None,
    }
}

pub(in super::super) fn start(started: Started) -> Record {
    Record::Started(Box::new(started))
}

pub(in super::super) fn answered(attempt: u128, question: u128, given: u16, micros: i64) -> Record {
    let grade = Grade { is_correct: Some(given == 1), score: f64::from(given) / 2.0 };
    Record::Answered(Box::new(Answered {
        id: id(micros as u128),
        attempt: id(attempt),
        question: id(question),
        given: Given::Option(given),
        grade,
        at: at(micros),
    }))
}

pub(in super::super) fn closed(attempt: u128, score: f64, micros: i64) -> Closed {
    Closed { attempt: id(attempt), reason: Reason::Submitted, at: at(micros), score, answered_count: 2 }
}

fn flagged(attempt: u128, labels: &[&str]) -> Record {
    let flag = |label: &&str| Flag {
        label: (*label).into(),
        detail: (label.len() > 3).then(|| r#"{"a":1}"#.into()),
        question: (label.len() > 3).then(|| id(7)),
        occurred_at: at(3),
    };
    Record::Flagged { attempt: id(attempt), at: at(4), flags: labels.iter().map(flag).collect() }
}

pub(in super::super) fn key(number: u128, owner: &str) -> Key {
    Key {
        id: id(number),
        owner: owner.into(),
        label: "site".into(),
        role: Role::User,
        hash: [number as u8; 32],
        hint: "abcd".into(),
        created_at: at(number as i64),
    }
}

pub(in super::super) fn kept(answer: Answer) -> Result<Kept, StoreFault> {
    match answer {
        Answer::Kept { result, .. } => result,
        Answer::Entered(_) | Answer::LabsKept { .. } | Answer::ChatKept { .. } | Answer::TasksKept { .. } => {
            panic!("no record of a quiz")
        }
    }
}

/// Asks for all of them, and then hears.
fn keep<S: Subject, const N: usize>(it: &S, records: [Record; N]) -> [Result<Kept, StoreFault>; N] {
    for record in records {
        it.store().keep(ticket(1), record).expect("room");
    }
    let answers = it.answers(N);
    std::array::from_fn(|place| kept(answers[place]))
}

/// All of them are on disk.
fn done<S: Subject, const N: usize>(it: &S, records: [Record; N]) {
    assert!(keep(it, records).iter().all(|answer| matches!(answer, Ok(Kept::Done | Kept::Quiz(_)))));
}

const DONE: Result<Kept, StoreFault> = Ok(Kept::Done);
const MISSING: Result<Kept, StoreFault> = Ok(Kept::Missing);
const FAILED: Result<Kept, StoreFault> = Err(StoreFault::Failed);

fn quizzes_are_made_and_changed<S: Subject>() {
    let it = S::fresh(64);
    let made = keep(&it, [new_quiz(ADA, "one"), new_quiz(BOB, "two"), new_quiz(ADA, "three")]);
    assert_eq!(made, [1, 2, 3].map(|number| Ok(Kept::Quiz(QuizId(number)))));
    let kinds = [
        Kind::MultipleChoice { options: vec!["a".into(), "b".into()], correct: 1 },
        Kind::MultipleSelect { options: vec!["a".into(), "b".into()], correct: vec![0, 1] },
        Kind::TrueFalse { correct: true },
        Kind::ShortText { correct: vec!["Paris".into()] },
    ];
    let mut questions = [11, 12, 13, 14].into_iter().zip(kinds).map(|(number, kind)| question(number, kind)).collect::<Vec<_>>();
    for new in &questions {
        assert_eq!(keep(&it, [edited(1, Edit::Question(Box::new(new.clone())))]), [DONE]);
    }
    questions[2].points = 3.5;
    let other = Rules {
        access_type: AccessType::Shared,
        availability: Availability::Scheduled,
        opens_at: Some(at(1)),
        closes_at: Some(at(2)),
        time_limit_seconds: 60,
        max_attempts: 3,
        submission_mode: SubmissionMode::OnSubmit,
        client_only: true,
        ..rules("other")
    };
    let edits = [
        edited(1, Edit::Question(Box::new(questions[2].clone()))),
        edited(1, Edit::Order(vec![id(14), id(13), id(12), id(11)])),
        edited(1, Edit::NoQuestion(id(12))),
        edited(1, Edit::Rules(Box::new(other.clone()))),
        edited(1, Edit::Status(Status::Published)),
    ];
    assert_eq!(keep(&it, edits), [DONE; 5]);
    let quiz = it.store().quiz_of(ADA, QuizId(1)).expect("readable").expect("is there");
    assert_eq!(quiz.questions, [questions[3].clone(), questions[2].clone(), questions[0].clone()]);
    assert_eq!((&quiz.rules, quiz.status, &*quiz.access_code, &*quiz.owner), (&other, Status::Published, "code", ADA));
    assert_eq!((quiz.created_at, quiz.updated_at), (at(5), at(9)));
    let nothing = [
        edited(4, Edit::Status(Status::Archived)),
        edited(1, Edit::NoQuestion(id(12))),
        edited(1, Edit::Order(vec![id(11), id(13)])),
        edited(1, Edit::Order(vec![id(11), id(13), id(13)])),
        edited(1, Edit::Order(vec![id(11), id(13), id(12)])),
    ];
    assert_eq!(keep(&it, nothing), [MISSING; 5]);
    assert_eq!(it.store().quiz_of(ADA, QuizId(1)), Ok(Some(quiz.clone())), "what is missing changes nothing");
    assert_eq!(it.store().quiz_of(BOB, QuizId(1)), Ok(None));
    assert_eq!(it.store().owner_of(QuizId(2)), Ok(Some(BOB.into())));
    assert_eq!(it.store().owner_of(QuizId(9)), Ok(None));
    let list = |status, page| {
        let Listed { items, total } = it.store().quizzes(ADA, status, page).expect("readable");
        assert!(items.iter().all(|row| row.quiz.questions.is_empty() && &*row.quiz.owner == ADA));
        (items.iter().map(|row| (row.quiz.id.0, row.questions_count)).collect::<Vec<_>>(), total)
    };
    assert_eq!(list(None, ALL), (vec![(3, 0), (1, 3)], 2));
    assert_eq!(list(Some(Status::Published), ALL), (vec![(1, 3)], 1));
    assert_eq!(list(None, Page { offset: 1, limit: 1 }), (vec![(1, 3)], 2));
    assert_eq!(list(None, Page { offset: 2, limit: 1 }), (vec![], 2));
}

fn owners_have_accounts_and_keys<S: Subject>() {
    let it = S::fresh(64);
    let account = |hash: &str, micros| Account { name: "ada".into(), password_hash: hash.into(), at: at(micros) };
    assert_eq!(keep(&it, [Record::Owner(account("old", 1)), Record::Owner(account("new", 2))]), [DONE; 2]);
    assert_eq!(it.store().account("ada"), Ok(Some(account("new", 2))));
    assert_eq!(it.store().account("bob"), Ok(None));
    assert_eq!(it.store().accounts(), Ok(vec![("ada".to_owned(), at(2))]));
    let twin = Key { id: id(9), ..key(1, ADA) };
    let revoked = |owner: &str, number, micros| Record::Revoked { owner: owner.into(), key: id(number), at: at(micros) };
    let answers = keep(
        &it,
        [
            Record::Key(key(1, ADA)),
            Record::Key(key(2, BOB)),
            Record::Key(key(3, ADA)),
            Record::Key(twin),
            Record::Key(Key { hash: [9; 32], ..key(1, ADA) }),
            revoked(BOB, 1, 50),
            revoked(ADA, 1, 60),
            revoked(ADA, 1, 70),
        ],
    );
    assert_eq!(answers, [DONE, DONE, DONE, FAILED, FAILED, MISSING, DONE, DONE]);
    assert_eq!(it.store().keys(), Ok(vec![key(2, BOB), key(3, ADA)]));
    let Listed { items, total } = it.store().keys_of(ADA, ALL).expect("readable");
    let listed: Vec<_> = items.into_iter().map(|row| (row.key, row.revoked_at)).collect();
    assert_eq!((listed, total), (vec![(key(3, ADA), None), (key(1, ADA), Some(at(60)))], 2));
    assert_eq!(it.store().keys_of("nobody", ALL).map(|listed| listed.total), Ok(0));
}

fn participants_and_events_are_listed<S: Subject>() {
    let it = S::fresh(64);
    let [one, two, other, again] = [(1, ADA), (2, ADA), (3, BOB), (1, BOB)].map(|(number, owner)| participant(number, owner));
    let records = [one.clone(), two.clone(), other.clone(), again].map(Record::Participant);
    assert_eq!(keep(&it, records), [DONE, DONE, DONE, FAILED]);
    assert_eq!(it.store().participants(ADA, ALL), Ok(Listed { items: vec![two.clone(), one.clone()], total: 2 }));
    assert_eq!(it.store().participants(ADA, Page { offset: 1, limit: 1 }), Ok(Listed { items: vec![one.clone()], total: 2 }));
    assert_eq!(it.store().participant(ADA, id(1)), Ok(Some(one)));
    assert_eq!(it.store().participant(ADA, id(3)), Ok(None));
    let [one, two, other] = [(1, ADA), (2, ADA), (3, BOB)].map(|(number, owner)| event(number, owner));
    let records = [one.clone(), two.clone(), other, event(2, ADA)].map(Record::Event);
    assert_eq!(keep(&it, records), [DONE, DONE, DONE, FAILED]);
    assert_eq!(it.store().events(ADA, ALL), Ok(Listed { items: vec![two, one.clone()], total: 2 }));
    assert_eq!(it.store().event(ADA, id(1)), Ok(Some(one)));
    assert_eq!(it.store().event(ADA, id(3)), Ok(None));
}

fn an_attempt_has_a_life<S: Subject>() {
    let it = S::fresh(64);
    let known = Started {
        participant: id(50),
        new_participant: false,
        event: Some(id(60)),
        deadline: Some(at(500)),
        ..started(1, 1, ADA)
    };
    done(&it, [new_quiz(ADA, "one"), Record::Participant(participant(50, ADA)), Record::Event(event(60, ADA))]);
    let refused = [
        Started { quiz: QuizId(2), ..known.clone() },
        Started { owner: BOB.into(), ..known.clone() },
        Started { participant: id(51), ..known.clone() },
        Started { event: Some(id(61)), ..known.clone() },
    ];
    assert_eq!(keep(&it, refused.map(start)), [MISSING; 4]);
    assert_eq!(keep(&it, [start(known.clone()), start(started(2, 1, ADA))]), [DONE; 2]);
    // Known by the attempt's number, and by that of its participant: neither leaves anything.
    let (twin, cuckoo) =
        (Started { participant: id(70), ..started(2, 1, ADA) }, Started { participant: id(50), ..started(3, 1, ADA) });
    assert_eq!(keep(&it, [start(twin), start(cuckoo)]), [FAILED; 2]);
    assert_eq!(it.store().participant(ADA, id(70)), Ok(None));
    assert_eq!(it.store().participants(ADA, ALL).map(|listed| listed.total), Ok(2));
    let answers = [answered(1, 12, 1, 20), answered(1, 11, 1, 21), answered(1, 12, 3, 22), answered(9, 12, 1, 23)];
    assert_eq!(keep(&it, answers), [DONE, DONE, DONE, MISSING]);
    assert_eq!(it.store().running(), Ok(vec![QuizId(1)]));
    assert_eq!(it.store().running_of_event(ADA, id(60)), Ok(vec![QuizId(1)]));
    assert_eq!(it.store().running_of_event(BOB, id(60)), Ok(vec![]));
    let loaded = it.store().quiz(QuizId(1)).expect("readable").expect("is there");
    let [first, second] = &loaded.attempts[..] else { panic!("two attempts") };
    assert_eq!((first.id, first.participant, &*first.alias, first.event), (id(1), id(50), "alias of 1", Some(id(60))));
    assert_eq!((first.started_at, first.deadline, first.last_answer), (at(1), Some(at(500)), Some(at(22))));
    let grade = |is_correct, score| Grade { is_correct: Some(is_correct), score };
    assert_eq!(first.answers, [(id(11), grade(true, 0.5)), (id(12), grade(false, 1.5))], "the last one counts");
    assert_eq!((second.id, second.last_answer, second.answers.len(), second.end), (id(2), None, 0, None));
    let ends = [Record::Closed(closed(1, 7.5, 300)), answered(1, 11, 0, 301), Record::Closed(closed(1, 9.0, 302))];
    assert_eq!(keep(&it, ends), [DONE, MISSING, MISSING], "it ends once, and then stays as it is");
    let loaded = it.store().quiz(QuizId(1)).expect("readable").expect("is there");
    assert_eq!(loaded.attempts[0].end, Some(closed(1, 7.5, 300)));
    assert_eq!((loaded.attempts[0].last_answer, loaded.attempts[0].answers.len()), (Some(at(22)), 0));
    assert_eq!(it.store().running_of_event(ADA, id(60)), Ok(vec![]));
    let (row, answers) = it.store().attempt(ADA, id(1)).expect("readable").expect("is there");
    assert_eq!((row.score, row.answered_count, row.reason, row.ended_at), (7.5, 2, Some(Reason::Submitted), Some(at(300))));
    assert_eq!(
        answers.iter().map(|answer| (answer.question, answer.id)).collect::<Vec<_>>(),
        [(id(11), id(21)), (id(12), id(22))]
    );
    assert_eq!((&answers[1].given, answers[1].at), (&Given::Option(3), at(22)));
    assert_eq!(it.store().attempt(BOB, id(1)), Ok(None));
    assert_eq!(it.store().quiz(QuizId(2)), Ok(None));
}

fn answers_are_read_as_they_were_given<S: Subject>() {
    let it = S::fresh(64);
    let questions =
        [4, 2, 3, 1].map(|number| edited(1, Edit::Question(Box::new(question(number, Kind::TrueFalse { correct: true })))));
    done(&it, [new_quiz(ADA, "one"), start(started(1, 1, ADA))]);
    done(&it, questions);
    let given = [
        (1, Given::Option(7)),
        (2, Given::Options(vec![0, 2])),
        (3, Given::Truth(false)),
        (4, Given::Text("\"Paris\"\n \u{1F600}".into())),
        (5, Given::Options(Vec::new())),
    ];
    for (question, given) in given.clone() {
        let Record::Answered(mut answer) = answered(1, question, 0, 9) else { unreachable!("an answer") };
        answer.given = given;
        answer.grade.is_correct = None;
        assert_eq!(keep(&it, [Record::Answered(answer)]), [DONE]);
    }
    let (row, answers) = it.store().attempt(ADA, id(1)).expect("readable").expect("is there");
    assert_eq!((row.answered_count, row.score), (5, 0.0));
    assert!(answers.iter().all(|answer| answer.grade.is_correct.is_none()));
    let read: Vec<_> = answers.into_iter().map(|answer| (answer.question.as_u128(), answer.given)).collect();
    let [one, two, three, four, five] = given;
    assert_eq!(read, [four, two, three, one, five], "in the order of the questions, then those to a question that is not there");
}

fn attempts_are_filtered_and_ranked<S: Subject>() {
    let it = S::fresh(256);
    done(&it, [new_quiz(ADA, "one"), new_quiz(ADA, "two"), new_quiz(BOB, "three"), Record::Event(event(60, ADA))]);
    for attempt in 1..=8 {
        let quiz = 1 + i64::from(attempt > 6);
        let event = (attempt % 2 == 0).then(|| id(60));
        assert_eq!(keep(&it, [start(Started { event, ..started(attempt, quiz, ADA) })]), [DONE]);
    }
    done(
        &it,
        [start(started(9, 3, BOB)), answered(3, 11, 4, 30), answered(3, 12, 2, 31), flagged(2, &["A"]), flagged(3, &["A"])],
    );
    let ends = [(1, 5.0, 101), (2, 9.0, 202), (4, 9.0, 104), (5, 9.0, 105), (7, 1.0, 107)];
    for (attempt, score, micros) in ends {
        assert_eq!(keep(&it, [Record::Closed(closed(attempt, score, micros))]), [DONE]);
    }
    let listed = |filter, page| {
        let Listed { items, total } = it.store().attempts(ADA, &filter, page).expect("readable");
        (items.iter().map(|row| row.id.as_u128()).collect::<Vec<_>>(), total)
    };
    let any = AttemptFilter::default();
    assert_eq!(listed(any.clone(), ALL), (vec![8, 7, 6, 5, 4, 3, 2, 1], 8));
    assert_eq!(listed(any.clone(), Page { offset: 2, limit: 3 }), (vec![6, 5, 4], 8));
    assert_eq!(listed(AttemptFilter { quiz: Some(QuizId(2)), ..any.clone() }, ALL), (vec![8, 7], 2));
    assert_eq!(listed(AttemptFilter { quiz: Some(QuizId(3)), ..any.clone() }, ALL), (vec![], 0));
    assert_eq!(listed(AttemptFilter { event: Some(id(60)), ..any.clone() }, ALL), (vec![8, 6, 4, 2], 4));
    assert_eq!(listed(AttemptFilter { event: Some(id(61)), ..any.clone() }, ALL), (vec![], 0));
    assert_eq!(listed(AttemptFilter { participant: Some(id(1_003)), ..any.clone() }, ALL), (vec![3], 1));
    assert_eq!(listed(AttemptFilter { participant: Some(id(1_009)), ..any.clone() }, ALL), (vec![], 0));
    assert_eq!(listed(AttemptFilter { ended: Some(true), ..any.clone() }, ALL), (vec![7, 5, 4, 2, 1], 5));
    assert_eq!(listed(AttemptFilter { ended: Some(false), ..any.clone() }, ALL), (vec![8, 6, 3], 3));
    assert_eq!(listed(AttemptFilter { flagged: Some(true), ..any.clone() }, ALL), (vec![3, 2], 2));
    let many =
        AttemptFilter { quiz: Some(QuizId(1)), event: Some(id(60)), ended: Some(true), flagged: Some(false), participant: None };
    assert_eq!(listed(many, ALL), (vec![4], 1));
    let running = it.store().attempts(ADA, &AttemptFilter { participant: Some(id(1_003)), ..any }, ALL).expect("readable");
    let row = &running.items[0];
    assert_eq!((row.score, row.answered_count, row.flags, row.reason), (3.0, 2, 1, None), "one that runs has what it has so far");
    let ranked = |page| {
        let listed = it.store().results(ADA, QuizId(1), page).expect("readable").expect("is there");
        (listed.items.iter().map(|row| row.id.as_u128()).collect::<Vec<_>>(), listed.total)
    };
    assert_eq!(ranked(ALL), (vec![4, 5, 2, 1], 4), "points, then time, then id");
    assert_eq!(ranked(Page { offset: 1, limit: 2 }), (vec![5, 2], 4));
    assert_eq!(it.store().results(BOB, QuizId(1), ALL), Ok(None));
}

fn flags_are_kept_and_counted<S: Subject>() {
    let it = S::fresh(64);
    done(&it, [new_quiz(ADA, "one"), start(started(1, 1, ADA)), start(started(2, 1, ADA)), start(started(3, 1, ADA))]);
    let batches =
        [flagged(1, &["TAB", "PASTE", "TAB"]), flagged(2, &["TAB"]), Record::Closed(closed(1, 1.0, 9)), flagged(1, &["LATE"])];
    assert_eq!(keep(&it, batches), [DONE; 4]);
    assert_eq!(keep(&it, [flagged(9, &["TAB"])]), [MISSING]);
    let flags = it.store().flags(ADA, id(1)).expect("readable").expect("is there");
    let told: Vec<_> = flags.iter().map(|row| (&*row.flag.label, row.flag.detail.as_deref(), row.flag.question)).collect();
    let (detail, question) = (Some(r#"{"a":1}"#), Some(id(7)));
    assert_eq!(told, [("TAB", None, None), ("PASTE", detail, question), ("TAB", None, None), ("LATE", detail, question)]);
    assert!(flags.iter().all(|row| row.flag.occurred_at == at(3) && row.flagged_at == at(4)));
    assert_eq!(it.store().flags(ADA, id(3)), Ok(Some(Vec::new())));
    assert_eq!(it.store().flags(BOB, id(1)), Ok(None));
    let count = |label: &str, flags, attempts| FlagCount { label: label.into(), flags, attempts };
    let labels = vec![count("TAB", 3, 2), count("LATE", 1, 1), count("PASTE", 1, 1)];
    assert_eq!(it.store().flag_summary(ADA, QuizId(1)), Ok(Some(FlagSummary { flags: 5, attempts: 2, labels })));
    assert_eq!(it.store().flag_summary(BOB, QuizId(1)), Ok(None));
    let loaded = it.store().quiz(QuizId(1)).expect("readable").expect("is there");
    assert_eq!(loaded.attempts.iter().map(|attempt| attempt.flags).collect::<Vec<_>>(), [4, 1, 0]);
}

fn records_and_enters_are_answered_in_order<S: Subject>() {
    let it = S::fresh(64);
    it.store().keep(ticket(1), new_quiz(ADA, "one")).expect("room");
    it.store().enter(ticket(2), super::entering("web.ada", 5)).expect("room");
    it.store().keep(ticket(3), start(started(1, 1, ADA))).expect("room");
    it.store().keep(ticket(4), start(started(1, 1, ADA))).expect("room");
    it.store().keep(ticket(5), answered(1, 11, 1, 20)).expect("room");
    it.store().enter(ticket(6), super::entering("", 5)).expect("room");
    it.store().keep(ticket(7), Record::Closed(closed(1, 1.0, 30))).expect("room");
    let answers = it.answers(7);
    assert_eq!(answers.iter().map(Answer::ticket).collect::<Vec<_>>(), (1..=7).map(ticket).collect::<Vec<_>>());
    let records: Vec<_> = [0, 2, 3, 4, 6].map(|place| kept(answers[place])).into();
    assert_eq!(records, [Ok(Kept::Quiz(QuizId(1))), DONE, FAILED, DONE, DONE]);
    assert_eq!(it.told().len(), 1);
    it.store().stop(PATIENCE).expect("on disk");
    assert_eq!(it.store().keep(ticket(8), new_quiz(ADA, "two")), Err(StoreFault::Busy));
}

suite!(
    quizzes_are_made_and_changed,
    owners_have_accounts_and_keys,
    participants_and_events_are_listed,
    an_attempt_has_a_life,
    answers_are_read_as_they_were_given,
    attempts_are_filtered_and_ranked,
    flags_are_kept_and_counted,
    records_and_enters_are_answered_in_order,
    keeps_the_same_as_memory,
);

/// Everything that a library tells of these owners, quizzes and attempts.
fn library(store: &dyn Store, attempts: u128) -> String {
    let filter = AttemptFilter { ended: Some(false), ..AttemptFilter::default() };
    let mut told = format!("{:?}{:?}", store.running(), store.keys());
    for owner in [ADA, BOB] {
        told += &format!(
            "{:?}{:?}{:?}{:?}",
            store.attempts(owner, &AttemptFilter::default(), ALL),
            store.attempts(owner, &filter, Page { offset: 2, limit: 5 }),
            store.participants(owner, ALL),
            store.quizzes(owner, None, ALL),
        );
        for quiz in [1, 2, 3].map(QuizId) {
            told += &format!("{:?}{:?}", store.results(owner, quiz, ALL), store.flag_summary(owner, quiz));
        }
        for attempt in 0..attempts {
            told += &format!("{:?}{:?}", store.attempt(owner, id(attempt)), store.flags(owner, id(attempt)));
        }
    }
    for quiz in [1, 2, 3].map(QuizId) {
        told += &format!("{:?}", store.quiz(quiz));
    }
    told
}

/// Records of all kinds in any order, most of them good, some at a time: the store must answer and tell the same.
fn keeps_the_same_as_memory<S: Subject>() {
    const ATTEMPTS: u64 = 25;
    const AT_ONCE: usize = 6;
    let (disk, memory) = (S::fresh(64), InMemory::fresh(64));
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut done = 0;
    let mut some = Vec::new();
    for step in 0..600 {
        let attempt = u128::from(draw(ATTEMPTS));
        let quiz = 1 + (attempt % 3) as i64;
        let owner = [ADA, BOB][usize::from(quiz == 3)];
        let record = match draw(if step < 5 { 1 } else { 40 }) {
            0 => new_quiz(if step == 2 { BOB } else { ADA }, "quiz"),
            1..6 => start(Started { owner: [owner, BOB][usize::from(draw(9) == 0)].into(), ..started(attempt, quiz, owner) }),
            6 => Record::Closed(closed(attempt, draw(4) as f64, step)),
            7..10 => flagged(attempt, &["TAB", "PASTE"][..1 + draw(2) as usize]),
            10 => edited(quiz, Edit::Question(Box::new(question(10 + u128::from(draw(4)), Kind::TrueFalse { correct: true })))),
            11 => edited(quiz, Edit::NoQuestion(id(10 + u128::from(draw(4))))),
            12 => edited(quiz, Edit::Order(vec![id(11), id(10)])),
            _ => answered(attempt, 10 + u128::from(draw(4)), draw(4) as u16, step),
        };
        some.push(record);
        if some.len() == AT_ONCE {
            let records: [Record; AT_ONCE] = std::array::from_fn(|_| some.remove(0));
            let on_disk = keep(&disk, records.clone());
            assert_eq!(on_disk, keep(&memory, records.clone()), "step {step}: {records:?}");
            done += on_disk.iter().filter(|kept| **kept == DONE).count();
        }
        if step % 50 == 49 {
            assert_eq!(library(disk.store(), ATTEMPTS.into()), library(memory.store(), ATTEMPTS.into()), "step {step}");
        }
    }
    assert!(done > 200, "{done} of them were good");
}
