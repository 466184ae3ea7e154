//! Settings that are read again while the server runs: what differs, what of it is taken over, and what needs a restart.

use super::{Fault, Settings, Source, check, key::Sectioned};
use std::collections::BTreeSet;

/// Keys, and tables with all of theirs (those end in a dot), that a running server takes over. What is not here is bound to something that
/// is made once: sockets, rings, tables, threads, the place among other nodes.
const RELOADED: &[&str] = &[
    "models",
    "tools",
    "agents",
    "workflows",
    "log.level",
    "reload.",
    "presence.",
    "quiz.",
    "labs.",
    "chat.",
    "tasks.",
    "websocket.",
    "control.",
    "audit.",
    "limits.",
];
/// Of those tables what is not.
const NEED_A_RESTART: &[&str] = &["log.format", "tasks.status_interval"];

/// Whether a running server takes this key over.
pub fn is_reloaded(path: &str) -> bool {
    let is_named = |name: &&str| path == *name || name.ends_with('.') && path.starts_with(*name);
    RELOADED.iter().any(is_named) && !NEED_A_RESTART.contains(&path)
}

/// The keys in which settings differ from those that a server runs with, by their paths.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// Those that it takes over.
    pub adopted: BTreeSet<&'static str>,
    /// Those that stay as they are until it is started again.
    pub waiting: BTreeSet<&'static str>,
}

impl Changes {
    /// A key differs. True: it is taken over.
    pub(super) fn note(&mut self, path: &'static str) -> bool {
        let is_adopted = is_reloaded(path);
        if is_adopted {
            self.adopted.insert(path)
        } else {
            self.waiting.insert(path)
        };
        is_adopted
    }
}

impl Settings {
    /// What a server that runs with these goes on with when it has read `new`, and what has changed. What needs a restart stays as it is.
    ///
    /// # Errors
    /// Each is right, but what is taken over does not go with what stays.
    pub fn adopting(&self, new: &Settings) -> Result<(Settings, Changes), Vec<Fault>> {
        let (mut both, mut changes) = (self.clone(), Changes::default());
        both.adopt(new, &mut changes);
        let faults: Vec<Fault> = check::check(&both)
            .faults
            .into_iter()
            .map(|found| Fault { source: Source::Default, key: found.keys[0].to_owned(), message: found.message })
            .collect();
        if faults.is_empty() { Ok((both, changes)) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded};

    fn settings(text: &str) -> Settings {
        Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap().settings
    }

    #[test]
    fn only_what_may_be_is_taken_over_and_the_rest_is_told() {
        let before = settings("shards = 2\n[chat]\nmessages_a_minute = 60\n");
        let text = "shards = 3\n[log]\nlevel = \"debug\"\nformat = \"json\"\n[chat]\nmessages_a_minute = 5\n[listen.quiz]\nprefix = \"/q\"\n";
        let (after, changes) = before.adopting(&settings(text)).unwrap();
        assert_eq!(changes.adopted, ["chat.messages_a_minute", "log.level"].into());
        assert_eq!(changes.waiting, ["listen.quiz.prefix", "log.format", "shards"].into());
        assert_eq!((after.chat.messages_a_minute, after.shards), (5, 2));
        assert_eq!((&after.log.level, &after.log.format), (&settings(text).log.level, &before.log.format));
        assert_eq!(after.listen, before.listen);
        assert_eq!(before.adopting(&before).unwrap(), (before.clone(), Changes::default()));
    }

    #[test]
    fn every_limit_is_taken_over() {
        let own = Settings::sections().into_iter().find(|section| section.prefix == "limits.").unwrap();
        assert!(own.keys.len() > 5 && own.keys.iter().all(|key| is_reloaded(&key.path())));
    }

    #[test]
    fn what_is_taken_over_must_go_with_what_stays() {
        let before = settings("");
        // Right as a whole, but the listener that presence and quizzes would share needs a restart.
        let (after, changes) = before.adopting(&settings("[presence]\npong_timeout = \"4s\"\n")).unwrap();
        assert_eq!((changes.adopted.len(), after.presence.pong_timeout.as_secs()), (1, 4));
        let mut odd = before.clone();
        odd.presence.pong_timeout = odd.presence.ping_interval * 2;
        let faults = before.adopting(&odd).unwrap_err();
        assert!(faults.iter().any(|fault| fault.key.starts_with("presence.")), "{faults:?}");
    }

    #[test]
    fn every_name_in_the_lists_is_a_key_or_a_table() {
        let paths: Vec<String> = Settings::sections().iter().flat_map(|section| section.keys).map(|key| key.path()).collect();
        for name in RELOADED.iter().chain(NEED_A_RESTART) {
            assert!(paths.iter().any(|path| path == name || name.ends_with('.') && path.starts_with(name)), "{name}");
        }
        assert!(!is_reloaded("listen.presence.tls") && !is_reloaded("store.queue") && is_reloaded("presence.issuers"));
    }
}
