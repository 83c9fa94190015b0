//! CKM_RSA_AES_KEY_WRAP: a key under an AES key of one use, and that under the RSA key (PKCS#11 v3.1,
//! "RSA AES KEY WRAP").

use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use cryptoki_sys::{CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_KEY_SIZE_RANGE};
use zeroize::Zeroizing;

use super::key_wrap::{DEFAULT_PADDED_IV, unwrap_padded, wrap_padded, wrapped_len};
use super::parameter::BLOCK;
use super::rsa_oaep;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{Direction, PrivateKey, SecretBytes};

/// Whether the AES key has room in the RSA key's block.
///
/// Errors: `CKR_KEY_SIZE_RANGE`.
pub(super) fn accepts(task: &Task) -> Result<()> {
    if task.parameter.aes_key_len()? > rsa_oaep::longest(task)? {
        return Err(Error::new(CKR_KEY_SIZE_RANGE, "a key too short for the AES key in OAEP"));
    }
    Ok(())
}

/// Bytes of a key of `len` bytes, wrapped. Errors: `CKR_DATA_LEN_RANGE`.
pub(super) fn whole_len(task: &Task, len: usize) -> Result<usize> {
    Ok(task.rsa()?.len().saturating_add(wrapped_len(len)?))
}

/// Wraps the key `data`.
pub(super) fn wrap(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    let mut key = Zeroizing::new(vec![0; task.parameter.aes_key_len()?]);
    getrandom::fill(&mut key)?;
    let wrapped = wrap_padded(DEFAULT_PADDED_IV, data, &mut once(&key))?;
    Ok([rsa_oaep::encrypt(task, &key)?, wrapped.to_vec()].concat())
}

/// Unwraps a key: one private operation, then software with what it gave.
///
/// Errors: `CKR_ENCRYPTED_DATA_LEN_RANGE`; `CKR_ENCRYPTED_DATA_INVALID`, whichever half was wrong.
pub(super) fn unwrap(
    task: &Task,
    wrapped: &[u8],
    private: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    let short = || Error::new(CKR_ENCRYPTED_DATA_LEN_RANGE, "shorter than the RSA key's block");
    let (first, second) = wrapped.split_at_checked(task.rsa()?.len()).ok_or_else(short)?;
    if second.len() < 16 || !second.len().is_multiple_of(8) {
        return Err(Error::new(CKR_ENCRYPTED_DATA_LEN_RANGE, "not whole semiblocks"));
    }
    let key = rsa_oaep::decrypt(task, first, private)?;
    if !matches!(key.len(), 16 | 24 | 32) {
        return Err(Error::new(CKR_ENCRYPTED_DATA_INVALID, "what was wrapped is no AES key"));
    }
    unwrap_padded(DEFAULT_PADDED_IV, second, &mut once(&key))
}

/// The AES key of one use, `key`, which was never in a TPM.
fn once(key: &[u8]) -> impl FnMut(Direction, &[u8]) -> Result<SecretBytes> {
    |direction, blocks| match key.len() {
        16 => ecb::<aes::Aes128>(key, direction, blocks),
        24 => ecb::<aes::Aes192>(key, direction, blocks),
        _ => ecb::<aes::Aes256>(key, direction, blocks),
    }
}

fn ecb<C: BlockEncrypt + BlockDecrypt + KeyInit>(
    key: &[u8],
    direction: Direction,
    blocks: &[u8],
) -> Result<SecretBytes> {
    let cipher = C::new_from_slice(key);
    let cipher = cipher.map_err(|_| Error::bug("an AES key of another length"))?;
    let mut blocks = Zeroizing::new(blocks.to_vec());
    for block in blocks.chunks_exact_mut(BLOCK) {
        match direction {
            Direction::Encrypt => cipher.encrypt_block(block.into()),
            Direction::Decrypt => cipher.decrypt_block(block.into()),
        }
    }
    Ok(blocks)
}
