//! HKDF and SP 800-108 as cases: parameters that live as long as the test, what OpenSSL or a few lines
//! make of the same, and the values between, which nobody is to hear.

use cryptoki_sys::*;

use super::aead::{kept, structure};
use super::cases::MacOf;
use super::derive::{format, length};
use super::known::{Held, Known};
use super::p11::Mech;

const SALT: &[u8] = b"some salt";
const INFO: &[u8] = b"information";
const LABEL: &[u8] = b"label";
const CONTEXT: &[u8] = b"context";
const SEED: [u8; 32] = [0x5d; 32];
/// Bytes that are derived: more than a block of each PRF, and no whole number of them.
const LEN: usize = 40;

pub fn hkdf(ckm: CK_MECHANISM_TYPE, salt_key: Option<CK_OBJECT_HANDLE>) -> Mech {
    let salt = if salt_key.is_some() { &[][..] } else { SALT };
    let given = CK_HKDF_PARAMS {
        bExtract: CK_TRUE,
        bExpand: CK_TRUE,
        prfHashMechanism: CKM_SHA256,
        ulSaltType: if salt_key.is_some() { CKF_HKDF_SALT_KEY } else { CKF_HKDF_SALT_DATA },
        pSalt: kept(salt),
        ulSaltLen: salt.len() as CK_ULONG,
        hSaltKey: salt_key.unwrap_or_default(),
        pInfo: kept(INFO),
        ulInfoLen: INFO.len() as CK_ULONG,
    };
    Mech::bytes(ckm, &structure(given))
}

fn openssl_hkdf(known: &Known, salt: &[u8], held: &Held, mode: &str, len: usize) -> Vec<u8> {
    let mode = format!("mode:{mode}");
    let options = [
        "digest:SHA256".to_owned(),
        mode,
        hex_option("key", &held.value),
        hex_option("salt", salt),
        hex_option("info", INFO),
    ];
    known.openssl.kdf("HKDF", &options, len)
}

pub fn other_hkdf(known: &Known, held: &Held) -> Vec<u8> {
    openssl_hkdf(known, SALT, held, "EXTRACT_AND_EXPAND", LEN)
}

/// What HKDF makes with the value of `salt`, and what it extracts on the way and derives beyond.
pub fn hkdf_between(known: &Known, salt: Option<&Held>, held: &Held) -> [Vec<u8>; 2] {
    let salt = salt.map_or(SALT, |salt| &salt.value);
    let whole = openssl_hkdf(known, salt, held, "EXTRACT_AND_EXPAND", 64);
    [openssl_hkdf(known, salt, held, "EXTRACT_ONLY", 32), whole]
}

fn hex_option(name: &str, value: &[u8]) -> String {
    format!("hex{name}:{}", hex::encode(value))
}

/// The PRF of a key, and the bytes of its block.
fn prf(held: &Held) -> (CK_MECHANISM_TYPE, MacOf, usize) {
    match held.key_type {
        CKK_AES => (CKM_AES_CMAC, MacOf::Cmac, 16),
        _ => (CKM_SHA256_HMAC, MacOf::Hmac("sha256"), 32),
    }
}

fn field<T: Copy>(type_: CK_PRF_DATA_TYPE, value: T) -> CK_PRF_DATA_PARAM {
    let pointer = kept(&structure(value)).cast();
    CK_PRF_DATA_PARAM { type_, pValue: pointer, ulValueLen: size_of::<T>() as CK_ULONG }
}

/// Label, a zero, context.
fn text() -> Vec<u8> {
    [LABEL, &[0], CONTEXT].concat()
}

pub fn kdf(ckm: CK_MECHANISM_TYPE, held: &Held) -> Mech {
    let text = text();
    let text = CK_PRF_DATA_PARAM {
        type_: CK_SP800_108_BYTE_ARRAY,
        pValue: kept(&text).cast(),
        ulValueLen: text.len() as CK_ULONG,
    };
    let end = field(CK_SP800_108_DKM_LENGTH, length(CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, 32));
    let iteration = CK_PRF_DATA_PARAM {
        type_: CK_SP800_108_ITERATION_VARIABLE,
        pValue: std::ptr::null_mut(),
        ulValueLen: 0,
    };
    let fields = match ckm {
        CKM_SP800_108_COUNTER_KDF => {
            vec![field(CK_SP800_108_ITERATION_VARIABLE, format(32)), text, end]
        }
        _ => vec![iteration, field(CK_SP800_108_COUNTER, format(32)), text, end],
    };
    let fields: &'static mut [CK_PRF_DATA_PARAM] = fields.leak();
    let (prf, _, width) = prf(held);
    let (count, fields) = (fields.len() as CK_ULONG, fields.as_mut_ptr());
    let none = std::ptr::null_mut();
    if ckm == CKM_SP800_108_FEEDBACK_KDF {
        return Mech::bytes(
            ckm,
            &structure(CK_SP800_108_FEEDBACK_KDF_PARAMS {
                prfType: prf,
                ulNumberOfDataParams: count,
                pDataParams: fields,
                ulIVLen: width as CK_ULONG,
                pIV: kept(&SEED[..width]),
                ulAdditionalDerivedKeys: 0,
                pAdditionalDerivedKeys: none,
            }),
        );
    }
    Mech::bytes(
        ckm,
        &structure(CK_SP800_108_KDF_PARAMS {
            prfType: prf,
            ulNumberOfDataParams: count,
            pDataParams: fields,
            ulAdditionalDerivedKeys: 0,
            pAdditionalDerivedKeys: none,
        }),
    )
}

fn openssl_kbkdf(known: &Known, held: &Held, mode: &str, seed: &[u8]) -> Vec<u8> {
    let mut options = vec![
        format!("mode:{mode}"),
        hex_option("key", &held.value),
        // OpenSSL's names for label and context.
        hex_option("salt", LABEL),
        hex_option("info", CONTEXT),
    ];
    if !seed.is_empty() {
        options.push(hex_option("seed", seed));
    }
    options.extend(match held.key_type {
        CKK_AES => ["mac:CMAC".into(), format!("cipher:AES-{}-CBC", 8 * held.value.len())],
        _ => ["mac:HMAC".into(), "digest:SHA256".into()],
    });
    known.openssl.kdf("KBKDF", &options, LEN)
}

pub fn other_counter(known: &Known, held: &Held) -> Vec<u8> {
    openssl_kbkdf(known, held, "COUNTER", &[])
}

pub fn other_feedback(known: &Known, held: &Held) -> Vec<u8> {
    openssl_kbkdf(known, held, "FEEDBACK", &SEED[..prf(held).2])
}

/// The chain of the double pipeline, and what is derived by it. OpenSSL has the MACs only.
pub fn pipeline(known: &Known, held: &Held) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (_, of, width) = prf(held);
    let tail = [&text()[..], &(8 * LEN as u32).to_be_bytes()].concat();
    let (mut chain, mut made) = (vec![tail.clone()], Vec::new());
    for count in 1..=LEN.div_ceil(width) as u32 {
        let next = known.openssl.mac(of, &held.value, &chain[chain.len() - 1]);
        let block = [&next[..], &count.to_be_bytes(), &tail].concat();
        made.extend(known.openssl.mac(of, &held.value, &block));
        chain.push(next);
    }
    made.truncate(LEN);
    chain.remove(0);
    (chain, made)
}

pub fn other_pipeline(known: &Known, held: &Held) -> Vec<u8> {
    pipeline(known, held).1
}
