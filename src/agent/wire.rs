//! The socket to the control plane. One task reads, one writes: what is said goes before bytes of screens, and these wait for each other in
//! a short queue.

use crate::protocols::labs::{ProxyId, proxy_frames};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderValue, Uri, header::HeaderName};
use std::{io, time::Duration};
use tokio::{
    net::TcpStream,
    sync::mpsc::{self, error::TryRecvError},
    task::AbortHandle,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        self, Bytes, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// From the first packet to the 101.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest message that is read: a command with a large environment.
const MESSAGE_BYTES: usize = 1 << 20;
/// Answers that may wait to be sent. With more the control plane does not read, and the connection ends.
const WAITING_WORDS: usize = 8192;
/// Frames of all screens together that may wait, of 32 KiB at most.
const WAITING_FRAMES: usize = 16;
/// To say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Whom to call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// With the query.
    pub(super) url: String,
    /// `X-Agent-API-Key`.
    pub(super) key: Option<HeaderValue>,
}

/// What the connection says. The number is that of the call.
#[derive(Debug)]
pub(super) enum Heard {
    Opened(Voice, Option<String>),
    Text(String),
    Frame(Bytes),
    /// A Ping or a Pong.
    Alive,
    /// It is over: why.
    Lost(String),
}

/// The way out. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    words: mpsc::Sender<Message>,
    data: mpsc::Sender<Message>,
}

impl Voice {
    /// A text, before all bytes of screens.
    pub(super) fn say(&self, text: String) {
        self.first(Message::text(text));
    }

    /// A Ping.
    pub(super) fn ping(&self) {
        self.first(Message::Ping(Bytes::new()));
    }

    /// A credit.
    pub(super) fn give_credit(&self, proxy: ProxyId, bytes: u32) {
        self.first(Message::binary(proxy_frames::credit_payload(proxy, bytes).to_vec()));
    }

    /// Ends the connection.
    pub(super) fn close(&self) {
        self.first(Message::Close(Some(CloseFrame { code: CloseCode::Away, reason: "the agent stops".into() })));
    }

    fn first(&self, message: Message) {
        // Nobody reads there: the heartbeats that are not answered will end it.
        if self.words.try_send(message).is_err() {
            tracing::debug!("the control plane does not read");
        }
    }

    /// Bytes, when there is room.
    pub(super) async fn send(&self, frame: Bytes) {
        // Without a connection there is nobody to tell.
        let _ = self.data.send(Message::Binary(frame)).await;
    }

    /// A text behind the bytes that wait.
    pub(super) async fn say_behind_data(&self, text: String) {
        let _ = self.data.send(Message::text(text)).await;
    }
}

/// A call under way, or a connection. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Wire(AbortHandle);

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wire {
    /// Calls. What comes of it is told with the number.
    pub(super) fn dial(call: Call, number: u64, heard: mpsc::Sender<(u64, Heard)>) -> Wire {
        let task = tokio::spawn(async move {
            let lost = match timeout(CONNECT_TIMEOUT, connect(&call)).await {
                Ok(Ok((socket, address))) => converse(socket, address, number, &heard).await,
                Ok(Err(error)) => error,
                Err(_) => "no answer".to_owned(),
            };
            let _ = heard.send((number, Heard::Lost(lost))).await;
        });
        Wire(task.abort_handle())
    }
}

/// Host and port of a URL that begins with ws:// or wss://.
pub(super) fn address(server: &str) -> Result<(String, u16), String> {
    let fault = || "server: expected a URL such as \"ws://127.0.0.1:8080\" or \"wss://labs.example.org\"".to_owned();
    let uri: Uri = server.parse().map_err(|_| fault())?;
    let usual = match uri.scheme_str() {
        Some("ws") => 80,
        Some("wss") => 443,
        _ => return Err(fault()),
    };
    let host = uri.host().filter(|_| uri.query().is_none()).ok_or_else(fault)?;
    Ok((host.trim_matches(['[', ']']).to_owned(), uri.port_u16().unwrap_or(usual)))
}

async fn connect(call: &Call) -> Result<(Socket, Option<String>), String> {
    let (host, port) = address(call.url.split('?').next().unwrap_or_default())?;
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let local = stream.local_addr().ok().map(|address| address.ip().to_string());
    let mut request = call.url.as_str().into_client_request().map_err(refused)?;
    if let Some(key) = &call.key {
        request.headers_mut().insert(HeaderName::from_static("x-agent-api-key"), key.clone());
    }
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES)).max_frame_size(Some(MESSAGE_BYTES));
    let (socket, _) = client_async_tls_with_config(request, stream, Some(config), None).await.map_err(refused)?;
    Ok((socket, local))
}

/// In words, without the URL.
fn refused(error: tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => format!("refused with status {}", response.status()),
        other => other.to_string(),
    }
}

async fn converse(socket: Socket, address: Option<String>, number: u64, heard: &mpsc::Sender<(u64, Heard)>) -> String {
    let (sink, stream) = socket.split();
    let (words, next_word) = mpsc::channel(WAITING_WORDS);
    let (data, next_frame) = mpsc::channel(WAITING_FRAMES);
    if heard.send((number, Heard::Opened(Voice { words, data }, address))).await.is_err() {
        return "the agent stops".to_owned();
    }
    tokio::select! {
        why = listen(stream, number, heard) => why,
        why = speak(sink, next_word, next_frame) => why,
    }
}

async fn listen(mut stream: SplitStream<Socket>, number: u64, heard: &mpsc::Sender<(u64, Heard)>) -> String {
    while let Some(message) = stream.next().await {
        let one = match message {
            Ok(Message::Text(text)) => Heard::Text(text.as_str().to_owned()),
            Ok(Message::Binary(bytes)) => Heard::Frame(bytes),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Heard::Alive,
            Ok(Message::Close(Some(close))) => return format!("closed with {}: {}", u16::from(close.code), close.reason),
            Ok(Message::Close(None)) => return "closed".to_owned(),
            Err(error) => return refused(error),
        };
        if heard.send((number, one)).await.is_err() {
            break;
        }
    }
    "the connection ended".to_owned()
}

/// Sends words before frames, and flushes when there is neither.
async fn speak(
    mut sink: SplitSink<Socket, Message>,
    mut words: mpsc::Receiver<Message>,
    mut data: mpsc::Receiver<Message>,
) -> String {
    loop {
        let next = match words.try_recv().or_else(|_| data.try_recv()) {
            Ok(message) => Some(message),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                if let Err(error) = sink.flush().await {
                    return refused(error);
                }
                tokio::select! {
                    biased;
                    word = words.recv() => word,
                    frame = data.recv() => frame,
                }
            }
        };
        let Some(message) = next else { return "the agent stops".to_owned() };
        let is_last = matches!(message, Message::Close(_));
        if let Err(error) = sink.feed(message).await {
            return refused(error);
        }
        if is_last {
            let _ = timeout(CLOSE_TIMEOUT, sink.close()).await;
            return io::ErrorKind::ConnectionAborted.to_string();
        }
    }
}
