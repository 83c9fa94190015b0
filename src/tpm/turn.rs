//! Who has an unshared TPM: the turn that processes take, one PKCS#11 call at a time.
//!
//! | file | what |
//! |---|---|
//! | `turn/place.rs` | where the lock files are, who may open them |
//! | `turn/record.rs` | what a lock file says |
//!
//! A turn is an exclusive flock on a file that is named after the TPM's address. While it lasts the
//! file says who has it; when it ends in good order, what stayed loaded. So who comes next knows
//! whether its handles are still its own, somebody else's, or whether the last taker died in its
//! turn and nobody knows.
//!
//! flock belongs to the open file description: two copies of the module in one process exclude each
//! other as two processes do. A forked child shares its parent's. It never touches it, and when it
//! dies or executes another program only its descriptor is closed, which releases nothing while the
//! parent has its own. The parent in turn unlocks in so many words, which holds for all copies.
//! (Only where a parent is killed in a turn during which it forked does the lock stay until the
//! child ends or executes another program too.)

mod place;
mod record;

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_TOKEN_NOT_PRESENT};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Pid, getpid};
use sha2::{Digest, Sha256};

use self::place::Access;
pub(in crate::tpm) use self::place::Places;
use self::record::{NOBODY, RECORD_LEN, Record, Taker};
use crate::error::{Error, Result};
use crate::tpm::link::{Leftovers, Taken};
use crate::tpm::transport::TpmAddress;
use crate::tpm::transport::deadline::{Backoff, Deadline};

/// One link's way into the turns of its TPM.
pub(in crate::tpm) struct Turnstile {
    address: TpmAddress,
    places: Places,
    /// This link's number; drawn with the first turn.
    taker: Option<Taker>,
    /// The lock file, kept open between turns.
    file: Option<OwnedFd>,
    turn: Option<Turn>,
}

/// A turn that was taken and not yet given back.
struct Turn {
    /// The process that took it: a forked child holds a copy that is not its own.
    owner: Pid,
    /// What the lock file said before; none if that could not be read.
    found: Option<Record>,
}

impl Turnstile {
    /// The turns of the TPM at `address`. Nothing is opened yet.
    pub(in crate::tpm) fn new(address: TpmAddress, places: Places) -> Self {
        Self { address, places, taker: None, file: None, turn: None }
    }

    /// Whether this link has the turn.
    pub(in crate::tpm) fn inside(&self) -> bool {
        self.turn.is_some()
    }

    /// Waits for the turn and takes it.
    ///
    /// Errors: `CKR_TOKEN_NOT_PRESENT` where there is no TPM at the address; `CKR_DEVICE_ERROR` if
    /// the turn does not come in time or the lock file fails.
    pub(in crate::tpm) fn enter(&mut self, deadline: Deadline) -> Result<Taken> {
        if self.turn.is_some() {
            // A panic came between its beginning and whoever gives it back.
            self.leave_in_disorder();
        }
        let me = self.taker()?;
        let mut file = self.locked(deadline)?;
        match take_over(&mut file, me) {
            Ok(found) => {
                let taken = match &found {
                    Some(Record { taker, ended: Some(_) }) if *taker == me => Taken::StillMine,
                    Some(Record { ended: Some(leftovers), .. }) => Taken::Others(leftovers.clone()),
                    Some(Record { ended: None, .. }) | None => Taken::Unknown,
                };
                self.file = Some(file);
                self.turn = Some(Turn { owner: getpid(), found });
                Ok(taken)
            }
            Err(errno) => {
                unlock(&file);
                Err(Error::because(CKR_DEVICE_ERROR, "the record of the TPM's turns", errno))
            }
        }
    }

    /// Ends the turn in good order; `leftovers` stay loaded.
    pub(in crate::tpm) fn leave(&mut self, leftovers: &Leftovers) {
        self.end(|me, _| Some(Record { taker: me, ended: Some(leftovers.clone()) }));
    }

    /// Ends the turn without a word on what stayed loaded: the next taker has to look.
    pub(in crate::tpm) fn leave_in_disorder(&mut self) {
        self.end(|_, _| None);
    }

    /// Ends a turn in which the TPM was not reached: everything is as it was found.
    pub(in crate::tpm) fn withdraw(&mut self) {
        self.end(|_, found| found);
    }

    /// Writes the last word on a turn, if there is one, and lets the next taker in.
    fn end(&mut self, last_word: impl FnOnce(Taker, Option<Record>) -> Option<Record>) {
        let (Some(turn), Some(file)) = (self.turn.take(), &self.file) else { return };
        if turn.owner != getpid() {
            return;
        }
        if let Some(record) = last_word(self.taker.unwrap_or(NOBODY), turn.found)
            && let Err(errno) = write(file, &record)
        {
            log::warn!("the TPM's turn ends without a record: {errno}");
        }
        unlock(file);
    }

    fn taker(&mut self) -> Result<Taker> {
        if let Some(taker) = self.taker {
            return Ok(taker);
        }
        let mut drawn = NOBODY;
        getrandom::fill(&mut drawn)?;
        self.taker = Some(drawn);
        Ok(drawn)
    }

    /// The lock file, opened if need be, and locked.
    fn locked(&mut self, deadline: Deadline) -> Result<OwnedFd> {
        let failed = |errno| Error::because(CKR_DEVICE_ERROR, "locking the TPM's turns", errno);
        let mut backoff = Backoff::until(deadline);
        loop {
            let file = match self.file.take() {
                Some(file) => file,
                None => {
                    let (name, access) = identity(&self.address)?;
                    let first = Record { taker: NOBODY, ended: Some(Leftovers::default()) };
                    self.places.open(&name, access, &first.to_bytes())?
                }
            };
            // Not the blocking call: it has no time limit but a signal, and those are the host's.
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    let status = rustix::fs::fstat(&file).map_err(failed)?;
                    if status.st_nlink != 0 {
                        return Ok(file);
                    }
                    // Somebody tidied up; others lock another file of that name by now.
                    drop(file);
                }
                Err(Errno::WOULDBLOCK) => self.file = Some(file),
                Err(Errno::INTR) => self.file = Some(file),
                Err(errno) => return Err(failed(errno)),
            }
            if !backoff.pause() {
                return Err(Error::new(CKR_DEVICE_ERROR, "another process keeps the TPM"));
            }
        }
    }
}

impl Drop for Turnstile {
    /// A turn that nobody gave back ends as its taker's death would end it.
    fn drop(&mut self) {
        self.leave_in_disorder();
    }
}

/// Reads what the last taker wrote and says that `me` has the turn now.
fn take_over(file: &mut OwnedFd, me: Taker) -> rustix::io::Result<Option<Record>> {
    // One byte more than a record has, so that a longer file does not look like one.
    let mut bytes = [0; RECORD_LEN + 1];
    let read = rustix::io::retry_on_intr(|| rustix::io::pread(&*file, &mut bytes[..], 0))?;
    let found = bytes.get(..read).and_then(Record::from_bytes);
    if found.is_none() {
        rustix::fs::ftruncate(&*file, 0)?;
    }
    write(file, &Record { taker: me, ended: None })?;
    Ok(found)
}

/// One write of one size at one place: a reader finds the old record or the new one.
fn write(file: &OwnedFd, record: &Record) -> rustix::io::Result<()> {
    let bytes = record.to_bytes();
    match rustix::io::retry_on_intr(|| rustix::io::pwrite(file, &bytes, 0))? {
        written if written == bytes.len() => Ok(()),
        _ => Err(Errno::NOSPC),
    }
}

fn unlock(file: &OwnedFd) {
    if let Err(errno) = rustix::fs::flock(file, FlockOperation::Unlock) {
        log::warn!("unlocking the TPM's turns: {errno}");
    }
}

/// The name of a TPM's lock file, the same for every spelling of its path, and who may open it.
fn identity(address: &TpmAddress) -> Result<(String, Access)> {
    let by_path = |path: &Path| -> Result<(Vec<u8>, Access)> {
        let looked_at = path.canonicalize().and_then(|path| Ok((path.metadata()?, path)));
        let (node, path) = looked_at.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(CKR_TOKEN_NOT_PRESENT, "no TPM at its address"),
            _ => Error::because(CKR_TOKEN_NOT_PRESENT, "the TPM's address leads nowhere", error),
        })?;
        Ok(([b"path:", path.as_os_str().as_bytes()].concat(), Access::of(&node)))
    };
    let (text, access) = match address {
        TpmAddress::Device(path) | TpmAddress::SwtpmUnix(path) => by_path(path)?,
        TpmAddress::SwtpmTcp { host, port } => {
            let host = if host == "localhost" { "127.0.0.1" } else { host };
            (format!("tcp:{}:{port}", host.to_ascii_lowercase()).into_bytes(), Access::ANYBODY)
        }
        TpmAddress::DefaultDevice | TpmAddress::Tabrmd { .. } => {
            return Err(Error::bug("a TPM behind a resource manager has no turns"));
        }
    };
    let digest = Sha256::digest(&text);
    let (half, _) = digest.split_at(16);
    Ok((format!("turn-{}", hex::encode(half)), access))
}

#[cfg(test)]
mod tests;
