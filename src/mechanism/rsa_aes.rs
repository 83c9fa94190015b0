//! CKM_RSA_AES_KEY_WRAP: a key under an AES key of one use, and that under the RSA key (PKCS#11 v3.1,
//! "RSA AES KEY WRAP").

use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use cryptoki_sys::{CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_KEY_SIZE_RANGE};
use zeroize::Zeroizing;

use super::key_wrap::{DEFAULT_PADDED_IV, unwrap_padded, wrap_padded, wrapped_len};
use super::rsa::random;
use super::rsa_oaep;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{CipherMode, Direction, HashAlg, PrivateKey, Scheme, SecretBytes};

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
    let mut once = Zeroizing::new(vec![0; task.parameter.aes_key_len()?]);
    random(&mut once)?;
    let wrapped = wrap_padded(DEFAULT_PADDED_IV, data, &mut Once(&once))?;
    Ok([rsa_oaep::encrypt(task, &once)?, wrapped.to_vec()].concat())
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
    let once = rsa_oaep::decrypt(task, first, private)?;
    if !matches!(once.len(), 16 | 24 | 32) {
        return Err(Error::new(CKR_ENCRYPTED_DATA_INVALID, "what was wrapped is no AES key"));
    }
    unwrap_padded(DEFAULT_PADDED_IV, second, &mut Once(&once))
}

/// The AES key of one use, which was never in a TPM.
struct Once<'a>(&'a [u8]);

impl Once<'_> {
    fn run<C: BlockEncrypt + BlockDecrypt + KeyInit>(
        &self,
        direction: Direction,
        block: &[u8],
    ) -> Result<SecretBytes> {
        let cipher = C::new_from_slice(self.0);
        let cipher = cipher.map_err(|_| Error::bug("an AES key of another length"))?;
        let mut block = Zeroizing::new(block.to_vec());
        for block in block.chunks_exact_mut(super::parameter::BLOCK) {
            match direction {
                Direction::Encrypt => cipher.encrypt_block(block.into()),
                Direction::Decrypt => cipher.decrypt_block(block.into()),
            }
        }
        Ok(block)
    }
}

impl PrivateKey for Once<'_> {
    fn cipher(
        &mut self,
        mode: CipherMode,
        direction: Direction,
        _: &[u8],
        data: &[u8],
    ) -> Result<SecretBytes> {
        match (mode, self.0.len()) {
            (CipherMode::Ecb, 16) => self.run::<aes::Aes128>(direction, data),
            (CipherMode::Ecb, 24) => self.run::<aes::Aes192>(direction, data),
            (CipherMode::Ecb, _) => self.run::<aes::Aes256>(direction, data),
            _ => Err(not_asked()),
        }
    }

    fn rsa_decrypt(&mut self, _: &[u8]) -> Result<SecretBytes> {
        Err(not_asked())
    }

    fn sign(&mut self, _: &[u8], _: Scheme) -> Result<Vec<u8>> {
        Err(not_asked())
    }

    fn ecdh(&mut self, _: &[u8], _: &[u8]) -> Result<SecretBytes> {
        Err(not_asked())
    }

    fn value(&mut self) -> Result<SecretBytes> {
        Err(not_asked())
    }

    fn hmac(&mut self, _: HashAlg, _: &[u8], _: usize) -> Result<SecretBytes> {
        Err(not_asked())
    }
}

fn not_asked() -> Error {
    Error::bug("an AES key of one use wraps and nothing else")
}
