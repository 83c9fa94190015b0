//! The state of a session's operations, saved and restored. PKCS#11 v3.1, C_GetOperationState and
//! C_SetOperationState.
//!
//! Only digests can be saved: what signs or decrypts is bound to a key in the TPM.
//!
//! A saved state is `HKOS`, one byte of version, a nonce of 12 bytes, and then, encrypted with
//! AES-256-GCM: one byte that says whether parts were taken, the mechanism (big-endian),
//! the hash's own state; 16 bytes of tag. What is authenticated beside it is all that must be the
//! same where it is restored: the version, the slot, the token and the session's CK_STATE.
//!
//! The key is random and of one C_Initialize: a state that another process or another life of the
//! library saved is foreign. So nothing that is hashed shows in a state, and nobody can make one.

use std::sync::OnceLock;

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use cryptoki_sys::{
    CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CKR_KEY_NOT_NEEDED, CKR_OPERATION_NOT_INITIALIZED,
    CKR_SAVED_STATE_INVALID, CKR_STATE_UNSAVEABLE,
};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::mechanism::Digesting;
use crate::session::Call;
use crate::session::kind::Kind;
use crate::session::operation::{Destination, Phase};
use crate::session::state::state;
use crate::slot::slot_number;

/// What a state begins with: the format's name and version.
const HEADER: &[u8; 5] = b"HKOS\x01";
const NONCE: usize = 12;
const TAG: usize = 16;

/// The key of the states that are saved between one C_Initialize and its C_Finalize.
#[derive(Default)]
pub(crate) struct StateKey(OnceLock<Zeroizing<[u8; 32]>>);

impl StateKey {
    fn cipher(&self) -> Result<Aes256Gcm> {
        let key = match self.0.get() {
            Some(key) => key,
            None => {
                let mut fresh = Zeroizing::new([0; 32]);
                getrandom::fill(&mut *fresh)?;
                self.0.get_or_init(|| fresh)
            }
        };
        Ok(Aes256Gcm::new((&**key).into()))
    }

    /// `content`, sealed for the `place` it may be restored in.
    fn seal(&self, mut content: Zeroizing<Vec<u8>>, place: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)?;
        let tag = self
            .cipher()?
            .encrypt_in_place_detached(Nonce::from_slice(&nonce), place, &mut content)
            .map_err(|_| Error::bug("sealing a state"))?;
        Ok([HEADER.as_slice(), &nonce, &content, &tag].concat())
    }

    /// What `seal` sealed for `place`; `None` for anything else.
    fn open(&self, saved: &[u8], place: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let cipher = self.cipher()?;
        Ok((|| {
            let (nonce, rest) = saved.strip_prefix(HEADER)?.split_first_chunk::<NONCE>()?;
            let (content, tag) = rest.split_last_chunk::<TAG>()?;
            let mut content = Zeroizing::new(content.to_vec());
            cipher
                .decrypt_in_place_detached(
                    Nonce::from_slice(nonce),
                    place,
                    &mut content,
                    Tag::from_slice(tag),
                )
                .ok()?;
            Some(content)
        })())
    }
}

fn encode(digesting: &Digesting, in_parts: bool) -> Zeroizing<Vec<u8>> {
    let (ckm, hash) = digesting.save();
    Zeroizing::new([&[u8::from(in_parts)], ckm.to_be_bytes().as_slice(), &hash].concat())
}

/// A digest, and whether it took parts.
fn decode(content: &[u8]) -> Option<(Digesting, bool)> {
    let (in_parts, rest) = content.split_first()?;
    let (ckm, hash) = rest.split_first_chunk::<{ size_of::<CK_MECHANISM_TYPE>() }>()?;
    let digesting = Digesting::restored(CK_MECHANISM_TYPE::from_be_bytes(*ckm), hash)?;
    Some((digesting, *in_parts != 0))
}

impl Call<'_> {
    /// Saves the session's digest, which goes on.
    ///
    /// PKCS#11 v3.1, C_GetOperationState. Errors: `CKR_OPERATION_NOT_INITIALIZED` where nothing is
    /// active that the specification lets be saved; `CKR_STATE_UNSAVEABLE` for an operation with a
    /// key, alone or beside a digest.
    pub fn operation_state(&mut self, output: impl Destination) -> Result<()> {
        let with_key =
            [Kind::Encrypt, Kind::Decrypt, Kind::Sign, Kind::Verify, Kind::VerifySignature];
        if with_key.into_iter().any(|kind| self.session.is_active(kind)) {
            return Err(Error::new(CKR_STATE_UNSAVEABLE, "an operation with a key"));
        }
        let digest = &self.session.digesting;
        let Some((digesting, phase)) = digest.get().zip(digest.phase()) else {
            return Err(Error::new(CKR_OPERATION_NOT_INITIALIZED, "nothing to save is active"));
        };
        let content = encode(digesting, phase == Phase::MultiPart);
        let needed = HEADER.len() + NONCE + content.len() + TAG;
        let place = self.place()?;
        output.fill(needed, || self.provider.state_key.seal(content, &place)).map(|_| ())
    }

    /// Restores a saved digest; whatever is active in the session ends.
    ///
    /// PKCS#11 v3.1, C_SetOperationState. Errors, which leave the session as it is:
    /// `CKR_SAVED_STATE_INVALID` for damaged bytes, and a state of another token, another session
    /// state or another process; `CKR_KEY_NOT_NEEDED` for a key.
    pub fn set_operation_state(
        &mut self,
        saved: &[u8],
        encryption_key: CK_OBJECT_HANDLE,
        authentication_key: CK_OBJECT_HANDLE,
    ) -> Result<()> {
        let place = self.place()?;
        let content = self.provider.state_key.open(saved, &place)?;
        let (digesting, in_parts) = content
            .and_then(|content| decode(&content))
            .ok_or_else(|| Error::new(CKR_SAVED_STATE_INVALID, "no state that was saved here"))?;
        if encryption_key != 0 || authentication_key != 0 {
            return Err(Error::new(CKR_KEY_NOT_NEEDED, "a digest has no key"));
        }
        for kind in Kind::ALL {
            self.session.cancel(kind);
        }
        if in_parts {
            self.session.digesting.begin_parts(digesting);
        } else {
            self.session.digesting.begin(digesting);
        }
        Ok(())
    }

    /// What a session must have in common with the one that a state comes from: slot, token and
    /// CK_STATE.
    fn place(&self) -> Result<Vec<u8>> {
        let number = slot_number(self.cell.hierarchy);
        let token = self.provider.store.lock().token_stamp(number)?;
        let token = token.map_or([0; 16], |(id, _)| id.0);
        let state = state(&self.login.who, self.cell.read_write);
        Ok([HEADER.as_slice(), &[number], &token, &state.to_be_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::{CKM_SHA_1, CKM_SHA512};

    use super::*;
    use crate::mechanism::parameter::{MechanismChoice, Parameter};

    fn digesting(ckm: CK_MECHANISM_TYPE) -> Digesting {
        Digesting::new(&MechanismChoice { ckm, parameter: Parameter::None }).unwrap()
    }

    #[test]
    fn a_state_opens_only_whole_in_its_place_and_under_its_key() {
        let key = StateKey::default();
        let mut digest = digesting(CKM_SHA_1);
        digest.update(b"secret data in the last block");
        let content = encode(&digest, true);
        let saved = key.seal(content.clone(), b"place").unwrap();
        assert_eq!(saved.len(), HEADER.len() + NONCE + content.len() + TAG);
        assert!(!saved.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(key.open(&saved, b"place").unwrap(), Some(content.clone()));

        assert!(key.open(&saved, b"other").unwrap().is_none());
        assert!(StateKey::default().open(&saved, b"place").unwrap().is_none());
        for len in 0..saved.len() {
            assert!(key.open(&saved[..len], b"place").unwrap().is_none(), "{len} bytes");
        }
        for at in 0..saved.len() {
            let mut altered = saved.clone();
            altered[at] ^= 1;
            assert!(key.open(&altered, b"place").unwrap().is_none(), "byte {at}");
        }
        let longer = [saved.as_slice(), &[0]].concat();
        assert!(key.open(&longer, b"place").unwrap().is_none());
        let again = key.seal(content, b"place").unwrap();
        assert_ne!(again, saved, "each state has its nonce");
    }

    #[test]
    fn contents_that_are_no_digest_are_refused_without_a_panic() {
        let mut digest = digesting(CKM_SHA512);
        digest.update(&[7; 200]);
        let content = encode(&digest, false);
        let (mut restored, in_parts) = decode(&content).unwrap();
        assert!(!in_parts);
        assert_eq!(restored.finish(), digest.finish());
        for len in 0..content.len() {
            assert!(decode(&content[..len]).is_none(), "{len} bytes");
        }
        let mut unknown = content.to_vec();
        unknown[1] = 0x80;
        assert!(decode(&unknown).is_none());
        assert!(decode(&[0xff; 400]).is_none());
    }
}
