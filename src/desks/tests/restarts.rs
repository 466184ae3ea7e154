//! An agent that begins anew, with what it wrote down.

use super::*;

/// As it would be after a restart, through the state file.
fn again(desks: &Desks, is_alive: bool) -> (Desks, Came) {
    let text = serde_json::to_string(&desks.record("boot")).unwrap();
    let record: Record = serde_json::from_str(&text).unwrap();
    assert_eq!((record.boot.as_str(), &record), ("boot", &desks.record("boot")));
    let mut out = Vec::new();
    let desks = Desks::restored(rules(), record, |process| is_alive && process == seat(1).process, &mut out);
    (desks, Came::of(out))
}

#[test]
fn who_survived_is_watched_and_told() {
    let (mut desks, came) = again(&running(), true);
    assert!(matches!(&came.deeds[..], [Effect::Watch { session: ONE, run: 1, seat: found, .. }] if *found == seat(1)));
    assert_eq!(desks.event(Event::Registered).statuses(), [(ONE, true)]);
    assert!(desks.start(1, ONE).results() == [(1, true)], "what was done is remembered");
    assert_eq!(desks.dies(1).statuses(), [(ONE, false)]);
}

#[test]
fn who_died_is_told() {
    let (mut desks, came) = again(&running(), false);
    assert!(came.deeds.is_empty() && desks.running() == 0);
    assert_eq!(desks.event(Event::Registered).statuses(), [(ONE, false)]);
}

#[test]
fn a_start_that_was_cut_short_is_begun_when_it_comes_again() {
    let mut desks = Desks::new(rules());
    desks.start(1, ONE);
    let (mut desks, _) = again(&desks, true);
    assert_eq!(desks.start(1, ONE).started(), Some(2), "runs are numbered on");
    assert_eq!(desks.runs_now(2).results(), [(1, true)]);
}

#[test]
fn a_stop_that_was_cut_short_goes_on() {
    let mut desks = running();
    desks.stop_it(2);
    let (mut desks, came) = again(&desks, true);
    assert_eq!(came.stopped(), Some(TERM));
    assert_eq!(desks.is_quiet().results(), [(2, true)]);
}

#[test]
fn who_slept_sleeps_and_wakes_with_its_own_orders() {
    let mut desks = running();
    desks.hibernate(2);
    desks.is_quiet();
    let (mut desks, came) = again(&desks, false);
    assert!(came.deeds.is_empty());
    let came = desks.wake(3);
    let [Effect::Start { wanted, .. }] = &came.deeds[..] else { panic!("{:?}", came.deeds) };
    assert_eq!((&*wanted.user, &*wanted.template), ("ann", "desktop"));
}
