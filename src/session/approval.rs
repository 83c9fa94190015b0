//! Keys that ask for the PIN at each use (CKA_ALWAYS_AUTHENTICATE): the TPM checks it again in the
//! very operation. PKCS#11 v3.1, "Private key objects"; C_Login with CKU_CONTEXT_SPECIFIC.

use std::sync::Arc;

use cryptoki_sys::{
    CKA_ALWAYS_AUTHENTICATE, CKR_DEVICE_ERROR, CKR_OPERATION_NOT_INITIALIZED, CKR_PIN_INCORRECT,
    CKR_PIN_LOCKED, CKR_USER_NOT_LOGGED_IN,
};

use crate::error::{Error, Result};
use crate::object::value::AttributeSet;
use crate::session::Call;
use crate::session::login::check_name;
use crate::session::operation::{Delivery, comes_back};
use crate::token::login;
use crate::token::secrets::Role;
use crate::tpm::{self, Approver, Blob};

/// What an operation's key asks of the user. It goes with the operation.
pub enum Approval {
    /// Nothing beyond the login.
    NotNeeded,
    /// The PIN, which has not come.
    Awaited,
    /// The PIN, which has come: what it becomes is kept until the operation ends.
    Given(Arc<Approver>),
}

impl Approval {
    /// What a key with these attributes asks for. The TPM's key may ask where the attributes do not:
    /// the stricter one counts.
    pub fn of(attributes: &AttributeSet, blob: &Blob) -> Result<Self> {
        let asks =
            attributes.is_true(CKA_ALWAYS_AUTHENTICATE) || tpm::needs_approval(&blob.public)?;
        Ok(if asks { Self::Awaited } else { Self::NotNeeded })
    }

    /// The use it was given for is over, well or badly: a message of many has come to its end.
    pub fn spend(&mut self, use_of_it: &Result<Delivery>) {
        if matches!(self, Self::Given(_)) && !comes_back(use_of_it) {
            *self = Self::Awaited;
        }
    }

    /// Who approves, where somebody has to.
    ///
    /// Errors: `CKR_USER_NOT_LOGGED_IN` when nobody has yet.
    pub fn approver(&self) -> Result<Option<Arc<Approver>>> {
        match self {
            Self::NotNeeded => Ok(None),
            Self::Awaited => Err(Error::new(
                CKR_USER_NOT_LOGGED_IN,
                "the key asks for a context-specific login at each use",
            )),
            Self::Given(approver) => Ok(Some(Arc::clone(approver))),
        }
    }
}

/// What the use of a key is told where a PIN was refused that the TPM has accepted before: somebody
/// interferes, or has locked the TPM meanwhile. It is never the caller's PIN that is wrong.
pub fn not_about_a_pin(error: Error) -> Error {
    error.retold(&[CKR_PIN_INCORRECT, CKR_PIN_LOCKED], CKR_DEVICE_ERROR)
}

impl Call<'_> {
    /// Proves `pin` for the active operation and for nothing else. Who is logged in stays so, unless
    /// the PIN is locked. A wrong PIN also takes back what an earlier one allowed.
    ///
    /// Errors: `CKR_OPERATION_NOT_INITIALIZED` when no operation with such a key is active,
    /// `CKR_PIN_INCORRECT`; `CKR_PIN_LOCKED`, which logs the user out.
    pub(super) fn context_login(&mut self, pin: &[u8], name: &[u8]) -> Result<()> {
        let hierarchy = self.cell.hierarchy;
        let key = self.session.key_with_approval().ok_or_else(nothing_waits)?;
        // Initialised anew, it is another token, and nobody is its user yet.
        let row = self.provider.token_row(hierarchy)?.filter(|row| row.id == key.token());
        let row = row.ok_or_else(nothing_waits)?;
        check_name(name)?;
        let proved = {
            let mut turn = self.provider.engine.turn()?;
            login::approve(&mut turn, hierarchy, &row, pin)
        };
        match proved {
            Ok(approver) => {
                key.approval = Approval::Given(Arc::new(approver));
                Ok(())
            }
            Err(error) => {
                match error.ck_rv() {
                    CKR_PIN_INCORRECT => key.approval = Approval::Awaited,
                    CKR_PIN_LOCKED => {
                        key.approval = Approval::Awaited;
                        // Another thread may have logged out already.
                        let _ = self.logout();
                    }
                    _ => {}
                }
                Err(error)
            }
        }
    }

    /// The authPolicy of a new key with these attributes: the user's authorization, by the TPM, at
    /// each use.
    ///
    /// Errors: `CKR_USER_PIN_NOT_INITIALIZED`.
    pub(super) fn key_policy(&self, attributes: &AttributeSet) -> Result<Option<[u8; 32]>> {
        if !attributes.is_true(CKA_ALWAYS_AUTHENTICATE) {
            return Ok(None);
        }
        let user = login::pin_object(&self.initialized_token()?.row, Role::User)?;
        tpm::approval_policy(&user.public).map(Some)
    }
}

fn nothing_waits() -> Error {
    Error::new(CKR_OPERATION_NOT_INITIALIZED, "no operation waits for a context-specific login")
}
