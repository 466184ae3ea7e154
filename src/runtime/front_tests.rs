//! Connections with something in front, with the echo engine over real sockets.

use super::{
    Porch,
    echo::{Ask, plan},
    tests::{connect, echo_on, end},
};
use crate::realtime::ShardId;
use std::{
    io::{Read, Write},
    sync::{Arc, mpsc},
    time::Duration,
};

const HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 127.0.0.1 56324 443\r\n";

/// Where whoever connects is a proxy.
fn proxied() -> Porch {
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    Porch { tls: None, proxy: Arc::new(crate::proxy::Networks(networks)) }
}

#[test]
fn what_comes_while_a_connection_goes_to_rest_goes_with_it() {
    for (porch, header) in [(Porch::default(), &b""[..]), (proxied(), HEADER)] {
        let mut plan = plan(1);
        plan.listeners[0].porch = porch;
        let running = echo_on(&plan);
        // With a send in the same turn the kernel delivers what has come before it hears that no more is wanted.
        let mut held = connect(&running);
        held.write_all(&[header, b"HOLD"].concat()).unwrap();
        held.read_exact(&mut [0; 4]).unwrap();
        for _ in 0..20 {
            let ((tell, told), (go_on, may)) = (mpsc::channel(), mpsc::channel());
            running.post().post(ShardId(0), [Ask::Dawdle(tell, may)]);
            let mut stream = connect(&running);
            stream.write_all(&[header, b"GET / HTTP/1.1\r\n"].concat()).unwrap();
            told.recv_timeout(Duration::from_secs(60)).unwrap();
            stream.write_all(b"Host: x\r\n\r\n").unwrap();
            go_on.send(()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "REST got 27");
            held.read_exact(&mut [0]).unwrap();
        }
        end(running);
    }
}
