//! Pictures of the view, as text.

use super::{draw::text, keys::Wish, *};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyModifiers},
    style::{Color, Modifier},
};
use serde_json::{Value, json};
use std::{env, fs, path::PathBuf, time::Duration};

const PLACE: &str = "http://127.0.0.1:9090";

fn status(shards: u64) -> Value {
    json!({
        "version": "1.0.0", "started_at": "2026-01-02T03:04:05Z", "uptime_seconds": 3725.5, "phase": "serving", "drain": null,
        "ready": true, "reasons": [], "shards": shards, "connections": 15_012, "sockets": {"presence": 15_000, "quiz": 12, "chat": 0},
        "classrooms": 500, "members": 15_000, "slow_readers": 3,
    })
}

/// What so many shards have counted after so many seconds.
fn load(shards: u64, after_s: u64) -> Value {
    let shard = |number: u64| {
        let share = [0.42, 0.05, 0.97, 0.5][number as usize % 4];
        json!({
            "shard": number, "worked_seconds": share * after_s as f64, "connections": 3750 + number, "handshakes": number % 3,
            "classrooms": 125, "members": 3750, "queue": 0, "turns": 900 * after_s, "accepted": 12 * after_s,
            "messages": (200 + number) * after_s, "delivered": 123_456 * after_s, "dropped": (number % 4 / 3) * after_s,
            "sends": 4_321 * after_s, "slow_readers": number % 4 / 3,
        })
    };
    let room = |number: u64| {
        let id = format!("00000000-0000-4000-8000-{number:012}");
        json!({"classroom_id": id, "members": 40 - number, "published_a_second": (number % 7) as f64 / 2.0})
    };
    let reader = |(number, user): (u64, Value)| {
        json!({"connection": format!("{number}:12.3"), "api": "presence", "user": user, "waiting_bytes": 250_000 / (number + 1),
               "bound_bytes": 262_144})
    };
    let readers = [json!("web.student-1.school.local"), json!(null), json!("\u{1b}[2J\u{202e}\u{5b66}")];
    json!({
        "at_seconds": 1000.0 + after_s as f64, "shards": (0..shards).map(shard).collect::<Vec<_>>(),
        "classrooms": (1..=20).map(room).collect::<Vec<_>>(),
        "slow_readers": (0..).zip(readers).map(reader).collect::<Vec<_>>(),
        "closed": {"1000": 12 * after_s, "1008": 2, "gone": 0},
    })
}

fn seen(shards: u64) -> Seen {
    let look = |after_s| Look::read(&status(shards), &load(shards, after_s)).unwrap();
    Seen::new(Some(&look(10)), look(12))
}

fn of(seen: &Seen) -> Shown<'_> {
    Shown { server: PLACE, seen: Some(seen), away: None }
}

fn drawn(shown: &Shown<'_>, view: &mut View, [width, height]: [u16; 2], is_coloured: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
    let paint = Paint { is_coloured };
    terminal
        .draw(|frame| {
            let area = frame.area();
            draw(frame.buffer_mut(), area, shown, view, paint);
        })
        .expect("a picture in memory");
    terminal
}

fn picture(shown: &Shown<'_>, view: &mut View, size: [u16; 2]) -> String {
    text(drawn(shown, view, size, true).backend().buffer())
}

/// Compares a picture with the one that is kept; with `KEEP_PICTURES` set it is kept instead.
fn holds(name: &str, picture: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/top/pictures").join(name).with_extension("txt");
    if env::var_os("KEEP_PICTURES").is_some() {
        fs::write(&path, picture).expect("the folder of pictures");
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), picture, "{name}:\n{picture}");
}

#[test]
fn a_school_looks_as_it_is_kept_on_terminals_of_any_size() {
    let school = seen(4);
    for [width, height] in [[80, 24], [160, 50], [40, 10]] {
        holds(&format!("school-{width}x{height}"), &picture(&of(&school), &mut View::default(), [width, height]));
    }
    holds("school-100", &plain(&of(&school), 100));
}

#[test]
fn many_shards_are_scrolled_and_sorted() {
    let (host, mut view) = (seen(64), View::default());
    holds("many-80x24", &picture(&of(&host), &mut view, [80, 24]));
    for wish in [Wish::Right, Wish::Alone, Wish::Last] {
        view.heed(wish);
    }
    holds("busiest-80x24", &picture(&of(&host), &mut view, [80, 24]));
    view.heed(Wish::Help);
    holds("help-80x24", &picture(&of(&host), &mut view, [80, 24]));
}

#[test]
fn who_does_not_answer_is_told_of_above_the_last_picture_which_is_grey() {
    let school = seen(2);
    let why = "the server cannot be reached at http://127.0.0.1:9090: is it running, with these settings?".to_owned();
    let away = Away { why, since: Duration::from_secs(12), again_in: Some(Duration::from_millis(3_200)) };
    let shown = Shown { away: Some(&away), ..of(&school) };
    holds("away-80x24", &picture(&shown, &mut View::default(), [80, 24]));
    let never = Shown { seen: None, ..shown };
    holds("never-80x24", &picture(&never, &mut View::default(), [80, 24]));
    for is_coloured in [true, false] {
        let terminal = drawn(&shown, &mut View::default(), [80, 24], is_coloured);
        let buffer = terminal.backend().buffer();
        let row = |word: &str| text(buffer).lines().position(|line| line.contains(word)).unwrap() as u16;
        assert!(buffer[(2, row("deliv/s") + 1)].modifier.contains(Modifier::DIM));
        assert!(buffer[(2, row("NO ANSWER"))].modifier.contains(Modifier::REVERSED));
        assert_eq!(buffer.content.iter().any(|cell| cell.fg != Color::Reset), is_coloured);
    }
}

#[test]
fn a_drain_and_a_node_that_is_not_ready_are_told() {
    let look = |change: &dyn Fn(&mut Value)| {
        let mut status = status(2);
        change(&mut status);
        Seen::new(None, Look::read(&status, &load(2, 12)).unwrap())
    };
    let draining = look(&|status| {
        status["phase"] = json!("draining");
        status["ready"] = json!(false);
        status["drain"] = json!({"elapsed_seconds": 12.3, "limit_seconds": 75.0});
    });
    let shown = picture(&of(&draining), &mut View::default(), [80, 24]);
    assert!(shown.contains(" DRAINING  ━━") && shown.contains("12 s of 1 min 15 s at most, 15,012 connections left"), "{shown}");
    let unready = look(&|status| {
        status["ready"] = json!(false);
        status["reasons"] = json!(["store: \u{1b}]0;x\u{7}busy", "bus: ".to_owned() + &"deaf ".repeat(30)]);
    });
    let shown = picture(&of(&unready), &mut View::default(), [80, 24]);
    assert!(shown.contains(" NOT READY  store: \u{fffd}]0;x\u{fffd}busy; bus: deaf"), "{shown}");
    // There was one look: nobody knows a rate.
    assert!(shown.lines().any(|line| line.starts_with(" all") && line.contains('·')), "{shown}");
}

#[test]
fn no_size_of_a_terminal_and_no_key_breaks_the_view() {
    let (host, mut view) = (seen(64), View::default());
    let keys =
        [KeyCode::Tab, KeyCode::Right, KeyCode::PageDown, KeyCode::Char('z'), KeyCode::Char('r'), KeyCode::End, KeyCode::F(1)];
    for (step, width) in (1..=170).step_by(13).enumerate() {
        for height in 1..=60 {
            drawn(&of(&host), &mut view, [width, height], true);
        }
        let wished = wish(keys[step % keys.len()], KeyModifiers::NONE);
        view.heed(wished);
    }
}

#[test]
fn nothing_of_others_reaches_the_terminal_that_it_would_obey() {
    let mut load = load(1, 12);
    load["classrooms"][0]["classroom_id"] = json!("\u{1b}[31mred");
    load["slow_readers"][0]["api"] = json!("\u{9b}5n");
    load["slow_readers"][0]["connection"] = json!("\r\n\u{8}x");
    load["closed"] = json!({"\u{1b}c": 3});
    let look = Look::read(&status(1), &load).unwrap();
    let school = Seen::new(None, look);
    let obeyed = |own: char| own != '\n' && (own.is_control() || own == '\u{202e}');
    let place = Shown { server: "http://x", ..of(&school) };
    assert!(!plain(&place, 120).contains(obeyed), "{:?}", plain(&place, 120));
    assert!(!picture(&place, &mut View::default(), [160, 50]).contains(obeyed));
}

#[test]
fn rates_are_of_one_process_and_of_counts_that_rise() {
    let read = |status: &Value, load: &Value| Look::read(status, load).unwrap();
    let former = read(&status(2), &load(2, 10));
    let rates = |look: Look| serde_json::to_value(Seen::new(Some(&former), look).rates()).unwrap();
    let own = rates(read(&status(2), &load(2, 12)));
    assert_eq!(
        (&own["over_seconds"], &own["shards"][1]["messages"], &own["closed"]["1000"]),
        (&json!(2.0), &json!(201.0), &json!(12.0))
    );
    assert!((own["shards"][0]["cpu_share"].as_f64().unwrap() - 0.42).abs() < 1e-9, "{own}");
    let mut anew = status(2);
    anew["started_at"] = json!("2026-01-02T04:00:00Z");
    let told = rates(read(&anew, &load(2, 12)));
    assert_eq!((&told["over_seconds"], &told["shards"][0]["messages"]), (&Value::Null, &Value::Null));
    let mut less = load(2, 12);
    less["shards"][0]["messages"] = json!(1);
    less["shards"][1]["worked_seconds"] = Value::Null;
    let told = rates(read(&status(2), &less));
    assert_eq!((&told["shards"][0]["messages"], &told["shards"][1]["cpu_share"]), (&Value::Null, &Value::Null));
    assert_eq!(told["shards"][0]["sends"], json!(4321.0));
    assert_eq!(rates(read(&status(2), &load(2, 10)))["over_seconds"], Value::Null, "no time has passed");
}

#[test]
fn an_answer_of_something_else_is_told() {
    assert_eq!(Look::read(&json!({}), &load(1, 1)), Err(Unread));
    assert_eq!(Look::read(&status(1), &json!({"shards": 3})), Err(Unread));
}
