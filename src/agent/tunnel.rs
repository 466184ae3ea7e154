//! A viewer's tunnel: bytes between the control plane and one screen. Each direction stops by itself when the other end is slow, and
//! nothing but this tunnel waits for it.

use super::wire::Voice;
use crate::{
    desks::{Screen, speech},
    protocols::labs::{
        ProxyId,
        proxy_frames::{self, HEADER_BYTES},
    },
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::{Semaphore, mpsc},
    task::AbortHandle,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Bytes;

/// What the control plane may send to a screen before the screen has taken any of it. A viewer's keys and pointer are a few bytes each.
const WINDOW: usize = 256 << 10;
/// The last frame may pass the window by less than this.
const FRAME_BYTES: usize = 32 << 10;
/// Credit is given when the screen has taken so much.
const CREDIT_STEP: usize = WINDOW / 4;
/// A screen of this machine answers at once or is stuck.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The end of a tunnel that the connection holds. Dropping it ends the tunnel.
#[derive(Debug)]
pub(super) struct Tunnel {
    bytes: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
    credit: Arc<Semaphore>,
    task: AbortHandle,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tunnel {
    /// Opens a tunnel to a screen. It tells the control plane itself how that went, and how it ends.
    pub(super) fn open(proxy: ProxyId, screen: Screen, voice: Voice, over: mpsc::UnboundedSender<ProxyId>) -> Tunnel {
        let (bytes, queue) = mpsc::unbounded_channel();
        let (waiting, credit) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let ends = Ends { proxy, voice, waiting: Arc::clone(&waiting), credit: Arc::clone(&credit) };
        let task = tokio::spawn(async move {
            ends.run(&screen, queue).await;
            let _ = over.send(proxy);
        });
        Tunnel { bytes, waiting, credit, task: task.abort_handle() }
    }

    /// Bytes for the screen. False: more than it was given credit for, and the tunnel is to end.
    pub(super) fn take(&self, bytes: Bytes) -> bool {
        let waiting = self.waiting.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        // A tunnel that has just ended takes nothing, and says so itself.
        let _ = self.bytes.send(bytes);
        waiting <= WINDOW + FRAME_BYTES
    }

    /// The control plane takes so many bytes more.
    pub(super) fn add_credit(&self, bytes: u32) {
        let room = Semaphore::MAX_PERMITS - self.credit.available_permits();
        self.credit.add_permits((bytes as usize).min(room));
    }
}

struct Ends {
    proxy: ProxyId,
    voice: Voice,
    waiting: Arc<AtomicUsize>,
    credit: Arc<Semaphore>,
}

impl Ends {
    async fn run(&self, screen: &Screen, queue: mpsc::UnboundedReceiver<Bytes>) {
        let reached = match timeout(CONNECT_TIMEOUT, connect(screen)).await {
            Ok(reached) => reached,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let (reader, writer) = match reached {
            Ok(ends) => ends,
            Err(error) => return self.voice.say(speech::broken(self.proxy, &format!("The screen is not reached: {error}"))),
        };
        self.voice.say(speech::ready(self.proxy, WINDOW as u32));
        let over = tokio::select! {
            over = self.read(reader) => over,
            over = self.write(writer, queue) => over,
        };
        // Behind the bytes that are on their way.
        let last = match over {
            Ok(()) => speech::closed(self.proxy),
            Err(error) => speech::broken(self.proxy, &format!("The screen broke off: {error}")),
        };
        self.voice.say_behind_data(last).await;
    }

    /// Reads no more than may be sent.
    async fn read(&self, mut screen: impl AsyncRead + Unpin) -> io::Result<()> {
        loop {
            let Ok(first) = self.credit.acquire().await else { return Ok(()) };
            first.forget();
            let more = self.credit.available_permits().min(FRAME_BYTES - 1);
            // Nobody else takes credit, so what is there now is there still.
            let more = self.credit.forget_permits(more);
            let mut frame = vec![0; HEADER_BYTES + 1 + more];
            let read = screen.read(&mut frame[HEADER_BYTES..]).await?;
            self.credit.add_permits(1 + more - read);
            if read == 0 {
                return Ok(());
            }
            frame[..HEADER_BYTES].copy_from_slice(&proxy_frames::data_header(self.proxy));
            frame.truncate(HEADER_BYTES + read);
            self.voice.send(frame.into()).await;
        }
    }

    async fn write(&self, mut screen: impl AsyncWrite + Unpin, mut queue: mpsc::UnboundedReceiver<Bytes>) -> io::Result<()> {
        let mut taken = 0;
        while let Some(bytes) = queue.recv().await {
            screen.write_all(&bytes).await?;
            self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
            taken += bytes.len();
            if taken >= CREDIT_STEP {
                self.voice.give_credit(self.proxy, taken as u32);
                taken = 0;
            }
        }
        Ok(())
    }
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

async fn connect(screen: &Screen) -> io::Result<(Reader, Writer)> {
    match screen {
        Screen::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            Ok((Box::new(reader), Box::new(writer)))
        }
        Screen::Unix(path) => {
            let (reader, writer) = UnixStream::connect(path).await?.into_split();
            Ok((Box::new(reader), Box::new(writer)))
        }
    }
}

/// Whether a screen takes a connection, and says `RFB` first where it is to.
pub(super) async fn shows(screen: &Screen, banner: bool) -> bool {
    let Ok((mut reader, _writer)) = connect(screen).await else { return false };
    if !banner {
        return true;
    }
    let mut said = [0; 4];
    reader.read_exact(&mut said).await.is_ok() && said == *b"RFB "
}
