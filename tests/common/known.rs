//! Keys whose private values the test knows, in the module and in OpenSSL's hands.

use std::path::PathBuf;

use cryptoki_sys::*;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, RsaPrivateKey};

use super::fixture::*;
use super::openssl::{OpenSsl, path};
use super::p11::*;

/// Which keys a mechanism takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    None,
    Rsa,
    Ec,
    Aes,
    Secret,
    /// Those two.
    AnySecret,
    /// Keys of CKK_HKDF, and secrets.
    Hkdf,
}

/// One key, as both sides have it. Of a secret key both handles are the same.
#[derive(Clone, Default)]
pub struct Held {
    pub name: String,
    pub public: CK_OBJECT_HANDLE,
    pub private: CK_OBJECT_HANDLE,
    /// The handles that wrap and unwrap: a secret key for it does nothing else.
    pub wraps: CK_OBJECT_HANDLE,
    pub unwraps: CK_OBJECT_HANDLE,
    /// A private key's file, and its peer's public one on the same curve.
    pub file: PathBuf,
    pub peer_file: PathBuf,
    /// The peer's public point.
    pub peer: Vec<u8>,
    /// A secret key's value.
    pub value: Vec<u8>,
    pub key_type: CK_KEY_TYPE,
    /// Bytes of r and of s.
    pub width: usize,
}

/// A token with the keys on it.
pub struct Known {
    pub t: Token,
    pub session: CK_SESSION_HANDLE,
    pub openssl: OpenSsl,
    held: Vec<(Keys, Held)>,
}

/// Curves, their widths, and the highest byte of a scalar there.
pub const CURVES: [(&str, &[u8], usize, u8); 4] = [
    ("P-224", P224, 28, 0x17),
    ("P-256", P256, 32, 0x17),
    ("P-384", P384, 48, 0x17),
    ("P-521", P521, 66, 0x00),
];

pub fn flags(usages: &[CK_ATTRIBUTE_TYPE]) -> Vec<Attr> {
    usages.iter().map(|usage| flag(*usage, true)).collect()
}

pub fn number(cka: CK_ATTRIBUTE_TYPE, number: &BigUint) -> Attr {
    bytes(cka, &number.to_bytes_be())
}

/// An RSA private key's numbers.
pub fn rsa_numbers(key: &RsaPrivateKey) -> Vec<Attr> {
    let [p, q] = key.primes() else { panic!("two primes") };
    vec![
        number(CKA_MODULUS, key.n()),
        number(CKA_PUBLIC_EXPONENT, key.e()),
        number(CKA_PRIVATE_EXPONENT, key.d()),
        number(CKA_PRIME_1, p),
        number(CKA_PRIME_2, q),
    ]
}

impl Known {
    pub fn new() -> Self {
        Self::on(Token::new())
    }

    pub fn on(t: Token) -> Self {
        let session = t.user();
        let mut known = Self { t, session, openssl: OpenSsl::new(), held: Vec::new() };
        known.hold_rsa();
        for (name, params, width, first) in CURVES {
            known.hold_ec(name, params, width, first);
        }
        for len in [16, 32] {
            known.hold_secret(Keys::Aes, CKK_AES, len);
        }
        // The last is longer than a block of SHA-256, and than one object of the TPM takes.
        for len in [16, 20, 64, 100] {
            known.hold_secret(Keys::Secret, CKK_GENERIC_SECRET, len);
        }
        known.hold_secret(Keys::Hkdf, CKK_HKDF, 32);
        known
    }

    /// Every key that a mechanism of such `keys` is to be tried with.
    pub fn all(&self, keys: Keys) -> Vec<&Held> {
        let among = match keys {
            Keys::AnySecret => &[Keys::Aes, Keys::Secret][..],
            Keys::Hkdf => &[Keys::Secret, Keys::Hkdf],
            _ => &[keys],
        };
        self.held.iter().filter(|(of, _)| among.contains(of)).map(|(_, held)| held).collect()
    }

    fn create(
        &self,
        class: CK_OBJECT_CLASS,
        key_type: CK_KEY_TYPE,
        more: &[Vec<Attr>],
    ) -> CK_OBJECT_HANDLE {
        let own = vec![ulong(CKA_CLASS, class), ulong(CKA_KEY_TYPE, key_type)];
        self.t.p.create(self.session, &[own, more.concat()].concat()).unwrap()
    }

    fn hold_rsa(&mut self) {
        let der = self.openssl.run_alone(&[
            "genpkey",
            "-algorithm",
            "RSA",
            "-outform",
            "DER",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ]);
        let key = RsaPrivateKey::from_pkcs1_der(&der).unwrap();
        let numbers = rsa_numbers(&key);
        let usages = [CKA_SIGN, CKA_SIGN_RECOVER, CKA_DECRYPT, CKA_UNWRAP, CKA_DECAPSULATE];
        let usages = flags(&usages);
        let private = self.create(CKO_PRIVATE_KEY, CKK_RSA, &[numbers.clone(), usages]);
        let usages = [CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_ENCRYPT, CKA_WRAP, CKA_ENCAPSULATE];
        let usages = flags(&usages);
        let public = self.create(CKO_PUBLIC_KEY, CKK_RSA, &[numbers[..2].to_vec(), usages]);
        let file = self.openssl.file("rsa", &der);
        let held = Held {
            name: "RSA-2048".into(),
            public,
            private,
            wraps: public,
            unwraps: private,
            file,
            width: 128,
            ..Held::default()
        };
        self.held.push((Keys::Rsa, held));
    }

    fn hold_ec(&mut self, name: &str, params: &[u8], width: usize, first: u8) {
        let scalar = |last: u8| [&[first][..], &vec![0x35; width - 2], &[last]].concat();
        // ECPrivateKey (RFC 5915) without the point.
        let file = |last: u8| {
            let curve = [&[0xa0, params.len() as u8], params].concat();
            let body = [&[2, 1, 1, 4, width as u8][..], &scalar(last), &curve].concat();
            let der = [&[0x30, body.len() as u8], &body[..]].concat();
            self.openssl.file(&format!("{name}-{last}"), &der)
        };
        let template = |last| {
            let own = vec![bytes(CKA_EC_PARAMS, params), bytes(CKA_VALUE, &scalar(last))];
            [vec![own], vec![flags(&[CKA_SIGN, CKA_DERIVE, CKA_DECAPSULATE])]].concat()
        };
        let private = self.create(CKO_PRIVATE_KEY, CKK_EC, &template(1));
        let peer = self.create(CKO_PRIVATE_KEY, CKK_EC, &template(2));
        let point = |key| self.t.p.get(self.session, key, CKA_EC_POINT).unwrap();
        let own = vec![bytes(CKA_EC_PARAMS, params), bytes(CKA_EC_POINT, &point(private))];
        let public =
            self.create(CKO_PUBLIC_KEY, CKK_EC, &[own, flags(&[CKA_VERIFY, CKA_ENCAPSULATE])]);
        let peer_public = self.openssl.run_alone(&["pkey", "-pubout", "-in", path(&file(2))]);
        let held = Held {
            name: name.into(),
            public,
            private,
            file: file(1),
            peer_file: self.openssl.file(&format!("{name}-peer"), &peer_public),
            peer: point(peer),
            width,
            ..Held::default()
        };
        self.held.push((Keys::Ec, held));
    }

    fn hold_secret(&mut self, keys: Keys, key_type: CK_KEY_TYPE, len: usize) {
        let value: Vec<u8> = (1..=len as u8).map(|byte| byte.wrapping_mul(37)).collect();
        let open = [flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)];
        let with = |usages: &[CK_ATTRIBUTE_TYPE]| {
            let own = [&[bytes(CKA_VALUE, &value)][..], &open].concat();
            self.create(CKO_SECRET_KEY, key_type, &[own, flags(usages)])
        };
        let all = [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_DERIVE];
        let (key, wraps) = match keys {
            Keys::Hkdf => (with(&[CKA_DERIVE]), 0),
            Keys::Aes => (with(&all), with(&[CKA_WRAP, CKA_UNWRAP])),
            _ => (with(&all[2..]), 0),
        };
        let held = Held {
            name: format!("{keys:?}, {len} bytes"),
            public: key,
            private: key,
            wraps,
            unwraps: wraps,
            value,
            key_type,
            ..Held::default()
        };
        self.held.push((keys, held));
    }
}
