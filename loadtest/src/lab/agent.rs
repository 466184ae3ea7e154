//! An agent: registers, lives, carries out every command at once, and sends and hears what goes through its tunnels.

use super::{
    Lab, Whose,
    contract::{self, CREDIT_EVERY, Frame, Told},
    order::{Between, LabOrder, Role, agent_name},
    socket::{Phase, Socket},
    stream::KEY_BYTES,
};
use crate::{
    clock,
    fault::Fault,
    wire::{frames, poll::Lines},
};
use std::collections::{HashSet, VecDeque};
use uuid::Uuid;

/// An agent says that it lives as often as it is told to; before it is told, so often.
const BEAT_NS: u64 = 10_000_000_000;

/// One agent, or one connection that something between has made.
pub(super) struct Agent {
    pub(super) socket: Socket,
    pub(super) name: String,
    number: u32,
    /// How many sessions it may have.
    room: usize,
    running: usize,
    /// Commands that it was given.
    commands: HashSet<String>,
    beat_ns: u64,
    /// Sessions that may have bytes to push.
    pub(super) ready: VecDeque<u32>,
}

impl Agent {
    /// The run's agent of that number, which is not connected.
    pub(super) fn new(order: &LabOrder, number: u32) -> Agent {
        Agent {
            socket: Socket::default(),
            name: agent_name(order.seed, number),
            number,
            room: order.sessions.div_ceil(order.agents) as usize,
            running: 0,
            commands: HashSet::new(),
            beat_ns: BEAT_NS,
            ready: VecDeque::new(),
        }
    }

    /// Whether it had no connection yet.
    pub(super) fn is_free(&self) -> bool {
        self.socket.is_over() && self.room > 0 && self.running == 0
    }
}

impl Lab {
    pub(super) fn agent_path(&self, place: u32) -> String {
        let Agent { name, number, .. } = &self.agents[place as usize];
        let base = &self.order.target.path;
        match self.order.between {
            Between::Server => format!("{base}/agent/ws?agent_id={name}&platform={name}&region=load"),
            Between::Relay | Between::Tcp(_) => format!("{base}/agent/ws?agent_id={number}"),
        }
    }

    pub(super) fn agent_upgraded(&mut self, place: u32) -> Result<(), Fault> {
        match self.order.between {
            Between::Server => {
                let agent = &mut self.agents[place as usize];
                agent.socket.phase = Phase::Registering;
                let register = contract::register(&agent.name, agent.room);
                self.await_next(Whose::Agent(place), "register_ack");
                self.say(Whose::Agent(place), &register)
            }
            Between::Relay | Between::Tcp(_) => {
                self.online(place);
                Ok(())
            }
        }
    }

    fn online(&mut self, place: u32) {
        let socket = &mut self.agents[place as usize].socket;
        socket.phase = Phase::Open;
        socket.line.rest_assured();
        self.under_way -= 1;
        self.tally.lab.online += 1;
    }

    /// Heartbeats that are due; returns when the next is.
    pub(super) fn beat(&mut self) -> u64 {
        while let Some((due_ns, place)) = self.beats.front().copied() {
            if due_ns > clock::now_ns() {
                return due_ns;
            }
            self.beats.pop_front();
            let agent = &self.agents[place as usize];
            if agent.socket.phase != Phase::Open {
                continue;
            }
            self.beats.push_back((due_ns + agent.beat_ns, place));
            let text = contract::heartbeat(&agent.name, agent.running);
            if let Err(fault) = self.say(Whose::Agent(place), &text) {
                self.over(Whose::Agent(place), fault);
            }
        }
        u64::MAX
    }

    /// The server says something to an agent.
    pub(super) fn agent_text(&mut self, place: u32, text: &[u8]) -> Result<(), Fault> {
        let told: Told<'_> = serde_json::from_slice(text).map_err(|_| Fault::Broken("a message that is not understood"))?;
        match &*told.r#type {
            "register_ack" => self.registered(place, &told),
            "command" => self.command(place, &told)?,
            "vnc_proxy_request" => self.asked(place, &told)?,
            "vnc_proxy_close" => self.untied(&told),
            "error" => {
                self.tally.lab.reproached += 1;
                self.blame(Whose::Agent(place).when(), &Fault::Contract(told.code.unwrap_or_default().into_owned()));
            }
            _ => return Err(Fault::Broken("a message of a kind that nobody knows")),
        }
        Ok(())
    }

    fn registered(&mut self, place: u32, told: &Told<'_>) {
        let agent = &mut self.agents[place as usize];
        if agent.socket.phase != Phase::Registering {
            return;
        }
        agent.beat_ns = told.interval().map_or(BEAT_NS, clock::nanos);
        self.beats.push_back((clock::now_ns() + agent.beat_ns, place));
        self.online(place);
    }

    fn command(&mut self, place: u32, told: &Told<'_>) -> Result<(), Fault> {
        if let Some(logs) = told.logs() {
            return self.say(Whose::Agent(place), &logs);
        }
        let (Some(command), Some(kind), Some(id)) = (&told.command_id, &told.command_type, told.session_id) else {
            return Err(Fault::Broken("a command without what it needs"));
        };
        let agent = &mut self.agents[place as usize];
        if agent.commands.insert(command.to_string()) {
            match &**kind {
                "start_session" => {
                    agent.running += 1;
                    self.start(told.number(), id);
                }
                "stop_session" => {
                    agent.running = agent.running.saturating_sub(1);
                    self.tally.lab.stops += 1;
                }
                _ => {}
            }
        } else {
            self.tally.lab.doubled += 1;
        }
        let name = &self.agents[place as usize].name;
        let (ack, result) = (contract::ack(name, command), contract::result(name, command, id));
        self.say(Whose::Agent(place), &ack)?;
        self.say(Whose::Agent(place), &result)
    }

    fn start(&mut self, number: Option<u32>, id: Uuid) {
        self.tally.lab.starts += 1;
        if let Some(place) = number.and_then(|number| self.by_number.get(&number)) {
            self.sessions[*place as usize].id = Some(id);
        }
    }

    /// A viewer wants to reach a screen.
    fn asked(&mut self, place: u32, told: &Told<'_>) -> Result<(), Fault> {
        let session = self.sessions.iter().position(|session| session.id.is_some() && session.id == told.session_id);
        let (Some(tunnel), Some(session)) = (told.tunnel(), session) else {
            return Err(Fault::Broken("a tunnel to no session"));
        };
        self.bind(session as u32, tunnel, Some(0));
        self.say(Whose::Agent(place), &contract::ready(tunnel))
    }

    fn untied(&mut self, told: &Told<'_>) {
        let session = told.tunnel().and_then(|tunnel| self.by_tunnel.remove(&tunnel));
        self.tally.lab.untied += u64::from(session.is_some());
        if let Some(session) = session {
            self.sessions[session as usize].tunnel = None;
        }
    }

    /// A session has a tunnel. `credit`: how much its agent may send at first, where that is counted.
    pub(super) fn bind(&mut self, session: u32, tunnel: u32, credit: Option<u64>) {
        self.tally.lab.tunnels += 1;
        self.by_tunnel.insert(tunnel, session);
        let at = &mut self.sessions[session as usize];
        at.tunnel = Some(tunnel);
        at.down.credit = credit;
        self.watch_if_whole(session, clock::now_ns());
    }

    /// A binary frame comes to an agent. Those of a tunnel that is over were on their way.
    pub(super) fn agent_frame(&mut self, place: u32, payload: &[u8], now_ns: u64) -> Result<(), Fault> {
        match contract::read_frame(payload).ok_or(Fault::Broken("a binary frame that is none"))? {
            Frame::Data(tunnel, bytes) => match self.by_tunnel.get(&tunnel).copied() {
                Some(session) => self.agent_bytes(place, session, bytes, now_ns),
                None => Ok(()),
            },
            Frame::Credit(tunnel, bytes) => {
                let Some(session) = self.by_tunnel.get(&tunnel).copied() else { return Ok(()) };
                let credit = &mut self.sessions[session as usize].down.credit;
                *credit = credit.map(|credit| credit + u64::from(bytes));
                self.list(session);
                self.pump(Whose::Agent(place))
            }
        }
    }

    /// Bytes of a viewer come to its agent.
    pub(super) fn agent_bytes(&mut self, place: u32, session: u32, bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        let at = &mut self.sessions[session as usize];
        let holds = match at.role {
            Role::Bulk => {
                self.tally.lab.up_heard += bytes.len() as u64;
                at.up.proof.hear(&self.pattern, at.up.key, bytes)
            }
            Role::Typist => return self.echo(place, session, bytes),
            Role::Idle => false,
        };
        self.tally.streaming.hold(now_ns);
        self.tally.lab.broken += u64::from(!holds);
        if !holds {
            return Err(Fault::Broken("bytes that the viewer did not send"));
        }
        self.give_credit(place, session, bytes.len() as u32)
    }

    /// Gives back what came, at once.
    fn echo(&mut self, place: u32, session: u32, bytes: &[u8]) -> Result<(), Fault> {
        let mask = self.mask(Whose::Agent(place));
        let at = &mut self.sessions[session as usize];
        at.echoed += bytes.len() as u64;
        self.tally.lab.keys_echoed += (at.echoed / KEY_BYTES as u64) - (at.echoed - bytes.len() as u64) / KEY_BYTES as u64;
        if let Some(credit) = &mut at.down.credit {
            *credit = credit.checked_sub(bytes.len() as u64).ok_or(Fault::Broken("no credit for an echo"))?;
        }
        let out = &mut self.agents[place as usize].socket.out;
        match (self.order.between, at.tunnel) {
            (Between::Tcp(_), _) => out.extend_from_slice(bytes),
            (Between::Server | Between::Relay, Some(tunnel)) => {
                frames::put_binary(out, &contract::data_head(tunnel), bytes, mask);
            }
            (Between::Server | Between::Relay, None) => {}
        }
        self.give_credit(place, session, bytes.len() as u32)?;
        self.pump(Whose::Agent(place))
    }

    /// An agent that counts says now and then what it has given to its screen.
    fn give_credit(&mut self, place: u32, session: u32, bytes: u32) -> Result<(), Fault> {
        let at = &mut self.sessions[session as usize];
        at.given += bytes;
        let (Between::Server, Some(tunnel), CREDIT_EVERY..) = (self.order.between, at.tunnel, at.given) else { return Ok(()) };
        let given = std::mem::take(&mut at.given);
        let mask = self.mask(Whose::Agent(place));
        let out = &mut self.agents[place as usize].socket.out;
        frames::put_binary(out, &contract::credit_head(tunnel), &given.to_be_bytes(), mask);
        self.pump(Whose::Agent(place))
    }
}
