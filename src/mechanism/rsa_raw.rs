//! RSA without padding: CKM_RSA_X_509.

use cryptoki_sys::{
    CKR_DATA_INVALID, CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID, CKR_SIGNATURE_INVALID,
};

use super::row::Decrypt;
use super::rsa::{self, is_below_modulus};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{PrivateKey, SecretBytes};

/// Decrypts to as many bytes as the modulus has.
pub(super) const DECRYPT: Decrypt = Decrypt { run: decrypt, bound: rsa::len };

/// The number `data`, padded with zeros on the left.
fn block(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    let Some(zeros) = rsa::len(task).checked_sub(data.len()) else {
        return Err(Error::new(CKR_DATA_LEN_RANGE, "longer than the modulus"));
    };
    let mut block = vec![0; zeros];
    block.extend_from_slice(data);
    if !is_below_modulus(task, &block)? {
        return Err(Error::new(CKR_DATA_INVALID, "the number is not below the modulus"));
    }
    Ok(block)
}

pub(super) fn sign(task: &Task, data: &[u8], key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    rsa::sign_block(task, &block(task, data)?, key)
}

pub(super) fn verify(task: &Task, data: &[u8], signature: &[u8]) -> Result<()> {
    let expected = block(task, data)?;
    if !is_below_modulus(task, signature)? || rsa::public(task, signature)? != expected {
        return Err(Error::new(CKR_SIGNATURE_INVALID, "the signature is not valid"));
    }
    Ok(())
}

pub(super) fn encrypt(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    rsa::public(task, &block(task, data)?)
}

fn decrypt(task: &Task, data: &[u8], key: &mut dyn PrivateKey) -> Result<SecretBytes> {
    if !is_below_modulus(task, data)? {
        return Err(Error::new(
            CKR_ENCRYPTED_DATA_INVALID,
            "the ciphertext is not below the modulus",
        ));
    }
    key.rsa_decrypt(data)
}
