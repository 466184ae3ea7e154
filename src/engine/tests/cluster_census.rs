//! Rows of nobody, and members without a row: what is odd twice is set right, and nothing else is.

use super::world::*;
use crate::{
    engine::{Answer, Question},
    protocols::presence::record::{Buried, Census},
    realtime::{ClassroomId, Moment},
};
use std::time::Duration;

const VIEW: u64 = 1;

/// A room at home on the second of two nodes.
fn school() -> (World, ClassroomId) {
    let world = World::cluster(2, 1);
    let classroom = world.classroom_at(&world.ring(VIEW, 2), 1);
    (world, classroom)
}

/// What the store has, and when it is read.
struct Look {
    rows: Vec<Buried>,
    read_at: Moment,
}

impl Look {
    fn at(world: &World, classroom: ClassroomId) -> Look {
        let row = |(session, agent_id): &(i64, String)| Buried {
            classroom,
            agent_id: agent_id.as_str().into(),
            session: *session,
            is_over: false,
        };
        Look { rows: world.store.rows.iter().map(row).collect(), read_at: world.now.moment }
    }

    /// Comes to the home of the room.
    fn comes(&self, world: &mut World) {
        self.comes_in(world, VIEW, 1);
    }

    fn comes_in(&self, world: &mut World, view: u64, parts: usize) {
        for part in 0..parts {
            self.part_comes(world, view, (part, parts));
        }
        world.run();
    }

    fn part_comes(&self, world: &mut World, view: u64, (part, parts): (usize, usize)) {
        let each = self.rows.len().div_ceil(parts);
        let rows = self.rows.iter().skip(part * each).take(each).cloned().collect();
        let census = Census { read_at: self.read_at, part: part as u32, is_last: part + 1 == parts, rows };
        let now = world.now;
        world.engines[1].answer(Answer::Census(view, Box::new(census)), now);
    }
}

/// Looks now, and a little later.
fn look_twice(world: &mut World, classroom: ClassroomId) {
    for _ in 0..2 {
        world.pass(Duration::from_millis(10));
        Look::at(world, classroom).comes(world);
    }
}

fn set_right(world: &World) -> [u64; 2] {
    let counters = world.engines[1].counters();
    [counters.stray_rows.read(), counters.rowless_members.read()]
}

#[test]
fn a_row_of_nobody_ends_when_it_is_seen_twice() {
    let (mut world, classroom) = school();
    let member = world.session(0, "web", "a", classroom);
    let stray = world.store.enter("web.gone.school".into(), None).unwrap();
    world.heard.clear();
    world.pass(Duration::from_millis(10));
    Look::at(&world, classroom).comes(&mut world);
    assert_eq!((world.store.history.as_slice(), set_right(&world)), (&[][..], [0, 0]), "it may be on its way");
    world.pass(Duration::from_millis(10));
    Look::at(&world, classroom).comes(&mut world);
    assert_eq!((world.store.history.as_slice(), set_right(&world)), (&[stray][..], [1, 0]));
    look_twice(&mut world, classroom);
    assert_eq!((set_right(&world), world.take_heard(member)), ([1, 0], vec![]), "nobody is told");
    world.eof(member);
    world.assert_empty();
}

#[test]
fn the_store_is_asked_once_for_the_end_of_a_row_however_long_it_takes() {
    let (mut world, classroom) = school();
    let member = world.session(0, "web", "a", classroom);
    world.store.enter("web.gone.school".into(), None).unwrap();
    world.store.held = true;
    (0..4).for_each(|_| look_twice(&mut world, classroom));
    let asked = world.questions.iter().filter(|(_, question)| matches!(question, Question::Leave(_))).count();
    assert_eq!((asked, set_right(&world)), (1, [1, 0]));
    world.store.held = false;
    world.eof(member);
    world.assert_empty();
}

#[test]
fn a_member_without_a_row_comes_again_when_it_is_missing_twice() {
    let (mut world, classroom) = school();
    let (member, other) = (world.session(0, "web", "a", classroom), world.session(1, "web", "b", classroom));
    world.heard.clear();
    world.store.rows.retain(|(_, agent_id)| agent_id != "web.a.school");
    world.pass(Duration::from_millis(10));
    Look::at(&world, classroom).comes(&mut world);
    assert_eq!(world.heard, [], "it may be on its way");
    world.pass(Duration::from_millis(10));
    Look::at(&world, classroom).comes_in(&mut world, VIEW, 1);
    assert_eq!(world.take_heard(member).first().map(String::as_str), Some("CLOSE 1012"));
    assert_eq!((world.take_heard(other), set_right(&world)), (vec![change("left", "web.a.school", 1)], [0, 1]));
    [member, other].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn whoever_is_there_with_his_row_is_never_odd() {
    let (mut world, classroom) = school();
    let members: Vec<_> = ["a", "b", "c"].map(|who| world.session(0, "web", who, classroom)).into();
    look_twice(&mut world, classroom);
    for _ in 0..2 {
        world.pass(Duration::from_millis(10));
        Look::at(&world, classroom).comes_in(&mut world, VIEW, 3);
    }
    // One comes while the store is slow, and another goes.
    world.store.held = true;
    let conn = world.websocket(0, "/ws");
    world.text(conn, &connect_request("web", classroom, &token("d")));
    world.eof(members[0]);
    look_twice(&mut world, classroom);
    world.store.held = false;
    world.run();
    look_twice(&mut world, classroom);
    assert_eq!(set_right(&world), [1, 0], "who had gone, and whose row had not ended for two looks");
    world.heard.clear();
    members[1..].iter().chain([&conn]).for_each(|conn| world.eof(*conn));
    world.assert_empty();
}

#[test]
fn looks_that_say_nothing_certain_set_nothing_right() {
    let (mut world, classroom) = school();
    let member = world.session(0, "web", "a", classroom);
    let stray = world.store.enter("web.gone.school".into(), None).unwrap();
    let early = Look::at(&world, classroom);
    world.pass(Duration::from_millis(10));
    early.comes(&mut world);
    // It was read before the first was over.
    early.comes(&mut world);
    // Of another view.
    world.pass(Duration::from_millis(10));
    Look::at(&world, classroom).comes_in(&mut world, VIEW + 1, 1);
    Look::at(&world, classroom).comes(&mut world);
    assert_eq!(set_right(&world), [0, 0], "what was before another view is forgotten");
    // Without its first part, or its second.
    world.pass(Duration::from_millis(10));
    Look::at(&world, classroom).part_comes(&mut world, VIEW, (1, 2));
    world.pass(Duration::from_millis(10));
    let look = Look::at(&world, classroom);
    look.part_comes(&mut world, VIEW, (0, 3));
    look.part_comes(&mut world, VIEW, (2, 3));
    world.run();
    assert_eq!((set_right(&world), world.store.history.len()), ([0, 0], 0));
    look_twice(&mut world, classroom);
    assert_eq!((set_right(&world), world.store.history.as_slice()), ([1, 0], &[stray][..]));
    world.eof(member);
    world.assert_empty();
}

#[test]
fn a_new_view_forgets_what_looked_odd() {
    let (mut world, classroom) = school();
    let member = world.session(0, "web", "a", classroom);
    world.store.enter("web.gone.school".into(), None).unwrap();
    world.pass(Duration::from_millis(10));
    Look::at(&world, classroom).comes(&mut world);
    world.view(VIEW + 1, 2);
    world.pass(Duration::from_millis(10));
    Look::at(&world, classroom).comes_in(&mut world, VIEW + 1, 1);
    assert_eq!(set_right(&world), [0, 0], "it is the first by this view");
    world.pass(Duration::from_millis(10));
    Look::at(&world, classroom).comes_in(&mut world, VIEW + 1, 1);
    assert_eq!(set_right(&world), [1, 0]);
    world.eof(member);
    world.assert_empty();
}
