//! ECDSA: signed by the TPM, verified in software (FIPS 186-5, section 6).

use cryptoki_sys::{
    CKR_ATTRIBUTE_VALUE_INVALID, CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_KEY_SIZE_RANGE,
    CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE,
};
use p256::ecdsa::signature::hazmat::PrehashVerifier;

use super::rsa::pad_left;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{Curve, HashAlg, PrivateKey, Scheme};

/// A public point, known to be on its curve.
pub(super) enum EcPublic {
    P224(p224::ecdsa::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

impl EcPublic {
    /// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` for coordinates of another width or a point that is
    /// not on the curve.
    pub(super) fn new(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self> {
        let off_curve =
            |_| Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "a point that is not on its curve");
        if x.len() != curve.field_len() || y.len() != curve.field_len() {
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "coordinates of another width"));
        }
        let point = [&[4], x, y].concat();
        match curve {
            Curve::P224 => p224::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Self::P224),
            Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Self::P256),
            Curve::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Self::P384),
            Curve::P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Self::P521),
        }
        .map_err(off_curve)
    }

    pub(super) fn curve(&self) -> Curve {
        match self {
            Self::P224(_) => Curve::P224,
            Self::P256(_) => Curve::P256,
            Self::P384(_) => Curve::P384,
            Self::P521(_) => Curve::P521,
        }
    }

    /// Whether `signature` (r and s, each of the order's width) is of `digest`.
    fn is_signed(&self, digest: &[u8], signature: &[u8]) -> bool {
        // Of the order's width, so that nothing is left to the library's own rules about digests
        // that are shorter or longer.
        let number = pad_left(&truncated(self.curve(), digest), self.curve().field_len());
        match self {
            Self::P224(key) => p224::ecdsa::Signature::from_slice(signature)
                .and_then(|signature| key.verify_prehash(&number, &signature)),
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .and_then(|signature| key.verify_prehash(&number, &signature)),
            Self::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .and_then(|signature| key.verify_prehash(&number, &signature)),
            Self::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .and_then(|signature| key.verify_prehash(&number, &signature)),
        }
        .is_ok()
    }
}

/// Whether the TPM can be given what this mechanism signs with this key.
///
/// Errors: `CKR_KEY_SIZE_RANGE` when the TPM has no hash as long as the digest needs.
pub(super) fn accepts(task: &Task) -> Result<()> {
    let Some(hash) = task.row.hash else { return Ok(()) };
    let curve = task.ec()?.curve();
    match for_tpm(curve, &vec![0; hash.digest_len()], &task.tpm_hashes) {
        Some(_) => Ok(()),
        None => Err(Error::new(CKR_KEY_SIZE_RANGE, "the TPM has no hash long enough for the key")),
    }
}

/// Signs `digest`, of any length but 0, and gives r and s, each of the order's width.
///
/// Errors: `CKR_DATA_LEN_RANGE` for no digest, and one that is longer (after truncation to the
/// order) than every hash of the TPM; `CKR_DEVICE_ERROR` if what the TPM made does not verify;
/// those of the TPM.
pub(super) fn sign(task: &Task, digest: &[u8], private: &mut dyn PrivateKey) -> Result<Vec<u8>> {
    let public = task.ec()?;
    check_digest(digest)?;
    let signature = match task.scheme {
        // The TPM truncates by the same rule; it wants all of the digest its scheme names.
        Some(scheme) => private.sign(digest, scheme)?,
        None => {
            let (bytes, hash) = for_tpm(public.curve(), digest, &task.tpm_hashes)
                .ok_or_else(|| Error::new(CKR_DATA_LEN_RANGE, "longer than the TPM's hashes"))?;
            private.sign(&bytes, Scheme::Ecdsa(hash))?
        }
    };
    if signature.len() != task.key.signature_len()
        || (task.check && !public.is_signed(digest, &signature))
    {
        return Err(Error::new(CKR_DEVICE_ERROR, "the TPM made a signature that does not verify"));
    }
    Ok(signature)
}

/// Checks that `signature` is of `digest`.
///
/// Errors: `CKR_DATA_LEN_RANGE` for no digest; `CKR_SIGNATURE_LEN_RANGE`, `CKR_SIGNATURE_INVALID`.
pub(super) fn verify(task: &Task, digest: &[u8], signature: &[u8]) -> Result<()> {
    check_digest(digest)?;
    if signature.len() != task.key.signature_len() {
        return Err(Error::new(CKR_SIGNATURE_LEN_RANGE, "ECDSA signature"));
    }
    if task.ec()?.is_signed(digest, signature) {
        Ok(())
    } else {
        Err(Error::new(CKR_SIGNATURE_INVALID, "ECDSA signature"))
    }
}

fn check_digest(digest: &[u8]) -> Result<()> {
    if digest.is_empty() {
        return Err(Error::new(CKR_DATA_LEN_RANGE, "an empty digest"));
    }
    Ok(())
}

/// The leftmost bits of `digest`, as many as the order of `curve` has, as a number.
fn truncated(curve: Curve, digest: &[u8]) -> Vec<u8> {
    let width = curve.field_len();
    let Some((left, _)) = digest.split_at_checked(width) else {
        return digest.to_vec();
    };
    // 7 on P-521, whose order does not fill its last byte; 0 on the others.
    let spare = width * 8 - curve.bits();
    let mut carry = 0u16;
    left.iter()
        .map(|byte| {
            carry = (carry << 8) | u16::from(*byte);
            (carry >> spare) as u8
        })
        .collect()
}

/// What TPM2_Sign is given for `digest`: as many bytes as the hash it is said to be of. `None` when
/// none of `hashes` is long enough.
///
/// The TPM keeps the leftmost bits of what it gets, as many as the order has. So a hash that is no
/// longer than the order is filled up on the left, and a longer one first on the left to the
/// order's width, then on the right with what the TPM cuts off again.
fn for_tpm(curve: Curve, digest: &[u8], hashes: &[HashAlg]) -> Option<(Vec<u8>, HashAlg)> {
    /// By length; SHA-1 only where there is nothing else, because a TPM may refuse to sign with it.
    const BY_PREFERENCE: [HashAlg; 4] =
        [HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512, HashAlg::Sha1];
    let number = truncated(curve, digest);
    let hash = BY_PREFERENCE
        .into_iter()
        .find(|hash| hashes.contains(hash) && hash.digest_len() >= number.len())?;
    let mut bytes = pad_left(&number, hash.digest_len().min(curve.field_len()));
    bytes.resize(hash.digest_len(), 0);
    Some((bytes, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_cut_to_the_bits_of_the_order() {
        assert_eq!(truncated(Curve::P256, &[1; 20]), [1; 20]);
        assert_eq!(truncated(Curve::P256, &[1; 48]), [1; 32]);
        assert_eq!(truncated(Curve::P521, &[0xff; 65]), [0xff; 65]);
        let mut all_ones = [0xff; 66];
        all_ones[0] = 0x01;
        assert_eq!(truncated(Curve::P521, &[0xff; 80]), all_ones);
        let mut low = [0; 66];
        low[64..].copy_from_slice(&[0x01, 0x7f]);
        assert_eq!(truncated(Curve::P521, &low)[64..], [0x00, 0x02]);
    }

    #[test]
    fn the_tpm_gets_a_digest_of_a_length_it_has() {
        let all = HashAlg::ALL;
        for (curve, digest_len, hash) in [
            (Curve::P224, 20, HashAlg::Sha256),
            (Curve::P256, 1, HashAlg::Sha256),
            (Curve::P256, 20, HashAlg::Sha256),
            (Curve::P256, 64, HashAlg::Sha256),
            (Curve::P384, 28, HashAlg::Sha256),
            (Curve::P384, 33, HashAlg::Sha384),
            (Curve::P521, 64, HashAlg::Sha512),
        ] {
            let digest = vec![0xab; digest_len];
            let (bytes, chosen) = for_tpm(curve, &digest, &all).unwrap();
            assert_eq!(chosen, hash);
            let width = curve.field_len().min(hash.digest_len());
            let mut expected = pad_left(&truncated(curve, &digest), width);
            expected.resize(hash.digest_len(), 0);
            assert_eq!(bytes, expected);
        }
        assert_eq!(for_tpm(Curve::P521, &[1; 65], &all), None);
        assert_eq!(for_tpm(Curve::P256, &[1; 32], &[HashAlg::Sha1]), None);
    }

    #[test]
    fn a_hash_longer_than_the_order_is_filled_on_both_sides() {
        let (bytes, hash) = for_tpm(Curve::P384, &[0xab; 47], &[HashAlg::Sha512]).unwrap();
        assert_eq!(hash, HashAlg::Sha512);
        assert_eq!(bytes, [&[0][..], &[0xab; 47], &[0; 16]].concat());
    }
}
