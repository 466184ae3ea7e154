//! A message as it stands on the wire, encoded once and shared by every listener on every shard.

use rkyv::{
    Archive, Deserialize, Place, Serialize,
    rancor::Fallible,
    ser::{Allocator, Writer},
    vec::{ArchivedVec, VecResolver},
};
use std::{ops::Deref, sync::Arc};

/// Whole WebSocket frames, header included, ready to be sent. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame(Arc<[u8]>);

impl Frame {
    /// Takes bytes that already are one or more whole frames (see `websocket::frame`).
    pub fn from_wire(bytes: &[u8]) -> Frame {
        Frame(bytes.into())
    }

    /// A header and its payload, in one allocation.
    pub fn from_parts(header: &[u8], payload: &[u8]) -> Frame {
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, header.len() + payload.len()).collect();
        if let Some(bytes) = Arc::get_mut(&mut bytes) {
            let (front, back) = bytes.split_at_mut(header.len());
            front.copy_from_slice(header);
            back.copy_from_slice(payload);
        }
        Frame(bytes)
    }

    /// Whether both share their bytes, which says more than that these are equal.
    pub fn is_same(&self, other: &Frame) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Frame {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Archive for Frame {
    type Archived = ArchivedVec<u8>;
    type Resolver = VecResolver;

    fn resolve(&self, resolver: VecResolver, out: Place<ArchivedVec<u8>>) {
        ArchivedVec::resolve_from_slice(&self.0, resolver, out);
    }
}

impl<S: Fallible + Allocator + Writer + ?Sized> Serialize<S> for Frame {
    fn serialize(&self, serializer: &mut S) -> Result<VecResolver, S::Error> {
        ArchivedVec::<u8>::serialize_from_slice(&self.0, serializer)
    }
}

impl<D: Fallible + ?Sized> Deserialize<Frame, D> for ArchivedVec<u8> {
    fn deserialize(&self, _: &mut D) -> Result<Frame, D::Error> {
        Ok(Frame::from_wire(self))
    }
}
