//! A TPM that lacks something offers less, and makes no more.

use cryptoki_sys::*;

use super::hash::Hash;
use super::parameter::MechanismChoice;
use super::soft_key::{SoftKey, SoftTpm, ec_keys, everything};
use super::table::MECHANISMS;
use super::tests::{NO_KEY, plain, pss, refused, verifying};
use super::*;
use crate::tpm::{Abilities, Curve, HashAlg, KeyKind};

#[test]
fn info_is_narrowed_to_what_the_tpm_has() {
    let mut tpm = everything();
    tpm.rsa_bits = [2048, 8192].into();
    tpm.curves = [Curve::P384.curve_id(), 0x10].into();
    let info = |ckm| {
        let info = find(ckm, &tpm).unwrap().info(&tpm);
        (info.ulMinKeySize, info.ulMaxKeySize, info.flags)
    };
    assert_eq!(info(CKM_SHA256), (0, 0, CKF_DIGEST));
    let signs = CKF_HW | CKF_SIGN | CKF_VERIFY | CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY;
    let recovers = CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER;
    let encrypts =
        CKF_ENCRYPT | CKF_DECRYPT | CKF_WRAP | CKF_UNWRAP | CKF_ENCAPSULATE | CKF_DECAPSULATE;
    assert_eq!(info(CKM_RSA_PKCS), (2048, 2048, signs | recovers | encrypts));
    assert_eq!(info(CKM_SHA256_RSA_PKCS), (2048, 2048, signs | CKF_MULTI_MESSAGE));
    assert_eq!(info(CKM_RSA_PKCS_KEY_PAIR_GEN), (2048, 2048, CKF_HW | CKF_GENERATE_KEY_PAIR));
    let curves = CKF_EC_F_P | CKF_EC_OID | CKF_EC_CURVENAME | CKF_EC_UNCOMPRESS;
    assert_eq!(info(CKM_ECDSA), (384, 384, signs | curves));
    assert_eq!(info(CKM_EC_KEY_PAIR_GEN), (384, 384, CKF_HW | CKF_GENERATE_KEY_PAIR | curves));
}

#[test]
fn a_tpm_that_lacks_something_offers_less() {
    let missing = |change: fn(&mut Abilities), ckm| {
        let mut tpm = everything();
        assert!(find(ckm, &tpm).is_ok());
        change(&mut tpm);
        refused(find(ckm, &tpm), CKR_MECHANISM_INVALID);
        assert!(offered(&tpm).all(|row| row.ckm != ckm));
    };
    missing(|tpm| tpm.rsa_bits.clear(), CKM_RSA_PKCS);
    missing(|tpm| assert!(tpm.algorithms.remove(&0x0001)), CKM_RSA_PKCS_OAEP);
    missing(|tpm| assert!(tpm.algorithms.remove(&0x0018)), CKM_ECDSA);
    missing(|tpm| assert!(tpm.commands.remove(&0x15D)), CKM_ECDSA_SHA256);
    missing(|tpm| assert!(tpm.commands.remove(&0x159)), CKM_RSA_PKCS_PSS);
    missing(|tpm| tpm.curves.clear(), CKM_EC_KEY_PAIR_GEN);

    refused(find(CKM_VENDOR_DEFINED, &everything()), CKR_MECHANISM_INVALID);
    assert_eq!(offered(&everything()).count(), MECHANISMS.len());
    assert!(offered(&Abilities::default()).all(|row| row.digest.is_some()));
    assert_eq!(offered(&Abilities::default()).count(), Hash::ALL.len());
}

#[test]
fn a_key_too_long_for_the_hashes_of_the_tpm_is_refused_at_the_start() {
    let [_, p256, p384, p521] = ec_keys();
    let mut tpm = everything();
    tpm.algorithms.remove(&HashAlg::Sha384.alg_id());
    tpm.algorithms.remove(&HashAlg::Sha512.alg_id());
    let begin = |ckm, key: &SoftKey| Signing::new(&plain(ckm), &tpm, &key.facts(), None, true);
    refused(begin(CKM_ECDSA_SHA384, &p384), CKR_KEY_SIZE_RANGE);
    refused(begin(CKM_ECDSA_SHA512, &p521), CKR_KEY_SIZE_RANGE);
    for (ckm, key) in [(CKM_ECDSA_SHA512, &p256), (CKM_ECDSA_SHA256, &p521)] {
        let signature = begin(ckm, key).unwrap().sign(b"data", &mut SoftTpm::new(key)).unwrap();
        verifying(&plain(ckm), key).unwrap().verify(b"data", &signature, NO_KEY).unwrap();
    }
}

#[test]
fn a_key_of_a_kind_that_the_tpm_lacks_is_refused() {
    let mut tpm = everything();
    tpm.curves.remove(&Curve::P521.curve_id());
    let rsa = |bits| check_key_pair(&plain(CKM_RSA_PKCS_KEY_PAIR_GEN), KeyKind::Rsa { bits }, &tpm);
    let ec = |curve| check_key_pair(&plain(CKM_EC_KEY_PAIR_GEN), KeyKind::Ec(curve), &tpm);
    rsa(3072).unwrap();
    ec(Curve::P384).unwrap();
    for bits in [0, 2047, 4096] {
        refused(rsa(bits), CKR_ATTRIBUTE_VALUE_INVALID);
    }
    refused(ec(Curve::P521), CKR_CURVE_NOT_SUPPORTED);
    let with_parameter = pss(CKM_RSA_PKCS_PSS, 0).parameter;
    let choice = MechanismChoice { ckm: CKM_EC_KEY_PAIR_GEN, parameter: with_parameter };
    let kind = KeyKind::Ec(Curve::P256);
    refused(check_key_pair(&choice, kind, &tpm), CKR_MECHANISM_PARAM_INVALID);
}
