//! What settings become.

use super::*;
use crate::config::{Layers, Loaded};
use std::fs;

fn settings(layers: Layers) -> Settings {
    Loaded::of(&layers).unwrap().settings
}

#[test]
fn the_default_settings_of_labs_are_those_of_the_contract() {
    assert_eq!(labs_settings(&settings(Layers::default())), labs::Settings::default());
}

#[test]
fn the_default_settings_of_chat_are_those_of_the_contract() {
    assert_eq!(chat_settings(&settings(Layers::default())), chat::Settings::default());
}

#[test]
fn the_default_settings_of_tasks_are_those_of_the_contract() {
    assert_eq!(tasks_settings(&settings(Layers::default())), tasks::Settings::default());
}

#[test]
fn a_secret_of_others_is_long_enough_or_a_fault_that_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("others");
    let given = || settings(Layers::default().flag("tasks.secret_file", file.display().to_string()));
    assert!(guest_key(&settings(Layers::default())).unwrap().is_none());
    fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    assert!(guest_key(&given()).unwrap().is_some());
    fs::write(&file, "too short a secret").unwrap();
    let told = guest_key(&given()).unwrap_err().to_string();
    assert!(told.contains("tasks.secret_file: ") && told.contains("others") && !told.contains("too short a"), "{told}");
}

#[test]
fn an_agents_key_is_one_line_or_a_fault_that_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agents");
    let given = || settings(Layers::default().flag("labs.agent_key_file", file.display().to_string()));
    assert!(agent_key(&settings(Layers::default())).unwrap().is_none());
    fs::write(&file, " 0123456789abcdef\n").unwrap();
    let key = agent_key(&given()).unwrap().unwrap();
    assert_eq!(key.admits(Some("0123456789abcdef")), Ok(()));
    for wrong in ["too short", "0123456789 abcdef", "0123456789abcdéf", &"x".repeat(257)] {
        fs::write(&file, wrong).unwrap();
        let told = agent_key(&given()).unwrap_err().to_string();
        assert!(told.contains("agents: expected one line") && !told.contains(wrong), "{told}");
    }
}
