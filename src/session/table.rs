//! The application's sessions, and who is logged in to which slot: one short lock over both, so
//! that closing the last session and logging out are one step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki_sys::{
    CK_SESSION_HANDLE, CKR_SESSION_COUNT, CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_READ_WRITE_SO_EXISTS,
};

use crate::error::{Error, Result};
use crate::os::lock::Lock;
use crate::session::Session;
use crate::store::TokenId;
use crate::token::{Login, OfficerLogin};
use crate::tpm::Hierarchy;

/// Most sessions an application may have open.
const MAX_SESSIONS: usize = 65_536;

/// An open session: what never changes, and its state behind its own lock.
pub struct SessionCell {
    /// Its handle.
    pub handle: CK_SESSION_HANDLE,
    /// The slot it is on.
    pub hierarchy: Hierarchy,
    /// Whether it was opened read/write.
    pub read_write: bool,
    /// Set once it is closed; whoever still waits for its lock finds it so.
    closed: AtomicBool,
    /// Its operations.
    pub state: Lock<Session>,
}

impl SessionCell {
    /// Whether it has been closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// The login to one slot. `epoch` counts logouts: what was begun under another one is over.
#[derive(Clone, Default)]
pub struct SlotLogin {
    /// Who is in.
    pub who: Login,
    /// How often somebody was logged out.
    pub epoch: u64,
}

/// Sessions and logins of the application.
#[derive(Default)]
pub struct Table {
    last: CK_SESSION_HANDLE,
    sessions: BTreeMap<CK_SESSION_HANDLE, Arc<SessionCell>>,
    logins: BTreeMap<Hierarchy, SlotLogin>,
}

impl Table {
    /// Opens a session. Handles are never 0 and never used again.
    ///
    /// Errors: `CKR_SESSION_COUNT`; `CKR_SESSION_READ_WRITE_SO_EXISTS` for a read-only session
    /// beside the security officer.
    pub fn open(&mut self, hierarchy: Hierarchy, read_write: bool) -> Result<CK_SESSION_HANDLE> {
        if self.sessions.len() >= MAX_SESSIONS {
            return Err(Error::new(CKR_SESSION_COUNT, "65 536 sessions are open"));
        }
        if !read_write && matches!(self.login(hierarchy).who, Login::SecurityOfficer(_)) {
            return Err(Error::new(
                CKR_SESSION_READ_WRITE_SO_EXISTS,
                "the security officer is logged in",
            ));
        }
        let handle = self
            .last
            .checked_add(1)
            .ok_or_else(|| Error::new(CKR_SESSION_COUNT, "session handles are used up"))?;
        self.last = handle;
        self.sessions.insert(
            handle,
            Arc::new(SessionCell {
                handle,
                hierarchy,
                read_write,
                closed: AtomicBool::new(false),
                state: Lock::new(Session::default()),
            }),
        );
        Ok(handle)
    }

    /// The open session `handle`.
    ///
    /// Errors: `CKR_SESSION_HANDLE_INVALID`.
    pub fn get(&self, handle: CK_SESSION_HANDLE) -> Result<&Arc<SessionCell>> {
        self.sessions
            .get(&handle)
            .ok_or_else(|| Error::new(CKR_SESSION_HANDLE_INVALID, "no such session"))
    }

    /// Takes `handle` out and marks it closed; the last one of its slot logs out.
    ///
    /// Errors: `CKR_SESSION_HANDLE_INVALID`.
    pub fn close(&mut self, handle: CK_SESSION_HANDLE) -> Result<Closed> {
        let cell = self
            .sessions
            .remove(&handle)
            .ok_or_else(|| Error::new(CKR_SESSION_HANDLE_INVALID, "no such session"))?;
        cell.closed.store(true, Ordering::Release);
        let logged_out = self.on(cell.hierarchy).next().is_none() && self.log_out(cell.hierarchy);
        Ok(Closed { cells: vec![cell], logged_out })
    }

    /// Takes every session of `hierarchy` out, marks them closed and logs out.
    pub fn close_all(&mut self, hierarchy: Hierarchy) -> Closed {
        let handles: Vec<_> = self.on(hierarchy).map(|cell| cell.handle).collect();
        let cells: Vec<_> =
            handles.iter().filter_map(|handle| self.sessions.remove(handle)).collect();
        for cell in &cells {
            cell.closed.store(true, Ordering::Release);
        }
        Closed { cells, logged_out: self.log_out(hierarchy) }
    }

    /// The open sessions of a slot.
    pub fn on(&self, hierarchy: Hierarchy) -> impl Iterator<Item = &Arc<SessionCell>> {
        self.sessions.values().filter(move |cell| cell.hierarchy == hierarchy)
    }

    /// Who is in on a slot.
    pub fn login(&self, hierarchy: Hierarchy) -> SlotLogin {
        self.logins.get(&hierarchy).cloned().unwrap_or_default()
    }

    /// Which token somebody is logged in to on a slot.
    pub fn token(&self, hierarchy: Hierarchy) -> Option<TokenId> {
        self.logins.get(&hierarchy).and_then(|login| login.who.token())
    }

    /// Lets `who` in.
    pub fn log_in(&mut self, hierarchy: Hierarchy, who: Login) {
        self.logins.entry(hierarchy).or_default().who = who;
    }

    /// The officer's authValue changed: who is in goes on with the new one.
    pub fn renew_officer(&mut self, hierarchy: Hierarchy, officer: OfficerLogin) {
        let login = self.logins.entry(hierarchy).or_default();
        if matches!(login.who, Login::SecurityOfficer(_)) {
            login.who = Login::SecurityOfficer(Arc::new(officer));
        }
    }

    /// Logs out whoever is in; whether somebody was.
    pub fn log_out(&mut self, hierarchy: Hierarchy) -> bool {
        let login = self.logins.entry(hierarchy).or_default();
        if matches!(login.who, Login::Public) {
            return false;
        }
        login.who = Login::Public;
        login.epoch = login.epoch.wrapping_add(1);
        true
    }
}

/// What a close took out of the table.
pub struct Closed {
    /// The sessions.
    pub cells: Vec<Arc<SessionCell>>,
    /// Whether somebody was logged out by it.
    pub logged_out: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_never_used_again_and_the_last_close_logs_out() {
        let mut table = Table::default();
        let first = table.open(Hierarchy::Owner, true).unwrap();
        let second = table.open(Hierarchy::Owner, false).unwrap();
        let other = table.open(Hierarchy::Null, false).unwrap();
        let user = Login::SecurityOfficer(Arc::new(OfficerLogin {
            token: TokenId([0; 16]),
            auth: crate::tpm::Auth::empty(),
        }));
        table.log_in(Hierarchy::Owner, user);
        assert!(!table.close(first).unwrap().logged_out);
        assert!(table.close(first).is_err());
        assert!(table.close(second).unwrap().logged_out);
        assert_eq!(table.login(Hierarchy::Owner).epoch, 1);
        assert!(table.open(Hierarchy::Owner, true).unwrap() > other);
        assert_eq!(table.close_all(Hierarchy::Null).cells.len(), 1);
    }
}
