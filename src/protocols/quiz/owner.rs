//! The socket of an owner: messages are answered in their order, a batch when the last home has said whether its quiz is the owner's.

use super::{
    carriage::Carriage,
    connection::{Effect, Event, Farewell, Gate, beat, late},
    letters::{Channel, FromQuiz, ToQuiz, Verdict},
    messages::{self, Subscription},
    model::{OwnerId, QuizId},
    pulse::Pulse,
    requests::{Action, BATCH_ITEMS, Fault, Request},
};
use crate::realtime::{ConnId, Moment, Now};
use hashbrown::HashSet;
use std::collections::{BTreeSet, VecDeque};

/// The most messages that wait for the answer to one before them, and the most subscriptions that these name together.
pub(super) const WAITING_MESSAGES: usize = 32;
const WAITING_ITEMS: usize = 2 * BATCH_ITEMS;
/// The most channels of a socket.
pub(super) const CHANNELS: usize = 1_000;
/// As much of a subscription's name as an error repeats.
const KEY_CHARS: usize = 64;

/// See [`Connection::Owner`](super::connection::Connection::Owner).
#[derive(Debug)]
pub struct Owner {
    id: OwnerId,
    /// None: ended.
    pulse: Option<Pulse>,
    /// What homes said is the owner's. Not asked again, so a quiz that changes hands is still heard until the connection ends.
    owned: BTreeSet<QuizId>,
    /// What is listened to.
    channels: BTreeSet<(QuizId, Channel)>,
    /// The one subscribe that waits for homes.
    batch: Option<Vec<Item>>,
    waiting: VecDeque<Wish>,
}

/// A message that was understood, or was not.
#[derive(Debug)]
enum Wish {
    Subscribe(Vec<Item>),
    Unsubscribe(Vec<(QuizId, Channel)>),
    Fault(Fault),
}

/// One subscription of a batch.
#[derive(Debug)]
enum Item {
    /// A channel that there could be.
    Channel(QuizId, Channel, Stand),
    /// Not one, in the client's words, cut.
    Unfit(Box<str>, Unfit),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stand {
    /// Not looked at.
    Wanted,
    /// Listened to before.
    Held,
    /// The home was asked.
    Asked,
    /// The home has answered.
    Answered(Verdict),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unfit {
    NoColon,
    UnknownType,
    Notification,
    NotANumber,
    /// A number that no quiz has.
    NoQuiz,
    /// The socket has as many as it may.
    TooMany,
}

const NOT_FOUND: &str = "not found or not owned";

impl Unfit {
    fn text(self) -> &'static str {
        match self {
            Unfit::NoColon => "not of the form <channel_type>:<id>",
            Unfit::UnknownType => "unknown channel type",
            Unfit::Notification => "only for the participant's own session",
            Unfit::NotANumber => "the id is not a number",
            Unfit::NoQuiz => NOT_FOUND,
            Unfit::TooMany => "too many subscriptions",
        }
    }
}

impl Wish {
    fn of(request: Result<Request<'_>, Fault>) -> Wish {
        match request {
            Err(fault) => Wish::Fault(fault),
            Ok(Request { action: Action::Subscribe, subscriptions }) => {
                let mut seen = HashSet::with_capacity(subscriptions.len());
                Wish::Subscribe(subscriptions.into_iter().filter(|key| seen.insert(*key)).map(Item::of).collect())
            }
            Ok(Request { action: Action::Unsubscribe, subscriptions }) => {
                Wish::Unsubscribe(subscriptions.into_iter().filter_map(|key| channel(key).ok()).collect())
            }
        }
    }

    fn items(&self) -> usize {
        match self {
            Wish::Subscribe(items) => items.len(),
            Wish::Unsubscribe(channels) => channels.len(),
            Wish::Fault(_) => 0,
        }
    }
}

impl Item {
    fn of(key: &str) -> Item {
        match channel(key) {
            Ok((quiz, channel)) => Item::Channel(quiz, channel, Stand::Wanted),
            Err(why) => {
                let end = key.char_indices().nth(KEY_CHARS).map_or(key.len(), |(end, _)| end);
                Item::Unfit(key[..end].into(), why)
            }
        }
    }

    fn accepted(&self) -> Option<(QuizId, Channel)> {
        match self {
            Item::Channel(quiz, channel, Stand::Held | Stand::Answered(Verdict::Granted)) => Some((*quiz, *channel)),
            Item::Channel(_, _, Stand::Wanted | Stand::Asked | Stand::Answered(Verdict::NotOwned | Verdict::Unavailable)) => None,
            Item::Unfit(..) => None,
        }
    }

    /// Appends the error of one that is refused.
    fn write_refusal(&self, out: &mut Vec<u8>) {
        let text = match self {
            Item::Channel(quiz, channel, Stand::Answered(Verdict::NotOwned)) => denied(&named(*quiz, *channel), NOT_FOUND),
            Item::Channel(quiz, channel, Stand::Answered(Verdict::Unavailable)) => {
                denied(&named(*quiz, *channel), "temporarily unavailable")
            }
            Item::Unfit(key, why) => denied(key, why.text()),
            Item::Channel(_, _, Stand::Wanted | Stand::Held | Stand::Asked | Stand::Answered(Verdict::Granted)) => return,
        };
        messages::error(out, &text);
    }
}

fn denied(key: &str, why: &str) -> String {
    ["Subscription denied: ", key, ": ", why].concat()
}

fn named(quiz: QuizId, channel: Channel) -> String {
    format!("{}:{quiz}", channel.name())
}

fn channel(key: &str) -> Result<(QuizId, Channel), Unfit> {
    let (kind, id) = key.split_once(':').ok_or(Unfit::NoColon)?;
    let channel = match kind {
        "quiz" => Channel::Quiz,
        "attempts" => Channel::Attempts,
        "leaderboard" => Channel::Leaderboard,
        "notification" => return Err(Unfit::Notification),
        _ => return Err(Unfit::UnknownType),
    };
    let digits = id.strip_prefix('-').unwrap_or(id);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let quiz = id.parse().map_err(|_| if is_number { Unfit::NoQuiz } else { Unfit::NotANumber })?;
    Ok((quiz, channel))
}

impl Owner {
    pub(super) fn new(id: OwnerId, pulse: Pulse) -> Owner {
        let (owned, channels) = (BTreeSet::new(), BTreeSet::new());
        Owner { id, pulse: Some(pulse), owned, channels, batch: None, waiting: VecDeque::new() }
    }

    pub(super) fn carried(id: OwnerId, pulse: Pulse, owned: &[QuizId], channels: &[(QuizId, Channel)]) -> Owner {
        let (owned, channels) = (owned.iter().copied().collect(), channels.iter().copied().collect());
        Owner { owned, channels, ..Owner::new(id, pulse) }
    }

    pub(super) fn carriage(&self, now: Moment) -> Option<Carriage> {
        if self.batch.is_some() || !self.waiting.is_empty() {
            return None;
        }
        let (owned, channels) = (self.owned.iter().copied().collect(), self.channels.iter().copied().collect());
        Some(Carriage::Owner { owner: self.id.clone(), owned, channels, rhythm: self.pulse?.rhythm(now) })
    }

    /// Whose it is.
    pub fn id(&self) -> &OwnerId {
        &self.id
    }

    pub(super) fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        match event {
            Event::Text(text) => self.take(Wish::of(gate.parser.request(text)), conn, out),
            Event::Binary => self.take(Wish::Fault(Fault::Binary), conn, out),
            Event::Pong => self.pulse.iter_mut().for_each(Pulse::answered),
            Event::TimerFired => {
                if let Some(pulse) = &mut self.pulse
                    && !beat(pulse, now, gate.settings, out)
                {
                    self.pulse = None;
                }
            }
            Event::Home(letter) => self.on_home(letter, conn, out),
            Event::Gone => self.leave(conn, out),
        }
    }

    /// Acts on a message, or lets it wait behind the batch that does.
    fn take(&mut self, wish: Wish, conn: ConnId, out: &mut Vec<Effect>) {
        if self.pulse.is_none() {
            return;
        }
        if self.batch.is_none() {
            return self.act(wish, conn, out);
        }
        let items = wish.items() + self.waiting.iter().map(Wish::items).sum::<usize>();
        if self.waiting.len() == WAITING_MESSAGES || items > WAITING_ITEMS {
            return say(Fault::Crowded, out);
        }
        self.waiting.push_back(wish);
    }

    fn act(&mut self, wish: Wish, conn: ConnId, out: &mut Vec<Effect>) {
        match wish {
            Wish::Subscribe(items) => self.subscribe(items, conn, out),
            Wish::Unsubscribe(channels) => self.unsubscribe(channels, conn, out),
            Wish::Fault(fault) => say(fault, out),
        }
    }

    fn subscribe(&mut self, mut items: Vec<Item>, conn: ConnId, out: &mut Vec<Effect>) {
        let mut room = CHANNELS.saturating_sub(self.channels.len());
        for item in &mut items {
            let Item::Channel(quiz, channel, stand) = item else { continue };
            let (quiz, channel) = (*quiz, *channel);
            if self.channels.contains(&(quiz, channel)) {
                *stand = Stand::Held;
                continue;
            }
            if room == 0 {
                *item = Item::Unfit(named(quiz, channel).into(), Unfit::TooMany);
                continue;
            }
            room -= 1;
            *stand = Stand::Asked;
            let owner = (!self.owned.contains(&quiz)).then(|| self.id.clone());
            out.push(Effect::Home(ToQuiz::Watch { conn, quiz, channel, owner }));
        }
        self.batch = Some(items);
        self.answer_batch(conn, out);
    }

    /// Answers the batch when no home is awaited any more.
    fn answer_batch(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        let is_asked = |item: &Item| matches!(item, Item::Channel(_, _, Stand::Asked));
        let Some(items) = self.batch.take_if(|items| !items.iter().any(is_asked)) else { return };
        let accepted: Vec<_> = items.iter().filter_map(Item::accepted).collect();
        for &(quiz, channel) in &accepted {
            if self.channels.insert((quiz, channel)) {
                out.push(Effect::Listen(quiz, channel));
            }
        }
        let mut frames = Vec::new();
        if !accepted.is_empty() || items.is_empty() {
            messages::subscribed(&mut frames, accepted.iter().map(|&(quiz, channel)| Subscription::Quiz(channel, quiz)));
        }
        items.iter().for_each(|item| item.write_refusal(&mut frames));
        out.push(Effect::Send(frames));
        for (quiz, channel) in accepted {
            match channel {
                Channel::Quiz => {}
                Channel::Attempts | Channel::Leaderboard => out.push(Effect::Home(ToQuiz::Snapshot { conn, quiz, channel })),
            }
        }
    }

    fn unsubscribe(&mut self, mut channels: Vec<(QuizId, Channel)>, conn: ConnId, out: &mut Vec<Effect>) {
        channels.retain(|key| self.channels.remove(key));
        for &(quiz, channel) in &channels {
            out.push(Effect::Unlisten(quiz, channel));
            out.push(Effect::Home(ToQuiz::Unwatch { conn, quiz, channel }));
        }
        let mut frame = Vec::new();
        messages::unsubscribed(&mut frame, channels.iter().map(|&(quiz, channel)| Subscription::Quiz(channel, quiz)));
        out.push(Effect::Send(frame));
    }

    fn on_home(&mut self, letter: FromQuiz, conn: ConnId, out: &mut Vec<Effect>) {
        let FromQuiz::Watched { quiz, channel, verdict } = letter else { return };
        let mut items = self.batch.iter_mut().flatten();
        let asked = items.find_map(|item| match item {
            Item::Channel(of, on, stand @ Stand::Asked) if (*of, *on) == (quiz, channel) => Some(stand),
            Item::Channel(..) | Item::Unfit(..) => None,
        });
        let Some(stand) = asked else {
            if self.pulse.is_some() && self.channels.contains(&(quiz, channel)) {
                return self.heard_again(verdict, out);
            }
            if self.pulse.is_some() && self.is_answered(quiz, channel) {
                // Asked twice, since the home moved meanwhile.
                return;
            }
            return out.extend(late(&letter, conn).map(Effect::Home));
        };
        *stand = Stand::Answered(verdict);
        if verdict == Verdict::Granted {
            self.owned.insert(quiz);
        }
        if self.pulse.is_none() {
            return;
        }
        self.answer_batch(conn, out);
        while self.batch.is_none()
            && let Some(wish) = self.waiting.pop_front()
        {
            self.act(wish, conn, out);
        }
    }

    fn is_answered(&self, quiz: QuizId, channel: Channel) -> bool {
        let is_it = |item: &Item| matches!(item, Item::Channel(of, on, Stand::Answered(_)) if (*of, *on) == (quiz, channel));
        self.batch.iter().flatten().any(is_it)
    }

    /// A home that is new has answered for a channel that is listened to.
    fn heard_again(&mut self, verdict: Verdict, out: &mut Vec<Effect>) {
        if verdict != Verdict::Granted {
            self.pulse = None;
            out.push(Effect::End(Farewell::Moved));
        }
    }

    /// What is listened to.
    pub(super) fn channels(&self) -> impl Iterator<Item = (QuizId, Channel)> + '_ {
        self.channels.iter().copied().filter(|_| self.pulse.is_some())
    }

    /// What homes were asked for and have not answered.
    pub(super) fn asked(&self) -> impl Iterator<Item = (QuizId, Channel)> + '_ {
        self.batch.iter().flatten().filter_map(|item| match item {
            Item::Channel(quiz, channel, Stand::Asked) => Some((*quiz, *channel)),
            Item::Channel(..) | Item::Unfit(..) => None,
        })
    }

    /// What homes were asked for and have not answered, or have granted, and the client has not been told.
    pub(super) fn awaited(&self) -> impl Iterator<Item = (QuizId, Channel)> + '_ {
        self.batch.iter().flatten().filter_map(|item| match item {
            Item::Channel(quiz, channel, Stand::Asked | Stand::Answered(Verdict::Granted)) => Some((*quiz, *channel)),
            Item::Channel(..) | Item::Unfit(..) => None,
        })
    }

    /// What the homes of these quizzes have granted, while others are waited for, new homes must grant anew.
    pub(super) fn doubt(&mut self, has_moved: &dyn Fn(QuizId) -> bool) {
        for item in self.batch.iter_mut().flatten() {
            if let Item::Channel(quiz, _, stand @ Stand::Answered(Verdict::Granted)) = item
                && has_moved(*quiz)
            {
                *stand = Stand::Asked;
            }
        }
    }

    /// Who must own a quiz, if no home has said yet that this owner does.
    pub(super) fn doubted(&self, quiz: QuizId) -> Option<OwnerId> {
        (!self.owned.contains(&quiz)).then(|| self.id.clone())
    }

    /// Gives back what homes have granted; for what they have not answered see [`late`].
    fn leave(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        self.pulse = None;
        self.waiting.clear();
        let granted = self.batch.take().into_iter().flatten().filter_map(|item| match item {
            Item::Channel(quiz, channel, Stand::Answered(Verdict::Granted)) => Some((quiz, channel)),
            Item::Channel(..) | Item::Unfit(..) => None,
        });
        for (quiz, channel) in std::mem::take(&mut self.channels).into_iter().chain(granted) {
            out.push(Effect::Home(ToQuiz::Unwatch { conn, quiz, channel }));
        }
    }
}

fn say(fault: Fault, out: &mut Vec<Effect>) {
    let mut frame = Vec::new();
    messages::error(&mut frame, fault.text());
    out.push(Effect::Send(frame));
}

#[cfg(test)]
mod tests;
