//! Keys that ask for the PIN at each use: conformance statements 56, 59 and 63 to 66, through the
//! module.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

#[path = "always_authenticate/asking.rs"]
mod asking;
mod common;

use asking::*;
use common::fixture::*;
use common::p11::*;
use common::swtpm::plain_command;
use common::tpm_proxy::Action;
use cryptoki_sys::*;
use sha2::{Digest, Sha256};

#[test]
fn c065_the_attribute_goes_with_private_keys_and_operations_only() {
    let a = Asking::new();
    for (kind, more) in [
        (CKK_EC, vec![flag(CKA_PRIVATE, false), flag(CKA_SIGN, true)]),
        (CKK_RSA, vec![flag(CKA_PRIVATE, false), flag(CKA_SIGN, true)]),
        (CKK_EC, vec![flag(CKA_SIGN, true), flag(CKA_EXTRACTABLE, true)]),
        // Alone a usage that leaves no room for the PIN is refused; beside others it is dropped.
        (CKK_EC, vec![flag(CKA_DERIVE, true)]),
        (CKK_RSA, vec![flag(CKA_UNWRAP, true)]),
    ] {
        let made = asking_pair(&a.t.p, a.session, kind, true, &more);
        assert_eq!(made, Err(CKR_TEMPLATE_INCONSISTENT));
    }
    assert!(a.t.p.find(a.session, &[]).is_empty(), "nothing was made");
    for (kind, dropped) in [(CKK_EC, CKA_DERIVE), (CKK_RSA, CKA_UNWRAP)] {
        let more = [flag(dropped, true), flag(CKA_SIGN, true)];
        let (public, key) = asking_pair(&a.t.p, a.session, kind, false, &more).unwrap();
        assert_eq!(a.t.p.get_bool(a.session, key, dropped), Ok(false));
        assert_eq!(a.t.p.get_bool(a.session, key, CKA_ALWAYS_AUTHENTICATE), Ok(true));
        a.t.p.destroy(a.session, public).unwrap();
        a.t.p.destroy(a.session, key).unwrap();
    }

    let get = |key, kind| a.t.p.get_bool(a.session, key, kind);
    let (_, plain) = ec_pair(&a.t.p, a.session, b"plain", true);
    assert_eq!(get(plain, CKA_ALWAYS_AUTHENTICATE), Ok(false));
    for token in [true, false] {
        for kind in [CKK_EC, CKK_RSA] {
            let (_, key) = a.pair(kind, token, &[]);
            assert_eq!(get(key, CKA_ALWAYS_AUTHENTICATE), Ok(true));
            assert_eq!(get(key, CKA_PRIVATE), Ok(true));
            assert_eq!(get(key, CKA_SIGN), Ok(true), "what its kind is for");
            assert_eq!(get(key, CKA_DERIVE), Ok(false), "less what does not go with it");
            let refused = a.t.p.set(a.session, key, &[flag(CKA_ALWAYS_AUTHENTICATE, false)]);
            assert_eq!(refused, Err(CKR_ATTRIBUTE_READ_ONLY));
        }
    }
    let found = a.t.p.find(a.session, &[flag(CKA_ALWAYS_AUTHENTICATE, true)]);
    assert_eq!(found.len(), 4);
}

#[test]
fn c063_without_the_pin_the_key_is_not_used_and_the_tpm_not_asked() {
    let (a, proxy) = Asking::tapped();
    let (_, ec) = a.ec();
    let (public, rsa) = a.rsa();
    let secret = a.t.p.encrypt(a.session, Mech::plain(CKM_RSA_PKCS), public, b"plaintext").unwrap();
    proxy.reset();
    a.is_refused(CKM_ECDSA, ec);
    a.is_refused(CKM_RSA_PKCS, rsa);
    a.is_refused(CKM_SHA256_RSA_PKCS, rsa);
    a.init(Op::Decrypt, CKM_RSA_PKCS, rsa).unwrap();
    assert_eq!(a.one_shot(Op::Decrypt, &secret), Err(CKR_USER_NOT_LOGGED_IN));
    assert_eq!(a.one_shot(Op::Decrypt, &secret), Err(CKR_OPERATION_NOT_INITIALIZED));

    a.init(Op::Sign, CKM_ECDSA_SHA256, ec).unwrap();
    a.t.p.update(Op::Sign, a.session, b"hashing does not use the key").unwrap();
    assert_eq!(a.t.p.finish(Op::Sign, a.session), Err(CKR_USER_NOT_LOGGED_IN));
    assert_eq!(a.t.p.finish(Op::Sign, a.session), Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(proxy.commands(), []);
}

#[test]
fn c063_a_login_allows_one_operation_of_each_kind_and_key() {
    let mut a = Asking::new();
    for slot in [OWNER, NULL] {
        if slot == NULL {
            make_token(&a.t.p, slot);
            a.t.slot = slot;
            a.session = a.t.user();
        }
        for token in [true, false] {
            let p = &a.t.p;
            let ec = a.pair(CKK_EC, token, &[]);
            a.signs(ec, PIN);
            a.is_refused(CKM_ECDSA, ec.1);
            a.signs(ec, PIN);

            a.init(Op::Sign, CKM_ECDSA_SHA256, ec.1).unwrap();
            a.prove(PIN).unwrap();
            p.update(Op::Sign, a.session, b"in ").unwrap();
            p.update(Op::Sign, a.session, b"parts").unwrap();
            let signature = p.finish(Op::Sign, a.session).unwrap();
            let mech = || Mech::plain(CKM_ECDSA_SHA256);
            p.verify(a.session, mech(), ec.0, b"in parts", &signature).unwrap();
            a.is_refused(CKM_ECDSA_SHA256, ec.1);

            let usages = [flag(CKA_SIGN, true), flag(CKA_DECRYPT, true)];
            let rsa = a.pair(CKK_RSA, token, &usages);
            for mechanism in [CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS] {
                a.init(Op::Sign, mechanism, rsa.1).unwrap();
                a.prove(PIN).unwrap();
                let signature = a.one_shot(Op::Sign, DIGEST).unwrap();
                p.verify(a.session, Mech::plain(mechanism), rsa.0, DIGEST, &signature).unwrap();
                a.is_refused(mechanism, rsa.1);
            }
            let secret =
                p.encrypt(a.session, Mech::plain(CKM_RSA_PKCS), rsa.0, b"plaintext").unwrap();
            a.init(Op::Decrypt, CKM_RSA_PKCS, rsa.1).unwrap();
            a.prove(PIN).unwrap();
            assert_eq!(a.one_shot(Op::Decrypt, &secret).unwrap(), b"plaintext");
            a.init(Op::Decrypt, CKM_RSA_PKCS, rsa.1).unwrap();
            assert_eq!(a.one_shot(Op::Decrypt, &secret), Err(CKR_USER_NOT_LOGGED_IN));
        }
    }
}

#[test]
fn a_key_bound_to_one_scheme_asks_too() {
    let a = Asking::new();
    let only = bytes(CKA_ALLOWED_MECHANISMS, &CKM_ECDSA_SHA256.to_ne_bytes());
    let (public, key) = a.pair(CKK_EC, true, &[flag(CKA_SIGN, true), only]);
    a.init(Op::Sign, CKM_ECDSA_SHA256, key).unwrap();
    a.prove(PIN).unwrap();
    let signature = a.one_shot(Op::Sign, b"data").unwrap();
    let mech = Mech::plain(CKM_ECDSA_SHA256);
    a.t.p.verify(a.session, mech, public, b"data", &signature).unwrap();
    a.is_refused(CKM_ECDSA_SHA256, key);
}

#[test]
fn c063_an_operation_that_fails_or_is_cancelled_uses_up_the_login() {
    let a = Asking::new();
    let (_, rsa) = a.rsa();
    a.init(Op::Sign, CKM_RSA_PKCS, rsa).unwrap();
    a.prove(PIN).unwrap();
    assert_eq!(a.one_shot(Op::Sign, &[1; 300]), Err(CKR_DATA_LEN_RANGE));
    assert_eq!(a.prove(PIN), Err(CKR_OPERATION_NOT_INITIALIZED));
    a.is_refused(CKM_RSA_PKCS, rsa);

    a.init(Op::Sign, CKM_RSA_PKCS, rsa).unwrap();
    a.prove(PIN).unwrap();
    let cancelled = unsafe { a.t.p.list.C_SignInit.unwrap()(a.session, std::ptr::null_mut(), rsa) };
    assert_eq!(cancelled, CKR_OK);
    a.is_refused(CKM_RSA_PKCS, rsa);

    // One that never began waits for nothing.
    assert_eq!(a.init(Op::Sign, CKM_ECDSA, rsa), Err(CKR_KEY_TYPE_INCONSISTENT));
    assert_eq!(a.prove(PIN), Err(CKR_OPERATION_NOT_INITIALIZED));
    a.init(Op::Sign, CKM_RSA_PKCS, rsa).unwrap();
}

#[test]
fn c063_a_wrong_pin_is_a_try_and_leaves_the_operation_as_it_was() {
    let a = Asking::new();
    let ec = a.ec();
    a.init(Op::Sign, CKM_ECDSA, ec.1).unwrap();
    assert_eq!(a.prove(b"wrong"), Err(CKR_PIN_INCORRECT));
    assert_ne!(a.t.p.token_info(a.t.slot).unwrap().flags & CKF_USER_PIN_COUNT_LOW, 0);
    assert_eq!(a.t.p.state(a.session), CKS_RW_USER_FUNCTIONS);
    a.prove(PIN).unwrap();
    a.one_shot(Op::Sign, DIGEST).unwrap();

    a.init(Op::Sign, CKM_ECDSA, ec.1).unwrap();
    a.prove(PIN).unwrap();
    assert_eq!(a.prove(b"wrong"), Err(CKR_PIN_INCORRECT), "which takes it back");
    assert_eq!(a.one_shot(Op::Sign, DIGEST), Err(CKR_USER_NOT_LOGGED_IN));
    a.signs(ec, PIN);
}

#[test]
fn c063_a_locked_pin_logs_the_user_out() {
    let a = Asking::new();
    a.t.rig.tpm.set_lockout(2, 1000);
    let p = &a.t.p;
    let ec = a.ec();
    let other = p.ro(a.t.slot);
    a.init(Op::Sign, CKM_ECDSA, ec.1).unwrap();
    for _ in 0..2 {
        assert_eq!(a.prove(b"wrong"), Err(CKR_PIN_INCORRECT));
        assert_eq!(p.state(a.session), CKS_RW_USER_FUNCTIONS);
    }
    assert_eq!(a.prove(PIN), Err(CKR_PIN_LOCKED), "even the right one");
    assert_eq!(p.state(a.session), CKS_RW_PUBLIC_SESSION);
    assert_eq!(p.state(other), CKS_RO_PUBLIC_SESSION, "for the whole application");
    assert_eq!(a.one_shot(Op::Sign, DIGEST), Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(p.get(a.session, ec.1, CKA_ID), Err(CKR_OBJECT_HANDLE_INVALID));

    a.t.rig.tpm.reset_lockout();
    p.login(a.session, CKU_USER, PIN).unwrap();
    let key = p.find(a.session, &[flag(CKA_ALWAYS_AUTHENTICATE, true)])[0];
    a.signs((ec.0, key), PIN);
}

#[test]
fn a_tpm_that_is_locked_after_the_login_is_the_devices_failure_and_logs_nobody_out() {
    let a = Asking::new();
    let ec = a.ec();
    a.init(Op::Sign, CKM_ECDSA, ec.1).unwrap();
    a.prove(PIN).unwrap();
    a.t.rig.tpm.set_lockout(1, 1000);
    let other = a.t.p.rw(a.t.slot);
    a.t.p.init(Op::Sign, other, Mech::plain(CKM_ECDSA), ec.1).unwrap();
    assert_eq!(a.t.p.login(other, CKU_CONTEXT_SPECIFIC, b"wrong"), Err(CKR_PIN_INCORRECT));
    assert_eq!(a.one_shot(Op::Sign, DIGEST), Err(CKR_DEVICE_ERROR));
    assert_eq!(a.t.p.state(a.session), CKS_RW_USER_FUNCTIONS);
    a.t.rig.tpm.reset_lockout();
    a.signs(ec, PIN);
}

#[test]
fn c056_c064_a_login_that_nothing_waits_for_is_refused_and_costs_no_try() {
    let a = Asking::new();
    let p = &a.t.p;
    let (plain_public, plain) = ec_pair(p, a.session, b"plain", true);
    let (_, rsa) = rsa_pair(p, a.session, b"rsa", true);
    let refused = Err(CKR_OPERATION_NOT_INITIALIZED);
    let mechanism = || Mech::plain(CKM_ECDSA);

    assert_eq!(a.prove(b"wrong"), refused, "no operation at all");
    a.init(Op::Sign, CKM_ECDSA, plain).unwrap();
    assert_eq!(a.prove(b"wrong"), refused);
    assert_eq!(a.prove(PIN), refused);
    let signature = a.one_shot(Op::Sign, DIGEST).unwrap();

    p.verify_init(a.session, &mut mechanism(), plain_public).unwrap();
    assert_eq!(a.prove(PIN), refused);
    assert_eq!(p.verify_init(a.session, &mut mechanism(), plain_public), Err(CKR_OPERATION_ACTIVE));
    let cancelled =
        unsafe { p.list.C_VerifyInit.unwrap()(a.session, std::ptr::null_mut(), plain_public) };
    assert_eq!(cancelled, CKR_OK);
    p.verify(a.session, mechanism(), plain_public, DIGEST, &signature).unwrap();

    a.init(Op::Decrypt, CKM_RSA_PKCS, rsa).unwrap();
    assert_eq!(a.prove(PIN), refused);
    assert_eq!(p.one_shot_raw(Op::Decrypt, a.session, &[1; 256], None).0, CKR_OK);
    let cancelled = unsafe { p.list.C_DecryptInit.unwrap()(a.session, std::ptr::null_mut(), rsa) };
    assert_eq!(cancelled, CKR_OK);

    p.init(Op::Digest, a.session, Mech::plain(CKM_SHA256), 0).unwrap();
    assert_eq!(a.prove(PIN), refused);
    assert_eq!(a.one_shot(Op::Digest, b"x").unwrap(), Sha256::digest(b"x").to_vec());

    p.find_init(a.session, &[]).unwrap();
    assert_eq!(a.prove(PIN), refused);
    assert!(!p.find_some(a.session, 10).unwrap().is_empty());
    p.find_final(a.session).unwrap();

    // An operation waits in its own session only.
    let (_, ec) = a.ec();
    let other = p.rw(a.t.slot);
    a.init(Op::Sign, CKM_ECDSA, ec).unwrap();
    assert_eq!(p.login(other, CKU_CONTEXT_SPECIFIC, PIN), refused);
    assert_eq!(a.one_shot(Op::Sign, DIGEST), Err(CKR_USER_NOT_LOGGED_IN));

    let public = {
        p.logout(a.session).unwrap();
        a.prove(PIN)
    };
    assert_eq!(public, refused, "nobody is in");
    p.login(a.session, CKU_SO, SO_PIN).unwrap();
    assert_eq!(a.prove(PIN), refused, "the security officer has no private key");
    let flags = p.token_info(a.t.slot).unwrap().flags;
    assert_eq!(flags & CKF_USER_PIN_COUNT_LOW, 0, "no try was spent");
}

#[test]
fn c066_asking_for_lengths_does_not_use_up_the_login() {
    let a = Asking::new();
    let p = &a.t.p;
    let (public, rsa) = a.rsa();
    let secret = p.encrypt(a.session, Mech::plain(CKM_RSA_PKCS), public, b"plaintext").unwrap();
    // Before the login and after it; a buffer that is too small is no use of the key either.
    for early in [true, false] {
        let sign = |out: Option<&mut [u8]>| p.one_shot_raw(Op::Sign, a.session, DIGEST, out);
        a.init(Op::Sign, CKM_RSA_PKCS, rsa).unwrap();
        if !early {
            a.prove(PIN).unwrap();
        }
        assert_eq!(sign(None), (CKR_OK, 256));
        assert_eq!(sign(Some(&mut [0; 255])), (CKR_BUFFER_TOO_SMALL, 256));
        if early {
            a.prove(PIN).unwrap();
        }
        assert_eq!(sign(None), (CKR_OK, 256));
        assert_eq!(sign(Some(&mut [0; 256])), (CKR_OK, 256));

        let decrypt = |out: Option<&mut [u8]>| p.one_shot_raw(Op::Decrypt, a.session, &secret, out);
        a.init(Op::Decrypt, CKM_RSA_PKCS, rsa).unwrap();
        if !early {
            a.prove(PIN).unwrap();
        }
        assert_eq!(decrypt(None), (CKR_OK, 245));
        if early {
            a.prove(PIN).unwrap();
        }
        assert_eq!(decrypt(Some(&mut [0; 2])), (CKR_BUFFER_TOO_SMALL, 9));
        let mut plain = [0; 9];
        assert_eq!(decrypt(Some(&mut plain)), (CKR_OK, 9));
        assert_eq!(&plain, b"plaintext");
        assert_eq!(decrypt(None).0, CKR_OPERATION_NOT_INITIALIZED);

        a.init(Op::Sign, CKM_SHA256_RSA_PKCS, rsa).unwrap();
        p.update(Op::Sign, a.session, b"x").unwrap();
        a.prove(PIN).unwrap();
        assert_eq!(p.final_raw(Op::Sign, a.session, None), (CKR_OK, 256));
        p.finish(Op::Sign, a.session).unwrap();
    }
}

#[test]
fn c059_a_logout_ends_an_operation_that_was_allowed() {
    let a = Asking::new();
    let (_, ec) = a.ec();
    a.init(Op::Sign, CKM_ECDSA, ec).unwrap();
    a.prove(PIN).unwrap();
    a.t.p.logout(a.session).unwrap();
    assert_eq!(a.prove(PIN), Err(CKR_OPERATION_NOT_INITIALIZED));
    a.t.p.login(a.session, CKU_USER, PIN).unwrap();
    assert_eq!(a.one_shot(Op::Sign, DIGEST), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn the_key_asks_for_the_new_pin_after_the_user_or_the_officer_changed_it() {
    let a = Asking::new();
    let p = &a.t.p;
    let ec = a.ec();
    p.set_pin(a.session, PIN, b"changed").unwrap();
    a.init(Op::Sign, CKM_ECDSA, ec.1).unwrap();
    assert_eq!(a.prove(PIN), Err(CKR_PIN_INCORRECT));
    a.t.rig.tpm.reset_lockout();
    a.prove(b"changed").unwrap();
    a.one_shot(Op::Sign, DIGEST).unwrap();

    // What was allowed before the change stays so: it is one operation.
    a.init(Op::Sign, CKM_ECDSA, ec.1).unwrap();
    a.prove(b"changed").unwrap();
    p.set_pin(p.rw(a.t.slot), b"changed", b"again").unwrap();
    a.one_shot(Op::Sign, DIGEST).unwrap();
    assert_eq!(p.token_info(a.t.slot).unwrap().flags & CKF_USER_PIN_COUNT_LOW, 0);

    p.logout(a.session).unwrap();
    p.login(a.session, CKU_SO, SO_PIN).unwrap();
    p.init_pin(a.session, b"from the officer").unwrap();
    p.logout(a.session).unwrap();
    p.finalize().unwrap();
    p.initialize().unwrap();
    let session = p.rw(a.t.slot);
    p.login(session, CKU_USER, b"from the officer").unwrap();
    let found = |class| p.find(session, &[ulong(CKA_CLASS, class)])[0];
    let pair = (found(CKO_PUBLIC_KEY), found(CKO_PRIVATE_KEY));
    let a = Asking { t: a.t, session };
    a.signs(pair, b"from the officer");
    a.is_refused(CKM_ECDSA, pair.1);
}

#[test]
fn a_copy_asks_as_its_original_does() {
    let a = Asking::new();
    let p = &a.t.p;
    for token in [true, false] {
        let ec = a.pair(CKK_EC, token, &[]);
        for token in [true, false] {
            let copy = p.copy(a.session, ec.1, &[flag(CKA_TOKEN, token)]).unwrap();
            assert_eq!(p.get_bool(a.session, copy, CKA_ALWAYS_AUTHENTICATE), Ok(true));
            a.is_refused(CKM_ECDSA, copy);
            a.signs((ec.0, copy), PIN);
            a.signs(ec, PIN);
        }
        let open = p.copy(a.session, ec.1, &[flag(CKA_PRIVATE, false)]);
        assert_eq!(open, Err(CKR_TEMPLATE_INCONSISTENT));
        let lax = p.copy(a.session, ec.1, &[flag(CKA_ALWAYS_AUTHENTICATE, false)]);
        assert_eq!(lax, Err(CKR_ATTRIBUTE_READ_ONLY));
    }
}

#[test]
fn the_tpms_key_asks_whatever_the_store_says() {
    let a = Asking::new();
    let p = &a.t.p;
    let ec = a.ec();
    a.signs(ec, PIN);
    ec_pair(p, a.session, b"plain", true);
    p.finalize().unwrap();

    let db = rusqlite::Connection::open(a.t.rig.database()).unwrap();
    let column = |sql: &str| -> Vec<Vec<u8>> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let users: Vec<Vec<u8>> = column("SELECT user_public FROM token");
    let keys = column("SELECT key_public FROM object WHERE class = 3 ORDER BY id");
    // TPM2B_PUBLIC: size, type, nameAlg, attributes, authPolicy.
    let asks = |public: &[u8]| public[9] & 0x40 == 0;
    assert!(asks(&keys[0]) && !asks(&keys[1]), "userWithAuth is clear in the key that asks");
    let name = [&[0, 0x0b][..], &Sha256::digest(&users[0][2..])].concat();
    let secret = Sha256::digest([&[0; 32][..], &[0, 0, 1, 0x51], &name].concat());
    let secret = Sha256::digest(secret);
    let policy = Sha256::digest([&secret[..], &[0, 0, 1, 0x6b]].concat());
    assert_eq!(
        keys[0][10..44],
        [&[0, 32][..], &policy].concat(),
        "PolicySecret of the user's object"
    );

    // The attributes of the key that does not ask, in the row of the one that does.
    let ids: Vec<i64> = {
        let mut statement =
            db.prepare("SELECT id FROM object WHERE class = 3 ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for columns in ["content = other.content", "content = other.content, mac = other.mac"] {
        db.execute_batch("SAVEPOINT altered").unwrap();
        let sql = format!(
            "UPDATE object SET {columns} FROM (SELECT content, mac FROM object WHERE id = {}) AS other \
             WHERE object.id = {}",
            ids[1], ids[0]
        );
        assert_eq!(db.execute(&sql, []).unwrap(), 1);
        db.execute_batch("RELEASE altered").unwrap();
        p.initialize().unwrap();
        let session = p.rw(a.t.slot);
        p.login(session, CKU_USER, PIN).unwrap();
        assert_eq!(p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).len(), 1, "{columns}");
        p.finalize().unwrap();
    }
}

#[test]
fn a_pin_is_never_spent_twice() {
    const POLICY_SECRET: u32 = 0x151;
    let (a, proxy) = Asking::tapped();
    let ec = a.ec();
    let auth_fail = || Action::Answer([&[0x80, 1, 0, 0, 0, 10, 0, 0][..], &[0x09, 0x8e]].concat());
    let mut faults = [auth_fail as fn() -> Action, || Action::DropAnswer];
    for fault in &mut faults {
        let fault = *fault;
        a.init(Op::Sign, CKM_ECDSA, ec.1).unwrap();
        a.prove(PIN).unwrap();
        proxy.reset();
        proxy.set_hook(move |command| {
            if command[6..10] == POLICY_SECRET.to_be_bytes() { fault() } else { Action::Pass }
        });
        // The PIN was right: what is wrong is the TPM, or who stands before it.
        assert_eq!(a.one_shot(Op::Sign, DIGEST), Err(CKR_DEVICE_ERROR));
        proxy.clear_hook();
        let spent = proxy.commands().iter().filter(|(code, _)| *code == POLICY_SECRET).count();
        assert_eq!(spent, 1);
        a.is_refused(CKM_ECDSA, ec.1);
        a.signs(ec, PIN);
    }
    assert_eq!(a.t.p.token_info(OWNER).unwrap().flags & CKF_USER_PIN_COUNT_LOW, 0);
}

#[test]
fn nothing_stays_in_the_tpm_and_nothing_secret_went_over_the_bus() {
    let (a, proxy) = Asking::tapped();
    let ec = a.ec();
    let (public, rsa) = a.rsa();
    let plain = b"a plaintext that must not be seen";
    let secret = a.t.p.encrypt(a.session, Mech::plain(CKM_RSA_PKCS), public, plain).unwrap();
    // Keys that stay loaded take the room that is needed.
    let others: Vec<_> =
        [b"1", b"2", b"3"].iter().map(|id| ec_pair(&a.t.p, a.session, *id, true).1).collect();
    for other in others {
        a.t.p.sign(a.session, Mech::plain(CKM_ECDSA), other, DIGEST).unwrap();
        a.signs(ec, PIN);
        a.init(Op::Decrypt, CKM_RSA_PKCS, rsa).unwrap();
        a.prove(PIN).unwrap();
        assert_eq!(a.one_shot(Op::Decrypt, &secret).unwrap(), plain);
    }
    a.init(Op::Sign, CKM_ECDSA, ec.1).unwrap();
    assert_eq!(a.prove(b"a wrong one"), Err(CKR_PIN_INCORRECT));
    a.t.p.finalize().unwrap();
    for first in [0x8000_0000u32, 0x0200_0000, 0x0300_0000] {
        // TPM2_GetCapability, TPM_CAP_HANDLES.
        let parameters = [1u32.to_be_bytes(), first.to_be_bytes(), 10u32.to_be_bytes()].concat();
        let answer = a.t.rig.tpm.transmit(&plain_command(0x17a, &parameters));
        assert_eq!(answer[15..19], [0; 4], "no handle from {first:#x}: {answer:x?}");
    }
    let tap = proxy.tap();
    let heard = |bytes: &[u8]| tap.windows(bytes.len()).any(|window| window == bytes);
    assert!(heard(&secret), "the tap hears what is sent");
    assert!(!heard(plain) && !heard(PIN) && !heard(b"a wrong one"));
}
