//! What can go wrong with what is kept, as every protocol tells it apart.

/// Why the store did not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum StoreFault {
    /// No connection or place in the queue in time.
    Busy,
    /// The statement itself failed (a full disk, a damaged file).
    Failed,
}
