//! Two ends, packet by packet.

use super::*;

#[test]
fn two_ends_meet_and_what_waited_for_it_is_sent() {
    let mut pair = Pair::new(Limits::DEFAULT);
    pair.send(0, "early");
    assert!(pair.on_bus[1].is_empty(), "no letter goes to one whose number is not known");
    pair.tick();
    pair.run();
    assert_eq!(pair.heard, [vec![], vec!["early".to_owned()]]);
    pair.pass(Duration::from_secs(60));
    pair.assert_rest();
    assert_eq!(pair.broke, [vec![], vec![]]);
}

#[test]
fn an_end_greets_one_that_is_not_there_at_growing_intervals() {
    let mut pair = Pair::new(Limits::DEFAULT);
    let mut greetings = Vec::new();
    for _ in 0..6 {
        pair.now = pair.a.deadline().unwrap();
        pair.at(0, |link, now, out| link.tick(now, out));
        greetings.push(pair.now.since(Moment(1_000_000)).as_millis());
        assert_eq!(std::mem::take(&mut pair.on_bus[1]).len(), 1);
    }
    assert_eq!(greetings, [0, 250, 750, 1750, 3750, 5750]);
}

#[test]
fn an_acknowledgement_waits_for_company_but_not_for_long() {
    let mut pair = Pair::met(Limits::DEFAULT);
    pair.send(0, "one");
    pair.arrive(1);
    assert!(pair.on_bus[0].is_empty());
    pair.send(1, "two");
    pair.arrive(0);
    assert_eq!(pair.a.held_bytes(), 0, "it came along with a letter");
    let bare = pair.a.counted().bare;
    pair.pass(Limits::DEFAULT.acknowledge_after - MILLI);
    assert_eq!((pair.a.counted().bare, pair.b.held_bytes()), (bare, 3 + Limits::PACKET_COSTS));
    pair.pass(MILLI);
    assert_eq!((pair.a.counted().bare, pair.b.held_bytes()), (bare + 1, 0));
    pair.assert_rest();
}

#[test]
fn much_is_acknowledged_at_once() {
    let mut pair = Pair::met(SMALL);
    for n in 0..8 {
        pair.send(0, &n.to_string());
    }
    assert_eq!(pair.on_bus[1].len(), 8);
    pair.arrive(1);
    assert_eq!(pair.on_bus[0].len(), 4, "a quarter of the flight each");
    assert_eq!(pair.heard[1], ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn what_is_lost_is_asked_for_at_once_and_sent_again() {
    let mut pair = Pair::met(Limits::DEFAULT);
    for text in ["one", "two", "three", "four"] {
        pair.send(0, text);
    }
    pair.on_bus[1].remove(1);
    pair.arrive(1);
    assert_eq!(pair.heard[1], ["one"]);
    assert_eq!(pair.on_bus[0].iter().filter(|packet| packet.header.marks.missing).count(), 1, "asked once");
    pair.run();
    assert_eq!(pair.heard[1], ["one", "two", "three", "four"]);
    assert_eq!((pair.a.counted().resent, pair.b.counted().early), (3, 2));
    pair.pass(Duration::from_secs(1));
    pair.assert_rest();
}

#[test]
fn a_gap_that_stays_is_asked_for_again_but_not_with_each_packet() {
    let mut pair = Pair::met(Limits::DEFAULT);
    pair.send(0, "lost");
    pair.on_bus[1].clear();
    let asked = |pair: &mut Pair| {
        pair.send(0, "early");
        pair.arrive(1);
        std::mem::take(&mut pair.on_bus[0]).len()
    };
    assert_eq!((asked(&mut pair), asked(&mut pair)), (1, 0));
    pair.now = pair.now + Limits::DEFAULT.ask_again_after;
    assert_eq!((asked(&mut pair), asked(&mut pair)), (1, 0));
}

#[test]
fn after_silence_one_packet_asks_for_all_the_others() {
    let mut pair = Pair::met(Limits::DEFAULT);
    for n in 0..20 {
        pair.send(0, &n.to_string());
    }
    pair.on_bus[1].clear();
    let mut at = Vec::new();
    for _ in 0..5 {
        let from = pair.now;
        pair.now = pair.a.deadline().unwrap();
        pair.tick();
        at.push(pair.now.since(from).as_millis());
        let packets = std::mem::take(&mut pair.on_bus[1]);
        assert_eq!(packets.len(), 1);
        assert!(packets[0].header.marks.urgent && packets[0].header.sequence == 1);
    }
    assert_eq!(at, [250, 500, 1000, 2000, 2000]);
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.heard[1].len(), 20);
    assert_eq!(pair.b.counted().doubled, 0);
    pair.pass(Duration::from_secs(1));
    pair.assert_rest();
}

#[test]
fn what_comes_twice_is_handed_on_once() {
    let mut pair = Pair::met(Limits::DEFAULT);
    pair.send(0, "one");
    pair.send(0, "two");
    let packets = pair.on_bus[1].clone();
    pair.arrive(1);
    pair.on_bus[1] = packets.into_iter().rev().collect();
    pair.arrive(1);
    assert_eq!(pair.heard[1], ["one", "two"]);
    assert_eq!(pair.b.counted().doubled, 2);
}

#[test]
fn when_the_bus_is_gone_nothing_is_said_and_when_it_is_back_everything() {
    let mut pair = Pair::met(Limits::DEFAULT);
    pair.send(0, "on its way");
    pair.on_bus[1].clear();
    for end in 0..2 {
        pair.at(end, |link, now, out| link.bus(false, now, out));
    }
    pair.send(0, "waits");
    pair.pass(Duration::from_secs(600));
    assert_eq!((pair.deadline(), pair.on_bus[1].len()), (None, 0));
    for end in 0..2 {
        pair.at(end, |link, now, out| link.bus(true, now, out));
    }
    pair.run();
    assert_eq!(pair.heard[1], ["on its way", "waits"], "without waiting for a deadline");
    pair.pass(Duration::from_secs(1));
    pair.assert_rest();
    assert_eq!(pair.broke, [vec![], vec![]]);
}

#[test]
fn an_end_that_was_made_again_is_recognised_and_what_was_on_its_way_is_not_told_twice() {
    let mut pair = Pair::met(Limits::DEFAULT);
    pair.send(0, "one");
    let copies = pair.on_bus[1].clone();
    pair.arrive(1);
    pair.send(0, "two");
    pair.b = Link::new(B, A, 2, Limits::DEFAULT, pair.now);
    pair.run();
    pair.on_bus[1].extend(copies);
    pair.run();
    assert_eq!(pair.broke, [vec![Why::Reborn], vec![]], "whoever made it again knows");
    assert_eq!(pair.heard[1], ["one"], "neither what had come nor what was meant for the old end");
    pair.send(0, "three");
    pair.run();
    assert_eq!(pair.heard[1], ["one", "three"]);
    pair.pass(Duration::from_secs(1));
    pair.assert_rest();
}

#[test]
fn when_one_end_breaks_both_are_told_even_if_nobody_says_anything() {
    let mut pair = Pair::met(Limits::DEFAULT);
    pair.send(1, "on its way");
    pair.at(0, |link, now, out| link.break_off(now, out));
    pair.on_bus.iter_mut().for_each(Vec::clear);
    pair.pass(Duration::from_secs(10));
    assert_eq!(pair.broke, [vec![Why::Asked], vec![Why::Reborn]]);
    assert_eq!(pair.heard, [vec![] as Vec<String>, vec![]]);
    pair.assert_rest();
}

#[test]
fn a_break_before_the_first_meeting_is_told_too() {
    let mut pair = Pair::new(Limits::DEFAULT);
    pair.at(0, |link, now, out| link.break_off(now, out));
    pair.run();
    assert_eq!(pair.broke, [vec![Why::Asked], vec![Why::Reborn]]);
}

#[test]
fn two_ends_that_break_at_once_are_each_told_of_both() {
    let mut pair = Pair::met(Limits::DEFAULT);
    for end in 0..2 {
        pair.at(end, |link, now, out| link.break_off(now, out));
    }
    pair.send(0, "waits for the next pair, and goes with the second break");
    pair.run();
    pair.send(0, "after");
    pair.run();
    assert_eq!(pair.broke, [[Why::Asked, Why::Reborn], [Why::Asked, Why::Reborn]]);
    assert_eq!(pair.heard[1], ["after"]);
}

#[test]
fn packets_of_another_life_are_nothing() {
    let mut pair = Pair::met(Limits::DEFAULT);
    pair.send(0, "one");
    let packet = pair.on_bus[1].remove(0);
    let strange = pair.b.counted().strange;
    let header = packet.header;
    let reborn = |node: Node| Node { epoch: node.epoch + 1, ..node };
    for header in [Header { from: reborn(A), ..header }, Header { to: reborn(B), ..header }] {
        pair.on_bus[1].push(Packet { header, body: packet.body.clone() });
        pair.run();
    }
    assert_eq!((pair.b.counted().strange - strange, pair.heard[1].len()), (2, 0));
}
