//! The functions of message-based encryption and decryption, with Rust's manners.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(dead_code, clippy::undocumented_unsafe_blocks)]

use cryptoki_sys::*;

use super::aead::{other_ccm, other_gcm, structure};
use super::p11::{Mech, P11, Rv, into_room};

pub const KEY: [u8; 16] = [0x42; 16];
pub const NONCE: &[u8; 12] = b"twelve bytes";
pub const AAD: &[u8] = b"associated";

/// Which of the two, for the functions that each have of their own.
pub const ENCRYPT: bool = true;
pub const DECRYPT: bool = false;

fn ok<T>(rv: CK_RV, value: T) -> Rv<T> {
    if rv == CKR_OK { Ok(value) } else { Err(rv) }
}

/// A message's parameter, in memory that the module writes to.
#[derive(Clone, Debug)]
pub struct Given {
    pub ckm: CK_MECHANISM_TYPE,
    pub nonce: Vec<u8>,
    pub generator: CK_GENERATOR_FUNCTION,
    pub fixed_bits: CK_ULONG,
    pub tag: Vec<u8>,
    pub data_len: usize,
}

impl Given {
    pub fn gcm(tag_len: usize) -> Self {
        let (nonce, tag) = (NONCE.to_vec(), vec![0; tag_len]);
        let (generator, fixed_bits) = (CKG_NO_GENERATE, 0);
        Self { ckm: CKM_AES_GCM, nonce, generator, fixed_bits, tag, data_len: 0 }
    }

    pub fn ccm(data_len: usize, tag_len: usize) -> Self {
        Self { ckm: CKM_AES_CCM, data_len, ..Self::gcm(tag_len) }
    }

    pub fn both(data_len: usize) -> [Self; 2] {
        [Self::gcm(16), Self::ccm(data_len, 14)]
    }

    pub fn generated(generator: CK_GENERATOR_FUNCTION, fixed_bits: CK_ULONG) -> Self {
        Self { generator, fixed_bits, ..Self::gcm(16) }
    }

    /// The C structure; it points into `self`.
    pub fn raw(&mut self) -> Vec<u8> {
        let nonce_len = self.nonce.len() as CK_ULONG;
        if self.ckm == CKM_AES_GCM {
            structure(CK_GCM_MESSAGE_PARAMS {
                pIv: self.nonce.as_mut_ptr(),
                ulIvLen: nonce_len,
                ulIvFixedBits: self.fixed_bits,
                ivGenerator: self.generator,
                pTag: self.tag.as_mut_ptr(),
                ulTagBits: self.tag.len() as CK_ULONG * 8,
            })
        } else {
            structure(CK_CCM_MESSAGE_PARAMS {
                ulDataLen: self.data_len as CK_ULONG,
                pNonce: self.nonce.as_mut_ptr(),
                ulNonceLen: nonce_len,
                ulNonceFixedBits: self.fixed_bits,
                nonceGenerator: self.generator,
                pMAC: self.tag.as_mut_ptr(),
                ulMACLen: self.tag.len() as CK_ULONG,
            })
        }
    }

    /// What another implementation makes of `data`: ciphertext and tag.
    pub fn expected(&self, aad: &[u8], data: &[u8]) -> Vec<u8> {
        match self.ckm {
            CKM_AES_GCM => other_gcm(&KEY, &self.nonce, aad, data),
            _ => other_ccm(&KEY, &self.nonce, aad, data, self.tag.len()),
        }
    }
}

/// The functions in one session.
#[derive(Clone, Copy)]
pub struct Messages<'a> {
    pub p: &'a P11,
    pub session: CK_SESSION_HANDLE,
}

impl Messages<'_> {
    pub fn init_raw(
        &self,
        encrypt: bool,
        mechanism: *mut CK_MECHANISM,
        key: CK_OBJECT_HANDLE,
    ) -> Rv<()> {
        let list = self.p.list;
        let init = if encrypt { list.C_MessageEncryptInit } else { list.C_MessageDecryptInit };
        ok(unsafe { init.unwrap()(self.session, mechanism, key) }, ())
    }

    pub fn init(&self, encrypt: bool, ckm: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE) -> Rv<()> {
        self.init_raw(encrypt, &mut Mech::plain(ckm).raw(), key)
    }

    pub fn finish(&self, encrypt: bool) -> Rv<()> {
        let list = self.p.list;
        let finish = if encrypt { list.C_MessageEncryptFinal } else { list.C_MessageDecryptFinal };
        ok(unsafe { finish.unwrap()(self.session) }, ())
    }

    /// `C_EncryptMessage` or `C_DecryptMessage`; `None` asks for the length.
    pub fn whole_raw(
        &self,
        encrypt: bool,
        parameter: &mut [u8],
        aad: &[u8],
        data: &[u8],
        out: Option<&mut [u8]>,
    ) -> (CK_RV, usize) {
        let list = self.p.list;
        let call = if encrypt { list.C_EncryptMessage } else { list.C_DecryptMessage }.unwrap();
        into_room(out, |buffer, len| unsafe {
            call(
                self.session,
                parameter.as_mut_ptr().cast(),
                parameter.len() as CK_ULONG,
                aad.as_ptr().cast_mut(),
                aad.len() as CK_ULONG,
                data.as_ptr().cast_mut(),
                data.len() as CK_ULONG,
                buffer,
                len,
            )
        })
    }

    pub fn whole(&self, encrypt: bool, given: &mut Given, aad: &[u8], data: &[u8]) -> Rv<Vec<u8>> {
        let mut parameter = given.raw();
        let (rv, needed) = self.whole_raw(encrypt, &mut parameter, aad, data, None);
        let mut out = ok(rv, vec![0; needed])?;
        let (rv, len) = self.whole_raw(encrypt, &mut parameter, aad, data, Some(&mut out));
        if rv != CKR_OK {
            assert!(out.iter().all(|byte| *byte == 0), "nothing is released with an error");
            return Err(rv);
        }
        assert_eq!(len, needed);
        Ok(out)
    }

    pub fn begin(&self, encrypt: bool, given: &mut Given, aad: &[u8]) -> Rv<()> {
        let mut raw = given.raw();
        let list = self.p.list;
        let begin = if encrypt { list.C_EncryptMessageBegin } else { list.C_DecryptMessageBegin };
        let rv = unsafe {
            begin.unwrap()(
                self.session,
                raw.as_mut_ptr().cast(),
                raw.len() as CK_ULONG,
                aad.as_ptr().cast_mut(),
                aad.len() as CK_ULONG,
            )
        };
        ok(rv, ())
    }

    pub fn next_raw(
        &self,
        encrypt: bool,
        given: &mut Given,
        part: &[u8],
        out: Option<&mut [u8]>,
        flags: CK_FLAGS,
    ) -> (CK_RV, usize) {
        let mut raw = given.raw();
        let list = self.p.list;
        let next = if encrypt { list.C_EncryptMessageNext } else { list.C_DecryptMessageNext };
        into_room(out, |buffer, len| unsafe {
            next.unwrap()(
                self.session,
                raw.as_mut_ptr().cast(),
                raw.len() as CK_ULONG,
                part.as_ptr().cast_mut(),
                part.len() as CK_ULONG,
                buffer,
                len,
                flags,
            )
        })
    }

    /// A part, after asking for the length, which is the exact one; to decrypt, a part that is not the
    /// last gives nothing, and a query tells what it could give.
    pub fn next(&self, encrypt: bool, given: &mut Given, part: &[u8], last: bool) -> Rv<Vec<u8>> {
        let flags = if last { CKF_END_OF_MESSAGE } else { 0 };
        let (rv, needed) = self.next_raw(encrypt, given, part, None, flags);
        let mut out = ok(rv, vec![0; needed])?;
        let (rv, len) = self.next_raw(encrypt, given, part, Some(&mut out), flags);
        if rv != CKR_OK {
            assert!(out.iter().all(|byte| *byte == 0), "nothing is released with an error");
        }
        let told = if encrypt || last { len } else { part.len() };
        assert!(rv != CKR_OK || (needed == told && (encrypt || last || len == 0)));
        out.truncate(len);
        ok(rv, out)
    }

    pub fn in_parts(
        &self,
        encrypt: bool,
        given: &mut Given,
        aad: &[u8],
        parts: &[&[u8]],
    ) -> Rv<Vec<u8>> {
        self.begin(encrypt, given, aad)?;
        let mut made = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            made.extend(self.next(encrypt, given, part, at + 1 == parts.len())?);
        }
        Ok(made)
    }
}
