//! Two templates and a public key made into a key pair.

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CKA_EC_PARAMS, CKA_MODULUS_BITS, CKA_PUBLIC_EXPONENT, CKA_PUBLIC_KEY_INFO,
    CKK_EC, CKK_RSA, CKM_EC_KEY_PAIR_GEN, CKM_RSA_PKCS_KEY_PAIR_GEN, CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY, CKR_ATTRIBUTE_VALUE_INVALID, CKR_MECHANISM_INVALID,
};

use super::creation::{Actor, Path, incomplete, inconsistent, new_object};
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
/// CKA_MODULUS_BITS or CKA_EC_PARAMS; `CKR_ATTRIBUTE_VALUE_INVALID` for a modulus that no TPM has;
/// `CKR_CURVE_NOT_SUPPORTED` or `CKR_DOMAIN_PARAMS_INVALID` for the curve;
/// `CKR_TEMPLATE_INCONSISTENT` for a public exponent other than 65537; `CKR_ATTRIBUTE_VALUE_INVALID`
/// for any CKA_PUBLIC_KEY_INFO; `CKR_MECHANISM_INVALID` for a mechanism that makes no key pair.
///
/// PKCS#11 v3.1, C_GenerateKeyPair; "PKCS #1 RSA key pair generation".
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
        .map_err(|cause| Error::because(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_MODULUS_BITS", cause))?;
    match public.bytes(CKA_PUBLIC_EXPONENT) {
        Some(exponent) if without_zeros(exponent) != EXPONENT => {
            Err(inconsistent("keys are made with the public exponent 65537 only"))
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
        if public::kind(key) != Some(self.kind) {
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

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::value::Value;
    use super::*;
    use crate::tpm::Curve;
    use cryptoki_sys::*;

    fn rsa_bits(bits: u64) -> AttributeSet {
        AttributeSet::new().with(CKA_MODULUS_BITS, Value::Ulong(bits))
    }

    fn on(curve: Curve) -> AttributeSet {
        let params = public::ec_params(curve).unwrap();
        AttributeSet::new().with(CKA_EC_PARAMS, Value::bytes(params))
    }

    fn request(mechanism: CK_MECHANISM_TYPE, public: &AttributeSet) -> Told<KeyKind> {
        key_pair_request(mechanism, public, &AttributeSet::new(), USER)
            .map(|request| request.kind)
            .map_err(|error| error.ck_rv())
    }

    #[test]
    fn c118_the_size_or_the_curve_has_to_be_given() {
        let rsa = |template| request(CKM_RSA_PKCS_KEY_PAIR_GEN, &template);
        let ec = |template| request(CKM_EC_KEY_PAIR_GEN, &template);
        assert_eq!(rsa(rsa_bits(2048)), Ok(KeyKind::Rsa { bits: 2048 }));
        assert_eq!(rsa(AttributeSet::new()), Err(CKR_TEMPLATE_INCOMPLETE));
        assert_eq!(rsa(rsa_bits(1 << 16)), Err(CKR_ATTRIBUTE_VALUE_INVALID));
        assert_eq!(rsa(rsa_bits(u64::MAX)), Err(CKR_ATTRIBUTE_VALUE_INVALID));
        assert_eq!(ec(on(Curve::P384)), Ok(KeyKind::Ec(Curve::P384)));
        assert_eq!(ec(AttributeSet::new()), Err(CKR_TEMPLATE_INCOMPLETE));
        let params = |bytes: Vec<u8>| AttributeSet::new().with(CKA_EC_PARAMS, Value::bytes(bytes));
        assert_eq!(ec(params(bytes("06052b8104000a"))), Err(CKR_CURVE_NOT_SUPPORTED));
        assert_eq!(ec(params(vec![])), Err(CKR_DOMAIN_PARAMS_INVALID));
        assert_eq!(request(CKM_ECDSA, &on(Curve::P256)), Err(CKR_MECHANISM_INVALID));
        assert_eq!(
            request(CKM_RSA_PKCS_KEY_PAIR_GEN, &on(Curve::P256)),
            Err(CKR_TEMPLATE_INCONSISTENT)
        );
    }

    #[test]
    fn only_the_exponent_65537_is_made() {
        let with = |exponent: &[u8]| {
            let template = rsa_bits(2048).with(CKA_PUBLIC_EXPONENT, Value::bytes(exponent));
            request(CKM_RSA_PKCS_KEY_PAIR_GEN, &template)
        };
        assert!(with(&[1, 0, 1]).is_ok());
        assert!(with(&[0, 1, 0, 1]).is_ok());
        for other in [&[3][..], &[1, 0, 3], &[2], &[1], &[]] {
            assert_eq!(with(other), Err(CKR_TEMPLATE_INCONSISTENT), "{other:x?}");
        }
    }

    #[test]
    fn c096_both_halves_are_local_and_know_their_mechanism() {
        let key = rsa_key();
        let (public, private) = pair(&key, AttributeSet::new(), AttributeSet::new());
        for object in [&public, &private] {
            assert!(object.is_true(CKA_LOCAL));
            assert_eq!(object.ulong(CKA_KEY_GEN_MECHANISM), Some(CKM_RSA_PKCS_KEY_PAIR_GEN));
        }
        assert!(private.is_true(CKA_ALWAYS_SENSITIVE) && private.is_true(CKA_NEVER_EXTRACTABLE));
        assert!(!public.has(CKA_ALWAYS_SENSITIVE));
        assert!(private.is_private() && !public.is_private());
    }

    #[test]
    fn c108_both_halves_say_what_the_public_key_is() {
        for (key, info) in [(rsa_key(), RSA_INFO), (ec_key(Curve::P521, P521_INFO), P521_INFO)] {
            let (public, private) = pair(&key, AttributeSet::new(), AttributeSet::new());
            for object in [&public, &private] {
                assert_eq!(hex::encode(object.bytes(CKA_PUBLIC_KEY_INFO).unwrap()), info);
                assert_eq!(public::public_key(object).unwrap(), key);
            }
            let rsa = matches!(key, PublicKey::Rsa { .. });
            assert_eq!(public.ulong(CKA_MODULUS_BITS), rsa.then_some(1024));
            assert!(!private.has(CKA_MODULUS_BITS));
        }
    }

    #[test]
    fn c108_a_public_key_info_cannot_be_given_before_there_is_a_key() {
        let info = AttributeSet::new().with(CKA_PUBLIC_KEY_INFO, Value::bytes(bytes(P256_INFO)));
        let given = key_pair_request(CKM_EC_KEY_PAIR_GEN, &on(Curve::P256), &info, USER);
        assert_eq!(given.unwrap_err().ck_rv(), CKR_ATTRIBUTE_VALUE_INVALID);
    }

    #[test]
    fn k_usages_of_a_pair_are_those_its_templates_name() {
        let sign = AttributeSet::new().with(CKA_SIGN, TRUE);
        let (public, private) = pair(&rsa_key(), AttributeSet::new(), sign);
        assert!(private.is_true(CKA_SIGN) && public.is_true(CKA_VERIFY));
        // What systemd searches by: a signing key is no disk key.
        assert_eq!(private.bool(CKA_DECRYPT), Some(false));
        assert_eq!(private.bool(CKA_DERIVE), Some(false));
    }

    #[test]
    fn k_what_nss_asks_of_an_ec_key_works() {
        let template = AttributeSet::new().with(CKA_SIGN, TRUE).with(CKA_DERIVE, TRUE);
        let key = ec_key(Curve::P256, P256_INFO);
        let (_, private) = pair(&key, AttributeSet::new(), template);
        assert!(private.is_true(CKA_SIGN) && private.is_true(CKA_DERIVE));
    }

    #[test]
    fn a_key_other_than_the_one_asked_for_completes_nothing() {
        let none = AttributeSet::new();
        let request =
            || key_pair_request(CKM_EC_KEY_PAIR_GEN, &on(Curve::P256), &none, USER).unwrap();
        let other_curve = ec_key(Curve::P384, P384_INFO);
        for key in [other_curve, rsa_key()] {
            assert_eq!(request().complete(&key).unwrap_err().ck_rv(), CKR_GENERAL_ERROR);
        }
    }
}
