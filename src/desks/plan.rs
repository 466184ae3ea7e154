//! What is started for a session: a template with its words filled in.

use super::{
    orders::{Limits, Wanted},
    quantities,
};
use std::{collections::BTreeMap, time::Duration};

/// What a host knows how to start. Every text may have `{port}`, `{display}`, `{home}`, `{run}`, `{session}`, `{user}`, `{template}` and
/// `{geometry}` in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Template {
    /// What serves the screen: a program and its arguments.
    pub command: Vec<String>,
    /// What runs on that screen, with `DISPLAY` set; started again whenever it ends. Empty: nothing.
    pub program: Vec<String>,
    /// Beside what the control plane says.
    pub env: BTreeMap<String, String>,
    /// Where both begin.
    pub workdir: String,
    /// As which account, if the agent may choose (it is root); none: as the agent itself.
    pub user: Option<String>,
    /// Where the screen is reached: an address with a port, or `unix:` and a path.
    pub vnc: String,
    /// Whether the screen speaks first, with `RFB`. Otherwise it is ready when it takes a connection.
    pub banner: bool,
    /// In place of what the control plane says.
    pub limits: Limits,
    /// How long until the screen is there.
    pub start_timeout: Duration,
}

/// What the words in braces stand for in one run.
#[derive(Clone, PartialEq, Debug)]
pub struct Words {
    /// The number that stands for its ports and its display, no other run's here.
    pub port: u16,
    /// Its home.
    pub home: String,
    /// Its folder for sockets.
    pub run: String,
    /// Its id.
    pub session: String,
    /// Such as `1280x800`.
    pub geometry: String,
}

/// What is started.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// What serves the screen.
    pub command: Vec<String>,
    /// What runs on it; empty: nothing.
    pub program: Vec<String>,
    /// All of both their environment, but `DISPLAY`, which only the program has.
    pub env: BTreeMap<String, String>,
    /// Where both begin.
    pub workdir: String,
    /// As which account.
    pub user: Option<String>,
    /// Where the screen is reached.
    pub screen: super::Screen,
    /// Whether it speaks first.
    pub banner: bool,
    /// Bytes.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// How long until the screen is there.
    pub start_timeout: Duration,
}

/// The number of the first X display's port.
const DISPLAY_ZERO: u16 = 5900;

impl Words {
    /// The number of the X display.
    pub fn display(&self) -> u16 {
        self.port.saturating_sub(DISPLAY_ZERO)
    }

    fn fill(&self, text: &str, wanted: &Wanted) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            filled.push_str(&rest[..open]);
            let inside = &rest[open + 1..];
            let (name, after) = inside.split_once('}').unwrap_or(("", inside));
            let word = self.word(name, wanted);
            filled.push_str(word.as_deref().unwrap_or("{"));
            rest = if word.is_some() { after } else { inside };
        }
        filled + rest
    }

    fn word(&self, name: &str, wanted: &Wanted) -> Option<String> {
        Some(match name {
            "port" => self.port.to_string(),
            "display" => self.display().to_string(),
            "home" => self.home.clone(),
            "run" => self.run.clone(),
            "session" => self.session.clone(),
            "user" => wanted.user.clone(),
            "template" => wanted.template.clone(),
            "geometry" => self.geometry.clone(),
            _ => return None,
        })
    }
}

/// What a template means for one run.
pub fn plan(template: &Template, wanted: &Wanted, words: &Words) -> Plan {
    let fill = |text: &String| words.fill(text, wanted);
    let limit = |own: &String, said: &String| if own.is_empty() { said.clone() } else { own.clone() };
    let screen = fill(&template.vnc);
    let mut env: BTreeMap<String, String> = wanted
        .environment
        .iter()
        .filter(|(name, _)| is_harmless(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    env.extend(template.env.iter().map(|(name, value)| (name.clone(), fill(value))));
    env.insert("HOME".to_owned(), words.home.clone());
    env.insert("XDG_RUNTIME_DIR".to_owned(), words.run.clone());
    Plan {
        command: template.command.iter().map(fill).collect(),
        program: template.program.iter().map(fill).collect(),
        env,
        workdir: fill(&template.workdir),
        user: template.user.as_ref().map(fill),
        screen: screen
            .strip_prefix("unix:")
            .map_or_else(|| super::Screen::Tcp(screen.clone()), |path| super::Screen::Unix(path.to_owned())),
        banner: template.banner,
        memory: quantities::memory(&limit(&template.limits.memory, &wanted.resources.memory)),
        cpu_millis: quantities::cpu_millis(&limit(&template.limits.cpu, &wanted.resources.cpu)),
        start_timeout: template.start_timeout,
    }
}

/// Whether the control plane may set this variable: it says what a program does, not which code runs, or whose it is.
fn is_harmless(name: &str) -> bool {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_ours = ["LD_", "HOMEROOM_", "XDG_RUNTIME_DIR"].iter().any(|prefix| name.starts_with(prefix));
    is_name && !is_ours && !matches!(name, "PATH" | "HOME" | "USER" | "LOGNAME" | "SHELL" | "DISPLAY" | "XAUTHORITY")
}

/// Whether this may stand in a path as somebody's own folder.
pub fn is_folder_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        Template {
            command: vec!["X".into(), ":{display}".into(), "{port}{port".into(), "{nothing}{user}}".into()],
            program: vec!["xterm".into(), "{template} {geometry}".into()],
            env: [("EDITOR".to_owned(), "{home}/vi".to_owned())].into(),
            workdir: "{home}".into(),
            user: Some("{user}".into()),
            vnc: "127.0.0.1:{port}".into(),
            banner: true,
            limits: Limits { memory: String::new(), cpu: "500m".into() },
            start_timeout: Duration::from_secs(1),
        }
    }

    fn words() -> Words {
        Words { port: 5907, home: "/h".into(), run: "/r".into(), session: "s".into(), geometry: "8x6".into() }
    }

    fn wanted() -> Wanted {
        let environment = ["TZ", "LD_PRELOAD", "PATH", "HOME", "HOMEROOM_SESSION", "A=B", ""];
        Wanted {
            user: "ann".into(),
            template: "desktop".into(),
            resources: Limits { memory: "1Ki".into(), cpu: "4".into() },
            environment: environment.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect(),
            ..Wanted::default()
        }
    }

    #[test]
    fn words_are_filled_in_and_other_braces_stay() {
        let plan = plan(&template(), &wanted(), &words());
        assert_eq!(plan.command, ["X", ":7", "5907{port", "{nothing}ann}"]);
        assert_eq!(plan.program, ["xterm", "desktop 8x6"]);
        assert_eq!((plan.workdir.as_str(), plan.user.as_deref()), ("/h", Some("ann")));
        assert_eq!(plan.screen, super::super::Screen::Tcp("127.0.0.1:5907".into()));
        assert_eq!((plan.memory, plan.cpu_millis), (Some(1024), Some(500)), "a template's own limit counts");
    }

    #[test]
    fn what_was_filled_in_is_not_filled_again() {
        let wanted = Wanted { user: "{home}".into(), ..wanted() };
        assert_eq!(plan(&template(), &wanted, &words()).command[3], "{nothing}{home}}");
    }

    #[test]
    fn the_control_plane_does_not_choose_whose_code_runs() {
        let env: Vec<_> = plan(&template(), &wanted(), &words()).env.into_iter().collect();
        let expected = [("EDITOR", "/h/vi"), ("HOME", "/h"), ("TZ", "x"), ("XDG_RUNTIME_DIR", "/r")];
        assert!(env.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected), "{env:?}");
    }

    #[test]
    fn folders_have_the_names_of_people() {
        assert!(["ann", "john.doe", "a-b_c"].into_iter().all(is_folder_name));
        assert!(!["", ".", "..", ".ssh", "a/b", "é", "a b"].into_iter().any(is_folder_name));
    }

    #[test]
    fn a_socket_has_a_path() {
        let template = Template { vnc: "unix:{run}/vnc".into(), ..template() };
        assert_eq!(plan(&template, &wanted(), &words()).screen, super::super::Screen::Unix("/r/vnc".into()));
    }
}
