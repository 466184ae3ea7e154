//! axum: a task for each connection, a broadcast channel for each classroom, its messages shared and sent as many at once as there are.

use axum::{
    Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, State,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, post},
    serve::ListenerExt,
};
use futures_util::SinkExt;
use peers::{Guard, POLICY, SUCCESS, delivered, published};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::broadcast::{self, Sender, error::RecvError},
    time::{Instant, interval_at},
};

/// Publishes that a member may be behind: a client has 64 in flight at most. All slots are allocated with the channel.
const BEHIND: usize = 128;
/// Of one read. The documentation of tungstenite's `WebSocketConfig` recommends little where there are many connections.
const READ_BYTES: usize = 1024;
const PING: Duration = Duration::from_secs(30);

struct School {
    guard: Guard,
    classrooms: Mutex<HashMap<String, Sender<Utf8Bytes>>>,
    next: AtomicU64,
}

impl School {
    fn classroom(&self, id: &str) -> Sender<Utf8Bytes> {
        let mut classrooms = self.classrooms.lock().unwrap_or_else(PoisonError::into_inner);
        match classrooms.get(id) {
            Some(sender) => sender.clone(),
            None => classrooms.entry(id.to_owned()).or_insert(broadcast::channel(BEHIND).0).clone(),
        }
    }
}

fn main() -> io::Result<()> {
    let school = School { guard: Guard::from_env()?, classrooms: Mutex::default(), next: AtomicU64::new(1) };
    let routes = Router::new()
        .route("/ws", any(enter))
        .route("/echo", any(async |upgrade: WebSocketUpgrade| upgrade.read_buffer_size(READ_BYTES).on_upgrade(echo)))
        .route("/api/v1/classrooms/{id}/events", post(publish))
        .layer(DefaultBodyLimit::max(1 << 16))
        .with_state(Arc::new(school));
    peers::run(async {
        let listener = peers::listener(peers::port()?)?.tap_io(|stream| drop(stream.set_nodelay(true)));
        axum::serve(listener, routes).await
    })
}

async fn publish(State(school): State<Arc<School>>, Path(id): Path<String>, body: Bytes) -> Response {
    let next = school.next.fetch_add(1, Ordering::Relaxed);
    let Some((text, number)) = delivered(&body, next) else { return StatusCode::BAD_REQUEST.into_response() };
    let members = school.classroom(&id).send(Utf8Bytes::from(text)).unwrap_or(0);
    ([("content-type", "application/json")], published(number, members)).into_response()
}

async fn enter(State(school): State<Arc<School>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(READ_BYTES).on_upgrade(async move |socket| {
        // An error is the end of this connection alone.
        let _ = attend(socket, &school).await;
    })
}

async fn attend(mut socket: WebSocket, school: &School) -> Result<(), axum::Error> {
    let Some(Ok(Message::Text(text))) = socket.recv().await else { return Ok(()) };
    let Some(student) = school.guard.admit(text.as_bytes()) else {
        return socket.send(Message::Close(Some(CloseFrame { code: POLICY, reason: "".into() }))).await;
    };
    drop(text);
    let mut events = school.classroom(&student.classroom).subscribe();
    let _who = student.subject;
    drop(student.classroom);
    socket.feed(Message::Text(Utf8Bytes::from_static(SUCCESS))).await?;
    socket.send(Message::Ping(Bytes::new())).await?;
    let mut pings = interval_at(Instant::now() + PING, PING);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(text) => {
                    socket.feed(Message::Text(text)).await?;
                    while let Ok(more) = events.try_recv() {
                        socket.feed(Message::Text(more)).await?;
                    }
                    socket.flush().await?;
                }
                Err(RecvError::Lagged(_) | RecvError::Closed) => return socket.send(Message::Close(None)).await,
            },
            heard = socket.recv() => match heard {
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Err(fault),
                None => return Ok(()),
            },
            _ = pings.tick() => socket.send(Message::Ping(Bytes::new())).await?,
        }
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let is_said = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_said && socket.send(message).await.is_err() {
            return;
        }
    }
}
