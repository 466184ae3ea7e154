//! What names, quantities and the like may be, and random ids.

use super::rooms::Chance;
pub(super) use crate::protocols::labs::given::*;
use uuid::{Builder, Uuid};

/// A random id.
pub(super) fn v4(house: &impl Chance) -> Uuid {
    let mut bytes = [0; 16];
    house.fill(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}
