//! OpenSSL takes what this module makes, and this module what OpenSSL makes: every mechanism, both
//! ways, with each kind of key it takes.

mod common;

use std::path::PathBuf;

use common::cases::{Case, MacOf, Other, case, cipher_name};
use common::encapsulation::{decapsulate, encapsulate};
use common::fixture::*;
use common::known::{CURVES, Held, Keys, Known};
use common::message_encryption::{AAD, DECRYPT, ENCRYPT, Given, Messages};
use common::openssl::{ec_public, from_der, path, to_der};
use common::p11::*;
use common::wrapping::Wrapping;
use cryptoki_sys::*;

/// One mechanism with one key, here and there.
struct Both<'a> {
    known: &'a Known,
    case: &'a Case,
    held: &'a Held,
    flags: CK_FLAGS,
}

impl Both<'_> {
    fn can(&self, flag: CK_FLAGS) -> bool {
        self.flags & flag != 0
    }

    fn mech(&self) -> Mech {
        self.case.mech(self.held)
    }

    /// OpenSSL's command takes such data for no digest and does not sign it.
    fn is_long(&self, data: &[u8]) -> bool {
        self.can(CKF_SIGN_RECOVER) && data.len() > 64
    }

    fn their_signature(&self, options: &[&str], data: &[u8]) -> Vec<u8> {
        if self.is_long(data) {
            let room = 2 * self.held.width - data.len();
            let block = match room {
                0 => data.to_vec(),
                _ => [&[0, 1][..], &vec![0xff; room - 3], &[0], data].concat(),
            };
            let raw = ["-pkeyopt", "rsa_padding_mode:none"];
            return self.known.openssl.pkey("-decrypt", &self.held.file, &raw, &block);
        }
        let signature = self.known.openssl.pkey("-sign", &self.held.file, options, data);
        match self.case.keys {
            Keys::Ec => from_der(&signature, self.held.width),
            _ => signature,
        }
    }

    fn they_verify(&self, options: &[&str], data: &[u8], signature: &[u8]) -> bool {
        if self.is_long(data) {
            let file = &self.held.file;
            return self.known.openssl.pkey("-verifyrecover", file, options, signature) == data;
        }
        let signature = match self.case.keys {
            Keys::Ec => to_der(signature),
            _ => signature.to_vec(),
        };
        self.known.openssl.verifies(&self.held.file, options, data, &signature)
    }

    fn signatures(&self, options: &[&str], data: &[u8]) {
        let (p, session) = (&self.known.t.p, self.known.session);
        let ours = p.sign(session, self.mech(), self.held.private, data).unwrap();
        assert!(self.they_verify(options, data, &ours), "{} bytes", data.len());
        let theirs = self.their_signature(options, data);
        p.verify(session, self.mech(), self.held.public, data, &theirs).unwrap();
        if self.can(CKF_SIGN_RECOVER) {
            let ours = p.recoverable(false, session, self.mech(), self.held.private, data).unwrap();
            let recovered =
                self.known.openssl.pkey("-verifyrecover", &self.held.file, options, &ours);
            assert_eq!(recovered, data);
            let back = p.recoverable(true, session, self.mech(), self.held.public, &theirs);
            assert_eq!(back.unwrap(), data);
        }
    }

    /// What they make of `data`.
    fn they(&self, decrypt: bool, data: &[u8]) -> Vec<u8> {
        let openssl = &self.known.openssl;
        match &self.case.other {
            Other::Pkey(options) => {
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                let what = if decrypt { "-decrypt" } else { "-encrypt" };
                openssl.pkey(what, &self.held.file, &options, data)
            }
            Other::Cipher(mode, options) => {
                let name = cipher_name(mode, &self.held.value);
                let direction = if decrypt { &["-d"][..] } else { &[] };
                let options = [&[&*name], *options, direction].concat();
                openssl.cipher(&options, &self.held.value, data)
            }
            Other::Own { encrypt, decrypt: back } => {
                let run = if decrypt { back } else { encrypt };
                run(self.known, self.held, data)
            }
            _ => panic!("nobody else encrypts by {:#x}", self.case.ckm),
        }
    }

    fn ciphertexts(&self, data: &[u8]) {
        let (p, session) = (&self.known.t.p, self.known.session);
        let plain = data.len();
        let run = |op, key, data: &[u8]| {
            p.init(op, session, self.case.mech_of(self.held, plain), key).unwrap();
            let mut out = vec![0; data.len() + 512];
            let (rv, len) = p.one_shot_raw(op, session, data, Some(&mut out));
            assert_eq!(rv, CKR_OK);
            out.truncate(len);
            out
        };
        let ours = run(Op::Encrypt, self.held.public, data);
        assert_eq!(self.they(true, &ours), data);
        let theirs = self.they(false, data);
        assert_eq!(run(Op::Decrypt, self.held.private, &theirs), data);
    }

    /// What a message comes to, whole and in parts, is what the mechanism makes of one operation.
    fn messages(&self, data: &[u8]) {
        let messages = Messages { p: &self.known.t.p, session: self.known.session };
        let theirs = self.they(false, data);
        let (ciphertext, tag) = theirs.split_at(data.len());
        let fresh = || self.case.message(data.len());
        let parts = [&data[..data.len() / 2], &data[data.len() / 2..]];
        messages.init(ENCRYPT, self.case.ckm, self.held.public).unwrap();
        let mut given = fresh();
        assert_eq!(messages.whole(ENCRYPT, &mut given, AAD, data).unwrap(), ciphertext);
        assert_eq!(given.tag, tag);
        let mut given = fresh();
        assert_eq!(messages.in_parts(ENCRYPT, &mut given, AAD, &parts).unwrap(), ciphertext);
        assert_eq!(given.tag, tag);
        messages.finish(ENCRYPT).unwrap();
        messages.init(DECRYPT, self.case.ckm, self.held.private).unwrap();
        let mut given = Given { tag: tag.to_vec(), ..fresh() };
        assert_eq!(messages.whole(DECRYPT, &mut given, AAD, ciphertext).unwrap(), data);
        messages.finish(DECRYPT).unwrap();
    }

    /// A key that was sent here, and one that was sent there.
    fn encapsulated_by_rsa(&self) {
        let (p, session) = (&self.known.t.p, self.known.session);
        let template = self.case.encapsulated();
        let mech = || self.case.mech_to_encapsulate(self.held);
        let (sent, key) = encapsulate(p, session, mech(), self.held.public, &template).unwrap();
        assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), self.they(true, &sent));
        // A block without padding is as long as the modulus, and smaller.
        let secret = self.case.data(if self.case.ckm == CKM_RSA_X_509 { 256 } else { 32 });
        let sent = self.they(false, &secret);
        let key = decapsulate(p, session, mech(), self.held.private, &sent, &template).unwrap();
        assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), secret);
    }

    fn encapsulated_by_ecdh(&self) {
        let (p, session, held) = (&self.known.t.p, self.known.session, self.held);
        let template = self.case.encapsulated();
        let mech = || self.case.mech_to_encapsulate(held);
        let (sent, key) = encapsulate(p, session, mech(), held.public, &template).unwrap();
        let params = p.get(session, held.public, CKA_EC_PARAMS).unwrap();
        let file = self.known.openssl.file("sent", &ec_public(&params, &sent));
        let words = ["pkeyutl", "-derive", "-inkey", path(&held.file), "-peerkey", path(&file)];
        let secret = self.known.openssl.run_alone(&words);
        assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), secret);
        let Other::Derived(value) = self.case.other else { panic!("nothing is derived") };
        let sent = &held.peer[held.peer.len() - 2 * held.width - 1..];
        let key = decapsulate(p, session, mech(), held.private, sent, &template).unwrap();
        assert_eq!(p.get(session, key, CKA_VALUE).unwrap(), value(self.known, held));
    }

    fn wrapped_keys(&self) {
        let (p, session) = (&self.known.t.p, self.known.session);
        let value = [0x6b; 32];
        let template = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_AES),
            flag(CKA_EXTRACTABLE, true),
            flag(CKA_SENSITIVE, false),
        ];
        let key = [&template[..], &[bytes(CKA_VALUE, &value)]].concat();
        let key = p.create(session, &key).unwrap();
        let ours = p.wrap(session, self.mech(), self.held.wraps, key).unwrap();
        assert_eq!(self.they(true, &ours), value);
        let theirs = self.they(false, &value);
        let back = p.unwrap(session, self.mech(), self.held.unwraps, &theirs, &template).unwrap();
        assert_eq!(p.get(session, back, CKA_VALUE).unwrap(), value);
    }

    fn their_mac(&self, of: MacOf, len: usize, data: &[u8]) -> Vec<u8> {
        let mut mac = self.known.openssl.mac(of, &self.held.value, data);
        mac.truncate(len);
        mac
    }

    fn compare(&self) {
        let (p, session) = (&self.known.t.p, self.known.session);
        match &self.case.other {
            Other::Generation => self.generated(),
            Other::Derived(value) => {
                let value = value(self.known, self.held);
                let template = self.case.derived(value.len());
                let key = p.derive_key(session, self.mech(), self.held.private, &template);
                assert_eq!(p.get(session, key.unwrap(), CKA_VALUE).unwrap(), value);
                if self.can(CKF_ENCAPSULATE) {
                    self.encapsulated_by_ecdh();
                }
            }
            other => {
                for len in self.case.lens {
                    let data = self.case.data(*len);
                    match other {
                        Other::Digest(hash) => {
                            let theirs = self.known.openssl.digest(hash, &data);
                            assert_eq!(p.digest(session, self.case.ckm, &data).unwrap(), theirs);
                        }
                        Other::Mac(of, len) => {
                            let theirs = self.their_mac(*of, *len, &data);
                            let ours = p.sign(session, self.mech(), self.held.private, &data);
                            assert_eq!(ours.unwrap(), theirs);
                            p.verify(session, self.mech(), self.held.public, &data, &theirs)
                                .unwrap();
                        }
                        _ => {}
                    }
                    if let (true, Other::Pkey(options)) = (self.can(CKF_SIGN), other) {
                        let options: Vec<&str> = options.iter().map(String::as_str).collect();
                        self.signatures(&options, &data);
                    }
                    if self.can(CKF_ENCRYPT) {
                        self.ciphertexts(&data);
                    }
                    if self.can(CKF_MESSAGE_ENCRYPT) {
                        self.messages(&data);
                    }
                }
                if self.can(CKF_WRAP) {
                    self.wrapped_keys();
                }
                if self.can(CKF_ENCAPSULATE) {
                    self.encapsulated_by_rsa();
                }
            }
        }
    }

    /// A key that was made here serves there: a pair by its public half, a secret by its value.
    fn generated(&self) {
        let (p, session) = (&self.known.t.p, self.known.session);
        if self.can(CKF_GENERATE_KEY_PAIR) {
            let (own, mech, width) = match self.case.keys {
                Keys::Rsa => (ulong(CKA_MODULUS_BITS, 2048), CKM_SHA256_RSA_PKCS, None),
                _ => {
                    let params = p.get(session, self.held.public, CKA_EC_PARAMS).unwrap();
                    (bytes(CKA_EC_PARAMS, &params), CKM_ECDSA_SHA256, Some(self.held.width))
                }
            };
            let sign = [flag(CKA_SIGN, true)];
            let (public, private) = p.generate_pair(session, self.case.ckm, &[own], &sign).unwrap();
            let info = p.get(session, public, CKA_PUBLIC_KEY_INFO).unwrap();
            let file = self.known.openssl.file("public", &info);
            let mut signature = p.sign(session, Mech::plain(mech), private, b"data").unwrap();
            if width.is_some() {
                signature = to_der(&signature);
            }
            let options = ["-pubin", "-rawin", "-digest", "sha256"];
            assert!(self.known.openssl.verifies(&file, &options, b"data", &signature));
            return;
        }
        let mut open = vec![
            ulong(CKA_VALUE_LEN, self.held.value.len() as CK_ULONG),
            flag(CKA_EXTRACTABLE, true),
            flag(CKA_SENSITIVE, false),
        ];
        if self.case.keys == Keys::Hkdf {
            open.push(flag(CKA_DERIVE, true));
        }
        let key = p.generate_key(session, self.case.ckm, &open).unwrap();
        let value = p.get(session, key, CKA_VALUE).unwrap();
        let held = Held { public: key, private: key, value, ..self.held.clone() };
        // By every mechanism that such a key takes.
        let mut served = 0;
        for ckm in p.mechanisms(OWNER).unwrap() {
            let Some(case) = case(ckm).filter(|case| case.keys == self.case.keys) else { continue };
            if let Other::Mac(of, len) = case.other
                && let Ok(mac) = p.sign(session, case.mech(&held), key, b"data")
            {
                let there = Both { held: &held, case: &case, ..*self };
                assert_eq!(mac, there.their_mac(of, len, b"data"));
                served += 1;
            }
            if let Other::Cipher("ecb", options) = case.other {
                let name = cipher_name("ecb", &held.value);
                let options = [&[&*name], options].concat();
                let theirs = self.known.openssl.cipher(&options, &held.value, &[7; 16]);
                assert_eq!(p.encrypt(session, case.mech(&held), key, &[7; 16]).unwrap(), theirs);
                served += 1;
            }
            if let (Other::Derived(value), Keys::Hkdf) = (&case.other, case.keys) {
                let theirs = value(self.known, &held);
                let derived = case.derived(theirs.len());
                let made = p.derive_key(session, case.mech(&held), key, &derived).unwrap();
                assert_eq!(p.get(session, made, CKA_VALUE).unwrap(), theirs);
                served += 1;
            }
        }
        assert!(served > 0, "nothing takes a key of {:#x}", self.case.ckm);
    }
}

/// Lengths around the most that a command takes, and around the most of a chain.
const AROUND: [usize; 8] = [1007, 1008, 1009, 1023, 1024, 1025, 2032, 2049];
/// Lengths of parts, which come again and again until there is no more.
const PARTS: [&[usize]; 5] = [&[1023, 2], &[1024], &[1025, 0], &[1008, 16, 1], &[15, 1010]];

fn in_parts<'a>(data: &'a [u8], lens: &[usize]) -> Vec<&'a [u8]> {
    let (mut parts, mut rest) = (Vec::new(), data);
    for len in lens.iter().cycle() {
        let (part, later) = rest.split_at(rest.len().min(*len));
        parts.push(part);
        rest = later;
        if rest.is_empty() {
            return parts;
        }
    }
    parts
}

#[test]
fn parts_around_the_tpms_buffer_give_what_openssl_makes_of_the_whole() {
    let known = Known::new();
    let (p, session) = (&known.t.p, known.session);
    let mut tried = 0;
    for ckm in known.t.p.mechanisms(OWNER).unwrap() {
        let case = case(ckm).unwrap();
        let flags = p.mechanism_info(OWNER, ckm).unwrap().flags;
        let mac = matches!(case.other, Other::Mac(..));
        if !case.parts || !(mac || flags & CKF_ENCRYPT != 0) {
            continue;
        }
        eprintln!("{ckm:#x}");
        let held = known.all(case.keys)[0];
        let both = Both { known: &known, case: &case, held, flags };
        for len in AROUND {
            let whole = matches!(ckm, CKM_AES_ECB | CKM_AES_CBC);
            let data = case.data(if whole { len.next_multiple_of(16) } else { len });
            let mech = || case.mech_of(held, data.len());
            let theirs = match case.other {
                Other::Mac(of, len) => both.their_mac(of, len, &data),
                _ => both.they(false, &data),
            };
            for lens in PARTS {
                let parts = in_parts(&data, lens);
                if mac {
                    let made = p.in_parts(Op::Sign, session, mech(), held.private, &parts);
                    assert_eq!(made.unwrap(), theirs, "{len} by {lens:?}");
                    p.verify_parts(session, mech(), held.public, &parts, &theirs).unwrap();
                    continue;
                }
                let made = p.in_parts(Op::Encrypt, session, mech(), held.public, &parts);
                assert_eq!(made.unwrap(), theirs, "{len} by {lens:?}");
                let parts = in_parts(&theirs, lens);
                let back = p.in_parts(Op::Decrypt, session, mech(), held.private, &parts);
                assert_eq!(back.unwrap(), data, "{len} by {lens:?}");
            }
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn openssl_takes_what_this_module_makes_and_the_other_way_round() {
    let known = Known::new();
    let none = Held::default();
    for ckm in known.t.p.mechanisms(OWNER).unwrap() {
        let case = case(ckm).unwrap_or_else(|| panic!("{ckm:#x} is listed and has no case"));
        let flags = known.t.p.mechanism_info(OWNER, ckm).unwrap().flags;
        let mut all = known.all(case.keys);
        if case.keys == Keys::None {
            all.push(&none);
        }
        for held in all {
            // Which it was, where it fails.
            eprintln!("{ckm:#x} with {}", held.name);
            Both { known: &known, case: &case, held, flags }.compare();
        }
    }
}

/// A key pair that OpenSSL made.
struct Theirs {
    key_type: CK_KEY_TYPE,
    file: PathBuf,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

fn their_pairs(known: &Known) -> Vec<Theirs> {
    let kind = |key_type, algorithm, option: String| (key_type, algorithm, option);
    let curves = CURVES.map(|(name, ..)| kind(CKK_EC, "EC", format!("ec_paramgen_curve:{name}")));
    let info = known.t.p.mechanism_info(OWNER, CKM_RSA_PKCS).unwrap();
    let sizes = [1024, 2048, 3072].into_iter().filter(|bits| *bits >= info.ulMinKeySize);
    let sizes = sizes.map(|bits| kind(CKK_RSA, "RSA", format!("rsa_keygen_bits:{bits}")));
    let openssl = &known.openssl;
    let make = |(key_type, algorithm, option): (_, _, String)| {
        let words = ["genpkey", "-algorithm", algorithm, "-pkeyopt", &option, "-outform", "DER"];
        let file = openssl.file(&option, &openssl.run_alone(&words));
        let own = ["-inform", "DER", "-in", path(&file), "-outform", "DER"];
        let pkcs8 = openssl.run_alone(&[&["pkcs8", "-topk8", "-nocrypt"][..], &own].concat());
        let public = openssl.run_alone(&[&["pkey", "-pubout"][..], &own].concat());
        Theirs { key_type, pkcs8, public, file }
    };
    curves.into_iter().chain(sizes).map(make).collect()
}

/// Bytes of the DER that `bytes` begin with, which have two bytes or less of length.
fn der_len(bytes: &[u8]) -> usize {
    match bytes[1] {
        0x81 => 3 + usize::from(bytes[2]),
        0x82 => 4 + usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
        len => 2 + usize::from(len),
    }
}

#[test]
fn private_keys_of_every_kind_travel_under_every_mechanism_that_takes_them() {
    let known = Known::new();
    let (p, session) = (&known.t.p, known.session);
    let pairs = their_pairs(&known);
    let mut tried = 0;
    for ckm in p.mechanisms(OWNER).unwrap() {
        let case = case(ckm).unwrap();
        let flags = p.mechanism_info(OWNER, ckm).unwrap().flags;
        let (Keys::Aes | Keys::Rsa) = case.keys else { continue };
        // A padding of RSA has no room for most.
        if flags & CKF_WRAP == 0 || matches!(case.other, Other::Pkey(_)) {
            continue;
        }
        let unit = match ckm {
            CKM_AES_ECB | CKM_AES_CBC => 16,
            CKM_AES_KEY_WRAP => 8,
            _ => 1,
        };
        let held = known.all(case.keys)[0];
        let both = Both { known: &known, case: &case, held, flags };
        for Theirs { key_type, file, pkcs8, public } in &pairs {
            eprintln!("{ckm:#x}: {}", path(file));
            let mut filled = pkcs8.clone();
            filled.resize(pkcs8.len().next_multiple_of(unit), 0);
            let template = [
                ulong(CKA_CLASS, CKO_PRIVATE_KEY),
                ulong(CKA_KEY_TYPE, *key_type),
                flag(CKA_SIGN, true),
                flag(CKA_EXTRACTABLE, true),
            ];
            let wrapped = both.they(false, &filled);
            let key = p.unwrap(session, both.mech(), held.unwraps, &wrapped, &template).unwrap();
            assert_eq!(&p.get(session, key, CKA_PUBLIC_KEY_INFO).unwrap(), public);
            let ec = *key_type == CKK_EC;
            let sign = if ec { CKM_ECDSA_SHA256 } else { CKM_SHA256_RSA_PKCS };
            let signature = p.sign(session, Mech::plain(sign), key, b"data").unwrap();
            let signature = if ec { to_der(&signature) } else { signature };
            let options = ["-rawin", "-digest", "sha256"];
            assert!(known.openssl.verifies(file, &options, b"data", &signature));

            let ours = p.wrap(session, both.mech(), held.wraps, key).unwrap();
            let opened = both.they(true, &ours);
            let (der, zeros) = opened.split_at(der_len(&opened));
            assert!(zeros.len() < unit && zeros.iter().all(|byte| *byte == 0));
            let opened = known.openssl.file("opened", der);
            let words = ["pkey", "-pubout", "-inform", "DER", "-outform", "DER", "-in"];
            let words = [&words[..], &[path(&opened)]].concat();
            assert_eq!(&known.openssl.run_alone(&words), public);
            let words = ["pkey", "-check", "-noout", "-inform", "DER", "-in", path(&opened)];
            known.openssl.run_alone(&words);
            p.destroy(session, key).unwrap();
            tried += 1;
        }
    }
    assert!(tried >= 50, "{tried}");
}
