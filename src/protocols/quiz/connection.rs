//! One client's side of a quiz, from the end of the upgrade to its end: an owner, who chooses channels, or a participant, who only listens.
//!
//! The home of a quiz says who may listen; the connection keeps the order in which an owner is answered, and time.

use super::{
    carriage::Carriage,
    letters::{Channel, FromQuiz, ToQuiz, Verdict},
    messages::{self, Subscription},
    model::{AttemptId, OwnerId, QuizId},
    owner::Owner,
    pulse::{Beat, Pulse},
    requests::Parser,
    settings::Settings,
};
use crate::realtime::{ConnId, Moment, Now};
use std::time::Duration;

/// What a connection is judged by.
pub struct Gate<'a> {
    /// Times.
    pub settings: &'a Settings,
    /// A parser with warm buffers.
    pub parser: &'a mut Parser,
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary,
    /// A Pong, whatever it carries.
    Pong,
    /// The time set by [`Effect::Timer`] has come.
    TimerFired,
    /// A letter from the home of a quiz.
    Home(FromQuiz),
    /// The socket is over, or is about to be closed for any reason, [`Effect::End`] included. Comes once, and nothing after it. What was
    /// listened to is not named again: the engine ends that itself. A letter that finds no connection any more is answered with [`late`].
    Gone,
}

/// What a connection wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Effect {
    /// Send this to the client: whole frames.
    Send(Vec<u8>),
    /// Send an empty Ping ([`crate::websocket::frame::PING`]).
    Ping,
    /// Replace the connection's one timer; `None` cancels it.
    Timer(Option<Duration>),
    /// To the home of the quiz that the letter names.
    Home(ToQuiz),
    /// From now on deliver what is published to this channel.
    Listen(QuizId, Channel),
    /// No longer deliver it: nothing of it may be sent after what follows.
    Unlisten(QuizId, Channel),
    /// Send a Close and end the connection. [`Event::Gone`] is expected, and nothing else is sent.
    End(Farewell),
}

/// Why a connection is ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Farewell {
    /// The attempt is over and its participant was told: 1000, normal.
    Over,
    /// No Pong in time: 1008, policy.
    NoPong,
    /// The home of its quiz has changed, and the next one does not know it: 1012, come again.
    Moved,
}

/// The state machine of one connection.
#[derive(Debug)]
pub enum Connection {
    /// Of one who takes a quiz.
    Participant(Participant),
    /// Of one who watches quizzes.
    Owner(Box<Owner>),
}

/// See [`Connection::Participant`].
#[derive(Debug)]
pub struct Participant {
    quiz: QuizId,
    attempt: AttemptId,
    state: State,
}

impl Participant {
    /// Whose it is, whether the attempt runs or not.
    pub fn own_attempt(&self) -> AttemptId {
        self.attempt
    }
}

#[derive(PartialEq, Eq, Debug)]
enum State {
    /// The attempt runs.
    Live(Pulse),
    /// The attempt is over; the timer runs that ends the connection.
    Leaving,
    /// Ended or gone.
    Over,
}

const _: () = assert!(size_of::<Connection>() <= 64, "thousands of participants are connected at once");
impl Connection {
    /// An owner whose upgrade has just been answered. `first_ping` is dealt by [`Phases`](super::pulse::Phases).
    pub fn owner(owner: OwnerId, first_ping: Duration, now: Now, out: &mut Vec<Effect>) -> Connection {
        out.push(Effect::Timer(Some(first_ping)));
        Connection::Owner(Box::new(Owner::new(owner, Pulse::new(first_ping, now.moment))))
    }

    /// A participant whom the home has admitted ([`FromQuiz::Admitted`]) and whose upgrade has just been answered. From now on the
    /// connection owes the home its [`ToQuiz::Part`].
    pub fn participant(quiz: QuizId, attempt: AttemptId, first_ping: Duration, now: Now, out: &mut Vec<Effect>) -> Connection {
        let mut frame = Vec::new();
        messages::subscribed(&mut frame, [Subscription::Notification(attempt)]);
        out.push(Effect::Send(frame));
        out.push(Effect::Timer(Some(first_ping)));
        Connection::Participant(Participant { quiz, attempt, state: State::Live(Pulse::new(first_ping, now.moment)) })
    }

    /// Goes on where another process stopped. Its one timer is the caller's to set.
    pub fn carried(carriage: &Carriage, now: Moment) -> Connection {
        match carriage {
            Carriage::Participant { quiz, attempt, rhythm } => {
                let live = rhythm.as_ref().map(|rhythm| State::Live(Pulse::carried(rhythm, now)));
                Connection::Participant(Participant { quiz: *quiz, attempt: *attempt, state: live.unwrap_or(State::Leaving) })
            }
            Carriage::Owner { owner, owned, channels, rhythm } => {
                let pulse = Pulse::carried(rhythm, now);
                Connection::Owner(Box::new(Owner::carried(owner.clone(), pulse, owned, channels)))
            }
        }
    }

    /// Takes what happened; pushes what is to be done.
    pub fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        match self {
            Connection::Participant(participant) => participant.handle(event, conn, now, gate.settings, out),
            Connection::Owner(owner) => owner.handle(event, conn, now, gate, out),
        }
    }
}

/// What is owed to a home whose letter found no connection, or one that was told [`Event::Gone`].
///
/// A connection that goes gives back all that it was granted; what it had asked for and not heard of it cannot know. So a grant that comes
/// too late is given back here, and for each [`ToQuiz::Watch`] that was not refused there is one [`ToQuiz::Unwatch`].
pub fn late(letter: &FromQuiz, conn: ConnId) -> Option<ToQuiz> {
    match letter {
        FromQuiz::Watched { quiz, channel, verdict: Verdict::Granted } => {
            Some(ToQuiz::Unwatch { conn, quiz: *quiz, channel: *channel })
        }
        FromQuiz::Watched { verdict: Verdict::NotOwned | Verdict::Unavailable, .. } => None,
        FromQuiz::Admitted | FromQuiz::Refused { .. } | FromQuiz::Over => None,
    }
}

/// A beat, as effects. Whether the connection lives.
pub(super) fn beat(pulse: &mut Pulse, now: Now, settings: &Settings, out: &mut Vec<Effect>) -> bool {
    let after = match pulse.beat(now.moment, settings.ping_interval, settings.pong_timeout) {
        Beat::Rest(after) => after,
        Beat::Ping(after) => {
            out.push(Effect::Ping);
            after
        }
        Beat::Stopped => {
            out.push(Effect::End(Farewell::NoPong));
            return false;
        }
    };
    out.push(Effect::Timer(Some(after)));
    true
}

impl Participant {
    fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match event {
            Event::Text(_) | Event::Binary => self.on_message(out),
            Event::Pong => self.on_pong(),
            Event::TimerFired => self.on_timer(now, settings, out),
            Event::Home(letter) => self.on_home(letter, settings, out),
            Event::Gone => self.leave(conn, out),
        }
    }

    fn on_message(&self, out: &mut Vec<Effect>) {
        if self.state != State::Over {
            let mut frame = Vec::new();
            messages::error(&mut frame, messages::LISTEN_ONLY);
            out.push(Effect::Send(frame));
        }
    }

    fn on_pong(&mut self) {
        if let State::Live(pulse) = &mut self.state {
            pulse.answered();
        }
    }

    fn on_timer(&mut self, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match &mut self.state {
            State::Live(pulse) => {
                if !beat(pulse, now, settings, out) {
                    self.state = State::Over;
                }
            }
            State::Leaving => {
                self.state = State::Over;
                out.push(Effect::End(Farewell::Over));
            }
            State::Over => {}
        }
    }

    fn on_home(&mut self, letter: FromQuiz, settings: &Settings, out: &mut Vec<Effect>) {
        match letter {
            FromQuiz::Over => {
                if matches!(self.state, State::Live(_)) {
                    self.state = State::Leaving;
                    out.push(Effect::Timer(Some(settings.goodbye)));
                }
            }
            // By a home that is new: who comes again hears why.
            FromQuiz::Refused { .. } => {
                if matches!(self.state, State::Live(_)) {
                    self.state = State::Over;
                    out.push(Effect::End(Farewell::Moved));
                }
            }
            // Answered before there was this machine or by a home that is new, or an owner's.
            FromQuiz::Admitted | FromQuiz::Watched { .. } => {}
        }
    }

    /// Which attempt, while it runs.
    pub(super) fn attempt(&self) -> Option<(QuizId, AttemptId)> {
        matches!(self.state, State::Live(_)).then_some((self.quiz, self.attempt))
    }

    pub(super) fn carriage(&self, now: Moment) -> Option<Carriage> {
        let rhythm = match &self.state {
            State::Live(pulse) => Some(pulse.rhythm(now)),
            State::Leaving => None,
            State::Over => return None,
        };
        Some(Carriage::Participant { quiz: self.quiz, attempt: self.attempt, rhythm })
    }

    fn leave(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        self.state = State::Over;
        out.push(Effect::Home(ToQuiz::Part { conn, quiz: self.quiz, attempt: self.attempt }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::ShardId;

    const CONN: ConnId = ConnId { shard: ShardId(0), generation: 0, slot: 1 };
    const ATTEMPT: AttemptId = AttemptId::from_u128(7);
    const SECOND: Duration = Duration::from_secs(1);

    struct Bench {
        machine: Connection,
        parser: Parser,
        now: Now,
    }

    fn at(after: Duration) -> Now {
        Now { moment: Moment(1_000_000) + after, ..Now::default() }
    }

    /// A participant whose first Ping is due after two seconds.
    fn participant() -> Bench {
        let mut out = Vec::new();
        let machine = Connection::participant(QuizId(42), ATTEMPT, 2 * SECOND, at(Duration::ZERO), &mut out);
        let mut frame = Vec::new();
        messages::subscribed(&mut frame, [Subscription::Notification(ATTEMPT)]);
        assert_eq!(out, [Effect::Send(frame), Effect::Timer(Some(2 * SECOND))]);
        Bench { machine, parser: Parser::default(), now: at(Duration::ZERO) }
    }

    impl Bench {
        fn at(&mut self, after: Duration) -> &mut Bench {
            self.now = at(after);
            self
        }

        fn effects(&mut self, event: Event<'_>) -> Vec<Effect> {
            let mut out = Vec::new();
            let gate = &mut Gate { settings: &Settings::default(), parser: &mut self.parser };
            self.machine.handle(event, CONN, self.now, gate, &mut out);
            out
        }
    }

    fn sentence() -> Vec<Effect> {
        let mut frame = Vec::new();
        messages::error(&mut frame, "Subscriptions are managed by the server for this session");
        vec![Effect::Send(frame)]
    }

    fn part() -> Vec<Effect> {
        vec![Effect::Home(ToQuiz::Part { conn: CONN, quiz: QuizId(42), attempt: ATTEMPT })]
    }

    #[test]
    fn a_participant_only_listens() {
        let mut bench = participant();
        let subscribe = r#"{"action":"subscribe","subscriptions":["quiz:42"]}"#;
        for event in [Event::Text("hello"), Event::Text(subscribe), Event::Text(""), Event::Binary] {
            assert_eq!(bench.effects(event), sentence());
        }
        assert_eq!(bench.effects(Event::Pong), []);
        assert_eq!(bench.effects(Event::Gone), part());
    }

    #[test]
    fn pings_go_on_while_pongs_come() {
        let mut bench = participant();
        for n in 0..20 {
            let ping = [Effect::Ping, Effect::Timer(Some(5 * SECOND))];
            assert_eq!(bench.at((2 + 5 * n) * SECOND).effects(Event::TimerFired), ping);
            assert_eq!(bench.at((4 + 5 * n) * SECOND).effects(Event::Pong), []);
        }
        assert_eq!(bench.effects(Event::Gone), part());
    }

    #[test]
    fn the_first_unanswered_ping_decides() {
        let mut bench = participant();
        bench.at(2 * SECOND).effects(Event::TimerFired);
        bench.effects(Event::Pong);
        let ping = [Effect::Ping, Effect::Timer(Some(5 * SECOND))];
        assert_eq!(bench.at(7 * SECOND).effects(Event::TimerFired), ping);
        assert_eq!(bench.at(12 * SECOND).effects(Event::TimerFired), ping);
        assert_eq!(bench.at(17 * SECOND).effects(Event::TimerFired), [Effect::End(Farewell::NoPong)]);
        assert_eq!(bench.effects(Event::Text("late")), []);
        assert_eq!(bench.effects(Event::Pong), []);
        assert_eq!(bench.effects(Event::TimerFired), []);
        assert_eq!(bench.effects(Event::Home(FromQuiz::Over)), []);
        assert_eq!(bench.effects(Event::Gone), part());
    }

    #[test]
    fn an_attempt_that_is_over_ends_the_connection_a_moment_later() {
        let mut bench = participant();
        assert_eq!(bench.at(2 * SECOND).effects(Event::TimerFired), [Effect::Ping, Effect::Timer(Some(5 * SECOND))]);
        let goodbye = Settings::default().goodbye;
        assert_eq!(bench.effects(Event::Home(FromQuiz::Over)), [Effect::Timer(Some(goodbye))]);
        assert_eq!(bench.effects(Event::Home(FromQuiz::Over)), []);
        assert_eq!(bench.effects(Event::Text("hello")), sentence());
        assert_eq!(bench.effects(Event::Pong), []);
        assert_eq!(bench.at(3 * SECOND).effects(Event::TimerFired), [Effect::End(Farewell::Over)]);
        assert_eq!(bench.effects(Event::Gone), part());
    }

    #[test]
    fn only_a_grant_that_comes_too_late_is_given_back() {
        let (quiz, channel) = (QuizId(42), Channel::Attempts);
        let watched = |verdict| FromQuiz::Watched { quiz, channel, verdict };
        assert_eq!(late(&watched(Verdict::Granted), CONN), Some(ToQuiz::Unwatch { conn: CONN, quiz, channel }));
        for letter in [
            watched(Verdict::NotOwned),
            watched(Verdict::Unavailable),
            FromQuiz::Admitted,
            FromQuiz::Refused { unknown: true },
            FromQuiz::Over,
        ] {
            assert_eq!(late(&letter, CONN), None);
        }
    }
}
