//! What boss and worker say to each other: JSON behind a length of four bytes, over any stream of bytes.

use crate::{order::Order, tally::Tally, usage::Usage};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};

/// The largest letter: a tally of full histograms is well below.
const LARGEST_BYTES: u32 = 256 << 20;

/// A part of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Sign-ins, at the rate of the order.
    SignIn,
    /// Nothing but answering pings and hearing events. Never settles by itself.
    Hold,
    /// Publishes, at the pace of the order.
    Publish,
    /// Every connection is closed.
    Close,
}

/// Boss to worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// The first letter.
    Order(Box<Order>),
    /// Begin a stage at this moment, nanoseconds of the host's CLOCK_MONOTONIC.
    Enter(Stage, u64),
    /// Send the tally and go.
    Finish,
}

/// Worker to boss.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToBoss {
    /// Everything is made; a stage may begin.
    Ready,
    /// A few times a second.
    Progress(Progress),
    /// Nothing is left to do in this stage, and what it cost this worker until then.
    Settled(Stage, Usage),
    /// The last letter.
    Done(Box<Tally>),
    /// The last letter of a worker that cannot work.
    Failed(String),
}

/// What a worker has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Sign-ins that succeeded.
    pub(crate) signed_in: u64,
    /// Members whose connection ended by itself.
    pub(crate) lost: u64,
    /// Faults of every kind.
    pub(crate) faults: u64,
    /// Connections that were closed as they should.
    pub(crate) closed: u64,
    /// Publishes sent.
    pub(crate) published: u64,
    /// Ticks heard.
    pub(crate) delivered: u64,
}

/// Writes one letter and flushes.
///
/// # Errors
/// Those of the stream.
pub(crate) fn send(to: &mut impl Write, letter: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, letter)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads one letter.
///
/// # Errors
/// Those of the stream, its end, and letters that are too long or not understood.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LARGEST_BYTES {
        return Err(io::Error::other("a letter of impossible length"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_arrive_whole_and_in_order() {
        let mut wire = Vec::new();
        send(&mut wire, &ToWorker::Enter(Stage::SignIn, 42)).unwrap();
        send(&mut wire, &ToWorker::Finish).unwrap();
        let mut from = wire.as_slice();
        assert!(matches!(receive(&mut from).unwrap(), ToWorker::Enter(Stage::SignIn, 42)));
        assert!(matches!(receive(&mut from).unwrap(), ToWorker::Finish));
        assert!(receive::<ToWorker>(&mut from).is_err());
    }

    #[test]
    fn impossible_lengths_are_refused_before_memory_is_taken() {
        assert!(receive::<ToWorker>(&mut [0xff; 8].as_slice()).is_err());
    }
}
