//! One agent's connection, from the end of the upgrade to its end.

use super::{
    admission::{AgentQuery, Denial},
    agent_messages::{self, Fault, Heard, Speaker, Tunnel},
    chunk::{Chunk, Wire},
    connection::{Effect, Event, Farewell},
    dialect,
    letters::{AgentWord, Capacity, Dialect, FromRegistry, Hello, Return, ToRegistry},
    proxy_frames::{self, HEADER_BYTES, ProxyFrame},
    pulse::{Beat, Pulse},
    settings::Settings,
    tunnels::{Line, Tunnels},
};
use crate::realtime::{ConnId, Now, ShardId, UnixMicros};

/// Messages that mean nothing, one after the other, that end a connection.
const FAULTS_AT_MOST: u8 = 100;

/// The state machine of one agent's connection. In the second dialect the upgrade is to be held until [`Effect::Accept`] or
/// [`Effect::Refuse`]. Commands and requests are the registry's: the engine delivers them.
#[derive(Debug)]
pub struct Agent {
    dialect: Dialect,
    query: AgentQuery,
    state: State,
    pulse: Pulse,
    faults: u8,
    tunnels: Tunnels,
    /// What it registered with, until the registry has answered.
    hello: Option<Box<Hello>>,
    /// When that was.
    since: UnixMicros,
    /// What it said of sessions that may not be on disk.
    unnoted: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It has not registered.
    Fresh,
    /// The registry is to say whether it may. What it says until then is not heard; in the second dialect the upgrade waits, and all
    /// that is behind it.
    Registering,
    /// It is known.
    Online,
    /// Ended or gone.
    Over {
        /// Whether the registry knows of the connection, and not of its end.
        was_told: bool,
    },
}

impl Agent {
    /// An agent whose upgrade has just been answered, or in the second dialect is to be: that is its registration.
    pub fn new(dialect: Dialect, query: AgentQuery, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) -> Agent {
        let pulse = Pulse::new(now.moment, settings);
        let mut agent = Agent {
            dialect,
            query,
            state: State::Fresh,
            pulse,
            faults: 0,
            tunnels: Tunnels::default(),
            hello: None,
            since: now.wall,
            unnoted: 0,
        };
        out.push(Effect::Timer(Some(settings.register_timeout)));
        match dialect {
            Dialect::Contract => {}
            Dialect::Field => agent.register(agent.enrolled(), conn, out),
        }
        agent
    }

    /// Takes what happened; pushes what is to be done.
    pub fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match event {
            Event::Text(text) => self.on_text(text, conn, now, settings, out),
            Event::Binary(bytes) => self.on_binary(bytes, conn, now, settings, out),
            Event::Pong => self.pulse.answered(),
            Event::TimerFired => self.on_timer(conn, now, settings, out),
            Event::Registry(letter) => self.on_registry(letter, conn, now, settings, out),
            Event::Tunnel { from, proxy, word } => {
                self.tunnels.word(from, proxy, word, &mut line(self.dialect, conn, now, settings, out));
            }
            Event::Sent { waiting } => self.tunnels.sent(waiting, &mut line(self.dialect, conn, now, settings, out)),
            // An agent has no token.
            Event::Revoked => {}
            Event::Gone => self.leave(conn, out),
        }
    }

    /// The registry is another's from now on, or may have missed something: what it must know. Where it may have missed how a session is,
    /// the agent comes again, and says so again.
    pub fn again(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        match (self.state, &self.hello) {
            (State::Registering, Some(hello)) => {
                out.push(Effect::Registry(ToRegistry::Register { conn, since: self.since, hello: hello.clone() }));
            }
            (State::Online, _) if self.unnoted > 0 => self.end(Farewell::Moved, out),
            (State::Online, _) => {
                let (newest, tunnels) = self.tunnels.known();
                let back = Box::new(Return { dialect: self.dialect, since: self.since, newest, tunnels });
                out.push(Effect::Registry(ToRegistry::Resume { conn, agent: self.query.name.clone(), back }));
            }
            (State::Fresh | State::Registering | State::Over { .. }, _) => {}
        }
    }

    /// Viewers on these shards are no more, or something was lost between them and the agent.
    pub fn lose(
        &mut self,
        is_lost: &dyn Fn(ShardId) -> bool,
        conn: ConnId,
        now: Now,
        settings: &Settings,
        out: &mut Vec<Effect>,
    ) {
        self.tunnels.lose(is_lost, &mut line(self.dialect, conn, now, settings, out));
    }

    fn on_text(&mut self, text: &str, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        self.pulse.answered();
        let AgentQuery { name, platform, region } = &self.query;
        let heard = agent_messages::read(text, Speaker { dialect: self.dialect, name, platform, region });
        match (self.state, heard) {
            (State::Fresh, Ok(Heard::Register(hello))) => self.register(hello, conn, out),
            (State::Fresh, Err(fault)) => {
                out.push(Effect::Send(agent_messages::error(fault)));
                self.end(Farewell::BadRegister, out);
            }
            (State::Fresh, Ok(_)) => self.end(Farewell::NotRegistered, out),
            (State::Online, Ok(heard)) => {
                self.faults = 0;
                self.hear(heard, conn, &mut line(self.dialect, conn, now, settings, out));
            }
            (State::Registering | State::Online, Err(fault)) => self.on_fault(fault, out),
            (State::Registering, Ok(_)) | (State::Over { .. }, _) => {}
        }
    }

    fn on_binary(&mut self, message: Chunk, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        self.pulse.answered();
        let frame = proxy_frames::read(message.bytes()).filter(|_| self.dialect == Dialect::Contract);
        match (self.state, frame) {
            (State::Fresh, _) => self.end(Farewell::NotRegistered, out),
            (State::Registering | State::Online, None) => self.on_fault(Fault::Binary, out),
            (State::Online, Some(frame)) => {
                self.faults = 0;
                let line = &mut line(self.dialect, conn, now, settings, out);
                match frame {
                    ProxyFrame::Data(id, _) => {
                        self.tunnels.data(Tunnel::Proxy(id), message.without_first(HEADER_BYTES), false, line);
                    }
                    ProxyFrame::Credit(id, bytes) => self.tunnels.credit(id, bytes, line),
                }
            }
            (State::Registering | State::Over { .. }, _) => {}
        }
    }

    fn hear(&mut self, heard: Heard, conn: ConnId, line: &mut Line<'_>) {
        match heard {
            Heard::Word(word) => {
                let agent = self.query.name.clone();
                self.unnoted += u32::from(matches!(word, AgentWord::Status { .. }));
                line.out.push(Effect::Registry(ToRegistry::Said { conn, agent, word }));
            }
            Heard::Ready { tunnel, credit, base64 } => self.tunnels.opened(tunnel, credit, base64, line),
            Heard::Data(tunnel, chunk) => self.tunnels.data(tunnel, chunk, true, line),
            Heard::Over { tunnel, error } => self.tunnels.over(tunnel, error, line),
            // It has registered; what it can hold, its heartbeats say.
            Heard::Register(_) | Heard::Alive | Heard::Nothing => {}
        }
    }

    fn on_fault(&mut self, fault: Fault, out: &mut Vec<Effect>) {
        self.faults += 1;
        if self.faults >= FAULTS_AT_MOST {
            return self.end(Farewell::Nonsense, out);
        }
        match self.dialect {
            Dialect::Contract => out.push(Effect::Send(agent_messages::error(fault))),
            Dialect::Field => {}
        }
    }

    fn on_timer(&mut self, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match self.state {
            State::Fresh => self.end(Farewell::NotRegistered, out),
            State::Registering => self.turn_away(Farewell::Unanswered, Denial::Unavailable, out),
            State::Online => match self.pulse.beat(now.moment, settings) {
                Beat::Rest(after) => out.push(Effect::Timer(Some(after))),
                Beat::Ping(after) => {
                    out.push(Effect::Ping);
                    out.push(Effect::Timer(Some(after)));
                    self.tunnels.beat(&mut line(self.dialect, conn, now, settings, out));
                }
                Beat::Stopped => self.end(Farewell::NoPong, out),
            },
            State::Over { .. } => {}
        }
    }

    fn on_registry(&mut self, letter: FromRegistry, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match (letter, self.state) {
            (FromRegistry::Registered, State::Registering) => {
                self.state = State::Online;
                (self.hello, self.since) = (None, now.wall);
                if self.is_held() {
                    out.push(Effect::Accept);
                }
                let ack = dialect::register_ack(self.dialect, &self.query.name, settings.heartbeat_interval);
                out.extend(ack.map(|frame| Effect::Send(Wire::whole(frame.to_vec()))));
                self.pulse = Pulse::new(now.moment, settings);
                out.push(Effect::Timer(Some(settings.ping_interval)));
            }
            (FromRegistry::Unknown, State::Registering) => {
                self.turn_away(Farewell::Unknown, Denial::NoAgent, out);
                self.state = State::Over { was_told: false };
            }
            (FromRegistry::Full, State::Registering) => {
                self.turn_away(Farewell::Full, Denial::Unavailable, out);
                self.state = State::Over { was_told: false };
            }
            (FromRegistry::Unkept, State::Registering) => {
                self.turn_away(Farewell::Unanswered, Denial::Unavailable, out);
                self.state = State::Over { was_told: false };
            }
            (FromRegistry::Displaced, State::Registering) => self.turn_away(Farewell::Displaced, Denial::Unavailable, out),
            (FromRegistry::Displaced, State::Online) => self.end(Farewell::Displaced, out),
            (FromRegistry::Unkept, State::Online) => self.end(Farewell::Moved, out),
            (FromRegistry::Noted, _) => self.unnoted = self.unnoted.saturating_sub(1),
            (FromRegistry::Proxy { proxy, session, viewer, request }, State::Online) => {
                self.tunnels.open(proxy, (session, viewer), request, &mut line(self.dialect, conn, now, settings, out));
            }
            (letter @ FromRegistry::Proxy { .. }, _) => out.extend(super::connection::late(&letter)),
            (FromRegistry::Registered | FromRegistry::Unknown | FromRegistry::Full, _) => {}
            (FromRegistry::Unkept | FromRegistry::Displaced, _) => {}
            // A viewer's or a follower's.
            (FromRegistry::View { .. } | FromRegistry::Refused(_) | FromRegistry::ViewOver(_), _) => {}
            (FromRegistry::Following | FromRegistry::Lines(_) | FromRegistry::LogOver, _) => {}
        }
    }

    fn register(&mut self, hello: Box<Hello>, conn: ConnId, out: &mut Vec<Effect>) {
        self.state = State::Registering;
        self.hello = Some(hello.clone());
        out.push(Effect::Registry(ToRegistry::Register { conn, since: self.since, hello }));
    }

    /// What an agent of the second dialect is was said by HTTP.
    fn enrolled(&self) -> Box<Hello> {
        Box::new(Hello {
            dialect: Dialect::Field,
            name: self.query.name.clone(),
            platform: "".into(),
            region: "".into(),
            capacity: Capacity::default(),
            metadata: "{}".into(),
        })
    }

    /// Ends one that is not registered: before the upgrade, where that waits.
    fn turn_away(&mut self, farewell: Farewell, denial: Denial, out: &mut Vec<Effect>) {
        if !self.is_held() {
            return self.end(farewell, out);
        }
        self.state = State::Over { was_told: self.is_told() };
        out.push(Effect::Refuse(denial));
    }

    /// Whether the upgrade waits for the registration.
    fn is_held(&self) -> bool {
        match self.dialect {
            Dialect::Contract => false,
            Dialect::Field => true,
        }
    }

    fn end(&mut self, farewell: Farewell, out: &mut Vec<Effect>) {
        self.state = State::Over { was_told: self.is_told() };
        self.tunnels.gone(out);
        out.push(Effect::End(farewell));
    }

    fn is_told(&self) -> bool {
        match self.state {
            State::Fresh => false,
            State::Registering | State::Online => true,
            State::Over { was_told } => was_told,
        }
    }

    fn leave(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        let was_told = self.is_told();
        self.state = State::Over { was_told: false };
        self.tunnels.gone(out);
        if was_told {
            out.push(Effect::Registry(ToRegistry::AgentGone { conn, agent: self.query.name.clone() }));
        }
    }

    /// What waits for the agent, in bytes, and how many tunnels there are.
    #[cfg(test)]
    pub(super) fn levels(&self) -> (usize, usize) {
        self.tunnels.levels()
    }
}

fn line<'a>(dialect: Dialect, conn: ConnId, now: Now, settings: &'a Settings, out: &'a mut Vec<Effect>) -> Line<'a> {
    Line { dialect, node: conn.shard.node(), settings, wall: now.wall, out }
}
