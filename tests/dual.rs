//! Two operations fed by one call: conformance statements 45 and 124.

mod common;

use common::fixture::*;
use common::p11::*;
use common::secret::*;
use cryptoki_sys::*;

const KEY: [u8; 16] = [0x33; 16];

fn cbc() -> Mech {
    Mech::bytes(CKM_AES_CBC_PAD, &[0x1d; 16])
}

/// Runs `data` through a pair of operations, and gives all output of the cipher.
fn through(t: &Token, session: CK_SESSION_HANDLE, part: Part, op: Op, data: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in data.chunks(11) {
        all.extend(t.p.part(part, session, piece).unwrap());
    }
    all.extend(t.p.finish(op, session).unwrap());
    all
}

#[test]
fn c124_what_is_encrypted_is_digested_and_back() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    let data: Vec<u8> = (0..100).collect();
    let digest = t.p.digest(session, CKM_SHA256, &data).unwrap();

    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.init(Op::Encrypt, session, cbc(), key).unwrap();
    let secret = through(&t, session, Part::DigestEncrypt, Op::Encrypt, &data);
    assert_eq!(t.p.finish(Op::Digest, session).unwrap(), digest);
    assert_eq!(t.p.encrypt(session, cbc(), key, &data).unwrap(), secret);

    // The last block comes with C_DecryptFinal, and is not digested by a dual call.
    t.p.init(Op::Decrypt, session, cbc(), key).unwrap();
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    let mut plain = Vec::new();
    for piece in secret.chunks(11) {
        plain.extend(t.p.part(Part::DecryptDigest, session, piece).unwrap());
    }
    let last = t.p.finish(Op::Decrypt, session).unwrap();
    t.p.update(Op::Digest, session, &last).unwrap();
    assert_eq!(t.p.finish(Op::Digest, session).unwrap(), digest);
    assert_eq!([plain, last].concat(), data);
}

#[test]
fn c124_what_is_encrypted_is_signed_and_verified_on_the_way_back() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    let (public, private) = ec_pair(&t.p, session, b"1", false);
    let ecdsa = || Mech::plain(CKM_ECDSA_SHA256);
    let ctr = || ctr(128, [8; 16]);
    let data: Vec<u8> = (0..100).collect();

    t.p.init(Op::Encrypt, session, ctr(), key).unwrap();
    t.p.init(Op::Sign, session, ecdsa(), private).unwrap();
    let secret = through(&t, session, Part::SignEncrypt, Op::Encrypt, &data);
    let signature = t.p.finish(Op::Sign, session).unwrap();
    t.p.verify(session, ecdsa(), public, &data, &signature).unwrap();

    t.p.init(Op::Decrypt, session, ctr(), key).unwrap();
    t.p.verify_init(session, &mut ecdsa(), public).unwrap();
    let plain = through(&t, session, Part::DecryptVerify, Op::Decrypt, &secret);
    assert_eq!(plain, data);
    let ended = t.p.verify_finish(session, &signature);
    assert_eq!(ended, Ok(()));
}

#[test]
fn c124_a_call_without_output_feeds_nothing_to_the_other_operation() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    let data = [5; 48];
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.init(Op::Encrypt, session, Mech::plain(CKM_AES_ECB), key).unwrap();
    let mut room = [0xee; 48];
    let small = t.p.part_raw(Part::DigestEncrypt, session, &data, Some(&mut room[..47]));
    assert_eq!(small, (CKR_BUFFER_TOO_SMALL, 48));
    assert_eq!(room, [0xee; 48]);
    assert_eq!(t.p.part_raw(Part::DigestEncrypt, session, &data, None), (CKR_OK, 48));
    let exact = t.p.part_raw(Part::DigestEncrypt, session, &data, Some(&mut room));
    assert_eq!(exact, (CKR_OK, 48));
    t.p.finish(Op::Encrypt, session).unwrap();
    let digest = t.p.finish(Op::Digest, session).unwrap();
    assert_eq!(digest, t.p.digest(session, CKM_SHA256, &data).unwrap());
}

#[test]
fn c124_input_and_output_may_be_the_same_memory() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.init(Op::Encrypt, session, Mech::plain(CKM_AES_ECB), key).unwrap();
    let data = [6u8; 32];
    let mut memory = data;
    let mut len = 32;
    // SAFETY: the pointers are to memory of this function.
    let rv = unsafe {
        let at = memory.as_mut_ptr();
        t.p.list.C_DigestEncryptUpdate.unwrap()(session, at, 32, at, &mut len)
    };
    assert_eq!((rv, len), (CKR_OK, 32));
    t.p.finish(Op::Encrypt, session).unwrap();
    let digest = t.p.finish(Op::Digest, session).unwrap();
    assert_eq!(digest, t.p.digest(session, CKM_SHA256, &data).unwrap(), "of the plaintext");
    let secret = t.p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &data).unwrap();
    assert_eq!(memory.to_vec(), secret);
}

#[test]
fn c124_both_operations_have_to_be_active() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    let none = (CKR_OPERATION_NOT_INITIALIZED, 0);
    let dual = [Part::DigestEncrypt, Part::DecryptDigest, Part::SignEncrypt, Part::DecryptVerify];
    let call = |part| {
        let (rv, _) = t.p.part_raw(part, session, &[0; 16], Some(&mut [0; 64]));
        rv
    };
    for part in dual {
        assert_eq!(call(part), none.0, "{part:?}");
    }
    for op in [Op::Encrypt, Op::Decrypt] {
        t.p.init(op, session, Mech::plain(CKM_AES_ECB), key).unwrap();
        for part in dual {
            assert_eq!(call(part), none.0, "{part:?} with {op:?} alone");
        }
        t.p.one_shot(op, session, &[0; 16]).unwrap();
    }
}

#[test]
fn c045_the_four_pairs_stand_together_and_no_third_with_them() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    let ecb = || Mech::plain(CKM_AES_ECB);
    let cmac = || Mech::plain(CKM_AES_CMAC);
    let begin = |kind: &str| match kind {
        "encrypt" => t.p.init(Op::Encrypt, session, ecb(), key),
        "decrypt" => t.p.init(Op::Decrypt, session, ecb(), key),
        "digest" => t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0),
        "sign" => t.p.init(Op::Sign, session, cmac(), key),
        "verify" => t.p.verify_init(session, &mut cmac(), key),
        _ => t.p.find_init(session, &[]),
    };
    let kinds = ["encrypt", "decrypt", "digest", "sign", "verify", "search"];
    let pairs =
        [("digest", "encrypt"), ("decrypt", "digest"), ("sign", "encrypt"), ("decrypt", "verify")];
    let all = CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_VERIFY | CKF_FIND_OBJECTS;
    for first in kinds {
        for second in kinds {
            begin(first).unwrap();
            let together = pairs.contains(&(first, second)) || pairs.contains(&(second, first));
            let said = if together { Ok(()) } else { Err(CKR_OPERATION_ACTIVE) };
            assert_eq!(begin(second), said, "{second} beside {first}");
            if together {
                for third in kinds {
                    let refused = begin(third);
                    assert_eq!(refused, Err(CKR_OPERATION_ACTIVE), "{first} {second} {third}");
                }
            }
            // SAFETY: plain numbers.
            let rv = unsafe { t.p.list.C_SessionCancel.unwrap()(session, all) };
            assert_eq!(rv, CKR_OK);
        }
    }
}

#[test]
fn c043_one_half_of_a_pair_is_cancelled_and_the_other_goes_on() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.init(Op::Encrypt, session, Mech::plain(CKM_AES_ECB), key).unwrap();
    t.p.part(Part::DigestEncrypt, session, &[1; 16]).unwrap();
    // SAFETY: plain numbers.
    let rv = unsafe { t.p.list.C_SessionCancel.unwrap()(session, CKF_ENCRYPT) };
    assert_eq!(rv, CKR_OK);
    assert_eq!(t.p.finish(Op::Encrypt, session), Err(CKR_OPERATION_NOT_INITIALIZED));
    let digest = t.p.finish(Op::Digest, session).unwrap();
    assert_eq!(digest, t.p.digest(session, CKM_SHA256, &[1; 16]).unwrap());
}
