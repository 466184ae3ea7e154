//! Round trips of every letter, and bytes that nobody wrote.

#![allow(clippy::unwrap_used)]

mod damage;
mod samples;

use super::*;
use crate::{
    cluster::{
        Node, Packet,
        link::{Header, Marks},
    },
    engine::{Letter, Since, Topic},
    protocols::tasks::{About, News},
    realtime::{Frame, NodeSlot, ShardId},
};
use bytes::Bytes;
use uuid::Uuid;

const FROM: ShardId = ShardId::of(NodeSlot(1), 3);
const TO: ShardId = ShardId::of(NodeSlot(2), 5);

fn header() -> Header {
    let node = |slot: u8| Node { slot: NodeSlot(slot), epoch: u64::MAX - u64::from(slot) };
    let marks = Marks { missing: false, urgent: true };
    Header { from: node(3), to: node(250), incarnation: 1 << 32, known: 2, sequence: 3, acknowledged: 4, following: 5, marks }
}

fn body() -> Bytes {
    let mut letters = Letters::default();
    samples::all().into_iter().for_each(|letter| letters.push(FROM, TO, letter));
    letters.write().unwrap()
}

#[test]
fn a_packet_is_read_as_it_was_written() {
    let bare = Header { sequence: 0, ..header() };
    for (header, body) in [(header(), Bytes::from_static(b"letters")), (bare, Bytes::new())] {
        let packet = Packet { header, body };
        let message = write_packet(&packet);
        assert_eq!(message[..2], VERSION.to_le_bytes());
        assert_eq!(read_packet(message), Ok(packet));
    }
}

#[test]
fn the_body_of_a_packet_is_not_copied() {
    let message = write_packet(&Packet { header: header(), body: Bytes::from_static(b"letters") });
    let end = message.as_ptr_range().end;
    assert_eq!(read_packet(message).unwrap().body.as_ptr_range().end, end);
}

#[test]
fn every_letter_is_read_as_it_was_written() {
    let letters = read_letters(&body()).unwrap();
    let samples = samples::all();
    assert_eq!(letters.len(), samples.len());
    for (read, written) in letters.iter().zip(&samples) {
        assert_eq!((read.from, read.to), (FROM, TO));
        assert_eq!(format!("{:?}", read.letter), format!("{written:?}"));
    }
}

#[test]
fn every_kind_of_letter_is_among_the_samples() {
    let mut seen = [false; samples::KINDS];
    samples::all().iter().for_each(|letter| seen[samples::kind(letter)] = true);
    let missing: Vec<usize> = (0..samples::KINDS).filter(|kind| !seen[*kind]).collect();
    assert!(missing.is_empty(), "no sample of {missing:?}");
}

#[test]
fn a_frame_for_several_shards_is_in_the_bytes_once_and_shared_when_read() {
    let frame = Frame::from_wire(&[7; 1000]);
    let publish = |frame: &Frame, members| {
        let topic = Topic::Classroom(Uuid::from_u128(9));
        Letter::Publish { topic, frame: frame.clone(), members, since: Since::default() }
    };
    let mut letters = Letters::default();
    let shards: Vec<ShardId> = (0..3).map(|local| ShardId::of(NodeSlot(2), local)).collect();
    for (members, shard) in shards.iter().enumerate() {
        letters.push(FROM, *shard, publish(&frame, members as u32));
    }
    let body = letters.write().unwrap();
    assert!(letters.is_empty() && body.len() < 1300, "{} bytes", body.len());
    let read = read_letters(&body).unwrap();
    let mut first: Option<Frame> = None;
    for (members, (read, shard)) in read.into_iter().zip(&shards).enumerate() {
        let Letter::Publish { frame: got, members: told, .. } = read.letter else { panic!("a publish") };
        assert_eq!((read.to, told as usize, &got), (*shard, members, &frame));
        assert!(first.get_or_insert(got.clone()).is_same(&got));
    }
}

#[test]
fn news_of_a_task_for_several_shards_are_in_the_bytes_once() {
    let news = News { about: About::Task(Uuid::from_u128(9)), is_last: true, frame: Frame::from_wire(&[7; 1000]) };
    let mut letters = Letters::default();
    let shards: Vec<ShardId> = (0..3).map(|local| ShardId::of(NodeSlot(2), local)).collect();
    shards.iter().for_each(|shard| letters.push(FROM, *shard, Letter::TasksNews { owner: "ann".into(), news: news.clone() }));
    let body = letters.write().unwrap();
    assert!(body.len() < 1300, "{} bytes", body.len());
    let read = read_letters(&body).unwrap();
    assert_eq!(read.iter().map(|read| read.to).collect::<Vec<_>>(), shards);
    for read in read {
        let Letter::TasksNews { owner, news: got } = read.letter else { panic!("news") };
        assert_eq!((&*owner, &got), ("ann", &news));
    }
}

#[test]
fn letters_are_read_in_the_order_in_which_they_were_posted() {
    let frame = Frame::from_wire(b"same");
    let publish = || Letter::Publish { topic: Topic::SystemStatus, frame: frame.clone(), members: 1, since: Since::default() };
    let other = ShardId::of(NodeSlot(2), 6);
    let mut letters = Letters::default();
    letters.push(FROM, TO, publish());
    letters.push(FROM, other, Letter::KeyHeard { telling: 1 });
    letters.push(FROM, other, publish());
    letters.push(TO, other, publish());
    let read = read_letters(&letters.write().unwrap()).unwrap();
    let order: Vec<(ShardId, ShardId, bool)> =
        read.iter().map(|read| (read.from, read.to, matches!(read.letter, Letter::Publish { .. }))).collect();
    assert_eq!(order, [(FROM, TO, true), (FROM, other, false), (FROM, other, true), (TO, other, true)]);
}

#[test]
fn more_than_a_body_may_be_is_refused_on_both_sides() {
    let mut letters = Letters::default();
    letters.push(
        FROM,
        TO,
        Letter::Publish {
            topic: Topic::SystemStatus,
            frame: Frame::from_wire(&vec![0; LETTERS_BYTES_AT_MOST]),
            members: 1,
            since: Since::default(),
        },
    );
    assert!(letters.is_full());
    assert_eq!(letters.write(), Err(TooLong));
    assert!(letters.is_empty());
    assert_eq!(read_letters(&vec![0; LETTERS_BYTES_AT_MOST + 1]).unwrap_err(), Unreadable::TooLong);
}
