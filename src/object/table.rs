//! THE ATTRIBUTES: one row per attribute, or per group of objects where they differ in it.
//!
//! Numbers are footnotes of PKCS#11 v3.1, "Common attributes". Where a row is stricter than the
//! standard, which it allows a token to be, the row says why. An attribute that has no row is
//! unknown: `CKR_ATTRIBUTE_TYPE_INVALID`.

use cryptoki_sys::*;

use super::attribute::Later::{Free, OnCopy, ToFalse, ToNone, ToTrue};
use super::attribute::Preset::{Empty, Ulong, Usage};
use super::attribute::{Attribute, Holders, Kind, Preset};

/// CK_UNAVAILABLE_INFORMATION, of whatever width a CK_ULONG has.
const UNAVAILABLE: Preset = Ulong(u64::MAX);
const FALSE: Preset = Preset::Bool(false);
const TRUE: Preset = Preset::Bool(true);

const DATA: Holders = Holders::DATA;
const CERTIFICATE: Holders = Holders::CERTIFICATE;
const PUBLIC: Holders = Holders::PUBLIC;
const PRIVATE: Holders = Holders::PRIVATE;
const SECRET: Holders = Holders::SECRET;
const KEY: Holders = Holders::KEY;

macro_rules! row {
    ($cka:ident, $kind:ident, $holders:expr) => {
        Attribute::new($cka, stringify!($cka), Kind::$kind, $holders)
    };
}

/// Every attribute this module knows.
pub static ATTRIBUTES: &[Attribute] = &[
    // Common attributes
    row!(CKA_CLASS, Ulong, Holders::ALL).notes(&[1]),
    row!(CKA_UNIQUE_ID, Text, Holders::ALL).notes(&[2, 4, 6]),
    // Storage objects. Private and secret keys are private objects unless the template says
    // otherwise; the rest is for everybody: programs look for certificates and public keys before
    // anybody logs in.
    row!(CKA_TOKEN, Bool, Holders::STORAGE).preset(FALSE).changes(OnCopy),
    row!(CKA_PRIVATE, Bool, PRIVATE.and(SECRET)).preset(TRUE).changes(OnCopy),
    row!(CKA_PRIVATE, Bool, PUBLIC.and(CERTIFICATE).and(DATA)).preset(FALSE).changes(OnCopy),
    row!(CKA_MODIFIABLE, Bool, Holders::STORAGE).preset(TRUE).changes(OnCopy),
    row!(CKA_LABEL, Text, Holders::STORAGE).preset(Empty).changes(Free),
    row!(CKA_COPYABLE, Bool, Holders::STORAGE).preset(TRUE).changes(ToFalse),
    row!(CKA_DESTROYABLE, Bool, Holders::STORAGE).preset(TRUE).changes(OnCopy),
    // Data objects
    row!(CKA_APPLICATION, Text, DATA).preset(Empty),
    row!(CKA_OBJECT_ID, Bytes, DATA).preset(Empty),
    row!(CKA_VALUE, Bytes, DATA).preset(Empty),
    // X.509 public key certificate objects. CKA_SUBJECT need not be given: the value has it.
    row!(CKA_CERTIFICATE_TYPE, Ulong, CERTIFICATE).notes(&[1]),
    row!(CKA_TRUSTED, Bool, CERTIFICATE).notes(&[10]).preset(FALSE).changes(Free),
    row!(CKA_CERTIFICATE_CATEGORY, Ulong, CERTIFICATE).preset(Ulong(0)),
    row!(CKA_CHECK_VALUE, Bytes, CERTIFICATE),
    row!(CKA_START_DATE, Date, CERTIFICATE).preset(Empty),
    row!(CKA_END_DATE, Date, CERTIFICATE).preset(Empty),
    row!(CKA_PUBLIC_KEY_INFO, Bytes, CERTIFICATE).preset(Empty),
    row!(CKA_SUBJECT, Bytes, CERTIFICATE),
    row!(CKA_ID, Bytes, CERTIFICATE).preset(Empty).changes(Free),
    row!(CKA_ISSUER, Bytes, CERTIFICATE).preset(Empty).changes(Free),
    row!(CKA_SERIAL_NUMBER, Bytes, CERTIFICATE).preset(Empty).changes(Free),
    row!(CKA_VALUE, Bytes, CERTIFICATE).notes(&[1]),
    row!(CKA_URL, Text, CERTIFICATE).preset(Empty),
    row!(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, Bytes, CERTIFICATE).preset(Empty),
    row!(CKA_HASH_OF_ISSUER_PUBLIC_KEY, Bytes, CERTIFICATE).preset(Empty),
    row!(CKA_JAVA_MIDP_SECURITY_DOMAIN, Ulong, CERTIFICATE).preset(Ulong(0)),
    row!(CKA_NAME_HASH_ALGORITHM, Ulong, CERTIFICATE).preset(Ulong(CKM_SHA_1 as u64)),
    // Key objects
    row!(CKA_KEY_TYPE, Ulong, KEY).notes(&[1, 5]),
    row!(CKA_ID, Bytes, KEY).preset(Empty).changes(Free),
    row!(CKA_START_DATE, Date, KEY).preset(Empty).changes(Free),
    row!(CKA_END_DATE, Date, KEY).preset(Empty).changes(Free),
    row!(CKA_LOCAL, Bool, KEY).notes(&[2, 4, 6]).preset(FALSE),
    row!(CKA_KEY_GEN_MECHANISM, Ulong, KEY).notes(&[2, 4, 6]).preset(UNAVAILABLE),
    row!(CKA_ALLOWED_MECHANISMS, Mechanisms, KEY),
    // What a key is for. A private or secret key keeps what it was made for or loses some of it:
    // it may live in a TPM object that cannot do more.
    row!(CKA_DERIVE, Bool, PUBLIC).preset(Usage).changes(Free),
    row!(CKA_DERIVE, Bool, PRIVATE.and(SECRET)).preset(Usage).changes(ToFalse),
    row!(CKA_ENCRYPT, Bool, PUBLIC).preset(Usage).changes(Free),
    row!(CKA_ENCRYPT, Bool, SECRET).preset(Usage).changes(ToFalse),
    row!(CKA_VERIFY, Bool, PUBLIC).preset(Usage).changes(Free),
    row!(CKA_VERIFY, Bool, SECRET).preset(Usage).changes(ToFalse),
    row!(CKA_VERIFY_RECOVER, Bool, PUBLIC).preset(Usage).changes(Free),
    row!(CKA_WRAP, Bool, PUBLIC).preset(Usage).changes(Free),
    row!(CKA_WRAP, Bool, SECRET).preset(Usage).changes(ToFalse),
    row!(CKA_ENCAPSULATE, Bool, PUBLIC).preset(Usage).changes(Free),
    row!(CKA_DECRYPT, Bool, PRIVATE.and(SECRET)).preset(Usage).changes(ToFalse),
    row!(CKA_SIGN, Bool, PRIVATE.and(SECRET)).preset(Usage).changes(ToFalse),
    row!(CKA_SIGN_RECOVER, Bool, PRIVATE).preset(Usage).changes(ToFalse),
    row!(CKA_UNWRAP, Bool, PRIVATE.and(SECRET)).preset(Usage).changes(ToFalse),
    row!(CKA_DECAPSULATE, Bool, PRIVATE).preset(Usage).changes(ToFalse),
    // Public and private keys
    row!(CKA_SUBJECT, Bytes, PUBLIC.and(PRIVATE)).preset(Empty).changes(Free),
    row!(CKA_PUBLIC_KEY_INFO, Bytes, PUBLIC),
    row!(CKA_PUBLIC_KEY_INFO, Bytes, PRIVATE).changes(Free),
    row!(CKA_TRUSTED, Bool, PUBLIC.and(SECRET)).notes(&[10]).preset(FALSE).changes(Free),
    // Private and secret keys: guarded unless the template says otherwise.
    row!(CKA_SENSITIVE, Bool, PRIVATE.and(SECRET)).preset(TRUE).changes(ToTrue),
    row!(CKA_EXTRACTABLE, Bool, PRIVATE.and(SECRET)).preset(FALSE).changes(ToFalse),
    row!(CKA_ALWAYS_SENSITIVE, Bool, PRIVATE.and(SECRET)).notes(&[2, 4, 6]).preset(FALSE),
    row!(CKA_NEVER_EXTRACTABLE, Bool, PRIVATE.and(SECRET)).notes(&[2, 4, 6]).preset(FALSE),
    row!(CKA_WRAP_WITH_TRUSTED, Bool, PRIVATE.and(SECRET)).preset(FALSE).changes(ToTrue),
    row!(CKA_ALWAYS_AUTHENTICATE, Bool, PRIVATE).preset(FALSE),
    // Templates within a key
    row!(CKA_ENCAPSULATE_TEMPLATE, Template, PUBLIC),
    row!(CKA_DECAPSULATE_TEMPLATE, Template, PRIVATE),
    row!(CKA_WRAP_TEMPLATE, Template, PUBLIC.and(SECRET)),
    row!(CKA_UNWRAP_TEMPLATE, Template, PRIVATE.and(SECRET)),
    row!(CKA_DERIVE_TEMPLATE, Template, PRIVATE.and(SECRET)),
    // RSA keys. A private key answers what its public key is.
    row!(CKA_MODULUS, BigInteger, Holders::PUBLIC_RSA).notes(&[1, 4]),
    row!(CKA_MODULUS, BigInteger, Holders::PRIVATE_RSA).notes(&[1, 4, 6]),
    row!(CKA_MODULUS_BITS, Ulong, Holders::PUBLIC_RSA).notes(&[2, 3]),
    row!(CKA_PUBLIC_EXPONENT, BigInteger, Holders::PUBLIC_RSA).notes(&[1]),
    row!(CKA_PUBLIC_EXPONENT, BigInteger, Holders::PRIVATE_RSA).notes(&[1, 4, 6]),
    row!(CKA_PRIVATE_EXPONENT, BigInteger, Holders::PRIVATE_RSA).notes(&[1, 4, 6, 7]),
    row!(CKA_PRIME_1, BigInteger, Holders::PRIVATE_RSA).notes(&[4, 6, 7]),
    row!(CKA_PRIME_2, BigInteger, Holders::PRIVATE_RSA).notes(&[4, 6, 7]),
    row!(CKA_EXPONENT_1, BigInteger, Holders::PRIVATE_RSA).notes(&[4, 6, 7]),
    row!(CKA_EXPONENT_2, BigInteger, Holders::PRIVATE_RSA).notes(&[4, 6, 7]),
    row!(CKA_COEFFICIENT, BigInteger, Holders::PRIVATE_RSA).notes(&[4, 6, 7]),
    // EC keys. The standard gives a private key no CKA_EC_POINT; programs ask it for one.
    row!(CKA_EC_PARAMS, Bytes, Holders::PUBLIC_EC).notes(&[1, 3]),
    row!(CKA_EC_PARAMS, Bytes, Holders::PRIVATE_EC).notes(&[1, 4, 6]),
    row!(CKA_EC_POINT, Bytes, Holders::PUBLIC_EC).notes(&[1, 4]),
    row!(CKA_EC_POINT, Bytes, Holders::PRIVATE_EC).notes(&[4, 6]),
    row!(CKA_VALUE, Bytes, Holders::PRIVATE_EC).notes(&[1, 4, 6, 7]),
    // Secret keys
    row!(CKA_VALUE, Bytes, SECRET).notes(&[1, 4, 6, 7]),
    row!(CKA_VALUE_LEN, Ulong, SECRET).notes(&[2, 3]),
    row!(CKA_CHECK_VALUE, Bytes, SECRET).changes(ToNone),
    // Profile objects
    row!(CKA_PROFILE_ID, Ulong, Holders::PROFILE).notes(&[2]),
    // Mechanism objects
    row!(CKA_MECHANISM_TYPE, Ulong, Holders::MECHANISM).notes(&[2]),
];
