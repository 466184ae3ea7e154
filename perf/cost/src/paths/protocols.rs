//! Whole turns of an engine: an echo, an event to a classroom on one shard and on four, an answer in a quiz, a word of a chat, a task from
//! its asking to its result. Of randomly seeded tables no more than one place is taken, so that counts do not depend on the seed.

use super::{Line, Walk};
use crate::house::{AGENT, CHAT, House, PRESENCE, QUIZ, head, masked, ticket, token};
use homeroom::{
    engine::Answer,
    models::{Stop, Usage, Word},
    protocols::{
        chat::{self, messages::session as shown, model as chats},
        presence,
        quiz::{
            QuizId,
            asks::{Ask, Entrant, Pass, Reply},
            model::{AccessType, Availability, Given, Kind, Question, Quiz, Rules, Status, SubmissionMode},
            record::Loaded,
        },
    },
    realtime::{ClassroomId, ConnId, UnixMicros},
};
use std::{
    hint::black_box,
    task::{Poll, Waker},
};
use uuid::Uuid;

pub(super) const PATHS: &[Line] = &[
    ("engine-echo-256", 100, echo),
    ("engine-event-to-100", 1_000, || event(1)),
    ("engine-event-to-100-on-4", 1_000, || event(4)),
    ("engine-quiz-answer", ANSWERS, quiz_answer),
    ("engine-chat-word", 100, chat_word),
    ("engine-task", TASKS, task),
];

const ANSWERS: u32 = 50;
/// A socket may say a hundred things a minute, and time stands still.
const TASKS: u32 = 20;

fn echo() -> Walk {
    let mut house = House::new(1);
    let conn = house.open(0, PRESENCE, &head("/echo"));
    let message = masked(0x82, &[b'm'; 256]);
    let before = house.sent_bytes();
    house.hear(conn, &message);
    assert_eq!(house.sent_bytes() - before, 260, "it came back");
    Box::new(move || (0..100).for_each(|_| house.hear(conn, black_box(&message))))
}

/// Events by REST to a classroom of a hundred, evenly over the shards.
fn event(shards: u16) -> Walk {
    let (mut house, classroom) = (House::new(shards), ClassroomId::from_u128(7));
    for member in 0..100 {
        house.member(member % usize::from(shards), classroom, &format!("student-{member}"));
    }
    let publish = move |house: &mut House| {
        let (entity_type, operation) = ("board".into(), "drawn".into());
        let payload = format!(r#"{{"pad":"{}"}}"#, "x".repeat(200)).into();
        let event =
            presence::asks::Publication { entity_type, operation, sequence_id: None, payload, receiver: None, sender: None };
        let number = house.engines[0].ask(presence::asks::Ask::Publish { classroom, event });
        house.run();
        assert!(house.engines[0].poll_reply(number, Waker::noop()).is_ready());
    };
    let before = house.sum(|counters| counters.delivered.read());
    publish(&mut house);
    assert_eq!(house.sum(|counters| counters.delivered.read()) - before, 100, "each heard it");
    Box::new(move || (0..10).for_each(|_| publish(&mut house)))
}

fn quiz() -> Loaded {
    let question = |n: u32| Question {
        id: Uuid::from_u128(u128::from(n)),
        text: "?".into(),
        points: 10.0,
        kind: Kind::TrueFalse { correct: true },
    };
    let rules = Rules {
        title: "quiz".into(),
        access_type: AccessType::Public,
        availability: Availability::Always,
        opens_at: None,
        closes_at: None,
        time_limit_seconds: 0,
        max_attempts: 0,
        submission_mode: SubmissionMode::Immediate,
        client_only: false,
    };
    let quiz = Quiz {
        id: QuizId(42),
        owner: "school/owner".into(),
        status: Status::Published,
        access_code: "code".into(),
        rules,
        questions: (1..=4 * ANSWERS).map(question).collect(),
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    };
    Loaded { quiz, attempts: Vec::new() }
}

fn ask_quiz(house: &mut House, ask: Ask) -> Reply {
    let number = house.engines[0].ask_quiz(ask);
    house.run();
    match house.engines[0].poll_quiz_reply(number, Waker::noop()) {
        Poll::Ready(reply) => reply,
        Poll::Pending => unreachable!("the store answers at once"),
    }
}

/// Answers of one participant, each kept and on the screen of the owner.
fn quiz_answer() -> Walk {
    let (mut house, attempt, mut next) = (House::new(1), Uuid::from_u128(1 << 100), 0_u32);
    house.quizzes.insert(QuizId(42), quiz());
    let owner = house.open(0, QUIZ, &head(&format!("/ws?token={}", token("owner", None))));
    house.hear(owner, &masked(0x81, br#"{"action":"subscribe","subscriptions":["quiz:42"]}"#));
    let entrant = Entrant { participant: Uuid::from_u128(2 << 100), known_to: None, alias: "Alice".into() };
    let started = ask_quiz(&mut house, Ask::Start { quiz: QuizId(42), attempt, entrant, event: None, pass: Pass::default() });
    assert!(matches!(started, Reply::Started(_)), "{started:?}");
    let before = house.sum(|counters| counters.delivered.read());
    let mut answer = move |house: &mut House| {
        next += 1;
        let (question, id) = (Uuid::from_u128(u128::from(next)), Uuid::from_u128(u128::from(next) << 64));
        ask_quiz(house, Ask::Answer { quiz: QuizId(42), attempt, question, id, given: Given::Truth(next % 2 == 0) })
    };
    assert!(matches!(answer(&mut house), Reply::Answered { .. }));
    assert_eq!(house.sum(|counters| counters.delivered.read()) - before, 1, "the owner has seen it");
    Box::new(move || (0..ANSWERS).for_each(|_| drop(black_box(answer(&mut house)))))
}

/// A socket of tasks or chat whose holder is known by his ticket.
fn signed_in(house: &mut House, path: &str, user: Uuid) -> ConnId {
    house.open(0, CHAT, &head(&format!("{path}?token={}", ticket(user))))
}

/// Words of a model, each to the one socket of its session.
fn chat_word() -> Walk {
    let (mut house, user, session) = (House::new(1), Uuid::from_u128(0xA), Uuid::from_u128(0x5e55));
    let wall = house.now.wall;
    let opened = chats::Session {
        id: session,
        owner: user,
        title: "".into(),
        agent: Some(AGENT.into()),
        status: chats::Status::Active,
        require_approval: false,
        metadata: "{}".into(),
        message_count: 0,
        created_at: wall,
        updated_at: wall,
        ended_at: None,
    };
    let number = house.engines[0].ask_chat(chat::Ask::Create(Box::new(opened)));
    house.run();
    assert!(house.engines[0].poll_chat_reply(number, Waker::noop()).is_ready());
    let shown = serde_json::to_string(&shown(session)).unwrap_or_default();
    let conn = signed_in(&mut house, &format!("/ws/sessions/{}", shown.trim_matches('"')), user);
    house.hear(conn, &masked(0x81, br#"{"type":"message","content":"What is light?"}"#));
    let run = *house.runs.last().expect("the model was asked");
    let word = move |house: &mut House| {
        house.engines[0].answer(Answer::Model { run, word: Word::Delta("word ".into()) }, house.now);
        house.run();
    };
    let before = house.tally.sends[0];
    word(&mut house);
    assert_eq!(house.tally.sends[0] - before, 1, "it was told");
    Box::new(move || (0..100).for_each(|_| word(&mut house)))
}

/// Tasks by a socket, from the asking to the result, one after another.
fn task() -> Walk {
    let mut house = House::new(1);
    let conn = signed_in(&mut house, "/ws", Uuid::from_u128(0xA));
    house.hear(conn, &masked(0x81, br#"{"type":"subscribe","data":{"channel":"tasks"}}"#));
    let ask = format!(r#"{{"type":"execute_agent","data":{{"agent_id":"{AGENT}","task":"What is light?"}}}}"#);
    let ask = masked(0x81, ask.as_bytes());
    let usage = Usage { prompt_tokens: 20, completion_tokens: 10 };
    let live = move |house: &mut House| {
        house.hear(conn, &ask);
        let run = house.runs.pop().expect("the model was asked");
        for word in [Word::Delta("A wave, ".into()), Word::Delta("among others.".into()), Word::Ended { stop: Stop::Done, usage }]
        {
            house.engines[0].answer(Answer::Model { run, word }, house.now);
            house.run();
        }
    };
    let before = house.sum(|counters| counters.delivered.read());
    live(&mut house);
    assert!(house.sum(|counters| counters.delivered.read()) - before >= 3, "pending, in progress, completed");
    Box::new(move || (0..TASKS).for_each(|_| live(&mut house)))
}
