//! ECDH: the private operation is the TPM's, the point's check and the KDF are here (SEC 1, 3.3 and 3.6).

use cryptoki_sys::{
    CK_EC_KDF_TYPE, CKD_NULL, CKD_SHA1_KDF, CKD_SHA3_224_KDF, CKD_SHA3_256_KDF, CKD_SHA3_384_KDF,
    CKD_SHA3_512_KDF, CKD_SHA224_KDF, CKD_SHA256_KDF, CKD_SHA384_KDF, CKD_SHA512_KDF,
    CKR_KEY_SIZE_RANGE, CKR_MECHANISM_PARAM_INVALID, CKR_TEMPLATE_INCOMPLETE,
};
use der::Decode;
use der::asn1::OctetStringRef;
use zeroize::Zeroizing;

use super::ecdsa::EcPublic;
use super::hash::Hash;
use super::parameter::Ecdh;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{Curve, PrivateKey, SecretBytes};

/// Uncompressed (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The hash of a KDF; `None` for CKD_NULL.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID`.
pub(super) fn kdf(kdf: CK_EC_KDF_TYPE) -> Result<Option<Hash>> {
    Ok(match kdf {
        CKD_NULL => None,
        CKD_SHA1_KDF => Some(Hash::Sha1),
        CKD_SHA224_KDF => Some(Hash::Sha224),
        CKD_SHA256_KDF => Some(Hash::Sha256),
        CKD_SHA384_KDF => Some(Hash::Sha384),
        CKD_SHA512_KDF => Some(Hash::Sha512),
        CKD_SHA3_224_KDF => Some(Hash::Sha3_224),
        CKD_SHA3_256_KDF => Some(Hash::Sha3_256),
        CKD_SHA3_384_KDF => Some(Hash::Sha3_384),
        CKD_SHA3_512_KDF => Some(Hash::Sha3_512),
        _ => return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "another KDF")),
    })
}

/// The peer's point is refused before the TPM sees it.
pub(super) fn accepts(task: &Task) -> Result<()> {
    let parameter = task.parameter.ecdh()?;
    if parameter.hash.is_none() && !parameter.shared.is_empty() {
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "shared data without a KDF"));
    }
    peer(task.ec()?.curve(), parameter).map(drop)
}

/// CKM_ECDH1_DERIVE: the x coordinate, of which the last `wanted` bytes are taken, or what the KDF
/// makes of it.
pub(super) fn derive(
    task: &Task,
    wanted: Option<usize>,
    private: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    let parameter = task.parameter.ecdh()?;
    let (x, y) = peer(task.ec()?.curve(), parameter)?;
    let too_long = || Error::new(CKR_KEY_SIZE_RANGE, "longer than the shared secret");
    let width = task.ec()?.curve().field_len();
    match parameter.hash {
        None => {
            let from = width.checked_sub(wanted.unwrap_or(width)).ok_or_else(too_long)?;
            let shared = private.ecdh(&x, &y)?;
            Ok(Zeroizing::new(shared.get(from..).unwrap_or_default().to_vec()))
        }
        Some(hash) => {
            let incomplete =
                || Error::new(CKR_TEMPLATE_INCOMPLETE, "a KDF gives any number of bytes");
            let wanted = wanted.ok_or_else(incomplete)?;
            // Far above any key; below the 2^32 - 1 blocks of the standard.
            if wanted > 1 << 16 {
                return Err(too_long());
            }
            Ok(x9_63(hash, &private.ecdh(&x, &y)?, &parameter.shared, wanted))
        }
    }
}

/// ANSI X9.63 KDF (SEC 1, 3.6.1).
fn x9_63(hash: Hash, shared: &[u8], info: &[u8], len: usize) -> SecretBytes {
    let mut out = Zeroizing::new(Vec::with_capacity(len.saturating_add(64)));
    let mut counter = 1u32;
    while out.len() < len {
        let mut hasher = hash.hasher();
        hasher.update(shared);
        hasher.update(&counter.to_be_bytes());
        hasher.update(info);
        out.extend_from_slice(&Zeroizing::new(hasher.finish()));
        counter = counter.saturating_add(1);
    }
    out.truncate(len);
    out
}

/// The peer's coordinates, from a raw point or its DER OCTET STRING.
fn peer(curve: Curve, parameter: &Ecdh) -> Result<(Vec<u8>, Vec<u8>)> {
    let refused = || Error::new(CKR_MECHANISM_PARAM_INVALID, "the peer's point");
    let width = curve.field_len();
    let raw = |bytes: &[u8]| match bytes.split_first() {
        Some((&UNCOMPRESSED, xy)) if xy.len() == 2 * width => {
            xy.split_at_checked(width).map(|(x, y)| (x.to_vec(), y.to_vec()))
        }
        _ => None,
    };
    let der = || OctetStringRef::from_der(&parameter.public).ok().and_then(|p| raw(p.as_bytes()));
    let (x, y) = raw(&parameter.public).or_else(der).ok_or_else(refused)?;
    EcPublic::new(curve, &x, &y).map_err(|error| error.told_as(CKR_MECHANISM_PARAM_INVALID))?;
    Ok((x, y))
}
