//! Operations with secret keys: block ciphers and MACs.

use tss_esapi::constants::tss as tpm2;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::tpm::answer::first_sized;
use crate::tpm::auth_session::{CONTINUE, DECRYPT, ENCRYPT};
use crate::tpm::engine::Turn;
use crate::tpm::exchange::{Attempt, Authorization, Command, Failure, Handle, Use};
use crate::tpm::recovery::Repeat;
use crate::tpm::wire::{Writer, malformed};
use crate::tpm::{CipherMode, Direction, HashAlg, Key, SecretBytes};

impl Turn<'_> {
    /// TPM 2.0 Part 3, TPM2_EncryptDecrypt2.
    pub(super) fn encrypt_decrypt(
        &mut self,
        key: &Key<'_>,
        mode: CipherMode,
        direction: Direction,
        iv: &[u8],
        data: &[u8],
    ) -> Result<SecretBytes> {
        let parameters = Writer::new()
            .sized(data)
            .u8(u8::from(direction == Direction::Decrypt))
            .u16(mode.alg_id())
            .sized(iv);
        self.attempt(Repeat::Safe, |turn| {
            let code = tpm2::TPM2_CC_EncryptDecrypt2;
            let answer = turn.with_key(key, code, DECRYPT | ENCRYPT, &parameters)?;
            exactly(answer, data.len())
        })
    }

    /// TPM 2.0 Part 3, TPM2_HMAC, TPM2_HMAC_Start, TPM2_SequenceUpdate, TPM2_SequenceComplete.
    pub(super) fn hmac_of(
        &mut self,
        key: &Key<'_>,
        hash: HashAlg,
        message: &[u8],
        buffer: usize,
    ) -> Result<SecretBytes> {
        if message.len() > buffer {
            return self.attempt(Repeat::Safe, |turn| {
                turn.hmac_sequence(key, hash, message, buffer.max(1))
            });
        }
        let parameters = Writer::new().sized(message).u16(hash.alg_id());
        self.attempt(Repeat::Safe, |turn| {
            let code = tpm2::TPM2_CC_HMAC;
            let answer = turn.with_key(key, code, DECRYPT | ENCRYPT, &parameters)?;
            exactly(answer, hash.digest_len())
        })
    }

    /// The whole sequence in one go: nothing of it stays in the TPM between calls. Its authValue is
    /// the key's, which nobody else knows either.
    fn hmac_sequence(
        &mut self,
        key: &Key<'_>,
        hash: HashAlg,
        message: &[u8],
        buffer: usize,
    ) -> Attempt<SecretBytes> {
        let (kept, handle) = self.key_in_session(key)?;
        let auth = key.auth.bytes();
        self.in_session(kept, true, |turn, session, last| {
            let start = Command::new(tpm2::TPM2_CC_HMAC_Start)?
                .handle(handle)
                .parameters(Writer::new().sized(auth).u16(hash.alg_id()))
                .returns_handle();
            let used = Use { session, auth, attributes: CONTINUE | DECRYPT };
            let started = turn.send(start, Authorization::Sessions(vec![used]))?;
            turn.state.loaded.add_temporary(started.handle);
            // A sequence has no public area, and so an empty Name.
            let sequence = Handle { number: started.handle, name: Vec::new() };
            let mut parts = message.chunks(buffer).peekable();
            while let Some(part) = parts.next() {
                let (code, secret, more) = match parts.peek() {
                    Some(_) => (tpm2::TPM2_CC_SequenceUpdate, DECRYPT, CONTINUE),
                    None => (tpm2::TPM2_CC_SequenceComplete, DECRYPT | ENCRYPT, last),
                };
                let mut parameters = Writer::new().sized(part);
                if code == tpm2::TPM2_CC_SequenceComplete {
                    parameters = parameters.u32(tpm2::TPM2_RH_NULL);
                }
                let command = Command::new(code)?.handle(sequence.clone()).parameters(parameters);
                let used = Use { session: &mut *session, auth, attributes: more | secret };
                let response = turn.send(command, Authorization::Sessions(vec![used]))?;
                if code == tpm2::TPM2_CC_SequenceComplete {
                    turn.state.loaded.drop_temporary(started.handle);
                    return exactly(response.parameters, hash.digest_len());
                }
            }
            Err(Failure::Altered(malformed()))
        })
    }
}

/// The first parameter, which has `len` bytes.
fn exactly(parameters: SecretBytes, len: usize) -> Attempt<SecretBytes> {
    let bytes = first_sized(&parameters)?;
    if bytes.len() != len {
        return Err(Failure::Altered(malformed()));
    }
    Ok(Zeroizing::new(bytes.to_vec()))
}
