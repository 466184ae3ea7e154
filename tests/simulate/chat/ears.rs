//! What one socket of a session hears, and what must hold of that: answers in order and without a gap, each begun and ended once, nothing
//! before it is on disk and nothing behind its end.

use super::book::Book;
use homeroom::protocols::chat::{
    MessageId, SessionId,
    messages::read,
    model::{Approval, Completeness, Decision, Message},
};
use homeroom::realtime::UnixMicros;
use serde_json::Value;

/// What it came with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pass {
    /// The token of one of the users.
    Good(usize),
    /// No good token.
    Bad,
    /// None, and it says nothing of one.
    Missing,
}

/// An answer that is being heard.
#[derive(Debug)]
pub(crate) struct Hearing {
    pub(crate) answer: MessageId,
    pub(crate) text: String,
    calls: usize,
    results: Vec<String>,
    /// The code of the error that was told of it.
    pub(crate) fault: Option<String>,
    /// It was told that the server stops, which may be of this or of what it said.
    is_stopped: bool,
    /// It was told that the answer could not be stored yet.
    is_unkept: bool,
}

/// See the file.
#[derive(Debug)]
pub(crate) struct Ear {
    pub(crate) pass: Pass,
    pub(crate) session: SessionId,
    /// Whether the session was there, active, and may be heard by who came.
    pub(crate) may_hear: bool,
    /// When it came.
    pub(crate) since: UnixMicros,
    pub(crate) is_greeted: bool,
    pub(crate) open: Option<Hearing>,
    /// The number of the answer that it heard last.
    last: Option<u32>,
    /// What it said, in order, and when.
    pub(crate) said: Vec<(String, UnixMicros)>,
    /// Messages of its that were refused.
    pub(crate) refused: usize,
    /// Texts of its that mean nothing, less those it was told of.
    pub(crate) nonsense: isize,
    /// Pings of its, less Pongs.
    pub(crate) pings: isize,
    /// The last error.
    pub(crate) error: Option<String>,
    /// An answer that it wants no more.
    pub(crate) unwanted: Option<MessageId>,
    /// It has said its Close.
    pub(crate) says_goodbye: bool,
}

/// What came of hearing something.
#[derive(Debug)]
pub(crate) enum News {
    /// Nothing to be remembered.
    Nothing,
    /// An answer began.
    Began,
    /// It ended, and its text is to be looked at when it is on disk.
    Unkept(Hearing),
    /// It ended.
    Ended,
    /// Something that it said could not be stored.
    NotStored,
    /// Somebody is asked for leave.
    Asked,
}

impl Ear {
    pub(crate) fn new(pass: Pass, session: SessionId, may_hear: bool, since: UnixMicros) -> Ear {
        Ear {
            pass,
            session,
            may_hear,
            since,
            is_greeted: false,
            open: None,
            last: None,
            said: Vec::new(),
            refused: 0,
            nonsense: 0,
            pings: 0,
            error: None,
            unwanted: None,
            says_goodbye: false,
        }
    }

    pub(crate) fn hears(&mut self, text: &Value, book: &Book) -> Result<News, String> {
        let kind = text["type"].as_str().ok_or("it has no type")?;
        match kind {
            "auth_success" if self.is_greeted => Err("greeted twice".into()),
            "auth_success" => {
                self.is_greeted = true;
                if matches!(self.pass, Pass::Good(_)) { Ok(News::Nothing) } else { Err("nobody knows who it is".into()) }
            }
            "pong" => {
                self.pings -= 1;
                if self.pings < 0 { Err("a pong to nothing".into()) } else { Ok(News::Nothing) }
            }
            "error" => self.hears_error(text, book),
            _ if !self.is_greeted || !self.may_hear => Err("it may hear nothing of that".into()),
            "message_start" => self.hears_start(text, book),
            _ => {
                let Some(mut open) = self.open.take() else { return Err("no answer is being given".into()) };
                let news = open.hears(kind, text, book)?;
                match (kind, open.is_unkept) {
                    ("message_end", true) => return Ok(News::Unkept(open)),
                    ("message_end", false) => {
                        open.compare(book)?;
                        return Ok(News::Ended);
                    }
                    _ => self.open = Some(open),
                }
                Ok(news)
            }
        }
    }

    fn hears_start(&mut self, text: &Value, book: &Book) -> Result<News, String> {
        let id = text["message_id"].as_str().and_then(|id| read("msg_", id)).ok_or("no id")?;
        let answer = book.messages.get(&id).ok_or("it is not on disk")?;
        if answer.session != self.session {
            return Err("it is of another session".into());
        }
        if self.open.is_some() {
            return Err("one answer begins within another".into());
        }
        if let Some(last) = self.last.replace(answer.number)
            && answer.number != last + 2
        {
            return Err(format!("number {} comes behind number {last}", answer.number));
        }
        let (text, results) = (String::new(), Vec::new());
        self.open = Some(Hearing { answer: id, text, calls: 0, results, fault: None, is_stopped: false, is_unkept: false });
        Ok(News::Began)
    }

    fn hears_error(&mut self, text: &Value, book: &Book) -> Result<News, String> {
        let code = text["code"].as_str().ok_or("no code")?;
        let message = text["message"].as_str().ok_or("no words")?;
        self.error = Some(code.to_owned());
        match (code, &mut self.open) {
            // As well for an answer as for a message.
            ("AGENT_UNAVAILABLE", open) if message.contains("stopping") => {
                open.iter_mut().for_each(|open| open.is_stopped = true);
            }
            ("MESSAGE_SEND_FAILED", Some(open)) if message.contains("yet") => open.is_unkept = true,
            ("AGENT_UNAVAILABLE" | "AGENT_ERROR" | "AGENT_TIMEOUT" | "TOOL_APPROVAL_EXPIRED", Some(open)) => {
                open.fault = Some(code.to_owned());
            }
            ("MESSAGE_SEND_FAILED", _) => {
                self.refused += 1;
                return Ok(News::NotStored);
            }
            ("AGENT_UNAVAILABLE" | "SESSION_NOT_FOUND" | "RATE_LIMITED", _) => self.refused += 1,
            ("MESSAGE_EMPTY" | "MESSAGE_TOO_LONG", _) => self.refused += 1,
            ("SESSION_ENDED", open) => {
                if open.is_some() {
                    return Err("the session ends within an answer".into());
                }
                self.refused += usize::from(!book.has_ended(self.session));
            }
            ("WS_MESSAGE_INVALID", _) => self.nonsense -= 1,
            ("WS_AUTH_FAILED" | "WS_SESSION_INVALID" | "WS_CONNECTION_CLOSED", None) => {}
            (other, _) => return Err(format!("nobody speaks of {other} here")),
        }
        Ok(News::Nothing)
    }

    /// Since when the first of its messages has waited that are not on disk.
    pub(crate) fn waits_since(&self, book: &Book) -> UnixMicros {
        let waiting = self.said.iter().find(|(content, _)| book.with_words(content).is_none());
        waiting.map_or(self.since, |(_, at)| *at)
    }

    /// When all is quiet: what it hears is what is being given, as far as that is.
    pub(crate) fn check_quiet(&self, book: &Book) {
        let running = book.running(self.session).map(|answer| answer.id);
        assert_eq!(self.open.as_ref().map(|open| open.answer), running, "what is heard, and what is being given");
        assert_eq!((self.nonsense, self.pings), (0, 0), "texts without meaning, and pings, that were not answered");
    }
}

impl Hearing {
    fn hears(&mut self, kind: &str, text: &Value, book: &Book) -> Result<News, String> {
        let of_answer = |approval: &&Approval| approval.message == self.answer;
        match kind {
            "content_delta" => {
                let delta = text["delta"].as_str().filter(|delta| !delta.is_empty()).ok_or("no delta")?;
                self.text.push_str(delta);
            }
            "tool_call" => self.calls += 1,
            "tool_result" => {
                self.results.push(text["result"].to_string());
                self.check_result(&text["result"], book)?;
            }
            "approval_required" => {
                let id = text["approval_id"].as_str().and_then(|id| read("appr_", id)).ok_or("no id")?;
                book.approvals.get(&id).filter(of_answer).ok_or("what is asked is not on disk, or for another answer")?;
                return Ok(News::Asked);
            }
            "message_end" => {
                let answer = &book.messages[&self.answer];
                let is_there = answer.completeness != Completeness::Streaming;
                // One that has failed is told why it has, and not that this could not be stored.
                self.is_unkept |= !is_there && (self.fault.is_some() || self.is_stopped);
                if !is_there && !self.is_unkept {
                    return Err("its end is not on disk".into());
                }
            }
            other => return Err(format!("nobody knows what {other} is")),
        }
        Ok(News::Nothing)
    }

    /// What came of a call is what was decided about it, on disk.
    fn check_result(&self, result: &Value, book: &Book) -> Result<(), String> {
        let mut asked = book.approvals.values().filter(|approval| approval.message == self.answer);
        let call = result["n"].as_u64().or(result["value"].as_u64());
        let decision = call.and_then(|call| book.leave_for(call)).map(|approval| approval.decision);
        let is_right = match (result["error"].as_str(), call) {
            (Some("TOOL_APPROVAL_DENIED"), _) => {
                asked.any(|it| it.decision == Decision::Rejected && it.reason.as_deref() == result["message"].as_str())
            }
            (Some("TOOL_APPROVAL_EXPIRED"), _) => asked.any(|it| it.decision == Decision::Expired),
            (Some("TOOL_NOT_FOUND" | "TOOL_EXEC_FAILED" | "TOOL_TIMEOUT"), _) => true,
            (None, Some(_)) => matches!(decision, None | Some(Decision::Approved)),
            (Some(_), _) | (None, None) => false,
        };
        if is_right { Ok(()) } else { Err(format!("nobody decided so: {asked:?}", asked = asked.collect::<Vec<_>>())) }
    }

    /// What was heard is what is on disk. Of one who came late the calls before are missing.
    pub(crate) fn compare(&self, book: &Book) -> Result<(), String> {
        let answer = &book.messages[&self.answer];
        if *self.text != *answer.content {
            return Err(format!("what was heard is {:?}, and on disk is {:?}", self.text, answer.content));
        }
        let is_whole = answer.completeness == Completeness::Whole;
        if is_whole && self.fault.is_some() {
            return Err("it was told to have failed, and is whole on disk".into());
        }
        let mut kept = results(answer);
        for result in &self.results {
            let at = kept.iter().position(|other| other == result).ok_or(format!("{result} is not on disk"))?;
            kept.swap_remove(at);
        }
        if self.calls == answer.calls.len() && !kept.is_empty() {
            return Err(format!("it was not told of {kept:?}"));
        }
        Ok(())
    }
}

fn results(answer: &Message) -> Vec<String> {
    let texts = answer.calls.iter().filter_map(|called| called.result.as_deref());
    texts.map(|text| serde_json::from_str::<Value>(text).expect("results are JSON").to_string()).collect()
}
