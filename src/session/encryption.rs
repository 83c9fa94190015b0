//! Encryption: software with a public key, the TPM with a secret one.

use cryptoki_sys::CK_OBJECT_HANDLE;

use crate::error::Result;
use crate::mechanism::Encrypting;
use crate::mechanism::parameter::MechanismChoice;
use crate::session::Call;
use crate::session::key::{BoundKey, ENCRYPT, in_tpm};
use crate::session::kind::Kind;
use crate::session::operation::{Delivery, Destination, Operation};

/// An active encryption.
pub struct Encryption {
    encrypting: Encrypting,
    /// The key, where it is a secret one.
    key: Option<BoundKey>,
}

impl Operation for Encryption {
    fn key(&mut self) -> Option<&mut BoundKey> {
        self.key.as_mut()
    }
}

impl Call<'_> {
    /// Begins an encryption with the key `key`; without a mechanism, cancels the active one.
    /// PKCS#11 v3.1, C_EncryptInit.
    pub fn encrypt_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::Encrypt) };
        self.may_begin(Kind::Encrypt)?;
        let usable = self.usable_key(key, &choice, ENCRYPT)?;
        let encrypting = Encrypting::new(&choice, &usable.abilities, &usable.facts)?;
        let key = self.bind_secret(usable.object)?;
        self.session.encrypting.begin(Encryption { encrypting, key });
        Ok(())
    }

    /// Encrypts `data` whole. PKCS#11 v3.1, C_Encrypt.
    pub fn encrypt(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.encrypting.one_shot(|Encryption { encrypting, key }| {
            let len = encrypting.ciphertext_len(data.len())?;
            output.fill(len, || encrypting.encrypt(data, in_tpm(key, engine)))
        })
    }

    /// Takes the next part. PKCS#11 v3.1, C_EncryptUpdate.
    pub fn encrypt_update(&mut self, data: &[u8], output: impl Destination) -> Result<Delivery> {
        let engine = &self.provider.engine;
        self.session.encrypting.update_into(|Encryption { encrypting, key }| {
            let len = encrypting.update_len(data.len())?;
            output.fill(len, || encrypting.update(data, in_tpm(key, engine)))
        })
    }

    /// Ends a multi-part encryption. PKCS#11 v3.1, C_EncryptFinal.
    pub fn encrypt_final(&mut self, output: impl Destination) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.encrypting.finish(|Encryption { encrypting, key }| {
            let len = encrypting.finish_len()?;
            output.fill(len, || encrypting.finish(in_tpm(key, engine)))
        })
    }
}
