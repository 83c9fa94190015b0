//! What a row's functions get: the row, its parameter, the key.

use super::parameter::{Checked, MechanismChoice};
use super::row::{Mechanism, find};
use crate::error::Result;
use crate::tpm::{Abilities, HashAlg, PublicKey, Scheme};

/// A mechanism, its checked parameter and a public key that go together.
pub(super) struct Task {
    pub(super) row: &'static Mechanism,
    pub(super) parameter: Checked,
    pub(super) public: PublicKey,
    /// The only scheme the TPM lets the private key sign with.
    pub(super) bound: Option<Scheme>,
    /// Whether an ECDSA signature is verified before it is handed out. RSA ones always are.
    pub(super) check_ec: bool,
    /// The hashes this TPM signs digests of, shortest first.
    pub(super) tpm_hashes: Vec<HashAlg>,
}

impl Task {
    /// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    pub(super) fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        public: &PublicKey,
    ) -> Result<Self> {
        let row = find(choice.ckm, abilities)?;
        let task = Self {
            row,
            parameter: Checked::new(row, &choice.parameter)?,
            public: public.clone(),
            bound: None,
            check_ec: true,
            tpm_hashes: HashAlg::ALL.into_iter().filter(|hash| abilities.has_hash(*hash)).collect(),
        };
        (row.accepts)(&task)?;
        Ok(task)
    }

    /// Bytes of a signature with this key.
    pub(super) fn signature_len(&self) -> usize {
        match &self.public {
            PublicKey::Rsa { modulus, .. } => modulus.len(),
            PublicKey::Ec { curve, .. } => curve.field_len().saturating_mul(2),
        }
    }
}
