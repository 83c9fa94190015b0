//! ECDH: the private operation is the TPM's, the point's check and the KDF are here (SEC 1, 3.3 and 3.6).

use cryptoki_sys::*;
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

/// A KDF: which hash, and what stands first in what it hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kdf {
    hash: Hash,
    order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The secret, the counter, the shared data: ANSI X9.63 (SEC 1, 3.6.1).
    SecretFirst,
    /// The counter, the secret, the shared data: NIST SP 800-56A, 5.8.1 (SP 800-56C, option 1).
    CounterFirst,
}

/// The KDF of a CKD_; `None` for CKD_NULL.
///
/// Errors: `CKR_MECHANISM_PARAM_INVALID`.
pub(super) fn kdf(kdf: CK_EC_KDF_TYPE) -> Result<Option<Kdf>> {
    let (hash, order) = match kdf {
        CKD_NULL => return Ok(None),
        CKD_SHA1_KDF => (Hash::Sha1, Order::SecretFirst),
        CKD_SHA224_KDF => (Hash::Sha224, Order::SecretFirst),
        CKD_SHA256_KDF => (Hash::Sha256, Order::SecretFirst),
        CKD_SHA384_KDF => (Hash::Sha384, Order::SecretFirst),
        CKD_SHA512_KDF => (Hash::Sha512, Order::SecretFirst),
        CKD_SHA3_224_KDF => (Hash::Sha3_224, Order::SecretFirst),
        CKD_SHA3_256_KDF => (Hash::Sha3_256, Order::SecretFirst),
        CKD_SHA3_384_KDF => (Hash::Sha3_384, Order::SecretFirst),
        CKD_SHA3_512_KDF => (Hash::Sha3_512, Order::SecretFirst),
        CKD_SHA1_KDF_SP800 => (Hash::Sha1, Order::CounterFirst),
        CKD_SHA224_KDF_SP800 => (Hash::Sha224, Order::CounterFirst),
        CKD_SHA256_KDF_SP800 => (Hash::Sha256, Order::CounterFirst),
        CKD_SHA384_KDF_SP800 => (Hash::Sha384, Order::CounterFirst),
        CKD_SHA512_KDF_SP800 => (Hash::Sha512, Order::CounterFirst),
        CKD_SHA3_224_KDF_SP800 => (Hash::Sha3_224, Order::CounterFirst),
        CKD_SHA3_256_KDF_SP800 => (Hash::Sha3_256, Order::CounterFirst),
        CKD_SHA3_384_KDF_SP800 => (Hash::Sha3_384, Order::CounterFirst),
        CKD_SHA3_512_KDF_SP800 => (Hash::Sha3_512, Order::CounterFirst),
        _ => return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "another KDF")),
    };
    Ok(Some(Kdf { hash, order }))
}

/// The peer's point is refused before the TPM sees it.
pub(super) fn accepts(task: &Task) -> Result<()> {
    let parameter = task.parameter.ecdh()?;
    check_shared(parameter.kdf, &parameter.shared)?;
    peer(task.ec()?.curve(), parameter).map(drop)
}

/// Errors: `CKR_MECHANISM_PARAM_INVALID` for shared data that no KDF takes in.
pub(super) fn check_shared(kdf: Option<Kdf>, shared: &[u8]) -> Result<()> {
    if kdf.is_none() && !shared.is_empty() {
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "shared data without a KDF"));
    }
    Ok(())
}

/// CKM_ECDH1_DERIVE.
pub(super) fn derive(
    task: &Task,
    wanted: Option<usize>,
    private: &mut dyn PrivateKey,
) -> Result<SecretBytes> {
    let parameter = task.parameter.ecdh()?;
    let curve = task.ec()?.curve();
    let (x, y) = peer(curve, parameter)?;
    secret(parameter, wanted, curve.field_len(), || private.ecdh(&x, &y))
}

/// What becomes of the x coordinate that `agree` gives, which has `width` bytes: the last `wanted` of
/// them, or what the KDF makes of it.
pub(super) fn secret(
    parameter: &Ecdh,
    wanted: Option<usize>,
    width: usize,
    agree: impl FnOnce() -> Result<SecretBytes>,
) -> Result<SecretBytes> {
    let too_long = || Error::new(CKR_KEY_SIZE_RANGE, "longer than the shared secret");
    match parameter.kdf {
        None => {
            let from = width.checked_sub(wanted.unwrap_or(width)).ok_or_else(too_long)?;
            let shared = agree()?;
            Ok(Zeroizing::new(shared.get(from..).unwrap_or_default().to_vec()))
        }
        Some(kdf) => {
            let incomplete =
                || Error::new(CKR_TEMPLATE_INCOMPLETE, "a KDF gives any number of bytes");
            let wanted = wanted.ok_or_else(incomplete)?;
            // Far above any key; below the 2^32 - 1 blocks of the standard.
            if wanted > 1 << 16 {
                return Err(too_long());
            }
            Ok(kdf.expand(&agree()?, &parameter.shared, wanted))
        }
    }
}

impl Kdf {
    /// `len` bytes of hashes, one for each number of the counter.
    fn expand(self, shared: &[u8], info: &[u8], len: usize) -> SecretBytes {
        let mut out = Zeroizing::new(Vec::with_capacity(len.saturating_add(64)));
        let mut counter = 1u32;
        while out.len() < len {
            let mut hasher = self.hash.hasher();
            let number = counter.to_be_bytes();
            let (first, second) = match self.order {
                Order::SecretFirst => (shared, number.as_slice()),
                Order::CounterFirst => (number.as_slice(), shared),
            };
            hasher.update(first);
            hasher.update(second);
            hasher.update(info);
            out.extend_from_slice(&Zeroizing::new(hasher.finish()));
            counter = counter.saturating_add(1);
        }
        out.truncate(len);
        out
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_keys_of_x9_63_come_out() {
        let mut tried = 0;
        let vectors = include_str!("../../tests/vectors/x9_63.txt");
        for line in vectors.lines().filter(|line| !line.starts_with('#')) {
            let [hash, shared, info, made] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let decoded = |text| if text == "-" { vec![] } else { hex::decode(text).unwrap() };
            let ckd = match hash {
                "sha1" => CKD_SHA1_KDF,
                "sha224" => CKD_SHA224_KDF,
                "sha256" => CKD_SHA256_KDF,
                "sha384" => CKD_SHA384_KDF,
                "sha512" => CKD_SHA512_KDF,
                _ => unreachable!(),
            };
            let made = decoded(made);
            let kdf = kdf(ckd).unwrap().unwrap();
            assert_eq!(*kdf.expand(&decoded(shared), &decoded(info), made.len()), made, "{line}");
            tried += 1;
        }
        assert_eq!(tried, 20);
    }
}
