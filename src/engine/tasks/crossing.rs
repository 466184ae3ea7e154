//! Tasks from one view of the cluster to the next. What is in memory here stays here until nothing goes on with it, and its home by the
//! ring passes on what is said to it; what is not in memory is at home where the ring says. Users are counted anew by their next home.

use super::super::{Connection, Engine, Letter, Phase, asks::FAR};
use crate::{
    protocols::tasks::{
        Ask, Channel, Event, FromHome, Hold, Interest, Reply, ToExecution, ToTask, ToUser,
        asks::{Home, Refused},
        model::Caller,
        record::Loaded,
        status,
    },
    realtime::{ConnId, HashRing, NodeSlot, Now, ShardId, StoreFault, table::Key},
};
use std::{collections::BTreeMap, mem};

/// So much is told in one letter at most.
const CHUNK: usize = 1_000;

impl Engine {
    /// A letter to the home of a task, which may be elsewhere by now, or have come here only just.
    pub(in crate::engine) fn task_home_hears(&mut self, from: ShardId, letter: ToTask, now: Now) {
        match self.way_to(from, Home::Task(letter.place())) {
            Way::Here => {
                if let ToTask::See { conn, caller, .. } = &letter {
                    self.is_watched_from(from, *conn, caller);
                }
                self.with_tasks(now, |homes, out| homes.task(letter, now, out));
            }
            Way::There(shard) => self.post(shard, Letter::TaskHome(letter)),
            Way::Later if self.has_no_room() => self.with_tasks(now, |homes, out| homes.turn_task_away(letter, now, out)),
            Way::Later => self.wait(from, Letter::TaskHome(letter)),
        }
    }

    /// As [`Engine::task_home_hears`].
    pub(in crate::engine) fn execution_home_hears(&mut self, from: ShardId, letter: ToExecution, now: Now) {
        match self.way_to(from, Home::Execution(letter.place())) {
            Way::Here => {
                if let ToExecution::See { conn, caller, .. } = &letter {
                    self.is_watched_from(from, *conn, caller);
                }
                self.with_tasks(now, |homes, out| homes.execution(letter, now, out));
            }
            Way::There(shard) => self.post(shard, Letter::ExecutionHome(letter)),
            Way::Later if self.has_no_room() => {
                self.with_tasks(now, |homes, out| homes.turn_execution_away(letter, now, out));
            }
            Way::Later => self.wait(from, Letter::ExecutionHome(letter)),
        }
    }

    /// Who asks by another shard how something stands may be here before it is known here that somebody listens there.
    fn is_watched_from(&mut self, from: ShardId, conn: ConnId, caller: &Caller) {
        if from != conn.shard && conn.shard.node() != self.id.node() {
            self.tasks.interests.add(Channel::of(caller), conn.shard);
        }
    }

    /// What becomes of a letter to a task or an execution.
    fn way_to(&mut self, from: ShardId, home: Home) -> Way {
        if self.crossing.is_alone() && self.tasks.kept.is_empty() || self.tasks.homes.has(home) {
            return Way::Here;
        }
        let place = home.place();
        let by_ring = self.ring.home(place.as_bytes());
        if by_ring != self.id {
            return Way::There(by_ring);
        }
        match self.tasks.kept.get(&home) {
            // Who has it says nothing to it by this shard: it has let it go.
            Some(keeper) if *keeper == from => {
                self.tasks.kept.remove(&home);
                self.tasks.homes.let_go(home);
            }
            Some(keeper) => return Way::There(*keeper),
            None => {}
        }
        if self.has_come(place.as_bytes()) { Way::Later } else { Way::Here }
    }

    /// A letter to the home of a user.
    pub(in crate::engine) fn tasks_user_hears(&mut self, from: ShardId, letter: ToUser, now: Now) {
        if !self.crossing.is_alone() {
            if self.ring.home(letter.user().as_bytes()) != self.id {
                // Whoever says this says it again to the new home.
                return;
            }
            let is_late = self.has_come(letter.user().as_bytes());
            match letter {
                ToUser::Come { conn, .. } if is_late && self.has_no_room() => {
                    let refused = FromHome::Counted { refused: true };
                    return self.post(conn.shard, Letter::TasksConnection(conn, refused));
                }
                ToUser::Come { .. } | ToUser::Go { .. } if is_late => return self.wait(from, Letter::TasksUser(letter)),
                ToUser::Come { .. } | ToUser::Go { .. } | ToUser::Move { .. } => {}
            }
        }
        self.with_tasks(now, |homes, out| homes.user(letter, out));
    }

    /// A home's word to a connection. Whether there is a place for it only the home of its user says.
    pub(in crate::engine) fn tasks_home_says(&mut self, from: ShardId, conn: ConnId, letter: FromHome, now: Now) {
        let key = self.key(conn);
        if !self.crossing.is_alone()
            && matches!(letter, FromHome::Counted { .. })
            && let Some(Connection { phase: Phase::Tasks(seat), .. }) = self.connections.at_mut(key)
            && self.ring.home(seat.machine.user().as_bytes()) != from
        {
            return;
        }
        self.tasks_event(key, Event::Home(letter), now);
    }

    /// What another shard says that it has in memory, and is at home here.
    pub(in crate::engine) fn tasks_hold(&mut self, from: ShardId, hold: Hold) {
        match hold {
            Hold::Goes(homes) => {
                let here = homes.into_iter().filter(|home| self.ring.home(home.place().as_bytes()) == self.id);
                self.tasks.kept.extend(here.map(|home| (home, from)));
            }
            Hold::Over(home) => {
                if self.tasks.kept.get(&home) == Some(&from) {
                    self.tasks.kept.remove(&home);
                }
                self.tasks.homes.let_go(home);
            }
        }
    }

    /// Nothing goes on any more here with what is at home elsewhere.
    pub(super) fn let_go(&mut self, home: Home) {
        let by_ring = self.ring.home(home.place().as_bytes());
        if by_ring != self.id {
            self.post(by_ring, Letter::TasksHold(Hold::Over(home)));
        }
    }

    /// What a shard of another node says that is listened to there.
    pub(in crate::engine) fn tasks_interest(&mut self, from: ShardId, interest: Interest) {
        match interest {
            Interest::More(channels) => channels.into_iter().for_each(|channel| self.tasks.interests.add(channel, from)),
            Interest::Less(channel) => self.tasks.interests.remove(channel, from),
        }
    }

    /// Tells all other nodes what is listened to here from now on.
    pub(super) fn tell_interest(&mut self, interest: &Interest) {
        let (view, own) = (self.ring.view().clone(), self.id.node());
        for shard in view.shards().filter(|shard| shard.node() != own) {
            self.post(shard, Letter::TasksInterest(interest.clone()));
        }
    }

    /// Another view has come.
    pub(in crate::engine) fn tasks_move(
        &mut self,
        before: &HashRing,
        has_skipped: bool,
        is_gone: &dyn Fn(NodeSlot) -> bool,
        now: Now,
    ) {
        let (ring, id) = (self.ring.clone(), self.id);
        let is_here = |key: &[u8]| ring.home(key) == id;
        let homes = &mut self.tasks.homes;
        homes.join_cluster();
        homes.lose(&|shard| is_gone(shard.node()));
        homes.move_out(&|user| !has_skipped && is_here(user.as_bytes()));
        self.tasks.kept.retain(|home, shard| !is_gone(shard.node()) && is_here(home.place().as_bytes()));
        self.tasks.interests.lose(|shard| is_gone(shard.node()));
        self.come_to_users_again(&|user| {
            let from = before.home(user);
            has_skipped || from != ring.home(user) || is_gone(from.node())
        });
        let away = self.tasks.homes.hold(&|place| is_here(place.as_bytes()));
        self.tell_holds(away);
        let is_new = |slot: NodeSlot| before.view().epoch(slot) != ring.view().epoch(slot);
        let new: Vec<ShardId> = ring.shards().filter(|shard| shard.node() != id.node() && is_new(shard.node())).collect();
        self.tell_interests(&new);
        if before.view().members().iter().any(|member| is_gone(member.slot)) {
            self.look_again_at_tasks(&|id| is_gone(before.home(id.as_bytes()).node()), now);
        }
    }

    /// What was on its way between this node and that one is lost, while both live. Who listens here to what happens to tasks may have
    /// missed something, and comes again.
    pub(in crate::engine) fn tasks_are_cut(&mut self, node: NodeSlot, now: Now) {
        let ring = self.ring.clone();
        self.tasks.homes.lose(&|shard| shard.node() == node);
        self.tasks.interests.lose(|shard| shard.node() == node);
        self.come_to_users_again(&|user| ring.home(user).node() == node);
        let held = self.tasks.homes.held().filter(|home| ring.home(home.place().as_bytes()).node() == node).collect();
        self.tell_holds(held);
        for key in self.connections.keys().collect::<Vec<_>>() {
            let phase = self.connections.at(key).map(|connection| &connection.phase);
            let Some(Phase::Tasks(seat)) = phase else { continue };
            if seat.channels.iter().any(|channel| *channel != Channel::Status) {
                self.close_for_restart(key, now);
            }
        }
        if ring.home(status::HOME) == self.id {
            self.with_tasks(now, |homes, out| homes.recount(now, out));
        }
    }

    /// Every shard has reached the view: nobody speaks by an earlier one any more, and it is known what others have in memory.
    pub(in crate::engine) fn tasks_are_whole(&mut self, now: Now) {
        let sums = self.ring.home(status::HOME) == self.id;
        self.with_tasks(now, |homes, out| homes.survey(sums, now, out));
    }

    /// What was left by nodes that are no more.
    pub(in crate::engine) fn tasks_left(&mut self, survey: u64, left: Result<Loaded, StoreFault>, now: Now) {
        if !self.is_whole() {
            return;
        }
        let (ring, id, kept) = (self.ring.clone(), self.id, mem::take(&mut self.tasks.kept));
        let is_elsewhere = |home: Home| kept.contains_key(&home) || ring.home(home.place().as_bytes()) != id;
        self.with_tasks(now, |homes, out| homes.left(survey, left, &is_elsewhere, now, out));
        self.tasks.kept = kept;
    }

    /// Nobody of that node answers any more.
    pub(in crate::engine) fn lose_tasks_asks(&mut self, node: NodeSlot) {
        for number in self.tasks.asks.lost(node) {
            self.tasks.asks.resolve(number, Reply::Refused(Refused::Store(StoreFault::Busy)));
        }
    }

    /// Where an ask goes, and that it is not waited for without an end.
    pub(super) fn tasks_ask_goes(&mut self, number: u64, ask: &Ask) {
        if self.crossing.is_alone() {
            return;
        }
        let to = self.way_from_here(ask.home());
        if to.node() != self.id.node() {
            self.tasks.asks.sent_to(number, to.node());
        }
        self.tasks.asks.is_waited_for(number, self.rules.tasks.keep_timeout + FAR);
    }

    /// Whom somebody on this shard asks: this one, if it is in memory here.
    pub(super) fn way_from_here(&self, home: Home) -> ShardId {
        if self.tasks.homes.has(home) { self.id } else { self.ring.home(home.place().as_bytes()) }
    }

    /// As [`Engine::asks_wait`].
    pub(in crate::engine) fn tasks_asks_wait(&mut self, now: Now) {
        self.tasks.asks.wait_from(now.moment);
    }

    /// As [`Engine::give_up_asks`].
    pub(in crate::engine) fn give_up_tasks_asks(&mut self, now: Now) {
        for number in self.tasks.asks.late(now.moment) {
            self.tasks.asks.resolve(number, Reply::Refused(Refused::Store(StoreFault::Busy)));
        }
    }

    /// The homes of these users hear of their sockets here.
    fn come_to_users_again(&mut self, has_moved: &dyn Fn(&[u8]) -> bool) {
        for key in self.connections.keys().collect::<Vec<Key>>() {
            let conn = self.conn_id(key);
            let phase = self.connections.at(key).map(|connection| &connection.phase);
            let Some(Phase::Tasks(seat)) = phase else { continue };
            if has_moved(seat.machine.user().as_bytes())
                && let Some(letter) = seat.machine.again(conn)
            {
                self.post_to_user(letter);
            }
        }
    }

    fn tell_holds(&mut self, away: Vec<Home>) {
        let mut homes: BTreeMap<ShardId, Vec<Home>> = BTreeMap::new();
        for home in away {
            homes.entry(self.ring.home(home.place().as_bytes())).or_default().push(home);
        }
        for (shard, away) in homes {
            away.chunks(CHUNK).for_each(|chunk| self.post(shard, Letter::TasksHold(Hold::Goes(chunk.to_vec()))));
        }
    }

    fn tell_interests(&mut self, to: &[ShardId]) {
        let channels: Vec<Channel> = self.tasks.listeners.channels().collect();
        for shard in to {
            let chunks = channels.chunks(CHUNK);
            chunks.for_each(|chunk| self.post(*shard, Letter::TasksInterest(Interest::More(chunk.to_vec()))));
        }
    }
}

/// See [`Engine::way_to`].
enum Way {
    Here,
    /// That shard has it, or knows who has.
    There(ShardId),
    /// It has come here only just.
    Later,
}
