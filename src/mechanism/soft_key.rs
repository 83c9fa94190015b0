//! Private keys in software, in place of the TPM's: for tests only.

use std::sync::OnceLock;

use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use hmac::{Hmac, Mac};

use ::rsa::traits::PublicKeyParts;
use ::rsa::{BigUint, RsaPrivateKey, hazmat};
use cryptoki_sys::CK_KEY_TYPE;
use p256::ecdsa::signature::hazmat::{PrehashSigner, RandomizedPrehashSigner};
use p256::elliptic_curve::rand_core::OsRng;
use zeroize::Zeroizing;

use super::KeyFacts;
use super::rsa::pad_left;
use crate::error::Result;
use crate::tpm::{
    Abilities, CipherMode, Curve, Direction, HashAlg, PrivateKey, PublicKey, Scheme, SecretBytes,
};

/// A TPM that has everything the table knows of.
pub(super) fn everything() -> Abilities {
    Abilities {
        algorithms: [0x01, 0x05, 0x06, 0x08, 0x14, 0x18, 0x19, 0x23, 0x25]
            .into_iter()
            .chain(HashAlg::ALL.map(HashAlg::alg_id))
            .chain(0x40..=0x44)
            .collect(),
        commands: [0x14B, 0x153, 0x154, 0x155, 0x157, 0x159, 0x15B, 0x15D, 0x193]
            .into_iter()
            .collect(),
        curves: Curve::ALL.map(Curve::curve_id).into_iter().collect(),
        rsa_bits: [1024, 2048, 3072].into_iter().collect(),
        aes_bits: [128, 192, 256].into_iter().collect(),
        input_buffer: 1024,
        ..Abilities::default()
    }
}

#[derive(Clone)]
pub(super) enum SoftKey {
    Rsa(Box<RsaPrivateKey>),
    P224(p224::ecdsa::SigningKey),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
    /// A secret key: its CKK_ and its value.
    Secret(CK_KEY_TYPE, Vec<u8>),
}

/// One RSA key of 1024 bits for all tests: making one is slow.
pub(super) fn rsa_key() -> SoftKey {
    static KEY: OnceLock<SoftKey> = OnceLock::new();
    KEY.get_or_init(|| rsa_key_of(1024)).clone()
}

/// One RSA key of 1025 bits for all tests.
pub(super) fn odd_rsa_key() -> SoftKey {
    static KEY: OnceLock<SoftKey> = OnceLock::new();
    KEY.get_or_init(|| rsa_key_of(1025)).clone()
}

fn rsa_key_of(bits: usize) -> SoftKey {
    SoftKey::Rsa(Box::new(RsaPrivateKey::new(&mut OsRng, bits).unwrap()))
}

/// One key of every curve.
pub(super) fn ec_keys() -> [SoftKey; 4] {
    [
        SoftKey::P224(p224::ecdsa::SigningKey::random(&mut OsRng)),
        SoftKey::P256(p256::ecdsa::SigningKey::random(&mut OsRng)),
        SoftKey::P384(p384::ecdsa::SigningKey::random(&mut OsRng)),
        SoftKey::P521(p521::ecdsa::SigningKey::random(&mut OsRng)),
    ]
}

impl SoftKey {
    pub(super) fn public(&self) -> PublicKey {
        let (curve, point) = match self {
            Self::Rsa(key) => {
                return PublicKey::Rsa {
                    modulus: key.n().to_bytes_be(),
                    exponent: key.e().to_bytes_be(),
                };
            }
            Self::Secret(..) => unreachable!("the public half of a secret key"),
            Self::P224(key) => {
                (Curve::P224, key.verifying_key().to_encoded_point(false).as_bytes().to_vec())
            }
            Self::P256(key) => {
                (Curve::P256, key.verifying_key().to_encoded_point(false).as_bytes().to_vec())
            }
            Self::P384(key) => {
                (Curve::P384, key.verifying_key().to_encoded_point(false).as_bytes().to_vec())
            }
            Self::P521(key) => (
                Curve::P521,
                p521::ecdsa::VerifyingKey::from(key).to_encoded_point(false).as_bytes().to_vec(),
            ),
        };
        let (x, y) = point[1..].split_at(curve.field_len());
        PublicKey::Ec { curve, x: x.to_vec(), y: y.to_vec() }
    }

    pub(super) fn facts(&self) -> KeyFacts {
        match self {
            Self::Secret(key_type, value) => {
                KeyFacts::Secret { key_type: *key_type, len: value.len() }
            }
            pair => pair.public().into(),
        }
    }

    /// ECDSA as the TPM does it, with a digest that has the length of its hash.
    fn ecdsa(&self, digest: &[u8]) -> Vec<u8> {
        let wide = |len: usize| match digest.len() < len {
            true => pad_left(digest, len),
            false => digest[..len].to_vec(),
        };
        match self {
            Self::P224(key) => {
                let signature: p224::ecdsa::Signature = key.sign_prehash(&wide(28)).unwrap();
                signature.to_vec()
            }
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign_prehash(&wide(32)).unwrap();
                signature.to_vec()
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(&wide(48)).unwrap();
                signature.to_vec()
            }
            Self::P521(key) => {
                let signature: p521::ecdsa::Signature =
                    key.sign_prehash_with_rng(&mut OsRng, &wide(66)).unwrap();
                signature.to_vec()
            }
            Self::Rsa(_) | Self::Secret(..) => unreachable!("ECDSA with another key"),
        }
    }
}

/// As the TPM answers, with what it was asked.
pub(super) struct SoftTpm<'a> {
    pub(super) key: &'a SoftKey,
    /// How often each of the operations ran.
    pub(super) decrypted: usize,
    pub(super) signed: Vec<(Vec<u8>, Scheme)>,
    /// Flips a bit of every answer.
    pub(super) faulty: bool,
}

impl<'a> SoftTpm<'a> {
    pub(super) fn new(key: &'a SoftKey) -> Self {
        Self { key, decrypted: 0, signed: Vec::new(), faulty: false }
    }

    fn answer(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.faulty {
            *bytes.last_mut().unwrap() ^= 1;
        }
        bytes
    }

    fn raw(&self, block: &[u8]) -> Vec<u8> {
        let SoftKey::Rsa(key) = self.key else { unreachable!("RSA with an EC key") };
        let number = BigUint::from_bytes_be(block);
        assert_eq!(block.len(), key.size(), "a block has the modulus' length");
        assert!(number < *key.n(), "a block is below the modulus");
        let result = hazmat::rsa_decrypt::<OsRng>(None, key.as_ref(), &number).unwrap();
        pad_left(&result.to_bytes_be(), key.size())
    }
}

impl PrivateKey for SoftTpm<'_> {
    fn rsa_decrypt(&mut self, block: &[u8]) -> Result<SecretBytes> {
        self.decrypted += 1;
        Ok(Zeroizing::new(self.answer(self.raw(block))))
    }

    fn sign(&mut self, digest: &[u8], scheme: Scheme) -> Result<Vec<u8>> {
        let (Scheme::Ecdsa(hash) | Scheme::RsaSsa(hash)) = scheme;
        assert_eq!(digest.len(), hash.digest_len(), "a digest has its hash's length");
        self.signed.push((digest.to_vec(), scheme));
        let signature = match scheme {
            Scheme::Ecdsa(_) => self.key.ecdsa(digest),
            Scheme::RsaSsa(hash) => {
                let SoftKey::Rsa(key) = self.key else { unreachable!("RSASSA with an EC key") };
                let hash = super::hash::Hash::ALL
                    .into_iter()
                    .find(|known| known.tpm() == Some(hash))
                    .unwrap();
                let info = [hash.digest_info_prefix().as_slice(), digest].concat();
                let padding = vec![0xff; key.size() - info.len() - 3];
                self.raw(&[&[0, 1], &*padding, &[0], &info].concat())
            }
        };
        Ok(self.answer(signature))
    }

    fn ecdh(&mut self, _x: &[u8], _y: &[u8]) -> Result<SecretBytes> {
        unreachable!("no mechanism derives")
    }

    fn cipher(
        &mut self,
        mode: CipherMode,
        direction: Direction,
        iv: &[u8],
        data: &[u8],
    ) -> Result<SecretBytes> {
        let SoftKey::Secret(_, key) = self.key else { unreachable!("AES with a key pair") };
        self.decrypted += 1;
        Ok(Zeroizing::new(self.answer(cipher(key, mode, direction, iv, data))))
    }

    fn value(&mut self) -> Result<SecretBytes> {
        let SoftKey::Secret(_, key) = self.key else { unreachable!("the value of a key pair") };
        Ok(Zeroizing::new(key.clone()))
    }

    fn hmac(&mut self, hash: HashAlg, message: &[u8], _buffer: usize) -> Result<SecretBytes> {
        let SoftKey::Secret(_, key) = self.key else { unreachable!("HMAC with a key pair") };
        self.decrypted += 1;
        Ok(Zeroizing::new(self.answer(match hash {
            HashAlg::Sha1 => mac::<Hmac<sha1::Sha1>>(key, message),
            HashAlg::Sha256 => mac::<Hmac<sha2::Sha256>>(key, message),
            HashAlg::Sha384 => mac::<Hmac<sha2::Sha384>>(key, message),
            HashAlg::Sha512 => mac::<Hmac<sha2::Sha512>>(key, message),
        })))
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = <M as Mac>::new_from_slice(key).unwrap();
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

fn block(key: &[u8], direction: Direction, block: &[u8]) -> Vec<u8> {
    fn run<C: BlockEncrypt + BlockDecrypt + KeyInit>(key: &[u8], to: Direction, at: &mut [u8]) {
        let cipher = C::new_from_slice(key).unwrap();
        match to {
            Direction::Encrypt => cipher.encrypt_block(at.into()),
            Direction::Decrypt => cipher.decrypt_block(at.into()),
        }
    }
    let mut block = block.to_vec();
    match key.len() {
        16 => run::<aes::Aes128>(key, direction, &mut block),
        24 => run::<aes::Aes192>(key, direction, &mut block),
        _ => run::<aes::Aes256>(key, direction, &mut block),
    }
    block
}

/// The modes of NIST SP 800-38A, block by block.
fn cipher(key: &[u8], mode: CipherMode, way: Direction, iv: &[u8], data: &[u8]) -> Vec<u8> {
    let xor = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a ^ b).collect::<Vec<u8>>();
    let mut chain = iv.to_vec();
    let mut out = Vec::new();
    for part in data.chunks(16) {
        let done = match (mode, way) {
            (CipherMode::Ecb, _) => block(key, way, part),
            (CipherMode::Cbc, Direction::Encrypt) => {
                chain = block(key, way, &xor(part, &chain));
                chain.clone()
            }
            (CipherMode::Cbc, Direction::Decrypt) => {
                let done = xor(&block(key, way, part), &chain);
                chain = part.to_vec();
                done
            }
            (CipherMode::Cfb, _) => {
                let done = xor(part, &block(key, Direction::Encrypt, &chain));
                chain = if way == Direction::Encrypt { done.clone() } else { part.to_vec() };
                done
            }
            (CipherMode::Ofb, _) => {
                chain = block(key, Direction::Encrypt, &chain);
                xor(part, &chain)
            }
            (CipherMode::Ctr, _) => {
                let done = xor(part, &block(key, Direction::Encrypt, &chain));
                let next = u128::from_be_bytes(chain.try_into().unwrap()).wrapping_add(1);
                chain = next.to_be_bytes().to_vec();
                done
            }
        };
        out.extend(done);
    }
    out
}
