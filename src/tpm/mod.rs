//! LAYER 4a: the TPM 2.0, in the TPM's own words. Knows nothing of PKCS#11's attributes and
//! mechanisms, nor of the store.
//!
//! | file | what |
//! |---|---|
//! | `types.rs` | what goes in and out: hierarchies, blobs, keys, templates, status |
//! | `engine.rs` | one TPM, one turn at a time |
//! | `operations.rs` | the operations of [`Tpm`]: which commands each one is |
//! | `random.rs` | random bytes and seeds |
//! | `symmetric.rs` | those of secret keys: ciphers and MACs |
//! | `duplicate.rs` | a key that may leave, taken out |
//! | `approval.rs` | keys whose policy asks for somebody's authorization at each use |
//! | `import.rs` | a key from outside, brought in |
//! | `long_key.rs` | secrets longer than a TPM's HMAC key: several objects |
//! | `policy.rs` | policies: their digests, and the commands that fulfil them |
//! | `parent.rs` | primary keys, auth sessions, loading: what operations begin with |
//! | `recovery.rs` | what is done about a failure before the caller hears of it |
//! | `loaded.rs` | what is loaded: keys by last use, primary keys, the kept auth session |
//! | `capability.rs` | what this TPM can do and how it fares |
//! | `public.rs` | public areas: templates, Names, public keys |
//! | `exchange.rs` | one command and its response |
//! | `answer.rs` | what the response's parameters say |
//! | `auth_session.rs` | auth sessions: salt, HMAC, parameter encryption |
//! | `encryption_rules.rs` | which parameter of which command must be encrypted |
//! | `rc.rs` | `TPM_RC` to `CKR_` |
//! | `wire.rs` | the bounded reader and the writer |
//! | `link.rs`, `turn.rs`, `transport/` | the way to the TPM, and who has it |

mod answer;
mod approval;
mod auth_session;
mod capability;
mod duplicate;
mod encryption_rules;
pub mod engine;
mod exchange;
mod import;
pub mod link;
mod loaded;
mod long_key;
mod operations;
mod parent;
mod policy;
mod public;
mod random;
mod rc;
mod recovery;
mod symmetric;
pub mod transport;
mod turn;
pub mod types;
mod wire;

pub use policy::approval_policy;
pub use public::{needs_approval, object_name, public_key};
pub use types::*;

use crate::error::Result;

/// A TPM for the time of one PKCS#11 call.
///
/// Every method that takes a [`Key`] loads it when it is not loaded, keeps it for the next call
/// where that is allowed, and survives a TPM that forgot it. Whatever happens, no handle and no
/// auth session that is not accounted for stays in the TPM.
///
/// A key whose policy asks for an [`Approver`] is used with the one that the turn was given
/// ([`Turn::approve`](engine::Turn::approve)); errors about it are those of [`unseal`](Tpm::unseal), and
/// `CKR_USER_NOT_LOGGED_IN` without one.
///
/// Errors that all methods share: `CKR_DEVICE_ERROR` (the TPM failed, a response was altered),
/// `CKR_DEVICE_MEMORY` (no room even after letting go of our own), `CKR_TOKEN_NOT_PRESENT` (no
/// TPM, or it does not answer).
pub trait Tpm {
    /// What changes while the TPM runs: one TPM2_GetCapability (TPM properties 0x200 to 0x211).
    fn status(&mut self) -> Result<Status>;

    /// Clock, resetCount and restartCount: one TPM2_ReadClock.
    fn clock(&mut self) -> Result<Clock>;

    /// Who made the TPM, which firmware: one TPM2_GetCapability (properties from 0x100). Kept for
    /// the life of the process until the TPM restarts.
    fn firmware(&mut self) -> Result<Firmware>;

    /// Everything the TPM implements: algorithms, commands, curves, RSA sizes. Kept like
    /// [`firmware`](Tpm::firmware); `set_abilities` gives it what the store kept from last time.
    fn abilities(&mut self) -> Result<Abilities>;

    /// Uses `abilities` instead of asking, if they are of this very firmware.
    fn set_abilities(&mut self, abilities: Abilities);

    /// Random bytes from the TPM, at most 64 per TPM2_GetRandom, response encrypted in an auth
    /// session salted to `parent` (to a null-hierarchy primary where there is none).
    fn random(&mut self, parent: Option<&Primary>, bytes: &mut [u8]) -> Result<()>;

    /// Mixes `seed` into the generator: TPM2_StirRandom, at most 128 bytes a command, encrypted as in
    /// [`random`](Tpm::random).
    fn stir_random(&mut self, parent: Option<&Primary>, seed: &[u8]) -> Result<()>;

    /// Makes the primary key of `hierarchy` anew (TPM2_CreatePrimary, ECC P-256 storage template)
    /// and tells its public area, whose Name the caller records. For the owner hierarchy it is also
    /// made persistent at 0x81000001 where that is free and the owner authorization allows.
    fn create_primary(&mut self, hierarchy: Hierarchy) -> Result<Primary>;

    /// Seals `data` (at most 128 bytes) under `parent`: TPM2_Create with the first parameter
    /// encrypted. The object's authValue is `auth`.
    fn seal(
        &mut self,
        parent: &Primary,
        template: &SealTemplate,
        data: &[u8],
        auth: &Auth,
    ) -> Result<Blob>;

    /// Loads `key`, unseals it with response encryption, and flushes it.
    ///
    /// Errors: `CKR_PIN_INCORRECT` when a dictionary-attack protected object refuses `key.auth`,
    /// `CKR_PIN_LOCKED` in lockout; `CKR_TOKEN_NOT_RECOGNIZED` when the blob does not load
    /// (TPM_RC_INTEGRITY).
    fn unseal(&mut self, key: &Key<'_>) -> Result<SecretBytes>;

    /// Changes the authValue of `key` to `new` and tells the new private area: TPM2_ObjectChangeAuth
    /// authorized with `key.auth`, `new` encrypted. Errors as [`unseal`](Tpm::unseal).
    fn change_auth(&mut self, key: &Key<'_>, new: &Auth) -> Result<Blob>;

    /// Sets the authValue of `key` without knowing the old one (`key.auth` is not used), by its
    /// authPolicy PolicySecret(officer) + PolicyCommandCode(TPM2_ObjectChangeAuth); `new` travels
    /// encrypted by a second, salted HMAC session. Errors as [`unseal`](Tpm::unseal), about `officer`.
    fn change_auth_by_officer(
        &mut self,
        key: &Key<'_>,
        officer: &Key<'_>,
        new: &Auth,
    ) -> Result<Blob>;

    /// Whether `blob` loads under `parent`: false on TPM_RC_INTEGRITY.
    fn loads(&mut self, parent: &Primary, blob: &Blob) -> Result<bool>;

    /// Makes a key in the TPM: TPM2_Create, the authValue encrypted.
    ///
    /// Errors: `CKR_KEY_SIZE_RANGE` or `CKR_CURVE_NOT_SUPPORTED` for what the TPM does not have.
    fn create_key(&mut self, parent: &Primary, template: &KeyTemplate, auth: &Auth)
    -> Result<Blob>;

    /// Makes a secret key of the value `secret`: TPM2_Create, authValue and value encrypted; of a
    /// [long one](KeyKind::LongHmac) once for each of its objects.
    ///
    /// Errors: as [`create_key`](Tpm::create_key).
    fn create_secret_key(
        &mut self,
        parent: &Primary,
        template: &KeyTemplate,
        secret: &[u8],
        auth: &Auth,
    ) -> Result<Blob>;

    /// Brings in a key pair that was made outside, wrapped to `parent` on the way, and loads it once,
    /// because a TPM may not look at the key before: TPM2_Import, TPM2_Load. `template.kind` is the
    /// kind of `key`.
    ///
    /// Errors: as [`create_key`](Tpm::create_key), `CKR_KEY_SIZE_RANGE` also for numbers that this
    /// TPM takes for no key.
    fn import_key(
        &mut self,
        parent: &Primary,
        template: &KeyTemplate,
        key: &OutsideKey,
        auth: &Auth,
    ) -> Result<Blob>;

    /// One TPM2_EncryptDecrypt2 with an AES key, in and out encrypted on the way.
    ///
    /// `iv` is the block that the mode begins with, empty for ECB. `data` is at most
    /// [`input_buffer`](Abilities::input_buffer) bytes; whole blocks but for CTR, OFB and CFB. The
    /// result is as long.
    fn cipher(
        &mut self,
        key: &Key<'_>,
        mode: CipherMode,
        direction: Direction,
        iv: &[u8],
        data: &[u8],
    ) -> Result<SecretBytes>;

    /// The HMAC of `message` by `hash`: one TPM2_HMAC, or a sequence above `buffer` bytes, which is
    /// the TPM's [`input_buffer`](Abilities::input_buffer).
    fn hmac(
        &mut self,
        key: &Key<'_>,
        hash: HashAlg,
        message: &[u8],
        buffer: usize,
    ) -> Result<SecretBytes>;

    /// The raw RSA private operation: TPM2_RSA_Decrypt with scheme NULL.
    ///
    /// `block` is as long as the modulus and below it; so is the result (left-padded). Response
    /// encrypted.
    fn rsa_decrypt(&mut self, key: &Key<'_>, block: &[u8]) -> Result<SecretBytes>;

    /// TPM2_Sign over `digest`, which has exactly the length of the scheme's hash.
    ///
    /// Gives r || s of fixed width for ECDSA, the signature as long as the modulus for RSASSA.
    fn sign(&mut self, key: &Key<'_>, digest: &[u8], scheme: Scheme) -> Result<Vec<u8>>;

    /// TPM2_ECDH_ZGen: the x coordinate of key * point, of the curve's field width, response
    /// encrypted. `x` and `y` are big-endian and of the curve's width.
    fn ecdh(&mut self, key: &Key<'_>, x: &[u8], y: &[u8]) -> Result<SecretBytes>;

    /// Takes out the secret of a key that was made [`extractable`](KeyTemplate::extractable): a
    /// prime, a scalar, or the value of a secret key. TPM2_Duplicate under a fresh inner key, which
    /// travels encrypted.
    ///
    /// Errors: `CKR_DEVICE_ERROR` for a key that may not leave, too: the TPM refuses.
    fn export(&mut self, key: &Key<'_>) -> Result<SecretBytes>;

    /// Flushes `blob` if it is loaded: its object was destroyed, or its login ended.
    fn forget(&mut self, blob: &Blob);

    /// Resets the dictionary-attack counter: TPM2_DictionaryAttackLockReset, authorized with `auth`,
    /// or with the lockout authorization of the settings.
    fn reset_lockout(&mut self, auth: Option<&Auth>) -> Result<()>;
}

/// One private or secret key in the TPM, as a mechanism sees it: what it finishes its arithmetic with.
///
/// An implementation takes the TPM for the time of one operation only.
pub trait PrivateKey {
    /// As [`Tpm::rsa_decrypt`].
    fn rsa_decrypt(&mut self, block: &[u8]) -> Result<SecretBytes>;
    /// As [`Tpm::sign`].
    fn sign(&mut self, digest: &[u8], scheme: Scheme) -> Result<Vec<u8>>;
    /// As [`Tpm::ecdh`].
    fn ecdh(&mut self, x: &[u8], y: &[u8]) -> Result<SecretBytes>;
    /// As [`Tpm::cipher`].
    fn cipher(
        &mut self,
        mode: CipherMode,
        direction: Direction,
        iv: &[u8],
        data: &[u8],
    ) -> Result<SecretBytes>;
    /// As [`Tpm::export`].
    fn value(&mut self) -> Result<SecretBytes>;
    /// As [`Tpm::hmac`].
    fn hmac(&mut self, hash: HashAlg, message: &[u8], buffer: usize) -> Result<SecretBytes>;
}
