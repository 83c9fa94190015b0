//! Runs sequences against the module: the tokens, made once, and a fresh store for each case.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use cryptoki_sys::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;

use super::call::{Call, SLOTS, sequences};
use super::drive;
use super::state::Model;
use super::step::{Kind, Step};
use crate::common::fixture::{P256, PIN, Rig, SO_PIN, make_token, rsa_pair};
use crate::common::p11::*;

/// How many sequences a share has, and how long each is.
const CASES: u32 = 500;
const CALLS: usize = 50;

/// The values of each token's secret keys.
const AES_KEY: &[u8] = b"sixteen secrets!";
const KEK: &[u8] = b"wraps and opens.";
const GENERIC_KEY: &[u8] = b"what MACs are made with";

/// Two tokens with a key pair or key of each type, and what was in the store when they were made.
pub struct Bench {
    p: P11,
    rig: Rig,
    beginning: Model,
    /// The store's files.
    snapshot: Vec<(PathBuf, Vec<u8>)>,
    /// Of each call, how often it went well and how often it was refused.
    tally: RefCell<BTreeMap<String, (u32, u32)>>,
}

impl Bench {
    pub fn new() -> Self {
        let mut rig = Rig::new();
        // A hundred thousand calls do not wait for a disk, where there is a directory in memory.
        if let Ok(store) = TempDir::new_in("/dev/shm") {
            rig.set("HIERARKEY_STORE", store.path().to_str().unwrap());
            let none = store.path().join("no.toml");
            std::fs::write(&none, "").unwrap();
            rig.set("HIERARKEY_CONF", none.to_str().unwrap());
            rig.store = store;
        }
        // Wrong PINs are part of the play: none is counted for longer than a moment.
        rig.tpm.set_lockout(1_000_000, 0);
        let p = P11::start();
        let mut beginning = Model::new(&SLOTS, SO_PIN, PIN, "test token");
        for slot in SLOTS {
            make_token(&p, slot);
            let session = p.rw(slot);
            p.login(session, CKU_USER, PIN).unwrap();
            let pairs = [rsa_pair(&p, session, b"rsa", true), ec_pair(&p, session)];
            for (public, private) in pairs {
                let keys = [public, private].map(|key| drive::read(&p, session, key));
                beginning.add_key(slot, &keys, None);
            }
            // In DER, an octet string: two bytes before the point.
            let point = p.get(session, pairs[1].0, CKA_EC_POINT).unwrap().split_off(2);
            beginning.points.insert(beginning.pairs, point);
            for (public, private) in asking_pairs(&p, session) {
                let keys = [public, private].map(|key| drive::read(&p, session, key));
                beginning.add_key(slot, &keys, None);
            }
            for (key, value) in secret_keys(&p, session) {
                beginning.add_key(slot, &[drive::read(&p, session, key)], Some(value));
            }
        }
        p.finalize().unwrap();
        let snapshot = files(rig.path());
        Self { p, rig, beginning, snapshot, tally: RefCell::default() }
    }

    /// The library and the store as they were.
    fn reset(&self) {
        match self.p.finalize() {
            Ok(()) | Err(CKR_CRYPTOKI_NOT_INITIALIZED) => {}
            Err(rv) => panic!("C_Finalize: 0x{rv:x}"),
        }
        for (path, _) in files(self.rig.path()) {
            std::fs::remove_file(path).unwrap();
        }
        for (path, bytes) in &self.snapshot {
            std::fs::write(path, bytes).unwrap();
        }
        self.p.initialize().unwrap();
    }

    /// One case, from the beginning.
    pub fn play(&self, calls: &[Call]) -> Result<(), Difference> {
        self.reset();
        let mut model = self.beginning.clone();
        let mut story = String::new();
        for (place, call) in calls.iter().enumerate() {
            for step in model.resolve(call) {
                let answer = drive::perform(&self.p, &model, &step);
                self.count(&step, answer.rv);
                story += &format!("{step:?}\n    -> 0x{:x} {:?}\n", answer.rv, answer.given);
                if let Err(why) = model.judge(&step, &answer) {
                    self.count(&step, answer.rv);
                    story += &format!("    !! {why}\n");
                    return Err(Difference { place, story });
                }
            }
        }
        Ok(())
    }
}

impl Bench {
    fn count(&self, step: &Step, rv: CK_RV) {
        let name = match step {
            Step::Login { user: CKU_CONTEXT_SPECIFIC, .. } => "Prove".into(),
            Step::Begin { kind, .. } => format!("C_{kind:?}Init"),
            Step::OneShot { kind, .. } => format!("C_{kind:?}"),
            Step::Message { encrypts, call, .. } => {
                let kind = if *encrypts { Kind::Encrypt } else { Kind::Decrypt };
                format!("C_Message{kind:?} {}", first_word(call))
            }
            Step::Signed { kind, call, .. } => format!("C_Message{kind:?} {}", first_word(call)),
            Step::VerifyKnown { data, .. } => {
                let end = if data.is_some() { "" } else { "Final" };
                format!("C_VerifySignature{end}")
            }
            Step::Key { call, .. } => first_word(call),
            Step::Dual { dual, .. } => format!("C_{dual:?}Update"),
            Step::Final { kind, .. } => format!("C_{kind:?}Final"),
            Step::Update { kind, .. } => format!("C_{kind:?}Update"),
            _ => first_word(step),
        };
        let mut tally = self.tally.borrow_mut();
        let (well, refused) = tally.entry(name).or_default();
        *if rv == CKR_OK { well } else { refused } += 1;
    }

    /// That the sequences met what they are for: each call was tried, went well and was refused.
    fn assert_thorough(&self) {
        let tally = self.tally.borrow();
        assert!(tally.len() >= 85, "not all calls were made: {tally:#?}");
        for (name, (well, refused)) in tally.iter() {
            assert!(*well > 0, "{name} never went well: {tally:#?}");
            // Nothing here stands in its way.
            let always = name == "Finalize";
            assert!(*refused > 0 || always, "{name} was never refused: {tally:#?}");
        }
    }
}

/// The name of a call.
fn first_word(call: &impl Debug) -> String {
    let all = format!("{call:?}");
    all.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().into()
}

/// Where the module and the model differ.
pub struct Difference {
    /// The call's index in its sequence.
    place: usize,
    /// All steps up to there, and what was answered.
    story: String,
}

/// Leaves out of a sequence that fails what it fails without: ever smaller stretches of it. Gives
/// the sequence and what it fails with.
fn shrink(bench: &Bench, mut calls: Vec<Call>, mut seen: Difference) -> (Vec<Call>, Difference) {
    calls.truncate(seen.place + 1);
    let mut stretch = calls.len() / 2;
    while stretch > 0 {
        let mut from = 0;
        let mut smaller = false;
        while from < calls.len() {
            let mut fewer = calls.clone();
            fewer.drain(from..(from + stretch).min(calls.len()));
            if let Err(difference) = bench.play(&fewer) {
                fewer.truncate(difference.place + 1);
                (calls, seen, smaller) = (fewer, difference, true);
            } else {
                from += stretch;
            }
        }
        if !smaller || stretch > 1 {
            stretch /= 2;
        }
    }
    (calls, seen)
}

/// An EC pair that signs, and agrees on secrets.
fn ec_pair(p: &P11, session: CK_SESSION_HANDLE) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let label = bytes(CKA_LABEL, b"pair");
    let public = [CKA_TOKEN, CKA_VERIFY].map(|on| flag(on, true));
    let public = [&public[..], &[bytes(CKA_EC_PARAMS, P256), label.clone()]].concat();
    let private = [CKA_TOKEN, CKA_PRIVATE, CKA_SIGN, CKA_DERIVE].map(|on| flag(on, true));
    let private = [&private[..], &[label]].concat();
    p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).unwrap()
}

/// An EC and an RSA pair whose private keys ask for the PIN at each use.
fn asking_pairs(p: &P11, session: CK_SESSION_HANDLE) -> [(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE); 2] {
    let on = |kinds: &[CK_ATTRIBUTE_TYPE]| kinds.iter().map(|it| flag(*it, true)).collect();
    let make = |ckm, public: &[_], own, private: &[_]| {
        let mut public: Vec<Attr> = on(public);
        public.push(own);
        let asks = on(&[CKA_TOKEN, CKA_PRIVATE, CKA_SIGN, CKA_ALWAYS_AUTHENTICATE]);
        p.generate_pair(session, ckm, &public, &[asks, on(private)].concat()).unwrap()
    };
    let (ec, rsa) = (bytes(CKA_EC_PARAMS, P256), ulong(CKA_MODULUS_BITS, 2048));
    [
        make(CKM_EC_KEY_PAIR_GEN, &[CKA_TOKEN, CKA_VERIFY], ec, &[]),
        make(CKM_RSA_PKCS_KEY_PAIR_GEN, &[CKA_TOKEN, CKA_VERIFY, CKA_ENCRYPT], rsa, &[CKA_DECRYPT]),
    ]
}

/// An AES key, one that wraps, and one for HMACs and derivations that may leave; with their values.
fn secret_keys(p: &P11, session: CK_SESSION_HANDLE) -> [(CK_OBJECT_HANDLE, &'static [u8]); 3] {
    let key = |key_type: CK_KEY_TYPE, value: &'static [u8], usages: &[CK_ATTRIBUTE_TYPE]| {
        let numbers = [ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, key_type)];
        let on = [&[CKA_TOKEN, CKA_PRIVATE], usages].concat();
        let on: Vec<Attr> = on.into_iter().map(|on| flag(on, true)).collect();
        let open = key_type == CKK_GENERIC_SECRET;
        let open = [flag(CKA_EXTRACTABLE, open), flag(CKA_SENSITIVE, !open)];
        let named = [bytes(CKA_VALUE, value), bytes(CKA_LABEL, b"pair")];
        (p.create(session, &[&numbers[..], &on, &open, &named].concat()).unwrap(), value)
    };
    [
        key(CKK_AES, AES_KEY, &[CKA_SIGN, CKA_VERIFY, CKA_ENCRYPT, CKA_DECRYPT]),
        key(CKK_AES, KEK, &[CKA_WRAP, CKA_UNWRAP]),
        key(CKK_GENERIC_SECRET, GENERIC_KEY, &[CKA_SIGN, CKA_VERIFY, CKA_DERIVE]),
    ]
}

/// All files below a directory, with what is in them.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![(path.clone(), std::fs::read(&path).unwrap())],
        })
        .collect()
}

/// A share of the random sequences.
pub fn random_sequences(share: u8) {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let full = std::env::var("HIERARKEY_TEST_SIZE").as_deref() == Ok("full");
    let cases = number("HIERARKEY_MODEL_CASES").map_or(CASES, |cases| cases as u32);
    let calls = number("HIERARKEY_MODEL_CALLS").map_or(CALLS, |calls| calls as usize);
    let seed = number("HIERARKEY_MODEL_SEED").unwrap_or_else(rand_seed);
    println!("HIERARKEY_MODEL_SEED={seed}");

    let cases = if full { cases * 10 } else { cases };
    // Proptest only makes the sequences: `shrink` knows better what to leave out.
    let mut bytes = [share; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = sequences(calls);
    let bench = Bench::new();
    for case in 0..cases {
        let sequence = strategy.new_tree(&mut runner).unwrap().current();
        if let Err(difference) = bench.play(&sequence) {
            let (calls, Difference { story, .. }) = shrink(&bench, sequence, difference);
            panic!("HIERARKEY_MODEL_SEED={seed}, share {share}, case {case}:\n{story}\n{calls:?}");
        }
    }
    println!("{:?}", bench.tally.borrow());
    if cases >= CASES && calls >= CALLS {
        bench.assert_thorough();
    }
}

/// Another one each time.
fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
