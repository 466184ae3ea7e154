//! The file in which the agent finds its sessions again, and the lock that keeps a second agent out of its folder.

use crate::desks::record::Record;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The data folder of this agent, until it is dropped.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    lock: File,
}

impl Drop for State {
    /// A session's process that was forked a moment ago, and has not begun its program yet, has the file open too: closing ours would not
    /// give it up.
    fn drop(&mut self) {
        flock(&self.lock, FlockOperation::Unlock)
            .unwrap_or_else(|error| tracing::debug!(%error, "the lock ends when the file is closed"));
    }
}

impl State {
    /// Takes the folder, and makes it where there is none.
    ///
    /// # Errors
    /// It cannot be made, or another agent has it.
    pub(super) fn open(folder: &Path) -> Result<State, String> {
        let fault = |error: io::Error| format!("{}: {error}", folder.display());
        // Sessions of other accounts have their homes below it.
        DirBuilder::new().recursive(true).mode(0o711).create(folder).map_err(fault)?;
        let folder = folder.canonicalize().map_err(fault)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(folder.join("lock"));
        let lock = lock.map_err(|error| format!("{}: {error}", folder.display()))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| format!("{}: another agent uses this folder", folder.display()))?;
        Ok(State { folder, lock })
    }

    /// The folder, from the root.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was written last; none: nothing yet.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub(super) fn read(&self) -> Result<Option<Record>, String> {
        let path = self.folder.join("state.json");
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(&error)),
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| fault(&error)),
        }
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let draft = self.folder.join("state.json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        fs::rename(&draft, self.folder.join("state.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_agent_and_keeps_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let state = State::open(&path).unwrap();
        assert_eq!(state.read(), Ok(None));
        let mut record = Record::default();
        record.boot = "b".into();
        state.write(&record).unwrap();
        assert_eq!(state.read(), Ok(Some(record)));
        assert!(State::open(&path).unwrap_err().contains("another agent"));
        let forked = state.lock.try_clone().unwrap();
        drop(state);
        fs::write(path.join("state.json"), "{").unwrap();
        assert!(State::open(&path).unwrap().read().is_err());
        drop(forked);
    }
}
