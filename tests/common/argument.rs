//! What the C ABI is given: mechanisms with their parameters, attributes with their values.

use std::ptr;

use cryptoki_sys::*;

/// A mechanism with its parameter.
#[derive(Clone)]
pub struct Mech {
    ckm: CK_MECHANISM_TYPE,
    parameter: Parameter,
}

#[derive(Clone)]
enum Parameter {
    None,
    Pss(CK_RSA_PKCS_PSS_PARAMS),
    Oaep(CK_RSA_PKCS_OAEP_PARAMS, Vec<u8>),
    Bytes(Vec<u8>),
}

impl Mech {
    pub fn plain(ckm: CK_MECHANISM_TYPE) -> Self {
        Self { ckm, parameter: Parameter::None }
    }

    pub fn pss(
        ckm: CK_MECHANISM_TYPE,
        hash: CK_MECHANISM_TYPE,
        mgf: CK_RSA_PKCS_MGF_TYPE,
        salt: CK_ULONG,
    ) -> Self {
        let params = CK_RSA_PKCS_PSS_PARAMS { hashAlg: hash, mgf, sLen: salt };
        Self { ckm, parameter: Parameter::Pss(params) }
    }

    pub fn oaep(hash: CK_MECHANISM_TYPE, mgf: CK_RSA_PKCS_MGF_TYPE, label: &[u8]) -> Self {
        let params = CK_RSA_PKCS_OAEP_PARAMS {
            hashAlg: hash,
            mgf,
            source: CKZ_DATA_SPECIFIED,
            pSourceData: ptr::null_mut(),
            ulSourceDataLen: 0,
        };
        Self { ckm: CKM_RSA_PKCS_OAEP, parameter: Parameter::Oaep(params, label.to_vec()) }
    }

    pub fn bytes(ckm: CK_MECHANISM_TYPE, bytes: &[u8]) -> Self {
        Self { ckm, parameter: Parameter::Bytes(bytes.to_vec()) }
    }

    /// The C structure; it points into `self`.
    pub fn raw(&mut self) -> CK_MECHANISM {
        let (pointer, len) = match &mut self.parameter {
            Parameter::None => (ptr::null_mut(), 0),
            Parameter::Pss(params) => (ptr::from_mut(params).cast(), size_of_val(params)),
            Parameter::Oaep(params, label) => {
                if !label.is_empty() {
                    params.pSourceData = label.as_mut_ptr().cast();
                    params.ulSourceDataLen = label.len() as CK_ULONG;
                }
                (ptr::from_mut(params).cast(), size_of_val(params))
            }
            Parameter::Bytes(bytes) => (bytes.as_mut_ptr().cast(), bytes.len()),
        };
        CK_MECHANISM { mechanism: self.ckm, pParameter: pointer, ulParameterLen: len as CK_ULONG }
    }
}

/// An attribute with its value.
#[derive(Clone, Debug)]
pub struct Attr(pub CK_ATTRIBUTE_TYPE, pub Vec<u8>);

pub fn flag(kind: CK_ATTRIBUTE_TYPE, value: bool) -> Attr {
    Attr(kind, vec![value.into()])
}

pub fn ulong(kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Attr {
    Attr(kind, value.to_ne_bytes().to_vec())
}

pub fn bytes(kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Attr {
    Attr(kind, value.to_vec())
}

pub fn raw(template: &[Attr]) -> Vec<CK_ATTRIBUTE> {
    template
        .iter()
        .map(|Attr(kind, value)| CK_ATTRIBUTE {
            type_: *kind,
            pValue: value.as_ptr().cast_mut().cast(),
            ulValueLen: value.len() as CK_ULONG,
        })
        .collect()
}

/// An attribute that is a template; the entries live as long as the process.
pub fn templates(cka: CK_ATTRIBUTE_TYPE, entries: &[Attr]) -> Attr {
    let entries: &'static [Attr] = Vec::leak(entries.to_vec());
    let words = raw(entries).into_iter().flat_map(|entry| {
        let numbers = [entry.type_ as usize, entry.pValue as usize, entry.ulValueLen as usize];
        numbers.map(usize::to_ne_bytes).concat()
    });
    Attr(cka, words.collect())
}
