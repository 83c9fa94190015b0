//! GCM and CCM on a TPM that fails, and one that was restarted between two parts.

mod common;

use common::aead::*;
use common::fixture::*;
use common::message_encryption::{AAD, DECRYPT, ENCRYPT, Given, KEY, Messages, NONCE};
use common::p11::*;
use common::secret::*;
use common::tpm_proxy::{Action, Proxy};
use cryptoki_sys::*;

/// TPM_ST_NO_SESSIONS and TPM_RC_FAILURE.
const FAILURE: [u8; 10] = [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x01];

fn watched() -> (Token, Proxy, CK_SESSION_HANDLE, CK_OBJECT_HANDLE) {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    t.p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[0; 16]).unwrap();
    (t, proxy, session, key)
}

#[test]
fn a_failure_at_any_command_releases_nothing_and_ends_the_operation() {
    let (t, proxy, session, key) = watched();
    let plain: Vec<u8> = (0..2500u32).map(|at| at as u8).collect();
    for mech in [gcm(NONCE, AAD, 128), ccm(2500, NONCE, AAD, 16)] {
        let sealed = t.p.two_calls(Op::Encrypt, session, mech.clone(), key, &plain).unwrap();
        for (op, from, to) in [(Op::Encrypt, &plain, &sealed), (Op::Decrypt, &sealed, &plain)] {
            proxy.reset();
            t.p.two_calls(op, session, mech.clone(), key, from).unwrap();
            let commands = proxy.commands().len();
            assert!(commands >= 4);
            for at in 0..commands {
                proxy.fault_at(at, Action::Answer(FAILURE.to_vec()));
                // `two_calls` looks at the buffer.
                let failed = t.p.two_calls(op, session, mech.clone(), key, from);
                let known = [CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR];
                assert!(failed.is_err_and(|rv| known.contains(&rv)), "command {at}");
                proxy.clear_hook();
                let over = t.p.one_shot_raw(op, session, from, None).0;
                assert_eq!(over, CKR_OPERATION_NOT_INITIALIZED);
                // A connection that broke is made anew, and the command repeated.
                proxy.fault_at(at, Action::DropConnection);
                let made = t.p.two_calls(op, session, mech.clone(), key, from);
                assert_eq!(made.as_ref(), Ok(to), "command {at}");
                proxy.clear_hook();
            }
        }
    }
}

#[test]
fn a_failure_ends_a_message_and_not_the_process() {
    let (t, proxy, session, key) = watched();
    let m = Messages { p: &t.p, session };
    for mut given in Given::both(9) {
        let mut sealed = Vec::new();
        for way in [ENCRYPT, DECRYPT] {
            m.init(way, given.ckm, key).unwrap();
            let data = if way == ENCRYPT { b"a message".to_vec() } else { sealed.clone() };
            let before = given.tag.clone();
            for at in 0..2 {
                proxy.fault_at(at, Action::Answer(FAILURE.to_vec()));
                assert!(m.whole(way, &mut given, AAD, &data).is_err(), "command {at}");
                proxy.clear_hook();
                assert_eq!(given.tag, before, "no tag either");
            }
            sealed = m.whole(way, &mut given, AAD, &data).unwrap();
            m.finish(way).unwrap();
        }
        assert_eq!(sealed, b"a message");
    }
}

#[test]
fn a_tpm_that_was_restarted_between_two_parts_goes_on() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    let plain: Vec<u8> = (0..100).collect();
    for mech in [gcm(NONCE, AAD, 128), ccm(100, NONCE, AAD, 16)] {
        let whole = t.p.encrypt(session, mech.clone(), key, &plain).unwrap();
        t.p.init(Op::Encrypt, session, mech, key).unwrap();
        let mut made = t.p.part(Part::Encrypt, session, &plain[..33]).unwrap();
        t.rig.tpm.restart();
        made.extend(t.p.part(Part::Encrypt, session, &plain[33..]).unwrap());
        t.rig.tpm.restart();
        made.extend(t.p.finish(Op::Encrypt, session).unwrap());
        assert_eq!(made, whole);
    }
}

/// What they had to wait for the tag with is not digested on the way: the application has it from
/// C_DecryptFinal, as it has the last block of a padded mode.
#[test]
fn the_dual_functions_digest_what_is_encrypted_and_what_was_given_out() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    let plain = b"plaintext of two functions";
    let digest = t.p.digest(session, CKM_SHA256, plain).unwrap();
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.init(Op::Encrypt, session, gcm(NONCE, AAD, 128), key).unwrap();
    let mut sealed = t.p.part(Part::DigestEncrypt, session, plain).unwrap();
    sealed.extend(t.p.finish(Op::Encrypt, session).unwrap());
    assert_eq!(sealed, other_gcm(&KEY, NONCE, AAD, plain));
    assert_eq!(t.p.finish(Op::Digest, session).unwrap(), digest);

    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.init(Op::Decrypt, session, gcm(NONCE, AAD, 128), key).unwrap();
    assert_eq!(t.p.part(Part::DecryptDigest, session, &sealed).unwrap(), b"");
    let rest = t.p.finish(Op::Decrypt, session).unwrap();
    assert_eq!(rest, plain);
    t.p.update(Op::Digest, session, &rest).unwrap();
    assert_eq!(t.p.finish(Op::Digest, session).unwrap(), digest);
}
