//! Where the lock files are, and who may have them.
//!
//! Everybody who uses an unshared TPM must find the same file, and nobody else should be able to
//! hold it. /run/hierarkey is for that: the package prepares it (owned by root, writable for the
//! group that may use the TPM), and root makes it where nobody did. A user who can do nothing there
//! takes turns with his own processes only, in /run/user/UID/hierarkey or /tmp/hierarkey-UID. No
//! variable has a say in it: a user's cron job has another environment than his desktop, and both
//! must find the same file.
//!
//! A lock file may be opened by those who may write to the TPM itself: it takes over the group and
//! the write permissions of the TPM's device or socket.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cryptoki_sys::CKR_DEVICE_ERROR;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::error::{Error, Result};

/// Who may open a lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// The group, where it matters.
    pub(super) group: Option<u32>,
    /// Permissions, read and write together for each class.
    pub(super) mode: u32,
}

impl Access {
    /// Whoever can reach a TPM that has no permissions of its own: a TCP port.
    pub(super) const ANYBODY: Self = Self { group: None, mode: 0o666 };

    /// Those who may write to the device or socket of this status.
    pub(super) fn of(node: &std::fs::Metadata) -> Self {
        let write = node.mode() & 0o222;
        Self { group: Some(node.gid()), mode: write | write << 1 }
    }
}

/// The places for lock files, best first.
#[derive(Clone, Debug)]
pub(in crate::tpm) struct Places {
    /// For all users.
    pub(super) system: PathBuf,
    /// The user's own, in which a directory is made, where the system keeps one for each user.
    pub(super) runtime: PathBuf,
    /// Anybody's, in which a directory of the user's own is made.
    pub(super) temporary: PathBuf,
}

impl Places {
    /// The places of this machine and user.
    pub(in crate::tpm) fn of_this_host() -> Self {
        let runtime = format!("/run/user/{}", geteuid().as_raw()).into();
        Self { system: "/run/hierarkey".into(), runtime, temporary: "/tmp".into() }
    }

    /// Opens the lock file `name`, and makes it, holding `content`, in the first place that has
    /// room for it. Errors: `CKR_DEVICE_ERROR`.
    pub(super) fn open(&self, name: &str, access: Access, content: &[u8]) -> Result<OwnedFd> {
        let own_name = format!("hierarkey-{}", geteuid().as_raw());
        let candidates = [
            (&*self.system, None),
            (&*self.runtime, Some("hierarkey")),
            (&*self.temporary, Some(&*own_name)),
        ];
        let mut last = Errno::NOENT;
        for (parent, child) in candidates {
            let directory =
                child.map_or_else(|| system_directory(parent), |name| own_directory(parent, name));
            match directory.and_then(|directory| lock_file(&directory, name, access, content)) {
                Ok(file) => return Ok(file),
                Err(errno) => {
                    log::debug!("no lock file in {}: {errno}", parent.display());
                    last = errno;
                }
            }
        }
        Err(Error::because(CKR_DEVICE_ERROR, "no place for the lock of the TPM's turns", last))
    }
}

/// Only the way to a directory's files: reading it is not asked for, and a link is not followed.
const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn is_mine(status: &Stat) -> bool {
    status.st_uid == geteuid().as_raw()
}

fn has_mode(status: &Stat, bits: u32) -> bool {
    Mode::from_raw_mode(status.st_mode).intersects(Mode::from_raw_mode(bits))
}

/// The directory for all users: root's (or the caller's own), writable for a group at most.
fn system_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    let directory = match rustix::fs::open(path, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) if geteuid().is_root() => {
            match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
                // The host's umask may have taken from it what others need to find the files.
                Ok(()) => rustix::fs::chmod(path, Mode::from_raw_mode(0o755))?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            rustix::fs::open(path, DIRECTORY, Mode::empty())?
        }
        opened => opened?,
    };
    let status = rustix::fs::fstat(&directory)?;
    if (status.st_uid == 0 || is_mine(&status)) && !has_mode(&status, 0o002) {
        Ok(directory)
    } else {
        Err(Errno::PERM)
    }
}

/// The user's own directory `name` in `parent`, which may be open to others (/tmp): made if it is
/// missing, and refused if it is anybody else's or open to anybody else.
fn own_directory(parent: &Path, name: &str) -> rustix::io::Result<OwnedFd> {
    let parent = rustix::fs::open(parent, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?;
    match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let directory = rustix::fs::openat(&parent, name, DIRECTORY, Mode::empty())?;
    let status = rustix::fs::fstat(&directory)?;
    if is_mine(&status) && !has_mode(&status, 0o077) { Ok(directory) } else { Err(Errno::PERM) }
}

/// The lock file itself. No link is followed, nothing but a regular file is opened.
fn lock_file(
    directory: &OwnedFd,
    name: &str,
    access: Access,
    content: &[u8],
) -> rustix::io::Result<OwnedFd> {
    // Without CREATE: in a directory that others write to, the kernel may refuse that flag for a
    // file of theirs (fs.protected_regular).
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let open = || rustix::fs::openat(directory, name, flags | OFlags::NOCTTY, Mode::empty());
    let file = match open() {
        Err(Errno::NOENT) => {
            create(directory, name, access, content)?;
            open()?
        }
        opened => opened?,
    };
    let status = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(Errno::PERM);
    }
    Ok(file)
}

/// Makes the file under another name first: whoever finds it finds it whole, with the permissions it
/// keeps. If another process was quicker, its file it is.
fn create(
    directory: &OwnedFd,
    name: &str,
    access: Access,
    content: &[u8],
) -> rustix::io::Result<()> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Errno::IO)?;
    let new = format!(".new-{}", hex::encode(random));
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, &*new, flags, Mode::RUSR | Mode::WUSR)?;
    let made = fill(&file, access, content)
        .and_then(|()| rustix::fs::linkat(directory, &*new, directory, name, AtFlags::empty()));
    let removed = rustix::fs::unlinkat(directory, &*new, AtFlags::empty());
    match made {
        Ok(()) | Err(Errno::EXIST) => removed,
        Err(errno) => Err(errno),
    }
}

fn fill(file: impl AsFd, access: Access, content: &[u8]) -> rustix::io::Result<()> {
    let mut mode = access.mode;
    if let Some(group) = access.group
        && rustix::fs::fstat(&file)?.st_gid != group
        && rustix::fs::fchown(&file, None, Some(Gid::from_raw(group))).is_err()
    {
        // Not a member of the TPM's group: what that group may do is no business of our own group.
        mode &= !0o060;
    }
    // Whoever makes the file will want to open it again.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode | 0o600))?;
    match rustix::io::retry_on_intr(|| rustix::io::pwrite(&file, content, 0))? {
        written if written == content.len() => Ok(()),
        _ => Err(Errno::NOSPC),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    const MINE: Access = Access { group: None, mode: 0o600 };

    /// A tree of places of the test's own; `system` exists.
    fn places() -> (tempfile::TempDir, Places) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["system", "runtime", "tmp"] {
            fs::create_dir(at(name)).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(0o755)).unwrap();
        }
        let places = Places { system: at("system"), runtime: at("runtime"), temporary: at("tmp") };
        (dir, places)
    }

    fn own_temporary(places: &Places) -> PathBuf {
        places.temporary.join(format!("hierarkey-{}", geteuid().as_raw()))
    }

    #[test]
    fn the_place_for_all_users_comes_first() {
        let (_dir, places) = places();
        places.open("lock", MINE, b"x").unwrap();
        assert_eq!(fs::read(places.system.join("lock")).unwrap(), b"x");
        assert_eq!(fs::read_dir(&places.system).unwrap().count(), 1, "nothing else was left");
        assert_eq!(fs::read_dir(places.runtime).unwrap().count(), 0);
    }

    #[test]
    fn an_existing_lock_file_keeps_its_content() {
        let (_dir, places) = places();
        places.open("lock", MINE, b"first").unwrap();
        places.open("lock", MINE, b"second").unwrap();
        assert_eq!(fs::read(places.system.join("lock")).unwrap(), b"first");
    }

    #[test]
    fn a_directory_that_anybody_may_write_to_is_not_for_all_users() {
        let (_dir, places) = places();
        fs::set_permissions(&places.system, Permissions::from_mode(0o777)).unwrap();
        places.open("lock", MINE, b"x").unwrap();
        assert!(places.runtime.join("hierarkey/lock").exists());
    }

    #[test]
    fn a_linked_directory_is_not_followed() {
        let (dir, mut places) = places();
        let target = dir.path().join("elsewhere");
        fs::create_dir(&target).unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o700)).unwrap();
        places.runtime = dir.path().join("none");
        fs::remove_dir(&places.system).unwrap();
        symlink(&target, &places.system).unwrap();
        symlink(&target, own_temporary(&places)).unwrap();
        let error = places.open("lock", MINE, b"x").unwrap_err();
        assert_eq!(error.ck_rv(), CKR_DEVICE_ERROR);
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_of_ones_own_that_others_may_enter_is_refused() {
        let (dir, mut places) = places();
        places.runtime = dir.path().join("none");
        fs::set_permissions(&places.system, Permissions::from_mode(0o777)).unwrap();
        let own = own_temporary(&places);
        fs::create_dir(&own).unwrap();
        fs::set_permissions(&own, Permissions::from_mode(0o750)).unwrap();
        assert!(places.open("lock", MINE, b"x").is_err());
        fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
        places.open("lock", MINE, b"x").unwrap();
        assert!(own.join("lock").exists());
    }

    #[test]
    fn a_lock_file_that_is_a_link_or_no_file_is_refused() {
        let (dir, mut places) = places();
        places.runtime = dir.path().join("none");
        let target = dir.path().join("target");
        fs::write(&target, "precious").unwrap();
        symlink(&target, places.system.join("lock")).unwrap();
        fs::create_dir(own_temporary(&places)).unwrap();
        fs::set_permissions(own_temporary(&places), Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(own_temporary(&places).join("lock")).unwrap();
        assert!(places.open("lock", MINE, b"x").is_err());
        assert_eq!(fs::read(&target).unwrap(), b"precious");
    }

    #[test]
    fn a_lock_file_is_open_to_those_who_may_write_to_the_tpm() {
        let (dir, places) = places();
        for (node, lock) in [(0o660, 0o660), (0o755, 0o600), (0o666, 0o666), (0o620, 0o660)] {
            let path = dir.path().join("node");
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(node)).unwrap();
            let name = format!("lock-{node:o}");
            let access = Access::of(&fs::metadata(&path).unwrap());
            places.open(&name, access, b"x").unwrap();
            let made = fs::metadata(places.system.join(&name)).unwrap();
            assert_eq!(made.mode() & 0o777, lock, "{node:o}");
            assert_eq!(made.gid(), fs::metadata(&path).unwrap().gid());
        }
    }

    #[test]
    fn a_user_without_a_runtime_directory_has_one_in_tmp() {
        let (dir, mut places) = places();
        places.runtime = dir.path().join("none");
        fs::set_permissions(&places.system, Permissions::from_mode(0o777)).unwrap();
        places.open("lock", MINE, b"x").unwrap();
        assert!(own_temporary(&places).join("lock").exists());
    }
}
