//! Anything in any order, with a store that fails now and then: what must hold, holds.

use super::*;
use crate::protocols::chat::model::{ApprovalId, Completeness, Decision, MessageId};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What the world knows from outside.
#[derive(Default)]
struct World {
    writes: VecDeque<(u64, Change)>,
    decisions: HashMap<ApprovalId, Decision>,
    approvals: Vec<ApprovalId>,
    messages: BTreeMap<MessageId, Completeness>,
    /// Messages that were told to have begun and not to have ended.
    open: Option<Value>,
    /// Which answer the model works at.
    model: Option<MessageId>,
    working: HashSet<(MessageId, u32)>,
    asked: HashSet<u64>,
    session: Option<Session>,
}

impl World {
    fn see(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Outcome::Keep { ticket, change } => {
                    assert!(self.writes.is_empty(), "one change at a time");
                    self.writes.push_back((ticket, *change));
                }
                Outcome::Publish { frame, .. } => self.hear(&text(&frame)),
                Outcome::Model { answer, .. } => {
                    assert_eq!(self.messages.get(&answer), Some(&Completeness::Streaming), "its beginning is on disk");
                    assert_eq!(self.model.replace(answer), None, "one question at a time");
                }
                Outcome::StopModel { answer, .. } => assert_eq!(self.model.take(), Some(answer)),
                Outcome::Tool { answer, call, .. } => assert!(self.working.insert((answer, call))),
                Outcome::StopTool { answer, call, .. } => assert!(self.working.remove(&(answer, call))),
                Outcome::Reply { number, reply, .. } => {
                    assert!(self.asked.remove(&number), "one answer for each ask");
                    if let Reply::Decided(approval) = *reply {
                        assert_eq!(self.decisions[&approval.id], approval.decision, "what is told is on disk");
                    }
                }
                Outcome::Told { number, told, .. } => match *told {
                    Told::Begin { .. } | Told::Delta(_) | Told::Call { .. } | Told::Result { .. } | Told::Asked { .. } => {
                        assert!(self.asked.contains(&number));
                    }
                    Told::Waits(_) | Told::End { .. } | Told::Refused(_) => assert!(self.asked.remove(&number)),
                },
                Outcome::Tell(..) | Outcome::Deliver(..) | Outcome::Mark { .. } | Outcome::Load(_) => {}
                Outcome::Hold(_) | Outcome::LetGo(_) | Outcome::Pass(_) => panic!("the home does not move"),
            }
        }
    }

    fn hear(&mut self, text: &Value) {
        match text["type"].as_str().unwrap() {
            "message_start" => assert_eq!(self.open.replace(text["message_id"].clone()), None),
            "message_end" => assert!(self.open.take().is_some(), "what ends had begun"),
            "content_delta" | "tool_call" | "tool_result" => assert!(self.open.is_some(), "{text}"),
            "approval_required" | "error" => {}
            other => panic!("{other}"),
        }
    }

    fn write(&mut self, change: Change) {
        for approval in change.approvals {
            let before = self.decisions.insert(approval.id, approval.decision);
            assert!(matches!(before, None | Some(Decision::Pending)), "an approval has one outcome");
            if before.is_none() {
                self.approvals.push(approval.id);
            }
        }
        for message in change.messages {
            let before = self.messages.insert(message.id, message.completeness);
            assert!(matches!(before, None | Some(Completeness::Streaming)), "a message ends once");
        }
        self.session = change.session.or(self.session.take());
    }
}

fn step(bench: &mut Bench, world: &mut World, dice: &mut Dice, n: &mut u128) {
    let model = world.model;
    let outcomes = match dice.roll(16) {
        0 | 1 => {
            *n += 1;
            bench.say(*n)
        }
        2 => {
            *n += 1;
            world.asked.insert(bench.numbers + 1);
            bench.say_by_rest(*n, dice.roll(2) == 0)
        }
        3 => bench.letter(ToSession::Cancel { conn: conn(2), session: SESSION, answer: None }),
        4 | 5 if !world.writes.is_empty() => {
            let (ticket, change) = world.writes.pop_front().unwrap();
            if dice.roll(8) == 0 {
                bench.fail(ticket)
            } else {
                world.write(change);
                bench.store(ticket)
            }
        }
        6..=8 if model.is_some() => model_says(bench, world, dice),
        9 if !world.working.is_empty() => {
            let (answer, call) = *world.working.iter().next().unwrap();
            world.working.remove(&(answer, call));
            bench.homes.tool((SESSION, answer), call, crate::models::ToolOutcome::Done("1".into()), bench.now, &mut bench.out);
            bench.take()
        }
        10 | 11 if !world.approvals.is_empty() => {
            let approval = world.approvals[dice.roll(world.approvals.len() as u64) as usize];
            world.asked.insert(bench.numbers + 1);
            let yes = dice.roll(2) == 0;
            bench.ask(Ask::Decide { session: SESSION, caller: caller(1), approval, yes, reason: None, comment: None })
        }
        12 if *n > 0 => bench.ask(Ask::Leave { session: SESSION, answer: message_ids(*n)[1] }),
        13 => bench.pass(Duration::from_millis(dice.roll(3_000))),
        14 if dice.roll(12) == 0 => bench.pass(Duration::from_secs(dice.roll(2_000))),
        15 if dice.roll(200) == 0 => {
            world.asked.insert(bench.numbers + 1);
            bench.ask(Ask::End { session: SESSION, caller: caller(1) })
        }
        _ => bench.join(conn(2), 1),
    };
    // An ask that was left is not answered.
    let is_load = outcomes.contains(&Outcome::Load(SESSION));
    world.see(outcomes);
    if is_load {
        let loaded = bench.load(world.session.clone().unwrap_or_else(session));
        world.see(loaded);
    }
}

fn model_says(bench: &mut Bench, world: &mut World, dice: &mut Dice) -> Vec<Outcome> {
    let answer = world.model.unwrap();
    let word = match dice.roll(6) {
        0 | 1 => Word::Delta("a".into()),
        2 => Word::Call(ToolCall { id: "c".into(), tool: "send".into(), arguments: "{}".into() }),
        3 => Word::Call(ToolCall { id: "c".into(), tool: "look".into(), arguments: "{}".into() }),
        4 => Word::Ended { stop: Stop::Calls, usage: Usage::default() },
        _ => Word::Failed(crate::models::Fault::Cut),
    };
    if matches!(word, Word::Ended { .. } | Word::Failed(_)) {
        world.model = None;
    }
    bench.homes.word((SESSION, answer), word, bench.now, &mut bench.out);
    bench.take()
}

#[test]
fn whatever_happens() {
    let mut outcomes = HashMap::new();
    for seed in 0..250 {
        let mut dice = Dice(seed);
        let mut bench = Bench::new();
        let mut world = World::default();
        let mut n = 0;
        world.see(bench.join(conn(2), 1));
        let loaded = bench.load(session());
        world.see(loaded);
        for _ in 0..1_000 {
            step(&mut bench, &mut world, &mut dice, &mut n);
        }
        // Everyone is gone, the store works, time passes: nothing is left over.
        let parted = bench.letter(ToSession::Part { conn: conn(2), session: SESSION });
        world.see(parted);
        for _ in 0..400 {
            while let Some((ticket, change)) = world.writes.pop_front() {
                world.write(change);
                let stored = bench.store(ticket);
                world.see(stored);
            }
            let passed = bench.pass(61 * SECOND);
            world.see(passed);
        }
        assert_eq!(bench.homes.levels(), crate::protocols::chat::Levels::default(), "seed {seed}");
        assert_eq!((bench.homes.timers(), world.model, world.working.len()), (0, None, 0), "seed {seed}");
        assert!(world.messages.values().all(|completeness| *completeness != Completeness::Streaming), "seed {seed}");
        assert!(world.decisions.values().all(|decision| *decision != Decision::Pending), "seed {seed}");
        world.decisions.values().for_each(|decision| *outcomes.entry(*decision).or_insert(0) += 1);
    }
    assert!(outcomes.len() == 3 && outcomes.values().all(|count| *count > 30), "all outcomes are met: {outcomes:?}");
}
