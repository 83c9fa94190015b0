//! Key management: keys that are born in the TPM.

use cryptoki_sys::{
    CK_OBJECT_HANDLE, CKA_DECRYPT, CKA_DERIVE, CKA_SIGN, CKA_SIGN_RECOVER, CKA_UNWRAP,
    CKF_GENERATE_KEY_PAIR, CKR_MECHANISM_INVALID,
};

use crate::error::{Error, Result};
use crate::mechanism;
use crate::mechanism::parameter::MechanismChoice;
use crate::object::key_pair_request;
use crate::object::template::{RawAttribute, template};
use crate::object::value::AttributeSet;
use crate::session::Call;
use crate::session::object::{Draft, fixed_scheme};
use crate::tpm::{Abilities, KeyKind, KeyTemplate, Tpm, public_key};

impl Call<'_> {
    /// Makes a key pair in the TPM: both objects or none. PKCS#11 v3.1, C_GenerateKeyPair.
    ///
    /// Errors: the templates', `CKR_MECHANISM_INVALID`, `CKR_KEY_SIZE_RANGE`,
    /// `CKR_CURVE_NOT_SUPPORTED`, `CKR_USER_NOT_LOGGED_IN`, `CKR_SESSION_READ_ONLY`,
    /// `CKR_TOKEN_WRITE_PROTECTED`.
    pub fn generate_key_pair(
        &mut self,
        choice: MechanismChoice,
        public: Vec<RawAttribute>,
        private: Vec<RawAttribute>,
    ) -> Result<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
        let abilities = self.provider.abilities(self.cell.hierarchy)?;
        let row = mechanism::find(choice.ckm, &abilities)?;
        if row.flags() & CKF_GENERATE_KEY_PAIR == 0 {
            return Err(Error::new(CKR_MECHANISM_INVALID, "the mechanism makes no key pairs"));
        }
        let request =
            key_pair_request(choice.ckm, &template(&public)?, &template(&private)?, self.actor())?;
        mechanism::check_key_pair(&choice, request.kind, &abilities)?;
        if request.public.is_token() || request.private.is_token() {
            self.provider.check_writable()?;
        }
        let key = key_template(request.kind, &request.private, &abilities);
        let made = self.draft_key(request.private.clone(), |provider, token, auth| {
            provider.engine.turn()?.create_key(&token.primary, &key, auth)
        })?;
        let blob = made.key.as_ref().ok_or_else(|| Error::bug("a key without its blob"))?;
        let (public, private) = request.complete(&public_key(&blob.blob.public)?)?;
        let handles =
            self.add(vec![Draft::plain(public), Draft { attributes: private, ..made }])?;
        match handles[..] {
            [public, private] => Ok((public, private)),
            _ => Err(Error::bug("a pair without its handles")),
        }
    }
}

/// What the TPM object must be able to do for its attributes to be true.
fn key_template(kind: KeyKind, private: &AttributeSet, abilities: &Abilities) -> KeyTemplate {
    let signs = private.is_true(CKA_SIGN) || private.is_true(CKA_SIGN_RECOVER);
    let decrypts =
        [CKA_DECRYPT, CKA_UNWRAP, CKA_DERIVE].iter().any(|usage| private.is_true(*usage));
    let scheme = fixed_scheme(private, abilities).filter(|_| signs && !decrypts);
    // RSA signatures are padded here and finished by the raw private operation, which the TPM
    // counts as decryption.
    let raw = matches!(kind, KeyKind::Rsa { .. }) && scheme.is_none();
    KeyTemplate { kind, sign: signs || !decrypts, decrypt: decrypts || raw, scheme }
}
