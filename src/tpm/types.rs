//! What goes into the TPM engine and comes out of it, without a wire byte.

use std::collections::BTreeSet;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Secret bytes of a short life: wiped when dropped.
pub type SecretBytes = Zeroizing<Vec<u8>>;

/// A TPM hierarchy: whose seed a primary key is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hierarchy {
    /// Storage seed; TPM_RH_OWNER.
    Owner,
    /// Endorsement seed; TPM_RH_ENDORSEMENT.
    Endorsement,
    /// Platform seed; TPM_RH_PLATFORM.
    Platform,
    /// A seed of this boot; TPM_RH_NULL.
    Null,
}

impl Hierarchy {
    /// All four, in the order of their slots.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Endorsement, Self::Platform, Self::Null];

    /// The name users know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Endorsement => "endorsement",
            Self::Platform => "platform",
            Self::Null => "null",
        }
    }
}

/// An authorization value: 32 bytes, or none for what anybody may use.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Auth(Vec<u8>);

impl Auth {
    /// The authValue `bytes`; at most as long as the object's nameAlg digest (32 for SHA-256).
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The empty authValue.
    pub fn empty() -> Self {
        Self(Vec::new())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A wrapped object as the TPM gave it.
///
/// `public` and `private` are marshalled TPM2B_PUBLIC and TPM2B_PRIVATE, with their 2-byte sizes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Blob {
    /// TPM2B_PUBLIC.
    pub public: Vec<u8>,
    /// TPM2B_PRIVATE.
    pub private: Vec<u8>,
}

/// The primary key of a hierarchy as it was recorded: salted auth sessions are encrypted to
/// `public`, so that another TPM or an interposer cannot answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Where it comes from.
    pub hierarchy: Hierarchy,
    /// TPM2B_PUBLIC of the key, with its 2-byte size.
    pub public: Vec<u8>,
}

/// An object to be used: under which parent, which blob, with which authValue.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// The primary it is wrapped under.
    pub parent: &'a Primary,
    /// Its blob.
    pub blob: &'a Blob,
    /// Its authValue.
    pub auth: &'a Auth,
}

/// Whose authorization a key's policy asks for at each use: a sealed object under the key's own
/// parent, and its authValue.
pub struct Approver {
    /// Its blob.
    pub blob: Blob,
    /// Its authValue.
    pub auth: Auth,
}

/// How a sealed object may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealTemplate {
    /// Wrong authorizations count against the TPM's dictionary-attack limit (noDA clear).
    pub dictionary_attack_protected: bool,
    /// The officer whose authorization may change this object's authValue: its TPM2B_PUBLIC. The
    /// authPolicy is then PolicySecret(officer) + PolicyCommandCode(TPM2_ObjectChangeAuth).
    pub officer: Option<Vec<u8>>,
}

/// A hash the TPM may implement (TPM_ALG_ID).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum HashAlg {
    /// TPM_ALG_SHA1.
    Sha1 = 0x0004,
    /// TPM_ALG_SHA256.
    Sha256 = 0x000B,
    /// TPM_ALG_SHA384.
    Sha384 = 0x000C,
    /// TPM_ALG_SHA512.
    Sha512 = 0x000D,
}

impl HashAlg {
    /// All of them, by digest length.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Bytes of its digest.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Bytes of the block that it works on.
    pub fn block_len(self) -> usize {
        match self {
            Self::Sha1 | Self::Sha256 => 64,
            Self::Sha384 | Self::Sha512 => 128,
        }
    }

    /// Its TPM_ALG_ID.
    pub fn alg_id(self) -> u16 {
        self as u16
    }
}

/// An elliptic curve (TPM_ECC_CURVE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Curve {
    /// TPM_ECC_NIST_P224.
    P224 = 0x0002,
    /// TPM_ECC_NIST_P256.
    P256 = 0x0003,
    /// TPM_ECC_NIST_P384.
    P384 = 0x0004,
    /// TPM_ECC_NIST_P521.
    P521 = 0x0005,
}

impl Curve {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::P224, Self::P256, Self::P384, Self::P521];

    /// Bytes of a coordinate, and of r and s.
    pub fn field_len(self) -> usize {
        match self {
            Self::P224 => 28,
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Bits of the order.
    pub fn bits(self) -> usize {
        match self {
            Self::P224 => 224,
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// Its TPM_ECC_CURVE.
    pub fn curve_id(self) -> u16 {
        self as u16
    }
}

/// The signing scheme of one TPM2_Sign, or the one a key is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TPM_ALG_ECDSA with a hash.
    Ecdsa(HashAlg),
    /// TPM_ALG_RSASSA (PKCS#1 v1.5) with a hash.
    RsaSsa(HashAlg),
}

/// Which key TPM2_Create makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of this many bits, public exponent 65537.
    Rsa {
        /// Modulus bits.
        bits: u16,
    },
    /// EC on a curve.
    Ec(Curve),
    /// AES with this many bits, for every block cipher mode (mode NULL).
    Aes {
        /// Key bits.
        bits: u16,
    },
    /// A key for HMAC with any hash (scheme NULL), of at most [`HMAC_KEY`] bytes.
    Hmac,
    /// A key for HMAC with one hash, of at most a block of it.
    HmacBy(HashAlg),
    /// A key for HMAC of more than [`HMAC_KEY`] bytes, which is several objects.
    LongHmac {
        /// The only hash it is for; `None`: every one of the TPM's.
        only: Option<HashAlg>,
    },
    /// A piece of a secret that the TPM only keeps, of at most [`PIECE`] bytes.
    Piece,
}

/// Most bytes that a TPM seals.
pub const PIECE: usize = 128;

/// Most bytes of a secret key. More has no use, and a TPM object for each piece has a price.
pub const SECRET: usize = 1024;

/// Most bytes of an HMAC key that is bound to no hash: the block of the smallest one. TPMs refuse a
/// longer one, because they would have to hash it without knowing by what.
pub const HMAC_KEY: usize = 64;

/// A mode of operation of a block cipher (TPM_ALG_ID).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CipherMode {
    /// TPM_ALG_CTR: the whole block counts.
    Ctr = 0x0040,
    /// TPM_ALG_OFB.
    Ofb = 0x0041,
    /// TPM_ALG_CBC.
    Cbc = 0x0042,
    /// TPM_ALG_CFB, with feedback of whole blocks.
    Cfb = 0x0043,
    /// TPM_ALG_ECB.
    Ecb = 0x0044,
}

impl CipherMode {
    /// Its TPM_ALG_ID.
    pub fn alg_id(self) -> u16 {
        self as u16
    }
}

/// Which way a block cipher goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

/// What a new key may do. All are noDA, and userWithAuth unless they have a policy; those that stay
/// here fixedTPM and fixedParent, those that the TPM made itself sensitiveDataOrigin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTemplate {
    /// Kind and size.
    pub kind: KeyKind,
    /// TPMA_OBJECT_SIGN; for AES, encryption.
    pub sign: bool,
    /// TPMA_OBJECT_DECRYPT: RSA decryption and raw RSA, ECDH, AES decryption.
    pub decrypt: bool,
    /// The only scheme the TPM will let it sign with; `None`: any (scheme NULL).
    pub scheme: Option<Scheme>,
    /// Whether it may leave the TPM: fixedTPM and fixedParent are clear, and its authPolicy lets
    /// who knows the authValue duplicate it.
    pub extractable: bool,
    /// The authPolicy that every use has to fulfil ([`approval_policy`](crate::tpm::approval_policy)),
    /// with userWithAuth clear; `None`: its authValue is enough.
    pub policy: Option<[u8; 32]>,
}

/// A public key in plain numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA.
    Rsa {
        /// Modulus, big-endian, no leading zero.
        modulus: Vec<u8>,
        /// Public exponent, big-endian, no leading zero.
        exponent: Vec<u8>,
    },
    /// A point on a curve, both coordinates big-endian and of the curve's field width.
    Ec {
        /// The curve.
        curve: Curve,
        /// x.
        x: Vec<u8>,
        /// y.
        y: Vec<u8>,
    },
}

/// A key pair that was made outside the TPM.
pub struct OutsideKey {
    /// Its public half.
    pub public: PublicKey,
    /// One of the two primes of an RSA key, half as long as the modulus; the scalar of an EC key, as
    /// long as its curve's field.
    pub secret: SecretBytes,
}

/// What changes while the TPM runs (TPM 2.0 Part 2, TPM_PT_VAR).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// TPMA_PERMANENT.
    pub permanent: u32,
    /// TPMA_STARTUP_CLEAR.
    pub startup_clear: u32,
    /// Failed tries counted so far.
    pub lockout_counter: u32,
    /// Tries before lockout.
    pub max_auth_fail: u32,
    /// Seconds until one try is given back.
    pub lockout_interval: u32,
    /// Seconds a locked lockout authorization waits.
    pub lockout_recovery: u32,
}

impl Status {
    /// Whether `hierarchy` can be used now (TPMA_STARTUP_CLEAR phEnable, shEnable, ehEnable).
    pub fn enabled(&self, hierarchy: Hierarchy) -> bool {
        match hierarchy {
            Hierarchy::Platform => self.startup_clear & 1 != 0,
            Hierarchy::Owner => self.startup_clear & 2 != 0,
            Hierarchy::Endorsement => self.startup_clear & 4 != 0,
            Hierarchy::Null => true,
        }
    }

    /// Whether `hierarchy` wants an authorization value (TPMA_PERMANENT ownerAuthSet,
    /// endorsementAuthSet). Of the platform hierarchy a TPM does not tell.
    pub fn wants_auth(&self, hierarchy: Hierarchy) -> bool {
        match hierarchy {
            Hierarchy::Owner => self.permanent & 1 != 0,
            Hierarchy::Endorsement => self.permanent & 2 != 0,
            Hierarchy::Platform | Hierarchy::Null => false,
        }
    }

    /// Whether the TPM refuses every dictionary-attack protected object now.
    pub fn locked_out(&self) -> bool {
        self.permanent & (1 << 9) != 0
            || (self.max_auth_fail != 0 && self.lockout_counter >= self.max_auth_fail)
    }
}

/// TPMS_TIME_INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds the TPM has been powered, over its life.
    pub clock: u64,
    /// TPM Resets so far.
    pub reset_count: u32,
    /// TPM Restarts and Resumes since the last Reset.
    pub restart_count: u32,
}

/// Who made the TPM and what runs in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// TPM_PT_MANUFACTURER as text, without padding ("IBM").
    pub manufacturer: String,
    /// TPM_PT_VENDOR_STRING_1 to _4 as text, without NUL, single-spaced ("SW TPM").
    pub model: String,
    /// TPM_PT_FIRMWARE_VERSION_1 and _2.
    pub version: u64,
}

/// What the TPM implements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Whose abilities these are.
    pub firmware: Firmware,
    /// TPM_ALG_IDs.
    pub algorithms: BTreeSet<u16>,
    /// TPM_CCs.
    pub commands: BTreeSet<u32>,
    /// TPM_ECC_CURVEs.
    pub curves: BTreeSet<u16>,
    /// RSA key sizes in bits (TPM2_TestParms).
    pub rsa_bits: BTreeSet<u16>,
    /// AES key sizes in bits (TPM2_TestParms); none without TPM2_EncryptDecrypt2.
    pub aes_bits: BTreeSet<u16>,
    /// TPM_PT_INPUT_BUFFER: most bytes of a TPM2B_MAX_BUFFER.
    pub input_buffer: usize,
}

impl Abilities {
    /// Whether keys can be made on `curve`.
    pub fn has_curve(&self, curve: Curve) -> bool {
        self.curves.contains(&curve.curve_id())
    }

    /// Whether the TPM computes `hash`.
    pub fn has_hash(&self, hash: HashAlg) -> bool {
        self.algorithms.contains(&hash.alg_id())
    }
}
