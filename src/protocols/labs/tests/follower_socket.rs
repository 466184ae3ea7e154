//! One follower's connection, event by event.

use crate::{
    protocols::labs::{
        Effect, Event, Farewell, Follower, FromRegistry, SessionId, Settings, ToRegistry,
        admission::Denial,
        chunk::{Chunk, Wire},
        connection::late,
        follower::Wish,
        letters::ViewRefused,
    },
    realtime::{ConnId, Moment, Now, ShardId},
    websocket::frame,
};
use std::time::Duration;
use uuid::Uuid;

const CONN: ConnId = ConnId { shard: ShardId(0), generation: 0, slot: 9 };
const ONE: SessionId = Uuid::from_u128(1);
const SECOND: Duration = Duration::from_secs(1);
const START: Moment = Moment(1_000_000);

struct Bench {
    machine: Follower,
    now: Now,
    settings: Settings,
}

fn asking(timestamps: bool) -> Bench {
    let (mut out, settings) = (Vec::new(), Settings { tunnel_window: 200, ..Settings::default() });
    let wish = Wish { tail: 7, timestamps };
    let machine = Follower::new((ONE, CONN), ("ann".into(), false), wish, &settings, &mut out);
    let ask = ToRegistry::Follow { conn: CONN, session: ONE, user: "ann".into(), admin: false, tail: 7 };
    assert_eq!(out, [Effect::Registry(ask), Effect::Timer(Some(5 * SECOND))]);
    Bench { machine, now: Now { moment: START, ..Now::default() }, settings }
}

fn following(timestamps: bool) -> Bench {
    let mut bench = asking(timestamps);
    assert_eq!(bench.told(FromRegistry::Following), [Effect::Accept, Effect::Timer(Some(54 * SECOND))]);
    bench
}

fn gone() -> Effect {
    Effect::Registry(ToRegistry::FollowerGone { conn: CONN, session: ONE })
}

fn frames(lines: &[&str]) -> Effect {
    let mut out = Vec::new();
    lines.iter().for_each(|line| frame::encode(&mut out, frame::Opcode::Text, line.as_bytes()));
    Effect::Send(Wire::whole(out))
}

impl Bench {
    fn event(&mut self, event: Event<'_>) -> Vec<Effect> {
        let mut out = Vec::new();
        self.machine.handle(event, CONN, self.now, &self.settings, &mut out);
        out
    }

    fn told(&mut self, letter: FromRegistry) -> Vec<Effect> {
        self.event(Event::Registry(letter))
    }

    fn lines(&mut self, lines: &[&str]) -> Vec<Effect> {
        self.told(FromRegistry::Lines(lines.iter().map(|line| (*line).to_owned()).collect()))
    }

    fn at(&mut self, seconds: u32) -> &mut Bench {
        self.now.moment = START + seconds * SECOND;
        self
    }
}

#[test]
fn the_registry_decides_before_the_upgrade() {
    for refused in [ViewRefused::NoSession, ViewRefused::NotYours] {
        let mut bench = asking(true);
        assert_eq!(bench.told(FromRegistry::Refused(refused)), [Effect::Refuse(Denial::View(refused))]);
        assert_eq!(bench.event(Event::Gone), [], "it was refused");
    }
    let mut bench = asking(true);
    assert_eq!(bench.event(Event::TimerFired), [Effect::Refuse(Denial::Unavailable)]);
    assert_eq!(bench.told(FromRegistry::Following), []);
    assert_eq!(bench.lines(&["late"]), []);
    assert_eq!(bench.event(Event::Gone), [gone()]);
    let mut bench = asking(true);
    assert_eq!(bench.event(Event::Revoked), [Effect::Refuse(Denial::BadToken)]);
    assert_eq!(late(&FromRegistry::Following), None);
}

#[test]
fn a_line_is_a_text_frame() {
    let mut bench = following(true);
    let lines = ["2025-11-22T10:45:15Z [INFO] a", "", "é"];
    assert_eq!(bench.lines(&lines), [frames(&lines)]);
    assert_eq!(bench.lines(&[]), []);
}

#[test]
fn without_the_times() {
    let mut bench = following(false);
    assert_eq!(bench.lines(&["2025-11-22T10:45:15Z [INFO] a", "no time"]), [frames(&["[INFO] a", "no time"])]);
}

#[test]
fn of_more_than_fits_the_newest_lines_are_shown() {
    let mut bench = following(true);
    let long = "x".repeat(90);
    assert_eq!(bench.lines(&["old", &long, "new"]), [frames(&["new"])]);
    assert_eq!(bench.lines(&[&long, &"y".repeat(91)]), [], "a line that never fits hides itself and what is before it");
}

#[test]
fn whoever_does_not_read_is_let_go() {
    let mut bench = following(true);
    let line = "x".repeat(30);
    for _ in 0..6 {
        assert_eq!(bench.lines(&[&line]), [frames(&[&line])]);
    }
    assert_eq!(bench.event(Event::Sent { waiting: 160 }), []);
    assert_eq!(bench.lines(&[&line]), [frames(&[&line])], "one has left");
    assert_eq!(bench.lines(&[&line]), [Effect::End(Farewell::TooMuch)]);
    assert_eq!(bench.event(Event::Gone), [gone()]);
}

#[test]
fn pings_and_what_it_says() {
    let mut bench = following(true);
    assert_eq!(bench.at(54).event(Event::TimerFired), [Effect::Ping, Effect::Timer(Some(54 * SECOND))]);
    for event in [Event::Pong, Event::Text("hello"), Event::Binary(Chunk::copied(b"hello"))] {
        assert_eq!(bench.event(event), []);
    }
    assert_eq!(bench.at(108).event(Event::TimerFired), [Effect::Ping, Effect::Timer(Some(54 * SECOND))]);
    assert_eq!(bench.at(228).event(Event::TimerFired), [Effect::End(Farewell::NoPong)]);
}

#[test]
fn ends_have_their_codes() {
    let mut bench = following(true);
    assert_eq!(bench.told(FromRegistry::LogOver), [Effect::End(Farewell::LogOver)]);
    assert_eq!((Farewell::LogOver.code(), bench.event(Event::TimerFired)), (1000, vec![]));
    assert_eq!(bench.event(Event::Gone), [gone()]);
    let mut bench = following(true);
    assert_eq!(bench.event(Event::Revoked), [Effect::End(Farewell::Revoked)]);
}
