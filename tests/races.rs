//! Threads of one application in each other's way.

mod common;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

const ROUNDS: usize = 6;

/// Ends the process, with a word why, when `body` has not come back after a minute.
fn watched<T>(body: impl FnOnce() -> T) -> T {
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let late = waiting.recv_timeout(Duration::from_secs(60));
            if late == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("a call never came back: deadlock");
                std::process::abort();
            }
        });
        let result = body();
        drop(done);
        result
    })
}

/// Generates session pairs in `session` until it fails; the private handles and the last error.
fn generate_until_refused(
    p: &P11,
    session: CK_SESSION_HANDLE,
    made: &AtomicUsize,
) -> (Vec<CK_OBJECT_HANDLE>, CK_RV) {
    let public = [flag(CKA_TOKEN, false), flag(CKA_VERIFY, true), bytes(CKA_EC_PARAMS, P256)];
    let private = [flag(CKA_TOKEN, false), flag(CKA_PRIVATE, true), flag(CKA_SIGN, true)];
    let mut handles = Vec::new();
    loop {
        match p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private) {
            Ok((_, private)) => handles.push(private),
            Err(rv) => return (handles, rv),
        }
        made.fetch_add(1, Ordering::Release);
    }
}

fn wait_for_one(made: &AtomicUsize) {
    while made.load(Ordering::Acquire) == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn c038_what_a_call_makes_while_its_session_is_closed_is_destroyed_too() {
    let t = Token::new();
    let other = t.user();
    for _ in 0..ROUNDS {
        let session = t.p.rw(t.slot);
        let made = AtomicUsize::new(0);
        let (_, rv) = watched(|| {
            std::thread::scope(|scope| {
                let worker = scope.spawn(|| generate_until_refused(&t.p, session, &made));
                wait_for_one(&made);
                t.p.close(session).unwrap();
                worker.join().unwrap()
            })
        });
        assert!(matches!(rv, CKR_SESSION_CLOSED | CKR_SESSION_HANDLE_INVALID), "{rv:#x}");
        assert_eq!(t.p.find(other, &[flag(CKA_TOKEN, false)]), []);
    }
}

#[test]
fn c058_what_a_call_makes_during_a_logout_dies_with_it() {
    let t = Token::new();
    let session = t.user();
    let other = t.p.rw(t.slot);
    for _ in 0..ROUNDS {
        let made = AtomicUsize::new(0);
        let (handles, rv) = watched(|| {
            std::thread::scope(|scope| {
                let worker = scope.spawn(|| generate_until_refused(&t.p, session, &made));
                wait_for_one(&made);
                t.p.logout(other).unwrap();
                worker.join().unwrap()
            })
        });
        assert_eq!(rv, CKR_USER_NOT_LOGGED_IN);
        t.p.login(other, CKU_USER, PIN).unwrap();
        let private = [flag(CKA_TOKEN, false), flag(CKA_PRIVATE, true)];
        assert_eq!(t.p.find(other, &private), []);
        for handle in handles {
            assert_eq!(t.p.size(other, handle), Err(CKR_OBJECT_HANDLE_INVALID));
        }
    }
}

#[test]
fn c058_a_search_during_a_logout_gives_no_private_handle_afterwards() {
    let t = Token::new();
    let session = t.user();
    let other = t.p.rw(t.slot);
    for number in 0..40_u8 {
        t.p.create(session, &data(&[number], true, true)).unwrap();
    }
    for _ in 0..4 * ROUNDS {
        let searches = AtomicUsize::new(0);
        let found = watched(|| {
            std::thread::scope(|scope| {
                let worker = scope.spawn(|| {
                    let mut last = Vec::new();
                    loop {
                        let found = t.p.find(session, &[flag(CKA_PRIVATE, true)]);
                        if found.is_empty() {
                            return last;
                        }
                        last = found;
                        searches.fetch_add(1, Ordering::Release);
                    }
                });
                wait_for_one(&searches);
                t.p.logout(other).unwrap();
                worker.join().unwrap()
            })
        });
        t.p.login(other, CKU_USER, PIN).unwrap();
        for handle in found {
            assert_eq!(t.p.size(other, handle), Err(CKR_OBJECT_HANDLE_INVALID));
        }
    }
}

/// A close waits for the calls that still run in its session. Who logs in meanwhile is somebody new.
#[test]
fn c039_a_close_that_waits_takes_nothing_from_who_logs_in_meanwhile() {
    let t = Token::new();
    let much = vec![7; 16 << 20];
    for _ in 0..ROUNDS {
        let session = t.user();
        let (started, p) = (AtomicUsize::new(0), &t.p);
        let (second, object) = watched(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    p.init(Op::Digest, session, Mech::plain(CKM_SHA512), 0).unwrap();
                    while p.update(Op::Digest, session, &much).is_ok() {
                        started.fetch_add(1, Ordering::Release);
                    }
                });
                wait_for_one(&started);
                scope.spawn(|| p.close(session).unwrap());
                while p.token_info(t.slot).unwrap().ulSessionCount > 0 {
                    std::thread::yield_now();
                }
                let second = p.rw(t.slot);
                p.login(second, CKU_USER, PIN).unwrap();
                (second, p.create(second, &data(b"mine", false, true)).unwrap())
            })
        });
        assert!(p.size(second, object).is_ok(), "the first session's end took it");
        p.close(second).unwrap();
    }
}

#[test]
fn c042_everything_at_once_neither_crashes_nor_locks_up() {
    const ALLOWED: [CK_RV; 12] = [
        CKR_OK,
        CKR_CRYPTOKI_NOT_INITIALIZED,
        CKR_CRYPTOKI_ALREADY_INITIALIZED,
        CKR_SESSION_CLOSED,
        CKR_SESSION_HANDLE_INVALID,
        CKR_OPERATION_ACTIVE,
        CKR_OPERATION_NOT_INITIALIZED,
        CKR_USER_NOT_LOGGED_IN,
        CKR_USER_ALREADY_LOGGED_IN,
        CKR_KEY_HANDLE_INVALID,
        CKR_OBJECT_HANDLE_INVALID,
        CKR_SESSION_EXISTS,
    ];
    let t = Token::new();
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    let stop = AtomicBool::new(false);
    let open = Mutex::new(session);
    let seen = Mutex::new(BTreeSet::new());
    let note = |what: &'static str, rv: Rv<()>| {
        seen.lock().unwrap().insert((rv.err().unwrap_or(CKR_OK), what));
    };
    let p = &t.p;
    let current = || *open.lock().unwrap();
    let sign = || {
        let session = current();
        let wanted = [ulong(CKA_CLASS, CKO_PRIVATE_KEY)];
        let found = p.find_init(session, &wanted).and_then(|()| p.find_some(session, 1));
        let ended = p.find_final(session);
        let key = found.clone().ok().and_then(|found| found.first().copied()).unwrap_or(0);
        note("find", found.map(|_| ()));
        note("find final", ended);
        note("sign", p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).map(|_| ()));
    };
    let open_another = || {
        if let Ok(new) = p.open(t.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION) {
            *open.lock().unwrap() = new;
        }
    };
    let works: [&(dyn Fn() + Sync); 8] = [
        &sign,
        &sign,
        &|| note("login", p.login(current(), CKU_USER, PIN)),
        &|| note("logout", p.logout(current())),
        &|| {
            note("close", p.close(current()));
            open_another();
        },
        &|| {
            note("close all", p.close_all(t.slot));
            open_another();
        },
        &|| {
            note("create", p.create(current(), &data(b"x", false, true)).map(|_| ()));
            note("token info", p.token_info(t.slot).map(|_| ()));
        },
        &|| {
            note("finalize", p.finalize());
            note("initialize", p.initialize());
            open_another();
        },
    ];
    watched(|| {
        std::thread::scope(|scope| {
            for work in works {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        work();
                    }
                });
            }
            let end = Instant::now() + Duration::from_secs(2);
            while Instant::now() < end {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    let seen = seen.into_inner().unwrap();
    let wrong: Vec<_> = seen.iter().filter(|(rv, _)| !ALLOWED.contains(rv)).collect();
    assert!(wrong.is_empty(), "{wrong:x?}");
    let _ = p.finalize();
    p.initialize().unwrap();
    let session = t.user();
    let key = p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
    p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).unwrap();
}
