//! Two templates and a public key made into a key pair.

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CKA_EC_PARAMS, CKA_MODULUS_BITS, CKA_PUBLIC_EXPONENT, CKA_PUBLIC_KEY_INFO,
    CKK_EC, CKK_RSA, CKM_EC_KEY_PAIR_GEN, CKM_RSA_PKCS_KEY_PAIR_GEN, CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY, CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE, CKR_MECHANISM_INVALID,
};

use super::creation::{Actor, Path, incomplete, new_object};
use super::public::{self, without_zeros};
use super::value::AttributeSet;
use crate::error::{Error, Result};
use crate::tpm::{KeyKind, PublicKey};

/// The only public exponent of a key that a TPM is sure to make: 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// A key pair as two templates describe it, before there is a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairRequest {
    /// Which key to make. Whether this TPM has such keys is for the mechanism to say.
    pub kind: KeyKind,
    /// The public key object, without what only the key can tell.
    pub public: AttributeSet,
    /// The private key object, likewise.
    pub private: AttributeSet,
}

/// What `C_GenerateKeyPair` is asked for.
///
/// Errors: as [`new_object`] of either template; `CKR_TEMPLATE_INCOMPLETE` without
/// CKA_MODULUS_BITS or CKA_EC_PARAMS; `CKR_KEY_SIZE_RANGE` for a modulus that no TPM has;
/// `CKR_CURVE_NOT_SUPPORTED` or `CKR_DOMAIN_PARAMS_INVALID` for the curve;
/// `CKR_ATTRIBUTE_VALUE_INVALID` for a public exponent other than 65537 and for any
/// CKA_PUBLIC_KEY_INFO; `CKR_MECHANISM_INVALID` for a mechanism that makes no key pair.
///
/// PKCS#11 v3.1, C_GenerateKeyPair.
pub fn key_pair_request(
    mechanism: CK_MECHANISM_TYPE,
    public_template: &AttributeSet,
    private_template: &AttributeSet,
    actor: Actor,
) -> Result<KeyPairRequest> {
    let key_type = match mechanism {
        CKM_RSA_PKCS_KEY_PAIR_GEN => CKK_RSA,
        CKM_EC_KEY_PAIR_GEN => CKK_EC,
        _ => return Err(Error::new(CKR_MECHANISM_INVALID, "this mechanism makes no key pair")),
    };
    let half = |class, template| {
        new_object(Path::Generate { mechanism, class, key_type }, template, actor)
    };
    let public = half(CKO_PUBLIC_KEY, public_template)?;
    let private = half(CKO_PRIVATE_KEY, private_template)?;
    if [&public, &private].iter().any(|object| object.filled(CKA_PUBLIC_KEY_INFO).is_some()) {
        let why = "CKA_PUBLIC_KEY_INFO cannot be that of a key that is not made yet";
        return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why));
    }
    let kind = if key_type == CKK_RSA { rsa(&public)? } else { ec(&public)? };
    Ok(KeyPairRequest { kind, public, private })
}

fn rsa(public: &AttributeSet) -> Result<KeyKind> {
    let bits = public.ulong(CKA_MODULUS_BITS).ok_or_else(|| incomplete(CKA_MODULUS_BITS))?;
    let bits = u16::try_from(bits)
        .map_err(|cause| Error::because(CKR_KEY_SIZE_RANGE, "CKA_MODULUS_BITS", cause))?;
    match public.bytes(CKA_PUBLIC_EXPONENT) {
        Some(exponent) if without_zeros(exponent) != EXPONENT => {
            let why = "keys are made with the public exponent 65537 only";
            Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why))
        }
        _ => Ok(KeyKind::Rsa { bits }),
    }
}

fn ec(public: &AttributeSet) -> Result<KeyKind> {
    let params = public.bytes(CKA_EC_PARAMS).ok_or_else(|| incomplete(CKA_EC_PARAMS))?;
    public::curve(params).map(KeyKind::Ec)
}

impl KeyPairRequest {
    /// The two objects, public and private, of the key that was made: both say what the public key
    /// is. They lack CKA_UNIQUE_ID only.
    ///
    /// Errors: `CKR_GENERAL_ERROR` where `key` is not the key that was asked for.
    pub fn complete(self, key: &PublicKey) -> Result<(AttributeSet, AttributeSet)> {
        let made = match key {
            PublicKey::Rsa { modulus, .. } => {
                u16::try_from(public::bits(modulus)).ok().map(|bits| KeyKind::Rsa { bits })
            }
            PublicKey::Ec { curve, .. } => Some(KeyKind::Ec(*curve)),
        };
        if made != Some(self.kind) {
            return Err(Error::bug("the key that was made is not the key that was asked for"));
        }
        let own = public::attributes(key)?;
        let (mut public, mut private) = (self.public, self.private);
        for object in [&mut public, &mut private] {
            for (cka, value) in own.iter() {
                object.insert(cka, value.clone());
            }
        }
        Ok((public, private))
    }
}
