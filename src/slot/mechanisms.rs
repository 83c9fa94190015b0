//! What the TPM behind a slot can do, and so which mechanisms its token offers.

use std::sync::Arc;

use cryptoki_sys::{CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_SLOT_ID};

use crate::error::Result;
use crate::mechanism;
use crate::provider::Provider;
use crate::slot::hierarchy_of;
use crate::store::TokenRow;
use crate::tpm::{Abilities, Hierarchy, Tpm};

impl Provider {
    /// PKCS#11 v3.1, C_GetMechanismList.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`, `CKR_TOKEN_NOT_PRESENT`.
    pub fn mechanism_list(&self, slot: CK_SLOT_ID) -> Result<Vec<CK_MECHANISM_TYPE>> {
        let hierarchy = hierarchy_of(slot)?;
        self.check_present(hierarchy)?;
        let abilities = self.abilities(hierarchy)?;
        Ok(mechanism::offered(&abilities).map(|row| row.ckm).collect())
    }

    /// PKCS#11 v3.1, C_GetMechanismInfo.
    ///
    /// Errors: `CKR_SLOT_ID_INVALID`, `CKR_TOKEN_NOT_PRESENT`, `CKR_MECHANISM_INVALID`.
    pub fn mechanism_info(
        &self,
        slot: CK_SLOT_ID,
        ckm: CK_MECHANISM_TYPE,
    ) -> Result<CK_MECHANISM_INFO> {
        let hierarchy = hierarchy_of(slot)?;
        self.check_present(hierarchy)?;
        let abilities = self.abilities(hierarchy)?;
        Ok(mechanism::find(ckm, &abilities)?.info(&abilities))
    }

    /// What the TPM can do: asked once in a process, or known from the token's row, if the TPM
    /// still has the firmware that it was written under.
    pub(crate) fn abilities(&self, hierarchy: Hierarchy) -> Result<Arc<Abilities>> {
        if let Some(abilities) = &*self.abilities.lock() {
            return Ok(Arc::clone(abilities));
        }
        // A row is believed only once the TPM has vouched for it.
        let token = self.token(hierarchy).ok().flatten();
        let kept =
            token.as_ref().and_then(|token| Abilities::from_bytes(&token.row.abilities).ok());
        let abilities = {
            let mut turn = self.engine.turn()?;
            if let Some(kept) = kept.clone() {
                turn.set_abilities(kept);
            }
            Arc::new(turn.abilities()?)
        };
        if let Some(token) = token.filter(|_| kept.as_ref() != Some(&*abilities)) {
            let changed = TokenRow {
                firmware: abilities.firmware.version,
                abilities: abilities.to_bytes(),
                ..token.row.clone()
            };
            if let Err(error) = self.update_token(hierarchy, &token, changed) {
                log::debug!("the TPM's new abilities are not kept: {error}");
            }
        }
        *self.abilities.lock() = Some(Arc::clone(&abilities));
        Ok(abilities)
    }
}
