//! Small files that an administrator wrote: the configuration, authorization values.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// No file that is read whole is longer; more is somebody's mistake or attack.
const LIMIT: u64 = 64 * 1024;

/// The text of a file that steers this module, 64 KiB at most.
///
/// Errors: as open(2) and read(2); `PermissionDenied` when somebody other than root or this user
/// owns it, or everybody may write it; `InvalidData` when it is no regular file, too long, or not
/// UTF-8.
pub fn read_settings(path: &Path) -> io::Result<String> {
    let bytes = read(path, 0o002, "may be written by everybody")?;
    String::from_utf8(bytes.to_vec())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8"))
}

/// The secret in a file, without one newline at its end.
///
/// Errors: as [`read_settings`], and `PermissionDenied` also when the group may write it or
/// everybody may read it.
pub fn read_secret(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = read(path, 0o026, "is open to more than its owner and readers in its group")?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    Ok(bytes)
}

/// Reads a regular file of root or ours whose mode has none of the bits `refused`.
fn read(path: &Path, refused: u32, why: &'static str) -> io::Result<Zeroizing<Vec<u8>>> {
    // Not to wait for the writer of a FIFO, nor to get a terminal that hangs us up.
    let flags = (OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let status = file.metadata()?;
    let denied = |why| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if !status.is_file() {
        return invalid("is not a regular file");
    }
    if status.uid() != 0 && status.uid() != rustix::process::geteuid().as_raw() {
        return denied("belongs to neither root nor this user");
    }
    if status.mode() & refused != 0 {
        return denied(why);
    }
    // One allocation: growing would leave copies of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT as usize + 1));
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return invalid("is longer than 64 KiB");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_secret_comes_without_its_newline_and_only_from_a_closed_file() {
        assert_eq!(read_secret(file(b"s3cret\n", 0o600).path()).unwrap().as_slice(), b"s3cret");
        assert_eq!(read_secret(file(b"\n\n", 0o640).path()).unwrap().as_slice(), b"\n");
        for mode in [0o644, 0o660, 0o602] {
            let refused = read_secret(file(b"s3cret", mode).path()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{mode:o}");
        }
    }

    #[test]
    fn settings_are_refused_when_everybody_may_write_them() {
        assert_eq!(read_settings(file(b"a = 1", 0o664).path()).unwrap(), "a = 1");
        let refused = read_settings(file(b"a = 1", 0o666).path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn what_is_no_small_text_file_is_refused() {
        let long = vec![b'#'; LIMIT as usize + 1];
        for content in [&long[..], b"\xff"] {
            let refused = read_settings(file(content, 0o600).path()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        }
        let directory = tempfile::tempdir().unwrap();
        let refused = read_settings(directory.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
