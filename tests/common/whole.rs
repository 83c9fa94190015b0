//! Whole operations of the functions that few tests call: recoverable signatures and messages.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

use std::ptr;

use cryptoki_sys::*;

use super::p11::{Attr, Mech, P11, Rv, raw};

fn ok<T>(rv: CK_RV, value: T) -> Rv<T> {
    if rv == CKR_OK { Ok(value) } else { Err(rv) }
}

impl P11 {
    /// `C_SignRecoverInit` and `C_SignRecover`, or their counterparts with `recovers`.
    pub fn recoverable(
        &self,
        recovers: bool,
        session: CK_SESSION_HANDLE,
        mut mech: Mech,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
    ) -> Rv<Vec<u8>> {
        let list = self.list;
        let (init, call) = match recovers {
            true => (list.C_VerifyRecoverInit.unwrap(), list.C_VerifyRecover.unwrap()),
            false => (list.C_SignRecoverInit.unwrap(), list.C_SignRecover.unwrap()),
        };
        ok(unsafe { init(session, &mut mech.raw(), key) }, ())?;
        let mut out = vec![0; 1024];
        let mut len = out.len() as CK_ULONG;
        let (at, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        let rv = unsafe { call(session, at, size, out.as_mut_ptr(), &mut len) };
        out.truncate(len as usize);
        ok(rv, out)
    }

    /// One message signed: whole where it is one part, else by `C_SignMessageBegin` and its like.
    pub fn sign_message(
        &self,
        session: CK_SESSION_HANDLE,
        mut mech: Mech,
        key: CK_OBJECT_HANDLE,
        parts: &[&[u8]],
    ) -> Rv<Vec<u8>> {
        let list = self.list;
        let null = ptr::null_mut();
        ok(unsafe { list.C_MessageSignInit.unwrap()(session, &mut mech.raw(), key) }, ())?;
        let mut out = vec![0; 1024];
        let mut len = out.len() as CK_ULONG;
        let (last, first) = parts.split_last().unwrap();
        let call = match first {
            [] => list.C_SignMessage.unwrap(),
            _ => list.C_SignMessageNext.unwrap(),
        };
        if !first.is_empty() {
            ok(unsafe { list.C_SignMessageBegin.unwrap()(session, null, 0) }, ())?;
        }
        for part in first {
            let (at, size) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
            ok(unsafe { call(session, null, 0, at, size, null.cast(), null.cast()) }, ())?;
        }
        let (at, size) = (last.as_ptr().cast_mut(), last.len() as CK_ULONG);
        ok(unsafe { call(session, null, 0, at, size, out.as_mut_ptr(), &mut len) }, ())?;
        out.truncate(len as usize);
        ok(unsafe { list.C_MessageSignFinal.unwrap()(session) }, out)
    }

    /// The same for verifying.
    pub fn verify_message(
        &self,
        session: CK_SESSION_HANDLE,
        mut mech: Mech,
        key: CK_OBJECT_HANDLE,
        parts: &[&[u8]],
        signature: &[u8],
    ) -> Rv<()> {
        let list = self.list;
        let null = ptr::null_mut();
        ok(unsafe { list.C_MessageVerifyInit.unwrap()(session, &mut mech.raw(), key) }, ())?;
        let (last, first) = parts.split_last().unwrap();
        let call = match first {
            [] => list.C_VerifyMessage.unwrap(),
            _ => list.C_VerifyMessageNext.unwrap(),
        };
        if !first.is_empty() {
            ok(unsafe { list.C_VerifyMessageBegin.unwrap()(session, null, 0) }, ())?;
        }
        for part in first {
            let (at, size) = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
            ok(unsafe { call(session, null, 0, at, size, null.cast(), 0) }, ())?;
        }
        let (at, size) = (last.as_ptr().cast_mut(), last.len() as CK_ULONG);
        let (sig, sig_len) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
        let rv = unsafe { call(session, null, 0, at, size, sig, sig_len) };
        ok(unsafe { list.C_MessageVerifyFinal.unwrap()(session) }, ())?;
        ok(rv, ())
    }

    /// `C_DeriveKey` with any mechanism.
    pub fn derive_key(
        &self,
        session: CK_SESSION_HANDLE,
        mut mech: Mech,
        base: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> Rv<CK_OBJECT_HANDLE> {
        let mut template = raw(template);
        let mut key = 0;
        let rv = unsafe {
            self.list.C_DeriveKey.unwrap()(
                session,
                &mut mech.raw(),
                base,
                template.as_mut_ptr(),
                template.len() as CK_ULONG,
                &mut key,
            )
        };
        ok(rv, key)
    }
}
