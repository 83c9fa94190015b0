//! Two operations fed by one call: a cipher, and a digest or signature over its plaintext.
//!
//! PKCS#11 v3.1, "Dual-function cryptographic functions": what does not give output (an error, a
//! length query, too little room) feeds nothing to the other operation.

use cryptoki_sys::CKR_OPERATION_NOT_INITIALIZED;

use crate::error::{Error, Result};
use crate::session::Call;
use crate::session::kind::Kind;
use crate::session::operation::{Delivery, Destination};
use crate::tpm::SecretBytes;

impl Call<'_> {
    /// Encrypts a part and digests it. PKCS#11 v3.1, C_DigestEncryptUpdate.
    pub fn digest_encrypt_update(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        self.both(Kind::Digest, Kind::Encrypt)?;
        self.digest_update(&[])?;
        match self.encrypt_update(data, output)? {
            Delivery::Written => self.digest_update(data),
            Delivery::LengthOnly => Ok(()),
        }
    }

    /// Decrypts a part and digests what comes out. PKCS#11 v3.1, C_DecryptDigestUpdate.
    pub fn decrypt_digest_update(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        self.both(Kind::Decrypt, Kind::Digest)?;
        self.digest_update(&[])?;
        let plaintext = self.decrypt_seen(data, output)?;
        self.digest_update(&plaintext)
    }

    /// Encrypts a part and signs it. PKCS#11 v3.1, C_SignEncryptUpdate.
    pub fn sign_encrypt_update(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        self.both(Kind::Sign, Kind::Encrypt)?;
        // A signature that takes no parts fails before anything is encrypted.
        self.sign_update(&[])?;
        match self.encrypt_update(data, output)? {
            Delivery::Written => self.sign_update(data),
            Delivery::LengthOnly => Ok(()),
        }
    }

    /// Decrypts a part and verifies what comes out. PKCS#11 v3.1, C_DecryptVerifyUpdate.
    pub fn decrypt_verify_update(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        self.both(Kind::Decrypt, Kind::Verify)?;
        self.verify_update(&[])?;
        let plaintext = self.decrypt_seen(data, output)?;
        self.verify_update(&plaintext)
    }

    /// The plaintext that was given out; empty if none was.
    fn decrypt_seen(&mut self, data: &[u8], output: impl Destination) -> Result<SecretBytes> {
        let mut plaintext = SecretBytes::default();
        let delivery =
            self.decrypt_part(data, output, |seen| plaintext = SecretBytes::new(seen.to_vec()))?;
        match delivery {
            Delivery::Written => Ok(plaintext),
            Delivery::LengthOnly => Ok(SecretBytes::default()),
        }
    }

    /// Errors: `CKR_OPERATION_NOT_INITIALIZED` unless both are active.
    fn both(&mut self, one: Kind, other: Kind) -> Result<()> {
        if self.session.is_active(one) && self.session.is_active(other) {
            return Ok(());
        }
        Err(Error::new(CKR_OPERATION_NOT_INITIALIZED, "two operations have to be active"))
    }
}
