//! Signing and verifying, and what begins and ends an operation: conformance statements 66 to 88.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

/// Mechanisms that hash and sign, with the hash.
const RSA_PKCS: [CK_MECHANISM_TYPE; 4] =
    [CKM_SHA1_RSA_PKCS, CKM_SHA256_RSA_PKCS, CKM_SHA384_RSA_PKCS, CKM_SHA512_RSA_PKCS];
const ECDSA: [CK_MECHANISM_TYPE; 5] =
    [CKM_ECDSA, CKM_ECDSA_SHA1, CKM_ECDSA_SHA256, CKM_ECDSA_SHA384, CKM_ECDSA_SHA512];
const PSS: [(CK_MECHANISM_TYPE, CK_MECHANISM_TYPE, CK_RSA_PKCS_MGF_TYPE, usize); 4] = [
    (CKM_SHA1_RSA_PKCS_PSS, CKM_SHA_1, CKG_MGF1_SHA1, 20),
    (CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32),
    (CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA384, 48),
    (CKM_SHA512_RSA_PKCS_PSS, CKM_SHA512, CKG_MGF1_SHA512, 64),
];

struct Signer {
    t: Token,
    session: CK_SESSION_HANDLE,
    public: CK_OBJECT_HANDLE,
    private: CK_OBJECT_HANDLE,
}

impl Signer {
    fn new(
        make: impl FnOnce(&P11, CK_SESSION_HANDLE) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE),
    ) -> Self {
        let t = Token::new();
        let session = t.user();
        let (public, private) = make(&t.p, session);
        Self { t, session, public, private }
    }

    fn rsa() -> Self {
        Self::new(|p, session| rsa_pair(p, session, b"1", false))
    }

    fn ec() -> Self {
        Self::new(|p, session| ec_pair(p, session, b"1", false))
    }

    fn sign(&self, mech: Mech, data: &[u8]) -> Rv<Vec<u8>> {
        self.t.p.sign(self.session, mech, self.private, data)
    }

    fn verify(&self, mech: Mech, data: &[u8], signature: &[u8]) -> Rv<()> {
        self.t.p.verify(self.session, mech, self.public, data, signature)
    }

    /// Signs whole and in parts, verifies both ways, and refuses what was altered.
    fn proves(&self, mech: &Mech, data: &[u8], multi_part: bool) {
        let (p, session) = (&self.t.p, self.session);
        let mut signature = self.sign(mech.clone(), data).unwrap();
        self.verify(mech.clone(), data, &signature).unwrap();
        if multi_part {
            for split in [0, 1, data.len() / 2, data.len()] {
                p.init(Op::Sign, session, mech.clone(), self.private).unwrap();
                p.update(Op::Sign, session, &data[..split]).unwrap();
                p.update(Op::Sign, session, &data[split..]).unwrap();
                let parts = p.finish(Op::Sign, session).unwrap();
                self.verify(mech.clone(), data, &parts).unwrap();
                let parts = [&data[..split], &data[split..]];
                p.verify_parts(session, mech.clone(), self.public, &parts, &signature).unwrap();
            }
        }
        assert_eq!(self.verify(mech.clone(), data, &signature[1..]), Err(CKR_SIGNATURE_LEN_RANGE));
        let last = signature.len() - 1;
        signature[last] ^= 1;
        assert_eq!(self.verify(mech.clone(), data, &signature), Err(CKR_SIGNATURE_INVALID));
    }
}

#[test]
fn rsa_pkcs1_signatures_of_every_hash() {
    let signer = Signer::rsa();
    for ckm in RSA_PKCS {
        signer.proves(&Mech::plain(ckm), b"some data to be signed", true);
    }
    signer.proves(&Mech::plain(CKM_RSA_PKCS), b"a DigestInfo made by the caller", false);
    let too_long = signer.sign(Mech::plain(CKM_RSA_PKCS), &[1; 246]);
    assert_eq!(too_long, Err(CKR_DATA_LEN_RANGE));
}

#[test]
fn c087_pss_uses_the_callers_salt_length_exactly() {
    let signer = Signer::rsa();
    for (ckm, hash, mgf, len) in PSS {
        let most = 256 - len - 2;
        for salt in [0, 1, len, most] {
            let salt = salt as CK_ULONG;
            let whole = Mech::pss(ckm, hash, mgf, salt);
            signer.proves(&whole, b"some data to be signed", true);
            let digest = Mech::pss(CKM_RSA_PKCS_PSS, hash, mgf, salt);
            signer.proves(&digest, &vec![7; len], false);
            let signature = signer.sign(whole, b"x").unwrap();
            let other = Mech::pss(ckm, hash, mgf, if salt == 1 { 2 } else { 1 });
            assert_eq!(signer.verify(other, b"x", &signature), Err(CKR_SIGNATURE_INVALID));
        }
        let over = Mech::pss(ckm, hash, mgf, (most + 1) as CK_ULONG);
        assert_eq!(signer.sign(over, b"x"), Err(CKR_MECHANISM_PARAM_INVALID));
        let wrong = Mech::pss(CKM_RSA_PKCS_PSS, hash, mgf, 1);
        assert_eq!(signer.sign(wrong, &vec![7; len + 1]), Err(CKR_DATA_LEN_RANGE));
    }
    let mixed = Mech::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA384, 48);
    assert_eq!(signer.sign(mixed, b"x"), Err(CKR_MECHANISM_PARAM_INVALID));
}

#[test]
fn c088_ecdsa_signatures_have_a_fixed_width_on_every_curve() {
    let mut signer = Signer::ec();
    for (curve, width) in [(P224, 56), (P256, 64), (P384, 96), (P521, 132)] {
        let public = [bytes(CKA_EC_PARAMS, curve), flag(CKA_VERIFY, true)];
        (signer.public, signer.private) = signer
            .t
            .p
            .generate_pair(signer.session, CKM_EC_KEY_PAIR_GEN, &public, &[flag(CKA_SIGN, true)])
            .unwrap();
        for ckm in ECDSA {
            let data = [9u8; 20];
            signer.proves(&Mech::plain(ckm), &data, ckm != CKM_ECDSA);
            assert_eq!(signer.sign(Mech::plain(ckm), &data).unwrap().len(), width);
        }
        for len in [1, 20, 28, 32, 48, 64, 66, 100] {
            let digest: Vec<u8> = (0..len).map(|i| 0xff - i as u8).collect();
            if width == 132 && len > 64 {
                // No TPM signs a digest longer than its longest hash.
                let refused = signer.sign(Mech::plain(CKM_ECDSA), &digest);
                assert_eq!(refused, Err(CKR_DATA_LEN_RANGE));
                continue;
            }
            let signature = signer.sign(Mech::plain(CKM_ECDSA), &digest).unwrap();
            signer.verify(Mech::plain(CKM_ECDSA), &digest, &signature).unwrap();
        }
    }
}

#[test]
fn c072_a_failing_init_leaves_no_operation() {
    let signer = Signer::ec();
    let (p, session) = (&signer.t.p, signer.session);
    let bad = Mech::plain(0x7fff_0000);
    assert_eq!(p.init(Op::Sign, session, bad, signer.private), Err(CKR_MECHANISM_INVALID));
    let rsa = Mech::plain(CKM_RSA_PKCS);
    assert_eq!(p.init(Op::Sign, session, rsa, signer.private), Err(CKR_KEY_TYPE_INCONSISTENT));
    assert!(signer.sign(Mech::plain(CKM_ECDSA), &[1; 32]).is_ok());
}

#[test]
fn c070_c071_a_key_must_be_the_right_one() {
    let signer = Signer::rsa();
    let (p, session) = (&signer.t.p, signer.session);
    let mech = || Mech::plain(CKM_SHA256_RSA_PKCS);
    let init = |key| p.init(Op::Sign, session, mech(), key);
    assert_eq!(init(0), Err(CKR_KEY_HANDLE_INVALID));
    assert_eq!(init(12345), Err(CKR_KEY_HANDLE_INVALID));
    let object = p.create(session, &data(b"x", false, false)).unwrap();
    assert_eq!(init(object), Err(CKR_KEY_HANDLE_INVALID));
    assert_eq!(init(signer.public), Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    // Of the two, the wrong type comes first.
    let ecdsa = p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), signer.public);
    assert_eq!(ecdsa, Err(CKR_KEY_TYPE_INCONSISTENT));
    p.set(session, signer.private, &[flag(CKA_SIGN, false)]).unwrap();
    assert_eq!(init(signer.private), Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    let digest = p.init(Op::Sign, session, Mech::plain(CKM_SHA256), signer.private);
    assert_eq!(digest, Err(CKR_MECHANISM_INVALID));
}

#[test]
fn c073_c074_length_query_and_short_buffer_keep_the_operation() {
    let signer = Signer::ec();
    let (p, session) = (&signer.t.p, signer.session);
    p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), signer.private).unwrap();
    let data = [3; 32];
    assert_eq!(p.one_shot_raw(Op::Sign, session, &data, None), (CKR_OK, 64));
    let mut short = [0xaa; 10];
    let rv = p.one_shot_raw(Op::Sign, session, &data, Some(&mut short));
    assert_eq!((rv, short), ((CKR_BUFFER_TOO_SMALL, 64), [0xaa; 10]));
    let mut exact = [0; 64];
    let rv = p.one_shot_raw(Op::Sign, session, &data, Some(&mut exact));
    assert_eq!(rv, (CKR_OK, 64));
    signer.verify(Mech::plain(CKM_ECDSA), &data, &exact).unwrap();
    let rv = p.one_shot_raw(Op::Sign, session, &data, Some(&mut exact));
    assert_eq!(rv.0, CKR_OPERATION_NOT_INITIALIZED);
}

#[test]
fn c075_bytes_beyond_the_result_are_untouched() {
    let signer = Signer::ec();
    let (p, session) = (&signer.t.p, signer.session);
    p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), signer.private).unwrap();
    let mut roomy = [0xaa; 100];
    let rv = p.one_shot_raw(Op::Sign, session, &[3; 32], Some(&mut roomy));
    assert_eq!(rv, (CKR_OK, 64));
    assert_eq!(roomy[64..], [0xaa; 36]);
}

#[test]
fn c077_input_and_output_may_be_the_same_memory() {
    let signer = Signer::rsa();
    let (p, session) = (&signer.t.p, signer.session);
    p.init(Op::Encrypt, session, Mech::plain(CKM_RSA_PKCS), signer.public).unwrap();
    let mut memory = [0u8; 256];
    memory[..6].copy_from_slice(b"secret");
    let mut len = 256;
    let pointer = memory.as_mut_ptr();
    let rv = unsafe { p.list.C_Encrypt.unwrap()(session, pointer, 6, pointer, &mut len) };
    assert_eq!((rv, len), (CKR_OK, 256));
    let plain = p.decrypt(session, Mech::plain(CKM_RSA_PKCS), signer.private, &memory);
    assert_eq!(plain.unwrap(), b"secret");
}

#[test]
fn c079_one_shot_and_multi_part_calls_do_not_mix() {
    let signer = Signer::ec();
    let (p, session) = (&signer.t.p, signer.session);
    let mech = || Mech::plain(CKM_ECDSA_SHA256);
    p.init(Op::Sign, session, mech(), signer.private).unwrap();
    p.update(Op::Sign, session, b"part").unwrap();
    assert_eq!(p.one_shot(Op::Sign, session, b"x"), Err(CKR_OPERATION_ACTIVE));
    assert_eq!(p.finish(Op::Sign, session), Err(CKR_OPERATION_NOT_INITIALIZED));

    p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    assert_eq!(p.one_shot_raw(Op::Digest, session, b"x", None), (CKR_OK, 32));
    assert_eq!(p.finish(Op::Digest, session), Err(CKR_OPERATION_ACTIVE));
    assert_eq!(p.finish(Op::Digest, session), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c082_an_init_without_mechanism_cancels() {
    let signer = Signer::ec();
    let (p, session) = (&signer.t.p, signer.session);
    let cancel =
        || unsafe { p.list.C_SignInit.unwrap()(session, std::ptr::null_mut(), signer.private) };
    assert_eq!(cancel(), CKR_ARGUMENTS_BAD);
    p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), signer.private).unwrap();
    assert_eq!(cancel(), CKR_OK);
    assert_eq!(p.one_shot(Op::Sign, session, &[1; 32]), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c085_single_part_mechanisms_take_no_parts() {
    let signer = Signer::rsa();
    let (p, session) = (&signer.t.p, signer.session);
    p.init(Op::Sign, session, Mech::plain(CKM_RSA_PKCS), signer.private).unwrap();
    assert_eq!(p.update(Op::Sign, session, b"x"), Err(CKR_FUNCTION_NOT_SUPPORTED));
    assert_eq!(p.one_shot(Op::Sign, session, b"x"), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c086_mechanism_parameters_are_checked_at_init() {
    let signer = Signer::rsa();
    let init = |mech| signer.t.p.init(Op::Sign, signer.session, mech, signer.private);
    for mech in [
        Mech::plain(CKM_RSA_PKCS_PSS),
        Mech::bytes(CKM_RSA_PKCS_PSS, &[0; 23]),
        Mech::bytes(CKM_SHA256_RSA_PKCS, &[1]),
        Mech::pss(CKM_RSA_PKCS_PSS, CKM_SHA256, 99, 32),
        Mech::pss(CKM_RSA_PKCS_PSS, CKM_RSA_PKCS, CKG_MGF1_SHA256, 32),
        Mech::pss(CKM_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, CK_ULONG::MAX),
    ] {
        assert_eq!(init(mech), Err(CKR_MECHANISM_PARAM_INVALID));
    }
    let mut raw = Mech::plain(CKM_SHA256_RSA_PKCS).raw();
    raw.ulParameterLen = 4;
    let rv =
        unsafe { signer.t.p.list.C_SignInit.unwrap()(signer.session, &mut raw, signer.private) };
    assert_eq!(rv, CKR_MECHANISM_PARAM_INVALID);
}

#[test]
fn decryption_gives_back_what_was_encrypted() {
    let signer = Signer::rsa();
    let (p, session) = (&signer.t.p, signer.session);
    let hashes = [
        (CKM_SHA_1, CKG_MGF1_SHA1, 20),
        (CKM_SHA256, CKG_MGF1_SHA256, 32),
        (CKM_SHA384, CKG_MGF1_SHA384, 48),
        (CKM_SHA512, CKG_MGF1_SHA512, 64),
    ];
    let mut mechanisms = vec![(Mech::plain(CKM_RSA_PKCS), 245)];
    for (hash, _, len) in hashes {
        for (_, mgf, _) in hashes {
            mechanisms.push((Mech::oaep(hash, mgf, b""), 256 - 2 * len - 2));
            mechanisms.push((Mech::oaep(hash, mgf, b"a label"), 256 - 2 * len - 2));
        }
    }
    for (mech, most) in mechanisms {
        for len in [0, 1, most] {
            let plain = vec![0x5a; len];
            let secret = p.encrypt(session, mech.clone(), signer.public, &plain).unwrap();
            assert_eq!(secret.len(), 256);
            let back = p.decrypt(session, mech.clone(), signer.private, &secret).unwrap();
            assert_eq!(back, plain);
        }
        let over = p.encrypt(session, mech, signer.public, &vec![1; most + 1]);
        assert_eq!(over, Err(CKR_DATA_LEN_RANGE));
    }
}

#[test]
fn c087_oaep_is_never_unpadded_with_another_hash_or_label() {
    let signer = Signer::rsa();
    let (p, session) = (&signer.t.p, signer.session);
    let mech = Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"label");
    let secret = p.encrypt(session, mech, signer.public, b"secret").unwrap();
    for other in [
        Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"other"),
        Mech::oaep(CKM_SHA_1, CKG_MGF1_SHA256, b"label"),
        Mech::oaep(CKM_SHA256, CKG_MGF1_SHA1, b"label"),
    ] {
        let rv = p.decrypt(session, other, signer.private, &secret);
        assert_eq!(rv, Err(CKR_ENCRYPTED_DATA_INVALID));
    }
}

#[test]
fn c083_lengths_have_their_own_errors() {
    let signer = Signer::rsa();
    let (p, session) = (&signer.t.p, signer.session);
    for len in [0, 255, 257] {
        let rv = p.decrypt(session, Mech::plain(CKM_RSA_PKCS), signer.private, &vec![1; len]);
        assert_eq!(rv, Err(CKR_ENCRYPTED_DATA_LEN_RANGE), "{len} bytes");
    }
    let above = p.decrypt(session, Mech::plain(CKM_RSA_PKCS), signer.private, &[0xff; 256]);
    assert_eq!(above, Err(CKR_ENCRYPTED_DATA_INVALID));
}

#[test]
fn good_and_bad_paddings_cannot_be_told_apart() {
    let signer = Signer::rsa();
    let (p, session) = (&signer.t.p, signer.session);
    let decrypt =
        |secret: &[u8]| p.decrypt(session, Mech::plain(CKM_RSA_PKCS), signer.private, secret);
    let mut results = Vec::new();
    for first in 1..40u8 {
        // Almost none of these has a PKCS #1 padding.
        let mut noise = vec![first; 256];
        noise[0] = 0;
        let plain = decrypt(&noise).expect("implicit rejection answers with something");
        assert_eq!(decrypt(&noise).unwrap(), plain, "always with the same");
        results.push(plain);
    }
    results.dedup();
    assert!(results.len() > 30, "and not with a constant");
}

#[test]
fn the_digest_of_everything_is_right() {
    use sha2::Digest as _;
    let t = Token::new();
    let session = t.p.ro(t.slot);
    let data: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
    for (ckm, expected) in [
        (CKM_SHA_1, sha1::Sha1::digest(&data).to_vec()),
        (CKM_SHA256, sha2::Sha256::digest(&data).to_vec()),
        (CKM_SHA384, sha2::Sha384::digest(&data).to_vec()),
        (CKM_SHA512, sha2::Sha512::digest(&data).to_vec()),
    ] {
        assert_eq!(t.p.digest(session, ckm, &data).unwrap(), expected);
        t.p.init(Op::Digest, session, Mech::plain(ckm), 0).unwrap();
        for part in data.chunks(77) {
            t.p.update(Op::Digest, session, part).unwrap();
        }
        assert_eq!(t.p.final_raw(Op::Digest, session, None), (CKR_OK, expected.len()));
        assert_eq!(t.p.finish(Op::Digest, session).unwrap(), expected);
    }
}

#[test]
fn c125_random_bytes_of_any_length_need_no_login() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    let random = t.p.list.C_GenerateRandom.unwrap();
    assert_eq!(unsafe { random(session, std::ptr::null_mut(), 0) }, CKR_OK);
    assert_eq!(unsafe { random(session, std::ptr::null_mut(), 1) }, CKR_ARGUMENTS_BAD);
    let long = t.p.random(session, 70_001).unwrap();
    let zeros = long.iter().filter(|byte| **byte == 0).count();
    assert!((100..500).contains(&zeros), "{zeros} zeros in 70 001 bytes");
    assert!(long[69_990..].iter().any(|byte| *byte != 0), "to the very end");
}

#[test]
fn c125_a_random_length_that_would_take_hours_is_refused_at_once() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    let random = t.p.list.C_GenerateRandom.unwrap();
    // Were it taken for its lower half, the eight bytes would be written.
    let mut few = [0u8; 8];
    assert_eq!(unsafe { random(session, few.as_mut_ptr(), 0x1_0000_0008) }, CKR_ARGUMENTS_BAD);
    assert_eq!(few, [0; 8]);
}

#[test]
fn c125_a_seed_of_any_length_is_mixed_into_the_tpm() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    let seed = t.p.list.C_SeedRandom.unwrap();
    for len in [0, 1, 128, 129, 1000] {
        let mut bytes = vec![0x5a; len];
        assert_eq!(unsafe { seed(session, bytes.as_mut_ptr(), len as CK_ULONG) }, CKR_OK, "{len}");
    }
    assert_eq!(unsafe { seed(session, std::ptr::null_mut(), 0) }, CKR_OK);
    assert_eq!(unsafe { seed(session, std::ptr::null_mut(), 1) }, CKR_ARGUMENTS_BAD);
    assert_ne!(t.p.random(session, 32).unwrap(), t.p.random(session, 32).unwrap());
}

#[test]
fn c118_generation_errors_have_their_names() {
    let t = Token::new();
    let session = t.user();
    let rsa =
        |public: &[Attr]| t.p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, public, &[]).err();
    assert_eq!(rsa(&[]), Some(CKR_TEMPLATE_INCOMPLETE));
    for bits in [0, 512, 1000, 2049, 16_384, CK_ULONG::MAX] {
        let rv = rsa(&[ulong(CKA_MODULUS_BITS, bits)]);
        assert_eq!(rv, Some(CKR_ATTRIBUTE_VALUE_INVALID), "{bits}");
    }
    let conflict = rsa(&[ulong(CKA_MODULUS_BITS, 2048), ulong(CKA_KEY_TYPE, CKK_EC)]);
    assert_eq!(conflict, Some(CKR_TEMPLATE_INCONSISTENT));
    let exponent = rsa(&[ulong(CKA_MODULUS_BITS, 2048), bytes(CKA_PUBLIC_EXPONENT, &[3])]);
    assert!(matches!(exponent, Some(CKR_ATTRIBUTE_VALUE_INVALID | CKR_TEMPLATE_INCONSISTENT)));
    let ec = |public: &[Attr]| t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, public, &[]).err();
    assert_eq!(ec(&[]), Some(CKR_TEMPLATE_INCOMPLETE));
    // secp256k1
    let other = ec(&[bytes(CKA_EC_PARAMS, &[6, 5, 0x2b, 0x81, 4, 0, 10])]);
    assert_eq!(other, Some(CKR_CURVE_NOT_SUPPORTED));
    let garbage = ec(&[bytes(CKA_EC_PARAMS, &[1, 2, 3])]);
    assert!(matches!(
        garbage,
        Some(CKR_ATTRIBUTE_VALUE_INVALID | CKR_CURVE_NOT_SUPPORTED | CKR_DOMAIN_PARAMS_INVALID)
    ));
    assert!(t.p.find(session, &[]).is_empty());
}

#[test]
fn nss_asks_sign_and_derive_of_one_ec_key_and_everything_of_one_rsa_key() {
    let t = Token::new();
    let session = t.user();
    let all = |kinds: &[CK_ATTRIBUTE_TYPE]| -> Vec<Attr> {
        kinds.iter().map(|kind| flag(*kind, true)).collect()
    };
    let (_, ec) =
        t.p.generate_pair(
            session,
            CKM_EC_KEY_PAIR_GEN,
            &[bytes(CKA_EC_PARAMS, P256), flag(CKA_VERIFY, true)],
            &all(&[CKA_SIGN, CKA_DERIVE]),
        )
        .unwrap();
    assert!(t.p.sign(session, Mech::plain(CKM_ECDSA), ec, &[1; 32]).is_ok());
    let (_, rsa) =
        t.p.generate_pair(
            session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[&[ulong(CKA_MODULUS_BITS, 2048)][..], &all(&[CKA_VERIFY, CKA_ENCRYPT, CKA_WRAP])]
                .concat(),
            &all(&[CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP]),
        )
        .unwrap();
    assert!(t.p.sign(session, Mech::plain(CKM_SHA256_RSA_PKCS), rsa, b"x").is_ok());
    assert_eq!(t.p.get_bool(session, rsa, CKA_DECRYPT), Ok(true));
}

#[test]
fn a_key_that_was_asked_to_sign_only_does_not_offer_to_decrypt() {
    let t = Token::new();
    let session = t.user();
    let (_, signs) =
        t.p.generate_pair(
            session,
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            &[ulong(CKA_MODULUS_BITS, 2048)],
            &[flag(CKA_SIGN, true)],
        )
        .unwrap();
    assert_eq!(t.p.get_bool(session, signs, CKA_DECRYPT), Ok(false));
    let rv = t.p.decrypt(session, Mech::plain(CKM_RSA_PKCS), signs, &[1; 256]);
    assert_eq!(rv, Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    let found = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY), flag(CKA_DECRYPT, true)]);
    assert!(found.is_empty(), "a disk credential's URI stays unique");
}
