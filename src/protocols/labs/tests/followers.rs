//! Who follows which log, and what its agent is asked.

use super::world::{SECOND, Said, World, ann, bob, conn, hello, id, root};
use crate::protocols::labs::{
    FromRegistry, ToRegistry,
    asks::{Ask, Caller, Reply, Target},
    letters::{AgentWord, Dialect, Hello, ViewRefused},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Until an agent is asked again: a second, and the wheel's tick.
const NEXT: Duration = Duration::from_millis(1_010);

impl World {
    fn follow(&mut self, slot: u32, session: u128, caller: &Caller, tail: u32) {
        let (user, admin) = (Arc::clone(&caller.name), caller.admin);
        self.letter(ToRegistry::Follow { conn: conn(slot), session: id(session), user, admin, tail });
    }

    fn follower_gone(&mut self, slot: u32) {
        self.letter(ToRegistry::FollowerGone { conn: conn(slot), session: id(1) });
    }

    /// What agent 1 was asked since the last time: request and tail.
    fn questions(&mut self) -> Vec<(u64, u64)> {
        let asked = |said: &Said| match said {
            Said::Sent(to, frame) if *to == conn(1) && frame["command_type"] == "get_logs" => {
                Some((frame["data"]["request"].as_u64().unwrap(), frame["data"]["tail"].as_u64().unwrap()))
            }
            Said::Sent(..) | Said::Told(..) | Said::Replied(..) => None,
        };
        let asked = self.said.iter().filter_map(asked).collect();
        self.said.retain(|said| !matches!(said, Said::Sent(_, frame) if frame["command_type"] == "get_logs"));
        asked
    }

    /// Agent 1 answers its one question with lines `from..to`.
    fn answers(&mut self, from: u32, to: u32) {
        let [(request, _)] = self.questions()[..] else { panic!("{:?}", self.said) };
        let lines = (from..to).map(|line| format!("line {line}")).collect();
        self.say(1, "a", AgentWord::Logs { request, lines });
    }

    /// The lines that a connection was told since the last time.
    fn lines(&mut self, slot: u32) -> Vec<String> {
        let lines = |word: FromRegistry| match word {
            FromRegistry::Lines(lines) => lines.to_vec(),
            FromRegistry::Following => vec![],
            other => panic!("{other:?}"),
        };
        let told = self.told(slot).into_iter().flat_map(lines).collect();
        self.said.retain(|said| !matches!(said, Said::Told(to, _) if *to == conn(slot)));
        told
    }
}

fn numbered(from: u32, to: u32) -> Vec<String> {
    (from..to).map(|line| format!("line {line}")).collect()
}

#[test]
fn the_last_lines_then_what_is_new() {
    let mut world = World::running();
    world.follow(9, 1, &ann(), 3);
    assert_eq!(world.told(9), [FromRegistry::Following]);
    world.answers(0, 10);
    assert_eq!(world.lines(9), numbered(7, 10));
    world.pass(NEXT);
    world.answers(0, 10);
    assert_eq!(world.lines(9), [] as [String; 0]);
    world.pass(NEXT);
    world.answers(5, 14);
    assert_eq!(world.lines(9), numbered(10, 14));
    world.pass(NEXT);
    world.answers(100, 102);
    assert_eq!(world.lines(9), numbered(100, 102), "nothing is known again: all is new");
    assert_eq!(world.registry.levels().followers, 1);
}

#[test]
fn one_question_for_all_and_none_for_nobody() {
    let mut world = World::running();
    let timers = world.registry.levels().timers;
    world.follow(9, 1, &ann(), 1);
    world.follow(10, 1, &root(), 2);
    world.answers(0, 5);
    assert_eq!((world.lines(9), world.lines(10)), (numbered(4, 5), numbered(3, 5)));
    world.follow(11, 1, &ann(), 0);
    world.answers(0, 6);
    let told = [9, 10, 11].map(|slot| world.lines(slot));
    assert_eq!(told, [numbered(5, 6), numbered(5, 6), vec![]]);
    world.pass(NEXT);
    world.answers(0, 7);
    let told = [9, 10, 11].map(|slot| world.lines(slot));
    assert_eq!(told, [numbered(6, 7), numbered(6, 7), numbered(6, 7)]);
    for slot in [9, 10, 11] {
        world.follower_gone(slot);
    }
    world.pass(3 * NEXT);
    assert_eq!(world.questions(), []);
    assert_eq!((world.registry.levels().followers, world.registry.levels().timers), (0, timers));
}

#[test]
fn who_wants_more_waits_for_a_question_that_asks_for_it() {
    let mut world = World::running();
    world.follow(9, 1, &ann(), 1);
    world.follow(10, 1, &ann(), 2_000);
    world.answers(0, 5);
    assert_eq!((world.lines(9), world.lines(10)), (numbered(4, 5), vec![]));
    world.pass(NEXT);
    let asked = world.questions();
    assert_eq!(asked.iter().map(|(_, tail)| *tail).collect::<Vec<_>>(), [2_000]);
    let lines = numbered(0, 1_500);
    world.say(1, "a", AgentWord::Logs { request: asked[0].0, lines });
    assert_eq!(world.lines(10), numbered(0, 1_500));
    assert_eq!(world.lines(9).len(), 500, "more than it is asked for each time");
}

#[test]
fn who_may_not() {
    let mut world = World::running();
    world.follow(9, 2, &root(), 1);
    assert_eq!(world.told(9), [FromRegistry::Refused(ViewRefused::NoSession)]);
    world.follow(10, 1, &bob(), 1);
    assert_eq!(world.told(10), [FromRegistry::Refused(ViewRefused::NotYours)]);
    assert_eq!((world.questions(), world.registry.levels().followers), (vec![], 0));
}

#[test]
fn an_agent_that_does_not_answer_is_asked_again_later() {
    let mut world = World::running();
    world.follow(9, 1, &ann(), 100);
    let first = world.questions();
    world.pass_with(4 * SECOND, &[(1, "a")]);
    assert_eq!((world.questions(), world.lines(9)), (vec![], vec![]));
    world.pass_with(2 * SECOND, &[(1, "a")]);
    let told = world.lines(9);
    assert_eq!((world.questions().len(), told.len()), (1, 2), "what the registry knows itself: {told:?}");
    world.say(1, "a", AgentWord::Logs { request: first[0].0, lines: numbered(0, 5) });
    assert_eq!(world.lines(9), [] as [String; 0], "too late");
}

#[test]
fn another_agents_lines_are_not_believed() {
    let mut world = World::running();
    world.register(2, hello("b", 3));
    world.follow(9, 1, &ann(), 100);
    let asked = world.questions();
    world.say(2, "b", AgentWord::Logs { request: asked[0].0, lines: numbered(0, 5) });
    assert_eq!(world.lines(9), [] as [String; 0]);
    world.say(1, "a", AgentWord::Logs { request: asked[0].0, lines: numbered(0, 1) });
    assert_eq!(world.lines(9), numbered(0, 1));
}

#[test]
fn where_no_agent_can_be_asked_the_states_are_told() {
    let mut world = World::with_agent(3);
    world.create(1);
    world.follow(9, 1, &ann(), 100);
    let told = world.lines(9);
    assert!(told.len() == 2 && told[0].ends_with("[INFO] Session created"), "{told:?}");
    world.pass(NEXT);
    assert_eq!((world.lines(9), world.questions()), (vec![], vec![]));
    let command = world.last_command(1, "start_session");
    world.done(command);
    world.pass(NEXT);
    world.answers(0, 2);
    assert_eq!(world.lines(9), numbered(0, 2));
    world.ask_move(1, Target::Hibernated);
    let command = world.last_command(1, "hibernate_session");
    world.done(command);
    world.said.clear();
    world.pass(2 * NEXT);
    let told = world.lines(9);
    assert!(told.len() == 1 && told[0].contains("hibernated"), "{told:?}");
    assert_eq!(world.questions(), []);
}

#[test]
fn agents_of_the_field_have_no_logs() {
    let mut world = World::new();
    world.register(1, Hello { dialect: Dialect::Field, ..hello("f", 3) });
    world.create(1);
    world.follow(9, 1, &ann(), 1);
    assert_eq!(world.lines(9).len(), 1);
}

#[test]
fn it_ends_with_its_session() {
    let mut world = World::running();
    world.follow(9, 1, &ann(), 100);
    world.answers(0, 1);
    world.lines(9);
    world.ask_move(1, Target::Terminated);
    let told = world.told(9);
    let [FromRegistry::Lines(last), FromRegistry::LogOver] = &told[..] else { panic!("{told:?}") };
    assert!(last[0].contains("erminated"), "{last:?}");
    assert_eq!(world.registry.levels().followers, 0);
    world.follower_gone(9);
    world.follow(10, 1, &ann(), 1);
    let told = world.told(10);
    assert!(matches!(told[..], [FromRegistry::Following, FromRegistry::Lines(_), FromRegistry::LogOver]), "{told:?}");
}

#[test]
fn numbers_of_questions_and_of_requests_do_not_meet() {
    let mut world = World::running();
    world.follow(9, 1, &ann(), 100);
    let followed = world.questions()[0].0;
    let number = world.ask(Ask::Logs { session: id(1), caller: ann(), tail: 5 });
    let asked = world.questions()[0].0;
    assert!(asked < 1 << 48 && (1 << 50..1 << 53).contains(&followed));
    world.say(1, "a", AgentWord::Logs { request: asked, lines: numbered(0, 1) });
    assert_eq!(world.answer(number), Some(&Reply::Logs(numbered(0, 1))));
    assert_eq!(world.lines(9), [] as [String; 0]);
    assert_eq!(json!(followed), Value::from(followed as f64 as u64), "exact as a double");
}
