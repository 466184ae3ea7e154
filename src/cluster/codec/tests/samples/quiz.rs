//! Letters of quizzes.

use super::*;
use crate::protocols::quiz::{
    Channel, FromQuiz, QuizId, ToQuiz,
    asks::{Ask, End, Entrant, Pass, Refused, Reply, View},
    letters::Verdict,
    model::{AccessType, Availability, Given, Grade, Kind, Question, Quiz, Reason, Role, Rules, Status, SubmissionMode},
    record::{Account, Answered, Closed, Edit, Event, Flag, Kept, Key, KeyChange, NewQuiz, Participant, Record, Started},
};

const QUIZ: QuizId = QuizId(i64::MAX);
const CHANNELS: [Channel; 3] = [Channel::Quiz, Channel::Attempts, Channel::Leaderboard];
const REASONS: [Reason; 3] = [Reason::Submitted, Reason::TimeUp, Reason::ForcedByOwner];

fn rules(access_type: AccessType, availability: Availability, submission_mode: SubmissionMode) -> Rules {
    Rules {
        title: "Größen".into(),
        access_type,
        availability,
        opens_at: Some(AT),
        closes_at: None,
        time_limit_seconds: 60,
        max_attempts: 0,
        submission_mode,
        client_only: true,
    }
}

fn question(kind: Kind) -> Question {
    Question { id: id(3), text: "Why?".into(), points: 0.1, kind }
}

fn questions() -> Vec<Question> {
    let options = || vec!["a".to_owned(), "a longer option".to_owned()];
    let kinds = [
        Kind::MultipleChoice { options: options(), correct: 1 },
        Kind::MultipleSelect { options: options(), correct: vec![0, 1] },
        Kind::TrueFalse { correct: false },
        Kind::ShortText { correct: options() },
    ];
    kinds.map(question).into()
}

fn quiz() -> Quiz {
    Quiz {
        id: QUIZ,
        owner: text("o1"),
        status: Status::Published,
        access_code: "ABC123".into(),
        rules: rules(AccessType::Shared, Availability::Always, SubmissionMode::Immediate),
        questions: questions(),
        created_at: AT,
        updated_at: AT,
    }
}

fn givens() -> [Given; 4] {
    [Given::Option(3), Given::Options(vec![1, 2]), Given::Truth(true), Given::Text("because".into())]
}

fn flag() -> Flag {
    Flag { label: "blur".into(), detail: Some("{}".into()), question: Some(id(3)), occurred_at: AT }
}

fn key() -> Key {
    let (label, hint) = ("for the app".into(), "a1b2".into());
    Key { id: id(5), owner: text("o1"), label, role: Role::Owner, hash: [9; 32], hint, created_at: AT }
}

fn edits() -> Vec<Edit> {
    let rules = rules(AccessType::Private, Availability::Scheduled, SubmissionMode::OnSubmit);
    let mut edits = vec![Edit::Rules(Box::new(rules)), Edit::NoQuestion(id(3)), Edit::Order(vec![id(3), id(4)])];
    edits.extend([Status::Draft, Status::Published, Status::Archived].map(Edit::Status));
    edits.extend(questions().into_iter().map(|question| Edit::Question(Box::new(question))));
    edits
}

fn records() -> Vec<Record> {
    let rules = rules(AccessType::Public, Availability::Always, SubmissionMode::Immediate);
    let answered = |given| Answered {
        id: id(1),
        attempt: id(2),
        question: id(3),
        given,
        grade: Grade { is_correct: Some(true), score: 1.5 },
        at: AT,
    };
    let started = Started {
        attempt: id(2),
        quiz: QUIZ,
        owner: text("o1"),
        participant: id(4),
        new_participant: true,
        alias: text("Ann"),
        event: Some(id(6)),
        started_at: AT,
        deadline: Some(AT),
    };
    let mut records = vec![
        Record::NewQuiz(Box::new(NewQuiz { owner: text("o1"), rules, access_code: "XYZ".into(), at: AT })),
        Record::Participant(Participant { id: id(4), owner: text("o1"), alias: long(), created_at: AT }),
        Record::Event(Event { id: id(6), owner: text("o1"), title: "Exam".into(), created_at: AT }),
        Record::Owner(Account { name: "o1".into(), password_hash: "$argon2id$".into(), at: AT }),
        Record::Key(key()),
        Record::Key(Key { role: Role::User, ..key() }),
        Record::Revoked { owner: text("o1"), key: id(5), at: AT },
        Record::Started(Box::new(started)),
        Record::Flagged { attempt: id(2), at: AT, flags: vec![flag()] },
    ];
    records.extend(edits().into_iter().map(|edit| Record::Edited { quiz: QUIZ, edit, at: AT }));
    records.extend(givens().map(|given| Record::Answered(Box::new(answered(given)))));
    records
        .extend(REASONS.map(|reason| Record::Closed(Closed { attempt: id(2), reason, at: AT, score: -0.0, answered_count: 3 })));
    records
}

fn asks() -> Vec<Ask> {
    let entrant = Entrant { participant: id(4), known_to: Some(text("o1")), alias: text("Ann") };
    let pass = Pass { owner: None, code: Some("ABC123".into()) };
    let mut asks = vec![
        Ask::Start { quiz: QUIZ, attempt: id(2), entrant, event: None, pass },
        Ask::Look { quiz: QUIZ, attempt: id(2) },
        Ask::Submit { quiz: QUIZ, attempt: id(2) },
        Ask::Flag { quiz: QUIZ, attempt: id(2), flags: vec![flag()] },
        Ask::Force { quiz: QUIZ, owner: text("o1"), event: Some(id(6)) },
    ];
    asks.extend(records().into_iter().map(Ask::Keep));
    asks.extend(edits().into_iter().map(|edit| Ask::Edit { quiz: QUIZ, owner: text("o1"), edit, seen: Some(AT) }));
    asks.extend(givens().map(|given| Ask::Answer { quiz: QUIZ, attempt: id(2), question: id(3), id: id(1), given }));
    asks
}

fn refusals() -> Vec<Refused> {
    let mut refusals = vec![
        Refused::NotFound,
        Refused::Changed,
        Refused::ActiveAttempts,
        Refused::Archived,
        Refused::NoQuestions,
        Refused::TooManyQuestions,
        Refused::WrongOrder,
        Refused::NotPublished,
        Refused::NotOpen,
        Refused::NoAttemptsLeft,
        Refused::Over,
        Refused::WrongAnswer,
        Refused::TooManyFlags,
        Refused::Crowded,
    ];
    refusals.extend([AccessType::Shared, AccessType::Private, AccessType::Public].map(Refused::NoPass));
    refusals.extend(FAULTS.map(Refused::Store));
    refusals
}

fn replies() -> Vec<Reply> {
    let view = |end| View {
        quiz: Arc::new(quiz()),
        attempt: id(2),
        participant: id(4),
        alias: text("Ann"),
        event: None,
        started_at: AT,
        deadline: None,
        answered: vec![id(3)],
        end,
    };
    let ends = REASONS.map(|reason| End { reason, at: AT, score: 2.5, answered_count: 4 });
    let grade = Grade { is_correct: None, score: 0.0 };
    let mut replies = vec![
        Reply::Edited(Box::new(quiz())),
        Reply::Started(Box::new(view(None))),
        Reply::Looked(Box::new(view(Some(ends[0])))),
        Reply::Answered { id: id(1), grade: Some(grade), answered_count: 1, at: AT },
        Reply::Answered { id: id(1), grade: None, answered_count: 1, at: AT },
        Reply::Flagged { labels: vec!["blur".into()], at: AT },
        Reply::Forced(7),
    ];
    replies.extend([Kept::Done, Kept::Quiz(QUIZ), Kept::Missing].map(Reply::Kept));
    replies.extend(ends.map(Reply::Submitted));
    replies.extend(refusals().into_iter().map(Reply::Refused));
    replies
}

fn to_quiz() -> Vec<ToQuiz> {
    let (conn, quiz, attempt) = (conn(), QUIZ, id(2));
    let mut letters = vec![ToQuiz::Admit { conn, quiz, attempt }, ToQuiz::Part { conn, quiz, attempt }];
    for channel in CHANNELS {
        letters.push(ToQuiz::Watch { conn, quiz, channel, owner: Some(text("o1")) });
        letters.push(ToQuiz::Watch { conn, quiz, channel, owner: None });
        letters.push(ToQuiz::Unwatch { conn, quiz, channel });
        letters.push(ToQuiz::Snapshot { conn, quiz, channel });
    }
    letters.extend(asks().into_iter().map(|ask| ToQuiz::Ask { asker: FROM, number: 8, ask: Box::new(ask) }));
    letters
}

pub(super) fn all() -> Vec<Letter> {
    let verdicts = [Verdict::Granted, Verdict::NotOwned, Verdict::Unavailable];
    let mut from_quiz = vec![FromQuiz::Admitted, FromQuiz::Refused { unknown: true }, FromQuiz::Over];
    from_quiz.extend(verdicts.map(|verdict| FromQuiz::Watched { quiz: QUIZ, channel: Channel::Quiz, verdict }));
    let changes =
        [KeyChange::Added(Box::new(key())), KeyChange::Revoked(id(5)), KeyChange::Password { name: "o1".into(), set_at: AT }];
    let mut letters: Vec<Letter> = to_quiz().into_iter().map(Letter::QuizHome).collect();
    letters.extend(from_quiz.into_iter().map(|letter| Letter::QuizConnection(conn(), letter)));
    letters.extend(replies().into_iter().map(|reply| Letter::QuizReply { number: 4, reply: Box::new(reply) }));
    letters.extend(changes.map(|change| Letter::Key { from: FROM, telling: 6, change: Arc::new(change) }));
    letters.push(Letter::KeyHeard { telling: 6 });
    letters.extend(CHANNELS.map(|channel| Letter::Publish {
        topic: Topic::Quiz(QUIZ, channel),
        frame: frame(),
        members: 1,
        since: Since::default(),
    }));
    letters
}
