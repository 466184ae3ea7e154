//! Which lines are written, changed while the process runs.

use crate::config;
use std::sync::{Arc, OnceLock};
use tracing::{
    Metadata, Subscriber, callsite,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{EnvFilter, Layer, layer::Context};

/// What the client of PostgreSQL tells below this level is every statement with its values: words of users, hashes of passwords.
const OF_STATEMENTS: &str = "tokio_postgres=info";

fn filter(settings: &config::Log) -> EnvFilter {
    let filter = EnvFilter::new(&*settings.level);
    match OF_STATEMENTS.parse() {
        Ok(quiet) => filter.add_directive(quiet),
        Err(_) => filter,
    }
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
        Layer::<S>::register_callsite(self.newest(), metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Layer::<S>::enabled(self.newest(), metadata, context)
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
