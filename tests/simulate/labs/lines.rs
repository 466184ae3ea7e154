//! The agents' ends of tunnels.

use super::{
    agents::{Agent, Manner},
    socket::Speech,
    streams::{StreamId, Way},
    world::{EARLY, Labs, WINDOW},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use homeroom::protocols::labs::{
    ProxyId, SessionId,
    agent_messages::named_proxy,
    letters::Dialect,
    proxy_frames::{self, ProxyFrame},
};
use serde_json::{Value, json};

/// What a counting agent takes before it gives credit.
const CREDIT: usize = 7_000;
/// The longest message.
const MESSAGE: usize = 20_000;

/// One tunnel as its agent knows it. In the second dialect it has no number.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) proxy: Option<ProxyId>,
    pub(crate) session: SessionId,
    pub(crate) up: StreamId,
    /// What comes from the viewer.
    pub(crate) down: Option<StreamId>,
    pub(crate) is_ready: bool,
    may_send: usize,
    owes: usize,
}

impl Agent {
    fn counts(&self) -> bool {
        self.dialect == Dialect::Contract && self.manner != Manner::Heedless
    }

    /// It ends one of its tunnels.
    pub(crate) fn hang_up(&mut self, at: usize, with_error: bool) {
        let line = self.lines.remove(at);
        let speech = match line.proxy {
            Some(proxy) if with_error => {
                self.message("vnc_proxy_error", "", json!({"proxy_id": format!("proxy-{}", proxy.0), "error": "e"}))
            }
            Some(proxy) => self.message("vnc_proxy_close", "", json!({"proxy_id": format!("proxy-{}", proxy.0)})),
            None => self.message("", "vnc_error", json!({"sessionId": line.session, "error": "e"})),
        };
        self.outbox.push_back(speech);
    }

    fn data(&self, line: &Line, bytes: &[u8]) -> Speech {
        match line.proxy {
            Some(proxy) if self.manner == Manner::CountingText => {
                let data = STANDARD.encode(bytes);
                self.message("vnc_data", "", json!({"proxy_id": format!("proxy-{}", proxy.0), "data": data}))
            }
            Some(proxy) => Speech::Binary([&[1][..], &proxy.0.to_be_bytes(), bytes].concat()),
            None => self.message("", "vnc_data", json!({"sessionId": line.session, "data": STANDARD.encode(bytes)})),
        }
    }

    fn make_ready(&mut self, at: usize) {
        let line = &mut self.lines[at];
        let Some(proxy) = line.proxy.filter(|_| !std::mem::replace(&mut line.is_ready, true)) else { return };
        let mut fields = json!({"proxy_id": format!("proxy-{}", proxy.0)});
        match self.manner {
            Manner::Counting => fields["credit"] = CREDIT.into(),
            Manner::CountingText => (fields["credit"], fields["encoding"]) = (CREDIT.into(), "base64".into()),
            Manner::Heedless => {}
        }
        self.outbox.push_back(self.message("vnc_proxy_ready", "", fields));
    }

    fn give_credit(&mut self, at: usize) -> bool {
        let counts = self.counts();
        let line = &mut self.lines[at];
        let owes = std::mem::take(&mut line.owes);
        let Some(proxy) = line.proxy.filter(|_| counts && owes > 0 && line.is_ready) else { return false };
        let frame = [&[2][..], &proxy.0.to_be_bytes(), &(owes as u32).to_be_bytes()].concat();
        self.outbox.push_back(Speech::Binary(frame));
        true
    }
}

impl Labs {
    /// A viewer wants to see.
    pub(crate) fn line_wanted(&mut self, which: usize, text: &Value) {
        let proxy = named_proxy(text["proxy_id"].as_str().expect("a name")).expect("a number");
        let session = text["session_id"].as_str().expect("a text").parse().expect("a UUID");
        let up = self.streams.open(Way::Up, session);
        let agent = &mut self.agents[which];
        assert!(agent.lines.iter().all(|line| line.proxy != Some(proxy)), "{proxy:?} is asked for twice");
        agent.lines.push(Line { proxy: Some(proxy), session, up, down: None, is_ready: false, may_send: 0, owes: 0 });
    }

    /// A tunnel is over for the server.
    pub(crate) fn line_over(&mut self, which: usize, text: &Value) {
        let agent = &mut self.agents[which];
        match agent.dialect {
            Dialect::Contract => {
                let proxy = text["proxy_id"].as_str().and_then(named_proxy).expect("a number");
                agent.lines.retain(|line| line.proxy != Some(proxy));
            }
            Dialect::Field => {
                let session = text["payload"]["sessionId"].as_str().expect("a text").parse().expect("a UUID");
                agent.lines.retain(|line| line.session != session);
                if agent.running.contains(&session) {
                    agent.to_open.insert(session);
                }
            }
        }
    }

    /// One of an agent's tunnels does something.
    pub(crate) fn agent_tunnels(&mut self, which: usize) {
        if !self.agents[which].is_registered {
            return;
        }
        if self.agents[which].to_open.first().is_some() && self.dice.percent(40) {
            return self.open_line(which);
        }
        let at = self.dice.below(self.agents[which].lines.len());
        if at >= self.agents[which].lines.len() {
            return;
        }
        let kind = self.dice.below(100);
        let agent = &mut self.agents[which];
        match kind {
            0..3 => agent.hang_up(at, kind == 0),
            3..15 => _ = agent.give_credit(at),
            15..30 => agent.make_ready(at),
            _ => self.send_up(which, at),
        }
    }

    /// An agent of the second dialect opens a tunnel by itself, and the screen says its banner.
    fn open_line(&mut self, which: usize) {
        let says_so = self.dice.percent(80);
        let agent = &mut self.agents[which];
        let Some(session) = agent.to_open.pop_first() else { return };
        let up = self.streams.open(Way::Up, session);
        agent.lines.retain(|line| line.session != session);
        agent.lines.push(Line { proxy: None, session, up, down: None, is_ready: true, may_send: 0, owes: 0 });
        let at = agent.lines.len() - 1;
        if says_so {
            let ready = agent.message("", "vnc_ready", json!({"sessionId": session, "vncPort": 5900, "podName": "pod"}));
            agent.outbox.push_back(ready);
        }
        let banner = self.streams.send(up, 20);
        let agent = &mut self.agents[which];
        let speech = agent.data(&agent.lines[at], &banner);
        agent.outbox.push_back(speech);
    }

    fn send_up(&mut self, which: usize, at: usize) {
        let wild = self.dice.percent(3);
        let agent = &self.agents[which];
        let line = &agent.lines[at];
        let under_way = self.streams.under_way(line.up);
        let most = match agent.dialect {
            Dialect::Contract if agent.counts() => line.may_send,
            Dialect::Contract if wild => 2 * WINDOW,
            Dialect::Contract => WINDOW / 2 - under_way.min(WINDOW / 2),
            Dialect::Field if wild => 2 * EARLY,
            Dialect::Field => EARLY - under_way.min(EARLY),
        };
        let length = self.dice.between(1, MESSAGE).min(most);
        let is_first = self.streams.all[line.up].sent == 0;
        if length == 0 || is_first && (length < super::streams::HEAD_BYTES || !line.is_ready && agent.counts()) {
            return;
        }
        let bytes = self.streams.send(line.up, length);
        let agent = &mut self.agents[which];
        agent.lines[at].may_send = agent.lines[at].may_send.saturating_sub(bytes.len());
        let speech = agent.data(&agent.lines[at], &bytes);
        agent.outbox.push_back(speech);
    }

    pub(crate) fn agent_hears_bytes(&mut self, which: usize, bytes: &[u8]) {
        match proxy_frames::read(bytes).expect("a frame of ours") {
            ProxyFrame::Data(proxy, bytes) => {
                let at = self.agents[which].lines.iter().position(|line| line.proxy == Some(proxy));
                self.arrive_down(which, at, bytes);
            }
            ProxyFrame::Credit(proxy, credit) => {
                if let Some(line) = self.agents[which].lines.iter_mut().find(|line| line.proxy == Some(proxy)) {
                    line.may_send += credit as usize;
                }
            }
        }
    }

    pub(crate) fn agent_hears_data(&mut self, which: usize, text: &Value) {
        let (fields, lines) = match self.agents[which].dialect {
            Dialect::Contract => (text, &self.agents[which].lines),
            Dialect::Field => (&text["payload"], &self.agents[which].lines),
        };
        let proxy = fields["proxy_id"].as_str().and_then(named_proxy);
        let session = fields["sessionId"].as_str().and_then(|session| session.parse::<SessionId>().ok());
        let is_meant = |line: &Line| match proxy {
            Some(proxy) => line.proxy == Some(proxy),
            None => Some(line.session) == session,
        };
        let at = lines.iter().position(is_meant);
        let bytes = STANDARD.decode(fields["data"].as_str().expect("a text")).expect("base64");
        self.arrive_down(which, at, &bytes);
    }

    /// Bytes from a viewer. Those for a tunnel that is over had been on their way.
    fn arrive_down(&mut self, which: usize, at: Option<usize>, bytes: &[u8]) {
        let Some(at) = at else { return };
        let line = &mut self.agents[which].lines[at];
        let counts = line.proxy.is_some();
        line.owes += bytes.len();
        if let Some(begun) = self.streams.begun(bytes) {
            let stream = &self.streams.all[begun];
            assert!(line.down.is_none() || !counts, "a second viewer speaks through one tunnel");
            assert_eq!((stream.session, stream.got), (line.session, 0), "a viewer speaks to another session, or again");
            line.down = Some(begun);
        }
        let Some(down) = line.down else {
            assert!(!counts, "agent {which} hears the middle of what a viewer says");
            return;
        };
        self.streams.arrive(down, bytes).unwrap_or_else(|fault| panic!("agent {which}: {fault}"));
        self.count("bytes to agents");
    }

    /// When all is quiet: every tunnel is opened, and credit is given. Whether there was anything to do.
    pub(crate) fn lines_react(&mut self, which: usize) -> bool {
        let mut moved = false;
        while self.agents[which].is_registered && !self.agents[which].to_open.is_empty() {
            self.open_line(which);
            moved = true;
        }
        let agent = &mut self.agents[which];
        for at in 0..agent.lines.len() {
            if !agent.lines[at].is_ready {
                agent.make_ready(at);
                moved = true;
            }
            moved |= agent.give_credit(at);
        }
        moved
    }
}
