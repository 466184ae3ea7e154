//! The sockets of tasks: what happens to them goes to their machines, and what those want is done.

use super::{
    super::{Connection, Ending, Engine, Letter, Phase, Topic},
    Seat, Tasks,
    admission::Known,
};
use crate::{
    protocols::tasks::{self, Channel, Effect, Event, Farewell, Gate, Interest, ToUser},
    realtime::{Frame, Now, outbox::Segment, table::Key},
    websocket::{CloseReason, frame, session, upgrade::Upgrade},
};
use std::mem;
use uuid::Uuid;

impl Engine {
    /// Somebody with a good token is let in.
    pub(super) fn open_tasks(&mut self, key: Key, (caller, user): Known, request: &Upgrade<'_>, read: &[u8], now: Now) {
        self.accept_upgrade(key, request, None);
        self.set_timer(key, None, now);
        let conn = self.conn_id(key);
        let Some(connection) = self.connections.at_mut(key) else { return };
        let Tasks { ids, effects, watchers, sockets, .. } = &mut self.tasks;
        let machine = tasks::Connection::new(caller, ids.one(), conn, now, effects);
        connection.phase = Phase::Tasks(Box::new(Seat::new(machine, user)));
        user.into_iter().for_each(|user| watchers.entry(user).or_default().push(key));
        *sockets += 1;
        self.apply_tasks(key, now);
        self.leave_unheard(key);
        self.tasks_received(key, &read[request.length..], now);
    }

    /// Bytes of a connection of tasks.
    pub(in crate::engine) fn tasks_received(&mut self, key: Key, bytes: &[u8], now: Now) {
        let conn = self.conn_id(key);
        let Engine { connections, scratch, rules, counters, limits, wire, tasks, .. } = self;
        let Tasks { homes, ids, effects, .. } = tasks;
        let Some(Connection { session, phase: Phase::Tasks(seat), .. }) = connections.at_mut(key) else { return };
        let mut one = || ids.one();
        let gate = &mut Gate { settings: &rules.tasks, catalog: &rules.catalog, status: homes.status(), ids: &mut one };
        let mut peer_closed = false;
        let result = session.feed(scratch, bytes, &limits.tasks_websocket, wire, &mut |event, _| {
            counters.messages.one();
            let event = match event {
                session::Event::Text(text) => Event::Text(text),
                session::Event::Binary(_) => Event::Binary,
                session::Event::Ping | session::Event::Pong(_) => Event::Control,
                session::Event::Close(_) => return peer_closed = true,
            };
            seat.machine.handle(event, conn, now, gate, effects);
        });
        self.apply_tasks(key, now);
        if let Err(reason) = result {
            self.blame_for_tasks(key, reason, now);
        }
        self.answer_peer(key, (peer_closed, false), now);
    }

    /// What came is no WebSocket message: that is told before the Close, which is the machine's and not the session's.
    fn blame_for_tasks(&mut self, key: Key, reason: CloseReason, now: Now) {
        self.counters.protocol_errors.one();
        let mut close = Vec::new();
        frame::close(&mut close, Some(reason.code()), "");
        let mut answer = mem::take(&mut self.wire);
        if answer.ends_with(&close) {
            answer.truncate(answer.len() - close.len());
        }
        self.send_wire(key, answer);
        self.tasks_event(key, Event::Close(farewell(reason)), now);
    }

    /// Tells a machine an event, if the connection has one, and does what it wants done.
    pub(in crate::engine) fn tasks_event(&mut self, key: Key, event: Event<'_>, now: Now) {
        let conn = self.conn_id(key);
        let Engine { connections, rules, tasks, .. } = self;
        let Tasks { homes, ids, effects, .. } = tasks;
        let Some(Connection { phase: Phase::Tasks(seat), .. }) = connections.at_mut(key) else { return };
        let mut one = || ids.one();
        let gate = &mut Gate { settings: &rules.tasks, catalog: &rules.catalog, status: homes.status(), ids: &mut one };
        seat.machine.handle(event, conn, now, gate, effects);
        self.apply_tasks(key, now);
    }

    /// The homes of such tasks and executions have died: whoever watches them here asks the next.
    pub(super) fn look_again_at_tasks(&mut self, is_lost: &dyn Fn(Uuid) -> bool, now: Now) {
        for key in self.connections.keys().collect::<Vec<_>>() {
            let conn = self.conn_id(key);
            let Some(Connection { phase: Phase::Tasks(seat), .. }) = self.connections.at_mut(key) else { continue };
            seat.machine.look_again(is_lost, (conn, now), &self.rules.tasks, &mut self.tasks.effects);
            self.apply_tasks(key, now);
        }
    }

    /// A user may less than before: whoever may still hear something comes again.
    pub(in crate::engine) fn end_tasks_of(&mut self, user: Uuid, now: Now) {
        for key in self.tasks.watchers.get(&user).cloned().unwrap_or_default() {
            self.tasks_event(key, Event::Close(Farewell::Revoked), now);
        }
    }

    /// A connection of tasks leaves its phase.
    pub(in crate::engine) fn leaves_tasks(&mut self, key: Key, seat: &Seat) {
        seat.channels.iter().for_each(|channel| self.unlisten_to_tasks(key, channel));
        let Tasks { watchers, sockets, .. } = &mut self.tasks;
        *sockets -= 1;
        if let Some(user) = seat.user
            && let Some(keys) = watchers.get_mut(&user)
        {
            keys.retain(|own| *own != key);
            if keys.is_empty() {
                watchers.remove(&user);
            }
        }
    }

    /// Does what the connection's machine wants done.
    fn apply_tasks(&mut self, key: Key, now: Now) {
        let mut effects = mem::take(&mut self.tasks.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(frames) => self.send_wire(key, frames),
                Effect::Share(frame) => self.share(key, &frame),
                Effect::Status(frame) => self.share_status(key, &frame),
                Effect::Timer(after) => self.set_timer(key, after, now),
                Effect::User(letter) => self.post_to_user(letter),
                Effect::Task(letter) => self.post_to_task(letter),
                Effect::Execution(letter) => self.post_to_execution(letter),
                Effect::Listen(channel) => self.hear_tasks(key, channel),
                Effect::Unlisten(channel) => self.unhear_tasks(key, &channel),
                Effect::End(farewell, words) => self.end_tasks(key, farewell, words, now),
            }
        }
        self.tasks.effects = effects;
    }

    /// The last words of a connection and its Close: in one piece, so that who hears of the end hears why.
    fn end_tasks(&mut self, key: Key, farewell: Farewell, mut words: Vec<u8>, now: Now) {
        self.counters.ended(Ending::Code(farewell.code()));
        frame::close(&mut words, Some(farewell.code()), farewell.reason());
        if let Some(segment) = Segment::whole(words) {
            self.send_last(key, segment);
        }
        self.part(key, false, now);
    }

    /// Queues news, of which all who hear them share the bytes.
    fn share(&mut self, key: Key, frame: &Frame) {
        self.counters.offered.one();
        if let Some(segment) = self.tasks.shared(frame) {
            self.send(key, segment, 1);
        }
    }

    /// As [`Engine::share`], of a state: who takes his time gets the newest alone.
    fn share_status(&mut self, key: Key, frame: &Frame) {
        self.counters.offered.one();
        if let Some(segment) = self.tasks.shared(frame) {
            self.send_state(key, Topic::SystemStatus, segment);
        }
    }

    pub(super) fn post_to_user(&mut self, letter: ToUser) {
        self.post(self.ring.home(letter.user().as_bytes()), Letter::TasksUser(letter));
    }

    pub(super) fn hear_tasks(&mut self, key: Key, channel: Channel) {
        let Some(Connection { phase: Phase::Tasks(seat), .. }) = self.connections.at_mut(key) else { return };
        seat.channels.push(channel.clone());
        let is_news = self.tasks.listeners.add(channel.clone(), key.slot) && channel != Channel::Status;
        if is_news && !self.crossing.is_alone() {
            self.tell_interest(&Interest::More(vec![channel]));
        }
    }

    fn unhear_tasks(&mut self, key: Key, channel: &Channel) {
        let Some(Connection { phase: Phase::Tasks(seat), .. }) = self.connections.at_mut(key) else { return };
        seat.channels.retain(|own| own != channel);
        if *channel == Channel::Status {
            self.supersede(key, Topic::SystemStatus);
        }
        self.unlisten_to_tasks(key, channel);
    }

    fn unlisten_to_tasks(&mut self, key: Key, channel: &Channel) {
        let is_news = self.tasks.listeners.remove(channel.clone(), key.slot) && *channel != Channel::Status;
        if is_news && !self.crossing.is_alone() {
            self.tell_interest(&Interest::Less(channel.clone()));
        }
    }
}

/// How the fault of a peer ends a socket of tasks.
fn farewell(reason: CloseReason) -> Farewell {
    match reason {
        CloseReason::TooBig => Farewell::TooBig,
        CloseReason::NotUtf8 => Farewell::NotUtf8,
        CloseReason::Protocol
        | CloseReason::Normal
        | CloseReason::Away
        | CloseReason::Unsupported
        | CloseReason::Policy
        | CloseReason::Internal
        | CloseReason::Restart
        | CloseReason::TryLater => Farewell::Protocol,
    }
}
