//! API keys and passwords over several nodes: every node acts by the same, whenever it came and whoever died.

use super::{quizzes::*, world::*};
use crate::{
    auth::{Algorithm, Authority, Issuer, Secret, SigningKey},
    engine::Engine,
    protocols::quiz::{
        asks::{Ask, Reply},
        model::Role,
        record::{Account, Kept, Key, Record},
    },
    realtime::{NodeSlot, StoreFault, UnixMicros},
};
use std::time::Duration;

fn kept(key: &Key) -> Ask {
    Ask::Keep(Record::Key(key.clone()))
}

fn revoked(key: &Key) -> Ask {
    Ask::Keep(Record::Revoked { key: key.id, owner: key.owner.clone(), at: UnixMicros(1) })
}

fn account(name: &str, at: i64) -> Ask {
    Ask::Keep(Record::Owner(Account { name: name.into(), password_hash: String::new(), at: UnixMicros(at) }))
}

/// A key that is written by this node.
fn key_at(world: &World, number: u64, nodes: u8, slot: u8) -> Key {
    let ring = world.ring(number, nodes);
    (1..).map(|n| key(n, "a", Role::Owner)).find(|key| ring.home(key.id.as_bytes()).node() == NodeSlot(slot)).unwrap()
}

fn is_good(engine: &Engine, key: &Key) -> bool {
    engine.keys().find(&key_text(key.id.as_u128() as u8)).is_some()
}

/// Whether one who signed in with the password that was set then may go on.
fn knows_password(engine: &Engine, name: &str, set_at: i64) -> bool {
    let (name, secret) = (name.to_owned(), Secret::new(SECRET));
    let issuer = Issuer { name: "i".into(), audiences: vec!["s".into()], algorithm: Algorithm::HS256, key: secret.clone() };
    let claims = crate::auth::Claims { issuer: "i", audience: "s", subject: &name, lifetime: None };
    let now = UnixMicros(1_700_000_000_000_000);
    let token = SigningKey::new(Algorithm::HS256, &secret).unwrap().issue_for_password(&claims, UnixMicros(set_at), now).unwrap();
    engine.keys().bearer(&token, &Authority::new([issuer]).unwrap(), now).is_ok()
}

fn done(world: &mut World, place: usize, ask: Ask) {
    assert_eq!(world.ask_quiz(place, ask), Reply::Kept(Kept::Done));
}

#[test]
fn a_node_that_comes_knows_what_changed_between_its_start_and_its_first_view() {
    let mut world = World::cluster(2, 1);
    let [old, new] = [key(1, "a", Role::Owner), key(2, "a", Role::Owner)];
    done(&mut world, 0, kept(&old));
    done(&mut world, 0, account("ann", 1));
    world.begin_node();
    let now = world.now;
    world.engines[2].begin(std::slice::from_ref(&old), &[], now);
    world.engines[2].begin_accounts(&[("ann".to_owned(), UnixMicros(1))]);
    done(&mut world, 0, kept(&new));
    done(&mut world, 0, revoked(&old));
    world.library.passwords.clear();
    done(&mut world, 1, account("ann", 2));
    world.view(2, 3);
    for engine in &world.engines {
        assert!(engine.knows_keys() && is_good(engine, &new) && !is_good(engine, &old));
        assert!(knows_password(engine, "ann", 2) && !knows_password(engine, "ann", 1));
    }
}

#[test]
fn a_node_that_comes_lets_nobody_in_by_a_credential_before_it_has_read_which_are_good() {
    let mut world = World::cluster(2, 1);
    let own = key(1, "a", Role::Owner);
    world.begin_node();
    let now = world.now;
    world.engines[2].begin(std::slice::from_ref(&own), &[], now);
    let ring = world.ring(2, 3);
    world.view_comes(ring.shards().nth(2).unwrap(), &ring);
    world.run();
    let early = world.request(2, &format!("?token={}", key_text(1)));
    assert!(world.take_heard(early)[0].starts_with("503 "), "others may know better");
    world.library.keys = vec![own];
    world.library.fault = Some(StoreFault::Busy);
    world.view(2, 3);
    assert!(!world.engines[2].knows_keys(), "it cannot be read");
    world.library.fault = None;
    world.pass(Duration::from_secs(2));
    assert!(world.engines[2].knows_keys());
    let owner = world.request(2, &format!("?token={}", key_text(1)));
    assert_eq!(world.take_heard(owner)[0], "101");
    [early, owner].into_iter().for_each(|conn| world.eof(conn));
}

#[test]
fn what_a_node_died_with_on_its_lips_the_others_read_of_keys_too() {
    let mut world = World::cluster(3, 1);
    let own = key_at(&world, 1, 3, 2);
    // It tells nobody any more, but the store has it.
    world.cut(2, 0);
    world.cut(2, 1);
    let number = world.engines[2].ask_quiz(kept(&own));
    world.run();
    assert_eq!((world.reply(2, number), is_good(&world.engines[0], &own)), (None, false));
    world.kill(2);
    world.view(2, 3);
    assert!(world.engines[..2].iter().all(|engine| engine.knows_keys() && is_good(engine, &own)));
}

#[test]
fn what_is_told_while_the_keys_are_read_is_newer_than_what_is_read() {
    let mut world = World::cluster(3, 1);
    let [old, new] = [key(1, "a", Role::Owner), key(2, "a", Role::Owner)];
    done(&mut world, 0, kept(&old));
    world.kill(2);
    world.store.held = true;
    world.view(2, 3);
    // What was read before is answered behind it.
    let questions = std::mem::take(&mut world.questions);
    let answers: Vec<_> =
        questions.iter().filter(|(_, question)| matches!(question, crate::engine::Question::LoadKeys)).collect();
    assert_eq!(answers.len(), 2);
    let answers: Vec<_> = answers.into_iter().map(|(place, question)| (*place, world.library.read(question))).collect();
    world.store.held = false;
    done(&mut world, 0, kept(&new));
    done(&mut world, 0, revoked(&old));
    let now = world.now;
    answers.into_iter().for_each(|(place, answer)| world.engines[place].answer(answer, now));
    assert!(world.engines[..2].iter().all(|engine| is_good(engine, &new) && !is_good(engine, &old)));
}

#[test]
fn of_two_passwords_of_an_account_all_nodes_know_the_later_one_though_its_home_moves_between_them() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let home = |ring: &crate::realtime::HashRing, name: &str| ring.home(name.as_bytes()).node().0;
    let name = (0..).map(|n| format!("u{n}")).find(|name| (home(&before, name), home(&after, name)) == (1, 2)).unwrap();
    let mut world = World::cluster(2, 1);
    world.store.held = true;
    let first = world.engines[0].ask_quiz(account(&name, 1));
    world.run();
    world.begin_node();
    world.view(2, 3);
    let second = world.engines[0].ask_quiz(account(&name, 2));
    world.run();
    let written = world.questions.iter().filter(|(_, question)| matches!(question, crate::engine::Question::Keep { .. }));
    assert_eq!(written.count(), 1, "the second waits until all have heard of the first");
    world.store.held = false;
    world.run();
    for number in [first, second] {
        assert_eq!(world.reply(0, number), Some(Reply::Kept(Kept::Done)));
    }
    assert!(world.engines.iter().all(|engine| knows_password(engine, &name, 2)));
}
