//! CKM_RSA_X_509: RSA without padding (PKCS#11 v3.1, "X.509 (raw) RSA").

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_SIGNATURE_INVALID};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::row::{Encryption, Padding, Unwrapped};
use super::rsa::{decrypt_block, pad_left, sign_block};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::PrivateKey;

/// Encryption, and decryption to the whole block, leading zeros and all.
pub(super) const ENCRYPTION: Encryption = Encryption::Padding(Padding {
    encrypt,
    decrypt: decrypt_block,
    bound: |task| task.key.signature_len(),
    // PKCS#11 v3.1, "X.509 (raw) RSA".
    unwrapped: Unwrapped::End,
});

/// Signs `data`, a number below the modulus.
pub(super) fn sign(task: &Task, data: &[u8], private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    sign_block(task, &block(task, data)?, private)
}

/// Checks that `signature` is of `data`.
pub(super) fn verify(task: &Task, data: &[u8], signature: &[u8]) -> Result<()> {
    let expected = block(task, data)?;
    if bool::from(task.rsa()?.open(signature)?.ct_eq(&expected)) {
        Ok(())
    } else {
        Err(Error::new(CKR_SIGNATURE_INVALID, "raw RSA signature"))
    }
}

/// The number that `signature` was made of, with its leading zeros.
pub(super) fn recover(task: &Task, signature: &[u8]) -> Result<Vec<u8>> {
    task.rsa()?.open(signature)
}

/// Encrypts `data`, a number below the modulus.
fn encrypt(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    task.rsa()?.encrypt(&block(task, data)?)
}

fn block(task: &Task, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let len = task.rsa()?.len();
    if data.len() > len {
        return Err(Error::new(CKR_DATA_LEN_RANGE, "data longer than the modulus"));
    }
    Ok(Zeroizing::new(pad_left(data, len)))
}
