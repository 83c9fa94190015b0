//! CKA_CHECK_VALUE of a secret key, however the key comes about: conformance statement 109.

mod common;

use aes::cipher::{BlockEncrypt, KeyInit};
use common::encapsulation::encapsulate;
use common::fixture::*;
use common::p11::*;
use common::tpm_proxy::Action;
use common::wrapping::*;
use cryptoki_sys::*;
use sha1::{Digest, Sha1};

/// What another implementation says of a key of this type and value.
fn expected(key_type: CK_KEY_TYPE, value: &[u8]) -> Vec<u8> {
    let mut block = aes::Block::default();
    match (key_type, value.len()) {
        (CKK_AES, 16) => aes::Aes128::new_from_slice(value).unwrap().encrypt_block(&mut block),
        (CKK_AES, _) => aes::Aes256::new_from_slice(value).unwrap().encrypt_block(&mut block),
        _ => return Sha1::digest(value)[..3].to_vec(),
    }
    block[..3].to_vec()
}

fn open() -> Vec<Attr> {
    vec![flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)]
}

fn sized(len: usize) -> Vec<Attr> {
    [open(), vec![ulong(CKA_VALUE_LEN, len as CK_ULONG)]].concat()
}

/// A key by each way there is, with this attribute beside the others of its template.
fn each_way(t: &Token, session: CK_SESSION_HANDLE, more: &[Attr]) -> Vec<CK_OBJECT_HANDLE> {
    let p = &t.p;
    let with = |template: Vec<Attr>| [&template[..], more].concat();
    let generated = [
        (CKM_AES_KEY_GEN, 16),
        (CKM_AES_KEY_GEN, 32),
        (CKM_GENERIC_SECRET_KEY_GEN, 1),
        (CKM_GENERIC_SECRET_KEY_GEN, 100),
        (CKM_HKDF_KEY_GEN, 32),
        (CKM_SHA256_KEY_GEN, 32),
    ];
    let mut keys: Vec<_> = generated
        .iter()
        .map(|(ckm, len)| p.generate_key(session, *ckm, &with(sized(*len))).unwrap())
        .collect();
    // Keys that do not encrypt have one nonetheless.
    for usage in [CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN] {
        let template = with([sized(16), vec![flag(usage, true)]].concat());
        keys.push(p.generate_key(session, CKM_AES_KEY_GEN, &template).unwrap());
    }
    let token = with([sized(16), vec![flag(CKA_TOKEN, true)]].concat());
    keys.push(p.generate_key(session, CKM_AES_KEY_GEN, &token).unwrap());
    let kek = kek(p, session);
    let (public, private) = p
        .generate_pair(
            session,
            CKM_EC_KEY_PAIR_GEN,
            &[bytes(CKA_EC_PARAMS, P256), flag(CKA_ENCAPSULATE, true)],
            &[flag(CKA_DERIVE, true)],
        )
        .unwrap();
    let point = p.get(session, public, CKA_EC_POINT).unwrap();
    for key_type in [CKK_AES, CKK_GENERIC_SECRET] {
        let created = p.create(session, &with(secret(key_type, &[0x5a; 32], &[]))).unwrap();
        let mech = || Mech::plain(CKM_AES_KEY_WRAP);
        let wrapped = p.wrap(session, mech(), kek, created).unwrap();
        let template = with(unwrapped(key_type));
        let unwrapped = p.unwrap(session, mech(), kek, &wrapped, &template).unwrap();
        let template = with([sized(32), vec![ulong(CKA_KEY_TYPE, key_type)]].concat());
        let peer = (CKD_NULL, &b""[..], &point[..]);
        let derived = p.derive(session, CKM_ECDH1_DERIVE, peer, private, &template).unwrap();
        let sent = common::cases::ecdh(CKM_ECDH1_DERIVE, CKD_NULL, &[]);
        let sent = encapsulate(p, session, sent, public, &template).unwrap().1;
        keys.extend([created, unwrapped, derived, sent]);
    }
    keys
}

#[test]
fn c109_every_secret_key_has_its_check_value_however_it_comes() {
    let t = Token::new();
    let session = t.user();
    for key in each_way(&t, session, &[]) {
        let key_type = t.p.get_ulong(session, key, CKA_KEY_TYPE).unwrap();
        let value = t.p.get(session, key, CKA_VALUE).unwrap();
        let check = t.p.get(session, key, CKA_CHECK_VALUE);
        assert_eq!(check, Ok(expected(key_type, &value)), "{key_type:#x}, {} bytes", value.len());
        let copy = t.p.copy(session, key, &[]).unwrap();
        assert_eq!(t.p.get(session, copy, CKA_CHECK_VALUE), check);
    }
    // One whose value nobody learns has it of what it encrypts.
    let key = t.p.generate_key(session, CKM_AES_KEY_GEN, &[ulong(CKA_VALUE_LEN, 32)]).unwrap();
    let zeros = t.p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[0; 16]).unwrap();
    assert_eq!(t.p.get(session, key, CKA_CHECK_VALUE).unwrap(), zeros[..3]);
}

#[test]
fn c109_a_template_may_ask_for_none() {
    let t = Token::new();
    let session = t.user();
    for key in each_way(&t, session, &[bytes(CKA_CHECK_VALUE, b"")]) {
        let none = t.p.get(session, key, CKA_CHECK_VALUE);
        assert_eq!(none, Err(CKR_ATTRIBUTE_TYPE_INVALID));
    }
    for ckm in [CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN] {
        let guess = [ulong(CKA_VALUE_LEN, 16), bytes(CKA_CHECK_VALUE, b"abc")];
        let refused = t.p.generate_key(session, ckm, &guess);
        assert_eq!(refused, Err(CKR_ATTRIBUTE_VALUE_INVALID), "of a key that is not made yet");
    }
}

#[test]
fn what_does_not_encrypt_does_not_for_its_check_value_either() {
    let t = Token::new();
    let session = t.user();
    let template = [ulong(CKA_VALUE_LEN, 16), flag(CKA_DECRYPT, true)];
    let key = t.p.generate_key(session, CKM_AES_KEY_GEN, &template).unwrap();
    let ecb = || Mech::plain(CKM_AES_ECB);
    let refused = t.p.init(Op::Encrypt, session, ecb(), key);
    assert_eq!(refused, Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    t.p.decrypt(session, ecb(), key, &[0; 16]).unwrap();
}

/// TPM2_Create, TPM2_Load and TPM2_EncryptDecrypt2 make a key and its check value: all of them or none.
#[test]
fn a_key_that_cannot_be_checked_is_not_made() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    for token in [false, true] {
        let template = [ulong(CKA_VALUE_LEN, 16), flag(CKA_TOKEN, token)];
        let make = || t.p.generate_key(session, CKM_AES_KEY_GEN, &template);
        for at in 0..3 {
            // TPM_RC_FAILURE.
            proxy.reset();
            proxy.fault_at(at, Action::Answer(vec![0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1]));
            let made = make();
            proxy.clear_hook();
            assert_eq!(made, Err(CKR_DEVICE_ERROR), "at {at}: {:x?}", proxy.commands());
            assert_eq!(t.p.find(session, &[]), []);
        }
        let key = make().unwrap();
        t.p.destroy(session, key).unwrap();
    }
}

/// It is the key of GCM's hash: three bytes of it are told, the rest is nobody's.
#[test]
fn the_block_that_a_check_value_comes_of_is_not_on_the_bus() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    proxy.reset();
    let key = t.p.generate_key(session, CKM_AES_KEY_GEN, &sized(16)).unwrap();
    let tap = proxy.tap();
    assert!(!tap.is_empty());
    let value = t.p.get(session, key, CKA_VALUE).unwrap();
    let mut block = aes::Block::default();
    aes::Aes128::new_from_slice(&value).unwrap().encrypt_block(&mut block);
    for secret in [&block[..], &block[3..11], &value[..8]] {
        assert!(!tap.windows(secret.len()).any(|window| window == secret));
    }
}
