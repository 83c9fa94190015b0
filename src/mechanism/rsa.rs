//! RSA without padding: the public operation in software, the private one by the TPM and checked.

use ::rsa::traits::PublicKeyParts;
use ::rsa::{BigUint, RsaPublicKey, hazmat};
use cryptoki_sys::{
    CKR_ATTRIBUTE_VALUE_INVALID, CKR_DATA_INVALID, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID,
    CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE,
};
use zeroize::Zeroizing;

use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{PrivateKey, SecretBytes};

/// An RSA public key, ready for arithmetic.
pub(super) struct RsaPublic {
    key: RsaPublicKey,
    modulus: Vec<u8>,
}

impl RsaPublic {
    /// Both numbers big-endian.
    ///
    /// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` for an even modulus, an exponent that is even, below 3
    /// or above 64 bits.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        let n = BigUint::from_bytes_be(modulus);
        let e = BigUint::from_bytes_be(exponent);
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        if !odd(modulus) || !odd(exponent) || e < BigUint::from(3u8) || e.bits() > 64 || n <= e {
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "no RSA public key"));
        }
        let modulus = n.to_bytes_be();
        // The checked constructor stops at exponents of 33 bits; what it checks is checked above.
        Ok(Self { key: RsaPublicKey::new_unchecked(n, e), modulus })
    }

    /// Bytes of the modulus, and of every block, signature and ciphertext.
    pub(super) fn len(&self) -> usize {
        self.modulus.len()
    }

    /// Bits of the modulus.
    pub(super) fn bits(&self) -> usize {
        self.key.n().bits()
    }

    /// Whether `block`, of the modulus' length, is a number below the modulus.
    fn is_below_modulus(&self, block: &[u8]) -> bool {
        block.len() == self.modulus.len() && block < self.modulus.as_slice()
    }

    /// `block` raised to the public exponent; `None` if it is not below the modulus.
    pub(super) fn raise(&self, block: &[u8]) -> Option<Vec<u8>> {
        if !self.is_below_modulus(block) {
            return None;
        }
        let number = Zeroizing::new(BigUint::from_bytes_be(block));
        let raised = hazmat::rsa_encrypt(&self.key, &number).ok()?;
        Some(pad_left(&raised.to_bytes_be(), self.len()))
    }

    /// The block that `signature` was made of.
    ///
    /// Errors: `CKR_SIGNATURE_LEN_RANGE`, `CKR_SIGNATURE_INVALID`.
    pub(super) fn open(&self, signature: &[u8]) -> Result<Vec<u8>> {
        if signature.len() != self.len() {
            return Err(Error::new(CKR_SIGNATURE_LEN_RANGE, "RSA signature"));
        }
        self.raise(signature)
            .ok_or_else(|| Error::new(CKR_SIGNATURE_INVALID, "RSA signature not below the modulus"))
    }

    /// The ciphertext of a padded `block`.
    ///
    /// Errors: `CKR_DATA_INVALID` if it is not below the modulus.
    pub(super) fn encrypt(&self, block: &[u8]) -> Result<Vec<u8>> {
        self.raise(block)
            .ok_or_else(|| Error::new(CKR_DATA_INVALID, "RSA input not below the modulus"))
    }
}

/// The signature of a padded `block`, made by the TPM and checked with the public key: what a
/// faulty computation gives out can tell the private key.
///
/// Errors: `CKR_DATA_INVALID` if the block is not below the modulus, before the TPM is asked;
/// `CKR_DEVICE_ERROR` if what the TPM made does not verify; those of the TPM.
pub(super) fn sign_block(
    task: &Task,
    block: &[u8],
    private: &mut dyn PrivateKey,
) -> Result<Vec<u8>> {
    let public = task.rsa()?;
    if !public.is_below_modulus(block) {
        return Err(Error::new(CKR_DATA_INVALID, "RSA input not below the modulus"));
    }
    let signature = private.rsa_decrypt(block)?.to_vec();
    check_signature(public, block, &signature)?;
    Ok(signature)
}

/// Whether the TPM's `signature` is that of `block`.
///
/// Errors: `CKR_DEVICE_ERROR`.
pub(super) fn check_signature(public: &RsaPublic, block: &[u8], signature: &[u8]) -> Result<()> {
    if public.raise(signature).is_some_and(|opened| opened == block) {
        Ok(())
    } else {
        Err(Error::new(CKR_DEVICE_ERROR, "the TPM made an RSA signature that does not verify"))
    }
}

/// The padded block inside `ciphertext`, as long as the modulus.
///
/// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`; `CKR_ENCRYPTED_DATA_INVALID` if the ciphertext is not
/// below the modulus, before the TPM is asked; `CKR_DEVICE_ERROR` for a block of another length;
/// those of the TPM.
pub(super) fn decrypt_block(
    task: &Task,
    ciphertext: &[u8],
    private: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    let public = task.rsa()?;
    if ciphertext.len() != public.len() {
        return Err(Error::new(CKR_ENCRYPTED_DATA_LEN_RANGE, "RSA ciphertext"));
    }
    if !public.is_below_modulus(ciphertext) {
        return Err(Error::new(CKR_ENCRYPTED_DATA_INVALID, "ciphertext not below the modulus"));
    }
    let block = private.rsa_decrypt(ciphertext)?;
    if block.len() != public.len() {
        return Err(Error::new(CKR_DEVICE_ERROR, "the TPM's RSA result has another length"));
    }
    Ok(block)
}

/// `bytes` with zeros before them, `len` in all; longer ones stay as they are.
pub(super) fn pad_left(bytes: &[u8], len: usize) -> Vec<u8> {
    let mut padded = vec![0; len.saturating_sub(bytes.len())];
    padded.extend_from_slice(bytes);
    padded
}
