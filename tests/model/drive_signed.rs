//! Makes calls about messages that are signed and verified, through the module's C ABI.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

use std::ptr;

use cryptoki_sys::*;

use super::drive::{output, raw_answer};
use super::signed::{End, SignedCall};
use super::step::{Answer, Kind};
use crate::common::p11::{P11, into_room};

pub fn signed(p: &P11, session: CK_SESSION_HANDLE, kind: Kind, call: &SignedCall) -> Answer {
    let (list, signs) = (p.list, kind == Kind::Sign);
    let init = |mechanism: *mut CK_MECHANISM, key| unsafe {
        let init = either(signs, list.C_MessageSignInit, list.C_MessageVerifyInit);
        raw_answer(init.unwrap()(session, mechanism, key))
    };
    match call {
        SignedCall::Init { mechanism, key } => init(&mut mechanism.mech().raw(), *key),
        SignedCall::InitNull => init(ptr::null_mut(), 0),
        SignedCall::Begin => {
            let begin = either(signs, list.C_SignMessageBegin, list.C_VerifyMessageBegin).unwrap();
            raw_answer(unsafe { begin(session, ptr::null_mut(), 0) })
        }
        SignedCall::Final => {
            let finish = either(signs, list.C_MessageSignFinal, list.C_MessageVerifyFinal).unwrap();
            raw_answer(unsafe { finish(session) })
        }
        SignedCall::Whole { data, end } => ended(p, session, false, data, end),
        SignedCall::Last { data, end } => ended(p, session, true, data, end),
        SignedCall::Next { data } => {
            let (part, len) = of(data);
            let none = ptr::null_mut();
            raw_answer(unsafe {
                if signs {
                    let next = list.C_SignMessageNext.unwrap();
                    next(session, none, 0, part, len, ptr::null_mut(), ptr::null_mut())
                } else {
                    let next = list.C_VerifyMessageNext.unwrap();
                    next(session, none, 0, part, len, ptr::null_mut(), 0)
                }
            })
        }
    }
}

fn either<T>(signs: bool, sign: T, verify: T) -> T {
    if signs { sign } else { verify }
}

/// A whole message, or the last part of one.
fn ended(p: &P11, session: CK_SESSION_HANDLE, last: bool, data: &[u8], end: &End) -> Answer {
    let list = p.list;
    let (data, len) = of(data);
    let none = ptr::null_mut();
    match end {
        End::Made(room) => output(*room, |out| {
            let call = if last { list.C_SignMessageNext } else { list.C_SignMessage }.unwrap();
            into_room(out, |buffer, room| unsafe {
                call(session, none, 0, data, len, buffer, room)
            })
        }),
        End::Given(signature) => {
            let call = if last { list.C_VerifyMessageNext } else { list.C_VerifyMessage }.unwrap();
            let (signature, signature_len) = of(signature);
            raw_answer(unsafe { call(session, none, 0, data, len, signature, signature_len) })
        }
    }
}

fn of(bytes: &[u8]) -> (CK_BYTE_PTR, CK_ULONG) {
    (bytes.as_ptr().cast_mut(), bytes.len() as CK_ULONG)
}
