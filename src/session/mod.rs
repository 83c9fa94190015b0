//! LAYER 2: sessions and the operations in them. One file is one heading of the specification, as
//! in `ffi/`.
//!
//! | file | what |
//! |---|---|
//! | `lifetime.rs` | from `C_OpenSession` to `C_CloseSession`; what dies with a session or a login |
//! | `table.rs` | the application's sessions and logins |
//! | `state.rs` | CK_STATE, derived |
//! | `kind.rs` | which operations may stand together |
//! | `operation.rs` | what begins and ends an operation, where results go |
//! | `key.rs` | from a key handle to a key an operation may use |
//! | `login.rs` | `C_Login`, `C_Logout`, the PIN functions |
//! | `approval.rs` | the PIN for each use of a key: context-specific login |
//! | `object.rs`, `search.rs` | object management |
//! | `draft.rs` | objects about to come into being |
//! | `described.rs` | the profile and mechanism objects |
//! | `signing.rs`, `verifying.rs`, `encryption.rs`, `decryption.rs`, `digesting.rs` | cryptography |
//! | `message.rs`, `message_encryption.rs` | many messages signed or verified, encrypted or decrypted with one key |
//! | `saved_state.rs` | operations saved and restored |
//! | `encapsulation.rs` | keys that a public key makes for its private one |
//! | `wrapping.rs` `deriving.rs` | keys under other keys; keys derived from others |
//! | `dual.rs` | two operations fed by one call |
//! | `key_management.rs`, `random.rs` | new keys, random bytes |
//! | `import.rs` | private keys from outside |

mod approval;
mod decryption;
mod deriving;
mod described;
mod digesting;
mod draft;
mod dual;
mod encapsulation;
mod encryption;
mod import;
pub mod key;
mod key_management;
pub mod kind;
mod lifetime;
mod login;
mod message;
mod message_encryption;
pub mod object;
pub mod operation;
mod random;
pub(crate) mod saved_state;
mod search;
mod signing;
pub mod state;
pub mod table;
mod verifying;
mod wrapping;

use std::sync::{Arc, MutexGuard as Guard};

use cryptoki_sys::{
    CK_FLAGS, CK_SESSION_INFO, CK_SESSION_VALIDATION_FLAGS_TYPE, CKF_RW_SESSION,
    CKF_SERIAL_SESSION, CKR_ARGUMENTS_BAD, CKR_OPERATION_ACTIVE, CKS_LAST_VALIDATION_OK,
};

use crate::error::{Error, Result};
use crate::mechanism::{Digesting, Recovering};
use crate::provider::Provider;
use crate::session::approval::Approval;
use crate::session::key::BoundKey;
use crate::session::kind::Kind;
use crate::session::message::Messages;
use crate::session::operation::{Active, Operation, Place};
use crate::session::table::{SessionCell, SlotLogin};
use crate::slot::slot_of;

impl Operation for Digesting {}

impl Operation for Recovering {}

/// What a session holds between calls.
#[derive(Default)]
pub struct Session {
    encrypting: Active<encryption::Encryption>,
    decrypting: Active<decryption::Decryption>,
    encrypting_messages: Messages<message_encryption::Encryption>,
    decrypting_messages: Messages<message_encryption::Decryption>,
    digesting: Active<Digesting>,
    signing: Active<signing::Signature>,
    signing_recoverably: Active<signing::Signature>,
    signing_messages: Messages<signing::Signature>,
    verifying: Active<verifying::Verification>,
    verifying_known: Active<verifying::KnownSignature>,
    verifying_messages: Messages<verifying::Verification>,
    recovering: Active<Recovering>,
    searching: Active<search::Search>,
    device_error: u32,
}

impl Session {
    /// Where the operations of `kind` are.
    fn place(&mut self, kind: Kind) -> &mut dyn Place {
        match kind {
            Kind::Encrypt => &mut self.encrypting,
            Kind::Decrypt => &mut self.decrypting,
            Kind::Digest => &mut self.digesting,
            Kind::Sign => &mut self.signing,
            Kind::SignRecover => &mut self.signing_recoverably,
            Kind::Verify => &mut self.verifying,
            Kind::VerifyRecover => &mut self.recovering,
            Kind::VerifySignature => &mut self.verifying_known,
            Kind::MessageEncrypt => &mut self.encrypting_messages,
            Kind::MessageDecrypt => &mut self.decrypting_messages,
            Kind::MessageSign => &mut self.signing_messages,
            Kind::MessageVerify => &mut self.verifying_messages,
            Kind::Search => &mut self.searching,
        }
    }

    fn is_active(&mut self, kind: Kind) -> bool {
        self.place(kind).is_active()
    }

    fn cancel(&mut self, kind: Kind) -> bool {
        self.place(kind).cancel()
    }

    /// The key of an active operation that asks for the PIN at each use. Operations that stand
    /// together have one such key at most.
    fn key_with_approval(&mut self) -> Option<&mut BoundKey> {
        let asks = |key: &mut BoundKey| !matches!(key.approval, Approval::NotNeeded);
        let kind = Kind::ALL.into_iter().find(|kind| self.place(*kind).key().is_some_and(asks))?;
        self.place(kind).key()
    }

    /// Ends what was begun with a private object before somebody logged out.
    fn end_stale(&mut self, epoch: u64) {
        for kind in Kind::ALL {
            let place = self.place(kind);
            if place.key().is_some_and(|key| key.is_stale(epoch)) {
                place.cancel();
            }
        }
    }
}

/// One PKCS#11 call in one session: the session is locked until it returns.
pub struct Call<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) cell: &'a Arc<SessionCell>,
    pub(crate) session: Guard<'a, Session>,
    /// Who was in when the call began.
    pub(crate) login: SlotLogin,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        provider: &'a Provider,
        cell: &'a Arc<SessionCell>,
        mut session: Guard<'a, Session>,
        login: SlotLogin,
    ) -> Self {
        session.end_stale(login.epoch);
        Self { provider, cell, session, login }
    }

    /// What `C_GetSessionInfo` says. `ulDeviceError` is the last TPM_RC this session met.
    pub fn info(&self) -> Result<CK_SESSION_INFO> {
        let login = self.login_now();
        Ok(CK_SESSION_INFO {
            slotID: slot_of(self.cell.hierarchy),
            state: state::state(&login.who, self.cell.read_write),
            flags: CKF_SERIAL_SESSION | if self.cell.read_write { CKF_RW_SESSION } else { 0 },
            ulDeviceError: self.session.device_error.into(),
        })
    }

    /// Who is in now, to the token that is in the slot now: another process may have made it anew. A
    /// token that cannot be looked at is taken for the one it was.
    fn login_now(&self) -> SlotLogin {
        let hierarchy = self.cell.hierarchy;
        if self.login.who.token().is_some()
            && let Err(error) = self.provider.token(hierarchy)
        {
            log::debug!("who is logged in: {error}");
        }
        self.provider.table.lock().login(hierarchy)
    }

    /// Ends the operations that `flags` names; those that are not active are ignored.
    /// PKCS#11 v3.1, C_SessionCancel.
    pub fn cancel(&mut self, flags: CK_FLAGS) {
        for kind in Kind::ALL {
            if flags & kind.flag() != 0 {
                self.session.cancel(kind);
            }
        }
    }

    /// What validation the last operation met: this module was validated by nobody.
    ///
    /// PKCS#11 v3.2, C_GetSessionValidationFlags. Errors: `CKR_ARGUMENTS_BAD` for flags that are
    /// not defined.
    pub fn validation_flags(&self, which: CK_SESSION_VALIDATION_FLAGS_TYPE) -> Result<CK_FLAGS> {
        if which == CKS_LAST_VALIDATION_OK {
            return Ok(0);
        }
        Err(Error::new(CKR_ARGUMENTS_BAD, "validation flags that are not defined"))
    }

    /// Remembers what the TPM answered, for `C_GetSessionInfo`.
    pub(crate) fn note(&mut self, error: &Error) {
        if let Some(rc) = error.tpm_rc() {
            self.session.device_error = rc;
        }
    }

    /// Whether an operation of `kind` may begin now.
    ///
    /// Errors: `CKR_OPERATION_ACTIVE`.
    fn may_begin(&mut self, kind: Kind) -> Result<()> {
        let beside = self.provider.config.compatibility.search_beside_operation;
        let counts = |other: &Kind| {
            !(beside && *other != kind && (*other == Kind::Search || kind == Kind::Search))
        };
        let session = &mut *self.session;
        let active = Kind::ALL.into_iter().filter(|other| session.is_active(*other)).filter(counts);
        if kind.may_begin_beside(active) {
            return Ok(());
        }
        Err(Error::new(CKR_OPERATION_ACTIVE, "another operation is active in this session"))
    }

    /// `C_…Init` with a NULL mechanism: cancels the operation of `kind`, or of one that
    /// `C_SessionCancel` does not tell from it.
    ///
    /// PKCS#11 v3.0 and later. Errors: `CKR_ARGUMENTS_BAD` when there is none, as in 2.40.
    fn cancel_by_init(&mut self, kind: Kind) -> Result<()> {
        let mut cancelled = false;
        for alike in Kind::ALL.into_iter().filter(|other| other.flag() == kind.flag()) {
            cancelled |= self.session.cancel(alike);
        }
        if cancelled {
            return Ok(());
        }
        Err(Error::new(CKR_ARGUMENTS_BAD, "NULL mechanism"))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whatever the panic left behind in this session is not to be trusted.
            *self.session = Session::default();
        }
    }
}
