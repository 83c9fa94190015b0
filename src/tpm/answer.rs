//! What the parameters of a response say, in the shapes that callers have.

use tss_esapi::constants::tss as tpm2;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::tpm::exchange::{Attempt, Failure};
use crate::tpm::wire::{Reader, malformed};
use crate::tpm::{Blob, Key, SecretBytes};

/// The first TPM2B of the parameters.
pub(super) fn first_sized(parameters: &[u8]) -> Attempt<&[u8]> {
    Reader::new(parameters).sized().map_err(Failure::Altered)
}

/// The blob of `key` with the private area that TPM2_ObjectChangeAuth gave.
pub(super) fn changed(key: &Key<'_>, parameters: &[u8]) -> Attempt<Blob> {
    let private = Reader::new(parameters).whole_sized().map_err(Failure::Altered)?.to_vec();
    Ok(Blob { public: key.blob.public.clone(), private })
}

/// A number at its full width.
pub(super) fn padded(number: &[u8], width: usize) -> Attempt<SecretBytes> {
    let zeros = width.checked_sub(number.len()).ok_or_else(|| Failure::Altered(malformed()))?;
    let mut padded = Zeroizing::new(Vec::with_capacity(width));
    padded.resize(zeros, 0);
    padded.extend_from_slice(number);
    Ok(padded)
}

/// TPMT_SIGNATURE as PKCS#11 has it: r || s of fixed width, or the RSA signature.
pub(super) fn signature(answer: &[u8], algorithm: u16, width: usize) -> Result<Vec<u8>> {
    let mut reader = Reader::new(answer);
    if reader.u16()? != algorithm {
        return Err(malformed());
    }
    reader.u16()?;
    let numbers = if algorithm == tpm2::TPM2_ALG_ECDSA { 2 } else { 1 };
    let mut signature = Vec::with_capacity(numbers * width);
    for _ in 0..numbers {
        let number = reader.sized()?;
        let zeros = width.checked_sub(number.len()).ok_or_else(malformed)?;
        signature.resize(signature.len() + zeros, 0);
        signature.extend_from_slice(number);
    }
    reader.end()?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tpm::wire::Writer;

    #[test]
    fn r_and_s_are_padded_to_the_curves_width() {
        let answer = Writer::new()
            .u16(tpm2::TPM2_ALG_ECDSA)
            .u16(tpm2::TPM2_ALG_SHA256)
            .sized(&[1, 2])
            .sized(&[3, 4, 5])
            .finish();
        let padded = signature(&answer, tpm2::TPM2_ALG_ECDSA, 4).unwrap();
        assert_eq!(padded, [0, 0, 1, 2, 0, 3, 4, 5]);
        assert!(signature(&answer, tpm2::TPM2_ALG_ECDSA, 2).is_err());
        assert!(signature(&answer, tpm2::TPM2_ALG_RSASSA, 4).is_err());
        assert!(signature(&answer[..answer.len() - 1], tpm2::TPM2_ALG_ECDSA, 4).is_err());
    }
}
