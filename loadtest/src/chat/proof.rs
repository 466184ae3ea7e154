//! What the server keeps, read back when all is over, and held against what was heard.

use super::{
    Chats,
    contract::{History, Kept},
};
use crate::{fault::Fault, wire::rest::Rest};
use std::io;

/// The most messages of a part of a history: half of them are answers.
pub(crate) const PART: u32 = 200;

/// How far it has come.
#[derive(Default)]
pub(super) struct Proof {
    session: usize,
}

impl Chats {
    /// One step: the answers of one session. Blocks: no connection is open any more.
    pub(super) fn prove(&mut self) -> u64 {
        let Some(Proof { session }) = self.proof.take() else { return u64::MAX };
        let Some(texts) = self.sessions.get(session).map(|session| session.texts.clone()) else { return u64::MAX };
        self.proof = Some(Proof { session: session + 1 });
        if let Some(texts) = texts
            && let Err(fault) = self.prove_session(session, &texts)
        {
            self.unproved(&Fault::Contract(fault.to_string()));
        }
        0
    }

    fn prove_session(&mut self, place: usize, texts: &[String]) -> io::Result<()> {
        let seat = &self.order.seats[place];
        let mut rest = Rest::new(&self.order.target, &seat.token.0, self.order.timeout);
        let (status, body) = rest.exchange("GET", &format!("/sessions/{}/messages?limit={PART}", seat.id), "")?;
        if status != 200 {
            return Err(io::Error::other(format!("messages: http {status}")));
        }
        let History { data } = serde_json::from_slice(&body)?;
        let kept: Vec<&Kept> = data.iter().filter(|message| message.role == "assistant").collect();
        let names = (0..).map(|message| super::order::Name { session: seat.number, message });
        let is_kept = |(name, (text, kept)): &(_, (&String, &&Kept))| {
            let status = if self.order.plan.is_cancelled(*name) { Some("incomplete") } else { None };
            kept.content == **text && kept.status.as_deref() == status
        };
        let right = names.zip(texts.iter().zip(&kept)).filter(is_kept).count();
        self.tally.chat.proved += self.order.plan.messages as u64;
        self.tally.chat.unproved += (kept.len().max(self.order.plan.messages as usize) - right) as u64;
        Ok(())
    }
}
