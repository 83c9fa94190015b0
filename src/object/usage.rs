//! What a key is for: `CKA_SIGN`, `CKA_DECRYPT` and their like.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CKA_ALWAYS_AUTHENTICATE, CKA_DECAPSULATE, CKA_DECRYPT, CKA_DERIVE,
    CKA_ENCAPSULATE, CKA_ENCRYPT, CKA_SIGN, CKA_SIGN_RECOVER, CKA_UNWRAP, CKA_VERIFY,
    CKA_VERIFY_RECOVER, CKA_WRAP, CKO_SECRET_KEY, CKR_TEMPLATE_INCONSISTENT,
};

use super::attribute::{self, Attribute, Holders, Preset};
use super::value::{AttributeSet, Value};
use crate::error::{Error, Result};

/// What is done in one call, without an `…Init` after which the PIN could be asked for.
pub(super) const AT_ONCE: [CK_ATTRIBUTE_TYPE; 3] = [CKA_DERIVE, CKA_UNWRAP, CKA_DECAPSULATE];

/// The usages of one kind of key.
struct Usages {
    holder: Holders,
    /// What such a key can do here.
    serves: &'static [CK_ATTRIBUTE_TYPE],
    /// What it is for where its template does not say.
    presets: &'static [CK_ATTRIBUTE_TYPE],
}

const USAGES: &[Usages] = &[
    Usages {
        holder: Holders::PUBLIC_RSA,
        serves: &[CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_ENCRYPT, CKA_WRAP, CKA_ENCAPSULATE],
        presets: &[CKA_VERIFY, CKA_ENCRYPT],
    },
    Usages {
        holder: Holders::PUBLIC_EC,
        serves: &[CKA_VERIFY, CKA_DERIVE, CKA_ENCAPSULATE],
        presets: &[CKA_VERIFY],
    },
    Usages {
        holder: Holders::PRIVATE_RSA,
        serves: &[CKA_SIGN, CKA_SIGN_RECOVER, CKA_DECRYPT, CKA_UNWRAP, CKA_DECAPSULATE],
        presets: &[CKA_SIGN, CKA_DECRYPT],
    },
    Usages {
        holder: Holders::PRIVATE_EC,
        serves: &[CKA_SIGN, CKA_DERIVE, CKA_DECAPSULATE],
        presets: &[CKA_SIGN, CKA_DERIVE],
    },
    Usages {
        holder: Holders::SECRET_AES,
        serves: &[CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE],
        presets: &[CKA_ENCRYPT, CKA_DECRYPT],
    },
    Usages {
        holder: Holders::SECRET_GENERIC,
        serves: &[CKA_SIGN, CKA_VERIFY, CKA_DERIVE],
        presets: &[CKA_SIGN, CKA_VERIFY, CKA_DERIVE],
    },
];

/// Whether a key of the kind `holder` can do `usage`.
pub fn serves(holder: Holders, usage: CK_ATTRIBUTE_TYPE) -> bool {
    of(holder).is_some_and(|usages| usages.serves.contains(&usage))
}

/// Whether the secret key `object` both wraps keys and decrypts, or both unwraps and encrypts.
pub(super) fn mixes_wrapping(object: &AttributeSet) -> bool {
    let both = |one, other| object.is_true(one) && object.is_true(other);
    object.class() == Some(CKO_SECRET_KEY)
        && (both(CKA_WRAP, CKA_DECRYPT) || both(CKA_UNWRAP, CKA_ENCRYPT))
}

/// Gives every usage of the key `object` a value, from those that its template set.
///
/// A template that wants any usage gets what it names and nothing else; one that wants none gets
/// the preset of the key's kind, less what it denies and what CKA_ALWAYS_AUTHENTICATE excludes. Of
/// usages that are wanted together those that such a key cannot serve are dropped: programs ask for
/// all they know at once. A generic secret may be left with none: what is derived as one is often
/// there to be read.
///
/// Errors: `CKR_TEMPLATE_INCONSISTENT` where none of those wanted can be served by another key.
pub(super) fn settle(holder: Holders, object: &mut AttributeSet) -> Result<()> {
    let Some(usages) = of(holder) else { return Ok(()) };
    let wanted: Vec<_> =
        rows(holder).map(|row| row.cka).filter(|cka| object.is_true(*cka)).collect();
    let each_time = object.is_true(CKA_ALWAYS_AUTHENTICATE);
    let granted: Vec<_> = if wanted.is_empty() {
        usages.presets.iter().copied().filter(|cka| !object.has(*cka)).collect()
    } else {
        wanted.iter().copied().filter(|cka| usages.serves.contains(cka)).collect()
    };
    let granted: Vec<_> =
        granted.into_iter().filter(|cka| !(each_time && AT_ONCE.contains(cka))).collect();
    if granted.is_empty() && !wanted.is_empty() && holder != Holders::SECRET_GENERIC {
        let names: Vec<_> = wanted.iter().map(|cka| attribute::name(*cka)).collect();
        let why = format!("a key of this kind cannot serve {}", names.join(", "));
        return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, why));
    }
    for row in rows(holder) {
        object.insert(row.cka, Value::Bool(granted.contains(&row.cka)));
    }
    Ok(())
}

fn of(holder: Holders) -> Option<&'static Usages> {
    USAGES.iter().find(|usages| usages.holder == holder)
}

fn rows(holder: Holders) -> impl Iterator<Item = &'static Attribute> {
    attribute::of(holder).filter(|row| row.preset == Preset::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(holder: Holders, wanted: &[(CK_ATTRIBUTE_TYPE, bool)]) -> Vec<CK_ATTRIBUTE_TYPE> {
        let mut object: AttributeSet =
            wanted.iter().map(|(cka, value)| (*cka, Value::Bool(*value))).collect();
        settle(holder, &mut object).unwrap();
        for row in rows(holder) {
            assert!(object.bool(row.cka).is_some(), "{} is left out", row.name);
        }
        object.iter().filter(|(cka, _)| object.is_true(*cka)).map(|(cka, _)| cka).collect()
    }

    #[test]
    fn k_a_template_without_usages_gets_the_preset_of_its_kind() {
        assert_eq!(settled(Holders::PRIVATE_RSA, &[]), [CKA_DECRYPT, CKA_SIGN]);
        assert_eq!(settled(Holders::PRIVATE_EC, &[]), [CKA_SIGN, CKA_DERIVE]);
        assert_eq!(settled(Holders::PUBLIC_RSA, &[]), [CKA_ENCRYPT, CKA_VERIFY]);
        assert_eq!(settled(Holders::PUBLIC_EC, &[]), [CKA_VERIFY]);
    }

    #[test]
    fn k_a_template_that_names_a_usage_gets_no_other() {
        assert_eq!(settled(Holders::PRIVATE_RSA, &[(CKA_SIGN, true)]), [CKA_SIGN]);
        assert_eq!(settled(Holders::PRIVATE_EC, &[(CKA_DERIVE, true)]), [CKA_DERIVE]);
    }

    #[test]
    fn k_a_template_that_only_denies_gets_the_rest_of_the_preset() {
        assert_eq!(settled(Holders::PRIVATE_RSA, &[(CKA_DECRYPT, false)]), [CKA_SIGN]);
        let nothing = [(CKA_DECRYPT, false), (CKA_SIGN, false)];
        assert!(settled(Holders::PRIVATE_RSA, &nothing).is_empty());
    }

    #[test]
    fn k_usages_that_a_key_cannot_serve_are_dropped_beside_others() {
        // What OpenSSL's pkcs11-provider asks for in every private key template.
        let all = [CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP, CKA_DERIVE].map(|cka| (cka, true));
        assert_eq!(settled(Holders::PRIVATE_EC, &all), [CKA_SIGN, CKA_DERIVE]);
        assert_eq!(settled(Holders::PRIVATE_RSA, &all), [CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN]);
        let public = [CKA_VERIFY, CKA_ENCRYPT, CKA_WRAP].map(|cka| (cka, true));
        assert_eq!(settled(Holders::PUBLIC_EC, &public), [CKA_VERIFY]);
    }

    #[test]
    fn k_a_usage_that_a_key_cannot_serve_fails_alone() {
        for (holder, usage) in [
            (Holders::PRIVATE_EC, CKA_DECRYPT),
            (Holders::PRIVATE_EC, CKA_SIGN_RECOVER),
            (Holders::PUBLIC_EC, CKA_VERIFY_RECOVER),
            (Holders::PUBLIC_EC, CKA_ENCRYPT),
        ] {
            let mut object = AttributeSet::new().with(usage, Value::Bool(true));
            let error = settle(holder, &mut object).unwrap_err();
            assert_eq!(error.ck_rv(), CKR_TEMPLATE_INCONSISTENT);
        }
    }

    #[test]
    fn k_a_generic_secret_may_be_asked_for_what_it_cannot_serve_and_is_then_for_being_read() {
        // What pkcs11-tool --derive asks for, whose secret is read and used elsewhere.
        let all = [CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP].map(|cka| (cka, true));
        assert!(settled(Holders::SECRET_GENERIC, &all).is_empty());
        let some = [(CKA_ENCRYPT, true), (CKA_DERIVE, true)];
        assert_eq!(settled(Holders::SECRET_GENERIC, &some), [CKA_DERIVE]);
    }

    #[test]
    fn every_kind_of_key_has_its_usages_and_each_is_one_of_its_attributes() {
        for kind in attribute::KINDS {
            let usages = of(kind.holder);
            assert_eq!(usages.is_some(), Holders::KEY.contain(kind.holder), "{}", kind.name);
            for cka in usages.iter().flat_map(|usages| usages.serves.iter().chain(usages.presets)) {
                assert!(rows(kind.holder).any(|row| row.cka == *cka), "{}", kind.name);
                assert!(serves(kind.holder, *cka), "{}", kind.name);
            }
        }
    }
}
