//! Which lines are written, changed while the process runs.

use crate::config;
use std::sync::{Arc, OnceLock};
use tracing::{
    Level, Metadata, Subscriber, callsite,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{EnvFilter, Layer, layer::Context};

/// Libraries that below `info` tell what goes through them, whatever the settings want to hear: statements with their values, frames with
/// their bytes. Words of users, tokens, hashes of passwords.
const TALKATIVE: [&str; 3] = ["tokio_postgres", "tungstenite", "tokio_tungstenite"];

fn is_hidden(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next();
    *metadata.level() > Level::INFO && library.is_some_and(|library| TALKATIVE.contains(&library))
}

fn filter(settings: &config::Log) -> EnvFilter {
    EnvFilter::new(&*settings.level)
}

/// The filters that there were, of which the last counts. The chain grows by one with each change, so that whoever writes a line takes no
/// lock.
#[derive(Clone, Debug)]
pub struct Levels(Arc<Link>);

#[derive(Debug)]
struct Link {
    filter: EnvFilter,
    next: OnceLock<Arc<Link>>,
}

impl Levels {
    /// As the settings have them.
    pub(super) fn new(settings: &config::Log) -> Levels {
        Levels(Arc::new(Link { filter: filter(settings), next: OnceLock::new() }))
    }

    /// From now on these count. Where they are as they were nothing happens.
    pub fn change(&self, settings: &config::Log) {
        let filter = filter(settings);
        if filter.to_string() == self.newest().to_string() {
            return;
        }
        let mut last = &self.0;
        while let Some(next) = last.next.get() {
            last = next;
        }
        if last.next.set(Arc::new(Link { filter, next: OnceLock::new() })).is_ok() {
            callsite::rebuild_interest_cache();
        }
    }

    fn newest(&self) -> &EnvFilter {
        let mut last = &self.0;
        while let Some(next) = last.next.get() {
            last = next;
        }
        &last.filter
    }
}

impl<S: Subscriber> Layer<S> for Levels {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_hidden(metadata) { Interest::never() } else { Layer::<S>::register_callsite(self.newest(), metadata) }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        !is_hidden(metadata) && Layer::<S>::enabled(self.newest(), metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(self.newest())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Layer::<S>::on_new_span(self.newest(), attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Layer::<S>::on_record(self.newest(), id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Layer::<S>::on_enter(self.newest(), id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Layer::<S>::on_exit(self.newest(), id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Layer::<S>::on_close(self.newest(), id, context);
    }
}
