//! What former homes left to this one: who was in their rooms, and has come himself, or has gone.

use super::{Homes, Outcome};
use crate::{
    protocols::presence::{letters::Agent, room::Room},
    realtime::{ClassroomId, Now},
};

impl Homes {
    /// Everybody has said what he had to say by earlier views: rooms are taken over with those who have not come themselves. They may still
    /// do so by a letter that waits, until [`Homes::close_estates`].
    pub fn inherit(&mut self, now: Now, out: &mut Vec<Outcome>) {
        for (classroom, mut bequests) in std::mem::take(&mut self.bequests) {
            let last = bequests.iter().filter(|bequest| bequest.is_whole).filter_map(|bequest| bequest.view).max();
            bequests.retain(|bequest| bequest.view.is_none() || bequest.view >= last);
            // What a home says goes before what the store says.
            bequests.sort_by_key(|bequest| (bequest.view.is_none(), bequest.view));
            for bequest in bequests {
                self.rooms.entry(classroom).or_insert_with(|| Room::new(classroom));
                let (is_doubtful, first) = (bequest.view.is_none(), self.awaited.len());
                let mut places = Vec::new();
                self.in_room(classroom, now, out, |room, c| places = room.inherit(bequest, now.wall, c));
                self.awaited.extend(places.into_iter().map(|place| (classroom, place)));
                self.doubtful.extend(self.awaited[first..].iter().filter(|_| is_doubtful));
            }
        }
    }

    /// Whoever was left to this home and has not come has gone.
    pub fn close_estates(&mut self, now: Now, out: &mut Vec<Outcome>) {
        self.doubtful.clear();
        for (classroom, place) in std::mem::take(&mut self.awaited) {
            self.in_room(classroom, now, out, |room, c| {
                if room.is_awaited(place) {
                    room.advance(place, now.wall, c);
                }
            });
        }
        self.rooms.retain(|_, room| !room.is_empty());
    }

    /// Of one who was in the room when its home died others may know or not: he has left, and comes as a new one.
    pub(super) fn end_doubtful(&mut self, classroom: ClassroomId, agent: &Agent, now: Now, out: &mut Vec<Outcome>) {
        if self.doubtful.is_empty() {
            return;
        }
        let place = self.rooms.get(&classroom).and_then(|room| room.find(&agent.id, &self.hasher));
        if let Some(place) = place.filter(|place| self.doubtful.remove(&(classroom, *place))) {
            self.in_room(classroom, now, out, |room, c| {
                if room.is_awaited(place) {
                    room.advance(place, now.wall, c);
                }
            });
        }
    }
}
