//! As much of NATS as the tests need: one process, exact subjects, no headers; connections that can be cut.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

type Out = mpsc::UnboundedSender<Vec<u8>>;

#[derive(Default)]
struct Told {
    /// By connection and number of the subscription: the subject, and where to.
    subscriptions: Mutex<BTreeMap<(usize, String), (String, Out)>>,
    /// Subjects with what was published to them, in order.
    published: Mutex<Vec<(String, usize)>>,
    swallows: AtomicBool,
}

/// The bus, and the ways to spoil it.
pub(super) struct Bus {
    pub(super) address: SocketAddr,
    told: Arc<Told>,
    cuts: watch::Sender<u64>,
}

impl Bus {
    pub(super) async fn start() -> Bus {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, cut) = watch::channel(0);
        let told = Arc::<Told>::default();
        let own = told.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (told, mut cut) = (own.clone(), cut.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve(stream, number, &told) => {}
                        _ = cut.changed() => {}
                    }
                    told.subscriptions.lock().unwrap().retain(|(owner, _), _| *owner != number);
                });
            }
        });
        Bus { address, told, cuts }
    }

    /// Ends every connection.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// From now on, or no more, whatever is published is heard by nobody.
    pub(super) fn swallow(&self, is: bool) {
        self.told.swallows.store(is, SeqCst);
    }

    /// How many messages with something in them were published to a subject that ends so.
    pub(super) fn published_to(&self, end: &str) -> usize {
        self.told.published.lock().unwrap().iter().filter(|(subject, size)| subject.ends_with(end) && *size > 0).count()
    }
}

async fn serve(stream: TcpStream, number: usize, told: &Told) {
    let (reading, mut writing) = stream.into_split();
    let (out, mut queue) = mpsc::unbounded_channel::<Vec<u8>>();
    let info = b"INFO {\"server_id\":\"a\",\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n";
    out.send(info.to_vec()).unwrap();
    let writer = async {
        while let Some(bytes) = queue.recv().await {
            if writing.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = writer => {}
        () = hear(BufReader::new(reading), number, told, out) => {}
    }
}

async fn hear(mut reading: impl AsyncBufReadExt + Unpin, number: usize, told: &Told, out: Out) {
    let mut line = String::new();
    while reading.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        line.clear();
        match words.first().map(String::as_str) {
            Some("PING") => out.send(b"PONG\r\n".to_vec()).unwrap_or_default(),
            Some("SUB") => {
                let (subject, id) = (words[1].clone(), words[words.len() - 1].clone());
                told.subscriptions.lock().unwrap().insert((number, id), (subject, out.clone()));
            }
            Some("UNSUB") => drop(told.subscriptions.lock().unwrap().remove(&(number, words[1].clone()))),
            Some("PUB") => {
                let mut payload = vec![0; words[words.len() - 1].parse::<usize>().unwrap() + 2];
                if reading.read_exact(&mut payload).await.is_err() {
                    return;
                }
                publish(told, &words[1], &payload);
            }
            Some("CONNECT" | "PONG") => {}
            other => panic!("{other:?} is not known here"),
        }
    }
}

/// `payload` ends with the line's end, which is no part of it.
fn publish(told: &Told, subject: &str, payload: &[u8]) {
    told.published.lock().unwrap().push((subject.to_owned(), payload.len() - 2));
    if told.swallows.load(SeqCst) {
        return;
    }
    for ((_, id), (wanted, out)) in told.subscriptions.lock().unwrap().iter() {
        if wanted == subject {
            let head = format!("MSG {subject} {id} {}\r\n", payload.len() - 2);
            let _ = out.send([head.as_bytes(), payload].concat());
        }
    }
}
