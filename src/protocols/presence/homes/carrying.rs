//! What rooms are left with when their members go on in another process, and what they begin with there.

use super::{Homes, Outcome};
use crate::{
    protocols::presence::room::Room,
    realtime::{ClassroomId, Now},
};

impl Homes {
    /// All rooms say at once what they have gathered for their ticks.
    pub fn tick_all(&mut self, now: Now, out: &mut Vec<Outcome>) {
        let mut rooms: Vec<ClassroomId> = self.rooms.keys().copied().collect();
        rooms.sort_unstable();
        for classroom in rooms {
            self.in_room(classroom, now, out, Room::tick);
        }
    }

    /// The highest number that an event was published with, of each room that has had one.
    pub fn published(&self) -> Vec<(ClassroomId, i64)> {
        let published = self.rooms.iter().map(|(classroom, room)| (*classroom, room.last_published));
        let mut published: Vec<_> = published.filter(|(_, number)| *number > 0).collect();
        published.sort_unstable();
        published
    }

    /// Rooms that are there count on from these numbers.
    pub fn publish_from(&mut self, published: &[(ClassroomId, i64)]) {
        for (classroom, number) in published {
            if let Some(room) = self.rooms.get_mut(classroom) {
                room.last_published = room.last_published.max(*number);
            }
        }
    }
}
