//! What a link holds at most, and what cannot have been meant.

use super::*;

#[test]
fn no_more_is_on_its_way_than_may() {
    let mut pair = Pair::met(SMALL);
    for n in 0..24 {
        pair.send(0, &format!("{n:090}"));
    }
    assert_eq!(pair.on_bus[1].len(), 8);
    pair.run();
    assert_eq!(pair.heard[1].len(), 24);
    pair.pass(Duration::from_secs(1));
    pair.assert_rest();
}

#[test]
fn a_large_body_travels_in_pieces_and_is_kept_until_it_is_whole() {
    let mut pair = Pair::met(SMALL);
    let large = "x".repeat(SMALL.letter_bytes);
    pair.send(0, "before");
    pair.send(0, &large);
    pair.send(0, "after");
    pair.arrive(1);
    assert!((1..=SMALL.letter_bytes).contains(&pair.b.held_bytes()));
    pair.run();
    assert_eq!(pair.heard[1], ["before", &large, "after"]);
    pair.pass(Duration::from_secs(1));
    pair.assert_rest();
}

#[test]
fn a_body_that_is_too_large_breaks_the_link() {
    let mut pair = Pair::met(SMALL);
    pair.send(0, &"x".repeat(SMALL.letter_bytes + 1));
    pair.run();
    assert_eq!(pair.broke, [[Why::TooLarge], [Why::Reborn]]);
}

#[test]
fn a_body_of_one_packet_is_not_copied() {
    let mut pair = Pair::met(Limits::DEFAULT);
    let body = body("letters");
    let mut out = Vec::new();
    pair.a.send(body.clone(), pair.now, &mut out);
    let Some(Effect::Send(packet)) = out.pop() else { panic!("it goes out at once") };
    pair.b.receive(packet, pair.now, &mut out);
    let Some(Effect::Deliver { body: delivered, .. }) = out.pop() else { panic!("it is handed on") };
    assert_eq!(delivered.as_ptr(), body.as_ptr());
}

#[test]
fn what_waits_is_bounded_and_beyond_that_both_begin_anew() {
    let mut pair = Pair::met(SMALL);
    pair.at(0, |link, now, out| link.bus(false, now, out));
    let text = "x".repeat(100);
    let fit = SMALL.held_bytes / (100 + Limits::PACKET_COSTS);
    for _ in 0..fit {
        pair.send(0, &text);
        assert!(pair.a.held_bytes() <= SMALL.held_bytes);
    }
    assert_eq!(pair.broke[0], []);
    pair.send(0, &text);
    assert_eq!((pair.broke[0].as_slice(), pair.a.held_bytes()), ([Why::Full].as_slice(), 0));
    pair.send(0, "after");
    pair.at(0, |link, now, out| link.bus(true, now, out));
    pair.run();
    assert_eq!(pair.broke, [[Why::Full], [Why::Reborn]]);
    assert_eq!(pair.heard[1], ["after"]);
}

#[test]
fn nonsense_breaks_the_link() {
    type Twist = fn(&mut Packet);
    let twists: [Twist; 4] = [
        |packet| packet.header.acknowledged = 1,
        |packet| packet.body = Bytes::new(),
        |packet| packet.header.following = SMALL.letter_bytes as u32,
        |packet| packet.header.following = u32::MAX,
    ];
    for (number, twist) in twists.iter().enumerate() {
        let mut pair = Pair::met(SMALL);
        pair.send(0, "one");
        twist(&mut pair.on_bus[1][0]);
        pair.run();
        assert_eq!(pair.broke, [[Why::Reborn], [Why::Nonsense]], "twist {number}");
        assert!(pair.heard[1].is_empty());
    }
}

#[test]
fn pieces_that_do_not_fit_together_are_nonsense() {
    let mut pair = Pair::met(SMALL);
    pair.send(0, &"x".repeat(250));
    pair.on_bus[1][1].header.following = 20;
    pair.run();
    assert_eq!(pair.broke[1], [Why::Nonsense]);
    assert_eq!(pair.b.held_bytes(), 0);
}
