//! The agent's settings: one TOML file, and a few flags that come before it.

use crate::desks::{Template, Wanted, orders::Limits, plan::is_folder_name, quantities};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Every setting with its comment, as `homeroom agent --print-config` shows it.
pub const SAMPLE: &str = include_str!("agent.toml");
/// The X servers that show themselves by VNC, the better one first.
const X_SERVERS: [&str; 2] = ["Xtigervnc", "Xvnc"];
/// Where programs are looked for, and what sessions have as their `PATH`.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games";

/// Whose homes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Homes {
    /// All sessions of a user share one.
    User,
    /// Each session has one.
    Session,
}

/// How limits are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitsBy {
    /// As far as it can be.
    Auto,
    /// By control groups, or the agent does not start.
    Cgroup,
    /// By limits of each process.
    Rlimit,
    /// Not at all.
    None,
}

/// See [`SAMPLE`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The control plane.
    pub server: String,
    /// What the agent calls itself; empty: the machine's name.
    #[serde(default)]
    pub id: String,
    /// Where it is.
    pub region: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What the control plane asks of agents.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Sessions at a time.
    #[serde(default)]
    pub max_sessions: Option<u32>,
    /// The first number of sessions.
    pub first_port: u16,
    /// The last.
    pub last_port: u16,
    /// As whom sessions run.
    #[serde(default)]
    pub user: Option<String>,
    /// Whose homes are.
    pub homes: Homes,
    /// Whether a session's own home stays.
    pub keep_homes: bool,
    /// Whether sessions end with the agent.
    pub stop_sessions_on_exit: bool,
    /// From TERM to KILL.
    #[serde(deserialize_with = "duration")]
    pub stop_timeout: Duration,
    /// Until the screen.
    #[serde(deserialize_with = "duration")]
    pub start_timeout: Duration,
    /// Bytes of each session's output.
    #[serde(deserialize_with = "size")]
    pub log_size: u64,
    /// How limits are held.
    pub limits: LimitsBy,
    /// Such as `1280x800`.
    pub geometry: String,
    /// For templates without a table.
    #[serde(default)]
    pub default: Table,
    /// By name.
    #[serde(default)]
    pub templates: BTreeMap<String, Table>,
}

/// What is said of a template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    command: Option<Vec<String>>,
    program: Option<Vec<String>>,
    workdir: Option<String>,
    vnc: Option<String>,
    banner: Option<bool>,
    user: Option<String>,
    memory: Option<String>,
    cpu: Option<String>,
    #[serde(deserialize_with = "maybe_duration")]
    start_timeout: Option<Duration>,
    env: BTreeMap<String, String>,
}

/// What flags say in place of the file.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `server`.
    pub server: Option<String>,
    /// `id`.
    pub id: Option<String>,
    /// `region`.
    pub region: Option<String>,
    /// `data_dir`.
    pub data_dir: Option<PathBuf>,
}

impl Settings {
    /// The file's settings, or the usual ones without a file; what flags say comes first.
    ///
    /// # Errors
    /// What is wrong with them, for people. Values are not repeated: an environment may have a secret in it.
    pub fn load(file: Option<&Path>, given: Given) -> Result<Settings, String> {
        let text = match file {
            Some(path) => fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
            None => String::new(),
        };
        let named = |fault: String| file.map_or_else(|| fault.clone(), |path| format!("{}: {fault}", path.display()));
        Settings::read(&text, given).map_err(named)
    }

    fn read(text: &str, given: Given) -> Result<Settings, String> {
        let place = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            format!("line {line}: {}", error.message())
        };
        let mut all: toml::Table = toml::from_str(SAMPLE).map_err(|error| error.to_string())?;
        // Read alone first: only then the lines of its faults are those of the file.
        toml::from_str::<Partial>(text).map_err(place)?;
        all.extend(toml::from_str::<toml::Table>(text).map_err(place)?);
        let mut settings: Settings = all.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        settings.server = given.server.unwrap_or(settings.server);
        settings.id = given.id.unwrap_or(settings.id);
        settings.region = given.region.unwrap_or(settings.region);
        settings.data_dir = given.data_dir.unwrap_or(settings.data_dir);
        if settings.id.is_empty() {
            settings.id = super::machine::name();
        }
        settings.check().map(|()| settings)
    }

    fn check(&self) -> Result<(), String> {
        let is_name = crate::protocols::labs::agent_messages::is_name;
        if !is_name(&self.id) {
            return Err("id: expected 1 to 128 of letters, digits, '.', '_' and '-'".to_owned());
        }
        if !self.region.is_empty() && !is_name(&self.region) {
            return Err("region: expected letters, digits, '.', '_' and '-'".to_owned());
        }
        if self.first_port <= 5900 || self.last_port < self.first_port {
            return Err("first_port: expected above 5900, and last_port not below it".to_owned());
        }
        super::wire::address(&self.server).map(|_| ())
    }

    /// What is started for a session: by its template's name, by its image, or the default.
    pub fn template(&self, wanted: &Wanted) -> Template {
        let own = [&wanted.template, &wanted.image].into_iter().find_map(|name| self.templates.get(name));
        self.resolved(own.unwrap_or(&self.default))
    }

    /// Every template that has a table, and the default one.
    pub fn all_templates(&self) -> impl Iterator<Item = (&str, Template)> {
        let own = self.templates.iter().map(|(name, table)| (name.as_str(), self.resolved(table)));
        std::iter::once(("default", self.resolved(&self.default))).chain(own)
    }

    fn resolved(&self, own: &Table) -> Template {
        let base = &self.default;
        // A command of its own needs no program on top; on the X server of all one does.
        let program = own.program.clone().or_else(|| own.command.is_none().then(|| base.program.clone())?);
        let is_usual = own.command.is_none() && base.command.is_none();
        let mut env = base.env.clone();
        env.extend(own.env.clone());
        Template {
            command: own.command.clone().or_else(|| base.command.clone()).unwrap_or_else(x_server),
            program: program.unwrap_or_else(|| if is_usual { terminal() } else { Vec::new() }),
            env,
            workdir: own.workdir.clone().or_else(|| base.workdir.clone()).unwrap_or_else(|| "{home}".to_owned()),
            user: own.user.clone().or_else(|| base.user.clone()).or_else(|| self.user.clone()),
            vnc: own.vnc.clone().or_else(|| base.vnc.clone()).unwrap_or_else(|| "127.0.0.1:{port}".to_owned()),
            banner: own.banner.or(base.banner).unwrap_or(true),
            limits: Limits {
                memory: own.memory.clone().or_else(|| base.memory.clone()).unwrap_or_default(),
                cpu: own.cpu.clone().or_else(|| base.cpu.clone()).unwrap_or_default(),
            },
            start_timeout: own.start_timeout.or(base.start_timeout).unwrap_or(self.start_timeout),
        }
    }

    /// A session's folder: its log, its sockets, and its home if it has one of its own.
    pub fn folder(&self, session: &str) -> PathBuf {
        self.data_dir.join("sessions").join(session)
    }

    /// A session's home, and whether it is the session's own.
    pub fn home(&self, session: &str, wanted: &Wanted) -> (PathBuf, bool) {
        let is_shared = self.homes == Homes::User && wanted.persistent_home != Some(false) && is_folder_name(&wanted.user);
        if is_shared {
            (self.data_dir.join("homes").join(&wanted.user), false)
        } else {
            (self.folder(session).join("home"), true)
        }
    }
}

/// The file by itself: anything may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its faults")]
struct Partial {
    server: Option<String>,
    id: Option<String>,
    region: Option<String>,
    data_dir: Option<PathBuf>,
    key_file: Option<PathBuf>,
    max_sessions: Option<u32>,
    first_port: Option<u16>,
    last_port: Option<u16>,
    user: Option<String>,
    homes: Option<Homes>,
    keep_homes: Option<bool>,
    stop_sessions_on_exit: Option<bool>,
    #[serde(default, deserialize_with = "maybe_duration")]
    stop_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "maybe_duration")]
    start_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "maybe_size")]
    log_size: Option<u64>,
    limits: Option<LimitsBy>,
    geometry: Option<String>,
    default: Option<Table>,
    templates: Option<BTreeMap<String, Table>>,
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let read = text.parse::<jiff::SignedDuration>().ok().and_then(|signed| Duration::try_from(signed).ok());
    read.ok_or_else(|| D::Error::custom("expected a duration such as \"10s\" or \"1m30s\""))
}

fn maybe_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    quantities::memory(&String::deserialize(from)?)
        .ok_or_else(|| D::Error::custom("expected a size such as \"1Mi\" or \"256Ki\""))
}

fn maybe_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    size(from).map(Some)
}

/// Whether there is a program of this name.
pub(super) fn found(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Path::new(program).exists().then(|| program.into());
    }
    PATH.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

fn x_server() -> Vec<String> {
    let program = X_SERVERS.into_iter().find(|name| found(name).is_some()).unwrap_or(X_SERVERS[0]);
    let arguments = [
        ":{display}",
        "-rfbport",
        "{port}",
        "-localhost",
        "-SecurityTypes",
        "None",
        "-auth",
        "{run}/Xauthority",
        "-geometry",
        "{geometry}",
        "-desktop",
        "{template}",
    ];
    std::iter::once(program).chain(arguments).map(str::to_owned).collect()
}

fn terminal() -> Vec<String> {
    let command = ["xterm", "-geometry", "210x60+1+1"].map(str::to_owned).to_vec();
    found("xterm").map(|_| command).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        Settings::read(text, Given::default())
    }

    fn wanted(template: &str, image: &str) -> Wanted {
        Wanted { template: template.into(), image: image.into(), user: "ann".into(), ..Wanted::default() }
    }

    #[test]
    fn without_a_file_the_printed_one_holds() {
        let settings = read("").unwrap();
        assert_eq!((settings.first_port, settings.stop_timeout, settings.log_size), (5901, Duration::from_secs(10), 1 << 20));
        assert!(!settings.id.is_empty());
        let commented = SAMPLE.replace("# ", "").lines().filter(|line| line.contains(" = ") && !line.contains(": ")).count();
        assert!(commented >= 25, "{commented}");
    }

    #[test]
    fn faults_have_their_line_and_no_value() {
        for (text, fault) in [
            ("\n\nserver = 7", "line 3"),
            ("serve = \"x\"", "unknown field"),
            ("stop_timeout = \"5\"", "expected a duration"),
            ("[templates.a]\ncommand = \"hunter2\"", "line 2"),
            ("first_port = 5900", "first_port"),
            ("server = \"gopher://hunter2\"", "server"),
            ("id = \"a b\"", "id:"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(fault), "{said}");
        }
    }

    #[test]
    fn flags_come_first() {
        let given = Given { id: Some("mine".into()), ..Given::default() };
        assert_eq!(Settings::read("id = \"its\"\nregion = \"r\"", given).unwrap().id, "mine");
    }

    #[test]
    fn a_template_is_found_by_its_name_or_image_and_has_the_rest_of_the_default() {
        let settings = read(
            "user = \"student\"\n[default]\nprogram = [\"twm\"]\nenv = { A = \"1\", B = \"1\" }\nmemory = \"1Gi\"\n\
             [templates.firefox]\nprogram = [\"firefox\"]\nenv = { B = \"2\" }\n[templates.game]\ncommand = [\"game\"]\nbanner = false",
        )
        .unwrap();
        let firefox = settings.template(&wanted("web", "firefox"));
        assert_eq!((&firefox.program[..], firefox.user.as_deref()), (&["firefox".to_owned()][..], Some("student")));
        assert_eq!((&*firefox.env["A"], &*firefox.env["B"], &*firefox.limits.memory), ("1", "2", "1Gi"));
        assert!(firefox.command[0].starts_with('X') && firefox.banner);
        let game = settings.template(&wanted("game", ""));
        assert!(game.command == ["game"] && game.program.is_empty() && !game.banner);
        assert_eq!(settings.template(&wanted("other", "image")).program, ["twm"]);
        assert_eq!(settings.all_templates().count(), 3);
    }

    #[test]
    fn homes_are_the_users_unless_they_are_not_to_stay() {
        let settings = read("data_dir = \"/d\"").unwrap();
        let home = |wanted: &Wanted| settings.home("s", wanted);
        assert_eq!(home(&wanted("t", "")), ("/d/homes/ann".into(), false));
        assert_eq!(home(&Wanted { persistent_home: Some(false), ..wanted("t", "") }), ("/d/sessions/s/home".into(), true));
        assert_eq!(home(&Wanted { user: "..".into(), ..wanted("t", "") }), ("/d/sessions/s/home".into(), true));
    }
}
