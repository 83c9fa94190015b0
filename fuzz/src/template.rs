//! Templates: those of real objects, and what the input makes of them.

use cryptoki_sys::*;

use super::bytes::Bytes;
use super::memory::Memory;

/// An attribute as a template has it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: CK_ATTRIBUTE_TYPE,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Bytes(Vec<u8>),
    /// NULL, with this length.
    Null(u64),
    Template(Vec<Entry>),
}

/// The DER of the OID of P-256, and a point and the scalar of a key of it.
pub const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
pub const POINT: &[u8] = include_bytes!("../fixtures/p256-point");
pub const SCALAR: &[u8] = include_bytes!("../fixtures/p256-scalar");
/// A certificate of that key.
pub const CERTIFICATE: &[u8] = include_bytes!("../fixtures/certificate.der");
/// An RSA key of 2048 bits: modulus, private exponent, two primes, two exponents, coefficient.
const RSA: &[u8] = include_bytes!("../fixtures/rsa-2048");

const RSA_NUMBERS: [(CK_ATTRIBUTE_TYPE, usize); 7] = [
    (CKA_MODULUS, 256),
    (CKA_PRIVATE_EXPONENT, 256),
    (CKA_PRIME_1, 128),
    (CKA_PRIME_2, 128),
    (CKA_EXPONENT_1, 128),
    (CKA_EXPONENT_2, 128),
    (CKA_COEFFICIENT, 128),
];

const USAGES: [CK_ATTRIBUTE_TYPE; 12] = [
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_DERIVE,
    CKA_SIGN_RECOVER,
    CKA_VERIFY_RECOVER,
    CKA_ENCAPSULATE,
    CKA_DECAPSULATE,
    CKA_ALWAYS_AUTHENTICATE,
];

const FLAGS: [CK_ATTRIBUTE_TYPE; 14] = [
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_DESTROYABLE,
    CKA_SENSITIVE,
    CKA_EXTRACTABLE,
    CKA_LOCAL,
    CKA_NEVER_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_TRUSTED,
    CKA_WRAP_WITH_TRUSTED,
    CKA_ALWAYS_AUTHENTICATE,
    CKA_NEVER_EXTRACTABLE,
];

const NUMBERS: [CK_ATTRIBUTE_TYPE; 12] = [
    CKA_CLASS,
    CKA_KEY_TYPE,
    CKA_CERTIFICATE_TYPE,
    CKA_CERTIFICATE_CATEGORY,
    CKA_MODULUS_BITS,
    CKA_VALUE_LEN,
    CKA_KEY_GEN_MECHANISM,
    CKA_PROFILE_ID,
    CKA_MECHANISM_TYPE,
    CKA_JAVA_MIDP_SECURITY_DOMAIN,
    CKA_NAME_HASH_ALGORITHM,
    CKA_HW_FEATURE_TYPE,
];

const BYTES: [CK_ATTRIBUTE_TYPE; 27] = [
    CKA_LABEL,
    CKA_ID,
    CKA_VALUE,
    CKA_APPLICATION,
    CKA_OBJECT_ID,
    CKA_SUBJECT,
    CKA_ISSUER,
    CKA_SERIAL_NUMBER,
    CKA_URL,
    CKA_CHECK_VALUE,
    CKA_EC_PARAMS,
    CKA_EC_POINT,
    CKA_PUBLIC_KEY_INFO,
    CKA_MODULUS,
    CKA_PUBLIC_EXPONENT,
    CKA_PRIVATE_EXPONENT,
    CKA_PRIME_1,
    CKA_PRIME_2,
    CKA_EXPONENT_1,
    CKA_EXPONENT_2,
    CKA_COEFFICIENT,
    CKA_START_DATE,
    CKA_END_DATE,
    CKA_UNIQUE_ID,
    CKA_HASH_OF_SUBJECT_PUBLIC_KEY,
    CKA_ALLOWED_MECHANISMS,
    CKA_HASH_OF_ISSUER_PUBLIC_KEY,
];

const TEMPLATES: [CK_ATTRIBUTE_TYPE; 5] = [
    CKA_WRAP_TEMPLATE,
    CKA_UNWRAP_TEMPLATE,
    CKA_DERIVE_TEMPLATE,
    CKA_ENCAPSULATE_TEMPLATE,
    CKA_DECAPSULATE_TEMPLATE,
];

/// Numbers that attributes have.
const NAMED: [CK_ULONG; 20] = [
    CKO_DATA,
    CKO_CERTIFICATE,
    CKO_PUBLIC_KEY,
    CKO_PRIVATE_KEY,
    CKO_SECRET_KEY,
    CKO_PROFILE,
    CKO_MECHANISM,
    CKK_RSA,
    CKK_EC,
    CKK_AES,
    CKK_GENERIC_SECRET,
    CKK_SHA256_HMAC,
    CKK_HKDF,
    2048,
    CKK_DES3,
    CKC_X_509,
    CKK_SHA_1_HMAC,
    CKK_SHA512_HMAC,
    CKM_ECDSA,
    CK_UNAVAILABLE_INFORMATION,
];

fn bytes(kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Entry {
    Entry { kind, value: Value::Bytes(value.to_vec()) }
}

fn flag(kind: CK_ATTRIBUTE_TYPE, value: bool) -> Entry {
    bytes(kind, &[value.into()])
}

fn ulong(kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Entry {
    bytes(kind, &value.to_ne_bytes())
}

fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(value.len()).expect("short")], value].concat()
}

fn key(class: CK_OBJECT_CLASS, key_type: CK_KEY_TYPE, usages: &[CK_ATTRIBUTE_TYPE]) -> Vec<Entry> {
    let mut entries =
        vec![ulong(CKA_CLASS, class), ulong(CKA_KEY_TYPE, key_type), bytes(CKA_ID, b"k")];
    entries.extend(usages.iter().map(|usage| flag(*usage, true)));
    entries
}

/// Templates that make objects.
pub fn objects() -> Vec<Vec<Entry>> {
    let point = der(4, POINT);
    let mut numbers = Vec::new();
    let mut rest = RSA;
    for (kind, len) in RSA_NUMBERS {
        let (number, after) = rest.split_at(len);
        numbers.push(bytes(kind, number));
        rest = after;
    }
    let exponent = bytes(CKA_PUBLIC_EXPONENT, &[1, 0, 1]);
    let open = [flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)];
    vec![
        [
            key(CKO_PRIVATE_KEY, CKK_EC, &[CKA_SIGN]),
            vec![bytes(CKA_EC_PARAMS, P256), bytes(CKA_EC_POINT, &point), bytes(CKA_VALUE, SCALAR)],
        ]
        .concat(),
        [
            key(CKO_PUBLIC_KEY, CKK_EC, &[CKA_VERIFY]),
            vec![bytes(CKA_EC_PARAMS, P256), bytes(CKA_EC_POINT, &point)],
        ]
        .concat(),
        [
            key(CKO_PRIVATE_KEY, CKK_EC, &[CKA_DERIVE]),
            vec![bytes(CKA_EC_PARAMS, P256), bytes(CKA_VALUE, SCALAR)],
        ]
        .concat(),
        [
            key(CKO_PRIVATE_KEY, CKK_RSA, &[CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP]),
            numbers.clone(),
            vec![exponent.clone()],
            open.to_vec(),
        ]
        .concat(),
        [
            key(CKO_PUBLIC_KEY, CKK_RSA, &[CKA_VERIFY, CKA_ENCRYPT, CKA_WRAP, CKA_ENCAPSULATE]),
            vec![numbers[0].clone(), exponent],
        ]
        .concat(),
        [
            key(CKO_SECRET_KEY, CKK_AES, &[CKA_ENCRYPT, CKA_DECRYPT]),
            vec![bytes(CKA_VALUE, &[0xA5; 16])],
            open.to_vec(),
        ]
        .concat(),
        [
            key(CKO_SECRET_KEY, CKK_AES, &[CKA_WRAP, CKA_UNWRAP]),
            vec![bytes(CKA_VALUE, &[0x5A; 32])],
        ]
        .concat(),
        [
            key(CKO_SECRET_KEY, CKK_AES, &[CKA_SIGN, CKA_VERIFY]),
            vec![bytes(CKA_VALUE, &[0xC3; 16])],
        ]
        .concat(),
        [
            key(CKO_SECRET_KEY, CKK_GENERIC_SECRET, &[CKA_DERIVE]),
            vec![bytes(CKA_VALUE, &[0x3C; 32])],
            open.to_vec(),
        ]
        .concat(),
        [
            key(CKO_SECRET_KEY, CKK_GENERIC_SECRET, &[CKA_SIGN, CKA_VERIFY]),
            vec![bytes(CKA_VALUE, &[0x69; 40])],
            open.to_vec(),
        ]
        .concat(),
        vec![
            ulong(CKA_CLASS, CKO_CERTIFICATE),
            ulong(CKA_CERTIFICATE_TYPE, CKC_X_509),
            bytes(CKA_VALUE, CERTIFICATE),
        ],
        vec![ulong(CKA_CLASS, CKO_DATA), bytes(CKA_LABEL, b"data"), bytes(CKA_VALUE, b"value")],
        vec![
            ulong(CKA_CLASS, CKO_DATA),
            flag(CKA_PRIVATE, true),
            bytes(CKA_APPLICATION, b"application"),
            bytes(CKA_OBJECT_ID, &[6, 1, 42]),
        ],
    ]
}

/// Templates that keys are generated, unwrapped and derived with.
fn keys() -> Vec<Vec<Entry>> {
    vec![
        vec![],
        vec![bytes(CKA_EC_PARAMS, P256), flag(CKA_VERIFY, true)],
        vec![flag(CKA_SIGN, true), flag(CKA_EXTRACTABLE, true)],
        vec![ulong(CKA_VALUE_LEN, 16), flag(CKA_ENCRYPT, true), flag(CKA_DECRYPT, true)],
        key(CKO_SECRET_KEY, CKK_AES, &[CKA_ENCRYPT, CKA_DECRYPT]),
        [
            key(CKO_SECRET_KEY, CKK_GENERIC_SECRET, &[CKA_SIGN, CKA_VERIFY]),
            vec![ulong(CKA_VALUE_LEN, 32)],
        ]
        .concat(),
        key(CKO_PRIVATE_KEY, CKK_EC, &[CKA_SIGN]),
        key(CKO_PRIVATE_KEY, CKK_RSA, &[CKA_SIGN]),
        [key(CKO_SECRET_KEY, CKK_AES, &[CKA_WRAP]), vec![flag(CKA_TOKEN, true)]].concat(),
    ]
}

/// A template that the input chose and changed.
pub fn any(b: &mut Bytes<'_>, pool: &[Vec<u8>]) -> Vec<Entry> {
    let mut entries = match b.u8() % 8 {
        0 => Vec::new(),
        1..=3 => chosen(b, objects()),
        _ => chosen(b, keys()),
    };
    for _ in 0..b.u8() % 6 {
        match b.u8() % 4 {
            0 if !entries.is_empty() => {
                let at = b.below(entries.len());
                entries.remove(at);
            }
            1 if !entries.is_empty() => {
                let at = b.below(entries.len());
                let kind = entries[at].kind;
                entries[at].value = value(b, kind, pool, 0);
            }
            _ => {
                let added = entry(b, pool, 0);
                entries.push(added);
            }
        }
    }
    entries
}

fn chosen(b: &mut Bytes<'_>, mut list: Vec<Vec<Entry>>) -> Vec<Entry> {
    list.swap_remove(b.below(list.len()))
}

fn entry(b: &mut Bytes<'_>, pool: &[Vec<u8>], depth: u8) -> Entry {
    let kind = match b.u8() % 8 {
        0 | 1 => b.one_of(&FLAGS),
        2 => b.one_of(&USAGES),
        3 => b.one_of(&NUMBERS),
        4 | 5 => b.one_of(&BYTES),
        6 => b.one_of(&TEMPLATES),
        // A type that says "an array of entries" is not made up: its bytes would be pointers.
        _ => CK_ATTRIBUTE_TYPE::from(b.u16()) | (u64::from(b.u8() & 0x80) << 24),
    };
    Entry { kind, value: value(b, kind, pool, depth) }
}

fn value(b: &mut Bytes<'_>, kind: CK_ATTRIBUTE_TYPE, pool: &[Vec<u8>], depth: u8) -> Value {
    if TEMPLATES.contains(&kind) {
        return match b.u8() % 8 {
            0 => Value::Null(b.number()),
            // No whole number of entries.
            1 => Value::Bytes(vec![0; b.below(24)]),
            _ if depth > 6 => Value::Template(Vec::new()),
            _ => {
                let count = b.u8() % 4;
                Value::Template((0..count).map(|_| entry(b, pool, depth + 1)).collect())
            }
        };
    }
    let natural = if FLAGS.contains(&kind) || USAGES.contains(&kind) {
        vec![b.u8() & 1]
    } else if NUMBERS.contains(&kind) {
        let number = if b.once_in(4) { b.number() } else { b.one_of(&NAMED) };
        sane(kind, number).to_ne_bytes().to_vec()
    } else {
        match b.u8() % 8 {
            0 => Vec::new(),
            1 => b"20260101".to_vec(),
            2 => P256.to_vec(),
            3 => der(4, POINT),
            4 if !pool.is_empty() => pool[b.below(pool.len())].clone(),
            5 => b.one_of(&[CKM_ECDSA, CKM_AES_GCM, CKM_SHA256_HMAC]).to_ne_bytes().to_vec(),
            6 => vec![b.u8(); b.below(600)],
            _ => {
                let len = b.below(40);
                b.take(len).to_vec()
            }
        }
    };
    match b.u8() % 16 {
        0 => Value::Null(b.number()),
        1 => {
            let len = b.below(20);
            Value::Bytes(b.take(len).to_vec())
        }
        _ => Value::Bytes(natural),
    }
}

/// An emulator makes long RSA keys for seconds, in which it could have been asked a lot.
fn sane(kind: CK_ATTRIBUTE_TYPE, number: u64) -> u64 {
    if kind == CKA_MODULUS_BITS && (1024..=16384).contains(&number) { number + 1 } else { number }
}

/// The template as C has it: its address and its number of entries.
pub fn place(memory: &mut Memory, entries: &[Entry]) -> (usize, usize) {
    let raw: Vec<CK_ATTRIBUTE> = entries
        .iter()
        .map(|entry| {
            let (start, len) = match &entry.value {
                Value::Bytes(bytes) => (memory.copy(bytes), bytes.len() as CK_ULONG),
                Value::Null(len) => (0, *len),
                Value::Template(inner) => {
                    let (start, count) = place(memory, inner);
                    (start, (count * size_of::<CK_ATTRIBUTE>()) as CK_ULONG)
                }
            };
            CK_ATTRIBUTE {
                type_: entry.kind,
                pValue: std::ptr::with_exposed_provenance_mut(start),
                ulValueLen: len,
            }
        })
        .collect();
    (memory.array(&raw), raw.len())
}

/// A template that asks for values, each with a place of some length.
pub fn questions(b: &mut Bytes<'_>) -> Vec<Entry> {
    (0..b.u8() % 6).map(|_| question(b, 0)).collect()
}

fn question(b: &mut Bytes<'_>, depth: u8) -> Entry {
    let asked = entry(b, &[], 7);
    let value = match b.u8() % 8 {
        0 => Value::Null(b.number()),
        _ if TEMPLATES.contains(&asked.kind) && depth < 6 => {
            Value::Template((0..b.u8() % 4).map(|_| question(b, depth + 1)).collect())
        }
        _ if TEMPLATES.contains(&asked.kind) => Value::Template(Vec::new()),
        _ => {
            let room = [0, 1, 8, 7, 9, 16, 64, 300];
            Value::Bytes(vec![0; b.one_of(&room)])
        }
    };
    Entry { kind: asked.kind, value }
}
