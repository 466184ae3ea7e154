//! What comes from the bus: packets, and letters in rkyv. Another node may be of another mind, or nobody of ours at all.

use bytes::Bytes;
use homeroom::cluster::codec::{Letters, VERSION, read_letters, read_packet, write_packet};
use xxhash_rust::xxh3::xxh3_64;

/// Whatever is read can be written and read again.
pub(crate) fn letters(bytes: &[u8]) {
    let Ok(read) = read_letters(bytes) else { return };
    let told = format!("{read:?}");
    let mut letters = Letters::default();
    read.into_iter().for_each(|addressed| letters.push(addressed.from, addressed.to, addressed.letter));
    let Ok(written) = letters.write() else { return };
    let again = read_letters(&written).unwrap_or_else(|fault| panic!("what we wrote cannot be read: {fault:?}"));
    assert_eq!(format!("{again:?}"), told);
}

/// As it comes, and with what it needs to be looked at: version and checksum are made right.
pub(crate) fn packet(bytes: &[u8]) {
    let _any = read_packet(Bytes::copy_from_slice(bytes));
    if bytes.len() < 10 {
        return;
    }
    let checksum = xxh3_64(&bytes[10..]);
    let mut message = VERSION.to_le_bytes().to_vec();
    message.extend(checksum.to_le_bytes());
    message.extend(&bytes[10..]);
    if let Ok(packet) = read_packet(Bytes::from(message.clone())) {
        assert_eq!(read_packet(write_packet(&packet)).map(|again| format!("{again:?}")), Ok(format!("{packet:?}")));
    }
}
