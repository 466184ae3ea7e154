//! Who hears what, and when.

use super::*;
use smallvec::smallvec;

#[test]
fn a_session_is_read_once_for_all_who_come() {
    let mut bench = Bench::new();
    assert_eq!(bench.join(conn(2), 1), [Outcome::Load(SESSION)]);
    assert_eq!(bench.join(conn(3), 9), []);
    assert_eq!(bench.join(conn(4), 2), []);
    let told = bench.load(session());
    let refused = Outcome::Tell(conn(4), FromSession::Refused { invalid: true });
    assert_eq!(told, [joined(conn(2)), joined(conn(3)), refused]);
}

#[test]
fn what_cannot_be_read_is_refused_and_forgotten() {
    for (loaded, invalid) in [(Ok(None), true), (Err(StoreFault::Busy), false)] {
        let mut bench = Bench::new();
        bench.join(conn(2), 1);
        bench.ask(Ask::End { session: SESSION, caller: caller(1) });
        bench.homes.loaded(SESSION, loaded, bench.now, &mut bench.out);
        let told = bench.take();
        assert_eq!(told[0], Outcome::Tell(conn(2), FromSession::Refused { invalid }));
        assert!(refused(&told).is_some());
        assert_eq!(bench.homes.levels().sessions, 0);
    }
}

#[test]
fn everyone_hears_and_who_comes_late_hears_what_was_said() {
    let mut bench = Bench::joined();
    bench.join(conn(4), 1);
    bench.join(conn(3), 9);
    bench.begun(1);
    let said = bench.delta(1, "Once ");
    let Outcome::Publish { shards, .. } = &said[0] else { panic!("{said:?}") };
    let expected: crate::protocols::chat::homes::Shards = smallvec![(ShardId(0), 2), (ShardId(1), 1)];
    assert_eq!(*shards, expected);
    bench.delta(1, "upon");
    let late = bench.join(conn(5), 1);
    let told: Vec<_> = late
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Deliver(to, frame) if *to == conn(5) => Some(text(frame)),
            _ => None,
        })
        .collect();
    let heard = Heard { last: Some(message_ids(1)[1]), is_open: true };
    assert_eq!(late[0], Outcome::Tell(conn(5), FromSession::Joined { session: SESSION, heard }));
    assert_eq!((&told[0]["type"], &told[1]["delta"]), (&"message_start".into(), &"Once upon".into()));
}

#[test]
fn a_session_in_which_a_message_is_being_written_is_not_silent() {
    let mut bench = Bench::joined();
    bench.pass(3_590 * SECOND);
    let said = bench.say(1);
    bench.pass(20 * SECOND);
    assert_eq!(bench.join(conn(3), 1), [joined(conn(3))]);
    assert_eq!(types(&bench.store(kept_in(&said).0)), ["message_start"]);
}

#[test]
fn admins_listen_and_do_not_speak() {
    let mut bench = Bench::joined();
    bench.join(conn(3), 9);
    let letter =
        ToSession::Say { conn: conn(3), session: SESSION, ids: message_ids(1), content: "hi".into(), attachments: Vec::new() };
    assert_eq!(bench.letter(letter), [not_taken(conn(3), 1, Refused::NoSession)]);
}

#[test]
fn the_last_who_leaves_puts_out_the_light() {
    let mut bench = Bench::joined();
    bench.join(conn(3), 1);
    bench.letter(ToSession::Part { conn: conn(2), session: SESSION });
    assert_eq!(bench.homes.levels().sessions, 1);
    bench.letter(ToSession::Part { conn: conn(3), session: SESSION });
    assert_eq!((bench.homes.levels().sessions, bench.homes.timers()), (0, 0));
}

#[test]
fn a_new_session_is_on_disk_before_it_is_told() {
    let mut bench = Bench::new();
    let created = bench.ask(Ask::Create(Box::new(session())));
    assert!(replies(&created).is_empty());
    let told = bench.store(kept_in(&created).0);
    assert!(matches!(replies(&told)[..], [Reply::Session(_)]));
    assert_eq!(bench.homes.levels().sessions, 0);
    let created = bench.ask(Ask::Create(Box::new(session())));
    assert_eq!(refused(&bench.fail(kept_in(&created).0)), Some(Refused::Store(StoreFault::Failed)));
    assert_eq!(bench.homes.levels().sessions, 0);
}

#[test]
fn what_nobody_cares_for_is_left_to_the_store() {
    let mut bench = Bench::new();
    for ask in [Ask::Look { session: SESSION, caller: caller(1) }, Ask::Approvals { session: SESSION, caller: caller(1) }] {
        assert_eq!(refused(&bench.ask(ask)), Some(Refused::NotHere));
    }
    assert_eq!(bench.homes.levels(), crate::protocols::chat::Levels::default());
}
