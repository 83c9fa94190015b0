//! Private keys made outside and brought into the TPM by `C_CreateObject`.

mod common;

use std::process::Command;

use common::fixture::*;
use common::p11::*;
use common::tpm_proxy::Action;
use cryptoki_sys::*;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::EncodePublicKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};

const IMPORT: u32 = 0x156;
const LOAD: u32 = 0x157;
const FLUSH_CONTEXT: u32 = 0x165;

/// A key that OpenSSL made.
fn rsa_key(bits: usize) -> RsaPrivateKey {
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-outform", "DER", "-pkeyopt"])
        .arg(format!("rsa_keygen_bits:{bits}"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    RsaPrivateKey::from_pkcs1_der(&made.stdout).unwrap()
}

fn private(key_type: CK_KEY_TYPE, token: bool) -> Vec<Attr> {
    vec![
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, key_type),
        flag(CKA_TOKEN, token),
        bytes(CKA_ID, b"imported"),
    ]
}

fn number(cka: CK_ATTRIBUTE_TYPE, number: &BigUint) -> Attr {
    bytes(cka, &number.to_bytes_be())
}

/// Every number of `key` that a template can have.
fn numbers(key: &RsaPrivateKey) -> Vec<Attr> {
    let [p, q] = key.primes() else { panic!("two primes") };
    vec![
        number(CKA_MODULUS, key.n()),
        number(CKA_PUBLIC_EXPONENT, key.e()),
        number(CKA_PRIVATE_EXPONENT, key.d()),
        number(CKA_PRIME_1, p),
        number(CKA_PRIME_2, q),
        number(CKA_EXPONENT_1, key.dp().unwrap()),
        number(CKA_EXPONENT_2, key.dq().unwrap()),
        number(CKA_COEFFICIENT, &key.crt_coefficient().unwrap()),
    ]
}

fn whole(key: &RsaPrivateKey, token: bool) -> Vec<Attr> {
    [private(CKK_RSA, token), numbers(key)].concat()
}

/// The same without some attributes, or with others in their place.
fn without(template: &[Attr], gone: &[CK_ATTRIBUTE_TYPE], other: &[Attr]) -> Vec<Attr> {
    let kept = template.iter().filter(|attr| !gone.contains(&attr.0)).cloned();
    kept.chain(other.iter().cloned()).collect()
}

fn ec(params: &[u8], scalar: &[u8], token: bool) -> Vec<Attr> {
    let own = vec![bytes(CKA_EC_PARAMS, params), bytes(CKA_VALUE, scalar)];
    [private(CKK_EC, token), own].concat()
}

fn signs_with_rsa(
    p: &P11,
    session: CK_SESSION_HANDLE,
    handle: CK_OBJECT_HANDLE,
    key: &RsaPrivateKey,
) {
    let signature = p.sign(session, Mech::plain(CKM_RSA_PKCS), handle, b"a block").unwrap();
    key.to_public_key().verify(Pkcs1v15Sign::new_unprefixed(), b"a block", &signature).unwrap();
}

fn signs_with_p256(p: &P11, session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE, scalar: &[u8]) {
    let signature = p.sign(session, Mech::plain(CKM_ECDSA), handle, &[9; 32]).unwrap();
    let key = p256::SecretKey::from_slice(scalar).unwrap();
    let key = p256::ecdsa::VerifyingKey::from(key.public_key());
    key.verify_prehash(&[9; 32], &p256::ecdsa::Signature::from_slice(&signature).unwrap()).unwrap();
}

#[test]
fn rsa_keys_of_every_size_the_tpm_has_sign_decrypt_and_say_what_they_are() {
    let t = Token::new();
    let session = t.user();
    let least = t.p.mechanism_info(OWNER, CKM_RSA_PKCS).unwrap().ulMinKeySize;
    for bits in [1024, 2048, 3072] {
        if least > bits {
            continue;
        }
        let key = rsa_key(bits as usize);
        for token in [false, true] {
            let handle = t.p.create(session, &whole(&key, token)).unwrap();
            signs_with_rsa(&t.p, session, handle, &key);
            assert_eq!(t.p.get(session, handle, CKA_MODULUS), Ok(key.n().to_bytes_be()));
            assert_eq!(t.p.get(session, handle, CKA_PUBLIC_EXPONENT), Ok(vec![1, 0, 1]));
            let info = key.to_public_key().to_public_key_der().unwrap();
            assert_eq!(t.p.get(session, handle, CKA_PUBLIC_KEY_INFO), Ok(info.as_bytes().to_vec()));
            let public = [
                ulong(CKA_CLASS, CKO_PUBLIC_KEY),
                ulong(CKA_KEY_TYPE, CKK_RSA),
                number(CKA_MODULUS, key.n()),
                number(CKA_PUBLIC_EXPONENT, key.e()),
            ];
            let public = t.p.create(session, &public).unwrap();
            let mech = || Mech::plain(CKM_RSA_PKCS);
            let secret = t.p.encrypt(session, mech(), public, b"plain").unwrap();
            assert_eq!(t.p.decrypt(session, mech(), handle, &secret).unwrap(), b"plain");
        }
    }
}

#[test]
fn ec_keys_on_every_curve_the_tpm_has_sign_and_say_what_they_are() {
    let t = Token::new();
    let session = t.user();
    for token in [false, true] {
        let scalar = [7; 32];
        let key = p256::SecretKey::from_slice(&scalar).unwrap().public_key();
        let handle = t.p.create(session, &ec(P256, &scalar, token)).unwrap();
        signs_with_p256(&t.p, session, handle, &scalar);
        let point = [&[4, 65], key.to_encoded_point(false).as_bytes()].concat();
        assert_eq!(t.p.get(session, handle, CKA_EC_POINT), Ok(point));
        let info = key.to_public_key_der().unwrap();
        assert_eq!(t.p.get(session, handle, CKA_PUBLIC_KEY_INFO), Ok(info.as_bytes().to_vec()));

        let scalar = [8; 48];
        let handle = t.p.create(session, &ec(P384, &scalar, token)).unwrap();
        let signature = t.p.sign(session, Mech::plain(CKM_ECDSA), handle, &[9; 48]).unwrap();
        let key = p384::SecretKey::from_slice(&scalar).unwrap().public_key();
        let signature = p384::ecdsa::Signature::from_slice(&signature).unwrap();
        p384::ecdsa::VerifyingKey::from(key).verify_prehash(&[9; 48], &signature).unwrap();

        let mut scalar = [9; 66];
        scalar[0] = 1;
        match t.p.create(session, &ec(P521, &scalar, token)) {
            Ok(handle) => {
                let mech = Mech::plain(CKM_ECDSA);
                let signature = t.p.sign(session, mech, handle, &[9; 64]).unwrap();
                let key = p521::SecretKey::from_slice(&scalar).unwrap().public_key();
                let key = p521::ecdsa::VerifyingKey::from_affine(*key.as_affine()).unwrap();
                let signature = p521::ecdsa::Signature::from_slice(&signature).unwrap();
                key.verify_prehash(&[9; 64], &signature).unwrap();
            }
            Err(rv) => {
                assert_eq!(rv, CKR_CURVE_NOT_SUPPORTED);
                let most = t.p.mechanism_info(OWNER, CKM_ECDSA).unwrap().ulMaxKeySize;
                assert!(most < 521, "the curve is listed");
            }
        }
    }
}

#[test]
fn a_scalar_is_a_number_with_or_without_leading_zeros() {
    let t = Token::new();
    let session = t.user();
    let mut scalar = [0; 32];
    scalar[30] = 2;
    for given in [&scalar[..], &scalar[30..], &[&[0; 5], &scalar[..]].concat()] {
        let handle = t.p.create(session, &ec(P256, given, false)).unwrap();
        signs_with_p256(&t.p, session, handle, &scalar);
    }
}

#[test]
fn c096_an_imported_key_is_not_local_and_was_known_outside() {
    let t = Token::new();
    let session = t.user();
    let rsa = whole(&rsa_key(2048), true);
    for template in [ec(P256, &[7; 32], true), rsa] {
        let handle = t.p.create(session, &template).unwrap();
        for (cka, value) in [
            (CKA_LOCAL, false),
            (CKA_ALWAYS_SENSITIVE, false),
            (CKA_NEVER_EXTRACTABLE, false),
            (CKA_PRIVATE, true),
            (CKA_SENSITIVE, true),
            (CKA_EXTRACTABLE, false),
        ] {
            assert_eq!(t.p.get_bool(session, handle, cka), Ok(value), "{cka:#x}");
        }
        let mechanism = t.p.get_ulong(session, handle, CKA_KEY_GEN_MECHANISM);
        assert_eq!(mechanism, Ok(CK_UNAVAILABLE_INFORMATION));
        let secrets = [CKA_VALUE, CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_COEFFICIENT];
        for cka in secrets {
            let told = t.p.get(session, handle, cka);
            assert!(
                matches!(told, Err(CKR_ATTRIBUTE_SENSITIVE | CKR_ATTRIBUTE_TYPE_INVALID)),
                "{cka:#x}: {told:x?}"
            );
        }
        for cka in [CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE] {
            let given = [template.clone(), vec![flag(cka, false)]].concat();
            assert_eq!(t.p.create(session, &given), Err(CKR_ATTRIBUTE_READ_ONLY), "{cka:#x}");
        }
    }
}

#[test]
fn a_key_that_may_leave_tells_what_was_given() {
    let t = Token::new();
    let session = t.user();
    let open = [flag(CKA_SENSITIVE, false), flag(CKA_EXTRACTABLE, true)];
    let key = rsa_key(2048);
    let numbers = numbers(&key);
    let handle = t.p.create(session, &[whole(&key, true), open.to_vec()].concat()).unwrap();
    signs_with_rsa(&t.p, session, handle, &key);
    for attr in &numbers {
        // Of private exponents there are several; the least one is told.
        if attr.0 != CKA_PRIVATE_EXPONENT {
            assert_eq!(t.p.get(session, handle, attr.0).as_ref(), Ok(&attr.1), "{:#x}", attr.0);
        }
    }
    let scalar = [7; 32];
    let handle = t.p.create(session, &[ec(P256, &scalar, true), open.to_vec()].concat()).unwrap();
    signs_with_p256(&t.p, session, handle, &scalar);
    assert_eq!(t.p.get(session, handle, CKA_VALUE), Ok(scalar.to_vec()));
}

#[test]
fn rsa_numbers_that_are_missing_are_computed() {
    let t = Token::new();
    let session = t.user();
    let key = rsa_key(2048);
    let whole = whole(&key, false);
    const CRT: [CK_ATTRIBUTE_TYPE; 3] = [CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT];
    let swapped = {
        let [p, q] = key.primes() else { panic!("two primes") };
        [number(CKA_PRIME_1, q), number(CKA_PRIME_2, p)]
    };
    let least = [&CRT[..], &[CKA_PRIME_1, CKA_PRIME_2]].concat();
    let empty = least.iter().map(|cka| bytes(*cka, b"")).collect::<Vec<_>>();
    for template in [
        without(&whole, &CRT, &[]),
        without(&whole, &least, &[]),
        without(&whole, &least, &empty),
        without(&whole, &least, &swapped),
        without(&whole, &least, &swapped[..1]),
        without(&whole, &least, &swapped[1..]),
        without(&whole, &[CKA_PRIME_2], &[]),
        without(&whole, &[CKA_PRIME_1], &[]),
    ] {
        let handle = t.p.create(session, &template).unwrap();
        signs_with_rsa(&t.p, session, handle, &key);
        assert_eq!(t.p.get(session, handle, CKA_PUBLIC_EXPONENT), Ok(vec![1, 0, 1]));
    }
}

#[test]
fn c094_numbers_that_are_no_key_of_this_tpm_make_no_object() {
    let t = Token::new();
    let session = t.user();
    let key = rsa_key(2048);
    let other = numbers(&rsa_key(2048));
    let good = whole(&key, true);
    let replaced = |attr: Attr| without(&good, &[attr.0], std::slice::from_ref(&attr));
    let small = numbers(&rsa_key(512));
    let mut refused = vec![
        (without(&good, &[CKA_MODULUS], &[]), CKR_TEMPLATE_INCOMPLETE),
        (without(&good, &[CKA_PRIVATE_EXPONENT], &[]), CKR_TEMPLATE_INCOMPLETE),
        (without(&good, &[CKA_PUBLIC_EXPONENT], &[]), CKR_TEMPLATE_INCOMPLETE),
        (replaced(bytes(CKA_PRIVATE_EXPONENT, b"")), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_PRIVATE_EXPONENT, &[0])), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_PRIVATE_EXPONENT, &[1])), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_PRIVATE_EXPONENT, &[255; 300])), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_PUBLIC_EXPONENT, &[3])), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_PUBLIC_EXPONENT, &[2])), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_PUBLIC_EXPONENT, &[1; 8])), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_PRIME_1, &[1])), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_PRIME_1, &[0])), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_PUBLIC_KEY_INFO, b"another")), CKR_ATTRIBUTE_VALUE_INVALID),
        (replaced(bytes(CKA_VALUE, b"of an EC key")), CKR_TEMPLATE_INCONSISTENT),
        ([private(CKK_RSA, true), small].concat(), CKR_ATTRIBUTE_VALUE_INVALID),
        (ec(P256, &[], true), CKR_ATTRIBUTE_VALUE_INVALID),
        (ec(P256, &[0; 32], true), CKR_ATTRIBUTE_VALUE_INVALID),
        (ec(P256, &[0xff; 32], true), CKR_ATTRIBUTE_VALUE_INVALID),
        (ec(P256, &[7; 33], true), CKR_ATTRIBUTE_VALUE_INVALID),
        (ec(&P256[..5], &[7; 32], true), CKR_DOMAIN_PARAMS_INVALID),
        // secp256k1.
        (ec(&[6, 5, 0x2b, 0x81, 4, 0, 0x0a], &[7; 32], true), CKR_CURVE_NOT_SUPPORTED),
        (without(&ec(P256, &[7; 32], true), &[CKA_VALUE], &[]), CKR_TEMPLATE_INCOMPLETE),
        (without(&ec(P256, &[7; 32], true), &[CKA_EC_PARAMS], &[]), CKR_TEMPLATE_INCOMPLETE),
    ];
    // The order of P-256, and the number above it.
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let mut order = hex::decode(order).unwrap();
    refused.push((ec(P256, &order, true), CKR_ATTRIBUTE_VALUE_INVALID));
    order[31] += 1;
    refused.push((ec(P256, &order, true), CKR_ATTRIBUTE_VALUE_INVALID));
    order[31] -= 2;
    let last = t.p.create(session, &ec(P256, &order, false)).unwrap();
    signs_with_p256(&t.p, session, last, &order);
    t.p.destroy(session, last).unwrap();
    // The same prime twice, with numbers that belong together.
    let [p, _] = key.primes() else { panic!("two primes") };
    let (one, e) = (BigUint::from(1u8), BigUint::from(65_537u32));
    let square = [
        number(CKA_MODULUS, &(p * p)),
        number(CKA_PUBLIC_EXPONENT, &e),
        number(CKA_PRIVATE_EXPONENT, &(key.d() % (p - &one))),
        number(CKA_PRIME_1, p),
        number(CKA_PRIME_2, p),
    ];
    refused.push(([private(CKK_RSA, true), square.to_vec()].concat(), CKR_ATTRIBUTE_VALUE_INVALID));
    let even = key.n() - &one;
    refused.push((replaced(number(CKA_MODULUS, &even)), CKR_ATTRIBUTE_VALUE_INVALID));
    refused.push((replaced(bytes(CKA_PUBLIC_EXPONENT, &[1])), CKR_ATTRIBUTE_VALUE_INVALID));
    // One number of another key.
    for attr in other.into_iter().filter(|attr| attr.0 != CKA_PUBLIC_EXPONENT) {
        refused.push((replaced(attr), CKR_ATTRIBUTE_VALUE_INVALID));
    }
    let point = p256::SecretKey::from_slice(&[8; 32]).unwrap().public_key();
    let point = [&[4, 65], point.to_encoded_point(false).as_bytes()].concat();
    let foreign = [ec(P256, &[7; 32], true), vec![bytes(CKA_EC_POINT, &point)]].concat();
    refused.push((foreign, CKR_ATTRIBUTE_VALUE_INVALID));
    for (at, (template, rv)) in refused.iter().enumerate() {
        assert_eq!(t.p.create(session, template), Err(*rv), "number {at}");
    }
    assert_eq!(t.p.find(session, &[]), []);
    let handle = t.p.create(session, &good).unwrap();
    signs_with_rsa(&t.p, session, handle, &key);
}

#[test]
fn c090_imported_keys_are_the_users_and_need_a_session_that_writes() {
    let t = Token::new();
    let public = t.p.rw(OWNER);
    let template = ec(P256, &[7; 32], true);
    assert_eq!(t.p.create(public, &template), Err(CKR_USER_NOT_LOGGED_IN));
    t.p.login(public, CKU_USER, PIN).unwrap();
    let reads = t.p.ro(OWNER);
    assert_eq!(t.p.create(reads, &template), Err(CKR_SESSION_READ_ONLY));
    t.p.create(reads, &ec(P256, &[7; 32], false)).unwrap();
    let handle = t.p.create(public, &template).unwrap();
    t.p.logout(public).unwrap();
    assert_eq!(t.p.get(public, handle, CKA_ID), Err(CKR_OBJECT_HANDLE_INVALID));
    // One that is nobody's secret needs no login.
    let open = [template, vec![flag(CKA_PRIVATE, false)]].concat();
    let handle = t.p.create(public, &open).unwrap();
    signs_with_p256(&t.p, public, handle, &[7; 32]);
}

#[test]
fn an_imported_token_key_outlives_the_process_and_a_copy_signs_too() {
    let t = Token::new();
    let session = t.user();
    let key = rsa_key(2048);
    t.p.create(session, &whole(&key, true)).unwrap();
    t.p.create(session, &ec(P256, &[7; 32], true)).unwrap();
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    let session = t.user();
    let find = |kind| t.p.find(session, &[ulong(CKA_KEY_TYPE, kind), bytes(CKA_ID, b"imported")]);
    let (rsa, ec) = (find(CKK_RSA), find(CKK_EC));
    assert_eq!((rsa.len(), ec.len()), (1, 1));
    signs_with_rsa(&t.p, session, rsa[0], &key);
    signs_with_p256(&t.p, session, ec[0], &[7; 32]);
    let copy = t.p.copy(session, ec[0], &[flag(CKA_TOKEN, false)]).unwrap();
    signs_with_p256(&t.p, session, copy, &[7; 32]);
}

#[test]
fn an_import_is_two_commands_and_shows_no_secret_on_the_bus() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let key = rsa_key(2048);
    let scalar: Vec<u8> = (1..33).collect();
    let mut tap = Vec::new();
    for template in [whole(&key, true), ec(P256, &scalar, true), ec(P256, &scalar, false)] {
        proxy.reset();
        t.p.create(session, &template).unwrap();
        let sent: Vec<_> = proxy.commands().into_iter().map(|(code, _)| code).collect();
        let counted: Vec<_> = sent.iter().filter(|code| **code != FLUSH_CONTEXT).collect();
        assert_eq!(counted, [&IMPORT, &LOAD], "{sent:x?}");
        tap.extend(proxy.tap());
    }
    let heard = |bytes: &[u8]| tap.windows(bytes.len()).any(|window| window == bytes);
    assert!(heard(&key.n().to_bytes_be()), "the tap hears what is sent: the public key");
    for attr in numbers(&key) {
        if !matches!(attr.0, CKA_MODULUS | CKA_PUBLIC_EXPONENT) {
            assert!(!heard(&attr.1[..16]), "{:#x} went over the bus", attr.0);
        }
    }
    assert!(!heard(&scalar[..8]) && !heard(&scalar[24..]), "the scalar went over the bus");
}

#[test]
fn c094_an_import_that_fails_leaves_no_object() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    for at in 0..2 {
        // TPM_RC_FAILURE, and TPM_RC_VALUE of the second parameter.
        for (rc, told) in [(0x101u32, CKR_DEVICE_ERROR), (0x2c4, CKR_ATTRIBUTE_VALUE_INVALID)] {
            for token in [false, true] {
                let answer = [&[0x80, 1, 0, 0, 0, 10], &rc.to_be_bytes()[..]].concat();
                proxy.reset();
                proxy.fault_at(at, Action::Answer(answer));
                let made = t.p.create(session, &ec(P256, &[7; 32], token));
                proxy.clear_hook();
                assert_eq!(made, Err(told), "{rc:#x} at {at}: {:x?}", proxy.commands());
                assert_eq!(t.p.find(session, &[]), []);
            }
        }
    }
    let handle = t.p.create(session, &ec(P256, &[7; 32], true)).unwrap();
    signs_with_p256(&t.p, session, handle, &[7; 32]);
}

#[test]
fn only_the_usages_that_were_asked_for_are_served() {
    let t = Token::new();
    let session = t.user();
    let signer = [whole(&rsa_key(2048), false), vec![flag(CKA_SIGN, true)]].concat();
    let handle = t.p.create(session, &signer).unwrap();
    let begun = t.p.init(Op::Decrypt, session, Mech::plain(CKM_RSA_PKCS), handle);
    assert_eq!(begun, Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
}
