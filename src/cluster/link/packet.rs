//! What two ends of a link say to each other, as values. `cluster::codec` has their bytes.

use super::Node;
use bytes::Bytes;

/// One message on the bus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// What the link needs of it.
    pub header: Header,
    /// Letters, or a piece of them; empty where the sequence is 0.
    pub body: Bytes,
}

/// See the head of `link.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Header {
    /// Who says it.
    pub from: Node,
    /// To whom.
    pub to: Node,
    /// The sender's number.
    pub incarnation: u64,
    /// What the sender takes for the receiver's number; 0: it knows none.
    pub known: u64,
    /// The body's place in the stream, from 1; 0: there is no body.
    pub sequence: u64,
    /// Everything up to this place has come to the sender.
    pub acknowledged: u64,
    /// So many bytes of the same letters follow in the next packets; 0: they end here.
    pub following: u32,
    /// What else there is to say.
    pub marks: Marks,
}

/// What is said by a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Marks {
    /// Something came, but not what follows `acknowledged`: send that again, and all after it.
    pub missing: bool,
    /// To be answered at once.
    pub urgent: bool,
}
