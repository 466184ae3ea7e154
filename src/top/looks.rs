//! What the server tells at one moment: `/api/v1/control/status` and `/api/v1/control/load`, read. Its texts are clean.

use super::text::clean;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// One look.
#[derive(Clone, PartialEq, Debug)]
pub struct Look {
    pub(super) status: Status,
    pub(super) load: Load,
}

/// An answer is not what these routes give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unread;

#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) started_at: String,
    pub(super) uptime_seconds: f64,
    pub(super) phase: String,
    pub(super) drain: Option<Drain>,
    pub(super) ready: bool,
    pub(super) reasons: Vec<String>,
    pub(super) connections: u64,
    pub(super) sockets: BTreeMap<String, u64>,
    pub(super) classrooms: u64,
    pub(super) members: u64,
    pub(super) slow_readers: u64,
}

#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
pub(super) struct Drain {
    pub(super) elapsed_seconds: f64,
    pub(super) limit_seconds: f64,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Load {
    pub(super) at_seconds: f64,
    pub(super) shards: Vec<Shard>,
    pub(super) classrooms: Vec<Room>,
    pub(super) slow_readers: Vec<Reader>,
    pub(super) closed: BTreeMap<String, u64>,
}

/// Counts are since the start of the server.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
pub(super) struct Shard {
    pub(super) shard: u16,
    /// None: it did not answer.
    pub(super) worked_seconds: Option<f64>,
    pub(super) connections: u64,
    pub(super) handshakes: u64,
    pub(super) classrooms: u64,
    pub(super) members: u64,
    pub(super) queue: u64,
    pub(super) turns: u64,
    pub(super) accepted: u64,
    pub(super) messages: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) sends: u64,
    pub(super) slow_readers: u64,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Room {
    pub(super) classroom_id: String,
    pub(super) members: u64,
    /// None: it is counted only since this look.
    pub(super) published_a_second: Option<f64>,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Reader {
    pub(super) connection: String,
    pub(super) api: String,
    pub(super) user: Option<String>,
    pub(super) waiting_bytes: u64,
    pub(super) bound_bytes: u64,
}

impl Look {
    /// Of the two answers.
    ///
    /// # Errors
    /// One of them is something else, or of a server of another version.
    pub fn read(status: &Value, load: &Value) -> Result<Look, Unread> {
        let status = Status::deserialize(status).map_err(|_| Unread)?;
        let load = Load::deserialize(load).map_err(|_| Unread)?;
        Ok(Look { status: status.cleaned(), load: load.cleaned() })
    }
}

impl Status {
    fn cleaned(self) -> Status {
        Status {
            version: clean(&self.version),
            started_at: clean(&self.started_at),
            phase: clean(&self.phase),
            reasons: self.reasons.iter().map(|reason| clean(reason)).collect(),
            sockets: self.sockets.iter().map(|(api, count)| (clean(api), *count)).collect(),
            ..self
        }
    }
}

impl Load {
    fn cleaned(self) -> Load {
        let room = |room: Room| Room { classroom_id: clean(&room.classroom_id), ..room };
        let reader = |reader: Reader| Reader {
            connection: clean(&reader.connection),
            api: clean(&reader.api),
            user: reader.user.as_deref().map(clean),
            ..reader
        };
        Load {
            classrooms: self.classrooms.into_iter().map(room).collect(),
            slow_readers: self.slow_readers.into_iter().map(reader).collect(),
            closed: self.closed.iter().map(|(code, count)| (clean(code), *count)).collect(),
            ..self
        }
    }
}
