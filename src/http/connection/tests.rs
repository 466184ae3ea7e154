//! Raw HTTP over loopback sockets: a blocking client on a thread of its own, one connection served by a real executor.

mod smuggling;

use super::*;
use crate::http::{
    Stopper,
    answer::{self, Answer, Payload},
    call::Call,
    fault::Fault,
    gate::{Entry, Gate},
    table::Route,
};
use bytes::Bytes;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, net::TcpListener};
use http::{Method, StatusCode};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{self, Shutdown},
    sync::mpsc,
    thread,
};

const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    entered: mpsc::Sender<()>,
    gate: Stop,
}

/// The client's end of everything.
struct Client {
    socket: net::TcpStream,
    /// Ends the service.
    stopper: Stopper,
    /// Says when `/slow` has begun.
    entered: mpsc::Receiver<()>,
    /// Lets `/slow` and `/stream` go on.
    gate: Stopper,
}

async fn echo(call: Call<House>) -> Result<Answer, Fault> {
    Ok(answer::text(StatusCode::OK, call.body))
}

async fn slow(call: Call<House>) -> Result<Answer, Fault> {
    let _ = call.house.entered.send(());
    call.house.gate.clone().heard().await;
    Ok(answer::text(StatusCode::OK, "slow"))
}

async fn large(_: Call<House>) -> Result<Answer, Fault> {
    Ok(answer::text(StatusCode::OK, vec![b'x'; 32 << 20]))
}

async fn pieces(call: Call<House>) -> Result<Answer, Fault> {
    let gate = call.house.gate.clone();
    let stream = futures_lite::stream::unfold(0, move |piece| {
        let gate = gate.clone();
        async move {
            match piece {
                0 => Some((Ok(Bytes::from("first")), 1)),
                1 => {
                    gate.heard().await;
                    Some((Ok(Bytes::from("second")), 2))
                }
                _ => None,
            }
        }
    });
    Ok(answer::typed(StatusCode::OK, EVENTS, Payload::stream(stream)))
}

/// Says so when nobody wants more of it.
struct Endless(mpsc::Sender<()>);

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

async fn endless(call: Call<House>) -> Result<Answer, Fault> {
    let stream = futures_lite::stream::unfold(Endless(call.house.entered.clone()), |endless| async {
        Timer::new(Duration::from_millis(5)).await;
        Some((Ok(Bytes::from(": still here\n\n")), endless))
    });
    Ok(answer::typed(StatusCode::OK, EVENTS, Payload::stream(stream)))
}

async fn peer(call: Call<House>) -> Result<Answer, Fault> {
    Ok(answer::text(StatusCode::OK, format!("{:?}", call.parts.extensions.get::<Peer>())))
}

/// Lets nobody in.
fn closed() -> Gate<House> {
    let refusal = || Some(answer::text(StatusCode::TOO_MANY_REQUESTS, "later"));
    Gate::new(|_| false, Fault::into_answer, move |_, _, _| async move { Entry { refusal: refusal(), finish: Box::new(|_| {}) } })
}

/// Lets everybody in, when it is told to.
fn waiting() -> Gate<House> {
    let enter = |house: Rc<House>| async move {
        let _ = house.entered.send(());
        house.gate.clone().heard().await;
        Entry { refusal: None, finish: Box::new(|_| {}) }
    };
    Gate::new(|_| false, Fault::into_answer, move |house, _, _| enter(house))
}

/// The kernel may have no memory for its rings at once (`runtime/patience.rs`).
fn executor() -> LocalExecutor {
    let begun = Instant::now();
    loop {
        let made = LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10).ring_depth(128).make();
        match made.map_err(io::Error::from) {
            Err(fault) if fault.kind() == ErrorKind::OutOfMemory && begun.elapsed() < PATIENCE => thread::yield_now(),
            made => return made.unwrap(),
        }
    }
}

/// Serves one connection, `head` of which counts as read before, while `talk` speaks with it. Returns when both are done.
fn served<T: Send + 'static>(limits: Limits, head: &[u8], talk: impl FnOnce(Client) -> T + Send + 'static) -> T {
    let head = head.to_vec();
    executor().run(async move {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stopper, stop) = Stopper::new();
        let (gate, gated) = Stopper::new();
        let (enter, entered) = mpsc::channel();
        let client = thread::spawn(move || {
            let socket = net::TcpStream::connect(address).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            talk(Client { socket, stopper, entered, gate })
        });
        let stream = listener.accept().await.unwrap();
        let table = Table::default().with(
            "",
            vec![
                Route::public(Method::GET, "/now", |_| async { Ok::<_, Fault>(answer::text(StatusCode::OK, "now")) }),
                Route::public(Method::POST, "/echo", echo),
                Route::public(Method::GET, "/peer", peer),
                Route::public(Method::GET, "/slow", slow),
                Route::public(Method::GET, "/large", large),
                Route::public(Method::GET, "/stream", pieces),
                Route::public(Method::GET, "/endless", endless),
            ],
        );
        let table = table.unwrap().with_gate("", vec![Route::public(Method::POST, "/closed", echo)], closed());
        let table = table.unwrap().with_gate("", vec![Route::public(Method::POST, "/waiting", echo)], waiting());
        let app = Rc::new(App { house: Rc::new(House { entered: enter, gate: gated }), limits, stop });
        let serving = async {
            let beginning = Beginning { head, known: Extensions::new(), client: None };
            serve(Stream::new(stream, None), beginning, Rc::new(table.unwrap()), app).await;
        };
        let late = async {
            Timer::new(PATIENCE).await;
            panic!("the connection was never closed");
        };
        future::or(serving, late).await;
        // The reactor has to turn: only then does it let go of the socket.
        while !client.is_finished() {
            Timer::new(Duration::from_millis(1)).await;
        }
        client.join().unwrap()
    })
}

fn short() -> Limits {
    let short = Duration::from_millis(200);
    Limits { idle: short, head: short, body: short, stall: short, linger: short, ..Limits::default() }
}

/// All until the end. A reset would be an error: no answer may be lost to one.
fn rest(socket: &mut net::TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

/// One answer with a content length: status line and headers, body.
fn one(socket: &mut net::TcpStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    socket.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// Reads as far as this, and no further.
fn read_until(socket: &mut net::TcpStream, end: &[u8]) {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
}

fn bodies(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 200 OK").skip(1).map(|answer| answer.split_once("\r\n\r\n").unwrap().1).collect()
}

#[test]
fn pipelined_requests_are_answered_in_order_and_the_connection_kept() {
    served(Limits::default(), b"", |mut client| {
        client
            .socket
            .write_all(b"POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\n1GET /now HTTP/1.1\r\nhost: h\r\n\r\n")
            .unwrap();
        assert_eq!(one(&mut client.socket).1, "1");
        assert_eq!(one(&mut client.socket).1, "now");
        client.socket.write_all(b"GET /now HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
        let last = rest(&mut client.socket);
        assert!(last.contains("connection: close") && last.contains("date: "), "{last}");
        assert_eq!(bodies(&last), ["now"]);
    });
}

#[test]
fn a_handler_knows_the_address_of_every_request() {
    served(Limits::default(), b"", |mut client| {
        for _ in 0..2 {
            client.socket.write_all(b"GET /peer HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
            assert_eq!(one(&mut client.socket).1, "Some(Peer(127.0.0.1))");
        }
    });
}

#[test]
fn who_is_refused_at_the_gate_hears_it_whatever_the_size_of_the_body() {
    for length in [0, 5, 200_000] {
        served(Limits { linger: PATIENCE, ..Limits::default() }, b"", move |mut client| {
            let head = format!("POST /closed HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n");
            client.socket.write_all(&[head.as_bytes(), &vec![b'x'; length]].concat()).unwrap();
            let (head, body) = one(&mut client.socket);
            assert!(head.starts_with("http/1.1 429 ") && body == "later", "{length}: {head}{body}");
        });
    }
}

#[test]
fn what_was_read_before_counts() {
    let head = b"POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\n\r\nabc";
    for cut in [1, 20, head.len()] {
        served(Limits::default(), &head[..cut], move |mut client| {
            client.socket.write_all(&head[cut..]).unwrap();
            client.socket.write_all(b"def").unwrap();
            assert_eq!(one(&mut client.socket).1, "abcdef");
            client.socket.shutdown(Shutdown::Write).unwrap();
            assert_eq!(rest(&mut client.socket), "");
        });
    }
}

#[test]
fn an_old_client_gets_its_answer_and_the_end() {
    served(Limits::default(), b"GET /now HTTP/1.0\r\n\r\n", |mut client| {
        let text = rest(&mut client.socket);
        assert!(text.starts_with("HTTP/1.0 200 OK") && text.ends_with("\r\n\r\nnow"), "{text}");
    });
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    served(Limits::default(), b"HEAD /now HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", |mut client| {
        let text = rest(&mut client.socket);
        assert!(text.contains("content-length: 3\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    });
}

#[test]
fn a_client_that_has_said_all_still_hears_the_answer() {
    served(Limits::default(), b"", |mut client| {
        client.socket.write_all(b"GET /slow HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        client.socket.shutdown(Shutdown::Write).unwrap();
        client.entered.recv().unwrap();
        client.gate.stop();
        assert_eq!(bodies(&rest(&mut client.socket)), ["slow"]);
    });
}

#[test]
fn dripped_headers_run_out_of_time() {
    let limits = Limits { idle: PATIENCE * 2, head: Duration::from_millis(300), ..Limits::default() };
    let began = Instant::now();
    let (text, took) = served(limits, b"GET /now HT", move |mut client| {
        client.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut text = Vec::new();
        loop {
            let mut bytes = [0; 512];
            match client.socket.read(&mut bytes) {
                Ok(0) => break (String::from_utf8(text).unwrap(), began.elapsed()),
                Ok(read) => text.extend(&bytes[..read]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            client.socket.write_all(b"T").unwrap();
        }
    });
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(took >= Duration::from_millis(300) && took < PATIENCE, "{took:?}");
}

#[test]
fn headers_that_stop_short_run_out_of_time_sooner_than_idleness() {
    let limits = Limits { head: Duration::from_millis(200), idle: PATIENCE * 2, ..Limits::default() };
    served(limits, b"GET /now HTTP/1.1\r\nhost: h\r\n\r\n", |mut client| {
        assert_eq!(one(&mut client.socket).1, "now");
        client.socket.write_all(b"G").unwrap();
        assert!(rest(&mut client.socket).starts_with("HTTP/1.1 408 "));
    });
}

#[test]
fn a_body_that_does_not_come_runs_out_of_time() {
    served(short(), b"POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nabc", |mut client| {
        assert!(rest(&mut client.socket).starts_with("HTTP/1.1 408 "));
    });
}

#[test]
fn a_gate_may_take_longer_than_a_client_whose_time_for_the_body_begins_behind_it() {
    served(short(), b"POST /waiting HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n", |mut client| {
        client.entered.recv().unwrap();
        client.socket.set_read_timeout(Some(short().body * 3)).unwrap();
        assert_eq!(client.socket.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        client.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        client.gate.stop();
        client.socket.write_all(b"abc").unwrap();
        assert_eq!(one(&mut client.socket).1, "abc");
    });
    served(short(), b"POST /waiting HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\na", |mut client| {
        client.gate.stop();
        assert!(rest(&mut client.socket).starts_with("HTTP/1.1 408 "));
    });
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    served(short(), b"", |mut client| assert_eq!(rest(&mut client.socket), ""));
    served(short(), b"GET /now HTTP/1.1\r\nhost: h\r\n\r\n", |mut client| assert_eq!(bodies(&rest(&mut client.socket)), ["now"]));
}

#[test]
fn a_handler_may_take_longer_than_a_client() {
    served(short(), b"GET /slow HTTP/1.1\r\nhost: h\r\n\r\n", |mut client| {
        client.entered.recv().unwrap();
        // Longer than every limit; nothing is to be heard meanwhile.
        client.socket.set_read_timeout(Some(short().idle * 3)).unwrap();
        assert_eq!(client.socket.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        client.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        client.gate.stop();
        assert_eq!(one(&mut client.socket).1, "slow");
    });
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    served(short(), b"GET /large HTTP/1.1\r\nhost: h\r\n\r\n", |client| {
        // Not read: the server's side ends by itself, and then the first read meets what was in flight, and at last an end or a reset.
        client.entered.recv().unwrap_err();
    });
}

#[test]
fn oversized_headers_are_told_so() {
    let head = format!("GET /now HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "x".repeat(64 << 10));
    served(Limits::default(), b"", move |mut client| {
        client.socket.write_all(head.as_bytes()).unwrap();
        assert!(rest(&mut client.socket).starts_with("HTTP/1.1 431 "));
    });
    let head = format!("GET /now HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(Limits::default().headers + 1));
    served(Limits::default(), head.as_bytes(), |mut client| assert!(rest(&mut client.socket).starts_with("HTTP/1.1 431 ")));
}

#[test]
fn oversized_bodies_are_told_so_though_they_come_whole() {
    // More than lies in the buffers of both sides: writing it fails when the server hangs up.
    let size = 7 << 20;
    let announced = format!("POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: {size}\r\n\r\n");
    let chunked = format!("POST /echo HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n");
    for head in [announced, chunked] {
        served(Limits { linger: PATIENCE, ..Limits::default() }, head.as_bytes(), move |mut client| {
            client.socket.write_all(&vec![b'x'; size]).unwrap();
            let text = rest(&mut client.socket);
            assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("connection: close"), "{text}");
        });
    }
}

#[test]
fn rubbish_is_a_bad_request() {
    served(Limits::default(), b"\x16\x03\x01 rubbish\r\n\r\n", |mut client| {
        assert!(rest(&mut client.socket).starts_with("HTTP/1.1 400 "));
    });
}

#[test]
fn a_stream_leaves_piece_by_piece() {
    served(short(), b"GET /stream HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", |mut client| {
        let mut text = String::new();
        while !text.contains("first") {
            let mut bytes = [0; 512];
            let read = client.socket.read(&mut bytes).unwrap();
            assert!(read > 0, "{text}");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        assert!(!text.contains("second"));
        client.gate.stop();
        assert!(rest(&mut client.socket).ends_with("second\r\n0\r\n\r\n"));
    });
}

#[test]
fn a_stream_is_dropped_when_its_client_has_gone() {
    served(Limits::default(), b"GET /endless HTTP/1.1\r\nhost: h\r\n\r\n", |Client { mut socket, entered, .. }| {
        let mut bytes = [0; 512];
        assert!(socket.read(&mut bytes).unwrap() > 0);
        assert!(entered.try_recv().is_err());
        drop(socket);
        entered.recv_timeout(PATIENCE).expect("somebody still streams");
    });
}

#[test]
fn a_stop_finishes_the_request_in_hand_and_closes() {
    served(Limits::default(), b"GET /slow HTTP/1.1\r\nhost: h\r\n\r\n", |mut client| {
        client.entered.recv().unwrap();
        client.stopper.stop();
        client.gate.stop();
        let text = rest(&mut client.socket);
        assert!(text.contains("connection: close"), "{text}");
        assert_eq!(bodies(&text), ["slow"]);
    });
}

#[test]
fn a_stop_closes_what_is_idle_and_answers_what_came_with_the_connection() {
    served(Limits::default(), b"", |mut client| {
        client.stopper.stop();
        assert_eq!(rest(&mut client.socket), "");
    });
    served(Limits::default(), b"", |mut client| {
        client.socket.write_all(b"GET /now HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        assert_eq!(one(&mut client.socket).1, "now");
        client.stopper.stop();
        assert_eq!(rest(&mut client.socket), "");
    });
    served(Limits::default(), b"GET /now HTTP/1.1\r\nhost: h\r\n\r\n", |mut client| {
        client.stopper.stop();
        assert_eq!(bodies(&rest(&mut client.socket)), ["now"]);
    });
}

#[test]
fn who_hangs_up_is_missed_though_nothing_is_said_to_him() {
    let held = served(Limits::default(), b"", |mut client| {
        client.socket.write_all(b"GET /stream HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        read_until(&mut client.socket, b"first");
        // All was read, so that the end of the socket looks like that of one who listens on.
        drop(client.socket);
        (client.stopper, client.gate)
    });
    // Until now neither said anything.
    drop(held);
}

#[test]
fn who_closes_his_side_alone_hears_the_rest() {
    let heard = served(Limits::default(), b"", |mut client| {
        client.socket.write_all(b"GET /stream HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
        client.socket.shutdown(Shutdown::Write).unwrap();
        read_until(&mut client.socket, b"first");
        read_until(&mut client.socket, b": still here");
        client.gate.stop();
        rest(&mut client.socket)
    });
    assert!(heard.contains("second") && heard.ends_with("0\r\n\r\n"), "{heard}");
}
