//! Wrong lengths, wrong parameters, weak keys, points off their curve, too much of everything: each
//! is refused by its own code, and none of it makes the TPM fail or ends anything but itself.

mod common;

use common::cases::{case, ecdh};
use common::encapsulation::encapsulate;
use common::fixture::*;
use common::known::{CURVES, Held, Keys, Known, flags};
use common::p11::*;
use common::secret::{ctr, general};
use common::tpm_proxy::Proxy;
use common::wrapping::Wrapping;
use cryptoki_sys::*;

/// TPM_RC_FAILURE: the TPM does nothing more until it is restarted.
const RC_FAILURE: u32 = 0x101;

fn tapped() -> (Known, Proxy) {
    let (rig, proxy) = Rig::tapped();
    (Known::on(Token::on(rig, OWNER)), proxy)
}

/// The TPM is as well as before.
fn assert_healthy(known: &Known, proxy: &Proxy) {
    let failed = proxy.commands().into_iter().find(|(_, rc)| *rc == RC_FAILURE);
    assert_eq!(failed, None, "the TPM went into failure mode");
    let (p, session) = (&known.t.p, known.session);
    let held = known.all(Keys::Rsa)[0];
    let signature = p.sign(session, Mech::plain(CKM_RSA_PKCS), held.private, b"data").unwrap();
    p.verify(session, Mech::plain(CKM_RSA_PKCS), held.public, b"data", &signature).unwrap();
}

#[test]
fn a_parameter_of_a_wrong_length_is_refused_by_every_mechanism_before_the_tpm_is_asked() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let none = Held::default();
    proxy.reset();
    let listed = p.mechanisms(OWNER).unwrap();
    proxy.reset();
    let mut tried = 0;
    for ckm in listed {
        let flags = p.mechanism_info(OWNER, ckm).unwrap().flags;
        let case = case(ckm).unwrap();
        let held = known.all(case.keys).first().copied().unwrap_or(&none);
        let right = case.mech(held).raw().ulParameterLen as usize;
        let wrong = [right + 1, right.wrapping_sub(1), 0];
        for len in wrong.into_iter().filter(|len| *len != right && *len < 1024) {
            let mech = || match len {
                0 => Mech::plain(ckm),
                _ => Mech::bytes(ckm, &vec![0; len]),
            };
            let mut said = Vec::new();
            let can = |flag| flags & flag != 0;
            if can(CKF_SIGN) {
                said.push(p.init(Op::Sign, session, mech(), held.private).err());
                said.push(p.verify_init(session, &mut mech(), held.public).err());
            }
            if can(CKF_ENCRYPT) {
                said.push(p.init(Op::Encrypt, session, mech(), held.public).err());
                said.push(p.init(Op::Decrypt, session, mech(), held.private).err());
            }
            if can(CKF_DIGEST) {
                said.push(p.init(Op::Digest, session, mech(), 0).err());
            }
            if can(CKF_WRAP) {
                let key = known.all(Keys::Aes)[0].private;
                said.push(p.wrap(session, mech(), held.wraps, key).err());
                let template =
                    [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET)];
                said.push(p.unwrap(session, mech(), held.unwraps, &[1; 256], &template).err());
            }
            if can(CKF_DERIVE) {
                said.push(p.derive_key(session, mech(), held.private, &[]).err());
            }
            for rv in &said {
                let told = Some(CKR_MECHANISM_PARAM_INVALID);
                assert_eq!(*rv, told, "{ckm:#x} with {len} bytes: {said:x?}");
            }
            tried += said.len();
        }
    }
    assert!(tried > 150, "{tried}");
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    assert_healthy(&known, &proxy);
}

#[test]
fn a_parameter_of_a_wrong_value_is_refused_when_the_operation_begins() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let (rsa, aes) = (known.all(Keys::Rsa)[0], known.all(Keys::Aes)[0]);
    let secret = known.all(Keys::Secret)[0];
    let pss = |hash, mgf, salt| Mech::pss(CKM_RSA_PKCS_PSS, hash, mgf, salt);
    let (sha256, mgf) = (CKM_SHA256, CKG_MGF1_SHA256);
    proxy.reset();
    for (mech, key) in [
        (pss(CKM_MD5, mgf, 20), rsa),
        (pss(CKM_SHA256_RSA_PKCS, mgf, 20), rsa),
        (pss(sha256, 0, 20), rsa),
        (pss(sha256, 99, 20), rsa),
        (pss(sha256, CK_ULONG::MAX, 20), rsa),
        (Mech::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA384, mgf, 32), rsa),
        (general(CKM_SHA256_HMAC_GENERAL, 0), secret),
        (general(CKM_SHA256_HMAC_GENERAL, 33), secret),
        (general(CKM_SHA256_HMAC_GENERAL, CK_ULONG::MAX), secret),
        (general(CKM_AES_CMAC_GENERAL, 17), aes),
    ] {
        let rv = p.init(Op::Sign, session, mech.clone(), key.private);
        assert_eq!(rv, Err(CKR_MECHANISM_PARAM_INVALID));
        let rv = p.verify_init(session, &mut mech.clone(), key.public);
        assert_eq!(rv, Err(CKR_MECHANISM_PARAM_INVALID));
    }
    for salt in [256 - 32 - 1, 1 << 31, CK_ULONG::MAX] {
        let rv = p.init(Op::Sign, session, pss(sha256, mgf, salt), rsa.private);
        assert!(matches!(rv, Err(CKR_MECHANISM_PARAM_INVALID | CKR_KEY_SIZE_RANGE)), "{rv:x?}");
    }
    for (mech, key) in [
        (Mech::oaep(CKM_MD5, mgf, b""), rsa),
        (Mech::oaep(sha256, 0, b""), rsa),
        (Mech::oaep(sha256, 99, b""), rsa),
        (ctr(0, [0; 16]), aes),
        (ctr(129, [0; 16]), aes),
        (ctr(CK_ULONG::MAX, [0; 16]), aes),
    ] {
        for (op, key) in [(Op::Encrypt, key.public), (Op::Decrypt, key.private)] {
            let rv = p.init(op, session, mech.clone(), key);
            assert_eq!(rv, Err(CKR_MECHANISM_PARAM_INVALID));
        }
    }
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    assert_healthy(&known, &proxy);
}

#[test]
fn data_of_a_wrong_length_is_refused_before_the_tpm_is_asked() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let (rsa, aes, ec) = (known.all(Keys::Rsa)[0], known.all(Keys::Aes)[0], known.all(Keys::Ec)[1]);
    let pss = || Mech::pss(CKM_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32);
    let oaep = || Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"");
    let iv = |ckm| Mech::bytes(ckm, &[7; 16]);
    let plain = Mech::plain;
    proxy.reset();
    for (mech, key, lens) in [
        (plain(CKM_RSA_PKCS), rsa, &[246, 256, 4096][..]),
        (plain(CKM_RSA_X_509), rsa, &[257, 4096]),
        (pss(), rsa, &[0, 31, 33, 64]),
        (plain(CKM_ECDSA), ec, &[0]),
    ] {
        for len in lens {
            let rv = p.sign(session, mech.clone(), key.private, &vec![1; *len]);
            assert_eq!(rv, Err(CKR_DATA_LEN_RANGE), "{len} bytes to sign");
        }
    }
    for (mech, key, lens) in [
        (plain(CKM_RSA_PKCS), rsa, &[246, 4096][..]),
        (plain(CKM_RSA_X_509), rsa, &[257]),
        (oaep(), rsa, &[191, 4096]),
        (plain(CKM_AES_ECB), aes, &[1, 15, 17]),
        (iv(CKM_AES_CBC), aes, &[1, 15, 17]),
        (plain(CKM_AES_KEY_WRAP), aes, &[0, 8, 15, 17]),
    ] {
        for len in lens {
            let rv = p.encrypt(session, mech.clone(), key.public, &vec![1; *len]);
            assert_eq!(rv, Err(CKR_DATA_LEN_RANGE), "{len} bytes to encrypt");
        }
    }
    for (mech, key, lens) in [
        (plain(CKM_RSA_PKCS), rsa, &[0, 255, 257][..]),
        (plain(CKM_RSA_X_509), rsa, &[0, 255, 257]),
        (oaep(), rsa, &[0, 255, 257]),
        (plain(CKM_AES_ECB), aes, &[1, 15, 17]),
        (iv(CKM_AES_CBC), aes, &[1, 15, 17]),
        (iv(CKM_AES_CBC_PAD), aes, &[0, 15, 17]),
        (plain(CKM_AES_KEY_WRAP), aes, &[0, 8, 16, 23]),
        (plain(CKM_AES_KEY_WRAP_KWP), aes, &[0, 8, 15, 17]),
    ] {
        for len in lens {
            let rv = p.decrypt(session, mech.clone(), key.private, &vec![1; *len]);
            assert_eq!(rv, Err(CKR_ENCRYPTED_DATA_LEN_RANGE), "{len} bytes to decrypt");
        }
    }
    for (mech, key, lens) in [
        (plain(CKM_SHA256_RSA_PKCS), rsa, &[0, 1, 255, 257][..]),
        (pss(), rsa, &[0, 255, 257]),
        (plain(CKM_ECDSA), ec, &[0, 1, 63, 65, 70]),
        (plain(CKM_AES_CMAC), aes, &[0, 15, 17]),
    ] {
        for len in lens {
            let data = [1; 32];
            let rv = p.verify(session, mech.clone(), key.public, &data, &vec![1; *len]);
            assert_eq!(rv, Err(CKR_SIGNATURE_LEN_RANGE), "a signature of {len} bytes");
        }
    }
    let large = p.decrypt(session, plain(CKM_RSA_X_509), rsa.private, &[0xff; 256]);
    assert_eq!(large, Err(CKR_ENCRYPTED_DATA_INVALID), "above the modulus");
    let large = p.sign(session, plain(CKM_RSA_X_509), rsa.private, &[0xff; 256]);
    assert!(matches!(large, Err(CKR_DATA_INVALID | CKR_DATA_LEN_RANGE)), "{large:x?}");
    // More than a TPM does while somebody waits.
    let much = vec![0; (64 << 20) + 16];
    let rv = p.encrypt(session, plain(CKM_AES_ECB), aes.public, &much);
    assert_eq!(rv, Err(CKR_DATA_LEN_RANGE));
    // Key wrapping costs six commands for each eight bytes.
    for ckm in [CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_KWP] {
        for len in [(64 << 10) + 8, 64 << 20] {
            let rv = p.encrypt(session, plain(ckm), aes.public, &much[..len]);
            assert_eq!(rv, Err(CKR_DATA_LEN_RANGE), "{len} bytes under {ckm:#x}");
            let rv = p.decrypt(session, plain(ckm), aes.private, &much[..len + 8]);
            assert_eq!(rv, Err(CKR_ENCRYPTED_DATA_LEN_RANGE), "{len} bytes under {ckm:#x}");
        }
    }
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    assert_healthy(&known, &proxy);
}

#[test]
fn keys_that_are_weak_or_none_make_no_object() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    let before = p.find(session, &[]).len();
    let modulus = p.get(session, known.all(Keys::Rsa)[0].public, CKA_MODULUS).unwrap();
    let even = [&modulus[..255], &[0]].concat();
    let rsa = |modulus: &[u8], exponent: &[u8]| {
        let own = [bytes(CKA_MODULUS, modulus), bytes(CKA_PUBLIC_EXPONENT, exponent)];
        [vec![ulong(CKA_CLASS, CKO_PUBLIC_KEY), ulong(CKA_KEY_TYPE, CKK_RSA)], own.to_vec()]
            .concat()
    };
    let mut table = vec![
        ("no modulus", rsa(&[], &[1, 0, 1])),
        ("a modulus of zeros", rsa(&[0; 256], &[1, 0, 1])),
        ("504 bits", rsa(&modulus[..63], &[1, 0, 1])),
        ("an even modulus", rsa(&even, &[1, 0, 1])),
        ("a modulus that takes hours", rsa(&[0xff; 4096], &[1, 0, 1])),
        ("no exponent", rsa(&modulus, &[])),
        ("exponent 1", rsa(&modulus, &[1])),
        ("an even exponent", rsa(&modulus, &[2])),
        ("a long exponent", rsa(&modulus, &[0xff; 32])),
    ];
    let secret = |key_type, value: &[u8]| {
        let own = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, key_type)];
        [own.to_vec(), vec![bytes(CKA_VALUE, value)]].concat()
    };
    for len in [0, 1, 15, 17, 31, 33, 64] {
        table.push(("an AES key of another length", secret(CKK_AES, &vec![7; len])));
    }
    table.push(("a secret of no bytes", secret(CKK_GENERIC_SECRET, &[])));
    table.push(("a secret too long", secret(CKK_GENERIC_SECRET, &[7; 4096])));
    for (held, (_, params, width, _)) in known.all(Keys::Ec).into_iter().zip(CURVES) {
        let point = p.get(session, held.public, CKA_EC_POINT).unwrap();
        let raw = &point[point.len() - 2 * width - 1..];
        let mut off = raw.to_vec();
        off[2 * width] ^= 1;
        let other_curve = if width == 32 { P384 } else { P256 };
        let public = |params: &[u8], point: &[u8]| {
            let own = [bytes(CKA_EC_PARAMS, params), bytes(CKA_EC_POINT, point)];
            let kind = [ulong(CKA_CLASS, CKO_PUBLIC_KEY), ulong(CKA_KEY_TYPE, CKK_EC)];
            [kind.to_vec(), own.to_vec()].concat()
        };
        let zeros = [&[4][..], &vec![0; 2 * width]].concat();
        table.push(("a point off its curve", public(params, &off)));
        table.push(("a point of another curve", public(other_curve, raw)));
        table.push(("the point at infinity", public(params, &[0])));
        table.push(("zeros for a point", public(params, &zeros)));
        table.push(("half a point", public(params, &raw[..width + 1])));
        table.push(("a point and a byte", public(params, &[raw, &[0]].concat())));
        let private = |scalar: &[u8]| {
            let own = [bytes(CKA_EC_PARAMS, params), bytes(CKA_VALUE, scalar)];
            let kind = [ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, CKK_EC)];
            [kind.to_vec(), own.to_vec()].concat()
        };
        table.push(("scalar zero", private(&vec![0; width])));
        table.push(("a scalar above the order", private(&vec![0xff; width])));
        table.push(("a scalar that is too long", private(&vec![1; width + 1])));
        // As a peer's point in a derivation it never reaches the TPM.
        proxy.reset();
        for point in [&off[..], &[0], &zeros, &raw[..width + 1], &[]] {
            let rv =
                p.derive_key(session, ecdh(CKM_ECDH1_DERIVE, CKD_NULL, point), held.private, &[]);
            assert_eq!(rv, Err(CKR_MECHANISM_PARAM_INVALID), "{}", held.name);
        }
        assert_eq!(proxy.commands(), [], "the TPM was asked");
    }
    proxy.reset();
    for (what, template) in &table {
        assert_eq!(p.create(session, template), Err(CKR_ATTRIBUTE_VALUE_INVALID), "{what}");
    }
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    assert_eq!(p.find(session, &[]).len(), before);
    assert_healthy(&known, &proxy);
}

#[test]
fn lengths_that_no_key_has_are_refused_wherever_a_key_is_made() {
    let (known, proxy) = tapped();
    let (p, session) = (&known.t.p, known.session);
    proxy.reset();
    for ckm in [CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN] {
        for len in [0, 1 << 16, 1 << 32, CK_ULONG::MAX / 8 + 1, CK_ULONG::MAX] {
            let made = p.generate_key(session, ckm, &[ulong(CKA_VALUE_LEN, len)]);
            assert_eq!(made, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{ckm:#x}, {len}");
        }
    }
    for bits in [0, 1, 511, 512, 2049, 1 << 20, CK_ULONG::MAX] {
        let public = [ulong(CKA_MODULUS_BITS, bits)];
        let made = p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[]);
        assert_eq!(made.err(), Some(CKR_ATTRIBUTE_VALUE_INVALID), "{bits}");
    }
    // The standard has a code of its own for an exponent that a token does not use.
    for exponent in [&[3][..], &[1, 0, 3], &[1], &[2], &[0], &[0xff; 9]] {
        let public = [ulong(CKA_MODULUS_BITS, 2048), bytes(CKA_PUBLIC_EXPONENT, exponent)];
        let made = p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[]);
        assert_eq!(made.err(), Some(CKR_TEMPLATE_INCONSISTENT), "{exponent:x?}");
    }
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    let (aes, ec) = (known.all(Keys::Aes)[0], known.all(Keys::Ec)[1]);
    let rsa = known.all(Keys::Rsa)[0];
    let secret = known.all(Keys::Secret)[0];
    for len in [0, 1 << 16, CK_ULONG::MAX] {
        let mech = || ecdh(CKM_ECDH1_DERIVE, CKD_NULL, &ec.peer);
        for template in [
            vec![ulong(CKA_VALUE_LEN, len)],
            vec![ulong(CKA_VALUE_LEN, len), ulong(CKA_KEY_TYPE, CKK_AES)],
        ] {
            let made = p.derive_key(session, mech(), ec.private, &template);
            assert_eq!(made, Err(CKR_KEY_SIZE_RANGE), "{len}");
            let digested = Mech::plain(CKM_SHA256_KEY_DERIVATION);
            let made = p.derive_key(session, digested, secret.private, &template);
            assert_eq!(made, Err(CKR_KEY_SIZE_RANGE), "{len}");
            let sent = encapsulate(p, session, Mech::plain(CKM_RSA_X_509), rsa.public, &template);
            assert_eq!(sent, Err(CKR_KEY_SIZE_RANGE), "{len}");
        }
        let wrapped =
            p.wrap(session, Mech::plain(CKM_AES_KEY_WRAP), aes.wraps, aes.private).unwrap();
        let template = [
            vec![ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET)],
            vec![ulong(CKA_VALUE_LEN, len)],
            flags(&[CKA_SIGN]),
        ]
        .concat();
        let mech = Mech::plain(CKM_AES_KEY_WRAP);
        let made = p.unwrap(session, mech, aes.unwraps, &wrapped, &template);
        assert_eq!(made, Err(CKR_WRAPPED_KEY_LEN_RANGE), "{len}");
    }
    assert_healthy(&known, &proxy);
}
