//! One client's side of presence, from the end of the upgrade to its end.
//!
//! Waiting → (asking a permission service) → joining → live → over. The home decides when a connection is seated; the connection
//! keeps time.

use super::{
    letters::{Agent, Cuts, FromHome, Held, Seat, ToHome},
    messages::{Notice, Parser, SessionError},
    settings::Settings,
};
use crate::{
    auth::{Action, Authority, Decision, PermissionQuestion, Permissions},
    realtime::{ClassroomId, ConnId, Moment, Now, UnixMicros},
};
use std::{sync::Arc, time::Duration};

/// What decides who may come in, and how long it may take.
pub struct Gate<'a> {
    /// Who may sign tokens.
    pub authority: &'a Authority,
    /// Who may enter which room.
    pub permissions: &'a Permissions,
    /// Times and sizes.
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
    /// The permission service answered; `None`: it could not be asked.
    Permission(Option<bool>),
    /// A letter from the classroom's home.
    Home(FromHome),
    /// The server is about to stop.
    Stopping,
    /// The socket is over, or is about to be closed for a reason of the server's.
    Gone,
}

/// What a connection wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Effect {
    /// Send this to the client.
    Notify(Notice),
    /// Send the error and a Close, then end the connection. Nothing may be sent after it.
    Fail(SessionError),
    /// Replace the connection's one timer; `None` cancels it.
    Timer(Option<Duration>),
    /// To the classroom's home.
    Home(ToHome),
    /// From now on deliver what is published to the classroom.
    Listen(ClassroomId),
    /// Ask the permission service.
    Ask(PermissionQuestion),
}

#[derive(PartialEq, Eq, Debug)]
enum State {
    /// For the first frame.
    Waiting,
    /// For the permission service.
    Asking { classroom: ClassroomId, agent: Agent },
    /// For the home, which may be asked more than once.
    Joining { classroom: ClassroomId, agent: Agent, at: UnixMicros, is_again: bool },
    /// Signed in.
    Live { classroom: ClassroomId, held: Held, pinged: Moment, awaits_pong: bool },
    /// Told its end, or gone.
    Over,
}

/// What of a connection another process must know to go on with it.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Carriage {
    /// Its first frame has not come.
    Waiting,
    /// Signed in: where and as whom, how many microseconds ago it was last pinged, and whether the Pong is awaited.
    Live(ClassroomId, Held, u64, bool),
}

impl Carriage {
    /// Of one who is signed in: where, and as whom.
    pub fn held(&self) -> Option<(ClassroomId, &Held)> {
        match self {
            Carriage::Live(classroom, held, ..) => Some((*classroom, held)),
            Carriage::Waiting => None,
        }
    }
}

/// The state machine of one connection.
#[derive(PartialEq, Eq, Debug)]
pub struct Connection {
    state: State,
}

impl Connection {
    /// A connection whose upgrade has just been answered.
    pub fn open(settings: &Settings, out: &mut Vec<Effect>) -> Connection {
        out.push(Effect::Timer(Some(settings.auth_timeout)));
        Connection { state: State::Waiting }
    }

    /// Whether it is signed in.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    /// Since when its home is asked to let it in, while it is.
    pub fn joins_since(&self) -> Option<UnixMicros> {
        if let State::Joining { at, .. } = &self.state { Some(*at) } else { None }
    }

    /// The room it is in, or wants to be let into.
    pub fn classroom(&self) -> Option<ClassroomId> {
        match &self.state {
            State::Joining { classroom, .. } | State::Live { classroom, .. } => Some(*classroom),
            State::Waiting | State::Asking { .. } | State::Over => None,
        }
    }

    /// Whose it is, once that is known.
    pub fn agent(&self) -> Option<&Agent> {
        match &self.state {
            State::Asking { agent, .. } | State::Joining { agent, .. } => Some(agent),
            State::Live { held, .. } => Some(&held.agent),
            State::Waiting | State::Over => None,
        }
    }

    /// Its room has a new home, or one that may have forgotten it: what that must know.
    pub fn again(&mut self, conn: ConnId) -> Option<ToHome> {
        match &mut self.state {
            State::Joining { classroom, agent, at, is_again } => {
                *is_again = true;
                Some(ToHome::Join { conn, classroom: *classroom, agent: agent.clone(), at: *at })
            }
            State::Live { classroom, held, .. } => {
                held.place = None;
                Some(ToHome::Resume { conn, classroom: *classroom, held: held.clone() })
            }
            State::Waiting | State::Asking { .. } | State::Over => None,
        }
    }

    /// What another process goes on with. None: it is over, or somebody is asked just now whether it may come in.
    pub fn carriage(&self, now: Moment) -> Option<Carriage> {
        match &self.state {
            State::Waiting => Some(Carriage::Waiting),
            State::Live { classroom, held, pinged, awaits_pong } => {
                let ago = u64::try_from(now.since(*pinged).as_micros()).unwrap_or(u64::MAX);
                let held = Held { place: None, ..held.clone() };
                Some(Carriage::Live(*classroom, held, ago, *awaits_pong))
            }
            State::Asking { .. } | State::Joining { .. } | State::Over => None,
        }
    }

    /// Goes on where another process stopped.
    pub fn carried(carriage: Carriage, now: Moment) -> Connection {
        let state = match carriage {
            Carriage::Waiting => State::Waiting,
            Carriage::Live(classroom, held, ago, awaits_pong) => {
                State::Live { classroom, held, pinged: now - Duration::from_micros(ago), awaits_pong }
            }
        };
        Connection { state }
    }

    /// It does not join, though it may: its account has too many connections. No home has heard of it.
    pub fn turn_away(&mut self) {
        self.state = State::Over;
    }

    /// Takes what happened; pushes what is to be done.
    pub fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        match event {
            Event::Text(text) => self.on_text(text, conn, now, gate, out),
            Event::Binary => self.on_binary(out),
            Event::Pong => self.on_pong(now, gate.settings, out),
            Event::TimerFired => self.on_timer(conn, now, gate.settings, out),
            Event::Permission(answer) => self.on_permission(answer, conn, now, out),
            Event::Home(letter) => self.on_home(letter, conn, now, gate.settings, out),
            Event::Stopping => self.on_stopping(out),
            Event::Gone => self.leave(conn, now, out),
        }
    }

    fn on_text(&mut self, text: &str, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        if self.state != State::Waiting {
            return;
        }
        let Some(request) = gate.parser.connect_request(text, gate.settings.max_label_bytes) else {
            return self.fail(SessionError::SerializationFailed, out);
        };
        let Ok(account) = gate.authority.verify(request.token, now.wall) else {
            return self.fail(SessionError::Unauthenticated, out);
        };
        let classroom = request.classroom_id;
        let id: Arc<str> = account.agent_id(request.agent_label).into();
        let agent = Agent { id, cuts: Cuts::of(request.agent_label, &account) };
        match gate.permissions.decide(&account, classroom, Action::Connect) {
            Decision::Allowed => self.join((classroom, agent), conn, now, out),
            Decision::Denied => self.fail(SessionError::AccessDenied, out),
            Decision::Ask(question) => {
                self.state = State::Asking { classroom, agent };
                out.push(Effect::Timer(None));
                out.push(Effect::Ask(question));
            }
        }
    }

    fn on_binary(&mut self, out: &mut Vec<Effect>) {
        if self.state == State::Waiting {
            self.fail(SessionError::UnsupportedRequest, out);
        }
    }

    fn on_permission(&mut self, answer: Option<bool>, conn: ConnId, now: Now, out: &mut Vec<Effect>) {
        let State::Asking { classroom, agent } = &self.state else { return };
        match answer {
            Some(true) => {
                let seat = (*classroom, agent.clone());
                self.join(seat, conn, now, out);
            }
            Some(false) | None => self.fail(SessionError::AccessDenied, out),
        }
    }

    fn on_home(&mut self, letter: FromHome, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match letter {
            FromHome::Seated { place, session } => {
                let (classroom, agent) = match std::mem::replace(&mut self.state, State::Over) {
                    State::Joining { classroom, agent, .. } => (classroom, agent),
                    other @ (State::Waiting | State::Asking { .. } | State::Live { .. } | State::Over) => {
                        self.state = other;
                        return;
                    }
                };
                let held = Held { agent, session, place: Some(place) };
                self.state = State::Live { classroom, held, pinged: now.moment, awaits_pong: true };
                out.push(Effect::Notify(Notice::Seated));
                out.push(Effect::Listen(classroom));
                out.push(Effect::Timer(Some(settings.pong_timeout)));
            }
            FromHome::Refused(error) => {
                let State::Joining { classroom, agent, is_again, .. } = &self.state else { return };
                // To whom it was said again it may be news, after this: he would be let in who is not there.
                let leave = is_again.then(|| ToHome::Leave {
                    conn,
                    classroom: *classroom,
                    seat: Seat::Agent(agent.clone()),
                    at: now.wall,
                });
                self.fail(error, out);
                out.extend(leave.map(Effect::Home));
            }
            FromHome::Replaced { classroom, place } => {
                if !matches!(self.state, State::Over) {
                    self.fail(SessionError::Replaced, out);
                }
                out.push(Effect::Home(ToHome::Told { conn, classroom, place }));
            }
            // It is over, or about to be, and the engine has heard this.
            FromHome::Parted | FromHome::Bereft => {}
        }
    }

    fn on_pong(&mut self, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        if let State::Live { awaits_pong, pinged, .. } = &mut self.state
            && std::mem::take(awaits_pong)
        {
            out.push(Effect::Timer(Some((*pinged + settings.ping_interval).since(now.moment))));
        }
    }

    fn on_timer(&mut self, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match &mut self.state {
            State::Waiting => self.fail(SessionError::AuthTimedOut, out),
            State::Live { awaits_pong: true, .. } => {
                out.push(Effect::Fail(SessionError::PongTimedOut));
                self.leave(conn, now, out);
            }
            State::Live { awaits_pong, pinged, .. } => {
                *awaits_pong = true;
                *pinged = now.moment;
                out.push(Effect::Notify(Notice::Ping));
                out.push(Effect::Timer(Some(settings.pong_timeout)));
            }
            State::Asking { .. } | State::Joining { .. } | State::Over => {}
        }
    }

    fn on_stopping(&self, out: &mut Vec<Effect>) {
        if self.is_live() {
            out.push(Effect::Notify(Notice::Terminated));
        }
    }

    fn join(&mut self, seat: (ClassroomId, Agent), conn: ConnId, now: Now, out: &mut Vec<Effect>) {
        let (classroom, agent) = seat;
        self.state = State::Joining { classroom, agent: agent.clone(), at: now.wall, is_again: false };
        out.push(Effect::Timer(None));
        out.push(Effect::Home(ToHome::Join { conn, classroom, agent, at: now.wall }));
    }

    fn leave(&mut self, conn: ConnId, now: Now, out: &mut Vec<Effect>) {
        let (classroom, seat) = match std::mem::replace(&mut self.state, State::Over) {
            State::Joining { classroom, agent, .. } => (classroom, Seat::Agent(agent)),
            State::Live { classroom, held, .. } => (classroom, Seat::Held(held)),
            State::Waiting | State::Asking { .. } | State::Over => return,
        };
        out.push(Effect::Home(ToHome::Leave { conn, classroom, seat, at: now.wall }));
    }

    fn fail(&mut self, error: SessionError, out: &mut Vec<Effect>) {
        self.state = State::Over;
        out.push(Effect::Fail(error));
    }
}
