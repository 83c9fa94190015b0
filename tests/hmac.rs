//! HMAC with keys of every length: in the TPM, whatever it takes itself.

mod common;

use ::hmac::{Hmac, Mac};
use common::fixture::*;
use common::p11::*;
use common::secret::*;
use cryptoki_sys::*;

const VECTORS: &str = include_str!("vectors/hmac.txt");

/// Key type, generation, HMAC and shortened HMAC of each hash.
const HASHES: [(&str, CK_KEY_TYPE, CK_MECHANISM_TYPE, CK_MECHANISM_TYPE, CK_MECHANISM_TYPE); 4] = [
    ("sha1", CKK_SHA_1_HMAC, CKM_SHA_1_KEY_GEN, CKM_SHA_1_HMAC, CKM_SHA_1_HMAC_GENERAL),
    ("sha256", CKK_SHA256_HMAC, CKM_SHA256_KEY_GEN, CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL),
    ("sha384", CKK_SHA384_HMAC, CKM_SHA384_KEY_GEN, CKM_SHA384_HMAC, CKM_SHA384_HMAC_GENERAL),
    ("sha512", CKK_SHA512_HMAC, CKM_SHA512_KEY_GEN, CKM_SHA512_HMAC, CKM_SHA512_HMAC_GENERAL),
];

/// What RustCrypto's crates say.
fn second_opinion(hash: &str, key: &[u8], message: &[u8]) -> Vec<u8> {
    macro_rules! mac {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    match hash {
        "sha1" => mac!(sha1::Sha1),
        "sha256" => mac!(sha2::Sha256),
        "sha384" => mac!(sha2::Sha384),
        "sha512" => mac!(sha2::Sha512),
        _ => unreachable!(),
    }
}

fn key_of(key_type: CK_KEY_TYPE, value: &[u8], more: &[Attr]) -> Vec<Attr> {
    let own =
        [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, key_type), bytes(CKA_VALUE, value)];
    [&own[..], more].concat()
}

#[test]
fn the_published_macs_come_out_for_keys_of_their_hash_and_for_generic_ones() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let mut tried = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [hash, key, message, mac] = line.split(' ').collect::<Vec<_>>()[..] else { panic!() };
        let (key, message, mac) =
            (hex::decode(key).unwrap(), hex::decode(message).unwrap(), hex::decode(mac).unwrap());
        assert_eq!(second_opinion(hash, &key, &message), mac);
        let (_, own, _, hmac, general_hmac) = HASHES.into_iter().find(|row| row.0 == hash).unwrap();
        for key_type in [own, CKK_GENERIC_SECRET] {
            let key = p.create(session, &key_of(key_type, &key, &[])).unwrap();
            assert_eq!(p.sign(session, Mech::plain(hmac), key, &message).unwrap(), mac);
            let (a, b) = message.split_at(message.len() / 2);
            let parts = p.in_parts(Op::Sign, session, Mech::plain(hmac), key, &[a, b]);
            assert_eq!(parts.unwrap(), mac);
            p.verify(session, Mech::plain(hmac), key, &message, &mac).unwrap();
            for len in [1, 10, mac.len()] {
                let mech = || general(general_hmac, len as CK_ULONG);
                assert_eq!(p.sign(session, mech(), key, &message).unwrap(), mac[..len]);
                p.verify(session, mech(), key, &message, &mac[..len]).unwrap();
            }
            for len in [0, mac.len() as CK_ULONG + 1, CK_ULONG::MAX] {
                let refused = p.sign(session, general(general_hmac, len), key, &message);
                assert_eq!(refused, Err(CKR_MECHANISM_PARAM_INVALID), "{len}");
            }
            p.destroy(session, key).unwrap();
        }
        tried += 1;
    }
    assert_eq!(tried, 25);
}

#[test]
fn a_key_of_any_length_serves_every_hash() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    for len in [1, 63, 64, 65, 127, 128, 129, 256, 512, 1024] {
        let value: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
        let key = p.generic_key(session, &value);
        assert_eq!(p.get_ulong(session, key, CKA_VALUE_LEN), Ok(len as CK_ULONG));
        for (hash, _, _, hmac, _) in HASHES {
            let made = p.sign(session, Mech::plain(hmac), key, b"message").unwrap();
            assert_eq!(made, second_opinion(hash, &value, b"message"), "{hash} {len}");
        }
        p.destroy(session, key).unwrap();
    }
    for len in [0, 1025, 4096] {
        let refused = p.create(session, &key_of(CKK_GENERIC_SECRET, &vec![1; len], &[]));
        assert_eq!(refused, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{len}");
    }
}

#[test]
fn long_keys_are_generated_copied_kept_and_told_as_their_attributes_say() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    for (hash, key_type, ckm, hmac, _) in HASHES {
        let template = [
            ulong(CKA_VALUE_LEN, 300),
            flag(CKA_TOKEN, true),
            flag(CKA_EXTRACTABLE, true),
            flag(CKA_SENSITIVE, false),
        ];
        let key = p.generate_key(session, ckm, &template).unwrap();
        assert_eq!(p.get_ulong(session, key, CKA_KEY_TYPE), Ok(key_type));
        assert_eq!(p.get_ulong(session, key, CKA_VALUE_LEN), Ok(300));
        assert_eq!(p.get_bool(session, key, CKA_LOCAL), Ok(true));
        let value = p.get(session, key, CKA_VALUE).unwrap();
        assert_eq!(value.len(), 300);
        let made = second_opinion(hash, &value, b"message");
        assert_eq!(p.sign(session, Mech::plain(hmac), key, b"message").unwrap(), made);
        let copy = p.copy(session, key, &[flag(CKA_TOKEN, false)]).unwrap();
        p.destroy(session, key).unwrap();
        assert_eq!(p.get(session, copy, CKA_VALUE).unwrap(), value);
        assert_eq!(p.sign(session, Mech::plain(hmac), copy, b"message").unwrap(), made);
    }
    // One that stays is in the TPM for HMAC only: nothing of it could be told.
    let key = p.generate_key(session, CKM_GENERIC_SECRET_KEY_GEN, &[ulong(CKA_VALUE_LEN, 512)]);
    let key = key.unwrap();
    assert_eq!(p.get(session, key, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
    assert_eq!(p.get_bool(session, key, CKA_NEVER_EXTRACTABLE), Ok(true));
    let macs: Vec<_> = HASHES
        .iter()
        .map(|row| p.sign(session, Mech::plain(row.3), key, b"message").unwrap())
        .collect();
    let copy = p.copy(session, key, &[flag(CKA_TOKEN, true)]).unwrap();
    for (row, mac) in HASHES.iter().zip(&macs) {
        p.verify(session, Mech::plain(row.3), copy, b"message", mac).unwrap();
    }
    let info = p.mechanism_info(t.slot, CKM_GENERIC_SECRET_KEY_GEN).unwrap();
    assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (8, 8192));
    let info = p.mechanism_info(t.slot, CKM_SHA512_HMAC).unwrap();
    assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (1, 1024));
}

#[test]
fn a_long_key_of_one_hash_is_one_object_and_its_use_one_command() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let create = |key_type, more: &[Attr]| {
        p.create(session, &key_of(CKK_GENERIC_SECRET, &[1], &[])).unwrap();
        let before = proxy.commands().len();
        let key = p.create(session, &key_of(key_type, &[0x5a; 300], more)).unwrap();
        let sent = proxy.commands();
        let made = sent[before..].iter().filter(|(code, _)| *code == 0x153).count();
        (key, made)
    };
    let (own, made) = create(CKK_SHA256_HMAC, &[]);
    assert_eq!(made, 1);
    assert_eq!(create(CKK_GENERIC_SECRET, &[]).1, 4, "one for each hash");
    let (_, made) = create(CKK_GENERIC_SECRET, &[flag(CKA_EXTRACTABLE, true)]);
    assert_eq!(made, 4 + 3, "and one for each piece");
    let sign = || p.sign(session, Mech::plain(CKM_SHA256_HMAC), own, b"message").unwrap();
    let first = sign();
    let before = proxy.commands().len();
    assert_eq!(sign(), first);
    assert_eq!(proxy.commands().len() - before, 1);
    let clear = proxy.tap();
    assert!(!clear.windows(16).any(|bytes| bytes == [0x5a; 16]), "a secret was on the bus");
}
