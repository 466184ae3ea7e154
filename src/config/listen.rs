//! Which API is served where: the listeners that the settings make.

use super::{Beside, Bind, ListenerTls, Prefix, Settings, TlsFiles, settings::Listen};
use crate::proxy::Networks;
use std::fmt;

/// A published API, as listeners serve it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Api {
    /// Who is in the classroom.
    Presence,
    /// Live attempts at quizzes.
    Quiz,
    /// Desktops for students.
    Labs,
    /// Sessions with agents.
    Chat,
    /// Internal routes, metrics, livez and readyz.
    Internal,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Api::Presence => "presence",
            Api::Quiz => "quiz",
            Api::Labs => "labs",
            Api::Chat => "chat",
            Api::Internal => "internal",
        })
    }
}

/// A socket to listen on, and what is served there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Where; port 0 is chosen by the kernel.
    pub bind: Bind,
    /// The APIs with the prefix of each; no two have the same.
    pub serves: Vec<(Api, Prefix)>,
    /// What of TLS is spoken there; none: none.
    pub tls: Option<TlsFiles>,
    /// Whose word of somebody else's address is believed.
    pub proxy: Networks,
}

/// How one API is served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served<'a> {
    pub(super) api: Api,
    pub(super) bind: &'a Bind,
    pub(super) prefix: &'a Prefix,
    pub(super) tls: &'a ListenerTls,
    pub(super) proxy: &'a Networks,
}

impl Settings {
    /// Each API's place, prefix, TLS and proxies.
    pub(super) fn served(&self) -> [Served<'_>; 5] {
        let Listen { presence, quiz, labs, chat, internal } = &self.listen;
        let labs_served = match &labs.bind {
            Beside::Presence => (&presence.bind, &presence.tls, &presence.proxy_protocol),
            Beside::Place(bind) => (bind, &labs.tls, &labs.proxy_protocol),
        };
        let served = |api, prefix, (bind, tls, proxy)| Served { api, bind, prefix, tls, proxy };
        [
            served(Api::Presence, &presence.prefix, (&presence.bind, &presence.tls, &presence.proxy_protocol)),
            served(Api::Quiz, &quiz.prefix, (&quiz.bind, &quiz.tls, &quiz.proxy_protocol)),
            served(Api::Labs, &labs.prefix, labs_served),
            served(Api::Chat, &chat.prefix, (&chat.bind, &chat.tls, &chat.proxy_protocol)),
            served(Api::Internal, &internal.prefix, (&internal.bind, &internal.tls, &internal.proxy_protocol)),
        ]
    }

    /// Whether an API goes wherever presence goes: also where the kernel chooses the port.
    pub(super) fn follows_presence(&self, api: Api) -> bool {
        api == Api::Labs && self.listen.labs.bind == Beside::Presence
    }

    /// The listeners, APIs with the same place together. An index into this list is what the engine calls a listener.
    pub fn listeners(&self) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        for served in self.served() {
            let follows = self.follows_presence(served.api);
            let shared = listeners.iter_mut().find(|listener| {
                let is_named = !served.bind.is_any_port();
                listener.bind == *served.bind && (is_named || follows && listener.serves[0].0 == Api::Presence)
            });
            let serves = (served.api, served.prefix.clone());
            match shared {
                Some(listener) => listener.serves.push(serves),
                None => listeners.push(Listener {
                    bind: served.bind.clone(),
                    serves: vec![serves],
                    tls: served.tls.files(&self.tls),
                    proxy: served.proxy.clone(),
                }),
            }
        }
        listeners
    }
}
