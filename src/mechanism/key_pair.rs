//! Which keys this TPM makes, and which scheme a key is bound to.

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CKR_CURVE_NOT_SUPPORTED, CKR_KEY_SIZE_RANGE, CKR_MECHANISM_INVALID,
};

use super::parameter::{Checked, MechanismChoice};
use super::row::{find, row};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, KeyKind, Scheme};

/// Whether `choice` makes keys of `kind` on this TPM.
///
/// Errors: `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_SIZE_RANGE`,
/// `CKR_CURVE_NOT_SUPPORTED`.
pub fn check_key_pair(
    choice: &MechanismChoice,
    kind: KeyKind,
    abilities: &Abilities,
) -> Result<()> {
    let row = find(choice.ckm, abilities)?;
    Checked::new(row, &choice.parameter)?;
    let makes = row
        .generate_key_pair
        .ok_or_else(|| Error::new(CKR_MECHANISM_INVALID, "the mechanism makes no key pairs"))?;
    makes(kind, abilities)
}

pub(super) fn rsa(kind: KeyKind, abilities: &Abilities) -> Result<()> {
    match kind {
        KeyKind::Rsa { bits } if abilities.rsa_bits.contains(&bits) => Ok(()),
        _ => Err(Error::new(CKR_KEY_SIZE_RANGE, "the TPM has no RSA keys of this size")),
    }
}

pub(super) fn ec(kind: KeyKind, abilities: &Abilities) -> Result<()> {
    match kind {
        KeyKind::Ec(curve) if abilities.has_curve(curve) => Ok(()),
        _ => Err(Error::new(CKR_CURVE_NOT_SUPPORTED, "the TPM does not have this curve")),
    }
}

/// The scheme a key is made with whose CKA_ALLOWED_MECHANISMS are `allowed`: where they name only
/// mechanisms that one TPM scheme does exactly, the TPM itself enforces it.
pub fn restricted_scheme(allowed: &[u64]) -> Option<Scheme> {
    let scheme = |ckm: u64| {
        CK_MECHANISM_TYPE::try_from(ckm).ok().and_then(row).and_then(|row| row.bound_scheme)
    };
    let (first, rest) = allowed.split_first()?;
    let first = scheme(*first)?;
    rest.iter().all(|ckm| scheme(*ckm) == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::*;

    use super::*;
    use crate::tpm::HashAlg;

    #[test]
    fn a_key_is_bound_only_to_what_one_scheme_does_exactly() {
        let scheme = |allowed: &[CK_MECHANISM_TYPE]| restricted_scheme(allowed);
        assert_eq!(scheme(&[]), None);
        assert_eq!(scheme(&[CKM_ECDSA_SHA256]), Some(Scheme::Ecdsa(HashAlg::Sha256)));
        assert_eq!(scheme(&[CKM_SHA384_RSA_PKCS]), Some(Scheme::RsaSsa(HashAlg::Sha384)));
        assert_eq!(scheme(&[CKM_ECDSA_SHA256, CKM_ECDSA]), None);
        assert_eq!(scheme(&[CKM_ECDSA_SHA256, CKM_ECDSA_SHA384]), None);
        assert_eq!(scheme(&[CKM_SHA256_RSA_PKCS_PSS]), None);
        assert_eq!(scheme(&[CKM_RSA_PKCS]), None);
        assert_eq!(scheme(&[0x7fff_0000]), None);
    }
}
