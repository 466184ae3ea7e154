//! What operators ask for over REST, done by the desk.

use super::{Rest, rooms::Clock as _, rooms::Observatory as _};
use crate::{
    engine::{Counters, Ending},
    house::desk::Told,
    http::{
        control::{Changed, Control, Load, NoDrain, NoOperator, Operator, Paced, ShardLoad, Status},
        labs::rooms::{Credentials, Library, TokenFault},
    },
    protocols::labs::model::Role,
    realtime::{
        StoreFault,
        survey::{Chore, Done, Most, Whom},
    },
    runtime::ShardCounts,
};
use std::{cmp::Reverse, time::Duration};

impl Control for Rest {
    fn is_for_operators_only(&self) -> bool {
        self.house.operators_only
    }

    async fn operator(&self, token: &str) -> Result<Operator, NoOperator> {
        let claims = Credentials::token(self, token).map_err(|fault| match fault {
            TokenFault::Invalid | TokenFault::Expired => NoOperator::Unknown,
            TokenFault::Unknown => NoOperator::Store(StoreFault::Busy),
        })?;
        let user = Library::user(self, claims.user).await.map_err(NoOperator::Store)?;
        match user.filter(|user| user.active) {
            Some(user) if user.role == Role::Admin => Ok(Operator(user.id.to_string())),
            Some(_) => Err(NoOperator::NoAdmin),
            None => Err(NoOperator::Unknown),
        }
    }

    async fn status(&self) -> Status {
        let sum = |read: fn(&Counters) -> u64| self.house.counters.iter().map(|counters| read(counters)).sum();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at,
            now: self.now(),
            phase: self.phase(),
            drain: self.stage.stopping().map(|(elapsed, times)| (elapsed, times.drain)),
            unready: self.ready().reasons.into_iter().map(|reason| reason.text).collect(),
            shards: self.house.shards(),
            connections: sum(|counters| counters.connections.read()),
            sockets: vec![
                ("presence", sum(|counters| counters.presence_live.read())),
                ("quiz", sum(|counters| counters.quiz_owners.read() + counters.quiz_participants.read())),
                (
                    "labs",
                    sum(|counters| counters.labs_agents.read() + counters.labs_viewers.read() + counters.labs_followers.read()),
                ),
                ("chat", sum(|counters| counters.chat_sockets.read())),
                ("tasks", sum(|counters| counters.tasks_sockets.read())),
            ],
            rooms: sum(|counters| counters.rooms.read()),
            members: sum(|counters| counters.members.read()),
            slow_readers: sum(|counters| counters.slow_readers.read()),
        }
    }

    async fn kick(&self, whom: Whom) -> (u64, u16) {
        let told = self.desk.ask(&Chore::Kick(whom)).await;
        let silent = self.house.shards().saturating_sub(told.len() as u16);
        let closed = |one: &Told| if let Done::Kicked(closed) = one.done { closed } else { 0 };
        (told.iter().map(closed).sum(), silent)
    }

    async fn look(&self, most: Most) -> Load {
        let told = self.desk.ask(&Chore::Look(most)).await;
        let (engines, shells) = (&self.house.counters, self.stage.all_counts());
        let shards = (0..self.house.shards()).zip(engines.iter().zip(shells));
        let mut load = Load {
            at: self.now(),
            shards: shards.map(|(shard, (engine, shell))| of_shard(shard, engine, shell, &told)).collect(),
            ..Load::default()
        };
        for one in told {
            if let Done::Looked(looked) = one.done {
                load.rooms.extend(looked.rooms);
                load.readers.extend(looked.readers);
            }
        }
        load.rooms.sort_by_key(|room| (Reverse(room.members), room.classroom));
        load.readers.sort_by_key(|reader| Reverse(reader.waiting.saturating_mul(1000) / reader.bound.max(1)));
        let ended = |place: usize| engines.iter().map(|counters| counters.endings[place].read()).sum();
        load.closed = Ending::ALL.iter().enumerate().map(|(place, ending)| (ending.label(), ended(place))).collect();
        load
    }

    async fn reload(&self) -> Result<Changed, Vec<String>> {
        self.desk.reload().await
    }

    async fn drain(&self, pace: Option<Paced>) -> Result<Duration, NoDrain> {
        match pace {
            None => self.desk.begin_stop().ok_or(NoDrain::Stopping),
            Some(pace) => self.desk.begin_drain(pace).await,
        }
    }
}

fn of_shard(shard: u16, engine: &Counters, shell: &ShardCounts, told: &[Told]) -> ShardLoad {
    ShardLoad {
        shard,
        worked: told.iter().find(|one| one.shard == shard).map(|one| one.worked),
        connections: engine.connections.read(),
        handshakes: engine.handshakes.read(),
        rooms: engine.rooms.read(),
        members: engine.members.read(),
        queue: shell.spilled_now.value() + engine.entering.read() + shell.tls_waiting_now.value(),
        turns: shell.turns(),
        accepted: engine.accepted.read(),
        messages: engine.messages.read(),
        delivered: engine.delivered.read(),
        dropped: engine.dropped_slow.read(),
        sends: shell.sends.value(),
        slow_readers: engine.slow_readers.read(),
    }
}
