//! Every way an operation goes on or ends: conformance statements 45, 59, 73 to 76, 79, 80, 82,
//! 85, 110.

mod common;

use common::calls::*;
use common::fixture::*;
use common::p11::*;
use common::return_values::{name, place};
use cryptoki_sys::*;

const DATA: &[u8] = b"what the operation is fed";
/// More than a PKCS#1 padding of 2048 bits has room for, and not the size of a block.
const TOO_LONG: usize = 255;

/// An operation: what its functions are called, its mechanism, and whether it takes parts.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    verb: &'static str,
    ckm: CK_MECHANISM_TYPE,
    parts: bool,
}

const fn kind(verb: &'static str, ckm: CK_MECHANISM_TYPE, parts: bool) -> Kind {
    Kind { verb, ckm, parts }
}

const DIGEST: Kind = kind("Digest", CKM_SHA256, true);
const SIGN: Kind = kind("Sign", CKM_ECDSA_SHA256, true);
const SIGN_RSA: Kind = kind("Sign", CKM_SHA256_RSA_PKCS, true);
const SIGN_ONCE: Kind = kind("Sign", CKM_RSA_PKCS, false);
const ENCRYPT: Kind = kind("Encrypt", CKM_RSA_PKCS, false);
const DECRYPT: Kind = kind("Decrypt", CKM_RSA_PKCS, false);
const VERIFY: Kind = kind("Verify", CKM_ECDSA_SHA256, true);
const VERIFY_ONCE: Kind = kind("Verify", CKM_RSA_PKCS, false);

const WITH_OUTPUT: [Kind; 6] = [DIGEST, SIGN, SIGN_RSA, SIGN_ONCE, ENCRYPT, DECRYPT];
const VERIFICATIONS: [Kind; 2] = [VERIFY, VERIFY_ONCE];

/// Where a call's output goes.
#[derive(Clone, Copy, Debug)]
enum To {
    /// Nowhere: NULL, to learn the length.
    Query,
    /// One byte less than it takes.
    Small,
    Room,
    /// NULL for the length.
    NoLength,
}

/// The signature a verification is given.
#[derive(Clone, Copy, Debug)]
enum Given {
    Good,
    Wrong,
    Short,
    Null,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Whole(To),
    WholeOfNull(To),
    WholeTooLong,
    Part,
    EmptyPart,
    PartOfNull,
    Final(To),
    VerifyWhole(Given),
    VerifyFinal(Given),
    InitAgain,
    InitAnother,
    InitNull,
    Cancel,
    CancelOthers,
    CancelNothing,
    /// The calls of another kind, which has not begun.
    AnotherKind,
    InAnotherSession,
}
use Step::*;

struct Bench {
    s: Scene,
    other: CK_SESSION_HANDLE,
}

struct Case(&'static [Step], CK_RV, Life);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    GoesOn,
    Ended,
}
use Life::{Ended, GoesOn};

const ANY: &[Case] = &[
    Case(&[InitAgain], CKR_OPERATION_ACTIVE, GoesOn),
    Case(&[InitAnother], CKR_OPERATION_ACTIVE, GoesOn),
    Case(&[InitNull], CKR_OK, Ended),
    Case(&[Cancel], CKR_OK, Ended),
    Case(&[CancelOthers], CKR_OK, GoesOn),
    Case(&[CancelNothing], CKR_OK, GoesOn),
    Case(&[AnotherKind], CKR_OPERATION_NOT_INITIALIZED, GoesOn),
    Case(&[InAnotherSession], CKR_OPERATION_NOT_INITIALIZED, GoesOn),
];

const OUTPUT: &[Case] = &[
    Case(&[Whole(To::Query)], CKR_OK, GoesOn),
    Case(&[Whole(To::Small)], CKR_BUFFER_TOO_SMALL, GoesOn),
    Case(&[Whole(To::Query), Whole(To::Query), Whole(To::Small)], CKR_BUFFER_TOO_SMALL, GoesOn),
    Case(&[Whole(To::Room)], CKR_OK, Ended),
    Case(&[Whole(To::Small), Whole(To::Room)], CKR_OK, Ended),
    Case(&[Whole(To::NoLength)], CKR_ARGUMENTS_BAD, Ended),
    Case(&[WholeOfNull(To::Room)], CKR_ARGUMENTS_BAD, Ended),
    Case(&[WholeOfNull(To::Query)], CKR_ARGUMENTS_BAD, Ended),
    Case(&[Whole(To::Query), Part], CKR_OPERATION_ACTIVE, Ended),
    Case(&[Whole(To::Query), Final(To::Room)], CKR_OPERATION_ACTIVE, Ended),
    Case(&[Whole(To::Query), Final(To::Query)], CKR_OPERATION_ACTIVE, Ended),
    Case(&[Whole(To::Query), Cancel], CKR_OK, Ended),
];

const OUTPUT_IN_PARTS: &[Case] = &[
    Case(&[Part], CKR_OK, GoesOn),
    Case(&[EmptyPart], CKR_OK, GoesOn),
    Case(&[PartOfNull], CKR_ARGUMENTS_BAD, Ended),
    Case(&[Part, Final(To::Query)], CKR_OK, GoesOn),
    Case(&[Part, Final(To::Small)], CKR_BUFFER_TOO_SMALL, GoesOn),
    Case(&[Part, Final(To::Query), Final(To::Small)], CKR_BUFFER_TOO_SMALL, GoesOn),
    Case(&[Part, Final(To::Room)], CKR_OK, Ended),
    Case(&[Part, Final(To::Small), Final(To::Room)], CKR_OK, Ended),
    Case(&[Final(To::Room)], CKR_OK, Ended),
    Case(&[Part, Final(To::NoLength)], CKR_ARGUMENTS_BAD, Ended),
    Case(&[Part, Whole(To::Room)], CKR_OPERATION_ACTIVE, Ended),
    Case(&[Part, Whole(To::Query)], CKR_OPERATION_ACTIVE, Ended),
    Case(&[Part, InitNull], CKR_OK, Ended),
    Case(&[Part, Cancel], CKR_OK, Ended),
    Case(&[Part, InitAgain], CKR_OPERATION_ACTIVE, GoesOn),
];

const OUTPUT_AT_ONCE: &[Case] = &[
    Case(&[Part], CKR_FUNCTION_NOT_SUPPORTED, Ended),
    Case(&[EmptyPart], CKR_FUNCTION_NOT_SUPPORTED, Ended),
    Case(&[PartOfNull], CKR_ARGUMENTS_BAD, Ended),
    Case(&[Final(To::Room)], CKR_FUNCTION_NOT_SUPPORTED, Ended),
    Case(&[Final(To::Query)], CKR_FUNCTION_NOT_SUPPORTED, Ended),
];

const VERIFYING: &[Case] = &[
    Case(&[VerifyWhole(Given::Good)], CKR_OK, Ended),
    Case(&[VerifyWhole(Given::Wrong)], CKR_SIGNATURE_INVALID, Ended),
    Case(&[VerifyWhole(Given::Short)], CKR_SIGNATURE_LEN_RANGE, Ended),
    Case(&[VerifyWhole(Given::Null)], CKR_ARGUMENTS_BAD, Ended),
    Case(&[PartOfNull], CKR_ARGUMENTS_BAD, Ended),
];

const VERIFYING_IN_PARTS: &[Case] = &[
    Case(&[Part], CKR_OK, GoesOn),
    Case(&[EmptyPart, Part], CKR_OK, GoesOn),
    Case(&[Part, VerifyFinal(Given::Good)], CKR_OK, Ended),
    Case(&[Part, VerifyFinal(Given::Wrong)], CKR_SIGNATURE_INVALID, Ended),
    Case(&[Part, VerifyFinal(Given::Short)], CKR_SIGNATURE_LEN_RANGE, Ended),
    Case(&[Part, VerifyFinal(Given::Null)], CKR_ARGUMENTS_BAD, Ended),
    Case(&[VerifyFinal(Given::Good)], CKR_SIGNATURE_INVALID, Ended),
    Case(&[Part, VerifyWhole(Given::Good)], CKR_OPERATION_ACTIVE, Ended),
    Case(&[Part, Cancel], CKR_OK, Ended),
];

const VERIFYING_AT_ONCE: &[Case] = &[
    Case(&[Part], CKR_FUNCTION_NOT_SUPPORTED, Ended),
    Case(&[VerifyFinal(Given::Good)], CKR_FUNCTION_NOT_SUPPORTED, Ended),
];

impl Bench {
    fn new() -> Self {
        let s = Scene::new();
        let other = s.t.p.ro(s.t.slot);
        Self { s, other }
    }

    fn p(&self) -> &P11 {
        &self.s.t.p
    }

    fn key(&self, kind: Kind) -> CK_OBJECT_HANDLE {
        let pair = if kind.ckm == CKM_ECDSA_SHA256 { self.s.ec } else { self.s.rsa };
        if ["Sign", "Decrypt"].contains(&kind.verb) { pair.1 } else { pair.0 }
    }

    /// `C_…Init` with the kind's mechanism and key, or with NULL.
    fn init(&self, kind: Kind, null: bool) -> CK_RV {
        let mut mechanism = Mech::plain(kind.ckm).raw();
        let mechanism = if null { 0 } else { (&raw mut mechanism).expose_provenance() };
        let arguments = [self.s.session as usize, mechanism, self.key(kind) as usize];
        let arguments = if kind == DIGEST { &arguments[..2] } else { &arguments };
        call(self.p(), place(&format!("C_{}Init", kind.verb)), arguments)
    }

    fn flag(kind: Kind) -> CK_FLAGS {
        match kind.verb {
            "Digest" => CKF_DIGEST,
            "Sign" => CKF_SIGN,
            "Encrypt" => CKF_ENCRYPT,
            "Decrypt" => CKF_DECRYPT,
            _ => CKF_VERIFY,
        }
    }

    fn cancel(&self, flags: CK_FLAGS) -> CK_RV {
        call(self.p(), place("C_SessionCancel"), &[self.s.session as usize, flags as usize])
    }

    /// What a kind's whole call is given.
    fn input(&self, kind: Kind) -> Vec<u8> {
        if kind.verb != "Decrypt" {
            return DATA.to_vec();
        }
        let mech = Mech::plain(kind.ckm);
        self.p().encrypt(self.other, mech, self.s.rsa.0, DATA).unwrap()
    }

    fn signature(&self, kind: Kind, given: Given) -> Option<Vec<u8>> {
        let pair = if kind == VERIFY { self.s.ec } else { self.s.rsa };
        let mut signature = self.p().sign(self.other, Mech::plain(kind.ckm), pair.1, DATA).unwrap();
        match given {
            Given::Good => {}
            Given::Wrong => signature[5] ^= 1,
            Given::Short => signature.truncate(20),
            Given::Null => return None,
        }
        Some(signature)
    }

    /// A call with output: its first arguments, and where to. `needed` is the output's length.
    fn output(&self, function: &str, first: &[usize], to: To, needed: usize) -> (CK_RV, Vec<u8>) {
        let mut memory = vec![0xaa_u8; 512];
        let mut len: CK_ULONG = match to {
            To::Small => needed as CK_ULONG - 1,
            _ => memory.len() as CK_ULONG,
        };
        let buffer = match to {
            To::Query => 0,
            _ => memory.as_mut_ptr().expose_provenance(),
        };
        let place_of_len = match to {
            To::NoLength => 0,
            _ => (&raw mut len).expose_provenance(),
        };
        let arguments = [&[self.s.session as usize], first, &[buffer, place_of_len]].concat();
        let rv = call(self.p(), place(function), &arguments);
        if rv != CKR_OK || buffer == 0 {
            assert!(memory.iter().all(|byte| *byte == 0xaa), "{function}: nothing was written");
        }
        if rv == CKR_BUFFER_TOO_SMALL || (rv == CKR_OK && buffer == 0) {
            let bound = len as usize;
            assert!(bound >= needed && bound <= needed + 256, "{function}: {bound} for {needed}");
        }
        let written = if rv == CKR_OK && buffer != 0 { len as usize } else { 0 };
        assert!(memory[written..].iter().all(|byte| *byte == 0xaa), "{function}: not beyond");
        memory.truncate(written);
        (rv, memory)
    }

    fn needed(kind: Kind) -> usize {
        match kind.ckm {
            CKM_SHA256 => 32,
            CKM_ECDSA_SHA256 => 64,
            _ if kind == DECRYPT => DATA.len(),
            _ => 256,
        }
    }

    fn whole(&self, kind: Kind, to: To) -> (CK_RV, Vec<u8>) {
        let input = self.input(kind);
        let first = [input.as_ptr().expose_provenance(), input.len()];
        self.output(&format!("C_{}", kind.verb), &first, to, Self::needed(kind))
    }

    fn finish(&self, kind: Kind, to: To) -> (CK_RV, Vec<u8>) {
        self.output(&format!("C_{}Final", kind.verb), &[], to, Self::needed(kind))
    }

    fn part(&self, kind: Kind, pointer: usize, len: usize) -> CK_RV {
        let function = format!("C_{}Update", kind.verb);
        if kind == ENCRYPT || kind == DECRYPT {
            return self.output(&function, &[pointer, len], To::Room, 1).0;
        }
        call(self.p(), place(&function), &[self.s.session as usize, pointer, len])
    }

    fn step(&self, kind: Kind, step: Step) -> CK_RV {
        let session = self.s.session as usize;
        let data = DATA.as_ptr().expose_provenance();
        let one_shot = format!("C_{}", kind.verb);
        match step {
            Whole(to) => self.whole(kind, to).0,
            WholeOfNull(to) => self.output(&one_shot, &[0, 5], to, Self::needed(kind)).0,
            WholeTooLong => {
                let long = [7; TOO_LONG];
                let first = [long.as_ptr().expose_provenance(), TOO_LONG];
                self.output(&one_shot, &first, To::Room, Self::needed(kind)).0
            }
            Part => self.part(kind, data, DATA.len()),
            EmptyPart => self.part(kind, 0, 0),
            PartOfNull => self.part(kind, 0, 5),
            Final(to) => self.finish(kind, to).0,
            VerifyWhole(given) | VerifyFinal(given) => {
                let signature = self.signature(kind, given);
                let (pointer, len) = match &signature {
                    Some(bytes) => (bytes.as_ptr().expose_provenance(), bytes.len()),
                    None => (0, 64),
                };
                if matches!(step, VerifyFinal(_)) {
                    return call(self.p(), place("C_VerifyFinal"), &[session, pointer, len]);
                }
                let arguments = [session, data, DATA.len(), pointer, len];
                call(self.p(), place("C_Verify"), &arguments)
            }
            InitAgain => self.init(kind, false),
            // One that may not stand beside it.
            InitAnother => self.init(if kind == DIGEST { SIGN } else { other_than(kind) }, false),
            InitNull => self.init(kind, true),
            Cancel => self.cancel(Self::flag(kind)),
            CancelOthers => self.cancel(EVERY_OPERATION & !Self::flag(kind)),
            CancelNothing => self.cancel(0),
            AnotherKind => {
                let other = if kind == DIGEST { SIGN } else { DIGEST };
                assert_eq!(self.part(other, data, DATA.len()), CKR_OPERATION_NOT_INITIALIZED);
                assert_eq!(self.finish(other, To::Room).0, CKR_OPERATION_NOT_INITIALIZED);
                self.whole(other, To::Room).0
            }
            InAnotherSession => {
                let mut memory = [0_u64; 64];
                let memory = memory.as_mut_ptr().expose_provenance();
                let other = self.other as usize;
                call(self.p(), place(&one_shot), &[other, data, DATA.len(), memory, memory])
            }
        }
    }

    /// Whether an operation is active: another of its kind cannot begin.
    fn life(&self, kind: Kind) -> Life {
        match self.init(kind, false) {
            CKR_OPERATION_ACTIVE => GoesOn,
            _ => Ended,
        }
    }

    /// Brings an operation that goes on to its end, which must be the right one. `fed`: in parts.
    fn complete(&self, kind: Kind, fed: Option<&[u8]>, what: &str) {
        if kind.verb == "Verify" {
            let step = match fed {
                None => VerifyWhole(Given::Good),
                Some(_) => VerifyFinal(Given::Good),
            };
            assert_eq!(self.step(kind, step), CKR_OK, "{what}");
            return;
        }
        let (rv, result) = match fed {
            None => self.whole(kind, To::Room),
            Some(_) => self.finish(kind, To::Room),
        };
        assert_eq!(rv, CKR_OK, "{what}");
        let fed = fed.unwrap_or(DATA);
        let (p, other, mech) = (self.p(), self.other, Mech::plain(kind.ckm));
        match kind.verb {
            "Digest" => assert_eq!(result, p.digest(other, kind.ckm, fed).unwrap(), "{what}"),
            "Decrypt" => assert_eq!(result, DATA, "{what}"),
            "Encrypt" => {
                assert_eq!(p.decrypt(other, mech, self.s.rsa.1, &result).unwrap(), DATA, "{what}");
            }
            _ => {
                let public = if kind == SIGN { self.s.ec.0 } else { self.s.rsa.0 };
                p.verify(other, mech, public, fed, &result).unwrap();
            }
        }
        assert_eq!(self.life(kind), Ended, "{what}, and then its end");
        assert_eq!(self.cancel(EVERY_OPERATION), CKR_OK);
    }

    fn check(&self, kind: Kind, Case(steps, told, life): &Case) {
        let what = format!("{kind:?}: {steps:?}");
        assert_eq!(self.init(kind, false), CKR_OK, "{what}");
        let mut fed = None;
        for (at, step) in steps.iter().enumerate() {
            let rv = self.step(kind, *step);
            match step {
                Part => fed = Some(DATA),
                EmptyPart => fed = Some(&b""[..]),
                _ => {}
            }
            if at + 1 == steps.len() {
                assert_eq!(name(rv), name(*told), "{what}");
            } else {
                assert!([CKR_OK, CKR_BUFFER_TOO_SMALL].contains(&rv), "{what}: {rv:#x} at {at}");
            }
        }
        assert_eq!(self.life(kind), *life, "{what}");
        if *life == GoesOn {
            self.complete(kind, fed, &what);
        }
        assert_eq!(self.cancel(EVERY_OPERATION), CKR_OK);
    }
}

/// A kind that does not stand beside this one.
fn other_than(kind: Kind) -> Kind {
    match kind.verb {
        "Sign" => VERIFY,
        "Verify" | "Encrypt" => kind_of_the_other_direction(kind),
        _ => ENCRYPT,
    }
}

fn kind_of_the_other_direction(kind: Kind) -> Kind {
    if kind.verb == "Verify" { SIGN } else { DECRYPT }
}

#[test]
fn c073_c074_c079_c080_c082_every_operation_with_output_ends_when_it_should_and_not_before() {
    let bench = Bench::new();
    for kind in WITH_OUTPUT {
        let more = if kind.parts { OUTPUT_IN_PARTS } else { OUTPUT_AT_ONCE };
        for case in ANY.iter().chain(OUTPUT).chain(more) {
            bench.check(kind, case);
        }
    }
    for (kind, told) in [
        (SIGN_ONCE, CKR_DATA_LEN_RANGE),
        (ENCRYPT, CKR_DATA_LEN_RANGE),
        (DECRYPT, CKR_ENCRYPTED_DATA_LEN_RANGE),
    ] {
        bench.check(kind, &Case(&[WholeTooLong], told, Ended));
    }
}

#[test]
fn c079_c080_c081_c082_every_verification_ends_when_it_should_and_not_before() {
    let bench = Bench::new();
    for kind in VERIFICATIONS {
        let more = if kind.parts { VERIFYING_IN_PARTS } else { VERIFYING_AT_ONCE };
        for case in ANY.iter().chain(VERIFYING).chain(more) {
            bench.check(kind, case);
        }
    }
}

/// Two operations, and then a third: only the four pairs stand together.
#[test]
fn c045_c046_only_the_four_pairs_stand_together() {
    const PAIRS: [(&str, &str); 4] =
        [("Digest", "Encrypt"), ("Decrypt", "Digest"), ("Sign", "Encrypt"), ("Decrypt", "Verify")];
    const SEARCH: Kind = kind("FindObjects", 0, true);
    let kinds = [DIGEST, SIGN, ENCRYPT, DECRYPT, VERIFY, SEARCH];
    let bench = Bench::new();
    let begin = |kind: Kind| match kind {
        SEARCH => bench.p().find_init(bench.s.session, &[]).err().unwrap_or(CKR_OK),
        _ => bench.init(kind, false),
    };
    for a in kinds {
        for b in kinds {
            let pair = [(a.verb, b.verb), (b.verb, a.verb)].iter().any(|pair| PAIRS.contains(pair));
            assert_eq!(begin(a), CKR_OK);
            let expected = if pair { CKR_OK } else { CKR_OPERATION_ACTIVE };
            assert_eq!(begin(b), expected, "{} beside {}", b.verb, a.verb);
            for c in kinds.iter().filter(|_| pair) {
                assert_eq!(begin(*c), CKR_OPERATION_ACTIVE, "{} as a third", c.verb);
            }
            if pair {
                // One half is cancelled and the other goes on.
                assert_eq!(bench.cancel(Bench::flag(a)), CKR_OK);
                assert_eq!((bench.life(a), bench.life(b)), (Ended, GoesOn));
                assert_eq!(bench.cancel(Bench::flag(a)), CKR_OK);
                let fed = b.parts && b.verb != "Verify";
                if fed {
                    assert_eq!(bench.step(b, Part), CKR_OK);
                }
                bench.complete(b, fed.then_some(DATA), b.verb);
            }
            assert_eq!(bench.cancel(EVERY_OPERATION), CKR_OK);
        }
    }
}

#[test]
fn c059_c110_a_logout_and_a_destroyed_key_end_what_needs_the_private_key() {
    for kind in [DIGEST, SIGN, SIGN_ONCE, ENCRYPT, DECRYPT, VERIFY] {
        let private = ["Sign", "Decrypt"].contains(&kind.verb);
        let bench = Bench::new();
        let input = bench.input(kind);
        let first = [input.as_ptr().expose_provenance(), input.len()];
        let one_shot = format!("C_{}", kind.verb);

        // Destroyed by another session: done with the old key, or refused; ended in any case.
        if kind != DIGEST && kind != VERIFY {
            assert_eq!(bench.init(kind, false), CKR_OK);
            bench.p().destroy(bench.other, bench.key(kind)).unwrap();
            let (rv, _) = bench.output(&one_shot, &first, To::Room, Bench::needed(kind));
            let allowed = [CKR_OK, CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID];
            assert!(allowed.contains(&rv), "{kind:?}: {}", name(rv));
            assert_eq!(bench.init(kind, false), CKR_KEY_HANDLE_INVALID, "{kind:?}");
        }
        bench.p().finalize().unwrap();

        let bench = Bench::new();
        for fed in [false, true] {
            if bench.p().state(bench.s.session) == CKS_RW_PUBLIC_SESSION || (fed && !kind.parts) {
                continue;
            }
            assert_eq!(bench.init(kind, false), CKR_OK);
            if fed {
                assert_eq!(bench.step(kind, Part), CKR_OK);
            }
            bench.p().logout(bench.other).unwrap();
            assert_eq!(bench.life(kind), if private { Ended } else { GoesOn }, "{kind:?}");
            let rv = match (private, fed) {
                (_, true) if kind.verb != "Verify" => bench.finish(kind, To::Room).0,
                (true, _) => bench.output(&one_shot, &first, To::Room, Bench::needed(kind)).0,
                (false, _) => bench.cancel(Bench::flag(kind)),
            };
            let told = if private { CKR_OPERATION_NOT_INITIALIZED } else { CKR_OK };
            assert_eq!(name(rv), name(told), "{kind:?}");
        }
        bench.p().finalize().unwrap();
    }
}

#[test]
fn c038_a_closed_session_takes_its_operations_along() {
    let bench = Bench::new();
    for kind in [DIGEST, SIGN, ENCRYPT, DECRYPT, VERIFY] {
        let session = bench.p().rw(OWNER);
        let mut mechanism = Mech::plain(kind.ckm).raw();
        let mechanism = (&raw mut mechanism).expose_provenance();
        let init = place(&format!("C_{}Init", kind.verb));
        let arguments = [session as usize, mechanism, bench.key(kind) as usize];
        assert_eq!(call(bench.p(), init, &arguments), CKR_OK);
        bench.p().close(session).unwrap();
        for function in ["", "Update", "Final"] {
            let at = place(&format!("C_{}{function}", kind.verb));
            let rv = call(bench.p(), at, &[session as usize, 0, 0, 0, 0]);
            assert_eq!(rv, CKR_SESSION_HANDLE_INVALID, "{kind:?} {function}");
        }
        assert_eq!(call(bench.p(), init, &arguments), CKR_SESSION_HANDLE_INVALID);
    }
}

#[test]
fn c113_a_search_ends_by_its_final_or_a_cancel_only() {
    let bench = Bench::new();
    let (p, session) = (bench.p(), bench.s.session);
    let active = || p.find_init(session, &[]) == Err(CKR_OPERATION_ACTIVE);
    p.find_init(session, &[]).unwrap();
    let all = p.find_some(session, 100).unwrap();
    assert!(!all.is_empty() && active());
    assert_eq!(p.find_some(session, 100), Ok(vec![]), "the end");
    assert_eq!(p.find_some(session, 0), Ok(vec![]));
    let mut memory = [0_u64; 8];
    let pointer = memory.as_mut_ptr().expose_provenance();
    let find =
        |objects, count| call(p, place("C_FindObjects"), &[session as usize, objects, 4, count]);
    assert_eq!(find(0, pointer), CKR_ARGUMENTS_BAD);
    assert_eq!(find(pointer, 0), CKR_ARGUMENTS_BAD);
    assert!(active(), "an error of the arguments does not end it");
    assert_eq!(bench.init(DIGEST, false), CKR_OPERATION_ACTIVE);
    p.find_final(session).unwrap();
    assert_eq!(p.find_final(session), Err(CKR_OPERATION_NOT_INITIALIZED));
    assert_eq!(p.find_some(session, 1), Err(CKR_OPERATION_NOT_INITIALIZED));

    // A length that is told wrong takes no handle along.
    p.find_init(session, &[]).unwrap();
    assert_eq!(find(pointer, 0), CKR_ARGUMENTS_BAD);
    assert_eq!(p.find_some(session, 100).unwrap(), all);
    assert_eq!(bench.cancel(CKF_FIND_OBJECTS), CKR_OK);
    assert_eq!(p.find_some(session, 1), Err(CKR_OPERATION_NOT_INITIALIZED));
}

/// The TPM is asked once for one result, however often the caller asks for its length.
#[test]
fn c074_a_short_buffer_costs_the_tpm_nothing() {
    /// TPM2_Sign, TPM2_RSA_Decrypt.
    const ASKS: [u32; 2] = [0x15d, 0x159];
    let (rig, proxy) = Rig::tapped();
    let s = Scene::on(rig);
    let other = s.t.p.ro(s.t.slot);
    let bench = Bench { s, other };
    // Of signing and decrypting; keys that make room for others are another matter.
    let asked =
        || proxy.commands().iter().filter(|(code, rc)| ASKS.contains(code) && *rc == 0).count();
    for kind in [SIGN, SIGN_RSA, SIGN_ONCE, DECRYPT] {
        // Loaded once, for every other time.
        assert_eq!(bench.init(kind, false), CKR_OK);
        assert_eq!(bench.whole(kind, To::Room).0, CKR_OK);
        let input = bench.input(kind);
        let before = asked();
        assert_eq!(bench.init(kind, false), CKR_OK);
        let first = [input.as_ptr().expose_provenance(), input.len()];
        let function = format!("C_{}", kind.verb);
        for to in [To::Query, To::Small, To::Query, To::Small] {
            bench.output(&function, &first, to, Bench::needed(kind));
        }
        assert_eq!(bench.output(&function, &first, To::Room, Bench::needed(kind)).0, CKR_OK);
        assert_eq!(asked() - before, 1, "{kind:?}");
        if kind.parts {
            let before = asked();
            assert_eq!(bench.init(kind, false), CKR_OK);
            assert_eq!(bench.step(kind, Part), CKR_OK);
            for to in [To::Query, To::Small, To::Small] {
                bench.finish(kind, to);
            }
            assert_eq!(bench.finish(kind, To::Room).0, CKR_OK);
            assert_eq!(asked() - before, 1, "{kind:?} in parts");
        }
    }
}
