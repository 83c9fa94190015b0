//! What is known of an attribute, and how to ask the table.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_KEY_TYPE, CK_OBJECT_CLASS, CKK_AES, CKK_EC, CKK_GENERIC_SECRET, CKK_HKDF,
    CKK_RSA, CKK_SHA_1_HMAC, CKK_SHA256_HMAC, CKK_SHA384_HMAC, CKK_SHA512_HMAC, CKO_CERTIFICATE,
    CKO_DATA, CKO_MECHANISM, CKO_PRIVATE_KEY, CKO_PROFILE, CKO_PUBLIC_KEY, CKO_SECRET_KEY,
};

pub use super::table::ATTRIBUTES;
use super::value::{AttributeSet, Value};

/// Kinds of objects, by class and key type: a set of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holders(u16);

impl Holders {
    /// None.
    pub const NONE: Self = Self(0);
    /// CKO_DATA.
    pub const DATA: Self = Self(1 << 0);
    /// CKO_CERTIFICATE, CKC_X_509.
    pub const CERTIFICATE: Self = Self(1 << 1);
    /// CKO_PUBLIC_KEY, CKK_RSA.
    pub const PUBLIC_RSA: Self = Self(1 << 2);
    /// CKO_PUBLIC_KEY, CKK_EC.
    pub const PUBLIC_EC: Self = Self(1 << 3);
    /// CKO_PRIVATE_KEY, CKK_RSA.
    pub const PRIVATE_RSA: Self = Self(1 << 4);
    /// CKO_PRIVATE_KEY, CKK_EC.
    pub const PRIVATE_EC: Self = Self(1 << 5);
    /// CKO_SECRET_KEY, CKK_AES.
    pub const SECRET_AES: Self = Self(1 << 6);
    /// CKO_SECRET_KEY of the other types: generic secrets, HMAC and HKDF keys.
    pub const SECRET_GENERIC: Self = Self(1 << 7);
    /// CKO_PROFILE.
    pub const PROFILE: Self = Self(1 << 8);
    /// CKO_MECHANISM.
    pub const MECHANISM: Self = Self(1 << 9);

    /// Public keys.
    pub const PUBLIC: Self = Self::PUBLIC_RSA.and(Self::PUBLIC_EC);
    /// Private keys.
    pub const PRIVATE: Self = Self::PRIVATE_RSA.and(Self::PRIVATE_EC);
    /// Secret keys.
    pub const SECRET: Self = Self::SECRET_AES.and(Self::SECRET_GENERIC);
    /// Keys.
    pub const KEY: Self = Self::PUBLIC.and(Self::PRIVATE).and(Self::SECRET);
    /// What an application can create: the storage objects.
    pub const STORAGE: Self = Self::KEY.and(Self::DATA).and(Self::CERTIFICATE);
    /// Every object.
    pub const ALL: Self = Self::STORAGE.and(Self::PROFILE).and(Self::MECHANISM);

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn contain(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What kind of object has this class and, if it is a key, this key type. `None` for those that
    /// this module does not know.
    pub fn find(class: CK_OBJECT_CLASS, key_type: Option<CK_KEY_TYPE>) -> Option<Self> {
        KINDS
            .iter()
            .find(|kind| {
                kind.class == class
                    && (kind.key_types.is_empty()
                        || key_type.is_some_and(|key_type| kind.key_types.contains(&key_type)))
            })
            .map(|kind| kind.holder)
    }

    /// What kind of object has the attributes `object`.
    pub fn of(object: &AttributeSet) -> Option<Self> {
        Self::find(object.class()?, object.key_type())
    }
}

/// One kind of object.
pub(super) struct Kinds {
    pub(super) holder: Holders,
    pub(super) name: &'static str,
    class: CK_OBJECT_CLASS,
    /// Empty: this class has no key type.
    key_types: &'static [CK_KEY_TYPE],
}

/// Every kind of object there is.
pub(super) const KINDS: &[Kinds] = &[
    Kinds { holder: Holders::DATA, name: "data", class: CKO_DATA, key_types: &[] },
    Kinds {
        holder: Holders::CERTIFICATE,
        name: "certificate",
        class: CKO_CERTIFICATE,
        key_types: &[],
    },
    Kinds {
        holder: Holders::PUBLIC_RSA,
        name: "RSA public",
        class: CKO_PUBLIC_KEY,
        key_types: &[CKK_RSA],
    },
    Kinds {
        holder: Holders::PUBLIC_EC,
        name: "EC public",
        class: CKO_PUBLIC_KEY,
        key_types: &[CKK_EC],
    },
    Kinds {
        holder: Holders::PRIVATE_RSA,
        name: "RSA private",
        class: CKO_PRIVATE_KEY,
        key_types: &[CKK_RSA],
    },
    Kinds {
        holder: Holders::PRIVATE_EC,
        name: "EC private",
        class: CKO_PRIVATE_KEY,
        key_types: &[CKK_EC],
    },
    Kinds {
        holder: Holders::SECRET_AES,
        name: "AES secret",
        class: CKO_SECRET_KEY,
        key_types: &[CKK_AES],
    },
    Kinds {
        holder: Holders::SECRET_GENERIC,
        name: "other secret",
        class: CKO_SECRET_KEY,
        key_types: &[
            CKK_GENERIC_SECRET,
            CKK_SHA_1_HMAC,
            CKK_SHA256_HMAC,
            CKK_SHA384_HMAC,
            CKK_SHA512_HMAC,
            CKK_HKDF,
        ],
    },
    Kinds { holder: Holders::PROFILE, name: "profile", class: CKO_PROFILE, key_types: &[] },
    Kinds { holder: Holders::MECHANISM, name: "mechanism", class: CKO_MECHANISM, key_types: &[] },
];

/// The data type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CK_BBOOL.
    Bool,
    /// CK_ULONG and its other names.
    Ulong,
    /// Byte array.
    Bytes,
    /// Big integer: bytes, most significant first. Kept as given, leading zeros too.
    BigInteger,
    /// RFC2279 string. Any bytes are taken: labels in other encodings are about, and nothing is
    /// won by refusing them.
    Text,
    /// CK_DATE, or empty.
    Date,
    /// An array of CK_MECHANISM_TYPE.
    Mechanisms,
    /// An array of CK_ATTRIBUTE.
    Template,
}

/// Whether a template may, must or must not hold an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It may.
    May,
    /// It has to: else `CKR_TEMPLATE_INCOMPLETE`.
    Must,
    /// It is the token's to set: else `CKR_ATTRIBUTE_READ_ONLY`.
    Never,
}

/// What an object has where its template says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The object has no such attribute, or its creation computes it.
    Nothing,
    /// A CK_BBOOL.
    Bool(bool),
    /// A CK_ULONG.
    Ulong(u64),
    /// No bytes, no date, no mechanisms.
    Empty,
    /// What `usage.rs` says: this attribute is a usage of a key.
    Usage,
}

/// Who may change an attribute of an existing object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// Nobody.
    Fixed,
    /// `C_CopyObject`, for the copy.
    OnCopy,
    /// `C_SetAttributeValue` and `C_CopyObject`.
    Free,
    /// The same, from CK_FALSE to CK_TRUE only.
    ToTrue,
    /// The same, from CK_TRUE to CK_FALSE only.
    ToFalse,
    /// The same, from a value to none only.
    ToNone,
}

/// One row of the table: an attribute of one or more kinds of objects.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// CKA_ type.
    pub cka: CK_ATTRIBUTE_TYPE,
    /// Its name in the standard.
    pub name: &'static str,
    /// Data type.
    pub kind: Kind,
    /// Which objects have it.
    pub holders: Holders,
    /// Without a word of the template.
    pub preset: Preset,
    /// In a template of `C_CreateObject`.
    pub create: Given,
    /// In a template of `C_GenerateKey` or `C_GenerateKeyPair`.
    pub generate: Given,
    /// In a template of `C_UnwrapKey`.
    pub unwrap: Given,
    /// In a template of `C_DeriveKey`.
    pub derive: Given,
    /// Afterwards.
    pub later: Later,
    /// CK_TRUE only by the security officer.
    pub officer: bool,
    /// Not shown where CKA_SENSITIVE is CK_TRUE or CKA_EXTRACTABLE CK_FALSE.
    pub secret: bool,
}

impl Attribute {
    /// An optional attribute without a default that never changes.
    pub(super) const fn new(
        cka: CK_ATTRIBUTE_TYPE,
        name: &'static str,
        kind: Kind,
        holders: Holders,
    ) -> Self {
        Self {
            cka,
            name,
            kind,
            holders,
            preset: Preset::Nothing,
            create: Given::May,
            generate: Given::May,
            unwrap: Given::May,
            derive: Given::May,
            later: Later::Fixed,
            officer: false,
            secret: false,
        }
    }

    /// Applies the footnotes 1 to 7 and 10 of PKCS#11 v3.1, "Common attributes"; what 8, 11 and 12
    /// say goes into `changes`, and 9 into `preset`. A derived key is held to
    /// footnote 6, since its value comes from the mechanism as an unwrapped one does.
    pub(super) const fn notes(mut self, notes: &[u8]) -> Self {
        let mut rest = notes;
        while let [note, tail @ ..] = rest {
            match *note {
                1 => self.create = Given::Must,
                2 => self.create = Given::Never,
                3 => self.generate = Given::Must,
                4 => self.generate = Given::Never,
                5 => self.unwrap = Given::Must,
                6 => {
                    self.unwrap = Given::Never;
                    self.derive = Given::Never;
                }
                7 => self.secret = true,
                10 => self.officer = true,
                // While the table is compiled: its rows are the only callers.
                _ => panic!("no such footnote"),
            }
            rest = tail;
        }
        self
    }

    pub(super) const fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    pub(super) const fn changes(mut self, later: Later) -> Self {
        self.later = later;
        self
    }

    /// The value that [`preset`](Self::preset) stands for.
    pub(super) fn preset_value(&self) -> Option<Value> {
        match self.preset {
            Preset::Nothing | Preset::Usage => None,
            Preset::Bool(value) => Some(Value::Bool(value)),
            Preset::Ulong(value) => Some(Value::Ulong(value)),
            Preset::Empty => Some(match self.kind {
                Kind::Date => Value::Date(None),
                Kind::Mechanisms => Value::Mechanisms(Vec::new()),
                _ => Value::bytes([]),
            }),
        }
    }
}

/// The row of `cka` for objects of the kind `holder`.
pub fn find(cka: CK_ATTRIBUTE_TYPE, holder: Holders) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|row| row.cka == cka && row.holders.contain(holder))
}

/// The rows of objects of the kind `holder`.
pub fn of(holder: Holders) -> impl Iterator<Item = &'static Attribute> {
    ATTRIBUTES.iter().filter(move |row| row.holders.contain(holder))
}

/// The data type of `cka`, if this module knows it.
pub fn kind(cka: CK_ATTRIBUTE_TYPE) -> Option<Kind> {
    ATTRIBUTES.iter().find(|row| row.cka == cka).map(|row| row.kind)
}

/// The name of `cka`, for messages.
pub fn name(cka: CK_ATTRIBUTE_TYPE) -> &'static str {
    ATTRIBUTES.iter().find(|row| row.cka == cka).map_or("an unknown attribute", |row| row.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_object_has_two_rows_for_one_attribute() {
        for kind in KINDS {
            for row in of(kind.holder) {
                let rows = of(kind.holder).filter(|other| other.cka == row.cka).count();
                assert_eq!(rows, 1, "{} of {} objects", row.name, kind.name);
            }
        }
    }

    #[test]
    fn an_attribute_has_one_name_and_one_data_type_whoever_holds_it() {
        for row in ATTRIBUTES {
            for other in ATTRIBUTES.iter().filter(|other| other.cka == row.cka) {
                assert_eq!((row.name, row.kind), (other.name, other.kind));
            }
        }
    }

    #[test]
    fn presets_fit_their_data_types() {
        for row in ATTRIBUTES {
            let fits = match row.preset {
                Preset::Nothing => true,
                Preset::Bool(_) | Preset::Usage => row.kind == Kind::Bool,
                Preset::Ulong(_) => row.kind == Kind::Ulong,
                Preset::Empty => {
                    matches!(
                        row.kind,
                        Kind::Bytes | Kind::BigInteger | Kind::Text | Kind::Date | Kind::Mechanisms
                    )
                }
            };
            assert!(fits, "{}", row.name);
        }
    }

    #[test]
    fn one_way_attributes_are_booleans_and_what_must_be_given_has_no_preset() {
        for row in ATTRIBUTES {
            if matches!(row.later, Later::ToTrue | Later::ToFalse) || row.officer {
                assert_eq!(row.kind, Kind::Bool, "{}", row.name);
            }
            if row.create == Given::Must {
                assert_eq!(row.preset, Preset::Nothing, "{}", row.name);
            }
        }
    }

    #[test]
    fn kinds_of_objects_are_told_by_class_and_key_type() {
        assert_eq!(Holders::find(CKO_DATA, None), Some(Holders::DATA));
        assert_eq!(Holders::find(CKO_PRIVATE_KEY, Some(CKK_EC)), Some(Holders::PRIVATE_EC));
        assert_eq!(Holders::find(CKO_PRIVATE_KEY, Some(CKK_AES)), None);
        assert_eq!(Holders::find(CKO_PRIVATE_KEY, None), None);
        assert!(Holders::KEY.contain(Holders::SECRET));
        assert!(!Holders::KEY.contain(Holders::STORAGE));
    }
}
