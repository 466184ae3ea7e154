//! Letters of chat.

use super::*;
use crate::{
    models::{ToolCall, Usage, talk::Attached},
    protocols::chat::{
        Ask, FromSession, Heard, Mark, Payer, Reply, Row, ToSession, Told,
        asks::{Broken, Refused},
        model::{Approval, Author, Called, Caller, Completeness, Decision, Message, Session, Stage, Status},
    },
};

const USAGE: Usage = Usage { prompt_tokens: 7, completion_tokens: u32::MAX };

fn caller() -> Caller {
    Caller { id: id(1), email: text("a@example.org"), admin: true }
}

fn session(status: Status) -> Session {
    Session {
        id: id(2),
        owner: id(1),
        title: text(""),
        agent: Some(long()),
        status,
        require_approval: true,
        metadata: text("{}"),
        message_count: 3,
        created_at: AT,
        updated_at: AT,
        ended_at: None,
    }
}

fn call() -> ToolCall {
    ToolCall { id: text("c1"), tool: text("calculator"), arguments: text(r#"{"expression":"1+1"}"#) }
}

fn attached() -> Attached {
    Attached { name: text("a.png"), media_type: text("image/png"), bytes: Bytes::from_static(b"\x89PNG") }
}

fn approval(decision: Decision) -> Approval {
    Approval {
        id: id(4),
        session: id(2),
        message: id(3),
        call: call(),
        decision,
        created_at: AT,
        expires_at: AT,
        decided_by: Some(text("a@example.org")),
        decided_at: Some(AT),
        reason: None,
        comment: Some(text("")),
    }
}

fn message(author: Author, completeness: Completeness) -> Box<Message> {
    let stages = [Stage::Pending, Stage::Running, Stage::Done, Stage::Failed, Stage::Rejected, Stage::Expired, Stage::Dropped];
    let called = |stage| Called { call: call(), approval: Some(id(4)), stage, result: Some(text("2")) };
    Box::new(Message {
        id: id(3),
        session: id(2),
        number: 1,
        author,
        content: long(),
        completeness,
        calls: stages.map(called).into(),
        attachments: vec![attached()],
        usage: USAGE,
        cost: 0.000_1,
        created_at: AT,
    })
}

fn asks() -> Vec<Ask> {
    let (session_id, caller, ids) = (id(2), caller(), [id(3), id(5)]);
    let say = |streamed| Ask::Say {
        session: session_id,
        caller: caller.clone(),
        ids,
        content: long(),
        attachments: vec![attached()],
        streamed,
    };
    let decide =
        |yes, reason| Ask::Decide { session: session_id, caller: caller.clone(), approval: id(4), yes, reason, comment: None };
    vec![
        Ask::Create(Box::new(session(Status::Active))),
        Ask::Create(Box::new(session(Status::Ended))),
        Ask::Look { session: session_id, caller: caller.clone() },
        Ask::End { session: session_id, caller: caller.clone() },
        say(true),
        say(false),
        Ask::Leave { session: session_id, answer: id(3) },
        Ask::Approvals { session: session_id, caller: caller.clone() },
        decide(true, Some(text("fine"))),
        decide(false, None),
    ]
}

fn refusals() -> Vec<Refused> {
    let mut refusals = vec![
        Refused::NotHere,
        Refused::NoSession,
        Refused::Ended,
        Refused::Suspended,
        Refused::Crowded,
        Refused::NoApproval,
        Refused::Processed,
        Refused::Expired,
        Refused::Stopping,
        Refused::Lost,
    ];
    refusals.extend(FAULTS.map(Refused::Store));
    refusals
}

fn told() -> Vec<Told> {
    let end = |broken| Told::End { message: message(Author::Assistant, Completeness::Incomplete), usage: USAGE, broken };
    let broken = [Broken::Cancelled, Broken::Unavailable, Broken::Failed, Broken::TimedOut, Broken::Expired, Broken::Stopping];
    let mut told = vec![
        Told::Begin { message: id(3) },
        Told::Delta(text("")),
        Told::Delta(long()),
        Told::Call { tool: text("calculator"), arguments: text("{}") },
        Told::Result { tool: text("calculator"), result: text("2") },
        Told::Waits(message(Author::User, Completeness::Streaming)),
        end(None),
    ];
    let decisions = [Decision::Pending, Decision::Approved, Decision::Rejected, Decision::Expired];
    told.extend(decisions.map(|decision| Told::Asked { approval: Box::new(approval(decision)) }));
    told.extend(broken.map(|broken| end(Some(broken))));
    told.extend(refusals().into_iter().map(Told::Refused));
    told
}

fn heard() -> Heard {
    Heard { last: Some(id(3)), is_open: true }
}

fn to_session() -> Vec<ToSession> {
    let (conn, session) = (conn(), id(2));
    let (ids, attachments) = ([id(3), id(5)], vec![attached(), attached()]);
    let mut letters = vec![
        ToSession::Join { conn, session, caller: caller(), heard: None },
        ToSession::Join { conn, session, caller: caller(), heard: Some(heard()) },
        ToSession::Held { session, by: FROM },
        ToSession::Free { session, by: FROM },
        ToSession::Part { conn, session },
        ToSession::Say { conn, session, ids, content: text("hi"), attachments },
        ToSession::Cancel { conn, session, answer: Some(id(3)) },
        ToSession::Cancel { conn, session, answer: None },
    ];
    letters.extend(asks().into_iter().map(|ask| ToSession::Ask { asker: FROM, number: 8, ask: Box::new(ask) }));
    letters
}

pub(super) fn all() -> Vec<Letter> {
    let mut from_session = vec![
        FromSession::Joined { session: id(2), heard: heard() },
        FromSession::Refused { invalid: true },
        FromSession::Over,
        FromSession::Moved { to: FROM },
        FromSession::Elsewhere { at: FROM },
        FromSession::Missed,
    ];
    from_session.extend(refusals().into_iter().map(|why| FromSession::NotTaken { answer: id(3), why }));
    let whole = message(Author::Assistant, Completeness::Whole);
    let mut replies = vec![
        Reply::Session(Box::new(session(Status::Active))),
        Reply::Approvals(vec![approval(Decision::Pending)]),
        Reply::Decided(Box::new(approval(Decision::Approved))),
    ];
    replies.extend(refusals().into_iter().map(Reply::Refused));
    let rows = [Row::Login, Row::Create, Row::Message, Row::Stream, Row::Look, Row::List];
    let payee = Payee::Rest(FROM, 9);
    let mut letters: Vec<Letter> = to_session().into_iter().map(Letter::ChatHome).collect();
    letters.extend([Mark::Begins(id(3)), Mark::Ends].map(|mark| Letter::ChatMark { session: id(2), mark }));
    letters.extend([true, false].map(|follows| Letter::ChatElsewhere { number: 8, follows, at: FROM }));
    letters.extend(from_session.into_iter().map(|letter| Letter::ChatConnection(conn(), letter)));
    letters.extend(replies.into_iter().map(|reply| Letter::ChatReply { number: 4, reply: Box::new(reply) }));
    letters
        .extend(told().into_iter().chain([Told::Waits(whole)]).map(|told| Letter::ChatTold { number: 4, told: Box::new(told) }));
    letters.extend(rows.map(|row| Letter::ChatCount { payee, payer: Payer::User(id(1)), row }));
    letters.push(Letter::ChatCount { payee: Payee::Socket(conn()), payer: Payer::Address(u128::MAX), row: Row::Login });
    letters.push(Letter::ChatCounted { payee, counted: Counted { remaining: Some(7), reset: 1_700_000_060 } });
    letters.push(Letter::ChatCounted { payee, counted: Counted { remaining: None, reset: -1 } });
    letters.push(Letter::Show { conn: conn(), topic: Topic::Session(id(2), FROM), frame: frame() });
    letters
}
