//! Secret keys, and operations whose parts give output, one or two at a time.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

use cryptoki_sys::*;

use super::p11::{Attr, Mech, Op, P11, Rv, bytes, flag, into_room, ulong};

/// A call that takes a part and gives a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Encrypt,
    Decrypt,
    DigestEncrypt,
    DecryptDigest,
    SignEncrypt,
    DecryptVerify,
}

impl Part {
    fn decrypts(self) -> bool {
        matches!(self, Part::Decrypt | Part::DecryptDigest | Part::DecryptVerify)
    }
}

impl P11 {
    pub fn generate_key(
        &self,
        session: CK_SESSION_HANDLE,
        ckm: CK_MECHANISM_TYPE,
        template: &[Attr],
    ) -> Rv<CK_OBJECT_HANDLE> {
        let mut template = super::p11::raw(template);
        let mut mechanism = Mech::plain(ckm);
        let mut key = 0;
        let rv = unsafe {
            self.list.C_GenerateKey.unwrap()(
                session,
                &mut mechanism.raw(),
                template.as_mut_ptr(),
                template.len() as CK_ULONG,
                &mut key,
            )
        };
        if rv == CKR_OK { Ok(key) } else { Err(rv) }
    }

    /// An AES key that does everything, made from its value.
    pub fn aes_key(&self, session: CK_SESSION_HANDLE, value: &[u8]) -> CK_OBJECT_HANDLE {
        let usages = [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY].map(|cka| flag(cka, true));
        let own = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_AES),
            bytes(CKA_VALUE, value),
        ];
        self.create(session, &[&own[..], &usages].concat()).unwrap()
    }

    /// A generic secret made from its value.
    pub fn generic_key(&self, session: CK_SESSION_HANDLE, value: &[u8]) -> CK_OBJECT_HANDLE {
        let own = [
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
            bytes(CKA_VALUE, value),
        ];
        self.create(session, &own).unwrap()
    }

    /// One call, into `room` bytes; `None` asks for the length. Gives rv and length.
    pub fn part_raw(
        &self,
        part: Part,
        session: CK_SESSION_HANDLE,
        data: &[u8],
        out: Option<&mut [u8]>,
    ) -> (CK_RV, usize) {
        let list = self.list;
        let call = match part {
            Part::Encrypt => list.C_EncryptUpdate.unwrap(),
            Part::Decrypt => list.C_DecryptUpdate.unwrap(),
            Part::DigestEncrypt => list.C_DigestEncryptUpdate.unwrap(),
            Part::DecryptDigest => list.C_DecryptDigestUpdate.unwrap(),
            Part::SignEncrypt => list.C_SignEncryptUpdate.unwrap(),
            Part::DecryptVerify => list.C_DecryptVerifyUpdate.unwrap(),
        };
        into_room(out, |buffer, len| unsafe {
            call(session, data.as_ptr().cast_mut(), data.len() as CK_ULONG, buffer, len)
        })
    }

    /// One call, after asking for the length, which has to be the exact one. Of what waits for its tag
    /// a part gives nothing, and a query tells what it could give.
    pub fn part(&self, part: Part, session: CK_SESSION_HANDLE, data: &[u8]) -> Rv<Vec<u8>> {
        let (rv, needed) = self.part_raw(part, session, data, None);
        if rv != CKR_OK {
            return Err(rv);
        }
        let mut out = vec![0; needed];
        let (rv, len) = self.part_raw(part, session, data, Some(&mut out));
        if rv != CKR_OK {
            return Err(rv);
        }
        let waits = part.decrypts() && len == 0 && needed == data.len();
        assert!(
            len == needed || waits,
            "the length of a part is known: {needed} was told, {len} came"
        );
        out.truncate(len);
        Ok(out)
    }

    pub fn verify_finish(&self, session: CK_SESSION_HANDLE, signature: &[u8]) -> Rv<()> {
        let rv = unsafe {
            let at = signature.as_ptr().cast_mut();
            self.list.C_VerifyFinal.unwrap()(session, at, signature.len() as CK_ULONG)
        };
        if rv == CKR_OK { Ok(()) } else { Err(rv) }
    }

    /// A whole operation in parts.
    pub fn in_parts(
        &self,
        op: Op,
        session: CK_SESSION_HANDLE,
        mechanism: Mech,
        key: CK_OBJECT_HANDLE,
        parts: &[&[u8]],
    ) -> Rv<Vec<u8>> {
        self.init(op, session, mechanism, key)?;
        let mut all = Vec::new();
        for part in parts {
            match op {
                Op::Encrypt => all.extend(self.part(Part::Encrypt, session, part)?),
                Op::Decrypt => all.extend(self.part(Part::Decrypt, session, part)?),
                Op::Sign | Op::Digest => self.update(op, session, part)?,
            }
        }
        all.extend(self.finish(op, session)?);
        Ok(all)
    }
}

/// `CKM_AES_CTR` with its parameter.
pub fn ctr(bits: CK_ULONG, block: [u8; 16]) -> Mech {
    Mech::bytes(CKM_AES_CTR, &[&bits.to_ne_bytes()[..], &block].concat())
}

/// A MAC of `len` bytes.
pub fn general(ckm: CK_MECHANISM_TYPE, len: CK_ULONG) -> Mech {
    Mech::bytes(ckm, &len.to_ne_bytes())
}
