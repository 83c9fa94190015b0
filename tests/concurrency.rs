//! Many processes and threads on one token.

mod common;

use common::fixture::*;
use common::p11::*;
use common::peer::{self, Peer};
use cryptoki_sys::*;

const NONE: Vec<CK_ULONG> = Vec::new();

/// The script of two applications with two threads each, step by step.
#[test]
fn two_applications_with_two_threads_share_a_token() {
    if peer::served() {
        return;
    }
    let t = Token::new();
    t.p.finalize().unwrap();
    let name = "two_applications_with_two_threads_share_a_token";
    let (mut a, mut b) = (Peer::start(name), Peer::start(name));
    let one = |result: Rv<Vec<CK_ULONG>>| result.unwrap()[0];

    // 1 to 3
    assert_eq!(a.on(1, "init"), Ok(NONE));
    assert_eq!(b.on(1, "init"), Ok(NONE));
    let a7 = one(a.on(1, "rw 0"));
    assert_eq!(a.on(1, &format!("state {a7}")), Ok(vec![CKS_RW_PUBLIC_SESSION]));
    let a4 = one(a.on(2, "ro 0"));
    assert_eq!(a.on(2, &format!("state {a4}")), Ok(vec![CKS_RO_PUBLIC_SESSION]));
    // 4, 5
    let so = format!("login-so {a7} officer-1234");
    assert_eq!(a.on(1, &so), Err(CKR_SESSION_READ_ONLY_EXISTS));
    assert_eq!(a.on(2, &format!("login {a7} user-1234")), Ok(NONE));
    assert_eq!(a.on(1, &format!("state {a7}")), Ok(vec![CKS_RW_USER_FUNCTIONS]));
    assert_eq!(a.on(1, &format!("state {a4}")), Ok(vec![CKS_RO_USER_FUNCTIONS]));
    // 6, 7
    let a9 = one(a.on(2, "rw 0"));
    assert_eq!(a.on(1, &format!("state {a9}")), Ok(vec![CKS_RW_USER_FUNCTIONS]));
    assert_eq!(a.on(1, &format!("close {a9}")), Ok(NONE));
    // 8, 9
    assert_eq!(b.on(1, &format!("logout {a4}")), Err(CKR_SESSION_HANDLE_INVALID));
    assert_eq!(b.on(2, &format!("close {a4}")), Err(CKR_SESSION_HANDLE_INVALID));
    // 10 to 12
    let b7 = one(b.on(1, "rw 0"));
    assert_eq!(b.on(1, &format!("state {b7}")), Ok(vec![CKS_RW_PUBLIC_SESSION]));
    assert_eq!(b.on(1, &format!("login-so {b7} officer-1234")), Ok(NONE));
    assert_eq!(b.on(1, &format!("state {b7}")), Ok(vec![CKS_RW_SO_FUNCTIONS]));
    assert_eq!(a.on(1, &format!("state {a7}")), Ok(vec![CKS_RW_USER_FUNCTIONS]));
    assert_eq!(b.on(2, "ro 0"), Err(CKR_SESSION_READ_WRITE_SO_EXISTS));
    // 13 to 15
    let o1 = one(a.on(1, &format!("data {a7} one no no")));
    let o2 = one(b.on(1, &format!("data {b7} two yes no")));
    let private = b.on(1, &format!("data {b7} three yes yes"));
    assert!(
        [Err(CKR_USER_NOT_LOGGED_IN), Err(CKR_TEMPLATE_INCONSISTENT)].contains(&private),
        "{private:?}"
    );
    assert_eq!(b.on(2, &format!("rename {b7} {o2} two-b")), Ok(NONE));
    // 16 to 18
    let o2_of_a = one(a.on(1, &format!("find {a4} two-b")));
    let rename = format!("{o2_of_a} two-abc");
    assert_eq!(a.on(1, &format!("rename {a4} {rename}")), Err(CKR_SESSION_READ_ONLY));
    assert_eq!(a.on(1, &format!("rename {a7} {rename}")), Ok(NONE));
    assert_eq!(b.on(1, &format!("label-size {b7} {o2}")), Ok(vec![7]), "B sees A's change");
    // 19 to 22
    assert_eq!(b.on(1, &format!("find {b7} one")), Ok(NONE));
    assert_eq!(a.on(2, &format!("rename {a4} {o1} uno")), Ok(NONE));
    assert_eq!(a.on(2, &format!("destroy {a7} {o2_of_a}")), Ok(NONE));
    assert_eq!(b.on(1, &format!("label-size {b7} {o2}")), Err(CKR_OBJECT_HANDLE_INVALID));
    // 23 to 26
    assert_eq!(a.on(1, &format!("logout {a4}")), Ok(NONE));
    assert_eq!(a.on(1, &format!("state {a4}")), Ok(vec![CKS_RO_PUBLIC_SESSION]));
    assert_eq!(a.on(1, &format!("state {a7}")), Ok(vec![CKS_RW_PUBLIC_SESSION]));
    assert_eq!(a.on(2, &format!("label-size {a4} {o1}")), Ok(vec![3]), "O1 is public");
    assert_eq!(a.on(1, &format!("close {a7}")), Ok(NONE));
    assert_eq!(a.on(2, &format!("label-size {a4} {o1}")), Err(CKR_OBJECT_HANDLE_INVALID));
    assert_eq!(a.on(2, "close-all 0"), Ok(NONE));
    let again = one(a.on(2, "rw 0"));
    assert_eq!(a.on(2, &format!("state {again}")), Ok(vec![CKS_RW_PUBLIC_SESSION]));
    // 27, 28
    assert_eq!(b.on(2, &format!("close {b7}")), Ok(NONE));
    let again = one(b.on(2, "rw 0"));
    assert_eq!(b.on(2, &format!("state {again}")), Ok(vec![CKS_RW_PUBLIC_SESSION]));
    assert_eq!(a.on(1, "finalize"), Ok(NONE));
    assert_eq!(b.on(1, "finalize"), Ok(NONE));
    a.end();
    b.end();
}

const PROCESSES: usize = 8;
const THREADS: usize = 4;

/// What one thread does: pairs generated, signed with, verified, found and destroyed again, and
/// data objects created, changed and found.
fn load(p: &P11, name: &str, rounds: usize) {
    let session = p.rw(OWNER);
    let (public, private) = ec_pair(p, session, name.as_bytes(), true);
    for round in 0..rounds {
        let digest = [round as u8; 32];
        let signature = p.sign(session, Mech::plain(CKM_ECDSA), private, &digest).unwrap();
        p.verify(session, Mech::plain(CKM_ECDSA), public, &digest, &signature).unwrap();
        let label = format!("{name}-{round}");
        let object = p.create(session, &data(label.as_bytes(), true, round % 2 == 0)).unwrap();
        assert_eq!(p.find(session, &[bytes(CKA_LABEL, label.as_bytes())]), [object]);
        let renamed = format!("{label}-renamed");
        p.set(session, object, &[bytes(CKA_LABEL, renamed.as_bytes())]).unwrap();
        assert_eq!(p.find(session, &[bytes(CKA_LABEL, label.as_bytes())]).len(), 0);
        assert_eq!(p.find(session, &[bytes(CKA_LABEL, renamed.as_bytes())]), [object]);
        if round % 2 == 1 {
            p.destroy(session, object).unwrap();
        }
    }
    assert_eq!(p.find(session, &[bytes(CKA_ID, name.as_bytes())]).len(), 2);
    p.close(session).unwrap();
}

#[test]
fn eight_processes_with_four_threads_share_a_store_without_one_failure() {
    let test = "eight_processes_with_four_threads_share_a_store_without_one_failure";
    // 8 * 4 threads; a round is 8 operations.
    let rounds = match std::env::var("HIERARKEY_TEST_SIZE").as_deref() {
        Ok("full") => 40,
        _ => 1,
    };
    if let Some(words) = peer::role() {
        let p = P11::start();
        let first = p.rw(OWNER);
        p.login(first, CKU_USER, PIN).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (p, name) = (&p, format!("{}-{thread}", words[0]));
                scope.spawn(move || load(p, &name, rounds));
            }
        });
        p.finalize().unwrap();
        peer::tell("done");
        return;
    }
    let t = Token::new();
    let session = t.user();
    let peers: Vec<Peer> = (0..PROCESSES)
        .map(|number| Peer::start_as(test, &format!("process-{number}"), &[]))
        .collect();
    for mut peer in peers {
        assert_eq!(peer.hear().as_deref(), Some("done"));
        peer.end();
    }
    let pairs = PROCESSES * THREADS;
    let keys = t.p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]);
    assert_eq!(keys.len(), pairs);
    assert_eq!(t.p.find(session, &[ulong(CKA_CLASS, CKO_PUBLIC_KEY)]).len(), pairs);
    let kept = pairs * rounds.div_ceil(2);
    assert_eq!(t.p.find(session, &[ulong(CKA_CLASS, CKO_DATA)]).len(), kept);
    t.p.sign(session, Mech::plain(CKM_ECDSA), keys[0], &[1; 32]).unwrap();
}
