//! The hashes, all computed in software: a TPM hashes slower than the wire feeds it.

use cryptoki_sys::*;
use sha2_saved::Digest;
use sha2_saved::digest::FixedOutputReset;
use sha2_saved::digest::common::hazmat::{SerializableState, SerializedState};
use zeroize::Zeroizing;

use crate::tpm::HashAlg;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it all.
pub enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_224,
    Sha512_256,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

/// What is known of one hash.
struct Facts {
    digest: CK_MECHANISM_TYPE,
    /// The mask generation function that it makes, where that has a name.
    mgf1: Option<CK_ULONG>,
    digest_len: usize,
    block_len: usize,
    tpm: Option<HashAlg>,
    /// The contents of its OBJECT IDENTIFIER (RFC 8017, appendix B.1; NIST CSOR).
    oid: &'static [u8],
    make: fn() -> Box<dyn Computation>,
    restore: fn(&[u8]) -> Option<Box<dyn Computation>>,
}

const fn nist_oid(last: u8) -> [u8; 9] {
    [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last]
}

/// One hash function at work.
trait Computation: Send {
    fn update(&mut self, data: &[u8]);
    fn finish(&mut self) -> Vec<u8>;
    fn restart(&mut self);
    fn save(&self) -> Zeroizing<Vec<u8>>;
}

impl<D: Digest + FixedOutputReset + SerializableState + Send> Computation for D {
    fn update(&mut self, data: &[u8]) {
        Digest::update(self, data);
    }

    fn finish(&mut self) -> Vec<u8> {
        self.finalize_reset().to_vec()
    }

    fn restart(&mut self) {
        Digest::reset(self);
    }

    fn save(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.serialize().to_vec())
    }
}

fn make<D: Computation + Default + 'static>() -> Box<dyn Computation> {
    Box::new(D::default())
}

fn restore<D: Computation + SerializableState + 'static>(
    state: &[u8],
) -> Option<Box<dyn Computation>> {
    let state: &SerializedState<D> = state.try_into().ok()?;
    Some(Box::new(D::deserialize(state).ok()?))
}

static SHA1: Facts = Facts {
    digest: CKM_SHA_1,
    mgf1: Some(CKG_MGF1_SHA1),
    digest_len: 20,
    block_len: 64,
    tpm: Some(HashAlg::Sha1),
    oid: &[0x2b, 0x0e, 0x03, 0x02, 0x1a],
    make: make::<sha1_saved::Sha1>,
    restore: restore::<sha1_saved::Sha1>,
};
static SHA224: Facts = Facts {
    digest: CKM_SHA224,
    mgf1: Some(CKG_MGF1_SHA224),
    digest_len: 28,
    block_len: 64,
    tpm: None,
    oid: &nist_oid(4),
    make: make::<sha2_saved::Sha224>,
    restore: restore::<sha2_saved::Sha224>,
};
static SHA256: Facts = Facts {
    digest: CKM_SHA256,
    mgf1: Some(CKG_MGF1_SHA256),
    digest_len: 32,
    block_len: 64,
    tpm: Some(HashAlg::Sha256),
    oid: &nist_oid(1),
    make: make::<sha2_saved::Sha256>,
    restore: restore::<sha2_saved::Sha256>,
};
static SHA384: Facts = Facts {
    digest: CKM_SHA384,
    mgf1: Some(CKG_MGF1_SHA384),
    digest_len: 48,
    block_len: 128,
    tpm: Some(HashAlg::Sha384),
    oid: &nist_oid(2),
    make: make::<sha2_saved::Sha384>,
    restore: restore::<sha2_saved::Sha384>,
};
static SHA512: Facts = Facts {
    digest: CKM_SHA512,
    mgf1: Some(CKG_MGF1_SHA512),
    digest_len: 64,
    block_len: 128,
    tpm: Some(HashAlg::Sha512),
    oid: &nist_oid(3),
    make: make::<sha2_saved::Sha512>,
    restore: restore::<sha2_saved::Sha512>,
};
static SHA512_224: Facts = Facts {
    digest: CKM_SHA512_224,
    mgf1: None,
    digest_len: 28,
    block_len: 128,
    tpm: None,
    oid: &nist_oid(5),
    make: make::<sha2_saved::Sha512_224>,
    restore: restore::<sha2_saved::Sha512_224>,
};
static SHA512_256: Facts = Facts {
    digest: CKM_SHA512_256,
    mgf1: None,
    digest_len: 32,
    block_len: 128,
    tpm: None,
    oid: &nist_oid(6),
    make: make::<sha2_saved::Sha512_256>,
    restore: restore::<sha2_saved::Sha512_256>,
};
static SHA3_224: Facts = Facts {
    digest: CKM_SHA3_224,
    mgf1: Some(CKG_MGF1_SHA3_224),
    digest_len: 28,
    block_len: 144,
    tpm: None,
    oid: &nist_oid(7),
    make: make::<sha3_saved::Sha3_224>,
    restore: restore::<sha3_saved::Sha3_224>,
};
static SHA3_256: Facts = Facts {
    digest: CKM_SHA3_256,
    mgf1: Some(CKG_MGF1_SHA3_256),
    digest_len: 32,
    block_len: 136,
    tpm: None,
    oid: &nist_oid(8),
    make: make::<sha3_saved::Sha3_256>,
    restore: restore::<sha3_saved::Sha3_256>,
};
static SHA3_384: Facts = Facts {
    digest: CKM_SHA3_384,
    mgf1: Some(CKG_MGF1_SHA3_384),
    digest_len: 48,
    block_len: 104,
    tpm: None,
    oid: &nist_oid(9),
    make: make::<sha3_saved::Sha3_384>,
    restore: restore::<sha3_saved::Sha3_384>,
};
static SHA3_512: Facts = Facts {
    digest: CKM_SHA3_512,
    mgf1: Some(CKG_MGF1_SHA3_512),
    digest_len: 64,
    block_len: 72,
    tpm: None,
    oid: &nist_oid(10),
    make: make::<sha3_saved::Sha3_512>,
    restore: restore::<sha3_saved::Sha3_512>,
};

impl Hash {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha512_224,
        Self::Sha512_256,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
    ];

    fn facts(self) -> &'static Facts {
        match self {
            Self::Sha1 => &SHA1,
            Self::Sha224 => &SHA224,
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
            Self::Sha512_224 => &SHA512_224,
            Self::Sha512_256 => &SHA512_256,
            Self::Sha3_224 => &SHA3_224,
            Self::Sha3_256 => &SHA3_256,
            Self::Sha3_384 => &SHA3_384,
            Self::Sha3_512 => &SHA3_512,
        }
    }

    /// The hash that the digesting mechanism `ckm` computes.
    pub fn from_mechanism(ckm: CK_MECHANISM_TYPE) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.facts().digest == ckm)
    }

    /// The hash inside the mask generation function `mgf` (CKG_MGF1_...).
    pub fn from_mgf(mgf: CK_ULONG) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.facts().mgf1 == Some(mgf))
    }

    /// The mechanism that computes it.
    pub fn mechanism(self) -> CK_MECHANISM_TYPE {
        self.facts().digest
    }

    /// Bytes of its digest.
    pub fn digest_len(self) -> usize {
        self.facts().digest_len
    }

    /// Bytes of the block that it works on, which HMAC fills its key up to.
    pub(super) fn block_len(self) -> usize {
        self.facts().block_len
    }

    /// The TPM's name for it, where the TPM layer has one.
    pub fn tpm(self) -> Option<HashAlg> {
        self.facts().tpm
    }

    /// What stands before the digest in a DigestInfo (RFC 8017, section 9.2).
    pub(super) fn digest_info_prefix(self) -> Vec<u8> {
        let Facts { digest_len, oid, .. } = *self.facts();
        // No length here reaches 128, so each is one byte: at most 9 for the OID, 64 for the digest.
        let algorithm = [&[0x06, oid.len() as u8], oid, &[0x05, 0x00]].concat();
        let rest =
            [&[0x30, algorithm.len() as u8], &*algorithm, &[0x04, digest_len as u8]].concat();
        [&[0x30, (rest.len() + digest_len) as u8], &*rest].concat()
    }

    /// A fresh computation.
    pub fn hasher(self) -> Hasher {
        Hasher((self.facts().make)())
    }

    /// The computation that [`Hasher::save`] wrote down; `None` if these bytes are none of this
    /// hash.
    pub(super) fn restored(self, state: &[u8]) -> Option<Hasher> {
        (self.facts().restore)(state).map(Hasher)
    }

    /// The digest of `data`.
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        let mut hasher = self.hasher();
        hasher.update(data);
        hasher.finish()
    }
}

/// A hash computation that has seen some of its data.
pub struct Hasher(Box<dyn Computation>);

impl Hasher {
    /// Feeds `data`.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The digest of all that was fed; starts over.
    pub fn finish(&mut self) -> Vec<u8> {
        self.0.finish()
    }

    /// The digest of `data` alone.
    pub(super) fn digest(&mut self, data: &[u8]) -> Vec<u8> {
        self.restart();
        self.update(data);
        self.finish()
    }

    /// Forgets all that was fed.
    pub fn restart(&mut self) {
        self.0.restart();
    }

    /// All that is needed to go on later, of the same length however much was fed. It holds the
    /// last bytes of the data as they are.
    pub(super) fn save(&self) -> Zeroizing<Vec<u8>> {
        self.0.save()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_is_the_one_its_name_says() {
        // FIPS 180-4 and FIPS 202, the example message "abc": the first eight bytes of each digest.
        for (hash, start) in [
            (Hash::Sha1, "a9993e364706816a"),
            (Hash::Sha224, "23097d223405d822"),
            (Hash::Sha256, "ba7816bf8f01cfea"),
            (Hash::Sha384, "cb00753f45a35e8b"),
            (Hash::Sha512, "ddaf35a193617aba"),
            (Hash::Sha512_224, "4634270f707b6a54"),
            (Hash::Sha512_256, "53048e2681941ef9"),
            (Hash::Sha3_224, "e642824c3f8cf24a"),
            (Hash::Sha3_256, "3a985da74fe225b2"),
            (Hash::Sha3_384, "ec01498288516fc9"),
            (Hash::Sha3_512, "b751850b1a57168a"),
        ] {
            let digest = hash.digest(b"abc");
            assert_eq!(hex::encode(&digest[..8]), start, "{hash:?}");
            assert_eq!(digest.len(), hash.digest_len());
            assert_eq!(hash.tpm().map_or(digest.len(), HashAlg::digest_len), digest.len());
        }
    }

    #[test]
    fn every_hash_is_found_by_its_mechanism_and_its_mask_generator() {
        for hash in Hash::ALL {
            assert_eq!(Hash::from_mechanism(hash.facts().digest), Some(hash));
            if let Some(mgf) = hash.facts().mgf1 {
                assert_eq!(Hash::from_mgf(mgf), Some(hash));
            }
        }
        assert_eq!(Hash::from_mechanism(CKM_ECDSA), None);
        assert_eq!(Hash::from_mgf(0), None);
    }

    #[test]
    fn every_hash_goes_on_from_where_it_was_saved() {
        let data: Vec<u8> = (0..400u16).map(|i| i as u8).collect();
        for hash in Hash::ALL {
            let lengths: Vec<usize> = (0..=data.len())
                .map(|split| {
                    let (before, after) = data.split_at(split);
                    let mut hasher = hash.hasher();
                    hasher.update(before);
                    let state = hasher.save();
                    let mut restored = hash.restored(&state).unwrap();
                    restored.update(after);
                    assert_eq!(restored.finish(), hash.digest(&data), "{hash:?} {split}");
                    state.len()
                })
                .collect();
            assert!(lengths.iter().all(|len| *len == lengths[0]), "{hash:?}");
            assert!(hash.restored(&vec![0; lengths[0] - 1]).is_none(), "{hash:?}");
            assert!(hash.restored(&[]).is_none(), "{hash:?}");
        }
    }

    #[test]
    fn a_restarted_computation_has_forgotten_everything() {
        for hash in Hash::ALL {
            let mut hasher = hash.hasher();
            hasher.update(b"to be forgotten");
            hasher.restart();
            hasher.update(b"abc");
            assert_eq!(hasher.finish(), hash.digest(b"abc"), "{hash:?}");
        }
    }

    #[test]
    fn the_digest_info_of_sha256_is_that_of_rfc_8017() {
        assert_eq!(
            hex::encode(Hash::Sha256.digest_info_prefix()),
            "3031300d060960864801650304020105000420"
        );
        assert_eq!(hex::encode(Hash::Sha1.digest_info_prefix()), "3021300906052b0e03021a05000414");
    }
}
