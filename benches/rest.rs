//! What a request costs between hyper and the home of its quiz: routed, read, its session token checked, asked, answered.

#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use futures_lite::future::block_on;
use homeroom::{
    auth::SessionKey,
    http::{
        Table,
        quiz::{
            self,
            rooms::{Chance, Credentials, Library, Quizzes, SignInRefused, SignedIn},
        },
        rooms::{Clock, Unverified},
    },
    protocols::quiz::{
        asks::{Ask, Reply},
        model::{AttemptId, EventId, Grade, OwnerId, ParticipantId, Quiz, QuizId, Role, Status},
        record::{AnswerRow, AttemptFilter, AttemptRow, Event, FlagRow, FlagSummary, KeyRow, Listed, Page, Participant, QuizRow},
    },
    realtime::{StoreFault, UnixMicros},
};
use http::Request;
use http_body_util::{BodyExt, Full};
use std::{hint::black_box, rc::Rc};
use uuid::Uuid;

/// A house whose homes answer at once.
struct House(SessionKey);

const AT: UnixMicros = UnixMicros(1_767_323_045_000_000);
const NOTHING: StoreFault = StoreFault::Failed;

impl Quizzes for House {
    async fn ask(&self, ask: Ask) -> Reply {
        let id = if let Ask::Answer { id, .. } = black_box(ask) { id } else { Uuid::nil() };
        Reply::Answered { id, grade: Some(Grade { is_correct: Some(true), score: 10.0 }), answered_count: 3, at: AT }
    }
}

impl Credentials for House {
    fn knows_keys(&self) -> bool {
        true
    }

    fn token(&self, _: &str) -> Result<OwnerId, Unverified> {
        Err(Unverified)
    }
    fn api_key(&self, _: &str) -> Option<(OwnerId, Role)> {
        None
    }
    fn session(&self, token: &str) -> Option<(QuizId, AttemptId)> {
        self.0.read(token).map(|(quiz, attempt)| (QuizId(quiz), attempt))
    }
    fn session_token(&self, quiz: QuizId, attempt: AttemptId) -> String {
        self.0.token(quiz.0, attempt)
    }
    fn has_sign_in(&self) -> bool {
        false
    }
    async fn sign_in(&self, _: String, _: String) -> Result<SignedIn, SignInRefused> {
        Err(SignInRefused::Wrong)
    }
    async fn new_account(&self, _: String, _: String) -> Result<(), StoreFault> {
        Err(NOTHING)
    }
}

impl Chance for House {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

impl Clock for House {
    fn now(&self) -> UnixMicros {
        AT
    }
}

impl Library for House {
    async fn owner_of(&self, _: QuizId) -> Result<Option<OwnerId>, StoreFault> {
        Err(NOTHING)
    }
    async fn quizzes(&self, _: OwnerId, _: Option<Status>, _: Page) -> Result<Listed<QuizRow>, StoreFault> {
        Err(NOTHING)
    }
    async fn quiz(&self, _: OwnerId, _: QuizId) -> Result<Option<Quiz>, StoreFault> {
        Err(NOTHING)
    }
    async fn participants(&self, _: OwnerId, _: Page) -> Result<Listed<Participant>, StoreFault> {
        Err(NOTHING)
    }
    async fn participant(&self, _: OwnerId, _: ParticipantId) -> Result<Option<Participant>, StoreFault> {
        Err(NOTHING)
    }
    async fn events(&self, _: OwnerId, _: Page) -> Result<Listed<Event>, StoreFault> {
        Err(NOTHING)
    }
    async fn event(&self, _: OwnerId, _: EventId) -> Result<Option<Event>, StoreFault> {
        Err(NOTHING)
    }
    async fn attempts(&self, _: OwnerId, _: AttemptFilter, _: Page) -> Result<Listed<AttemptRow>, StoreFault> {
        Err(NOTHING)
    }
    async fn attempt(&self, _: OwnerId, _: AttemptId) -> Result<Option<(AttemptRow, Vec<AnswerRow>)>, StoreFault> {
        Err(NOTHING)
    }
    async fn results(&self, _: OwnerId, _: QuizId, _: Page) -> Result<Option<Listed<AttemptRow>>, StoreFault> {
        Err(NOTHING)
    }
    async fn flags(&self, _: OwnerId, _: AttemptId) -> Result<Option<Vec<FlagRow>>, StoreFault> {
        Err(NOTHING)
    }
    async fn flag_summary(&self, _: OwnerId, _: QuizId) -> Result<Option<FlagSummary>, StoreFault> {
        Err(NOTHING)
    }
    async fn keys(&self, _: OwnerId, _: Page) -> Result<Listed<KeyRow>, StoreFault> {
        Err(NOTHING)
    }
    async fn running_of_event(&self, _: OwnerId, _: EventId) -> Result<Option<Vec<QuizId>>, StoreFault> {
        Err(NOTHING)
    }
}

fn answers(criterion: &mut Criterion) {
    let house = Rc::new(House(SessionKey::new(&[7; 32])));
    let table = Table::default().with("", quiz::routes()).unwrap();
    let uri: http::Uri =
        format!("/api/v1/attempts/{}/answers", house.session_token(QuizId(42), Uuid::from_u128(7))).parse().unwrap();
    let body = bytes::Bytes::from_static(br#"{"question_id":"550e8400-e29b-41d4-a716-446655440000","answer":[0,2]}"#);
    criterion.bench_function("rest/answer", |bencher| {
        bencher.iter(|| {
            let request = Request::post(uri.clone()).body(Full::new(body.clone())).unwrap();
            let answer = block_on(table.answer(&house, request, |_| {}));
            assert_eq!(answer.status(), 201);
            block_on(answer.into_body().collect()).unwrap().to_bytes()
        });
    });
}

criterion_group!(benches, answers);
criterion_main!(benches);
