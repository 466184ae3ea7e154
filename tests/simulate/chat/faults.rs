//! Faults planted around the machines of chat: in the transport, in the store, in what the shell does. Each is for one of the checks.

/// One kind of fault. Each strikes now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The clock of one shard stands still for good: what waits there waits for ever.
    StoppedClock,
    /// What is told to all of a session does not reach a shard.
    LostFrame,
    /// It comes twice.
    DoubledFrame,
    /// Two frames change places.
    SwappedFrames,
    /// A frame of one session is told in another.
    CrossedFrame,
    /// A home never hears that a socket has left.
    LostPart,
    /// A home never hears that an answer is not wanted any more.
    LostCancel,
    /// A home never hears that nobody waits for an answer any more.
    LostLeave,
    /// Two messages of one socket change places on their way home.
    SwappedMessages,
    /// An answer to REST never arrives.
    LostReply,
    /// Whoever brings an answer to REST brings it twice.
    DoubledReply,
    /// A piece of an answer that is followed over REST never arrives.
    LostPiece,
    /// A request under a limit is counted by a shard that is not its payer's home.
    StrayCount,
    /// The store never says that something is written.
    LostRecord,
    /// The store says that something is written, and it is not.
    ForgottenWrite,
    /// The store says that something is written before it is.
    HastyStore,
    /// A new process does not mark what the last one left unfinished.
    ForgottenSweep,
    /// A request to a model or a tool is not ended when it is to be.
    LostStop,
    /// What one model says is brought to another answer.
    CrossedWords,
    /// A tool is called twice.
    DoubledCall,
    /// A rejection reaches its home as an approval.
    TurnedDecision,
    /// Whoever waits for the store waits for an hour.
    LongPatience,
    /// Whoever is closed is told that it read too slowly.
    TurnedClose,
    /// A home never hears that a session is still held by the last one.
    LostHold,
    /// A socket never hears that its session has moved.
    LostMove,
    /// A shard never hears that an answer begins or ends, and so not how far its sockets have heard.
    LostMark,
}

impl Fault {
    pub(crate) const ALL: [Fault; 26] = [
        Fault::StoppedClock,
        Fault::LostFrame,
        Fault::DoubledFrame,
        Fault::SwappedFrames,
        Fault::CrossedFrame,
        Fault::LostPart,
        Fault::LostCancel,
        Fault::LostLeave,
        Fault::SwappedMessages,
        Fault::LostReply,
        Fault::DoubledReply,
        Fault::LostPiece,
        Fault::StrayCount,
        Fault::LostRecord,
        Fault::ForgottenWrite,
        Fault::HastyStore,
        Fault::ForgottenSweep,
        Fault::LostStop,
        Fault::CrossedWords,
        Fault::DoubledCall,
        Fault::TurnedDecision,
        Fault::LongPatience,
        Fault::TurnedClose,
        Fault::LostHold,
        Fault::LostMove,
        Fault::LostMark,
    ];
}
