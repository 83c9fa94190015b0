//! Secrets that are longer than a TPM's HMAC key: one key here, several objects in the TPM.
//!
//! HMAC shortens a key that is longer than the hash's block by that hash (RFC 2104, section 2), and a
//! TPM, which does not know the hash before it is asked, takes no such key. So there is an object
//! for each hash, bound to it, with the key as that hash takes it. Where the secret may leave the TPM
//! its bytes are kept besides, in pieces that are sealed objects.
//!
//! The areas of such a [`Blob`] stand one after the other: each tells its own length.

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_MECHANISM_INVALID};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384, Sha512};
use tss_esapi::constants::tss as tpm2;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::tpm::engine::Turn;
use crate::tpm::public::key_template;
use crate::tpm::wire::Reader;
use crate::tpm::{
    Auth, Blob, HashAlg, Key, KeyKind, KeyTemplate, PIECE, Primary, SecretBytes, Tpm,
};

/// What one object of a long key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// HMAC by this hash.
    Hmac(HashAlg),
    /// A piece of the secret.
    Piece,
}

impl Blob {
    /// The objects of a key; of most there is one.
    ///
    /// Errors: `CKR_DEVICE_ERROR` for areas that are cut short.
    pub fn objects(&self) -> Result<Vec<Self>> {
        let (mut public, mut private) = (Reader::new(&self.public), Reader::new(&self.private));
        let mut objects = Vec::new();
        loop {
            objects.push(Self {
                public: public.whole_sized()?.to_vec(),
                private: private.whole_sized()?.to_vec(),
            });
            match (public.clone().rest(), private.clone().rest()) {
                ([], []) => return Ok(objects),
                ([], _) | (_, []) => {
                    return Err(Error::new(CKR_DEVICE_ERROR, "a key with half an object"));
                }
                _ => {}
            }
        }
    }

    /// All of `objects` as one key.
    fn joined(objects: Vec<Self>) -> Self {
        let mut all = Self::default();
        for object in objects {
            all.public.extend_from_slice(&object.public);
            all.private.extend_from_slice(&object.private);
        }
        all
    }
}

impl Turn<'_> {
    /// Makes the objects of the key `secret`, for HMAC by `only` or by every hash of the TPM.
    pub(super) fn create_long_key(
        &mut self,
        parent: &Primary,
        template: &KeyTemplate,
        only: Option<HashAlg>,
        secret: &[u8],
        auth: &Auth,
    ) -> Result<Blob> {
        let abilities = self.abilities()?;
        let mut objects = Vec::new();
        for hash in HashAlg::ALL {
            if only.is_some_and(|only| only != hash) || !abilities.has_hash(hash) {
                continue;
            }
            let part = KeyTemplate {
                kind: KeyKind::HmacBy(hash),
                sign: true,
                decrypt: false,
                extractable: false,
                ..*template
            };
            let key = hmac_key(hash, secret);
            objects.push(self.create_any(parent, &key_template(&part, false)?, &key, auth)?);
        }
        if template.extractable {
            let part =
                KeyTemplate { kind: KeyKind::Piece, sign: false, decrypt: false, ..*template };
            for piece in secret.chunks(PIECE) {
                objects.push(self.create_any(parent, &key_template(&part, false)?, piece, auth)?);
            }
        }
        Ok(Blob::joined(objects))
    }

    /// The object of `key` that makes HMACs by `hash`.
    ///
    /// Errors: `CKR_MECHANISM_INVALID` for a long key that has none for this hash.
    pub(super) fn hmac_object(&self, key: &Key<'_>, hash: HashAlg) -> Result<Blob> {
        let mut objects = key.blob.objects()?;
        if objects.len() == 1 {
            return objects.pop().ok_or_else(|| Error::bug("an object is gone"));
        }
        for object in objects {
            if role(&object.public)? == Role::Hmac(hash) {
                return Ok(object);
            }
        }
        Err(Error::new(CKR_MECHANISM_INVALID, "the TPM does not have the key for this hash"))
    }

    /// The secret of a key that may leave, put together from its pieces.
    pub(super) fn export_any(&mut self, key: &Key<'_>) -> Result<SecretBytes> {
        let objects = key.blob.objects()?;
        let whole = objects.len() == 1;
        let mut secret = Zeroizing::new(Vec::with_capacity(objects.len().saturating_mul(PIECE)));
        for object in &objects {
            if whole || role(&object.public)? == Role::Piece {
                secret.extend_from_slice(&self.duplicate(&Key { blob: object, ..*key })?);
            }
        }
        if secret.is_empty() {
            return Err(Error::new(CKR_DEVICE_ERROR, "a key that may not leave the TPM"));
        }
        Ok(secret)
    }

    /// Changes the authValue of each object of `key`.
    pub(super) fn change_auth_of_all(&mut self, key: &Key<'_>, new: &Auth) -> Result<Blob> {
        let mut changed = Vec::new();
        for object in &key.blob.objects()? {
            changed.push(self.change_auth_of(&Key { blob: object, ..*key }, new)?);
        }
        Ok(Blob::joined(changed))
    }
}

/// The key of HMAC by `hash` that `secret` comes to: itself, or its hash where it is longer than the
/// block (RFC 2104, section 2).
fn hmac_key(hash: HashAlg, secret: &[u8]) -> SecretBytes {
    if secret.len() <= hash.block_len() {
        return Zeroizing::new(secret.to_vec());
    }
    Zeroizing::new(match hash {
        HashAlg::Sha1 => Sha1::digest(secret).to_vec(),
        HashAlg::Sha256 => Sha256::digest(secret).to_vec(),
        HashAlg::Sha384 => Sha384::digest(secret).to_vec(),
        HashAlg::Sha512 => Sha512::digest(secret).to_vec(),
    })
}

/// What the object with this TPM2B_PUBLIC is for.
/// TPM 2.0 Part 2, TPMT_PUBLIC and TPMS_KEYEDHASH_PARMS.
fn role(public: &[u8]) -> Result<Role> {
    let mut reader = Reader::new(Reader::new(public).sized()?);
    let (_kind, _name, _attributes) = (reader.u16()?, reader.u16()?, reader.u32()?);
    let _policy = reader.sized()?;
    if reader.u16()? != tpm2::TPM2_ALG_HMAC {
        return Ok(Role::Piece);
    }
    let id = reader.u16()?;
    HashAlg::ALL
        .into_iter()
        .find(|hash| hash.alg_id() == id)
        .map(Role::Hmac)
        .ok_or_else(|| Error::new(CKR_DEVICE_ERROR, "a key for a hash that nobody knows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(kind: KeyKind) -> KeyTemplate {
        let sign = matches!(kind, KeyKind::HmacBy(_));
        KeyTemplate { kind, sign, decrypt: false, scheme: None, extractable: !sign, policy: None }
    }

    fn sized(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
    }

    #[test]
    fn an_object_tells_what_it_is_for() {
        for hash in HashAlg::ALL {
            let area = key_template(&template(KeyKind::HmacBy(hash)), false).unwrap();
            assert_eq!(role(&sized(&area)).unwrap(), Role::Hmac(hash));
        }
        let area = key_template(&template(KeyKind::Piece), false).unwrap();
        assert_eq!(role(&sized(&area)).unwrap(), Role::Piece);
    }

    #[test]
    fn objects_are_joined_and_taken_apart() {
        let object = |n: u8| Blob { public: sized(&[n; 3]), private: sized(&[n; 5]) };
        for count in 1..4 {
            let objects: Vec<_> = (0..count).map(object).collect();
            assert_eq!(Blob::joined(objects.clone()).objects().unwrap(), objects);
        }
        let mut cut = Blob::joined(vec![object(1), object(2)]);
        cut.private.truncate(7);
        assert!(cut.objects().is_err());
        cut.private.truncate(6);
        assert!(cut.objects().is_err());
        assert!(Blob::default().objects().is_err());
    }

    #[test]
    fn a_key_up_to_the_block_stays_as_it_is_and_a_longer_one_is_hashed() {
        for hash in HashAlg::ALL {
            let block = vec![0x0b; hash.block_len()];
            assert_eq!(*hmac_key(hash, &block), block);
            let longer = vec![0x0b; hash.block_len() + 1];
            assert_eq!(hmac_key(hash, &longer).len(), hash.digest_len());
        }
    }
}
