//! ECDSA: the digest cut and padded as the TPM wants it, the signature verified with the public key.

use cryptoki_sys::{
    CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_KEY_TYPE_INCONSISTENT, CKR_SIGNATURE_INVALID,
};
use p256::ecdsa::signature::hazmat::PrehashVerifier;

use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{Curve, PrivateKey, PublicKey, Scheme};

/// Errors: `CKR_KEY_TYPE_INCONSISTENT` for a key that is no EC key.
pub(super) fn accepts(task: &Task) -> Result<()> {
    curve(task).map(|_| ())
}

fn curve(task: &Task) -> Result<Curve> {
    match task.public {
        PublicKey::Ec { curve, .. } => Ok(curve),
        PublicKey::Rsa { .. } => Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, "not an EC key")),
    }
}

pub(super) fn sign(task: &Task, digest: &[u8], key: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    let (prepared, scheme) = match task.bound {
        Some(scheme) => (digest.to_vec(), scheme),
        None => prepare(task, digest)?,
    };
    let signature = key.sign(&prepared, scheme)?;
    if task.check_ec {
        verify(task, digest, &signature).map_err(|error| {
            Error::because(CKR_DEVICE_ERROR, "the TPM made a wrong signature", error)
        })?;
    }
    Ok(signature)
}

/// The number that is signed (the digest's leftmost bits, as many as the order has), in the length
/// of a hash that the TPM has, and that hash.
///
/// The TPM takes a digest of exactly its scheme's hash and cuts it to the order again. Up to the
/// order's length a number is padded on the left; a longer one is the padded number with zeros on
/// the right, which that cut removes.
///
/// Errors: `CKR_DATA_LEN_RANGE` for a number longer than every hash (P-521 and more than 64 bytes).
fn prepare(task: &Task, digest: &[u8]) -> Result<(Vec<u8>, Scheme)> {
    let curve = curve(task)?;
    let number = leftmost_bits(digest, curve);
    let order = curve.field_len();
    let hash = task
        .tpm_hashes
        .iter()
        .copied()
        .find(|hash| hash.digest_len() >= number.len())
        .ok_or_else(|| Error::new(CKR_DATA_LEN_RANGE, "longer than any digest of the TPM"))?;
    let width = hash.digest_len().min(order);
    let mut prepared = vec![0; width.saturating_sub(number.len())];
    prepared.extend_from_slice(&number);
    prepared.resize(hash.digest_len(), 0);
    Ok((prepared, Scheme::Ecdsa(hash)))
}

/// The leftmost bits of `digest`, as many as the order has (FIPS 186-5, section 6.4), as a number
/// of at most the order's bytes.
fn leftmost_bits(digest: &[u8], curve: Curve) -> Vec<u8> {
    let len = curve.field_len();
    let mut number = digest.get(..len).unwrap_or(digest).to_vec();
    let surplus = number.len().saturating_mul(8).saturating_sub(curve.bits());
    if surplus > 0 {
        let mut carry = 0u16;
        for byte in &mut number {
            let both = carry << 8 | u16::from(*byte);
            *byte = (both >> surplus) as u8;
            carry = both & ((1 << surplus) - 1);
        }
    }
    number
}

/// Verifies r || s over `digest`.
pub(super) fn verify(task: &Task, digest: &[u8], signature: &[u8]) -> Result<()> {
    let PublicKey::Ec { curve, x, y } = &task.public else {
        return Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, "not an EC key"));
    };
    let number = leftmost_bits(digest, *curve);
    let mut padded = vec![0; curve.field_len().saturating_sub(number.len())];
    padded.extend_from_slice(&number);
    let point = [&[4], &x[..], &y[..]].concat();
    let valid = match curve {
        Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).and_then(|key| {
            key.verify_prehash(&padded, &p256::ecdsa::Signature::from_slice(signature)?)
        }),
        Curve::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).and_then(|key| {
            key.verify_prehash(&padded, &p384::ecdsa::Signature::from_slice(signature)?)
        }),
        Curve::P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).and_then(|key| {
            key.verify_prehash(&padded, &p521::ecdsa::Signature::from_slice(signature)?)
        }),
    };
    valid.map_err(|_| Error::new(CKR_SIGNATURE_INVALID, "the signature is not valid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_cut_to_the_bits_of_the_order() {
        assert_eq!(leftmost_bits(&[1, 2], Curve::P256), [1, 2]);
        assert_eq!(leftmost_bits(&[9; 48], Curve::P256), [9; 32]);
        assert_eq!(leftmost_bits(&[9; 64], Curve::P521), [9; 64]);
        let cut = leftmost_bits(&[0xff; 70], Curve::P521);
        assert_eq!((cut.len(), cut[0], cut[1]), (66, 1, 0xff));
    }
}
