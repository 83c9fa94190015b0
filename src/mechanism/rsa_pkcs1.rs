//! PKCS#1 v1.5 signatures and encryption (RFC 8017, sections 7.2, 8.2 and 9.2).

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_SIGNATURE_INVALID};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

use super::hash::Hash;
use super::implicit_rejection::{Synthetic, process_secret};
use super::row::{Encryption, Padding, Unwrapped};
use super::rsa::{check_signature, decrypt_block, sign_block};
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{PrivateKey, SecretBytes};

/// What the padding takes at least: 00, the block type, eight bytes, 00.
const OVERHEAD: usize = 11;

/// CKM_RSA_PKCS, encryption and decryption.
pub(super) const ENCRYPTION: Encryption = Encryption::Padding(Padding {
    encrypt,
    decrypt,
    bound: |task| task.key.signature_len().saturating_sub(OVERHEAD),
    unwrapped: Unwrapped::AllOrStandIn,
});

/// CKM_RSA_PKCS: signs `data` as it stands; the caller made the DigestInfo.
pub(super) fn sign(task: &Task, data: &[u8], private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    sign_block(task, &signature_block(task, data)?, private)
}

/// CKM_RSA_PKCS: checks that `signature` is of `data` as it stands.
pub(super) fn verify(task: &Task, data: &[u8], signature: &[u8]) -> Result<()> {
    // The block is made and compared whole: there is nothing to parse, so nothing to fool.
    let expected = signature_block(task, data)?;
    if bool::from(task.rsa()?.open(signature)?.ct_eq(&expected)) {
        Ok(())
    } else {
        Err(Error::new(CKR_SIGNATURE_INVALID, "PKCS#1 v1.5 signature"))
    }
}

/// CKM_RSA_PKCS: the data that `signature` was made of.
pub(super) fn recover(task: &Task, signature: &[u8]) -> Result<Vec<u8>> {
    let block = task.rsa()?.open(signature)?;
    let invalid = || Error::new(CKR_SIGNATURE_INVALID, "PKCS#1 v1.5 signature");
    let padded = block.strip_prefix(&[0, 1]).ok_or_else(invalid)?;
    let end = padded.iter().position(|byte| *byte != 0xff).ok_or_else(invalid)?;
    let data = padded.get(end..).and_then(|rest| rest.strip_prefix(&[0])).ok_or_else(invalid)?;
    // A block is as long as the modulus, so the data tells how long the padding has to be.
    padding_len(block.len(), data).map_err(|_| invalid())?;
    Ok(data.to_vec())
}

/// CKM_SHA..._RSA_PKCS: signs `digest`; a key bound to this scheme by TPM2_Sign.
pub(super) fn sign_digest(
    task: &Task,
    digest: &[u8],
    private: &mut dyn PrivateKey,
) -> Result<Vec<u8>> {
    let info = digest_info(task, digest)?;
    let Some(scheme) = task.scheme else {
        return sign(task, &info, private);
    };
    let block = signature_block(task, &info)?;
    let signature = private.sign(digest, scheme)?;
    check_signature(task.rsa()?, &block, &signature)?;
    Ok(signature)
}

/// CKM_SHA..._RSA_PKCS: checks that `signature` is of `digest`.
pub(super) fn verify_digest(task: &Task, digest: &[u8], signature: &[u8]) -> Result<()> {
    verify(task, &digest_info(task, digest)?, signature)
}

/// CKM_RSA_PKCS: encrypts `data`.
fn encrypt(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    let public = task.rsa()?;
    let padding_len = padding_len(public.len(), data)?;
    let mut padding = Zeroizing::new(vec![0; padding_len]);
    getrandom::fill(&mut padding)?;
    for byte in padding.iter_mut() {
        while *byte == 0 {
            getrandom::fill(std::slice::from_mut(byte))?;
        }
    }
    let block = Zeroizing::new([&[0, 2], &**padding, &[0], data].concat());
    public.encrypt(&block)
}

/// CKM_RSA_PKCS: decrypts `ciphertext`.
///
/// Bad padding is no error: a plaintext that follows from the ciphertext and a secret stands in for
/// it, and nothing here branches on which of the two it is (draft-irtf-cfrg-rsa-guidance).
fn decrypt(task: &Task, ciphertext: &[u8], private: &mut dyn PrivateKey) -> Result<SecretBytes> {
    let secret = process_secret()?;
    let block = decrypt_block(task, ciphertext, private)?;
    let synthetic = Synthetic::new(secret, ciphertext)?;
    unpad(&block, &synthetic)
}

/// The message in `block`, or the `synthetic` one, in a time that tells nothing but the length of
/// what comes out.
fn unpad(block: &[u8], synthetic: &Synthetic) -> Result<SecretBytes> {
    let mut good = Choice::from(1);
    let mut found = Choice::from(0);
    let mut message_len = 0u32;
    for (position, (byte, left)) in block.iter().zip((0..block.len() as u32).rev()).enumerate() {
        match position {
            0 => good &= byte.ct_eq(&0),
            1 => good &= byte.ct_eq(&2),
            _ => {
                let separator = byte.ct_eq(&0) & !found;
                // Eight bytes of padding come first.
                good &= !(separator & (position as u32).ct_lt(&10));
                message_len.conditional_assign(&left, separator);
                found |= separator;
            }
        }
    }
    good &= found;
    let len = u32::conditional_select(&synthetic.len(), &message_len, good) as usize;
    let chosen: SecretBytes = Zeroizing::new(
        synthetic
            .bytes()
            .iter()
            .zip(block)
            .map(|(synthetic, byte)| u8::conditional_select(synthetic, byte, good))
            .collect(),
    );
    // Both messages end where the block ends.
    let (_, message) = chosen
        .split_at_checked(chosen.len().saturating_sub(len))
        .ok_or_else(|| Error::bug("PKCS#1 v1.5 unpadding"))?;
    Ok(Zeroizing::new(message.to_vec()))
}

/// The block of type 1 around `data`, as long as the modulus.
fn signature_block(task: &Task, data: &[u8]) -> Result<Vec<u8>> {
    let padding = vec![0xff; padding_len(task.rsa()?.len(), data)?];
    Ok([&[0, 1], &*padding, &[0], data].concat())
}

fn padding_len(block_len: usize, data: &[u8]) -> Result<usize> {
    match block_len.checked_sub(OVERHEAD).and_then(|most| most.checked_sub(data.len())) {
        Some(spare) => Ok(spare + 8),
        None => Err(Error::new(CKR_DATA_LEN_RANGE, "more data than PKCS#1 v1.5 padding leaves")),
    }
}

fn digest_info(task: &Task, digest: &[u8]) -> Result<Vec<u8>> {
    let hash: Hash = task.row.hash.ok_or_else(|| Error::bug("a digest without its hash"))?;
    Ok([hash.digest_info_prefix().as_slice(), digest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(parts: &[&[u8]]) -> Vec<u8> {
        let block = parts.concat();
        assert_eq!(block.len(), 128);
        block
    }

    #[test]
    fn a_good_block_gives_its_message_and_a_bad_one_always_the_same_stand_in() {
        let synthetic = Synthetic::new(&[7; 32], &[9; 128]).unwrap();
        let stand_in = unpad(&[0; 128], &synthetic).unwrap();
        assert_eq!(stand_in.len(), synthetic.len() as usize);

        let good = block(&[&[0, 2], &[5; 120], &[0], b"hello"]);
        assert_eq!(unpad(&good, &synthetic).unwrap().as_slice(), b"hello");
        let longest = block(&[&[0, 2], &[5; 8], &[0], &[0; 117]]);
        assert_eq!(unpad(&longest, &synthetic).unwrap().as_slice(), [0; 117]);
        let empty = block(&[&[0, 2], &[5; 125], &[0]]);
        assert_eq!(unpad(&empty, &synthetic).unwrap().as_slice(), b"");

        for bad in [
            block(&[&[1, 2], &[5; 120], &[0], b"hello"]),
            block(&[&[0, 1], &[5; 120], &[0], b"hello"]),
            block(&[&[0, 2], &[5; 7], &[0], &[1; 118]]),
            block(&[&[0, 2], &[0], &[1; 125]]),
            block(&[&[0, 2], &[5; 126]]),
        ] {
            assert_eq!(unpad(&bad, &synthetic).unwrap(), stand_in);
        }
    }
}
