//! The baseline as it was before: of the last commit, or of the one before that where the file has not changed since.

use crate::baseline::Baseline;
use std::{fs, path::Path, process::Command};

/// What `path` held before its last change. None: there is no git, no such commit (a shallow clone), or nothing before.
pub(crate) fn before(path: &Path) -> Option<Baseline> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name()?.to_str()?;
    let commits = git(folder, &["log", "-n", "2", "--format=%H", "--", name])?;
    let now = fs::read_to_string(path).ok()?;
    let versions = commits.lines().filter_map(|commit| git(folder, &["show", &format!("{commit}:./{name}")]));
    versions.filter(|version| *version != now).find_map(|version| Baseline::parse(&version).ok())
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let unexplained = || before(&path).map(|before| Baseline::read(&path).unwrap().without_reason(&before).len());
        fs::write(&path, text(1, "first")).unwrap();
        assert_eq!(unexplained(), None, "no repository");
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "one"]);
        assert_eq!(unexplained(), None, "nothing before the first");
        fs::write(&path, text(2, "first")).unwrap();
        assert_eq!(unexplained(), Some(1), "not committed yet");
        git(&["commit", "-q", "-a", "-m", "two"]);
        assert_eq!(unexplained(), Some(1), "committed");
        fs::write(&path, text(2, "second")).unwrap();
        git(&["commit", "-q", "-a", "-m", "three"]);
        assert_eq!(unexplained(), Some(0), "the same count");
        fs::write(&path, text(3, "third")).unwrap();
        assert_eq!(unexplained(), Some(0), "explained");
    }
}
