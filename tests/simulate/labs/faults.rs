//! Faults planted around the machines of labs: in the transport, in the store, in what the shell does. Each is for one of the checks.

/// One kind of fault. Each strikes now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The clock of the registry's shard stands still for good: a session is stuck.
    StoppedClock,
    /// The store writes a session's row and forgets the command that comes with it: two are open.
    LostCommand,
    /// The store says that something is written, and it is not: what was acknowledged is gone after a crash.
    ForgottenWrite,
    /// The store says that an agent is forgotten, and it is not.
    KeptAgent,
    /// An answer of the store never arrives.
    LostRecord,
    /// An answer to REST never arrives.
    LostReply,
    /// Whoever brings an answer to REST brings it twice.
    DoubledReply,
    /// A frame for an agent comes twice: a command is given twice.
    DoubledOrder,
    /// Two frames for one agent change places: an old command comes after a newer one.
    SwappedOrders,
    /// An agent's registration says that it has more places than it has.
    InflatedCapacity,
    /// A viewer never hears that another one came.
    LostDisplacement,
    /// The registry never hears that an agent's connection is over.
    LostGone,
    /// Bytes of a tunnel are lost on their way.
    LostBytes,
    /// Bytes of a tunnel come twice.
    DoubledBytes,
    /// Bytes of a tunnel change places with those before them.
    SwappedBytes,
    /// Bytes of one tunnel come out of another.
    CrossedBytes,
    /// More credit is given than has left: more is on its way than may be.
    InflatedCredit,
    /// A viewer that is not to be read is read on.
    DeafPause,
    /// A shard that is told of a revoked token forgets which.
    ForgottenToken,
    /// A shard that is told what a user may from now on forgets it.
    ForgottenRole,
    /// The store forgets that an agent drains.
    ForgottenDrain,
    /// Lines for one who follows a log are lost on their way.
    LostLines,
    /// Such lines come twice.
    DoubledLines,
    /// One who follows a log never hears that it is over.
    LostLogOver,
    /// A request under a limit is counted by a shard that is not its key's home.
    StrayLimit,
    /// When the registry moves, it does not hear that an agent is there.
    LostReturn,
    /// A node that comes reads that no token is revoked.
    BlankRights,
}

impl Fault {
    pub(crate) const ALL: [Fault; 27] = [
        Fault::StoppedClock,
        Fault::LostCommand,
        Fault::ForgottenWrite,
        Fault::KeptAgent,
        Fault::LostRecord,
        Fault::LostReply,
        Fault::DoubledReply,
        Fault::DoubledOrder,
        Fault::SwappedOrders,
        Fault::InflatedCapacity,
        Fault::LostDisplacement,
        Fault::LostGone,
        Fault::LostBytes,
        Fault::DoubledBytes,
        Fault::SwappedBytes,
        Fault::CrossedBytes,
        Fault::InflatedCredit,
        Fault::DeafPause,
        Fault::ForgottenToken,
        Fault::ForgottenRole,
        Fault::ForgottenDrain,
        Fault::LostLines,
        Fault::DoubledLines,
        Fault::LostLogOver,
        Fault::StrayLimit,
        Fault::LostReturn,
        Fault::BlankRights,
    ];
}
