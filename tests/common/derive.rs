//! C_DeriveKey with the parameters that name memory and other keys.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

use std::ffi::c_void;
use std::ptr;

use cryptoki_sys::*;

use super::p11::{Attr, P11, Rv, bytes, flag, raw, ulong};

/// A key whose value the test may see.
pub fn open() -> Vec<Attr> {
    vec![flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)]
}

/// The same, of `len` bytes.
pub fn sized(len: usize) -> Vec<Attr> {
    [open(), vec![ulong(CKA_VALUE_LEN, len as CK_ULONG)]].concat()
}

/// A session key of the given value from which others are derived.
pub fn base_key(
    p: &P11,
    session: CK_SESSION_HANDLE,
    key_type: CK_KEY_TYPE,
    value: &[u8],
    more: &[Attr],
) -> CK_OBJECT_HANDLE {
    let own = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, key_type),
        bytes(CKA_VALUE, value),
        flag(CKA_DERIVE, true),
    ];
    p.create(session, &[&own[..], more].concat()).unwrap()
}

/// What the PRF of SP 800-108 is given.
#[derive(Clone, Copy)]
pub enum Field<'a> {
    /// The counter of the counter mode.
    Count(CK_SP800_108_COUNTER_FORMAT),
    /// The iteration variable of the others.
    Iteration,
    Counter(CK_SP800_108_COUNTER_FORMAT),
    Length(CK_SP800_108_DKM_LENGTH_FORMAT),
    Bytes(&'a [u8]),
    Key(CK_OBJECT_HANDLE),
    /// A field of any kind.
    Raw(CK_PRF_DATA_PARAM),
}

pub fn format(bits: CK_ULONG) -> CK_SP800_108_COUNTER_FORMAT {
    CK_SP800_108_COUNTER_FORMAT { bLittleEndian: CK_FALSE, ulWidthInBits: bits }
}

pub fn length(
    dkm_length_method: CK_SP800_108_DKM_LENGTH_METHOD,
    bits: CK_ULONG,
) -> CK_SP800_108_DKM_LENGTH_FORMAT {
    CK_SP800_108_DKM_LENGTH_FORMAT {
        dkmLengthMethod: dkm_length_method,
        bLittleEndian: CK_FALSE,
        ulWidthInBits: bits,
    }
}

/// The parameter of HKDF.
pub struct Hkdf<'a> {
    pub steps: (bool, bool),
    pub hash: CK_MECHANISM_TYPE,
    pub salt: (CK_ULONG, &'a [u8], CK_OBJECT_HANDLE),
    pub info: &'a [u8],
}

/// The parameter of SP 800-108.
pub struct Kdf<'a> {
    pub ckm: CK_MECHANISM_TYPE,
    pub prf: CK_MECHANISM_TYPE,
    pub fields: &'a [Field<'a>],
    pub iv: &'a [u8],
    pub additional: &'a [Vec<Attr>],
}

impl P11 {
    /// C_DeriveKey with the parameter `parameter`, as it stands in memory.
    pub fn derive_with<T>(
        &self,
        session: CK_SESSION_HANDLE,
        ckm: CK_MECHANISM_TYPE,
        parameter: &T,
        base: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> Rv<CK_OBJECT_HANDLE> {
        let len = size_of::<T>() as CK_ULONG;
        let parameter = if len == 0 { ptr::null_mut() } else { address(parameter) };
        let mut mechanism =
            CK_MECHANISM { mechanism: ckm, pParameter: parameter, ulParameterLen: len };
        let mut template = raw(template);
        let mut key = 0;
        let rv = unsafe {
            self.list.C_DeriveKey.unwrap()(
                session,
                &mut mechanism,
                base,
                template.as_mut_ptr(),
                template.len() as CK_ULONG,
                &mut key,
            )
        };
        if rv == CKR_OK { Ok(key) } else { Err(rv) }
    }

    pub fn hkdf(
        &self,
        session: CK_SESSION_HANDLE,
        ckm: CK_MECHANISM_TYPE,
        hkdf: &Hkdf<'_>,
        base: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> Rv<CK_OBJECT_HANDLE> {
        let parameter = CK_HKDF_PARAMS {
            bExtract: hkdf.steps.0.into(),
            bExpand: hkdf.steps.1.into(),
            prfHashMechanism: hkdf.hash,
            ulSaltType: hkdf.salt.0,
            pSalt: hkdf.salt.1.as_ptr().cast_mut(),
            ulSaltLen: hkdf.salt.1.len() as CK_ULONG,
            hSaltKey: hkdf.salt.2,
            pInfo: hkdf.info.as_ptr().cast_mut(),
            ulInfoLen: hkdf.info.len() as CK_ULONG,
        };
        self.derive_with(session, ckm, &parameter, base, template)
    }

    /// Gives what became of the first key, and the handles of the additional ones.
    pub fn kdf(
        &self,
        session: CK_SESSION_HANDLE,
        kdf: &Kdf<'_>,
        base: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> (Rv<CK_OBJECT_HANDLE>, Vec<CK_OBJECT_HANDLE>) {
        let mut fields: Vec<_> = kdf.fields.iter().map(field).collect();
        let mut templates: Vec<_> = kdf.additional.iter().map(|t| raw(t)).collect();
        let mut handles = vec![0xdead; templates.len()];
        let mut keys: Vec<_> = templates
            .iter_mut()
            .zip(&mut handles)
            .map(|(template, handle)| CK_DERIVED_KEY {
                pTemplate: template.as_mut_ptr(),
                ulAttributeCount: template.len() as CK_ULONG,
                phKey: handle,
            })
            .collect();
        let fields = (fields.len() as CK_ULONG, fields.as_mut_ptr());
        let (count, keys) = (keys.len() as CK_ULONG, keys.as_mut_ptr());
        let keys = if count == 0 { ptr::null_mut() } else { keys };
        let made = if kdf.ckm == CKM_SP800_108_FEEDBACK_KDF {
            let parameter = CK_SP800_108_FEEDBACK_KDF_PARAMS {
                prfType: kdf.prf,
                ulNumberOfDataParams: fields.0,
                pDataParams: fields.1,
                ulIVLen: kdf.iv.len() as CK_ULONG,
                pIV: kdf.iv.as_ptr().cast_mut(),
                ulAdditionalDerivedKeys: count,
                pAdditionalDerivedKeys: keys,
            };
            self.derive_with(session, kdf.ckm, &parameter, base, template)
        } else {
            let parameter = CK_SP800_108_KDF_PARAMS {
                prfType: kdf.prf,
                ulNumberOfDataParams: fields.0,
                pDataParams: fields.1,
                ulAdditionalDerivedKeys: count,
                pAdditionalDerivedKeys: keys,
            };
            self.derive_with(session, kdf.ckm, &parameter, base, template)
        };
        (made, handles)
    }
}

fn address<T: ?Sized>(value: &T) -> *mut c_void {
    ptr::from_ref(value).cast_mut().cast()
}

fn field(field: &Field<'_>) -> CK_PRF_DATA_PARAM {
    fn of<T>(type_: CK_PRF_DATA_TYPE, value: &T) -> CK_PRF_DATA_PARAM {
        CK_PRF_DATA_PARAM { type_, pValue: address(value), ulValueLen: size_of::<T>() as CK_ULONG }
    }
    match field {
        Field::Count(format) => of(CK_SP800_108_ITERATION_VARIABLE, format),
        Field::Iteration => CK_PRF_DATA_PARAM {
            type_: CK_SP800_108_ITERATION_VARIABLE,
            pValue: ptr::null_mut(),
            ulValueLen: 0,
        },
        Field::Counter(format) => of(CK_SP800_108_COUNTER, format),
        Field::Length(format) => of(CK_SP800_108_DKM_LENGTH, format),
        Field::Bytes(bytes) => CK_PRF_DATA_PARAM {
            type_: CK_SP800_108_BYTE_ARRAY,
            pValue: address(*bytes),
            ulValueLen: bytes.len() as CK_ULONG,
        },
        Field::Key(handle) => of(CK_SP800_108_KEY_HANDLE, handle),
        Field::Raw(raw) => *raw,
    }
}
