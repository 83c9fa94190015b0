//! A token this process has read, and found to be made by this TPM and unaltered.

use std::sync::Arc;

use cryptoki_sys::CKR_TOKEN_NOT_RECOGNIZED;

use crate::error::{Error, Result};
use crate::os::secret::LockedSecret;
use crate::store::{RowKey, RowKeys, Rows, StoredBlob, TokenRow, verify_token};
use crate::token::Login;
use crate::token::secrets;
use crate::tpm::{Auth, Blob, Hierarchy, Key, Primary, Tpm};

/// A genuine token: its row, its primary key, and the secret that authenticates its public rows.
pub struct Attached {
    /// The row as the store had it when it was read.
    pub row: TokenRow,
    /// The hierarchy's primary key as recorded.
    pub primary: Primary,
    /// K_pub: what P seals.
    pub public_secret: Arc<LockedSecret>,
    /// The key of public rows, derived from it.
    pub public_rows: RowKey,
}

impl Attached {
    /// Attaches the token of `row` by what P seals: the TPM loads and unseals it once.
    ///
    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED` when another TPM made the token, this one was cleared
    /// since, or the row was altered.
    pub fn by_public_object(
        tpm: &mut dyn Tpm,
        hierarchy: Hierarchy,
        row: TokenRow,
    ) -> Result<Self> {
        let primary = primary(hierarchy, &row);
        let sealed = tpm.unseal(&Key {
            parent: &primary,
            blob: &row.key.clone().into(),
            auth: &Auth::empty(),
        })?;
        Self::with_secret(hierarchy, row, Arc::new(secrets::open_public(&sealed)?))
    }

    /// Attaches it with the public secret that a login released, or that is known from before.
    ///
    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED` when the row was altered.
    pub fn with_secret(
        hierarchy: Hierarchy,
        row: TokenRow,
        public_secret: Arc<LockedSecret>,
    ) -> Result<Self> {
        let public_rows = secrets::row_key(&public_secret, row.id, Rows::Public)?;
        verify_token(&row, &public_rows).map_err(|error| {
            log::error!("the {} token's row was altered: {error}", hierarchy.name());
            Error::because(CKR_TOKEN_NOT_RECOGNIZED, "the token's row was altered", error)
        })?;
        Ok(Self { primary: primary(hierarchy, &row), row, public_secret, public_rows })
    }

    /// The authValue of a key that needs no login.
    pub fn public_key_auth(&self, auth_id: &[u8]) -> Result<Auth> {
        secrets::key_auth(&self.public_secret, auth_id)
    }

    /// The keys of the rows that `login` may read.
    pub fn row_keys(&self, login: &Login) -> RowKeys {
        RowKeys {
            public: self.public_rows.clone(),
            private: login.user(self.row.id).map(|user| user.rows.clone()),
        }
    }
}

impl From<StoredBlob> for Blob {
    fn from(stored: StoredBlob) -> Self {
        Self { public: stored.public, private: stored.private }
    }
}

impl From<Blob> for StoredBlob {
    fn from(blob: Blob) -> Self {
        Self { public: blob.public, private: blob.private }
    }
}

/// The primary key that `row` was made under.
pub fn primary(hierarchy: Hierarchy, row: &TokenRow) -> Primary {
    Primary { hierarchy, public: row.primary_public.clone() }
}
