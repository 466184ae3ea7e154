//! What answers are made of, field by field as in the contract's examples.

use super::rooms::Issued;
use crate::{
    http::{
        answer::{self, Answer},
        iso::Iso,
    },
    models::Usage,
    protocols::chat::{
        messages::{self, Shown as Id, Tokens, raw},
        model::{Approval, Author, Called, Completeness, Decision, Message, Session, Stage},
        record::{Listed, Page, Part, Waiting},
    },
};
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

/// 200.
pub(super) fn done(shape: &impl Serialize) -> Answer {
    answer::json(StatusCode::OK, shape)
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct LoginShape<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
}

impl<'a> From<&'a Issued> for LoginShape<'a> {
    fn from(issued: &'a Issued) -> Self {
        LoginShape { access_token: &issued.token, token_type: "bearer", expires_in: issued.expires_in.as_secs() }
    }
}

/// How a session stands for those who look at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// It takes messages.
    Active,
    /// Its agent is configured no more.
    Suspended,
    /// It was ended, or nobody spoke for too long.
    Ended,
}

/// A session and how it stands.
pub(super) struct Shown {
    pub(super) session: Session,
    pub(super) status: Status,
}

impl Shown {
    fn title(&self) -> &str {
        if self.session.title.is_empty() { "New Session" } else { &self.session.title }
    }
}

/// To whoever made it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct MadeShape<'a> {
    id: Id,
    title: &'a str,
    status: Status,
    agent_id: Option<&'a str>,
    created_at: Iso,
    #[schema(value_type = Object)]
    metadata: &'a RawValue,
}

impl<'a> From<&'a Shown> for MadeShape<'a> {
    fn from(shown: &'a Shown) -> Self {
        let session = &shown.session;
        MadeShape {
            id: messages::session(session.id),
            title: shown.title(),
            status: shown.status,
            agent_id: session.agent.as_deref(),
            created_at: Iso(session.created_at),
            metadata: raw(&session.metadata),
        }
    }
}

/// To whoever looks at it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct SessionShape<'a> {
    id: Id,
    title: &'a str,
    status: Status,
    agent_id: Option<&'a str>,
    created_at: Iso,
    updated_at: Iso,
    message_count: u32,
    #[schema(value_type = Object)]
    metadata: &'a RawValue,
}

impl<'a> From<&'a Shown> for SessionShape<'a> {
    fn from(shown: &'a Shown) -> Self {
        let MadeShape { id, title, status, agent_id, created_at, metadata } = MadeShape::from(shown);
        let Session { updated_at, message_count, .. } = shown.session;
        SessionShape { id, title, status, agent_id, created_at, updated_at: Iso(updated_at), message_count, metadata }
    }
}

/// To whoever ended it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct EndedShape {
    id: Id,
    status: Status,
    ended_at: Iso,
}

impl From<&Session> for EndedShape {
    fn from(session: &Session) -> Self {
        let ended_at = Iso(session.ended_at.unwrap_or(session.updated_at));
        EndedShape { id: messages::session(session.id), status: Status::Ended, ended_at }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct ListedShape<'a> {
    id: Id,
    title: &'a str,
    status: Status,
    created_at: Iso,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ListShape<'a> {
    data: Vec<ListedShape<'a>>,
    total: u64,
    page: u32,
    page_size: u32,
    has_more: bool,
}

/// A page of a list of sessions.
pub(super) fn list(listed: &Listed<Shown>, Page { page, size }: Page) -> ListShape<'_> {
    let shape = |shown| {
        let MadeShape { id, title, status, created_at, .. } = MadeShape::from(shown);
        ListedShape { id, title, status, created_at }
    };
    let has_more = u64::from(page) * u64::from(size) < listed.total;
    ListShape { data: listed.items.iter().map(shape).collect(), total: listed.total, page, page_size: size, has_more }
}

/// A tool that was called.
#[derive(Serialize, utoipa::ToSchema)]
struct CalledShape<'a> {
    tool: &'a str,
    #[schema(value_type = Object)]
    args: &'a RawValue,
    status: Stage,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    result: Option<&'a RawValue>,
}

impl<'a> From<&'a Called> for CalledShape<'a> {
    fn from(called: &'a Called) -> Self {
        CalledShape {
            tool: &called.call.tool,
            args: raw(&called.call.arguments),
            status: called.stage,
            approval_id: called.approval.map(messages::approval),
            result: called.result.as_deref().map(raw),
        }
    }
}

/// An answer, to whoever waited for it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct AnswerShape<'a> {
    session_id: Id,
    message_id: Id,
    role: Author,
    content: &'a str,
    tool_calls: Vec<CalledShape<'a>>,
    created_at: Iso,
    usage: Tokens,
    /// Absent where it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Completeness>,
}

/// An answer and what it took.
pub(super) fn answer(message: &Message, usage: Usage) -> AnswerShape<'_> {
    AnswerShape {
        session_id: messages::session(message.session),
        message_id: messages::message(message.id),
        role: message.author,
        content: &message.content,
        tool_calls: message.calls.iter().map(CalledShape::from).collect(),
        created_at: Iso(message.created_at),
        usage: usage.into(),
        status: unwhole(message),
    }
}

fn unwhole(message: &Message) -> Option<Completeness> {
    Some(message.completeness).filter(|completeness| *completeness != Completeness::Whole)
}

#[derive(Serialize, utoipa::ToSchema)]
struct AttachedShape<'a> {
    name: &'a str,
    media_type: &'a str,
}

/// A message of the history. What the contract's examples do not have is there only where there is something to tell.
#[derive(Serialize, utoipa::ToSchema)]
struct MessageShape<'a> {
    id: Id,
    role: Author,
    content: &'a str,
    created_at: Iso,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Completeness>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CalledShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<AttachedShape<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct HistoryShape<'a> {
    data: Vec<MessageShape<'a>>,
    has_more: bool,
}

/// A part of the history.
pub(super) fn history(part: &Part) -> HistoryShape<'_> {
    HistoryShape { data: part.messages.iter().map(MessageShape::from).collect(), has_more: part.has_more }
}

impl<'a> From<&'a Message> for MessageShape<'a> {
    fn from(message: &'a Message) -> Self {
        let attachments = message.attachments.iter();
        MessageShape {
            id: messages::message(message.id),
            role: message.author,
            content: &message.content,
            created_at: Iso(message.created_at),
            status: unwhole(message),
            tool_calls: message.calls.iter().map(CalledShape::from).collect(),
            attachments: attachments.map(|file| AttachedShape { name: &file.name, media_type: &file.media_type }).collect(),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct ApprovalShape<'a> {
    id: Id,
    tool_name: &'a str,
    #[schema(value_type = Object)]
    arguments: &'a RawValue,
    status: Decision,
    created_at: Iso,
    expires_at: Iso,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ApprovalsShape<'a> {
    data: Vec<ApprovalShape<'a>>,
}

/// Those that wait.
pub(super) fn approvals(approvals: &[Approval]) -> ApprovalsShape<'_> {
    ApprovalsShape { data: approvals.iter().map(ApprovalShape::from).collect() }
}

impl<'a> From<&'a Approval> for ApprovalShape<'a> {
    fn from(approval: &'a Approval) -> Self {
        ApprovalShape {
            id: messages::approval(approval.id),
            tool_name: &approval.call.tool,
            arguments: raw(&approval.call.arguments),
            status: approval.decision,
            created_at: Iso(approval.created_at),
            expires_at: Iso(approval.expires_at),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct WaitingShape<'a> {
    id: Id,
    session_id: Id,
    user: &'a str,
    tool_name: &'a str,
    created_at: Iso,
    expires_at: Iso,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct AllWaitingShape<'a> {
    data: Vec<WaitingShape<'a>>,
}

/// Those that wait in any session.
pub(super) fn waiting(all: &[Waiting]) -> AllWaitingShape<'_> {
    AllWaitingShape { data: all.iter().map(WaitingShape::from).collect() }
}

impl<'a> From<&'a Waiting> for WaitingShape<'a> {
    fn from(Waiting { approval, owner }: &'a Waiting) -> Self {
        WaitingShape {
            id: messages::approval(approval.id),
            session_id: messages::session(approval.session),
            user: owner,
            tool_name: &approval.call.tool,
            created_at: Iso(approval.created_at),
            expires_at: Iso(approval.expires_at),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ApprovedShape<'a> {
    id: Id,
    status: Decision,
    approved_by: Option<&'a str>,
    approved_at: Option<Iso>,
}

impl<'a> From<&'a Approval> for ApprovedShape<'a> {
    fn from(approval: &'a Approval) -> Self {
        ApprovedShape {
            id: messages::approval(approval.id),
            status: approval.decision,
            approved_by: approval.decided_by.as_deref(),
            approved_at: approval.decided_at.map(Iso),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct RejectedShape<'a> {
    id: Id,
    status: Decision,
    rejected_by: Option<&'a str>,
    rejected_at: Option<Iso>,
    reason: Option<&'a str>,
}

impl<'a> From<&'a Approval> for RejectedShape<'a> {
    fn from(approval: &'a Approval) -> Self {
        RejectedShape {
            id: messages::approval(approval.id),
            status: approval.decision,
            rejected_by: approval.decided_by.as_deref(),
            rejected_at: approval.decided_at.map(Iso),
            reason: approval.reason.as_deref(),
        }
    }
}
