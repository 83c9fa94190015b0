//! CKM_AES_GCM and CKM_AES_CCM: what is refused, what a call costs the TPM, and what it never tells.

mod common;

use common::aead::*;
use common::fixture::*;
use common::p11::*;
use common::secret::*;
use common::tpm_proxy::Proxy;
use cryptoki_sys::*;

const KEY: [u8; 16] = [0x42; 16];
const NONCE: &[u8] = b"twelve bytes";
const AAD: &[u8] = b"associated";

const ENCRYPT_DECRYPT_2: u32 = 0x193;

/// A user's session on a token that somebody watches, and a key whose first use is over.
fn watched() -> (Token, Proxy, CK_SESSION_HANDLE, CK_OBJECT_HANDLE) {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    t.p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[0; 16]).unwrap();
    (t, proxy, session, key)
}

/// How many commands `call` sends, which are all the cipher's.
fn cost<T>(proxy: &Proxy, call: impl FnOnce() -> T) -> (usize, T) {
    proxy.reset();
    let result = call();
    let commands = proxy.commands();
    assert!(commands.iter().all(|(code, _)| *code == ENCRYPT_DECRYPT_2), "{commands:x?}");
    (commands.len(), result)
}

#[test]
fn what_was_tampered_with_is_refused_and_nothing_is_released() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    let plain: Vec<u8> = (0..21).collect();
    type Make = fn(&[u8], &[u8]) -> Mech;
    let makes: [Make; 2] = [|nonce, aad| gcm(nonce, aad, 96), |nonce, aad| ccm(21, nonce, aad, 8)];
    for make in makes {
        let sealed = t.p.encrypt(session, make(NONCE, AAD), key, &plain).unwrap();
        let refused = |mech: Mech, sealed: &[u8], what: &str| {
            // `two_calls` looks at the buffer.
            let whole = t.p.two_calls(Op::Decrypt, session, mech.clone(), key, sealed);
            assert_eq!(whole, Err(CKR_ENCRYPTED_DATA_INVALID), "{what}");
            let over = t.p.one_shot(Op::Decrypt, session, sealed);
            assert_eq!(over, Err(CKR_OPERATION_NOT_INITIALIZED), "{what}");
            t.p.init(Op::Decrypt, session, mech, key).unwrap();
            for part in sealed.chunks(5) {
                assert_eq!(t.p.part(Part::Decrypt, session, part), Ok(Vec::new()), "{what}");
            }
            let mut room = [0xee; 64];
            let (rv, _) = t.p.final_raw(Op::Decrypt, session, Some(&mut room));
            assert_eq!(rv, CKR_ENCRYPTED_DATA_INVALID, "{what}");
            assert_eq!(room, [0xee; 64], "{what}");
            let (rv, _) = t.p.final_raw(Op::Decrypt, session, Some(&mut room));
            assert_eq!(rv, CKR_OPERATION_NOT_INITIALIZED, "{what}");
        };
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1 << (at % 8);
            refused(make(NONCE, AAD), &bad, &format!("byte {at}"));
        }
        refused(make(NONCE, b"associateD"), &sealed, "other associated data");
        refused(make(NONCE, b""), &sealed, "no associated data");
        refused(make(b"twelve bytez", AAD), &sealed, "another nonce");
        let good = t.p.two_calls(Op::Decrypt, session, make(NONCE, AAD), key, &sealed);
        assert_eq!(good.unwrap(), plain);
    }
}

#[test]
fn gcm_costs_a_command_for_each_kibibyte_and_two() {
    let (t, proxy, session, key) = watched();
    let data = vec![7; 1 << 20];
    for (len, commands) in
        [(0usize, 2), (1, 2), (1008, 2), (1009, 3), (1024, 3), (10 << 10, 12), (1 << 20, 1026)]
    {
        assert!(commands <= len.div_ceil(1024) + 2);
        let mech = || gcm(NONCE, AAD, 128);
        t.p.init(Op::Encrypt, session, mech(), key).unwrap();
        let mut out = vec![0; len + 16];
        let run = |op, data: &[u8], out: &mut [u8]| {
            let (queried, said) = cost(&proxy, || t.p.one_shot_raw(op, session, data, None));
            assert_eq!((queried, said), (0, (CKR_OK, out.len())), "a query runs nothing");
            if let Some(less) = out.len().checked_sub(1) {
                let (tried, said) =
                    cost(&proxy, || t.p.one_shot_raw(op, session, data, Some(&mut vec![0; less])));
                assert_eq!((tried, said), (0, (CKR_BUFFER_TOO_SMALL, out.len())));
            }
            cost(&proxy, || t.p.one_shot_raw(op, session, data, Some(out)))
        };
        let sealed = run(Op::Encrypt, &data[..len], &mut out);
        assert_eq!(sealed, (commands, (CKR_OK, len + 16)), "{len}");
        assert_eq!(out, other_gcm(&KEY, NONCE, AAD, &data[..len]), "{len}");
        t.p.init(Op::Decrypt, session, mech(), key).unwrap();
        let mut plain = vec![0; len];
        let opened = run(Op::Decrypt, &out, &mut plain);
        assert_eq!(opened, (commands, (CKR_OK, len)), "{len}");
        assert_eq!(plain, data[..len]);
        // A tag that is wrong costs as much as one that is good.
        out[len] ^= 1;
        t.p.init(Op::Decrypt, session, mech(), key).unwrap();
        let refused = run(Op::Decrypt, &out, &mut plain);
        assert_eq!((refused.0, refused.1.0), (commands, CKR_ENCRYPTED_DATA_INVALID));
    }
}

#[test]
fn ccm_costs_a_command_for_each_kibibyte_twice() {
    let (t, proxy, session, key) = watched();
    let data = vec![7; 100 << 10];
    for (len, commands) in
        [(0, 2), (1, 2), (16, 2), (976, 2), (977, 3), (1008, 3), (1024, 4), (100 << 10, 203)]
    {
        // The data, the block that masks the tag; the data, 16 bytes that lead, 16 of AAD, and in each
        // command a block that nobody needs.
        let chained = (len + 32usize).next_multiple_of(16);
        assert_eq!(commands, (len + 16usize).div_ceil(1024) + chained.div_ceil(1008));
        let mech = || ccm(len, NONCE, AAD, 16);
        t.p.init(Op::Encrypt, session, mech(), key).unwrap();
        let mut out = vec![0; len + 16];
        let (counted, said) =
            cost(&proxy, || t.p.one_shot_raw(Op::Encrypt, session, &data[..len], Some(&mut out)));
        assert_eq!((counted, said), (commands, (CKR_OK, len + 16)), "{len}");
        t.p.init(Op::Decrypt, session, mech(), key).unwrap();
        let mut plain = vec![0; len];
        let (counted, said) =
            cost(&proxy, || t.p.one_shot_raw(Op::Decrypt, session, &out, Some(&mut plain)));
        assert_eq!((counted, said), (commands, (CKR_OK, len)), "{len}");
        assert_eq!(plain, data[..len]);
    }
}

/// A nonce that is not 12 bytes long may put the counter anywhere. It goes round within 32 bits, where
/// the TPM's would carry.
#[test]
fn a_counter_of_gcm_that_goes_round_stays_within_its_32_bits() {
    use aes::cipher::{BlockEncrypt, KeyInit};
    use ghash::universal_hash::UniversalHash;
    let mut hash_key = aes::Block::default();
    aes::Aes128::new(&KEY.into()).encrypt_block(&mut hash_key);
    let first_counter = |nonce: u128| {
        let mut hash = ghash::GHash::new(&hash_key);
        hash.update_padded(&nonce.to_be_bytes());
        hash.update_padded(&128u128.to_be_bytes());
        u128::from_be_bytes(hash.finalize().into()) as u32
    };
    // Of 2^16 blocks; one nonce in 2^16 or so will do.
    let close = |nonce: &u128| u32::MAX - first_counter(*nonce) < 60_000;
    let nonce = (0..u128::MAX).find(close).unwrap().to_be_bytes();
    let (t, proxy, session, key) = watched();
    let data: Vec<u8> = (0..1 << 20).map(|at: u32| (at >> 4) as u8).collect();
    t.p.init(Op::Encrypt, session, gcm(&nonce, AAD, 128), key).unwrap();
    let mut out = vec![0; data.len() + 16];
    let (counted, said) =
        cost(&proxy, || t.p.one_shot_raw(Op::Encrypt, session, &data, Some(&mut out)));
    assert_eq!(said, (CKR_OK, out.len()));
    assert_eq!(counted, 1026);
    assert!(out == other_gcm(&KEY, &nonce, AAD, &data));
}

#[test]
fn bad_parameters_are_refused_before_the_tpm_hears_of_them() {
    let (t, proxy, session, key) = watched();
    let structure = |mut mech: Mech| {
        let raw = mech.raw();
        // SAFETY: a parameter of this test's own.
        unsafe {
            std::slice::from_raw_parts(raw.pParameter.cast::<u8>(), raw.ulParameterLen as usize)
        }
        .to_vec()
    };
    let good = structure(gcm(NONCE, AAD, 128));
    // A field of the structure, by its number, has another value.
    let gcm_with = |field: usize, value: CK_ULONG| {
        let mut bytes = good.clone();
        bytes[field * 8..][..8].copy_from_slice(&value.to_ne_bytes());
        Mech::bytes(CKM_AES_GCM, &bytes)
    };
    let mut bad = vec![
        Mech::plain(CKM_AES_GCM),
        Mech::plain(CKM_AES_CCM),
        Mech::bytes(CKM_AES_GCM, &good[..40]),
        Mech::bytes(CKM_AES_GCM, &[&good[..], &[0; 8]].concat()),
        Mech::bytes(CKM_AES_GCM, NONCE),
        gcm(b"", AAD, 128),
        // NULL with a length, and lengths that nobody believes.
        gcm_with(0, 0),
        gcm_with(1, CK_ULONG::MAX),
        gcm_with(3, 0),
        gcm_with(4, CK_ULONG::MAX),
    ];
    bad.extend([0, 8, 24, 31, 33, 100, 127, 129, 136].map(|bits| gcm(NONCE, AAD, bits)));
    bad.push(gcm_with(5, CK_ULONG::MAX));
    bad.extend([0, 1, 2, 3, 5, 15, 17, 18].map(|len| ccm(16, NONCE, AAD, len)));
    bad.extend([0, 1, 6, 14, 16].map(|len| ccm(16, &vec![1; len], AAD, 8)));
    // 13 bytes of nonce leave 2 for the length.
    bad.push(ccm(1 << 16, &[1; 13], AAD, 8));
    bad.push(ccm(1 << 24, NONCE, AAD, 8));
    for (at, mech) in bad.into_iter().enumerate() {
        for op in [Op::Encrypt, Op::Decrypt] {
            let (counted, said) = cost(&proxy, || t.p.init(op, session, mech.clone(), key));
            assert_eq!((counted, said), (0, Err(CKR_MECHANISM_PARAM_INVALID)), "{at}, {op:?}");
        }
    }
    // ulIvBits says nothing.
    t.p.init(Op::Encrypt, session, gcm_with(2, 4711), key).unwrap();
    let made = t.p.one_shot(Op::Encrypt, session, b"data").unwrap();
    assert_eq!(made, other_gcm(&KEY, NONCE, AAD, b"data"));
}

#[test]
fn data_of_another_length_than_can_be_is_refused() {
    let (t, proxy, session, key) = watched();
    let run = |op, mech: &Mech, data: &[u8]| {
        let whole = cost(&proxy, || t.p.two_calls(op, session, mech.clone(), key, data));
        let parts = t.p.in_parts(op, session, mech.clone(), key, &[data]);
        assert_eq!(parts, whole.1);
        (whole.0, whole.1.unwrap_err())
    };
    let mech = ccm(10, NONCE, AAD, 8);
    for len in [0, 9, 11, 20] {
        assert_eq!(run(Op::Encrypt, &mech, &vec![1; len]), (0, CKR_DATA_LEN_RANGE), "{len}");
    }
    for len in [0, 7, 17, 19, 30] {
        let said = run(Op::Decrypt, &mech, &vec![1; len]);
        assert_eq!(said, (0, CKR_ENCRYPTED_DATA_LEN_RANGE), "{len}");
    }
    for len in [0, 1, 15] {
        let said = run(Op::Decrypt, &gcm(NONCE, AAD, 128), &vec![1; len]);
        assert_eq!(said, (0, CKR_ENCRYPTED_DATA_LEN_RANGE), "{len}");
    }
    // What waits for its tag has a bound: 64 MiB and the tag.
    let much = vec![0; 32 << 20];
    t.p.init(Op::Decrypt, session, gcm(NONCE, AAD, 128), key).unwrap();
    for part in [&much, &much, &much[..16]] {
        assert_eq!(t.p.part(Part::Decrypt, session, part), Ok(Vec::new()));
    }
    let (counted, said) = cost(&proxy, || t.p.part(Part::Decrypt, session, &[0]));
    assert_eq!((counted, said), (0, Err(CKR_ENCRYPTED_DATA_LEN_RANGE)));
    let (rv, _) = t.p.final_raw(Op::Decrypt, session, None);
    assert_eq!(rv, CKR_OPERATION_NOT_INITIALIZED);
}

/// A caller that asks for a part's length and hears 0 takes it that there is nothing to fetch, and
/// never hands the part over.
#[test]
fn a_part_that_waits_for_its_tag_tells_what_could_be_and_needs_no_room() {
    let t = Token::new();
    let session = t.user();
    let key = t.p.aes_key(session, &KEY);
    for mech in [gcm(NONCE, AAD, 128), ccm(4, NONCE, AAD, 16)] {
        let sealed = t.p.encrypt(session, mech.clone(), key, b"data").unwrap();
        t.p.init(Op::Decrypt, session, mech, key).unwrap();
        for part in sealed.chunks(7) {
            let query = t.p.part_raw(Part::Decrypt, session, part, None);
            assert_eq!(query, (CKR_OK, part.len()));
            let taken = t.p.part_raw(Part::Decrypt, session, part, Some(&mut []));
            assert_eq!(taken, (CKR_OK, 0));
        }
        assert_eq!(t.p.finish(Op::Decrypt, session).unwrap(), b"data");
    }
}

#[test]
fn the_end_of_a_decryption_in_parts_is_asked_for_as_often_as_one_likes() {
    let (t, proxy, session, key) = watched();
    let plain: Vec<u8> = (0..200).collect();
    for mech in [gcm(NONCE, AAD, 128), ccm(200, NONCE, AAD, 16)] {
        let sealed = t.p.encrypt(session, mech.clone(), key, &plain).unwrap();
        t.p.init(Op::Decrypt, session, mech.clone(), key).unwrap();
        let (counted, _) = cost(&proxy, || t.p.part(Part::Decrypt, session, &sealed).unwrap());
        assert_eq!(counted, 0, "nothing is decrypted before the tag is known");
        let mut room = [0xee; 200];
        for _ in 0..3 {
            let (counted, said) = cost(&proxy, || t.p.final_raw(Op::Decrypt, session, None));
            assert_eq!((counted, said), (0, (CKR_OK, 200)));
            let (counted, said) =
                cost(&proxy, || t.p.final_raw(Op::Decrypt, session, Some(&mut room[..199])));
            assert_eq!((counted, said), (0, (CKR_BUFFER_TOO_SMALL, 200)));
        }
        let (counted, said) = cost(&proxy, || t.p.final_raw(Op::Decrypt, session, Some(&mut room)));
        assert_eq!((counted, said), (2, (CKR_OK, 200)));
        assert_eq!(room[..], plain);
        // The same of an encryption.
        t.p.init(Op::Encrypt, session, mech, key).unwrap();
        let mut made = t.p.part(Part::Encrypt, session, &plain).unwrap();
        let (rv, tag_len) = t.p.final_raw(Op::Encrypt, session, None);
        assert_eq!((rv, tag_len), (CKR_OK, 16));
        let said = t.p.final_raw(Op::Encrypt, session, Some(&mut room[..15]));
        assert_eq!(said, (CKR_BUFFER_TOO_SMALL, 16));
        made.extend(t.p.finish(Op::Encrypt, session).unwrap());
        assert_eq!(made, sealed);
    }
}

/// Whoever has GHASH's key forges tags; whoever has the mask of one tag has a step to it.
#[test]
fn neither_the_hash_key_nor_the_data_is_on_the_bus() {
    use aes::cipher::{BlockEncrypt, KeyInit};
    let (t, proxy, session, key) = watched();
    let aes = aes::Aes128::new(&KEY.into());
    let block = |bytes: [u8; 16]| {
        let mut block = bytes.into();
        aes.encrypt_block(&mut block);
        block.to_vec()
    };
    let mut first = [0; 16];
    first[..12].copy_from_slice(NONCE);
    first[15] = 1;
    let plain = b"this is what nobody else reads, ";
    proxy.reset();
    let sealed = t.p.encrypt(session, gcm(NONCE, AAD, 128), key, plain).unwrap();
    t.p.decrypt(session, gcm(NONCE, AAD, 128), key, &sealed).unwrap();
    let sealed = t.p.encrypt(session, ccm(32, NONCE, AAD, 16), key, plain).unwrap();
    t.p.decrypt(session, ccm(32, NONCE, AAD, 16), key, &sealed).unwrap();
    let tap = proxy.tap();
    assert!(tap.len() > 500);
    for secret in [&block([0; 16])[..], &block(first), &plain[..16], &plain[16..]] {
        assert!(!tap.windows(16).any(|window| window == secret));
    }
}

/// A key that is not for encryption, or not for this mechanism, is refused as for every other.
#[test]
fn the_key_has_to_be_for_it() {
    let t = Token::new();
    let session = t.user();
    let own = |rest: &[Attr]| {
        let base = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_AES),
            bytes(CKA_VALUE, &KEY),
        ];
        t.p.create(session, &[&base, rest].concat()).unwrap()
    };
    let ctr_alone =
        own(&[flag(CKA_ENCRYPT, true), bytes(CKA_ALLOWED_MECHANISMS, &CKM_AES_CTR.to_ne_bytes())]);
    let one_way = own(&[flag(CKA_ENCRYPT, true), flag(CKA_DECRYPT, false)]);
    let secret = t.p.generic_key(session, &KEY);
    let init = |op, key| t.p.init(op, session, gcm(NONCE, AAD, 128), key);
    assert_eq!(init(Op::Encrypt, ctr_alone), Err(CKR_MECHANISM_INVALID));
    assert_eq!(init(Op::Decrypt, one_way), Err(CKR_KEY_FUNCTION_NOT_PERMITTED));
    assert_eq!(init(Op::Encrypt, secret), Err(CKR_KEY_TYPE_INCONSISTENT));
    assert_eq!(init(Op::Sign, one_way), Err(CKR_MECHANISM_INVALID));
    assert_eq!(init(Op::Encrypt, one_way), Ok(()));
}
