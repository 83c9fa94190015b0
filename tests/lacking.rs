//! What a TPM lacks is neither listed nor accepted. The emulator has everything, so a proxy hides
//! some of it from TPM2_GetCapability and TPM2_TestParms.

mod common;

use common::cases::case;
use common::derive::{base_key, open};
use common::fixture::*;
use common::known::Keys;
use common::p11::*;
use common::tpm_proxy::{Action, Proxy};
use common::wrapping::*;
use cryptoki_sys::*;

const GET_CAPABILITY: u32 = 0x17a;
const TEST_PARMS: u32 = 0x18a;
const CAP_ALGS: u32 = 0;
const CAP_COMMANDS: u32 = 2;
const CAP_ECC_CURVES: u32 = 8;
/// TPM_RC_VALUE of the first parameter.
const RC_VALUE: u32 = 0x1c4;

/// Something that the TPM does not say of itself.
#[derive(Clone, Copy)]
enum Hidden {
    Algorithm(u16),
    Command(u32),
    Curve(u16),
    /// A key size: the algorithm that TPM2_TestParms is asked for, and bits.
    Size(u16, u16),
}

/// The answer to a TPM2_GetCapability without the entries that are hidden.
fn without(answer: Vec<u8>, hidden: &[Hidden]) -> Vec<u8> {
    if answer.len() < 19 || answer[6..10] != [0; 4] {
        return answer;
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0u32, |n, byte| n << 8 | u32::from(*byte));
    let capability = number(&answer[11..15]);
    let (width, is_hidden): (usize, fn(Hidden, u32) -> bool) = match capability {
        CAP_ALGS => (6, |h, entry| matches!(h, Hidden::Algorithm(id) if u32::from(id) == entry)),
        CAP_COMMANDS => {
            (4, |h, entry| matches!(h, Hidden::Command(code) if code == entry & 0x2000_ffff))
        }
        CAP_ECC_CURVES => (2, |h, entry| matches!(h, Hidden::Curve(id) if u32::from(id) == entry)),
        _ => return answer,
    };
    let key = if capability == CAP_ALGS { 2 } else { width };
    let kept: Vec<&[u8]> = answer[19..]
        .chunks(width)
        .filter(|entry| !hidden.iter().any(|h| is_hidden(*h, number(&entry[..key]))))
        .collect();
    let body = [&(kept.len() as u32).to_be_bytes()[..], &kept.concat()].concat();
    let mut altered = [&answer[..15], &body].concat();
    let len = altered.len() as u32;
    altered[2..6].copy_from_slice(&len.to_be_bytes());
    altered
}

/// A token on a TPM that lacks what is `hidden`.
fn lacking(hidden: &'static [Hidden]) -> (Token, Proxy) {
    let (rig, proxy) = Rig::tapped();
    proxy.set_hook(move |command| {
        let code = u32::from_be_bytes(command[6..10].try_into().unwrap());
        let short = |at: usize| {
            command.get(at..at + 2).map(|bytes| u16::from_be_bytes(bytes.try_into().unwrap()))
        };
        let sizes = hidden.iter().filter_map(|hidden| match hidden {
            Hidden::Size(algorithm, bits) => Some((*algorithm, *bits)),
            _ => None,
        });
        let asks = |(algorithm, bits): (u16, u16)| {
            // RSA: symmetric, scheme, bits. SYMCIPHER: algorithm, bits.
            let at = if algorithm == ALG_RSA { 16 } else { 14 };
            short(10) == Some(algorithm) && short(at) == Some(bits)
        };
        match code {
            GET_CAPABILITY => Action::AlterResponse(Box::new(|answer| without(answer, hidden))),
            TEST_PARMS if sizes.clone().any(asks) => {
                Action::Answer([&[0x80, 1, 0, 0, 0, 10], &RC_VALUE.to_be_bytes()[..]].concat())
            }
            _ => Action::Pass,
        }
    });
    (Token::on(rig, OWNER), proxy)
}

const ALG_RSA: u16 = 1;
const ALG_SYMCIPHER: u16 = 0x25;

/// Neither listed, nor told of, nor begun.
fn refused(t: &Token, session: CK_SESSION_HANDLE, gone: &[CK_MECHANISM_TYPE]) {
    let listed = t.p.mechanisms(OWNER).unwrap();
    for ckm in gone {
        assert!(!listed.contains(ckm), "{ckm:#x} is listed");
        assert_eq!(t.p.mechanism_info(OWNER, *ckm).err(), Some(CKR_MECHANISM_INVALID));
        let (public, private) = match t.p.find(session, &[flag(CKA_TOKEN, false)])[..] {
            [one] => (one, one),
            [one, other, ..] => (one, other),
            [] => (0, 0),
        };
        for (op, key) in [(Op::Sign, private), (Op::Decrypt, private), (Op::Encrypt, public)] {
            if key != 0 {
                let rv = t.p.init(op, session, common::mechanisms::with_parameter(*ckm), key);
                assert_eq!(rv, Err(CKR_MECHANISM_INVALID), "{ckm:#x}");
            }
        }
    }
}

#[test]
fn without_encrypt_decrypt_there_is_no_aes() {
    let (t, _proxy) = lacking(&[Hidden::Command(0x193)]);
    let session = t.user();
    refused(&t, session, &[CKM_AES_KEY_GEN, CKM_AES_ECB_ENCRYPT_DATA]);
    refused(&t, session, &common::mechanisms::AES);
    let made = t.p.generate_key(session, CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16)]);
    assert_eq!(made, Err(CKR_MECHANISM_INVALID));
    assert_eq!(aes(&t, session, 16), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    // HMAC needs none of it.
    let key = t.p.generic_key(session, &[1; 32]);
    t.p.sign(session, Mech::plain(CKM_SHA256_HMAC), key, b"data").unwrap();
}

fn aes(t: &Token, session: CK_SESSION_HANDLE, len: usize) -> Rv<CK_OBJECT_HANDLE> {
    let own = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)];
    t.p.create(session, &[&own[..], &[bytes(CKA_VALUE, &vec![7; len])]].concat())
}

#[test]
fn a_mode_that_the_tpm_lacks_is_not_there() {
    // TPM_ALG_CTR, TPM_ALG_CFB.
    let (t, _proxy) = lacking(&[Hidden::Algorithm(0x40), Hidden::Algorithm(0x43)]);
    let session = t.user();
    let key = t.p.aes_key(session, &[7; 16]);
    refused(&t, session, &[CKM_AES_CTR, CKM_AES_CFB128]);
    t.p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[0; 16]).unwrap();
}

#[test]
fn an_aes_size_that_the_tpm_lacks_is_neither_made_nor_taken() {
    let (t, proxy) = lacking(&[Hidden::Size(ALG_SYMCIPHER, 256)]);
    let session = t.user();
    let info = t.p.mechanism_info(OWNER, CKM_AES_CBC).unwrap();
    assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (16, 16));
    proxy.reset();
    let made = t.p.generate_key(session, CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 32)]);
    assert_eq!(made, Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(aes(&t, session, 32), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    assert!(aes(&t, session, 16).is_ok());
}

#[test]
fn an_rsa_size_that_the_tpm_lacks_is_neither_made_nor_taken() {
    let (t, proxy) = lacking(&[Hidden::Size(ALG_RSA, 3072), Hidden::Size(ALG_RSA, 1024)]);
    let session = t.user();
    let info = t.p.mechanism_info(OWNER, CKM_RSA_PKCS).unwrap();
    assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (2048, 2048));
    proxy.reset();
    for bits in [512, 1024, 2047, 3072, 4096, CK_ULONG::MAX] {
        let made = t.p.generate_pair(
            session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[ulong(CKA_MODULUS_BITS, bits)],
            &[flag(CKA_SIGN, true)],
        );
        assert_eq!(made.err(), Some(CKR_ATTRIBUTE_VALUE_INVALID), "{bits}");
    }
    let key = rsa::RsaPrivateKey::new(&mut rand(), 1024).unwrap();
    use rsa::traits::{PrivateKeyParts, PublicKeyParts};
    let template = [
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, CKK_RSA),
        bytes(CKA_MODULUS, &key.n().to_bytes_be()),
        bytes(CKA_PUBLIC_EXPONENT, &key.e().to_bytes_be()),
        bytes(CKA_PRIVATE_EXPONENT, &key.d().to_bytes_be()),
        bytes(CKA_PRIME_1, &key.primes()[0].to_bytes_be()),
        bytes(CKA_PRIME_2, &key.primes()[1].to_bytes_be()),
    ];
    assert_eq!(t.p.create(session, &template), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    assert_eq!(t.p.find(session, &[]), []);
}

fn rand() -> p256::elliptic_curve::rand_core::OsRng {
    p256::elliptic_curve::rand_core::OsRng
}

#[test]
fn a_curve_that_the_tpm_lacks_is_neither_made_nor_taken_but_verified_with() {
    // P-224, P-384 and P-521.
    let (t, proxy) = lacking(&[Hidden::Curve(2), Hidden::Curve(4), Hidden::Curve(5)]);
    let session = t.user();
    let info = t.p.mechanism_info(OWNER, CKM_ECDSA).unwrap();
    assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (256, 256));
    proxy.reset();
    for curve in [P224, P384, P521] {
        let public = [bytes(CKA_EC_PARAMS, curve)];
        let made =
            t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &[flag(CKA_SIGN, true)]);
        assert_eq!(made.err(), Some(CKR_CURVE_NOT_SUPPORTED));
        let template = [
            ulong(CKA_CLASS, CKO_PRIVATE_KEY),
            ulong(CKA_KEY_TYPE, CKK_EC),
            bytes(CKA_EC_PARAMS, curve),
            bytes(CKA_VALUE, &[7; 28]),
        ];
        assert_eq!(t.p.create(session, &template), Err(CKR_CURVE_NOT_SUPPORTED));
    }
    // Verifying is software's work.
    use p384::ecdsa::signature::hazmat::PrehashSigner;
    let key = p384::ecdsa::SigningKey::random(&mut rand());
    let signature: p384::ecdsa::Signature = key.sign_prehash(&[9; 48]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    let public = [
        ulong(CKA_CLASS, CKO_PUBLIC_KEY),
        ulong(CKA_KEY_TYPE, CKK_EC),
        bytes(CKA_EC_PARAMS, P384),
        bytes(CKA_EC_POINT, point.as_bytes()),
    ];
    let public = t.p.create(session, &public).unwrap();
    t.p.verify(session, Mech::plain(CKM_ECDSA), public, &[9; 48], &signature.to_bytes()).unwrap();
    assert_eq!(proxy.commands(), [], "the TPM was asked");
}

#[test]
fn without_a_hash_there_is_no_hmac_by_it_and_signatures_by_it_go_on() {
    // TPM_ALG_SHA384.
    let (t, _proxy) = lacking(&[Hidden::Algorithm(0x0c)]);
    let session = t.user();
    refused(&t, session, &[CKM_SHA384_HMAC, CKM_SHA384_HMAC_GENERAL, CKM_SHA384_KEY_GEN]);
    let key = t.p.generic_key(session, &[1; 32]);
    let begun = t.p.init(Op::Sign, session, Mech::plain(CKM_SHA384_HMAC), key);
    assert_eq!(begun, Err(CKR_MECHANISM_INVALID));
    let (public, private) = ec_pair(&t.p, session, b"1", false);
    let (rsa_public, rsa_private) = rsa_pair(&t.p, session, b"2", false);
    for (ckm, public, private) in [
        (CKM_ECDSA_SHA384, public, private),
        (CKM_SHA384_RSA_PKCS, rsa_public, rsa_private),
        (CKM_SHA3_384_RSA_PKCS, rsa_public, rsa_private),
    ] {
        let signature = t.p.sign(session, Mech::plain(ckm), private, b"data").unwrap();
        t.p.verify(session, Mech::plain(ckm), public, b"data", &signature).unwrap();
    }
}

#[test]
fn without_rsa_there_is_none_and_without_ecdh_no_derivation() {
    let (t, _proxy) = lacking(&[Hidden::Algorithm(ALG_RSA), Hidden::Command(0x154)]);
    let session = t.user();
    refused(&t, session, &[CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP, CKM_RSA_PKCS_KEY_PAIR_GEN]);
    refused(&t, session, &[CKM_SHA256_RSA_PKCS, CKM_SHA3_512_RSA_PKCS_PSS, CKM_RSA_X_509]);
    refused(&t, session, &[CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE]);
    for ckm in t.p.mechanisms(OWNER).unwrap() {
        let keys = case(ckm).unwrap().keys;
        assert_ne!(keys, Keys::Rsa, "{ckm:#x} takes RSA keys");
    }
    let (_, private) = ec_pair(&t.p, session, b"1", false);
    let point = t.p.get(session, private, CKA_EC_POINT).unwrap();
    let base = (CKD_NULL, &b""[..], &point[..]);
    let made = t.p.derive(session, CKM_ECDH1_DERIVE, base, private, &[]);
    assert_eq!(made, Err(CKR_MECHANISM_INVALID));
}

/// Bad padding becomes a key as good padding does, of a length that this very TPM has: a refusal would
/// tell the one from the other.
#[test]
fn an_unwrapped_key_of_an_aes_size_that_the_tpm_lacks_tells_nothing_of_the_padding() {
    let (t, _proxy) = lacking(&[Hidden::Size(ALG_SYMCIPHER, 256)]);
    let session = t.user();
    let p = &t.p;
    let public = [ulong(CKA_MODULUS_BITS, 2048), flag(CKA_ENCRYPT, true)];
    let (public, private) = p
        .generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[flag(CKA_UNWRAP, true)])
        .unwrap();
    let padded = |data: &[u8]| p.encrypt(session, Mech::plain(CKM_RSA_PKCS), public, data).unwrap();
    let raw = p.encrypt(session, Mech::plain(CKM_RSA_X_509), public, &[1; 256]).unwrap();
    let template = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)];
    for wrapped in [padded(&[7; 16]), padded(&[7; 24]), padded(&[7; 32]), padded(&[7; 20]), raw] {
        let mech = Mech::plain(CKM_RSA_PKCS);
        let key = p.unwrap(session, mech, private, &wrapped, &template).unwrap();
        assert_eq!(p.get_ulong(session, key, CKA_VALUE_LEN), Ok(16));
    }
}

/// TPM_ALG_SHA384 and TPM_ALG_SHA512: of many TPMs neither.
#[test]
fn a_key_for_a_hash_that_the_tpm_lacks_is_not_taken() {
    let (t, proxy) = lacking(&[Hidden::Algorithm(0x0c), Hidden::Algorithm(0x0d)]);
    let session = t.user();
    let p = &t.p;
    let base = base_key(p, session, CKK_GENERIC_SECRET, &[7; 100], &open());
    let kek = kek(p, session);
    let wrapped = p.wrap(session, Mech::plain(CKM_AES_KEY_WRAP_KWP), kek, base).unwrap();
    proxy.reset();
    // Of SHA-224 no TPM has HMAC here.
    for key_type in [CKK_SHA384_HMAC, CKK_SHA512_HMAC, CKK_SHA224_HMAC] {
        for len in [32, 100] {
            let made = p.create(session, &secret(key_type, &vec![7; len], &[]));
            assert_eq!(made, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{key_type:#x}, {len} bytes");
        }
    }
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    for key_type in [CKK_SHA384_HMAC, CKK_SHA512_HMAC, CKK_SHA224_HMAC] {
        let template = unwrapped(key_type);
        let mech = Mech::plain(CKM_AES_KEY_WRAP_KWP);
        let made = p.unwrap(session, mech, kek, &wrapped, &template);
        assert_eq!(made, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{key_type:#x}");
        let mech = Mech::plain(CKM_SHA256_KEY_DERIVATION);
        let made = p.derive_key(session, mech, base, &template);
        assert_eq!(made, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{key_type:#x}");
    }
    let key = p.create(session, &secret(CKK_SHA256_HMAC, &[7; 100], &[CKA_SIGN])).unwrap();
    p.sign(session, Mech::plain(CKM_SHA256_HMAC), key, b"data").unwrap();
}
