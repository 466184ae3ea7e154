//! Pictures of the view at several moments, as text.

use super::*;
use crate::{
    crew::letters::{Progress, Seen, Stage},
    progress::Teller,
    report::{Asked, LATEST_LAG_NS},
    tally::{Measure, Slice, Tally, When},
};
use ratatui::{Terminal, backend::TestBackend};
use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

const START_NS: u64 = 1_000_000_000_000;
const STEP_NS: u64 = 250_000_000;

fn asked() -> Asked {
    Asked {
        scenario: "broadcast",
        url: "ws://127.0.0.1:8080/ws".to_owned(),
        students: 15_000,
        classrooms: 500,
        rate: Some(3_000.0),
        in_flight: 8_192,
        workers: 2,
        sources: 8,
        seed: 1,
        then: String::new(),
    }
}

/// What two workers see in a quarter of a second: so many values of each measure, around so many nanoseconds.
fn seen(values: &[(Measure, u64, u64)], busiest: f64) -> Seen {
    let mut tally = Tally::default();
    for (measure, count, ns) in values {
        (0..*count).for_each(|n| tally.record(*measure, ns + ns * n / count));
    }
    Seen { slice: tally.put_slice(0, Slice { busiest, ..Slice::default() }, false), faults: BTreeMap::new() }
}

/// A run that signs in for five seconds and publishes for `publishing_s`, with the time at its end.
fn run(publishing_s: u64, busiest: f64, lag_ns: u64) -> (State, u64) {
    let mut now_ns = START_NS;
    let mut state = State::new(&asked(), 0, now_ns);
    state.enter(None, &Teller::new("making", 0), now_ns);
    state.enter(Some(Stage::SignIn), &Teller::new("signing in", 15_000).at(Some(3_000.0)), now_ns);
    for step in 1..=20 {
        now_ns += STEP_NS;
        let slow_ns = if step > 12 { 9_000_000 } else { 2_000_000 };
        let values = [(Measure::SignIn, 375, slow_ns), (Measure::Connect, 375, 90_000), (Measure::Upgrade, 375, 250_000)];
        (0..2).for_each(|worker| state.seen(worker, &seen(&values, 0.4), now_ns));
        state.done(step * 750, now_ns);
        state.progress(Progress { signed_in: step * 750, connections: step * 750, ..Progress::default() });
    }
    if publishing_s > 0 {
        state.enter(Some(Stage::Publish), &Teller::new("publishing", 0).at(Some(60.0)).lasting(Duration::from_secs(30)), now_ns);
    }
    for step in 1..=publishing_s * 4 {
        now_ns += STEP_NS;
        let late_ns = if step % 16 == 7 { 40_000_000 } else { 3_000_000 + step * 20_000 };
        let values = [(Measure::Delivery, 225, late_ns), (Measure::Publish, 8, 700_000), (Measure::Lag, 8, lag_ns)];
        (0..2).for_each(|worker| state.seen(worker, &seen(&values, busiest), now_ns));
        let (published, delivered) = (step * 15, step * 450);
        state.done(published, now_ns);
        state.progress(Progress { signed_in: 15_000, connections: 14_998, lost: 2, published, delivered, ..Progress::default() });
    }
    state.advance(now_ns);
    (state, now_ns)
}

fn drawn(state: &State, now_ns: u64, [width, height]: [u16; 2], is_coloured: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
    terminal.draw(|frame| draw(frame, state, now_ns, Look::new(is_coloured))).expect("a picture in memory");
    terminal
}

/// The picture, a line a row.
fn picture(terminal: &Terminal<TestBackend>) -> String {
    let buffer = terminal.backend().buffer();
    let row = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    buffer.content.chunks(buffer.area.width.into()).map(|cells| row(cells) + "\n").collect()
}

/// Compares a picture with the one that is kept; with `KEEP_PICTURES` set it is kept instead.
fn holds(name: &str, picture: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/live/pictures").join(name).with_extension("txt");
    if env::var_os("KEEP_PICTURES").is_some() {
        fs::write(&path, picture).expect("the folder of pictures");
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), picture, "{name}:\n{picture}");
}

#[test]
fn the_moments_of_a_run_look_as_they_are_kept() {
    let (signing, at_ns) = run(0, 0.0, 0);
    let (publishing, late_ns) = run(24, 0.41, 120_000);
    for size in [[80, 24], [120, 40]] {
        let name = |what: &str| format!("{what}-{}x{}", size[0], size[1]);
        holds(&name("signing-in"), &picture(&drawn(&signing, at_ns, size, true)));
        holds(&name("publishing"), &picture(&drawn(&publishing, late_ns, size, true)));
    }
}

#[test]
fn the_first_moment_says_that_nothing_is_known_yet() {
    let mut state = State::new(&asked(), 2, START_NS);
    state.enter(None, &Teller::new("making", 0), START_NS);
    holds("making-80x24", &picture(&drawn(&state, START_NS + 3_000_000_000, [80, 24], true)));
}

#[test]
fn errors_and_a_generator_that_is_late_are_loud_without_colour_too() {
    let (mut state, now_ns) = run(8, 0.97, 4 * LATEST_LAG_NS);
    let kinds = ["closed 1011", "timeout at publish", "http 503", "connection reset", "closed 1006"];
    let faults = kinds.iter().enumerate().map(|(place, kind)| ((*kind).to_owned(), 7 - place as u64)).collect();
    state.seen(0, &Seen { faults: BTreeMap::from([(When::Member, faults)]), ..Seen::default() }, now_ns);
    for is_coloured in [true, false] {
        let terminal = drawn(&state, now_ns, [80, 24], is_coloured);
        let picture = picture(&terminal);
        holds("troubled-80x24", &picture);
        let buffer = terminal.backend().buffer();
        let row = picture.lines().position(|line| line.contains("NOT TO BE BELIEVED")).unwrap() as u16;
        let loud = (0..80).filter(|column| buffer[(*column, row)].modifier.contains(Modifier::REVERSED)).count();
        assert!(loud > 20, "{picture}");
        assert_eq!(buffer.content.iter().any(|cell| cell.fg != Color::Reset), is_coloured);
    }
}

#[test]
fn a_worker_without_cpu_to_spare_is_told_while_it_lasts() {
    let told = |busiest| picture(&drawn(&run(4, busiest, 1_000).0, START_NS, [80, 24], false));
    assert!(told(0.97).contains("HAS NO CPU TO SPARE") && told(0.5).contains("keeps up"));
}

#[test]
fn no_size_of_a_terminal_breaks_the_view() {
    let (state, now_ns) = run(600, 0.5, 1_000);
    for width in (1..=130).step_by(13) {
        for height in 1..=45 {
            drawn(&state, now_ns, [width, height], true);
        }
    }
}

#[test]
fn a_long_run_shows_its_whole_course_and_a_hold_its_time() {
    let (mut state, now_ns) = run(600, 0.5, 1_000);
    assert!((200..=481).contains(&state.points.len()), "{}", state.points.len());
    let worst = state.points.iter().map(|point| point.p99_ns).max();
    assert!(worst.is_some_and(|ns| ns > 40_000_000), "{worst:?}");
    state.enter(Some(Stage::Hold), &Teller::new("holding", 0).lasting(Duration::from_secs(60)), now_ns);
    let picture = picture(&drawn(&state, now_ns + 15_000_000_000, [80, 24], false));
    assert!(picture.contains("0:15 of 1:00  25 %") && picture.contains("✓ publishing   ▶ holding"), "{picture}");
}
