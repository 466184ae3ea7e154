//! What the settings of a cluster may be, and what is told of those that may not.

use super::*;
use crate::config::{Layers, Loaded};

fn layers(text: &str) -> Layers {
    Layers::default().file("homeroom.toml", text)
}

fn faults(layers: &Layers) -> Vec<String> {
    Loaded::of(layers).expect_err("there is a fault").0.iter().map(Fault::to_string).collect()
}

/// A key right, and the one fault that a cluster has where there is no shared database.
fn servers(layers: &Layers) -> Vec<String> {
    let told = faults(layers);
    assert!(told.len() == 1 && told[0].contains("SQLite is one machine's: expected database to be \"postgres://…\""), "{told:?}");
    told
}

fn parsed(given: &str) -> Option<Vec<String>> {
    Servers::scalar(&DeValue::String(given.into())).ok().map(|servers| servers.0)
}

#[test]
fn alone_by_default() {
    let settings = Loaded::of(&Layers::default()).unwrap().settings;
    assert!(!settings.cluster.is_there() && !settings.cluster.is_encrypted());
    assert_eq!((&*settings.cluster.prefix, settings.cluster.sign_in()), ("homeroom", SignIn::Nobody));
}

#[test]
fn servers_are_whole_and_hold_no_password() {
    assert_eq!(parsed("").unwrap(), [""; 0]);
    assert_eq!(parsed("nats://a:1,tls://b, c:4223").unwrap(), ["nats://a:1", "tls://b:4222", "nats://c:4223"]);
    assert_eq!(parsed("nats://[::1]:4222/").unwrap(), ["nats://[::1]:4222"]);
    for wrong in ["nats://", "http://a", "nats://a:0", "nats://a:70000", "nats://a/x", "a,", "nats://a:", "nats://a b"] {
        assert_eq!(parsed(wrong), None, "{wrong}");
    }
    let told = faults(&layers("cluster = \"nats://ann:hunter2@127.0.0.1\"\n"));
    assert!(told[0].contains("without user and password") && !told[0].contains("hunter2"), "{told:?}");
}

#[test]
fn the_short_form_says_the_servers_in_the_file_the_environment_and_as_a_flag() {
    let told = servers(&layers("shards = 1\ncluster = \"nats://127.0.0.1:4222\"\n"));
    assert!(told[0].starts_with("homeroom.toml:2: cluster.servers: "), "{told:?}");
    let told = servers(&Layers::default().environment([("HOMEROOM_CLUSTER".into(), "nats://a".into())]));
    assert!(told[0].starts_with("$HOMEROOM_CLUSTER: cluster.servers: "), "{told:?}");
    servers(&Layers::default().environment([("HOMEROOM_CLUSTER_SERVERS".into(), "nats://a".into())]));
    servers(&Layers::default().flag("cluster.servers", "nats://a"));
    servers(&layers("[cluster]\nservers = \"nats://a\"\n"));
    let told = faults(&layers("cluster = 7\n"));
    assert!(told[0].starts_with("homeroom.toml:1: cluster.servers: expected addresses such as"), "{told:?}");
}

#[test]
fn relations_are_checked_all_at_once() {
    let text = "shards = 300\nstore.lease = \"61s\"\n[cluster]\nservers = \"nats://a\"\nuser = \"ann\"\ntoken_file = \"t\"\n\
                token_variable = \"T\"\nkey_file = \"k\"\nprefix = \"a..b\"\n";
    let told = faults(&layers(text)).join("\n");
    for part in [
        "store.lease: expected at most 60s on a node of a cluster",
        "SQLite is one machine's",
        "shards: expected at most 255 shards",
        "cluster.token_variable: expected either a file or a variable",
        "cluster.user: expected password_file or password_variable with it",
        "expected one way to sign in",
        "expected both certificate_file and key_file",
        "cluster.prefix: expected names such as",
    ] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let told = faults(&layers("[cluster]\npassword_file = \"p\"\n"));
    assert!(told[0].starts_with("homeroom.toml:2: cluster.password_file: expected user with it"), "{told:?}");
}

#[test]
fn what_has_no_effect_is_a_warning_and_what_cannot_be_read_a_fault() {
    let text =
        "[cluster]\nuser = \"ann\"\npassword_variable = \"HOMEROOM_TEST_NO_SUCH_VARIABLE\"\nca_file = \"/nonexistent/ca\"\n";
    let loaded = Loaded::of(&layers(text)).unwrap();
    assert_eq!(loaded.warnings.len(), 3, "{:?}", loaded.warnings);
    let own = &loaded.settings.cluster;
    assert_eq!(own.sign_in(), SignIn::User("ann".to_owned(), SecretPlace::Variable("HOMEROOM_TEST_NO_SUCH_VARIABLE".to_owned())));
    assert!(own.is_encrypted());
    let told: Vec<String> = loaded.unreadable_keys().iter().map(Fault::to_string).collect();
    assert_eq!(
        told[1],
        "homeroom.toml:3: cluster.password_variable: the environment variable HOMEROOM_TEST_NO_SUCH_VARIABLE is not set"
    );
    assert!(told[0].starts_with("homeroom.toml:4: cluster.ca_file: /nonexistent/ca cannot be read"), "{told:?}");
}
