//! The TPM's auth sessions: salt, HMAC and parameter encryption.
//! TPM 2.0 Part 1, "Authorizations and Acknowledgments" and "Session-based encryption".

use aes::Aes128;
use cfb_mode::cipher::{AsyncStreamCipher, KeyIvInit};
use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_TOKEN_NOT_RECOGNIZED};
use hmac::{Hmac, Mac};
use p256::ecdh::EphemeralSecret;
use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use p256::{EncodedPoint, PublicKey as P256Public};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::tpm::wire::Writer;
use crate::tpm::{Direction, PublicKey, SecretBytes};

/// Bytes of SHA-256, the hash of every auth session here, and of the nonces.
pub const HASH_LEN: usize = 32;
/// AES-128 key and IV, as KDFa makes them.
const CIPHER_LEN: usize = 32;

/// TPMA_SESSION continueSession.
pub const CONTINUE: u8 = 0x01;
/// TPMA_SESSION decrypt: the TPM decrypts the command's first parameter.
pub const DECRYPT: u8 = 0x20;
/// TPMA_SESSION encrypt: the TPM encrypts the response's first parameter.
pub const ENCRYPT: u8 = 0x40;

/// A nonce of ours.
pub type Nonce = [u8; HASH_LEN];

/// An auth session that is open in the TPM.
pub struct AuthSession {
    /// Its handle.
    pub handle: u32,
    /// sessionKey; empty for an unsalted one.
    key: SecretBytes,
    /// The newest nonce of the TPM's.
    nonce_tpm: Vec<u8>,
    /// A policy session proves no authValue by HMAC, until TPM2_PolicyAuthValue asks for it.
    policy: bool,
}

/// A secret shared with the TPM, the salt of an auth session or the seed of a wrapping, and how it
/// travels.
pub struct Salt {
    /// 32 bytes.
    pub value: SecretBytes,
    /// TPMS_ECC_POINT for TPM2B_ENCRYPTED_SECRET.
    pub encrypted: Vec<u8>,
}

/// A fresh random nonce.
pub fn nonce() -> Result<Nonce> {
    let mut nonce = [0; HASH_LEN];
    getrandom::fill(&mut nonce)?;
    Ok(nonce)
}

impl Salt {
    /// A salt that only the TPM with the private half of `key` can read.
    /// TPM 2.0 Part 1, "ECDH" ("Secret Sharing").
    ///
    /// Errors: `CKR_TOKEN_NOT_RECOGNIZED` when `key` is no P-256 key.
    pub fn to(key: &PublicKey) -> Result<Self> {
        Self::labelled(key, b"SECRET")
    }

    /// The seed of a wrapping that only the TPM with the private half of `key` can open. Errors as
    /// [`to`](Self::to).
    pub fn of_wrapping(key: &PublicKey) -> Result<Self> {
        Self::labelled(key, b"DUPLICATE")
    }

    fn labelled(key: &PublicKey, label: &[u8]) -> Result<Self> {
        let unfit = || Error::new(CKR_TOKEN_NOT_RECOGNIZED, "the recorded primary is no P-256 key");
        let PublicKey::Ec { x, y, .. } = key else { return Err(unfit()) };
        let (x, y): (&[u8; 32], &[u8; 32]) = (
            x.as_slice().try_into().map_err(|_| unfit())?,
            y.as_slice().try_into().map_err(|_| unfit())?,
        );
        let point = EncodedPoint::from_affine_coordinates(x.into(), y.into(), false);
        let peer =
            Option::<P256Public>::from(P256Public::from_encoded_point(&point)).ok_or_else(unfit)?;
        let ephemeral = EphemeralSecret::random(&mut SystemRng);
        let ours = ephemeral.public_key().to_encoded_point(false);
        let (our_x, our_y) = (
            ours.x().ok_or_else(unfit)?.as_slice().to_vec(),
            ours.y().ok_or_else(unfit)?.as_slice().to_vec(),
        );
        let shared = ephemeral.diffie_hellman(&peer);
        let value = kdfe(shared.raw_secret_bytes(), label, &our_x, x);
        Ok(Self { value, encrypted: Writer::new().sized(&our_x).sized(&our_y).finish() })
    }
}

/// The operating system's generator as p256 wants it.
struct SystemRng;

impl p256::elliptic_curve::rand_core::RngCore for SystemRng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        // p256 draws again while it gets zeros, which is what a failing system would leave.
        while getrandom::fill(dest).is_err() {
            std::thread::yield_now();
        }
    }

    fn try_fill_bytes(
        &mut self,
        dest: &mut [u8],
    ) -> std::result::Result<(), p256::elliptic_curve::rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl p256::elliptic_curve::rand_core::CryptoRng for SystemRng {}

impl AuthSession {
    /// The auth session that TPM2_StartAuthSession opened, with the key both sides derive.
    pub fn opened(
        handle: u32,
        salt: Option<&Salt>,
        nonce_caller: &Nonce,
        nonce_tpm: &[u8],
        policy: bool,
    ) -> Result<Self> {
        let key = match salt {
            Some(salt) => kdfa(&salt.value, b"ATH", nonce_tpm, nonce_caller, HASH_LEN)?,
            None => SecretBytes::default(),
        };
        Ok(Self { handle, key, nonce_tpm: nonce_tpm.to_vec(), policy })
    }

    /// TPM2_PolicyAuthValue was sent: from now on the auth session proves the authValue by its HMAC.
    pub fn prove_auth_value(&mut self) {
        self.policy = false;
    }

    /// The newest nonce of the TPM's.
    pub fn nonce_tpm(&self) -> &[u8] {
        &self.nonce_tpm
    }

    /// Whether there is a key to encrypt parameters with.
    pub fn has_value(&self, auth: &[u8]) -> bool {
        !self.key.is_empty() || !auth.is_empty()
    }

    fn value(&self, auth: &[u8]) -> SecretBytes {
        Zeroizing::new([&self.key[..], auth].concat())
    }

    /// Encrypts or decrypts a parameter in place. `newer` and `older` are the nonces in the order
    /// of the direction: for a command ours is the newer, for a response the TPM's.
    ///
    /// Errors: none that can happen; but what was not encrypted is not sent.
    pub fn cipher(
        &self,
        auth: &[u8],
        newer: &[u8],
        older: &[u8],
        direction: Direction,
        data: &mut [u8],
    ) -> Result<()> {
        let unfit = |_| Error::bug("a key for parameters of another length");
        let material = kdfa(&self.value(auth), b"CFB", newer, older, CIPHER_LEN)?;
        let (key, iv) = material.split_at(material.len() / 2);
        match direction {
            Direction::Encrypt => cfb_mode::Encryptor::<Aes128>::new_from_slices(key, iv)
                .map(|cipher| cipher.encrypt(data)),
            Direction::Decrypt => cfb_mode::Decryptor::<Aes128>::new_from_slices(key, iv)
                .map(|cipher| cipher.decrypt(data)),
        }
        .map_err(unfit)
    }

    /// The HMAC of a command or response: over its hash, the nonces, those of other auth sessions
    /// that encrypt, and the session attributes.
    pub fn hmac(
        &self,
        auth: &[u8],
        hash: &[u8],
        newer: &[u8],
        older: &[u8],
        extra_nonces: &[u8],
        attributes: u8,
    ) -> Result<Vec<u8>> {
        let auth = if self.policy { &[][..] } else { auth };
        let value = self.value(auth);
        if self.policy && value.is_empty() {
            return Ok(Vec::new());
        }
        hmac_sha256(&value, &[hash, newer, older, extra_nonces, &[attributes]])
    }

    /// Checks a response's HMAC and takes the TPM's next nonce.
    ///
    /// Errors: `CKR_DEVICE_ERROR`: the response was altered, or the auth session is out of step.
    pub fn accept(
        &mut self,
        auth: &[u8],
        hash: &[u8],
        nonce_tpm: &[u8],
        nonce_caller: &[u8],
        attributes: u8,
        hmac: &[u8],
    ) -> Result<()> {
        let expected = self.hmac(auth, hash, nonce_tpm, nonce_caller, &[], attributes)?;
        // A fuzzer does not know the key, and wants to reach what lies behind: `cargo fuzz` sets this.
        if !cfg!(fuzzing) && !bool::from(expected.ct_eq(hmac)) {
            return Err(Error::new(CKR_DEVICE_ERROR, "a response of the TPM was altered"));
        }
        self.nonce_tpm = nonce_tpm.to_vec();
        Ok(())
    }
}

/// HMAC-SHA256 over `parts`, one after the other.
///
/// Errors: none that can happen: HMAC takes keys of every length.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).map_err(|_| Error::bug("HMAC refused a key"))?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().to_vec())
}

/// KDFa with HMAC-SHA256 (TPM 2.0 Part 1, "KDFa()"): `len` bytes.
pub fn kdfa(
    key: &[u8],
    label: &[u8],
    context_u: &[u8],
    context_v: &[u8],
    len: usize,
) -> Result<SecretBytes> {
    let bits = u32::try_from(len.saturating_mul(8)).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(HASH_LEN)));
    let mut counter = 0u32;
    while out.len() < len {
        counter = counter.wrapping_add(1);
        let block = Zeroizing::new(hmac_sha256(
            key,
            &[&counter.to_be_bytes(), label, &[0], context_u, context_v, &bits],
        )?);
        out.extend_from_slice(&block);
    }
    out.truncate(len);
    Ok(out)
}

/// KDFe with SHA-256 (TPM 2.0 Part 1, "KDFe for ECDH"): 32 bytes.
fn kdfe(z: &[u8], label: &[u8], party_u: &[u8], party_v: &[u8]) -> SecretBytes {
    let digest = Sha256::new()
        .chain_update(1u32.to_be_bytes())
        .chain_update(z)
        .chain_update(label)
        .chain_update([0])
        .chain_update(party_u)
        .chain_update(party_v)
        .finalize();
    Zeroizing::new(digest.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_encrypts_the_other_decrypts() {
        let session = AuthSession::opened(1, None, &[1; 32], &[2; 32], false).unwrap();
        let mut data = *b"a parameter that is longer than one block of the cipher";
        let mut cipher = |direction| {
            session.cipher(&[7; 32], &[3; 32], &[4; 32], direction, &mut data).unwrap();
            data
        };
        assert!(!cipher(Direction::Encrypt).starts_with(b"a p"));
        assert!(cipher(Direction::Decrypt).starts_with(b"a parameter"));
    }

    #[test]
    fn an_altered_response_is_refused() {
        let mut session = AuthSession::opened(1, None, &[1; 32], &[2; 32], false).unwrap();
        let good = session.hmac(&[7; 32], b"hash", &[3; 32], &[1; 32], &[], 1).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(session.accept(&[7; 32], b"hash", &[3; 32], &[1; 32], 1, &bad).is_err());
        }
        assert!(session.accept(&[7; 32], b"hash", &[3; 32], &[1; 32], 1, &good[1..]).is_err());
        session.accept(&[7; 32], b"hash", &[3; 32], &[1; 32], 1, &good).unwrap();
        assert_eq!(session.nonce_tpm(), [3; 32]);
    }

    #[test]
    fn an_empty_session_value_is_told() {
        let bare = AuthSession::opened(1, None, &[1; 32], &[2; 32], false).unwrap();
        assert!(!bare.has_value(b""));
        assert!(bare.has_value(b"auth"));
    }
}
