//! A token that another process initialises anew, under one that is logged in or did not recognise the
//! old one: conformance statements 27, 49, 51, 58 and 130.

mod common;

use common::fixture::*;
use common::p11::*;
use common::peer::{self, Peer};
use cryptoki_sys::*;

const NEW_PIN: &[u8] = b"another-1234";

/// A token whose user is in, here, and has private objects.
struct Anew {
    t: Token,
    session: CK_SESSION_HANDLE,
    /// On the token and in the session.
    private: [CK_OBJECT_HANDLE; 2],
}

impl Anew {
    fn new() -> Self {
        let t = Token::new();
        let session = t.user();
        let private =
            [true, false].map(|token| t.p.create(session, &data(b"x", token, true)).unwrap());
        Self { t, session, private }
    }

    fn is_over(&self) {
        let (p, session) = (&self.t.p, self.session);
        assert_eq!(p.state(session), CKS_RW_PUBLIC_SESSION);
        assert_eq!(p.find(session, &[]), []);
        for object in self.private {
            assert_eq!(p.get(session, object, CKA_CLASS), Err(CKR_OBJECT_HANDLE_INVALID));
        }
        for token in [true, false] {
            let made = p.create(session, &data(b"y", token, true));
            assert_eq!(made, Err(CKR_USER_NOT_LOGGED_IN));
        }
        assert_eq!(p.logout(session), Err(CKR_USER_NOT_LOGGED_IN));
        assert_eq!(p.login(session, CKU_USER, PIN), Err(CKR_PIN_INCORRECT));
        p.login(session, CKU_USER, NEW_PIN).unwrap();
        p.create(session, &data(b"y", true, true)).unwrap();
    }
}

/// Another process makes the token anew, and gives the user another PIN.
fn make_anew(test: &str) {
    let mut other = Peer::start(test);
    other.run("init").unwrap();
    other.run("init-token 0 officer-1234 anew").unwrap();
    let session = other.one("rw 0");
    other.run(&format!("login-so {session} officer-1234")).unwrap();
    other.run(&format!("init-pin {session} another-1234")).unwrap();
    other.end();
}

#[test]
fn c049_the_login_to_a_token_that_was_made_anew_is_over() {
    if peer::served() {
        return;
    }
    let anew = Anew::new();
    make_anew("c049_the_login_to_a_token_that_was_made_anew_is_over");
    anew.is_over();
}

#[test]
fn c051_nobody_is_logged_in_already_to_a_token_that_was_made_anew() {
    if peer::served() {
        return;
    }
    let anew = Anew::new();
    let (p, session) = (&anew.t.p, anew.session);
    make_anew("c051_nobody_is_logged_in_already_to_a_token_that_was_made_anew");
    assert_eq!(p.login(session, CKU_USER, PIN), Err(CKR_PIN_INCORRECT));
    p.login(session, CKU_USER, NEW_PIN).unwrap();
    assert_eq!(p.state(session), CKS_RW_USER_FUNCTIONS);
    for object in anew.private {
        assert_eq!(p.get(session, object, CKA_CLASS), Err(CKR_OBJECT_HANDLE_INVALID));
    }
}

#[test]
fn c058_whatever_meets_a_token_that_was_made_anew_finds_no_private_object() {
    if peer::served() {
        return;
    }
    let anew = Anew::new();
    make_anew("c058_whatever_meets_a_token_that_was_made_anew_finds_no_private_object");
    assert_eq!(anew.t.p.find(anew.session, &[]), []);
    anew.is_over();
}

#[test]
fn c027_the_officers_login_to_a_token_that_was_made_anew_changes_no_pin_of_its_officer() {
    if peer::served() {
        return;
    }
    let anew = Anew::new();
    let (p, session) = (&anew.t.p, anew.session);
    p.logout(session).unwrap();
    p.login(session, CKU_SO, SO_PIN).unwrap();
    make_anew(
        "c027_the_officers_login_to_a_token_that_was_made_anew_changes_no_pin_of_its_officer",
    );
    // Nobody is in: it is the user's PIN that changes.
    assert_eq!(p.set_pin(session, SO_PIN, b"officer-5678"), Err(CKR_PIN_INCORRECT));
    p.set_pin(session, NEW_PIN, b"user-5678").unwrap();
    assert_eq!(p.init_pin(session, PIN), Err(CKR_USER_NOT_LOGGED_IN));
    p.login(session, CKU_SO, SO_PIN).unwrap();
    assert_eq!(p.state(session), CKS_RW_SO_FUNCTIONS);
}

/// Removes the token, as the administrator does with the tool, if this process was started for that.
fn removed_the_token() -> bool {
    let asked = peer::role().is_some_and(|words| words == ["remove"]);
    if asked {
        let admin = hierarkey::admin::Admin::open().unwrap();
        assert!(admin.remove_token(hierarkey::tpm::Hierarchy::Owner).unwrap());
    }
    asked
}

#[test]
fn c130_whoever_did_not_recognise_a_token_serves_the_one_that_is_made_after_it() {
    if removed_the_token() || peer::served() {
        return;
    }
    let test = "c130_whoever_did_not_recognise_a_token_serves_the_one_that_is_made_after_it";
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    t.rig.tpm.clear();
    for _ in 0..2 {
        assert!(t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[7; 32]).is_err());
    }
    t.p.close_all(OWNER).unwrap();
    assert_eq!(t.p.open(OWNER, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_RECOGNIZED));

    Peer::start_as(test, "remove", &[]).end();
    assert_eq!(t.p.token_info(OWNER).unwrap().flags & CKF_TOKEN_INITIALIZED, 0);
    let blank = t.p.ro(OWNER);
    assert_eq!(t.p.login(blank, CKU_USER, PIN), Err(CKR_TOKEN_NOT_INITIALIZED));
    t.p.close(blank).unwrap();

    make_anew(test);
    assert_eq!(t.p.token_info(OWNER).unwrap().label[..4], *b"anew");
    let session = t.p.rw(OWNER);
    t.p.login(session, CKU_USER, NEW_PIN).unwrap();
    assert_eq!(t.p.find(session, &[]), []);
    t.p.create(session, &data(b"y", true, true)).unwrap();
}

#[test]
fn c049_a_store_that_is_away_for_a_while_ends_no_login() {
    let t = Token::new();
    let session = t.user();
    let object = t.p.create(session, &data(b"x", true, true)).unwrap();
    let (file, elsewhere) = (t.rig.database(), t.rig.path().join("elsewhere"));
    std::fs::rename(&file, &elsewhere).unwrap();
    assert_eq!(t.p.find(session, &[]), []);
    assert_eq!(t.p.state(session), CKS_RW_USER_FUNCTIONS);
    std::fs::rename(&elsewhere, &file).unwrap();
    assert_eq!(t.p.find(session, &[]), [object]);
}
