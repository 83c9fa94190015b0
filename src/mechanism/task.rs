//! What a row's functions work on: the row, its parameter and a public key, known to go together.

use cryptoki_sys::{
    CK_KEY_TYPE, CK_ULONG, CKK_EC, CKK_RSA, CKR_FUNCTION_FAILED, CKR_KEY_SIZE_RANGE,
    CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_INVALID,
};

use super::ecdsa::EcPublic;
use super::parameter::{BLOCK, Checked, MechanismChoice};
use super::row::{Mechanism, find};
use super::rsa::RsaPublic;
use crate::error::{Error, Result};
use crate::tpm::{Abilities, HashAlg, PublicKey, Scheme};

/// One operation's mechanism, parameter and key.
pub(super) struct Task {
    pub(super) row: &'static Mechanism,
    pub(super) parameter: Checked,
    pub(super) key: KeyInUse,
    /// The only scheme the TPM lets the key sign with; `None`: any.
    pub(super) scheme: Option<Scheme>,
    /// What the TPM can be told that a digest is of.
    pub(super) tpm_hashes: Vec<HashAlg>,
    /// Whether an EC signature is checked before it is given out; RSA ones always are.
    pub(super) check: bool,
    /// Most bytes the TPM takes in one command.
    pub(super) input_buffer: usize,
}

/// What is known of a key outside the TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFacts {
    /// A public key, or the public half of a private one.
    Public(PublicKey),
    /// A secret key.
    Secret {
        /// Its CKK_.
        key_type: CK_KEY_TYPE,
        /// Bytes of its value.
        len: usize,
    },
}

impl From<PublicKey> for KeyFacts {
    fn from(key: PublicKey) -> Self {
        Self::Public(key)
    }
}

/// A key, ready for what is done outside the TPM.
pub(super) enum KeyInUse {
    Rsa(RsaPublic),
    Ec(EcPublic),
    Secret { key_type: CK_KEY_TYPE, len: usize },
}

impl KeyInUse {
    /// The public key, if it is one that this module works with: an odd RSA modulus with an odd
    /// exponent of 3 or more that fits in 64 bits, or a point on its curve.
    ///
    /// Errors: `CKR_ATTRIBUTE_VALUE_INVALID`.
    pub(super) fn new(key: &PublicKey) -> Result<Self> {
        match key {
            PublicKey::Rsa { modulus, exponent } => {
                RsaPublic::new(modulus, exponent).map(Self::Rsa)
            }
            PublicKey::Ec { curve, x, y } => EcPublic::new(*curve, x, y).map(Self::Ec),
        }
    }

    fn key_type(&self) -> CK_KEY_TYPE {
        match self {
            Self::Rsa(_) => CKK_RSA,
            Self::Ec(_) => CKK_EC,
            Self::Secret { key_type, .. } => *key_type,
        }
    }

    fn bits(&self) -> CK_ULONG {
        let bits = match self {
            Self::Rsa(key) => key.bits(),
            Self::Ec(key) => key.curve().bits(),
            Self::Secret { len, .. } => len.saturating_mul(8),
        };
        bits as CK_ULONG
    }

    /// Bytes of a signature: the modulus, or r and s of the order's width. 0 for a secret key.
    pub(super) fn signature_len(&self) -> usize {
        match self {
            Self::Rsa(key) => key.len(),
            Self::Ec(key) => key.curve().field_len() * 2,
            Self::Secret { .. } => 0,
        }
    }
}

impl Task {
    /// Errors: `CKR_MECHANISM_INVALID` (not offered), `CKR_MECHANISM_PARAM_INVALID`,
    /// `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`; `CKR_FUNCTION_FAILED` for a key whose
    /// numbers are none, which no object should hold (see [`KeyInUse::new`]).
    pub(super) fn new(
        choice: &MechanismChoice,
        abilities: &Abilities,
        key: &KeyFacts,
    ) -> Result<Self> {
        let task = Self::matched(choice, abilities, key)?;
        (task.row.accepts)(&task)?;
        Ok(task)
    }

    /// As [`new`](Self::new), without asking the row whether key and parameter go together.
    pub(super) fn matched(
        choice: &MechanismChoice,
        abilities: &Abilities,
        key: &KeyFacts,
    ) -> Result<Self> {
        let (row, key) = Self::row_and_key(choice, abilities, key)?;
        Ok(Self {
            row,
            parameter: Checked::new(row, &choice.parameter)?,
            key,
            scheme: None,
            tpm_hashes: HashAlg::ALL.into_iter().filter(|&h| abilities.has_hash(h)).collect(),
            check: true,
            input_buffer: abilities.input_buffer,
        })
    }

    /// A row and a key that go together, whatever the parameter.
    ///
    /// Errors: as [`new`](Self::new)'s.
    pub(super) fn row_and_key(
        choice: &MechanismChoice,
        abilities: &Abilities,
        key: &KeyFacts,
    ) -> Result<(&'static Mechanism, KeyInUse)> {
        let row = find(choice.ckm, abilities)?;
        let key = match key {
            KeyFacts::Public(key) => {
                KeyInUse::new(key).map_err(|error| error.told_as(CKR_FUNCTION_FAILED))?
            }
            KeyFacts::Secret { key_type, len } => {
                KeyInUse::Secret { key_type: *key_type, len: *len }
            }
        };
        if !row.takes(key.key_type()) {
            return Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, format!("{}: key type", row.name)));
        }
        if !row.key_bits.contains(&key.bits()) {
            return Err(Error::new(CKR_KEY_SIZE_RANGE, format!("{}: key size", row.name)));
        }
        Ok((row, key))
    }

    /// Bytes of the most whole blocks that the TPM takes in one command.
    pub(super) fn whole_blocks(&self) -> usize {
        whole_blocks(self.input_buffer)
    }

    /// The RSA key, which [`new`](Self::new) made sure it is.
    pub(super) fn rsa(&self) -> Result<&RsaPublic> {
        match &self.key {
            KeyInUse::Rsa(key) => Ok(key),
            _ => Err(Error::bug("an RSA mechanism with another key")),
        }
    }

    /// The EC key, which [`new`](Self::new) made sure it is.
    pub(super) fn ec(&self) -> Result<&EcPublic> {
        match &self.key {
            KeyInUse::Ec(key) => Ok(key),
            _ => Err(Error::bug("an EC mechanism with another key")),
        }
    }
}

/// Bytes of the most whole blocks in `buffer` bytes; one at least.
pub(super) fn whole_blocks(buffer: usize) -> usize {
    (buffer / BLOCK).max(1).saturating_mul(BLOCK)
}

/// What `row` does, or the refusal of a mechanism that exists for other functions only.
///
/// Errors: `CKR_MECHANISM_INVALID`.
pub(super) fn required<F>(row: &Mechanism, function: Option<F>, what: &'static str) -> Result<F> {
    function
        .ok_or_else(|| Error::new(CKR_MECHANISM_INVALID, format!("{} does not {what}", row.name)))
}
