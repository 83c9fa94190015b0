//! The file: found, trusted, opened, created; one transaction for each call.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use cryptoki_sys::{CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED, CKR_TOKEN_WRITE_PROTECTED};
use log::Level;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::in_flight::InFlight;
use super::migrate::{self, MIGRATIONS, Version};
use super::{FILE, ObjectId, error};
use crate::error::{About, Error, Result};
use crate::os::directory::{FileIdentity, StoreLocation};

/// How long a call waits for the transactions of others.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A store, opened when it is first asked, created when it is first written.
///
/// Each method is one transaction and sees what every process committed before it. A store that
/// does not exist reads as empty.
///
/// In a forked child the parent's store is neither used nor dropped: `mem::forget` it.
///
/// Errors that all methods share: `CKR_TOKEN_NOT_PRESENT` (the file cannot be read, or others could
/// have written it), `CKR_TOKEN_NOT_RECOGNIZED` (damaged, not ours, or of a newer version),
/// `CKR_FUNCTION_FAILED` (others kept the store busy for 10 s), `CKR_DEVICE_ERROR` (the disk
/// failed), `CKR_HOST_MEMORY`. Methods that write: also `CKR_TOKEN_WRITE_PROTECTED` (no permission,
/// or by configuration) and `CKR_DEVICE_MEMORY` (the disk is full). After an error nothing was
/// changed.
pub struct Store {
    location: StoreLocation,
    open: Option<Open>,
    /// How often the file was opened: the high half of [`Store::data_version`].
    opened: u32,
    /// What the log was told last about the file, so that it is told once.
    complaint: Option<String>,
    /// Which rows the log was told about.
    pub(super) told: BTreeSet<ObjectId>,
}

struct Open {
    db: Connection,
    identity: FileIdentity,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Store {
    /// The store at `location`. Touches nothing.
    pub fn new(location: StoreLocation) -> Self {
        Self { location, open: None, opened: 0, complaint: None, told: BTreeSet::new() }
    }

    /// The directory it lies in.
    pub fn directory(&self) -> &std::path::Path {
        &self.location.directory
    }

    /// Whether this user may write, as far as permissions tell.
    ///
    /// Errors: `CKR_TOKEN_NOT_PRESENT` when the place is not to be trusted.
    pub fn writable(&mut self) -> Result<bool> {
        self.location.find(FILE).map_err(error::distrusted)?;
        Ok(self.location.is_writable(FILE))
    }

    /// A number that is another one after another process or `Store` changed anything; whether
    /// this one's own writes change it is left open. 0 where there is no store.
    pub fn data_version(&mut self) -> Result<u64> {
        let read = self.reading(|tx| {
            let version: u32 =
                tx.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
            Ok(version)
        })?;
        Ok(read.map_or(0, |version| (u64::from(self.opened) << 32) | u64::from(version)))
    }

    /// The version of the tables, brought up to date where that is allowed; `None` where there is
    /// no store.
    ///
    /// Errors: as [`Store`] says.
    pub fn version(&mut self) -> Result<Option<u32>> {
        self.reading(|tx| {
            Ok(tx.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?)
        })
    }

    /// Runs `call` in a transaction that reads; `None` where there is no store.
    pub(super) fn reading<R>(
        &mut self,
        call: impl FnOnce(&Transaction<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        self.guarded(|store| store.try_reading(call))
    }

    /// Runs `call` in a transaction that writes, and commits it if `call` succeeds.
    pub(super) fn writing<R>(
        &mut self,
        call: impl FnOnce(&Transaction<'_>) -> Result<R>,
    ) -> Result<R> {
        self.guarded(|store| store.try_writing(call))
    }

    /// After a failure the next call begins with a fresh connection, and the log hears once of a
    /// file that cannot be used.
    fn guarded<R>(&mut self, call: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let _in_flight = InFlight::enter()?;
        let result = call(self);
        if let Err(failure) = &result {
            self.open = None;
            if [CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED].contains(&failure.ck_rv()) {
                self.complain(Level::Error, failure.to_string());
            }
        }
        result
    }

    fn complain(&mut self, level: Level, complaint: String) {
        if self.complaint.as_ref() != Some(&complaint) {
            log::log!(level, "{}: {complaint}", self.location.directory.display());
            self.complaint = Some(complaint);
        }
    }

    fn try_reading<R>(
        &mut self,
        call: impl FnOnce(&Transaction<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        let writable = !self.location.read_only;
        let Some(db) = self.connection()? else { return Ok(None) };
        let mut tx = db.transaction()?;
        if let Version::Older(done) = migrate::version(&tx, MIGRATIONS)? {
            drop(tx);
            if !writable || db.is_readonly("main")? {
                return Err(Error::new(
                    CKR_TOKEN_NOT_RECOGNIZED,
                    format!("store version {done} is to be brought up by who may write it"),
                ));
            }
            migrate::to_latest(db, MIGRATIONS)?;
            tx = db.transaction()?;
        }
        match migrate::version(&tx, MIGRATIONS)? {
            Version::Current => {
                let read = call(&tx)?;
                // Nothing was written; in a damaged file a commit would fail all the same.
                drop(tx);
                Ok(Some(read))
            }
            // Another process made the file and is about to fill it.
            Version::Empty | Version::Older(_) => Ok(None),
        }
    }

    fn try_writing<R>(&mut self, call: impl FnOnce(&Transaction<'_>) -> Result<R>) -> Result<R> {
        if self.location.read_only {
            let why = "the store is read-only by configuration";
            return Err(Error::new(CKR_TOKEN_WRITE_PROTECTED, why));
        }
        if self.location.find(FILE).map_err(error::distrusted)?.is_none() {
            self.location.create(FILE).map_err(error::not_created)?;
        }
        // Permissions may have changed since the file was opened.
        if self.open.as_ref().is_some_and(|open| open.db.is_readonly("main").unwrap_or(true)) {
            self.open = None;
        }
        let Some(db) = self.connection()? else {
            let why = "the store was taken away";
            return Err(Error::new(CKR_TOKEN_NOT_PRESENT, why).concerning(About::Store));
        };
        if db.is_readonly("main")? {
            let why = "this user may not write the store";
            return Err(Error::new(CKR_TOKEN_WRITE_PROTECTED, why));
        }
        let mut tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if migrate::version(&tx, MIGRATIONS)? != Version::Current {
            drop(tx);
            migrate::to_latest(db, MIGRATIONS)?;
            tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        }
        let written = call(&tx)?;
        tx.commit()?;
        Ok(written)
    }

    /// The connection to the file that has the name now; `None` where there is no file.
    fn connection(&mut self) -> Result<Option<&mut Connection>> {
        let Some(identity) = self.location.find(FILE).map_err(error::distrusted)? else {
            self.open = None;
            // No failure, but what somebody has to read whose disk does not open.
            self.complain(Level::Warn, String::from("there is no store, and so no token"));
            return Ok(None);
        };
        if self.open.as_ref().is_none_or(|open| open.identity != identity) {
            self.open = None;
            let path = self.location.resolve(FILE).map_err(error::distrusted)?;
            // SQLite itself falls back to reading where the file may not be written. It must not
            // create: the file is made with a mode of ours.
            let mode = if self.location.read_only {
                OpenFlags::SQLITE_OPEN_READ_ONLY
            } else {
                OpenFlags::SQLITE_OPEN_READ_WRITE
            };
            let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
            let db = Connection::open_with_flags(path, flags).map_err(error::unreachable)?;
            configure(&db)?;
            self.opened = self.opened.wrapping_add(1);
            self.open = Some(Open { db, identity });
        }
        Ok(self.open.as_mut().map(|open| &mut open.db))
    }
}

/// How SQLite treats a file that an attacker may have written, and how it makes changes last.
fn configure(db: &Connection) -> Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(32);
    for (switch, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        // There are none of ours.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        db.set_db_config(switch, on)?;
    }
    // EXTRA, because FULL does not sync the directory after the journal is deleted: a power cut
    // then could bring the journal back and undo what was acknowledged.
    db.execute_batch(
        "PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = ON;
         PRAGMA mmap_size = 0;
         PRAGMA synchronous = EXTRA;",
    )?;
    // Only after a first read does SQLite know the mode that the file is in.
    let _application: i64 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if !db.is_readonly("main")? {
        let _mode: String = db.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    }
    Ok(())
}
