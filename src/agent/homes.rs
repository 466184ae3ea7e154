//! Folders of sessions: home, log and sockets, each with the rights of whoever runs there.
//!
//! ```text
//! data_dir/homes/<user>              a user's home, mode 0700
//! data_dir/sessions/<id>/home        a session's own home
//! data_dir/sessions/<id>/run         sockets, and the key to its X display
//! data_dir/sessions/<id>/log, log.1  what its processes print; the agent's
//! ```

use super::{machine::Account, settings::Settings};
use crate::desks::Wanted;
use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown},
    path::Path,
};

/// Makes what a run needs. A home that is there keeps what is in it.
pub(super) fn prepare(
    settings: &Settings,
    session: &str,
    wanted: &Wanted,
    account: Option<&Account>,
    display: u16,
) -> io::Result<()> {
    let folder = settings.folder(session);
    // Passable for whoever runs below it, and no more.
    DirBuilder::new().recursive(true).mode(0o711).create(&folder)?;
    let (home, _) = settings.home(session, wanted);
    own(&home, account)?;
    let run = folder.join("run");
    own(&run, account)?;
    authority(&run.join("Xauthority"), display, account)
}

fn own(path: &Path, account: Option<&Account>) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o711).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Who sits in a session could have put a link here.
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is no folder", path.display())));
    }
    match account {
        Some(account) if meta.uid() != account.uid => chown(path, Some(account.uid), Some(account.gid)),
        _ => Ok(()),
    }
}

/// A key to the X display, so that it is not open to everyone on this machine. The file's form is that of `xauth`: a family, which here
/// means any host, an empty address, the number of the display, the kind of key, and the key.
fn authority(path: &Path, display: u16, account: Option<&Account>) -> io::Result<()> {
    const ANY_HOST: u16 = 0xffff;
    let mut key = [0; 16];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("no random bytes"))?;
    let display = display.to_string();
    let mut bytes = ANY_HOST.to_be_bytes().to_vec();
    for text in [&b""[..], display.as_bytes(), b"MIT-MAGIC-COOKIE-1", &key] {
        bytes.extend((text.len() as u16).to_be_bytes());
        bytes.extend(text);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&bytes)?;
    // The file, not its path: the folder is theirs, and they could have put something else there by now.
    account.map_or(Ok(()), |account| fchown(&file, Some(account.uid), Some(account.gid)))
}

/// Removes a session's folder, but a home of its own that is to stay.
pub(super) fn clear(settings: &Settings, session: &str, wanted: &Wanted) {
    let folder = settings.folder(session);
    let (_, is_own) = settings.home(session, wanted);
    let removed = if is_own && settings.keep_homes && wanted.persistent_home != Some(false) {
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).and_then(|()| fs::remove_dir_all(folder.join("run")))
    } else {
        fs::remove_dir_all(&folder)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(session, %error, "the session's folder cannot be removed");
        }
        _ => {}
    }
}
