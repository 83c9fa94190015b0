//! Keys under GCM and CCM, with the tag behind the key or apart from it, and under an AES key of one use
//! that is under an RSA key.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::ptr;

use common::aead::*;
use common::fixture::*;
use common::message_encryption::{AAD, Given, NONCE};
use common::p11::*;
use common::tpm_proxy::Proxy;
use common::wrapping::*;
use cryptoki_sys::*;

const VALUE: &[u8] = b"a value of some thirty-two bytes";

/// CK_GCM_WRAP_PARAMS with a nonce that the module may write to.
fn generating(nonce: &mut [u8], generator: CK_GENERATOR_FUNCTION, fixed_bits: CK_ULONG) -> Mech {
    let given = CK_GCM_WRAP_PARAMS {
        pIv: nonce.as_mut_ptr(),
        ulIvLen: nonce.len() as CK_ULONG,
        ulIvFixedBits: fixed_bits,
        ivGenerator: generator,
        pAAD: kept(AAD),
        ulAADLen: AAD.len() as CK_ULONG,
        ulTagBits: 128,
    };
    Mech::bytes(CKM_AES_GCM, &structure(given))
}

fn pairs(
    p: &P11,
    session: CK_SESSION_HANDLE,
) -> [(CK_KEY_TYPE, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE); 2] {
    let open = [flag(CKA_EXTRACTABLE, true), flag(CKA_SIGN, true)];
    let verify = flag(CKA_VERIFY, true);
    let ec = [bytes(CKA_EC_PARAMS, P256), verify.clone()];
    let ec = p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &ec, &open).unwrap();
    let rsa = [ulong(CKA_MODULUS_BITS, 2048), verify];
    let rsa = p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &rsa, &open).unwrap();
    [(CKK_EC, ec.0, ec.1), (CKK_RSA, rsa.0, rsa.1)]
}

fn private(key_type: CK_KEY_TYPE) -> Vec<Attr> {
    vec![ulong(CKA_CLASS, CKO_PRIVATE_KEY), ulong(CKA_KEY_TYPE, key_type), flag(CKA_SIGN, true)]
}

/// That `key` signs what `public` verifies.
fn same(p: &P11, session: CK_SESSION_HANDLE, key_type: CK_KEY_TYPE, public: u64, key: u64) {
    let ckm = if key_type == CKK_EC { CKM_ECDSA_SHA256 } else { CKM_SHA256_RSA_PKCS };
    let signature = p.sign(session, Mech::plain(ckm), key, b"data").unwrap();
    p.verify(session, Mech::plain(ckm), public, b"data", &signature).unwrap();
}

#[test]
fn a_wrapped_key_is_what_another_implementation_makes_of_it() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    let key = p.create(session, &secret(CKK_AES, VALUE, &[])).unwrap();
    let wrapped = p.wrap(session, gcm(NONCE, AAD, 128), with, key).unwrap();
    assert_eq!(wrapped, other_gcm(&KEK, NONCE, AAD, VALUE));
    // Whatever is said of the length, it is the key's.
    for len in [0, 32, 4711] {
        let wrapped = p.wrap(session, ccm(len, NONCE, AAD, 14), with, key).unwrap();
        assert_eq!(wrapped, other_ccm(&KEK, NONCE, AAD, VALUE, 14));
        let back = p.unwrap(session, ccm(len, NONCE, AAD, 14), with, &wrapped, &unwrapped(CKK_AES));
        assert_eq!(p.get(session, back.unwrap(), CKA_VALUE).unwrap(), VALUE);
    }
}

#[test]
fn what_was_tampered_with_makes_no_key() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    let key = p.create(session, &secret(CKK_AES, VALUE, &[])).unwrap();
    for mech in [gcm(NONCE, AAD, 96), ccm(0, NONCE, AAD, 16)] {
        let wrapped = p.wrap(session, mech.clone(), with, key).unwrap();
        let objects = p.find(session, &[]).len();
        let run =
            |wrapped: &[u8]| p.unwrap(session, mech.clone(), with, wrapped, &unwrapped(CKK_AES));
        for at in 0..wrapped.len() {
            let mut bad = wrapped.clone();
            bad[at] ^= 1;
            assert_eq!(run(&bad), Err(CKR_WRAPPED_KEY_INVALID), "byte {at}");
        }
        assert_eq!(run(&wrapped[1..]), Err(CKR_WRAPPED_KEY_INVALID));
        assert_eq!(run(&wrapped[..8]), Err(CKR_WRAPPED_KEY_LEN_RANGE), "not even a tag");
        assert_eq!(p.find(session, &[]).len(), objects);
        run(&wrapped).unwrap();
    }
    let elsewhere = p.unwrap(session, gcm(NONCE, b"", 96), with, &[1; 44], &unwrapped(CKK_AES));
    assert_eq!(elsewhere, Err(CKR_WRAPPED_KEY_INVALID));
}

#[test]
fn a_nonce_is_made_for_a_wrapped_key_and_told_with_it() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let with = kek(p, session);
    let key = p.create(session, &secret(CKK_AES, VALUE, &[])).unwrap();
    for generator in [CKG_GENERATE, CKG_GENERATE_RANDOM] {
        let mut nonce = *NONCE;
        let mut mech = generating(&mut nonce, generator, 32);
        let call = p.list.C_WrapKey.unwrap();
        let mut len = 0;
        let rv = unsafe { call(session, &mut mech.raw(), with, key, ptr::null_mut(), &mut len) };
        assert_eq!((rv, len, &nonce), (CKR_OK, 48, NONCE), "none for a query");
        let mut out = [0; 48];
        len = 47;
        let rv = unsafe { call(session, &mut mech.raw(), with, key, out.as_mut_ptr(), &mut len) };
        assert_eq!((rv, len, &nonce), (CKR_BUFFER_TOO_SMALL, 48, NONCE));
        let rv = unsafe { call(session, &mut mech.raw(), with, key, out.as_mut_ptr(), &mut len) };
        assert_eq!((rv, len), (CKR_OK, 48));
        assert!(nonce != *NONCE && nonce[..4] == NONCE[..4]);
        assert_eq!(out[..], other_gcm(&KEK, &nonce, AAD, VALUE));
        // The generator is ignored on the way back.
        let back = p.unwrap(session, mech, with, &out, &unwrapped(CKK_AES)).unwrap();
        assert_eq!(p.get(session, back, CKA_VALUE).unwrap(), VALUE);
        let _ = nonce;
    }
    for (generator, fixed_bits) in
        [(CKG_GENERATE_COUNTER, 0), (CKG_GENERATE_COUNTER_XOR, 0), (7, 0), (CKG_GENERATE, 96)]
    {
        let mut nonce = *NONCE;
        let refused = p.wrap(session, generating(&mut nonce, generator, fixed_bits), with, key);
        assert_eq!(refused, Err(CKR_MECHANISM_PARAM_INVALID), "{generator}");
    }
    let mut nonce = *NONCE;
    let own = p.wrap(session, generating(&mut nonce, CKG_NO_GENERATE, 0), with, key).unwrap();
    assert_eq!(own, other_gcm(&KEK, NONCE, AAD, VALUE));
}

#[test]
fn c120_private_keys_come_back_and_sign() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let aes = kek(p, session);
    let (public, unwraps) = rsa_kek(p, session);
    for (key_type, verifying, key) in pairs(p, session) {
        for (mech, with, back_with) in [
            (gcm(NONCE, AAD, 128), aes, aes),
            (ccm(0, NONCE, AAD, 16), aes, aes),
            (rsa_aes(128, CKM_SHA_1, CKG_MGF1_SHA1), public, unwraps),
            (rsa_aes(256, CKM_SHA256, CKG_MGF1_SHA256), public, unwraps),
        ] {
            let wrapped = p.wrap(session, mech.clone(), with, key).unwrap();
            let back = p.unwrap(session, mech, back_with, &wrapped, &private(key_type)).unwrap();
            same(p, session, key_type, verifying, back);
            p.destroy(session, back).unwrap();
        }
    }
}

/// The two functions whose tag is apart.
struct Apart<'a> {
    p: &'a P11,
    session: CK_SESSION_HANDLE,
    with: CK_OBJECT_HANDLE,
}

impl Apart<'_> {
    fn wrap_raw(
        &self,
        mut mech: Mech,
        key: CK_OBJECT_HANDLE,
        out: Option<&mut [u8]>,
    ) -> (CK_RV, usize) {
        let aad = (AAD.as_ptr().cast_mut(), AAD.len() as CK_ULONG);
        let call = self.p.list.C_WrapKeyAuthenticated.unwrap();
        into_room(out, |buffer, len| unsafe {
            call(self.session, &mut mech.raw(), self.with, key, aad.0, aad.1, buffer, len)
        })
    }

    fn wrap(&self, given: &mut Given, key: CK_OBJECT_HANDLE) -> Rv<Vec<u8>> {
        let mech = Mech::bytes(given.ckm, &given.raw());
        let (rv, len) = self.wrap_raw(mech.clone(), key, None);
        let mut out = ok(rv, vec![0; len])?;
        let (rv, len) = self.wrap_raw(mech, key, Some(&mut out));
        out.truncate(len);
        ok(rv, out)
    }

    fn unwrap(&self, given: &mut Given, aad: &[u8], wrapped: &[u8], template: &[Attr]) -> Rv<u64> {
        let mut mech = Mech::bytes(given.ckm, &given.raw());
        let mut template = raw(template);
        let mut key = 0;
        let rv = unsafe {
            self.p.list.C_UnwrapKeyAuthenticated.unwrap()(
                self.session,
                &mut mech.raw(),
                self.with,
                wrapped.as_ptr().cast_mut(),
                wrapped.len() as CK_ULONG,
                template.as_mut_ptr(),
                template.len() as CK_ULONG,
                aad.as_ptr().cast_mut(),
                aad.len() as CK_ULONG,
                &mut key,
            )
        };
        ok(rv, key)
    }
}

#[test]
fn a_tag_that_is_apart_goes_and_comes_with_the_parameter() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let apart = Apart { p, session, with: kek(p, session) };
    let key = p.create(session, &secret(CKK_AES, VALUE, &[])).unwrap();
    for mut given in Given::both(0) {
        let expected = match given.ckm {
            CKM_AES_GCM => other_gcm(&KEK, NONCE, AAD, VALUE),
            _ => other_ccm(&KEK, NONCE, AAD, VALUE, given.tag.len()),
        };
        let wrapped = apart.wrap(&mut given, key).unwrap();
        assert_eq!([wrapped.clone(), given.tag.clone()].concat(), expected);
        let back = apart.unwrap(&mut given, AAD, &wrapped, &unwrapped(CKK_AES)).unwrap();
        assert_eq!(p.get(session, back, CKA_VALUE).unwrap(), VALUE);
        assert_eq!(p.get_bool(session, back, CKA_ALWAYS_SENSITIVE), Ok(false));
        let invalid = Err(CKR_WRAPPED_KEY_INVALID);
        let objects = p.find(session, &[]).len();
        for at in 0..given.tag.len() {
            let mut bad = given.clone();
            bad.tag[at] ^= 1;
            assert_eq!(apart.unwrap(&mut bad, AAD, &wrapped, &unwrapped(CKK_AES)), invalid);
        }
        assert_eq!(apart.unwrap(&mut given, b"other", &wrapped, &unwrapped(CKK_AES)), invalid);
        let mut bad = wrapped.clone();
        bad[9] ^= 1;
        assert_eq!(apart.unwrap(&mut given, AAD, &bad, &unwrapped(CKK_AES)), invalid);
        assert_eq!(p.find(session, &[]).len(), objects);
        // With a nonce that is made.
        given.generator = CKG_GENERATE;
        let wrapped = apart.wrap(&mut given, key).unwrap();
        assert_ne!(given.nonce, NONCE);
        let back = apart.unwrap(&mut given, AAD, &wrapped, &unwrapped(CKK_AES)).unwrap();
        assert_eq!(p.get(session, back, CKA_VALUE).unwrap(), VALUE);
    }
    for (key_type, verifying, key) in pairs(p, session) {
        let mut given = Given::gcm(12);
        let wrapped = apart.wrap(&mut given, key).unwrap();
        let back = apart.unwrap(&mut given, AAD, &wrapped, &private(key_type)).unwrap();
        same(p, session, key_type, verifying, back);
    }
}

#[test]
fn what_has_no_tag_or_may_not_leave_is_refused() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let apart = Apart { p, session, with: kek(p, session) };
    let key = p.create(session, &secret(CKK_AES, VALUE, &[])).unwrap();
    let mut closed = secret(CKK_AES, VALUE, &[]);
    closed.retain(|Attr(kind, _)| *kind != CKA_EXTRACTABLE && *kind != CKA_SENSITIVE);
    let closed = p.create(session, &closed).unwrap();
    for mech in [Mech::plain(CKM_AES_KEY_WRAP), Mech::bytes(CKM_AES_CBC_PAD, &[1; 16])] {
        assert_eq!(apart.wrap_raw(mech, key, None).0, CKR_MECHANISM_INVALID);
    }
    // The parameter of an encryption, or none.
    for mech in [Mech::plain(CKM_AES_GCM), Mech::bytes(CKM_AES_GCM, NONCE)] {
        assert_eq!(apart.wrap_raw(mech, key, None).0, CKR_MECHANISM_PARAM_INVALID);
    }
    assert_eq!(apart.wrap(&mut Given::gcm(16), closed), Err(CKR_KEY_UNEXTRACTABLE));
    assert_eq!(apart.wrap(&mut Given::gcm(3), key), Err(CKR_MECHANISM_PARAM_INVALID));
    let unable = p.create(session, &secret(CKK_AES, &KEK, &[CKA_ENCRYPT])).unwrap();
    let unable = Apart { with: unable, ..apart };
    let refused = unable.wrap(&mut Given::gcm(16), key);
    assert_eq!(refused, Err(CKR_WRAPPING_KEY_TYPE_INCONSISTENT));
    let refused = unable.unwrap(&mut Given::gcm(16), AAD, VALUE, &unwrapped(CKK_AES));
    assert_eq!(refused, Err(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT));
    let mut made = *NONCE;
    let mut mech = generating(&mut made, CKG_GENERATE, 0);
    let called = p.wrap(session, mech.clone(), unable.with, key);
    assert_eq!(called, Err(CKR_WRAPPING_KEY_TYPE_INCONSISTENT));
    assert_eq!((mech.raw().mechanism, &made), (CKM_AES_GCM, NONCE), "nothing was made");
}

/// An RSA pair that wraps, unwraps, encrypts and decrypts.
fn rsa_kek(p: &P11, session: CK_SESSION_HANDLE) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let public = [ulong(CKA_MODULUS_BITS, 2048), flag(CKA_WRAP, true), flag(CKA_ENCRYPT, true)];
    let private = [flag(CKA_UNWRAP, true), flag(CKA_DECRYPT, true)];
    p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).unwrap()
}

#[test]
fn a_key_under_a_key_of_one_use_is_what_other_implementations_make_of_it() {
    use rsa::{BigUint, Oaep, RsaPublicKey};
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let p = &t.p;
    let (public, private) = rsa_kek(p, session);
    let number = |cka| BigUint::from_bytes_be(&p.get(session, public, cka).unwrap());
    let other = RsaPublicKey::new(number(CKA_MODULUS), number(CKA_PUBLIC_EXPONENT)).unwrap();
    let mech = |bits| rsa_aes(bits, CKM_SHA256, CKG_MGF1_SHA256);
    let key = p.create(session, &secret(CKK_GENERIC_SECRET, &VALUE[..29], &[])).unwrap();
    for bits in [128, 192, 256] {
        // Ours, opened by others.
        let wrapped = p.wrap(session, mech(bits), public, key).unwrap();
        assert_eq!(wrapped.len(), 256 + 40);
        let oaep = Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"");
        let once = p.decrypt(session, oaep, private, &wrapped[..256]).unwrap();
        assert_eq!(once.len() as CK_ULONG * 8, bits);
        let opened = match bits {
            128 => aes_kw::KekAes128::from(<[u8; 16]>::try_from(once).unwrap())
                .unwrap_with_padding_vec(&wrapped[256..]),
            192 => aes_kw::KekAes192::from(<[u8; 24]>::try_from(once).unwrap())
                .unwrap_with_padding_vec(&wrapped[256..]),
            _ => aes_kw::KekAes256::from(<[u8; 32]>::try_from(once).unwrap())
                .unwrap_with_padding_vec(&wrapped[256..]),
        };
        assert_eq!(opened.unwrap(), VALUE[..29]);
        assert_ne!(wrapped, p.wrap(session, mech(bits), public, key).unwrap(), "of one use");
    }
    // Others', opened by us.
    let once = [0x77; 32];
    let mut random = p256::elliptic_curve::rand_core::OsRng;
    let first = other.encrypt(&mut random, Oaep::new::<sha2::Sha256>(), &once).unwrap();
    let second = aes_kw::KekAes256::from(once).wrap_with_padding_vec(VALUE).unwrap();
    let wrapped = [first.clone(), second.clone()].concat();
    p.decrypt(session, Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b""), private, &first).unwrap();
    let (commands, back) = rsa_decryptions(&proxy, || {
        p.unwrap(session, mech(256), private, &wrapped, &unwrapped(CKK_AES)).unwrap()
    });
    assert_eq!(commands, 1);
    assert_eq!(p.get(session, back, CKA_VALUE).unwrap(), VALUE);
    // Whichever half is wrong, or with what it begins: one answer.
    let run = |wrapped: &[u8]| {
        let made = || p.unwrap(session, mech(256), private, wrapped, &unwrapped(CKK_AES));
        rsa_decryptions(&proxy, made)
    };
    for at in [3, 100, 255, 256, 270, wrapped.len() - 1] {
        let mut bad = wrapped.clone();
        bad[at] ^= 1;
        assert_eq!(run(&bad), (1, Err(CKR_WRAPPED_KEY_INVALID)), "byte {at}");
    }
    let no_key = other.encrypt(&mut random, Oaep::new::<sha2::Sha256>(), &once[..20]).unwrap();
    assert_eq!(run(&[no_key, second].concat()), (1, Err(CKR_WRAPPED_KEY_INVALID)));
    for len in [0, 255, 256, 264, 271, 273] {
        assert_eq!(run(&wrapped[..len]), (0, Err(CKR_WRAPPED_KEY_LEN_RANGE)), "{len}");
    }
}

/// How many times the TPM was asked to decrypt with RSA.
fn rsa_decryptions<T>(proxy: &Proxy, call: impl FnOnce() -> T) -> (usize, T) {
    proxy.reset();
    let result = call();
    let commands = proxy.commands();
    (commands.iter().filter(|(code, _)| *code == 0x159).count(), result)
}

#[test]
fn a_key_of_one_use_wraps_and_does_nothing_else() {
    let t = Token::new();
    let session = t.user();
    let p = &t.p;
    let (public, private) = rsa_kek(p, session);
    let flags = p.mechanism_info(OWNER, CKM_RSA_AES_KEY_WRAP).unwrap().flags;
    assert_eq!(flags, CKF_HW | CKF_WRAP | CKF_UNWRAP);
    let mech = || rsa_aes(256, CKM_SHA256, CKG_MGF1_SHA256);
    assert_eq!(p.init(Op::Encrypt, session, mech(), public), Err(CKR_MECHANISM_INVALID));
    assert_eq!(p.init(Op::Decrypt, session, mech(), private), Err(CKR_MECHANISM_INVALID));
    let key = p.create(session, &secret(CKK_AES, VALUE, &[])).unwrap();
    let null = CK_RSA_AES_KEY_WRAP_PARAMS { ulAESKeyBits: 256, pOAEPParams: ptr::null_mut() };
    for bad in [
        rsa_aes(0, CKM_SHA256, CKG_MGF1_SHA256),
        rsa_aes(64, CKM_SHA256, CKG_MGF1_SHA256),
        rsa_aes(129, CKM_SHA256, CKG_MGF1_SHA256),
        rsa_aes(256, CKM_AES_ECB, CKG_MGF1_SHA256),
        rsa_aes(256, CKM_SHA256, 99),
        Mech::plain(CKM_RSA_AES_KEY_WRAP),
        Mech::bytes(CKM_RSA_AES_KEY_WRAP, &[0; 8]),
        Mech::bytes(CKM_RSA_AES_KEY_WRAP, &structure(null)),
    ] {
        let refused = p.wrap(session, bad, public, key);
        assert_eq!(refused, Err(CKR_MECHANISM_PARAM_INVALID));
    }
    let refused = p.wrap(session, mech(), private, key);
    assert_eq!(refused, Err(CKR_WRAPPING_KEY_TYPE_INCONSISTENT));
    let aes = kek(p, session);
    let refused = p.wrap(session, mech(), aes, key);
    assert_eq!(refused, Err(CKR_WRAPPING_KEY_TYPE_INCONSISTENT));
}
