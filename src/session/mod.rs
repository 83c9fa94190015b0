//! LAYER 2: sessions and the operations in them. One file is one heading of the specification, as
//! in `ffi/`.
//!
//! | file | what |
//! |---|---|
//! | `table.rs` | the application's sessions and logins |
//! | `state.rs` | CK_STATE, derived |
//! | `kind.rs` | which operations may stand together |
//! | `operation.rs` | what begins and ends an operation, where results go |
//! | `key.rs` | from a key handle to a key an operation may use |
//! | `login.rs` | `C_Login`, `C_Logout`, the PIN functions |
//! | `approval.rs` | the PIN for each use of a key: context-specific login |
//! | `object.rs`, `search.rs` | object management |
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
mod dual;
mod encapsulation;
mod encryption;
mod import;
pub mod key;
mod key_management;
pub mod kind;
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

use std::sync::Arc;

use cryptoki_sys::{
    CK_FLAGS, CK_SESSION_INFO, CK_SESSION_VALIDATION_FLAGS_TYPE, CKF_RW_SESSION,
    CKF_SERIAL_SESSION, CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED, CKR_OPERATION_ACTIVE,
    CKS_LAST_VALIDATION_OK,
};

use crate::error::{Error, Result};
use crate::mechanism::Digesting;
use crate::mechanism::Recovering;
use crate::provider::Provider;
use crate::session::key::BoundKey;
use crate::session::kind::Kind;
use crate::session::message::Messages;
use crate::session::operation::Active;
use crate::session::table::{SessionCell, SlotLogin};
use crate::slot::slot_of;
use std::sync::MutexGuard as Guard;

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
    fn is_active(&self, kind: Kind) -> bool {
        match kind {
            Kind::Encrypt => self.encrypting.is_active(),
            Kind::Decrypt => self.decrypting.is_active(),
            Kind::Digest => self.digesting.is_active(),
            Kind::Sign => self.signing.is_active(),
            Kind::SignRecover => self.signing_recoverably.is_active(),
            Kind::Verify => self.verifying.is_active(),
            Kind::VerifyRecover => self.recovering.is_active(),
            Kind::VerifySignature => self.verifying_known.is_active(),
            Kind::MessageEncrypt => self.encrypting_messages.is_active(),
            Kind::MessageDecrypt => self.decrypting_messages.is_active(),
            Kind::MessageSign => self.signing_messages.is_active(),
            Kind::MessageVerify => self.verifying_messages.is_active(),
            Kind::Search => self.searching.is_active(),
        }
    }

    fn cancel(&mut self, kind: Kind) -> bool {
        match kind {
            Kind::Encrypt => self.encrypting.cancel(),
            Kind::Decrypt => self.decrypting.cancel(),
            Kind::Digest => self.digesting.cancel(),
            Kind::Sign => self.signing.cancel(),
            Kind::SignRecover => self.signing_recoverably.cancel(),
            Kind::Verify => self.verifying.cancel(),
            Kind::VerifyRecover => self.recovering.cancel(),
            Kind::VerifySignature => self.verifying_known.cancel(),
            Kind::MessageEncrypt => self.encrypting_messages.cancel(),
            Kind::MessageDecrypt => self.decrypting_messages.cancel(),
            Kind::MessageSign => self.signing_messages.cancel(),
            Kind::MessageVerify => self.verifying_messages.cancel(),
            Kind::Search => self.searching.cancel(),
        }
    }

    /// The private key of the active operation that has one. There is one such operation at most.
    fn bound_key(&mut self) -> Option<&mut BoundKey> {
        let signing = self.signing.get_mut().map(|operation| &mut operation.key);
        signing
            .or_else(|| self.signing_recoverably.get_mut().map(|operation| &mut operation.key))
            .or_else(|| self.signing_messages.get_mut().map(|operation| &mut operation.key))
            .or_else(|| self.decrypting.get_mut().map(|operation| &mut operation.key))
    }

    /// Ends what was begun with a private object before somebody logged out.
    fn end_stale(&mut self, epoch: u64) {
        let stale = |key: &BoundKey| key.is_stale(epoch);
        let secret = |key: &Option<BoundKey>| key.as_ref().is_some_and(stale);
        self.signing.cancel_if(|operation| stale(&operation.key));
        self.signing_recoverably.cancel_if(|operation| stale(&operation.key));
        self.signing_messages.cancel_if(|operation| stale(&operation.key));
        self.decrypting.cancel_if(|operation| stale(&operation.key));
        self.encrypting_messages.cancel_if(|operation| stale(&operation.key));
        self.decrypting_messages.cancel_if(|operation| stale(&operation.key));
        self.encrypting.cancel_if(|operation| secret(&operation.key));
        self.verifying.cancel_if(|operation| secret(&operation.key));
        self.verifying_known.cancel_if(|operation| secret(&operation.verification.key));
        self.verifying_messages.cancel_if(|operation| secret(&operation.key));
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
        Ok(CK_SESSION_INFO {
            slotID: slot_of(self.cell.hierarchy),
            state: state::state(&self.login.who, self.cell.read_write),
            flags: CKF_SERIAL_SESSION | if self.cell.read_write { CKF_RW_SESSION } else { 0 },
            ulDeviceError: self.session.device_error.into(),
        })
    }

    /// Ends the operations that `flags` names; those that are not active are ignored.
    pub fn cancel(&mut self, flags: CK_FLAGS) -> Result<()> {
        for kind in Kind::ALL {
            if flags & kind.flag() != 0 {
                self.session.cancel(kind);
            }
        }
        Ok(())
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

    /// A function this module does not offer.
    ///
    /// Errors: always `CKR_FUNCTION_NOT_SUPPORTED`.
    pub fn not_offered(&mut self) -> Result<()> {
        Err(Error::new(CKR_FUNCTION_NOT_SUPPORTED, "not offered"))
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
    fn may_begin(&self, kind: Kind) -> Result<()> {
        let beside = self.provider.config.compatibility.search_beside_operation;
        let active =
            Kind::ALL.into_iter().filter(|other| self.session.is_active(*other)).filter(|other| {
                !(beside && *other != kind && (*other == Kind::Search || kind == Kind::Search))
            });
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
