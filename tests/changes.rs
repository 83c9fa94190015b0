//! Attributes that change and objects that are copied: conformance statements 94, 95, 97, 98, 100 to 102.

#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use common::fixture::*;
use common::p11::*;
use common::peer::{self, Peer};
use common::raw::*;
use common::tpm_proxy::Action;
use cryptoki_sys::*;

#[test]
fn c097_one_way_attributes_go_one_way_by_set_and_by_copy() {
    let t = Token::new();
    let session = t.user();
    for (kind, to) in [
        (CKA_SENSITIVE, true),
        (CKA_WRAP_WITH_TRUSTED, true),
        (CKA_SIGN, false),
        (CKA_DERIVE, false),
    ] {
        for token in [false, true] {
            let (from, to) = ([flag(kind, !to)], [flag(kind, to)]);
            let usage = matches!(kind, CKA_SIGN | CKA_DERIVE);
            let other = if kind == CKA_SIGN { CKA_DERIVE } else { CKA_SIGN };
            let mut template = vec![flag(CKA_TOKEN, token), from[0].clone()];
            if usage {
                template.push(flag(other, true));
            }
            let (_, key) = pair_with(&t, session, &template).unwrap();
            t.p.set(session, key, &from).unwrap();
            let copy = t.p.copy(session, key, &to).unwrap();
            assert_eq!(t.p.get(session, copy, kind), Ok(to[0].1.clone()), "{kind:#x}");
            assert_eq!(t.p.get(session, key, kind), Ok(from[0].1.clone()), "{kind:#x}");
            t.p.set(session, key, &to).unwrap();
            for key in [key, copy] {
                t.p.set(session, key, &to).unwrap();
                assert_eq!(t.p.set(session, key, &from), Err(CKR_ATTRIBUTE_READ_ONLY), "{kind:#x}");
                let rv = t.p.copy(session, key, &from);
                assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY), "{kind:#x}");
            }
        }
    }
    let (_, key) = pair_with(&t, session, &[]).unwrap();
    let out = [flag(CKA_EXTRACTABLE, true)];
    assert_eq!(t.p.set(session, key, &out), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(t.p.copy(session, key, &out), Err(CKR_ATTRIBUTE_READ_ONLY));
}

#[test]
fn c098_a_user_neither_gives_trust_nor_takes_it() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    let trust = |yes| [flag(CKA_TRUSTED, yes)];
    let template = [public_template(&t.p, session, public), trust(true).to_vec()].concat();
    assert_eq!(t.p.create(session, &template), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(t.p.set(session, public, &trust(true)), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(t.p.copy(session, public, &trust(true)), Err(CKR_ATTRIBUTE_READ_ONLY));
    assert_eq!(t.p.set(session, private, &trust(true)), Err(CKR_TEMPLATE_INCONSISTENT));
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    t.p.set(session, public, &trust(true)).unwrap();
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_USER, PIN).unwrap();
    assert_eq!(t.p.get_bool(session, public, CKA_TRUSTED), Ok(true));
    assert_eq!(t.p.set(session, public, &trust(false)), Err(CKR_ATTRIBUTE_READ_ONLY));
}

#[test]
fn c100_what_an_object_may_not_is_kept_by_its_copies() {
    let t = Token::new();
    let session = t.user();
    for token in [false, true] {
        let fixed = [flag(CKA_TOKEN, token), flag(CKA_MODIFIABLE, false)];
        let (_, key) = pair_with(&t, session, &fixed).unwrap();
        let label = [bytes(CKA_LABEL, b"x")];
        assert_eq!(t.p.set(session, key, &label), Err(CKR_ACTION_PROHIBITED));
        assert_eq!(t.p.set(session, key, &[]), Err(CKR_ACTION_PROHIBITED));
        let copy = t.p.copy(session, key, &label).unwrap();
        assert_eq!(t.p.set(session, copy, &label), Err(CKR_ACTION_PROHIBITED));
        let copy = t.p.copy(session, key, &[flag(CKA_MODIFIABLE, true)]).unwrap();
        t.p.set(session, copy, &label).unwrap();

        let (_, key) = pair_with(&t, session, &[flag(CKA_TOKEN, token)]).unwrap();
        let lasting = t.p.copy(session, key, &[flag(CKA_DESTROYABLE, false)]).unwrap();
        assert_eq!(t.p.destroy(session, lasting), Err(CKR_ACTION_PROHIBITED));
        assert_eq!(t.p.get_bool(session, lasting, CKA_DESTROYABLE), Ok(false), "it still works");
        t.p.set(session, key, &[flag(CKA_COPYABLE, false)]).unwrap();
        assert_eq!(t.p.copy(session, key, &[]), Err(CKR_ACTION_PROHIBITED));
        let rv = t.p.set(session, key, &[flag(CKA_COPYABLE, true)]);
        assert_eq!(rv, Err(CKR_ATTRIBUTE_READ_ONLY));
        t.p.destroy(session, key).unwrap();
    }
}

#[test]
fn c101_what_two_processes_set_is_there_whole_and_none_of_it_is_lost() {
    if peer::served() {
        return;
    }
    let t = Token::new();
    let session = t.user();
    let (public, _) = ec_pair(&t.p, session, b"shared", true);
    let name = "c101_what_two_processes_set_is_there_whole_and_none_of_it_is_lost";
    let mut other = Peer::start(name);
    other.run("init").unwrap();
    let theirs = other.one("rw 0");
    let their_key = other.one(&format!("find {theirs} pair"));
    const ROUNDS: usize = 40;
    std::thread::scope(|scope| {
        let peer = scope.spawn(|| {
            for round in 0..ROUNDS {
                other.run(&format!("mark {theirs} {their_key} mark-{round}")).unwrap();
            }
        });
        for round in 0..ROUNDS {
            let subject = format!("subject-{round}");
            t.p.set(session, public, &[bytes(CKA_SUBJECT, subject.as_bytes())]).unwrap();
            let half = [bytes(CKA_SUBJECT, b"half"), flag(CKA_LOCAL, false)];
            assert_eq!(t.p.set(session, public, &half), Err(CKR_ATTRIBUTE_READ_ONLY));
            let (mut id, mut label) = ([0; 32], [0; 32]);
            let mut both = [entry(CKA_ID, &mut id), entry(CKA_LABEL, &mut label)];
            assert_eq!(ask(&t.p, session, public, &mut both), CKR_OK);
            if &id[..6] != b"shared" {
                assert_eq!(id, label, "both are set by one call");
            }
            assert_eq!(t.p.get(session, public, CKA_SUBJECT).unwrap(), subject.as_bytes());
        }
        peer.join().unwrap();
    });
    let last = format!("mark-{}", ROUNDS - 1);
    assert_eq!(t.p.get(session, public, CKA_LABEL).unwrap(), last.as_bytes());
    assert_eq!(t.p.get(session, public, CKA_ID).unwrap(), last.as_bytes());
    other.end();
}

#[test]
fn c101_what_two_threads_set_at_once_is_all_kept() {
    let t = Token::new();
    let session = t.user();
    for token in [false, true] {
        let (public, _) = ec_pair(&t.p, session, b"shared", token);
        std::thread::scope(|scope| {
            for kind in [CKA_ID, CKA_LABEL, CKA_SUBJECT] {
                scope.spawn(move || {
                    let p = P11::load();
                    let session = p.rw(OWNER);
                    for round in 0..60u8 {
                        p.set(session, public, &[bytes(kind, &[round; 3])]).unwrap();
                        let now = p.get(session, public, kind).unwrap();
                        assert_eq!(now, [round; 3], "{kind:#x}: another's change undid it");
                    }
                });
            }
        });
    }
}

#[test]
fn c102_keys_are_copied_between_token_and_session_and_each_copy_lives_for_itself() {
    let t = Token::new();
    let session = t.user();
    for token in [false, true] {
        let (public, private) = ec_pair(&t.p, session, b"1", token);
        let moved = [flag(CKA_TOKEN, !token), bytes(CKA_LABEL, b"copy")];
        let copies = [public, private].map(|key| t.p.copy(session, key, &moved).unwrap());
        for (key, copy) in [public, private].into_iter().zip(copies) {
            assert_ne!(key, copy);
            let (same, own): (Vec<_>, Vec<_>) = (0..0x200)
                .map(|kind| (kind, t.p.get(session, key, kind), t.p.get(session, copy, kind)))
                .partition(|(_, key, copy)| key == copy);
            assert!(same.len() > 20);
            let own: Vec<_> = own.iter().map(|(kind, ..)| *kind).collect();
            assert_eq!(own, [CKA_TOKEN, CKA_LABEL, CKA_UNIQUE_ID]);
        }
        signs(&t, session, public, copies[1]);
        t.p.destroy(session, private).unwrap();
        t.p.destroy(session, public).unwrap();
        signs(&t, session, copies[0], copies[1]);
        let again = t.p.copy(session, copies[1], &[flag(CKA_TOKEN, token)]).unwrap();
        t.p.destroy(session, copies[1]).unwrap();
        signs(&t, session, copies[0], again);
        t.p.destroy(session, again).unwrap();
        t.p.destroy(session, copies[0]).unwrap();
    }
    // A copy on the token is there after the session that made it.
    let (public, private) = rsa_pair(&t.p, session, b"2", false);
    let kept = [public, private].map(|key| t.p.copy(session, key, &[flag(CKA_TOKEN, true)]));
    let id = t.p.get(session, kept[1].unwrap(), CKA_UNIQUE_ID).unwrap();
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    let session = t.user();
    assert_eq!(t.p.find(session, &[]).len(), 2);
    let private = t.p.find(session, &[bytes(CKA_UNIQUE_ID, &id)])[0];
    let signature = t.p.sign(session, Mech::plain(CKM_SHA256_RSA_PKCS), private, b"x").unwrap();
    let public = t.p.find(session, &[ulong(CKA_CLASS, CKO_PUBLIC_KEY)])[0];
    t.p.verify(session, Mech::plain(CKM_SHA256_RSA_PKCS), public, b"x", &signature).unwrap();
}

#[test]
fn c102_a_copy_that_is_private_is_the_users_and_one_that_is_not_everybodys() {
    let t = Token::new();
    let session = t.user();
    for token in [false, true] {
        let made = t.p.create(session, &data(b"open", token, false)).unwrap();
        let hidden = [flag(CKA_PRIVATE, true), bytes(CKA_LABEL, b"hidden")];
        let hidden = t.p.copy(session, made, &hidden).unwrap();
        let shown = [flag(CKA_PRIVATE, false), bytes(CKA_LABEL, b"shown")];
        t.p.copy(session, hidden, &shown).unwrap();
        let (_, private) = ec_pair(&t.p, session, b"1", token);
        let key = t.p.copy(session, private, &[flag(CKA_PRIVATE, false)]).unwrap();
        t.p.logout(session).unwrap();
        assert_eq!(t.p.find(session, &[bytes(CKA_LABEL, b"hidden")]), [0; 0]);
        assert_eq!(t.p.find(session, &[bytes(CKA_LABEL, b"shown")]).len(), 1);
        assert_eq!(t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]), [key]);
        assert!(t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).is_ok());
        t.p.login(session, CKU_USER, PIN).unwrap();
        for object in t.p.find(session, &[]) {
            t.p.destroy(session, object).unwrap();
        }
    }
}

#[test]
fn c094_a_copy_or_a_pair_that_fails_leaves_no_object() {
    let (rig, proxy) = Rig::tapped();
    rig.tpm.set_lockout(100_000, 0);
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    let before = t.p.find(session, &[]);
    let copy = |token| t.p.copy(session, private, &[flag(CKA_TOKEN, token)]).map(|key| vec![key]);
    let pair = |token| {
        let public = [flag(CKA_TOKEN, token), bytes(CKA_EC_PARAMS, P256)];
        t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &[flag(CKA_TOKEN, token)])
            .map(|(public, private)| vec![public, private])
    };
    let calls: [&dyn Fn() -> Rv<Vec<CK_OBJECT_HANDLE>>; 4] =
        [&|| copy(true), &|| copy(false), &|| pair(true), &|| pair(false)];
    let (mut failed, mut made) = (0, 0);
    for (index, call) in calls.iter().enumerate() {
        // TPM_RC_FAILURE, _MEMORY, _AUTH_FAIL, _LOCKOUT, _HASH; none for a lost connection.
        for rc in [Some(0x101u32), Some(0x904), Some(0x98e), Some(0x921), Some(0x283), None] {
            for n in 0.. {
                proxy.reset();
                let answer = |rc: u32| {
                    Action::Answer([&[0x80, 1, 0, 0, 0, 10][..], &rc.to_be_bytes()].concat())
                };
                proxy.fault_at(n, rc.map_or(Action::DropConnection, answer));
                let told = call();
                proxy.clear_hook();
                let met = proxy.commands().len() > n;
                match told {
                    Ok(keys) => {
                        made += 1;
                        assert!(keys.iter().all(|key| t.p.get(session, *key, CKA_ID).is_ok()));
                        keys.iter().for_each(|key| t.p.destroy(session, *key).unwrap());
                    }
                    Err(rv) => {
                        failed += 1;
                        let documented = [CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_DEVICE_REMOVED];
                        assert!(documented.contains(&rv), "{index} {rc:x?} at {n}: {rv:#x}");
                    }
                }
                assert_eq!(t.p.find(session, &[]), before, "{index} {rc:x?} at {n}");
                if !met {
                    break;
                }
            }
        }
    }
    assert!(failed > 10 && made > 20, "{failed} failed, {made} made");
    assert!(t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[7; 32]).is_ok());
}

#[test]
fn c095_the_halves_of_a_pair_may_live_in_different_places() {
    let t = Token::new();
    let session = t.user();
    for (index, (public, private)) in [(true, false), (false, true)].into_iter().enumerate() {
        let id = [index as u8];
        let half = |token| vec![flag(CKA_TOKEN, token), bytes(CKA_ID, &id)];
        let public = [half(public), vec![bytes(CKA_EC_PARAMS, P256)]].concat();
        let (public, private) =
            t.p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &half(private)).unwrap();
        signs(&t, session, public, private);
    }
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    let session = t.user();
    let left = |id: u8| t.p.find(session, &[bytes(CKA_ID, &[id])]);
    assert_eq!(t.p.get_ulong(session, left(0)[0], CKA_CLASS), Ok(CKO_PUBLIC_KEY));
    assert_eq!(t.p.get_ulong(session, left(1)[0], CKA_CLASS), Ok(CKO_PRIVATE_KEY));
    assert_eq!((left(0).len(), left(1).len()), (1, 1));
}
