//! A forked child is another application: statement 12, in every state a process can be in.

// Every unsafe block forks, waits or leaves; the child calls the module and _exit only.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::fixture::*;
use common::p11::*;
use common::swtpm::response_code;
use common::tpm_proxy::{Action, Proxy};
use cryptoki_sys::*;

const GONE: CK_RV = CKR_CRYPTOKI_NOT_INITIALIZED;

fn forks() -> usize {
    if std::env::var("HIERARKEY_TEST_SIZE").as_deref() == Ok("full") { 1000 } else { 50 }
}

/// What the child does; the number of the check that failed, or 0.
fn child(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> i32 {
    child_beside(p, session, key, false)
}

/// The same; with `threads`, other threads of the parent may have been in the store.
fn child_beside(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, threads: bool) -> i32 {
    let checks: [&dyn Fn() -> bool; 5] = [
        &|| p.session_info(session).err() == Some(GONE),
        &|| p.slots(true).err() == Some(GONE),
        &|| p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).err() == Some(GONE),
        &|| p.one_shot(Op::Sign, session, &[1; 32]).err() == Some(GONE),
        &|| p.finalize() == Err(GONE),
    ];
    for (number, check) in (1..).zip(checks) {
        if !check() {
            return number;
        }
    }
    let works = || -> Rv<()> {
        p.initialize()?;
        let mine = p.open(OWNER, CKF_SERIAL_SESSION | CKF_RW_SESSION)?;
        if p.session_info(mine)?.state != CKS_RW_PUBLIC_SESSION {
            return Err(CKR_GENERAL_ERROR);
        }
        p.login(mine, CKU_USER, PIN)?;
        let keys = p.find(mine, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]);
        let key = *keys.first().ok_or(CKR_KEY_HANDLE_INVALID)?;
        p.sign(mine, Mech::plain(CKM_ECDSA), key, &[1; 32])?;
        p.finalize()
    };
    match works() {
        Ok(()) => 0,
        // Forked in the middle of another thread's call of the store.
        Err(CKR_DEVICE_REMOVED) if threads => 0,
        Err(rv) => {
            eprintln!("in the child: 0x{rv:x}");
            99
        }
    }
}

fn fork(body: impl FnOnce() -> i32) -> i32 {
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let body = std::panic::AssertUnwindSafe(body);
        let code = std::panic::catch_unwind(body).unwrap_or(100);
        unsafe { libc::_exit(code) };
    }
    pid
}

fn wait(pid: i32) {
    let mut status = 0;
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child ended by a signal: {status}");
    assert_eq!(libc::WEXITSTATUS(status), 0, "the check of this number failed in the child");
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn c012_forked_with_a_session_open_and_nobody_in() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    t.p.logout(session).unwrap();
    wait(fork(|| child(&t.p, session, private)));
    assert_eq!(t.p.state(session), CKS_RW_PUBLIC_SESSION);
    t.p.login(session, CKU_USER, PIN).unwrap();
    let key = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
    t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[2; 32]).unwrap();
}

#[test]
fn c012_forked_with_operations_active_which_the_parent_finishes() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    let (_, volatile) = ec_pair(&t.p, session, b"2", false);
    let searching = t.p.ro(t.slot);
    t.p.find_init(searching, &[]).unwrap();
    let digesting = t.p.ro(t.slot);
    t.p.init(Op::Sign, digesting, Mech::plain(CKM_ECDSA_SHA256), private).unwrap();
    t.p.update(Op::Sign, digesting, b"first part, ").unwrap();
    t.p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), private).unwrap();

    wait(fork(|| child(&t.p, session, private)));

    let signature = t.p.one_shot(Op::Sign, session, &[2; 32]).unwrap();
    t.p.verify(session, Mech::plain(CKM_ECDSA), public, &[2; 32], &signature).unwrap();
    t.p.update(Op::Sign, digesting, b"second part").unwrap();
    let signature = t.p.finish(Op::Sign, digesting).unwrap();
    let whole = b"first part, second part";
    t.p.verify(session, Mech::plain(CKM_ECDSA_SHA256), public, whole, &signature).unwrap();
    assert_eq!(t.p.find_some(searching, 10).unwrap().len(), 4);
    t.p.sign(session, Mech::plain(CKM_ECDSA), volatile, &[2; 32]).unwrap();
}

/// The store's own locks are the process's: a child forked while another thread is in the store
/// has no token for as long as it lives, and says so. One forked while the TPM works has its own.
#[test]
fn c012_forked_while_another_thread_waits_for_the_tpm_inside_c_sign() {
    let rig = Rig::new();
    let proxy = Proxy::before(&rig.tpm);
    rig.set("HIERARKEY_TCTI", &proxy.tcti());
    let t = Token::on(rig, OWNER);
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    let (entered, inside) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut once = true;
    proxy.set_hook(move |command| {
        const SIGN: u32 = 0x15D;
        if response_code(command) == SIGN && std::mem::take(&mut once) {
            entered.send(()).unwrap();
            released.recv().unwrap();
        }
        Action::Pass
    });
    std::thread::scope(|scope| {
        let signing = scope.spawn(|| t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[2; 32]));
        inside.recv().unwrap();
        let pid = fork(|| child(&t.p, session, private));
        release.send(()).unwrap();
        signing.join().unwrap().unwrap();
        wait(pid);
    });
    t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[3; 32]).unwrap();
}

#[test]
fn c012_forked_many_times_while_other_threads_sign() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    let stop = AtomicBool::new(false);
    let signed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mine = t.p.rw(t.slot);
                while !stop.load(Ordering::Relaxed) {
                    let made = t.p.sign(mine, Mech::plain(CKM_ECDSA), private, &[2; 32]);
                    let Ok(signature) = made else {
                        stop.store(true, Ordering::Relaxed);
                        panic!("{made:?}");
                    };
                    let mech = Mech::plain(CKM_ECDSA);
                    t.p.verify(mine, mech, public, &[2; 32], &signature).unwrap();
                    signed.fetch_add(1, Ordering::Relaxed);
                }
                t.p.close(mine).unwrap();
            });
        }
        // A thread that panics or a child that fails must not leave the other threads running.
        let all = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..forks() {
                wait(fork(|| child_beside(&t.p, session, private, true)));
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = all {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(signed.load(Ordering::Relaxed) > 0);
    t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[3; 32]).unwrap();
    let before = descriptors();
    for _ in 0..forks() {
        wait(fork(|| 0));
        t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[3; 32]).unwrap();
    }
    assert_eq!(descriptors(), before, "descriptors of the parent");
}

#[test]
fn c012_a_childs_end_without_a_call_leaves_the_parents_store_and_tpm_alone() {
    let t = Token::new();
    let session = t.user();
    let before = descriptors();
    for round in 0..10_u8 {
        let child = fork(|| 0);
        let (_, private) = ec_pair(&t.p, session, &[round], true);
        t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[3; 32]).unwrap();
        wait(child);
    }
    assert_eq!(t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]).len(), 10);
    assert!(descriptors() <= before + 2, "{before} descriptors became {}", descriptors());
}

#[test]
fn c012_a_child_that_initialises_and_forks_again_is_the_parent_of_another_application() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    wait(fork(|| {
        let p = &t.p;
        if p.initialize().is_err() {
            return 50;
        }
        let mine = p.rw(t.slot);
        if p.login(mine, CKU_USER, PIN).is_err() {
            return 51;
        }
        let grandchild = fork(|| child(p, mine, private));
        wait(grandchild);
        let key = p.find(mine, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
        i32::from(p.sign(mine, Mech::plain(CKM_ECDSA), key, &[1; 32]).is_err())
    }));
    t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[3; 32]).unwrap();
}
