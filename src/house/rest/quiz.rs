//! The contracts of the quiz routes: homes are asked by letters, the records by the bridge, passwords there as well.

use super::{Rest, random, unhashed};
use crate::{
    auth::{Claims, SigningKey},
    house::rules,
    http::{
        quiz::rooms::{Chance, Credentials, Library, Quizzes, SignInRefused, SignedIn},
        rooms::{Clock, Unverified},
    },
    protocols::quiz::{
        AttemptId, EventId, OwnerId, ParticipantId, QuizId,
        asks::{Ask, Refused, Reply},
        model::{Quiz, Role, Status},
        record::{
            Account, AnswerRow, AttemptFilter, AttemptRow, Event, FlagRow, FlagSummary, Kept, KeyRow, Listed, Page, Participant,
            QuizRow, Record,
        },
    },
    realtime::{StoreFault, UnixMicros},
    store::Read,
};
use std::{future::poll_fn, time::Duration};

/// How long the access token of a sign-in is good.
const SIGNED_IN: Duration = Duration::from_secs(12 * 3600);

/// An ask on its way: forgotten when its future is dropped, as when the client has gone. It is done all the same.
struct Asked<'a> {
    rest: &'a Rest,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.rest.shift.borrow_mut().engine.forget_quiz_ask(self.number);
    }
}

impl Quizzes for Rest {
    async fn ask(&self, ask: Ask) -> Reply {
        let asked = Asked { rest: self, number: self.shift.borrow_mut().engine.ask_quiz(ask) };
        self.nudge.nudge();
        poll_fn(|cx| self.shift.borrow_mut().engine.poll_quiz_reply(asked.number, cx.waker())).await
    }
}

impl Library for Rest {
    async fn owner_of(&self, quiz: QuizId) -> Read<Option<OwnerId>> {
        self.read(move |store| store.owner_of(quiz)).await
    }

    async fn quizzes(&self, owner: OwnerId, status: Option<Status>, page: Page) -> Read<Listed<QuizRow>> {
        self.read(move |store| store.quizzes(&owner, status, page)).await
    }

    async fn quiz(&self, owner: OwnerId, quiz: QuizId) -> Read<Option<Quiz>> {
        self.read(move |store| store.quiz_of(&owner, quiz)).await
    }

    async fn participants(&self, owner: OwnerId, page: Page) -> Read<Listed<Participant>> {
        self.read(move |store| store.participants(&owner, page)).await
    }

    async fn participant(&self, owner: OwnerId, participant: ParticipantId) -> Read<Option<Participant>> {
        self.read(move |store| store.participant(&owner, participant)).await
    }

    async fn events(&self, owner: OwnerId, page: Page) -> Read<Listed<Event>> {
        self.read(move |store| store.events(&owner, page)).await
    }

    async fn event(&self, owner: OwnerId, event: EventId) -> Read<Option<Event>> {
        self.read(move |store| store.event(&owner, event)).await
    }

    async fn attempts(&self, owner: OwnerId, filter: AttemptFilter, page: Page) -> Read<Listed<AttemptRow>> {
        self.read(move |store| store.attempts(&owner, &filter, page)).await
    }

    async fn attempt(&self, owner: OwnerId, attempt: AttemptId) -> Read<Option<(AttemptRow, Vec<AnswerRow>)>> {
        self.read(move |store| store.attempt(&owner, attempt)).await
    }

    async fn results(&self, owner: OwnerId, quiz: QuizId, page: Page) -> Read<Option<Listed<AttemptRow>>> {
        self.read(move |store| store.results(&owner, quiz, page)).await
    }

    async fn flags(&self, owner: OwnerId, attempt: AttemptId) -> Read<Option<Vec<FlagRow>>> {
        self.read(move |store| store.flags(&owner, attempt)).await
    }

    async fn flag_summary(&self, owner: OwnerId, quiz: QuizId) -> Read<Option<FlagSummary>> {
        self.read(move |store| store.flag_summary(&owner, quiz)).await
    }

    async fn keys(&self, owner: OwnerId, page: Page) -> Read<Listed<KeyRow>> {
        self.read(move |store| store.keys_of(&owner, page)).await
    }

    async fn running_of_event(&self, owner: OwnerId, event: EventId) -> Read<Option<Vec<QuizId>>> {
        self.read(move |store| match store.event(&owner, event)? {
            Some(_) => store.running_of_event(&owner, event).map(Some),
            None => Ok(None),
        })
        .await
    }
}

impl Credentials for Rest {
    fn knows_keys(&self) -> bool {
        self.shift.borrow().engine.knows_keys()
    }

    fn token(&self, token: &str) -> Result<OwnerId, Unverified> {
        self.shift.borrow().engine.keys().bearer(token, &self.house.rules.quiz_authority, self.now()).map_err(|_| Unverified)
    }

    fn api_key(&self, key: &str) -> Option<(OwnerId, Role)> {
        let shift = self.shift.borrow();
        let holder = shift.engine.keys().find(key)?;
        Some((holder.owner.clone(), holder.role))
    }

    fn session(&self, token: &str) -> Option<(QuizId, AttemptId)> {
        self.house.rules.quiz_session.read(token).map(|(quiz, attempt)| (QuizId(quiz), attempt))
    }

    fn session_token(&self, quiz: QuizId, attempt: AttemptId) -> String {
        self.house.rules.quiz_session.token(quiz.0, attempt)
    }

    fn has_sign_in(&self) -> bool {
        self.house.sign_in.is_some()
    }

    async fn sign_in(&self, name: String, password: String) -> Result<SignedIn, SignInRefused> {
        let Some(key) = &self.house.sign_in else { return Err(SignInRefused::Wrong) };
        let looked_up = name.clone();
        let account = self.read(move |store| store.account(&looked_up)).await.map_err(SignInRefused::Store)?;
        let (known, set_at) = account.map(|account| (account.password_hash, account.at)).unzip();
        let checked = self.passwords.check(password, known).await;
        match checked.map_err(|why| SignInRefused::Store(unhashed(why)))? {
            true => set_at
                .and_then(|set_at| signed_in(key, &name, set_at, self.now()))
                .ok_or(SignInRefused::Store(StoreFault::Failed)),
            false => Err(SignInRefused::Wrong),
        }
    }

    async fn new_account(&self, name: String, password: String) -> Result<(), StoreFault> {
        let password_hash = self.passwords.hash(password).await.map_err(unhashed)?;
        let account = Account { name, password_hash, at: self.now() };
        match Quizzes::ask(self, Ask::Keep(Record::Owner(account))).await {
            Reply::Kept(Kept::Done) => Ok(()),
            Reply::Refused(Refused::Store(fault)) => Err(fault),
            Reply::Refused(Refused::Crowded) => Err(StoreFault::Busy),
            _ => Err(StoreFault::Failed),
        }
    }
}

fn signed_in(key: &SigningKey, name: &str, set_at: UnixMicros, now: UnixMicros) -> Option<SignedIn> {
    let (issuer, audience) = rules::EMBEDDED;
    let claims = Claims { issuer, audience, subject: name, lifetime: Some(SIGNED_IN) };
    Some(SignedIn { access_token: key.issue_for_password(&claims, set_at, now)?, lifetime: SIGNED_IN })
}

impl Chance for Rest {
    fn fill(&self, bytes: &mut [u8]) {
        random(bytes);
    }
}
