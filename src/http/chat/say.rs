//! Something is said, and the answer waited for: as a whole, or as a stream.

use super::{
    Rooms,
    caller::{caller, session},
    fault::Fault,
    pipe::Tellings,
    rooms::{Pauses, Sessions},
    sessions::v4,
    shapes::{self, done},
    stream::{self, Streaming},
};
use crate::{
    http::{answer::Answer, call::Call, fields::Fields},
    models::talk::Attached,
    protocols::chat::{Ask, MessageId, SessionId, Settings, Told, attachments},
};
use futures_lite::{StreamExt, future};
use std::{rc::Rc, sync::Arc};

/// The home is gone without a word.
const UNSAID: Fault = Fault::Code("MESSAGE_SEND_FAILED", "the message could not be sent");

/// POST /sessions/{session}/chat
pub(super) async fn chat<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (ask, streamed) = said(&call, false)?;
    let waiting = Waiting::begin(&call.house, ask);
    if streamed { waiting.streamed().await } else { waiting.whole().await }
}

/// POST /sessions/{session}/chat/stream
pub(super) async fn stream<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (ask, _) = said(&call, true)?;
    Waiting::begin(&call.house, ask).streamed().await
}

/// What the request says, and whether it wants a stream.
fn said<S: Rooms>(call: &Call<S>, always_streamed: bool) -> Result<(Ask, bool), Fault> {
    let (caller, session) = (caller(call)?, session(call)?);
    let (fields, settings) = (Fields::of(call)?, call.house.settings());
    let streamed = fields.flag("stream")?.unwrap_or(false) || always_streamed;
    let content = content(&fields, settings)?;
    let attachments = attached(&fields, settings)?;
    let ids: [MessageId; 2] = [v4(&*call.house), v4(&*call.house)];
    Ok((Ask::Say { session, caller, ids, content, attachments, streamed }, streamed))
}

fn content(fields: &Fields<'_>, settings: &Settings) -> Result<Arc<str>, Fault> {
    let content = fields.needed("content")?;
    if content.trim().is_empty() {
        return Err(Fault::Code("MESSAGE_EMPTY", "the content is empty"));
    }
    if content.chars().count() > settings.max_content_chars {
        return Err(Fault::Code("MESSAGE_TOO_LONG", "the content is too long"));
    }
    Ok(content.into())
}

fn attached(fields: &Fields<'_>, settings: &Settings) -> Result<Vec<Attached>, Fault> {
    const EXPECTED: &str = "expected a list of objects with name, media_type and data";
    let given: Vec<attachments::Given<'_>> = fields.field("attachments", EXPECTED)?.unwrap_or_default();
    attachments::read(&given, settings).map_err(|fault| Fault::Code("MESSAGE_INVALID", fault.text()))
}

/// An answer that is waited for. Its home is told when nobody waits any more before the answer's end.
pub(super) struct Waiting<S: Sessions> {
    pub(super) house: Rc<S>,
    pub(super) tellings: Tellings,
    /// The last was told.
    pub(super) is_over: bool,
    session: SessionId,
    answer: MessageId,
}

impl<S: Sessions> Drop for Waiting<S> {
    fn drop(&mut self) {
        if !self.is_over {
            self.house.leave(Ask::Leave { session: self.session, answer: self.answer });
        }
    }
}

impl<S: Sessions + Pauses + 'static> Waiting<S> {
    fn begin(house: &Rc<S>, ask: Ask) -> Waiting<S> {
        let session = ask.session();
        let answer = match &ask {
            Ask::Say { ids, .. } => ids[1],
            Ask::Create(_)
            | Ask::Look { .. }
            | Ask::End { .. }
            | Ask::Leave { .. }
            | Ask::Approvals { .. }
            | Ask::Decide { .. } => MessageId::nil(),
        };
        Waiting { house: Rc::clone(house), tellings: house.say(ask), is_over: false, session, answer }
    }

    /// The next piece; none: there is no more.
    async fn next(&mut self) -> Option<Told> {
        let told = self.tellings.next().await;
        self.is_over = told.as_ref().map_or(!self.tellings.is_cut(), stream::is_last);
        told
    }

    async fn whole(mut self) -> Result<Answer, Fault> {
        loop {
            match self.next().await.ok_or(UNSAID)? {
                Told::Refused(why) => return Err(why.into()),
                Told::Waits(message) => return Ok(done(&shapes::answer(&message, message.usage))),
                Told::End { message, usage, broken } => {
                    return match broken.and_then(Fault::broken) {
                        Some(fault) => Err(fault),
                        None => Ok(done(&shapes::answer(&message, usage))),
                    };
                }
                Told::Begin { .. } | Told::Delta(_) | Told::Call { .. } | Told::Result { .. } | Told::Asked { .. } => {}
            }
        }
    }

    /// The stream begins with its first event, so that an answer that fails before has a status. Who waits very long hears that he still
    /// does.
    async fn streamed(mut self) -> Result<Answer, Fault> {
        let patience = self.house.settings().stream_comment;
        let pause = self.house.pause(patience);
        let first = future::or(
            async {
                loop {
                    match self.next().await {
                        Some(Told::Begin { .. }) => {}
                        told => break Some(told),
                    }
                }
            },
            async {
                pause.await;
                None
            },
        );
        let first = match first.await {
            None => None,
            Some(told) => Some(told.ok_or(UNSAID)?),
        };
        match &first {
            Some(Told::Refused(why)) => return Err((*why).into()),
            Some(Told::End { broken: Some(why), .. }) => Fault::broken(*why).map_or(Ok(()), Err)?,
            Some(Told::End { broken: None, .. } | Told::Begin { .. } | Told::Delta(_) | Told::Call { .. }) | None => {}
            Some(Told::Result { .. } | Told::Asked { .. } | Told::Waits(_)) => {}
        }
        Ok(Streaming::new(self, first).into_answer())
    }
}
