//! A house in memory with one teacher's quiz in it, and a way to ask its routes.

use super::{
    rooms::{Chance, Credentials, Library, Quizzes, SignInRefused, SignedIn},
    routes,
};
use crate::{
    http::{
        fakes::{self, NOW, Said},
        rooms::{Clock, Unverified},
        table::Table,
    },
    protocols::quiz::{
        asks::{Ask, End, Reply, View},
        model::{
            AccessType, AttemptId, Availability, EventId, Given, Grade, Kind, OwnerId, ParticipantId, Question, Quiz, QuizId,
            Reason, Role, Rules, Status, SubmissionMode,
        },
        record::{
            AnswerRow, AttemptFilter, AttemptRow, Event, Flag, FlagCount, FlagRow, FlagSummary, Key, KeyRow, Listed, Page,
            Participant, QuizRow,
        },
    },
    realtime::{StoreFault, UnixMicros},
};
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};
use uuid::Uuid;

/// The teacher, by token `good` and by the keys `owner-key` and `user-key`. `other` is another's token, `other-key` his owner key.
pub(super) const TEACHER: &str = "school/teacher";
pub(super) const QUIZ: QuizId = QuizId(42);
pub(super) const ATTEMPT: Uuid = Uuid::from_u128(0x0193_64ab_7c12_7def_8000_abcd_ef12_3456);
pub(super) const PARTICIPANT: Uuid = Uuid::from_u128(0x0193_6400_bbbb_7def_8000_0000_0000_0002);
pub(super) const EVENT: Uuid = Uuid::from_u128(0x0193_6400_cccc_7def_8000_0000_0000_0003);
pub(super) const KEY: Uuid = Uuid::from_u128(0x0193_6400_dddd_7def_8000_0000_0000_0004);
pub(super) const ANSWER: Uuid = Uuid::from_u128(0x660e_8400_e29b_41d4_a716_4466_5544_0099);
/// The session token of the attempt.
pub(super) const SESSION: &str = "42.019364ab-7c12-7def-8000-abcdef123456";

/// The ids of the quiz's questions.
pub(super) fn question(order: u128) -> Uuid {
    Uuid::from_u128(0x550e_8400_e29b_41d4_a716_4466_5544_0000 + order)
}

/// Everything asked of it is kept. Asks are answered with `replies`, in their order; whoever reads the quiz finds the next one of `shelf`,
/// or the one that all else is about.
#[derive(Default)]
pub(super) struct House {
    pub(super) asked: RefCell<Vec<Ask>>,
    pub(super) replies: RefCell<VecDeque<Reply>>,
    pub(super) shelf: RefCell<VecDeque<Quiz>>,
    pub(super) page: Cell<Option<Page>>,
    pub(super) status: Cell<Option<Status>>,
    pub(super) filter: RefCell<Option<AttemptFilter>>,
    pub(super) fault: Cell<Option<StoreFault>>,
    pub(super) no_sign_in: Cell<bool>,
    pub(super) has_just_come: Cell<bool>,
    pub(super) accounts: RefCell<Vec<(String, String)>>,
    dice: Cell<u8>,
}

impl House {
    /// One that answers the next asks so.
    pub(super) fn replying(replies: impl IntoIterator<Item = Reply>) -> Rc<House> {
        Rc::new(House { replies: RefCell::new(replies.into_iter().collect()), ..House::default() })
    }

    /// What `of` reads, if the teacher asks and the store can.
    fn read<T>(&self, owner: &OwnerId, of: impl FnOnce() -> T) -> Result<Option<T>, StoreFault> {
        self.fault.get().map_or(Ok(()), Err)?;
        Ok((&**owner == TEACHER).then(of))
    }

    fn list<T>(&self, owner: &OwnerId, page: Page, of: impl FnOnce() -> T) -> Result<Listed<T>, StoreFault> {
        self.page.set(Some(page));
        let items: Vec<T> = self.read(owner, of)?.into_iter().collect();
        Ok(Listed { total: items.len() as u64, items })
    }
}

/// At the given second after the house's now.
pub(super) fn at(second: i64) -> UnixMicros {
    UnixMicros(NOW.0 + second * 1_000_000)
}

pub(super) fn rules() -> Rules {
    Rules {
        title: "Capitals".into(),
        access_type: AccessType::Shared,
        availability: Availability::Scheduled,
        opens_at: Some(at(0)),
        closes_at: None,
        time_limit_seconds: 600,
        max_attempts: 2,
        submission_mode: SubmissionMode::Immediate,
        client_only: false,
    }
}

/// The quiz, with a question of each type.
pub(super) fn quiz() -> Quiz {
    let options = || vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let kinds = [
        Kind::MultipleChoice { options: options(), correct: 1 },
        Kind::MultipleSelect { options: options(), correct: vec![0, 2] },
        Kind::TrueFalse { correct: true },
        Kind::ShortText { correct: vec!["Paris".to_owned()] },
    ];
    let questions =
        (1..).zip(kinds).map(|(order, kind)| Question { id: question(order), text: format!("{order}?"), points: 10.0, kind });
    Quiz {
        id: QUIZ,
        owner: TEACHER.into(),
        status: Status::Published,
        access_code: "CDEFGHJK".into(),
        rules: rules(),
        questions: questions.collect(),
        created_at: at(0),
        updated_at: at(1),
    }
}

pub(super) fn view(end: Option<End>) -> Box<View> {
    Box::new(View {
        quiz: quiz().into(),
        attempt: ATTEMPT,
        participant: PARTICIPANT,
        alias: "Alice".into(),
        event: None,
        started_at: at(0),
        deadline: Some(at(600)),
        answered: vec![question(3)],
        end,
    })
}

pub(super) fn end() -> End {
    End { reason: Reason::Submitted, at: at(60), score: 10.0, answered_count: 1 }
}

fn row() -> AttemptRow {
    AttemptRow {
        id: ATTEMPT,
        quiz: QUIZ,
        participant: PARTICIPANT,
        alias: "Alice".into(),
        event: Some(EVENT),
        started_at: at(0),
        deadline: None,
        reason: Some(Reason::TimeUp),
        ended_at: Some(at(60)),
        score: 10.0,
        answered_count: 1,
        flags: 2,
    }
}

fn flag(label: &str, detail: Option<&str>) -> FlagRow {
    let flag =
        Flag { label: label.into(), detail: detail.map(Box::from), question: detail.map(|_| question(1)), occurred_at: at(5) };
    FlagRow { flag, flagged_at: at(6) }
}

impl Quizzes for House {
    async fn ask(&self, ask: Ask) -> Reply {
        self.asked.borrow_mut().push(ask);
        self.replies.borrow_mut().pop_front().expect("a reply for each ask")
    }
}

impl Library for House {
    async fn owner_of(&self, quiz: QuizId) -> Result<Option<OwnerId>, StoreFault> {
        Ok((quiz == QUIZ).then(|| TEACHER.into()))
    }

    async fn quizzes(&self, owner: OwnerId, status: Option<Status>, page: Page) -> Result<Listed<QuizRow>, StoreFault> {
        self.status.set(status);
        self.list(&owner, page, || QuizRow { quiz: Quiz { questions: Vec::new(), ..quiz() }, questions_count: 4 })
    }

    async fn quiz(&self, owner: OwnerId, id: QuizId) -> Result<Option<Quiz>, StoreFault> {
        Ok(self.read(&owner, || self.shelf.borrow_mut().pop_front().unwrap_or_else(quiz))?.filter(|quiz| quiz.id == id))
    }

    async fn participants(&self, owner: OwnerId, page: Page) -> Result<Listed<Participant>, StoreFault> {
        self.list(&owner, page, || participant(&owner))
    }

    async fn participant(&self, owner: OwnerId, id: ParticipantId) -> Result<Option<Participant>, StoreFault> {
        Ok(self.read(&owner, || participant(&owner))?.filter(|participant| participant.id == id))
    }

    async fn events(&self, owner: OwnerId, page: Page) -> Result<Listed<Event>, StoreFault> {
        self.list(&owner, page, || event(&owner))
    }

    async fn event(&self, owner: OwnerId, id: EventId) -> Result<Option<Event>, StoreFault> {
        Ok(self.read(&owner, || event(&owner))?.filter(|event| event.id == id))
    }

    async fn attempts(&self, owner: OwnerId, filter: AttemptFilter, page: Page) -> Result<Listed<AttemptRow>, StoreFault> {
        self.filter.replace(Some(filter));
        self.list(&owner, page, row)
    }

    async fn attempt(&self, owner: OwnerId, id: AttemptId) -> Result<Option<(AttemptRow, Vec<AnswerRow>)>, StoreFault> {
        let grade = Grade { is_correct: Some(true), score: 10.0 };
        let answer = AnswerRow { id: ANSWER, question: question(2), given: Given::Options(vec![2, 0]), grade, at: at(7) };
        Ok(self.read(&owner, || (row(), vec![answer]))?.filter(|(row, _)| row.id == id))
    }

    async fn results(&self, owner: OwnerId, quiz: QuizId, page: Page) -> Result<Option<Listed<AttemptRow>>, StoreFault> {
        let listed = self.list(&owner, page, row)?;
        Ok((&*owner == TEACHER && quiz == QUIZ).then_some(listed))
    }

    async fn flags(&self, owner: OwnerId, attempt: AttemptId) -> Result<Option<Vec<FlagRow>>, StoreFault> {
        let flags = || vec![flag("TAB_SWITCH", Some(r#"{"n": 1.0}"#)), flag("CLIPBOARD", None)];
        Ok(self.read(&owner, flags)?.filter(|_| attempt == ATTEMPT))
    }

    async fn flag_summary(&self, owner: OwnerId, quiz: QuizId) -> Result<Option<FlagSummary>, StoreFault> {
        let labels = || vec![FlagCount { label: "TAB_SWITCH".into(), flags: 3, attempts: 2 }];
        Ok(self.read(&owner, || FlagSummary { flags: 3, attempts: 2, labels: labels() })?.filter(|_| quiz == QUIZ))
    }

    async fn keys(&self, owner: OwnerId, page: Page) -> Result<Listed<KeyRow>, StoreFault> {
        self.list(&owner, page, || {
            let key = Key {
                id: KEY,
                owner: owner.clone(),
                label: "school's own".into(),
                role: Role::User,
                hash: [7; 32],
                hint: "wxyz".into(),
                created_at: at(0),
            };
            KeyRow { key, revoked_at: Some(at(9)) }
        })
    }

    async fn running_of_event(&self, owner: OwnerId, event: EventId) -> Result<Option<Vec<QuizId>>, StoreFault> {
        Ok(self.read(&owner, || vec![QUIZ, QuizId(43), QuizId(44)])?.filter(|_| event == EVENT))
    }
}

fn participant(owner: &OwnerId) -> Participant {
    Participant { id: PARTICIPANT, owner: owner.clone(), alias: "Alice".into(), created_at: at(0) }
}

fn event(owner: &OwnerId) -> Event {
    Event { id: EVENT, owner: owner.clone(), title: "Finals".into(), created_at: at(0) }
}

impl Credentials for House {
    fn knows_keys(&self) -> bool {
        !self.has_just_come.get()
    }

    fn token(&self, token: &str) -> Result<OwnerId, Unverified> {
        match token {
            "good" => Ok(TEACHER.into()),
            "other" => Ok("school/other".into()),
            _ => Err(Unverified),
        }
    }

    fn api_key(&self, key: &str) -> Option<(OwnerId, Role)> {
        match key {
            "owner-key" => Some((TEACHER.into(), Role::Owner)),
            "user-key" => Some((TEACHER.into(), Role::User)),
            "other-key" => Some(("school/other".into(), Role::Owner)),
            _ => None,
        }
    }

    fn session(&self, token: &str) -> Option<(QuizId, AttemptId)> {
        let (quiz, attempt) = token.split_once('.')?;
        Some((quiz.parse().ok()?, attempt.parse().ok()?))
    }

    fn session_token(&self, quiz: QuizId, attempt: AttemptId) -> String {
        format!("{quiz}.{attempt}")
    }

    fn has_sign_in(&self) -> bool {
        !self.no_sign_in.get()
    }

    async fn sign_in(&self, name: String, password: String) -> Result<SignedIn, SignInRefused> {
        if let Some(fault) = self.fault.get() {
            return Err(SignInRefused::Store(fault));
        }
        match (&*name, &*password) {
            ("teacher", "password") => Ok(SignedIn { access_token: "good".into(), lifetime: Duration::from_secs(43_200) }),
            _ => Err(SignInRefused::Wrong),
        }
    }

    async fn new_account(&self, name: String, password: String) -> Result<(), StoreFault> {
        self.accounts.borrow_mut().push((name, password));
        self.fault.get().map_or(Ok(()), Err)
    }
}

impl Chance for House {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            self.dice.set(self.dice.get().wrapping_mul(77).wrapping_add(13));
            *byte = self.dice.get();
        }
    }
}

impl Clock for House {
    fn now(&self) -> UnixMicros {
        NOW
    }
}

/// Asks the routes of the listener.
pub(super) fn ask(house: &Rc<House>, request: &str) -> Said {
    fakes::ask(&Table::default().with("", routes()).unwrap(), house, request)
}

/// Asks for the teacher, by token. `request` is a method and a path.
pub(super) fn teacher(house: &Rc<House>, request: &str, body: &str) -> Said {
    ask(house, &format!("{request}\nauthorization: Bearer good\n\n{body}"))
}

impl Said {
    /// Status and data of a good answer.
    pub(super) fn good(&self) -> (u16, Value) {
        assert_eq!(self.kind(), "application/json", "{}", self.body);
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let mut told: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!((&told["code"], &told["message"]), (&"0000".into(), &"ok".into()), "{}", self.body);
        assert_eq!(told.as_object().unwrap().len(), 3);
        (self.status, told["data"].take())
    }

    /// Status and code of a refusal.
    pub(super) fn refusal(&self) -> (u16, String) {
        assert_eq!(self.kind(), "application/json", "{}", self.body);
        let told: Value = serde_json::from_str(&self.body).unwrap();
        assert!(told["message"].as_str().is_some_and(|message| message.len() > 5) && told.as_object().unwrap().len() == 2);
        (self.status, told["code"].as_str().unwrap().to_owned())
    }
}
