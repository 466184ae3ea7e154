//! The log, written to files and to a disk that is full.

use super::*;
use crate::realtime::{UnixMicros, audit::Outcome};
use std::fs;

fn record(who: &str) -> Record {
    Record {
        at: UnixMicros(1_767_323_045_123_456),
        what: "sign_in",
        who: Some(who.into()),
        target: None,
        from: 0xffff_7f00_0001,
        on: "presence",
        outcome: Outcome::Done,
        reason: None,
    }
}

fn started(file: &Path) -> (Audit, JoinHandle<()>) {
    let (audit, writer) = Audit::with_room(4).unwrap();
    audit.go_on(open(Some(file)).unwrap());
    (audit, writer)
}

fn lines(file: &Path) -> Vec<serde_json::Value> {
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < end, "it did not come true");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_event_is_a_line_of_json_in_a_file_of_the_servers_own() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let (audit, writer) = started(&file);
    audit.note(record("ada \"x\"\n"));
    audit.note(Record { outcome: Outcome::Refused, reason: Some("bad_token".into()), who: None, from: 0, ..record("") });
    audit.end(writer);
    let text = fs::read_to_string(&file).unwrap();
    let head = r#"{"time":"2026-01-02T03:04:05.123Z","what":"sign_in","who":"#;
    let first = r#""ada \"x\"\n","from":"127.0.0.1","on":"presence","outcome":"done"}"#;
    let second = r#"null,"from":null,"on":"presence","outcome":"refused","reason":"bad_token"}"#;
    assert_eq!(text.lines().collect::<Vec<_>>(), [first, second].map(|end| format!("{head}{end}")));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(audit.levels(), Levels { written: 2, ..Levels::default() });
}

#[test]
fn a_file_that_was_moved_away_is_followed_by_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (file, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
    let (audit, writer) = started(&file);
    audit.note(record("one"));
    until(|| audit.levels().written == 1);
    fs::rename(&file, &moved).unwrap();
    audit.note(record("two"));
    until(|| audit.levels().written == 2);
    audit.go_on(open(Some(&file)).unwrap());
    audit.note(record("three"));
    audit.end(writer);
    let who = |file: &Path| lines(file).iter().map(|line| line["who"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!((who(&moved), who(&file)), (vec!["one".into(), "two".into()], vec!["three".into()]));
}

#[test]
fn a_full_disk_holds_nobody_up_and_what_was_lost_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let (audit, writer) = started(Path::new("/dev/full"));
    audit.note(record("first"));
    until(|| audit.levels().is_failing);
    for number in 0..10 {
        audit.note(record(&number.to_string()));
    }
    assert_eq!((audit.levels().lost, audit.levels().written), (6, 0), "four wait");
    // The disk has room again.
    audit.go_on(open(Some(&file)).unwrap());
    until(|| audit.levels().written == 5);
    audit.end(writer);
    let told = lines(&file);
    let who: Vec<_> = told.iter().filter_map(|line| line["who"].as_str()).collect();
    assert_eq!(who, ["first", "0", "1", "2", "3"], "in their order, and each once");
    let lost: Vec<_> = told.iter().filter(|line| line["what"] == "audit.lost").collect();
    assert_eq!(lost.iter().map(|line| line["count"].as_u64().unwrap()).sum::<u64>(), 6, "{told:?}");
    assert!(!audit.levels().is_failing);
}

#[test]
fn the_end_does_not_wait_for_a_disk_that_is_full() {
    let (audit, writer) = started(Path::new("/dev/full"));
    audit.note(record("first"));
    audit.end(writer);
    assert_eq!(audit.levels().written, 0);
}

#[test]
fn without_a_file_nothing_is_kept() {
    let (audit, writer) = Audit::with_room(4).unwrap();
    (0..10).for_each(|_| audit.note(record("x")));
    assert_eq!(audit.levels(), Levels::default());
    audit.go_on(open(None).unwrap());
    audit.note(record("x"));
    audit.end(writer);
    assert_eq!(audit.levels(), Levels::default());
}

#[test]
fn a_line_that_was_cut_is_whole_in_the_next_file() {
    let (audit, writer) = Audit::with_room(4).unwrap();
    audit.end(writer);
    let mut writer = Writer::new(audit.0.clone());
    writer.lines = b"one\ntwo\nthree\n".to_vec();
    writer.done = 6;
    audit.0.files.push(None);
    writer.take_files();
    assert_eq!((writer.lines.as_slice(), writer.done), (b"two\nthree\n".as_slice(), 0));
}

#[test]
fn a_line_that_was_cut_goes_on_in_the_file_that_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let (audit, writer) = Audit::with_room(4).unwrap();
    audit.end(writer);
    let mut writer = Writer::new(audit.0.clone());
    let go_on = |writer: &mut Writer| {
        audit.0.files.push(open(Some(&file)).unwrap());
        writer.take_files();
    };
    go_on(&mut writer);
    writer.lines = b"one\ntwo\n".to_vec();
    // The disk had room for so much.
    fs::write(&file, "one\ntw").unwrap();
    writer.done = 6;
    go_on(&mut writer);
    writer.put().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "one\ntwo\n");
}

#[test]
fn what_an_earlier_process_has_cut_spoils_no_line_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    for before in ["{\"time\":\"2026", "{\"time\":\"2026\n", "\n", ""] {
        fs::write(&file, before).unwrap();
        let (audit, writer) = started(&file);
        audit.note(record("one"));
        audit.end(writer);
        let text = fs::read_to_string(&file).unwrap();
        let (earlier, own) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
        assert_eq!(earlier, before.trim_end());
        assert_eq!(serde_json::from_str::<serde_json::Value>(own).unwrap()["who"], "one");
    }
}

/// Whoever has a new file is not to look into the former one for what came later.
#[test]
fn nothing_is_written_to_a_file_that_was_replaced_before_it_happened() {
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(number.to_string());
    let files = 3_000;
    let (audit, writer) = Audit::with_room(files).unwrap();
    for number in 0..files {
        audit.go_on(open(Some(&path(number))).unwrap());
        audit.note(record(&number.to_string()));
    }
    audit.end(writer);
    for number in 0..files {
        let early = |line: &serde_json::Value| line["who"].as_str().unwrap().parse::<usize>().unwrap() > number;
        assert!(!lines(&path(number)).iter().any(early), "{number}");
    }
}

#[test]
fn addresses_are_as_people_write_them_and_of_ipv6_the_network() {
    for (mapped, told) in [
        (0, None),
        (1, Some("::1")),
        (0xffff_0a00_0001, Some("10.0.0.1")),
        (0x2001_0db8_0000_0001_u128 << 64, Some("2001:db8:0:1::/64")),
    ] {
        assert_eq!(address(mapped).as_deref(), told);
    }
}
