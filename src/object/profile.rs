//! Objects that tell what a token can do: of class `CKO_PROFILE`, which profiles it claims, of class
//! `CKO_MECHANISM`, which mechanisms it offers. They are made as they are asked for and stored nowhere.

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CK_PROFILE_ID, CKA_CLASS, CKA_MECHANISM_TYPE, CKA_PROFILE_ID, CKA_UNIQUE_ID,
    CKO_MECHANISM, CKO_PROFILE,
};

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
        let offered = mechanism(cryptoki_sys::CKM_ECDSA);
        assert_eq!(offered.len(), attribute::of(Holders::MECHANISM).count());
        assert_eq!(Holders::of(&offered), Some(Holders::MECHANISM));
        let other = profile(CKP_EXTENDED_PROVIDER);
        assert_ne!(object.get(CKA_UNIQUE_ID), other.get(CKA_UNIQUE_ID));
    }
}
