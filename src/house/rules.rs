//! From settings to what the shards share: keys read, issuers and permission services made, routes laid out. Every fault at once.

use super::{
    agents::{self, Outside},
    certificates::Certificates,
    key_sets::KeySets,
    rest,
    vitals::Endpoints,
};
use crate::{
    auth::{
        Actions, AgentKey, Algorithm, Authority, CallerKey, Grants, GuestKey, Issuer, Permissions, Rule, Secret, ServiceId,
        SessionKey, SetIssuer, SigningKey, UserKey,
    },
    config::{self, Api, EMBEDDED_AUDIENCE, EMBEDDED_ISSUER, IssuerKeys, Permission, Settings},
    engine::{CHAT_SOCKET, Counters, Entrance, LABS_SOCKETS, Rules, SocketApi, TASKS_SOCKET},
    protocols::{chat, labs, presence, quiz, tasks},
    realtime::HashRing,
    services::{PermissionService, keys},
};
use arc_swap::ArcSwap;
use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, thread};

/// Something that the settings name and that cannot be had.
#[derive(Debug)]
pub struct Fault(String);

impl Fault {
    pub(super) fn new(message: String) -> Fault {
        Fault(message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What all shards share.
pub struct House {
    /// The listeners, in the engine's numbering.
    pub listeners: Vec<config::Listener>,
    /// Where the records and keys are.
    pub data_dir: PathBuf,
    pub(super) rules: Arc<Rules>,
    /// Signs the tokens of presence of those who sign in to the console: where the house believes only itself.
    pub(super) presence_sign_in: Option<SigningKey>,
    /// Where browsers find the APIs that are not at their listeners' addresses.
    pub(super) origins: BTreeMap<Api, String>,
    /// Key files, by what each is for.
    pub(super) key_files: Vec<(String, PathBuf)>,
    /// Signs the tokens of owners who sign in here: where the house believes only itself.
    pub(super) sign_in: Option<SigningKey>,
    pub(super) services: Arc<[PermissionService]>,
    /// Of issuers that publish their keys; and those of the newest house, for operators who came by an earlier one.
    pub(super) key_sets: Arc<KeySets>,
    pub(super) newest_key_sets: Arc<ArcSwap<KeySets>>,
    pub(super) outside: Outside,
    /// What of it agents may use.
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) ring: Arc<HashRing>,
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) seed: u64,
    /// As they were read at the start.
    pub(super) certificates: Certificates,
    /// Whether operators show who they are.
    pub(super) operators_only: bool,
}

impl House {
    /// Reads keys and makes what the shards share.
    pub fn new(settings: &Settings) -> Result<House, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut key_sets = KeySets::of(settings);
        let students = authority(Api::Presence, &settings.presence.issuers, &mut key_sets, &mut faults);
        let (permissions, services) = permissions(settings, &mut faults);
        let owners = authority(Api::Quiz, &settings.quiz.issuers, &mut key_sets, &mut faults);
        let session = session_key(settings).map_err(|fault| faults.push(fault));
        let labs_key = users_key(settings).map_err(|fault| faults.push(fault));
        let agent_key = agent_key(settings).map_err(|fault| faults.push(fault));
        let sign_in = own_key(&settings.quiz.issuers).map_err(|fault| faults.push(fault));
        let presence_sign_in = own_key(&settings.presence.issuers).map_err(|fault| faults.push(fault));
        let callers = callers_key(settings).map_err(|fault| faults.push(fault));
        let guests = guest_key(settings).map_err(|fault| faults.push(fault));
        let (catalog, outside) = agents::furnish(settings, &mut faults);
        let seed = seed().map_err(|fault| faults.push(fault));
        let listeners = settings.listeners();
        let certificates = Certificates::read(&listeners, &mut faults);
        let (
            Some(students),
            Some(owners),
            Ok(session),
            Ok(labs_key),
            Ok(agent_key),
            Ok(callers),
            Ok(guests),
            Ok(sign_in),
            Ok(presence_sign_in),
            Ok(seed),
            Some(certificates),
            true,
        ) = (
            students,
            owners,
            session,
            labs_key,
            agent_key,
            callers,
            guests,
            sign_in,
            presence_sign_in,
            seed,
            certificates,
            faults.is_empty(),
        )
        else {
            return Err(faults);
        };
        let catalog = Arc::new(catalog);
        let (shards, key_sets) = (shards(settings), Arc::new(key_sets));
        let rules = Rules {
            entrances: listeners.iter().map(|listener| entrance(listener, settings.test.endpoints)).collect(),
            authority: students,
            permissions,
            presence: presence_settings(settings),
            quiz_authority: owners,
            quiz_session: session,
            quiz: quiz_settings(settings),
            labs_users: labs_key,
            labs_agents: agent_key,
            labs: labs_settings(settings),
            callers,
            catalog: catalog.clone(),
            chat: chat_settings(settings),
            tasks: tasks_settings(settings),
            workflows: Arc::new(agents::workflows(settings)),
            guests,
            show_shard: settings.test.endpoints,
        };
        Ok(House {
            listeners,
            data_dir: settings.data_dir.clone(),
            rules: Arc::new(rules),
            sign_in,
            presence_sign_in,
            origins: rest::origins(settings),
            key_files: key_files(settings),
            services: services.into(),
            endpoints: Arc::new(Endpoints::new(&catalog, &outside)),
            newest_key_sets: Arc::new(ArcSwap::new(key_sets.clone())),
            key_sets,
            outside,
            ring: Arc::new(HashRing::new(shards)),
            counters: (0..shards).map(|_| Arc::default()).collect(),
            seed,
            certificates,
            operators_only: settings.control.operators_only,
        })
    }

    /// How many shards.
    pub fn shards(&self) -> u16 {
        self.counters.len() as u16
    }

    /// Who may sign tokens.
    pub(super) fn authority(&self) -> &Authority {
        &self.rules.authority
    }
}

/// All files with keys that the settings name or imply.
fn key_files(settings: &Settings) -> Vec<(String, PathBuf)> {
    let of = |what: &str, issuers: &BTreeMap<String, config::Issuer>| {
        let named = issuers.iter().filter_map(|(name, issuer)| Some((name, issuer.key_file()?)));
        named.map(|(name, file)| (format!("{what} tokens of {name}"), file.path.clone())).collect::<Vec<_>>()
    };
    let mut files = of("presence", &settings.presence.issuers);
    files.extend(of("quiz", &settings.quiz.issuers));
    files.push(("quiz attempts".to_owned(), settings.session_key_file()));
    files.push(("labs users".to_owned(), settings.users_key_file()));
    files.push(("chat and tasks".to_owned(), settings.callers_key_file()));
    files.extend(settings.labs.agent_key_file.iter().map(|file| ("labs agents".to_owned(), file.clone())));
    files.extend(settings.tasks.secret_file.iter().map(|file| ("tasks of other services".to_owned(), file.clone())));
    files
}

/// The key of one issuer: read, or for the embedded default made.
pub fn key_of(file: &config::KeyFile) -> std::io::Result<Secret> {
    if file.is_ours { keys::load_or_create(&file.path) } else { keys::load(&file.path) }
}

/// The algorithm as `auth` names it.
pub fn algorithm(algorithm: config::Algorithm) -> Algorithm {
    match algorithm {
        config::Algorithm::Hs256 => Algorithm::HS256,
        config::Algorithm::Es256 => Algorithm::ES256,
        config::Algorithm::Rs256 => Algorithm::RS256,
        config::Algorithm::Ps256 => Algorithm::PS256,
        config::Algorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// What signs as the house itself, where only it is believed. `None`: others are.
pub(super) fn own_key(issuers: &BTreeMap<String, config::Issuer>) -> Result<Option<SigningKey>, Fault> {
    let own = issuers.get(EMBEDDED_ISSUER).and_then(config::Issuer::key_file);
    let Some(own) = own.filter(|file| file.is_ours) else { return Ok(None) };
    let key = key_of(own).map_err(|error| Fault(error.to_string()))?;
    let key = SigningKey::new(algorithm(own.algorithm), &key);
    key.map(Some).map_err(|flaw| Fault(format!("{}: {flaw}", own.path.display())))
}

fn session_key(settings: &Settings) -> Result<SessionKey, Fault> {
    let secret = keys::load_or_create(&settings.session_key_file()).map_err(|error| Fault(error.to_string()))?;
    Ok(SessionKey::new(secret.expose()))
}

/// What signs the tokens of users of labs: read, or made at the first start.
pub fn users_key(settings: &Settings) -> Result<UserKey, Fault> {
    let file = settings.users_key_file();
    let secret = keys::load_or_create(&file).map_err(|error| Fault(error.to_string()))?;
    UserKey::new(&secret).map_err(|flaw| Fault(format!("{}: {flaw}", file.display())))
}

fn callers_key(settings: &Settings) -> Result<CallerKey, Fault> {
    let file = settings.callers_key_file();
    let secret = keys::load_or_create(&file).map_err(|error| Fault(error.to_string()))?;
    CallerKey::new(&secret).map_err(|flaw| Fault(format!("{}: {flaw}", file.display())))
}

/// What others sign the tokens of users of tasks with.
fn guest_key(settings: &Settings) -> Result<Option<GuestKey>, Fault> {
    let Some(file) = &settings.tasks.secret_file else { return Ok(None) };
    let secret = keys::load(file).map_err(|error| Fault(format!("tasks.secret_file: {error}")))?;
    GuestKey::new(&secret).map(Some).map_err(|flaw| Fault(format!("tasks.secret_file: {}: {flaw}", file.display())))
}

fn agent_key(settings: &Settings) -> Result<Option<AgentKey>, Fault> {
    let Some(file) = &settings.labs.agent_key_file else { return Ok(None) };
    let secret = keys::load(file).map_err(|error| Fault(format!("labs.agent_key_file: {error}")))?;
    let key = std::str::from_utf8(secret.expose()).ok().and_then(AgentKey::of);
    let message =
        || format!("labs.agent_key_file: {}: expected one line of 16 or more letters, digits and signs", file.display());
    key.map(Some).ok_or_else(|| Fault(message()))
}

fn authority(
    api: Api,
    issuers: &BTreeMap<String, config::Issuer>,
    key_sets: &mut KeySets,
    faults: &mut Vec<Fault>,
) -> Option<Authority> {
    let section = format!("{api}.issuers");
    let (mut believed, mut publishing) = (Vec::new(), Vec::new());
    for (name, issuer) in issuers {
        let (name, audiences) = (name.clone(), issuer.audiences.clone());
        match &issuer.keys {
            IssuerKeys::One(file) => match key_of(file) {
                Err(error) => faults.push(Fault(format!("{section}.{name:?}: {error}"))),
                Ok(key) => believed.push(Issuer { name, audiences, algorithm: algorithm(file.algorithm), key }),
            },
            IssuerKeys::Set { place, algorithm: only } => match key_sets.add(api, &name, place, only.map(algorithm)) {
                Err(why) => faults.push(Fault(format!("{section}.{name:?}.jwks: {why}"))),
                Ok(source) => publishing.push(SetIssuer { name, audiences, source }),
            },
        }
    }
    match Authority::with_sets(believed, publishing) {
        Ok(authority) => Some(authority),
        Err(flaws) => {
            faults.extend(flaws.into_iter().map(|flaw| Fault(format!("{section}: {flaw}"))));
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
            Api::Quiz => sockets.push((format!("{prefix}/ws"), SocketApi::Quiz)),
            Api::Labs => sockets.extend(LABS_SOCKETS.map(|(path, api)| (format!("{prefix}{path}"), api))),
            Api::Chat => sockets.extend([CHAT_SOCKET, TASKS_SOCKET].map(|(path, api)| (format!("{prefix}{path}"), api))),
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

fn quiz_settings(settings: &Settings) -> quiz::Settings {
    let own = &settings.quiz;
    quiz::Settings {
        ping_interval: own.ping_interval,
        pong_timeout: own.pong_timeout,
        snapshot_interval: own.snapshot_interval,
        snapshot_rows: own.snapshot_rows,
        flags_after_end: own.flags_after_end,
        max_running: own.max_running,
        goodbye: own.goodbye,
        keep_timeout: settings.store.acquire_timeout,
        idle: own.idle,
    }
}

fn labs_settings(settings: &Settings) -> labs::Settings {
    let own = &settings.labs;
    labs::Settings {
        heartbeat_interval: own.heartbeat_interval,
        heartbeats_missed: own.heartbeats_missed,
        register_timeout: own.register_timeout,
        command_wait: own.command_wait,
        logs_wait: own.logs_wait,
        follow_interval: own.follow_interval,
        command_timeout: own.command_timeout,
        stop_retry: own.stop_retry,
        ping_interval: own.ping_interval,
        pong_timeout: own.pong_timeout,
        activity_interval: own.activity_interval,
        tunnel_window: own.tunnel_window.bytes(),
        early_bytes: own.early_bytes.bytes(),
        namespace: own.namespace.clone(),
        keep_timeout: settings.store.acquire_timeout,
        max_agents: own.max_agents,
        forget_agents_after: own.forget_agents_after,
        logins_a_minute: own.logins_a_minute,
        creations_a_minute: own.creations_a_minute,
        requests_a_minute: own.requests_a_minute,
        agent_requests_a_minute: own.agent_requests_a_minute,
    }
}

fn chat_settings(settings: &Settings) -> chat::Settings {
    let own = &settings.chat;
    chat::Settings {
        auth_timeout: own.auth_timeout,
        session_expiry: own.session_expiry,
        approval_expiry: own.approval_expiry,
        max_waiting: own.max_waiting,
        max_content_chars: own.max_content,
        max_attachments: own.max_attachments,
        max_attachment_bytes: own.max_attachment.bytes(),
        context_messages: own.context_messages,
        context_bytes: own.context.bytes(),
        max_answer_bytes: own.max_answer.bytes(),
        keep_timeout: settings.store.acquire_timeout,
        stream_comment: own.stream_comment,
        ping_interval: own.ping_interval,
        pong_timeout: own.pong_timeout,
        default_agent: own.default_agent.as_str().into(),
        // Where nobody is configured, any name is as good as another.
        any_agent: settings.agents.is_empty(),
        logins_a_minute: own.logins_a_minute,
        creations_a_minute: own.creations_a_minute,
        messages_a_minute: own.messages_a_minute,
        streams_a_minute: own.streams_a_minute,
        looks_a_minute: own.looks_a_minute,
        lists_a_minute: own.lists_a_minute,
    }
}

fn tasks_settings(settings: &Settings) -> tasks::Settings {
    let own = &settings.tasks;
    tasks::Settings {
        max_connections: own.max_connections,
        messages_a_minute: own.messages_a_minute,
        max_subscriptions: own.max_subscriptions,
        ping_interval: own.ping_interval,
        pings_missed: own.pings_missed,
        inactivity_timeout: own.inactivity_timeout,
        pong_is_activity: own.pong_is_activity,
        status_interval: own.status_interval,
        progress_interval: own.progress_interval,
        max_running: own.max_running,
        max_waiting: own.max_waiting,
        max_waiting_of_user: own.max_waiting_of_user,
        max_task_bytes: own.max_task.bytes(),
        max_output_bytes: own.max_output.bytes(),
        max_message_bytes: own.max_message.bytes(),
        keep_timeout: settings.store.acquire_timeout,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded};
    use std::fs;

    fn settings(layers: Layers) -> Settings {
        Loaded::of(&layers).unwrap().settings
    }

    #[test]
    fn the_default_settings_of_labs_are_those_of_the_contract() {
        assert_eq!(labs_settings(&settings(Layers::default())), labs::Settings::default());
    }

    #[test]
    fn the_default_settings_of_chat_are_those_of_the_contract() {
        assert_eq!(chat_settings(&settings(Layers::default())), chat::Settings::default());
    }

    #[test]
    fn the_default_settings_of_tasks_are_those_of_the_contract() {
        assert_eq!(tasks_settings(&settings(Layers::default())), tasks::Settings::default());
    }

    #[test]
    fn a_secret_of_others_is_long_enough_or_a_fault_that_does_not_show_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("others");
        let given = || settings(Layers::default().flag("tasks.secret_file", file.display().to_string()));
        assert!(guest_key(&settings(Layers::default())).unwrap().is_none());
        fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
        assert!(guest_key(&given()).unwrap().is_some());
        fs::write(&file, "too short a secret").unwrap();
        let told = guest_key(&given()).unwrap_err().to_string();
        assert!(told.contains("tasks.secret_file: ") && told.contains("others") && !told.contains("too short a"), "{told}");
    }

    #[test]
    fn an_agents_key_is_one_line_or_a_fault_that_does_not_show_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agents");
        let given = || settings(Layers::default().flag("labs.agent_key_file", file.display().to_string()));
        assert!(agent_key(&settings(Layers::default())).unwrap().is_none());
        fs::write(&file, " 0123456789abcdef\n").unwrap();
        let key = agent_key(&given()).unwrap().unwrap();
        assert_eq!(key.admits(Some("0123456789abcdef")), Ok(()));
        for wrong in ["too short", "0123456789 abcdef", "0123456789abcdéf", &"x".repeat(257)] {
            fs::write(&file, wrong).unwrap();
            let told = agent_key(&given()).unwrap_err().to_string();
            assert!(told.contains("agents: expected one line") && !told.contains(wrong), "{told}");
        }
    }
}
