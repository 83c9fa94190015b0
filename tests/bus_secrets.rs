//! No byte of a private or secret value goes over the bus in clear: not where a key comes in, not
//! where it is wrapped, unwrapped, derived or read.

mod common;

use std::collections::HashSet;

use common::aead::{ccm, gmac};
use common::cases::{Other, case};
use common::derivations::{hkdf, hkdf_between, pipeline};
use common::encapsulation::{decapsulate, encapsulate};
use common::fixture::*;
use common::known::{CURVES, Keys, Known, flags, rsa_numbers};
use common::message_encryption::{AAD, DECRYPT, ENCRYPT, Given, Messages};
use common::p11::*;
use common::tpm_proxy::Proxy;
use common::wrapping::Wrapping;
use cryptoki_sys::*;
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;

/// As many bytes in a row are no accident, and no more than AES key wrapping takes at a time.
const WINDOW: usize = 8;

/// What a listener heard, to be looked up in.
struct Heard(HashSet<[u8; WINDOW]>);

impl Heard {
    fn by(proxy: &Proxy) -> Self {
        let windows = |bytes: &[u8]| -> Vec<[u8; WINDOW]> {
            bytes.windows(WINDOW).map(|window| window.try_into().unwrap()).collect()
        };
        let all = proxy.exchanges().into_iter().flat_map(|e| [e.command, e.response]);
        Self(all.flat_map(|message| windows(&message)).collect())
    }

    /// How much of `secret` was heard: a window of it, if any.
    fn of(&self, secret: &[u8]) -> Option<Vec<u8>> {
        secret.windows(WINDOW).find(|window| self.0.contains(*window)).map(<[u8]>::to_vec)
    }

    fn nothing_of(&self, what: &str, secret: &[u8]) {
        assert!(secret.len() >= WINDOW, "{what} is too short to look for");
        let heard = self.of(secret);
        assert_eq!(heard, None, "a part of {what} went over the bus in clear");
    }
}

fn tapped() -> (Known, Proxy) {
    let (rig, proxy) = Rig::tapped();
    (Known::on(Token::on(rig, OWNER)), proxy)
}

fn open() -> Vec<Attr> {
    vec![flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)]
}

fn secret_of(key_type: CK_KEY_TYPE) -> Vec<Attr> {
    [vec![ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, key_type)], open()].concat()
}

/// A value that nothing else is like.
fn noise(len: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) | 0x9e37_0000;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

#[test]
fn nothing_of_a_created_key_is_heard() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let mut secrets = Vec::new();
    for token in [false, true] {
        for (key_type, lens) in
            [(CKK_AES, &[16usize, 32][..]), (CKK_GENERIC_SECRET, &[8, 20, 32, 64, 65, 128])]
        {
            for (at, len) in lens.iter().enumerate() {
                let value = noise(*len, at as u8 + 1);
                let own = vec![bytes(CKA_VALUE, &value), flag(CKA_TOKEN, token)];
                let key = p.create(session, &[secret_of(key_type), own].concat()).unwrap();
                assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), value, "read back");
                p.copy(session, key, &[]).unwrap();
                secrets.push(value);
            }
        }
    }
    // These came in when `known` was made.
    for keys in [Keys::AnySecret, Keys::Hkdf] {
        secrets.extend(known.all(keys).into_iter().map(|held| held.value.clone()));
    }
    let heard = Heard::by(&proxy);
    for secret in secrets {
        heard.nothing_of("a secret key", &secret);
    }
    for (name, _, width, first) in CURVES {
        let scalar = [&[first][..], &vec![0x35; width - 2], &[1]].concat();
        heard.nothing_of(name, &scalar);
    }
    let key = std::fs::read(&known.all(Keys::Rsa)[0].file).unwrap();
    let numbers = rsa_numbers(&RsaPrivateKey::from_pkcs1_der(&key).unwrap());
    assert!(heard.of(&numbers[0].1).is_some(), "a listener hears public keys");
    for number in &numbers[2..] {
        heard.nothing_of("an RSA key", &number.1);
    }
}

#[test]
fn nothing_of_a_key_that_is_wrapped_or_unwrapped_is_heard() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let mut secrets = Vec::new();
    let mut ways = 0;
    for ckm in p.mechanisms(OWNER).unwrap() {
        if p.mechanism_info(OWNER, ckm).unwrap().flags & CKF_WRAP == 0 {
            continue;
        }
        let case = case(ckm).unwrap();
        for held in known.all(case.keys) {
            let value = noise(32, ways as u8 + 1);
            let own = vec![bytes(CKA_VALUE, &value)];
            let key = p.create(session, &[secret_of(CKK_AES), own].concat()).unwrap();
            let wrapped = p.wrap(session, case.mech(held), held.wraps, key).unwrap();
            let back =
                p.unwrap(session, case.mech(held), held.unwraps, &wrapped, &secret_of(CKK_AES));
            assert_eq!(p.get(session, back.unwrap(), CKA_VALUE).unwrap(), value);
            secrets.push((format!("a key under {ckm:#x}"), value));
            ways += 1;
        }
    }
    assert!(ways >= 12, "{ways}");
    // Private keys, made here so that they may leave, and come back.
    let with = known.all(Keys::Aes)[0];
    let size = [ulong(CKA_MODULUS_BITS, 2048)];
    let curve = [bytes(CKA_EC_PARAMS, P256)];
    for (ckm, key_type, public, tell) in [
        (CKM_EC_KEY_PAIR_GEN, CKK_EC, &curve, &[CKA_VALUE][..]),
        (CKM_RSA_PKCS_KEY_PAIR_GEN, CKK_RSA, &size, &[CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1]),
    ] {
        let private = [open(), flags(&[CKA_SIGN])].concat();
        let (_, private) = p.generate_pair(session, ckm, public, &private).unwrap();
        let template = [
            vec![ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, key_type)],
            open(),
            flags(&[CKA_SIGN]),
        ]
        .concat();
        for mech in [Mech::bytes(CKM_AES_CBC_PAD, &[3; 16]), Mech::plain(CKM_AES_KEY_WRAP_KWP)] {
            let wrapped = p.wrap(session, mech.clone(), with.wraps, private).unwrap();
            let back = p.unwrap(session, mech, with.unwraps, &wrapped, &template).unwrap();
            for cka in tell {
                let value = p.get(session, back, *cka).unwrap();
                assert_eq!(p.get(session, private, *cka).unwrap(), value);
                secrets.push((format!("{cka:#x}"), value));
            }
        }
    }
    let heard = Heard::by(&proxy);
    for (what, secret) in secrets {
        heard.nothing_of(&what, &secret);
    }
}

#[test]
fn nothing_of_a_key_that_is_derived_is_heard() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let mut secrets = Vec::new();
    for ckm in p.mechanisms(OWNER).unwrap() {
        let Some(case) = case(ckm) else { continue };
        let Other::Derived(value) = case.other else { continue };
        for held in known.all(case.keys) {
            let value = value(&known, held);
            let template = case.derived(value.len());
            let key = p.derive_key(session, case.mech(held), held.private, &template).unwrap();
            assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), value);
            secrets.push((format!("{ckm:#x} from {}", held.name), value));
        }
    }
    assert!(secrets.len() >= 20, "{}", secrets.len());
    let heard = Heard::by(&proxy);
    for (what, secret) in secrets {
        heard.nothing_of(&what, &secret);
    }
}

#[test]
fn nothing_of_a_key_that_is_sent_is_heard() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let mut secrets = Vec::new();
    for ckm in p.mechanisms(OWNER).unwrap() {
        let flags = p.mechanism_info(OWNER, ckm).unwrap().flags;
        let Some(case) = case(ckm).filter(|_| flags & CKF_ENCAPSULATE != 0) else { continue };
        for held in known.all(case.keys) {
            let mech = || case.mech_to_encapsulate(held);
            let template = case.encapsulated();
            let (sent, _) = encapsulate(p, session, mech(), held.public, &template).unwrap();
            let key = decapsulate(p, session, mech(), held.private, &sent, &template).unwrap();
            let value = p.get(session, key, CKA_VALUE).unwrap();
            secrets.push((format!("{ckm:#x} to {}", held.name), value));
        }
    }
    assert!(secrets.len() >= 11, "{}", secrets.len());
    let heard = Heard::by(&proxy);
    for (what, secret) in secrets {
        heard.nothing_of(&what, &secret);
    }
}

/// Who knows what HKDF extracts, or the chain of a pipeline, is closer to every key derived by it.
#[test]
fn nothing_between_a_key_and_what_is_derived_from_it_is_heard() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let mut secrets = Vec::new();
    let salt = known.all(Keys::Secret)[1];
    for held in known.all(Keys::Hkdf) {
        for salt in [None, Some(salt)] {
            let between = hkdf_between(&known, salt, held);
            let mech = hkdf(CKM_HKDF_DERIVE, salt.map(|salt| salt.private));
            let len = vec![ulong(CKA_VALUE_LEN, 40)];
            let key = p.derive_key(session, mech, held.private, &[open(), len].concat()).unwrap();
            assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), between[1][..40]);
            secrets.extend(between);
        }
    }
    let case = case(CKM_SP800_108_DOUBLE_PIPELINE_KDF).unwrap();
    for held in known.all(case.keys) {
        let (chain, made) = pipeline(&known, held);
        let template = case.derived(made.len());
        let key = p.derive_key(session, case.mech(held), held.private, &template).unwrap();
        assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), made);
        secrets.extend(chain);
    }
    let heard = Heard::by(&proxy);
    for secret in secrets {
        heard.nothing_of("what comes between", &secret);
    }
}

#[test]
fn nothing_of_what_is_encrypted_or_decrypted_is_heard() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let plain = noise(64, 99);
    for ckm in p.mechanisms(OWNER).unwrap() {
        let flags = p.mechanism_info(OWNER, ckm).unwrap().flags;
        let Some(case) = case(ckm).filter(|_| flags & CKF_ENCRYPT != 0) else { continue };
        for held in known.all(case.keys) {
            let mut data = plain.clone();
            if ckm == CKM_RSA_X_509 {
                data = [vec![0; 192], data].concat();
            }
            let mech = || case.mech_of(held, data.len());
            let secret = p.encrypt(session, mech(), held.public, &data).unwrap();
            let back = p.decrypt(session, mech(), held.private, &secret).unwrap();
            assert_eq!(back, data, "{ckm:#x}");
            if flags & CKF_MESSAGE_ENCRYPT != 0 {
                let messages = Messages { p, session };
                for (encrypt, key) in [(ENCRYPT, held.public), (DECRYPT, held.private)] {
                    let tag = secret[data.len()..].to_vec();
                    let mut given = Given { tag, ..case.message(data.len()) };
                    let (from, to) = if encrypt {
                        (&data[..], &secret[..64])
                    } else {
                        (&secret[..64], &data[..])
                    };
                    messages.init(encrypt, ckm, key).unwrap();
                    assert_eq!(messages.whole(encrypt, &mut given, AAD, from).unwrap(), to);
                    messages.finish(encrypt).unwrap();
                }
            }
        }
    }
    Heard::by(&proxy).nothing_of("a plaintext", &plain);
}

#[test]
fn neither_a_key_stream_nor_the_rest_of_a_mac_is_heard() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let mut secrets = Vec::new();
    for held in known.all(Keys::Aes) {
        let ofb = || case(CKM_AES_OFB).unwrap().mech(held);
        // The stream, whole and in parts, over more than a command takes.
        let zeros = vec![0; 2500];
        let mut stream = vec![0; zeros.len()];
        p.init(Op::Encrypt, session, ofb(), held.public).unwrap();
        let (rv, _) = p.one_shot_raw(Op::Encrypt, session, &zeros, Some(&mut stream));
        assert_eq!(rv, CKR_OK);
        let parts: Vec<&[u8]> = zeros.chunks(48).collect();
        let made = p.in_parts(Op::Encrypt, session, ofb(), held.public, &parts).unwrap();
        assert_eq!(made, stream);
        secrets.push(stream);
        for len in [16, 40, 2500] {
            let message = noise(len, 5);
            let mac = p.sign(session, Mech::plain(CKM_AES_CMAC), held.private, &message).unwrap();
            secrets.push(mac);
        }
    }
    let heard = Heard::by(&proxy);
    for secret in secrets {
        heard.nothing_of("what a cipher made", &secret);
    }
}

/// Who has both makes tags.
#[test]
fn neither_the_hash_key_of_gmac_nor_the_mask_of_its_tag_is_heard() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let message = noise(2500, 8);
    let mut secrets = Vec::new();
    for held in known.all(Keys::Aes) {
        let ecb = Mech::plain(CKM_AES_ECB);
        secrets.push(p.encrypt(session, ecb, held.public, &[0; 16]).unwrap());
        for nonce in [&b"twelve bytes"[..], b"eight..."] {
            // The hash of nothing is zero, and its tag the mask.
            secrets.push(p.sign(session, gmac(nonce, 128), held.private, b"").unwrap());
            let tag = p.sign(session, gmac(nonce, 128), held.private, &message).unwrap();
            let parts: Vec<&[u8]> = message.chunks(100).collect();
            p.verify_parts(session, gmac(nonce, 128), held.public, &parts, &tag).unwrap();
        }
    }
    let heard = Heard::by(&proxy);
    for secret in secrets {
        heard.nothing_of("what a tag is made of", &secret);
    }
}

/// A tag of CCM is its CBC-MAC under a mask. Who hears the one knows the other.
#[test]
fn neither_the_chain_under_a_tag_nor_its_mask_is_heard() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let nonce = b"twelve bytes";
    let mut secrets = Vec::new();
    for held in known.all(Keys::Aes) {
        let first = [&[2][..], nonce, &[0; 3]].concat();
        let ecb = Mech::plain(CKM_AES_ECB);
        let mask = p.encrypt(session, ecb, held.public, &first).unwrap();
        for len in [0, 1, 16, 40, 2500] {
            let mut sealed = vec![0; len + 16];
            p.init(Op::Encrypt, session, ccm(len, nonce, b"associated", 16), held.public).unwrap();
            let (rv, _) = p.one_shot_raw(Op::Encrypt, session, &noise(len, 7), Some(&mut sealed));
            assert_eq!(rv, CKR_OK);
            secrets.push(sealed[len..].iter().zip(&mask).map(|(a, b)| a ^ b).collect::<Vec<u8>>());
        }
        secrets.push(mask);
    }
    let heard = Heard::by(&proxy);
    for secret in secrets {
        heard.nothing_of("what a tag is made of", &secret);
    }
}
