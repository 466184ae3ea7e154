//! What the console's pages ask of the house: where the APIs are, who presence would let in, how old keys are, which nodes there are.

use super::Rest;
use crate::{
    auth::Claims,
    config::{Api, Bind, Listener, Settings},
    house::{House, key_sets::KeySetState, rules},
    http::{
        chat,
        console::{Console, Known, Place, Places, Token, TooSoon},
        gate, labs, quiz,
        rooms::{self, Clock, Peer},
    },
    protocols::labs::{
        asks::{Ask, Reply, Window},
        limits,
        model::{Role, User},
    },
    realtime::{StoreFault, UnixMicros},
    store::{Lease, Member, Read},
};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

/// How long a token of presence is good that was given to who signed in: as one of quizzes.
const SIGNED_IN: Duration = Duration::from_secs(12 * 3600);

impl Console for Rest {
    fn places(&self) -> &Places {
        &self.places
    }

    async fn count_try(&self, peer: Option<gate::Peer>) -> Result<(), TooSoon> {
        let key = limits::address(peer.map_or(0, gate::Peer::mapped));
        match labs::rooms::Registry::ask(self, Ask::Limit { key, window: Window::Login }).await {
            Reply::Limit { remaining: Some(_), .. } => Ok(()),
            Reply::Limit { reset, .. } => Err(TooSoon::Wait((reset - self.now().seconds()).max(1))),
            Reply::Refused(_) | Reply::Kept(_) | Reply::Session(_) | Reply::Logs(_) => Err(TooSoon::Uncounted),
            Reply::Agents(_) | Reply::Agent(_) | Reply::Enrolled { .. } => Err(TooSoon::Uncounted),
        }
    }

    async fn user(&self, name: String, password: String) -> Read<Option<Known>> {
        let known = labs::rooms::Library::login(self, name).await?;
        let hash = known.as_ref().map(|login| login.password_hash.clone());
        let is_right = labs::rooms::Credentials::check(self, password, hash).await?;
        let Some(user) = known.map(|login| login.user).filter(|user| is_right && user.active) else { return Ok(None) };
        let labs = labs::rooms::Credentials::issue(self, &user)?;
        let seconds = labs.expires_at.seconds().saturating_sub(self.now().seconds()).unsigned_abs();
        let labs = Token { token: labs.token, seconds };
        Ok(Some(Known { is_admin: user.role == Role::Admin, labs, chat: of_chat(self, &user)? }))
    }

    async fn owner(&self, name: String, password: String) -> Read<Option<Token>> {
        use quiz::rooms::{Credentials, SignInRefused};
        if !self.has_sign_in() {
            return Ok(None);
        }
        match self.sign_in(name, password).await {
            Ok(owner) => Ok(Some(Token { token: owner.access_token, seconds: owner.lifetime.as_secs() })),
            Err(SignInRefused::Wrong) => Ok(None),
            Err(SignInRefused::Store(fault)) => Err(fault),
        }
    }

    async fn chat_token(&self, labs_token: &str) -> Read<Option<Token>> {
        let Ok(claims) = labs::rooms::Credentials::token(self, labs_token) else { return Ok(None) };
        let user = labs::rooms::Library::user(self, claims.user).await?.filter(|user| user.active);
        user.map(|user| of_chat(self, &user)).transpose()
    }

    fn presence_token(&self, name: &str) -> Option<Token> {
        let (issuer, audience) = rules::EMBEDDED;
        let claims = Claims { issuer, audience, subject: name, lifetime: Some(SIGNED_IN) };
        let token = self.house.presence_sign_in.as_ref()?.issue(&claims, self.now())?;
        Some(Token { token, seconds: SIGNED_IN.as_secs() })
    }
}

fn of_chat(rest: &Rest, user: &User) -> Result<Token, StoreFault> {
    let issued = chat::rooms::Credentials::issue(rest, user)?;
    Ok(Token { token: issued.token, seconds: issued.expires_in.as_secs() })
}

/// Where browsers find what is not at its listener's address, as the settings say.
pub(in crate::house) fn origins(settings: &Settings) -> BTreeMap<Api, String> {
    let listen = &settings.listen;
    let named = [
        (Api::Presence, &listen.presence.origin),
        (Api::Quiz, &listen.quiz.origin),
        (Api::Labs, &listen.labs.origin),
        (Api::Chat, &listen.chat.origin),
    ];
    named.into_iter().filter_map(|(api, origin)| Some((api, origin.as_ref()?.text().to_owned()))).collect()
}

/// Each API's place among the listeners and what they are bound to, or the origin that the settings name.
pub(in crate::house) fn places(listeners: &[Listener], addresses: &[Bind], origins: &BTreeMap<Api, String>) -> Places {
    let place = |wanted: Api| {
        let serving = listeners.iter().zip(addresses).find_map(|(listener, address)| {
            let served = listener.serves.iter().find(|(api, _)| *api == wanted);
            let port = address.address().map_or(0, |address| address.port());
            served.map(|(_, prefix)| (port, prefix.to_string(), listener.tls.is_some()))
        });
        let (port, prefix, is_secure) = serving.unwrap_or_default();
        Place { origin: origins.get(&wanted).cloned(), port, prefix, is_secure }
    };
    Places { presence: place(Api::Presence), quiz: place(Api::Quiz), labs: place(Api::Labs), chat: place(Api::Chat) }
}

/// When each of these files was last written, where that can be told. Blocks.
pub(super) fn ages(files: Vec<(String, PathBuf)>) -> Vec<(String, Option<UnixMicros>)> {
    let written = |file: &PathBuf| {
        let since = fs::metadata(file).and_then(|found| found.modified()).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_micros()).ok().map(UnixMicros)
    };
    files.into_iter().map(|(name, file)| (name, written(&file))).collect()
}

/// How it stands with the keys of issuers that publish them.
pub(super) fn key_sets(house: &House) -> Vec<rooms::KeySet> {
    let told = |KeySetState { api, issuer, place, standing }: KeySetState| rooms::KeySet {
        api: api.to_string(),
        issuer,
        place,
        read_at: standing.read_at,
        changed_at: standing.changed_at,
        keys: standing.keys,
        former: standing.former,
        fault: standing.fault,
    };
    house.newest_key_sets.load().states().map(told).collect()
}

/// All that share the records. Blocks.
pub(super) fn nodes(lease: &dyn Lease) -> Read<Vec<Peer>> {
    let own = lease.tenure();
    let peer = |member: Member| Peer {
        name: member.name,
        slot: member.tenure.slot,
        epoch: member.tenure.epoch,
        version: member.version,
        is_alive: member.is_alive,
        is_self: own == Some(member.tenure),
    };
    Ok(lease.members()?.into_iter().map(peer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;
    use std::net::SocketAddr;

    #[test]
    fn apis_are_at_the_ports_that_their_listeners_got() {
        let text = "listen.presence.bind = \"127.0.0.1:0\"\nlisten.labs.prefix = \"/labs\"\n";
        let settings = crate::config::Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap().settings;
        let addresses = [4001, 4002, 4003, 4004].map(|port| Bind::Address(SocketAddr::from(([127, 0, 0, 1], port))));
        let named = BTreeMap::from([(Api::Quiz, "https://quiz.example.school".to_owned())]);
        let at = |origin: Option<&str>, port, prefix: &str| Place {
            origin: origin.map(str::to_owned),
            port,
            prefix: prefix.into(),
            is_secure: false,
        };
        let expected = Places {
            presence: at(None, 4001, ""),
            quiz: at(Some("https://quiz.example.school"), 4002, ""),
            labs: at(None, 4001, "/labs"),
            chat: at(None, 4003, ""),
        };
        assert_eq!(places(&settings.listeners(), &addresses, &named), expected);
    }

    #[test]
    fn a_listener_with_tls_is_asked_by_it() {
        let text = "[listen.chat.tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
        let settings = crate::config::Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap().settings;
        let addresses = [4001, 4002, 4003, 4004].map(|port| Bind::Address(SocketAddr::from(([127, 0, 0, 1], port))));
        let places = places(&settings.listeners(), &addresses, &BTreeMap::new());
        assert_eq!(
            [places.presence, places.quiz, places.labs, places.chat].map(|place| place.is_secure),
            [false, false, false, true]
        );
    }

    #[test]
    fn a_key_is_as_old_as_its_file_and_one_that_is_gone_has_no_age() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "x").unwrap();
        let told = ages(vec![("a".into(), file), ("b".into(), folder.path().join("b"))]);
        assert!(told[0].1.is_some_and(|written| written.0 > 1_700_000_000_000_000));
        assert_eq!(told[1], ("b".into(), None));
    }
}
