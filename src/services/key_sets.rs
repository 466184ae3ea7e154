//! Sets of keys that issuers publish: read from a file or by HTTP, bounded in time and size. When is decided by [`crate::auth::Refresh`].

use super::outbound::{self, BodyFault, SetupFault};
use crate::auth::{Algorithm, KeySet, MAX_SET_BYTES, SetFlaw, max_age};
use reqwest::{Client, StatusCode, Url, header};
use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::task::spawn_blocking;

/// Why a set was not read. Holds nothing of what was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadFault {
    /// The file; why, by the system.
    File(String),
    /// No whole answer in time.
    TimedOut,
    /// No connection, or it broke before the answer was whole, or its certificate is not believed.
    Unreachable(String),
    /// Not 200. Redirects are not followed: keys come from where the settings say.
    Status(u16),
    /// What was read is no set to go by.
    Set(SetFlaw),
    /// The process ends.
    Over,
}

impl ReadFault {
    /// The kind in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            ReadFault::File(_) => "file",
            ReadFault::TimedOut => "timed_out",
            ReadFault::Unreachable(_) => "unreachable",
            ReadFault::Status(_) => "status",
            ReadFault::Set(_) => "malformed",
            ReadFault::Over => "stopped",
        }
    }
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadFault::File(why) => write!(f, "cannot be read: {why}"),
            ReadFault::TimedOut => f.write_str("no whole answer in time"),
            ReadFault::Unreachable(why) => write!(f, "not reached: {why}"),
            ReadFault::Status(status) => write!(f, "answered {status}"),
            ReadFault::Set(flaw) => flaw.fmt(f),
            ReadFault::Over => f.write_str("the server stops"),
        }
    }
}

impl std::error::Error for ReadFault {}

/// What reads the set of one issuer. `Debug` shows no address.
#[derive(Clone)]
pub struct SetReader {
    from: From,
    only: Option<Algorithm>,
    timeout: Duration,
}

#[derive(Clone)]
enum From {
    File(PathBuf),
    Address(Url, Client),
}

impl SetReader {
    /// From a file of this machine. With `only` keys for other algorithms are passed over.
    pub fn of_file(path: &Path, only: Option<Algorithm>) -> SetReader {
        SetReader { from: From::File(path.to_owned()), only, timeout: Duration::MAX }
    }

    /// From an address; `timeout` is for all of a read, to the last byte of the answer. For `https` the certificates of authorities are the
    /// machine's.
    pub fn of_address(url: &str, only: Option<Algorithm>, timeout: Duration) -> Result<SetReader, SetupFault> {
        let (url, client) = outbound::client(url)?;
        Ok(SetReader { from: From::Address(url, client), only, timeout })
    }

    /// Reads a file now. Blocks. `None`: it is not read from a file.
    pub fn read_file(&self) -> Option<Result<KeySet, ReadFault>> {
        match &self.from {
            From::File(path) => Some(file(path).and_then(|bytes| KeySet::read(&bytes, self.only).map_err(ReadFault::Set))),
            From::Address(..) => None,
        }
    }

    /// Reads it, with how long it is good for where the issuer says so. Runs in a Tokio runtime with time and network.
    pub async fn read(&self) -> Result<(KeySet, Option<Duration>), ReadFault> {
        let (own, only) = (self.clone(), self.only);
        let (bytes, good_for) = match &self.from {
            From::File(_) => {
                let read = spawn_blocking(move || own.read_file()).await;
                return read.ok().flatten().unwrap_or(Err(ReadFault::Over)).map(|set| (set, None));
            }
            From::Address(url, client) => {
                let asked = tokio::time::timeout(self.timeout, ask(url, client));
                asked.await.unwrap_or(Err(ReadFault::TimedOut))?
            }
        };
        // A set of a megabyte takes longer than others like to wait.
        let read = spawn_blocking(move || KeySet::read(&bytes, only).map_err(ReadFault::Set)).await;
        read.unwrap_or(Err(ReadFault::Over)).map(|set| (set, good_for))
    }
}

impl fmt::Debug for SetReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetReader(…)")
    }
}

fn file(path: &Path) -> Result<Vec<u8>, ReadFault> {
    let told = |error: io::Error| ReadFault::File(error.to_string());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(told)?;
    // A pipe would keep its reader waiting.
    if !file.metadata().map_err(told)?.is_file() {
        return Err(ReadFault::File("not a file".to_owned()));
    }
    file.take(MAX_SET_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok(bytes)
}

async fn ask(url: &Url, client: &Client) -> Result<(Vec<u8>, Option<Duration>), ReadFault> {
    let request = client.get(url.clone()).header(header::ACCEPT, "application/jwk-set+json, application/json");
    let answer = request.send().await.map_err(unreachable)?;
    if answer.status() != StatusCode::OK {
        return Err(ReadFault::Status(answer.status().as_u16()));
    }
    let said = answer.headers().get(header::CACHE_CONTROL).and_then(|said| said.to_str().ok());
    let good_for = said.and_then(max_age);
    let bytes = outbound::body(answer, MAX_SET_BYTES).await.map_err(|fault| match fault {
        BodyFault::TooLarge => ReadFault::Set(SetFlaw::TooLong),
        BodyFault::Broken(error) => unreachable(error),
    })?;
    Ok((bytes, good_for))
}

/// Without the address, whose query may hold a secret.
fn unreachable(error: reqwest::Error) -> ReadFault {
    ReadFault::Unreachable(outbound::told(&error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::stub::{answer, on_tokio, stub};

    const LONG: Duration = Duration::from_secs(20);
    /// A key of Ed25519 (RFC 8037, appendix A.2).
    const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn read(wire: String, hang: bool, timeout: Duration) -> Result<(usize, Option<u64>), ReadFault> {
        on_tokio(async {
            let (url, serve) = stub(vec![(wire, hang)]).await;
            let ask = async {
                let reader = SetReader::of_address(&format!("{url}?word=secret"), None, timeout).unwrap();
                reader.read().await
            };
            let (read, seen) = tokio::join!(ask, serve);
            assert!(seen[0].starts_with("GET /v1/chat/completions?word=secret HTTP/1.1"), "{}", seen[0]);
            read.map(|(set, good_for)| (set.len(), good_for.map(|time| time.as_secs())))
        })
    }

    #[test]
    fn an_answer_is_a_set_and_how_long_it_is_good() {
        assert_eq!(read(answer("200 OK", SET), false, LONG), Ok((1, None)));
        let said = format!("HTTP/1.1 200 OK\r\nCache-Control: public, max-age=77\r\nContent-Length: {}\r\n\r\n{SET}", SET.len());
        assert_eq!(read(said, false, LONG), Ok((1, Some(77))));
    }

    #[test]
    fn anything_else_is_a_fault() {
        let declared = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 10 << 20);
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        let endless = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(17));
        for (wire, hang, expected) in [
            (answer("500 Internal Server Error", SET), false, ReadFault::Status(500)),
            (answer("304 Not Modified", ""), false, ReadFault::Status(304)),
            ("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".into(), false, ReadFault::Status(302)),
            (answer("200 OK", "<html>"), false, ReadFault::Set(SetFlaw::Shape)),
            (answer("200 OK", r#"{"keys":[]}"#), false, ReadFault::Set(SetFlaw::Empty)),
            (declared, true, ReadFault::Set(SetFlaw::TooLong)),
            (endless, true, ReadFault::Set(SetFlaw::TooLong)),
        ] {
            assert_eq!(read(wire.clone(), hang, LONG), Err(expected), "{}", &wire[..60.min(wire.len())]);
        }
        let silent = Duration::from_millis(300);
        assert_eq!(read(String::new(), true, silent), Err(ReadFault::TimedOut));
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"keys\":".to_owned();
        assert_eq!(read(half.clone(), true, silent), Err(ReadFault::TimedOut));
        let Err(ReadFault::Unreachable(why)) = read(half, false, LONG) else { panic!("half an answer was taken") };
        assert!(!why.contains("secret"), "{why}");
    }

    #[test]
    fn a_file_is_read_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let reader = SetReader::of_file(&path, None);
        let both = || {
            let at_once = reader.read_file().unwrap().map(|set| set.len());
            assert_eq!(on_tokio(reader.read()).map(|(set, _)| set.len()), at_once);
            at_once
        };
        assert!(matches!(both(), Err(ReadFault::File(why)) if why.contains("No such file")));
        std::fs::write(&path, SET).unwrap();
        assert_eq!(both(), Ok(1));
        std::fs::write(&path, " ".repeat(MAX_SET_BYTES + 1)).unwrap();
        assert_eq!(both(), Err(ReadFault::Set(SetFlaw::TooLong)));
        assert!(matches!(SetReader::of_file(folder.path(), None).read_file(), Some(Err(ReadFault::File(_)))));
    }
}
