//! Key files: read as they are, and the one of the embedded default made at the first start.
//!
//! One rule for every HS256 file, ours and others': the key is the file's text without the white space at its end. So what the
//! file shows can be pasted into any other tool that issues tokens.

use crate::auth::{Secret, key::MIN_SECRET_BYTES};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// A key file is never longer; a PEM of RSA-8192 has about 6,500 bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// As many random bytes as an HS256 key can use (RFC 7518, section 3.2), written as twice as many hexadecimal digits.
const RANDOM_BYTES: usize = 32;

/// Reads a key file: an HS256 secret or a PEM, public or private. White space at its end is no part of the key. Errors name the
/// file, never its content.
pub fn load(path: &Path) -> io::Result<Secret> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| about(path, error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(about(path, invalid(format!("longer than {MAX_FILE_BYTES} bytes, so not a key file"))));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(about(path, invalid("the key file is empty".to_owned())));
    }
    Ok(Secret::new(bytes.trim_ascii_end()))
}

/// Reads an HS256 secret, or makes one where no file is: random, mode 0600, whole or not at all, and on disk when this returns.
///
/// Of two processes that start at once one makes the file and both have its secret. A file that is there but too short is an
/// error, never replaced.
pub fn load_or_create(path: &Path) -> io::Result<Secret> {
    let secret = match load(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path).map_err(|error| about(path, error))?;
            load(path)?
        }
        found => found?,
    };
    let length = secret.expose().len();
    if length < MIN_SECRET_BYTES {
        return Err(about(path, invalid(format!("the secret has {length} bytes, fewer than {MIN_SECRET_BYTES}"))));
    }
    warn_if_open(path);
    Ok(secret)
}

/// Leaves a whole file at `path`: a new one, or the one that another process made first.
fn create(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| io::Error::new(error.kind(), format!("its folder cannot be made: {error}")))?;
    let draft = draft_path(path)?;
    let placed = write_new(&draft).and_then(|()| Ok(renameat_with(CWD, &draft, CWD, path, RenameFlags::NOREPLACE)?));
    match placed {
        Ok(()) => File::open(folder)?.sync_all(),
        Err(error) => {
            // Also when it was never made: what matters is the first error.
            let _ = fs::remove_file(&draft);
            if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
        }
    }
}

fn write_new(draft: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(random_hex::<RANDOM_BYTES>()?.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// A name beside `path` that no other process picks.
fn draft_path(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", random_hex::<8>()?));
    Ok(name.into())
}

fn random_hex<const BYTES: usize>() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness to be had"))?;
    let mut hex = String::with_capacity(2 * BYTES);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

fn warn_if_open(path: &Path) {
    if let Ok(found) = fs::metadata(path) {
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(file = %path.display(), mode = format!("{mode:03o}"), "others than the owner can use this key file");
        }
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_first_start_makes_the_file_and_later_ones_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/keys/presence.hs256");
        let made = load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(names(path.parent().unwrap()), ["presence.hs256"]);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 65);
        assert!(text.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(made.expose(), text.trim_end().as_bytes());
        assert_eq!(load_or_create(&path).unwrap(), made);
        assert_eq!(load(&path).unwrap(), made);
    }

    #[test]
    fn two_folders_have_two_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| load_or_create(&folder.path().join(name)).unwrap());
        assert_ne!(one, two);
    }

    #[test]
    fn those_who_start_at_once_share_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/presence.hs256");
        let secrets: HashSet<Vec<u8>> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_create(&path).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap().expose().to_vec()).collect()
        });
        assert_eq!(secrets.len(), 1);
        assert_eq!(names(path.parent().unwrap()), ["presence.hs256"]);
    }

    #[test]
    fn a_damaged_file_is_told_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("presence.hs256");
        for content in ["", " \n", "marker\n", &"x".repeat(70_000)] {
            fs::write(&path, content).unwrap();
            let error = load_or_create(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let told = error.to_string();
            assert!(told.contains("presence.hs256") && !told.contains("marker"), "{told}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(names(folder.path()), ["presence.hs256"]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load_or_create(folder.path()).is_err());
        let file = folder.path().join("file");
        fs::write(&file, "in the way").unwrap();
        assert!(load_or_create(&file.join("presence.hs256")).is_err());
        let error = load(&folder.path().join("absent.pem")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("absent.pem"));
    }

    #[test]
    fn white_space_is_cut_at_the_end_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, b"  sixteen letters, twice as many \xff\r\n\n").unwrap();
        assert_eq!(load(&path).unwrap().expose(), b"  sixteen letters, twice as many \xff");
    }
}
