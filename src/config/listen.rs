//! Which API is served where: the listeners that the settings make.

use super::{Beside, Bind, ListenerTls, Prefix, Settings, TlsFiles, WebOrigin, key::section};
use crate::proxy::Networks;
use std::fmt;

section! {
    /// Where each API is served. APIs with the same address share a listener. Port 0 takes a free port, and is never shared.
    Listen at "listen." {}
    with {
        /// Presence: `/ws` and its REST routes.
        presence: ListenPresence;
        /// Quiz: `/ws` and its REST routes.
        quiz: ListenQuiz;
        /// Labs: the REST routes, `/agent/ws` and `/vnc-viewer/…`.
        labs: ListenLabs;
        /// Chat and tasks: the REST routes, `/ws/sessions/…` and `/ws`.
        chat: ListenChat;
        /// The internal routes, metrics, livez and readyz.
        internal: ListenInternal;
    }
}

/// The keys of a listener, and those that only some have.
macro_rules! listener {
    ($(#[doc = $about:literal])* $name:ident at $prefix:literal = $bind:literal { $($more:tt)* }) => {
        section! {
            $(#[doc = $about])*
            $name at $prefix {
                /// The address and port: "0.0.0.0:…" or "[::]:…" opens it to the network. Or "unix:/path"; or "systemd:name", the socket
                /// that a socket unit with this FileDescriptorName= has opened.
                bind: Bind = $bind;
                /// What its paths begin with, such as "/presence": needed where APIs share a listener.
                prefix: Prefix = "";
                $($more)*
                /// Whether it speaks TLS: true, as [tls] says; or a table with a certificate, key and min_version of its own.
                tls: ListenerTls = false;
                /// Proxies before it that say by the PROXY protocol (1 or 2) whose connection each is: the networks that they are in,
                /// such as ["10.0.0.0/8", "unix"]. From there no connection is taken without that, and from elsewhere none with it.
                proxy_protocol: Networks = [];
            }
        }
    };
}

/// A public API's listener; only the address differs.
macro_rules! listen {
    ($(#[doc = $about:literal])* $name:ident at $prefix:literal = $bind:literal) => {
        listener! {
            $(#[doc = $about])*
            $name at $prefix = $bind {
                /// Where browsers find it, such as "https://school.example", when that is not this address. The console asks there.
                origin: Option<WebOrigin> = "";
            }
        }
    };
}

listen! {
    /// Presence: `/ws` and its REST routes.
    ListenPresence at "listen.presence." = "127.0.0.1:8080"
}

listen! {
    /// Quiz: `/ws` and its REST routes.
    ListenQuiz at "listen.quiz." = "127.0.0.1:8090"
}

section! {
    /// Labs: the REST routes, `/agent/ws` and `/vnc-viewer/…`. No path of theirs is one of presence's or a quiz's, so that they may share
    /// a listener and a prefix.
    ListenLabs at "listen.labs." {
        /// The address and port; "presence" for presence's own, whatever that is.
        bind: Beside = "presence";
        /// What its paths begin with, such as "/labs".
        prefix: Prefix = "";
        /// Where browsers find labs, such as "https://labs.example.school", when that is not this address. The page of a desktop and the
        /// console ask there.
        origin: Option<WebOrigin> = "";
        /// As that of presence. Where the listener is presence's own, what presence says counts.
        tls: ListenerTls = false;
        /// As that of presence, and where the listener is presence's own, what presence says counts.
        proxy_protocol: Networks = [];
    }
}

listen! {
    /// Chat and tasks: the REST routes, `/ws/sessions/…` and `/ws`.
    ListenChat at "listen.chat." = "127.0.0.1:8000"
}

listener! {
    /// The internal routes, metrics, livez, readyz and the console. All but the console ask for no token: keep them off the open network.
    ListenInternal at "listen.internal." = "127.0.0.1:9090" {}
}

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
