//! The keys of issuers that publish them: a task on the bridge for each set, that reads it whenever it is due.

use crate::{
    auth::{Algorithm, KeySource, Refresh, RefreshTimes, Standing},
    bridge::Bridge,
    config::{self, Api, IssuerKeys, Loaded, SetPlace, Settings},
    observe::traces,
    realtime::UnixMicros,
    runtime::Clock,
    services::{ReadFault, SetReader},
};
use futures_lite::future::block_on;
use std::{sync::Arc, time::Duration};
use tokio::task::AbortHandle;

/// How often it is looked whether a read is due, or wanted: a token that names a new key is good so much later, at the least.
const LOOK: Duration = Duration::from_millis(100);
/// So long a start waits at most for issuers that are asked for the first time.
const FIRST: Duration = Duration::from_secs(5);
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// All sets that the settings name.
#[derive(Default)]
pub(super) struct KeySets {
    sets: Vec<PublishedKeys>,
    times: Option<Times>,
}

#[derive(Clone, Copy)]
struct Times {
    refresh: RefreshTimes,
    timeout: Duration,
    /// How long tokens of a key are good that is not in the set any more.
    former: Duration,
}

/// The set of one issuer.
#[derive(Clone)]
struct PublishedKeys {
    api: Api,
    issuer: String,
    place: SetPlace,
    source: Arc<KeySource>,
    reader: SetReader,
}

/// How it stands with the set of an issuer, for operators.
pub(super) struct KeySetState {
    pub(super) api: Api,
    pub(super) issuer: String,
    pub(super) place: String,
    pub(super) standing: Standing,
}

impl KeySets {
    /// None yet.
    pub(super) fn of(settings: &Settings) -> KeySets {
        let own = &settings.reload;
        let refresh = RefreshTimes { pause: own.jwks_pause, usual: own.jwks_interval };
        KeySets { sets: Vec::new(), times: Some(Times { refresh, timeout: own.jwks_timeout, former: own.former_keys }) }
    }

    /// One more. A file is read at once: one that is faulty is a fault. An address is asked once the server runs.
    pub(super) fn add(
        &mut self,
        api: Api,
        issuer: &str,
        place: &SetPlace,
        only: Option<Algorithm>,
    ) -> Result<Arc<KeySource>, String> {
        let timeout = self.times.map_or(Duration::MAX, |times| times.timeout);
        let reader = match place {
            SetPlace::File(path) => SetReader::of_file(path, only),
            SetPlace::Url(url) => SetReader::of_address(url, only, timeout).map_err(|fault| fault.to_string())?,
        };
        // Which algorithms are taken makes another set of the same place.
        let identity = format!("{} {}", only.map_or("any", Algorithm::name), place.identity());
        let source = Arc::new(KeySource::new(&identity));
        if let Some(read) = reader.read_file() {
            let set = read.map_err(|fault| format!("{place}: {fault}"))?;
            let now = Clock::started_now().now().wall;
            source.take(set, now, now);
        }
        let issuer = issuer.to_owned();
        self.sets.push(PublishedKeys { api, issuer, place: place.clone(), source: source.clone(), reader });
        Ok(source)
    }

    /// How it stands with each.
    pub(super) fn states(&self) -> impl Iterator<Item = KeySetState> {
        self.sets.iter().map(|set| KeySetState {
            api: set.api,
            issuer: set.issuer.clone(),
            // Operators need no paths.
            place: if let SetPlace::Url(_) = set.place { set.place.to_string() } else { "a file".to_owned() },
            standing: set.source.standing(),
        })
    }

    /// As [`KeySets::keep`], on the bridge. Comes back when each issuer was asked once, or has taken too long for a start to wait: whoever
    /// comes first, at a start or behind an upgrade, is not to be refused because nobody has asked yet.
    pub(super) fn begin(self: &Arc<Self>, bridge: &Bridge) -> Keeping {
        let own = self.clone();
        let begun = bridge.ask(async move {
            let keeping = own.keep();
            let asked = async {
                let mut looks = tokio::time::interval(FIRST_LOOK);
                while !own.sets.iter().all(PublishedKeys::was_asked) {
                    looks.tick().await;
                }
            };
            if tokio::time::timeout(FIRST, asked).await.is_err() {
                tracing::warn!("an issuer that publishes its keys does not answer: nobody is let in by them until it does");
            }
            keeping
        });
        block_on(begun).unwrap_or_default()
    }

    /// Keeps all of them, on a Tokio runtime that lasts as long as the server. What was begun ends with the answer.
    pub(super) fn keep(&self) -> Keeping {
        let Some(times) = self.times else { return Keeping::default() };
        let task = |set: &PublishedKeys| tokio::spawn(set.clone().keep(times)).abort_handle();
        Keeping(self.sets.iter().map(task).collect())
    }
}

/// The tasks that keep sets; they end when this is dropped.
#[derive(Default)]
pub(super) struct Keeping(Vec<AbortHandle>);

impl Drop for Keeping {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl PublishedKeys {
    /// Whether it was read, or could not be.
    fn was_asked(&self) -> bool {
        let Standing { reads, failures, .. } = self.source.standing();
        reads + failures > 0
    }

    async fn keep(self, times: Times) {
        let clock = Clock::started_now();
        let mut refresh = Refresh::new(times.refresh, clock.moment());
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            if self.source.was_wanted() {
                refresh.wanted();
            }
            if refresh.begin(clock.moment()) {
                self.read(&mut refresh, times.former, clock).await;
            }
        }
    }

    async fn read(&self, refresh: &mut Refresh, former: Duration, clock: Clock) {
        let (api, issuer, place) = (self.api, &self.issuer, &self.place);
        let mut span = traces::asking("read key set", "issuer", None);
        span.configured("homeroom.issuer", issuer);
        let read = self.reader.read().await;
        if let Err(fault) = &read {
            span.fail(fault.kind());
        }
        span.done();
        match read {
            Ok((set, good_for)) => {
                let (keys, now) = (set.len(), clock.now());
                let had_failed = refresh.failures() > 0;
                refresh.read(good_for, now.moment);
                if self.source.take(set, now.wall, later(now.wall, former)) {
                    tracing::info!(%api, issuer, %place, keys, "an issuer has other keys");
                } else if had_failed {
                    tracing::info!(%api, issuer, %place, keys, "the keys of an issuer can be read again");
                }
            }
            Err(fault) => {
                refresh.failed(clock.moment());
                let told = self.source.standing().fault;
                let why = fault.to_string();
                self.source.fail(&why);
                // One that goes on failing says no more than once why.
                if told.as_deref() == Some(&*why) {
                    tracing::debug!(%api, issuer, %place, why, "the keys of an issuer still cannot be read");
                } else {
                    let keys = self.source.standing().keys;
                    tracing::warn!(%api, issuer, %place, why, keys, "the keys of an issuer cannot be read: it keeps those that it has");
                }
            }
        }
    }
}

/// The issuers that publish their keys, by the API.
fn publishing(settings: &Settings) -> impl Iterator<Item = (Api, &'static str, &String, &SetPlace, Option<Algorithm>)> {
    let presence = settings.presence.issuers.iter().map(|named| (Api::Presence, "presence.issuers", named));
    let quiz = settings.quiz.issuers.iter().map(|named| (Api::Quiz, "quiz.issuers", named));
    presence.chain(quiz).filter_map(|(api, key, (name, issuer))| match &issuer.keys {
        IssuerKeys::Set { place, algorithm } => Some((api, key, name, place, algorithm.map(super::algorithm))),
        IssuerKeys::One(_) => None,
    })
}

/// Files with sets of keys that can be read and are faulty, for those who look before a start.
pub fn faulty(loaded: &Loaded) -> Vec<config::Fault> {
    let fault = |(_, key, name, place, only): (Api, &'static str, &String, &SetPlace, Option<Algorithm>)| {
        let SetPlace::File(path) = place else { return None };
        let Some(Err(ReadFault::Set(flaw))) = SetReader::of_file(path, only).read_file() else { return None };
        Some(config::Fault {
            source: loaded.source_of(key),
            key: format!("{key}.{name:?}.jwks"),
            message: format!("{place}: {flaw}"),
        })
    };
    publishing(&loaded.settings).filter_map(fault).collect()
}

/// What is to be known of each set before a start, a line each.
pub fn told(settings: &Settings) -> Vec<String> {
    let line = |(_, key, name, place, only): (Api, &'static str, &String, &SetPlace, Option<Algorithm>)| match place {
        SetPlace::File(path) => {
            let keys = SetReader::of_file(path, only).read_file().and_then(Result::ok).map_or(0, |set| set.len());
            format!("{key}.{name:?}: {keys} keys in {place}")
        }
        SetPlace::Url(_) => format!("{key}.{name:?}: keys are read from {place} when the server runs"),
    };
    publishing(settings).map(line).collect()
}

/// A time after another.
pub(super) fn later(now: UnixMicros, after: Duration) -> UnixMicros {
    UnixMicros(now.0.saturating_add(i64::try_from(after.as_micros()).unwrap_or(i64::MAX)))
}
