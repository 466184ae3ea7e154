//! What is read of tokens and messages, and written into them. Of a token all but its signature: that is aws-lc's, in assembler for each
//! processor.

use super::{Line, Walk};
use crate::house::{authority, token};
use homeroom::{
    auth::Flaw,
    protocols::{
        presence::asks::Publication,
        presence::messages::{Parser, change, published},
        quiz::{
            self, Channel, QuizId,
            messages::{Row, Update, Who, snapshot, update},
        },
    },
    realtime::{ClassroomId, UnixMicros},
};
use std::{hint::black_box, time::Duration};
use uuid::Uuid;

pub(super) const PATHS: &[Line] = &[
    ("token-claims", 100, claims),
    ("presence-read-connect-request", 100, connect_request),
    ("presence-write-change", 100, writing_change),
    ("presence-write-event", 100, writing_event),
    ("quiz-read-subscribe", 100, subscribe),
    ("quiz-write-answer", 100, writing_answer),
    ("quiz-write-leaderboard-200", 1, writing_leaderboard),
];

/// 2026-06-11T14:31:05+00:00.
const AT: UnixMicros = UnixMicros(1_781_188_265_000_000);

/// A token whose time is over is refused last of all, but for its signature.
fn claims() -> Walk {
    let (authority, token) = (authority(), token("student-12345", Some(Duration::from_secs(60))));
    Box::new(move || {
        for _ in 0..100 {
            assert_eq!(authority.examine(black_box(&token), AT), Err(Flaw::Expired));
        }
    })
}

fn connect_request() -> Walk {
    let classroom = ClassroomId::from_u128(0x1234_5678);
    let token = "x".repeat(190);
    let payload = format!(r#"{{"agent_label":"web","classroom_id":"{classroom}","token":"{token}"}}"#);
    let text = format!(r#"{{"type":"connect_request","payload":{payload}}}"#);
    let mut parser = Parser::default();
    Box::new(move || (0..100).for_each(|_| assert!(parser.connect_request(black_box(&text), 256).is_some())))
}

fn writing_change() -> Walk {
    Box::new(|| (0..100).for_each(|session| drop(black_box(change("enter", black_box("web-school-student-12345"), session)))))
}

fn writing_event() -> Walk {
    let payload = format!(r#"{{"pad":"{}"}}"#, "x".repeat(256)).into();
    let (entity_type, operation) = ("board".into(), "drawn".into());
    let event = Publication { entity_type, operation, sequence_id: Some(7), payload, receiver: None, sender: None };
    Box::new(move || (0..100).for_each(|number| drop(black_box(published(black_box(&event), number)))))
}

fn subscribe() -> Walk {
    let text = r#"{"action":"subscribe","subscriptions":["quiz:42","leaderboard:42"]}"#;
    let mut parser = quiz::Parser::default();
    Box::new(move || {
        for _ in 0..100 {
            let read = parser.request(black_box(text)).map(|request| request.subscriptions.len());
            assert_eq!(read.ok(), Some(2));
        }
    })
}

fn who() -> Who {
    let (attempt, participant) = (Uuid::from_u128(1 << 100), Uuid::from_u128(2 << 100));
    Who { attempt, participant, alias: "Alice".into(), quiz: QuizId(42), event: None }
}

fn writing_answer() -> Walk {
    let who = who();
    Box::new(move || {
        for number in 0..100 {
            let answered = Update::Answered {
                who: &who,
                question: Uuid::from_u128(3 << 100),
                answer: Uuid::from_u128(4 << 100),
                is_correct: Some(true),
                score: 10.0,
                answered_at: AT,
                answered_count: number,
                question_order: 2,
            };
            black_box(update(black_box(&answered)));
        }
    })
}

fn writing_leaderboard() -> Walk {
    let who = who();
    Box::new(move || {
        let row = |rank| Row {
            who: &who,
            rank: Some(rank),
            started_at: None,
            ended: false,
            answered_count: 3,
            score: 10.0,
            flags: None,
        };
        black_box(snapshot(Channel::Leaderboard, (1..=200).map(row)));
    })
}
