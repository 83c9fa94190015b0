//! Makes calls that generate, wrap, unwrap and derive keys, through the module's C ABI.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

use cryptoki_sys::*;

use super::derivation::{Derivation, peer};
use super::drive::{born, one, output};
use super::keys::KeyCall;
use super::step::Answer;
use crate::common::derive;
use crate::common::p11::{Mech, P11, into_room};
use crate::common::wrapping::Wrapping;

pub fn key(p: &P11, session: CK_SESSION_HANDLE, call: &KeyCall) -> Answer {
    match call {
        KeyCall::Generate { ckm, template } => {
            born(p, session, one(p.generate_key(session, *ckm, template)))
        }
        KeyCall::Wrap { ckm, with, key, room } => output(*room, |out| {
            let (wrap, mut mechanism) = (p.list.C_WrapKey.unwrap(), Mech::plain(*ckm));
            into_room(out, |buffer, len| unsafe {
                wrap(session, &mut mechanism.raw(), *with, *key, buffer, len)
            })
        }),
        KeyCall::Unwrap { ckm, with, wrapped, template } => {
            let made = p.unwrap(session, Mech::plain(*ckm), *with, wrapped, template);
            born(p, session, one(made))
        }
        KeyCall::Derive { base, by: Derivation::Ecdh, template } => {
            let peer = peer();
            let agreement = (CKD_NULL, &[][..], &peer[..]);
            let made = p.derive(session, CKM_ECDH1_DERIVE, agreement, *base, template);
            born(p, session, one(made))
        }
        KeyCall::Derive { base, by: Derivation::Hkdf(hkdf), template } => {
            let parameter = derive::Hkdf {
                steps: (true, true),
                hash: CKM_SHA256,
                salt: (CKF_HKDF_SALT_DATA, hkdf.salt, 0),
                info: hkdf.info,
            };
            let made = p.hkdf(session, CKM_HKDF_DERIVE, &parameter, *base, template);
            born(p, session, one(made))
        }
    }
}
