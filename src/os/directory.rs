//! Where the store lies, and whether others could have changed what lies there.

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};

/// Who besides its owner may use a store. The modes are those of what is created; what is found
/// may be closed further, and opened no further than this for writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody: directory 0700, file 0600.
    #[default]
    Private,
    /// The group may read: 0750, 0640.
    GroupRead,
    /// The group may read and write: 2770, 0660.
    GroupWrite,
}

impl Sharing {
    fn directory_mode(self) -> u32 {
        match self {
            Self::Private => 0o700,
            Self::GroupRead => 0o750,
            Self::GroupWrite => 0o2770,
        }
    }

    fn file_mode(self) -> u32 {
        self.directory_mode() & 0o666
    }

    /// The bits of a mode that let somebody write who may not.
    fn refused(self) -> u32 {
        if self == Self::GroupWrite { 0o002 } else { 0o022 }
    }
}

/// Where the store lies and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreLocation {
    /// Absolute. It need not exist.
    pub directory: PathBuf,
    /// Who besides the owner may read or write.
    pub sharing: Sharing,
    /// Nobody writes, by configuration.
    pub read_only: bool,
}

/// Why a place is not used.
#[derive(Debug)]
pub struct Distrust {
    path: PathBuf,
    reason: Reason,
}

/// Why a place is not used.
#[derive(Debug)]
pub enum Reason {
    /// The system refused.
    Io(io::Error),
    /// Its path depends on the working directory.
    Relative,
    /// A symbolic link, which others may lead elsewhere.
    Link,
    /// Something else stands where the directory should be.
    NotADirectory,
    /// Something else stands where the file should be.
    NotAFile,
    /// It belongs to this user, who is neither root nor us.
    Owner(u32),
    /// Others may write it, by this mode.
    Mode(u32),
}

impl Distrust {
    fn new(path: &Path, reason: Reason) -> Self {
        Self { path: path.to_owned(), reason }
    }

    /// Why.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// What the system said, where it refused rather than we.
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.path.display())?;
        match &self.reason {
            Reason::Io(_) => f.write_str("cannot be used"),
            Reason::Relative => f.write_str("is not an absolute path"),
            Reason::Link => f.write_str("is a symbolic link"),
            Reason::NotADirectory => f.write_str("is not a directory"),
            Reason::NotAFile => f.write_str("is not a regular file"),
            Reason::Owner(uid) => write!(f, "belongs to user {uid}, who is neither root nor us"),
            Reason::Mode(mode) => {
                write!(f, "may be written by others (mode {:o})", mode & 0o7777)
            }
        }
    }
}

impl std::error::Error for Distrust {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.io_error().map(|error| error as _)
    }
}

/// Which file it is, whatever its name: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity(u64, u64);

impl StoreLocation {
    /// The place at `directory`, private and writable.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), sharing: Sharing::Private, read_only: false }
    }

    /// The file `name` there, if it exists and nobody could have changed it who may not.
    ///
    /// Nothing is opened: closing a second descriptor of a file that SQLite has open would drop
    /// SQLite's locks (fcntl(2), "Advisory record locking").
    ///
    /// Errors: a relative path; no permission; a symbolic link; an owner other than root and this
    /// user; a mode that lets others write. In a directory shared for writing any member of the
    /// group may own the file.
    pub fn find(&self, name: &str) -> Result<Option<FileIdentity>, Distrust> {
        if self.check_directory()?.is_none() {
            return Ok(None);
        }
        let path = self.directory.join(name);
        let Some(status) = status(&path)? else { return Ok(None) };
        if status.is_symlink() {
            return Err(Distrust::new(&path, Reason::Link));
        }
        if !status.is_file() {
            return Err(Distrust::new(&path, Reason::NotAFile));
        }
        if self.sharing != Sharing::GroupWrite {
            check_owner(&path, &status)?;
        }
        self.check_mode(&path, &status)?;
        Ok(Some(FileIdentity(status.dev(), status.ino())))
    }

    /// The path of `name` there without a symbolic link in it, as SQLITE_OPEN_NOFOLLOW wants it.
    ///
    /// Errors: as realpath(3) of the directory.
    pub fn resolve(&self, name: &str) -> Result<PathBuf, Distrust> {
        let directory = fs::canonicalize(&self.directory)
            .map_err(|error| Distrust::new(&self.directory, Reason::Io(error)))?;
        Ok(directory.join(name))
    }

    /// Makes the directory; fine if it exists.
    ///
    /// Errors: as [`find`](Self::find), and as mkdir(2).
    pub fn prepare(&self) -> Result<(), Distrust> {
        if self.check_directory()?.is_none() {
            self.create_directory()
                .map_err(|error| Distrust::new(&self.directory, Reason::Io(error)))?;
            self.check_directory()?;
        }
        Ok(())
    }

    /// The same, and makes an empty file `name` there; fine if both exist.
    ///
    /// Errors: as [`prepare`](Self::prepare), and as open(2).
    pub fn create(&self, name: &str) -> Result<(), Distrust> {
        self.prepare()?;
        let path = self.directory.join(name);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(self.sharing.file_mode())
            .custom_flags((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed())
            .open(&path);
        let io = |error| Distrust::new(&path, Reason::Io(error));
        match made {
            // Against a umask that takes from a shared store what was granted.
            Ok(file) => file
                .set_permissions(Permissions::from_mode(self.sharing.file_mode()))
                .and_then(|()| sync_directory(&self.directory))
                .map_err(io),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(io(error)),
        }
    }

    /// Whether this user may change the file `name` there, or make it, and make files beside it.
    pub fn is_writable(&self, name: &str) -> bool {
        let exists = |path: &&Path| path.symlink_metadata().is_ok();
        let file = self.directory.join(name);
        // The nearest ancestor that exists decides about what does not exist yet.
        let ancestor = self.directory.ancestors().find(exists);
        !self.read_only
            && self.directory.is_absolute()
            && ancestor.is_some_and(|path| may(path, Access::WRITE_OK | Access::EXEC_OK))
            && (!exists(&file.as_path()) || may(&file, Access::WRITE_OK))
    }

    /// Whether the directory exists and this user may read it.
    pub fn is_readable(&self) -> bool {
        may(&self.directory, Access::READ_OK | Access::EXEC_OK)
    }

    fn check_directory(&self) -> Result<Option<()>, Distrust> {
        let path = &self.directory;
        if !path.is_absolute() {
            return Err(Distrust::new(path, Reason::Relative));
        }
        let Some(status) = status(path)? else { return Ok(None) };
        if status.is_symlink() {
            return Err(Distrust::new(path, Reason::Link));
        }
        if !status.is_dir() {
            return Err(Distrust::new(path, Reason::NotADirectory));
        }
        check_owner(path, &status)?;
        self.check_mode(path, &status)?;
        Ok(Some(()))
    }

    fn check_mode(&self, path: &Path, status: &Metadata) -> Result<(), Distrust> {
        if status.mode() & self.sharing.refused() == 0 {
            Ok(())
        } else {
            Err(Distrust::new(path, Reason::Mode(status.mode())))
        }
    }

    /// The missing directories, each made to last before something is put into it.
    fn create_directory(&self) -> io::Result<()> {
        let missing: Vec<&Path> = self
            .directory
            .ancestors()
            .take_while(|path| path.symlink_metadata().is_err())
            .collect();
        for path in missing.into_iter().rev() {
            let last = path == self.directory;
            let mode = if last { self.sharing.directory_mode() } else { 0o700 };
            match DirBuilder::new().mode(mode).create(path) {
                Ok(()) if last => fs::set_permissions(path, Permissions::from_mode(mode))?,
                Ok(()) => {}
                // Another process was faster; it is checked like any other.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            if let Some(parent) = path.parent() {
                sync_directory(parent)?;
            }
        }
        Ok(())
    }
}

/// Makes the names in a directory last over a power cut.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What `path` itself is, symbolic links not followed; `None` where there is nothing.
fn status(path: &Path) -> Result<Option<Metadata>, Distrust> {
    match path.symlink_metadata() {
        Ok(status) => Ok(Some(status)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Distrust::new(path, Reason::Io(error))),
    }
}

fn check_owner(path: &Path, status: &Metadata) -> Result<(), Distrust> {
    if status.uid() == 0 || status.uid() == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(Distrust::new(path, Reason::Owner(status.uid())))
    }
}

fn may(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_is_created_is_open_to_whom_it_is_shared_with() {
        for (sharing, directory_mode, file_mode) in [
            (Sharing::Private, 0o700, 0o600),
            (Sharing::GroupRead, 0o750, 0o640),
            (Sharing::GroupWrite, 0o2770, 0o660),
        ] {
            let root = tempfile::tempdir().unwrap();
            let directory = root.path().join("share/hierarkey");
            let location = StoreLocation { sharing, ..StoreLocation::new(&directory) };
            assert_eq!(location.find("f").unwrap(), None);
            assert!(location.is_writable("f"));
            location.create("f").unwrap();
            location.create("f").unwrap();
            assert!(location.find("f").unwrap().is_some());
            assert_eq!(mode(&root.path().join("share")), 0o700);
            assert_eq!(mode(&directory), directory_mode);
            assert_eq!(mode(&directory.join("f")), file_mode);
        }
    }

    #[test]
    fn what_others_may_write_is_refused_unless_granted() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("d");
        let private = StoreLocation::new(&directory);
        let shared = StoreLocation { sharing: Sharing::GroupWrite, ..private.clone() };
        private.create("f").unwrap();
        for path in [directory.clone(), directory.join("f")] {
            let before = mode(&path);
            for (extra, private_refuses, shared_refuses) in
                [(0o020, true, false), (0o002, true, true), (0o044, false, false)]
            {
                fs::set_permissions(&path, Permissions::from_mode(before | extra)).unwrap();
                assert_eq!(private.find("f").is_err(), private_refuses, "{path:?} {extra:o}");
                assert_eq!(shared.find("f").is_err(), shared_refuses, "{path:?} {extra:o}");
            }
            fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
        }
    }

    #[test]
    fn symbolic_links_and_relative_paths_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let real = StoreLocation::new(root.path().join("real"));
        real.create("f").unwrap();
        symlink(root.path().join("real"), root.path().join("link")).unwrap();
        symlink(root.path().join("real/f"), root.path().join("real/g")).unwrap();
        assert!(StoreLocation::new(root.path().join("link")).find("f").is_err());
        assert!(real.find("g").is_err());
        assert!(StoreLocation::new("real").find("f").is_err());
        assert!(!StoreLocation::new("real").is_writable("f"));
    }
}
