//! A key that may leave the TPM, taken out.

use aes::Aes128;
use cfb_mode::cipher::{AsyncStreamCipher, KeyIvInit};
use cryptoki_sys::CKR_DEVICE_ERROR;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tss_esapi::constants::tss as tpm2;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::tpm::auth_session::DECRYPT;
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Authorization, Command, Failure, Handle, Use};
use crate::tpm::public::object_name;
use crate::tpm::recovery::Repeat;
use crate::tpm::wire::{Reader, Writer};
use crate::tpm::{Key, SecretBytes};

/// Bytes of the inner key, of its IV of zeros, and of a block.
const INNER: usize = 16;

impl Turn<'_> {
    /// TPM 2.0 Part 3, TPM2_Duplicate to no parent: the inner wrapping alone protects the key on
    /// the bus, so it is never left out.
    pub(super) fn duplicate(&mut self, key: &Key<'_>) -> Result<SecretBytes> {
        let name = object_name(&key.blob.public)?;
        self.attempt(Repeat::Safe, |turn| {
            let mut inner = Zeroizing::new([0; INNER]);
            getrandom::fill(&mut *inner).map_err(Error::from)?;
            // The key stays loaded, in an auth session of its own that this does not use.
            let (kept, object) = turn.key_in_session(key)?;
            let wrapped = turn.in_session(kept, false, |turn, _, _| {
                let mut policy = turn.policy_session()?;
                turn.policy_auth_value(&mut policy)?;
                turn.policy_command_code(&policy, tpm2::TPM2_CC_Duplicate)?;
                let command = Command::new(tpm2::TPM2_CC_Duplicate)?
                    .handle(object)
                    .handle(Handle::permanent(tpm2::TPM2_RH_NULL))
                    .parameters(
                        Writer::new()
                            .sized(&*inner)
                            .u16(tpm2::TPM2_ALG_AES)
                            .u16(128)
                            .u16(tpm2::TPM2_ALG_CFB),
                    );
                let auth = key.auth.bytes();
                let used = Use { session: &mut policy, auth, attributes: DECRYPT };
                let response = turn.send(command, Authorization::Sessions(vec![used]))?;
                turn.state.loaded.drop_temporary(policy.handle);
                Ok(response.parameters)
            })?;
            opened(&wrapped, &inner, &name).map_err(Failure::Altered)
        })
    }
}

/// The secret in what TPM2_Duplicate gave.
/// TPM 2.0 Part 1, "Inner Duplication Wrapper"; Part 2, TPMT_SENSITIVE.
fn opened(parameters: &[u8], inner: &[u8; INNER], name: &[u8]) -> Result<SecretBytes> {
    let mut reader = Reader::new(parameters);
    let _encryption_key = reader.sized()?;
    let mut wrapped = Zeroizing::new(reader.sized()?.to_vec());
    let _seed = reader.sized()?;
    reader.end()?;
    cfb_mode::Decryptor::<Aes128>::new(inner.into(), &[0; INNER].into()).decrypt(&mut wrapped);

    let mut reader = Reader::new(&wrapped);
    let integrity = reader.sized()?;
    let sensitive = reader.clone().rest();
    let expected = Sha256::new().chain_update(sensitive).chain_update(name).finalize();
    if !bool::from(integrity.ct_eq(&expected)) {
        return Err(Error::new(CKR_DEVICE_ERROR, "a duplicated key was altered"));
    }
    let mut reader = Reader::new(reader.sized()?);
    let _kind = reader.u16()?;
    let _auth = reader.sized()?;
    let _seed = reader.sized()?;
    let secret = reader.sized()?;
    Ok(Zeroizing::new(secret.to_vec()))
}
