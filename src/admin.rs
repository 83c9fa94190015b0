//! What the administrator's tool does that PKCS#11 has no words for.

use std::sync::Arc;

use crate::error::Result;
use crate::provider::{self, InitializeArguments, Provider};
use crate::slot::slot_number;
use crate::store::{FILE, StoreLocation};
use crate::token::Login;
use crate::tpm::transport::TpmAddress;
use crate::tpm::{Abilities, Auth, Firmware, Hierarchy, Status, Tpm};

/// The module's insides, opened for the administrator.
pub struct Admin(Arc<Provider>);

impl Admin {
    /// Opens them as `C_Initialize` would, with the same configuration.
    pub fn open() -> Result<Self> {
        provider::initialize(InitializeArguments::default())?;
        provider::current().map(Self)
    }

    /// The provider, for all that PKCS#11 has words for.
    pub fn provider(&self) -> &Provider {
        &self.0
    }

    /// Where the TPM is said to be, or is looked for where nothing is said.
    pub fn tpm_address(&self) -> String {
        let own = || TpmAddress::default().resolved().to_string();
        self.0.config.tcti.clone().unwrap_or_else(own)
    }

    /// The directory of the store.
    pub fn store_directory(&self) -> std::path::PathBuf {
        self.0.store.lock().directory().to_owned()
    }

    /// The store's place and who may use it, and the name of its file there.
    pub fn store_location(&self) -> (&StoreLocation, &'static str) {
        (&self.0.config.store, FILE)
    }

    /// Whether the store can be read, or is not there yet: the module itself shows an unreadable
    /// one as slots without a token, and the log says why.
    ///
    /// Errors: `CKR_TOKEN_NOT_PRESENT`, `CKR_TOKEN_NOT_RECOGNIZED`, as any call would have met them.
    pub fn store_readable(&self) -> Result<()> {
        self.0.store.lock().data_version().map(|_| ())
    }

    /// Whether this user may change the store, as far as permissions tell.
    ///
    /// Errors: `CKR_TOKEN_NOT_PRESENT`.
    pub fn store_writable(&self) -> Result<bool> {
        self.0.store.lock().writable()
    }

    /// The version of the store's tables; `None` where there is no store yet.
    ///
    /// Errors: as [`store_readable`](Self::store_readable).
    pub fn store_version(&self) -> Result<Option<u32>> {
        self.0.store.lock().version()
    }

    /// How many public objects of a slot's token are not as this module wrote them, and so passed
    /// over. Private ones can be told only with their user's login.
    ///
    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED`, and as [`store_readable`](Self::store_readable).
    pub fn rows_set_aside(&self, hierarchy: Hierarchy) -> Result<usize> {
        let Some(token) = self.0.token(hierarchy)? else { return Ok(0) };
        let keys = token.row_keys(&Login::Public);
        Ok(self.0.store.lock().set_aside(token.row.id, &keys)?.len())
    }

    /// Finds out whether a slot's token is this TPM's.
    ///
    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED` if not, and the TPM's and the store's own.
    pub fn check_token(&self, hierarchy: Hierarchy) -> Result<()> {
        self.0.token(hierarchy).map(|_| ())
    }

    /// What the TPM can do.
    ///
    /// Errors: as [`tpm`](Self::tpm).
    pub fn abilities(&self) -> Result<Arc<Abilities>> {
        self.0.abilities(Hierarchy::Owner)
    }

    /// Whether the configuration names a file with the lockout authorization.
    pub fn knows_lockout_auth(&self) -> bool {
        self.0.config.hierarchy_auth_files.lockout.is_some()
    }

    /// Who made the TPM, and how it fares.
    ///
    /// Errors: `CKR_TOKEN_NOT_PRESENT`, `CKR_DEVICE_ERROR`.
    pub fn tpm(&self) -> Result<(Firmware, Status)> {
        let mut turn = self.0.engine.turn()?;
        Ok((turn.firmware()?, turn.status()?))
    }

    /// Whether the TPM wants an authorization value for `hierarchy` that the configuration does not
    /// name a file with. (Of the platform hierarchy it does not tell.)
    ///
    /// Errors: as [`tpm`](Self::tpm).
    pub fn wants_auth(&self, hierarchy: Hierarchy) -> Result<bool> {
        let files = &self.0.config.hierarchy_auth_files;
        let named = match hierarchy {
            Hierarchy::Owner => files.owner.is_some(),
            Hierarchy::Endorsement => files.endorsement.is_some(),
            Hierarchy::Platform => files.platform.is_some(),
            Hierarchy::Null => false,
        };
        let (_, status) = self.tpm()?;
        Ok(!named && status.wants_auth(hierarchy))
    }

    /// Authorizes `hierarchy` with `auth` from now on.
    pub fn authorize(&self, hierarchy: Hierarchy, auth: Auth) {
        self.0.engine.authorize(hierarchy, auth);
    }

    /// Removes a slot's token with all its objects from the store, without a PIN: the way back
    /// after TPM2_Clear or a new board. What the TPM sealed for it is of no use to anybody then.
    /// Whether there was one.
    pub fn remove_token(&self, hierarchy: Hierarchy) -> Result<bool> {
        self.0.store.lock().remove_token(slot_number(hierarchy))
    }

    /// Resets the TPM's dictionary-attack counter, with `auth` if the lockout authorization is set
    /// and the configuration names no file with it.
    ///
    /// Errors: `CKR_DEVICE_ERROR` when the TPM refuses.
    pub fn reset_lockout(&self, auth: Option<Auth>) -> Result<()> {
        self.0.engine.turn()?.reset_lockout(auth.as_ref())
    }
}
