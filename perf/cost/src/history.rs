//! The baseline as it was before, in each commit that changed it.

use crate::baseline::Baseline;
use std::{path::Path, process::Command};

/// How far back.
const VERSIONS: &str = "50";

/// What `path` held in each of its last commits, the newest first. Nothing where there is no git; of a shallow clone what it has.
pub(crate) fn versions(path: &Path) -> Vec<Baseline> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let commits = git(folder, &["log", "-n", VERSIONS, "--format=%H", "--", name]).unwrap_or_default();
    let texts = commits.lines().filter_map(|commit| git(folder, &["show", &format!("{commit}:./{name}")]));
    texts.filter_map(|text| Baseline::parse(&text).ok()).collect()
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn text(count: u64, reason: &str) -> String {
        let mut baseline = Baseline::default();
        baseline.accept("a-path", 1, count, reason);
        baseline.to_string()
    }

    #[test]
    fn a_change_is_held_against_what_was_there_committed_or_not() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("instructions.toml");
        let git = |arguments: &[&str]| {
            let who = ["-c", "user.name=a", "-c", "user.email=a@school.example", "-c", "commit.gpgsign=false"];
            assert!(git(room.path(), &[&who, arguments].concat()).is_some(), "git {arguments:?}");
        };
        let unexplained = || Baseline::read(&path).unwrap().without_reason(&versions(&path)).len();
        fs::write(&path, text(1, "first")).unwrap();
        assert_eq!((unexplained(), versions(&path).len()), (0, 0), "no repository");
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "one"]);
        assert_eq!((unexplained(), versions(&path).len()), (0, 1), "nothing before the first");
        fs::write(&path, text(2, "first")).unwrap();
        assert_eq!(unexplained(), 1, "not committed yet");
        git(&["commit", "-q", "-a", "-m", "two"]);
        assert_eq!(unexplained(), 1, "committed");
        fs::write(&path, text(2, "first") + "# A word.\n").unwrap();
        git(&["commit", "-q", "-a", "-m", "a word"]);
        assert_eq!(unexplained(), 1, "and hidden by a later commit");
        fs::write(&path, text(2, "second")).unwrap();
        git(&["commit", "-q", "-a", "-m", "three"]);
        assert_eq!(unexplained(), 0, "explained after all");
        fs::write(&path, text(3, "third")).unwrap();
        assert_eq!(unexplained(), 0, "explained");
        fs::write(&path, Baseline::default().to_string()).unwrap();
        assert_eq!(unexplained(), 1, "gone");
    }
}
