//! The desks of a host, command by command. What comes is written by the control plane's own code, and what is said is read by it.

mod restarts;
mod speech;

use super::{orders, record::Record, speech::Host, *};
use crate::{
    protocols::labs::{
        agent_messages::{self, Heard, Speaker},
        dialect::{self, Orders},
        letters::{AgentWord, Dialect},
        model::{self, Command, Progress},
    },
    realtime::UnixMicros,
};
use std::sync::Arc;
use uuid::Uuid;

const ONE: SessionId = Uuid::from_u128(1);
const TWO: SessionId = Uuid::from_u128(2);
const TERM: Duration = Duration::from_secs(10);

fn rules() -> Rules {
    let host = Host { agent: "a".into(), region: "r".into(), machine: "m".into(), address: Some("10.0.0.1".into()) };
    Rules { host, max_sessions: 2, stop_timeout: TERM }
}

fn seat(pid: i32) -> Seat {
    let screen = Screen::Tcp("127.0.0.1:5907".into());
    Seat { process: Process { pid, began: 5 }, screen, port: 5907, started_at: "2026-11-20T10:00:00Z".into() }
}

fn row(id: SessionId) -> model::Session {
    model::Session {
        id,
        name: "ann-desktop-abc123".into(),
        user: "ann".into(),
        template: "desktop".into(),
        platform: "host".into(),
        agent: Some("a".into()),
        state: model::State::Pending,
        resources: model::Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None },
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: Vec::new(),
        message: String::new(),
        place: model::Place::default(),
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
        last_activity: None,
    }
}

fn template() -> model::Template {
    model::Template {
        id: Uuid::nil(),
        name: "desktop".into(),
        display_name: String::new(),
        category: String::new(),
        description: String::new(),
        base_image: "image".into(),
        default_resources: row(ONE).resources,
        vnc: model::Vnc { enabled: true, port: 3000, resolution: None, color_depth: None },
        environment: [("TZ".to_owned(), "UTC".to_owned())].into(),
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: Vec::new(),
        icon_url: None,
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    }
}

/// A command as the control plane writes it, read.
fn said(number: u64, session: SessionId, action: model::Action) -> Said {
    use model::Action::{HibernateSession, StartSession, StopSession, WakeSession};
    let orders = match action {
        StartSession => Orders::start(&row(session), &template(), "ns"),
        HibernateSession | WakeSession => Orders::plain(&row(session), "ns"),
        StopSession => Orders::stop(&row(session), "ns", true),
    };
    let command = Command {
        id: Uuid::from_u128(u128::from(number) << 80),
        agent: "a".into(),
        session,
        action,
        data: orders.text(),
        progress: Progress::Sent,
        created_at: UnixMicros(0),
    };
    let frame = dialect::command(Dialect::Contract, &command, UnixMicros(0));
    orders::read(&text(&frame))
}

/// The text in a frame.
fn text(frame: &[u8]) -> String {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    String::from_utf8(frame[header..].to_vec()).unwrap()
}

/// What the control plane hears.
fn heard(said: &str) -> Heard {
    let name = Arc::from("a");
    let speaker = Speaker { dialect: Dialect::Contract, name: &name, platform: "host", region: "r" };
    agent_messages::read(said, speaker).unwrap_or_else(|fault| panic!("{fault:?} in {said}"))
}

/// What came of an event, without the order to keep it.
#[derive(Default)]
struct Came {
    words: Vec<AgentWord>,
    deeds: Vec<Effect>,
    is_kept: bool,
}

impl Came {
    fn of(effects: Vec<Effect>) -> Came {
        let mut came = Came::default();
        for effect in effects {
            match effect {
                Effect::Say(said) => match heard(&said) {
                    Heard::Word(word) => came.words.push(word),
                    other => panic!("{other:?}"),
                },
                Effect::Keep => came.is_kept = true,
                Effect::Start { .. } | Effect::Watch { .. } | Effect::Stop { .. } | Effect::Clear { .. } => {
                    came.deeds.push(effect)
                }
            }
        }
        came
    }

    /// The results of commands: its number, and whether it was done.
    fn results(&self) -> Vec<(u64, bool)> {
        let number = |name: &str| dialect::named_command(name).unwrap();
        let results = self.words.iter().filter_map(|word| match word {
            AgentWord::Completed { command, .. } => Some((number(command), true)),
            AgentWord::Failed { command, .. } => Some((number(command), false)),
            AgentWord::Heartbeat(_) | AgentWord::Acknowledged { .. } | AgentWord::Status { .. } | AgentWord::Logs { .. } => None,
        });
        results.collect()
    }

    fn acknowledged(&self) -> usize {
        self.words.iter().filter(|word| matches!(word, AgentWord::Acknowledged { .. })).count()
    }

    /// Which sessions it says run, or do not.
    fn statuses(&self) -> Vec<(SessionId, bool)> {
        let statuses = self.words.iter().filter_map(|word| match word {
            AgentWord::Status { session, running, .. } => Some((*session, *running)),
            AgentWord::Heartbeat(_)
            | AgentWord::Acknowledged { .. }
            | AgentWord::Completed { .. }
            | AgentWord::Failed { .. }
            | AgentWord::Logs { .. } => None,
        });
        statuses.collect()
    }

    fn started(&self) -> Option<u64> {
        self.deeds.iter().find_map(|deed| if let Effect::Start { run, .. } = deed { Some(*run) } else { None })
    }

    fn stopped(&self) -> Option<Duration> {
        self.deeds.iter().find_map(|deed| if let Effect::Stop { grace, .. } = deed { Some(*grace) } else { None })
    }
}

impl Desks {
    fn event(&mut self, event: Event) -> Came {
        let mut out = Vec::new();
        self.handle(event, &mut out);
        Came::of(out)
    }

    fn command(&mut self, number: u64, session: SessionId, action: model::Action) -> Came {
        let Said::Order(order) = said(number, session, action) else { panic!("no order") };
        self.event(Event::Ordered(order))
    }

    fn start(&mut self, number: u64, session: SessionId) -> Came {
        self.command(number, session, model::Action::StartSession)
    }

    fn hibernate(&mut self, number: u64) -> Came {
        self.command(number, ONE, model::Action::HibernateSession)
    }

    fn wake(&mut self, number: u64) -> Came {
        self.command(number, ONE, model::Action::WakeSession)
    }

    fn stop_it(&mut self, number: u64) -> Came {
        self.command(number, ONE, model::Action::StopSession)
    }

    fn runs_now(&mut self, run: u64) -> Came {
        self.event(Event::Ran { session: ONE, run, seat: seat(run as i32) })
    }

    fn dies(&mut self, run: u64) -> Came {
        self.event(Event::Ended { session: ONE, run, fault: Fault::new("SESSION_DIED", "gone") })
    }

    fn is_quiet(&mut self) -> Came {
        self.event(Event::Quiet { session: ONE })
    }
}

/// A host with one session that runs, begun by command 1 as run 1.
fn running() -> Desks {
    let mut desks = Desks::new(rules());
    assert_eq!(desks.start(1, ONE).started(), Some(1));
    assert_eq!(desks.runs_now(1).results(), [(1, true)]);
    desks
}

#[test]
fn a_whole_life() {
    let mut desks = Desks::new(rules());
    let came = desks.start(1, ONE);
    assert_eq!((came.acknowledged(), came.results(), came.is_kept), (1, vec![], true));
    let [Effect::Start { wanted, .. }] = &came.deeds[..] else { panic!("{:?}", came.deeds) };
    assert_eq!((&*wanted.user, &*wanted.template, &*wanted.image, &*wanted.resources.memory), ("ann", "desktop", "image", "2Gi"));
    assert_eq!((wanted.persistent_home, &*wanted.environment["TZ"]), (Some(true), "UTC"));
    assert_eq!((desks.running(), desks.screen(ONE)), (1, None));

    let came = desks.runs_now(1);
    let [AgentWord::Completed { place, .. }] = &came.words[..] else { panic!("{:?}", came.words) };
    assert_eq!((place.vnc_port, place.pod_name.as_deref(), place.pod_ip.as_deref()), (Some(5907), Some("m"), Some("10.0.0.1")));
    assert_eq!(desks.screen(ONE), Some(&Screen::Tcp("127.0.0.1:5907".into())));

    assert_eq!(desks.hibernate(2).stopped(), Some(TERM));
    assert_eq!(desks.screen(ONE), None, "a viewer is not let in while it ends");
    assert_eq!(desks.is_quiet().results(), [(2, true)]);
    assert_eq!(desks.running(), 0, "who sleeps takes no place");

    assert_eq!(desks.wake(3).started(), Some(2));
    assert_eq!(desks.runs_now(2).results(), [(3, true)]);

    assert_eq!(desks.stop_it(4).stopped(), Some(Duration::from_secs(30)), "as long as the control plane says");
    let came = desks.is_quiet();
    assert!(came.results() == [(4, true)] && matches!(came.deeds[..], [Effect::Clear { .. }]));
    assert_eq!(desks.sessions().count(), 0);
}

#[test]
fn a_command_that_comes_again_is_answered_and_not_done_twice() {
    let mut desks = Desks::new(rules());
    desks.start(1, ONE);
    let came = desks.start(1, ONE);
    assert!(came.acknowledged() == 1 && came.deeds.is_empty() && came.results().is_empty(), "it is under way");
    desks.runs_now(1);
    let came = desks.start(1, ONE);
    assert!(came.results() == [(1, true)] && came.deeds.is_empty(), "it is done");
    desks.stop_it(2);
    assert!(desks.stop_it(2).deeds.is_empty());
    desks.is_quiet();
    assert_eq!(desks.stop_it(2).results(), [(2, true)]);
    let came = desks.start(1, ONE);
    assert!(came.results() == [(1, true)] && came.deeds.is_empty(), "even when the session is over");
}

#[test]
fn a_session_that_does_not_start_has_failed_and_may_be_started_again() {
    let mut desks = Desks::new(rules());
    desks.start(1, ONE);
    assert_eq!(desks.dies(1).results(), [(1, false)]);
    assert_eq!(desks.running(), 0);
    assert_eq!(desks.start(2, ONE).started(), Some(2));
    assert!(desks.runs_now(1).words.is_empty() && desks.dies(1).words.is_empty(), "late news of the first run");
    assert_eq!(desks.runs_now(2).results(), [(2, true)]);
}

#[test]
fn a_session_that_does_not_wake_sleeps_on() {
    let mut desks = running();
    desks.hibernate(2);
    desks.is_quiet();
    desks.wake(3);
    assert_eq!(desks.dies(2).results(), [(3, false)]);
    assert_eq!(desks.wake(4).started(), Some(3));
}

#[test]
fn a_death_is_told_unasked() {
    let mut desks = running();
    let came = desks.dies(1);
    assert_eq!((came.statuses(), came.is_kept), (vec![(ONE, false)], true));
    assert_eq!(desks.event(Event::Registered).statuses(), [(ONE, false)], "and again, if nobody heard");
    assert_eq!(desks.hibernate(2).results(), [(2, false)]);
    assert_eq!(desks.stop_it(3).stopped(), Some(Duration::from_secs(30)), "what may be left of it");
    assert_eq!(desks.is_quiet().results(), [(3, true)]);
}

#[test]
fn a_stop_overtakes_a_start() {
    let mut desks = Desks::new(rules());
    desks.start(1, ONE);
    let came = desks.stop_it(2);
    assert!(came.results() == [(1, false)] && came.stopped().is_some());
    assert!(desks.runs_now(1).words.is_empty(), "it came too late");
    assert_eq!(desks.is_quiet().results(), [(2, true)]);
}

#[test]
fn what_comes_meanwhile_waits_its_turn() {
    let mut desks = running();
    desks.hibernate(2);
    let came = desks.wake(3);
    assert!(came.acknowledged() == 1 && came.deeds.is_empty());
    assert!(desks.wake(3).deeds.is_empty(), "it waits already");
    let came = desks.is_quiet();
    assert_eq!((came.results(), came.started()), (vec![(2, true)], Some(2)));
    desks.hibernate(4);
    let came = desks.stop_it(5);
    assert!(came.results() == [(3, false)] && came.stopped().is_some(), "a stop waits for nobody");
    assert_eq!(desks.is_quiet().results(), [(5, true), (4, false)]);
}

#[test]
fn no_more_wait_than_may() {
    let mut desks = running();
    desks.hibernate(2);
    for number in 3..3 + WAITING_COMMANDS as u64 {
        assert!(desks.wake(number).results().is_empty());
    }
    assert_eq!(desks.wake(99).results(), [(99, false)]);
}

#[test]
fn a_full_host_starts_nothing() {
    let mut desks = running();
    desks.start(2, TWO);
    let three = Uuid::from_u128(3);
    let came = desks.start(3, three);
    assert!(came.results() == [(3, false)] && came.deeds.is_empty());
    desks.stop_it(4);
    assert_eq!(desks.start(5, three).results(), [(5, false)], "its processes are there still");
    desks.is_quiet();
    assert_eq!(desks.start(6, three).started(), Some(3));
}

#[test]
fn what_is_not_here_is_stopped_already_and_said_to_be_lost() {
    let mut desks = Desks::new(rules());
    assert_eq!(desks.stop_it(1).results(), [(1, true)]);
    let came = desks.hibernate(2);
    assert_eq!((came.results(), came.statuses()), (vec![(2, false)], vec![(ONE, false)]));
    assert_eq!(desks.wake(3).results(), [(3, false)]);
    assert_eq!(desks.event(Event::Missed(ONE)).statuses(), [(ONE, false)]);
    let mut desks = running();
    assert!(desks.event(Event::Missed(ONE)).words.is_empty(), "it is here");
}

#[test]
fn a_return_tells_who_runs() {
    let mut desks = running();
    desks.start(2, TWO);
    let came = desks.event(Event::Registered);
    assert_eq!(came.statuses(), [(ONE, true)], "the other one is on its way");
    desks.hibernate(3);
    desks.is_quiet();
    assert!(desks.event(Event::Registered).words.is_empty(), "who sleeps is not lost");
}
