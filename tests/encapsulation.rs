//! C_EncapsulateKey and C_DecapsulateKey: with a public key in software, with the private one in the
//! TPM.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use common::encapsulation::*;
use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

/// ECDH with this KDF and point; the shared data lives as long as the process.
fn ecdh(ckm: CK_MECHANISM_TYPE, kdf: CK_EC_KDF_TYPE, info: &[u8], point: &[u8]) -> Mech {
    let (info, point): (&'static [u8], &'static [u8]) =
        (Vec::leak(info.to_vec()), Vec::leak(point.to_vec()));
    let start = |bytes: &[u8]| if bytes.is_empty() { 0 } else { bytes.as_ptr() as usize };
    let numbers = [kdf as usize, info.len(), start(info), point.len(), start(point)];
    Mech::bytes(ckm, &numbers.map(usize::to_ne_bytes).concat())
}

fn pair(
    p: &P11,
    session: CK_SESSION_HANDLE,
    ckm: CK_MECHANISM_TYPE,
    kind: Attr,
    more: (&[Attr], &[Attr]),
) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let public = [&[kind, flag(CKA_ENCAPSULATE, true), flag(CKA_VERIFY, true)], more.0].concat();
    let private = [&[flag(CKA_DECAPSULATE, true), flag(CKA_SIGN, true)], more.1].concat();
    p.generate_pair(session, ckm, &public, &private).unwrap()
}

fn open(len: Option<CK_ULONG>) -> Vec<Attr> {
    let mut template = vec![flag(CKA_SENSITIVE, false)];
    template.extend(len.map(|len| ulong(CKA_VALUE_LEN, len)));
    template
}

fn value(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    p.get(session, key, CKA_VALUE).unwrap()
}

#[test]
fn c123_both_sides_have_the_same_key_on_every_curve_and_by_every_padding() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    for (curve, width) in [(P256, 32), (P384, 48), (P521, 66)] {
        let kind = bytes(CKA_EC_PARAMS, curve);
        let (public, private) = pair(p, session, CKM_EC_KEY_PAIR_GEN, kind, (&[], &[]));
        for ckm in [CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE] {
            for (kdf, info, len) in [
                (CKD_NULL, &b""[..], None),
                (CKD_NULL, b"", Some(16)),
                (CKD_SHA256_KDF, b"info", Some(100)),
                (CKD_SHA3_512_KDF_SP800, b"info", Some(32)),
            ] {
                let mech = || ecdh(ckm, kdf, info, b"");
                let (sent, ours) = encapsulate(p, session, mech(), public, &open(len)).unwrap();
                assert_eq!((sent.len(), sent[0]), (1 + 2 * width, 4));
                let theirs = decapsulate(p, session, mech(), private, &sent, &open(len)).unwrap();
                let ours = value(p, session, ours);
                assert_eq!(ours.len(), len.map_or(width, |len| len as usize));
                assert_eq!(ours, value(p, session, theirs));
                let (again, other) = encapsulate(p, session, mech(), public, &open(len)).unwrap();
                assert!(again != sent && value(p, session, other) != ours, "new each time");
            }
        }
    }
    let kind = ulong(CKA_MODULUS_BITS, 2048);
    let (public, private) = pair(p, session, CKM_RSA_PKCS_KEY_PAIR_GEN, kind, (&[], &[]));
    for (mech, len) in [
        (Mech::plain(CKM_RSA_PKCS), Some(48)),
        (Mech::plain(CKM_RSA_PKCS), Some(245)),
        (Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"label"), Some(190)),
        (Mech::plain(CKM_RSA_X_509), None),
        (Mech::plain(CKM_RSA_X_509), Some(32)),
    ] {
        let (sent, ours) = encapsulate(p, session, mech.clone(), public, &open(len)).unwrap();
        assert_eq!(sent.len(), 256);
        let theirs = decapsulate(p, session, mech, private, &sent, &open(len)).unwrap();
        let ours = value(p, session, ours);
        assert_eq!(ours.len(), len.unwrap_or(256) as usize);
        assert_eq!(ours, value(p, session, theirs));
    }
}

#[test]
fn c123_another_implementation_opens_and_makes_what_this_one_does() {
    use p256::elliptic_curve::sec1::ToEncodedPoint;
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let peer = p256::SecretKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
    let point = peer.public_key().to_encoded_point(false);
    let template = [
        ulong(CKA_CLASS, CKO_PUBLIC_KEY),
        ulong(CKA_KEY_TYPE, CKK_EC),
        bytes(CKA_EC_PARAMS, P256),
        bytes(CKA_EC_POINT, &[&[4, 65], point.as_bytes()].concat()),
        flag(CKA_ENCAPSULATE, true),
    ];
    let theirs = p.create(session, &template).unwrap();
    let mech = || ecdh(CKM_ECDH1_DERIVE, CKD_NULL, b"", b"");
    let (sent, key) = encapsulate(p, session, mech(), theirs, &open(None)).unwrap();
    let sent = p256::PublicKey::from_sec1_bytes(&sent).unwrap();
    let shared = p256::ecdh::diffie_hellman(peer.to_nonzero_scalar(), sent.as_affine());
    assert_eq!(value(p, session, key), shared.raw_secret_bytes()[..]);

    let kind = bytes(CKA_EC_PARAMS, P256);
    let (public, private) = pair(p, session, CKM_EC_KEY_PAIR_GEN, kind, (&[], &[]));
    let own = p.get(session, public, CKA_EC_POINT).unwrap();
    let own = p256::PublicKey::from_sec1_bytes(&own[2..]).unwrap();
    let shared = p256::ecdh::diffie_hellman(peer.to_nonzero_scalar(), own.as_affine());
    let sent = point.as_bytes();
    let key = decapsulate(p, session, mech(), private, sent, &open(None)).unwrap();
    assert_eq!(value(p, session, key), shared.raw_secret_bytes()[..]);
}

#[test]
fn c123_without_room_nothing_is_made_and_a_public_key_needs_no_tpm() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let kind = bytes(CKA_EC_PARAMS, P256);
    let (public, private) = pair(p, session, CKM_EC_KEY_PAIR_GEN, kind, (&[], &[]));
    let mech = || ecdh(CKM_ECDH1_DERIVE, CKD_NULL, b"", b"");
    let before = (proxy.commands().len(), p.find(session, &[]).len());
    let (rv, len, key) = encapsulate_raw(p, session, mech(), public, &open(None), None);
    assert_eq!((rv, len, key), (CKR_OK, 65, 0xdead));
    let mut room = [0xee; 65];
    let (rv, len, key) =
        encapsulate_raw(p, session, mech(), public, &open(None), Some(&mut room[..64]));
    assert_eq!((rv, len, key), (CKR_BUFFER_TOO_SMALL, 65, 0xdead));
    assert!(room.iter().all(|byte| *byte == 0xee));
    assert_eq!((proxy.commands().len(), p.find(session, &[]).len()), before);
    let (rv, len, key) = encapsulate_raw(p, session, mech(), public, &open(None), Some(&mut room));
    assert_eq!((rv, len), (CKR_OK, 65));
    let sent = &proxy.commands()[before.0..];
    // TPM2_ECDH_ZGen is the private key's.
    assert!(sent.iter().all(|(code, _)| *code != 0x154), "{sent:x?}");
    assert_eq!(p.find(session, &[]).len(), before.1 + 1);
    let same = decapsulate(p, session, mech(), private, &room, &open(None)).unwrap();
    let secret = value(p, session, same);
    assert_eq!(secret, value(p, session, key));
    assert!(!proxy.tap().windows(32).any(|bytes| bytes == secret), "the secret was in clear");
}

#[test]
fn c123_what_is_made_was_outside_and_may_leave_unless_the_template_says_otherwise() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let kind = bytes(CKA_EC_PARAMS, P256);
    let asks = [flag(CKA_SENSITIVE, true)];
    let (asking, asked) =
        (templates(CKA_ENCAPSULATE_TEMPLATE, &asks), templates(CKA_DECAPSULATE_TEMPLATE, &asks));
    let (public, private) = pair(p, session, CKM_EC_KEY_PAIR_GEN, kind, (&[asking], &[asked]));
    let mech = || ecdh(CKM_ECDH1_DERIVE, CKD_NULL, b"", b"");
    let flags = |key| {
        [CKA_LOCAL, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_EXTRACTABLE, CKA_NEVER_EXTRACTABLE]
            .map(|cka| p.get_bool(session, key, cka).unwrap())
    };
    let (sent, key) = encapsulate(p, session, mech(), public, &[]).unwrap();
    assert_eq!(flags(key), [false, true, false, true, false]);
    let key = decapsulate(p, session, mech(), private, &sent, &[]).unwrap();
    assert_eq!(flags(key), [false, true, false, true, false]);
    let stays = [flag(CKA_EXTRACTABLE, false)];
    let (_, key) = encapsulate(p, session, mech(), public, &stays).unwrap();
    assert_eq!(flags(key), [false, true, false, false, false]);
    let key = decapsulate(p, session, mech(), private, &sent, &stays).unwrap();
    assert_eq!(flags(key), [false, true, false, false, false]);
    let refused = encapsulate(p, session, mech(), public, &open(None));
    assert_eq!(refused, Err(CKR_KEY_HANDLE_INVALID));
    let refused = decapsulate(p, session, mech(), private, &sent, &open(None));
    assert_eq!(refused, Err(CKR_TEMPLATE_INCONSISTENT));
    // A key that works.
    let aes = [
        ulong(CKA_KEY_TYPE, CKK_AES),
        ulong(CKA_VALUE_LEN, 16),
        flag(CKA_ENCRYPT, true),
        flag(CKA_DECRYPT, true),
    ];
    let (sent, ours) = encapsulate(p, session, mech(), public, &aes).unwrap();
    let theirs = decapsulate(p, session, mech(), private, &sent, &aes).unwrap();
    let secret = p.encrypt(session, Mech::plain(CKM_AES_ECB), ours, &[7; 16]).unwrap();
    assert_eq!(p.decrypt(session, Mech::plain(CKM_AES_ECB), theirs, &secret).unwrap(), [7; 16]);
}

#[test]
fn c123_bad_keys_parameters_and_ciphertexts_are_refused() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let kind = bytes(CKA_EC_PARAMS, P256);
    let (public, private) = pair(p, session, CKM_EC_KEY_PAIR_GEN, kind, (&[], &[]));
    let (plain_public, plain_private) = ec_pair(p, session, b"1", false);
    let plain = || ecdh(CKM_ECDH1_DERIVE, CKD_NULL, b"", b"");
    let point = p.get(session, plain_public, CKA_EC_POINT).unwrap()[2..].to_vec();
    let before = proxy.commands().len();
    let kdf = |kdf, info: &[u8], point: &[u8]| ecdh(CKM_ECDH1_DERIVE, kdf, info, point);
    for (mech, key, template, rv) in [
        (plain(), plain_public, open(None), CKR_KEY_FUNCTION_NOT_PERMITTED),
        (plain(), private, open(None), CKR_KEY_FUNCTION_NOT_PERMITTED),
        (plain(), 0, open(None), CKR_KEY_HANDLE_INVALID),
        (Mech::plain(CKM_RSA_PKCS), public, open(Some(16)), CKR_KEY_TYPE_INCONSISTENT),
        (Mech::plain(CKM_ECDSA), public, open(None), CKR_MECHANISM_INVALID),
        (Mech::plain(CKM_ECDH1_DERIVE), public, open(None), CKR_MECHANISM_PARAM_INVALID),
        (kdf(CKD_NULL, b"info", b""), public, open(None), CKR_MECHANISM_PARAM_INVALID),
        (kdf(99, b"", b""), public, open(None), CKR_MECHANISM_PARAM_INVALID),
        (kdf(CKD_NULL, b"", &point), public, open(None), CKR_MECHANISM_PARAM_INVALID),
        (kdf(CKD_SHA256_KDF, b"", b""), public, open(None), CKR_TEMPLATE_INCOMPLETE),
        (plain(), public, open(Some(33)), CKR_KEY_SIZE_RANGE),
        (plain(), public, vec![ulong(CKA_KEY_TYPE, CKK_AES)], CKR_TEMPLATE_INCOMPLETE),
        (plain(), public, vec![ulong(CKA_CLASS, CKO_DATA)], CKR_TEMPLATE_INCONSISTENT),
    ] {
        assert_eq!(encapsulate(p, session, mech, key, &template), Err(rv));
    }
    let mut off = point.clone();
    off[40] ^= 1;
    for (mech, key, sent, rv) in [
        (plain(), private, &off[..], CKR_WRAPPED_KEY_INVALID),
        (plain(), private, &point[..64], CKR_WRAPPED_KEY_INVALID),
        (plain(), private, &[], CKR_WRAPPED_KEY_INVALID),
        (kdf(CKD_NULL, b"info", b""), private, &point, CKR_MECHANISM_PARAM_INVALID),
        (kdf(CKD_NULL, b"", &point), private, &point, CKR_MECHANISM_PARAM_INVALID),
        (plain(), plain_private, &point, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT),
        (plain(), public, &point, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT),
        (plain(), 0, &point, CKR_UNWRAPPING_KEY_HANDLE_INVALID),
    ] {
        assert_eq!(decapsulate(p, session, mech, key, sent, &open(None)), Err(rv));
    }
    let long = decapsulate(p, session, plain(), private, &point, &open(Some(33)));
    assert_eq!(long, Err(CKR_WRAPPED_KEY_LEN_RANGE));
    assert_eq!(proxy.commands().len(), before);
}
