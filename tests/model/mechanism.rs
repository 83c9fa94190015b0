//! The mechanisms that the model knows: what each is for, which parameter it takes, and what AES
//! makes of data.

use aes::Aes128;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use cryptoki_sys::*;

use super::step::Kind;
use crate::common::aead;
use crate::common::p11::Mech;
use crate::common::secret;

const BLOCK: usize = 16;
const TAG: usize = 16;

/// Lengths of the pool's and all new keys: RSA-2048 and P-256.
pub const RSA_LEN: usize = 256;
/// The padding of PKCS #1 v1.5 takes this much, that of OAEP with SHA-256 more.
pub const RSA_PKCS_OVERHEAD: usize = 11;
pub const OAEP_OVERHEAD: usize = 66;
pub const EC_SIGNATURE_LEN: usize = 64;
pub const SHA256_LEN: usize = 32;

/// A mechanism with its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mechanism {
    pub ckm: CK_MECHANISM_TYPE,
    pub parameter: Parameter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    None,
    /// Four bytes, which are no mechanism's.
    Junk,
    /// With SHA-256 and this label.
    Oaep(&'static [u8]),
    /// With SHA-256 and so many bytes of salt.
    Pss(CK_ULONG),
    /// Sixteen times this byte.
    Iv(u8),
    /// The first counter block is sixteen times this byte, and all of it counts.
    Counter(u8),
    /// Twelve times this byte, this associated data, and the whole tag.
    Gcm(u8, &'static [u8]),
    /// A MAC of so many bytes.
    MacLen(CK_ULONG),
}

/// What a mechanism is for.
pub struct Service {
    pub kinds: &'static [Kind],
    pub key_type: CK_KEY_TYPE,
    pub multi_part: bool,
    /// One of its parameters.
    pub parameter: Parameter,
}

pub fn service(ckm: CK_MECHANISM_TYPE) -> Option<Service> {
    const SIGNING: &[Kind] = &[Kind::Sign, Kind::Verify];
    const SECRECY: &[Kind] = &[Kind::Encrypt, Kind::Decrypt];
    const ALL_OF_RSA: &[Kind] = &[Kind::Sign, Kind::Verify, Kind::Encrypt, Kind::Decrypt];
    const PSS: Parameter = Parameter::Pss(32);
    let (kinds, key_type, multi_part, parameter) = match ckm {
        CKM_SHA256 => (&[Kind::Digest][..], CKK_VENDOR_DEFINED, true, Parameter::None),
        CKM_ECDSA => (SIGNING, CKK_EC, false, Parameter::None),
        CKM_ECDSA_SHA256 => (SIGNING, CKK_EC, true, Parameter::None),
        CKM_RSA_PKCS => (ALL_OF_RSA, CKK_RSA, false, Parameter::None),
        CKM_SHA256_RSA_PKCS => (SIGNING, CKK_RSA, true, Parameter::None),
        CKM_RSA_PKCS_PSS => (SIGNING, CKK_RSA, false, PSS),
        CKM_SHA256_RSA_PKCS_PSS => (SIGNING, CKK_RSA, true, PSS),
        CKM_RSA_PKCS_OAEP => (SECRECY, CKK_RSA, false, Parameter::Oaep(b"")),
        CKM_AES_ECB => (SECRECY, CKK_AES, true, Parameter::None),
        CKM_AES_CBC => (SECRECY, CKK_AES, true, Parameter::Iv(1)),
        CKM_AES_CBC_PAD => (SECRECY, CKK_AES, true, Parameter::Iv(2)),
        CKM_AES_CTR => (SECRECY, CKK_AES, true, Parameter::Counter(0xfe)),
        CKM_AES_GCM => (SECRECY, CKK_AES, true, Parameter::Gcm(3, b"associated")),
        CKM_SHA256_HMAC => (SIGNING, CKK_GENERIC_SECRET, true, Parameter::None),
        CKM_SHA256_HMAC_GENERAL => (SIGNING, CKK_GENERIC_SECRET, true, Parameter::MacLen(20)),
        CKM_AES_CMAC => (SIGNING, CKK_AES, true, Parameter::None),
        CKM_AES_CMAC_GENERAL => (SIGNING, CKK_AES, true, Parameter::MacLen(8)),
        _ => return None,
    };
    Some(Service { kinds, key_type, multi_part, parameter })
}

impl Kind {
    /// The class and the usage attribute that it asks of its key.
    pub fn key(self, key_type: CK_KEY_TYPE) -> (CK_OBJECT_CLASS, CK_ATTRIBUTE_TYPE) {
        let (class, usage) = match self {
            Self::Encrypt => (CKO_PUBLIC_KEY, CKA_ENCRYPT),
            Self::Decrypt => (CKO_PRIVATE_KEY, CKA_DECRYPT),
            Self::Sign => (CKO_PRIVATE_KEY, CKA_SIGN),
            Self::Verify | Self::VerifyKnown => (CKO_PUBLIC_KEY, CKA_VERIFY),
            Self::Digest => (CK_UNAVAILABLE_INFORMATION, CK_UNAVAILABLE_INFORMATION),
        };
        let secret = matches!(key_type, CKK_AES | CKK_GENERIC_SECRET);
        (if secret { CKO_SECRET_KEY } else { class }, usage)
    }
}

impl Mechanism {
    /// With a parameter that it takes.
    pub fn suitable(ckm: CK_MECHANISM_TYPE) -> Self {
        let parameter = service(ckm).map_or(Parameter::None, |service| service.parameter);
        Self { ckm, parameter }
    }

    pub fn service(self) -> Option<Service> {
        service(self.ckm)
    }

    pub fn is_of(self, key_type: CK_KEY_TYPE) -> bool {
        self.service().is_some_and(|service| service.key_type == key_type)
    }

    /// Whether the parameter is one that it takes.
    pub fn well_formed(self) -> bool {
        use Parameter::*;
        let right = self.service().map_or(None, |service| service.parameter);
        if let (MacLen(_), MacLen(len)) = (right, self.parameter) {
            let most = if self.is_of(CKK_AES) { BLOCK } else { SHA256_LEN };
            return (1..=most as CK_ULONG).contains(&len);
        }
        matches!(
            (right, self.parameter),
            (None, None)
                | (Oaep(_), Oaep(_))
                | (Pss(_), Pss(_))
                | (Iv(_), Iv(_))
                | (Counter(_), Counter(_))
                | (Gcm(..), Gcm(..))
        )
    }

    /// Whether no digest that it is for has the length of `data`: it truncates, or refuses.
    pub fn no_digest(self, data: &[u8]) -> bool {
        self.ckm == CKM_ECDSA && (data.is_empty() || data.len() > 64)
    }

    /// As the C ABI takes it. What does not fit the mechanism does not fit by its length.
    pub fn mech(self) -> Mech {
        match self.parameter {
            Parameter::None => Mech::plain(self.ckm),
            Parameter::MacLen(len) => Mech::bytes(self.ckm, &len.to_ne_bytes()),
            _ if !self.well_formed() => Mech::bytes(self.ckm, &[0; 4]),
            Parameter::Junk => unreachable!("it is no mechanism's"),
            Parameter::Oaep(label) => Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, label),
            Parameter::Pss(salt) => Mech::pss(self.ckm, CKM_SHA256, CKG_MGF1_SHA256, salt),
            Parameter::Iv(byte) => Mech::bytes(self.ckm, &[byte; BLOCK]),
            Parameter::Counter(byte) => secret::ctr(128, [byte; BLOCK]),
            Parameter::Gcm(byte, associated) => aead::gcm(&[byte; 12], associated, 8 * TAG),
        }
    }
}

/// AES with a key and a mechanism, one way.
pub struct Aes<'a> {
    pub key: &'a [u8],
    pub mechanism: Mechanism,
    pub encrypts: bool,
}

impl Aes<'_> {
    /// How many bytes of output have come when so many of input have gone in, in parts: all that
    /// can be computed, and of an authenticated plaintext nothing.
    pub fn available(&self, len: usize) -> usize {
        let blocks = len / BLOCK * BLOCK;
        match (self.mechanism.ckm, self.encrypts) {
            (CKM_AES_CTR, _) | (CKM_AES_GCM, true) => len,
            (CKM_AES_GCM, false) => 0,
            // The last block has padding, and each may be the last.
            (CKM_AES_CBC_PAD, false) if len > 0 && len == blocks => len - BLOCK,
            _ => blocks,
        }
    }

    /// The output that has come when `data` has gone in, in parts.
    pub fn begun(&self, data: &[u8]) -> Vec<u8> {
        let mut made = self.raw(&data[..self.available(data.len())]);
        made.truncate(self.available(data.len()));
        made
    }

    /// All output of an operation on `data`, or why there is none.
    pub fn whole(&self, data: &[u8]) -> Result<Vec<u8>, Vec<CK_RV>> {
        let odd = !data.len().is_multiple_of(BLOCK);
        let cannot_be = || vec![CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID];
        match (self.mechanism.ckm, self.encrypts) {
            (CKM_AES_ECB | CKM_AES_CBC, true) if odd => Err(vec![CKR_DATA_LEN_RANGE]),
            (CKM_AES_ECB | CKM_AES_CBC, false) if odd => Err(cannot_be()),
            (CKM_AES_CBC_PAD, true) => {
                let more = BLOCK - data.len() % BLOCK;
                Ok(self.raw(&[data, &vec![more as u8; more]].concat()))
            }
            (CKM_AES_CBC_PAD, false) if odd || data.is_empty() => Err(cannot_be()),
            (CKM_AES_CBC_PAD, false) => {
                let mut plain = self.raw(data);
                let more = usize::from(plain[plain.len() - 1]);
                let padding = plain.len().checked_sub(more).map(|at| plain.split_off(at));
                match padding {
                    Some(p) if (1..=BLOCK).contains(&more) && p.iter().all(|b| *b == p[0]) => {
                        Ok(plain)
                    }
                    _ => Err(vec![CKR_ENCRYPTED_DATA_INVALID]),
                }
            }
            (CKM_AES_GCM, false) if data.len() < TAG => Err(cannot_be()),
            (CKM_AES_GCM, false) => {
                let forth = Self { encrypts: true, ..*self };
                let len = data.len() - TAG;
                let key_stream = forth.raw(&vec![0; len]);
                let plain: Vec<u8> =
                    data[..len].iter().zip(key_stream).map(|(a, b)| a ^ b).collect();
                let genuine = forth.raw(&plain) == data;
                if genuine { Ok(plain) } else { Err(vec![CKR_ENCRYPTED_DATA_INVALID]) }
            }
            _ => Ok(self.raw(data)),
        }
    }

    /// Without padding: blocks are whole. GCM's encryption comes with its tag.
    fn raw(&self, data: &[u8]) -> Vec<u8> {
        let aes = Aes128::new_from_slice(self.key).unwrap();
        let forth = |mut block: [u8; BLOCK]| {
            aes.encrypt_block((&mut block).into());
            block
        };
        let back = |mut block: [u8; BLOCK]| {
            aes.decrypt_block((&mut block).into());
            block
        };
        match self.mechanism.parameter {
            Parameter::Gcm(byte, associated) if self.encrypts => {
                return aead::other_gcm(self.key, &[byte; 12], associated, data);
            }
            Parameter::Counter(byte) => {
                let mut counter = u128::from_be_bytes([byte; BLOCK]);
                let mut made = Vec::new();
                for part in data.chunks(BLOCK) {
                    made.extend(part.iter().zip(forth(counter.to_be_bytes())).map(|(a, b)| a ^ b));
                    counter = counter.wrapping_add(1);
                }
                return made;
            }
            _ => {}
        }
        let mut chain = match self.mechanism.parameter {
            Parameter::Iv(byte) => Some([byte; BLOCK]),
            _ => None,
        };
        let xor = |a: [u8; BLOCK], b: [u8; BLOCK]| std::array::from_fn(|at| a[at] ^ b[at]);
        let blocks = data.chunks_exact(BLOCK).map(|block| block.try_into().unwrap());
        let made = blocks.map(|block: [u8; BLOCK]| {
            let before = chain.unwrap_or([0; BLOCK]);
            let made =
                if self.encrypts { forth(xor(block, before)) } else { xor(back(block), before) };
            chain = chain.map(|_| if self.encrypts { made } else { block });
            made
        });
        made.collect::<Vec<_>>().concat()
    }
}
