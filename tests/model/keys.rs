//! The model's rules about secret keys that are generated, wrapped, unwrapped and derived. It knows
//! what each of them comes to.

use std::collections::BTreeMap;

use aes_kw::KekAes128;
use cryptoki_sys::*;

use super::derivation::Derivation;
use super::judge::{Rules, Verdict, check};
use super::mechanism::SHA256_LEN;
use super::objects::{UNKNOWN, bad_flags, born, collect};
use super::state::{Model, Object};
use super::step::{Answer, Born, Given, READ, Room};
use crate::common::p11::Attr;

/// Bytes of a semiblock.
const HALF: usize = 8;

/// A call that makes a key or gives one away.
#[derive(Clone, Debug)]
pub enum KeyCall {
    Generate { ckm: CK_MECHANISM_TYPE, template: Vec<Attr> },
    Wrap { ckm: CK_MECHANISM_TYPE, with: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, room: Room },
    Unwrap { ckm: CK_MECHANISM_TYPE, with: CK_OBJECT_HANDLE, wrapped: Vec<u8>, template: Vec<Attr> },
    Derive { base: CK_OBJECT_HANDLE, by: Derivation, template: Vec<Attr> },
}

/// What CKM_AES_KEY_WRAP, which pads with zeros, or CKM_AES_KEY_WRAP_KWP makes of a key.
pub fn wrap(ckm: CK_MECHANISM_TYPE, with: &[u8], key: &[u8]) -> Vec<u8> {
    let kek = KekAes128::try_from(with).expect("an AES-128 key");
    let mut padded = key.to_vec();
    padded.resize(key.len().next_multiple_of(HALF), 0);
    match ckm {
        CKM_AES_KEY_WRAP => kek.wrap_vec(&padded),
        _ => kek.wrap_with_padding_vec(key),
    }
    .expect("a key of 16 bytes or more")
}

/// The key that was wrapped. Of zeros that may be padding the template's length says how many are.
fn unwrap(
    ckm: CK_MECHANISM_TYPE,
    with: &[u8],
    wrapped: &[u8],
    said: Option<usize>,
) -> Option<Vec<u8>> {
    let kek = KekAes128::try_from(with).expect("an AES-128 key");
    if ckm != CKM_AES_KEY_WRAP {
        return kek.unwrap_with_padding_vec(wrapped).ok();
    }
    let mut key = kek.unwrap_vec(wrapped).ok()?;
    let padded = said.filter(|len| len.next_multiple_of(HALF) == key.len());
    key.truncate(padded.unwrap_or(key.len()));
    Some(key)
}

/// What a new key has that its template does not say.
#[derive(Clone, Copy, Default)]
struct Past {
    local: bool,
    always_sensitive: bool,
    never_extractable: bool,
}

/// What a key is used for here, and how its function says that it is no key, or not for that.
struct Use {
    class: CK_OBJECT_CLASS,
    key_type: CK_KEY_TYPE,
    usage: CK_ATTRIBUTE_TYPE,
    no_key: CK_RV,
    unfit: CK_RV,
}

const WRAP: Use = Use {
    class: CKO_SECRET_KEY,
    key_type: CKK_AES,
    usage: CKA_WRAP,
    no_key: CKR_WRAPPING_KEY_HANDLE_INVALID,
    unfit: CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
};
const UNWRAP: Use = Use {
    class: CKO_SECRET_KEY,
    key_type: CKK_AES,
    usage: CKA_UNWRAP,
    no_key: CKR_UNWRAPPING_KEY_HANDLE_INVALID,
    unfit: CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
};

/// The class and type of the key that it begins with.
fn derive(by: Derivation) -> Use {
    let (class, key_type) = by.base();
    Use {
        class,
        key_type,
        usage: CKA_DERIVE,
        no_key: CKR_KEY_HANDLE_INVALID,
        unfit: CKR_KEY_TYPE_INCONSISTENT,
    }
}

type Asked = BTreeMap<CK_ATTRIBUTE_TYPE, Vec<u8>>;

impl Model {
    pub(super) fn judge_key(
        &mut self,
        session: CK_SESSION_HANDLE,
        call: &KeyCall,
        answer: &Answer,
    ) -> Verdict {
        match call {
            KeyCall::Generate { ckm, template } => {
                self.generate_key(session, *ckm, template, answer)
            }
            KeyCall::Wrap { ckm, with, key, room } => {
                self.wrap_key(session, *ckm, (*with, *key), *room, answer)
            }
            KeyCall::Unwrap { ckm, with, wrapped, template } => {
                self.unwrap_key(session, *ckm, (*with, wrapped), template, answer)
            }
            KeyCall::Derive { base, by, template } => {
                self.derive_key(session, *base, *by, template, answer)
            }
        }
    }

    fn generate_key(
        &mut self,
        session: CK_SESSION_HANDLE,
        ckm: CK_MECHANISM_TYPE,
        template: &[Attr],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        let mut asked = self.new_secret(session, template, &mut rules);
        let key_type = if ckm == CKM_AES_KEY_GEN { CKK_AES } else { CKK_GENERIC_SECRET };
        let said = asked.insert(CKA_KEY_TYPE, key_type.to_ne_bytes().to_vec());
        let other = said.is_some_and(|said| said != key_type.to_ne_bytes());
        let len = value_len(&asked);
        let unfit = len.is_some_and(|len| !fits(key_type, len));
        rules
            .must(other, CKR_TEMPLATE_INCONSISTENT)
            .must(len.is_none(), CKR_TEMPLATE_INCOMPLETE)
            .must(unfit, CKR_ATTRIBUTE_VALUE_INVALID)
            .must(unfit, CKR_KEY_SIZE_RANGE);
        if !rules.judge(answer.rv)? {
            return Ok(());
        }
        let [key] = born(answer)?;
        let value = key.attributes.iter().find(|(kind, _)| *kind == CKA_VALUE);
        let value = value.map(|(_, value)| value.clone()).unwrap_or_default();
        check(Some(value.len()) == len, || format!("the new key is {value:?}"))?;
        let again = self.secrets.values().any(|other| other == &value);
        check(!again, || format!("the new key is no new one: {value:?}"))?;
        let is = |kind| asked.get(&kind).is_some_and(|value| value == &[1]);
        let past = Past {
            local: true,
            always_sensitive: is(CKA_SENSITIVE),
            never_extractable: !is(CKA_EXTRACTABLE),
        };
        self.bear_secret(session, key, asked, past, value)
    }

    fn wrap_key(
        &self,
        session: CK_SESSION_HANDLE,
        ckm: CK_MECHANISM_TYPE,
        (with, key): (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE),
        room: Room,
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        let with = self.used(session, with, &WRAP, &mut rules);
        let key = self.key_object(session, key);
        rules.must(key.is_none(), CKR_KEY_HANDLE_INVALID);
        let mut value = None;
        if let Some(key) = key {
            let public = key.class() == CKO_PUBLIC_KEY;
            rules
                .must(public, CKR_KEY_NOT_WRAPPABLE)
                .must(public, CKR_KEY_HANDLE_INVALID)
                .must(key.is_secret() && !key.flag(CKA_EXTRACTABLE), CKR_KEY_UNEXTRACTABLE)
                // No key here is trusted.
                .must(key.flag(CKA_WRAP_WITH_TRUSTED), CKR_KEY_NOT_WRAPPABLE);
            value = key.pair.and_then(|pair| self.secrets.get(&pair));
        }
        let (with, value) = match (with.and_then(|it| self.value_of(it)), value) {
            (Some(with), Some(value)) if !rules.refuses() => (with, value),
            _ => {
                check(rules.refuses(), || "the model has no value of a key".into())?;
                return rules.judge(answer.rv).map(|_| ());
            }
        };
        let made = wrap(ckm, with, value);
        let small = room == Room::Small && !rules.refuses();
        let ok = rules.must(small, CKR_BUFFER_TOO_SMALL).judge(answer.rv)?;
        let asked = answer.rv == CKR_BUFFER_TOO_SMALL || ok && room == Room::Query;
        if !ok && !asked {
            return Ok(());
        }
        let Given::Output { len, bytes } = &answer.given else { return Err("no key".into()) };
        if asked {
            let bounds = made.len()..=made.len() + HALF;
            check(bounds.contains(len), || format!("{len} bytes said, {bounds:?} needed"))?;
        } else {
            check(*bytes == made, || format!("the wrapped key is {bytes:?}, expected {made:?}"))?;
        }
        Ok(())
    }

    fn unwrap_key(
        &mut self,
        session: CK_SESSION_HANDLE,
        ckm: CK_MECHANISM_TYPE,
        (with, wrapped): (CK_OBJECT_HANDLE, &[u8]),
        template: &[Attr],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        let asked = self.new_secret(session, template, &mut rules);
        let key_type = key_type(&asked);
        rules.must(key_type.is_none(), CKR_TEMPLATE_INCOMPLETE);
        let with = self.used(session, with, &UNWRAP, &mut rules);
        let value = match with.filter(|_| !rules.refuses()).and_then(|it| self.value_of(it)) {
            Some(with) => unwrap(ckm, with, wrapped, value_len(&asked)),
            None => return rules.judge(answer.rv).map(|_| ()),
        };
        let unfit = value.as_ref().is_some_and(|value| {
            let other = value_len(&asked).is_some_and(|len| len != value.len());
            other || key_type.is_some_and(|it| !fits(it, value.len()))
        });
        rules
            .must(value.is_none(), CKR_WRAPPED_KEY_INVALID)
            .must(value.is_none() || unfit, CKR_WRAPPED_KEY_LEN_RANGE);
        if let (true, Some(value)) = (rules.judge(answer.rv)?, value) {
            let [key] = born(answer)?;
            self.bear_secret(session, key, asked, Past::default(), value)?;
        }
        Ok(())
    }

    fn derive_key(
        &mut self,
        session: CK_SESSION_HANDLE,
        base: CK_OBJECT_HANDLE,
        by: Derivation,
        template: &[Attr],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        let asked = self.new_secret(session, template, &mut rules);
        let len = value_len(&asked);
        let unfit = len.is_some_and(|len| key_type(&asked).is_some_and(|it| !fits(it, len)));
        let endless = by.len().is_none();
        rules
            .must(endless && len.is_none(), CKR_TEMPLATE_INCOMPLETE)
            .may(len.is_none(), CKR_TEMPLATE_INCOMPLETE);
        // Nor need there be a default for what is derived.
        rules.may(key_type(&asked).is_none(), CKR_TEMPLATE_INCOMPLETE);
        for rv in [CKR_KEY_SIZE_RANGE, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT] {
            rules.must(unfit, rv);
        }
        let base = self.used(session, base, &derive(by), &mut rules);
        let is = |kind| asked.get(&kind).is_some_and(|value| value == &[1]);
        if let Some(base) = base {
            // What does not leave the token need not be mixed with anything outside of its keys.
            rules
                .may(by.mixes() && !base.flag(CKA_EXTRACTABLE), CKR_KEY_TYPE_INCONSISTENT)
                .may(base.flag(CKA_SENSITIVE) && !is(CKA_SENSITIVE), CKR_TEMPLATE_INCONSISTENT);
        }
        let len = len.or(by.len());
        let (true, Some(base), Some(len)) = (rules.judge(answer.rv)?, base, len) else {
            return Ok(());
        };
        let past = Past {
            local: false,
            always_sensitive: base.flag(CKA_ALWAYS_SENSITIVE) && is(CKA_SENSITIVE),
            never_extractable: base.flag(CKA_NEVER_EXTRACTABLE) && !is(CKA_EXTRACTABLE),
        };
        let value = self.derived(by, base, len).ok_or("the model has no value of the base key")?;
        let [key] = born(answer)?;
        self.bear_secret(session, key, asked, past, value)
    }

    /// What holds for the template of any new secret key.
    fn new_secret(
        &self,
        session: CK_SESSION_HANDLE,
        template: &[Attr],
        rules: &mut Rules,
    ) -> Asked {
        let asked = collect(template, rules);
        let is = |kind| asked.get(&kind).is_some_and(|value| value == &[1]);
        self.may_write(&self.sessions[&session], is(CKA_TOKEN), is(CKA_PRIVATE), rules);
        let secret = CKO_SECRET_KEY.to_ne_bytes();
        rules
            .must(asked.get(&CKA_CLASS).is_some_and(|it| it != &secret), CKR_TEMPLATE_INCONSISTENT)
            .must(asked.contains_key(&UNKNOWN), CKR_ATTRIBUTE_TYPE_INVALID)
            .must(asked.contains_key(&CKA_UNIQUE_ID), CKR_ATTRIBUTE_READ_ONLY);
        bad_flags(template, rules);
        asked
    }

    fn key_object(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Option<&Object> {
        let number = self.object(self.slot_of(session), key)?;
        Some(&self.objects[number]).filter(|key| key.is_key())
    }

    /// The key that a call works with.
    fn used(
        &self,
        session: CK_SESSION_HANDLE,
        key: CK_OBJECT_HANDLE,
        how: &Use,
        rules: &mut Rules,
    ) -> Option<&Object> {
        let key = self.key_object(session, key);
        rules.must(key.is_none(), how.no_key);
        let unfit = |key: &&Object| {
            let right = key.class() == how.class
                && key.ulong(CKA_KEY_TYPE) == Some(how.key_type)
                && key.flag(how.usage);
            !right
        };
        rules.must(key.as_ref().is_some_and(unfit), how.unfit);
        key
    }

    pub(super) fn value_of(&self, key: &Object) -> Option<&[u8]> {
        self.secrets.get(&key.pair?).map(Vec::as_slice)
    }

    /// Takes a new secret key in: it must be of this value, and shows it only if it may.
    fn bear_secret(
        &mut self,
        session: CK_SESSION_HANDLE,
        key: &Born,
        mut asked: Asked,
        past: Past,
        value: Vec<u8>,
    ) -> Verdict {
        let is = |kind| asked.get(&kind).is_some_and(|value| value == &[1]);
        let open = !is(CKA_SENSITIVE) && is(CKA_EXTRACTABLE);
        let shown = key.attributes.iter().any(|(kind, _)| *kind == CKA_VALUE);
        check(shown == open, || format!("the new key shows its value: {shown}"))?;
        if open {
            asked.insert(CKA_VALUE, value.clone());
        }
        asked.insert(CKA_LOCAL, vec![past.local.into()]);
        asked.insert(CKA_ALWAYS_SENSITIVE, vec![past.always_sensitive.into()]);
        asked.insert(CKA_NEVER_EXTRACTABLE, vec![past.never_extractable.into()]);
        asked.retain(|kind, _| READ.contains(kind));
        self.pairs += 1;
        self.secrets.insert(self.pairs, value);
        self.bear(session, key, &asked, &BTreeMap::new(), Some(self.pairs))
    }
}

fn value_len(asked: &Asked) -> Option<usize> {
    let len = asked.get(&CKA_VALUE_LEN)?.as_slice().try_into().ok()?;
    Some(CK_ULONG::from_ne_bytes(len) as usize)
}

fn key_type(asked: &Asked) -> Option<CK_KEY_TYPE> {
    Some(CK_KEY_TYPE::from_ne_bytes(asked.get(&CKA_KEY_TYPE)?.as_slice().try_into().ok()?))
}

/// Whether a key of this type can be so long.
fn fits(key_type: CK_KEY_TYPE, len: usize) -> bool {
    key_type != CKK_AES || matches!(len, 16 | 24 | SHA256_LEN)
}
