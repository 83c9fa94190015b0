//! Two of these programs that look whether a name is free, and then take it, would both find it free:
//! they take turns. Other programs ask no such question and are not held up.

use std::fs::File;

use hierarkey::admin::Admin;
use rustix::fs::{FlockOperation, flock};

/// The only `hierarkey` that changes a store. It waits for nobody but those who make a change now:
/// secrets are asked for before it.
pub struct Turn {
    _directory: Option<File>,
}

impl Turn {
    /// The same for what makes a store where there is none: its directory is there first, so that two
    /// who begin at once have something to take turns by. Where it cannot be made, the change itself
    /// says so.
    pub fn of_a_first_token(admin: &Admin) -> Self {
        let (location, _) = admin.store_location();
        if !location.read_only {
            let _ = location.prepare();
        }
        Self::take(admin)
    }

    /// Waits for it. Where there is no store yet, or none that may be read, there is nothing to wait
    /// for: the change itself fails.
    pub fn take(admin: &Admin) -> Self {
        let directory = File::open(admin.store_directory()).ok();
        let _directory =
            directory.filter(|directory| flock(directory, FlockOperation::LockExclusive).is_ok());
        Self { _directory }
    }
}
