//! Scripts of answers: what is said, called and allowed in which order.

use super::*;
use crate::models::Schema;
use crate::models::catalog::{Backend, Work};
use std::{collections::HashSet, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

fn tool(name: &str, needs_approval: bool) -> Arc<Tool> {
    Arc::new(Tool {
        name: name.into(),
        description: "".into(),
        parameters: Schema::new(r#"{"type":"object"}"#).unwrap(),
        needs_approval,
        work: Work::Http,
    })
}

fn agent() -> Arc<Agent> {
    let model = Arc::new(Model {
        name: "m".into(),
        backend: Backend::Remote { model: "m".into() },
        prompt_price: 2.0,
        completion_price: 8.0,
    });
    Arc::new(Agent {
        name: "a".into(),
        description: "".into(),
        instructions: "Teach.".into(),
        model,
        others: Vec::new(),
        tools: vec![tool("look", false), tool("send", true)],
        max_rounds: 2,
        time_limit: LIMIT,
        max_tokens: None,
    })
}

struct Script {
    run: Run,
    now: Moment,
    begun: Vec<Effect>,
}

impl Script {
    fn new(asks_leave: bool) -> Script {
        let agent = agent();
        let start = Start {
            model: agent.model.clone(),
            agent,
            utterances: vec![Arc::new(Utterance::User { content: "hi".into(), attachments: Vec::new() })],
            temperature: None,
            asks_leave,
            max_bytes: 10,
        };
        let (now, mut begun) = (Moment(1_000_000), Vec::new());
        let run = Run::begin(start, now, &mut begun);
        Script { run, now, begun }
    }

    fn say(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        self.run.handle(event, self.now, &mut out);
        out
    }

    fn word(&mut self, word: Word) -> Vec<Effect> {
        self.say(Event::Model(word))
    }

    fn call(&mut self, tool: &str) -> Vec<Effect> {
        self.word(Word::Call(what(tool)))
    }

    fn ended(&mut self, stop: Stop) -> Vec<Effect> {
        self.word(Word::Ended { stop, usage: Usage { prompt_tokens: 500_000, completion_tokens: 250_000 } })
    }

    fn done(&mut self, call: u32) -> Vec<Effect> {
        self.say(Event::Tool { call, outcome: ToolOutcome::Done("7".into()) })
    }
}

fn what(tool: &str) -> ToolCall {
    ToolCall { id: format!("id-{tool}").into(), tool: tool.into(), arguments: "{}".into() }
}

fn prompt(effects: &[Effect]) -> &Prompt {
    effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Ask(prompt) => Some(&**prompt),
            _ => None,
        })
        .expect("it asks")
}

fn ending(effects: &[Effect]) -> &Ending {
    match effects.last() {
        Some(Effect::Over(ending)) => ending,
        other => panic!("not over: {other:?}"),
    }
}

#[test]
fn an_answer_without_tools() {
    let mut script = Script::new(false);
    let begun = script.begun.clone();
    let first = prompt(&begun);
    assert!(matches!(&*first.utterances[0], Utterance::Instructions(text) if &**text == "Teach."));
    assert_eq!((first.utterances.len(), first.tools.len()), (2, 2));
    assert_eq!(begun[1], Effect::Timer(Some(LIMIT)));
    assert_eq!(script.word(Word::Delta("ab".into())), [Effect::Delta("ab".into())]);
    assert_eq!(script.word(Word::Delta("cd".into())), [Effect::Delta("cd".into())]);
    let over = script.ended(Stop::Done);
    assert_eq!(over[0], Effect::Timer(None));
    let ending = ending(&over);
    assert_eq!((ending.end, &*ending.text, ending.usage.total()), (End::Whole, "abcd", 750_000));
    assert!((ending.cost - 3.0).abs() < 1e-9);
    assert!(script.word(Word::Delta("late".into())).is_empty() && script.say(Event::Cancel).is_empty());
}

#[test]
fn a_tool_is_called_and_the_model_told() {
    let mut script = Script::new(false);
    script.word(Word::Delta("see ".into()));
    assert_eq!(script.call("look"), [Effect::Called { call: 0, what: what("look") }]);
    let calls = script.ended(Stop::Calls);
    assert!(matches!(&calls[0], Effect::Tool { call: 0, tool, .. } if &*tool.name == "look"));
    let again = script.done(0);
    assert_eq!(again[0], Effect::Outcome { call: 0, outcome: Outcome::Tool(ToolOutcome::Done("7".into())) });
    let utterances = &prompt(&again).utterances;
    assert!(matches!(&*utterances[2], Utterance::Assistant { content, calls } if &**content == "see " && calls.len() == 1));
    assert!(matches!(&*utterances[3], Utterance::Tool { call, content } if &**call == "id-look" && &**content == "7"));
    script.word(Word::Delta("it's 7".into()));
    assert_eq!(&*ending(&script.ended(Stop::Done)).text, "see it's 7");
}

#[test]
fn leave_is_asked_and_its_time_is_not_the_agents() {
    let mut script = Script::new(false);
    script.call("send");
    script.now = script.now + Duration::from_secs(10);
    let asked = script.ended(Stop::Calls);
    assert_eq!(asked, [Effect::AskLeave { call: 0, what: what("send") }, Effect::Timer(None)]);
    script.now = script.now + Duration::from_secs(1000);
    let granted = script.say(Event::Leave { call: 0, leave: Leave::Granted });
    assert!(matches!(&granted[0], Effect::Tool { call: 0, .. }));
    assert_eq!(granted[1], Effect::Timer(Some(LIMIT - Duration::from_secs(10))));
    assert!(script.say(Event::Leave { call: 0, leave: Leave::Granted }).is_empty(), "not twice");
    script.now = script.now + Duration::from_secs(20);
    let again = script.done(0);
    assert!(again.contains(&Effect::Timer(Some(LIMIT - Duration::from_secs(30)))));
}

#[test]
fn what_is_denied_is_told_and_what_nobody_answers_ends() {
    let mut script = Script::new(true);
    script.call("look");
    script.call("look");
    assert_eq!(script.ended(Stop::Calls).len(), 3);
    let denied = script.say(Event::Leave { call: 0, leave: Leave::Denied { reason: Some("no".into()) } });
    assert_eq!(denied[0], Effect::Outcome { call: 0, outcome: Outcome::Denied { reason: Some("no".into()) } });
    let again = script.say(Event::Leave { call: 1, leave: Leave::Denied { reason: None } });
    let told = &prompt(&again).utterances;
    assert!(matches!(&*told[3], Utterance::Tool { content, .. } if content.starts_with("denied") && content.ends_with(": no")));
    script.call("look");
    script.ended(Stop::Calls);
    let expired = script.say(Event::Leave { call: 2, leave: Leave::Expired });
    assert_eq!(ending(&expired).end, End::Unanswered);
}

#[test]
fn unknown_tools_are_told_without_asking_anyone() {
    let mut script = Script::new(true);
    script.call("fly");
    let again = script.ended(Stop::Calls);
    assert_eq!(again[0], Effect::Outcome { call: 0, outcome: Outcome::Tool(ToolOutcome::NotFound) });
    prompt(&again);
}

#[test]
fn arguments_that_do_not_fit_are_told_without_asking_anyone() {
    let mut script = Script::new(true);
    script.word(Word::Call(ToolCall { arguments: "[]".into(), ..what("send") }));
    let again = script.ended(Stop::Calls);
    assert!(matches!(&again[0], Effect::Outcome { call: 0, outcome: Outcome::Tool(ToolOutcome::BadArguments(_)) }), "{again:?}");
    let told = &prompt(&again).utterances;
    assert!(matches!(&*told[3], Utterance::Tool { content, .. } if content.starts_with("error: bad arguments")));
}

#[test]
fn after_the_last_round_there_are_no_tools() {
    let mut script = Script::new(false);
    let mut again = Vec::new();
    for call in 0..2 {
        script.call("look");
        script.ended(Stop::Calls);
        again = script.done(call);
    }
    assert!(prompt(&again).tools.is_empty());
    script.call("look");
    assert_eq!(ending(&script.ended(Stop::Calls)).end, End::Whole);
}

#[test]
fn whatever_is_under_way_is_stopped() {
    let mut script = Script::new(false);
    let over = script.say(Event::Cancel);
    assert_eq!(over[0], Effect::Stop);
    assert_eq!(ending(&over).end, End::Cancelled);

    let mut script = Script::new(false);
    script.call("look");
    script.ended(Stop::Calls);
    let over = script.say(Event::TimerFired);
    assert_eq!(over[0], Effect::StopTool { call: 0 });
    assert_eq!(ending(&over).end, End::TimedOut);

    let mut script = Script::new(false);
    let over = script.word(Word::Failed(Fault::Cut));
    assert!(!over.contains(&Effect::Stop), "the model is over by itself");
    assert_eq!(ending(&over).end, End::Failed(Fault::Cut));
}

#[test]
fn what_was_heard_of_a_round_that_is_broken_off_is_counted() {
    // "Teach." and "hi" are 8 bytes: 2 tokens.
    let estimated = |prompt_tokens, completion_tokens| Usage { prompt_tokens, completion_tokens };
    for event in [Event::Cancel, Event::TimerFired, Event::Model(Word::Failed(Fault::Cut))] {
        let mut script = Script::new(false);
        script.word(Word::Delta("abcde".into()));
        let over = ending(&script.say(event.clone())).clone();
        assert_eq!(over.usage, estimated(2, 2), "{event:?}");
        assert!((over.cost - 20e-6).abs() < 1e-12, "{}", over.cost);
        let mut script = Script::new(false);
        assert_eq!(ending(&script.say(event.clone())).usage, Usage::default(), "{event:?}: nothing was heard");
    }
    let mut script = Script::new(false);
    script.call("look");
    script.ended(Stop::Calls);
    script.done(0);
    assert_eq!(ending(&script.say(Event::Cancel)).usage.total(), 750_000, "the second round had said nothing");
}

#[test]
fn answers_and_calls_have_bounds() {
    let mut script = Script::new(false);
    script.word(Word::Delta("0123456789".into()));
    let over = script.word(Word::Delta("x".into()));
    assert_eq!(ending(&over).end, End::TooLong);
    assert_eq!(&*ending(&over).text, "0123456789");
    let mut script = Script::new(false);
    for _ in 0..MAX_CALLS {
        script.call("look");
    }
    assert_eq!(ending(&script.call("look")).end, End::Failed(Fault::Malformed));
}

/// Anything in any order: it ends at most once, wants nothing afterwards, and never has two questions under way.
#[test]
fn any_order_ends_once() {
    let mut seed = 0x9e37_79b9_u64;
    let mut dice = move |sides: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    let mut ends = HashSet::new();
    for _ in 0..20_000 {
        let mut script = Script::new(dice(2) == 0);
        let (mut asked, mut overs) = (false, 0);
        let mut effects = script.begun.clone();
        for _ in 0..24 {
            for effect in &effects {
                assert_eq!(overs, 0, "nothing comes after the end");
                match effect {
                    Effect::Ask(_) => assert!(!std::mem::replace(&mut asked, true)),
                    Effect::Stop => assert!(std::mem::take(&mut asked)),
                    Effect::Over(ending) => {
                        overs += 1;
                        ends.insert(ending.end);
                    }
                    Effect::Tool { .. } | Effect::StopTool { .. } | Effect::Timer(_) | Effect::Delta(_) => {}
                    Effect::Called { .. } | Effect::AskLeave { .. } | Effect::Outcome { .. } => {}
                }
            }
            script.now = script.now + Duration::from_millis(dice(900));
            let call = dice(4) as u32;
            effects = match dice(9) {
                0 => script.word(Word::Delta("abc".into())),
                1 => script.call(["look", "send", "fly"][dice(3) as usize]),
                2 | 3 if asked => {
                    asked = false;
                    script.ended([Stop::Done, Stop::Calls, Stop::Length][dice(3) as usize])
                }
                4 if asked && dice(8) == 0 => {
                    asked = false;
                    script.word(Word::Failed(Fault::Cut))
                }
                5 => script.done(call),
                6 => script.say(Event::Leave { call, leave: Leave::Granted }),
                7 => script.say(Event::Leave { call, leave: Leave::Denied { reason: None } }),
                8 if dice(4) == 0 => script.say([Event::Cancel, Event::TimerFired][dice(2) as usize].clone()),
                _ => script.say(Event::Leave { call, leave: Leave::Expired }),
            };
            if overs == 1 {
                assert!(effects.is_empty());
            }
        }
    }
    assert!(ends.len() >= 6, "{ends:?}");
}
