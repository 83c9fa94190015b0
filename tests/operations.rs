//! Every way an operation goes on or ends: conformance statements 45, 59, 73 to 76, 79, 80, 82,
//! 85, 110.

#[path = "operations/bench.rs"]
mod bench;
mod common;

use bench::Life::{Ended, GoesOn};
use bench::Step::*;
use bench::*;
use common::calls::*;
use common::fixture::*;
use common::p11::*;
use common::return_values::{name, place};
use cryptoki_sys::*;

const WITH_OUTPUT: [Kind; 6] = [DIGEST, SIGN, SIGN_RSA, SIGN_ONCE, ENCRYPT, DECRYPT];
const VERIFICATIONS: [Kind; 2] = [VERIFY, VERIFY_ONCE];

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
