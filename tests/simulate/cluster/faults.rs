//! Faults planted around the nodes: each is for one of the checks.

/// One kind of fault. Each strikes now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// A room's new home never hears of somebody who is in it.
    LostResume,
    /// A room's new home does not get what the former one leaves.
    LostBequest,
    /// A home never hears that somebody has left.
    LostLeave,
    /// A home never hears that a former owner was told.
    LostTold,
    /// A shard says that it has reached a view before what it said earlier has come.
    HastyReached,
    /// One shard never says so.
    LostReached,
    /// Of a link that broke only one end is told.
    UntoldBreak,
    /// A row that a connection on another node takes over stays with the first.
    ForgottenAdoption,
    /// What is told to all in a room does not come to a node.
    LostFrame,
    /// It comes twice.
    DoubledFrame,
    /// What is told of a quiz does not come to a node.
    LostEvent,
    /// A quiz's new home never hears of somebody who listens.
    LostWatch,
    /// A node to which quizzes have come does not find those with running attempts.
    UnseenAttempts,
    /// Nobody minds that the store takes nothing of a node that was buried.
    UnfencedRecords,
    /// What was read of the rows is told as if it were read later.
    StaleCensus,
    /// Nobody is told of the rows.
    LostCensus,
}

impl Fault {
    pub(crate) const ALL: [Fault; 16] = [
        Fault::LostResume,
        Fault::LostBequest,
        Fault::LostLeave,
        Fault::LostTold,
        Fault::HastyReached,
        Fault::LostReached,
        Fault::UntoldBreak,
        Fault::ForgottenAdoption,
        Fault::LostFrame,
        Fault::DoubledFrame,
        Fault::LostEvent,
        Fault::LostWatch,
        Fault::UnseenAttempts,
        Fault::UnfencedRecords,
        Fault::StaleCensus,
        Fault::LostCensus,
    ];
}
