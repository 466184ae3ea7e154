//! Which nodes there are: each holds a slot of the shared records with an epoch of its own, for as long as it renews its lease.
//!
//! A slot with its epoch is a [`Tenure`]. Every transaction that writes checks, in itself, that the tenure of its node still stands; and
//! [`Lease::bury`] ends a tenure in a transaction that waits for those that have begun. So whatever a node that was cut off does on its
//! return, it writes nothing after it was buried: its questions are answered `Failed`, and [`Lease::tenure`] is none.
//!
//! A lease that ran out entitles nobody to anything. Whoever wants to take over what a node did calls [`Lease::bury`] first, and acts when
//! that has answered. Times are reckoned with the database's clock alone, so a host's clock may be wrong.

use super::Read;
use crate::protocols::presence::record as presence;
use crate::realtime::{ClassroomId, StoreFault, UnixMicros};
use std::{fmt, sync::Arc};

/// One node's right to write, from [`Lease::take`] until it is given back, or buried by another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tenure {
    /// The node among those that are there, from 0. Free again when the tenure is over.
    pub slot: u16,
    /// Grows with every tenure of any slot, and is never used twice.
    pub epoch: i64,
}

impl fmt::Display for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.epoch)
    }
}

/// A node as the shared records have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its right to write.
    pub tenure: Tenure,
    /// What it is called: one name, one node.
    pub name: String,
    /// Where others reach it, as it said itself; empty where it did not.
    pub address: String,
    /// The version of the program that it runs.
    pub version: String,
    /// False when its lease has run out and [`Lease::bury`] would end it.
    pub is_alive: bool,
}

/// Every node that holds a slot, as of one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roster {
    /// Rises whenever a node comes or goes, in the transaction of that: equal numbers are equal nodes.
    pub number: u64,
    /// By slot.
    pub seats: Vec<Seat>,
}

/// A node of a [`Roster`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Its right to write.
    pub tenure: Tenure,
    /// How many shards it has.
    pub shards: u8,
    /// As [`Member::is_alive`].
    pub is_alive: bool,
}

/// A session that ended with its node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// Its number.
    pub session: i64,
    /// The room.
    pub classroom: ClassroomId,
    /// `label.sub.aud`.
    pub agent_id: Arc<str>,
    /// When its node was last known to be alive, or when it began, whichever is later.
    pub at: UnixMicros,
}

/// What [`Lease::bury`] did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Buried {
    /// This call ended the tenure, and these sessions with it: nobody else is told of them.
    Here(Vec<Ended>),
    /// It was over already.
    Before,
}

/// Why a lease was not taken, renewed or ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseFault {
    /// This node holds no tenure: it has taken none, or it was buried. What it wrote before stands; it may take another.
    Lost,
    /// The node that has the name, or is to be buried, is alive; or this node has not held its own lease for long enough to know (a
    /// database that comes back finds all leases run out: each node first gives the others the time to renew theirs).
    Alive,
    /// Every slot is taken.
    Full,
    /// The records could not be asked.
    Store(StoreFault),
}

impl fmt::Display for LeaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeaseFault::Lost => "this node holds no lease: another node took it for dead",
            LeaseFault::Alive => "a node of this name is alive",
            LeaseFault::Full => "every slot of a node is taken",
            LeaseFault::Store(StoreFault::Busy) => "the database cannot be reached",
            LeaseFault::Store(StoreFault::Failed) => "the database failed",
        })
    }
}

impl std::error::Error for LeaseFault {}

impl From<StoreFault> for LeaseFault {
    fn from(fault: StoreFault) -> LeaseFault {
        LeaseFault::Store(fault)
    }
}

/// This node among those that share its records. All but [`Lease::tenure`] block: call them on a thread that may wait.
///
/// On PostgreSQL a store takes its tenure when it is opened and renews it by itself, at each third of the lease; on SQLite there is one
/// node and nothing ever ends. In memory nothing happens by itself.
pub trait Lease: Send + Sync {
    /// What this node holds, as far as it knows. Cheap: atomics. None before the first [`Lease::take`] and since it was lost or given back.
    fn tenure(&self) -> Option<Tenure>;

    /// Takes a free slot with a fresh epoch. Answers what is held where something is. An older tenure of the same name whose process is
    /// gone, or whose lease has run out, is buried with it: its sessions move to history, and nobody but [`Lease::predecessor`] tells of
    /// them.
    ///
    /// # Errors
    /// [`LeaseFault::Alive`] while a node of the same name is alive, [`LeaseFault::Full`], [`LeaseFault::Store`].
    fn take(&self) -> Result<Tenure, LeaseFault>;

    /// Who was on the tenure of this name that the last [`Lease::take`] buried: told once.
    fn predecessor(&self) -> Option<(Tenure, Vec<Ended>)> {
        None
    }

    /// The store is about to stop, and the next process of this node takes its place: sessions stay live, for that to go on with those that
    /// it names when it opens the store. Where there is one node, nothing is to be done.
    fn leave_to_heir(&self) {}

    /// From now on, or no more, the lease is not renewed by itself: it runs out, and may be lost.
    fn hold_back(&self, _is_held_back: bool) {}

    /// Makes the lease last for its whole time from now on. One that has run out is renewed too, while nobody has buried it.
    ///
    /// # Errors
    /// [`LeaseFault::Lost`]; [`LeaseFault::Store`], and then it is held until it has run out.
    fn renew(&self) -> Result<(), LeaseFault>;

    /// Every node that holds a slot, this one too, by slot.
    ///
    /// # Errors
    /// As every [`Read`].
    fn members(&self) -> Read<Vec<Member>>;

    /// The same, numbered. Where nothing tells how many shards nodes have, and when they came, all have one and the number is 0.
    ///
    /// # Errors
    /// As every [`Read`].
    fn roster(&self) -> Read<Roster> {
        let seat = |Member { tenure, is_alive, .. }| Seat { tenure, shards: 1, is_alive };
        Ok(Roster { number: 0, seats: self.members()?.into_iter().map(seat).collect() })
    }

    /// The rosters whose numbers lie between these two, in order: all that a node has missed that knew the one and read the other. Whoever
    /// was there counts as alive. Only so many of the last are kept; where there are no numbers there are none.
    ///
    /// # Errors
    /// As every [`Read`].
    fn rosters_between(&self, _after: u64, _before: u64) -> Read<Vec<Roster>> {
        Ok(Vec::new())
    }

    /// Every session that is live, of all nodes: for who buries a node, since the homes of rooms that were there are to be told who is in
    /// them. Where there is one node there is nobody to tell.
    ///
    /// # Errors
    /// As every [`Read`].
    fn live(&self) -> Read<Vec<presence::Buried>> {
        Ok(Vec::new())
    }

    /// Gives the tenure back: its sessions move to history. The next is a fresh one. Nothing is done where none is held.
    ///
    /// # Errors
    /// When the records could not be asked; the lease runs out by itself then.
    fn release(&self) -> Result<(), StoreFault>;

    /// Ends the tenure of a node whose lease has run out: from then on it writes nothing, its sessions are in the history, and answers of
    /// agents that it was giving are incomplete (as [`super::Store::sweep_chat`] has it), all at the same moment. One of those that try at
    /// the same time is told which sessions these were.
    ///
    /// # Errors
    /// [`LeaseFault::Alive`], also of itself; [`LeaseFault::Lost`] where this node holds nothing; [`LeaseFault::Store`].
    fn bury(&self, dead: Tenure) -> Result<Buried, LeaseFault>;
}
