//! Message-based encryption and decryption, by GCM and CCM: conformance statements 43, 45, 59, 70 to 76,
//! 82, 84 for their ten functions.

mod common;

use std::collections::BTreeSet;

use common::aead::*;
use common::fixture::*;
use common::message_encryption::*;
use cryptoki_sys::*;

#[test]
fn messages_are_what_another_implementation_makes_of_them_whole_and_in_every_split() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    let data: Vec<u8> = (0..53).collect();
    for mut given in
        [Given::gcm(16), Given { nonce: NONCE[..8].to_vec(), ..Given::gcm(12) }, Given::ccm(53, 14)]
    {
        m.init(ENCRYPT, given.ckm, key).unwrap();
        let expected = given.expected(AAD, &data);
        let (made, rest) = expected.split_at(data.len());
        let tag = &rest[..given.tag.len()];
        let fresh = given.clone();
        for at in 0..=data.len() {
            let (first, second) = data.split_at(at);
            given.tag.fill(0);
            let sealed = m.in_parts(ENCRYPT, &mut given, AAD, &[first, &[], second]);
            assert_eq!((sealed.as_deref(), &given.tag[..]), (Ok(made), tag), "split at {at}");
        }
        given.tag.fill(0);
        assert_eq!(m.whole(ENCRYPT, &mut given, AAD, &data).as_deref(), Ok(made));
        assert_eq!((&given.tag[..], &given.nonce), (tag, &fresh.nonce));
        m.finish(ENCRYPT).unwrap();

        m.init(DECRYPT, given.ckm, key).unwrap();
        for at in 0..=data.len() {
            let (first, second) = made.split_at(at);
            let opened = m.in_parts(DECRYPT, &mut given, AAD, &[first, &[], second]);
            assert_eq!(opened.as_ref(), Ok(&data), "split at {at}");
        }
        assert_eq!(m.whole(DECRYPT, &mut given, AAD, made).as_ref(), Ok(&data));
        m.finish(DECRYPT).unwrap();
    }
}

#[test]
fn the_published_ciphertexts_come_out_message_by_message() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    for (ckm, file) in [
        (CKM_AES_GCM, include_str!("vectors/gcm.txt")),
        (CKM_AES_CCM, include_str!("vectors/ccm.txt")),
    ] {
        for [key, nonce, aad, plain, made, tag] in cases(file) {
            let key = t.p.aes_key(session, &key);
            let blank = vec![0; tag.len()];
            let mut given =
                Given { ckm, nonce, tag: blank, data_len: plain.len(), ..Given::gcm(0) };
            m.init(ENCRYPT, ckm, key).unwrap();
            assert_eq!(m.whole(ENCRYPT, &mut given, &aad, &plain).unwrap(), made);
            assert_eq!(given.tag, tag);
            m.finish(ENCRYPT).unwrap();
            m.init(DECRYPT, ckm, key).unwrap();
            assert_eq!(m.whole(DECRYPT, &mut given, &aad, &made).unwrap(), plain);
            m.finish(DECRYPT).unwrap();
            t.p.destroy(session, key).unwrap();
        }
    }
}

#[test]
fn what_was_tampered_with_ends_its_message_and_not_the_process() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    let plain: Vec<u8> = (0..21).collect();
    for mut given in Given::both(21) {
        m.init(ENCRYPT, given.ckm, key).unwrap();
        let sealed = m.whole(ENCRYPT, &mut given, AAD, &plain).unwrap();
        m.finish(ENCRYPT).unwrap();
        m.init(DECRYPT, given.ckm, key).unwrap();
        let refused = |mut given: Given, aad: &[u8], sealed: &[u8], what: &str| {
            let failed = Err(CKR_AEAD_DECRYPT_FAILED);
            assert_eq!(m.whole(DECRYPT, &mut given, aad, sealed), failed, "{what}");
            let (first, second) = sealed.split_at(7);
            let parts = m.in_parts(DECRYPT, &mut given, aad, &[first, second]);
            assert_eq!(parts, failed, "{what}");
            let over = m.next_raw(DECRYPT, &mut given, b"", None, CKF_END_OF_MESSAGE).0;
            assert_eq!(over, CKR_OPERATION_NOT_INITIALIZED, "{what}");
        };
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 0x10;
            refused(given.clone(), AAD, &bad, &format!("byte {at}"));
        }
        for at in 0..given.tag.len() {
            let mut bad = given.clone();
            bad.tag[at] ^= 1;
            refused(bad, AAD, &sealed, &format!("byte {at} of the tag"));
        }
        refused(given.clone(), b"other", &sealed, "other associated data");
        refused(Given { nonce: b"twelve bytez".to_vec(), ..given.clone() }, AAD, &sealed, "nonce");
        assert_eq!(m.whole(DECRYPT, &mut given, AAD, &sealed).unwrap(), plain);
        m.finish(DECRYPT).unwrap();
    }
}

#[test]
fn nonces_are_made_and_told_and_never_come_again() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    let mut seen = BTreeSet::new();
    for generator in [CKG_GENERATE, CKG_GENERATE_RANDOM] {
        for fixed_bits in [0, 32] {
            m.init(ENCRYPT, CKM_AES_GCM, key).unwrap();
            for number in 0..20 {
                let mut given = Given::generated(generator, fixed_bits);
                let made = match number % 2 {
                    0 => m.whole(ENCRYPT, &mut given, AAD, b"a message").unwrap(),
                    _ => m.in_parts(ENCRYPT, &mut given, AAD, &[b"a mes", b"sage"]).unwrap(),
                };
                assert_eq!(
                    given.nonce[..fixed_bits as usize / 8],
                    NONCE[..fixed_bits as usize / 8]
                );
                let sealed = [made, given.tag.clone()].concat();
                assert_eq!(sealed, given.expected(AAD, b"a message"));
                assert!(seen.insert(given.nonce), "twice");
            }
            m.finish(ENCRYPT).unwrap();
        }
    }
    // Asking for the length makes none: the counter goes on without a gap.
    m.init(ENCRYPT, CKM_AES_GCM, key).unwrap();
    for number in 0..16 {
        let mut given = Given::generated(CKG_GENERATE_COUNTER, 92);
        m.whole_raw(ENCRYPT, &mut given.raw(), AAD, b"data", Some(&mut [0; 3]));
        m.whole(ENCRYPT, &mut given, AAD, b"data").unwrap();
        let mut expected = *NONCE;
        expected[11] = (expected[11] & 0xf0) | number;
        assert_eq!(given.nonce, expected);
    }
    let mut given = Given::generated(CKG_GENERATE_COUNTER, 92);
    let used_up = m.whole(ENCRYPT, &mut given, AAD, b"data");
    assert_eq!(used_up, Err(CKR_MECHANISM_PARAM_INVALID), "no nonce comes again");
    m.finish(ENCRYPT).unwrap();
    // Each process counts from zero.
    m.init(ENCRYPT, CKM_AES_CCM, key).unwrap();
    for number in 0..3 {
        let mut given =
            Given { generator: CKG_GENERATE_COUNTER_XOR, fixed_bits: 64, ..Given::ccm(4, 16) };
        m.begin(ENCRYPT, &mut given, AAD).unwrap();
        let mut expected = *NONCE;
        expected[11] ^= number;
        assert_eq!(given.nonce, expected, "told at the beginning");
        m.next(ENCRYPT, &mut given, b"data", true).unwrap();
    }
    m.finish(ENCRYPT).unwrap();
    // A structure that is used again has the last nonce in it.
    m.init(ENCRYPT, CKM_AES_CCM, key).unwrap();
    let mut given =
        Given { generator: CKG_GENERATE_COUNTER_XOR, fixed_bits: 64, ..Given::ccm(4, 16) };
    for number in 0..6 {
        m.whole(ENCRYPT, &mut given, AAD, b"data").unwrap();
        let mut expected = *NONCE;
        expected[11] ^= number;
        assert_eq!(given.nonce, expected, "no nonce comes again");
    }
}

#[test]
fn bad_parameters_end_a_message_and_not_the_process() {
    let t = Token::new();
    let session = t.user();
    let m = Messages { p: &t.p, session };
    let key = t.p.aes_key(session, &KEY);
    let gcm = |change: fn(&mut Given)| {
        let mut given = Given::gcm(16);
        change(&mut given);
        given
    };
    let bad = [
        gcm(|given| given.tag.clear()),
        gcm(|given| given.tag = vec![0; 3]),
        gcm(|given| given.tag = vec![0; 17]),
        gcm(|given| given.nonce.clear()),
        gcm(|given| given.generator = 5),
        gcm(|given| (given.generator, given.fixed_bits) = (CKG_GENERATE, 96)),
        gcm(|given| (given.generator, given.fixed_bits) = (CKG_GENERATE_RANDOM, 40)),
        gcm(|given| (given.generator, given.fixed_bits) = (CKG_GENERATE_COUNTER, CK_ULONG::MAX)),
        // The other mode's structure.
        Given::ccm(4, 16),
    ];
    m.init(ENCRYPT, CKM_AES_GCM, key).unwrap();
    for (at, mut given) in bad.into_iter().enumerate() {
        let invalid = Err(CKR_MECHANISM_PARAM_INVALID);
        assert_eq!(m.whole(ENCRYPT, &mut given, AAD, b"data"), invalid, "{at}");
        assert_eq!(m.begin(ENCRYPT, &mut given, AAD), invalid.map(drop), "{at}");
        assert_eq!(
            m.in_parts(ENCRYPT, &mut Given::gcm(16), AAD, &[b"da", b"ta"]).unwrap().len(),
            4
        );
    }
    // NULL for the tag, for all of it, and a length nobody believes.
    let good = Given::gcm(16).raw();
    for (field, value) in [(0, 0), (1, CK_ULONG::MAX), (4, 0), (5, CK_ULONG::MAX)] {
        let mut given = Given::gcm(16);
        let mut raw = given.raw();
        raw[field * 8..][..8].copy_from_slice(&value.to_ne_bytes());
        let (rv, _) = m.whole_raw(ENCRYPT, &mut raw, AAD, b"data", None);
        assert_eq!(rv, CKR_MECHANISM_PARAM_INVALID, "field {field}");
    }
    for len in [0, 8, good.len() - 1] {
        let (rv, _) = m.whole_raw(ENCRYPT, &mut good.clone()[..len], AAD, b"data", None);
        assert_eq!(rv, CKR_MECHANISM_PARAM_INVALID, "{len} bytes");
    }
    // The tag keeps the length that it had in the beginning.
    m.begin(ENCRYPT, &mut Given::gcm(16), AAD).unwrap();
    let other = m.next(ENCRYPT, &mut Given::gcm(12), b"data", true);
    assert_eq!(other, Err(CKR_MECHANISM_PARAM_INVALID));
    // A flag that is none.
    m.begin(ENCRYPT, &mut Given::gcm(16), AAD).unwrap();
    let (rv, _) = m.next_raw(ENCRYPT, &mut Given::gcm(16), b"data", None, 2);
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
    m.whole(ENCRYPT, &mut Given::gcm(16), AAD, b"data").unwrap();
    m.finish(ENCRYPT).unwrap();
    // Data of another length than CCM was told.
    m.init(ENCRYPT, CKM_AES_CCM, key).unwrap();
    for data in [&b"dat"[..], b"data."] {
        let whole = m.whole(ENCRYPT, &mut Given::ccm(4, 16), AAD, data);
        assert_eq!(whole, Err(CKR_DATA_LEN_RANGE));
        let parts = m.in_parts(ENCRYPT, &mut Given::ccm(4, 16), AAD, &[data]);
        assert_eq!(parts, Err(CKR_DATA_LEN_RANGE));
    }
    m.finish(ENCRYPT).unwrap();
    m.init(DECRYPT, CKM_AES_CCM, key).unwrap();
    for data in [&b"dat"[..], b"data."] {
        let whole = m.whole(DECRYPT, &mut Given::ccm(4, 16), AAD, data);
        assert_eq!(whole, Err(CKR_ENCRYPTED_DATA_LEN_RANGE));
        let parts = m.in_parts(DECRYPT, &mut Given::ccm(4, 16), AAD, &[data]);
        assert_eq!(parts, Err(CKR_ENCRYPTED_DATA_LEN_RANGE));
    }
}
