//! One session in which an operation of each kind begins, takes a step, and is looked at: does it go
//! on, and does it end as it should?

use cryptoki_sys::*;

use crate::common::calls::*;
use crate::common::p11::*;
use crate::common::return_values::{name, place};

use Life::{Ended, GoesOn};
use Step::*;

pub const DATA: &[u8] = b"what the operation is fed";

/// More than a PKCS#1 padding of 2048 bits has room for, and not the size of a block.
pub const TOO_LONG: usize = 255;

/// An operation: what its functions are called, its mechanism, and whether it takes parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    pub verb: &'static str,
    pub ckm: CK_MECHANISM_TYPE,
    pub parts: bool,
}

pub const fn kind(verb: &'static str, ckm: CK_MECHANISM_TYPE, parts: bool) -> Kind {
    Kind { verb, ckm, parts }
}

pub const DIGEST: Kind = kind("Digest", CKM_SHA256, true);
pub const SIGN: Kind = kind("Sign", CKM_ECDSA_SHA256, true);
pub const SIGN_RSA: Kind = kind("Sign", CKM_SHA256_RSA_PKCS, true);
pub const SIGN_ONCE: Kind = kind("Sign", CKM_RSA_PKCS, false);
pub const ENCRYPT: Kind = kind("Encrypt", CKM_RSA_PKCS, false);
pub const DECRYPT: Kind = kind("Decrypt", CKM_RSA_PKCS, false);
pub const VERIFY: Kind = kind("Verify", CKM_ECDSA_SHA256, true);
pub const VERIFY_ONCE: Kind = kind("Verify", CKM_RSA_PKCS, false);

/// Where a call's output goes.
#[derive(Clone, Copy, Debug)]
pub enum To {
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
pub enum Given {
    Good,
    Wrong,
    Short,
    Null,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
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

pub struct Bench {
    pub s: Scene,
    pub other: CK_SESSION_HANDLE,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Life {
    GoesOn,
    Ended,
}

pub struct Case(pub &'static [Step], pub CK_RV, pub Life);

impl Bench {
    pub fn new() -> Self {
        let s = Scene::new();
        let other = s.t.p.ro(s.t.slot);
        Self { s, other }
    }

    pub fn p(&self) -> &P11 {
        &self.s.t.p
    }

    pub fn key(&self, kind: Kind) -> CK_OBJECT_HANDLE {
        let pair = if kind.ckm == CKM_ECDSA_SHA256 { self.s.ec } else { self.s.rsa };
        if ["Sign", "Decrypt"].contains(&kind.verb) { pair.1 } else { pair.0 }
    }

    /// `C_…Init` with the kind's mechanism and key, or with NULL.
    pub fn init(&self, kind: Kind, null: bool) -> CK_RV {
        let mut mechanism = Mech::plain(kind.ckm).raw();
        let mechanism = if null { 0 } else { (&raw mut mechanism).expose_provenance() };
        let arguments = [self.s.session as usize, mechanism, self.key(kind) as usize];
        let arguments = if kind == DIGEST { &arguments[..2] } else { &arguments };
        call(self.p(), place(&format!("C_{}Init", kind.verb)), arguments)
    }

    pub fn flag(kind: Kind) -> CK_FLAGS {
        match kind.verb {
            "Digest" => CKF_DIGEST,
            "Sign" => CKF_SIGN,
            "Encrypt" => CKF_ENCRYPT,
            "Decrypt" => CKF_DECRYPT,
            _ => CKF_VERIFY,
        }
    }

    pub fn cancel(&self, flags: CK_FLAGS) -> CK_RV {
        call(self.p(), place("C_SessionCancel"), &[self.s.session as usize, flags as usize])
    }

    /// What a kind's whole call is given.
    pub fn input(&self, kind: Kind) -> Vec<u8> {
        if kind.verb != "Decrypt" {
            return DATA.to_vec();
        }
        let mech = Mech::plain(kind.ckm);
        self.p().encrypt(self.other, mech, self.s.rsa.0, DATA).unwrap()
    }

    pub fn signature(&self, kind: Kind, given: Given) -> Option<Vec<u8>> {
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
    pub fn output(
        &self,
        function: &str,
        first: &[usize],
        to: To,
        needed: usize,
    ) -> (CK_RV, Vec<u8>) {
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

    pub fn needed(kind: Kind) -> usize {
        match kind.ckm {
            CKM_SHA256 => 32,
            CKM_ECDSA_SHA256 => 64,
            _ if kind == DECRYPT => DATA.len(),
            _ => 256,
        }
    }

    pub fn whole(&self, kind: Kind, to: To) -> (CK_RV, Vec<u8>) {
        let input = self.input(kind);
        let first = [input.as_ptr().expose_provenance(), input.len()];
        self.output(&format!("C_{}", kind.verb), &first, to, Self::needed(kind))
    }

    pub fn finish(&self, kind: Kind, to: To) -> (CK_RV, Vec<u8>) {
        self.output(&format!("C_{}Final", kind.verb), &[], to, Self::needed(kind))
    }

    pub fn part(&self, kind: Kind, pointer: usize, len: usize) -> CK_RV {
        let function = format!("C_{}Update", kind.verb);
        if kind == ENCRYPT || kind == DECRYPT {
            return self.output(&function, &[pointer, len], To::Room, 1).0;
        }
        call(self.p(), place(&function), &[self.s.session as usize, pointer, len])
    }

    pub fn step(&self, kind: Kind, step: Step) -> CK_RV {
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
    pub fn life(&self, kind: Kind) -> Life {
        match self.init(kind, false) {
            CKR_OPERATION_ACTIVE => GoesOn,
            _ => Ended,
        }
    }

    /// Brings an operation that goes on to its end, which must be the right one. `fed`: in parts.
    pub fn complete(&self, kind: Kind, fed: Option<&[u8]>, what: &str) {
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

    pub fn check(&self, kind: Kind, Case(steps, told, life): &Case) {
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
pub fn other_than(kind: Kind) -> Kind {
    match kind.verb {
        "Sign" => VERIFY,
        "Verify" | "Encrypt" => kind_of_the_other_direction(kind),
        _ => ENCRYPT,
    }
}

pub fn kind_of_the_other_direction(kind: Kind) -> Kind {
    if kind.verb == "Verify" { SIGN } else { DECRYPT }
}
