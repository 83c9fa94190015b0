//! No secret is in the log, however much is logged: neither of calls that go well nor of refused ones.

mod common;

use common::aead::gcm;
use common::derive::{base_key, open};
use common::fixture::*;
use common::p11::*;
use common::wrapping::*;
use cryptoki_sys::*;

const NEW_PIN: &[u8] = b"sesame-5678-new";
const WRONG_PIN: &[u8] = b"swordfish-0000";
const AES: [u8; 16] = *b"aes-value-in-log";
const SECRET: [u8; 40] = *b"generic-value-of-forty-bytes-in-the-log!";
const SCALAR: [u8; 32] = *b"a scalar of an EC key, in a log?";
const PLAIN: &[u8] = b"plaintext that nobody else reads";
const DATA: &[u8] = b"the value of a private data object";

/// Does a little of everything with secrets, well and badly, and gives those that only the TPM made.
fn everything(t: &Token) -> Vec<Vec<u8>> {
    let p = &t.p;
    let session = p.rw(OWNER);
    assert_eq!(p.login(session, CKU_USER, WRONG_PIN), Err(CKR_PIN_INCORRECT));
    p.login(session, CKU_USER, PIN).unwrap();
    assert_eq!(p.set_pin(session, WRONG_PIN, NEW_PIN), Err(CKR_PIN_INCORRECT));
    p.set_pin(session, PIN, NEW_PIN).unwrap();
    p.create(session, &[data(b"l", true, true), vec![]].concat()).unwrap();
    let private = [ulong(CKA_CLASS, CKO_DATA), flag(CKA_PRIVATE, true), bytes(CKA_VALUE, DATA)];
    p.create(session, &private).unwrap();

    let aes = p.aes_key(session, &AES);
    let iv = || Mech::bytes(CKM_AES_CBC_PAD, &[9; 16]);
    let sealed = p.encrypt(session, iv(), aes, PLAIN).unwrap();
    p.decrypt(session, iv(), aes, &sealed).unwrap();
    p.decrypt(session, iv(), aes, &[7; 32]).unwrap_err();
    let mut sealed = p.encrypt(session, gcm(&[1; 12], b"", 128), aes, PLAIN).unwrap();
    sealed[0] ^= 1;
    p.decrypt(session, gcm(&[1; 12], b"", 128), aes, &sealed).unwrap_err();
    p.sign(session, Mech::plain(CKM_AES_CMAC), aes, PLAIN).unwrap();
    let base = base_key(p, session, CKK_GENERIC_SECRET, &SECRET, &open());
    p.get(session, base, CKA_VALUE).unwrap();
    p.derive_key(session, Mech::plain(CKM_SHA256_KEY_DERIVATION), base, &open()).unwrap();
    let wrapped = p.wrap(session, Mech::plain(CKM_AES_KEY_WRAP_KWP), kek(p, session), base);
    wrapped.unwrap();
    // Templates with secrets in them that are refused.
    let scalar = |curve: &[u8], scalar: &[u8]| {
        let own = [ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, CKK_EC)];
        let own = [&own[..], &[bytes(CKA_EC_PARAMS, curve), bytes(CKA_VALUE, scalar)]].concat();
        p.create(session, &own)
    };
    scalar(P256, &SCALAR).unwrap();
    scalar(P224, &SCALAR).unwrap_err();
    scalar(&P256[..4], &SCALAR).unwrap_err();
    p.create(session, &secret(CKK_AES, &SECRET, &[])).unwrap_err();
    let twice = [secret(CKK_GENERIC_SECRET, &SECRET, &[]), vec![bytes(CKA_VALUE, &AES)]].concat();
    p.create(session, &twice).unwrap_err();
    p.set(session, base, &[bytes(CKA_VALUE, &SECRET)]).unwrap_err();

    let (public, rsa) = p
        .generate_pair(
            session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[ulong(CKA_MODULUS_BITS, 2048), flag(CKA_ENCRYPT, true)],
            &[open(), vec![flag(CKA_DECRYPT, true)]].concat(),
        )
        .unwrap();
    for mech in [Mech::plain(CKM_RSA_PKCS), Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"")] {
        let sealed = p.encrypt(session, mech.clone(), public, PLAIN).unwrap();
        assert_eq!(p.decrypt(session, mech, rsa, &sealed).unwrap(), PLAIN);
    }
    let oaep = Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"");
    p.decrypt(session, oaep, rsa, &[1; 256]).unwrap_err();
    let told = [CKA_PRIME_1, CKA_PRIME_2, CKA_PRIVATE_EXPONENT];
    let mut made: Vec<_> = told.map(|cka| p.get(session, rsa, cka).unwrap()).into();
    let sized = [open(), vec![ulong(CKA_VALUE_LEN, 32)]].concat();
    for ckm in [CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN] {
        let key = p.generate_key(session, ckm, &sized).unwrap();
        made.push(p.get(session, key, CKA_VALUE).unwrap());
    }
    p.logout(session).unwrap();
    p.login(session, CKU_SO, WRONG_PIN).unwrap_err();
    p.close(session).unwrap();
    made
}

#[test]
fn the_log_has_no_secret_at_any_level() {
    let rig = Rig::new();
    let log = rig.path().join("log");
    let config = format!("[log]\nlevel = \"trace\"\nfile = \"{}\"\n", log.display());
    std::fs::write(rig.path().join("no.toml"), config).unwrap();
    let t = Token::on(rig, OWNER);
    let made = everything(&t);
    let written = std::fs::read(log).unwrap();
    let holds = |bytes: &[u8]| written.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(b"C_Login") && holds(b"TPM2_"), "there is a log");
    let known = [PIN, SO_PIN, NEW_PIN, WRONG_PIN, &AES, &SECRET, &SCALAR, PLAIN, DATA];
    for secret in known.into_iter().chain(made.iter().map(Vec::as_slice)) {
        // A part of it is too much.
        let part = &secret[..secret.len().min(8)];
        let (lower, upper) = (hex::encode(part), hex::encode_upper(part));
        let numbers = format!("{part:?}");
        let forms = [
            part,
            lower.as_bytes(),
            upper.as_bytes(),
            numbers.trim_matches(&['[', ']'][..]).as_bytes(),
        ];
        for form in forms {
            assert!(!holds(form), "{}", String::from_utf8_lossy(form));
        }
    }
}
