//! What other services publish to classrooms: one node takes each message (a queue group of NATS), and asks the room's home.
//!
//! NATS gives a message once to one that subscribes, and keeps nothing: what is on its way to a node that dies is lost. Whoever must know
//! asks for an answer (a request of NATS), which comes when the home has published the message. A node that cannot be sure of being one
//! of the others any more, or that stops, does not subscribe.

use super::{
    access::Line,
    counts::{Counts, add},
};
use crate::{
    cluster::{
        Intake,
        outside::{self, Dropped, Said},
    },
    engine::Heard,
    runtime::Clock,
};
use async_nats::{Client, Message, Subject, Subscriber};
use futures_util::{FutureExt, StreamExt};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// How often it is looked whether this node is to subscribe.
const LOOK: Duration = Duration::from_millis(100);

/// Messages taken in one turn.
const TURN: usize = 256;

/// The way to the homes and back.
pub struct Way<F> {
    /// Hands a message to a shard, with its number.
    pub say: F,
    /// What became of messages: each once, so no more wait here than for their homes.
    pub heard: mpsc::Receiver<Heard>,
}

/// See the file.
pub struct Outside<F> {
    client: Client,
    /// What the subjects of other services begin with.
    prefix: String,
    /// Nodes of one cluster are one group.
    group: String,
    way: Way<F>,
    /// Each with who asked for an answer.
    intake: Intake<Option<Subject>>,
    clock: Clock,
    counts: Arc<Counts>,
}

impl<F: FnMut(u64, Said)> Outside<F> {
    /// `names`: what the subjects of other services begin with, or nothing; and what those of the nodes do. `rate`: messages a second.
    pub fn new(line: &Line, names: (&str, &str), rate: u32, way: Way<F>, clock: Clock, counts: Arc<Counts>) -> Outside<F> {
        let (client, intake) = (line.0.clone(), Intake::new(rate, clock.moment()));
        Outside { client, prefix: names.0.to_owned(), group: format!("{}.classrooms", names.1), way, intake, clock, counts }
    }

    /// Runs until nobody tells any more what became of messages. `serves`: whether this node serves, and does not stop.
    pub async fn run(mut self, serves: impl Fn() -> bool) {
        let mut inbox: Option<Subscriber> = None;
        let mut look_at = Instant::now();
        loop {
            if look_at <= Instant::now() {
                look_at = Instant::now() + LOOK;
                inbox = self.look(inbox, self.counts.listens() && serves()).await;
            }
            tokio::select! {
                message = next(&mut inbox) => match message {
                    Some(message) => self.messages(message, inbox.as_mut()),
                    // The client has ended, and with it the process will.
                    None => return,
                },
                heard = self.way.heard.recv() => match heard {
                    Some(heard) => self.answer(heard),
                    None => return,
                },
                () = sleep_until(look_at) => {}
            }
            tokio::task::yield_now().await;
        }
    }

    /// Subscribes, or ends that. What has come by then is taken all the same.
    async fn look(&mut self, inbox: Option<Subscriber>, listens: bool) -> Option<Subscriber> {
        match (listens, inbox) {
            (true, None) => {
                let subject = outside::subject(&self.prefix);
                self.client.queue_subscribe(subject, self.group.clone()).await.ok()
            }
            (false, Some(mut inbox)) => {
                if inbox.unsubscribe().await.is_ok() {
                    while let Some(Some(message)) = inbox.next().now_or_never() {
                        self.message(message);
                    }
                }
                None
            }
            (_, inbox) => inbox,
        }
    }

    fn messages(&mut self, first: Message, inbox: Option<&mut Subscriber>) {
        self.message(first);
        let Some(inbox) = inbox else { return };
        for _ in 1..TURN {
            let Some(Some(message)) = inbox.next().now_or_never() else { return };
            self.message(message);
        }
    }

    fn message(&mut self, message: Message) {
        match self.take(&message) {
            Ok(()) => add(&self.counts.outside_taken, 1),
            Err(dropped) => {
                add(&self.counts.outside_dropped[dropped.index()], 1);
                tracing::debug!(reason = dropped.reason(), header = dropped.header(), "a message to a classroom was dropped");
                self.tell(message.reply, outside::refusal(dropped));
            }
        }
    }

    fn take(&mut self, message: &Message) -> Result<(), Dropped> {
        self.intake.admit(message.payload.len(), self.clock.moment())?;
        let header = |name: &'static str| message.headers.as_ref()?.get(name).map(|value| value.as_str());
        let said = outside::read(&self.prefix, &message.subject, header, &message.payload)?;
        let number = self.intake.send_on(message.payload.len(), message.reply.clone());
        (self.way.say)(number, said);
        Ok(())
    }

    fn answer(&mut self, Heard { ticket, sequence_id, members }: Heard) {
        if let Some(reply) = self.intake.settle(ticket) {
            self.tell(reply, outside::answer(sequence_id, members));
        }
    }

    fn tell(&self, reply: Option<Subject>, text: String) {
        let Some(reply) = reply else { return };
        if !matches!(self.client.publish(reply, text.into()).now_or_never(), Some(Ok(()))) {
            add(&self.counts.left, 1);
        }
    }
}

/// The next message; never one where nothing is subscribed to.
async fn next(inbox: &mut Option<Subscriber>) -> Option<Message> {
    match inbox {
        Some(inbox) => inbox.next().await,
        None => std::future::pending().await,
    }
}
