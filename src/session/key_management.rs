//! Key management: keys that are born in the TPM.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CKA_DECAPSULATE, CKA_DECRYPT, CKA_DERIVE, CKA_ENCRYPT,
    CKA_EXTRACTABLE, CKA_SIGN, CKA_SIGN_RECOVER, CKA_UNWRAP, CKA_VERIFY, CKA_WRAP,
    CKF_GENERATE_KEY_PAIR, CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE, CKR_MECHANISM_INVALID,
};

use crate::error::{Error, Result};
use crate::mechanism;
use crate::mechanism::parameter::MechanismChoice;
use crate::object::secret_key::{
    check_by_block, check_by_value, give_value, hmac_hash, take_value,
};
use crate::object::template::{RawAttribute, template};
use crate::object::value::AttributeSet;
use crate::object::{key_pair_request, secret_key_request};
use crate::session::Call;
use crate::session::draft::Draft;
use crate::session::object::fixed_scheme;
use crate::tpm::engine::Turn;
use crate::tpm::{
    Abilities, CipherMode, Direction, Key, KeyKind, KeyTemplate, SecretBytes, Tpm, public_key,
};

impl Call<'_> {
    /// Makes a secret key in the TPM. PKCS#11 v3.1, C_GenerateKey.
    ///
    /// Errors: the template's, `CKR_MECHANISM_INVALID`,
    /// `CKR_USER_NOT_LOGGED_IN`, `CKR_SESSION_READ_ONLY`, `CKR_TOKEN_WRITE_PROTECTED`.
    pub fn generate_key(
        &mut self,
        choice: MechanismChoice,
        raw: Vec<RawAttribute>,
    ) -> Result<CK_OBJECT_HANDLE> {
        let abilities = self.provider.abilities(self.cell.hierarchy)?;
        let row = mechanism::find(choice.ckm, &abilities)?;
        let key_type = row.generated_type().ok_or_else(|| {
            Error::new(CKR_MECHANISM_INVALID, "the mechanism makes no secret keys")
        })?;
        let request = secret_key_request(choice.ckm, key_type, &template(&raw)?, self.actor())?;
        let kind = mechanism::secret_key(&choice, request.len, &abilities)?;
        if request.object.is_token() {
            self.provider.check_writable()?;
        }
        let key = secret_key_template(kind, &request.object);
        let mut checked = request.object.clone();
        let mut draft = self.draft_key(request.object, |provider, token, auth| {
            let mut turn = provider.engine.turn()?;
            let parent = &token.primary;
            match kind {
                // A TPM makes such a key of one length only, but any number of random bytes.
                KeyKind::Hmac | KeyKind::LongHmac { .. } => {
                    let mut secret = SecretBytes::new(vec![0; request.len]);
                    turn.random(Some(parent), &mut secret)?;
                    check_by_value(&mut checked, &secret);
                    turn.create_secret_key(parent, &key, &secret, auth)
                }
                _ => {
                    let blob = turn.create_key(parent, &key, auth)?;
                    let way = encrypts_one(&abilities, &key).filter(|_| request.checked);
                    if let Some((mode, direction)) = way {
                        let made = Key { parent, blob: &blob, auth };
                        let block = zeros_encrypted(&mut turn, &made, mode, direction)?;
                        check_by_block(&mut checked, &block);
                    }
                    Ok(blob)
                }
            }
        })?;
        if request.checked {
            draft.attributes = checked;
        }
        self.add_one(draft)
    }

    /// A draft of the secret key `secret`, which is known outside the TPM.
    ///
    /// Errors: `CKR_ATTRIBUTE_VALUE_INVALID` for a length that this TPM does not have.
    pub(super) fn draft_secret_key(
        &self,
        kind: KeyKind,
        object: AttributeSet,
        secret: SecretBytes,
    ) -> Result<Draft> {
        let abilities = self.provider.abilities(self.cell.hierarchy)?;
        if matches!(kind, KeyKind::Aes { bits } if !abilities.aes_bits.contains(&bits)) {
            let why = "the TPM has no AES keys of this length";
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why));
        }
        let key = secret_key_template(kind, &object);
        self.draft_key(object, |provider, token, auth| {
            provider.engine.turn()?.create_secret_key(&token.primary, &key, &secret, auth)
        })
    }

    /// Whether the TPM has what keys of this type are for.
    ///
    /// Errors: `CKR_ATTRIBUTE_VALUE_INVALID`.
    pub(super) fn check_secret_type(&self, object: &AttributeSet) -> Result<()> {
        let abilities = self.provider.abilities(self.cell.hierarchy)?;
        if hmac_hash(object.key_type()).is_some_and(|hash| !abilities.has_hash(hash)) {
            let why = "the TPM has not the hash that keys of this CKA_KEY_TYPE are for";
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, why));
        }
        Ok(())
    }

    /// A draft of the secret key `object`, whose value a mechanism gave.
    ///
    /// Errors: `CKR_KEY_SIZE_RANGE` for a value that it cannot have; `CKR_ATTRIBUTE_VALUE_INVALID`
    /// for a type that the TPM does not have, and for a CKA_CHECK_VALUE of another key.
    pub(super) fn draft_of_value(&self, mut object: AttributeSet, value: &[u8]) -> Result<Draft> {
        self.check_secret_type(&object)?;
        give_value(&mut object, value)?;
        take_value(&mut object)
            .and_then(|(kind, secret)| self.draft_secret_key(kind, object, secret))
            .map_err(|error| error.retold(&[CKR_ATTRIBUTE_VALUE_INVALID], CKR_KEY_SIZE_RANGE))
    }

    /// Makes a key pair in the TPM: both objects or none. PKCS#11 v3.1, C_GenerateKeyPair.
    ///
    /// Errors: the templates', `CKR_MECHANISM_INVALID`,
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
        let key = KeyTemplate {
            policy: self.key_policy(&request.private)?,
            ..key_template(request.kind, &request.private, &abilities)
        };
        let made = self.draft_key(request.private.clone(), |provider, token, auth| {
            let made = provider.engine.turn()?.create_key(&token.primary, &key, auth);
            // The size of a key that the template asks for; there is no key yet.
            made.map_err(|error| error.retold(&[CKR_KEY_SIZE_RANGE], CKR_ATTRIBUTE_VALUE_INVALID))
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

/// How `key` may be used for a block of zeros to become what the cipher makes of it, without showing
/// that on the bus as the next block's IV. A counter that is zero is encrypted both ways.
fn encrypts_one(abilities: &Abilities, key: &KeyTemplate) -> Option<(CipherMode, Direction)> {
    let ways = [
        (key.sign, CipherMode::Ecb, Direction::Encrypt),
        (key.sign, CipherMode::Ctr, Direction::Encrypt),
        (key.decrypt, CipherMode::Ctr, Direction::Decrypt),
    ];
    let has = |mode: CipherMode| abilities.algorithms.contains(&mode.alg_id());
    let way = ways.into_iter().find(|(may, mode, _)| *may && has(*mode));
    way.map(|(_, mode, direction)| (mode, direction))
}

/// What `key`, which was just made, makes of a block of zeros; a key that fails is not kept loaded.
fn zeros_encrypted(
    turn: &mut Turn<'_>,
    key: &Key<'_>,
    mode: CipherMode,
    direction: Direction,
) -> Result<SecretBytes> {
    const ZEROS: [u8; 16] = [0; 16];
    let iv = if mode == CipherMode::Ecb { &[][..] } else { &ZEROS };
    let made = turn.cipher(key, mode, direction, iv, &ZEROS);
    made.inspect_err(|_| turn.forget(key.blob))
}

/// What the TPM object must be able to do for the attributes of a secret key to be true.
pub(super) fn secret_key_template(kind: KeyKind, object: &AttributeSet) -> KeyTemplate {
    let any = |usages: &[CK_ATTRIBUTE_TYPE]| usages.iter().any(|usage| object.is_true(*usage));
    let (sign, decrypt) = match kind {
        // CMAC and GMAC are made of encrypted blocks.
        KeyKind::Aes { .. } => (
            any(&[CKA_ENCRYPT, CKA_WRAP, CKA_SIGN, CKA_VERIFY, CKA_DERIVE]),
            any(&[CKA_DECRYPT, CKA_UNWRAP]),
        ),
        // A TPM takes the scheme NULL, which leaves the hash open, together with both only.
        _ => (true, true),
    };
    // The TPM has no key that does nothing.
    KeyTemplate {
        kind,
        sign: sign || !decrypt,
        decrypt,
        scheme: None,
        extractable: object.is_true(CKA_EXTRACTABLE),
        policy: None,
    }
}

/// What the TPM object must be able to do for its attributes to be true.
pub(super) fn key_template(
    kind: KeyKind,
    private: &AttributeSet,
    abilities: &Abilities,
) -> KeyTemplate {
    let signs = private.is_true(CKA_SIGN) || private.is_true(CKA_SIGN_RECOVER);
    let decrypts = [CKA_DECRYPT, CKA_UNWRAP, CKA_DERIVE, CKA_DECAPSULATE]
        .iter()
        .any(|usage| private.is_true(*usage));
    let scheme = fixed_scheme(private, abilities).filter(|_| signs && !decrypts);
    // RSA signatures are padded here and finished by the raw private operation, which the TPM
    // counts as decryption.
    let raw = matches!(kind, KeyKind::Rsa { .. }) && scheme.is_none();
    KeyTemplate {
        kind,
        sign: signs || !decrypts,
        decrypt: decrypts || raw,
        scheme,
        extractable: private.is_true(CKA_EXTRACTABLE),
        policy: None,
    }
}
