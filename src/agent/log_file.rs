//! What a session's processes print: a file that they write themselves, so that they lose nothing when the agent begins anew, and of which
//! the agent keeps the last part.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// No more than this is read for one answer.
const READ_BYTES: u64 = 512 << 10;

fn current(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn former(folder: &Path) -> PathBuf {
    folder.join("log.1")
}

/// The file for a process to write to. Everything is appended.
pub(super) fn open(folder: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(current(folder))
}

/// Puts the file aside when it has half of what may be kept. The processes write on at its beginning.
pub(super) fn trim(folder: &Path, most: u64) {
    let path = current(folder);
    if fs::metadata(&path).is_ok_and(|file| file.len() > most / 2) {
        let kept = tail_of(&path, most / 2).and_then(|kept| fs::write(former(folder), kept));
        let emptied = kept.and_then(|()| OpenOptions::new().write(true).open(&path)?.set_len(0));
        if let Err(error) = emptied {
            tracing::warn!(%error, "a session's log cannot be shortened");
        }
    }
}

/// The last lines, oldest first.
pub(super) fn tail(folder: &Path, lines: usize) -> Vec<String> {
    let mut bytes = tail_of(&former(folder), READ_BYTES).unwrap_or_default();
    bytes.extend(tail_of(&current(folder), READ_BYTES).unwrap_or_default());
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
}

fn tail_of(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_lines_stay_whatever_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(folder.path()).unwrap();
        for line in 0..1000 {
            writeln!(file, "line {line}").unwrap();
            trim(folder.path(), 400);
        }
        assert_eq!(tail(folder.path(), 3), ["line 997", "line 998", "line 999"]);
        let kept = [current(folder.path()), former(folder.path())].map(|path| fs::metadata(path).unwrap().len());
        assert!(kept.iter().sum::<u64>() <= 420, "{kept:?}");
        assert!(tail(folder.path(), 10_000).len() > 20);
    }

    #[test]
    fn no_log_has_no_lines() {
        let folder = tempfile::tempdir().unwrap();
        assert!(tail(folder.path(), 5).is_empty());
        open(folder.path()).unwrap().write_all(b"a\n\xff\nlast").unwrap();
        assert_eq!(tail(folder.path(), 2), ["\u{fffd}", "last"]);
    }
}
