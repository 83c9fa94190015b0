//! Objects that tell what a token can do: of class `CKO_PROFILE`, which profiles it claims, of class
//! `CKO_MECHANISM`, which mechanisms it offers. They are made as they are asked for and stored nowhere.

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CK_PROFILE_ID, CKA_CLASS, CKA_ID, CKA_MECHANISM_TYPE, CKA_PROFILE_ID,
    CKA_PUBLIC_KEY_INFO, CKA_UNIQUE_ID, CKO_CERTIFICATE, CKO_MECHANISM, CKO_PRIVATE_KEY,
    CKO_PROFILE, CKO_PUBLIC_KEY,
};

use super::public::public_key_info;
use super::value::{AttributeSet, Value};
use crate::error::Result;
use crate::tpm::PublicKey;

/// The object that says that the token has the profile `id`, a CKP_: `CKP_BASELINE_PROVIDER`,
/// `CKP_EXTENDED_PROVIDER`, `CKP_AUTHENTICATION_TOKEN`, `CKP_PUBLIC_CERTIFICATES_TOKEN`.
///
/// It is no storage object: it has no CKA_TOKEN, is not private, and cannot be changed, copied or
/// destroyed.
///
/// PKCS#11 v3.1, "Profile objects".
pub fn profile(id: CK_PROFILE_ID) -> AttributeSet {
    AttributeSet::new()
        .with(CKA_CLASS, Value::Ulong(CKO_PROFILE as u64))
        .with(CKA_PROFILE_ID, Value::Ulong(id as u64))
        .with(CKA_UNIQUE_ID, Value::bytes(format!("profile-{id}")))
}

/// The object that says that the token offers the mechanism `ckm`. Like a profile object it is no
/// storage object.
///
/// PKCS#11 v3.1, "Mechanism objects".
pub fn mechanism(ckm: CK_MECHANISM_TYPE) -> AttributeSet {
    AttributeSet::new()
        .with(CKA_CLASS, Value::Ulong(CKO_MECHANISM as u64))
        .with(CKA_MECHANISM_TYPE, Value::Ulong(ckm as u64))
        .with(CKA_UNIQUE_ID, Value::bytes(format!("mechanism-{ckm:08x}")))
}

/// What the public certificates profile asks of one of the token's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    class: u64,
    private: bool,
    /// CKA_ID; `None` where it cannot be read.
    id: Option<Vec<u8>>,
    /// CKA_PUBLIC_KEY_INFO; `None` where it is not known.
    public_key_info: Option<Vec<u8>>,
}

impl Seen {
    /// One whose attributes can be read.
    pub fn whole(object: &AttributeSet) -> Self {
        Self {
            class: object.class().unwrap_or_default() as u64,
            private: object.is_private(),
            id: Some(object.bytes(CKA_ID).unwrap_or_default().to_vec()),
            public_key_info: object.filled(CKA_PUBLIC_KEY_INFO).map(<[u8]>::to_vec),
        }
    }

    /// A private one without its user: no more than its class is known, and of a key in the TPM its
    /// public half.
    ///
    /// Errors: `CKR_GENERAL_ERROR` for a key too long for DER.
    pub fn hidden(class: u64, key: Option<&PublicKey>) -> Result<Self> {
        let public_key_info = key.map(public_key_info).transpose()?;
        Ok(Self { class, private: true, id: None, public_key_info })
    }

    fn has_key_of(&self, certificate: &Self) -> bool {
        self.public_key_info.is_some() && self.public_key_info == certificate.public_key_info
    }
}

/// Whether a program may read the token's certificates, and find which of its keys are theirs,
/// without a login: `objects` are all that are on the token. There is a certificate; none is
/// private; the private key of one has its CKA_ID (which of a private key without its user is
/// nothing known), and it or the public key is found by that without a login.
///
/// PKCS#11 Profiles v3.1, "Public Certificates Token".
pub fn has_public_certificates(objects: &[Seen]) -> bool {
    let of = |class| objects.iter().filter(move |object| object.class == class as u64);
    let found = |object: &Seen, certificate: &Seen| {
        !object.private && object.id == certificate.id && object.has_key_of(certificate)
    };
    let is_found = |certificate: &Seen, key: &Seen| {
        key.id.as_ref().is_none_or(|id| Some(id) == certificate.id.as_ref())
            && (found(key, certificate)
                || of(CKO_PUBLIC_KEY).any(|public| found(public, certificate)))
    };
    of(CKO_CERTIFICATE).next().is_some()
        && of(CKO_CERTIFICATE).all(|certificate| {
            !certificate.private
                && of(CKO_PRIVATE_KEY)
                    .filter(|key| key.has_key_of(certificate))
                    .all(|key| is_found(certificate, key))
        })
}

#[cfg(test)]
mod tests {
    use super::super::attribute::{self, Holders};
    use super::super::testing::*;
    use super::*;
    use cryptoki_sys::{CKA_PRIVATE, CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER};

    #[test]
    fn a_profile_object_has_what_its_class_has_and_an_id_of_its_own() {
        let object = profile(CKP_BASELINE_PROVIDER);
        for row in attribute::of(Holders::PROFILE) {
            assert!(object.has(row.cka), "{}", row.name);
        }
        assert_eq!(object.len(), attribute::of(Holders::PROFILE).count());
        assert_eq!(Holders::of(&object), Some(Holders::PROFILE));
        let offered = mechanism(cryptoki_sys::CKM_ECDSA);
        assert_eq!(offered.len(), attribute::of(Holders::MECHANISM).count());
        assert_eq!(Holders::of(&offered), Some(Holders::MECHANISM));
        let other = profile(CKP_EXTENDED_PROVIDER);
        assert_ne!(object.get(CKA_UNIQUE_ID), other.get(CKA_UNIQUE_ID));
    }
    fn seen(class: u64, private: bool, id: &[u8], key: &[u8]) -> Seen {
        Seen { class, private, id: Some(id.to_vec()), public_key_info: Some(key.to_vec()) }
    }

    fn hidden_key(key: &[u8]) -> Seen {
        Seen { id: None, ..seen(CKO_PRIVATE_KEY as u64, true, b"", key) }
    }

    #[test]
    fn certificates_are_public_where_each_is_and_its_key_is_found_by_its_id() {
        let certificate = || seen(CKO_CERTIFICATE as u64, false, b"1", b"key");
        let public = |id| seen(CKO_PUBLIC_KEY as u64, false, id, b"key");
        let private = |id| seen(CKO_PRIVATE_KEY as u64, true, id, b"key");
        let another = || seen(CKO_CERTIFICATE as u64, true, b"2", b"other");
        for (objects, expected) in [
            (vec![], false),
            (vec![public(b"1")], false),
            (vec![certificate()], true),
            (vec![certificate(), another()], false),
            (vec![certificate(), public(b"1"), private(b"1")], true),
            (vec![certificate(), public(b"1"), private(b"2")], false),
            (vec![certificate(), public(b"2"), private(b"1")], false),
            (vec![certificate(), private(b"1")], false),
            (vec![certificate(), seen(CKO_PRIVATE_KEY as u64, false, b"1", b"key")], true),
            (vec![certificate(), seen(CKO_PRIVATE_KEY as u64, false, b"2", b"key")], false),
            (vec![certificate(), Seen { private: true, ..public(b"1") }, private(b"1")], false),
            (vec![certificate(), hidden_key(b"key")], false),
            (vec![certificate(), public(b"1"), hidden_key(b"key")], true),
            (vec![certificate(), hidden_key(b"another")], true),
        ] {
            assert_eq!(has_public_certificates(&objects), expected, "{objects:?}");
        }
    }

    #[test]
    fn what_cannot_be_compared_belongs_together_with_nothing() {
        let reference =
            Seen { public_key_info: None, ..seen(CKO_CERTIFICATE as u64, false, b"1", b"") };
        let secret = Seen::hidden(CKO_PRIVATE_KEY as u64, None).unwrap();
        assert!(has_public_certificates(&[reference, secret]));
    }

    #[test]
    fn an_object_is_seen_by_its_key_and_its_id() {
        let key = private_key().with(CKA_ID, Value::bytes(*b"id")).with(CKA_PRIVATE, FALSE);
        let expected = seen(CKO_PRIVATE_KEY as u64, false, b"id", &bytes(P256_INFO));
        assert_eq!(Seen::whole(&key), expected);
        let public = super::super::public::public_key(&key).unwrap();
        let unseen = Seen::hidden(CKO_PRIVATE_KEY as u64, Some(&public)).unwrap();
        assert_eq!(unseen, Seen { id: None, private: true, ..expected });
    }
}
