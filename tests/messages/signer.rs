//! The message-based functions that sign and verify, and a token to call them on.

use std::ptr;

use cryptoki_sys::*;

use crate::common::fixture::*;
use crate::common::p11::*;

pub fn ok(rv: CK_RV) -> Rv<()> {
    if rv == CKR_OK { Ok(()) } else { Err(rv) }
}

/// The message-based functions in one session.
#[derive(Clone, Copy)]
pub struct Messages<'a> {
    pub p: &'a P11,
    pub session: CK_SESSION_HANDLE,
}

impl Messages<'_> {
    pub fn sign_init(&self, mut mech: Mech, key: CK_OBJECT_HANDLE) -> Rv<()> {
        let init = self.p.list.C_MessageSignInit.unwrap();
        ok(unsafe { init(self.session, &mut mech.raw(), key) })
    }

    pub fn verify_init(&self, mut mech: Mech, key: CK_OBJECT_HANDLE) -> Rv<()> {
        let init = self.p.list.C_MessageVerifyInit.unwrap();
        ok(unsafe { init(self.session, &mut mech.raw(), key) })
    }

    /// Both `Init`s without a mechanism.
    pub fn cancel_by_init(&self) -> [CK_RV; 2] {
        let (s, v) = (self.p.list.C_MessageSignInit, self.p.list.C_MessageVerifyInit);
        [s, v].map(|init| unsafe { init.unwrap()(self.session, ptr::null_mut(), 0) })
    }

    pub fn cancel(&self, flags: CK_FLAGS) {
        let cancel = self.p.list.C_SessionCancel.unwrap();
        assert_eq!(unsafe { cancel(self.session, flags) }, CKR_OK);
    }

    /// `C_SignMessage`, or the last `C_SignMessageNext`; `None` asks for the length.
    pub fn sign_raw(&self, next: bool, data: &[u8], out: Option<&mut [u8]>) -> (CK_RV, usize) {
        let list = self.p.list;
        let call = if next { list.C_SignMessageNext } else { list.C_SignMessage }.unwrap();
        let data = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        into_room(out, |buffer, len| unsafe {
            call(self.session, ptr::null_mut(), 0, data.0, data.1, buffer, len)
        })
    }

    pub fn sign(&self, data: &[u8]) -> Rv<Vec<u8>> {
        let mut out = vec![0; 1024];
        let (rv, len) = self.sign_raw(false, data, Some(&mut out));
        out.truncate(len);
        ok(rv).map(|()| out)
    }

    pub fn begin(&self) -> Rv<()> {
        let begin = self.p.list.C_SignMessageBegin.unwrap();
        ok(unsafe { begin(self.session, ptr::null_mut(), 0) })
    }

    pub fn next(&self, part: &[u8]) -> Rv<()> {
        let next = self.p.list.C_SignMessageNext.unwrap();
        let part = (part.as_ptr().cast_mut(), part.len() as CK_ULONG);
        let null = ptr::null_mut();
        ok(unsafe { next(self.session, null, 0, part.0, part.1, null.cast(), null.cast()) })
    }

    pub fn last(&self, part: &[u8]) -> Rv<Vec<u8>> {
        let mut out = vec![0; 1024];
        let (rv, len) = self.sign_raw(true, part, Some(&mut out));
        out.truncate(len);
        ok(rv).map(|()| out)
    }

    pub fn sign_final(&self) -> Rv<()> {
        ok(unsafe { self.p.list.C_MessageSignFinal.unwrap()(self.session) })
    }

    /// `C_VerifyMessage`, or `C_VerifyMessageNext`.
    pub fn verify_raw(&self, next: bool, data: &[u8], signature: (*const u8, usize)) -> Rv<()> {
        let list = self.p.list;
        let call = if next { list.C_VerifyMessageNext } else { list.C_VerifyMessage }.unwrap();
        ok(unsafe {
            call(
                self.session,
                ptr::null_mut(),
                0,
                data.as_ptr().cast_mut(),
                data.len() as CK_ULONG,
                signature.0.cast_mut(),
                signature.1 as CK_ULONG,
            )
        })
    }

    pub fn verify(&self, data: &[u8], signature: &[u8]) -> Rv<()> {
        self.verify_raw(false, data, (signature.as_ptr(), signature.len()))
    }

    pub fn verify_begin(&self) -> Rv<()> {
        let begin = self.p.list.C_VerifyMessageBegin.unwrap();
        ok(unsafe { begin(self.session, ptr::null_mut(), 0) })
    }

    pub fn verify_next(&self, part: &[u8]) -> Rv<()> {
        self.verify_raw(true, part, (ptr::null(), 0))
    }

    pub fn verify_last(&self, part: &[u8], signature: &[u8]) -> Rv<()> {
        self.verify_raw(true, part, (signature.as_ptr(), signature.len()))
    }

    pub fn verify_final(&self) -> Rv<()> {
        ok(unsafe { self.p.list.C_MessageVerifyFinal.unwrap()(self.session) })
    }
}

/// A token, a session with the user in, and a key pair.
pub struct Signer {
    pub t: Token,
    pub session: CK_SESSION_HANDLE,
    pub public: CK_OBJECT_HANDLE,
    pub private: CK_OBJECT_HANDLE,
}

impl Signer {
    pub fn rsa() -> Self {
        Self::on(Token::new())
    }

    pub fn on(t: Token) -> Self {
        let session = t.user();
        let (public, private) = rsa_pair(&t.p, session, b"1", true);
        Self { t, session, public, private }
    }

    pub fn messages(&self) -> Messages<'_> {
        Messages { p: &self.t.p, session: self.session }
    }

    /// A process that signs with `ckm`.
    pub fn signing(&self, ckm: CK_MECHANISM_TYPE) -> Messages<'_> {
        let m = self.messages();
        m.sign_init(Mech::plain(ckm), self.private).unwrap();
        m
    }

    /// A process that verifies with `ckm`.
    pub fn verifying(&self, ckm: CK_MECHANISM_TYPE) -> Messages<'_> {
        let m = self.messages();
        m.verify_init(Mech::plain(ckm), self.public).unwrap();
        m
    }

    /// What `C_Sign` makes.
    pub fn signature(&self, ckm: CK_MECHANISM_TYPE, data: &[u8]) -> Vec<u8> {
        self.t.p.sign(self.session, Mech::plain(ckm), self.private, data).unwrap()
    }
}
