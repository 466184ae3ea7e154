//! What a session may become, from where: the contract's table and what it leaves open.

use super::{
    asks::{Refused, Target},
    model::{Action, State},
};

/// What comes of a wish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing: it cannot be.
    Refuse(Refused),
    /// Nothing: it is so.
    Already,
    /// It is under way: wait for that.
    Join,
    /// When what is under way is done, this is.
    Afterwards,
    /// Its agent is told to, and the session is in this state until it has.
    Order(Action, State),
    /// Its agent is told to stop it; what was under way is given up.
    Stop,
    /// It is over at once.
    End,
}

/// The verdict. A session that hibernates may be woken, and one that wakes may be put to sleep, because a request may have been answered
/// with what was to be before it was.
pub(super) fn verdict(from: State, to: Target) -> Verdict {
    match (from, to) {
        (State::Terminated, Target::Terminating | Target::Terminated) | (State::Terminating, Target::Terminating) => {
            Verdict::Already
        }
        (State::Failed, Target::Terminating) | (_, Target::Terminated) => Verdict::End,
        (State::Pending | State::Running | State::Hibernating | State::Hibernated | State::Waking, Target::Terminating) => {
            Verdict::Stop
        }
        (State::Running, Target::Hibernated) => Verdict::Order(Action::HibernateSession, State::Hibernating),
        (State::Hibernated, Target::Running) => Verdict::Order(Action::WakeSession, State::Waking),
        (State::Hibernating, Target::Hibernated) | (State::Waking, Target::Running) => Verdict::Join,
        (State::Hibernating, Target::Running) | (State::Waking, Target::Hibernated) => Verdict::Afterwards,
        (State::Terminating, Target::Running | Target::Hibernated) => Verdict::Refuse(Refused::Terminating),
        (State::Pending | State::Failed | State::Terminated, Target::Running | Target::Hibernated)
        | (State::Running, Target::Running)
        | (State::Hibernated, Target::Hibernated) => Verdict::Refuse(Refused::NoSuchMove(from)),
    }
}

/// Which command is under way in a state.
pub(super) fn action(state: State) -> Option<Action> {
    match state {
        State::Pending => Some(Action::StartSession),
        State::Hibernating => Some(Action::HibernateSession),
        State::Waking => Some(Action::WakeSession),
        State::Terminating => Some(Action::StopSession),
        State::Running | State::Hibernated | State::Terminated | State::Failed => None,
    }
}

/// Where a session stands that has become what was asked.
pub(super) fn reached(to: Target) -> State {
    match to {
        Target::Running => State::Running,
        Target::Hibernated => State::Hibernated,
        Target::Terminating => State::Terminating,
        Target::Terminated => State::Terminated,
    }
}

/// What people are told of a state that was reached as it should be.
pub(super) fn message(state: State) -> &'static str {
    match state {
        State::Pending => "Session provisioning in progress...",
        State::Running => "Session is running",
        State::Hibernating => "Session is being hibernated",
        State::Hibernated => "Session hibernated successfully",
        State::Waking => "Session is waking up",
        State::Terminating => "Session is being terminated",
        State::Terminated => "Session terminated",
        State::Failed => "Session failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Running, Hibernated, Terminating, Terminated.
    const TARGETS: [Target; 4] = [Target::Running, Target::Hibernated, Target::Terminating, Target::Terminated];

    #[test]
    fn every_move() {
        use Verdict::{Afterwards, Already, End, Join, Stop};
        let no = |state| Verdict::Refuse(Refused::NoSuchMove(state));
        let hibernate = || Verdict::Order(Action::HibernateSession, State::Hibernating);
        let wake = || Verdict::Order(Action::WakeSession, State::Waking);
        let ends = || Verdict::Refuse(Refused::Terminating);
        let table = [
            (State::Pending, [no(State::Pending), no(State::Pending), Stop, End]),
            (State::Running, [no(State::Running), hibernate(), Stop, End]),
            (State::Hibernating, [Afterwards, Join, Stop, End]),
            (State::Hibernated, [wake(), no(State::Hibernated), Stop, End]),
            (State::Waking, [Join, Afterwards, Stop, End]),
            (State::Terminating, [ends(), ends(), Already, End]),
            (State::Terminated, [no(State::Terminated), no(State::Terminated), Already, Already]),
            (State::Failed, [no(State::Failed), no(State::Failed), End, End]),
        ];
        for (from, row) in table {
            for (to, expected) in TARGETS.into_iter().zip(row) {
                assert_eq!(verdict(from, to), expected, "{from:?} to {to:?}");
            }
        }
    }
}
