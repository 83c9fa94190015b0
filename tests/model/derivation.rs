//! What keys come to that are derived from others: by HKDF, and by ECDH with a peer that is always the
//! same.

use cryptoki_sys::*;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::{PublicKey, SecretKey};

use super::mac::hmac;
use super::state::{Model, Object};

/// The peer's private key.
const PEER: [u8; 32] = [7; 32];

#[derive(Clone, Copy, Debug)]
pub enum Derivation {
    /// With SHA-256.
    Hkdf(Hkdf),
    /// On P-256, the shared coordinate itself.
    Ecdh,
}

#[derive(Clone, Copy, Debug)]
pub struct Hkdf {
    pub salt: &'static [u8],
    pub info: &'static [u8],
}

impl Hkdf {
    /// RFC 5869, both steps, of at most two blocks.
    pub fn value(self, secret: &[u8], len: usize) -> Vec<u8> {
        let extracted = hmac(self.salt, secret);
        let first = hmac(&extracted, &[self.info, &[1]].concat());
        let second = hmac(&extracted, &[&first, self.info, &[2]].concat());
        let mut blocks = [first, second].concat();
        assert!(len <= blocks.len());
        blocks.truncate(len);
        blocks
    }
}

impl Derivation {
    /// The class and type of the key that it begins with.
    pub fn base(self) -> (CK_OBJECT_CLASS, CK_KEY_TYPE) {
        match self {
            Self::Hkdf(_) => (CKO_SECRET_KEY, CKK_GENERIC_SECRET),
            Self::Ecdh => (CKO_PRIVATE_KEY, CKK_EC),
        }
    }

    /// Bytes that it gives, if that is settled.
    pub fn len(self) -> Option<usize> {
        matches!(self, Self::Ecdh).then_some(32)
    }

    /// Whether the key's value is mixed with other data, which a token need not do inside.
    pub fn mixes(self) -> bool {
        matches!(self, Self::Hkdf(_))
    }
}

impl Model {
    /// The value that `base` gives, of which CKM_ECDH1_DERIVE drops the leading bytes.
    pub(super) fn derived(&self, by: Derivation, base: &Object, len: usize) -> Option<Vec<u8>> {
        match by {
            Derivation::Hkdf(hkdf) => Some(hkdf.value(self.value_of(base)?, len)),
            Derivation::Ecdh => {
                let point = self.points.get(&base.pair?)?;
                let whole = shared(point);
                Some(whole[whole.len() - len..].to_vec())
            }
        }
    }
}

/// The peer's public key, a raw point.
pub fn peer() -> Vec<u8> {
    let secret = SecretKey::from_slice(&PEER).expect("less than the order");
    secret.public_key().to_encoded_point(false).as_bytes().to_vec()
}

fn shared(point: &[u8]) -> Vec<u8> {
    let secret = SecretKey::from_slice(&PEER).expect("less than the order");
    let point = PublicKey::from_sec1_bytes(point).expect("a point of the curve");
    let shared = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), point.as_affine());
    shared.raw_secret_bytes().to_vec()
}
