//! Labs, wired to the shard: its sockets, its registry on the one shard of all nodes that is its home, the limits, and the rights that were
//! taken away.

mod admission;
mod crossing;
mod home;
mod keeping;
mod revocation;
mod seat;
mod sockets;
mod unheard;

use super::{
    Engine, Rules,
    asks::LabsAsks,
    ids::{Ids, Kind},
};
use crate::{
    engine::Birth,
    protocols::labs::{Effect, Limits, Outcome, Registry, Revoked, Standings, UserId, asks::Ask, record::Loaded},
    realtime::{Moment, Now, UnixMicros, hash_ring::HashRing, table::Key},
};
use crossing::{Doubt, Office, home_in};
use keeping::Keeping;
use revocation::Revocations;
pub(super) use seat::{Machine, Seat};
use smallvec::SmallVec;
use sockets::Present;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use uuid::Uuid;

/// The registry's levels are counted anew no more often.
const LEVELS_EVERY: Duration = Duration::from_secs(1);

/// What a shard has of labs.
pub(super) struct Labs {
    /// On its home alone.
    office: Office,
    /// Records of a registry that was here, on their way to disk.
    leaving: usize,
    seed: u64,
    limits: Limits,
    pub(super) asks: LabsAsks,
    /// Where there are other nodes: what was asked, and has no answer yet.
    sent: BTreeMap<u64, Ask>,
    keeping: Keeping,
    revoked: Revoked,
    standings: Standings,
    revocations: Revocations,
    doubt: Option<Doubt>,
    /// Who is here by which token.
    watchers: HashMap<Uuid, SmallVec<[Key; 2]>>,
    present: Present,
    /// Of refusals at the stop.
    ids: Ids,
    effects: Vec<Effect>,
    outcomes: Vec<Outcome>,
    levels_at: Moment,
}

impl Labs {
    /// From now on these count.
    pub(super) fn reform(&mut self, rules: &Rules) {
        self.limits.reform(&rules.labs);
        if let Office::Here(registry) = &mut self.office {
            registry.reform(rules.labs.clone());
        }
    }

    pub(super) fn new(birth: Birth, ring: &HashRing, rules: &Rules) -> Labs {
        let registry = || Box::new(Registry::new(rules.labs.clone(), birth.seed, birth.start));
        Labs {
            office: if home_in(ring.view()) == birth.id { Office::Here(registry()) } else { Office::Elsewhere },
            leaving: 0,
            seed: birth.seed,
            limits: Limits::new(&rules.labs, birth.seed),
            asks: LabsAsks::new(birth.seed),
            sent: BTreeMap::new(),
            keeping: Keeping::default(),
            revoked: Revoked::default(),
            standings: Standings::default(),
            revocations: Revocations::default(),
            doubt: None,
            watchers: HashMap::new(),
            present: Present::default(),
            ids: Ids::new(birth, Kind::Refusal),
            effects: Vec::new(),
            outcomes: Vec::new(),
            levels_at: birth.start,
        }
    }

    /// What the holder of a token is: whether an admin; none: they may nothing any more.
    pub(super) fn standing(&self, token: Uuid, user: UserId) -> Option<bool> {
        let may = !self.revoked.has(token) && !self.standings.is_barred(user);
        may.then(|| self.standings.is_admin(user))
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let doubt = self.doubt.as_ref().and_then(Doubt::next_deadline);
        let own = [self.office.next_deadline(), self.keeping.next_deadline(), self.revocations.next_deadline(), doubt];
        own.into_iter().flatten().min()
    }
}

impl Engine {
    /// What of labs was kept when the process began: all that the registry must know, which the shard that is its home takes, and the
    /// tokens that were revoked. To be called once on each shard, before the first turn. Of one of several nodes without agents, sessions
    /// and commands: where the registry is, views tell.
    pub fn begin_labs(&mut self, loaded: &Loaded, revoked: &[(Uuid, UnixMicros)], now: Now) {
        loaded.standings.iter().for_each(|standing| self.labs.standings.set(*standing));
        revoked.iter().for_each(|(token, expires_at)| self.labs.revoked.add(*token, *expires_at, now));
        if self.has_registry() {
            self.with_registry(|registry, out| registry.begin(loaded.clone(), now, out));
        }
        self.settle(now);
    }

    /// Whether this shard knows for certain which tokens are good no more. One of a node that has just come to others does not, until it
    /// has read that behind all that they had told by then.
    pub fn knows_rights(&self) -> bool {
        self.labs.knows_rights()
    }

    /// Whether this shard is the registry's home.
    pub fn has_registry(&self) -> bool {
        matches!(self.labs.office, Office::Here(_))
    }

    /// The users' tokens that are good no more, as this shard knows them.
    pub fn revoked(&self) -> &Revoked {
        &self.labs.revoked
    }

    /// Turns what labs keep times of.
    pub(super) fn turn_labs(&mut self, now: Now) {
        self.with_registry(|registry, out| registry.turn(now, out));
        self.give_up_keeping(now);
        self.give_up_telling(now);
        self.turn_office(now);
    }

    pub(super) fn draw_labs_levels(&mut self, now: Now) {
        let (labs, counters) = (&mut self.labs, &self.counters);
        counters.labs_agents.set(labs.present.agents);
        counters.labs_viewers.set(labs.present.viewers);
        counters.labs_followers.set(labs.present.followers);
        counters.labs_keeping.set(labs.keeping.len());
        counters.labs_windows.set(labs.limits.len());
        counters.labs_revoked.set(labs.revoked.len());
        let Office::Here(registry) = &labs.office else { return };
        if now.moment < labs.levels_at {
            return;
        }
        labs.levels_at = now.moment + LEVELS_EVERY;
        let levels = registry.levels();
        counters.registry_agents.set(levels.agents);
        counters.registry_online.set(levels.online);
        counters.registry_sessions.set(levels.sessions);
        levels.states.iter().zip(&counters.registry_states).for_each(|(level, count)| count.set(*level));
        counters.registry_places.set(levels.places);
        counters.registry_commands.set(levels.commands);
        counters.registry_viewers.set(levels.viewers);
        counters.registry_waiting.set(levels.waiting);
        counters.registry_writing.set(levels.writing);
        counters.registry_turned_away.set(levels.turned_away);
    }
}
