//! Eight threads on the same few sessions, by mistake as it were: conformance statement 42.
//!
//! What they interfere with are each other's operations: that is the application's mistake, and
//! their calls are refused. What no call ever does is crash, hang, or answer with a result that is
//! made of another thread's data.

mod common;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use common::calls::*;
use common::fixture::*;
use common::p11::*;
use common::return_values::{name, place};
use cryptoki_sys::*;

const THREADS: u64 = 8;
const CALLS: usize = 250;

/// Ends the process, with a word why, when `body` has not come back after two minutes.
fn watched(body: impl FnOnce()) {
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let late = waiting.recv_timeout(Duration::from_secs(120));
            if late == Err(RecvTimeoutError::Timeout) {
                eprintln!("a call never came back: deadlock");
                std::process::abort();
            }
        });
        body();
        drop(done);
    });
}

/// Xorshift: numbers that a seed makes again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// What one thread works with; `own` is its session alone.
struct Thread<'a> {
    s: &'a Scene,
    shared: &'a Mutex<Vec<CK_SESSION_HANDLE>>,
    seen: &'a Mutex<BTreeSet<(&'static str, CK_RV)>>,
    random: Random,
    own: CK_SESSION_HANDLE,
    id: u64,
    call: usize,
}

/// What a call on a session that others use may be told, beside CKR_OK.
const ALLOWED: [CK_RV; 8] = [
    CKR_OPERATION_ACTIVE,
    CKR_OPERATION_NOT_INITIALIZED,
    CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_CLOSED,
    // By the mechanism that another thread began with.
    CKR_FUNCTION_NOT_SUPPORTED,
    CKR_DATA_LEN_RANGE,
    CKR_ENCRYPTED_DATA_LEN_RANGE,
    // What the cancelled half of a pair leaves.
    CKR_OPERATION_CANCEL_FAILED,
];

impl Thread<'_> {
    fn p(&self) -> &P11 {
        &self.s.t.p
    }

    fn session(&mut self) -> CK_SESSION_HANDLE {
        let sessions = self.shared.lock().unwrap();
        sessions[self.random.below(sessions.len())]
    }

    /// Data that no other thread and no other call has, as long as a SHA-256 digest.
    fn data(&self) -> Vec<u8> {
        let text = format!("thread {} call {} ", self.id, self.call);
        text.bytes().cycle().take(32).collect()
    }

    fn note<T>(&self, what: &'static str, result: Rv<T>) -> Option<T> {
        let rv = result.as_ref().err().copied().unwrap_or(CKR_OK);
        self.seen.lock().unwrap().insert((what, rv));
        assert!(rv == CKR_OK || ALLOWED.contains(&rv), "{what}: {}", name(rv));
        result.ok()
    }

    /// Begins one of a kind's mechanisms, or goes on with what another thread began.
    fn begin(&mut self, op: Op, session: CK_SESSION_HANDLE, choices: &[(CK_MECHANISM_TYPE, u64)]) {
        let (ckm, key) = choices[self.random.below(choices.len())];
        self.note("init", self.p().init(op, session, Mech::plain(ckm), key));
    }

    fn one_call(&mut self) {
        let session = self.session();
        let (ec, rsa, own) = (self.s.ec, self.s.rsa, self.own);
        let data = self.data();
        match self.random.below(16) {
            0 | 1 => {
                self.begin(Op::Digest, session, &[(CKM_SHA256, 0), (CKM_SHA384, 0)]);
                let result = self.note("digest", self.p().one_shot(Op::Digest, session, &data));
                if let Some(result) = result {
                    let ckm = if result.len() == 32 { CKM_SHA256 } else { CKM_SHA384 };
                    assert_eq!(result, self.p().digest(own, ckm, &data).unwrap(), "its own data");
                }
            }
            2 | 3 => {
                let choices = [(CKM_ECDSA, ec.1), (CKM_ECDSA_SHA256, ec.1), (CKM_RSA_PKCS, rsa.1)];
                self.begin(Op::Sign, session, &choices);
                let result = self.note("sign", self.p().one_shot(Op::Sign, session, &data));
                if let Some(result) = result {
                    let public =
                        [(CKM_ECDSA, ec.0), (CKM_ECDSA_SHA256, ec.0), (CKM_RSA_PKCS, rsa.0)];
                    let verified = public.iter().any(|(ckm, key)| {
                        self.p().verify(own, Mech::plain(*ckm), *key, &data, &result).is_ok()
                    });
                    assert!(verified, "a signature of other data");
                }
            }
            4 => {
                self.begin(Op::Encrypt, session, &[(CKM_RSA_PKCS, rsa.0)]);
                let result = self.note("encrypt", self.p().one_shot(Op::Encrypt, session, &data));
                if let Some(result) = result {
                    let plain = self.p().decrypt(own, Mech::plain(CKM_RSA_PKCS), rsa.1, &result);
                    assert_eq!(plain.unwrap(), data);
                }
            }
            5 => {
                let secret = self.p().encrypt(own, Mech::plain(CKM_RSA_PKCS), rsa.0, &data);
                self.begin(Op::Decrypt, session, &[(CKM_RSA_PKCS, rsa.1)]);
                let result = self.p().one_shot(Op::Decrypt, session, &secret.unwrap());
                if let Some(result) = self.note("decrypt", result) {
                    assert_eq!(result, data);
                }
            }
            6 => {
                let choices = [(Op::Digest, CKM_SHA256, 0), (Op::Sign, CKM_ECDSA_SHA256, ec.1)];
                let (op, ckm, key) = choices[self.random.below(2)];
                self.begin(op, session, &[(ckm, key)]);
                self.note("update", self.p().update(op, session, &data));
                self.note("final", self.p().finish(op, session));
            }
            7 => {
                // In its own session nobody interferes.
                self.p().init(Op::Digest, own, Mech::plain(CKM_SHA256), 0).unwrap();
                self.p().update(Op::Digest, own, &data[..7]).unwrap();
                self.p().update(Op::Digest, own, &data[7..]).unwrap();
                let parts = self.p().finish(Op::Digest, own).unwrap();
                assert_eq!(parts, self.p().digest(own, CKM_SHA256, &data).unwrap());
            }
            8 | 9 => {
                let made = self.p().create(session, &template(&data));
                if let Some(object) = self.note("create", made) {
                    // Gone with its session, or still what it was.
                    match self.p().get(own, object, CKA_VALUE) {
                        Ok(value) => assert_eq!(value, data),
                        Err(rv) => assert_eq!(name(rv), name(CKR_OBJECT_HANDLE_INVALID)),
                    }
                }
            }
            10 => {
                let mine = self.p().create(own, &template(&data)).unwrap();
                let found = self.p().find(own, &[bytes(CKA_VALUE, &data)]);
                assert_eq!(found, [mine], "its own object");
                let changed = [&data[..], b" changed"].concat();
                self.p().set(own, mine, &[bytes(CKA_LABEL, &changed)]).unwrap();
                assert_eq!(self.p().get(own, mine, CKA_LABEL).unwrap(), changed);
                self.p().destroy(own, mine).unwrap();
            }
            11 => {
                self.note("find init", self.p().find_init(session, &[]));
                self.note("find", self.p().find_some(session, 5));
                self.note("find final", self.p().find_final(session));
            }
            12 => {
                let cancel = place("C_SessionCancel");
                let flags = EVERY_OPERATION as usize;
                let rv = call(self.p(), cancel, &[session as usize, flags]);
                self.note("cancel", if rv == CKR_OK { Ok(()) } else { Err(rv) });
            }
            13 => {
                let mut sessions = self.shared.lock().unwrap();
                let at = self.random.below(sessions.len());
                let old = std::mem::replace(&mut sessions[at], self.p().rw(OWNER));
                drop(sessions);
                self.note("close", self.p().close(old));
            }
            14 => {
                let random = self.note("random", self.p().random(session, 24));
                assert!(random.is_none_or(|bytes| bytes != [0; 24]));
                self.note("session info", self.p().session_info(session));
            }
            _ => {
                self.p().token_info(OWNER).unwrap();
                let signature = self.p().sign(own, Mech::plain(CKM_ECDSA), ec.1, &data).unwrap();
                self.p().verify(own, Mech::plain(CKM_ECDSA), ec.0, &data, &signature).unwrap();
            }
        }
    }
}

fn template(value: &[u8]) -> [Attr; 4] {
    [
        ulong(CKA_CLASS, CKO_DATA),
        flag(CKA_TOKEN, false),
        flag(CKA_PRIVATE, false),
        bytes(CKA_VALUE, value),
    ]
}

#[test]
fn c042_eight_threads_on_shared_sessions_never_get_each_others_data() {
    let seed = std::env::var("HIERARKEY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) ^ 0x9e37_79b9_7f4a_7c15);
    println!("HIERARKEY_TEST_SEED={seed}");
    let s = Scene::new();
    let shared = Mutex::new((0..3).map(|_| s.t.p.rw(OWNER)).collect::<Vec<_>>());
    let seen = Mutex::new(BTreeSet::new());
    watched(|| {
        std::thread::scope(|scope| {
            for id in 1..=THREADS {
                let random = Random(seed.wrapping_mul(2 * id + 1) | 1);
                let own = s.t.p.rw(OWNER);
                let (s, shared, seen) = (&s, &shared, &seen);
                scope.spawn(move || {
                    let mut thread = Thread { s, shared, seen, random, own, id, call: 0 };
                    for call in 0..CALLS {
                        thread.call = call;
                        thread.one_call();
                    }
                });
            }
        });
    });
    let seen = seen.into_inner().unwrap();
    for what in ["digest", "sign", "encrypt", "decrypt", "create", "find", "final", "random"] {
        assert!(seen.contains(&(what, CKR_OK)), "{what} never succeeded");
    }
    let refused = [CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID];
    assert!(refused.iter().any(|rv| seen.iter().any(|(_, told)| told == rv)), "they never met");
    // And after all that the library works.
    let session = s.t.p.rw(OWNER);
    let signature = s.t.p.sign(session, Mech::plain(CKM_ECDSA), s.ec.1, &[1; 32]).unwrap();
    s.t.p.verify(session, Mech::plain(CKM_ECDSA), s.ec.0, &[1; 32], &signature).unwrap();
}
