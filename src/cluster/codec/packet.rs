//! The bytes of a packet.

use super::{MESSAGE_BYTES_AT_MOST, Unreadable, VERSION};
use crate::cluster::link::{Header, Packet};
use bytes::Bytes;
use rkyv::{Archived, rancor::Failure};
use xxhash_rust::xxh3::xxh3_64;

const VERSION_BYTES: usize = 2;
const CHECKED_FROM: usize = VERSION_BYTES + 8;
/// What stands before the body.
pub(super) const FRONT_BYTES: usize = CHECKED_FROM + size_of::<Archived<Header>>();

/// The message of a packet. The body is copied once.
pub fn write_packet(packet: &Packet) -> Bytes {
    let mut message = Vec::with_capacity(FRONT_BYTES + packet.body.len());
    message.extend_from_slice(&VERSION.to_le_bytes());
    message.resize(CHECKED_FROM, 0);
    let header = rkyv::api::high::to_bytes_in::<_, Failure>(&packet.header, &mut message);
    debug_assert!(header.is_ok_and(|message| message.len() == FRONT_BYTES), "plain numbers into memory");
    message.extend_from_slice(&packet.body);
    let checksum = xxh3_64(&message[CHECKED_FROM..]);
    message[VERSION_BYTES..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    message.into()
}

/// The packet of a message. Its body is the message's memory.
pub fn read_packet(message: Bytes) -> Result<Packet, Unreadable> {
    let version = *message.first_chunk::<VERSION_BYTES>().ok_or(Unreadable::Damaged)?;
    if version != VERSION.to_le_bytes() {
        return Err(Unreadable::Version(u16::from_le_bytes(version)));
    }
    if message.len() > MESSAGE_BYTES_AT_MOST {
        return Err(Unreadable::TooLong);
    }
    let (Some(front), Some(checked)) = (message.get(CHECKED_FROM..FRONT_BYTES), message.get(CHECKED_FROM..)) else {
        return Err(Unreadable::Damaged);
    };
    if message[VERSION_BYTES..CHECKED_FROM] != xxh3_64(checked).to_le_bytes() {
        return Err(Unreadable::Damaged);
    }
    let header = rkyv::from_bytes::<Header, Failure>(front)?;
    if (header.sequence == 0) != (message.len() == FRONT_BYTES) {
        return Err(Unreadable::Damaged);
    }
    Ok(Packet { header, body: message.slice(FRONT_BYTES..) })
}
