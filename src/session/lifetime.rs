//! From C_OpenSession to C_CloseSession, and what dies with a session or a login: its objects, their
//! handles, and their keys in the TPM.

use std::sync::atomic::Ordering;

use cryptoki_sys::{
    CK_FLAGS, CK_SESSION_HANDLE, CK_SLOT_ID, CK_ULONG, CKF_ASYNC_SESSION, CKF_RW_SESSION,
    CKF_SERIAL_SESSION, CKR_ARGUMENTS_BAD, CKR_SESSION_ASYNC_NOT_SUPPORTED,
    CKR_SESSION_PARALLEL_NOT_SUPPORTED,
};

use crate::error::{Error, Result};
use crate::object::ObjectKey;
use crate::provider::Provider;
use crate::session::object::SessionObject;
use crate::session::table::{Closed, Table};
use crate::slot::{hierarchy_of, slot_of};
use crate::store::TokenId;
use crate::tpm::{Blob, Hierarchy, Tpm};

impl Provider {
    /// PKCS#11 v3.1, C_OpenSession. Sends no TPM command.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`, `CKR_SESSION_PARALLEL_NOT_SUPPORTED` (no CKF_SERIAL_SESSION),
    /// `CKR_SESSION_ASYNC_NOT_SUPPORTED`, `CKR_ARGUMENTS_BAD` (unknown flags),
    /// `CKR_TOKEN_NOT_PRESENT`, `CKR_TOKEN_NOT_RECOGNIZED`, `CKR_SESSION_COUNT`,
    /// `CKR_SESSION_READ_WRITE_SO_EXISTS`.
    pub fn open_session(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Result<CK_SESSION_HANDLE> {
        let hierarchy = hierarchy_of(slot)?;
        if flags & CKF_SERIAL_SESSION == 0 {
            let why = "CKF_SERIAL_SESSION is not set";
            return Err(Error::new(CKR_SESSION_PARALLEL_NOT_SUPPORTED, why));
        }
        if flags & CKF_ASYNC_SESSION != 0 {
            return Err(Error::new(CKR_SESSION_ASYNC_NOT_SUPPORTED, "calls are synchronous here"));
        }
        if flags & !(CKF_SERIAL_SESSION | CKF_RW_SESSION) != 0 {
            return Err(Error::new(CKR_ARGUMENTS_BAD, "unknown session flags"));
        }
        self.check_present(hierarchy)?;
        self.table.lock().open(hierarchy, flags & CKF_RW_SESSION != 0)
    }

    /// PKCS#11 v3.1, C_CloseSession.
    ///
    /// Errors: `CKR_SESSION_HANDLE_INVALID`.
    pub fn close_session(&self, handle: CK_SESSION_HANDLE) -> Result<()> {
        let hierarchy = self.table.lock().get(handle)?.hierarchy;
        self.close(hierarchy, |table| table.close(handle))
    }

    /// PKCS#11 v3.1, C_CloseAllSessions.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`. A slot whose token is gone may have sessions to close.
    pub fn close_all_sessions(&self, slot: CK_SLOT_ID) -> Result<()> {
        let hierarchy = hierarchy_of(slot)?;
        self.close(hierarchy, |table| Ok(table.close_all(hierarchy)))
    }

    /// Closes the sessions that `take` takes out, and destroys what dies with them, once the calls
    /// still running in them are done: what such a call makes dies as well.
    pub(crate) fn close(
        &self,
        hierarchy: Hierarchy,
        take: impl FnOnce(&mut Table) -> Result<Closed>,
    ) -> Result<()> {
        let (cells, private) = {
            let mut table = self.table.lock();
            let Closed { cells, logged_out } = take(&mut table)?;
            (cells, if logged_out { self.drop_private(hierarchy) } else { Vec::new() })
        };
        self.forget_keys(&private);
        for cell in &cells {
            *cell.state.lock() = Default::default();
        }
        let owners: Vec<_> = cells.iter().map(|cell| cell.handle).collect();
        let own = self.drop_session_objects(hierarchy, |object| owners.contains(&object.owner));
        self.forget_keys(&own);
        Ok(())
    }

    /// PKCS#11 v3.1, C_Logout, for all sessions of the application on a slot; whether somebody was
    /// in.
    pub(crate) fn log_out(&self, hierarchy: Hierarchy) -> bool {
        self.log_out_where(hierarchy, |_| true)
    }

    /// The same where somebody is logged in to `token`.
    pub(crate) fn log_out_of(&self, hierarchy: Hierarchy, token: TokenId) -> bool {
        self.log_out_where(hierarchy, |table| table.token(hierarchy) == Some(token))
    }

    fn log_out_where(&self, hierarchy: Hierarchy, ends: impl FnOnce(&Table) -> bool) -> bool {
        let private = {
            let mut table = self.table.lock();
            if !ends(&table) || !table.log_out(hierarchy) {
                return false;
            }
            self.drop_private(hierarchy)
        };
        self.forget_keys(&private);
        true
    }

    /// ulSessionCount and ulRwSessionCount of a slot.
    pub(crate) fn session_counts(&self, hierarchy: Hierarchy) -> (CK_ULONG, CK_ULONG) {
        let table = self.table.lock();
        table.on(hierarchy).fold((0, 0), |(all, read_write), cell| {
            (all + 1, read_write + CK_ULONG::from(cell.read_write))
        })
    }

    /// Adds an object of a session; its id among session objects.
    pub(crate) fn add_session_object(&self, object: SessionObject) -> u64 {
        let id = self.last_session_object.fetch_add(1, Ordering::Relaxed);
        self.session_objects.lock().insert(id, object);
        id
    }

    /// A logout: private handles become invalid for good, private session objects are destroyed.
    /// Gives the keys that went. The caller has the table still locked: whoever logs in next loses
    /// nothing of their own.
    fn drop_private(&self, hierarchy: Hierarchy) -> Vec<Blob> {
        self.handles.lock().drop_private(slot_of(hierarchy));
        self.drop_session_objects(hierarchy, |object| object.attributes.is_private())
    }

    fn drop_session_objects(
        &self,
        hierarchy: Hierarchy,
        mut goes: impl FnMut(&SessionObject) -> bool,
    ) -> Vec<Blob> {
        let mut blobs = Vec::new();
        let mut gone = Vec::new();
        self.session_objects.lock().retain(|id, object| {
            let stays = object.hierarchy != hierarchy || !goes(object);
            if !stays {
                gone.push(*id);
                blobs.extend(object.key.take().map(|key| key.blob));
            }
            stays
        });
        let mut handles = self.handles.lock();
        for id in gone {
            handles.drop_object(slot_of(hierarchy), ObjectKey::Session(id));
        }
        blobs
    }

    /// Lets go of keys that may still be loaded in the TPM.
    pub(crate) fn forget_keys(&self, blobs: &[Blob]) {
        if blobs.is_empty() {
            return;
        }
        match self.engine.turn() {
            Ok(mut turn) => blobs.iter().for_each(|blob| turn.forget(blob)),
            Err(error) => log::debug!("keys stay loaded: {error}"),
        }
    }
}
