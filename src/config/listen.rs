//! Which API is served where: the listeners that the settings make.

use super::{Beside, Prefix, Settings, settings::Listen};
use std::{fmt, net::SocketAddr};

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
    /// Its address; port 0 is chosen by the kernel.
    pub bind: SocketAddr,
    /// The APIs with the prefix of each; no two have the same.
    pub serves: Vec<(Api, Prefix)>,
}

impl Settings {
    /// Each API's address and prefix.
    pub(super) fn served(&self) -> [(Api, SocketAddr, &Prefix); 5] {
        let Listen { presence, quiz, labs, chat, internal } = &self.listen;
        let labs_bind = match labs.bind {
            Beside::Presence => presence.bind,
            Beside::Address(bind) => bind,
        };
        [
            (Api::Presence, presence.bind, &presence.prefix),
            (Api::Quiz, quiz.bind, &quiz.prefix),
            (Api::Labs, labs_bind, &labs.prefix),
            (Api::Chat, chat.bind, &chat.prefix),
            (Api::Internal, internal.bind, &internal.prefix),
        ]
    }

    /// Whether an API goes wherever presence goes: also where the kernel chooses the port.
    pub(super) fn follows_presence(&self, api: Api) -> bool {
        api == Api::Labs && self.listen.labs.bind == Beside::Presence
    }

    /// The listeners, APIs with the same address together. An index into this list is what the engine calls a listener.
    pub fn listeners(&self) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        for (api, bind, prefix) in self.served() {
            let follows = self.follows_presence(api);
            let shared = listeners
                .iter_mut()
                .find(|listener| listener.bind == bind && (bind.port() != 0 || follows && listener.serves[0].0 == Api::Presence));
            match shared {
                Some(listener) => listener.serves.push((api, prefix.clone())),
                None => listeners.push(Listener { bind, serves: vec![(api, prefix.clone())] }),
            }
        }
        listeners
    }
}
