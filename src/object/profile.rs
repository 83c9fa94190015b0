//! Objects of class `CKO_PROFILE`: which profiles a token claims. They are made as they are asked
//! for and stored nowhere.

use cryptoki_sys::{CK_PROFILE_ID, CKA_CLASS, CKA_PROFILE_ID, CKA_UNIQUE_ID, CKO_PROFILE};

use super::value::{AttributeSet, Value};

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

#[cfg(test)]
mod tests {
    use super::super::attribute::{self, Holders};
    use super::*;
    use cryptoki_sys::{CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER};

    #[test]
    fn a_profile_object_has_what_its_class_has_and_an_id_of_its_own() {
        let object = profile(CKP_BASELINE_PROVIDER);
        for row in attribute::of(Holders::PROFILE) {
            assert!(object.has(row.cka), "{}", row.name);
        }
        assert_eq!(object.len(), attribute::of(Holders::PROFILE).count());
        assert_eq!(Holders::of(&object), Some(Holders::PROFILE));
        let other = profile(CKP_EXTENDED_PROVIDER);
        assert_ne!(object.get(CKA_UNIQUE_ID), other.get(CKA_UNIQUE_ID));
    }
}
