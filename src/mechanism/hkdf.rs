//! HKDF (RFC 5869). What is made with a key as the key of HMAC happens in the TPM: the expansion of a
//! base key, the extraction with a salt that is a key. The extraction takes the base key as the
//! message, which no TPM does with a key that it keeps: the base's value has to leave.

use cryptoki_sys::{
    CKR_KEY_SIZE_RANGE, CKR_MECHANISM_PARAM_INVALID, CKR_TEMPLATE_INCOMPLETE,
    CKR_TEMPLATE_INCONSISTENT,
};
use zeroize::Zeroizing;

use super::derivation::Keys;
use super::derivation_parameter::{HkdfParameter, Salt};
use super::hash::Hash;
use super::mac::hmac_in_software;
use super::parameter::{Checked, invalid};
use super::task::{KeyInUse, Task};
use crate::error::{Error, Result};
use crate::tpm::{HashAlg, SecretBytes};

/// The parameter, its values known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hkdf {
    pub(super) extract: bool,
    expand: bool,
    hash: Hash,
    pub(super) salt: Salt,
    info: Vec<u8>,
}

impl Hkdf {
    /// Errors: `CKR_MECHANISM_PARAM_INVALID` for neither step, and for a hash that is not known.
    pub(super) fn new(given: &HkdfParameter) -> Result<Self> {
        if !given.extract && !given.expand {
            return Err(invalid("HKDF neither extracts nor expands"));
        }
        let hash = Hash::from_mechanism(given.hash).ok_or_else(|| invalid("hash"))?;
        Ok(Self {
            extract: given.extract,
            expand: given.expand,
            hash,
            // What is not used is ignored.
            salt: if given.extract { given.salt.clone() } else { Salt::None },
            info: if given.expand { given.info.clone() } else { Vec::new() },
        })
    }
}

/// The hash is one of the TPM's where a key that stays there is the key of HMAC, and a key that is
/// expanded is as long as the hash at least.
pub(super) fn accepts(task: &Task) -> Result<()> {
    let hkdf = parameter(task)?;
    let in_tpm = !hkdf.extract || matches!(hkdf.salt, Salt::Key(_));
    if in_tpm && !hkdf.hash.tpm().is_some_and(|hash| task.tpm_hashes.contains(&hash)) {
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "the TPM has not this hash"));
    }
    let short = matches!(task.key, KeyInUse::Secret { len, .. } if len < hkdf.hash.digest_len());
    if !hkdf.extract && short {
        return Err(Error::new(CKR_KEY_SIZE_RANGE, "a key shorter than the hash is not expanded"));
    }
    Ok(())
}

/// CKM_HKDF_DERIVE and CKM_HKDF_DATA.
pub(super) fn derive(
    task: &Task,
    wanted: &[Option<usize>],
    keys: &mut Keys<'_>,
) -> Result<Vec<SecretBytes>> {
    let hkdf = parameter(task)?;
    let digest_len = hkdf.hash.digest_len();
    let wanted = wanted.first().copied().flatten();
    let len = match (hkdf.expand, wanted) {
        (true, None) => {
            return Err(Error::new(CKR_TEMPLATE_INCOMPLETE, "HKDF gives any number of bytes"));
        }
        (true, Some(len)) if len > digest_len.saturating_mul(255) => {
            return Err(Error::new(CKR_KEY_SIZE_RANGE, "HKDF gives 255 blocks of the hash"));
        }
        (false, Some(len)) if len != digest_len => {
            let why = "an extraction gives as many bytes as the hash";
            return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, why));
        }
        (_, len) => len.unwrap_or(digest_len),
    };
    let secret = match hkdf.extract {
        true => Some(extract(task, hkdf, keys)?),
        false => None,
    };
    match (hkdf.expand, secret) {
        (true, secret) => expand(task, hkdf, secret, len, keys).map(|made| vec![made]),
        (false, Some(secret)) => Ok(vec![secret]),
        (false, None) => Err(Error::bug("HKDF without a step")),
    }
}

fn extract(task: &Task, hkdf: &Hkdf, keys: &mut Keys<'_>) -> Result<SecretBytes> {
    let value = keys.base.value()?;
    match &hkdf.salt {
        // A key of zeros, and HMAC fills a shorter one up with them.
        Salt::None => Ok(hmac_in_software(hkdf.hash, &[], &[&value])),
        Salt::Data(salt) => Ok(hmac_in_software(hkdf.hash, salt, &[&value])),
        Salt::Key(_) => {
            let salt = keys.others.first_mut();
            let salt = salt.ok_or_else(|| Error::bug("a salt without its key"))?;
            salt.hmac(in_tpm(hkdf)?, &value, task.input_buffer)
        }
    }
}

/// RFC 5869, section 2.3, with `secret` or, where there is none, with the base key in the TPM.
fn expand(
    task: &Task,
    hkdf: &Hkdf,
    secret: Option<SecretBytes>,
    len: usize,
    keys: &mut Keys<'_>,
) -> Result<SecretBytes> {
    let mut made = Zeroizing::new(Vec::with_capacity(len.saturating_add(64)));
    let mut last = SecretBytes::default();
    let mut number = 0u8;
    while made.len() < len {
        number = number.checked_add(1).ok_or_else(|| Error::bug("more than 255 blocks"))?;
        let message = Zeroizing::new([&last[..], &hkdf.info, &[number]].concat());
        last = match &secret {
            Some(secret) => hmac_in_software(hkdf.hash, secret, &[&message]),
            None => keys.base.hmac(in_tpm(hkdf)?, &message, task.input_buffer)?,
        };
        made.extend_from_slice(&last);
    }
    made.truncate(len);
    Ok(made)
}

fn in_tpm(hkdf: &Hkdf) -> Result<HashAlg> {
    hkdf.hash.tpm().ok_or_else(|| Error::bug("a hash that the TPM has not"))
}

fn parameter(task: &Task) -> Result<&Hkdf> {
    match &task.parameter {
        Checked::Hkdf(hkdf) => Ok(hkdf),
        _ => Err(Error::bug("HKDF without its parameter")),
    }
}
