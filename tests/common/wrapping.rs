//! Keys that travel under other keys, and keys derived from others.

#![allow(dead_code)]

use std::ptr;

use cryptoki_sys::*;

use super::aead::{kept, structure};
use super::p11::*;

pub const KEK: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

pub fn secret(key_type: CK_KEY_TYPE, value: &[u8], usages: &[CK_ATTRIBUTE_TYPE]) -> Vec<Attr> {
    let mut template = vec![
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, key_type),
        bytes(CKA_VALUE, value),
        flag(CKA_EXTRACTABLE, true),
        flag(CKA_SENSITIVE, false),
    ];
    template.extend(usages.iter().map(|usage| flag(*usage, true)));
    template
}

/// A key that wraps and unwraps.
pub fn kek(p: &P11, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
    p.create(session, &secret(CKK_AES, &KEK, &[CKA_WRAP, CKA_UNWRAP])).unwrap()
}

/// What an unwrapped AES key is made from.
pub fn unwrapped(key_type: CK_KEY_TYPE) -> Vec<Attr> {
    vec![
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, key_type),
        flag(CKA_EXTRACTABLE, true),
        flag(CKA_SENSITIVE, false),
    ]
}

/// `CKM_RSA_AES_KEY_WRAP` with its parameter.
pub fn rsa_aes(bits: CK_ULONG, hash: CK_MECHANISM_TYPE, mgf: CK_RSA_PKCS_MGF_TYPE) -> Mech {
    let mut oaep = Mech::oaep(hash, mgf, b"");
    let raw = oaep.raw();
    // SAFETY: the parameter of the mechanism above.
    let oaep = unsafe {
        std::slice::from_raw_parts(raw.pParameter.cast(), size_of::<CK_RSA_PKCS_OAEP_PARAMS>())
    };
    let given = CK_RSA_AES_KEY_WRAP_PARAMS { ulAESKeyBits: bits, pOAEPParams: kept(oaep).cast() };
    Mech::bytes(CKM_RSA_AES_KEY_WRAP, &structure(given))
}

pub trait Wrapping {
    fn wrap(
        &self,
        session: CK_SESSION_HANDLE,
        mech: Mech,
        with: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
    ) -> Rv<Vec<u8>>;
    fn unwrap(
        &self,
        session: CK_SESSION_HANDLE,
        mech: Mech,
        with: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        template: &[Attr],
    ) -> Rv<CK_OBJECT_HANDLE>;
    fn derive(
        &self,
        session: CK_SESSION_HANDLE,
        ckm: CK_MECHANISM_TYPE,
        peer: (CK_EC_KDF_TYPE, &[u8], &[u8]),
        base: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> Rv<CK_OBJECT_HANDLE>;
}

pub fn ok<T>(rv: CK_RV, value: T) -> Rv<T> {
    if rv == CKR_OK { Ok(value) } else { Err(rv) }
}

impl Wrapping for P11 {
    fn wrap(
        &self,
        session: CK_SESSION_HANDLE,
        mut mech: Mech,
        with: CK_OBJECT_HANDLE,
        key: CK_OBJECT_HANDLE,
    ) -> Rv<Vec<u8>> {
        let call = self.list.C_WrapKey.unwrap();
        let mut len = 0;
        // SAFETY: the pointers are to memory of this function.
        let rv = unsafe { call(session, &mut mech.raw(), with, key, ptr::null_mut(), &mut len) };
        let mut out = ok(rv, vec![0; len as usize])?;
        // SAFETY: as above.
        let rv = unsafe { call(session, &mut mech.raw(), with, key, out.as_mut_ptr(), &mut len) };
        out.truncate(len as usize);
        ok(rv, out)
    }

    fn unwrap(
        &self,
        session: CK_SESSION_HANDLE,
        mut mech: Mech,
        with: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        template: &[Attr],
    ) -> Rv<CK_OBJECT_HANDLE> {
        let mut template = raw(template);
        let mut key = 0;
        // SAFETY: as above.
        let rv = unsafe {
            self.list.C_UnwrapKey.unwrap()(
                session,
                &mut mech.raw(),
                with,
                wrapped.as_ptr().cast_mut(),
                wrapped.len() as CK_ULONG,
                template.as_mut_ptr(),
                template.len() as CK_ULONG,
                &mut key,
            )
        };
        ok(rv, key)
    }

    fn derive(
        &self,
        session: CK_SESSION_HANDLE,
        ckm: CK_MECHANISM_TYPE,
        (kdf, shared, public): (CK_EC_KDF_TYPE, &[u8], &[u8]),
        base: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> Rv<CK_OBJECT_HANDLE> {
        let mut template = raw(template);
        let mut key = 0;
        let mut parameter = CK_ECDH1_DERIVE_PARAMS {
            kdf,
            ulSharedDataLen: shared.len() as CK_ULONG,
            pSharedData: if shared.is_empty() {
                ptr::null_mut()
            } else {
                shared.as_ptr().cast_mut()
            },
            ulPublicDataLen: public.len() as CK_ULONG,
            pPublicData: public.as_ptr().cast_mut(),
        };
        let mut mechanism = CK_MECHANISM {
            mechanism: ckm,
            pParameter: ptr::from_mut(&mut parameter).cast(),
            ulParameterLen: size_of_val(&parameter) as CK_ULONG,
        };
        // SAFETY: as above.
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
        ok(rv, key)
    }
}
