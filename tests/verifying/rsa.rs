//! A token with an RSA pair for everything an RSA pair can do.

use cryptoki_sys::*;

use crate::common::fixture::*;
use crate::common::p11::*;

pub fn ok(rv: CK_RV) -> Rv<()> {
    if rv == CKR_OK { Ok(()) } else { Err(rv) }
}

/// A token, a session with the user in, and an RSA pair for everything an RSA pair can do.
pub struct Rsa {
    pub t: Token,
    pub session: CK_SESSION_HANDLE,
    pub public: CK_OBJECT_HANDLE,
    pub private: CK_OBJECT_HANDLE,
}

impl Rsa {
    pub fn new() -> Self {
        let t = Token::new();
        let session = t.user();
        let public = [
            ulong(CKA_MODULUS_BITS, 2048),
            flag(CKA_TOKEN, true),
            flag(CKA_VERIFY, true),
            flag(CKA_VERIFY_RECOVER, true),
            flag(CKA_ENCRYPT, true),
        ];
        let private = [
            flag(CKA_TOKEN, true),
            flag(CKA_SIGN, true),
            flag(CKA_SIGN_RECOVER, true),
            flag(CKA_DECRYPT, true),
        ];
        let (public, private) =
            t.p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).unwrap();
        Self { t, session, public, private }
    }

    pub fn sign_init(&self, mut mech: Mech, key: CK_OBJECT_HANDLE) -> Rv<()> {
        let init = self.t.p.list.C_SignRecoverInit.unwrap();
        ok(unsafe { init(self.session, &mut mech.raw(), key) })
    }

    pub fn verify_init(&self, mut mech: Mech, key: CK_OBJECT_HANDLE) -> Rv<()> {
        let init = self.t.p.list.C_VerifyRecoverInit.unwrap();
        ok(unsafe { init(self.session, &mut mech.raw(), key) })
    }

    /// `C_SignRecover` or `C_VerifyRecover`; `None` asks for the length.
    pub fn raw(&self, signs: bool, input: &[u8], out: Option<&mut [u8]>) -> (CK_RV, usize) {
        let list = self.t.p.list;
        let call = if signs { list.C_SignRecover } else { list.C_VerifyRecover }.unwrap();
        let input = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
        into_room(out, |buffer, len| unsafe { call(self.session, input.0, input.1, buffer, len) })
    }

    pub fn finish(&self, signs: bool, input: &[u8]) -> Rv<Vec<u8>> {
        let mut out = vec![0; 1024];
        let (rv, len) = self.raw(signs, input, Some(&mut out));
        out.truncate(len);
        ok(rv).map(|()| out)
    }

    pub fn sign(&self, ckm: CK_MECHANISM_TYPE, data: &[u8]) -> Rv<Vec<u8>> {
        self.sign_init(Mech::plain(ckm), self.private)?;
        self.finish(true, data)
    }

    pub fn recover(&self, ckm: CK_MECHANISM_TYPE, signature: &[u8]) -> Rv<Vec<u8>> {
        self.verify_init(Mech::plain(ckm), self.public)?;
        self.finish(false, signature)
    }

    pub fn cancel(&self, flags: CK_FLAGS) {
        let cancel = self.t.p.list.C_SessionCancel.unwrap();
        assert_eq!(unsafe { cancel(self.session, flags) }, CKR_OK);
    }
}
