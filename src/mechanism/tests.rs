//! What every mechanism of the table keeps to, with keys in software.

use std::collections::BTreeSet;

use cryptoki_sys::*;

use super::derivation_parameter::{HkdfParameter, KdfParameter, NumberFormat, PrfInput, Salt};
use super::hash::Hash;
use super::parameter::{AeadParameter, MechanismChoice, Parameter, ParameterShape};
use super::row::{BaseValue, Encryption, Mechanism, RunsIn, Signature};
use super::soft_key::{SoftKey, SoftTpm, ec_keys, everything, odd_rsa_key, rsa_key};
use super::table::MECHANISMS;
use super::task::KeyInUse;
use super::*;
use crate::error::Result;
use crate::tpm::{Curve, HashAlg, KeyKind, PublicKey, Scheme};

/// What a public key needs of the TPM.
pub(super) const NO_KEY: Option<SoftTpm<'static>> = None;

pub(super) fn plain(ckm: CK_MECHANISM_TYPE) -> MechanismChoice {
    MechanismChoice { ckm, parameter: Parameter::None }
}

pub(super) fn with(ckm: CK_MECHANISM_TYPE, parameter: Parameter) -> MechanismChoice {
    MechanismChoice { ckm, parameter }
}

pub(super) fn pss(ckm: CK_MECHANISM_TYPE, salt_len: CK_ULONG) -> MechanismChoice {
    let hash = MECHANISMS.iter().find(|row| row.ckm == ckm).unwrap().hash;
    let hash = MECHANISMS.iter().find(|row| row.digest == hash.or(Some(Hash::Sha256))).unwrap().ckm;
    let parameter = Parameter::Pss { hash, mgf: CKG_MGF1_SHA256, salt_len };
    MechanismChoice { ckm, parameter }
}

pub(super) fn oaep(hash: CK_MECHANISM_TYPE, mgf: CK_ULONG, label: &[u8]) -> MechanismChoice {
    let parameter = Parameter::Oaep { hash, mgf, label: label.to_vec() };
    MechanismChoice { ckm: CKM_RSA_PKCS_OAEP, parameter }
}

/// A good parameter for `row`.
pub(super) fn choice(row: &Mechanism) -> MechanismChoice {
    match row.parameter {
        ParameterShape::None => plain(row.ckm),
        ParameterShape::Pss => pss(row.ckm, 20),
        ParameterShape::Oaep => oaep(CKM_SHA256, CKG_MGF1_SHA256, b"label"),
        ParameterShape::Iv => with(row.ckm, Parameter::Bytes(vec![0x1f; 16])),
        ParameterShape::Counter => {
            // Blocks enough for every message here.
            let block = [[0xff; 15].as_slice(), &[0]].concat().try_into().unwrap();
            with(row.ckm, Parameter::Counter { bits: 64, block })
        }
        ParameterShape::OptionalIv(_) => plain(row.ckm),
        ParameterShape::Ecdh => {
            // The row's first key is on P-256, and so is the point.
            let PublicKey::Ec { x, y, .. } = ec_keys()[0].public() else { unreachable!() };
            let public = [&[4], &x[..], &y].concat();
            with(row.ckm, Parameter::Ecdh { kdf: CKD_NULL, shared: vec![], public })
        }
        ParameterShape::Data => with(row.ckm, Parameter::Data(vec![5; 16])),
        ParameterShape::BitIndex => with(row.ckm, Parameter::BitIndex(3)),
        ParameterShape::CbcData => {
            with(row.ckm, Parameter::CbcData { iv: [1; 16], data: vec![5; 16] })
        }
        ParameterShape::KeyHandle => with(row.ckm, Parameter::KeyHandle(1)),
        ParameterShape::Hkdf => with(
            row.ckm,
            Parameter::Hkdf(HkdfParameter {
                extract: true,
                expand: true,
                hash: CKM_SHA256,
                salt: Salt::None,
                info: vec![],
            }),
        ),
        ParameterShape::CounterKdf
        | ParameterShape::FeedbackKdf
        | ParameterShape::DoublePipelineKdf => {
            let counts = row.parameter == ParameterShape::CounterKdf;
            let format = NumberFormat { little_endian: false, bits: 32 };
            let inputs = vec![PrfInput::Iteration(counts.then_some(format))];
            let kdf = KdfParameter { prf: CKM_SHA256_HMAC, inputs, iv: vec![] };
            with(row.ckm, Parameter::Kdf(kdf))
        }
        ParameterShape::MacLength => with(row.ckm, Parameter::MacLength(7)),
        ParameterShape::RsaAes => {
            let (hash, mgf, label) = (CKM_SHA_1, CKG_MGF1_SHA1, Vec::new());
            with(row.ckm, Parameter::RsaAes { key_bits: 256, hash, mgf, label })
        }
        ParameterShape::Aead(mode) => {
            let nonce = vec![3; 12];
            let given = AeadParameter { nonce, data_len: Some(32), ..Default::default() };
            // 16 bytes for CCM; GCM counts bits.
            let tag = if mode == AeadMode::Gcm { 128 } else { 16 };
            with(row.ckm, Parameter::Aead(AeadParameter { tag, ..given }))
        }
    }
}

/// The keys that `row` works with.
pub(super) fn keys(row: &Mechanism) -> Vec<SoftKey> {
    match row.key_types.first() {
        Some(&CKK_RSA) => vec![rsa_key()],
        Some(&CKK_EC) => ec_keys().into(),
        Some(&CKK_AES) => {
            [16, 24, 32].map(|len| SoftKey::Secret(CKK_AES, (0..len).collect())).into()
        }
        Some(&key_type @ (CKK_GENERIC_SECRET | CKK_HKDF)) => {
            vec![SoftKey::Secret(key_type, vec![0x0b; 20])]
        }
        _ => Vec::new(),
    }
}

/// Whether a pair of keys signs and verifies by it.
fn pair(row: &Mechanism) -> bool {
    matches!(row.signature, Some(Signature::Pair(..)))
}

pub(super) fn signing_rows() -> impl Iterator<Item = &'static Mechanism> {
    MECHANISMS.iter().filter(|row| pair(row))
}

pub(super) fn signing(choice: &MechanismChoice, key: &SoftKey) -> Result<Signing> {
    Signing::new(choice, &everything(), &key.facts(), None, true)
}

pub(super) fn verifying(choice: &MechanismChoice, key: &SoftKey) -> Result<Verifying> {
    Verifying::new(choice, &everything(), &key.facts())
}

pub(super) fn encrypting(choice: &MechanismChoice, key: &SoftKey) -> Result<Encrypting> {
    Encrypting::new(choice, &everything(), &key.facts())
}

pub(super) fn decrypting(choice: &MechanismChoice, key: &SoftKey) -> Result<Decrypting> {
    Decrypting::new(choice, &everything(), &key.facts(), None)
}

#[track_caller]
pub(super) fn refused<T>(result: Result<T>, rv: CK_RV) {
    match result {
        Ok(_) => panic!("not refused"),
        Err(error) => assert_eq!(error.ck_rv(), rv, "{error}"),
    }
}

#[test]
fn the_table_says_each_mechanism_once_and_lists_none_that_does_nothing() {
    let mut seen = BTreeSet::new();
    for row in MECHANISMS {
        assert!(seen.insert(row.ckm), "{} twice", row.name);
        assert!(row.abilities().iter().any(|ability| ability.offered), "{}", row.name);
        // What needs a key's value has it leave the TPM, and works without it.
        let inside = !row.key_types.is_empty() && row.base_value == BaseValue::Stays;
        assert_eq!(inside, row.runs_in == RunsIn::Tpm, "{}", row.name);
        if let Some(Scheme::Ecdsa(hash) | Scheme::RsaSsa(hash)) = row.bound_scheme {
            assert_eq!(row.hash.and_then(Hash::tpm), Some(hash), "{}", row.name);
        }
        assert_eq!(parameter_shape(row.ckm), Some(row.parameter));
    }
    assert_eq!(parameter_shape(CKM_VENDOR_DEFINED), None);
}

#[test]
fn what_a_mechanism_signs_it_verifies_and_nothing_else() {
    for row in signing_rows() {
        for key in keys(row) {
            let choice = choice(row);
            // A digest of SHA-256 is good data for every one of them.
            let data = [0x5a; 32];
            let mut signing = signing(&choice, &key).unwrap();
            let signature = signing.sign(&data, &mut SoftTpm::new(&key)).unwrap();
            assert_eq!(signature.len(), signing.signature_len(), "{}", row.name);

            let verify = |data: &[u8], signature: &[u8]| {
                verifying(&choice, &key).unwrap().verify(data, signature, NO_KEY)
            };
            verify(&data, &signature).unwrap();
            refused(verify(&[0xa5; 32], &signature), CKR_SIGNATURE_INVALID);
            refused(verify(&data, &signature[1..]), CKR_SIGNATURE_LEN_RANGE);
            refused(verify(&data, &[&signature[..], &[0]].concat()), CKR_SIGNATURE_LEN_RANGE);
            refused(verify(&data, &[]), CKR_SIGNATURE_LEN_RANGE);
            for bad in [vec![0; signature.len()], vec![0xff; signature.len()]] {
                refused(verify(&data, &bad), CKR_SIGNATURE_INVALID);
            }
        }
    }
}

#[test]
fn single_part_mechanisms_refuse_parts() {
    for row in MECHANISMS {
        for key in keys(row).into_iter().take(1) {
            let (choice, mut tpm) = (choice(row), SoftTpm::new(&key));
            if pair(row) && row.hash.is_none() {
                let mut signing = signing(&choice, &key).unwrap();
                refused(signing.update(b"part", &mut tpm), CKR_FUNCTION_NOT_SUPPORTED);
                refused(signing.finish(&mut tpm), CKR_FUNCTION_NOT_SUPPORTED);
                let mut verifying = verifying(&choice, &key).unwrap();
                refused(verifying.update(b"part", NO_KEY), CKR_FUNCTION_NOT_SUPPORTED);
                refused(verifying.finish(b"signature", NO_KEY), CKR_FUNCTION_NOT_SUPPORTED);
            }
            if matches!(row.encryption, Some(Encryption::Padding(_))) {
                let mut encrypting = encrypting(&choice, &key).unwrap();
                refused(encrypting.update(b"part", NO_KEY), CKR_FUNCTION_NOT_SUPPORTED);
                let mut decrypting = decrypting(&choice, &key).unwrap();
                refused(decrypting.update(b"part", &mut tpm), CKR_FUNCTION_NOT_SUPPORTED);
            }
            assert_eq!((tpm.decrypted, tpm.signed.len()), (0, 0));
        }
    }
}

#[test]
fn a_mechanism_serves_only_the_functions_its_row_has() {
    for row in MECHANISMS {
        let key = keys(row).first().map_or(rsa_key().facts(), SoftKey::facts);
        let (choice, tpm) = (choice(row), everything());
        let no = if !row.key_types.is_empty() {
            CKR_MECHANISM_INVALID
        } else {
            CKR_KEY_TYPE_INCONSISTENT
        };
        if row.signature.is_none() {
            refused(Signing::new(&choice, &tpm, &key, None, true), no);
            refused(Verifying::new(&choice, &tpm, &key), no);
        }
        if row.flags() & (CKF_ENCRYPT | CKF_DECRYPT | CKF_WRAP) == 0 {
            refused(Encrypting::new(&choice, &tpm, &key), no);
            refused(Decrypting::new(&choice, &tpm, &key, None), no);
        }
        if row.digest.is_none() {
            refused(Digesting::new(&choice), CKR_MECHANISM_INVALID);
        }
        if row.generate_key_pair.is_none() {
            let refusal = check_key_pair(&choice, KeyKind::Ec(Curve::P256), &tpm);
            refused(refusal, CKR_MECHANISM_INVALID);
        }
        if row.generate_key.is_none() {
            refused(secret_key(&choice, 16, &tpm), CKR_MECHANISM_INVALID);
        }
    }
    refused(Digesting::new(&plain(CKM_VENDOR_DEFINED)), CKR_MECHANISM_INVALID);
}

#[test]
fn keys_of_another_type_or_size_are_refused() {
    let [p256, ..] = ec_keys();
    refused(signing(&plain(CKM_RSA_PKCS), &p256), CKR_KEY_TYPE_INCONSISTENT);
    refused(verifying(&plain(CKM_ECDSA), &rsa_key()), CKR_KEY_TYPE_INCONSISTENT);
    for modulus in [vec![0xff; 64], vec![0xff; 513]] {
        let key = PublicKey::Rsa { modulus, exponent: vec![3] }.into();
        let refusal = Verifying::new(&plain(CKM_RSA_PKCS), &everything(), &key);
        refused(refusal, CKR_KEY_SIZE_RANGE);
    }
}

#[test]
fn wrong_parameters_are_refused() {
    let good = |ckm| choice(MECHANISMS.iter().find(|row| row.ckm == ckm).unwrap()).parameter;
    let pss = |hash, mgf, salt_len| Parameter::Pss { hash, mgf, salt_len };
    for (ckm, parameter) in [
        (CKM_SHA256_RSA_PKCS, good(CKM_RSA_PKCS_PSS)),
        (CKM_SHA256_RSA_PKCS, Parameter::Bytes(vec![])),
        (CKM_RSA_PKCS_PSS, Parameter::None),
        (CKM_RSA_PKCS_PSS, Parameter::Bytes(vec![0; 24])),
        (CKM_RSA_PKCS_PSS, good(CKM_RSA_PKCS_OAEP)),
        (CKM_RSA_PKCS_PSS, pss(CKM_RSA_PKCS, CKG_MGF1_SHA256, 32)),
        (CKM_RSA_PKCS_PSS, pss(CKM_SHA256, 0, 32)),
        (CKM_RSA_PKCS_PSS, pss(CKM_SHA256, CKG_MGF1_SHA256, 128 - 32 - 1)),
        (CKM_RSA_PKCS_PSS, pss(CKM_SHA256, CKG_MGF1_SHA256, CK_ULONG::MAX)),
        (CKM_SHA256_RSA_PKCS_PSS, pss(CKM_SHA384, CKG_MGF1_SHA256, 32)),
    ] {
        let choice = MechanismChoice { ckm, parameter };
        refused(signing(&choice, &rsa_key()), CKR_MECHANISM_PARAM_INVALID);
        refused(verifying(&choice, &rsa_key()), CKR_MECHANISM_PARAM_INVALID);
    }
    for parameter in [
        Parameter::None,
        good(CKM_RSA_PKCS_PSS),
        Parameter::Oaep { hash: CKM_ECDSA, mgf: CKG_MGF1_SHA1, label: vec![] },
        Parameter::Oaep { hash: CKM_SHA_1, mgf: 77, label: vec![] },
    ] {
        let choice = MechanismChoice { ckm: CKM_RSA_PKCS_OAEP, parameter };
        refused(encrypting(&choice, &rsa_key()), CKR_MECHANISM_PARAM_INVALID);
        refused(decrypting(&choice, &rsa_key()), CKR_MECHANISM_PARAM_INVALID);
    }
    let choice = MechanismChoice { ckm: CKM_SHA256, parameter: good(CKM_RSA_PKCS_PSS) };
    refused(Digesting::new(&choice), CKR_MECHANISM_PARAM_INVALID);
}

#[test]
fn the_pss_salt_has_exactly_the_length_the_caller_chose() {
    // A modulus of one bit more than whole bytes: the encoded message is a byte shorter than it.
    for key in [rsa_key(), odd_rsa_key()] {
        for salt_len in [0, 1, 20, 32, 64, 128 - 32 - 2] {
            let mut signing = signing(&pss(CKM_SHA256_RSA_PKCS_PSS, salt_len), &key).unwrap();
            let signature = signing.sign(b"data", &mut SoftTpm::new(&key)).unwrap();
            let again = signing.sign(b"data", &mut SoftTpm::new(&key)).unwrap();
            assert_eq!(salt_len == 0, signature == again, "a fresh salt for every signature");
            for other in [salt_len.saturating_sub(1), salt_len, 94.min(salt_len + 1)] {
                let verified = verifying(&pss(CKM_SHA256_RSA_PKCS_PSS, other), &key)
                    .unwrap()
                    .verify(b"data", &signature, NO_KEY);
                assert_eq!(verified.is_ok(), other == salt_len, "{salt_len} taken for {other}");
            }
        }
    }
    refused(
        signing(&pss(CKM_RSA_PKCS_PSS, 20), &rsa_key())
            .unwrap()
            .sign(&[0; 20], &mut SoftTpm::new(&rsa_key())),
        CKR_DATA_LEN_RANGE,
    );
}

#[test]
fn data_too_long_or_too_large_is_refused_before_the_tpm_is_asked() {
    let key = rsa_key();
    let mut tpm = SoftTpm::new(&key);
    let mut sign = |ckm, data: &[u8]| signing(&plain(ckm), &key).unwrap().sign(data, &mut tpm);
    refused(sign(CKM_RSA_PKCS, &[0; 128 - 10]), CKR_DATA_LEN_RANGE);
    refused(sign(CKM_RSA_X_509, &[0; 129]), CKR_DATA_LEN_RANGE);
    refused(sign(CKM_RSA_X_509, &[0xff; 128]), CKR_DATA_INVALID);
    let decrypt = |choice: &MechanismChoice, data: &[u8], tpm: &mut SoftTpm<'_>| {
        decrypting(choice, &key).unwrap().decrypt(data, tpm)
    };
    let oaep = oaep(CKM_SHA_1, CKG_MGF1_SHA1, b"");
    for choice in [plain(CKM_RSA_PKCS), plain(CKM_RSA_X_509), oaep.clone()] {
        for len in [0, 127, 129] {
            refused(decrypt(&choice, &vec![0; len], &mut tpm), CKR_ENCRYPTED_DATA_LEN_RANGE);
        }
        refused(decrypt(&choice, &[0xff; 128], &mut tpm), CKR_ENCRYPTED_DATA_INVALID);
    }
    assert_eq!(tpm.decrypted, 0);

    let encrypt = |choice: &MechanismChoice, data: &[u8]| {
        encrypting(choice, &key).unwrap().encrypt(data, NO_KEY)
    };
    refused(encrypt(&plain(CKM_RSA_PKCS), &[0; 118]), CKR_DATA_LEN_RANGE);
    refused(encrypt(&oaep, &[0; 128 - 41]), CKR_DATA_LEN_RANGE);
    refused(encrypt(&plain(CKM_RSA_X_509), &[0; 129]), CKR_DATA_LEN_RANGE);
    refused(encrypt(&plain(CKM_RSA_X_509), &[0xff; 128]), CKR_DATA_INVALID);

    let [_, p256, _, p521] = ec_keys();
    let raw = |key: &SoftKey, data: &[u8]| {
        signing(&plain(CKM_ECDSA), key).unwrap().sign(data, &mut SoftTpm::new(key))
    };
    refused(raw(&p256, &[]), CKR_DATA_LEN_RANGE);
    // Longer than every hash a TPM has, and the order does not cut it.
    refused(raw(&p521, &[1; 65]), CKR_DATA_LEN_RANGE);
    raw(&p256, &[1; 1000]).unwrap();
}

#[test]
fn oaep_wants_a_key_that_is_long_enough_for_its_hash() {
    refused(encrypting(&oaep(CKM_SHA512, CKG_MGF1_SHA1, b""), &rsa_key()), CKR_KEY_SIZE_RANGE);
    refused(decrypting(&oaep(CKM_SHA512, CKG_MGF1_SHA1, b""), &rsa_key()), CKR_KEY_SIZE_RANGE);
}

#[test]
fn oaep_takes_only_its_own_label_and_hash_and_mask() {
    let key = rsa_key();
    let chosen = oaep(CKM_SHA256, CKG_MGF1_SHA1, b"label");
    let ciphertext = encrypting(&chosen, &key).unwrap().encrypt(b"secret", NO_KEY).unwrap();
    for (other, rv) in [
        (oaep(CKM_SHA256, CKG_MGF1_SHA1, b"other"), CKR_ENCRYPTED_DATA_INVALID),
        (oaep(CKM_SHA3_256, CKG_MGF1_SHA1, b"label"), CKR_ENCRYPTED_DATA_INVALID),
        (oaep(CKM_SHA256, CKG_MGF1_SHA256, b"label"), CKR_ENCRYPTED_DATA_INVALID),
    ] {
        let mut decrypting = decrypting(&other, &key).unwrap();
        refused(decrypting.decrypt(&ciphertext, &mut SoftTpm::new(&key)), rv);
    }
    let mut decrypting = decrypting(&chosen, &key).unwrap();
    let message = decrypting.decrypt(&ciphertext, &mut SoftTpm::new(&key)).unwrap();
    assert_eq!(message.as_slice(), b"secret");
}

#[test]
fn a_wrong_signature_of_the_tpm_is_never_given_out() {
    for row in signing_rows() {
        for key in keys(row) {
            let mut tpm = SoftTpm { faulty: true, ..SoftTpm::new(&key) };
            let mut signing = signing(&choice(row), &key).unwrap();
            refused(signing.sign(&[1; 32], &mut tpm), CKR_DEVICE_ERROR);
        }
    }
    let [_, key, ..] = ec_keys();
    let mut tpm = SoftTpm { faulty: true, ..SoftTpm::new(&key) };
    let unchecked = Signing::new(&plain(CKM_ECDSA), &everything(), &key.facts(), None, false);
    assert_eq!(unchecked.unwrap().sign(&[1; 32], &mut tpm).unwrap().len(), 64);
    let key = rsa_key();
    let mut tpm = SoftTpm { faulty: true, ..SoftTpm::new(&key) };
    let unchecked = Signing::new(&plain(CKM_RSA_PKCS), &everything(), &key.facts(), None, false);
    refused(unchecked.unwrap().sign(&[1; 32], &mut tpm), CKR_DEVICE_ERROR);
}

#[test]
fn a_key_bound_to_a_scheme_signs_by_it_and_by_nothing_else() {
    for row in signing_rows() {
        let Some(scheme) = row.bound_scheme else { continue };
        for key in keys(row) {
            let public = key.facts();
            let bound = |ckm: &MechanismChoice| {
                Signing::new(ckm, &everything(), &public, Some(scheme), true)
            };
            let mut tpm = SoftTpm::new(&key);
            let signature = bound(&choice(row)).unwrap().sign(b"data", &mut tpm).unwrap();
            verifying(&choice(row), &key).unwrap().verify(b"data", &signature, NO_KEY).unwrap();
            let digest = row.hash.unwrap().digest(b"data");
            assert_eq!((tpm.decrypted, tpm.signed), (0, vec![(digest, scheme)]));
            for other in signing_rows().filter(|other| other.key_types == row.key_types) {
                if other.ckm != row.ckm {
                    refused(bound(&choice(other)), CKR_MECHANISM_INVALID);
                }
            }
        }
    }
    let scheme = Some(Scheme::RsaSsa(HashAlg::Sha256));
    let key = rsa_key().facts();
    let refusal = Decrypting::new(&plain(CKM_RSA_PKCS), &everything(), &key, scheme);
    refused(refusal, CKR_MECHANISM_INVALID);
}

#[test]
fn only_mechanisms_of_one_scheme_bind_a_key() {
    let scheme = |allowed: &[CK_MECHANISM_TYPE]| restricted_scheme(allowed, &everything());
    let ecdsa = Some(Scheme::Ecdsa(HashAlg::Sha256));
    assert_eq!(scheme(&[CKM_ECDSA_SHA256]), ecdsa);
    assert_eq!(scheme(&[CKM_ECDSA_SHA256, CKM_ECDSA_SHA256]), ecdsa);
    assert_eq!(scheme(&[CKM_SHA384_RSA_PKCS]), Some(Scheme::RsaSsa(HashAlg::Sha384)));
    for free in [
        &[][..],
        &[CKM_ECDSA],
        &[CKM_RSA_PKCS],
        &[CKM_SHA256_RSA_PKCS_PSS],
        &[CKM_SHA3_256_RSA_PKCS],
        &[CKM_ECDSA_SHA256, CKM_ECDSA_SHA384],
        &[CKM_ECDSA_SHA256, CKM_ECDSA],
        &[CKM_SHA256_RSA_PKCS, CKM_VENDOR_DEFINED],
        &[CKM_SHA256_RSA_PKCS, CKM_ECDSA_SHA256],
    ] {
        assert_eq!(scheme(free), None, "{free:?}");
    }
    let mut tpm = everything();
    tpm.algorithms.remove(&HashAlg::Sha384.alg_id());
    assert_eq!(restricted_scheme(&[CKM_ECDSA_SHA384], &tpm), None);
}

#[test]
fn numbers_that_are_no_public_key_are_refused() {
    let rsa = |modulus: &[u8], exponent: &[u8]| PublicKey::Rsa {
        modulus: modulus.to_vec(),
        exponent: exponent.to_vec(),
    };
    let n = [0xff; 128];
    let PublicKey::Ec { curve, x, y } = ec_keys()[0].public() else { unreachable!() };
    let off_curve = PublicKey::Ec { curve, x: y.clone(), y: x.clone() };
    let infinity =
        PublicKey::Ec { curve, x: vec![0; curve.field_len()], y: vec![0; curve.field_len()] };
    let short = PublicKey::Ec { curve, x: x[1..].to_vec(), y };
    for bad in [
        rsa(&[], &[3]),
        rsa(&n, &[]),
        rsa(&n, &[1]),
        rsa(&n, &[4]),
        rsa(&n, &[0xff; 9]),
        rsa(&[0xfe; 128], &[3]),
        rsa(&[3], &[3]),
        off_curve,
        infinity,
        short,
    ] {
        refused(KeyInUse::new(&bad), CKR_ATTRIBUTE_VALUE_INVALID);
    }
    assert!(KeyInUse::new(&rsa(&n, &[3])).is_ok());
    assert!(KeyInUse::new(&rsa(&n, &[0xff; 8])).is_ok());
}
