//! A server for tests: answers each connection with the bytes that it was given, and tells what it was asked.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(super) fn on_tokio<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A whole answer.
pub(super) fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads one request whole and returns it.
pub(super) async fn request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "the request ended early");
    }
}

/// Its URL, and what serves one connection for each of the `wires`, one after the other: that is sent, and the connection closed, or, where it
/// is to hang, kept open until the client closes it. Gives the requests.
pub(super) async fn stub(wires: Vec<(String, bool)>) -> (String, impl Future<Output = Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let serve = async move {
        let mut seen = Vec::new();
        for (wire, hang) in wires {
            let (mut stream, _) = listener.accept().await.unwrap();
            seen.push(request(&mut stream).await);
            // A client that has heard enough may hang up.
            let _ = stream.write_all(wire.as_bytes()).await;
            if hang {
                let _ = stream.read(&mut [0]).await;
            }
        }
        seen
    };
    (url, serve)
}
