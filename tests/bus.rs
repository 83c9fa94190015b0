//! What goes over the bus: a listener learns nothing, and whoever changes an answer is noticed.

mod common;

use common::fixture::*;
use common::p11::*;
use common::tpm_proxy::Action;
use cryptoki_sys::*;

/// TPM2_Load, TPM2_Unseal, TPM2_Sign, TPM2_RSA_Decrypt, TPM2_GetRandom: what a login, a signature, a decryption
/// and random numbers are made of.
const IN_SESSIONS: [u32; 5] = [0x157, 0x15e, 0x15d, 0x159, 0x17b];

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_listener_learns_no_pin_plaintext_or_random_number() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let (public, private) = rsa_pair(&t.p, session, b"1", true);
    let plain = b"a plaintext that must not be seen";
    let secret = t.p.encrypt(session, Mech::plain(CKM_RSA_PKCS), public, plain).unwrap();
    let back = t.p.decrypt(session, Mech::plain(CKM_RSA_PKCS), private, &secret).unwrap();
    assert_eq!(back, plain);
    let random = t.p.random(session, 64).unwrap();
    t.p.create(session, &data(b"private", true, true)).unwrap();
    t.p.set_pin(session, PIN, b"another pin").unwrap();
    t.p.logout(session).unwrap();
    t.p.login(session, CKU_SO, SO_PIN).unwrap();
    t.p.init_pin(session, b"a third pin").unwrap();
    t.p.finalize().unwrap();

    let tap = proxy.tap();
    assert!(contains(&tap, &secret), "the tap hears what is sent: the ciphertext");
    for (what, bytes) in [
        ("the user's PIN", PIN),
        ("the officer's PIN", SO_PIN),
        ("a changed PIN", b"another pin"),
        ("a reset PIN", b"a third pin"),
        ("a plaintext", plain),
        ("a random number", &random[..16]),
        ("a private object's value", b"value of a data object"),
    ] {
        assert!(!contains(&tap, bytes), "{what} went over the bus");
    }
}

#[test]
fn every_changed_answer_is_noticed_and_never_makes_a_wrong_pin() {
    let (rig, proxy) = Rig::tapped();
    rig.tpm.set_lockout(100_000, 0);
    let t = Token::on(rig, OWNER);
    let setup = t.user();
    let (public, ec) = ec_pair(&t.p, setup, b"1", true);
    let (_, rsa) = rsa_pair(&t.p, setup, b"2", true);
    let uniques = [ec, rsa].map(|key| t.p.get(setup, key, CKA_UNIQUE_ID).unwrap());
    let secret = t.p.encrypt(setup, Mech::plain(CKM_RSA_PKCS), public, b"x").err();
    assert_eq!(secret, Some(CKR_KEY_TYPE_INCONSISTENT));
    t.p.close(setup).unwrap();

    let mut altered = 0;
    for code in IN_SESSIONS {
        // Every seventh byte after the header, another bit each time.
        for (round, at) in (10..260usize).step_by(7).enumerate() {
            let session = t.p.rw(OWNER);
            let (tell, told) = std::sync::mpsc::channel();
            let mut left = true;
            proxy.set_hook(move |command| {
                if left && command[6..10] == code.to_be_bytes() {
                    left = false;
                    let tell = tell.clone();
                    return Action::AlterResponse(Box::new(move |mut answer| {
                        let success = answer[6..10] == [0; 4];
                        if let Some(byte) = answer.get_mut(at).filter(|_| success) {
                            *byte ^= 1 << (round % 8);
                            tell.send(()).unwrap();
                        }
                        answer
                    }));
                }
                Action::Pass
            });
            let login = t.p.login(session, CKU_USER, PIN);
            assert!(
                matches!(login, Ok(()) | Err(CKR_DEVICE_ERROR)),
                "{code:#x} at {at}: the login says {login:x?}"
            );
            if login.is_ok() {
                let find = |unique| t.p.find(session, &[bytes(CKA_UNIQUE_ID, unique)])[0];
                let (ec, rsa) = (find(&uniques[0]), find(&uniques[1]));
                for (mech, key) in [(CKM_ECDSA, ec), (CKM_SHA256_RSA_PKCS, rsa)] {
                    let rv = t.p.sign(session, Mech::plain(mech), key, &[7; 32]).map(|_| ());
                    assert!(
                        matches!(rv, Ok(()) | Err(CKR_DEVICE_ERROR)),
                        "{code:#x} at {at}: {rv:x?}"
                    );
                }
                let rv = t.p.random(session, 32).map(|_| ());
                assert!(matches!(rv, Ok(()) | Err(CKR_DEVICE_ERROR)), "{code:#x} at {at}: {rv:x?}");
            }
            proxy.clear_hook();
            altered += told.try_iter().count();
            t.p.close(session).unwrap();
        }
    }
    assert!(altered > 80, "{altered} answers were altered");
    // And nothing is the worse for it.
    let session = t.user();
    let key = t.p.find(session, &[bytes(CKA_UNIQUE_ID, &uniques[0])])[0];
    let signature = t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).unwrap();
    let public =
        t.p.find(session, &[ulong(CKA_CLASS, CKO_PUBLIC_KEY), ulong(CKA_KEY_TYPE, CKK_EC)]);
    t.p.verify(session, Mech::plain(CKM_ECDSA), public[0], &[7; 32], &signature).unwrap();
}

#[test]
fn an_altered_random_number_is_never_handed_out() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    t.p.random(session, 32).unwrap();
    for at in 14..50 {
        proxy.fault_at(
            0,
            Action::AlterResponse(Box::new(move |mut answer| {
                answer[at] ^= 0x10;
                answer
            })),
        );
        proxy.reset();
        let rv = t.p.random(session, 32).map(|_| ());
        let asked = proxy.commands().iter().filter(|(code, _)| *code == 0x17b).count();
        // Noticed, and asked again over a session that nobody has touched.
        assert!(
            rv == Err(CKR_DEVICE_ERROR) || asked == 2,
            "byte {at}: {rv:x?}, asked {asked} times"
        );
        proxy.clear_hook();
    }
}

/// Error answers carry no HMAC. Whoever forges them may make the token look like another TPM's, but
/// must not get the slot to take random bytes from whatever key he shows it.
#[test]
fn random_numbers_of_a_token_come_from_its_tpm_or_not_at_all() {
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    for code in [0x157u32, 0x15e] {
        t.p.finalize().unwrap();
        t.p.initialize().unwrap();
        let session = t.p.ro(OWNER);
        // TPM_RC_INTEGRITY.
        let refusal = vec![0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0xdf];
        proxy.set_hook(move |command| match command[6..10] == code.to_be_bytes() {
            true => Action::Answer(refusal.clone()),
            false => Action::Pass,
        });
        proxy.reset();
        assert_eq!(t.p.random(session, 32), Err(CKR_DEVICE_ERROR), "{code:#x}");
        let asked = proxy.commands().iter().any(|(code, _)| *code == 0x17b);
        assert!(!asked, "random bytes were asked for in a session that nothing vouches for");
        proxy.clear_hook();
    }
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    t.p.random(t.p.ro(OWNER), 32).unwrap();
}
