//! What a node that cannot read the records asks by the bus, and what it is answered.

use super::Me;
use crate::cluster::{Doubt, Node};
use async_nats::{Client, SubscribeError, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;

/// What one of these messages says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// Another asks.
    Doubt(Doubt),
    /// This node was buried: its last view was this or an earlier one.
    Buried(u64),
    /// It cannot be read.
    Unreadable,
}

/// The two subscriptions.
pub(super) struct Doubts {
    asked: Subscriber,
    answered: Subscriber,
}

impl Doubts {
    pub(super) async fn open(me: &Me, client: &Client) -> Result<Doubts, SubscribeError> {
        let asked = client.subscribe(asked(me)).await?;
        Ok(Doubts { asked, answered: client.subscribe(answered(me, me.node)).await? })
    }

    /// None: the client has ended. Nothing is lost when this is dropped before it is done.
    pub(super) async fn next(&mut self) -> Option<Word> {
        let text = |message: &async_nats::Message| std::str::from_utf8(&message.payload).unwrap_or_default().to_owned();
        tokio::select! {
            message = self.asked.next() => Some(text(&message?).parse().map_or(Word::Unreadable, Word::Doubt)),
            message = self.answered.next() => Some(text(&message?).parse().map_or(Word::Unreadable, Word::Buried)),
        }
    }
}

/// What is put on the bus to ask whether this node, whose last view is this, was buried.
pub(super) fn question(me: &Me, view: u64) -> (String, Bytes) {
    (asked(me), Doubt { node: me.node, view }.to_string().into())
}

/// What is put on the bus to tell a node that it is not in the view of this number any more.
pub(super) fn answer(me: &Me, to: Node, view: u64) -> (String, Bytes) {
    (answered(me, to), view.to_string().into())
}

fn asked(me: &Me) -> String {
    format!("{}.doubt", me.prefix)
}

fn answered(me: &Me, to: Node) -> String {
    format!("{}.buried.{}.{}", me.prefix, to.slot, to.epoch)
}
