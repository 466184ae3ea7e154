//! The shell with the echo engine over real sockets.

mod child;

use super::{
    echo::{Ask, Echo, plan, plan_at},
    *,
};
use crate::{engine::Handoff, realtime::ShardId};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::{
    cell::RefCell,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    rc::Rc,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Shards that echo, running.
pub(super) type Echoes = Running<Ask, <Echo as Shard>::Letter, ()>;

const QUICK: StopTimes = StopTimes { drain: Duration::from_millis(50), goodbye: Duration::from_secs(2) };

pub(super) fn echo(shards: u16) -> Echoes {
    echo_on(&plan(shards))
}

/// Where the first listener is.
pub(super) fn address(running: &Echoes) -> SocketAddr {
    running.addresses()[0].address().unwrap()
}

pub(super) fn echo_on(plan: &Plan) -> Echoes {
    start(plan, |seat| {
        let engine = Rc::new(RefCell::new(Echo::new(seat.id)));
        let (rest_engine, nudge) = (engine.clone(), seat.nudge);
        let on_handoff: OnHandoff =
            Rc::new(move |stream, handoff, _| Box::pin(rest(rest_engine.clone(), nudge.clone(), stream, handoff)));
        Furnishing { engine, on_handoff }
    })
    .unwrap()
}

/// Reads a request's head and tells its length; `GET /publish` also publishes, after everything else has come to rest.
async fn rest(engine: Rc<RefCell<Echo>>, nudge: Nudge, mut stream: glommio::net::TcpStream, handoff: Handoff) {
    let mut head = handoff.head;
    let mut more = [0; 512];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&more[..count]),
        }
    }
    if head.starts_with(b"GET /publish") {
        glommio::timer::sleep(Duration::from_millis(10)).await;
        engine.borrow_mut().publish(&1u32.to_le_bytes());
        nudge.nudge();
    }
    let _ = stream.write_all(format!("REST got {}", head.len()).as_bytes()).await;
    let _ = stream.close().await;
}

pub(super) fn connect(running: &Echoes) -> TcpStream {
    let stream = TcpStream::connect(address(running)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(super) fn end(running: Echoes) {
    running.stage().stop(QUICK);
    running.join().unwrap();
}

pub(super) fn slots(running: &Echoes) -> usize {
    let shards = running.stage().all_counts().len() as u16;
    let (tell, told) = mpsc::channel();
    (0..shards).for_each(|shard| running.post().post(ShardId(shard), [Ask::Slots(tell.clone())]));
    (0..shards).map(|_| told.recv_timeout(Duration::from_secs(60)).unwrap()).sum()
}

pub(super) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        thread::yield_now();
    }
}

/// Sends and reads back at the same time, since both sides' buffers are smaller than a large message.
pub(super) fn there_and_back(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(bytes).unwrap());
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).unwrap();
        back
    })
}

#[test]
fn bytes_of_every_size_come_back() {
    for shards in [1, 2] {
        let running = echo(shards);
        let mut stream = connect(&running);
        for size in [1, 2, 255, 4095, 4096, 4097, 65_536, 1 << 20] {
            let bytes: Vec<u8> = (0..size).map(|place: usize| (place * 31 % 251) as u8).collect();
            assert!(there_and_back(&mut stream, &bytes) == bytes, "{size} bytes at {shards} shards");
        }
        end(running);
    }
}

#[test]
fn two_thousand_connections_are_served_and_forgotten() {
    let running = echo(2);
    let mut streams: Vec<_> = (0..2000).map(|_| connect(&running)).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&(number as u64).to_le_bytes()).unwrap();
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let mut back = [0; 8];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(u64::from_le_bytes(back), number as u64);
    }
    until("all counted", || running.stage().connections() == 2000);
    drop(streams);
    until("all released", || slots(&running) == 0 && running.stage().connections() == 0);
    end(running);
}

#[test]
fn a_peer_that_half_closes_gets_the_rest_and_the_end() {
    let running = echo(1);
    let mut stream = connect(&running);
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"last words");
    until("released", || slots(&running) == 0);
    end(running);
}

#[test]
fn our_half_close_comes_after_the_send_in_flight_and_reading_goes_on() {
    let running = echo(1);
    let mut stream = connect(&running);
    let mut bytes = vec![7; 3 << 20];
    bytes.extend_from_slice(b"BYE");
    assert!(there_and_back(&mut stream, &bytes) == bytes);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert_eq!(slots(&running), 1, "still open for what the peer sends");
    drop(stream);
    until("released", || slots(&running) == 0);
    end(running);
}

#[test]
fn a_close_reaches_the_peer_though_a_receive_is_armed() {
    let running = echo(1);
    let mut stream = connect(&running);
    stream.write_all(b"QUIT").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    until("released", || slots(&running) == 0);
    end(running);
}

#[test]
fn resets_end_only_the_connection_that_they_hit() {
    let running = echo(2);
    let mut steady = connect(&running);
    for _ in 0..50 {
        let mut stream = connect(&running);
        stream.write_all(&[1; 100_000]).unwrap();
        // Unread bytes in the receive queue make close(2) send a reset.
        stream.read_exact(&mut [0; 1]).unwrap();
        drop(stream);
    }
    assert_eq!(there_and_back(&mut steady, b"still here"), b"still here");
    until("released", || slots(&running) == 1);
    end(running);
}

#[test]
fn a_peer_that_never_reads_holds_up_nobody_and_gets_all_when_it_reads() {
    let running = echo(1);
    let mut slow = connect(&running);
    let bytes: Vec<u8> = (0..24_000_000).map(|place: usize| (place * 7 % 253) as u8).collect();
    let mut writer = slow.try_clone().unwrap();
    let all = bytes.clone();
    let writing = thread::spawn(move || writer.write_all(&all).unwrap());
    let mut quick = connect(&running);
    for _ in 0..100 {
        assert_eq!(there_and_back(&mut quick, b"me first"), b"me first");
    }
    let mut back = vec![0; bytes.len()];
    slow.read_exact(&mut back).unwrap();
    assert!(back == bytes);
    writing.join().unwrap();
    end(running);
}

#[test]
fn a_peer_that_never_reads_can_be_left_in_the_middle_of_a_send() {
    let running = echo(1);
    let mut slow = connect(&running);
    slow.write_all(&vec![3; 32 << 20]).unwrap();
    drop(slow);
    until("released", || slots(&running) == 0);
    end(running);
}

#[test]
fn plain_http_goes_to_rest_with_the_bytes_behind() {
    for shards in [1, 2] {
        let running = echo(shards);
        let mut streams: Vec<_> = (0..50).map(|_| connect(&running)).collect();
        for stream in &mut streams {
            stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        }
        for stream in &mut streams {
            stream.write_all(b"Host: x\r\n\r\n").unwrap();
        }
        for stream in &mut streams {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "REST got 27");
        }
        until("released", || slots(&running) == 0);
        until("tasks gone", || running.stage().all_counts().iter().all(|counts| counts.handed_off_now.value() == 0));
        end(running);
    }
}

#[test]
fn what_a_rest_task_does_to_the_engine_is_carried_out_at_once() {
    let running = echo(1);
    let mut member = connect(&running);
    assert_eq!(there_and_back(&mut member, b"here"), b"here");
    // Without the nudge each would wait for the end of the longest sleep, 200 ms. A busy machine may be late as often as it likes.
    until("one came soon", || {
        let start = Instant::now();
        let mut request = connect(&running);
        request.write_all(b"GET /publish HTTP/1.1\r\n\r\n").unwrap();
        member.read_exact(&mut [0; 260]).unwrap();
        start.elapsed() < Duration::from_millis(100)
    });
    end(running);
}

#[test]
fn letters_wake_parked_shards() {
    // They sleep in their rings; while somebody talks HTTP to them, in their reactors.
    for is_serving in [false, true] {
        let running = echo(2);
        let mut talking: Vec<TcpStream> = (0..if is_serving { 40 } else { 0 }).map(|_| connect(&running)).collect();
        talking.iter_mut().for_each(|stream| stream.write_all(b"GET / HTTP/1.1\r\n").unwrap());
        until("both serve", || {
            running.stage().all_counts().iter().all(|counts| (counts.handed_off_now.value() > 0) == is_serving)
        });
        let (done, told) = mpsc::channel();
        running.post().post(ShardId(0), [Ask::PingPong { rounds: 500, done }]);
        let mut rounds = told.recv_timeout(Duration::from_secs(60)).unwrap();
        rounds.sort();
        let (median, late) = (rounds[rounds.len() / 2], rounds[rounds.len() * 99 / 100]);
        println!("round trip between parked shards: p50 {median:?}, p99 {late:?}");
        assert!(median < Duration::from_millis(100), "as long as the longest sleep: {median:?}");
        drop(talking);
        end(running);
    }
}

#[test]
fn a_flood_of_letters_spills_and_still_arrives_whole_and_in_order() {
    let running = echo(2);
    let (done, told) = mpsc::channel();
    running.post().post(ShardId(0), [Ask::Flood { letters: 100_000, done }]);
    assert_eq!(told.recv_timeout(Duration::from_secs(60)).unwrap(), 100_000);
    assert!(running.stage().counts(ShardId(0)).spilled.value() > 0);
    until("spill empty", || running.stage().counts(ShardId(0)).spilled_now.value() == 0);
    end(running);
}

#[test]
fn tiny_rings_are_slow_but_right() {
    // Buffers run out, the submission queue is submitted piece by piece, and completions wait in the kernel.
    let ring =
        RingSizes { submissions: 2, completions: 4, buffers: 2, buffer_bytes: 64, bulk_buffers: 2, bulk_buffer_bytes: 128 };
    let running = echo_on(&Plan { ring, ..plan(1) });
    let mut streams: Vec<_> = (0..100).map(|_| connect(&running)).collect();
    for round in 0..5u8 {
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&[number as u8 ^ round; 1000]).unwrap();
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let mut back = [0; 1000];
            stream.read_exact(&mut back).unwrap();
            assert!(back == [number as u8 ^ round; 1000]);
        }
    }
    assert!(running.stage().counts(ShardId(0)).receive_pauses.value() > 0);
    drop(streams);
    until("released", || slots(&running) == 0);
    end(running);
}

#[test]
fn one_batch_is_shared_by_many() {
    let running = echo(1);
    let mut members: Vec<_> = (0..300).map(|_| connect(&running)).collect();
    members.iter_mut().for_each(|member| assert_eq!(there_and_back(member, b"here"), b"here"));
    let mut publisher = connect(&running);
    publisher.write_all(b"PUB\x10\0\0\0").unwrap();
    for member in &mut members {
        let mut batch = [0; 260 * 16];
        member.read_exact(&mut batch).unwrap();
        assert!(batch == [b'x'; 260 * 16]);
    }
    end(running);
}

#[test]
fn stop_closes_every_connection_and_ends_every_shard() {
    let running = echo(2);
    let mut streams: Vec<_> = (0..100).map(|_| connect(&running)).collect();
    for stream in &mut streams {
        assert_eq!(there_and_back(stream, b"hello"), b"hello");
    }
    let stage = running.stage().clone();
    let stopping = thread::spawn(move || stage.stop(QUICK));
    for stream in &mut streams {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    stopping.join().unwrap();
    running.join().unwrap();
}

#[test]
fn a_stop_with_nobody_there_does_not_wait_for_the_drain() {
    let running = echo(2);
    let start = Instant::now();
    running.stage().stop(StopTimes { drain: Duration::from_secs(60), goodbye: Duration::from_secs(60) });
    running.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn an_idle_shard_sleeps() {
    let running = echo(1);
    let _stream = connect(&running);
    until("accepted", || running.stage().connections() == 1);
    let counts = running.stage().counts(ShardId(0));
    let (busy, sleeps, start) = (counts.busy_turns.value(), counts.sleeps.value(), Instant::now());
    until("it sleeps", || counts.sleeps.value() >= sleeps + 5);
    let (busy, sleeps, took) = (counts.busy_turns.value() - busy, counts.sleeps.value() - sleeps, start.elapsed());
    assert!(busy <= 2 && sleeps * 100 <= took.as_millis() as u64 + 100, "{busy} busy turns and {sleeps} sleeps in {took:?}");
    end(running);
}

#[test]
fn a_port_in_use_fails_the_start() {
    let running = echo(2);
    let plan = plan_at(address(&running), 2);
    let fault = start(&plan, |seat: Seat<Ask>| Furnishing {
        engine: Rc::new(RefCell::new(Echo::new(seat.id))),
        on_handoff: Rc::new(|_, _, _| Box::pin(async {})),
    });
    assert!(fault.err().unwrap().to_string().contains("another process uses the port"));
    end(running);
}

#[test]
fn a_ring_that_cannot_be_had_fails_the_start_and_says_which_step() {
    let ring = RingSizes { submissions: 1 << 30, ..RingSizes::default() };
    let plan = Plan { ring, ..plan(2) };
    let fault = start(&plan, |seat: Seat<Ask>| Furnishing {
        engine: Rc::new(RefCell::new(Echo::new(seat.id))),
        on_handoff: Rc::new(|_, _, _| Box::pin(async {})),
    });
    let told = fault.err().unwrap().to_string();
    assert!(told.contains("shard 0 could not start") && told.contains("io_uring_setup"), "{told}");
}
