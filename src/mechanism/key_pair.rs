//! Key pairs: which keys this TPM makes, and whether one can be bound to a scheme.

use cryptoki_sys::{CK_MECHANISM_TYPE, CKR_ATTRIBUTE_VALUE_INVALID, CKR_CURVE_NOT_SUPPORTED};

use super::parameter::{Checked, MechanismChoice};
use super::row::{find, row};
use super::task::required;
use crate::error::{Error, Result};
use crate::tpm::{Abilities, KeyKind, Scheme};

/// Whether `choice` makes keys of `kind` on this TPM.
///
/// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`; `CKR_ATTRIBUTE_VALUE_INVALID`,
/// `CKR_CURVE_NOT_SUPPORTED` for what this TPM does not have.
///
/// PKCS#11 v3.1, C_GenerateKeyPair.
pub fn check_key_pair(
    choice: &MechanismChoice,
    kind: KeyKind,
    abilities: &Abilities,
) -> Result<()> {
    let row = find(choice.ckm, abilities)?;
    let makes = required(row, row.generate_key_pair, "generate key pairs")?;
    Checked::new(row, &choice.parameter)?;
    makes(kind, abilities)
}

/// The scheme that a key is made with whose CKA_ALLOWED_MECHANISMS are `allowed`: the one scheme
/// that all of them name, if the TPM computes its hash. The TPM itself then refuses any other.
///
/// A key with a scheme signs only: it must not be made with `decrypt`.
pub fn restricted_scheme(allowed: &[CK_MECHANISM_TYPE], abilities: &Abilities) -> Option<Scheme> {
    let mut schemes = allowed.iter().map(|ckm| row(*ckm).and_then(|row| row.bound_scheme));
    let first = schemes.next()??;
    let (Scheme::Ecdsa(hash) | Scheme::RsaSsa(hash)) = first;
    (schemes.all(|scheme| scheme == Some(first)) && abilities.has_hash(hash)).then_some(first)
}

/// CKM_RSA_PKCS_KEY_PAIR_GEN.
pub(super) fn rsa(kind: KeyKind, abilities: &Abilities) -> Result<()> {
    match kind {
        KeyKind::Rsa { bits } if abilities.rsa_bits.contains(&bits) => Ok(()),
        _ => Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "the TPM has no RSA keys of this size")),
    }
}

/// CKM_EC_KEY_PAIR_GEN.
pub(super) fn ec(kind: KeyKind, abilities: &Abilities) -> Result<()> {
    match kind {
        KeyKind::Ec(curve) if abilities.has_curve(curve) => Ok(()),
        _ => Err(Error::new(CKR_CURVE_NOT_SUPPORTED, "the TPM does not have this curve")),
    }
}
