//! Signing, verifying, encrypting, decrypting and digesting through the C ABI, whole and in parts.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

use cryptoki_sys::*;

use super::p11::{Mech, P11, Rv, into_room, ok};

/// An operation with output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Sign,
    Encrypt,
    Decrypt,
    Digest,
}

impl P11 {
    pub fn verify_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &mut Mech,
        key: CK_OBJECT_HANDLE,
    ) -> Rv<()> {
        ok(unsafe { self.list.C_VerifyInit.unwrap()(session, &mut mechanism.raw(), key) })
    }

    pub fn verify(
        &self,
        session: CK_SESSION_HANDLE,
        mut mechanism: Mech,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
        signature: &[u8],
    ) -> Rv<()> {
        self.verify_init(session, &mut mechanism, key)?;
        ok(unsafe {
            self.list.C_Verify.unwrap()(
                session,
                data.as_ptr().cast_mut(),
                data.len() as CK_ULONG,
                signature.as_ptr().cast_mut(),
                signature.len() as CK_ULONG,
            )
        })
    }

    pub fn verify_parts(
        &self,
        session: CK_SESSION_HANDLE,
        mut mechanism: Mech,
        key: CK_OBJECT_HANDLE,
        parts: &[&[u8]],
        signature: &[u8],
    ) -> Rv<()> {
        self.verify_init(session, &mut mechanism, key)?;
        for part in parts {
            ok(unsafe {
                self.list.C_VerifyUpdate.unwrap()(
                    session,
                    part.as_ptr().cast_mut(),
                    part.len() as CK_ULONG,
                )
            })?;
        }
        ok(unsafe {
            self.list.C_VerifyFinal.unwrap()(
                session,
                signature.as_ptr().cast_mut(),
                signature.len() as CK_ULONG,
            )
        })
    }

    pub fn sign(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Mech,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
    ) -> Rv<Vec<u8>> {
        self.init(Op::Sign, session, mechanism, key)?;
        self.one_shot(Op::Sign, session, data)
    }

    pub fn decrypt(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Mech,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
    ) -> Rv<Vec<u8>> {
        self.init(Op::Decrypt, session, mechanism, key)?;
        self.one_shot(Op::Decrypt, session, data)
    }

    pub fn encrypt(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: Mech,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
    ) -> Rv<Vec<u8>> {
        self.init(Op::Encrypt, session, mechanism, key)?;
        self.one_shot(Op::Encrypt, session, data)
    }

    pub fn digest(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        data: &[u8],
    ) -> Rv<Vec<u8>> {
        self.init(Op::Digest, session, Mech::plain(mechanism), 0)?;
        self.one_shot(Op::Digest, session, data)
    }

    /// `C_…Init` of an operation with output.
    pub fn init(
        &self,
        op: Op,
        session: CK_SESSION_HANDLE,
        mut mechanism: Mech,
        key: CK_OBJECT_HANDLE,
    ) -> Rv<()> {
        let list = self.list;
        let mut raw = mechanism.raw();
        ok(unsafe {
            match op {
                Op::Sign => list.C_SignInit.unwrap()(session, &mut raw, key),
                Op::Encrypt => list.C_EncryptInit.unwrap()(session, &mut raw, key),
                Op::Decrypt => list.C_DecryptInit.unwrap()(session, &mut raw, key),
                Op::Digest => list.C_DigestInit.unwrap()(session, &mut raw),
            }
        })
    }

    /// The one-shot call, into `room` bytes; `None` asks for the length. Gives rv and length.
    pub fn one_shot_raw(
        &self,
        op: Op,
        session: CK_SESSION_HANDLE,
        data: &[u8],
        out: Option<&mut [u8]>,
    ) -> (CK_RV, usize) {
        let list = self.list;
        let call = match op {
            Op::Sign => list.C_Sign.unwrap(),
            Op::Encrypt => list.C_Encrypt.unwrap(),
            Op::Decrypt => list.C_Decrypt.unwrap(),
            Op::Digest => list.C_Digest.unwrap(),
        };
        into_room(out, |buffer, len| unsafe {
            call(session, data.as_ptr().cast_mut(), data.len() as CK_ULONG, buffer, len)
        })
    }

    /// The one-shot call into a buffer of 1 KiB.
    pub fn one_shot(&self, op: Op, session: CK_SESSION_HANDLE, data: &[u8]) -> Rv<Vec<u8>> {
        let mut out = vec![0; 1024];
        let (rv, len) = self.one_shot_raw(op, session, data, Some(&mut out));
        out.truncate(len);
        ok(rv).map(|()| out)
    }

    /// `C_SignUpdate` or `C_DigestUpdate`.
    pub fn update(&self, op: Op, session: CK_SESSION_HANDLE, part: &[u8]) -> Rv<()> {
        let call = match op {
            Op::Sign => self.list.C_SignUpdate.unwrap(),
            Op::Digest => self.list.C_DigestUpdate.unwrap(),
            Op::Encrypt | Op::Decrypt => panic!("an update with output"),
        };
        ok(unsafe { call(session, part.as_ptr().cast_mut(), part.len() as CK_ULONG) })
    }

    /// `C_…Final`; `None` asks for the length.
    pub fn final_raw(
        &self,
        op: Op,
        session: CK_SESSION_HANDLE,
        out: Option<&mut [u8]>,
    ) -> (CK_RV, usize) {
        let list = self.list;
        let call = match op {
            Op::Sign => list.C_SignFinal.unwrap(),
            Op::Encrypt => list.C_EncryptFinal.unwrap(),
            Op::Decrypt => list.C_DecryptFinal.unwrap(),
            Op::Digest => list.C_DigestFinal.unwrap(),
        };
        into_room(out, |buffer, len| unsafe { call(session, buffer, len) })
    }

    pub fn finish(&self, op: Op, session: CK_SESSION_HANDLE) -> Rv<Vec<u8>> {
        let mut out = vec![0; 4096];
        let (rv, len) = self.final_raw(op, session, Some(&mut out));
        out.truncate(len);
        ok(rv).map(|()| out)
    }
}
