//! Faults planted around the machines of tasks: in the transport, in the store, in what the shell does. Each is for one of the checks.

/// One kind of fault. Each strikes now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The clock of one shard stands still for good: an agent that says nothing has for ever.
    StoppedClock,
    /// News do not reach a shard.
    LostNews,
    /// They come twice.
    DoubledNews,
    /// Two of them change places.
    SwappedNews,
    /// News of one user are told as another's.
    ForeignNews,
    /// The home of a user never hears that a socket is gone.
    LostGo,
    /// A socket is counted by a shard that is not its user's home.
    StrayCome,
    /// A socket never hears whether there is a place for it.
    LostCount,
    /// A home never hears that a task is wanted no more.
    LostCancel,
    /// A shard never hears how many tasks there are.
    LostTotals,
    /// An answer to REST never arrives.
    LostReply,
    /// The store never says that something is written.
    LostRecord,
    /// The store says that something is written, and it is not.
    ForgottenWrite,
    /// The store says that something is written before it is.
    HastyStore,
    /// A new process is not told what the last step of an execution gave.
    ForgottenResult,
    /// A request to a model or a tool is not ended when it is to be.
    LostStop,
    /// What one model says is brought to another.
    CrossedWords,
    /// Whoever is closed is told that it read too slowly.
    TurnedClose,
}

impl Fault {
    pub(crate) const ALL: [Fault; 18] = [
        Fault::StoppedClock,
        Fault::LostNews,
        Fault::DoubledNews,
        Fault::SwappedNews,
        Fault::ForeignNews,
        Fault::LostGo,
        Fault::StrayCome,
        Fault::LostCount,
        Fault::LostCancel,
        Fault::LostTotals,
        Fault::LostReply,
        Fault::LostRecord,
        Fault::ForgottenWrite,
        Fault::HastyStore,
        Fault::ForgottenResult,
        Fault::LostStop,
        Fault::CrossedWords,
        Fault::TurnedClose,
    ];
}
