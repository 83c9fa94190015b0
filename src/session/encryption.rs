//! Encryption: software, with the public key.

use cryptoki_sys::CK_OBJECT_HANDLE;

use crate::error::Result;
use crate::mechanism::Encrypting;
use crate::mechanism::parameter::MechanismChoice;
use crate::session::Call;
use crate::session::key::ENCRYPT;
use crate::session::kind::Kind;
use crate::session::operation::Destination;

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
        let encrypting = Encrypting::new(&choice, &usable.abilities, &usable.public)?;
        self.session.encrypting.begin(encrypting);
        Ok(())
    }

    /// Encrypts `data` whole. PKCS#11 v3.1, C_Encrypt.
    pub fn encrypt(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        self.session.encrypting.one_shot(|operation| {
            output.fill(operation.ciphertext_len(), || operation.encrypt(data))
        })
    }

    /// Takes the next part. PKCS#11 v3.1, C_EncryptUpdate.
    pub fn encrypt_update(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        self.session.encrypting.update_into(|operation| output.fill(0, || operation.update(data)))
    }

    /// Ends a multi-part encryption. PKCS#11 v3.1, C_EncryptFinal.
    pub fn encrypt_final(&mut self, output: impl Destination) -> Result<()> {
        self.session.encrypting.finish(|operation| output.fill(0, || operation.update(&[])))
    }
}
