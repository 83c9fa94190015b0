//! HKDF: with the key in the TPM where it is the key of HMAC, and with its value where it may leave.

mod common;

use common::derive::*;
use common::fixture::*;
use common::openssl::OpenSsl;
use common::p11::*;
use cryptoki_sys::*;

const VECTORS: &str = include_str!("vectors/hkdf.txt");
const NO_SALT: (CK_ULONG, &[u8], CK_OBJECT_HANDLE) = (CKF_HKDF_SALT_NULL, &[], 0);

fn decoded(text: &str) -> Vec<u8> {
    if text == "-" { Vec::new() } else { hex::decode(text).unwrap() }
}

#[test]
fn the_published_keys_come_out_by_each_step_and_kind_of_salt() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let mut tried = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [hash, ikm, salt, info, prk, okm] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!()
        };
        let hash = if hash == "sha1" { CKM_SHA_1 } else { CKM_SHA256 };
        let [ikm, salt, info, prk, okm] = [ikm, salt, info, prk, okm].map(decoded);
        for key_type in [CKK_GENERIC_SECRET, CKK_HKDF] {
            let base = base_key(p, session, key_type, &ikm, &open());
            let mut salts = vec![(CKF_HKDF_SALT_DATA, &salt[..], 0)];
            if salt.is_empty() {
                salts.push(NO_SALT);
                // As many zeros as the hash is long are the same salt.
                let zeros = base_key(p, session, key_type, &vec![0; prk.len()], &[]);
                salts.push((CKF_HKDF_SALT_KEY, &[], zeros));
            } else {
                // A key that stays in the TPM.
                salts.push((CKF_HKDF_SALT_KEY, &[], base_key(p, session, key_type, &salt, &[])));
            }
            for salt in salts {
                let with = |steps| Hkdf { steps, hash, salt, info: &info };
                let value = |steps, template: &[Attr]| {
                    let made = p.hkdf(session, CKM_HKDF_DERIVE, &with(steps), base, template);
                    made.map(|key| p.get(session, key, CKA_VALUE).unwrap())
                };
                assert_eq!(value((true, true), &sized(okm.len())).unwrap(), okm);
                assert_eq!(value((true, false), &open()).unwrap(), prk);
                assert_eq!(value((true, false), &sized(prk.len())).unwrap(), prk);
                let data = with((true, true));
                let template = [ulong(CKA_VALUE_LEN, okm.len() as CK_ULONG)];
                let data = p.hkdf(session, CKM_HKDF_DATA, &data, base, &template).unwrap();
                assert_eq!(p.get_ulong(session, data, CKA_CLASS), Ok(CKO_DATA));
                assert_eq!(p.get(session, data, CKA_VALUE).unwrap(), okm);
            }
            // One that never leaves is expanded where it is.
            let base = base_key(p, session, key_type, &prk, &[]);
            let hkdf = Hkdf { steps: (false, true), hash, salt: NO_SALT, info: &info };
            let made = p.hkdf(session, CKM_HKDF_DERIVE, &hkdf, base, &sized(okm.len())).unwrap();
            assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), okm);
        }
        tried += 1;
    }
    assert_eq!(tried, 7);
}

#[test]
fn every_hash_of_the_tpm_expands_as_another_implementation_does() {
    use ::hmac::{Hmac, Mac};
    macro_rules! expand {
        ($hash:ty, $key:expr, $info:expr, $len:expr) => {{
            let (mut made, mut last): (Vec<u8>, Vec<u8>) = (vec![], vec![]);
            for number in 1..=255u8 {
                let mut mac = Hmac::<$hash>::new_from_slice($key).unwrap();
                mac.update(&last);
                mac.update($info);
                mac.update(&[number]);
                last = mac.finalize().into_bytes().to_vec();
                made.extend(&last);
            }
            made.truncate($len);
            made
        }};
    }
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    for len in [64, 100, 300] {
        let value: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let base = base_key(p, session, CKK_GENERIC_SECRET, &value, &[]);
        for hash in [CKM_SHA_1, CKM_SHA256, CKM_SHA384, CKM_SHA512] {
            let hkdf = Hkdf { steps: (false, true), hash, salt: NO_SALT, info: b"info" };
            for wanted in [1, 64, 65, 200] {
                let made = p.hkdf(session, CKM_HKDF_DERIVE, &hkdf, base, &sized(wanted)).unwrap();
                let made = p.get(session, made, CKA_VALUE).unwrap();
                let other = match hash {
                    CKM_SHA_1 => expand!(sha1::Sha1, &value, b"info", wanted),
                    CKM_SHA256 => expand!(sha2::Sha256, &value, b"info", wanted),
                    CKM_SHA384 => expand!(sha2::Sha384, &value, b"info", wanted),
                    _ => expand!(sha2::Sha512, &value, b"info", wanted),
                };
                assert_eq!(made, other, "{hash:#x} {len} {wanted}");
            }
        }
    }
}

/// Hashes, OpenSSL's names of them, the bytes of their blocks and of their digests.
const HASHES: [(CK_MECHANISM_TYPE, &str, usize, usize); 11] = [
    (CKM_SHA_1, "SHA1", 64, 20),
    (CKM_SHA224, "SHA224", 64, 28),
    (CKM_SHA256, "SHA256", 64, 32),
    (CKM_SHA384, "SHA384", 128, 48),
    (CKM_SHA512, "SHA512", 128, 64),
    (CKM_SHA512_224, "SHA512-224", 128, 28),
    (CKM_SHA512_256, "SHA512-256", 128, 32),
    (CKM_SHA3_224, "SHA3-224", 144, 28),
    (CKM_SHA3_256, "SHA3-256", 136, 32),
    (CKM_SHA3_384, "SHA3-384", 104, 48),
    (CKM_SHA3_512, "SHA3-512", 72, 64),
];

#[test]
fn every_hash_extracts_and_expands_up_to_255_blocks_as_openssl_does() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let openssl = OpenSsl::new();
    let value = [0x0b; 50];
    let base = base_key(p, session, CKK_HKDF, &value, &open());
    for (hash, name, block, digest) in HASHES {
        // Around what HMAC takes for a key as it stands.
        for salt in [1, block, block + 1] {
            let salt = vec![0x5a; salt];
            let hkdf = |steps| {
                let salt = (CKF_HKDF_SALT_DATA, &salt[..], 0);
                Hkdf { steps, hash, salt, info: b"information" }
            };
            let theirs = |mode: &str, len| {
                let options = [
                    format!("digest:{name}"),
                    format!("mode:{mode}"),
                    format!("hexkey:{}", hex::encode(value)),
                    format!("hexsalt:{}", hex::encode(&salt)),
                    format!("hexinfo:{}", hex::encode("information")),
                ];
                openssl.kdf("HKDF", &options, len)
            };
            let made = p.hkdf(session, CKM_HKDF_DERIVE, &hkdf((true, false)), base, &open());
            let made = p.get(session, made.unwrap(), CKA_VALUE).unwrap();
            assert_eq!(made, theirs("EXTRACT_ONLY", digest), "{name}");
            let data = |len: usize| {
                let len = [ulong(CKA_VALUE_LEN, len as CK_ULONG)];
                let made = p.hkdf(session, CKM_HKDF_DATA, &hkdf((true, true)), base, &len)?;
                p.get(session, made, CKA_VALUE)
            };
            for len in [1, digest + 1, 255 * digest] {
                assert_eq!(data(len).unwrap(), theirs("EXTRACT_AND_EXPAND", len), "{name} {len}");
            }
            assert_eq!(data(255 * digest + 1), Err(CKR_KEY_SIZE_RANGE), "{name}");
        }
    }
}

#[test]
fn an_expansion_is_a_command_for_each_block_and_nothing_is_in_clear() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let base = base_key(p, session, CKK_HKDF, &[0x5a; 32], &[]);
    let hkdf = Hkdf { steps: (false, true), hash: CKM_SHA256, salt: NO_SALT, info: b"info" };
    let expand = |len| p.hkdf(session, CKM_HKDF_DERIVE, &hkdf, base, &sized(len)).unwrap();
    expand(32);
    for (len, blocks) in [(16, 1), (32, 1), (33, 2), (64, 2)] {
        let before = proxy.commands().len();
        let made = expand(len);
        let sent = proxy.commands();
        // TPM2_HMAC and TPM2_Create; the rest makes room.
        let count = |wanted| sent[before..].iter().filter(|sent| **sent == (wanted, 0)).count();
        assert_eq!((count(0x155), count(0x153)), (blocks, 1), "{len}: {:x?}", &sent[before..]);
        let value = p.get(session, made, CKA_VALUE).unwrap();
        assert!(!proxy.tap().windows(16).any(|bytes| bytes == &value[..16]));
    }
    assert!(!proxy.tap().windows(16).any(|bytes| bytes == [0x5a; 16]));
}

#[test]
fn c121_what_is_made_has_the_attributes_that_its_base_lets_it_have() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let hkdf = Hkdf { steps: (false, true), hash: CKM_SHA256, salt: NO_SALT, info: b"" };
    let template = [ulong(CKA_VALUE_LEN, 32), flag(CKA_DERIVE, true)];
    let base = p.generate_key(session, CKM_HKDF_KEY_GEN, &template).unwrap();
    assert_eq!(p.get_ulong(session, base, CKA_KEY_TYPE), Ok(CKK_HKDF));
    let flags = |key| {
        [CKA_LOCAL, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_EXTRACTABLE, CKA_NEVER_EXTRACTABLE]
            .map(|cka| p.get_bool(session, key, cka).unwrap())
    };
    assert_eq!(flags(base), [true, true, true, false, true]);
    let reader = p.ro(t.slot);
    let derive = |base, more: &[Attr]| {
        let template = [&[ulong(CKA_VALUE_LEN, 32)], more].concat();
        p.hkdf(reader, CKM_HKDF_DERIVE, &hkdf, base, &template)
    };
    assert_eq!(flags(derive(base, &[]).unwrap()), [false, true, true, false, true]);
    assert_eq!(flags(derive(base, &open()).unwrap()), [false, false, false, true, false]);
    let known = base_key(p, session, CKK_HKDF, &[1; 32], &[]);
    assert_eq!(flags(derive(known, &[]).unwrap()), [false, true, false, false, false]);
    // A key of another type, which works.
    let aes = derive(base, &[ulong(CKA_KEY_TYPE, CKK_AES), flag(CKA_ENCRYPT, true)]).unwrap();
    p.encrypt(session, Mech::plain(CKM_AES_ECB), aes, &[0; 16]).unwrap();
    assert_eq!(derive(base, &[flag(CKA_TOKEN, true)]), Err(CKR_SESSION_READ_ONLY));
    let made = derive(base, &[flag(CKA_LOCAL, true)]);
    assert_eq!(made, Err(CKR_ATTRIBUTE_READ_ONLY));
    let asks = [flag(CKA_SENSITIVE, true), bytes(CKA_LABEL, b"theirs")];
    let asking = base_key(p, session, CKK_HKDF, &[1; 32], &[templates(CKA_DERIVE_TEMPLATE, &asks)]);
    let made = derive(asking, &[]).unwrap();
    assert_eq!(p.get(session, made, CKA_LABEL).unwrap(), b"theirs");
    assert_eq!(derive(asking, &open()), Err(CKR_TEMPLATE_INCONSISTENT));
}

#[test]
fn a_value_that_stays_is_not_extracted_from() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let base = base_key(p, session, CKK_HKDF, &[1; 32], &[]);
    for steps in [(true, false), (true, true)] {
        let hkdf = Hkdf { steps, hash: CKM_SHA256, salt: NO_SALT, info: b"" };
        let made = p.hkdf(session, CKM_HKDF_DERIVE, &hkdf, base, &sized(32));
        assert_eq!(made, Err(CKR_KEY_TYPE_INCONSISTENT));
    }
}

#[test]
fn bad_parameters_are_refused_before_the_tpm_is_asked() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let base = base_key(p, session, CKK_HKDF, &[1; 32], &open());
    let fixed = base_key(p, session, CKK_HKDF, &[1; 32], &[]);
    let short = base_key(p, session, CKK_HKDF, &[1; 31], &[]);
    let aes = p.generate_key(session, CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 16)]).unwrap();
    let signer = base_key(p, session, CKK_GENERIC_SECRET, &[1; 32], &[]);
    p.set(session, signer, &[flag(CKA_DERIVE, false)]).unwrap();
    let with = |steps, hash, salt| Hkdf { steps, hash, salt, info: b"" };
    let (both, expands, extracts) = ((true, true), (false, true), (true, false));
    let by_key = |key| (CKF_HKDF_SALT_KEY, &b""[..], key);
    let len = sized(32);
    let before = proxy.commands().len();
    for (hkdf, base, template, rv) in [
        (with((false, false), CKM_SHA256, NO_SALT), base, &len, CKR_MECHANISM_PARAM_INVALID),
        (with(both, CKM_SHA256_HMAC, NO_SALT), base, &len, CKR_MECHANISM_PARAM_INVALID),
        (with(both, CKM_SHA256, (0, &[], 0)), base, &len, CKR_MECHANISM_PARAM_INVALID),
        (with(both, CKM_SHA256, (7, &[], 0)), base, &len, CKR_MECHANISM_PARAM_INVALID),
        // The TPM has no such hash to expand with.
        (with(expands, CKM_SHA3_256, NO_SALT), fixed, &len, CKR_MECHANISM_PARAM_INVALID),
        (with(both, CKM_SHA256, by_key(0)), base, &len, CKR_KEY_HANDLE_INVALID),
        (with(both, CKM_SHA256, by_key(aes)), base, &len, CKR_KEY_TYPE_INCONSISTENT),
        (with(both, CKM_SHA256, by_key(signer)), base, &len, CKR_KEY_TYPE_INCONSISTENT),
        (with(expands, CKM_SHA256, NO_SALT), 0, &len, CKR_KEY_HANDLE_INVALID),
        (with(expands, CKM_SHA256, NO_SALT), aes, &len, CKR_KEY_TYPE_INCONSISTENT),
        (with(expands, CKM_SHA256, NO_SALT), signer, &len, CKR_KEY_TYPE_INCONSISTENT),
        (with(expands, CKM_SHA256, NO_SALT), short, &len, CKR_KEY_SIZE_RANGE),
        (with(expands, CKM_SHA256, NO_SALT), fixed, &open(), CKR_TEMPLATE_INCOMPLETE),
        (with(expands, CKM_SHA256, NO_SALT), fixed, &sized(1025), CKR_KEY_SIZE_RANGE),
        (with(extracts, CKM_SHA256, NO_SALT), base, &sized(31), CKR_TEMPLATE_INCONSISTENT),
        (with(extracts, CKM_SHA256, NO_SALT), base, &sized(33), CKR_TEMPLATE_INCONSISTENT),
    ] {
        let made = p.hkdf(session, CKM_HKDF_DERIVE, &hkdf, base, template);
        assert_eq!(made, Err(rv));
    }
    let data = |len| {
        let hkdf = with(expands, CKM_SHA256, NO_SALT);
        p.hkdf(session, CKM_HKDF_DATA, &hkdf, fixed, &[ulong(CKA_VALUE_LEN, len)])
    };
    assert_eq!(data(255 * 32 + 1), Err(CKR_KEY_SIZE_RANGE));
    let hkdf = with(expands, CKM_SHA256, NO_SALT);
    for template in [
        vec![ulong(CKA_VALUE_LEN, 32), ulong(CKA_CLASS, CKO_SECRET_KEY)],
        vec![ulong(CKA_VALUE_LEN, 32), bytes(CKA_VALUE, b"mine")],
    ] {
        let made = p.hkdf(session, CKM_HKDF_DATA, &hkdf, fixed, &template);
        assert_eq!(made, Err(CKR_TEMPLATE_INCONSISTENT));
    }
    let short = p.derive_with(session, CKM_HKDF_DERIVE, &[0u8; 8], base, &len);
    assert_eq!(short, Err(CKR_MECHANISM_PARAM_INVALID));
    let none = p.derive_with(session, CKM_HKDF_DERIVE, &[0u8; 0], base, &len);
    assert_eq!(none, Err(CKR_MECHANISM_PARAM_INVALID));
    assert_eq!(proxy.commands().len(), before);
    // The longest that there is.
    assert_eq!(p.get(session, data(255 * 32).unwrap(), CKA_VALUE).unwrap().len(), 255 * 32);
}
