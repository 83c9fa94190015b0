//! The model's rules about objects: who may see, make, change and destroy them.

use std::collections::BTreeMap;

use cryptoki_sys::*;

use super::judge::{Rules, Verdict, check};
use super::state::{Model, Object, Session};
use super::step::{Answer, Born, Given, Room, Step, Wanted};
use crate::common::p11::Attr;

/// An attribute that no object has.
pub const UNKNOWN: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x4d4f_4445;

impl Model {
    pub(super) fn judge_objects(&mut self, step: &Step, answer: &Answer) -> Verdict {
        match step {
            Step::Create { session, template } => self.create(*session, template, answer),
            Step::Copy { session, object, template } => {
                self.copy(*session, *object, template, answer)
            }
            Step::Destroy { session, object } => self.destroy_object(*session, *object, answer),
            Step::Get { session, object, wanted } => self.get(*session, *object, wanted, answer),
            Step::Set { session, object, template } => {
                self.set(*session, *object, template, answer)
            }
            Step::GeneratePair { session, public, private } => {
                self.generate_pair(*session, public, private, answer)
            }
            _ => unreachable!("not about objects: {step:?}"),
        }
    }

    /// What a session must be to make an object that is so.
    pub(super) fn may_write(
        &self,
        session: &Session,
        token: bool,
        private: bool,
        rules: &mut Rules,
    ) {
        rules
            .must(token && !session.rw, CKR_SESSION_READ_ONLY)
            .must(private && !self.user_in(session.slot), CKR_USER_NOT_LOGGED_IN);
    }

    fn create(
        &mut self,
        session: CK_SESSION_HANDLE,
        template: &[Attr],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        let asked = collect(template, &mut rules);
        let is_true = |kind| asked.get(&kind).is_some_and(|value| value == &[1]);
        let class = asked.get(&CKA_CLASS);
        self.may_write(
            &self.sessions[&session],
            is_true(CKA_TOKEN),
            is_true(CKA_PRIVATE),
            &mut rules,
        );
        rules
            .must(class.is_none(), CKR_TEMPLATE_INCOMPLETE)
            .must(asked.contains_key(&UNKNOWN), CKR_ATTRIBUTE_TYPE_INVALID)
            .must(asked.contains_key(&CKA_UNIQUE_ID), CKR_ATTRIBUTE_READ_ONLY)
            // Its default is the token's own affair.
            .may(!asked.contains_key(&CKA_PRIVATE), CKR_USER_NOT_LOGGED_IN);
        bad_flags(template, &mut rules);
        if class.is_some_and(|class| class == &CKO_CERTIFICATE.to_ne_bytes()) {
            let missing = |kind| !asked.contains_key(&kind);
            let missing =
                missing(CKA_CERTIFICATE_TYPE) || missing(CKA_SUBJECT) || missing(CKA_VALUE);
            rules.must(missing, CKR_TEMPLATE_INCOMPLETE);
            let so_in = self.login(self.slot_of(session)) == Some(CKU_SO);
            rules.must(is_true(CKA_TRUSTED) && !so_in, CKR_ATTRIBUTE_READ_ONLY);
        } else {
            // An attribute that there is, but not of this object.
            rules.must(asked.contains_key(&CKA_TRUSTED), CKR_TEMPLATE_INCONSISTENT);
        }
        if !rules.judge(answer.rv)? {
            return Ok(());
        }
        let [born] = born(answer)?;
        self.bear(session, born, &asked, &BTreeMap::new(), None)
    }

    fn copy(
        &mut self,
        session: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        template: &[Attr],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        let asked = collect(template, &mut rules);
        let here = &self.sessions[&session];
        let Some(number) = self.object(here.slot, handle) else {
            return Rules::new().must(true, CKR_OBJECT_HANDLE_INVALID).judge(answer.rv).map(|_| ());
        };
        let source = self.objects[number].clone();
        let will_be = |kind| asked.get(&kind).map_or(source.flag(kind), |value| value == &[1]);
        self.may_write(here, will_be(CKA_TOKEN), will_be(CKA_PRIVATE), &mut rules);
        rules
            .must(!source.flag(CKA_COPYABLE), CKR_ACTION_PROHIBITED)
            .must(asked.contains_key(&UNKNOWN), CKR_ATTRIBUTE_TYPE_INVALID);
        bad_flags(template, &mut rules);
        for (kind, value) in &asked {
            match *kind {
                CKA_UNIQUE_ID => _ = rules.must(true, CKR_ATTRIBUTE_READ_ONLY),
                // What it is already is no change.
                CKA_CLASS => {
                    let same = source.attributes.get(kind) == Some(value);
                    rules
                        .must(!same, CKR_ATTRIBUTE_READ_ONLY)
                        .must(!same, CKR_TEMPLATE_INCONSISTENT)
                        .may(true, CKR_ATTRIBUTE_READ_ONLY);
                }
                // What may not be changed in an object may change in its copy, or not.
                CKA_LABEL | CKA_MODIFIABLE | CKA_DESTROYABLE => {
                    let fixed = !source.flag(CKA_MODIFIABLE);
                    rules.may(fixed, CKR_ACTION_PROHIBITED).may(fixed, CKR_ATTRIBUTE_READ_ONLY);
                }
                _ => {}
            }
        }
        // Nor need a trusted certificate have copies that differ from it.
        let trusted = source.class() == CKO_CERTIFICATE && source.flag(CKA_TRUSTED);
        rules.may(trusted, CKR_ATTRIBUTE_READ_ONLY);
        let asks = source.flag(CKA_ALWAYS_AUTHENTICATE) && !will_be(CKA_PRIVATE);
        rules.must(asks, CKR_TEMPLATE_INCONSISTENT);
        // A sensitive key need not become public.
        let bared = source.is_secret() && !will_be(CKA_PRIVATE);
        rules.may(bared, CKR_TEMPLATE_INCONSISTENT).may(bared, CKR_ATTRIBUTE_READ_ONLY);
        if !rules.judge(answer.rv)? {
            return Ok(());
        }
        let [born] = born(answer)?;
        self.bear(session, born, &asked, &source.attributes, source.pair)
    }

    fn destroy_object(
        &mut self,
        session: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        answer: &Answer,
    ) -> Verdict {
        let here = &self.sessions[&session];
        let number = self.object(here.slot, handle);
        let mut rules = Rules::new();
        rules.must(number.is_none(), CKR_OBJECT_HANDLE_INVALID);
        if let Some(object) = number.map(|number| &self.objects[number]) {
            rules
                .must(object.flag(CKA_TOKEN) && !here.rw, CKR_SESSION_READ_ONLY)
                .must(!object.flag(CKA_DESTROYABLE), CKR_ACTION_PROHIBITED);
        }
        if rules.judge(answer.rv)?
            && let Some(number) = number
        {
            self.destroy(number);
        }
        Ok(())
    }

    fn get(
        &self,
        session: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        wanted: &[Wanted],
        answer: &Answer,
    ) -> Verdict {
        let Some(number) = self.object(self.slot_of(session), handle) else {
            return Rules::new().must(true, CKR_OBJECT_HANDLE_INVALID).judge(answer.rv).map(|_| ());
        };
        let object = &self.objects[number];
        let mut rules = Rules::new();
        for Wanted { kind, room } in wanted {
            match object.attributes.get(kind) {
                Some(value) => {
                    rules.must(*room == Room::Small && value.len() > 1, CKR_BUFFER_TOO_SMALL);
                }
                None if secret(object, *kind) => _ = rules.must(true, CKR_ATTRIBUTE_SENSITIVE),
                None => _ = rules.must(true, CKR_ATTRIBUTE_TYPE_INVALID),
            }
        }
        rules.judge(answer.rv)?;
        let Given::Values(values) = &answer.given else { return Err("no values".into()) };
        for (Wanted { kind, room }, (len, bytes)) in wanted.iter().zip(values) {
            let expected = match (object.attributes.get(kind), room) {
                (None, _) => (CK_UNAVAILABLE_INFORMATION, &[][..]),
                (Some(value), Room::Query) => (value.len() as CK_ULONG, &[][..]),
                (Some(value), Room::Small) if value.len() > 1 => {
                    (CK_UNAVAILABLE_INFORMATION, &[][..])
                }
                (Some(value), _) => (value.len() as CK_ULONG, &value[..]),
            };
            check((*len, &bytes[..]) == expected, || {
                format!("attribute 0x{kind:x} is {len} bytes, {bytes:?}; expected {expected:?}")
            })?;
        }
        Ok(())
    }

    fn set(
        &mut self,
        session: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        template: &[Attr],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        let asked = collect(template, &mut rules);
        let here = &self.sessions[&session];
        let Some(number) = self.object(here.slot, handle) else {
            return Rules::new().must(true, CKR_OBJECT_HANDLE_INVALID).judge(answer.rv).map(|_| ());
        };
        let object = &self.objects[number];
        rules
            .must(object.flag(CKA_TOKEN) && !here.rw, CKR_SESSION_READ_ONLY)
            .must(!object.flag(CKA_MODIFIABLE), CKR_ACTION_PROHIBITED);
        bad_flags(template, &mut rules);
        let so_in = self.login(here.slot) == Some(CKU_SO);
        for (kind, value) in &asked {
            change(object, *kind, value, &mut rules);
            // "Trusted certificates cannot be modified", but for the SO they may be.
            let same = object.attributes.get(kind) == Some(value);
            let fixed = object.class() == CKO_CERTIFICATE && object.flag(CKA_TRUSTED);
            rules
                .must(fixed && !so_in && !same, CKR_ATTRIBUTE_READ_ONLY)
                .may(fixed, CKR_ATTRIBUTE_READ_ONLY);
        }
        if rules.judge(answer.rv)? {
            let object = &mut self.objects[number];
            object.attributes.extend(asked);
            if object.is_secret() && (object.flag(CKA_SENSITIVE) || !object.flag(CKA_EXTRACTABLE)) {
                object.attributes.remove(&CKA_VALUE);
            }
        }
        Ok(())
    }

    fn generate_pair(
        &mut self,
        session: CK_SESSION_HANDLE,
        public: &[Attr],
        private: &[Attr],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        let templates = [public, private].map(|template| collect(template, &mut rules));
        for template in &templates {
            let is_true = |kind| template.get(&kind).is_some_and(|value| value == &[1]);
            let here = &self.sessions[&session];
            self.may_write(here, is_true(CKA_TOKEN), is_true(CKA_PRIVATE), &mut rules);
        }
        if !rules.judge(answer.rv)? {
            return Ok(());
        }
        self.pairs += 1;
        let keys: [&Born; 2] = born(answer)?;
        let given = |class: CK_OBJECT_CLASS| {
            [
                (CKA_CLASS, class.to_ne_bytes().to_vec()),
                (CKA_KEY_TYPE, CKK_EC.to_ne_bytes().to_vec()),
                (CKA_LOCAL, vec![1]),
            ]
        };
        for (key, (mut asked, class)) in
            keys.into_iter().zip(templates.into_iter().zip([CKO_PUBLIC_KEY, CKO_PRIVATE_KEY]))
        {
            // The model does not follow the curve.
            asked.remove(&CKA_EC_PARAMS);
            asked.extend(given(class));
            self.bear(session, key, &asked, &BTreeMap::new(), Some(self.pairs))?;
        }
        Ok(())
    }

    /// Takes a new object in: what the template and the source say must have come true, the rest
    /// is believed.
    pub(super) fn bear(
        &mut self,
        session: CK_SESSION_HANDLE,
        born: &Born,
        asked: &BTreeMap<CK_ATTRIBUTE_TYPE, Vec<u8>>,
        source: &BTreeMap<CK_ATTRIBUTE_TYPE, Vec<u8>>,
        pair: Option<usize>,
    ) -> Verdict {
        let slot = self.slot_of(session);
        let attributes: BTreeMap<_, _> = born.attributes.iter().cloned().collect();
        check(born.handle != 0, || "the object handle is 0".into())?;
        let used = self.handles.contains_key(&born.handle) || self.stale.contains(&born.handle);
        check(!used, || format!("the object handle {} comes again", born.handle))?;
        for (kind, value) in source.iter().filter(|(kind, _)| **kind != CKA_UNIQUE_ID) {
            let expected = asked.get(kind).unwrap_or(value);
            let is = attributes.get(kind);
            check(is == Some(expected), || {
                format!("attribute 0x{kind:x} of the copy is {is:?}, expected {expected:?}")
            })?;
        }
        for (kind, expected) in asked {
            let is = attributes.get(kind);
            check(is == Some(expected), || {
                format!("attribute 0x{kind:x} is {is:?}, asked for was {expected:?}")
            })?;
        }
        let id = attributes.get(&CKA_UNIQUE_ID);
        let ids = self.objects.iter().map(|object| object.attributes.get(&CKA_UNIQUE_ID));
        check(id.is_some() && ids.into_iter().all(|other| other != id), || {
            format!("CKA_UNIQUE_ID is {id:?}")
        })?;
        let mut object = Object { slot, session: None, alive: true, attributes, pair };
        object.session = (!object.flag(CKA_TOKEN)).then_some(session);
        self.handles.insert(born.handle, self.objects.len());
        self.objects.push(object);
        Ok(())
    }
}

/// The template as a map; the same attribute with two values is refused, with the same it is not.
pub fn collect(template: &[Attr], rules: &mut Rules) -> BTreeMap<CK_ATTRIBUTE_TYPE, Vec<u8>> {
    let mut map = BTreeMap::new();
    for Attr(kind, value) in template {
        let before = map.insert(*kind, value.clone());
        rules.must(before.is_some_and(|before| &before != value), CKR_TEMPLATE_INCONSISTENT);
    }
    map
}

/// A CK_BBOOL is one byte.
pub fn bad_flags(template: &[Attr], rules: &mut Rules) {
    let bad = |Attr(kind, value): &Attr| {
        let flag = matches!(
            *kind,
            CKA_TOKEN | CKA_PRIVATE | CKA_MODIFIABLE | CKA_COPYABLE | CKA_DESTROYABLE
        );
        flag && value.len() != 1
    };
    rules.must(template.iter().any(bad), CKR_ATTRIBUTE_VALUE_INVALID);
}

/// Whether an object keeps an attribute of its key to itself.
fn secret(object: &Object, kind: CK_ATTRIBUTE_TYPE) -> bool {
    let rsa = object.ulong(CKA_KEY_TYPE) == Some(CKK_RSA);
    object.is_secret()
        && match kind {
            CKA_VALUE => !rsa,
            CKA_PRIVATE_EXPONENT => rsa,
            _ => false,
        }
}

/// The rules of one attribute in C_SetAttributeValue.
fn change(object: &Object, kind: CK_ATTRIBUTE_TYPE, value: &[u8], rules: &mut Rules) {
    let on = value == [1];
    let (secret, private_key) = (object.is_secret(), object.class() == CKO_PRIVATE_KEY);
    let secret_key = secret && !private_key;
    match kind {
        CKA_LABEL => {}
        CKA_CLASS | CKA_TOKEN | CKA_PRIVATE | CKA_MODIFIABLE | CKA_UNIQUE_ID => {
            rules.must(true, CKR_ATTRIBUTE_READ_ONLY);
        }
        // One way; to what it is already is no change, which may be refused all the same.
        CKA_COPYABLE => {
            let is = object.flag(CKA_COPYABLE);
            rules.must(on && !is, CKR_ATTRIBUTE_READ_ONLY).may(on == is, CKR_ATTRIBUTE_READ_ONLY);
        }
        // The specification does not say.
        CKA_DESTROYABLE => _ = rules.may(true, CKR_ATTRIBUTE_READ_ONLY),
        CKA_SENSITIVE | CKA_WRAP_WITH_TRUSTED if secret => {
            let is = object.flag(kind);
            rules.must(!on && is, CKR_ATTRIBUTE_READ_ONLY).may(on == is, CKR_ATTRIBUTE_READ_ONLY);
        }
        CKA_EXTRACTABLE if secret => {
            let is = object.flag(kind);
            rules.must(on && !is, CKR_ATTRIBUTE_READ_ONLY).may(on == is, CKR_ATTRIBUTE_READ_ONLY);
        }
        CKA_ID if object.class() != CKO_DATA => {}
        CKA_KEY_TYPE | CKA_LOCAL if object.is_key() => {
            rules.must(true, CKR_ATTRIBUTE_READ_ONLY);
        }
        CKA_SIGN | CKA_VERIFY if secret_key => {
            rules.may(true, CKR_ATTRIBUTE_READ_ONLY);
        }
        CKA_SIGN if private_key => _ = rules.may(true, CKR_ATTRIBUTE_READ_ONLY),
        CKA_VERIFY if object.class() == CKO_PUBLIC_KEY => {
            rules.may(true, CKR_ATTRIBUTE_READ_ONLY);
        }
        // A value is read-only where there is one; a key of another type has none.
        CKA_VALUE => {
            let key = object.is_key();
            rules.must(true, CKR_ATTRIBUTE_READ_ONLY).must(key, CKR_TEMPLATE_INCONSISTENT);
        }
        UNKNOWN => _ = rules.must(true, CKR_ATTRIBUTE_TYPE_INVALID),
        // An attribute that there is, but not of this object.
        _ => _ = rules.must(true, CKR_TEMPLATE_INCONSISTENT),
    }
}

/// The new objects of a successful call.
pub fn born<const N: usize>(answer: &Answer) -> Verdict<[&Born; N]> {
    let Given::Born(all) = &answer.given else { return Err("no new object".into()) };
    let all: Vec<&Born> = all.iter().collect();
    all.try_into().map_err(|_| format!("not {N} new objects"))
}
