//! What one row of the table says, and what follows from it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use cryptoki_sys::*;

use super::aead::AeadMode;
use super::derivation::Keys;
use super::hash::Hash;
use super::mac::Mac;
use super::parameter::{BLOCK, ParameterShape};
use super::secret_key::Generates;
use super::table::MECHANISMS;
use super::task::Task;
use crate::error::{Error, Result};
use crate::tpm::{Abilities, CipherMode, Curve, KeyKind, PrivateKey, SECRET, Scheme, SecretBytes};

/// Makes a signature over what the operation collected: the digest where the row has a hash, the
/// caller's data otherwise.
pub(super) type Sign = fn(&Task, &[u8], &mut dyn PrivateKey) -> Result<Vec<u8>>;
/// Checks a signature (last) over what the operation collected.
pub(super) type Verify = fn(&Task, &[u8], &[u8]) -> Result<()>;
/// Gives back what a signature was made of.
pub(super) type Recover = fn(&Task, &[u8]) -> Result<Vec<u8>>;
/// Whether the TPM makes keys of a kind.
pub(super) type GenerateKeyPair = fn(KeyKind, &Abilities) -> Result<()>;
/// Derives a secret for each length, from several keys.
pub(super) type DeriveSeveral =
    fn(&Task, &[Option<usize>], &mut Keys<'_>) -> Result<Vec<SecretBytes>>;

/// A derivation.
#[derive(Clone, Copy)]
pub(super) enum Derive {
    /// A secret from the key and the parameter, of so many bytes, or of as many as there are.
    One(fn(&Task, Option<usize>, &mut dyn PrivateKey) -> Result<SecretBytes>),
    /// A secret for each length, from several keys.
    Several(DeriveSeveral),
}

/// What a derivation does with the value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseValue {
    /// It stays in the TPM.
    Stays,
    /// It leaves; a derived key does not show it.
    Digested,
    /// It leaves, and a derived key shows some of it.
    Shown,
}

/// How a mechanism signs and verifies.
#[derive(Clone, Copy)]
pub(super) enum Signature {
    /// By the private key in the TPM, and by the public key in software.
    Pair(Sign, Verify),
    /// By a secret key, both ways; in parts too.
    Mac(Mac),
}

/// How a mechanism encrypts and decrypts.
#[derive(Clone, Copy)]
pub(super) enum Encryption {
    /// With a padding under RSA.
    Padding(Padding),
    /// With a block cipher and a secret key, in parts too.
    Cipher(Mode),
    /// With a tag and a secret key: whole, in parts, and message by message.
    Aead(AeadMode),
    /// With a secret key that wraps keys, data that comes whole.
    KeyWrap(KeyWrap),
    /// Keys only, under an AES key of one use, and that under RSA.
    Hybrid,
}

/// A mode of a block cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    /// What the TPM does.
    pub(super) mode: CipherMode,
    /// What becomes of a last block that is not whole.
    pub(super) end: End,
}

/// How a message ends that is not a number of whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is no such message, or the mode makes a stream and any length will do.
    Whole,
    /// The last block is filled up as PKCS#7 does it, always.
    Padded,
    /// The last block steals from the one before it.
    Stolen,
}

/// A key wrapping.
#[derive(Clone, Copy)]
pub(super) struct KeyWrap {
    pub(super) wrap: fn(&Task, &[u8], &mut dyn PrivateKey) -> Result<SecretBytes>,
    pub(super) unwrap: fn(&Task, &[u8], &mut dyn PrivateKey) -> Result<SecretBytes>,
    /// Bytes of the ciphertext of so many bytes.
    pub(super) wrapped_len: fn(usize) -> Result<usize>,
    /// What is wrapped is so many bytes, or a multiple.
    pub(super) unit: usize,
}

/// A padding under RSA.
#[derive(Clone, Copy)]
pub(super) struct Padding {
    /// Encrypts, or wraps, with the public key.
    pub(super) encrypt: fn(&Task, &[u8]) -> Result<Vec<u8>>,
    /// Decrypts, or unwraps, with the private key.
    pub(super) decrypt: fn(&Task, &[u8], &mut dyn PrivateKey) -> Result<SecretBytes>,
    /// The longest plaintext, in bytes.
    pub(super) bound: fn(&Task) -> usize,
    /// What a key that was unwrapped is of the plaintext.
    pub(super) unwrapped: Unwrapped,
}

/// What a key is of the bytes that its unwrapping gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwrapped {
    /// All of them, but for zeros that fill the last block.
    All,
    /// The same. But what was padded badly gave bytes of any length, and no error.
    AllOrStandIn,
    /// The last ones.
    End,
}

/// Where a mechanism's private or secret key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsIn {
    /// The private operation is the TPM's; hashing, padding and the public operation are not.
    Tpm,
    /// Nothing goes to the TPM.
    Software,
}

/// One PKCS#11 mechanism: everything this module knows about it.
pub struct Mechanism {
    /// Its type.
    pub ckm: CK_MECHANISM_TYPE,
    /// Its name in the standard.
    pub name: &'static str,
    /// The CKK_ it works with; none where it has no key.
    pub key_types: &'static [CK_KEY_TYPE],
    /// Key sizes in bits, before the TPM's own limits.
    pub key_bits: RangeInclusive<CK_ULONG>,
    /// The hash it computes over the data first. Such a mechanism takes data in parts; one without
    /// it that is neither a MAC nor a cipher is single-part.
    pub hash: Option<Hash>,
    /// The shape of its parameter.
    pub parameter: ParameterShape,
    /// Where the private operation runs.
    pub runs_in: RunsIn,
    /// TPM_ALG_IDs the TPM must implement for this row to be offered.
    pub tpm_algorithms: &'static [u16],
    /// TPM_CCs the TPM must implement for this row to be offered.
    pub tpm_commands: &'static [u32],
    /// The TPM scheme that does exactly this and nothing else: a key that allows no other mechanism
    /// can be bound to it. Never for PSS (a TPM chooses its own salt length) or unhashed data.
    pub bound_scheme: Option<Scheme>,
    /// Whether key and parameter go together, asked once when an operation begins.
    pub(super) accepts: fn(&Task) -> Result<()>,
    pub(super) signature: Option<Signature>,
    /// Whether it makes signatures that hold their data, and how it is had from them.
    pub(super) recover: Option<Recover>,
    pub(super) encryption: Option<Encryption>,
    pub(super) digest: Option<Hash>,
    pub(super) generate_key_pair: Option<GenerateKeyPair>,
    pub(super) derive: Option<Derive>,
    /// Whether what it encrypts and decrypts may be keys.
    pub(super) wraps: bool,
    /// Whether it makes a secret with a public key that the private key has too.
    pub(super) encapsulates: bool,
    /// The hash that it makes a key of.
    pub(super) derived_hash: Option<Hash>,
    /// What it does with the value of the key that it derives from.
    pub base_value: BaseValue,
    pub(super) generate_key: Option<Generates>,
}

impl fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// One thing that a mechanism may do.
pub(super) struct Ability {
    pub(super) offered: bool,
    pub(super) flag: CK_FLAGS,
    pub(super) name: &'static str,
    /// Whether it needs the private or secret key.
    pub(super) private: bool,
}

impl Mechanism {
    /// A row that does nothing yet.
    pub(super) const fn new(ckm: CK_MECHANISM_TYPE, name: &'static str) -> Self {
        Self {
            ckm,
            name,
            key_types: &[],
            key_bits: 0..=0,
            hash: None,
            parameter: ParameterShape::None,
            runs_in: RunsIn::Software,
            tpm_algorithms: &[],
            tpm_commands: &[],
            bound_scheme: None,
            accepts: |_| Ok(()),
            signature: None,
            recover: None,
            encryption: None,
            digest: None,
            generate_key_pair: None,
            derive: None,
            wraps: false,
            encapsulates: false,
            derived_hash: None,
            base_value: BaseValue::Stays,
            generate_key: None,
        }
    }

    /// Everything a mechanism may do, with what this one does.
    pub(super) fn abilities(&self) -> [Ability; 14] {
        let ability = |offered, flag, name, private| Ability { offered, flag, name, private };
        let (signs, mac) = (self.signature.is_some(), self.is_mac());
        // What encrypts data, and whether that takes a secret key.
        let (encrypts, secret) = match self.encryption {
            None | Some(Encryption::Hybrid) => (false, false),
            Some(Encryption::Padding(_)) => (true, false),
            Some(Encryption::Cipher(_) | Encryption::Aead(_) | Encryption::KeyWrap(_)) => {
                (true, true)
            }
        };
        [
            ability(self.generate_key.is_some(), CKF_GENERATE, "generate", true),
            ability(self.generate_key_pair.is_some(), CKF_GENERATE_KEY_PAIR, "generate pair", true),
            ability(signs, CKF_SIGN, "sign", true),
            ability(self.recover.is_some(), CKF_SIGN_RECOVER, "sign recover", true),
            ability(encrypts, CKF_DECRYPT, "decrypt", true),
            ability(self.derive.is_some(), CKF_DERIVE, "derive", true),
            ability(self.wraps, CKF_UNWRAP, "unwrap", true),
            ability(self.encapsulates, CKF_DECAPSULATE, "decapsulate", true),
            ability(signs, CKF_VERIFY, "verify", mac),
            ability(self.recover.is_some(), CKF_VERIFY_RECOVER, "verify recover", false),
            ability(encrypts, CKF_ENCRYPT, "encrypt", secret),
            ability(self.wraps, CKF_WRAP, "wrap", secret),
            ability(self.encapsulates, CKF_ENCAPSULATE, "encapsulate", false),
            ability(self.digest.is_some(), CKF_DIGEST, "digest", false),
        ]
    }

    /// Its CKF_ flags: they follow from what the row can do and where, and are never written down.
    ///
    /// PKCS#11 v3.1, C_GetMechanismInfo; for EC, "Elliptic Curve" and its mechanism flags.
    pub fn flags(&self) -> CK_FLAGS {
        let able = self.abilities().iter().filter(|a| a.offered).fold(0, |flags, a| flags | a.flag);
        let hardware = if self.runs_in == RunsIn::Tpm { CKF_HW } else { 0 };
        let curves = if self.takes(CKK_EC) {
            CKF_EC_F_P | CKF_EC_OID | CKF_EC_CURVENAME | CKF_EC_UNCOMPRESS
        } else {
            0
        };
        able | self.message_flags() | hardware | curves
    }

    /// What signs and verifies does so message by message too, in parts where it takes data in
    /// parts, if its parameter is no nonce; and so does encryption with a tag.
    ///
    /// PKCS#11 v3.1, C_MessageSignInit, C_MessageVerifyInit, C_MessageEncryptInit and
    /// C_MessageDecryptInit.
    fn message_flags(&self) -> CK_FLAGS {
        let signs = match self.signature {
            // A nonce is for one message only.
            None | Some(Signature::Mac(Mac::Gmac)) => 0,
            Some(Signature::Mac(Mac::Whole(_)) | Signature::Pair(..)) => {
                CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY
            }
        };
        let aead = self.aead().is_some();
        let encrypts = if aead { CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT } else { 0 };
        let whole = signs | encrypts;
        let parts = whole != 0 && (self.hash.is_some() || self.is_mac() || aead);
        whole | if parts { CKF_MULTI_MESSAGE } else { 0 }
    }

    /// Whether it signs with a secret key.
    pub(super) fn is_mac(&self) -> bool {
        matches!(self.signature, Some(Signature::Mac(_)))
    }

    /// The mode that it encrypts with a tag by, if it does.
    pub fn aead(&self) -> Option<AeadMode> {
        match self.encryption {
            Some(Encryption::Aead(mode)) => Some(mode),
            _ => None,
        }
    }

    /// Bytes that a key of `len` bytes has when it is wrapped, with the zeros that a mode of whole
    /// blocks needs.
    pub fn padded_len(&self, len: usize) -> usize {
        let unit = match self.encryption {
            Some(Encryption::Cipher(Mode {
                mode: CipherMode::Ecb | CipherMode::Cbc,
                end: End::Whole,
            })) => BLOCK,
            Some(Encryption::KeyWrap(key_wrap)) => key_wrap.unit,
            _ => 1,
        };
        // What overflows is too long as it is.
        len.checked_next_multiple_of(unit).unwrap_or(len)
    }

    /// What a key is of the bytes that its unwrapping gives.
    pub fn unwrapped(&self) -> Unwrapped {
        match self.encryption {
            Some(Encryption::Padding(padding)) => padding.unwrapped,
            _ => Unwrapped::All,
        }
    }

    /// The CKK_ of the secret keys that it generates, if it does.
    pub fn generated_type(&self) -> Option<CK_KEY_TYPE> {
        self.generate_key.map(Generates::key_type)
    }

    /// Whether it wraps with an AES key of one use.
    pub fn is_hybrid(&self) -> bool {
        matches!(self.encryption, Some(Encryption::Hybrid))
    }

    /// Whether it works with keys of `key_type`.
    pub fn takes(&self, key_type: CK_KEY_TYPE) -> bool {
        self.key_types.contains(&key_type)
    }

    /// What C_GetMechanismInfo answers for it. Key sizes are those that the TPM has keys of, in bits,
    /// for AES and MACs in bytes; 0 where there is no key.
    pub fn info(&self, abilities: &Abilities) -> CK_MECHANISM_INFO {
        let sizes = self.sizes(abilities);
        // PKCS#11 v3.1, "AES" and "HMAC mechanisms": bytes. "Generic secret key" and "SP800-108 Key
        // Derivation": bits.
        let aes = self.key_types.first() == Some(&CKK_AES);
        let unit = if aes || self.is_mac() { 8 } else { 1 };
        CK_MECHANISM_INFO {
            ulMinKeySize: sizes.iter().copied().min().unwrap_or(0) / unit,
            ulMaxKeySize: sizes.iter().copied().max().unwrap_or(0) / unit,
            flags: self.flags(),
        }
    }

    /// Whether a TPM of these `abilities` can do it.
    pub fn is_offered(&self, abilities: &Abilities) -> bool {
        self.tpm_algorithms.iter().all(|id| abilities.algorithms.contains(id))
            && self.tpm_commands.iter().all(|code| abilities.commands.contains(code))
            && (self.key_types.is_empty() || !self.sizes(abilities).is_empty())
    }

    /// The sizes of the TPM's keys that it works with, in bits.
    fn sizes(&self, abilities: &Abilities) -> Vec<CK_ULONG> {
        let numbers = |bits: &BTreeSet<u16>| bits.iter().map(|&n| CK_ULONG::from(n)).collect();
        let of_tpm: Vec<CK_ULONG> = match self.key_types.first() {
            Some(&CKK_RSA) => numbers(&abilities.rsa_bits),
            Some(&CKK_AES) => numbers(&abilities.aes_bits),
            Some(&CKK_GENERIC_SECRET | &CKK_HKDF) => vec![8, 8 * SECRET as CK_ULONG],
            Some(&CKK_EC) => Curve::ALL
                .into_iter()
                .filter(|&curve| abilities.has_curve(curve))
                .map(|curve| curve.bits() as CK_ULONG)
                .collect(),
            _ => Vec::new(),
        };
        of_tpm.into_iter().filter(|bits| self.key_bits.contains(bits)).collect()
    }
}

/// How the parameter of `ckm` is to be read; `None` for a mechanism nobody knows, of which the
/// parameter is not to be touched.
pub fn parameter_shape(ckm: CK_MECHANISM_TYPE) -> Option<ParameterShape> {
    row(ckm).map(|row| row.parameter)
}

/// The row of `ckm`.
///
/// Errors: `CKR_MECHANISM_INVALID` when there is none, or the TPM lacks what it needs.
pub fn find(ckm: CK_MECHANISM_TYPE, abilities: &Abilities) -> Result<&'static Mechanism> {
    row(ckm).filter(|row| row.is_offered(abilities)).ok_or_else(|| {
        Error::new(CKR_MECHANISM_INVALID, format!("mechanism 0x{ckm:x} is not offered"))
    })
}

/// What a TPM of these `abilities` offers, each mechanism once.
pub fn offered(abilities: &Abilities) -> impl Iterator<Item = &'static Mechanism> {
    MECHANISMS.iter().filter(|row| row.is_offered(abilities))
}

pub(super) fn row(ckm: CK_MECHANISM_TYPE) -> Option<&'static Mechanism> {
    MECHANISMS.iter().find(|row| row.ckm == ckm)
}
