//! The default file, with the doc comments of the settings as its comments.

use super::{Key, Section, Settings};
use std::fmt::Write;

/// The whole file. It parses back to the defaults.
pub fn print() -> String {
    let mut file = String::new();
    for section in Settings::sections() {
        table(&mut file, section);
    }
    file
}

fn table(file: &mut String, section: &Section) {
    if !file.is_empty() {
        file.push('\n');
    }
    comment(file, section.about);
    if !section.prefix.is_empty() {
        let _ = writeln!(file, "[{}]", section.name());
    }
    for (place, key) in section.keys.iter().enumerate() {
        if place > 0 || section.prefix.is_empty() {
            file.push('\n');
        }
        comment(file, key.about);
        line(file, key);
    }
}

/// Tables with free names and lists of tables are empty by default; their comment shows how they are written.
fn line(file: &mut String, key: &Key) {
    if !matches!(key.default, "{}" | "[]") {
        let _ = writeln!(file, "{} = {}", key.name, key.default);
    }
}

fn comment(file: &mut String, about: &str) {
    for line in about.lines().map(str::trim_end).filter(|line| !line.trim_start().starts_with("```")) {
        let _ = writeln!(file, "#{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded};

    #[test]
    fn the_printed_file_parses_back_to_the_defaults() {
        let printed = Loaded::of(&Layers::default().file("printed", print())).unwrap();
        assert_eq!(printed.settings, Loaded::of(&Layers::default()).unwrap().settings);
        assert!(printed.warnings.is_empty());
    }

    #[test]
    fn every_key_is_in_it_with_its_comment() {
        let file = print();
        for key in Settings::sections().into_iter().flat_map(|section| section.keys) {
            assert!(
                matches!(key.default, "{}" | "[]") || file.contains(&format!("\n{} = {}\n", key.name, key.default)),
                "{}",
                key.path()
            );
            let first = key.about.lines().next().unwrap();
            assert!(!first.trim().is_empty() && file.contains(&format!("#{first}\n")), "{}", key.path());
        }
    }

    #[test]
    fn the_examples_in_the_comments_are_right() {
        let inside = |about: &str| {
            about.split("```toml").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect::<String>()
        };
        let examples: String =
            Settings::sections().iter().flat_map(|section| section.keys).map(|key| inside(key.about)).collect();
        let loaded = Loaded::of(&Layers::default().file("examples", &examples)).unwrap();
        assert!(loaded.settings.presence.issuers.contains_key("id.example.org"), "{examples}");
        assert!(loaded.settings.quiz.issuers.contains_key("id.example.org"), "{examples}");
        assert_eq!(loaded.settings.presence.permissions.len(), 3, "{examples}");
        assert_eq!(loaded.settings.agents[0].model, loaded.settings.models[0].name, "{examples}");
        assert_eq!(loaded.settings.labs.templates[0].name(), "firefox-browser", "{examples}");
    }
}
