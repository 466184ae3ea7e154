//! The stub's side of a request to the model, or the built-in agent where nobody is asked.

use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::Duration,
};

/// One answer that is asked for.
pub(crate) struct Asked {
    /// None: it is counted here, to so many, each after so long.
    stream: Option<TcpStream>,
    counts: (u32, Duration),
    is_cancelled: AtomicBool,
}

impl Asked {
    pub(crate) fn new(model: SocketAddr, content: &str) -> Asked {
        let is_cancelled = AtomicBool::new(false);
        if let Some(rest) = content.strip_prefix("/count ") {
            let (to, millis) = rest.split_once(' ').unwrap();
            let counts = (to.parse().unwrap(), Duration::from_millis(millis.parse().unwrap()));
            return Asked { stream: None, counts, is_cancelled };
        }
        let mut stream = TcpStream::connect(model).unwrap();
        let body = json!({ "model": "load", "stream": true, "messages": [
            { "role": "system", "content": "" }, { "role": "user", "content": content } ] })
        .to_string();
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: {model}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
        Asked { stream: Some(stream), counts: (0, Duration::ZERO), is_cancelled }
    }

    /// Each word as it comes, until the end or a cancel.
    pub(crate) fn read(&self, mut each: impl FnMut(&str)) {
        let Some(mut stream) = self.stream.as_ref() else {
            for number in 1..=self.counts.0 {
                thread::sleep(self.counts.1);
                each(&format!("{number} "));
            }
            return;
        };
        let (mut text, mut buffer) = (String::new(), [0; 65_536]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            text += std::str::from_utf8(&buffer[..read]).unwrap();
            while let Some((event, rest)) = text.split_once("\n\n") {
                let data = event.split_once("data: ").unwrap().1;
                if data == "[DONE]" {
                    return;
                }
                let event: Value = serde_json::from_str(data).unwrap();
                if self.was_cancelled() {
                    return;
                }
                if let Some(word) = event["choices"][0]["delta"]["content"].as_str().filter(|word| !word.is_empty()) {
                    each(word);
                }
                text = rest.to_owned();
            }
        }
    }

    /// Ends the answer; and the request, or not.
    pub(crate) fn cancel(&self, ends_request: bool) {
        self.is_cancelled.store(true, SeqCst);
        if ends_request {
            self.stream.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
    }

    pub(crate) fn was_cancelled(&self) -> bool {
        self.is_cancelled.load(SeqCst)
    }

    /// Takes what the model still says, where its request was not ended.
    pub(crate) fn finish(&self) {
        let Some(stream) = self.stream.as_ref() else { return };
        let stream = stream.try_clone().unwrap();
        thread::spawn(move || {
            let (mut stream, mut buffer) = (stream, [0; 65_536]);
            while let Ok(1..) = stream.read(&mut buffer) {}
        });
    }
}
