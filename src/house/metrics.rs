//! What operators look at. Each number is read from the shards' own counters at the moment of the question.

mod cluster;
mod front;
mod key_sets;
mod state;
mod times;

use super::{
    agents::Outside,
    certificates::Certificates,
    key_sets::KeySets,
    process::Process,
    reload::Reloads,
    tally::{Fate, Tally},
};
use crate::{
    engine::{Counters, Ending, door::Bound},
    http::rooms::Condition,
    nats,
    observe::exposition::{Family, Kind, Labels},
    protocols::{labs::model::State, presence::SessionError, quiz::Denial},
    runtime::ShardCounts,
    store::Health,
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// Every label that a sample may have. The values of each are bounded: by what the machine has (`shard`), by the settings (`api`, `issuer`,
/// `listener`, `model`, `tool`), or by a list in the program. None is what somebody said, or who somebody is.
#[cfg(test)]
const LABELS: &[&str] =
    &["api", "code", "issuer", "limit", "listener", "model", "outcome", "reason", "shard", "state", "status", "tool"];

/// What is drawn from.
pub(super) struct Sources<'a> {
    pub(super) engines: &'a [Arc<Counters>],
    pub(super) shells: &'a [ShardCounts],
    pub(super) store: &'a Health,
    pub(super) outside: &'a Outside,
    /// Of a node that is one of several.
    pub(super) cluster: Option<&'a nats::Counts>,
    pub(super) certificates: &'a Certificates,
    pub(super) key_sets: &'a KeySets,
    pub(super) reloads: &'a Reloads,
    pub(super) process: &'a Process,
    /// Whether the process lives, and whether the node is ready.
    pub(super) health: (&'a Condition, &'a Condition),
}

/// Everything, drawn once.
pub(super) fn draw(sources: &Sources<'_>) -> Vec<Family> {
    let Sources { engines, shells, store, outside, cluster, certificates, key_sets, reloads, .. } = *sources;
    let mut snapshot = Snapshot::take(engines, shells, store, outside);
    snapshot.fronts(shells, certificates);
    snapshot.key_sets(key_sets);
    cluster.into_iter().for_each(|counts| snapshot.cluster(counts));
    snapshot.times(engines, shells, (store, reloads));
    snapshot.state(sources);
    snapshot.0
}

/// One of numbers that are whole.
fn family(name: &'static str, help: &'static str, kind: Kind, samples: impl IntoIterator<Item = (Labels, u64)>) -> Family {
    let samples = samples.into_iter().map(|(labels, value)| (labels, value.into())).collect();
    Family { name, help, kind, unit: None, samples }
}

#[derive(Debug)]
struct Snapshot(Vec<Family>);

impl Snapshot {
    fn take(engines: &[Arc<Counters>], shells: &[ShardCounts], store: &Health, outside: &Outside) -> Snapshot {
        let mut snapshot = Snapshot(Vec::new());
        snapshot.presence(engines);
        snapshot.engines(engines);
        snapshot.endings(engines);
        snapshot.bounds(engines);
        snapshot.quizzes(engines);
        snapshot.labs(engines);
        snapshot.chat(engines);
        snapshot.tasks(engines);
        snapshot.outside(outside);
        snapshot.shells(shells);
        snapshot.store(store);
        snapshot
    }

    /// The two that the presence page names, under its names.
    fn presence(&mut self, engines: &[Arc<Counters>]) {
        let sum = |read: &dyn Fn(&Counters) -> u64| engines.iter().map(|counters| read(counters)).sum::<u64>();
        let success = ("success", sum(&|counters| counters.presence_success.read()));
        let errors =
            SessionError::ALL.map(|error| (error.wire().0, sum(&|counters| counters.presence_errors[error.index()].read())));
        let statuses = std::iter::once(success).chain(errors);
        // Counters by nature; OpenMetrics would put "_total" behind a counter's name, which is the gauge's.
        self.0.push(family(
            "ws_connection",
            "Presence sessions that were told this, since the start",
            Kind::Unknown,
            statuses.map(|(status, count)| (vec![("status", status.to_owned())], count)),
        ));
        self.single("ws_connection_total", "Presence sessions that are signed in", Kind::Gauge, sum(&|c| c.presence_live.read()));
    }

    fn engines(&mut self, engines: &[Arc<Counters>]) {
        use Kind::{Counter, Gauge};
        let mut each = |name, help, kind, read: &dyn Fn(&Counters) -> u64| {
            self.by_shard(name, help, kind, engines.iter().map(|counters| read(counters)));
        };
        each("homeroom_accepted", "Connections accepted", Counter, &|c| c.accepted.read());
        each("homeroom_refused", "Connections turned away: the process holds as many as it may", Counter, &|c| c.refused.read());
        each("homeroom_upgraded", "WebSocket upgrades answered", Counter, &|c| c.upgraded.read());
        each("homeroom_handshakes", "Connections that have not said a whole request yet", Gauge, &|c| c.handshakes.read());
        each("homeroom_handed_off", "Plain HTTP connections given to REST", Counter, &|c| c.handed_off.read());
        each("homeroom_messages", "WebSocket messages read", Counter, &|c| c.messages.read());
        each("homeroom_protocol_errors", "Peers that broke the WebSocket protocol or a limit", Counter, &|c| {
            c.protocol_errors.read()
        });
        each("homeroom_delivered", "Published frames that reached a listener's socket", Counter, &|c| c.delivered.read());
        each("homeroom_slow_readers", "Connections closed because they read too slowly", Counter, &|c| c.slow_readers.read());
        each("homeroom_connections", "Connections of any kind", Gauge, &|c| c.connections.read());
        each("homeroom_rooms", "Classrooms at home on the shard", Gauge, &|c| c.rooms.read());
        each("homeroom_members", "Members of those classrooms", Gauge, &|c| c.members.read());
        each("homeroom_entering", "Sign-ins that wait for the store", Gauge, &|c| c.entering.read());
        each("homeroom_timers", "Timers set", Gauge, &|c| c.timers.read());
        each("homeroom_topics", "Topics with listeners on the shard", Gauge, &|c| c.topics.read());
        each("homeroom_stray_rows", "Rows of presence that were nobody's, and were ended", Counter, &|c| c.stray_rows.read());
        each("homeroom_rowless_members", "Members without a row, who were closed to come again", Counter, &|c| {
            c.rowless_members.read()
        });
        type Read = fn(&Counters) -> u64;
        let reasons: [(&str, Read); 4] = [
            ("slow", |c| c.dropped_slow.read()),
            ("gone", |c| c.dropped_gone.read()),
            ("absent", |c| c.dropped_absent.read()),
            ("superseded", |c| c.superseded.read()),
        ];
        let samples = engines.iter().enumerate().flat_map(|(shard, counters)| {
            reasons.map(|(reason, read)| (vec![("shard", shard.to_string()), ("reason", reason.to_owned())], read(counters)))
        });
        self.0.push(family(
            "homeroom_dropped",
            "Published frames that a listener did not get: it read too slowly, or had left before the end of the turn (as in a mass leave)",
            Counter,
            samples,
        ));
    }

    /// What ran into a limit, over all shards.
    fn bounds(&mut self, engines: &[Arc<Counters>]) {
        let count = |place: usize| engines.iter().map(|counters| counters.bounds[place].read()).sum();
        let samples =
            Bound::ALL.iter().enumerate().map(|(place, bound)| (vec![("limit", bound.label().to_owned())], count(place)));
        self.0.push(family(
            "homeroom_limited",
            "Connections, requests and sockets that were refused or closed by this limit",
            Kind::Counter,
            samples,
        ));
    }

    /// Each ending, over all shards: the shard says nothing about why somebody goes.
    fn endings(&mut self, engines: &[Arc<Counters>]) {
        let count = |place: usize| engines.iter().map(|counters| counters.endings[place].read()).sum();
        let samples = Ending::ALL.iter().enumerate().map(|(place, ending)| (vec![("code", ending.label())], count(place)));
        self.0.push(family(
            "homeroom_closed",
            "WebSockets that ended: with this code of ours, by the peer's Close (peer), or without a Close (gone)",
            Kind::Counter,
            samples,
        ));
    }

    fn quizzes(&mut self, engines: &[Arc<Counters>]) {
        use Kind::{Counter, Gauge};
        let refused = engines.iter().enumerate().flat_map(|(shard, counters)| {
            Denial::ALL.iter().zip(&counters.quiz_denials).map(move |(denial, count)| {
                (vec![("shard", shard.to_string()), ("reason", reason(*denial).to_owned())], count.read())
            })
        });
        self.0.push(family(
            "homeroom_quiz_refused",
            "Requests for a quiz socket that were refused before the upgrade",
            Counter,
            refused,
        ));
        let mut each = |name, help, kind, read: &dyn Fn(&Counters) -> u64| {
            self.by_shard(name, help, kind, engines.iter().map(|counters| read(counters)));
        };
        each("homeroom_quiz_answers", "Answers of participants that were taken", Counter, &|c| c.quiz_answers.read());
        each("homeroom_quiz_owners", "Sockets of owners of quizzes", Gauge, &|c| c.quiz_owners.read());
        each("homeroom_quiz_participants", "Sockets of participants of quizzes", Gauge, &|c| c.quiz_participants.read());
        each("homeroom_quizzes", "Quizzes in memory at home on the shard", Gauge, &|c| c.quizzes.read());
        each("homeroom_quiz_attempts", "Attempts that run, at quizzes at home on the shard", Gauge, &|c| c.attempts.read());
        each("homeroom_quiz_writing", "Changes on their way to disk, of quizzes at home on the shard", Gauge, &|c| {
            c.quiz_writing.read()
        });
        each("homeroom_quiz_waiting", "Requests that wait for an answer of quizzes at home on the shard", Gauge, &|c| {
            c.quiz_waiting.read()
        });
    }

    fn labs(&mut self, engines: &[Arc<Counters>]) {
        use Kind::{Counter, Gauge};
        let mut each = |name, help, kind, read: &dyn Fn(&Counters) -> u64| {
            self.by_shard(name, help, kind, engines.iter().map(|counters| read(counters)));
        };
        each("homeroom_labs_refused", "Requests for a socket of labs that were refused before the upgrade", Counter, &|c| {
            c.labs_denials.read()
        });
        each("homeroom_labs_tunnel_bytes", "Bytes of screens brought to viewers and agents", Counter, &|c| c.labs_bytes.read());
        each("homeroom_labs_pauses", "Times a viewer was not read because its agent took nothing", Counter, &|c| {
            c.labs_pauses.read()
        });
        each("homeroom_labs_agent_sockets", "Sockets of agents", Gauge, &|c| c.labs_agents.read());
        each("homeroom_labs_viewer_sockets", "Sockets of viewers", Gauge, &|c| c.labs_viewers.read());
        each("homeroom_labs_follower_sockets", "Sockets that follow a log", Gauge, &|c| c.labs_followers.read());
        each("homeroom_labs_keeping", "Requests that wait for a record of labs", Gauge, &|c| c.labs_keeping.read());
        each("homeroom_labs_windows", "Windows of limits that are counted", Gauge, &|c| c.labs_windows.read());
        self.registry(engines);
    }

    fn chat(&mut self, engines: &[Arc<Counters>]) {
        use Kind::{Counter, Gauge};
        let mut each = |name, help, kind, read: &dyn Fn(&Counters) -> u64| {
            self.by_shard(name, help, kind, engines.iter().map(|counters| read(counters)));
        };
        each("homeroom_chat_messages", "Messages said on sockets of chat", Counter, &|c| c.chat_messages.read());
        each("homeroom_chat_http_answers", "Answers that ended and were waited for over HTTP", Counter, &|c| c.chat_ends.read());
        each("homeroom_chat_sockets", "Sockets of chat", Gauge, &|c| c.chat_sockets.read());
        each("homeroom_chat_followers", "Requests that wait for an answer", Gauge, &|c| c.chat_followers.read());
        each("homeroom_chat_sessions", "Sessions in memory at home on the shard", Gauge, &|c| c.chat_sessions.read());
        each("homeroom_chat_answers", "Answers that run in sessions at home on the shard", Gauge, &|c| c.chat_answers.read());
        each("homeroom_chat_approvals", "Approvals that nobody has decided, at home on the shard", Gauge, &|c| {
            c.chat_approvals.read()
        });
        each("homeroom_chat_writing", "Changes on their way to disk, of sessions at home on the shard", Gauge, &|c| {
            c.chat_writing.read()
        });
        each("homeroom_models_played", "Answers of the built-in agent under way", Gauge, &|c| c.models_played.read());
        each("homeroom_models_asked", "Requests to models and tools under way", Gauge, &|c| c.models_asked.read());
    }

    fn tasks(&mut self, engines: &[Arc<Counters>]) {
        use Kind::{Counter, Gauge};
        let mut each = |name, help, kind, read: &dyn Fn(&Counters) -> u64| {
            self.by_shard(name, help, kind, engines.iter().map(|counters| read(counters)));
        };
        each("homeroom_tasks_refused", "Requests for a socket of tasks that were refused before the upgrade", Counter, &|c| {
            c.tasks_denials.read()
        });
        each("homeroom_tasks_sockets", "Sockets of tasks", Gauge, &|c| c.tasks_sockets.read());
        each("homeroom_tasks", "Tasks in memory at home on the shard", Gauge, &|c| c.tasks_known.read());
        each("homeroom_tasks_executions", "Executions of workflows in memory at home on the shard", Gauge, &|c| {
            c.tasks_executions.read()
        });
        each("homeroom_tasks_running", "Tasks and steps that run, at home on the shard", Gauge, &|c| c.tasks_running.read());
        each("homeroom_tasks_waiting", "Tasks and steps that wait for their turn, at home on the shard", Gauge, &|c| {
            c.tasks_waiting.read()
        });
        each("homeroom_tasks_writing", "Changes of tasks and executions on their way to disk", Gauge, &|c| {
            c.tasks_writing.read()
        });
    }

    /// What became of requests to models and tools behind HTTP: by their names in the settings.
    fn outside(&mut self, outside: &Outside) {
        let models = outside.models.iter().map(|(name, (_, tally))| (name, tally));
        let tools = outside.tools.iter().map(|(name, (_, tally))| (name, tally));
        self.fates(
            "homeroom_model_requests",
            "Requests to models behind HTTP that have ended",
            ("model", models),
            &Fate::OF_MODELS,
        );
        self.fates("homeroom_tool_calls", "Calls of tools behind HTTP that have ended", ("tool", tools), &Fate::OF_TOOLS);
    }

    fn fates<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        (label, asked): (&'static str, impl Iterator<Item = (&'a Arc<str>, &'a Arc<Tally>)>),
        fates: &[Fate],
    ) {
        let samples = asked.flat_map(|(asked, tally)| {
            let labels = move |fate: &Fate| vec![(label, asked.to_string()), ("outcome", fate.label().to_owned())];
            fates.iter().map(move |fate| (labels(fate), tally.count(*fate)))
        });
        self.0.push(family(name, help, Kind::Counter, samples));
    }

    /// What the registry alone knows, on the shard that is its home: the others have nothing to add.
    fn registry(&mut self, engines: &[Arc<Counters>]) {
        let sum = |read: fn(&Counters) -> u64| engines.iter().map(|counters| read(counters)).sum::<u64>();
        let (agents, online) = (sum(|c| c.registry_agents.read()), sum(|c| c.registry_online.read()));
        self.0.push(family(
            "homeroom_labs_agents",
            "Agents that are known",
            Kind::Gauge,
            vec![
                (vec![("status", "online".to_owned())], online),
                (vec![("status", "offline".to_owned())], agents.saturating_sub(online)),
            ],
        ));
        let states = State::ALL.iter().enumerate().filter(|(_, state)| **state != State::Terminated);
        let sessions = states.map(|(place, state)| {
            let count = engines.iter().map(|counters| counters.registry_states[place].read()).sum();
            (vec![("state", state.name().to_owned())], count)
        });
        self.0.push(family("homeroom_labs_sessions", "Sessions that are not over", Kind::Gauge, sessions));
        type Read = fn(&Counters) -> u64;
        let levels: [(&str, &str, Read); 5] = [
            ("homeroom_labs_places", "Sessions that have a place at an agent", |c| c.registry_places.read()),
            ("homeroom_labs_commands", "Commands without a result", |c| c.registry_commands.read()),
            ("homeroom_labs_watched", "Sessions that are watched", |c| c.registry_viewers.read()),
            ("homeroom_labs_waiting", "Requests that wait for the registry", |c| c.registry_waiting.read()),
            ("homeroom_labs_writing", "Changes of the registry on their way to disk", |c| c.registry_writing.read()),
        ];
        for (name, help, read) in levels {
            self.single(name, help, Kind::Gauge, sum(read));
        }
        let turned_away = sum(|c| c.registry_turned_away.read());
        let help = "Agents turned away: as many are known as may be";
        self.single("homeroom_labs_agents_turned_away", help, Kind::Counter, turned_away);
        // The same on each shard.
        let revoked = engines.first().map_or(0, |counters| counters.labs_revoked.read());
        self.single("homeroom_labs_revoked", "Tokens that were revoked and have not expired", Kind::Gauge, revoked);
    }

    fn shells(&mut self, shells: &[ShardCounts]) {
        use Kind::{Counter, Gauge};
        let mut each = |name, help, kind, read: &dyn Fn(&ShardCounts) -> u64| {
            self.by_shard(name, help, kind, shells.iter().map(read));
        };
        each("homeroom_sockets", "Sockets that the ring owns", Gauge, &|s| s.connections.value());
        each("homeroom_rest_connections", "HTTP connections being served", Gauge, &|s| s.handed_off_now.value());
        each("homeroom_accept_faults", "Accepts that failed for want of descriptors or memory", Counter, &|s| {
            s.accept_faults.value()
        });
        each("homeroom_shed", "Waiting peers closed at once: no descriptor was free", Counter, &|s| s.shed.value());
        each("homeroom_receive_pauses", "Receives that found no buffer", Counter, &|s| s.receive_pauses.value());
        each("homeroom_sends", "Sends submitted", Counter, &|s| s.sends.value());
        each("homeroom_letters", "Letters read from other shards", Counter, &|s| s.letters.value());
        each("homeroom_letters_spilled", "Letters that found their queue full", Counter, &|s| s.spilled.value());
        each("homeroom_letters_waiting", "Letters that wait for a full queue", Gauge, &|s| s.spilled_now.value());
        each("homeroom_busy_turns", "Turns that found something to do", Counter, &|s| s.busy_turns.value());
        each("homeroom_sleeps", "Times the shard went to sleep", Counter, &|s| s.sleeps.value());
    }

    fn store(&mut self, store: &Health) {
        use Kind::{Counter, Gauge};
        self.single("homeroom_store_queued", "Sign-ins and records that wait for a batch", Gauge, store.queued.load(Relaxed));
        self.single(
            "homeroom_store_overdue",
            "Ends of sessions that wait to be written",
            Gauge,
            store.overdue_leaves.load(Relaxed),
        );
        self.single("homeroom_store_batch_size", "Records in the last batch", Gauge, store.batch_size.load(Relaxed));
        self.single(
            "homeroom_store_batch_micros",
            "Microseconds that the last batch took",
            Gauge,
            store.batch_micros.load(Relaxed),
        );
        self.single("homeroom_store_commits", "Batches committed", Counter, store.commits.load(Relaxed));
        self.single("homeroom_store_failures", "Batches that failed", Counter, store.failures.load(Relaxed));
        self.single(
            "homeroom_store_expired",
            "Sign-ins and records that waited too long for a batch",
            Counter,
            store.expired.load(Relaxed),
        );
    }

    fn single(&mut self, name: &'static str, help: &'static str, kind: Kind, value: u64) {
        self.0.push(family(name, help, kind, [(Vec::new(), value)]));
    }

    fn by_shard(&mut self, name: &'static str, help: &'static str, kind: Kind, values: impl Iterator<Item = u64>) {
        let samples = values.enumerate().map(|(shard, value)| (vec![("shard", shard.to_string())], value));
        self.0.push(family(name, help, kind, samples));
    }
}

/// A denial in one word.
fn reason(denial: Denial) -> &'static str {
    match denial {
        Denial::Query => "query",
        Denial::ExactlyOne => "exactly_one",
        Denial::Credential => "credential",
        Denial::Role => "role",
        Denial::Session => "session",
        Denial::Unavailable => "unavailable",
    }
}

#[cfg(test)]
mod tests;
