//! The lease of the only node: the folder's lock is what it holds, and nobody ever takes that.

use super::SqliteStore;
use crate::{
    realtime::StoreFault,
    store::{Buried, Lease, LeaseFault, Member, Read, Tenure},
};

const ONLY: Tenure = Tenure { slot: 0, epoch: 1 };

impl Lease for SqliteStore {
    fn tenure(&self) -> Option<Tenure> {
        Some(ONLY)
    }

    fn take(&self) -> Result<Tenure, LeaseFault> {
        Ok(ONLY)
    }

    fn renew(&self) -> Result<(), LeaseFault> {
        Ok(())
    }

    fn members(&self) -> Read<Vec<Member>> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(vec![Member { tenure: ONLY, name: self.name.clone(), address: String::new(), version, is_alive: true }])
    }

    /// The next start ends what was left.
    fn release(&self) -> Result<(), StoreFault> {
        Ok(())
    }

    fn bury(&self, dead: Tenure) -> Result<Buried, LeaseFault> {
        if dead == ONLY { Err(LeaseFault::Alive) } else { Ok(Buried::Before) }
    }
}
