//! Who is in, and how a PIN becomes a TPM authorization.

use std::sync::Arc;

use cryptoki_sys::CKR_USER_PIN_NOT_INITIALIZED;

use crate::error::{Error, Result};
use crate::os::secret::LockedSecret;
use crate::store::{RowKey, Rows, TokenId, TokenRow};
use crate::token::attached::primary;
use crate::token::secrets::{self, Role};
use crate::tpm::{Approver, Auth, Blob, Hierarchy, Key, SecretBytes, Tpm};

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
    /// Which token somebody is logged in to.
    pub fn token(&self) -> Option<TokenId> {
        match self {
            Self::Public => None,
            Self::User(user) => Some(user.token),
            Self::SecurityOfficer(officer) => Some(officer.token),
        }
    }

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
    let (_, sealed) = open(tpm, hierarchy, row, Role::User, pin)?;
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
    open(tpm, hierarchy, row, Role::User, pin).map(|(approver, _)| approver)
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
    let (officer, sealed) = open(tpm, hierarchy, row, Role::SecurityOfficer, pin)?;
    let (public_secret, _) = secrets::open_pair(&sealed)?;
    Ok((OfficerLogin { token: row.id, auth: officer.auth }, public_secret))
}

/// Opens U or S with `pin`: the object with its authValue, and what it seals.
fn open(
    tpm: &mut dyn Tpm,
    hierarchy: Hierarchy,
    row: &TokenRow,
    role: Role,
    pin: &[u8],
) -> Result<(Approver, SecretBytes)> {
    let blob = pin_object(row, role)?;
    let auth = secrets::pin_auth(role, &blob.public, pin)?;
    let sealed = tpm.unseal(&Key { parent: &primary(hierarchy, row), blob: &blob, auth: &auth })?;
    Ok((Approver { blob, auth }, sealed))
}

/// What the PIN of `role` opens: U or S.
///
/// Errors: `CKR_USER_PIN_NOT_INITIALIZED`: no `C_InitPIN` so far.
pub fn pin_object(row: &TokenRow, role: Role) -> Result<Blob> {
    let stored = match role {
        Role::User => row.user.clone().ok_or_else(|| {
            let why = "the security officer has set no user PIN yet";
            Error::new(CKR_USER_PIN_NOT_INITIALIZED, why)
        })?,
        Role::SecurityOfficer => row.so.clone(),
    };
    Ok(stored.into())
}
