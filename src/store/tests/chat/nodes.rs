//! What a node of several was giving ends with the node, and with nothing else.

use super::{super::server, *};
use crate::{
    realtime::StoreFault,
    store::{Buried, Lease, MemoryStore, postgres::Settings},
};
use std::time::Duration;

/// Two nodes on the same records. `silence`: the lease of the second has run out, and the first knows.
fn answers_end_with_their_node<S: Subject>(one: &S, other: &S, silence: impl FnOnce()) {
    let streaming = |number| Message { completeness: Completeness::Streaming, ..message(number, 2) };
    done(one, [change(session(2), [message(2, 1), streaming(2)], [])]);
    done(other, [change(session(1), [message(1, 1), streaming(1)], [approval(1, 2)])]);
    done(one, [change(session(2), [message(2, 2)], [])]);
    let sweep = || one.store().sweep_chat(Sweep { at: at(500) });
    assert_eq!(sweep(), Ok(0), "a node that starts leaves alone what another is giving");
    silence();
    assert_eq!(sweep(), Ok(0), "it may come back as long as nobody has buried it");
    assert_eq!(loaded(one, load(1)).messages[1], streaming(1));
    let dead = other.store().lease().tenure().expect("held");
    assert!(matches!(one.store().lease().bury(dead), Ok(Buried::Here(_))));
    let Loaded { session: row, messages, approvals } = loaded(one, load(1));
    assert_eq!((row.message_count, messages[1].completeness), (1, Completeness::Incomplete));
    assert!(matches!(&approvals[..], [approval] if approval.decision == Decision::Expired));
    assert_eq!(loaded(one, load(2)).messages[1].completeness, Completeness::Whole);
    assert_eq!(sweep(), Ok(0), "once");
    assert_eq!(keep(other, [change(session(1), [message(1, 2)], [])]), [Err(StoreFault::Failed)], "it writes nothing more");
}

#[test]
fn in_memory_answers_end_with_their_node() {
    let one = MemoryStore::new(8);
    let other = one.beside("other");
    other.take().expect("a slot");
    let (one, other) = (InMemory { store: one }, InMemory { store: other });
    answers_end_with_their_node(&one, &other, || {
        one.store.set_time(at(5_000_000));
        one.store.renew().expect("held");
        one.store.set_time(at(7_000_000));
    });
}

#[test]
fn in_postgres_answers_end_with_their_node() {
    let Some(server) = server::server() else { return };
    let database = server.database();
    // Neither renews anything by itself in this time.
    let settings = |name: &str| Settings { node: name.into(), lease: Duration::from_secs(600), ..server.settings(&database) };
    let open = |name: &str| InPostgres::with(settings(name), database.clone()).expect("a store");
    let (one, other) = (open("one"), open("other"));
    answers_end_with_their_node(&one, &other, || {
        server.ask(&database, "UPDATE node SET lease_until = now() - interval '1 hour' WHERE name = 'other'");
        server.ask(&database, "UPDATE node SET held_since = now() - interval '1 hour' WHERE name <> 'other'");
    });
}
