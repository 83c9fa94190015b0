//! Keys under other keys, and keys derived from others: conformance statements 109 and 119 to 121.

mod common;

use common::aead::*;
use common::fixture::*;
use common::p11::*;
use common::wrapping::*;
use cryptoki_sys::*;

#[test]
fn the_published_wrappings_come_out_of_the_tpm() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let data = "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f";
    let kek_256 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    for (kek, value, wrapped) in [
        // RFC 3394, sections 4.1 and 4.6.
        (&kek_256[..32], &data[..32], "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
        (
            kek_256,
            data,
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
    ] {
        let kek = p.create(session, &secret(CKK_AES, &hex(kek), &[CKA_WRAP, CKA_UNWRAP])).unwrap();
        let key = p.create(session, &secret(CKK_AES, &hex(value), &[])).unwrap();
        let mech = || Mech::plain(CKM_AES_KEY_WRAP);
        assert_eq!(p.wrap(session, mech(), kek, key).unwrap(), hex(wrapped));
        let back = p.unwrap(session, mech(), kek, &hex(wrapped), &unwrapped(CKK_AES)).unwrap();
        assert_eq!(p.get(session, back, CKA_VALUE).unwrap(), hex(value));
        assert_eq!(p.get_bool(session, back, CKA_LOCAL), Ok(false));
        let mut bad = hex(wrapped);
        bad[3] ^= 1;
        let refused = p.unwrap(session, mech(), kek, &bad, &unwrapped(CKK_AES));
        assert_eq!(refused, Err(CKR_WRAPPED_KEY_INVALID));
        let refused = p.unwrap(session, mech(), kek, &bad[1..], &unwrapped(CKK_AES));
        assert_eq!(refused, Err(CKR_WRAPPED_KEY_LEN_RANGE));
    }
}

#[test]
fn c109_an_unwrapped_key_with_the_check_value_of_another_is_refused_as_such() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    let key = p.create(session, &secret(CKK_AES, &[7; 16], &[])).unwrap();
    let own = p.get(session, key, CKA_CHECK_VALUE).unwrap();
    let mech = || Mech::plain(CKM_AES_KEY_WRAP);
    let wrapped = p.wrap(session, mech(), with, key).unwrap();
    let unwrap = |check: &[u8]| {
        let template = [unwrapped(CKK_AES), vec![bytes(CKA_CHECK_VALUE, check)]].concat();
        p.unwrap(session, mech(), with, &wrapped, &template)
    };
    assert_eq!(unwrap(b"bad"), Err(CKR_ATTRIBUTE_VALUE_INVALID));
    let back = unwrap(&own).unwrap();
    assert_eq!(p.get(session, back, CKA_CHECK_VALUE), Ok(own));
    let none = unwrap(b"").unwrap();
    assert_eq!(p.get(session, none, CKA_CHECK_VALUE), Err(CKR_ATTRIBUTE_TYPE_INVALID));
}

#[test]
fn a_padded_wrapping_is_that_of_another_implementation() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    let other = aes_kw::KekAes128::from(KEK);
    for len in [1, 7, 8, 9, 20, 32, 63] {
        let value: Vec<u8> = (1..=len).collect();
        let key = p.create(session, &secret(CKK_GENERIC_SECRET, &value, &[])).unwrap();
        let wrapped = p.wrap(session, Mech::plain(CKM_AES_KEY_WRAP_KWP), with, key).unwrap();
        assert_eq!(wrapped, other.wrap_with_padding_vec(&value).unwrap(), "{len}");
        let mech = Mech::plain(CKM_AES_KEY_WRAP_KWP);
        let back = p.unwrap(session, mech, with, &wrapped, &unwrapped(CKK_GENERIC_SECRET));
        assert_eq!(p.get(session, back.unwrap(), CKA_VALUE).unwrap(), value);
    }
}

#[test]
fn a_secret_key_goes_and_comes_under_every_mechanism_that_wraps() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let aes = kek(p, session);
    let (public, private) = p
        .generate_pair(
            session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[ulong(CKA_MODULUS_BITS, 2048), flag(CKA_WRAP, true)],
            &[flag(CKA_UNWRAP, true)],
        )
        .unwrap();
    let iv = |ckm| Mech::bytes(ckm, &[9; 16]);
    for (mech, wrapping, unwrapping) in [
        (Mech::plain(CKM_AES_ECB), aes, aes),
        (iv(CKM_AES_CBC), aes, aes),
        (iv(CKM_AES_CBC_PAD), aes, aes),
        (Mech::plain(CKM_AES_KEY_WRAP), aes, aes),
        (Mech::plain(CKM_AES_KEY_WRAP_KWP), aes, aes),
        (iv(CKM_AES_CTS), aes, aes),
        (gcm(b"twelve bytes", b"associated", 96), aes, aes),
        (ccm(0, b"twelve bytes", b"associated", 8), aes, aes),
        (Mech::plain(CKM_RSA_PKCS), public, private),
        (Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b""), public, private),
        (rsa_aes(256, CKM_SHA256, CKG_MGF1_SHA256), public, private),
    ] {
        for (key_type, len) in [(CKK_AES, 16), (CKK_AES, 32), (CKK_GENERIC_SECRET, 20)] {
            let value = vec![0x6b; len];
            let key = p.create(session, &secret(key_type, &value, &[])).unwrap();
            let wrapped = p.wrap(session, mech.clone(), wrapping, key).unwrap();
            let template =
                [unwrapped(key_type), vec![ulong(CKA_VALUE_LEN, len as CK_ULONG)]].concat();
            let back = p.unwrap(session, mech.clone(), unwrapping, &wrapped, &template).unwrap();
            assert_eq!(p.get(session, back, CKA_VALUE).unwrap(), value);
            let template = [unwrapped(key_type), vec![ulong(CKA_VALUE_LEN, 64)]].concat();
            let refused = p.unwrap(session, mech.clone(), unwrapping, &wrapped, &template);
            if mech.clone().raw().mechanism != CKM_RSA_PKCS || key_type == CKK_AES {
                assert_eq!(refused, Err(CKR_WRAPPED_KEY_LEN_RANGE));
            }
        }
    }
}

#[test]
fn a_private_key_is_wrapped_as_pkcs_8() {
    use p256::pkcs8::DecodePrivateKey;
    use rsa::traits::PublicKeyParts;
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    let decrypting = p.create(session, &secret(CKK_AES, &KEK, &[CKA_DECRYPT])).unwrap();
    let open = [flag(CKA_EXTRACTABLE, true), flag(CKA_SIGN, true)];
    let mech = || Mech::bytes(CKM_AES_CBC_PAD, &[3; 16]);
    let shown = |key| {
        let wrapped = p.wrap(session, mech(), with, key).unwrap();
        p.init(Op::Decrypt, session, mech(), decrypting).unwrap();
        let mut out = vec![0; 4096];
        let (rv, len) = p.one_shot_raw(Op::Decrypt, session, &wrapped, Some(&mut out));
        assert_eq!(rv, CKR_OK);
        out.truncate(len);
        out
    };
    let (_, private) = p
        .generate_pair(session, CKM_EC_KEY_PAIR_GEN, &[bytes(CKA_EC_PARAMS, P256)], &open)
        .unwrap();
    let key = p256::SecretKey::from_pkcs8_der(&shown(private)).unwrap();
    let point = p.get(session, private, CKA_EC_POINT).unwrap();
    assert_eq!(key.public_key().to_sec1_bytes()[..], point[2..]);

    let bits = [ulong(CKA_MODULUS_BITS, 2048)];
    let (_, private) = p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &bits, &open).unwrap();
    let key = rsa::RsaPrivateKey::from_pkcs8_der(&shown(private)).unwrap();
    let modulus = p.get(session, private, CKA_MODULUS).unwrap();
    assert_eq!(key.n().to_bytes_be(), modulus);
}

#[test]
fn c119_only_what_may_leave_is_wrapped_and_only_by_what_may_wrap() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    let mech = || Mech::plain(CKM_AES_KEY_WRAP);
    let key = p.create(session, &secret(CKK_AES, &[7; 16], &[])).unwrap();
    let wrap = |with, key| p.wrap(session, mech(), with, key).err();
    let fixed = p.aes_key(session, &[7; 16]);
    assert_eq!(wrap(with, fixed), Some(CKR_KEY_UNEXTRACTABLE));
    assert_eq!(wrap(fixed, key), Some(CKR_WRAPPING_KEY_TYPE_INCONSISTENT), "CKA_WRAP is false");
    assert_eq!(wrap(12_345, key), Some(CKR_WRAPPING_KEY_HANDLE_INVALID));
    assert_eq!(wrap(with, 12_345), Some(CKR_KEY_HANDLE_INVALID));
    let (public, private) = ec_pair(p, session, b"1", false);
    assert_eq!(wrap(with, public), Some(CKR_KEY_NOT_WRAPPABLE));
    assert_eq!(wrap(with, private), Some(CKR_KEY_UNEXTRACTABLE));
    assert_eq!(wrap(public, key), Some(CKR_WRAPPING_KEY_TYPE_INCONSISTENT));
    let template = [secret(CKK_AES, &[7; 16], &[]), vec![flag(CKA_WRAP_WITH_TRUSTED, true)]];
    let careful = p.create(session, &template.concat()).unwrap();
    assert_eq!(wrap(with, careful), Some(CKR_KEY_NOT_WRAPPABLE));
    let other = p.wrap(session, Mech::plain(CKM_AES_CTR), with, key).err();
    assert!(matches!(other, Some(CKR_MECHANISM_INVALID | CKR_MECHANISM_PARAM_INVALID)));
}

#[test]
fn c120_a_key_that_does_not_unwrap_is_refused_and_so_are_contradictions() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    let key = p.create(session, &secret(CKK_AES, &[7; 16], &[])).unwrap();
    let mech = || Mech::plain(CKM_AES_KEY_WRAP);
    let wrapped = p.wrap(session, mech(), with, key).unwrap();
    let unwrap =
        |with, template: &[Attr]| p.unwrap(session, mech(), with, &wrapped, template).err();
    let plain = unwrapped(CKK_AES);
    let other = p.aes_key(session, &KEK);
    assert_eq!(unwrap(other, &plain), Some(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT));
    assert_eq!(unwrap(0, &plain), Some(CKR_UNWRAPPING_KEY_HANDLE_INVALID));
    assert_eq!(unwrap(with, &plain[..1]), Some(CKR_TEMPLATE_INCOMPLETE));
    let value = [plain.clone(), vec![bytes(CKA_VALUE, &[1; 16])]].concat();
    assert_eq!(unwrap(with, &value), Some(CKR_ATTRIBUTE_READ_ONLY));
    let token = [plain.clone(), vec![flag(CKA_TOKEN, true)]].concat();
    let reader = p.ro(t.slot);
    let refused = p.unwrap(reader, mech(), with, &wrapped, &token);
    assert_eq!(refused, Err(CKR_SESSION_READ_ONLY));
    assert!(p.unwrap(reader, mech(), with, &wrapped, &plain).is_ok());
    let kept = p.unwrap(session, mech(), with, &wrapped, &token).unwrap();
    assert_eq!(p.get(session, kept, CKA_VALUE).unwrap(), [7; 16]);
}

#[test]
fn c121_a_shared_secret_is_that_of_another_implementation() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let (_, private) = p
        .generate_pair(
            session,
            CKM_EC_KEY_PAIR_GEN,
            &[bytes(CKA_EC_PARAMS, P256)],
            &[flag(CKA_DERIVE, true)],
        )
        .unwrap();
    let own = p.get(session, private, CKA_EC_POINT).unwrap();
    let own = p256::PublicKey::from_sec1_bytes(&own[2..]).unwrap();
    let peer = p256::SecretKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
    let shared = p256::ecdh::diffie_hellman(peer.to_nonzero_scalar(), own.as_affine());
    let shared = shared.raw_secret_bytes();
    let raw_point = peer.public_key().to_sec1_bytes();
    let der_point = [&[4, 65][..], &raw_point].concat();
    let reader = p.ro(t.slot);
    let plain = unwrapped(CKK_GENERIC_SECRET);
    let sized = |len| [plain.clone(), vec![ulong(CKA_VALUE_LEN, len)]].concat();
    for point in [&raw_point[..], &der_point] {
        for ckm in [CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE] {
            let derive = |kdf, info: &[u8], template: &[Attr]| {
                let key = p.derive(reader, ckm, (kdf, info, point), private, template).unwrap();
                p.get(reader, key, CKA_VALUE).unwrap()
            };
            assert_eq!(derive(CKD_NULL, b"", &plain), shared[..]);
            assert_eq!(derive(CKD_NULL, b"", &sized(16)), shared[16..]);
            // ANSI X9.63 KDF: one block of the hash, and the begin of a second.
            let block = |counter: u8| {
                let input = [&shared[..], &[0, 0, 0, counter], b"info"].concat();
                p.digest(session, CKM_SHA256, &input).unwrap()
            };
            let both = [block(1), block(2)].concat();
            assert_eq!(derive(CKD_SHA256_KDF, b"info", &sized(40)), both[..40]);
        }
    }
    let derive = |point: &[u8], kdf, info: &[u8], template: &[Attr]| {
        p.derive(session, CKM_ECDH1_DERIVE, (kdf, info, point), private, template).err()
    };
    let mut off = raw_point.to_vec();
    off[40] ^= 1;
    for point in [&off[..], &raw_point[1..], &raw_point[..64], b""] {
        assert_eq!(derive(point, CKD_NULL, b"", &plain), Some(CKR_MECHANISM_PARAM_INVALID));
    }
    assert_eq!(derive(&raw_point, 99, b"", &plain), Some(CKR_MECHANISM_PARAM_INVALID));
    assert_eq!(derive(&raw_point, CKD_NULL, b"info", &plain), Some(CKR_MECHANISM_PARAM_INVALID));
    assert_eq!(derive(&raw_point, CKD_NULL, b"", &sized(33)), Some(CKR_KEY_SIZE_RANGE));
    let aes = unwrapped(CKK_AES);
    assert_eq!(derive(&raw_point, CKD_NULL, b"", &aes), Some(CKR_TEMPLATE_INCOMPLETE));
    let aes = [aes, vec![ulong(CKA_VALUE_LEN, 32), flag(CKA_ENCRYPT, true)]].concat();
    let base = (CKD_NULL, &b""[..], &raw_point[..]);
    let key = p.derive(session, CKM_ECDH1_DERIVE, base, private, &aes).unwrap();
    let ours = p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[0; 16]).unwrap();
    let theirs = p.aes_key(session, shared);
    assert_eq!(ours, p.encrypt(session, Mech::plain(CKM_AES_ECB), theirs, &[0; 16]).unwrap());
}

#[test]
fn c121_a_key_that_does_not_derive_is_refused() {
    let t = Token::new();
    let session = t.user();
    let (_, signer) = ec_pair(&t.p, session, b"1", false);
    let point = t.p.get(session, signer, CKA_EC_POINT).unwrap();
    let base = (CKD_NULL, &b""[..], &point[..]);
    let plain = unwrapped(CKK_GENERIC_SECRET);
    let refused = t.p.derive(session, CKM_ECDH1_DERIVE, base, signer, &plain);
    assert_eq!(refused, Err(CKR_KEY_TYPE_INCONSISTENT));
    let refused = t.p.derive(session, CKM_ECDH1_DERIVE, base, 0, &plain);
    assert_eq!(refused, Err(CKR_KEY_HANDLE_INVALID));
    let refused = t.p.derive(session, CKM_ECDSA, base, signer, &plain);
    assert_eq!(refused, Err(CKR_MECHANISM_INVALID));
}

#[test]
fn c120_private_keys_come_back_from_their_wrapping_and_sign() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let kek = p.create(session, &secret(CKK_AES, &KEK, &[CKA_WRAP, CKA_UNWRAP])).unwrap();
    let open = [flag(CKA_EXTRACTABLE, true), flag(CKA_SIGN, true)];
    let point = [bytes(CKA_EC_PARAMS, P256), flag(CKA_VERIFY, true)];
    let size = [ulong(CKA_MODULUS_BITS, 2048), flag(CKA_VERIFY, true)];
    let ec = p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &point, &open).unwrap();
    let rsa = p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &size, &open).unwrap();
    for ((public, private), key_type, other, ckm) in
        [(ec, CKK_EC, CKK_RSA, CKM_ECDSA), (rsa, CKK_RSA, CKK_EC, CKM_RSA_PKCS)]
    {
        let template = |key_type| {
            vec![
                ulong(CKA_CLASS, CKO_PRIVATE_KEY),
                ulong(CKA_KEY_TYPE, key_type),
                flag(CKA_TOKEN, true),
                flag(CKA_SIGN, true),
            ]
        };
        // One mode with a padding of its own, one that is filled up with zeros.
        for mode in [CKM_AES_CBC_PAD, CKM_AES_CBC] {
            let mech = || Mech::bytes(mode, &[3; 16]);
            let wrapped = p.wrap(session, mech(), kek, private).unwrap();
            let back = p.unwrap(session, mech(), kek, &wrapped, &template(key_type)).unwrap();
            let signature = p.sign(session, Mech::plain(ckm), back, &[5; 32]).unwrap();
            p.verify(session, Mech::plain(ckm), public, &[5; 32], &signature).unwrap();
            for (cka, value) in [
                (CKA_LOCAL, false),
                (CKA_ALWAYS_SENSITIVE, false),
                (CKA_NEVER_EXTRACTABLE, false),
                (CKA_EXTRACTABLE, false),
            ] {
                assert_eq!(p.get_bool(session, back, cka), Ok(value), "{cka:#x}");
            }
            let info = p.get(session, private, CKA_PUBLIC_KEY_INFO).unwrap();
            assert_eq!(p.get(session, back, CKA_PUBLIC_KEY_INFO), Ok(info));
            let before = p.find(session, &[]).len();
            let refused = p.unwrap(session, mech(), kek, &wrapped, &template(other));
            assert_eq!(refused, Err(CKR_WRAPPED_KEY_INVALID));
            let mut cut = wrapped.clone();
            cut[20] ^= 1;
            let refused = p.unwrap(session, mech(), kek, &cut, &template(key_type));
            assert_eq!(refused, Err(CKR_WRAPPED_KEY_INVALID));
            assert_eq!(p.find(session, &[]).len(), before);
        }
    }
}

#[test]
fn c120_a_bad_padding_is_told_by_nothing_when_a_key_is_unwrapped() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let (public, private) = p
        .generate_pair(
            session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[ulong(CKA_MODULUS_BITS, 2048), flag(CKA_WRAP, true), flag(CKA_ENCRYPT, true)],
            &[flag(CKA_UNWRAP, true)],
        )
        .unwrap();
    let key = p.create(session, &secret(CKK_AES, &[7; 16], &[])).unwrap();
    let good = p.wrap(session, Mech::plain(CKM_RSA_PKCS), public, key).unwrap();
    // A plaintext of another length, and blocks whose padding is none.
    let long = p.encrypt(session, Mech::plain(CKM_RSA_PKCS), public, &[1; 40]).unwrap();
    let mut block = vec![2; 256];
    block[0] = 0;
    block[1] = 1;
    let bad = p.encrypt(session, Mech::plain(CKM_RSA_X_509), public, &block).unwrap();
    for sized in [true, false] {
        let len = if sized { vec![ulong(CKA_VALUE_LEN, 16)] } else { vec![] };
        let template = [unwrapped(CKK_AES), len].concat();
        let unwrap = |wrapped: &[u8]| {
            let before = proxy.commands().len();
            let made = p.unwrap(session, Mech::plain(CKM_RSA_PKCS), private, wrapped, &template);
            let commands = proxy.commands().len() - before;
            (p.get(session, made.unwrap(), CKA_VALUE).unwrap(), commands)
        };
        unwrap(&good);
        let (value, commands) = unwrap(&good);
        assert_eq!(value, [7; 16]);
        for wrapped in [&long, &bad] {
            let (other, as_many) = unwrap(wrapped);
            assert_ne!(other, value);
            assert_eq!(other, unwrap(wrapped).0, "the same key each time");
            assert_eq!(as_many, commands);
        }
    }
}

#[test]
fn a_secret_too_long_for_one_object_is_wrapped_and_told() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    for len in [65, 66, 128, 129, 500] {
        let value = vec![0x42; len];
        let key = p.create(session, &secret(CKK_GENERIC_SECRET, &value, &[])).unwrap();
        assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), value);
        let wrapped = p.wrap(session, Mech::plain(CKM_AES_KEY_WRAP_KWP), with, key).unwrap();
        assert!(wrapped.len() >= len + 8);
    }
    let value = vec![0x42; 1025];
    let refused = p.create(session, &secret(CKK_GENERIC_SECRET, &value, &[]));
    assert_eq!(refused, Err(CKR_ATTRIBUTE_VALUE_INVALID));
}
