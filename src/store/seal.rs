//! What makes a row believable: its MAC, its encryption, its search tags.
//!
//! Everything is bound to everything: the MAC covers each column of a row, in a form in which no
//! two rows read alike, under a key that belongs to one token. So a row that was edited, moved to
//! another place or token, or given another row's key fails.

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use cryptoki_sys::CKR_TOKEN_NOT_RECOGNIZED;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::TokenId;
use crate::error::{Error, Result};
use crate::os::secret::LockedSecret;

/// Length of a derived key, of the secret it comes from, and of a MAC, in bytes.
const KEY: usize = 32;
/// Length of a search tag in bytes.
const TAG: usize = 16;
/// Length of AES-GCM's nonce and of its tag in bytes.
const NONCE: usize = 12;
const GCM_TAG: usize = 16;

/// Which rows a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those of public objects and of the token itself.
    Public,
    /// Those of private objects.
    Private,
}

/// What a key is used for: its place among the derived keys.
#[derive(Clone, Copy)]
enum Use {
    Mac,
    Encryption,
    Lookup,
}

impl Use {
    const ALL: [Self; 3] = [Self::Mac, Self::Encryption, Self::Lookup];

    fn label(self) -> &'static [u8] {
        match self {
            Self::Mac => b"mac",
            Self::Encryption => b"encryption",
            Self::Lookup => b"lookup",
        }
    }
}

/// The keys of the public or of the private rows of one token. A clone is the same locked memory.
#[derive(Clone)]
pub struct RowKey {
    token: TokenId,
    rows: Rows,
    /// One key for each [`Use`], in their order.
    keys: Arc<LockedSecret>,
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowKey").field("token", &self.token).field("rows", &self.rows).finish()
    }
}

/// The keys that a caller has: of the public rows always, of the private ones after a login.
#[derive(Debug)]
pub struct RowKeys {
    /// For public objects.
    pub public: RowKey,
    /// For private objects; without it they are not seen.
    pub private: Option<RowKey>,
}

impl RowKeys {
    /// The key for a private or a public row, if the caller has it.
    pub(super) fn of(&self, private: bool) -> Option<&RowKey> {
        if private { self.private.as_ref() } else { Some(&self.public) }
    }
}

impl RowKey {
    /// Derives the row keys of `token` from a secret that the TPM released.
    ///
    /// Errors: none that can happen; `CKR_GENERAL_ERROR` if HMAC refused its key.
    pub fn derive(secret: &[u8; KEY], token: TokenId, rows: Rows) -> Result<Self> {
        let mut keys = Zeroizing::new(Vec::with_capacity(Use::ALL.len() * KEY));
        let rows_label: &[u8] = if rows == Rows::Public { b"public" } else { b"private" };
        for purpose in Use::ALL {
            let mut hmac = keyed(secret)?;
            for part in [b"hierarkey row key 1", rows_label, purpose.label(), &token.0] {
                hmac.field(part);
            }
            let key: Zeroizing<[u8; KEY]> = Zeroizing::new(hmac.finalize().into_bytes().into());
            keys.extend_from_slice(&*key);
        }
        Ok(Self { token, rows, keys: Arc::new(LockedSecret::new(&keys)) })
    }

    /// Whose rows these keys are for.
    pub fn token(&self) -> TokenId {
        self.token
    }

    fn key(&self, purpose: Use) -> Result<&[u8]> {
        let key = self.keys.expose().chunks_exact(KEY).nth(purpose as usize);
        key.ok_or_else(|| Error::bug("a row key is missing"))
    }

    /// The MAC of a row.
    pub(super) fn mac(&self, row: &impl Canonical) -> Result<[u8; KEY]> {
        Ok(self.mac_of(row)?.finalize().into_bytes().into())
    }

    /// Whether `mac` is the MAC of a row, in constant time.
    ///
    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED` when it is not.
    pub(super) fn verify(&self, row: &impl Canonical, mac: &[u8]) -> Result<()> {
        self.mac_of(row)?
            .verify_slice(mac)
            .map_err(|_| Error::new(CKR_TOKEN_NOT_RECOGNIZED, "a row was changed by others"))
    }

    fn mac_of(&self, row: &impl Canonical) -> Result<Hmac<Sha256>> {
        let mut hmac = keyed(self.key(Use::Mac)?)?;
        row.write_to(&mut hmac);
        Ok(hmac)
    }

    /// What a search for `value` of `attribute` looks for.
    ///
    /// Equal values of one attribute have equal tags in the rows of one key; the tags of public
    /// and private rows, of two tokens and of two attributes have nothing in common.
    pub(super) fn lookup_tag(&self, attribute: &str, value: &[u8]) -> Result<[u8; TAG]> {
        let mut hmac = keyed(self.key(Use::Lookup)?)?;
        hmac.field(attribute.as_bytes());
        hmac.field(value);
        let digest: [u8; KEY] = hmac.finalize().into_bytes().into();
        digest.first_chunk().copied().ok_or_else(|| Error::bug("a digest is too short"))
    }

    /// Encrypts `content`: nonce, ciphertext, tag. `header` says which row it belongs to.
    ///
    /// Errors: `CKR_FUNCTION_FAILED` when the system has no randomness.
    pub(super) fn encrypt(&self, header: &impl Canonical, content: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)?;
        // Encrypted in place, and the place never moves: no plaintext stays behind.
        let mut sealed = Vec::with_capacity(NONCE + content.len() + GCM_TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(content);
        let text = sealed.get_mut(NONCE..).unwrap_or_default();
        let tag = self
            .cipher()?
            .encrypt_in_place_detached(Nonce::from_slice(&nonce), &header.bytes(), text)
            .map_err(|_| Error::bug("AES-GCM refused a row's content"))?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Decrypts what [`encrypt`](Self::encrypt) made for the same row.
    ///
    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED` for anything else.
    pub(super) fn decrypt(
        &self,
        header: &impl Canonical,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let changed = || Error::new(CKR_TOKEN_NOT_RECOGNIZED, "a row does not decrypt");
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or_else(changed)?;
        let (text, tag) = rest.split_last_chunk::<GCM_TAG>().ok_or_else(changed)?;
        let mut text = Zeroizing::new(text.to_vec());
        self.cipher()?
            .decrypt_in_place_detached(
                Nonce::from_slice(nonce),
                &header.bytes(),
                &mut text,
                Tag::from_slice(tag),
            )
            .map_err(|_| changed())?;
        Ok(text)
    }

    fn cipher(&self) -> Result<Aes256Gcm> {
        Aes256Gcm::new_from_slice(self.key(Use::Encryption)?)
            .map_err(|_| Error::bug("AES-256 refused a key"))
    }
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha256>> {
    <Hmac<Sha256> as Mac>::new_from_slice(key).map_err(|_| Error::bug("HMAC refused a key"))
}

/// Where a canonical form goes: into a MAC, or into memory.
///
/// Fields are told apart whatever they hold: each has its length before it, and an absent one is
/// not an empty one.
pub(super) trait Sink {
    /// Takes `bytes` as they are.
    fn raw(&mut self, bytes: &[u8]);

    /// A field that is there.
    fn field(&mut self, bytes: &[u8]) {
        self.raw(&[1]);
        self.raw(&(bytes.len() as u64).to_be_bytes());
        self.raw(bytes);
    }

    /// A field that may be absent.
    fn optional(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.field(bytes),
            None => self.raw(&[0]),
        }
    }

    /// A number.
    fn number(&mut self, number: i64) {
        self.field(&number.to_be_bytes());
    }
}

impl Sink for Hmac<Sha256> {
    fn raw(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl Sink for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Something with a canonical form: no two different values have the same.
pub(super) trait Canonical {
    /// Writes the form, beginning with what kind of thing it is.
    fn write_to(&self, sink: &mut impl Sink);

    /// The form in memory.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes);
        bytes
    }
}
