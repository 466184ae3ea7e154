//! Homes over several nodes. A task or an execution that is in memory when its home moves stays where it is until nothing goes on with it:
//! no work is broken off because a node comes. Its new home passes on what is said to it, and has it read once it was let go.

use super::{
    asks::{Home, Refused},
    homes::Homes,
    letters::{ToExecution, ToTask},
    model::UserName,
    outcome::Outcome,
    room::{self, Room},
};
use crate::realtime::{Now, ShardId, StoreFault};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use std::mem;
use uuid::Uuid;

/// What of the homes of a shard has to do with other nodes.
pub(super) struct Moves {
    /// Whether there are others, or were.
    pub(super) is_in_cluster: bool,
    /// What is in memory here and at home elsewhere.
    away: HashSet<Home, FixedState>,
    /// Of surveys that were asked for, the last.
    pub(super) survey: u64,
    /// Whether it is under way.
    pub(super) is_surveying: bool,
    /// With what something ended meanwhile: its row may be another than the survey found.
    pub(super) touched: HashSet<Home, FixedState>,
}

impl Moves {
    /// `seed` keeps the places of keys from being guessed.
    pub(super) fn new(seed: u64) -> Moves {
        let set = || HashSet::with_hasher(FixedState::with_seed(seed));
        Moves { is_in_cluster: false, away: set(), survey: 0, is_surveying: false, touched: set() }
    }

    /// Nothing goes on with it here any more.
    pub(super) fn rested(&mut self, home: Home, out: &mut Vec<Outcome>) {
        if self.is_surveying {
            self.touched.insert(home);
        }
        if !self.away.is_empty() && self.away.remove(&home) {
            out.push(Outcome::LetGo(home));
        }
    }
}

impl Homes {
    /// There are other nodes from now on.
    pub fn join_cluster(&mut self) {
        self.moves.is_in_cluster = true;
    }

    /// Whether something goes on here with a task or an execution.
    pub fn has(&self, home: Home) -> bool {
        match home {
            Home::Task(id) => self.tasks.contains_key(&id),
            Home::Execution(id) => self.executions.contains_key(&id),
        }
    }

    /// Homes have moved. What is in memory and at home elsewhere is kept until nothing goes on with it ([`Outcome::LetGo`]); its home is to
    /// be told ([`Hold`](super::letters::Hold)) before anything is said to it by the new view.
    pub fn hold(&mut self, is_here: &dyn Fn(Uuid) -> bool) -> Vec<Home> {
        let tasks = self.tasks.keys().copied().map(Home::Task);
        let all = tasks.chain(self.executions.keys().copied().map(Home::Execution));
        let away: Vec<Home> = all.filter(|home| !is_here(home.place())).collect();
        self.moves.away.clear();
        self.moves.away.extend(&away);
        away
    }

    /// What is kept here for other homes.
    pub fn held(&self) -> impl Iterator<Item = Home> + '_ {
        self.moves.away.iter().copied()
    }

    /// Another shard has let go what is at home here.
    pub fn let_go(&mut self, home: Home) {
        if self.moves.is_surveying {
            self.moves.touched.insert(home);
        }
    }

    /// Sockets of these shards are no more, or will be told of again ([`ToUser::Move`](super::letters::ToUser::Move)).
    pub fn lose(&mut self, is_gone: &dyn Fn(ShardId) -> bool) {
        self.users.lose(is_gone);
    }

    /// Users who are at home elsewhere are forgotten: their sockets are told of there.
    pub fn move_out(&mut self, is_here: &dyn Fn(&UserName) -> bool) {
        self.users.move_out(is_here);
    }

    /// There is no room for a letter to a task: whoever sent it is told that the store is busy.
    pub fn turn_task_away(&mut self, letter: ToTask, now: Now, out: &mut Vec<Outcome>) {
        self.receive(room::asker_of(&letter), now);
        room::refuse_task(letter, Refused::Store(StoreFault::Busy), &mut self.world.at(now, out));
    }

    /// As [`Homes::turn_task_away`].
    pub fn turn_execution_away(&mut self, letter: ToExecution, now: Now, out: &mut Vec<Outcome>) {
        self.receive(room::execution_asker_of(&letter), now);
        room::refuse_execution(letter, Refused::Store(StoreFault::Busy), &mut self.world.at(now, out));
    }

    /// As [`Homes::stop`], where other nodes take over what waits: what is made meanwhile is written, for them.
    pub fn stop_among_others(&mut self, now: Now, out: &mut Vec<Outcome>) {
        self.world.has_heirs = true;
        self.stop(now, out);
    }

    /// Reads a task anew, whose row may have changed since it was seen.
    pub(super) fn reopen(&mut self, home: Home, out: &mut Vec<Outcome>) {
        match home {
            Home::Task(id) => {
                out.push(Outcome::LoadTask(id));
                self.tasks.insert(id, Room::Loading { waiting: Vec::new(), is_left: true });
            }
            Home::Execution(id) => {
                out.push(Outcome::LoadExecution(id));
                self.executions.insert(id, Room::Loading { waiting: Vec::new(), is_left: true });
            }
        }
    }

    pub(super) fn take_touched(&mut self) -> HashSet<Home, FixedState> {
        let empty = HashSet::with_hasher(self.moves.touched.hasher().clone());
        mem::replace(&mut self.moves.touched, empty)
    }
}
