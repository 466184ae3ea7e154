//! The rows of the store, held now and then against who is in the rooms that are at home here.
//!
//! Where two nodes die at once, or a home with a leave on its lips, a row may stay of which nobody knows any more, or a member without one.
//! What is odd at one look may only be under way. What is odd again at a second one, that was read when the first was over, is not: whoever
//! is told that he is in has a row, and a home that is the only one by a view hears of nobody's row but by its own words.

use super::{Homes, Outcome};
use crate::{
    protocols::presence::{
        record::{Buried, Census, Leaving},
        room::Row,
    },
    realtime::{ClassroomId, Moment, Now},
};
use std::{
    collections::{BTreeSet, HashSet},
    mem,
};

/// What did not agree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Odd {
    /// A row of nobody.
    Row(ClassroomId, i64),
    /// A member, by its place, whose row is not there.
    Member(ClassroomId, u32, i64),
}

/// A look that comes in parts.
struct Look {
    read_at: Moment,
    next: u32,
    /// Rows that are somebody's.
    known: HashSet<i64, foldhash::fast::FixedState>,
    odd: BTreeSet<Odd>,
}

/// What looks at the store have shown.
#[derive(Default)]
pub(super) struct Looks {
    /// What was odd at the last, and when that was over.
    last: Option<(Moment, BTreeSet<Odd>)>,
    under_way: Option<Look>,
    /// Rows of nobody whose end the store has been asked for, and which were still there.
    ended: BTreeSet<i64>,
}

/// What a census set right.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Reconciled {
    /// Rows of nobody that were ended.
    pub rows: u64,
    /// Members without a row who are to come again.
    pub members: u64,
}

impl Homes {
    /// Homes have moved, or words were lost: what looked odd until now may have been on its way.
    pub fn forget_census(&mut self) {
        self.looks = Looks::default();
    }

    /// A part of all rows whose rooms are at home here, by the view that this shard has reached. With the last part what was odd before
    /// and is so again is set right.
    pub fn census(&mut self, census: &Census, now: Now, out: &mut Vec<Outcome>) -> Reconciled {
        let Census { read_at, part, is_last, ref rows } = *census;
        if part == 0 {
            let is_later = self.looks.last.as_ref().is_none_or(|(over_at, _)| *over_at < read_at);
            let known = HashSet::with_hasher(self.hasher.clone());
            self.looks.under_way = is_later.then(|| Look { read_at, next: 0, known, odd: BTreeSet::new() });
        }
        let Some(mut look) = self.looks.under_way.take().filter(|look| (look.read_at, look.next) == (read_at, part)) else {
            return Reconciled::default();
        };
        for Buried { classroom, agent_id, session, .. } in rows {
            let room = self.rooms.get(classroom);
            if room.is_some_and(|room| room.may_have_row(agent_id, *session, &self.hasher)) {
                look.known.insert(*session);
            } else {
                look.odd.insert(Odd::Row(*classroom, *session));
            }
        }
        look.next += 1;
        if !is_last {
            self.looks.under_way = Some(look);
            return Reconciled::default();
        }
        for (classroom, room) in &self.rooms {
            let odd = room.members.iter().filter_map(|(place, member)| match member.row {
                Row::Stored(session) if !look.known.contains(&session) => Some(Odd::Member(*classroom, place as u32, session)),
                Row::Stored(_) | Row::Asked(_) | Row::None => None,
            });
            look.odd.extend(odd);
        }
        let last = self.looks.last.replace((now.moment, look.odd));
        self.reconcile(&last.unwrap_or_default().1, now, out)
    }

    /// Sets right what was odd at the last look, and is so now.
    fn reconcile(&mut self, before: &BTreeSet<Odd>, now: Now, out: &mut Vec<Outcome>) -> Reconciled {
        let odd = self.looks.last.iter().flat_map(|(_, odd)| odd.intersection(before));
        let odd: Vec<Odd> = odd.copied().collect();
        let mut reconciled = Reconciled::default();
        let asked = mem::take(&mut self.looks.ended);
        for one in odd {
            match one {
                Odd::Row(_, session) => {
                    self.looks.ended.insert(session);
                    if asked.contains(&session) {
                        continue;
                    }
                    out.push(Outcome::Leave(Leaving { session, at: now.wall }));
                    reconciled.rows += 1;
                }
                Odd::Member(classroom, place, _) => {
                    self.in_room(classroom, now, out, |room, c| room.end_rowless(place, now.wall, c));
                    reconciled.members += 1;
                }
            }
        }
        reconciled
    }
}
