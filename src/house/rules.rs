//! From settings to what the shards share: keys read, issuers and permission services made, routes laid out. Every fault at once.

use crate::{
    auth::{Actions, Algorithm, Authority, Grants, Issuer, Permissions, Rule, Secret, ServiceId, SessionKey},
    config::{self, Api, EMBEDDED_AUDIENCE, EMBEDDED_ISSUER, Permission, Settings},
    engine::{Counters, Entrance, Rules, SocketApi},
    protocols::{presence, quiz},
    realtime::HashRing,
    services::{PermissionService, keys},
};
use std::{fmt, sync::Arc, thread};

/// Something that the settings name and that cannot be had.
#[derive(Debug)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What all shards share.
pub struct House {
    /// The listeners, in the engine's numbering.
    pub listeners: Vec<config::Listener>,
    /// Whether the house believes only itself.
    pub embedded: bool,
    /// Where the records and keys are.
    pub data_dir: std::path::PathBuf,
    pub(super) rules: Arc<Rules>,
    pub(super) services: Arc<[PermissionService]>,
    pub(super) ring: Arc<HashRing>,
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) seed: u64,
}

impl House {
    /// Reads keys and makes what the shards share.
    pub fn new(settings: &Settings) -> Result<House, Vec<Fault>> {
        let mut faults = Vec::new();
        let authority = authority(settings, &mut faults);
        let (permissions, services) = permissions(settings, &mut faults);
        let seed = seed().map_err(|fault| faults.push(fault));
        let (Some(authority), Ok(seed), true) = (authority, seed, faults.is_empty()) else { return Err(faults) };
        let shards = shards(settings);
        let listeners = settings.listeners();
        let rules = Rules {
            entrances: listeners.iter().map(|listener| entrance(listener, settings.test.endpoints)).collect(),
            authority,
            permissions,
            presence: presence_settings(settings),
            quiz_authority: Authority::new([]).map_err(|_| Vec::new())?,
            quiz_session: SessionKey::new(&seed.to_ne_bytes()),
            quiz: quiz::Settings::default(),
            show_shard: settings.test.endpoints,
        };
        Ok(House {
            listeners,
            embedded: settings.presence.issuers.get(EMBEDDED_ISSUER).is_some_and(|issuer| issuer.makes_key),
            data_dir: settings.data_dir.clone(),
            rules: Arc::new(rules),
            services: services.into(),
            ring: Arc::new(HashRing::new(shards)),
            counters: (0..shards).map(|_| Arc::default()).collect(),
            seed,
        })
    }

    /// How many shards.
    pub fn shards(&self) -> u16 {
        self.ring.shards()
    }

    /// Who may sign tokens.
    pub(super) fn authority(&self) -> &Authority {
        &self.rules.authority
    }
}

/// The key of one issuer: read, or for the embedded default made.
pub fn key_of(issuer: &config::Issuer) -> std::io::Result<Secret> {
    if issuer.makes_key { keys::load_or_create(&issuer.key_file) } else { keys::load(&issuer.key_file) }
}

/// The algorithm as `auth` names it.
pub fn algorithm(algorithm: config::Algorithm) -> Algorithm {
    match algorithm {
        config::Algorithm::Hs256 => Algorithm::HS256,
        config::Algorithm::Es256 => Algorithm::ES256,
        config::Algorithm::Rs256 => Algorithm::RS256,
        config::Algorithm::EdDsa => Algorithm::EdDSA,
    }
}

fn authority(settings: &Settings, faults: &mut Vec<Fault>) -> Option<Authority> {
    let mut issuers = Vec::new();
    for (name, issuer) in &settings.presence.issuers {
        match key_of(issuer) {
            Err(error) => faults.push(Fault(format!("presence.issuers.{name:?}: {error}"))),
            Ok(key) => issuers.push(Issuer {
                name: name.clone(),
                audiences: issuer.audiences.clone(),
                algorithm: algorithm(issuer.algorithm),
                key,
            }),
        }
    }
    match Authority::new(issuers) {
        Ok(authority) => Some(authority),
        Err(flaws) => {
            faults.extend(flaws.into_iter().map(|flaw| Fault(flaw.to_string())));
            None
        }
    }
}

fn permissions(settings: &Settings, faults: &mut Vec<Fault>) -> (Permissions, Vec<PermissionService>) {
    let mut services = Vec::new();
    let mut rules = Vec::new();
    for (audience, permission) in &settings.presence.permissions {
        let rule = match permission {
            Permission::None => Rule::None,
            Permission::List { accounts } => Rule::List(Grants {
                subjects: accounts.iter().map(|account| (account.clone(), Actions::ALL)).collect(),
                ..Grants::default()
            }),
            Permission::Http { url, timeout } => match PermissionService::new(url, *timeout) {
                Ok(service) => {
                    services.push(service);
                    Rule::Http { service: ServiceId(services.len() as u16 - 1) }
                }
                Err(fault) => {
                    faults.push(Fault(format!("presence.permissions.{audience:?}: {fault}")));
                    continue;
                }
            },
        };
        rules.push((audience.clone(), rule));
    }
    (Permissions::new(rules), services)
}

fn entrance(listener: &config::Listener, test_endpoints: bool) -> Entrance {
    let mut sockets = Vec::new();
    for (api, prefix) in &listener.serves {
        match api {
            Api::Presence => {
                sockets.push((format!("{prefix}/ws"), SocketApi::Presence));
                if test_endpoints {
                    sockets.push((format!("{prefix}/echo"), SocketApi::Echo));
                }
            }
            Api::Internal => {}
        }
    }
    Entrance { sockets }
}

fn presence_settings(settings: &Settings) -> presence::Settings {
    let own = &settings.presence;
    presence::Settings {
        auth_timeout: own.auth_timeout,
        ping_interval: own.ping_interval,
        pong_timeout: own.pong_timeout,
        enter_timeout: settings.store.acquire_timeout,
        events: own.events,
        coalesce_above: own.coalesce_above,
        coalesce_tick: own.coalesce_tick,
        max_label_bytes: own.max_label.bytes(),
    }
}

fn shards(settings: &Settings) -> u16 {
    let cores = || thread::available_parallelism().map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(u16::MAX));
    if settings.shards == 0 { cores() } else { settings.shards }
}

fn seed() -> Result<u64, Fault> {
    let mut bytes = [0; 8];
    let filled = aws_lc_rs::rand::fill(&mut bytes);
    filled.map(|()| u64::from_ne_bytes(bytes)).map_err(|_| Fault("no randomness to be had".to_owned()))
}

/// The audience and issuer of the embedded default, for those who print a token.
pub(super) const EMBEDDED: (&str, &str) = (EMBEDDED_ISSUER, EMBEDDED_AUDIENCE);
