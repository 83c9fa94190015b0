//! Every listed mechanism is used with every one of its flags and with each kind of key it takes.

mod common;

use common::cases::{Case, Other, case};
use common::encapsulation::{decapsulate, encapsulate};
use common::fixture::*;
use common::known::{Held, Keys, Known, flags};
use common::message_encryption::{AAD, DECRYPT, ENCRYPT, Given, Messages};
use common::p11::*;
use common::secret::Part;
use common::wrapping::Wrapping;
use cryptoki_sys::*;

/// Flags that say what a mechanism is, not what it does.
const FACTS: CK_FLAGS = CKF_HW | CKF_EC_F_P | CKF_EC_OID | CKF_EC_CURVENAME | CKF_EC_UNCOMPRESS;

/// A use of a mechanism with one of its keys.
struct Use<'a> {
    known: &'a Known,
    case: &'a Case,
    held: &'a Held,
}

/// Uses a mechanism with a key in one way.
type Run = fn(&Use);

/// Encrypts or decrypts one message.
type Crypt = fn(&Messages, bool, &mut Given, &[u8]) -> Rv<Vec<u8>>;

/// What is done for flags, which always come together. One that is not here has no test, and fails.
const USES: &[(CK_FLAGS, Run)] = &[
    (CKF_SIGN | CKF_VERIFY, |with| with.sign()),
    (CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER, |with| with.recover()),
    (CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY, |with| with.message()),
    (CKF_MULTI_MESSAGE, |with| with.message_in_parts()),
    (CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT, |with| with.encrypted_message()),
    (CKF_ENCAPSULATE | CKF_DECAPSULATE, |with| with.encapsulate()),
    (CKF_ENCRYPT | CKF_DECRYPT, |with| with.encrypt()),
    (CKF_WRAP | CKF_UNWRAP, |with| with.wrap()),
    (CKF_DERIVE, |with| with.derive()),
    (CKF_DIGEST, |with| with.digest()),
    (CKF_GENERATE, |with| with.generate()),
    (CKF_GENERATE_KEY_PAIR, |with| with.generate_pair()),
];

impl Use<'_> {
    fn p(&self) -> (&P11, CK_SESSION_HANDLE) {
        (&self.known.t.p, self.known.session)
    }

    fn each(&self, mut with: impl FnMut(&[u8])) {
        for len in self.case.lens {
            with(&self.case.data(*len));
        }
    }

    fn mech(&self) -> Mech {
        self.case.mech(self.held)
    }

    /// What is not the signed data: its first byte is another, which ECDSA never cuts off.
    fn another(data: &[u8]) -> Vec<u8> {
        let mut another = data.to_vec();
        match another.first_mut() {
            Some(first) => *first ^= 1,
            None => another.push(1),
        }
        another
    }

    fn sign(&self) {
        let (p, session) = self.p();
        self.each(|data| {
            let signature = p.sign(session, self.mech(), self.held.private, data).unwrap();
            p.verify(session, self.mech(), self.held.public, data, &signature).unwrap();
            let other = Self::another(data);
            let rv = p.verify(session, self.mech(), self.held.public, &other, &signature);
            assert_eq!(rv, Err(CKR_SIGNATURE_INVALID), "{} bytes", data.len());
        });
    }

    fn recover(&self) {
        let (p, session) = self.p();
        self.each(|data| {
            let signed = p.recoverable(false, session, self.mech(), self.held.private, data);
            let signed = signed.unwrap();
            let back = p.recoverable(true, session, self.mech(), self.held.public, &signed);
            assert_eq!(back.unwrap(), data);
        });
    }

    fn message(&self) {
        let (p, session) = self.p();
        self.each(|data| {
            let signature = p.sign_message(session, self.mech(), self.held.private, &[data]);
            let signature = signature.unwrap();
            p.verify(session, self.mech(), self.held.public, data, &signature).unwrap();
            let verify = |data: &[u8]| {
                p.verify_message(session, self.mech(), self.held.public, &[data], &signature)
            };
            verify(data).unwrap();
            assert_eq!(verify(&Self::another(data)), Err(CKR_SIGNATURE_INVALID));
        });
    }

    fn message_in_parts(&self) {
        let (p, session) = self.p();
        if self.case.keys == Keys::Aes && matches!(self.case.other, Other::Own { .. }) {
            return self.encrypted_message_in_parts();
        }
        self.each(|data| {
            let (first, second) = data.split_at(data.len() / 2);
            let parts = [first, &[], second];
            let signature = p.sign_message(session, self.mech(), self.held.private, &parts);
            let signature = signature.unwrap();
            p.verify(session, self.mech(), self.held.public, data, &signature).unwrap();
            p.verify_message(session, self.mech(), self.held.public, &parts, &signature).unwrap();
        });
    }

    /// What `run` makes of a message in both directions is that message; another tag is refused.
    fn messages(&self, run: Crypt) {
        let (p, session) = self.p();
        let messages = Messages { p, session };
        self.each(|data| {
            let mut given = self.case.message(data.len());
            messages.init(ENCRYPT, self.case.ckm, self.held.public).unwrap();
            let secret = run(&messages, ENCRYPT, &mut given, data).unwrap();
            messages.finish(ENCRYPT).unwrap();
            assert!(secret != data || data.is_empty());
            messages.init(DECRYPT, self.case.ckm, self.held.private).unwrap();
            assert_eq!(run(&messages, DECRYPT, &mut given, &secret).unwrap(), data);
            given.tag[0] ^= 1;
            let rv = run(&messages, DECRYPT, &mut given, &secret);
            assert_eq!(rv, Err(CKR_AEAD_DECRYPT_FAILED));
            messages.finish(DECRYPT).unwrap();
        });
    }

    fn encrypted_message(&self) {
        self.messages(|messages, encrypt, given, data| messages.whole(encrypt, given, AAD, data));
    }

    fn encrypted_message_in_parts(&self) {
        self.messages(|messages, encrypt, given, data| {
            let (first, second) = data.split_at(data.len() / 2);
            messages.in_parts(encrypt, given, AAD, &[first, &[], second])
        });
    }

    fn encapsulate(&self) {
        let (p, session) = self.p();
        let mech = || self.case.mech_to_encapsulate(self.held);
        let template = self.case.encapsulated();
        let sent = || encapsulate(p, session, mech(), self.held.public, &template).unwrap();
        let value = |key| p.get(session, key, CKA_VALUE).unwrap();
        let (ciphertext, ours) = sent();
        let theirs = decapsulate(p, session, mech(), self.held.private, &ciphertext, &template);
        assert_eq!(value(ours), value(theirs.unwrap()));
        assert_ne!(value(ours), value(sent().1), "new each time");
    }

    fn encrypt(&self) {
        let (p, session) = self.p();
        self.each(|data| {
            let mech = || self.case.mech_of(self.held, data.len());
            let secret = encrypt(p, session, Op::Encrypt, mech(), self.held.public, data);
            let secret = secret.unwrap();
            assert!(secret != data || data.is_empty());
            let back = encrypt(p, session, Op::Decrypt, mech(), self.held.private, &secret);
            assert_eq!(back.unwrap(), data);
        });
    }

    fn wrap(&self) {
        let (p, session) = self.p();
        let value = [0x6b; 32];
        let open = [flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)];
        let template = [
            &[ulong(CKA_CLASS, CKO_SECRET_KEY), ulong(CKA_KEY_TYPE, CKK_AES)][..],
            &open,
            &flags(&[CKA_ENCRYPT]),
        ]
        .concat();
        let key = [&template[..], &[bytes(CKA_VALUE, &value)]].concat();
        let key = p.create(session, &key).unwrap();
        let wrapped = p.wrap(session, self.mech(), self.held.wraps, key).unwrap();
        let back = p.unwrap(session, self.mech(), self.held.unwraps, &wrapped, &template).unwrap();
        assert_eq!(p.get(session, back, CKA_VALUE).unwrap(), value);
    }

    fn derive(&self) {
        let (p, session) = self.p();
        let Other::Derived(value) = self.case.other else { panic!("what is derived is not known") };
        let value = value(self.known, self.held);
        let template = self.case.derived(value.len());
        let key = p.derive_key(session, self.mech(), self.held.private, &template).unwrap();
        assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), value);
    }

    fn digest(&self) {
        let (p, session) = self.p();
        self.each(|data| {
            let digest = p.digest(session, self.case.ckm, data).unwrap();
            assert_ne!(digest, p.digest(session, self.case.ckm, &Self::another(data)).unwrap());
        });
    }

    fn generate(&self) {
        let (p, session) = self.p();
        let usages: &[CK_ATTRIBUTE_TYPE] = match self.case.keys {
            Keys::Aes => &[CKA_ENCRYPT, CKA_DECRYPT],
            // What is extracted from may leave.
            Keys::Hkdf => &[CKA_DERIVE, CKA_EXTRACTABLE],
            _ => &[CKA_SIGN, CKA_VERIFY],
        };
        let len = self.held.value.len() as CK_ULONG;
        let own = vec![ulong(CKA_VALUE_LEN, len), flag(CKA_SENSITIVE, false)];
        let template = [own, flags(usages)].concat();
        let key = p.generate_key(session, self.case.ckm, &template).unwrap();
        assert_eq!(p.get_bool(session, key, CKA_LOCAL), Ok(true));
        if self.case.keys == Keys::Aes {
            let ecb = || Mech::plain(CKM_AES_ECB);
            let secret = p.encrypt(session, ecb(), key, &[7; 16]).unwrap();
            assert_eq!(p.decrypt(session, ecb(), key, &secret).unwrap(), [7; 16]);
        } else if self.case.keys == Keys::Hkdf {
            let derive = case(CKM_HKDF_DERIVE).unwrap();
            let value = p.get(session, key, CKA_VALUE).unwrap();
            let held = Held { public: key, private: key, value, ..self.held.clone() };
            Use { case: &derive, held: &held, ..*self }.derive();
        } else {
            let mut mechs = p.mechanisms(OWNER).unwrap();
            // The MAC that keys of this type are for.
            mechs.retain(|ckm| matches!(case(*ckm), Some(Case { other: Other::Mac(..), .. })));
            let works = mechs.into_iter().any(|ckm| {
                let mech = || case(ckm).unwrap().mech(self.held);
                let mac = p.sign(session, mech(), key, b"data");
                mac.is_ok_and(|mac| p.verify(session, mech(), key, b"data", &mac).is_ok())
            });
            assert!(works, "no MAC with this key");
        }
    }

    fn generate_pair(&self) {
        let (p, session) = self.p();
        let (own, sign) = match self.case.keys {
            Keys::Rsa => (ulong(CKA_MODULUS_BITS, 2048), CKM_RSA_PKCS),
            _ => {
                let params = p.get(session, self.held.public, CKA_EC_PARAMS).unwrap();
                (bytes(CKA_EC_PARAMS, &params), CKM_ECDSA)
            }
        };
        let public = [vec![own], flags(&[CKA_VERIFY])].concat();
        let (public, private) =
            p.generate_pair(session, self.case.ckm, &public, &flags(&[CKA_SIGN])).unwrap();
        let signature = p.sign(session, Mech::plain(sign), private, &[7; 20]).unwrap();
        p.verify(session, Mech::plain(sign), public, &[7; 20], &signature).unwrap();
    }
}

/// One-shot, into a buffer as long as the module says.
fn encrypt(
    p: &P11,
    session: CK_SESSION_HANDLE,
    op: Op,
    mech: Mech,
    key: CK_OBJECT_HANDLE,
    data: &[u8],
) -> Rv<Vec<u8>> {
    p.init(op, session, mech, key)?;
    let (rv, len) = p.one_shot_raw(op, session, data, None);
    assert_eq!(rv, CKR_OK);
    let mut out = vec![0; len];
    let (rv, len) = p.one_shot_raw(op, session, data, Some(&mut out));
    out.truncate(len);
    if rv == CKR_OK { Ok(out) } else { Err(rv) }
}

/// The listed mechanisms with their cases.
fn cases(known: &Known) -> Vec<Case> {
    let listed = known.t.p.mechanisms(OWNER).unwrap();
    let missing: Vec<_> = listed.iter().filter(|ckm| case(**ckm).is_none()).collect();
    assert!(missing.is_empty(), "listed and without a case: {missing:#x?}");
    listed.into_iter().filter_map(case).collect()
}

/// The first `most` of the keys that a mechanism takes.
fn with_its_keys(known: &Known, case: &Case, most: usize, mut then: impl FnMut(&Use)) {
    let none = Held::default();
    let mut all = known.all(case.keys);
    if case.keys == Keys::None {
        all.push(&none);
    }
    assert!(!all.is_empty());
    for held in all.into_iter().take(most) {
        then(&Use { known, case, held });
    }
}

#[test]
fn c023_every_listed_mechanism_is_used_with_each_of_its_flags() {
    let known = Known::new();
    for case in cases(&known) {
        let flags = known.t.p.mechanism_info(OWNER, case.ckm).unwrap().flags & !FACTS;
        let used = USES.iter().fold(0, |all, (flag, _)| all | flag);
        assert_eq!(flags & !used, 0, "{:#x} has flags that nothing here uses", case.ckm);
        assert_ne!(flags, 0, "{:#x} does nothing", case.ckm);
        with_its_keys(&known, &case, usize::MAX, |with| {
            for (together, run) in USES.iter().filter(|(together, _)| flags & together != 0) {
                assert_eq!(flags & together, *together, "{:#x} does half of it", case.ckm);
                // Which it was, where it fails.
                eprintln!("{:#x} with {}, flags {together:#x}", case.ckm, with.held.name);
                run(with);
            }
        });
    }
}

#[test]
fn c084_every_split_gives_what_the_whole_gives_by_every_mechanism_that_takes_parts() {
    let known = Known::new();
    let (p, session) = (&known.t.p, known.session);
    let mut with_parts = 0;
    for case in cases(&known) {
        let flags = known.t.p.mechanism_info(OWNER, case.ckm).unwrap().flags;
        // How data is cut has nothing to do with the key.
        with_its_keys(&known, &case, 1, |with| {
            let (mech, held) = (|| case.mech_of(with.held, 48), with.held);
            let signs = flags & CKF_SIGN != 0;
            let ciphers = flags & CKF_ENCRYPT != 0;
            if flags & CKF_DIGEST != 0 {
                let data = case.data(67);
                let whole = p.digest(session, case.ckm, &data).unwrap();
                for at in 0..=data.len() {
                    let (first, second) = data.split_at(at);
                    let parts = p.in_parts(Op::Digest, session, mech(), 0, &[first, second]);
                    assert_eq!(parts.unwrap(), whole, "{:#x} at {at}", case.ckm);
                }
                with_parts += 1;
            } else if signs && !case.parts {
                p.init(Op::Sign, session, mech(), held.private).unwrap();
                let rv = p.update(Op::Sign, session, b"x");
                assert_eq!(rv, Err(CKR_FUNCTION_NOT_SUPPORTED), "{:#x}", case.ckm);
            } else if signs {
                let data = case.data(33);
                let whole = p.sign(session, mech(), held.private, &data).unwrap();
                let same = matches!(case.other, Other::Mac(..));
                for at in 0..=data.len() {
                    let (first, second) = data.split_at(at);
                    let parts = [first, second];
                    p.verify_parts(session, mech(), held.public, &parts, &whole).unwrap();
                    let made = p.in_parts(Op::Sign, session, mech(), held.private, &parts);
                    let made = made.unwrap();
                    assert!(!same || made == whole, "{:#x} at {at}", case.ckm);
                    p.verify(session, mech(), held.public, &data, &made).unwrap();
                }
                with_parts += 1;
            } else if ciphers && !case.parts {
                for op in [Op::Encrypt, Op::Decrypt] {
                    let part = if op == Op::Encrypt { Part::Encrypt } else { Part::Decrypt };
                    let key = if op == Op::Encrypt { held.public } else { held.private };
                    p.init(op, session, mech(), key).unwrap();
                    let mut out = [0; 512];
                    let (rv, _) = p.part_raw(part, session, &[1; 16], Some(&mut out));
                    assert_eq!(rv, CKR_FUNCTION_NOT_SUPPORTED, "{:#x}", case.ckm);
                }
            } else if ciphers {
                let data = case.data(48);
                let whole = p.encrypt(session, mech(), held.public, &data).unwrap();
                for (op, key, from, to) in [
                    (Op::Encrypt, held.public, &data, &whole),
                    (Op::Decrypt, held.private, &whole, &data),
                ] {
                    for at in 0..=from.len() {
                        let (first, second) = from.split_at(at);
                        let made = p.in_parts(op, session, mech(), key, &[first, second]);
                        assert_eq!(&made.unwrap(), to, "{:#x} at {at}", case.ckm);
                    }
                }
                with_parts += 1;
            }
        });
    }
    assert!(with_parts > 40, "{with_parts}");
}
