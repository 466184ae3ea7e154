//! Bytes of screens: equal at both ends, held back where they must be, and nowhere else.

use super::{labs::*, world::*};
use crate::{
    engine::{Letter, Output},
    protocols::labs::TunnelWord,
    realtime::{ConnId, ShardId},
};

const WINDOW: usize = 1 << 20;

fn on_one_and_two(script: impl Fn(&mut World, usize)) {
    script(&mut World::new(1), 0);
    script(&mut World::new(2), 1);
}

/// An agent on the first shard, a viewer on `other`.
fn watched(world: &mut World, other: usize, credit: Option<u32>) -> (ConnId, ConnId, u32) {
    let agent = world.agent(0, "a1");
    let session = world.desktop(agent, "ann", 1);
    let (viewer, proxy) = world.viewer(other, (session, &user_token("ann", 1, LATER)), agent);
    world.ready(agent, proxy, credit);
    (agent, viewer, proxy)
}

/// The data and the credit in binary frames to an agent.
fn told(world: &mut World, agent: ConnId) -> (Vec<u8>, usize) {
    let lengths: Vec<usize> =
        world.take_heard(agent).iter().filter_map(|words| words.strip_prefix("BINARY ")?.parse().ok()).collect();
    let stream = world.take_stream(agent);
    let (mut rest, mut bytes, mut given) = (&stream[..], Vec::new(), 0);
    for length in lengths {
        let (frame, after) = rest.split_at(length);
        match frame[0] {
            1 => bytes.extend_from_slice(&frame[5..]),
            _ => given += u32::from_be_bytes(frame[5..9].try_into().unwrap()) as usize,
        }
        rest = after;
    }
    (bytes, given)
}

#[test]
fn bytes_are_the_same_at_both_ends_whatever_pieces_they_come_in() {
    on_one_and_two(|world, other| {
        let (agent, viewer, proxy) = watched(world, other, None);
        let (down, up) = (stream(3 << 20, 1), stream(3 << 20, 2));
        let lengths = [1, 5, 300, 4_096, 70_000, 32_768, 65_536, 9, 200_000];
        for (bytes, is_down) in [(&down, true), (&up, false)] {
            let (mut rest, mut n) = (&bytes[..], 0);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(lengths[n % lengths.len()].min(rest.len()));
                let frame = if is_down { long(2, &data(proxy, piece)) } else { long(2, piece) };
                let from = if is_down { agent } else { viewer };
                // As receives bring it: never with the borders of messages.
                frame.chunks(64 << 10).for_each(|bytes| world.bytes(from, bytes));
                (rest, n) = (after, n + 1);
            }
        }
        assert!(world.take_stream(viewer) == down);
        assert!(told(world, agent).0 == up);
        let brought: u64 = world.engines.iter().map(|engine| engine.counters().labs_bytes.read()).sum();
        assert_eq!(brought, 6 << 20);
        world.leave_labs(&[viewer, agent]);
    });
}

#[test]
fn an_agent_that_speaks_text_is_heard_and_spoken_to_in_text() {
    on_one_and_two(|world, other| {
        let (agent, viewer, proxy) = watched(world, other, None);
        world.text(agent, &format!(r#"{{"type":"vnc_data","proxy_id":"proxy-{proxy}","data":"UkZC"}}"#));
        assert_eq!(world.take_stream(viewer), b"RFB");
        world.take_heard(agent);
        world.frame(viewer, 2, b"RFB");
        let heard = world.take_heard(agent);
        assert_eq!((&json(&heard[0])["type"], &json(&heard[0])["data"]), (&"vnc_data".into(), &"UkZC".into()));
        world.leave_labs(&[viewer, agent]);
    });
}

/// The first copy is that out of the buffer that was received into. After it the bytes lie where they are until they are sent.
#[test]
fn what_an_agent_sent_goes_to_the_viewers_socket_from_where_it_was_first_written() {
    let mut world = World::new(2);
    let (agent, viewer, proxy) = watched(&mut world, 1, None);
    world.held = Some((ShardId(1), Vec::new()));
    let frames: Vec<u8> = (0..5).flat_map(|n| long(2, &data(proxy, &stream(30_000, n)))).collect();
    world.bytes(agent, &frames);
    let letters = world.held.take().unwrap().1;
    let places: Vec<*const u8> = letters
        .iter()
        .map(|(_, letter)| match letter {
            Letter::Tunnel { word: TunnelWord::Bytes(chunk), .. } => chunk.bytes().as_ptr(),
            other => panic!("{other:?}"),
        })
        .collect();
    let now = world.now;
    letters.into_iter().for_each(|(from, letter)| world.engines[1].letter(from, letter, now));
    let mut out = Output::default();
    world.engines[1].finish(now, &mut out);
    let [send] = &out.sends[..] else { panic!("one send of all") };
    let sent: Vec<*const u8> =
        std::iter::once(&send.segment).chain(&send.more).map(|segment| segment.bytes()[4..].as_ptr()).collect();
    assert_eq!((sent, send.conn), (places, viewer));
    world.engines[1].sent(viewer, true, now);
    world.leave_labs(&[viewer, agent]);
}

/// Who takes nothing holds up nobody: its agent hears commands, and the viewers beside it see.
#[test]
fn a_slow_viewer_slows_its_own_stream_and_no_other_and_the_agent_is_always_read() {
    on_one_and_two(|world, other| {
        let (agent, slow, one) = watched(world, other, Some(1 << 20));
        let (_, given) = told(world, agent);
        assert_eq!(given, WINDOW);
        let session = world.desktop(agent, "ann", 2);
        let (quick, two) = world.viewer(other, (session, &user_token("ann", 1, LATER)), agent);
        world.ready(agent, two, Some(1 << 20));
        told(world, agent);
        world.stalled.push(slow);
        for n in 0..WINDOW / 32_768 {
            world.bytes(agent, &long(2, &data(one, &stream(32_768, n))));
        }
        assert_eq!(told(world, agent).1, 0, "nothing has left, so there is no more credit");
        for n in 0..100 {
            world.bytes(agent, &long(2, &data(two, &stream(30_000, n))));
            world.take_stream(quick);
        }
        assert_eq!(told(world, agent).1, 3_000_000, "the other's credit comes as its bytes leave");
        let held: usize = world.in_flight.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(held <= 256 << 10, "{held} in flight");
        let third = world.desktop(agent, "ann", 3);
        assert_eq!(third, uuid::Uuid::from_u128(0xD3), "a session was begun meanwhile");
        assert_eq!(world.paused, [], "no agent's socket is ever paused");
        let mut given = 0;
        while world.let_go(slow) {
            given += told(world, agent).1;
        }
        assert_eq!((given, world.take_stream(slow).len()), (WINDOW, WINDOW));
        world.leave_labs(&[slow, quick, agent]);
    });
}

#[test]
fn an_agent_that_counts_nothing_and_sends_more_than_a_window_loses_that_tunnel_alone() {
    on_one_and_two(|world, other| {
        let (agent, slow, proxy) = watched(world, other, None);
        world.stalled.push(slow);
        for n in 0..=WINDOW / 32_768 {
            world.bytes(agent, &long(2, &data(proxy, &stream(32_768, n))));
        }
        let heard = world.take_heard(agent);
        assert_eq!(json(heard.last().unwrap())["type"], "vnc_proxy_close");
        while world.let_go(slow) {}
        let heard = world.take_heard(slow);
        assert_eq!(heard[heard.len() - 2..], ["CLOSE 1011", "FIN"]);
        world.desktop(agent, "ann", 2);
        world.leave_labs(&[slow, agent]);
    });
}

/// A viewer that sends more than its agent takes is read no more; what the shell had read already is kept, and nothing is lost.
#[test]
fn a_viewer_is_read_as_fast_as_its_agent_takes() {
    on_one_and_two(|world, other| {
        let (agent, viewer, proxy) = watched(world, other, Some(0));
        told(world, agent);
        let up = stream(3 << 20, 5);
        let frames: Vec<u8> = up.chunks(20_000).flat_map(|piece| long(2, piece)).collect();
        let (mut rest, mut was_paused) = (&frames[..], 0);
        let mut taken = Vec::new();
        while !rest.is_empty() || !world.paused.is_empty() {
            if world.paused.contains(&viewer) {
                was_paused += 1;
                world.frame(agent, 2, &credit(proxy, 300_000));
                let (bytes, _) = told(world, agent);
                taken.extend_from_slice(&bytes);
                continue;
            }
            // All that a turn of the shell can bring, although the first of it pauses.
            let (piece, after) = rest.split_at((2 << 20).min(rest.len()));
            let now = world.now;
            for bytes in piece.chunks(64 << 10) {
                world.engines[other].received(viewer, bytes, now);
            }
            world.run();
            rest = after;
        }
        world.frame(agent, 2, &credit(proxy, 4 << 20));
        taken.extend_from_slice(&told(world, agent).0);
        assert!(taken == up, "{} of {}", taken.len(), up.len());
        assert!(was_paused > 3, "{was_paused}");
        world.leave_labs(&[viewer, agent]);
    });
}

#[test]
fn a_receive_of_more_than_there_is_credit_for_ends_nobody() {
    on_one_and_two(|world, other| {
        let (agent, viewer, proxy) = watched(world, other, Some(0));
        told(world, agent);
        let up = stream(3 << 20, 5);
        let frames: Vec<u8> = up.chunks(20_000).flat_map(|piece| long(2, piece)).collect();
        let (part, all) = frames.split_at(19_000);
        let now = world.now;
        for bytes in [part, all] {
            world.engines[other].received(viewer, bytes, now);
        }
        world.run();
        let mut taken = Vec::new();
        for _ in 0..20 {
            world.frame(agent, 2, &credit(proxy, 300_000));
            taken.extend_from_slice(&told(world, agent).0);
        }
        assert!(taken == up, "{} of {}", taken.len(), up.len());
        assert!(world.paused.is_empty());
        world.leave_labs(&[viewer, agent]);
    });
}

#[test]
fn what_a_viewer_said_before_it_left_reaches_the_agent_although_it_was_paused() {
    for is_polite in [false, true] {
        on_one_and_two(|world, other| {
            let (agent, viewer, proxy) = watched(world, other, Some(0));
            told(world, agent);
            let up = stream(900_000, 5);
            let mut frames: Vec<u8> = up.chunks(20_000).flat_map(|piece| long(2, piece)).collect();
            if is_polite {
                frames.extend_from_slice(&masked(8, &1000_u16.to_be_bytes()));
            }
            let now = world.now;
            for bytes in frames.chunks(64 << 10) {
                world.engines[other].received(viewer, bytes, now);
            }
            world.engines[other].ended(viewer, now);
            world.run();
            assert_eq!(world.paused, [viewer]);
            let mut taken = Vec::new();
            for _ in 0..4 {
                world.frame(agent, 2, &credit(proxy, 300_000));
                taken.extend_from_slice(&told(world, agent).0);
            }
            assert!(taken == up, "{} of {}", taken.len(), up.len());
            let heard = world.take_heard(viewer);
            assert_eq!(heard.last().unwrap(), "END", "{heard:?}");
            world.leave_labs(&[agent]);
        });
    }
}

#[test]
fn a_viewers_message_is_bounded_by_a_quarter_of_a_window_and_an_agents_by_its_own() {
    let mut world = World::new(1);
    let (agent, viewer, proxy) = watched(&mut world, 0, None);
    world.bytes(viewer, &long(2, &vec![7; WINDOW / 4]));
    world.run();
    assert_eq!(told(&mut world, agent).0.len(), WINDOW / 4);
    world.bytes(viewer, &long(2, &vec![7; WINDOW / 4 + 1])[..14]);
    assert_eq!(world.take_heard(viewer), ["CLOSE 1009", "FIN"]);
    world.bytes(agent, &long(2, &data(proxy, &vec![7; 512 << 10]))[..14]);
    let heard = world.take_heard(agent);
    assert_eq!(heard[heard.len() - 2..], ["CLOSE 1009", "FIN"]);
    world.leave_labs(&[viewer, agent]);
}
