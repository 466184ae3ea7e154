//! Precedence, faults and what they say.

use super::*;
use crate::{
    config::{Algorithm, Api, Issuer, IssuerKeys, KeyFile, Permission, Prefix, settings::Quiz},
    protocols::quiz,
};
use std::{path::PathBuf, time::Duration};

fn variables<const N: usize>(given: [(&str, &str); N]) -> Vec<(OsString, OsString)> {
    given.map(|(name, value)| (name.into(), value.into())).to_vec()
}

fn settings(layers: Layers) -> Settings {
    Loaded::of(&layers).unwrap_or_else(|faults| panic!("{faults}")).settings
}

fn faults(layers: Layers) -> Vec<String> {
    Loaded::of(&layers).expect_err("there is a fault").0.iter().map(Fault::to_string).collect()
}

fn file(text: &str) -> Layers {
    Layers::default().file("homeroom.toml", text)
}

#[test]
fn the_defaults_are_right() {
    let settings = settings(Layers::default());
    assert_eq!(settings.presence.auth_timeout, Duration::from_secs(10));
    assert_eq!(settings.presence.coalesce_tick, Duration::from_millis(250));
    assert_eq!(settings.websocket.max_message.bytes(), 65536);
    let own = settings.presence.issuers["homeroom.local"].key_file().unwrap();
    assert_eq!(own.path, PathBuf::from("data/keys/presence.hs256"));
    assert!(own.is_ours);
    assert_eq!(settings.presence.permissions["school.local"], Permission::None);
    let listeners = settings.listeners();
    assert_eq!(
        listeners.iter().map(|l| l.bind.to_string()).collect::<Vec<_>>(),
        ["127.0.0.1:8080", "127.0.0.1:8090", "127.0.0.1:8000", "127.0.0.1:9090"]
    );
}

#[test]
fn the_defaults_of_quizzes_are_those_of_the_contract() {
    let settings = settings(Layers::default().flag("data_dir", "d"));
    let own = quiz::Settings::default();
    let Quiz { ping_interval, pong_timeout, snapshot_interval, snapshot_rows, flags_after_end, .. } = settings.quiz.clone();
    let Quiz { max_running, goodbye, idle, outbox, issuers, .. } = settings.quiz.clone();
    assert_eq!(outbox.bytes(), 8 << 20);
    let keep_timeout = settings.store.acquire_timeout;
    let given = quiz::Settings {
        ping_interval,
        pong_timeout,
        snapshot_interval,
        snapshot_rows,
        flags_after_end,
        max_running,
        goodbye,
        keep_timeout,
        idle,
    };
    assert_eq!(given, own);
    let embedded = Issuer {
        audiences: vec!["school.local".into()],
        keys: IssuerKeys::One(KeyFile { algorithm: Algorithm::Hs256, path: "d/keys/quiz.hs256".into(), is_ours: true }),
    };
    assert_eq!(issuers, BTreeMap::from([("homeroom.local".to_owned(), embedded)]));
    assert_eq!(settings.session_key_file(), PathBuf::from("d/keys/quiz.session"));
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let in_file = file("[presence]\nauth_timeout = \"1s\"\nping_interval = \"40s\"\n");
    assert_eq!(settings(in_file.clone()).presence.auth_timeout, Duration::from_secs(1));
    let variable = in_file.environment(variables([("HOMEROOM_PRESENCE_AUTH_TIMEOUT", "2s"), ("PATH", "/bin")]));
    assert_eq!(settings(variable.clone()).presence.auth_timeout, Duration::from_secs(2));
    let flag = settings(variable.flag("presence.auth_timeout", "3s"));
    assert_eq!(flag.presence.auth_timeout, Duration::from_secs(3));
    assert_eq!(flag.presence.ping_interval, Duration::from_secs(40));
    assert_eq!(flag.presence.pong_timeout, Duration::from_secs(5));
}

#[test]
fn names_are_unambiguous_in_every_layer() {
    let all: Vec<&Key> = keys().collect();
    let distinct = |name: fn(&Key) -> String| all.iter().map(|key| name(key)).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct(Key::path), all.len());
    assert_eq!(distinct(Key::environment), all.len());
    assert_eq!(distinct(Key::flag), all.len());
    assert!(all.iter().all(|key| key.environment() != CONFIG_VARIABLE));
}

#[test]
fn every_key_can_be_given_in_every_layer() {
    for key in keys() {
        let text = key.default.trim_matches('"');
        let by_name = Layers::default().environment(variables([(key.environment().as_str(), text)])).flag(key.path(), text);
        assert_eq!(settings(by_name), settings(Layers::default()), "{}", key.path());
    }
}

#[test]
fn all_faults_are_told_at_once_each_with_its_source() {
    let layers =
        file("shards = 1\nshardz = 2\n[presence]\nauth_timeout = 10\nping_interval = \"5\"\n\n[listen.public]\nbind = \"x\"\n")
            .environment(variables([
                ("HOMEROOM_PRESENCE_PONG_TIMOUT", "5s"),
                ("HOMEROOM_STORE_QUEUE", "many"),
                ("HOMEROOM_LOG_LEVEL", "inof"),
            ]))
            .flag("listen.presence.bind", "8080");
    assert_eq!(
        faults(layers),
        [
            "homeroom.toml:2: shardz: is unknown; the nearest is shards",
            "homeroom.toml:4: presence.auth_timeout: expected a duration such as \"250ms\", \"10s\", \"5m\" or \"1h30m\", found a whole number",
            "homeroom.toml:5: presence.ping_interval: expected a duration such as \"250ms\", \"10s\", \"5m\" or \"1h30m\", found another text",
            "homeroom.toml:7: listen.public: is unknown; the nearest is listen.quiz",
            "$HOMEROOM_LOG_LEVEL: log.level: expected a level (error, warn, info, debug, trace) or directives such as \"info,homeroom::store=debug\", found another text",
            "$HOMEROOM_PRESENCE_PONG_TIMOUT: is unknown; the nearest is HOMEROOM_PRESENCE_PONG_TIMEOUT",
            "$HOMEROOM_STORE_QUEUE: store.queue: expected a whole number, 0 or greater, written as in the file",
            "--listen.presence.bind: listen.presence.bind: expected an address with a port such as \"127.0.0.1:8080\" or \"[::]:8080\", \"unix:/path\", or \"systemd:name\", found another text",
        ]
    );
}

#[test]
fn what_is_like_nothing_gets_no_advice() {
    let layers = file("a = 1\n").environment(variables([("HOMEROOM_TYPO", "1"), ("HOMEROOM_SHARD", "1")]));
    assert_eq!(
        faults(layers),
        [
            "homeroom.toml:1: a: is unknown",
            "$HOMEROOM_SHARD: is unknown; the nearest is HOMEROOM_SHARDS",
            "$HOMEROOM_TYPO: is unknown"
        ]
    );
}

#[test]
fn a_broken_file_hides_no_fault_of_other_layers() {
    let told = faults(file("a = = 1\n[presence\n").environment(variables([("HOMEROOM_SHARDS", "-1")])));
    assert!(told.iter().any(|fault| fault.starts_with("homeroom.toml:1: is not TOML")), "{told:?}");
    assert!(told.iter().any(|fault| fault.starts_with("homeroom.toml:2: is not TOML")), "{told:?}");
    assert!(told.iter().any(|fault| fault.starts_with("$HOMEROOM_SHARDS: shards: expected")), "{told:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_the_rest() {
    let missing = Path::new("/nonexistent/homeroom.toml");
    let told = faults(Layers::default().read_file(missing, Source::Flag("--config".into())).flag("shards", "x"));
    assert_eq!(told.len(), 2);
    assert!(told.iter().any(|fault| fault.starts_with("--config: the file /nonexistent/homeroom.toml cannot be read")));
}

#[test]
fn no_fault_repeats_a_value() {
    let secret = "kR7-hunter2";
    let texts = [
        format!("database = \"postgresx://u:{secret}@db/x\"\n"),
        format!("database = \"{secret}\n"),
        format!("database = {secret}\n"),
        format!("[presence.permissions.\"a\"]\ntype = \"http\"\nurl = \"ftp://u:{secret}@x/\"\n"),
        format!("[presence.issuers.\"a\"]\nalgorithm = \"{secret}\"\nsecret = \"{secret}\"\n"),
        format!("[presence.issuers]\n\"a\" = \"{secret}\"\n"),
        format!("x = \"\"\"{secret}\n"),
        format!("x = '{secret}' {secret}\n"),
        format!("x = \"\\q{secret}\"\n"),
        format!("x = 0x{secret}\n"),
    ];
    for text in &texts {
        for fault in faults(file(text)) {
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
    // What any text fits no fault tells of.
    let fits = |key: &Key| {
        matches!(
            key.expected,
            "a path" | "a path, or an empty text for none" | "a text that is not empty" | "a text, or an empty one for none"
        ) || matches!(key.path().as_str(), "cluster.prefix" | "cluster.outside_prefix" | "cluster.servers")
    };
    for key in keys().filter(|key| !fits(key)) {
        let by_name = Layers::default().environment(variables([(key.environment().as_str(), secret)])).flag(key.path(), secret);
        for fault in faults(by_name) {
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}

#[test]
fn a_database_is_a_folder_or_an_address_that_is_not_shown() {
    let url = "postgres://ada:kR7-hunter2@db/homeroom";
    let settings = Loaded::of(&file(&format!("database = \"{url}\""))).expect("right").settings;
    assert!(matches!(&settings.database, crate::config::Database::Postgres(address) if address.with_password() == url));
    assert!(!format!("{settings:?}").contains("hunter2"));
    let told = faults(file("database = \"mysql://ada:kR7-hunter2@db/homeroom\""));
    assert!(told[0].contains("expected \"sqlite\" or \"postgres://") && !told[0].contains("hunter2"), "{told:?}");
}

#[test]
fn a_quoted_name_with_dots_is_not_the_key_it_looks_like() {
    assert!(faults(file("\"presence.auth_timeout\" = \"1s\""))[0].contains("is unknown"));
}

#[test]
fn issuers_and_permissions_come_by_file_and_by_environment() {
    let text = "[presence.issuers.\"id.example.org\"]\naudiences = [\"a.org\", \"b.org\"]\nalgorithm = \"ES256\"\nkey_file = \"k.pem\"\n\
                [presence.permissions.\"a.org\"]\ntype = \"list\"\naccounts = [\"u1\"]\n\
                [presence.permissions.\"b.org\"]\ntype = \"http\"\nurl = \"https://p.example.org/ask\"\n";
    let settings = settings(file(text));
    let issuer = Issuer {
        audiences: vec!["a.org".into(), "b.org".into()],
        keys: IssuerKeys::One(KeyFile { algorithm: Algorithm::Es256, path: "k.pem".into(), is_ours: false }),
    };
    assert_eq!(settings.presence.issuers, BTreeMap::from([("id.example.org".to_owned(), issuer)]));
    let http = Permission::Http { url: "https://p.example.org/ask".into(), timeout: Duration::from_secs(2) };
    assert_eq!(settings.presence.permissions["b.org"], http);

    let inline = "{ \"x\" = { audiences = [\"a.org\"], algorithm = \"EdDSA\", key_file = \"x.pem\" } }";
    let replaced = file(text).environment(variables([("HOMEROOM_PRESENCE_ISSUERS", inline)]));
    let loaded = Loaded::of(&replaced).unwrap();
    assert_eq!(loaded.settings.presence.issuers.keys().collect::<Vec<_>>(), ["x"], "the variable replaces the table as a whole");
    assert_eq!(
        loaded.warnings.iter().map(Fault::to_string).collect::<Vec<_>>(),
        ["homeroom.toml:5: presence.permissions: no issuer may speak for the audience \"b.org\""]
    );
}

#[test]
fn faults_inside_free_tables_name_line_and_field() {
    let text = "[presence.issuers.\"a.org\"]\naudiences = []\nalgorithm = \"none\"\nkeyfile = \"k\"\n\
                [presence.permissions.\"a.org\"]\ntype = \"list\"\nurl = \"http://x/\"\n";
    assert_eq!(
        faults(file(text)),
        [
            "homeroom.toml:1: presence.issuers.\"a.org\".audiences: expected at least one audience",
            "homeroom.toml:1: presence.issuers.\"a.org\".key_file: is missing: expected a path",
            "homeroom.toml:3: presence.issuers.\"a.org\".algorithm: expected \"HS256\", \"ES256\", \"RS256\", \"PS256\" or \"EdDSA\", found another text",
            "homeroom.toml:4: presence.issuers.\"a.org\".keyfile: is unknown here: expected one of audiences, jwks, algorithm, key_file",
            "homeroom.toml:5: presence.permissions.\"a.org\".accounts: is missing: expected a list such as [\"one\", \"two\"]",
            "homeroom.toml:7: presence.permissions.\"a.org\".url: is unknown here: expected one of type, accounts",
        ]
    );
}

#[test]
fn an_audience_without_a_permission_is_a_warning() {
    let text = "[presence.issuers.\"i\"]\naudiences = [\"a.org\"]\nalgorithm = \"HS256\"\nkey_file = \"k\"\n";
    let loaded = Loaded::of(&file(text)).unwrap();
    assert!(loaded.warnings[0].to_string().contains("no permission names the audience \"a.org\""), "{:?}", loaded.warnings);
}

#[test]
fn apis_with_one_address_share_a_listener_under_different_prefixes() {
    let shared = file("listen.internal.bind = \"127.0.0.1:8080\"\nlisten.internal.prefix = \"/internal\"\n");
    let loaded = Loaded::of(&shared).unwrap();
    let listeners = loaded.settings.listeners();
    assert_eq!(listeners.len(), 3);
    let serves: Vec<(Api, &str)> = listeners[0].serves.iter().map(|(api, prefix): &(Api, Prefix)| (*api, &**prefix)).collect();
    assert_eq!(serves, [(Api::Presence, ""), (Api::Labs, ""), (Api::Internal, "/internal")]);
    assert_eq!(loaded.warnings.len(), 1, "internal routes beside public ones");

    let free = file("listen.internal.bind = \"127.0.0.1:0\"\nlisten.presence.bind = \"127.0.0.1:0\"\n");
    assert_eq!(settings(free).listeners().len(), 4, "port 0 is never shared");
}

#[test]
fn relations_between_keys_are_checked() {
    let wrong = [
        ("[presence]\npong_timeout = \"30s\"", "homeroom.toml:2: presence.pong_timeout: expected pong_timeout to be shorter"),
        ("[presence]\nping_interval = \"5s\"", "homeroom.toml:2: presence.ping_interval: expected pong_timeout to be shorter"),
        ("[presence]\nauth_timeout = \"0s\"", "homeroom.toml:2: presence.auth_timeout: expected a duration from 10ms to 24h"),
        ("[presence]\nauth_timeout = \"25h\"", "homeroom.toml:2: presence.auth_timeout: expected a duration from 10ms to 24h"),
        ("[websocket]\noutbox = \"1KiB\"", "homeroom.toml:2: websocket.outbox: expected outbox to hold"),
        (
            "[listen.internal]\nbind = \"127.0.0.1:8080\"",
            "homeroom.toml:2: listen.internal.bind: presence and internal share a listener",
        ),
        ("[listen.internal]\nbind = \"0.0.0.0:8080\"", "homeroom.toml:2: listen.internal.bind: presence and internal clash"),
        (
            "[listen.presence]\nprefix = \"presence/\"",
            "homeroom.toml:2: listen.presence.prefix: expected an empty text, or a path",
        ),
        ("[quiz]\nsnapshot_rows = 0", "homeroom.toml:2: quiz.snapshot_rows: expected at least 1"),
        ("[quiz]\nmax_running = 0", "homeroom.toml:2: quiz.max_running: expected at least 1"),
        ("[quiz]\nidle = \"0s\"", "homeroom.toml:2: quiz.idle: expected a duration from 10ms to 24h"),
        ("[quiz]\nflags_after_end = \"25h\"", "homeroom.toml:2: quiz.flags_after_end: expected a duration of at most 24h"),
        ("[listen.quiz]\nbind = \"127.0.0.1:8080\"", "homeroom.toml:2: listen.quiz.bind: presence and quiz share a listener"),
        (
            "[quiz.issuers.i]\naudiences = [\"a/b\"]\nalgorithm = \"HS256\"\nkey_file = \"k\"",
            "homeroom.toml:1: quiz.issuers: expected the first part of the audience \"a/b\", without \":\" or \"/\"",
        ),
        (
            "[quiz.issuers.i]\naudiences = [\"a:b\"]\nalgorithm = \"HS256\"\nkey_file = \"k\"",
            "homeroom.toml:1: quiz.issuers: expected the first part of the audience \"a:b\"",
        ),
        ("store.queue = 0", "homeroom.toml:1: store.queue: expected at least 1"),
        ("presence = 1", "homeroom.toml:1: presence: expected a table: [presence]"),
    ];
    for (text, begins) in wrong {
        let told = faults(file(text));
        assert!(told.len() == 1 && told[0].starts_with(begins), "{text}: {told:?}");
    }
}

#[test]
fn a_relation_is_not_checked_on_a_key_that_is_wrong_anyway() {
    let told = faults(file("[presence]\nping_interval = \"1x\"\npong_timeout = \"35s\"\n"));
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn what_clients_may_say_does_not_bound_what_owners_hear() {
    let text = "[websocket]\nmax_message = \"16MiB\"\noutbox = \"64MiB\"\n";
    assert!(Loaded::of(&file(text)).is_ok());
}

#[test]
fn what_is_odd_is_a_warning() {
    let loaded = Loaded::of(&file("test.endpoints = true\nlisten.internal.bind = \"0.0.0.0:9090\"\n")).unwrap();
    assert_eq!(loaded.warnings.len(), 2, "{:?}", loaded.warnings);
    for (text, warnings) in [("quiz.snapshot_rows = 8193", 1), ("quiz.outbox = \"199KiB\"", 1), ("quiz.snapshot_rows = 8192", 0)]
    {
        assert_eq!(Loaded::of(&file(text)).unwrap().warnings.len(), warnings, "{text}");
    }
}

#[test]
fn a_key_file_that_cannot_be_read_is_told_with_its_source() {
    let issuer = "audiences = [\"a.org\"]\nalgorithm = \"HS256\"\nkey_file = \"/nonexistent/key\"\n";
    let text = format!("\n[presence.issuers.\"i\"]\n{issuer}[quiz.issuers.\"q\"]\n{issuer}");
    let told: Vec<String> = Loaded::of(&file(&text)).unwrap().unreadable_keys().iter().map(Fault::to_string).collect();
    let [presence, quiz] = told.as_slice() else { panic!("{told:?}") };
    assert!(
        presence.starts_with("homeroom.toml:2: presence.issuers.\"i\".key_file: /nonexistent/key cannot be read"),
        "{presence}"
    );
    assert!(quiz.starts_with("homeroom.toml:6: quiz.issuers.\"q\".key_file: /nonexistent/key cannot be read"), "{quiz}");
    assert!(Loaded::of(&Layers::default()).unwrap().unreadable_keys().is_empty(), "its own keys are made at the start");
}
