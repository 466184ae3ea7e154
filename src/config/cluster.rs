//! How nodes become one: where NATS is, how it is signed in to, and how long a node may be silent.

use super::{Database, Fault, Loaded, SecretPlace, Settings, Source, check::Findings, key::section, setting::Setting};
use std::{ops::Deref, path::PathBuf, str::FromStr, time::Duration};
use toml::de::DeValue;

section! {
    /// Several nodes that act as one: each with the same database, which is not SQLite, and the same NATS. `cluster = "nats://…"` at the
    /// top says as much as servers here.
    Cluster at "cluster." {
        /// Where NATS is, such as "nats://127.0.0.1:4222"; with "tls://" the connection must be encrypted. Several with commas. Nobody is
        /// asked for a password here: see below. Empty: this node is alone.
        servers: Servers = "";
        /// What the subjects begin with. Nodes with different prefixes know nothing of each other.
        prefix: SubjectPrefix = "homeroom";
        /// What the subjects begin with by which other services publish to classrooms: `….classroom.{id}.*`. Empty: `classroom.{id}.*`.
        outside_prefix: Option<SubjectPrefix> = "";
        /// How many of their messages this node takes a second; what is more is dropped and counted. 0: they are not heard.
        outside_rate: u32 = 1000;
        /// A file of credentials, as `nsc` makes them: a JWT and the key that signs for it.
        credentials_file: Option<PathBuf> = "";
        /// A user of NATS. The password is in a file or in an environment variable of this name.
        user: Option<String> = "";
        /// See user.
        password_file: Option<PathBuf> = "";
        /// See user.
        password_variable: Option<String> = "";
        /// A token of NATS instead: in a file or in an environment variable of this name.
        token_file: Option<PathBuf> = "";
        /// See token_file.
        token_variable: Option<String> = "";
        /// Whose certificates NATS may show: a file of PEM. The connection must be encrypted then. Without one those that the machine
        /// trusts.
        ca_file: Option<PathBuf> = "";
        /// What this node shows to NATS: a file of PEM with the certificate and those above it.
        certificate_file: Option<PathBuf> = "";
        /// The key of certificate_file: a file of PEM.
        key_file: Option<PathBuf> = "";
    }
}

/// Where NATS is: no server, or some, without a password.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Servers(Vec<String>);

/// Each as `nats://host:port` or `tls://host:port`; none: the node is alone.
impl Deref for Servers {
    type Target = [String];
    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Servers {
    type Err = &'static str;
    fn from_str(given: &str) -> Result<Servers, &'static str> {
        if given.is_empty() {
            return Ok(Servers::default());
        }
        given.split(',').map(server).collect::<Option<_>>().map(Servers).ok_or(Self::EXPECTED)
    }
}

/// The port of NATS where none is said.
const PORT: u16 = 4222;

/// One of them, whole.
fn server(given: &str) -> Option<String> {
    let given = given.trim();
    let (scheme, rest) = given.split_once("://").unwrap_or(("nats", given));
    let uri: http::Uri = format!("http://{}", rest.trim_end_matches('/')).parse().ok()?;
    let authority = uri.authority().filter(|_| matches!(scheme, "nats" | "tls"))?;
    let is_bare = uri.path() == "/" && uri.query().is_none();
    // The authority's own idea of a port passes over those that are none.
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" => PORT,
        said => said.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
    };
    (is_bare && !authority.host().is_empty()).then(|| format!("{scheme}://{}:{port}", authority.host()))
}

impl Setting for Servers {
    const EXPECTED: &'static str = "addresses such as \"nats://127.0.0.1:4222\" or \"tls://nats.example.school\", with commas between them, \
                                    without user and password (these have keys of their own in [cluster])";
    fn scalar(value: &DeValue<'_>) -> Result<Servers, &'static str> {
        value.as_str().ok_or(Self::EXPECTED)?.parse()
    }
}

/// What subjects begin with: names with dots between them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubjectPrefix(String);

impl Deref for SubjectPrefix {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Setting for SubjectPrefix {
    const EXPECTED: &'static str =
        "names such as \"homeroom\" or \"city.homeroom\": letters, digits, - and _, at most 64 characters";
    fn scalar(value: &DeValue<'_>) -> Result<SubjectPrefix, &'static str> {
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let is_prefix = |given: &&str| given.len() <= 64 && given.split('.').all(is_name);
        value.as_str().filter(is_prefix).map(|given| SubjectPrefix(given.to_owned())).ok_or(Self::EXPECTED)
    }
}

impl Setting for Option<SubjectPrefix> {
    const EXPECTED: &'static str =
        "names such as \"school\" or \"city.school\": letters, digits, - and _, at most 64 characters; empty for none";
    fn scalar(value: &DeValue<'_>) -> Result<Option<SubjectPrefix>, &'static str> {
        if value.as_str() == Some("") {
            return Ok(None);
        }
        SubjectPrefix::scalar(value).map(Some).map_err(|_| Self::EXPECTED)
    }
}

/// How a node shows NATS who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignIn {
    /// Not at all, or by its certificate.
    Nobody,
    /// By this file of credentials.
    Credentials(PathBuf),
    /// By name and password.
    User(String, SecretPlace),
    /// By a token.
    Token(SecretPlace),
}

fn place(file: &Option<PathBuf>, variable: &Option<String>) -> Option<SecretPlace> {
    let variable = || variable.clone().map(SecretPlace::Variable);
    file.clone().map(SecretPlace::File).or_else(variable)
}

impl Cluster {
    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        !self.servers.is_empty()
    }

    /// How this node shows who it is.
    pub fn sign_in(&self) -> SignIn {
        let password = || place(&self.password_file, &self.password_variable);
        if let Some(file) = &self.credentials_file {
            return SignIn::Credentials(file.clone());
        }
        if let (Some(user), Some(password)) = (&self.user, password()) {
            return SignIn::User(user.clone(), password);
        }
        place(&self.token_file, &self.token_variable).map_or(SignIn::Nobody, SignIn::Token)
    }

    /// Whether the connection must be encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.ca_file.is_some() || self.certificate_file.is_some() || self.servers.iter().any(|url| url.starts_with("tls://"))
    }

    /// The files that must be there, by their keys.
    fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let files = [
            ("cluster.credentials_file", &self.credentials_file),
            ("cluster.password_file", &self.password_file),
            ("cluster.token_file", &self.token_file),
            ("cluster.ca_file", &self.ca_file),
            ("cluster.certificate_file", &self.certificate_file),
            ("cluster.key_file", &self.key_file),
        ];
        files.into_iter().filter_map(|(key, file)| Some((key, file.as_ref()?)))
    }

    fn variables(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let variables =
            [("cluster.password_variable", &self.password_variable), ("cluster.token_variable", &self.token_variable)];
        variables.into_iter().filter_map(|(key, name)| Some((key, name.as_ref()?)))
    }

    /// What is wanted of it and cannot be had. Looks at the disk and the environment.
    pub(super) fn unreadable(&self, loaded: &Loaded) -> Vec<Fault> {
        let files = self.files().map(|(key, file)| (key, SecretPlace::File(file.clone())));
        let all = files.chain(self.variables().map(|(key, name)| (key, SecretPlace::Variable(name.clone()))));
        let source = |key| loaded.sources.get(key).cloned().unwrap_or(Source::Default);
        all.filter_map(|(key, place)| Some(Fault { source: source(key), key: key.to_owned(), message: place.missing()? }))
            .collect()
    }
}

/// A longer one would take every end for a pause.
const LONGEST_LEASE: Duration = Duration::from_secs(60);
/// A member of a view says it in one byte.
const MOST_SHARDS: u16 = 255;

/// Relations between its keys, and to others.
pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    let own = &settings.cluster;
    if own.is_there() && settings.store.lease > LONGEST_LEASE {
        findings.fault(&["store.lease", "cluster.servers"], "expected at most 60s on a node of a cluster");
    }
    if own.is_there() && settings.database == Database::Sqlite {
        let message = "nodes share their records, and SQLite is one machine's: expected database to be \"postgres://…\", the same on \
                       every node";
        findings.fault(&["cluster.servers", "database"], message);
    }
    if own.is_there() && settings.shards > MOST_SHARDS {
        findings.fault(&["shards", "cluster.servers"], "expected at most 255 shards on a node of a cluster");
    }
    sign_in(own, findings);
    if own.certificate_file.is_some() != own.key_file.is_some() {
        findings
            .fault(&["cluster.certificate_file", "cluster.key_file"], "expected both certificate_file and key_file, or neither");
    }
    let said = own.files().map(|(key, _)| key).chain(own.variables().map(|(key, _)| key));
    let said = said.chain(own.user.as_ref().map(|_| "cluster.user"));
    if !own.is_there() {
        for key in said {
            findings.warning(&[key], "has no effect without cluster.servers");
        }
    }
}

fn sign_in(own: &Cluster, findings: &mut Findings) {
    for (file, variable, keys) in [
        (&own.password_file, &own.password_variable, ["cluster.password_variable", "cluster.password_file"]),
        (&own.token_file, &own.token_variable, ["cluster.token_variable", "cluster.token_file"]),
    ] {
        if file.is_some() && variable.is_some() {
            findings.fault(&keys, "expected either a file or a variable");
        }
    }
    let has_password = place(&own.password_file, &own.password_variable).is_some();
    if own.user.is_some() && !has_password {
        findings.fault(&["cluster.user"], "expected password_file or password_variable with it");
    }
    if own.user.is_none() && has_password {
        findings.fault(&["cluster.password_file", "cluster.password_variable"], "expected user with it");
    }
    let has_token = place(&own.token_file, &own.token_variable).is_some();
    if [own.credentials_file.is_some(), own.user.is_some(), has_token].into_iter().filter(|is| *is).count() > 1 {
        findings.fault(
            &["cluster.credentials_file", "cluster.user", "cluster.token_file", "cluster.token_variable"],
            "expected one way to sign in: credentials_file, user or a token",
        );
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
