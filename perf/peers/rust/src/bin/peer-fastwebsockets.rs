//! fastwebsockets on hyper: a task for each connection, a broadcast channel for each classroom, its bytes shared and sent as many at
//! once as there are, through a buffered writer.

use bytes::Bytes;
use fastwebsockets::{
    FragmentCollector, Frame, OpCode, Payload, Role, WebSocket, WebSocketError, WebSocketRead, WebSocketWrite,
    after_handshake_split, upgrade,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE, service::service_fn};
use hyper_util::rt::TokioIo;
use peers::{Guard, POLICY, SUCCESS, delivered, published};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    convert::Infallible,
    io,
    rc::Rc,
    time::Duration,
};
use tokio::{
    io::BufWriter,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        Mutex,
        broadcast::{self, Receiver, Sender, error::RecvError},
    },
    task::{LocalSet, spawn_local, unconstrained},
    time::{Instant, interval_at},
};

/// Publishes that a member may be behind: a client has 64 in flight at most. All slots are allocated with the channel.
const BEHIND: usize = 128;
const PING: Duration = Duration::from_secs(30);
/// All that ever waits to leave together: sixteen events of 260 bytes.
const BATCH_BYTES: usize = 16 * 260;
const CLASSROOMS: &str = "/api/v1/classrooms/";

/// Two write to it: who delivers, and who answers Pings and Close.
type Writer = Mutex<WebSocketWrite<BufWriter<OwnedWriteHalf>>>;

struct School {
    guard: Guard,
    classrooms: RefCell<HashMap<String, Sender<Bytes>>>,
    next: Cell<u64>,
}

impl School {
    fn classroom(&self, id: &str) -> Sender<Bytes> {
        let mut classrooms = self.classrooms.borrow_mut();
        match classrooms.get(id) {
            Some(sender) => sender.clone(),
            None => classrooms.entry(id.to_owned()).or_insert(broadcast::channel(BEHIND).0).clone(),
        }
    }
}

fn main() -> io::Result<()> {
    let school = Rc::new(School { guard: Guard::from_env()?, classrooms: RefCell::default(), next: Cell::new(1) });
    peers::run(LocalSet::new().run_until(async move {
        let listener = peers::listener(peers::port()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            spawn_local(serve(stream, school.clone()));
        }
    }))
}

async fn serve(stream: TcpStream, school: Rc<School>) {
    let answers = service_fn(|request| route(request, school.clone()));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answers);
    // An error is the end of this connection alone.
    let _ = served.with_upgrades().await;
}

async fn route(request: Request<Incoming>, school: Rc<School>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let answer = match path.strip_prefix(CLASSROOMS).and_then(|rest| rest.strip_suffix("/events")) {
        Some(id) if request.method() == Method::POST => {
            let id = id.to_owned();
            publish(request, &id, &school).await
        }
        _ if upgrade::is_upgrade_request(&request) => switch(request, school),
        _ => None,
    };
    Ok(answer.unwrap_or_else(|| {
        let mut refused = Response::default();
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        refused
    }))
}

async fn publish(request: Request<Incoming>, id: &str, school: &School) -> Option<Response<Full<Bytes>>> {
    let body = Limited::new(request.into_body(), 1 << 16).collect().await.ok()?.to_bytes();
    let (text, number) = delivered(&body, school.next.replace(school.next.get() + 1))?;
    let members = school.classroom(id).send(Bytes::from(text)).unwrap_or(0);
    Response::builder().header(CONTENT_TYPE, "application/json").body(published(number, members).into()).ok()
}

fn switch(mut request: Request<Incoming>, school: Rc<School>) -> Option<Response<Full<Bytes>>> {
    let echoes = request.uri().path() == "/echo";
    let (response, upgraded) = upgrade::upgrade(&mut request).ok()?;
    // As the crate's examples: these tasks are not told to yield.
    spawn_local(unconstrained(async move {
        let Ok(socket) = upgraded.await else { return };
        // Below hyper: the socket itself. Who speaks before he has the 101 is not served.
        let Ok(parts) = socket.into_inner().into_inner().downcast::<TokioIo<TcpStream>>() else { return };
        let (stream, is_patient) = (parts.io.into_inner(), parts.read_buf.is_empty());
        // It keeps the buffer of hyper.
        drop(parts.read_buf);
        // An error is the end of this connection alone.
        let _ = match (is_patient, echoes) {
            (true, true) => echo(WebSocket::after_handshake(stream, Role::Server)).await,
            (true, false) => attend(stream, &school).await,
            (false, _) => Ok(()),
        };
    }));
    Some(response.map(|_| Full::default()))
}

async fn say(writer: &Writer, frame: Frame<'_>) -> Result<(), WebSocketError> {
    let mut writer = writer.lock().await;
    writer.write_frame(frame).await?;
    writer.flush().await
}

async fn attend(stream: TcpStream, school: &School) -> Result<(), WebSocketError> {
    let (read, write) = stream.into_split();
    let (mut reader, writer) = after_handshake_split(read, BufWriter::with_capacity(BATCH_BYTES, write), Role::Server);
    let writer = Writer::new(writer);
    let first = reader.read_frame(&mut |frame| say(&writer, frame)).await?;
    let Some(student) = school.guard.admit(&first.payload) else {
        return say(&writer, Frame::close(POLICY, b"")).await;
    };
    drop(first);
    let events = school.classroom(&student.classroom).subscribe();
    let _who = student.subject;
    drop(student.classroom);
    {
        // Both leave as one.
        let mut writer = writer.lock().await;
        writer.write_frame(Frame::text(Payload::Borrowed(SUCCESS.as_bytes()))).await?;
        writer.write_frame(ping()).await?;
        writer.flush().await?;
    }
    // Reading a frame may not be given up in its middle: both go on until one of them ends.
    tokio::select! {
        done = listen(&mut reader, &writer) => done,
        done = deliver(events, &writer) => done,
    }
}

async fn listen(reader: &mut WebSocketRead<OwnedReadHalf>, writer: &Writer) -> Result<(), WebSocketError> {
    while reader.read_frame(&mut |frame| say(writer, frame)).await?.opcode != OpCode::Close {}
    Ok(())
}

async fn deliver(mut events: Receiver<Bytes>, writer: &Writer) -> Result<(), WebSocketError> {
    let mut pings = interval_at(Instant::now() + PING, PING);
    loop {
        tokio::select! {
            event = events.recv() => {
                let mut writer = writer.lock().await;
                let text = match event {
                    Ok(text) => text,
                    Err(RecvError::Lagged(_) | RecvError::Closed) => {
                        writer.write_frame(Frame::close(1000, b"")).await?;
                        return writer.flush().await;
                    }
                };
                writer.write_frame(Frame::text(Payload::Borrowed(&text))).await?;
                while let Ok(more) = events.try_recv() {
                    writer.write_frame(Frame::text(Payload::Borrowed(&more))).await?;
                }
                writer.flush().await?;
            }
            _ = pings.tick() => say(writer, ping()).await?,
        }
    }
}

fn ping() -> Frame<'static> {
    Frame::new(true, OpCode::Ping, None, Payload::Borrowed(b""))
}

async fn echo(socket: WebSocket<TcpStream>) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            OpCode::Continuation | OpCode::Ping | OpCode::Pong => {}
        }
    }
}
