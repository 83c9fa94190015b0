//! Keys that are destroyed under what was begun with them.

mod common;
#[path = "messages/signer.rs"]
#[allow(
    dead_code,
    clippy::undocumented_unsafe_blocks,
    reason = "as in messages.rs, which uses all"
)]
mod signer;

use common::fixture::*;
use common::message_encryption::{self, DECRYPT, ENCRYPT, Given};
use common::p11::*;
use cryptoki_sys::*;
use signer::Messages;

const AAD: &[u8] = b"aad";

/// The message that is begun may be signed; after it there is no key.
#[test]
fn c110_with_a_destroyed_key_no_other_message_is_signed() {
    let t = Token::new();
    let (session, p) = (t.user(), &t.p);
    let m = Messages { p, session };
    let other = p.rw(t.slot);
    for token in [true, false] {
        for in_parts in [false, true] {
            let (_, key) = ec_pair(p, session, b"1", token);
            m.sign_init(Mech::plain(CKM_ECDSA_SHA256), key).unwrap();
            m.sign(b"data").unwrap();
            if in_parts {
                m.begin().unwrap();
                m.next(b"da").unwrap();
            }
            p.destroy(other, key).unwrap();
            if in_parts {
                m.last(b"ta").unwrap();
                assert_eq!(m.begin(), Err(CKR_OPERATION_NOT_INITIALIZED));
            } else {
                assert_eq!(m.sign(b"data"), Err(CKR_OPERATION_NOT_INITIALIZED));
            }
            assert_eq!(m.sign_final(), Err(CKR_OPERATION_NOT_INITIALIZED));
        }
    }
}

#[test]
fn c110_with_a_destroyed_key_no_other_message_is_encrypted_decrypted_or_verified() {
    let t = Token::new();
    let (session, p) = (t.user(), &t.p);
    let other = p.rw(t.slot);
    let m = message_encryption::Messages { p, session };
    let usages = [flag(CKA_ENCRYPT, true), flag(CKA_DECRYPT, true)];
    let aes = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        bytes(CKA_VALUE, &[7; 16]),
    ];
    for way in [ENCRYPT, DECRYPT] {
        let key = p.create(session, &[&aes[..], &usages].concat()).unwrap();
        m.init(way, CKM_AES_GCM, key).unwrap();
        m.begin(way, &mut Given::gcm(16), AAD).unwrap();
        p.destroy(other, key).unwrap();
        m.next(way, &mut Given::gcm(16), b"data", false).unwrap();
        let flags = if way == ENCRYPT { CKF_MESSAGE_ENCRYPT } else { CKF_MESSAGE_DECRYPT };
        Messages { p, session }.cancel(flags);
        for whole in [true, false] {
            let key = p.create(session, &[&aes[..], &usages].concat()).unwrap();
            m.init(way, CKM_AES_GCM, key).unwrap();
            p.destroy(other, key).unwrap();
            let told = if whole {
                m.whole(way, &mut Given::gcm(16), AAD, b"data").map(drop)
            } else {
                m.begin(way, &mut Given::gcm(16), AAD)
            };
            assert_eq!(told, Err(CKR_OPERATION_NOT_INITIALIZED));
            assert_eq!(m.finish(way), Err(CKR_OPERATION_NOT_INITIALIZED));
        }
    }
    let secret = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        bytes(CKA_VALUE, &[7; 32]),
        flag(CKA_VERIFY, true),
    ];
    let key = p.create(session, &secret).unwrap();
    let v = Messages { p, session };
    v.verify_init(Mech::plain(CKM_SHA256_HMAC), key).unwrap();
    assert_eq!(v.verify(b"data", &[0; 32]), Err(CKR_SIGNATURE_INVALID));
    p.destroy(other, key).unwrap();
    assert_eq!(v.verify(b"data", &[0; 32]), Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(v.verify_final(), Err(CKR_OPERATION_NOT_INITIALIZED));
}
