//! Which session, object, key, PIN or data a choice means in the state that the model knows.

use cryptoki_sys::*;

use super::call::{DataPick, KindPick, ObjectPick, PinPick, SLOTS, SessionPick, SignaturePick};
use super::mac::MACS;
use super::mechanism::{Aes, EC_SIGNATURE_LEN, Mechanism, RSA_LEN, service};
use super::state::{Consent, Model, Operation, Phase, Session};
use super::step::Kind;

/// Handles that were never given: no module counts so far.
const NEVER: CK_ULONG = 0x7fff_0000_0000_0001;

impl Model {
    pub(super) fn pick_session(&self, pick: SessionPick) -> CK_SESSION_HANDLE {
        let open = self.sessions.keys().copied();
        let of = |is: &dyn Fn(&Session) -> bool| -> Vec<CK_SESSION_HANDLE> {
            let fits = self.sessions.iter().filter(|(_, session)| is(session));
            fits.map(|(handle, _)| *handle).collect()
        };
        let busy = |session: &Session| !session.operations.is_empty();
        let searching = |session: &Session| session.search.is_some();
        let messaging = |session: &Session| session.process.is_some();
        let idle = |it: &Session| !busy(it) && !searching(it) && !messaging(it);
        let closed =
            self.closed.iter().copied().filter(|handle| !self.sessions.contains_key(handle));
        match pick {
            SessionPick::Open(which) => choose(open.collect(), which),
            SessionPick::Busy(which) => choose(of(&busy), which).or(choose(open.collect(), which)),
            SessionPick::Messaging(which) => {
                choose(of(&messaging), which).or(choose(open.collect(), which))
            }
            SessionPick::Searching(which) => {
                choose(of(&searching), which).or(choose(open.collect(), which))
            }
            SessionPick::Idle(which) => choose(of(&idle), which).or(choose(open.collect(), which)),
            SessionPick::Closed(which) => choose(closed.collect(), which),
            SessionPick::Never => None,
        }
        .unwrap_or(if matches!(pick, SessionPick::Never) { 0 } else { NEVER })
    }

    pub(super) fn pick_object(
        &self,
        session: CK_SESSION_HANDLE,
        pick: ObjectPick,
    ) -> CK_OBJECT_HANDLE {
        let slot = self.sessions.get(&session).map_or(SLOTS[0], |session| session.slot);
        let of = |here: bool| -> Vec<CK_OBJECT_HANDLE> {
            let in_slot = |number: usize| (self.objects[number].slot == slot) == here;
            let handles = self.handles.iter().filter(|(_, number)| in_slot(**number));
            handles.map(|(handle, _)| *handle).collect()
        };
        match pick {
            ObjectPick::Known(which) => choose(of(true), which),
            ObjectPick::OtherSlot(which) => choose(of(false), which),
            ObjectPick::Stale(which) => choose(self.stale.clone(), which),
            ObjectPick::Never => return 0,
        }
        .unwrap_or(NEVER)
    }

    pub(super) fn pick_key(
        &self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        ckm: CK_MECHANISM_TYPE,
        which: u8,
    ) -> Option<CK_OBJECT_HANDLE> {
        if kind == Kind::Digest {
            return Some(0);
        }
        let slot = self.sessions.get(&session).map_or(SLOTS[0], |session| session.slot);
        let key_type = service(ckm).map_or(CKK_EC, |service| service.key_type);
        let fits = self.handles.iter().filter(|(_, number)| {
            let object = &self.objects[**number];
            let (class, usage) = kind.key(key_type);
            object.slot == slot
                && object.class() == class
                && object.ulong(CKA_KEY_TYPE) == Some(key_type)
                && (object.flag(usage) || which.is_multiple_of(8))
        });
        let asks = |number: &usize| self.objects[*number].flag(CKA_ALWAYS_AUTHENTICATE);
        // Those that ask for the PIN are for who tells it.
        let (asking, plain): (Vec<_>, Vec<_>) = fits.partition(|(_, number)| asks(number));
        let ask = plain.is_empty() || which.is_multiple_of(8) && !asking.is_empty();
        let fits = if ask { asking } else { plain };
        choose(fits, which).map(|(handle, _)| *handle)
    }

    /// A private key that asks for the PIN at each use.
    pub(super) fn pick_asking(
        &self,
        session: CK_SESSION_HANDLE,
        which: u8,
    ) -> Option<CK_OBJECT_HANDLE> {
        let slot = self.sessions.get(&session)?.slot;
        let fits = self.handles.iter().filter(|(_, number)| {
            let object = &self.objects[**number];
            let private = object.class() == CKO_PRIVATE_KEY;
            object.slot == slot && private && object.flag(CKA_ALWAYS_AUTHENTICATE)
        });
        choose(fits.map(|(handle, _)| *handle).collect(), which)
    }

    /// What is done with a key that asks for the PIN.
    pub(super) fn pick_asked(&self, key: CK_OBJECT_HANDLE, which: u8) -> (Kind, Mechanism) {
        const OF_EC: &[(Kind, CK_MECHANISM_TYPE)] =
            &[(Kind::Sign, CKM_ECDSA), (Kind::Sign, CKM_ECDSA_SHA256)];
        const OF_RSA: &[(Kind, CK_MECHANISM_TYPE)] = &[
            (Kind::Sign, CKM_SHA256_RSA_PKCS),
            (Kind::Decrypt, CKM_RSA_PKCS_OAEP),
            (Kind::Sign, CKM_RSA_PKCS),
            (Kind::Decrypt, CKM_RSA_PKCS),
        ];
        let key_type = self.handles.get(&key).and_then(|it| self.objects[*it].ulong(CKA_KEY_TYPE));
        let uses = if key_type == Some(CKK_RSA) { OF_RSA } else { OF_EC };
        let (kind, ckm) = uses[usize::from(which / 2) % uses.len()];
        (kind, Mechanism::suitable(ckm))
    }

    /// For what undoes or verifies: the other key of one that has made something, and how.
    pub(super) fn pick_used_key(
        &self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        which: u8,
    ) -> Option<(Mechanism, CK_OBJECT_HANDLE)> {
        let slot = self.sessions.get(&session)?.slot;
        if !matches!(kind, Kind::Verify | Kind::Decrypt) || which.is_multiple_of(8) {
            return None;
        }
        let made = self.products.iter().filter(|it| it.signature == (kind == Kind::Verify));
        let used = made.flat_map(|made| {
            let keys = self.handles.iter().filter(|(_, number)| {
                let object = &self.objects[**number];
                let pair = object.pair == Some(made.pair);
                let of = made.mechanism.service().map_or(CKK_RSA, |service| service.key_type);
                pair && object.slot == slot && object.class() == kind.key(of).0
            });
            keys.map(|(handle, _)| (made.mechanism, *handle))
        });
        choose(used.collect(), which)
    }

    /// A signature that is genuine mostly, with what it is to be verified by.
    pub(super) fn pick_known(
        &self,
        session: CK_SESSION_HANDLE,
        which: u8,
    ) -> Option<(Mechanism, CK_OBJECT_HANDLE, Vec<u8>)> {
        let mac = |ckm| {
            let key = self.pick_key(session, Kind::Verify, ckm, which)?;
            Some((Mechanism::suitable(ckm), key))
        };
        let used = self.pick_used_key(session, Kind::Verify, which);
        let (mechanism, key) = used.or_else(|| mac(MACS[usize::from(which) % MACS.len()]))?;
        let operation =
            Operation::new(mechanism, self.handles.get(&key).copied(), Consent::default());
        let pair = self.pair_of(&operation);
        let made = self.products.iter().filter(|made| {
            made.signature && Some(made.pair) == pair && made.mechanism == mechanism
        });
        let made = choose(made.map(|made| made.bytes.clone()).collect(), which);
        let mut signature =
            made.or_else(|| self.mac(&operation, &[which % 3; 32])).unwrap_or(vec![1; 64]);
        match which % 16 {
            14 => signature[0] ^= 1,
            15 => _ = signature.pop(),
            _ => {}
        }
        Some((mechanism, key, signature))
    }

    /// A saved state that fits the session mostly, and the key that is given with it.
    pub(super) fn pick_state(
        &self,
        session: CK_SESSION_HANDLE,
        which: u8,
    ) -> (Vec<u8>, CK_OBJECT_HANDLE) {
        let all: Vec<_> = self.saved.iter().collect();
        let here = self.sessions.get(&session).map(|it| (it.slot, it.state(self.login(it.slot))));
        let fits = all.iter().copied().filter(|it| Some((it.slot, it.state)) == here).collect();
        let picked = choose(fits, which).or(choose(all, which)).map(|saved| saved.bytes.clone());
        let mut bytes = picked.unwrap_or(vec![which; 20]);
        if which % 8 == 7 {
            bytes[usize::from(which) % 16] ^= 1;
        }
        (bytes, if which % 8 == 6 { NEVER } else { 0 })
    }

    /// The slot of a session, and one for those that are not open.
    pub(super) fn slot_or_first(&self, session: CK_SESSION_HANDLE) -> CK_SLOT_ID {
        self.sessions.get(&session).map_or(SLOTS[0], |session| session.slot)
    }

    pub(super) fn pick_pin(&self, slot: CK_SLOT_ID, user: CK_USER_TYPE, pick: PinPick) -> Vec<u8> {
        let token = self.slots.get(&slot).unwrap_or(&self.slots[&SLOTS[0]]);
        match pick {
            PinPick::Right if user == CKU_SO => token.so_pin.clone(),
            PinPick::Right => token.user_pin.clone().unwrap_or(b"none is set".into()),
            PinPick::Wrong => b"certainly not it".to_vec(),
            PinPick::Short => b"123".to_vec(),
            PinPick::New(which) => [&b"new pin "[..], &[b'0' + which]].concat(),
        }
    }

    pub(super) fn operation(&self, session: CK_SESSION_HANDLE, kind: Kind) -> Option<&Operation> {
        self.sessions.get(&session)?.operations.get(&kind)
    }

    pub(super) fn pick_kind(&self, session: CK_SESSION_HANDLE, pick: KindPick) -> Kind {
        match pick {
            KindPick::This(kind) => kind,
            KindPick::Active(which) => {
                let active = self.sessions.get(&session).map(|session| &session.operations);
                let active = active.map(|active| active.keys().copied().collect());
                choose(active.unwrap_or_default(), which)
                    .unwrap_or(Kind::ALL[usize::from(which) % Kind::ALL.len()])
            }
        }
    }

    /// Suitable data for an operation: it is the same again where its length was asked for.
    pub(super) fn pick_data(
        &self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        pick: DataPick,
    ) -> Vec<u8> {
        let which = match pick {
            DataPick::Bytes(len) => return vec![0x2a; len],
            DataPick::Suitable(which) => which,
        };
        let Some(operation) = self.operation(session, kind) else { return vec![which; 8] };
        if operation.phase == Phase::OneShotAsked {
            return operation.data.clone();
        }
        if let Some(aes) = self.aes(operation, kind) {
            return aes_data(&aes, operation, which);
        }
        if kind == Kind::Decrypt {
            let pair = operation.key.and_then(|key| self.objects[key].pair);
            let ours = self.products.iter().filter(|it| !it.signature && Some(it.pair) == pair);
            let bytes = choose(ours.map(|it| it.bytes.clone()).collect(), which);
            return bytes.unwrap_or(vec![0; 256]);
        }
        if kind == Kind::Verify {
            let pair = operation.key.and_then(|key| self.objects[key].pair);
            let ours = self.products.iter().filter(|it| {
                it.signature && Some(it.pair) == pair && it.mechanism == operation.mechanism
            });
            // What was signed, and then nothing more of it.
            if let Some(signed) = choose(ours.map(|it| it.data.clone()).collect(), which) {
                return if operation.phase == Phase::Updated { Vec::new() } else { signed };
            }
        }
        if kind == Kind::VerifyKnown && operation.phase == Phase::Begun {
            let of = self.products.iter().find(|made| made.bytes == operation.signature);
            if let Some(made) = of.filter(|_| !which.is_multiple_of(8)) {
                return made.data.clone();
            }
        }
        // Few different ones, so that there are signatures of the same.
        vec![which % 3; 32]
    }

    /// A signature for the verification that is active; a genuine one brings its data along.
    pub(super) fn pick_signature(
        &self,
        session: CK_SESSION_HANDLE,
        data: Vec<u8>,
        pick: SignaturePick,
    ) -> (Vec<u8>, Vec<u8>) {
        let operation = self.operation(session, Kind::Verify);
        let rsa = operation.is_some_and(|operation| operation.mechanism.is_of(CKK_RSA));
        let mac = operation.and_then(|operation| self.mac(operation, &data));
        let other = if rsa { RSA_LEN } else { EC_SIGNATURE_LEN };
        let len = mac.as_ref().map_or(other, Vec::len);
        match pick {
            SignaturePick::Genuine(_) if mac.is_some() => (data, mac.unwrap_or_default()),
            SignaturePick::Genuine(which) => {
                let pair = operation.and_then(|it| self.objects[it.key?].pair);
                let fits = self.products.iter().filter(|it| {
                    let same =
                        operation.is_some_and(|operation| operation.mechanism == it.mechanism);
                    it.signature && Some(it.pair) == pair && same
                });
                // Of the data that was brought, if there is one.
                let (of_data, all): (Vec<_>, Vec<_>) = fits.partition(|it| it.data == data);
                let fits = if of_data.is_empty() { all } else { of_data };
                match choose(fits, which) {
                    Some(it) => (it.data.clone(), it.bytes.clone()),
                    None => (data, vec![1; len]),
                }
            }
            SignaturePick::Wrong => (data, vec![1; len]),
            SignaturePick::Short => (data, vec![1; len - 1]),
        }
    }
}

/// Data for AES: whole blocks mostly, or some of a ciphertext whose end comes with the last part.
fn aes_data(aes: &Aes<'_>, operation: &Operation, which: u8) -> Vec<u8> {
    let before = match operation.phase {
        Phase::Updated | Phase::FinalAsked { after: true } => &operation.data[..],
        _ => &[],
    };
    if aes.encrypts {
        let odd = before.len() % 16;
        let len = match which % 8 {
            0 => 5,
            1 => 20,
            2 => 1,
            3 => 0,
            which => 16 * (usize::from(which) - 3) - odd,
        };
        return vec![which; len];
    }
    let forth = Aes { encrypts: true, ..*aes };
    let texts = [&[7; 32][..], b"sixteen bytes...", b"", &[8; 48]].map(|text| forth.whole(text));
    let texts: Vec<Vec<u8>> = texts.into_iter().flatten().collect();
    let fits = texts.iter().filter(|text| text.starts_with(before) && text.len() > before.len());
    let text = choose(fits.collect(), which).unwrap_or(&texts[0]);
    let rest = text.get(before.len()..).unwrap_or(text);
    match which % 4 {
        0 => rest[..rest.len().min(17)].to_vec(),
        _ => rest.to_vec(),
    }
}

pub fn choose<T>(mut from: Vec<T>, which: u8) -> Option<T> {
    let len = from.len();
    (len > 0).then(|| from.swap_remove(usize::from(which) % len))
}
