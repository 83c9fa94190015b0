//! Operations per second and TPM commands of every mechanism, and of a megabyte through each cipher.
//! `make bench` prints it.
//!
//! Commands are counted on a bus that is listened to, times are taken without anybody there; both
//! after one call that is not counted, which loads the key.

#![allow(missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::cases::{Case, case};
use common::encapsulation::{decapsulate, encapsulate};
use common::fixture::*;
use common::known::{Held, Keys, Known, flags};
use common::p11::*;
use common::tpm_proxy::Proxy;
use common::wrapping::Wrapping;
use cryptoki_sys::*;
use hierarkey::mechanism;
use hierarkey::tpm::Abilities;

const ENOUGH: Duration = Duration::from_millis(200);
const MEGABYTE: usize = 1 << 20;

/// Names of all mechanisms.
fn names() -> BTreeMap<CK_MECHANISM_TYPE, &'static str> {
    let everything = Abilities {
        algorithms: (0..0x100).collect(),
        commands: (0x100..0x200).collect(),
        curves: (0..0x40).collect(),
        rsa_bits: [2048].into(),
        aes_bits: [128, 256].into(),
        ..Abilities::default()
    };
    mechanism::offered(&everything).map(|row| (row.ckm, row.name)).collect()
}

/// One operation with one key.
struct Task<'a> {
    what: &'static str,
    known: &'a Known,
    case: &'a Case,
    held: &'a Held,
    /// What it works on: data, a signature, a ciphertext, a wrapped key.
    input: Vec<u8>,
    data: Vec<u8>,
}

impl Task<'_> {
    fn mech(&self) -> Mech {
        match self.what {
            "wrap" | "unwrap" => {
                self.case.mech_of(self.held, self.known.all(Keys::Secret)[0].value.len())
            }
            "encapsulate" | "decapsulate" => self.case.mech_to_encapsulate(self.held),
            _ => self.case.mech_of(self.held, self.data.len()),
        }
    }

    fn run(&self) {
        let (p, session, held) = (&self.known.t.p, self.known.session, self.held);
        let template = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
            ulong(CKA_VALUE_LEN, 16),
        ];
        let made = match self.what {
            "sign" => return drop(p.sign(session, self.mech(), held.private, &self.data).unwrap()),
            "verify" => {
                return p
                    .verify(session, self.mech(), held.public, &self.data, &self.input)
                    .unwrap();
            }
            "encrypt" => return drop(crypt(self, Op::Encrypt, held.public, &self.data)),
            "decrypt" => return drop(crypt(self, Op::Decrypt, held.private, &self.input)),
            "digest" => return drop(p.digest(session, self.case.ckm, &self.data).unwrap()),
            "wrap" => {
                return drop(p.wrap(session, self.mech(), held.wraps, wrapped(self)).unwrap());
            }
            "unwrap" => p.unwrap(session, self.mech(), held.unwraps, &self.input, &template),
            "derive" => p.derive_key(session, self.mech(), held.private, &template[2..]),
            "encapsulate" => {
                let template = self.case.encapsulated();
                encapsulate(p, session, self.mech(), held.public, &template).map(|(_, key)| key)
            }
            "decapsulate" => {
                let template = self.case.encapsulated();
                decapsulate(p, session, self.mech(), held.private, &self.input, &template)
            }
            "generate" => p.generate_key(session, self.case.ckm, &template[2..]),
            _ => {
                let public = match self.case.keys {
                    Keys::Rsa => ulong(CKA_MODULUS_BITS, 2048),
                    _ => bytes(CKA_EC_PARAMS, P256),
                };
                let made = p.generate_pair(session, self.case.ckm, &[public], &flags(&[CKA_SIGN]));
                made.map(|(public, private)| {
                    p.destroy(session, public).unwrap();
                    private
                })
            }
        };
        p.destroy(session, made.unwrap()).unwrap();
    }
}

fn crypt(task: &Task, op: Op, key: CK_OBJECT_HANDLE, data: &[u8]) -> Vec<u8> {
    let (p, session) = (&task.known.t.p, task.known.session);
    p.init(op, session, task.mech(), key).unwrap();
    let mut out = vec![0; data.len() + 512];
    let (rv, len) = p.one_shot_raw(op, session, data, Some(&mut out));
    assert_eq!(rv, CKR_OK);
    out.truncate(len);
    out
}

/// The key that is wrapped.
fn wrapped(task: &Task) -> CK_OBJECT_HANDLE {
    task.known.all(Keys::Secret)[0].private
}

/// What a mechanism does, each with its input.
fn tasks<'a>(known: &'a Known, case: &'a Case, held: &'a Held) -> Vec<Task<'a>> {
    let (p, session) = (&known.t.p, known.session);
    let can = p.mechanism_info(OWNER, case.ckm).unwrap().flags;
    let data = case.data(case.lens.last().copied().unwrap_or_default());
    let task = |what, input| Task { what, known, case, held, input, data: data.clone() };
    let mut all = Vec::new();
    if can & CKF_SIGN != 0 {
        let signature = p.sign(session, case.mech(held), held.private, &data).unwrap();
        all.extend([task("sign", vec![]), task("verify", signature)]);
    }
    if can & CKF_ENCRYPT != 0 {
        let encrypts = task("encrypt", vec![]);
        let ciphertext = crypt(&encrypts, Op::Encrypt, held.public, &data);
        all.extend([encrypts, task("decrypt", ciphertext)]);
    }
    if can & CKF_WRAP != 0 {
        let wraps = task("wrap", vec![]);
        let key = p.wrap(session, wraps.mech(), held.wraps, wrapped(&wraps)).unwrap();
        all.extend([wraps, task("unwrap", key)]);
    }
    if can & CKF_ENCAPSULATE != 0 {
        let sends = task("encapsulate", vec![]);
        let template = case.encapsulated();
        let sent = encapsulate(p, session, sends.mech(), held.public, &template).unwrap().0;
        all.extend([sends, task("decapsulate", sent)]);
    }
    let others = [
        (CKF_DERIVE, "derive"),
        (CKF_DIGEST, "digest"),
        (CKF_GENERATE, "generate"),
        (CKF_GENERATE_KEY_PAIR, "generate pair"),
    ];
    all.extend(
        others.into_iter().filter(|(flag, _)| can & flag != 0).map(|(_, what)| task(what, vec![])),
    );
    all
}

/// The key that stands for all that a mechanism takes: P-256, AES-128, a secret of 16 bytes.
fn typical(known: &Known, keys: Keys) -> Held {
    let all = known.all(keys);
    let found = all.iter().find(|held| held.name == "P-256").or(all.first());
    found.map(|held| (*held).clone()).unwrap_or_default()
}

/// `measure` of everything that every mechanism does, by mechanism and operation.
fn each<T>(
    known: &Known,
    mut measure: impl FnMut(&Task) -> T,
) -> BTreeMap<(CK_MECHANISM_TYPE, &'static str), T> {
    let mut all = BTreeMap::new();
    for case in known.t.p.mechanisms(OWNER).unwrap().into_iter().filter_map(case) {
        let held = typical(known, case.keys);
        for task in tasks(known, &case, &held) {
            task.run();
            all.insert((case.ckm, task.what), measure(&task));
        }
    }
    all
}

/// Operations per second.
fn rate(mut run: impl FnMut()) -> f64 {
    let (start, mut done) = (Instant::now(), 0u32);
    while done < 3 || start.elapsed() < ENOUGH {
        run();
        done += 1;
    }
    f64::from(done) / start.elapsed().as_secs_f64()
}

/// Commands on the bus.
fn counted(proxy: &Proxy, run: impl FnOnce()) -> usize {
    proxy.reset();
    run();
    proxy.commands().len()
}

fn megabyte(known: &Known, ckm: CK_MECHANISM_TYPE) {
    let case = case(ckm).unwrap();
    let held = typical(known, case.keys);
    let task = Task {
        what: "encrypt",
        known,
        case: &case,
        held: &held,
        input: Vec::new(),
        data: vec![7; MEGABYTE],
    };
    task.run();
}

const BULK: [CK_MECHANISM_TYPE; 9] = [
    CKM_AES_ECB,
    CKM_AES_CBC,
    CKM_AES_CBC_PAD,
    CKM_AES_CTR,
    CKM_AES_OFB,
    CKM_AES_CFB128,
    CKM_AES_CTS,
    CKM_AES_GCM,
    CKM_AES_CCM,
];

fn main() {
    let names = names();
    let name = |ckm| names.get(&ckm).copied().unwrap_or("?");
    let (rig, proxy) = Rig::tapped();
    let known = Known::on(Token::on(rig, OWNER));
    let counts = each(&known, |task| counted(&proxy, || task.run()));
    let bulk_counts = BULK.map(|ckm| {
        // Loads the key.
        let held = typical(&known, Keys::Aes);
        let ecb = Mech::plain(CKM_AES_ECB);
        known.t.p.encrypt(known.session, ecb, held.public, &[0; 16]).unwrap();
        counted(&proxy, || megabyte(&known, ckm))
    });
    known.t.p.finalize().unwrap();
    let known = Known::new();
    let rates = each(&known, |task| rate(|| task.run()));

    println!("\n## Mechanisms\n");
    println!(
        "With RSA-2048, P-256, AES-128 and secrets of 16 bytes; the longest data of each case in"
    );
    println!("tests/common/cases.rs.\n");
    println!("| mechanism | operation | per second | TPM commands |\n|---|---|---|---|");
    for ((ckm, what), commands) in &counts {
        let rate = rates.get(&(*ckm, *what)).copied().unwrap_or_default();
        println!("| {} | {what} | {rate:.0} | {commands} |", name(*ckm));
    }
    println!("\n## A megabyte\n");
    println!("| mechanism | MB per second | TPM commands |\n|---|---|---|");
    for (ckm, commands) in BULK.into_iter().zip(bulk_counts) {
        let rate = rate(|| megabyte(&known, ckm));
        println!("| {} | {rate:.2} | {commands} |", name(ckm));
    }
    known.t.p.finalize().unwrap();
}
