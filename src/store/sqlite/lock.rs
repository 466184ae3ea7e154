//! One process for one folder: a lock that the system gives up with the process, however it ends.

use super::OpenFault;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Held for as long as the folder is served. The file `lock` holds the process number, for the message to the next one.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
}

impl Drop for FolderLock {
    /// Whoever was forked a moment ago, and has not begun its program yet, has the file open too: closing ours would not give it up.
    fn drop(&mut self) {
        self.release();
    }
}

impl FolderLock {
    /// The folder is served no more by this process.
    pub(super) fn release(&self) {
        self.file.unlock().unwrap_or_else(|error| tracing::debug!(%error, "the lock ends when the file is closed"));
    }

    /// Makes the folder (only for its owner) where it is missing, and locks it.
    pub(super) fn take(folder: &Path) -> Result<FolderLock, OpenFault> {
        let fault = |source| OpenFault::Folder { folder: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fault)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(folder.join("lock")).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenFault::Served { folder: folder.to_owned(), pid: holder(&mut file) }),
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
        // A full disk must not keep the server from starting: the number is a courtesy, the lock is what counts.
        sign(&mut file).unwrap_or_else(|error| tracing::debug!(%error, "the lock file does not tell the process number"));
        Ok(FolderLock { file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_holder_though_the_file_is_open_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let forked = lock.file.try_clone().unwrap();
        assert!(matches!(FolderLock::take(folder.path()), Err(OpenFault::Served { .. })));
        drop(lock);
        FolderLock::take(folder.path()).unwrap();
        drop(forked);
    }
}
