//! What goes by the bus beside letters, and is read however much waits for the shards: what a node says to itself, to know that it hears;
//! and what one that cannot read the records asks the others, and is answered.

use super::Me;
use crate::cluster::{Doubt, Node};
use async_nats::{Client, Message, SubscribeError, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;

/// What one of these messages says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// This node hears itself.
    Echo,
    /// Another asks.
    Doubt(Doubt),
    /// This node is not in the view of this number.
    Buried(u64),
    /// It cannot be read.
    Unreadable,
}

/// The subscriptions.
pub(super) struct Asides {
    echo: Subscriber,
    asked: Subscriber,
    answered: Subscriber,
}

impl Asides {
    pub(super) async fn open(me: &Me, client: &Client) -> Result<Asides, SubscribeError> {
        let (echo, asked) = (client.subscribe(own(me, "echo", me.node)).await?, client.subscribe(asked(me)).await?);
        Ok(Asides { echo, asked, answered: client.subscribe(own(me, "buried", me.node)).await? })
    }

    /// None: the client has ended. Nothing is lost when this is dropped before it is done.
    pub(super) async fn next(&mut self) -> Option<Word> {
        let text = |message: &Message| std::str::from_utf8(&message.payload).unwrap_or_default().to_owned();
        tokio::select! {
            message = self.echo.next() => message.map(|_| Word::Echo),
            message = self.asked.next() => Some(text(&message?).parse().map_or(Word::Unreadable, Word::Doubt)),
            message = self.answered.next() => Some(text(&message?).parse().map_or(Word::Unreadable, Word::Buried)),
        }
    }
}

/// What this node says to itself.
pub(super) fn echo(me: &Me) -> (String, Bytes) {
    (own(me, "echo", me.node), Bytes::new())
}

/// What is put on the bus to ask whether this node, whose last view is this, was buried.
pub(super) fn question(me: &Me, view: u64) -> (String, Bytes) {
    (asked(me), Doubt { node: me.node, view }.to_string().into())
}

/// What is put on the bus to tell a node that it is not in the view of this number.
pub(super) fn answer(me: &Me, to: Node, view: u64) -> (String, Bytes) {
    (own(me, "buried", to), view.to_string().into())
}

fn asked(me: &Me) -> String {
    format!("{}.doubt", me.prefix)
}

fn own(me: &Me, what: &str, node: Node) -> String {
    format!("{}.{what}.{}.{}", me.prefix, node.slot, node.epoch)
}
