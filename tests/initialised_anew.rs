//! A token that another process initialises anew under one that is logged in: conformance statements
//! 25, 49, 58 and 62.

mod common;

use common::fixture::*;
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

    /// Another process makes the token anew, and gives the user another PIN.
    fn make(&self, test: &str) {
        let mut other = Peer::start(test);
        other.run("init").unwrap();
        other.run("init-token 0 officer-1234 anew").unwrap();
        let session = other.one("rw 0");
        other.run(&format!("login-so {session} officer-1234")).unwrap();
        other.run(&format!("init-pin {session} another-1234")).unwrap();
        other.end();
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

#[test]
fn c049_the_login_to_a_token_that_was_made_anew_is_over() {
    if peer::served() {
        return;
    }
    let anew = Anew::new();
    anew.make("c049_the_login_to_a_token_that_was_made_anew_is_over");
    anew.is_over();
}

#[test]
fn c051_nobody_is_logged_in_already_to_a_token_that_was_made_anew() {
    if peer::served() {
        return;
    }
    let anew = Anew::new();
    let (p, session) = (&anew.t.p, anew.session);
    anew.make("c051_nobody_is_logged_in_already_to_a_token_that_was_made_anew");
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
    anew.make("c058_whatever_meets_a_token_that_was_made_anew_finds_no_private_object");
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
    anew.make(
        "c027_the_officers_login_to_a_token_that_was_made_anew_changes_no_pin_of_its_officer",
    );
    // Nobody is in: it is the user's PIN that changes.
    assert_eq!(p.set_pin(session, SO_PIN, b"officer-5678"), Err(CKR_PIN_INCORRECT));
    p.set_pin(session, NEW_PIN, b"user-5678").unwrap();
    assert_eq!(p.init_pin(session, PIN), Err(CKR_USER_NOT_LOGGED_IN));
    p.login(session, CKU_SO, SO_PIN).unwrap();
    assert_eq!(p.state(session), CKS_RW_SO_FUNCTIONS);
}
