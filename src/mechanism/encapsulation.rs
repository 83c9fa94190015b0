//! Encapsulation: a secret that is new, and the ciphertext by which the holder of the private key has
//! it too (PKCS#11 v3.2, C_EncapsulateKey). All of it is a public key's work, and so software's.

use cryptoki_sys::{
    CKR_DATA_INVALID, CKR_KEY_SIZE_RANGE, CKR_MECHANISM_PARAM_INVALID, CKR_TEMPLATE_INCOMPLETE,
};
use p256::elliptic_curve::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use zeroize::Zeroizing;

use super::ecdh;
use super::ecdsa::EcPublic;
use super::parameter::{MechanismChoice, Parameter};
use super::row::{Encryption, Mechanism, Unwrapped};
use super::task::{KeyFacts, KeyInUse, Task, required};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, SecretBytes};

/// An encapsulation about to be made.
pub struct Encapsulating {
    task: Task,
}

/// What an encapsulation gives.
pub struct Encapsulated {
    /// For whoever has the private key.
    pub ciphertext: Vec<u8>,
    /// For whoever made it.
    pub secret: SecretBytes,
}

impl Encapsulating {
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not encapsulate),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    pub fn new(choice: &MechanismChoice, abilities: &Abilities, key: &KeyFacts) -> Result<Self> {
        let task = Task::matched(choice, abilities, key)?;
        required(task.row, task.row.encapsulates.then_some(()), "encapsulate")?;
        match task.key {
            KeyInUse::Ec(_) => without_point(choice)?,
            _ => (task.row.accepts)(&task)?,
        }
        Ok(Self { task })
    }

    /// Bytes of the ciphertext, exactly.
    pub fn ciphertext_len(&self) -> usize {
        match &self.task.key {
            KeyInUse::Ec(key) => 1 + 2 * key.curve().field_len(),
            key => key.signature_len(),
        }
    }

    /// A new secret of `len` bytes, or of as many as the mechanism gives.
    ///
    /// Errors: `CKR_KEY_SIZE_RANGE` for more than there is; `CKR_TEMPLATE_INCOMPLETE` where the
    /// mechanism gives any number of bytes.
    pub fn run(&self, len: Option<usize>) -> Result<Encapsulated> {
        match &self.task.key {
            KeyInUse::Ec(key) => {
                let (ciphertext, shared) = agreed(key)?;
                let secret =
                    ecdh::secret(self.task.parameter.ecdh()?, len, shared.len(), || Ok(shared))?;
                Ok(Encapsulated { ciphertext, secret })
            }
            KeyInUse::Rsa(_) if self.task.row.unwrapped() == Unwrapped::End => self.rsasve(len),
            _ => {
                let len = len.ok_or_else(|| {
                    Error::new(CKR_TEMPLATE_INCOMPLETE, "RSA gives any number of bytes")
                })?;
                if len > self.task.key.signature_len() {
                    return Err(Error::new(CKR_KEY_SIZE_RANGE, "longer than the modulus"));
                }
                let mut secret = Zeroizing::new(vec![0; len]);
                getrandom::fill(&mut secret)?;
                Ok(Encapsulated { ciphertext: self.encrypt(&secret)?, secret })
            }
        }
    }

    /// A number below the modulus, of which the secret is the last bytes.
    /// NIST SP 800-56B, "RSASVE Generate Operation".
    fn rsasve(&self, len: Option<usize>) -> Result<Encapsulated> {
        let width = self.task.key.signature_len();
        let skipped = width.checked_sub(len.unwrap_or(width));
        let skipped =
            skipped.ok_or_else(|| Error::new(CKR_KEY_SIZE_RANGE, "longer than the modulus"))?;
        let mut number = Zeroizing::new(vec![0; width]);
        loop {
            getrandom::fill(&mut number)?;
            match self.encrypt(&number) {
                // Half of all numbers at most are as large as the modulus.
                Err(error) if error.ck_rv() == CKR_DATA_INVALID => {}
                Err(error) => return Err(error),
                Ok(ciphertext) => {
                    number.drain(..skipped);
                    return Ok(Encapsulated { ciphertext, secret: number });
                }
            }
        }
    }

    fn encrypt(&self, secret: &[u8]) -> Result<Vec<u8>> {
        match self.task.row.encryption {
            Some(Encryption::Padding(padding)) => (padding.encrypt)(&self.task, secret),
            _ => Err(Error::bug("an encapsulation that encrypts nothing")),
        }
    }
}

/// The choice for a derivation that opens `ciphertext`: it takes the place of the peer's point.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID` where the parameter has a point already.
pub fn with_ciphertext(choice: &MechanismChoice, ciphertext: &[u8]) -> Result<MechanismChoice> {
    without_point(choice)?;
    let mut choice = choice.clone();
    if let Parameter::Ecdh { public, .. } = &mut choice.parameter {
        *public = ciphertext.to_vec();
    }
    Ok(choice)
}

/// Whether `row` opens what it encapsulates by deriving, not by decrypting.
pub fn opens_by_deriving(row: &Mechanism) -> bool {
    row.encapsulates && row.derive.is_some()
}

/// The point comes with the encapsulation.
fn without_point(choice: &MechanismChoice) -> Result<()> {
    match &choice.parameter {
        Parameter::Ecdh { kdf, shared, public } if public.is_empty() => {
            ecdh::check_shared(ecdh::kdf(*kdf)?, shared)
        }
        _ => Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "a point besides the ciphertext")),
    }
}

/// The public point of a new key pair, and what it and `peer` agree on.
fn agreed(peer: &EcPublic) -> Result<(Vec<u8>, SecretBytes)> {
    let width = peer.curve().field_len();
    // Of the highest byte only the bits that a scalar has.
    let highest = u8::MAX >> (8 * width).saturating_sub(peer.curve().bits()).min(7);
    macro_rules! agree {
        ($curve:ident, $peer:expr) => {
            loop {
                let mut scalar = Zeroizing::new(vec![0; width]);
                getrandom::fill(&mut scalar)?;
                if let Some(byte) = scalar.first_mut() {
                    *byte &= highest;
                }
                // 0, or not below the order: another one.
                let Ok(own) = $curve::SecretKey::from_slice(&scalar) else { continue };
                let point = own.public_key().to_encoded_point(false).as_bytes().to_vec();
                let shared = diffie_hellman(own.to_nonzero_scalar(), $peer.as_affine());
                break Ok((point, Zeroizing::new(shared.raw_secret_bytes().to_vec())));
            }
        };
    }
    match peer {
        EcPublic::P224(peer) => agree!(p224, peer),
        EcPublic::P256(peer) => agree!(p256, peer),
        EcPublic::P384(peer) => agree!(p384, peer),
        EcPublic::P521(peer) => agree!(p521, peer),
    }
}
