//! Signatures that are known first, and validation flags: conformance statements 43, 45, 72, 79, 80,
//! 82 for these functions.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;
#[allow(dead_code, reason = "each test program uses a part")]
#[path = "verifying/rsa.rs"]
mod rsa;

use std::ptr;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;
use rsa::{Rsa, ok};

/// Verification with the signature given first, in one session.
struct Known<'a> {
    s: &'a Rsa,
}

impl Known<'_> {
    fn init(&self, mut mech: Mech, key: CK_OBJECT_HANDLE, signature: &[u8]) -> Rv<()> {
        let init = self.s.t.p.list.C_VerifySignatureInit.unwrap();
        let (start, len) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
        ok(unsafe { init(self.s.session, &mut mech.raw(), key, start, len) })
    }

    fn verify(&self, data: &[u8]) -> Rv<()> {
        let verify = self.s.t.p.list.C_VerifySignature.unwrap();
        ok(unsafe { verify(self.s.session, data.as_ptr().cast_mut(), data.len() as CK_ULONG) })
    }

    fn update(&self, part: &[u8]) -> Rv<()> {
        let update = self.s.t.p.list.C_VerifySignatureUpdate.unwrap();
        ok(unsafe { update(self.s.session, part.as_ptr().cast_mut(), part.len() as CK_ULONG) })
    }

    fn finish(&self) -> Rv<()> {
        ok(unsafe { self.s.t.p.list.C_VerifySignatureFinal.unwrap()(self.s.session) })
    }
}

#[test]
fn a_signature_that_is_known_first_is_verified_whole_and_in_parts() {
    let s = Rsa::new();
    let (p, k) = (&s.t.p, Known { s: &s });
    let (ec_public, ec_private) = ec_pair(p, s.session, b"2", false);
    let digest = [7; 32];
    for (mech, private, public, parts) in [
        (Mech::plain(CKM_RSA_PKCS), s.private, s.public, false),
        (Mech::plain(CKM_RSA_X_509), s.private, s.public, false),
        (Mech::plain(CKM_SHA256_RSA_PKCS), s.private, s.public, true),
        (
            Mech::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32),
            s.private,
            s.public,
            true,
        ),
        (Mech::plain(CKM_ECDSA), ec_private, ec_public, false),
        (Mech::plain(CKM_ECDSA_SHA3_256), ec_private, ec_public, true),
    ] {
        let signature = p.sign(s.session, mech.clone(), private, &digest).unwrap();
        let mut altered = signature.clone();
        *altered.last_mut().unwrap() ^= 1;
        let invalid = Err(CKR_SIGNATURE_INVALID);
        for (signature, data, told) in [
            (&signature, [7; 32], Ok(())),
            (&altered, [7; 32], invalid),
            (&signature, [8; 32], invalid),
        ] {
            k.init(mech.clone(), public, signature).unwrap();
            assert_eq!(k.verify(&data), told);
            assert_eq!(k.verify(&data), Err(CKR_OPERATION_NOT_INITIALIZED));
            for split in [0, 1, 32] {
                k.init(mech.clone(), public, signature).unwrap();
                if !parts {
                    assert_eq!(k.update(&data), Err(CKR_FUNCTION_NOT_SUPPORTED));
                    assert_eq!(k.finish(), Err(CKR_OPERATION_NOT_INITIALIZED));
                    continue;
                }
                k.update(&data[..split]).unwrap();
                k.update(&data[split..]).unwrap();
                assert_eq!(k.finish(), told);
                assert_eq!(k.finish(), Err(CKR_OPERATION_NOT_INITIALIZED));
            }
        }
        for wrong in [&signature[1..], &[signature.as_slice(), &[0]].concat(), b""] {
            let told = k.init(mech.clone(), public, wrong);
            assert_eq!(told, Err(CKR_SIGNATURE_LEN_RANGE));
            assert_eq!(k.verify(&digest), Err(CKR_OPERATION_NOT_INITIALIZED));
        }
    }
}

#[test]
fn c072_c079_c080_a_known_signature_is_verified_by_its_own_functions_only() {
    let s = Rsa::new();
    let (p, k) = (&s.t.p, Known { s: &s });
    let sha = || Mech::plain(CKM_SHA256_RSA_PKCS);
    let signature = p.sign(s.session, sha(), s.private, b"data").unwrap();
    let none = Err(CKR_OPERATION_NOT_INITIALIZED);
    // One way does not end what the other began.
    let verify = p.list.C_Verify.unwrap();
    let last = p.list.C_VerifyFinal.unwrap();
    let (data, sig) = (b"data".as_ptr().cast_mut(), signature.as_ptr().cast_mut());
    k.init(sha(), s.public, &signature).unwrap();
    let rv = unsafe { verify(s.session, data, 4, sig, 256) };
    assert_eq!(rv, CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(unsafe { last(s.session, sig, 256) }, CKR_OPERATION_NOT_INITIALIZED);
    k.verify(b"data").unwrap();
    p.verify_init(s.session, &mut sha(), s.public).unwrap();
    assert_eq!((k.verify(b"data"), k.update(b"data"), k.finish()), (none, none, none));
    assert_eq!(unsafe { verify(s.session, data, 4, sig, 256) }, CKR_OK);

    k.init(sha(), s.public, &signature).unwrap();
    k.update(b"da").unwrap();
    assert_eq!(k.verify(b"ta"), none, "its return values have no CKR_OPERATION_ACTIVE");
    assert_eq!(k.finish(), none, "and it ended the operation");

    let update = p.list.C_VerifySignatureUpdate.unwrap();
    k.init(sha(), s.public, &signature).unwrap();
    assert_eq!(unsafe { update(s.session, ptr::null_mut(), 4) }, CKR_ARGUMENTS_BAD);
    assert_eq!(k.finish(), none);

    for (mech, key, told) in [
        (sha(), 0, CKR_KEY_HANDLE_INVALID),
        (sha(), s.private, CKR_KEY_FUNCTION_NOT_PERMITTED),
        (Mech::plain(CKM_SHA256), s.public, CKR_MECHANISM_INVALID),
        (Mech::plain(CKM_ECDSA), s.public, CKR_KEY_TYPE_INCONSISTENT),
        (Mech::bytes(CKM_SHA256_RSA_PKCS, b"x"), s.public, CKR_MECHANISM_PARAM_INVALID),
    ] {
        assert_eq!(k.init(mech, key, &signature), Err(told));
        assert_eq!(k.verify(b"data"), none);
    }
    let init = p.list.C_VerifySignatureInit.unwrap();
    let rv = unsafe { init(s.session, &mut sha().raw(), s.public, ptr::null_mut(), 256) };
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
    // The caller's signature may go after the init.
    let mut gone = signature.clone();
    k.init(sha(), s.public, &gone).unwrap();
    gone.fill(0);
    k.verify(b"data").unwrap();
}

#[test]
fn c043_c045_c082_verifying_a_known_signature_is_a_verification() {
    let s = Rsa::new();
    let (p, k) = (&s.t.p, Known { s: &s });
    let sha = || Mech::plain(CKM_SHA256_RSA_PKCS);
    let signature = p.sign(s.session, sha(), s.private, b"data").unwrap();
    let active = Err(CKR_OPERATION_ACTIVE);
    let list = p.list;
    let null = ptr::null_mut();
    let by_known =
        || unsafe { list.C_VerifySignatureInit.unwrap()(s.session, null, 0, null.cast(), 9) };
    let by_plain = || unsafe { list.C_VerifyInit.unwrap()(s.session, null, 0) };
    assert_eq!((by_known(), by_plain()), (CKR_ARGUMENTS_BAD, CKR_ARGUMENTS_BAD));
    for cancels in 0..3 {
        k.init(sha(), s.public, &signature).unwrap();
        assert_eq!(k.init(sha(), s.public, &signature), active);
        assert_eq!(p.verify_init(s.session, &mut sha(), s.public), active);
        for (op, key) in [(Op::Sign, s.private), (Op::Decrypt, s.private), (Op::Encrypt, s.public)]
        {
            assert_eq!(p.init(op, s.session, Mech::plain(CKM_RSA_PKCS), key), active, "{op:?}");
        }
        assert_eq!(p.find_init(s.session, &[]), active);
        s.cancel(CKF_SIGN | CKF_MESSAGE_VERIFY | CKF_VERIFY_RECOVER);
        k.update(b"data").unwrap();
        match cancels {
            0 => s.cancel(CKF_VERIFY),
            1 => assert_eq!(by_known(), CKR_OK),
            _ => assert_eq!(by_plain(), CKR_OK),
        }
        assert_eq!(k.finish(), Err(CKR_OPERATION_NOT_INITIALIZED));
    }
    p.verify_init(s.session, &mut sha(), s.public).unwrap();
    assert_eq!(k.init(sha(), s.public, &signature), active);
    assert_eq!(by_known(), CKR_OK, "an active verification, however it began");
    k.init(sha(), s.public, &signature).unwrap();
    k.verify(b"data").unwrap();
}

#[test]
fn nobody_validated_this_module_and_it_says_so() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    let call = t.p.list.C_GetSessionValidationFlags.unwrap();
    let mut flags = CK_FLAGS::MAX;
    assert_eq!(unsafe { call(session, CKS_LAST_VALIDATION_OK, &mut flags) }, CKR_OK);
    assert_eq!(flags, 0);
    t.p.digest(session, CKM_SHA256, b"data").unwrap();
    assert_eq!(unsafe { call(session, CKS_LAST_VALIDATION_OK, &mut flags) }, CKR_OK);
    assert_eq!(flags, 0);
    flags = 7;
    assert_eq!(unsafe { call(session, 0x1234, &mut flags) }, CKR_ARGUMENTS_BAD);
    let rv = unsafe { call(session, CKS_LAST_VALIDATION_OK, ptr::null_mut()) };
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
    assert_eq!(
        unsafe { call(12_345, CKS_LAST_VALIDATION_OK, &mut flags) },
        CKR_SESSION_HANDLE_INVALID
    );
    assert_eq!(flags, 7);
}
