//! Secret keys: which the TPM makes.

use cryptoki_sys::{CK_KEY_TYPE, CKK_AES, CKR_ATTRIBUTE_VALUE_INVALID};

use super::parameter::{Checked, MechanismChoice};
use super::row::find;
use super::task::required;
use crate::error::{Error, Result};
use crate::tpm::{Abilities, HMAC_KEY, HashAlg, KeyKind, SECRET};

/// Which key of `len` bytes `choice` makes on this TPM.
///
/// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`; `CKR_ATTRIBUTE_VALUE_INVALID` for what
/// this TPM does not have.
///
/// PKCS#11 v3.1, C_GenerateKey.
pub fn secret_key(choice: &MechanismChoice, len: usize, abilities: &Abilities) -> Result<KeyKind> {
    let row = find(choice.ckm, abilities)?;
    let generates = required(row, row.generate_key, "generate keys")?;
    Checked::new(row, &choice.parameter)?;
    generates.key(len, abilities)
}

/// Which secret keys a mechanism generates.
#[derive(Clone, Copy)]
pub(super) enum Generates {
    /// AES keys.
    Aes,
    /// Secrets of this type; where a hash is named, for HMAC by that alone.
    Secrets { key_type: CK_KEY_TYPE, only: Option<HashAlg> },
}

impl Generates {
    /// The CKK_ of the keys.
    pub(super) fn key_type(self) -> CK_KEY_TYPE {
        match self {
            Self::Aes => CKK_AES,
            Self::Secrets { key_type, .. } => key_type,
        }
    }

    fn key(self, len: usize, abilities: &Abilities) -> Result<KeyKind> {
        let refused = |why| Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why));
        match self {
            Self::Aes => match u16::try_from(len.saturating_mul(8)) {
                Ok(bits) if abilities.aes_bits.contains(&bits) => Ok(KeyKind::Aes { bits }),
                _ => refused("the TPM has no AES keys of this size"),
            },
            Self::Secrets { only, .. } => match len {
                1..=HMAC_KEY => Ok(KeyKind::Hmac),
                ..=SECRET if len > 0 => Ok(KeyKind::LongHmac { only }),
                _ => refused("secrets of this size are not offered"),
            },
        }
    }
}
