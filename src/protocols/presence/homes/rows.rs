//! The rows that homes ask the store for, and what becomes of those that come when their room is at home elsewhere.

use super::{Homes, Outcome, Pending, Timer, number_of};
use crate::{
    protocols::presence::{
        record::{self, Leaving, StoreFault},
        room::Room,
    },
    realtime::{ClassroomId, Moment, NodeSlot, Now, UnixMicros, table::Table, wheel::Wheel},
};
use std::sync::Arc;

impl Homes {
    /// The room of this row is at home elsewhere by now. One that is new is nobody's. One that somebody had before is his still: it goes
    /// back to his node before the next home may ask for it, since that takes it for his.
    pub(super) fn entered_elsewhere(
        &mut self,
        pending: Pending,
        result: Result<i64, StoreFault>,
        now: Now,
        out: &mut Vec<Outcome>,
    ) {
        let Pending { classroom, place, node, session, former, .. } = pending;
        let is_given = session.is_some() && result.ok() == session;
        let goes_back = former.filter(|(former, _)| if *former == node { result == Err(StoreFault::Busy) } else { is_given });
        self.moved -= 1;
        if let Some(former) = goes_back {
            return self.give_back((classroom, place), former, session, now, out);
        }
        let new = result.ok().filter(|own| Some(*own) != session);
        out.extend(new.map(|session| Outcome::Leave(Leaving { session, at: now.wall })));
    }

    /// Gives a row back to the node of the connection that was signed in last; until that is on disk the next home is not heard.
    pub(super) fn give_back(
        &mut self,
        (classroom, place): (ClassroomId, u32),
        (node, agent_id): (NodeSlot, Arc<str>),
        session: Option<i64>,
        now: Now,
        out: &mut Vec<Outcome>,
    ) {
        let entering = record::Entering { classroom, agent_id: agent_id.clone(), at: now.wall, node, session };
        let former = Some((node, agent_id));
        let ticket = self.pending.insert(Pending { classroom, place, timer: None, node, session, former, moved: true });
        self.moved += 1;
        out.push(Outcome::Enter { ticket: number_of(ticket), entering });
    }
}

/// Asks, until the deadline, for the row that a place's owner needs to be seated, if there is one to ask for.
pub(super) fn want_row(
    room: &mut Room,
    (place, at, deadline): (u32, UnixMicros, Moment),
    pending: &mut Table<Pending>,
    wheel: &mut Wheel<Timer>,
    out: &mut Vec<Outcome>,
) {
    let classroom = room.id();
    let Some((node, session, agent_id)) = room.wanted_row(place) else { return };
    let entering = record::Entering { classroom, agent_id: agent_id.clone(), at, node, session };
    let former = session.and(room.former_node(place)).map(|former| (former, agent_id.clone()));
    let ticket = pending.insert(Pending { classroom, place, timer: None, node, session, former, moved: false });
    if let Some(pending) = pending.at_mut(ticket) {
        pending.timer = Some(wheel.set(deadline, Timer::Entering(ticket)));
    }
    room.asked(place, ticket);
    out.push(Outcome::Enter { ticket: number_of(ticket), entering });
}
