//! Receives that pause, that come in large pieces, and sends of what lies in many places, over real sockets.

use super::{
    echo::Ask,
    tests::{Echoes, connect, echo, end, slots, there_and_back, until},
};
use crate::realtime::ShardId;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::mpsc,
    time::Duration,
};

fn ask(running: &Echoes, ask: Ask) {
    running.post().post(ShardId(0), [ask]);
}

/// Bytes received by the shard; whatever it was asked before has been done.
fn received(running: &Echoes) -> usize {
    let (tell, told) = mpsc::channel();
    ask(running, Ask::Received(tell));
    told.recv_timeout(Duration::from_secs(60)).unwrap()
}

/// A connection that said these words and heard them back.
fn with_words(running: &Echoes, words: &[u8]) -> TcpStream {
    let mut stream = connect(running);
    assert_eq!(there_and_back(&mut stream, words), words);
    stream
}

fn some(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 31 % 251) as u8).collect()
}

/// Writes until nothing more is taken; returns how much was.
fn fill(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream.set_nonblocking(true).unwrap();
    let (mut written, mut refusals) = (0, 0);
    while refusals < 100 && written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(count) => (written, refusals) = (written + count, 0),
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => refusals += 1,
            Err(fault) => panic!("{fault}"),
        }
    }
    stream.set_nonblocking(false).unwrap();
    written
}

#[test]
fn who_is_paused_is_not_read_others_are_and_nothing_is_lost() {
    for words in [&b"HOLD"[..], b"BULK"] {
        let running = echo(1);
        let mut held = with_words(&running, words);
        if words == b"BULK" {
            there_and_back(&mut held, b"HOLD");
        }
        let mut other = connect(&running);
        let before = received(&running);
        let bytes = some(64 << 20);
        let written = fill(&mut held, &bytes);
        assert!(written < bytes.len(), "somewhere it ends");
        assert_eq!(there_and_back(&mut other, b"hello"), b"hello");
        assert_eq!(received(&running) - before, 5, "nothing of what was written since");
        ask(&running, Ask::Waver(1));
        let mut back = vec![0; written];
        held.read_exact(&mut back).unwrap();
        assert!(back == bytes[..written]);
        assert!(there_and_back(&mut held, &bytes[..1 << 20]) == bytes[..1 << 20]);
        end(running);
    }
}

#[test]
fn however_often_it_is_paused_and_resumed_every_byte_comes_once_and_in_order() {
    for words in [&b"HOLD"[..], b"BULK"] {
        let running = echo(1);
        let mut held = with_words(&running, words);
        if words == b"BULK" {
            there_and_back(&mut held, b"HOLD");
        }
        ask(&running, Ask::Waver(2_001));
        let bytes = some(16 << 20);
        assert!(there_and_back(&mut held, &bytes) == bytes);
        end(running);
    }
}

#[test]
fn one_that_is_closed_while_it_is_paused_is_forgotten_and_its_peer_hears_of_it() {
    let running = echo(1);
    let mut held = with_words(&running, b"HOLD");
    fill(&mut held, &some(1 << 20));
    ask(&running, Ask::Dismiss);
    until("released", || slots(&running) == 0);
    let mut rest = [0; 16];
    assert!(matches!(held.read(&mut rest), Ok(0) | Err(_)));
    end(running);
}

/// A paused peer's end is not read; whatever is said to it finds that it is gone.
#[test]
fn one_that_hangs_up_while_it_is_paused_is_noticed_when_something_is_said_to_it() {
    let running = echo(1);
    drop(with_words(&running, b"HOLD"));
    until("released", || {
        ask(&running, Ask::Speak);
        slots(&running) == 0
    });
    end(running);
}

#[test]
fn what_had_come_before_the_pause_is_followed_by_the_end_after_it() {
    let running = echo(1);
    let mut held = with_words(&running, b"HOLD");
    held.write_all(b"last words").unwrap();
    held.shutdown(Shutdown::Write).unwrap();
    ask(&running, Ask::Waver(1));
    let mut heard = String::new();
    held.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "last words");
    end(running);
}

#[test]
fn a_stop_waits_for_nobody_who_is_paused() {
    let running = echo(2);
    let _held: Vec<_> = (0..20).map(|_| with_words(&running, b"HOLD")).collect();
    end(running);
}

#[test]
fn large_pieces_and_parts_from_many_places_are_the_same_bytes() {
    let running = echo(1);
    let mut stream = with_words(&running, b"BULK");
    for size in [1, 59, 60, 61, 4_097, 65_536, 8 << 20] {
        let bytes = some(size);
        assert!(there_and_back(&mut stream, &bytes) == bytes, "{size}");
    }
    end(running);
}
