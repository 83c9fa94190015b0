//! Which key a choice means that is generated, wrapped, unwrapped or derived.

use cryptoki_sys::*;
use proptest::prelude::*;
use proptest::sample::select;

use super::derivation::{Derivation, Hkdf};
use super::keys::{KeyCall, wrap};
use super::objects::UNKNOWN;
use super::pick::choose;
use super::state::{Model, Object};
use super::step::{Room, Step};
use crate::common::p11::{Attr, bytes, flag, ulong};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAct {
    Generate,
    Wrap,
    Unwrap,
    Derive,
}

impl KeyAct {
    pub const ALL: [Self; 4] = [Self::Generate, Self::Wrap, Self::Unwrap, Self::Derive];

    pub fn any() -> impl Strategy<Value = Self> {
        select(&Self::ALL[..])
    }
}

/// What a choice may have wrong with it.
const UNKNOWN_ATTRIBUTE: u8 = 9;
const OWN_ID: u8 = 10;
const OTHER_CLASS: u8 = 11;
const BAD_FLAG: u8 = 12;
const NO_KEY_TYPE: u8 = 13;
const NO_LENGTH: u8 = 14;
const OTHER_KEY: u8 = 15;

impl Model {
    pub(super) fn pick_key_call(
        &self,
        session: CK_SESSION_HANDLE,
        act: KeyAct,
        which: u8,
        room: Room,
    ) -> Vec<Step> {
        let fault = which % 16;
        let of = |(class, key_type), usage| {
            let fits = |key: &Object| {
                key.class() == class && key.ulong(CKA_KEY_TYPE) == Some(key_type) && key.flag(usage)
            };
            let any = fault == OTHER_KEY && act != KeyAct::Wrap;
            self.choose_key(session, which, |key| any || fits(key))
        };
        let aes = which % 2 == 1;
        let ckm = if which % 4 == 2 { CKM_AES_KEY_WRAP } else { CKM_AES_KEY_WRAP_KWP };
        let call = match act {
            KeyAct::Generate => {
                let ckm = if aes { CKM_AES_KEY_GEN } else { CKM_GENERIC_SECRET_KEY_GEN };
                let len = if aes { 16 } else { 20 };
                let template = template(which, aes, true, Some(len));
                Some(KeyCall::Generate { ckm, template })
            }
            KeyAct::Wrap => {
                let all = fault == OTHER_KEY;
                let target = |key: &Object| {
                    all || key.class() == CKO_SECRET_KEY
                        && key.flag(CKA_EXTRACTABLE) != (fault == NO_LENGTH)
                };
                let target = self.choose_key(session, which / 2, target);
                let with = of((CKO_SECRET_KEY, CKK_AES), CKA_WRAP).zip(target);
                with.map(|(with, key)| KeyCall::Wrap { ckm, with, key, room })
            }
            KeyAct::Unwrap => of((CKO_SECRET_KEY, CKK_AES), CKA_UNWRAP).map(|with| {
                let value = if aes { *b"another 16 bytes" } else { [which; 16] };
                let long = [&value[..], b"and more"].concat();
                let value = if matches!(which % 8, 4 | 6) { &long[..20] } else { &value[..] };
                let mut wrapped = self
                    .handles
                    .get(&with)
                    .and_then(|number| self.secrets.get(&self.objects[*number].pair?))
                    .filter(|secret| secret.len() == 16)
                    .map(|secret| wrap(ckm, secret, value))
                    .unwrap_or(vec![which; 24]);
                if fault == NO_LENGTH {
                    wrapped[3] ^= 1;
                }
                // Zeros for padding are told from the key by its length.
                let len = matches!(which % 8, 1 | 5 | 6).then_some(value.len());
                KeyCall::Unwrap {
                    ckm,
                    with,
                    wrapped,
                    template: template(which, aes, which % 8 < 3, len),
                }
            }),
            KeyAct::Derive => {
                let hkdf = Hkdf {
                    salt: if which.is_multiple_of(3) { b"salt" } else { b"another salt" },
                    info: if which.is_multiple_of(5) { b"" } else { b"info" },
                };
                let len = if aes { 16 } else { 20 };
                let by = if which % 5 == 2 { Derivation::Ecdh } else { Derivation::Hkdf(hkdf) };
                let template = template(which, aes, which % 8 < 5, Some(len));
                let base = of(by.base(), CKA_DERIVE);
                base.map(|base| KeyCall::Derive { base, by, template })
            }
        };
        match call {
            Some(call) => vec![Step::Key { session, call }],
            None => self.look_for_keys(session),
        }
    }

    fn choose_key(
        &self,
        session: CK_SESSION_HANDLE,
        which: u8,
        fits: impl Fn(&Object) -> bool,
    ) -> Option<CK_OBJECT_HANDLE> {
        let slot = self.slot_or_first(session);
        let objects = self.handles.iter().map(|(handle, number)| (handle, &self.objects[*number]));
        let fits = objects.filter(|(_, object)| object.slot == slot && fits(object));
        choose(fits.map(|(handle, _)| *handle).collect(), which)
    }
}

/// The template of a new secret key, with a fault now and then.
fn template(which: u8, aes: bool, open: bool, len: Option<usize>) -> Vec<Attr> {
    let key_type = if aes { CKK_AES } else { CKK_GENERIC_SECRET };
    let fault = which % 16;
    // What is of no type is a generic secret, where it is anything.
    let usages: &[CK_ATTRIBUTE_TYPE] = match aes && fault != NO_KEY_TYPE {
        true => &[CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY],
        false => &[CKA_SIGN, CKA_VERIFY, CKA_DERIVE],
    };
    let class = if fault == OTHER_CLASS { CKO_DATA } else { CKO_SECRET_KEY };
    let mut template = vec![
        ulong(CKA_CLASS, class),
        flag(CKA_TOKEN, fault == 8),
        flag(CKA_PRIVATE, which % 32 != 7),
        flag(CKA_SENSITIVE, !open),
        flag(CKA_EXTRACTABLE, open),
        bytes(CKA_LABEL, b"made"),
    ];
    template.extend(usages.iter().map(|usage| flag(*usage, true)));
    if fault != NO_KEY_TYPE {
        template.push(ulong(CKA_KEY_TYPE, key_type));
    }
    if let Some(len) = len.filter(|_| fault != NO_LENGTH) {
        template.push(ulong(CKA_VALUE_LEN, len as CK_ULONG));
    }
    match fault {
        UNKNOWN_ATTRIBUTE => template.push(bytes(UNKNOWN, b"?")),
        OWN_ID => template.push(bytes(CKA_UNIQUE_ID, b"mine")),
        BAD_FLAG => template[1] = bytes(CKA_TOKEN, b""),
        _ => {}
    }
    template
}
