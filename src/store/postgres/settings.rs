//! What a PostgreSQL store needs to know, and how it is read from an address. A password is never told.

use super::fault::OpenFault;
use std::{
    collections::BTreeSet,
    env, fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// Whether tables that are older than this program are brought up to date when the store is opened. Where there are none they always are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Migrate {
    /// They are.
    Auto,
    /// The store is not opened then; `homeroom migrate` does it.
    Manual,
}

/// How the database is reached and shared.
#[derive(Clone)]
pub struct Settings {
    /// Where, as whom and with what; without timeouts.
    pub(in super::super) way: Config,
    /// Whether the connection is encrypted, and the database's certificate verified.
    pub(in super::super) tls: bool,
    /// The certificates that it is verified with, in PEM; the system's where there is none.
    pub(in super::super) root_certificate: Option<PathBuf>,
    /// What this node is called: one name, one node.
    pub node: String,
    /// Where the others reach this node; empty where they do not.
    pub address: String,
    /// How many shards it has.
    pub shards: u8,
    /// Enters and records that may wait; those beyond are refused as `Busy`.
    pub queue: usize,
    /// What waited longer is answered `Busy` and leaves no row. So long a read waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a statement may take before the database ends it. The connection of one that says nothing is given up a little later.
    pub statement_timeout: Duration,
    /// Connections for reads at most. One more writes, and one renews the lease.
    pub readers: usize,
    /// How long this node counts as alive after its last renewal, by the database's clock. Renewed at each third of it.
    pub lease: Duration,
    /// See [`Migrate`].
    pub migrate: Migrate,
    /// Only while no node serves from the database: for commands that do what a node would.
    pub alone: bool,
    /// The numbers of sessions that another process of this node has had, and that go on.
    pub sessions: BTreeSet<i64>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("place", &self.place()).field("node", &self.node).finish_non_exhaustive()
    }
}

impl Settings {
    /// The defaults with this address: `postgres://user[:password]@host[:port]/name`, with `sslmode` (`disable`, which it is without one,
    /// or `require`, `verify-ca`, `verify-full`: each of these verifies certificate and name) and `sslrootcert` among its parameters. The
    /// others are those of libpq that `tokio-postgres` knows. The password is, in this order, the address's, that of `password_file`,
    /// `PGPASSWORD`'s, or the one that the file named by `PGPASSFILE` (else `~/.pgpass`) has for this place.
    ///
    /// # Errors
    /// [`OpenFault::Address`], [`OpenFault::File`].
    pub fn new(url: &str, password_file: Option<&Path>) -> Result<Settings, OpenFault> {
        let Parts { rest, tls, root_certificate } = parts(url)?;
        // What the parser says may repeat a part of the address.
        let wrong = || OpenFault::Address("expected postgres://user@host:port/name".into());
        let mut way: Config = rest.parse().map_err(|_| wrong())?;
        if way.get_hosts().is_empty() {
            return Err(wrong());
        }
        way.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
        let mut settings = Settings {
            way,
            tls,
            root_certificate,
            node: "homeroom".into(),
            address: String::new(),
            shards: 1,
            queue: 65_536,
            acquire_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            readers: 8,
            lease: Duration::from_secs(6),
            migrate: Migrate::Auto,
            alone: false,
            sessions: BTreeSet::new(),
        };
        settings.find_password(password_file)?;
        Ok(settings)
    }

    /// Host, port and name of the database, for people.
    pub fn place(&self) -> String {
        let host = match self.way.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => String::new(),
        };
        format!("{host}:{}/{}", self.port(), self.database())
    }

    fn port(&self) -> u16 {
        self.way.get_ports().first().copied().unwrap_or(5432)
    }

    fn database(&self) -> &str {
        self.way.get_dbname().or(self.way.get_user()).unwrap_or_default()
    }

    fn find_password(&mut self, file: Option<&Path>) -> Result<(), OpenFault> {
        if self.way.get_password().is_some() {
            return Ok(());
        }
        if let Some(file) = file {
            let text = fs::read_to_string(file).map_err(|source| OpenFault::File { file: file.to_owned(), source })?;
            self.way.password(text.trim_end());
        } else if let Some(password) = env::var_os("PGPASSWORD") {
            self.way.password(password.into_encoded_bytes());
        } else if let Some(password) = self.password_of_file() {
            self.way.password(password);
        }
        Ok(())
    }

    /// As libpq does: a file that others may read is not looked at.
    fn password_of_file(&self) -> Option<String> {
        let named = env::var_os("PGPASSFILE").map(PathBuf::from);
        let file = named.or_else(|| env::home_dir().map(|home| home.join(".pgpass")))?;
        let known = fs::metadata(&file).ok()?;
        if !known.is_file() || known.mode() & 0o077 != 0 {
            tracing::debug!(file = %file.display(), "others may read the file of passwords, so it is not looked at");
            return None;
        }
        let host = match self.way.get_hosts().first()? {
            Host::Tcp(host) => host.clone(),
            Host::Unix(_) => "localhost".to_owned(),
        };
        let port = self.port().to_string();
        let wanted = [host.as_str(), &port, self.database(), self.way.get_user().unwrap_or_default()];
        fs::read_to_string(&file).ok()?.lines().find_map(|line| password_of(line, &wanted))
    }
}

/// The address without what only this program reads.
struct Parts {
    rest: String,
    tls: bool,
    root_certificate: Option<PathBuf>,
}

fn parts(url: &str) -> Result<Parts, OpenFault> {
    let (start, parameters) = url.split_once('?').unwrap_or((url, ""));
    let mut parts = Parts { rest: start.to_owned(), tls: false, root_certificate: None };
    let mut kept = Vec::new();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "sslmode" => {
                parts.tls = match value {
                    "disable" => false,
                    "require" | "verify-ca" | "verify-full" => true,
                    _ => return Err(OpenFault::Address("expected sslmode=disable, require, verify-ca or verify-full".into())),
                }
            }
            "sslrootcert" => {
                let path = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
                parts.root_certificate = Some(PathBuf::from(&*path));
            }
            _ => kept.push(parameter),
        }
    }
    if !kept.is_empty() {
        parts.rest = format!("{start}?{}", kept.join("&"));
    }
    Ok(parts)
}

/// The password of a line `host:port:database:user:password` that is for this place; `*` is any, `\` stands before a colon or itself.
fn password_of(line: &str, wanted: &[&str; 4]) -> Option<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut()?.push(characters.next()?),
            _ => fields.last_mut()?.push(character),
        }
    }
    let matches = |(field, wanted): (&String, &&str)| field == "*" || field == wanted;
    let is_it = !line.starts_with('#') && fields.len() == 5 && fields.iter().zip(wanted).all(matches);
    if is_it { fields.pop() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_where_and_how() {
        let settings =
            Settings::new("postgres://ada:se%3Acret@db.school:6432/homeroom?sslmode=verify-full&sslrootcert=%2Fca.pem", None);
        let settings = settings.unwrap();
        assert_eq!(settings.place(), "db.school:6432/homeroom");
        assert_eq!((settings.tls, settings.root_certificate.as_deref()), (true, Some(Path::new("/ca.pem"))));
        assert_eq!(settings.way.get_password(), Some(&b"se:cret"[..]));
        assert!(!format!("{settings:?}").contains("cret"));
        let plain = Settings::new("postgres:///homeroom?host=/run/postgresql&user=ada", None).unwrap();
        assert_eq!((plain.place(), plain.tls), ("/run/postgresql:5432/homeroom".into(), false));
    }

    #[test]
    fn what_is_wrong_with_an_address_repeats_nothing_of_it() {
        for url in ["postgres://", "postgres://u:verysecret@h:x/y", "postgres://u:verysecret@h/y?sslmode=maybe-verysecret"] {
            let fault = Settings::new(url, None).unwrap_err();
            assert!(matches!(fault, OpenFault::Address(_)), "{url}: {fault}");
            assert!(!format!("{fault} {fault:?}").contains("verysecret"), "{fault}");
        }
    }

    #[test]
    fn a_password_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "words and spaces\n").unwrap();
        let settings = Settings::new("postgres://ada@db/homeroom", Some(&file)).unwrap();
        assert_eq!(settings.way.get_password(), Some(&b"words and spaces"[..]));
        let gone = Settings::new("postgres://ada@db/homeroom", Some(&folder.path().join("none")));
        assert!(matches!(gone, Err(OpenFault::File { .. })));
    }

    #[test]
    fn a_line_of_passwords_is_for_its_place() {
        let wanted = ["db", "5432", "homeroom", "ada"];
        assert_eq!(password_of(r"db:5432:*:ada:one\:two\\", &wanted), Some(r"one:two\".into()));
        assert_eq!(password_of("*:*:*:*:a:b", &wanted), Some("a:b".into()));
        assert_eq!(password_of("db:5433:*:ada:no", &wanted), None);
        assert_eq!(password_of("#*:*:*:*:no", &wanted), None);
        assert_eq!(password_of("db:5432:homeroom:ada", &wanted), None);
    }
}
