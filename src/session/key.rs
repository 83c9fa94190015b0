//! From a key handle to a key that an operation may use.

use std::sync::Arc;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_OBJECT_CLASS, CK_OBJECT_HANDLE, CKA_DECAPSULATE, CKA_DECRYPT,
    CKA_DERIVE, CKA_ENCAPSULATE, CKA_ENCRYPT, CKA_SIGN, CKA_SIGN_RECOVER, CKA_UNWRAP,
    CKA_VALUE_LEN, CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_WRAP, CKF_DECAPSULATE, CKF_DECRYPT,
    CKF_DERIVE, CKF_ENCAPSULATE, CKF_ENCRYPT, CKF_MESSAGE_DECRYPT, CKF_MESSAGE_ENCRYPT, CKF_SIGN,
    CKF_SIGN_RECOVER, CKF_UNWRAP, CKF_VERIFY, CKF_VERIFY_RECOVER, CKF_WRAP, CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID,
    CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_INVALID, CKR_OBJECT_HANDLE_INVALID,
};

use crate::error::{Error, Result};
use crate::mechanism::parameter::MechanismChoice;
use crate::mechanism::{self, KeyFacts, Mechanism};
use crate::object::value::AttributeSet;
use crate::object::{ObjectKey, public_key};
use crate::session::Call;
use crate::session::approval::{Approval, not_about_a_pin};
use crate::session::object::{KeyMaterial, Object};
use crate::store::TokenId;
use crate::token::Attached;
use crate::tpm::engine::{Engine, Turn};
use crate::tpm::{
    Abilities, CipherMode, Direction, HashAlg, Key, PrivateKey, Scheme, SecretBytes, Tpm,
};

/// What a kind of operation asks of its key.
#[derive(Clone, Copy)]
pub struct Usage {
    attribute: CK_ATTRIBUTE_TYPE,
    /// The half of a key pair that does it; a secret key does either.
    class: CK_OBJECT_CLASS,
    flag: CK_FLAGS,
}

/// `C_SignInit`, `C_MessageSignInit`.
pub const SIGN: Usage = Usage { attribute: CKA_SIGN, class: CKO_PRIVATE_KEY, flag: CKF_SIGN };
/// `C_SignRecoverInit`.
pub const SIGN_RECOVER: Usage =
    Usage { attribute: CKA_SIGN_RECOVER, class: CKO_PRIVATE_KEY, flag: CKF_SIGN_RECOVER };
/// `C_VerifyRecoverInit`.
pub const VERIFY_RECOVER: Usage =
    Usage { attribute: CKA_VERIFY_RECOVER, class: CKO_PUBLIC_KEY, flag: CKF_VERIFY_RECOVER };
/// `C_VerifyInit`, `C_VerifySignatureInit`, `C_MessageVerifyInit`.
pub const VERIFY: Usage = Usage { attribute: CKA_VERIFY, class: CKO_PUBLIC_KEY, flag: CKF_VERIFY };
/// `C_EncryptInit`.
pub const ENCRYPT: Usage =
    Usage { attribute: CKA_ENCRYPT, class: CKO_PUBLIC_KEY, flag: CKF_ENCRYPT };
/// `C_DecryptInit`.
pub const DECRYPT: Usage =
    Usage { attribute: CKA_DECRYPT, class: CKO_PRIVATE_KEY, flag: CKF_DECRYPT };
/// `C_MessageEncryptInit`.
pub const ENCRYPT_MESSAGES: Usage = Usage { flag: CKF_MESSAGE_ENCRYPT, ..ENCRYPT };
/// `C_MessageDecryptInit`.
pub const DECRYPT_MESSAGES: Usage = Usage { flag: CKF_MESSAGE_DECRYPT, ..DECRYPT };

/// `C_WrapKey`.
pub const WRAP: Usage = Usage { attribute: CKA_WRAP, class: CKO_PUBLIC_KEY, flag: CKF_WRAP };
/// `C_UnwrapKey`.
pub const UNWRAP: Usage = Usage { attribute: CKA_UNWRAP, class: CKO_PRIVATE_KEY, flag: CKF_UNWRAP };
/// `C_DeriveKey`.
pub const DERIVE: Usage = Usage { attribute: CKA_DERIVE, class: CKO_PRIVATE_KEY, flag: CKF_DERIVE };

/// `C_EncapsulateKey`.
pub const ENCAPSULATE: Usage =
    Usage { attribute: CKA_ENCAPSULATE, class: CKO_PUBLIC_KEY, flag: CKF_ENCAPSULATE };
/// `C_DecapsulateKey`.
pub const DECAPSULATE: Usage =
    Usage { attribute: CKA_DECAPSULATE, class: CKO_PRIVATE_KEY, flag: CKF_DECAPSULATE };

/// A key that passed every check an `…Init` makes.
pub struct Usable {
    /// The mechanism that it is used with.
    pub row: &'static Mechanism,
    /// The object.
    pub object: Object,
    /// What is known of the key outside the TPM.
    pub facts: KeyFacts,
    /// What the TPM can do.
    pub abilities: Arc<Abilities>,
}

/// A private or secret key bound to an operation.
pub struct BoundKey {
    token: Arc<Attached>,
    place: ObjectKey,
    material: KeyMaterial,
    private: bool,
    epoch: u64,
    pub(super) approval: Approval,
}

impl BoundKey {
    /// The token it is on.
    pub(super) fn token(&self) -> TokenId {
        self.token.row.id
    }

    /// Where its object is, if that has not been destroyed.
    pub(super) fn place(&self) -> ObjectKey {
        self.place
    }

    /// Whether its user has logged out since (PKCS#11 v3.1, `C_Logout`). A private key that is no
    /// private object ends its operations too: no operation with a private key outlives the login
    /// that it was begun in.
    pub fn is_stale(&self, epoch: u64) -> bool {
        self.private && self.epoch != epoch
    }

    /// The key in the TPM, for the time of one operation.
    pub fn in_tpm<'a>(&'a self, engine: &'a Engine) -> KeyInTpm<'a> {
        KeyInTpm { engine, key: self.as_key(), approval: &self.approval }
    }

    fn as_key(&self) -> Key<'_> {
        Key { parent: &self.token.primary, blob: &self.material.blob, auth: &self.material.auth }
    }
}

/// The key in the TPM, where an operation has one.
pub(super) fn in_tpm<'a>(
    key: &'a Option<BoundKey>,
    engine: &'a Engine,
) -> Option<impl PrivateKey + 'a> {
    key.as_ref().map(|key| key.in_tpm(engine))
}

/// A bound key and the engine that has it. Takes the TPM for each operation, so that whatever the
/// mechanism computes before and after keeps nobody else waiting.
pub struct KeyInTpm<'a> {
    engine: &'a Engine,
    key: Key<'a>,
    approval: &'a Approval,
}

impl KeyInTpm<'_> {
    fn with<T>(&self, operation: impl FnOnce(&mut Turn<'_>, &Key<'_>) -> Result<T>) -> Result<T> {
        let approver = self.approval.approver()?;
        let mut turn = self.engine.turn()?;
        if let Some(approver) = approver {
            turn.approve(approver);
        }
        operation(&mut turn, &self.key).map_err(not_about_a_pin)
    }
}

impl PrivateKey for KeyInTpm<'_> {
    fn rsa_decrypt(&mut self, block: &[u8]) -> Result<SecretBytes> {
        self.with(|turn, key| turn.rsa_decrypt(key, block))
    }

    fn sign(&mut self, digest: &[u8], scheme: Scheme) -> Result<Vec<u8>> {
        self.with(|turn, key| turn.sign(key, digest, scheme))
    }

    fn ecdh(&mut self, x: &[u8], y: &[u8]) -> Result<SecretBytes> {
        self.with(|turn, key| turn.ecdh(key, x, y))
    }

    fn cipher(
        &mut self,
        mode: CipherMode,
        direction: Direction,
        iv: &[u8],
        data: &[u8],
    ) -> Result<SecretBytes> {
        self.with(|turn, key| turn.cipher(key, mode, direction, iv, data))
    }

    fn value(&mut self) -> Result<SecretBytes> {
        self.with(|turn, key| turn.export(key))
    }

    fn hmac(&mut self, hash: HashAlg, message: &[u8], buffer: usize) -> Result<SecretBytes> {
        self.with(|turn, key| turn.hmac(key, hash, message, buffer))
    }
}

impl Call<'_> {
    /// Checks that `handle` is a key that `choice` may be used with, for `usage`.
    ///
    /// Errors: `CKR_KEY_HANDLE_INVALID`, `CKR_MECHANISM_INVALID` (unknown, not for this usage, or
    /// not among the key's CKA_ALLOWED_MECHANISMS), `CKR_KEY_TYPE_INCONSISTENT`,
    /// `CKR_KEY_FUNCTION_NOT_PERMITTED` (another class of key, or its usage attribute is false).
    pub(super) fn usable_key(
        &mut self,
        handle: CK_OBJECT_HANDLE,
        choice: &MechanismChoice,
        usage: Usage,
    ) -> Result<Usable> {
        let object = self.key_object(handle)?;
        let abilities = self.provider.abilities(self.cell.hierarchy)?;
        let row = mechanism::find(choice.ckm, &abilities)?;
        if row.flags() & usage.flag == 0 {
            return Err(Error::new(CKR_MECHANISM_INVALID, "the mechanism does not do that"));
        }
        check_key(&object.attributes, row, usage)?;
        let facts = facts(&object.attributes)?;
        Ok(Usable { row, object, facts, abilities })
    }

    /// The key object behind a handle.
    ///
    /// Errors: `CKR_KEY_HANDLE_INVALID`.
    pub(super) fn key_object(&mut self, handle: CK_OBJECT_HANDLE) -> Result<Object> {
        let object = self
            .object(handle)
            .map_err(|error| error.retold(&[CKR_OBJECT_HANDLE_INVALID], CKR_KEY_HANDLE_INVALID))?;
        if object.attributes.key_type().is_none() {
            return Err(Error::new(CKR_KEY_HANDLE_INVALID, "the object is no key"));
        }
        Ok(object)
    }

    /// Binds the secret key `object` to an operation; a public key needs none of the TPM.
    pub(super) fn bind_secret(&mut self, object: Object) -> Result<Option<BoundKey>> {
        match object.attributes.class() {
            Some(CKO_SECRET_KEY) => self.bind(object).map(Some),
            _ => Ok(None),
        }
    }

    /// Binds the private or secret key `object` to an operation.
    pub(super) fn bind(&mut self, object: Object) -> Result<BoundKey> {
        // That of the very row where the object is one of the token's.
        let token = match object.token {
            Some(token) => token,
            None => self.initialized_token()?,
        };
        let material = object.key.ok_or_else(|| {
            Error::new(CKR_KEY_FUNCTION_NOT_PERMITTED, "the TPM holds no such private key")
        })?;
        let approval = Approval::of(&object.attributes, &material.blob)?;
        Ok(BoundKey {
            token,
            place: object.place,
            material,
            private: object.attributes.is_private()
                || object.attributes.class() == Some(CKO_PRIVATE_KEY),
            epoch: self.login.epoch,
            approval,
        })
    }
}

/// The public key, or how long the secret one is.
fn facts(attributes: &AttributeSet) -> Result<KeyFacts> {
    match (attributes.class(), attributes.key_type()) {
        (Some(CKO_SECRET_KEY), Some(key_type)) => {
            let len = attributes.ulong(CKA_VALUE_LEN).unwrap_or_default();
            Ok(KeyFacts::Secret { key_type, len: usize::try_from(len).unwrap_or(usize::MAX) })
        }
        _ => public_key(attributes).map(KeyFacts::Public),
    }
}

fn check_key(attributes: &AttributeSet, row: &Mechanism, usage: Usage) -> Result<()> {
    // First, because of the two it is the error that counts more.
    if !attributes.key_type().is_some_and(|key_type| row.takes(key_type)) {
        return Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, "the mechanism takes another key type"));
    }
    if attributes.class().is_none_or(|class| class != usage.class && class != CKO_SECRET_KEY) {
        return Err(Error::new(CKR_KEY_FUNCTION_NOT_PERMITTED, "a key of another class"));
    }
    if !attributes.is_true(usage.attribute) {
        return Err(Error::new(
            CKR_KEY_FUNCTION_NOT_PERMITTED,
            "the key's usage attribute is false",
        ));
    }
    if !attributes.allows(row.ckm) {
        return Err(Error::new(CKR_MECHANISM_INVALID, "not among the key's allowed mechanisms"));
    }
    Ok(())
}
