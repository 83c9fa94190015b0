//! Decryption: an operation with its private or secret key.

use cryptoki_sys::CK_OBJECT_HANDLE;

use crate::error::Result;
use crate::mechanism::Decrypting;
use crate::mechanism::parameter::MechanismChoice;
use crate::session::Call;
use crate::session::key::{BoundKey, DECRYPT};
use crate::session::kind::Kind;
use crate::session::operation::{Delivery, Destination, Operation};

/// An active decryption.
pub struct Decryption {
    decrypting: Decrypting,
    key: BoundKey,
    /// The ciphertext whose plaintext waits for room.
    waiting: Vec<u8>,
}

impl Operation for Decryption {
    fn key(&mut self) -> Option<&mut BoundKey> {
        Some(&mut self.key)
    }
}

impl Call<'_> {
    /// Begins a decryption with the key `key`; without a mechanism, cancels the active one.
    /// PKCS#11 v3.1, C_DecryptInit.
    pub fn decrypt_init(
        &mut self,
        choice: Option<MechanismChoice>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let Some(choice) = choice else { return self.cancel_by_init(Kind::Decrypt) };
        self.may_begin(Kind::Decrypt)?;
        let usable = self.usable_key(key, &choice, DECRYPT)?;
        let decrypting = Decrypting::new(
            &choice,
            &usable.abilities,
            &usable.facts,
            usable.object.fixed_scheme(&usable.abilities),
        )?;
        let key = self.bind(usable.object)?;
        self.session.decrypting.begin(Decryption { decrypting, key, waiting: Vec::new() });
        Ok(())
    }

    /// Decrypts `data` whole. PKCS#11 v3.1, C_Decrypt.
    pub fn decrypt(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.decrypting.one_shot(|Decryption { decrypting, key, waiting }| {
            let bound = decrypting.bound(data.len())?;
            let least = decrypting.least(data.len());
            // Another ciphertext has a plaintext of its own.
            let mut made = decrypting.made.take().filter(|_| waiting == data);
            let delivery = output.fill_once(&mut made, bound, least, || {
                decrypting.decrypt(data, &mut key.in_tpm(engine))
            });
            *waiting = if made.is_some() { data.to_vec() } else { Vec::new() };
            decrypting.made = made;
            delivery
        })
    }

    /// Takes the next part. PKCS#11 v3.1, C_DecryptUpdate.
    pub fn decrypt_update(&mut self, data: &[u8], output: impl Destination) -> Result<()> {
        self.decrypt_part(data, output, |_| ()).map(drop)
    }

    /// The same, and shows the plaintext to `seen` before it is given out.
    pub(super) fn decrypt_part(
        &mut self,
        data: &[u8],
        output: impl Destination,
        seen: impl FnOnce(&[u8]),
    ) -> Result<Delivery> {
        let engine = &self.provider.engine;
        self.session.decrypting.update_into(|Decryption { decrypting, key, .. }| {
            let (bound, exact) = decrypting.update_len(data.len())?;
            output.fill_once(&mut None, bound, exact, || {
                let made = decrypting.update(data, &mut key.in_tpm(engine))?;
                seen(&made);
                Ok(made)
            })
        })
    }

    /// Ends a multi-part decryption. PKCS#11 v3.1, C_DecryptFinal.
    pub fn decrypt_final(&mut self, output: impl Destination) -> Result<()> {
        let engine = &self.provider.engine;
        self.session.decrypting.finish(|Decryption { decrypting, key, .. }| {
            let (bound, least) = (decrypting.finish_bound()?, decrypting.finish_least());
            let mut made = decrypting.made.take();
            let delivery = output
                .fill_once(&mut made, bound, least, || decrypting.finish(&mut key.in_tpm(engine)));
            decrypting.made = made;
            delivery
        })
    }
}
