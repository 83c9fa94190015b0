//! Who is in, and how a PIN becomes a TPM authorization.

use std::sync::Arc;

use cryptoki_sys::CKR_USER_PIN_NOT_INITIALIZED;

use crate::error::{Error, Result};
use crate::os::secret::LockedSecret;
use crate::store::{Role as Rows, RowKey, TokenId, TokenRow};
use crate::token::attached::primary;
use crate::token::secrets::{self, Role};
use crate::tpm::{Approver, Auth, Blob, Hierarchy, Key, Tpm};

/// Who is logged in to a token, for all sessions of the application.
#[derive(Clone, Default)]
pub enum Login {
    /// Nobody.
    #[default]
    Public,
    /// CKU_USER.
    User(Arc<UserLogin>),
    /// CKU_SO.
    SecurityOfficer(Arc<OfficerLogin>),
}

/// What the user's PIN released.
pub struct UserLogin {
    /// Which token it was.
    pub token: TokenId,
    /// The user secret: guards the private keys' authValues.
    pub secret: LockedSecret,
    /// The key of private rows, derived from it.
    pub rows: RowKey,
}

/// What the security officer's PIN proved.
pub struct OfficerLogin {
    /// Which token it was.
    pub token: TokenId,
    /// The authValue of S, which authorizes the change of U's.
    pub auth: Auth,
}

impl Login {
    /// The user's login, if the user is in and it is to the token `id`.
    pub fn user(&self, id: TokenId) -> Option<&Arc<UserLogin>> {
        match self {
            Self::User(user) if user.token == id => Some(user),
            _ => None,
        }
    }

    /// The officer's login, likewise.
    pub fn officer(&self, id: TokenId) -> Option<&Arc<OfficerLogin>> {
        match self {
            Self::SecurityOfficer(officer) if officer.token == id => Some(officer),
            _ => None,
        }
    }
}

/// Proves `pin` as the user's; the public secret comes along.
///
/// Errors: `CKR_USER_PIN_NOT_INITIALIZED`, `CKR_PIN_INCORRECT`, `CKR_PIN_LOCKED`,
/// `CKR_TOKEN_NOT_RECOGNIZED`.
pub fn prove_user(
    tpm: &mut dyn Tpm,
    hierarchy: Hierarchy,
    row: &TokenRow,
    pin: &[u8],
) -> Result<(UserLogin, LockedSecret)> {
    let blob = user_blob(row)?;
    let auth = secrets::pin_auth(Role::User, &blob.public, pin)?;
    let sealed = tpm.unseal(&Key { parent: &primary(hierarchy, row), blob: &blob, auth: &auth })?;
    let (secret, public_secret) = secrets::open_pair(&sealed)?;
    let rows = secrets::row_key(&secret, row.id, Rows::Private)?;
    Ok((UserLogin { token: row.id, secret, rows }, public_secret))
}

/// Proves `pin` as the user's once more, for a key that asks for it at each use.
///
/// Errors: those of [`prove_user`].
pub fn approve(
    tpm: &mut dyn Tpm,
    hierarchy: Hierarchy,
    row: &TokenRow,
    pin: &[u8],
) -> Result<Approver> {
    let blob = user_blob(row)?;
    let auth = secrets::pin_auth(Role::User, &blob.public, pin)?;
    tpm.unseal(&Key { parent: &primary(hierarchy, row), blob: &blob, auth: &auth })?;
    Ok(Approver { blob, auth })
}

/// Proves `pin` as the security officer's; the public secret comes along.
///
/// Errors: `CKR_PIN_INCORRECT`, `CKR_PIN_LOCKED`, `CKR_TOKEN_NOT_RECOGNIZED`.
pub fn prove_officer(
    tpm: &mut dyn Tpm,
    hierarchy: Hierarchy,
    row: &TokenRow,
    pin: &[u8],
) -> Result<(OfficerLogin, LockedSecret)> {
    let blob: Blob = row.so.clone().into();
    let auth = secrets::pin_auth(Role::SecurityOfficer, &blob.public, pin)?;
    let sealed = tpm.unseal(&Key { parent: &primary(hierarchy, row), blob: &blob, auth: &auth })?;
    let (public_secret, _) = secrets::open_pair(&sealed)?;
    Ok((OfficerLogin { token: row.id, auth }, public_secret))
}

/// U's blob.
///
/// Errors: `CKR_USER_PIN_NOT_INITIALIZED`: no `C_InitPIN` so far.
pub fn user_blob(row: &TokenRow) -> Result<Blob> {
    row.user.clone().map(Into::into).ok_or_else(|| {
        Error::new(CKR_USER_PIN_NOT_INITIALIZED, "the security officer has set no user PIN yet")
    })
}
