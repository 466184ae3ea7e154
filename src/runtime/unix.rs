//! Listening at a unix socket: the file that it is, from its making to its removal.

use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

/// Owner and group may connect; who else shall is let in by the folder's or the file's group.
const MODE: u32 = 0o660;

/// The file of a socket that was made here.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl SocketFile {
    /// Of a socket that another process has made.
    pub(super) fn of(path: &Path) -> SocketFile {
        SocketFile(path.to_owned())
    }

    /// To be called when we listen no more. Where somebody listens all the same it is another's by now, and stays.
    pub(super) fn remove(self) {
        if UnixStream::connect(&self.0).is_err_and(|fault| fault.kind() == io::ErrorKind::ConnectionRefused) {
            // Whoever comes next replaces what stayed.
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Finds out whether somebody listens at `path`, and whether its folder is there.
pub(super) fn probe(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::metadata(folder)?;
    match UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(fault) if fault.kind() == io::ErrorKind::PermissionDenied => Err(fault),
        Err(_) if fs::symlink_metadata(path).is_ok_and(|there| !there.file_type().is_socket()) => {
            Err(io::Error::other("there is a file that is no socket"))
        }
        Err(_) => Ok(()),
    }
}

/// Listens at `path`. A socket that nobody listens at any more, as a crash leaves it, is replaced.
pub(super) fn bind(path: &Path, backlog: i32) -> io::Result<(Socket, SocketFile)> {
    probe(path)?;
    if fs::symlink_metadata(path).is_ok() {
        fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    socket.listen(backlog)?;
    Ok((socket, SocketFile(path.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_made_found_taken_replaced_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let (socket, file) = bind(&path, 16).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(probe(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(bind(&path, 16).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        let (second, other) = bind(&path, 16).unwrap();
        file.remove();
        UnixStream::connect(&path).expect("the second one's file stays");
        drop(second);
        other.remove();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        fs::write(&path, "kept").unwrap();
        assert!(bind(&path, 16).unwrap_err().to_string().contains("no socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
        assert_eq!(bind(&folder.path().join("none/a"), 16).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
