//! Which store keeps the records, by the settings.

use super::HouseFault;
use crate::{
    config::{Database, DatabaseUrl, Migrate, Settings},
    store::{PostgresStore, Sink, SqliteStore, Store, postgres, sqlite},
};
use std::{collections::BTreeSet, sync::Arc};

/// Opens the records that the settings name. `sessions` are those that go on.
pub(super) fn open(
    settings: &Settings,
    shards: u16,
    sessions: BTreeSet<i64>,
    sink: Box<dyn Sink>,
) -> Result<Arc<dyn Store>, HouseFault> {
    match &settings.database {
        Database::Sqlite => {
            let kept = sqlite::Settings {
                queue: settings.store.queue,
                acquire_timeout: settings.store.acquire_timeout,
                sessions,
                ..sqlite::Settings::new(&settings.data_dir)
            };
            Ok(Arc::new(SqliteStore::open(kept, sink).map_err(HouseFault::Store)?))
        }
        Database::Postgres(url) => {
            let mut kept = database(settings, url).map_err(HouseFault::Database)?;
            kept.shards = u8::try_from(shards).unwrap_or(u8::MAX);
            kept.sessions = sessions;
            Ok(Arc::new(PostgresStore::open(kept, sink).map_err(HouseFault::Database)?))
        }
    }
}

/// How the settings want a database to be reached.
///
/// # Errors
/// As [`postgres::Settings::new`].
pub fn database(settings: &Settings, url: &DatabaseUrl) -> Result<postgres::Settings, postgres::OpenFault> {
    let store = &settings.store;
    let migrate = match store.migrate {
        Migrate::Auto => postgres::Migrate::Auto,
        Migrate::Manual => postgres::Migrate::Manual,
    };
    let node = store.node.clone().unwrap_or_else(|| {
        let host = rustix::system::uname();
        // With a port of its own where several nodes are on one machine; else by what it has.
        let place = &settings.listen.presence.bind;
        let place = place.address().map_or_else(|| place.to_string(), |address| address.port().to_string());
        format!("{}:{place}", host.nodename().to_string_lossy())
    });
    let mut database = postgres::Settings::new(url.with_password(), store.password_file.as_deref())?;
    database.node = node;
    database.queue = store.queue;
    database.acquire_timeout = store.acquire_timeout;
    database.connect_timeout = store.connect_timeout;
    database.statement_timeout = store.statement_timeout;
    database.readers = store.readers;
    database.lease = store.lease;
    database.migrate = migrate;
    Ok(database)
}
