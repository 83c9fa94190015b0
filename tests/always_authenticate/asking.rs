//! A token whose private keys ask for the PIN each time.

use cryptoki_sys::*;

use crate::common::fixture::*;
use crate::common::p11::*;
use crate::common::tpm_proxy::Proxy;

pub const DIGEST: &[u8] = &[7; 32];

/// A token with its user in, and a pair of each kind whose private half asks for the PIN each time.
pub struct Asking {
    pub t: Token,
    pub session: CK_SESSION_HANDLE,
}

impl Asking {
    pub fn new() -> Self {
        Self::on(Token::new())
    }

    pub fn on(t: Token) -> Self {
        let session = t.user();
        Self { t, session }
    }

    pub fn tapped() -> (Self, Proxy) {
        let (rig, proxy) = Rig::tapped();
        (Self::on(Token::on(rig, OWNER)), proxy)
    }

    pub fn ec(&self) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
        self.pair(CKK_EC, true, &[])
    }

    pub fn rsa(&self) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
        self.pair(CKK_RSA, true, &[flag(CKA_SIGN, true), flag(CKA_DECRYPT, true)])
    }

    pub fn pair(
        &self,
        kind: CK_KEY_TYPE,
        token: bool,
        more: &[Attr],
    ) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
        asking_pair(&self.t.p, self.session, kind, token, more).unwrap()
    }

    pub fn init(&self, op: Op, mechanism: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE) -> Rv<()> {
        self.t.p.init(op, self.session, Mech::plain(mechanism), key)
    }

    pub fn prove(&self, pin: &[u8]) -> Rv<()> {
        self.t.p.login(self.session, CKU_CONTEXT_SPECIFIC, pin)
    }

    pub fn one_shot(&self, op: Op, data: &[u8]) -> Rv<Vec<u8>> {
        self.t.p.one_shot(op, self.session, data)
    }

    /// A signature with the PIN, made and verified.
    pub fn signs(&self, pair: (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE), pin: &[u8]) {
        self.init(Op::Sign, CKM_ECDSA, pair.1).unwrap();
        self.prove(pin).unwrap();
        let signature = self.one_shot(Op::Sign, DIGEST).unwrap();
        self.t.p.verify(self.session, Mech::plain(CKM_ECDSA), pair.0, DIGEST, &signature).unwrap();
    }

    /// The key is not used, and that ends the operation.
    pub fn is_refused(&self, mechanism: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE) {
        self.init(Op::Sign, mechanism, key).unwrap();
        assert_eq!(self.one_shot(Op::Sign, DIGEST), Err(CKR_USER_NOT_LOGGED_IN));
        assert_eq!(self.one_shot(Op::Sign, DIGEST), Err(CKR_OPERATION_NOT_INITIALIZED));
        assert_eq!(self.t.p.state(self.session), CKS_RW_USER_FUNCTIONS);
    }
}

pub fn asking_pair(
    p: &P11,
    session: CK_SESSION_HANDLE,
    kind: CK_KEY_TYPE,
    token: bool,
    more: &[Attr],
) -> Rv<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
    let (mechanism, public) = if kind == CKK_EC {
        (CKM_EC_KEY_PAIR_GEN, bytes(CKA_EC_PARAMS, P256))
    } else {
        (CKM_RSA_PKCS_KEY_PAIR_GEN, ulong(CKA_MODULUS_BITS, 2048))
    };
    let private =
        [&[flag(CKA_TOKEN, token), flag(CKA_ALWAYS_AUTHENTICATE, true)][..], more].concat();
    p.generate_pair(session, mechanism, &[public, flag(CKA_TOKEN, token)], &private)
}
