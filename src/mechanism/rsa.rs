//! The RSA public operation, and the private one with its check.

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_KEY_TYPE_INCONSISTENT};
use rsa::{BigUint, RsaPublicKey};

use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{PrivateKey, PublicKey};

/// Bytes of the modulus.
pub(super) fn len(task: &Task) -> usize {
    task.signature_len()
}

fn numbers(task: &Task) -> Result<(&[u8], &[u8])> {
    match &task.public {
        PublicKey::Rsa { modulus, exponent } => Ok((modulus, exponent)),
        PublicKey::Ec { .. } => Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, "not an RSA key")),
    }
}

/// Bits of the modulus.
pub(super) fn bits(task: &Task) -> Result<usize> {
    let (modulus, _) = numbers(task)?;
    let zeros = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    Ok(modulus.len().saturating_mul(8).saturating_sub(zeros))
}

/// Whether `block`, as long as the modulus, is a number below it: the TPM fails on any other.
pub(super) fn is_below_modulus(task: &Task, block: &[u8]) -> Result<bool> {
    let (modulus, _) = numbers(task)?;
    Ok(block.len() == modulus.len() && block < modulus)
}

/// block ^ e mod n, as long as the modulus.
pub(super) fn public(task: &Task, block: &[u8]) -> Result<Vec<u8>> {
    let (modulus, exponent) = numbers(task)?;
    let key = RsaPublicKey::new_unchecked(
        BigUint::from_bytes_be(modulus),
        BigUint::from_bytes_be(exponent),
    );
    let result = rsa::hazmat::rsa_encrypt(&key, &BigUint::from_bytes_be(block))
        .map_err(|cause| Error::because(CKR_DEVICE_ERROR, "RSA public operation", cause))?
        .to_bytes_be();
    let mut padded = vec![0; modulus.len().saturating_sub(result.len())];
    padded.extend_from_slice(&result);
    Ok(padded)
}

/// The signature over the padded `block`: block ^ d mod n in the TPM, checked with the public key
/// before anybody sees it, because one faulty RSA signature can give the key away.
pub(super) fn sign_block(task: &Task, block: &[u8], key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    let signature = key.rsa_decrypt(block)?;
    if public(task, &signature)? != block {
        return Err(Error::new(CKR_DEVICE_ERROR, "the TPM made a wrong signature"));
    }
    Ok(signature.to_vec())
}
