//! A PostgreSQL of the tests' own: made in a folder that is gone with the test process, as a user without rights, reached by a socket in
//! that folder. Where none is installed its tests say so and do nothing.

use super::{Channel, PATIENCE, Subject};
use crate::store::{
    Answer, PostgresStore, Store,
    postgres::{OpenFault, Settings},
};
use std::{
    fs,
    io::{self, Write},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// `nobody`, which every Linux has: the server refuses to be root.
const NOBODY: u32 = 65_534;

/// Stops the server and removes its folder when the test process is gone, however it ended: then nothing more comes from its input.
const KEEPER: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=300 -c fsync=off -c full_page_writes=off \
    -c synchronous_commit=off -c shared_buffers=32MB -c max_wal_size=256MB -c logging_collector=off 2>>"$2/log" & server=$!
read -r _; kill -QUIT $server; wait $server; rm -rf "$2""#;

/// A server that runs.
pub(in super::super) struct Server {
    folder: PathBuf,
    databases: AtomicU32,
    /// Its input is open for as long as this process lives.
    _keeper: Child,
}

/// The one of this process; none where PostgreSQL is not installed.
pub(in super::super) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            let server = programs().map(|programs| Server::start(&programs));
            if server.is_none() {
                // Past the harness, which keeps what passing tests print to itself.
                let _ = writeln!(io::stderr(), "SKIPPED: there is no PostgreSQL here, so nothing of its store is tested");
            }
            server
        })
        .as_ref()
}

/// The folder with `initdb` and `postgres`: the newest of Debian's, else what `PATH` finds.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let debian = versions.map(|entry| entry.path()).max_by_key(|path| version(path)).map(|path| path.join("bin"));
    let searched = std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    debian.into_iter().chain(searched).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

fn as_nobody(command: &mut Command) -> &mut Command {
    if rustix::process::geteuid().is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

impl Server {
    fn start(programs: &Path) -> Server {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().expect("a folder").keep();
        if rustix::process::geteuid().is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("it is ours");
        }
        let mut made = Command::new(programs.join("initdb"));
        made.arg("-D").arg(folder.join("data")).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let made = as_nobody(&mut made).current_dir(&folder).output().expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "postgres"]).arg(programs).arg(&folder).current_dir(&folder);
        let keeper = as_nobody(&mut keeper).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Not ended with this process by a terminal: the keeper ends it.
        let keeper = keeper.process_group(0).spawn().expect("a shell");
        let server = Server { folder, databases: AtomicU32::new(0), _keeper: keeper };
        server.wait_until_up();
        server.ask("postgres", "CREATE DATABASE migrated");
        crate::store::postgres::migrate(&server.settings("migrated"), true).expect("tables");
        server
    }

    fn wait_until_up(&self) {
        let begun = Instant::now();
        while let Err(error) = self.try_ask("postgres", "SELECT 1") {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE * 3, "it does not come up: {error}\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The address of a database.
    pub(in super::super) fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=postgres", self.folder.display())
    }

    /// Its socket.
    pub(in super::super) fn socket(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }

    /// How a node named `homeroom` reaches a database.
    pub(in super::super) fn settings(&self, database: &str) -> Settings {
        Settings::new(&self.url(database), None).expect("an address")
    }

    /// A new database, with tables.
    pub(in super::super) fn database(&self) -> String {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.ask("postgres", &format!("CREATE DATABASE {name} TEMPLATE migrated"));
        name
    }

    /// A new database without tables.
    pub(in super::super) fn empty_database(&self) -> String {
        let name = format!("e{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.ask("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// The first column of what a statement gives, as text.
    pub(in super::super) fn ask(&self, database: &str, statement: &str) -> Vec<String> {
        self.try_ask(database, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// As [`Server::ask`], where that may fail.
    pub(in super::super) fn try_ask(&self, database: &str, statement: &str) -> Result<Vec<String>, tokio_postgres::Error> {
        let url = self.url(database);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            let driver = tokio::spawn(connection);
            let messages = client.simple_query(statement).await;
            driver.abort();
            let first = |message: SimpleQueryMessage| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("").to_owned()),
                _ => None,
            };
            Ok(messages?.into_iter().filter_map(first).collect())
        })
    }
}

/// A store on a database of its own.
pub(in super::super) struct InPostgres {
    pub(in super::super) store: PostgresStore,
    pub(in super::super) answers: mpsc::Receiver<Answer>,
    pub(in super::super) database: String,
}

impl InPostgres {
    pub(in super::super) fn with(settings: Settings, database: String) -> Result<InPostgres, OpenFault> {
        let (tell, answers) = mpsc::channel();
        let store = PostgresStore::open(settings, Box::new(Channel(tell)))?;
        Ok(InPostgres { store, answers, database })
    }
}

impl Subject for InPostgres {
    fn fresh(queue: usize) -> InPostgres {
        let server = server().expect("asked before");
        let database = server.database();
        let mut settings = server.settings(&database);
        settings.queue = queue;
        InPostgres::with(settings, database).expect("a store")
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn kept_intervals(&self) -> usize {
        let server = server().expect("asked before");
        let rows = server.ask(&self.database, "SELECT count(*) FROM agent_session_history");
        rows[0].parse().expect("a count")
    }

    fn answers(&self, count: usize) -> Vec<Answer> {
        (0..count).map(|_| self.answers.recv_timeout(PATIENCE).expect("an answer")).collect()
    }
}
