//! Panics inside the module, brought about from outside: the standard library panics when it
//! cannot read the clock, and the clock that this process reads is the one below.
//!
//! Each call is made again and again, each time with another of its readings failing, until it
//! needs no more than it gets. Whatever was interrupted, the call answers CKR_GENERAL_ERROR, and
//! a session that was not part of it works as if nothing had happened.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::cell::Cell;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

thread_local! {
    /// How many readings of the clock go well in this thread; None: all.
    static GOOD: Cell<Option<u32>> = const { Cell::new(None) };
}

/// What the module's `clock_gettime` is too: a program's own symbols come before a library's.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    let good = GOOD.get();
    GOOD.set(good.map(|good| good.saturating_sub(1)));
    if good == Some(0) {
        GOOD.set(None);
        FAILED.set(true);
        unsafe { *libc::__errno_location() = libc::EPERM };
        return -1;
    }
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int }
}

thread_local! {
    /// Whether a reading has failed.
    static FAILED: Cell<bool> = const { Cell::new(false) };
}

/// Makes `call` with one reading after another failing, until none fails; `after` each of those.
/// Gives how many failed.
fn with_each_reading_failing(mut call: impl FnMut() -> Rv<()>, mut after: impl FnMut()) -> u32 {
    for good in 0.. {
        FAILED.set(false);
        GOOD.set(Some(good));
        let answer = call();
        GOOD.set(None);
        if !FAILED.get() {
            assert_eq!(answer, Ok(()), "with all of {good} readings");
            return good;
        }
        assert_eq!(answer, Err(CKR_GENERAL_ERROR), "with {good} readings");
        after();
    }
    unreachable!("a call reads the clock for ever")
}

/// A token with a key, and a session that takes no part in what goes wrong.
struct Scene {
    t: Token,
    bystander: CK_SESSION_HANDLE,
    key: (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE),
}

impl Scene {
    fn new() -> Self {
        let t = Token::new();
        let bystander = t.user();
        let key = ec_pair(&t.p, bystander, b"1", true);
        Self { t, bystander, key }
    }

    /// The bystander signs, and the signature is the right one.
    fn goes_on(&self) {
        let (p, ecdsa) = (&self.t.p, || Mech::plain(CKM_ECDSA_SHA256));
        let signature = p.sign(self.bystander, ecdsa(), self.key.1, b"data").unwrap();
        assert_eq!(p.verify(self.bystander, ecdsa(), self.key.0, b"data", &signature), Ok(()));
    }

    /// In a session of its own each time: a panic breaks the one that it happened in.
    fn survives(&self, call: impl Fn(&P11, CK_SESSION_HANDLE) -> Rv<()>) {
        let p = &self.t.p;
        let failed = with_each_reading_failing(
            || {
                let good = GOOD.take();
                let session = p.rw(OWNER);
                GOOD.set(good);
                let answer = call(p, session);
                let good = GOOD.take();
                p.close(session).unwrap();
                GOOD.set(good);
                answer
            },
            || self.goes_on(),
        );
        assert!(failed > 0, "the call never read the clock");
    }
}

#[test]
fn a_panic_in_a_signature_is_a_general_error_and_hurts_no_other_session() {
    let scene = Scene::new();
    scene.survives(|p, session| {
        p.sign(session, Mech::plain(CKM_ECDSA_SHA256), scene.key.1, b"data").map(drop)
    });
}

#[test]
fn a_panic_in_a_random_number_is_a_general_error_and_hurts_no_other_session() {
    Scene::new().survives(|p, session| p.random(session, 20).map(drop));
}

#[test]
fn a_panic_while_keys_are_made_leaves_none_behind() {
    let scene = Scene::new();
    let known = scene.t.p.find(scene.bystander, &[]).len();
    scene.survives(|p, session| {
        let private = [flag(CKA_TOKEN, true), flag(CKA_PRIVATE, true), flag(CKA_SIGN, true)];
        let public = [flag(CKA_TOKEN, true), bytes(CKA_EC_PARAMS, P256)];
        p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).map(drop)
    });
    assert_eq!(scene.t.p.find(scene.bystander, &[]).len(), known + 2);
}

#[test]
fn a_panic_in_a_login_logs_nobody_in() {
    let scene = Scene::new();
    let p = &scene.t.p;
    p.logout(scene.bystander).unwrap();
    let failed = with_each_reading_failing(
        || {
            let good = GOOD.take();
            let session = p.rw(OWNER);
            GOOD.set(good);
            let answer = p.login(session, CKU_USER, PIN);
            let good = GOOD.take();
            if answer.is_err() {
                p.close(session).unwrap();
            }
            GOOD.set(good);
            answer
        },
        || assert_eq!(p.state(scene.bystander), CKS_RW_PUBLIC_SESSION),
    );
    assert!(failed > 0, "the call never read the clock");
    assert_eq!(p.state(scene.bystander), CKS_RW_USER_FUNCTIONS);
    p.find(scene.bystander, &[]);
}
