//! Which call about messages that are signed or verified a choice means in the state that the model
//! knows.

use cryptoki_sys::*;

use super::call::MessagePick;
use super::mechanism::{EC_SIGNATURE_LEN, Mechanism, RSA_LEN};
use super::pick::choose;
use super::process::Message;
use super::signed::{End, SignedCall};
use super::state::{Model, Product};
use super::step::{Kind, Room, Step};

const CKMS: [CK_MECHANISM_TYPE; 7] = [
    CKM_RSA_PKCS,
    CKM_ECDSA_SHA256,
    CKM_ECDSA,
    CKM_SHA256_RSA_PKCS,
    CKM_SHA256_RSA_PKCS_PSS,
    CKM_SHA256_HMAC,
    CKM_AES_CMAC_GENERAL,
];

impl Model {
    pub(super) fn pick_signed(
        &self,
        session: CK_SESSION_HANDLE,
        kind: Kind,
        pick: MessagePick,
        which: u8,
        room: Room,
    ) -> Vec<Step> {
        let process = self.sessions.get(&session).and_then(|session| session.process.as_ref());
        let key = process.and_then(|process| self.objects[process.key].pair);
        let using = process.map(|process| process.mechanism);
        let call = match pick {
            MessagePick::InitNull => SignedCall::InitNull,
            MessagePick::Final => SignedCall::Final,
            MessagePick::Begin => SignedCall::Begin,
            MessagePick::Init => {
                let ckm = CKMS[usize::from(which) % CKMS.len()];
                let fit = || {
                    let key = self.pick_key(session, kind, ckm, which)?;
                    Some((Mechanism::suitable(ckm), key))
                };
                let Some((mut mechanism, key)) =
                    self.pick_used_key(session, kind, which).or_else(fit)
                else {
                    return self.look_for_keys(session);
                };
                if which % 16 == 15 {
                    mechanism.ckm = CKM_AES_CBC;
                }
                let pair = self.handles.get(&key).and_then(|number| self.objects[*number].pair);
                let (data, end) = self.pick_end(kind, (pair, Some(mechanism)), &[], which, room);
                let first = match which % 2 {
                    0 => SignedCall::Whole { data, end },
                    _ => SignedCall::Begin,
                };
                let calls = [SignedCall::Init { mechanism, key }, first];
                return calls.map(|call| Step::Signed { session, kind, call }).into();
            }
            MessagePick::Whole => {
                let (data, end) = self.pick_end(kind, (key, using), &[], which, room);
                SignedCall::Whole { data, end }
            }
            MessagePick::Next { last } => {
                let before = match process.map(|process| &process.message) {
                    Some(Message::Parts(parts)) => &parts.data[..],
                    _ => &[],
                };
                let (data, end) = self.pick_end(kind, (key, using), before, which, room);
                match last {
                    true => SignedCall::Last { data, end },
                    false => SignedCall::Next { data: data[..data.len() / 2].to_vec() },
                }
            }
        };
        vec![Step::Signed { session, kind, call }]
    }

    /// The rest of a message that begins with `before`, and its end; of one to be verified mostly
    /// what `by`, a key and a mechanism, has signed.
    fn pick_end(
        &self,
        kind: Kind,
        (pair, mechanism): (Option<usize>, Option<Mechanism>),
        before: &[u8],
        which: u8,
        room: Room,
    ) -> (Vec<u8>, End) {
        // Few different ones, so that there are signatures of the same.
        let data = vec![which % 3; 32 - before.len().min(32)];
        if kind == Kind::Sign {
            return (data, End::Made(room));
        }
        let fits = self.products.iter().filter(|made: &&Product| {
            let same = Some(made.pair) == pair && Some(made.mechanism) == mechanism;
            made.signature && same && made.data.starts_with(before)
        });
        let rsa = mechanism.is_some_and(|mechanism| mechanism.is_of(CKK_RSA));
        let secret = pair.and_then(|pair| self.secrets.get(&pair)).zip(mechanism);
        let mac = secret.and_then(|(key, it)| it.mac(key, &[before, &data[..]].concat()));
        let other = if rsa { RSA_LEN } else { EC_SIGNATURE_LEN };
        let len = mac.as_ref().map_or(other, Vec::len);
        match (which % 8, choose(fits.collect(), which)) {
            (0, _) => (data, End::Given(vec![1; len - 1])),
            (1..7, _) if mac.is_some() => (data, End::Given(mac.unwrap_or_default())),
            (7, _) | (_, None) => (data, End::Given(vec![1; len])),
            (_, Some(made)) => (made.data[before.len()..].to_vec(), End::Given(made.bytes.clone())),
        }
    }
}
