//! A mechanism's parameter, copied out of the caller's structures when an operation begins.

use cryptoki_sys::{CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_ULONG, CKR_MECHANISM_PARAM_INVALID};

use super::aead::AeadMode;
use super::derivation_parameter::{HkdfParameter, KdfParameter};
use super::ecdh;
use super::hash::Hash;
use super::hkdf::Hkdf;
use super::row::Mechanism;
use super::sp800_108::{Chain, Kdf};
use crate::error::{Error, Result};

/// A mechanism as the caller chose it, owned.
#[derive(Clone, Debug)]
pub struct MechanismChoice {
    /// Which mechanism.
    pub ckm: CK_MECHANISM_TYPE,
    /// Its parameter.
    pub parameter: Parameter,
}

/// A mechanism parameter by shape. Which shape a mechanism takes is said in its row of the
/// MECHANISMS table; the values are checked there too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// NULL with length 0.
    None,
    /// CK_RSA_PKCS_PSS_PARAMS.
    Pss {
        /// hashAlg, a CKM_ digest.
        hash: CK_MECHANISM_TYPE,
        /// mgf, a CKG_.
        mgf: CK_ULONG,
        /// sLen in bytes.
        salt_len: CK_ULONG,
    },
    /// CK_RSA_PKCS_OAEP_PARAMS with CKZ_DATA_SPECIFIED.
    Oaep {
        /// hashAlg, a CKM_ digest.
        hash: CK_MECHANISM_TYPE,
        /// mgf, a CKG_.
        mgf: CK_ULONG,
        /// The encoding parameter, empty where there is none.
        label: Vec<u8>,
    },
    /// CK_AES_CTR_PARAMS.
    Counter {
        /// ulCounterBits.
        bits: CK_ULONG,
        /// cb.
        block: [u8; BLOCK],
    },
    /// CK_MAC_GENERAL_PARAMS: bytes of the MAC.
    MacLength(CK_ULONG),
    /// CK_ECDH1_DERIVE_PARAMS.
    Ecdh {
        /// kdf, a CKD_.
        kdf: CK_ULONG,
        /// The data the KDF takes in, empty where there is none.
        shared: Vec<u8>,
        /// The peer's point.
        public: Vec<u8>,
    },
    /// CK_KEY_DERIVATION_STRING_DATA.
    Data(Vec<u8>),
    /// CK_EXTRACT_PARAMS: the first bit.
    BitIndex(CK_ULONG),
    /// CK_AES_CBC_ENCRYPT_DATA_PARAMS.
    CbcData {
        /// iv.
        iv: [u8; BLOCK],
        /// pData.
        data: Vec<u8>,
    },
    /// CK_RSA_AES_KEY_WRAP_PARAMS.
    RsaAes {
        /// ulAESKeyBits.
        key_bits: CK_ULONG,
        /// hashAlg of pOAEPParams, a CKM_ digest.
        hash: CK_MECHANISM_TYPE,
        /// mgf of pOAEPParams, a CKG_.
        mgf: CK_ULONG,
        /// The encoding parameter, empty where there is none.
        label: Vec<u8>,
    },
    /// CK_GCM_PARAMS and the like.
    Aead(AeadParameter),
    /// CK_OBJECT_HANDLE: another key.
    KeyHandle(CK_OBJECT_HANDLE),
    /// CK_HKDF_PARAMS.
    Hkdf(HkdfParameter),
    /// CK_SP800_108_KDF_PARAMS, CK_SP800_108_FEEDBACK_KDF_PARAMS.
    Kdf(KdfParameter),
    /// Bytes without a structure, such as an IV; refused by every mechanism that takes another
    /// shape.
    Bytes(Vec<u8>),
}

/// What GCM or CCM is told for one message, as the caller's structure has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AeadParameter {
    /// pIv, pNonce.
    pub nonce: Vec<u8>,
    /// pAAD, or the associated data that came as an argument.
    pub aad: Vec<u8>,
    /// ulTagBits in bits, ulMACLen in bytes.
    pub tag: CK_ULONG,
    /// ulDataLen of CCM; `None` where the data itself tells.
    pub data_len: Option<CK_ULONG>,
    /// ivGenerator, nonceGenerator: a CKG_.
    pub generator: CK_ULONG,
    /// ulIvFixedBits, ulNonceFixedBits.
    pub fixed_bits: CK_ULONG,
}

/// Bytes of a block of AES, the only block cipher here.
pub(super) const BLOCK: usize = 16;

/// How the C structure behind a parameter pointer is to be read: what `ffi/mechanism.rs` asks the
/// table before it touches the caller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterShape {
    /// There must be none.
    None,
    /// CK_RSA_PKCS_PSS_PARAMS.
    Pss,
    /// CK_RSA_PKCS_OAEP_PARAMS.
    Oaep,
    /// An initialization vector of one block.
    Iv,
    /// CK_AES_CTR_PARAMS.
    Counter,
    /// CK_MAC_GENERAL_PARAMS.
    MacLength,
    /// CK_ECDH1_DERIVE_PARAMS.
    Ecdh,
    /// CK_KEY_DERIVATION_STRING_DATA.
    Data,
    /// CK_EXTRACT_PARAMS.
    BitIndex,
    /// CK_AES_CBC_ENCRYPT_DATA_PARAMS.
    CbcData,
    /// None, or so many bytes of IV.
    OptionalIv(usize),
    /// CK_GCM_PARAMS or CK_CCM_PARAMS, and what wrapping and messages have in place of them.
    Aead(AeadMode),
    /// CK_OBJECT_HANDLE.
    KeyHandle,
    /// CK_HKDF_PARAMS.
    Hkdf,
    /// CK_SP800_108_KDF_PARAMS with an iteration variable that counts.
    CounterKdf,
    /// CK_SP800_108_FEEDBACK_KDF_PARAMS.
    FeedbackKdf,
    /// CK_SP800_108_KDF_PARAMS with an iteration variable that does not count.
    DoublePipelineKdf,
    /// CK_RSA_AES_KEY_WRAP_PARAMS.
    RsaAes,
}

/// A parameter whose values are known to be good for its mechanism.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    None,
    Pss(Pss),
    Oaep(Oaep),
    Iv([u8; BLOCK]),
    Counter(Counter),
    MacLength(usize),
    Ecdh(Ecdh),
    WrapIv(Vec<u8>),
    Data(Vec<u8>),
    BitIndex(usize),
    CbcData([u8; BLOCK], Vec<u8>),
    Aead(Aead),
    KeyHandle(CK_OBJECT_HANDLE),
    Hkdf(Hkdf),
    Kdf(Kdf),
    /// Bytes of the AES key, and how it is encrypted.
    RsaAes(usize, Oaep),
}

/// The parameter of GCM and CCM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Aead {
    pub(super) nonce: Vec<u8>,
    pub(super) aad: Vec<u8>,
    /// In bytes.
    pub(super) tag_len: usize,
    /// Bytes of the data, where they were told.
    pub(super) data_len: Option<u64>,
}

/// The parameter of ECDH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ecdh {
    /// The KDF, if there is one.
    pub(super) kdf: Option<ecdh::Kdf>,
    pub(super) shared: Vec<u8>,
    /// The peer's point as it was given.
    pub(super) public: Vec<u8>,
}

/// The parameter of CKM_AES_CTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    /// How many of the block's lowest bits count: 1 to 128.
    pub(super) bits: u32,
    pub(super) block: [u8; BLOCK],
}

/// The parameter of the PSS mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pss {
    pub(super) hash: Hash,
    pub(super) mgf: Hash,
    /// In bytes. Whether it fits the key is not known here.
    pub(super) salt_len: usize,
}

/// The parameter of OAEP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Oaep {
    pub(super) hash: Hash,
    pub(super) mgf: Hash,
    pub(super) label: Vec<u8>,
}

impl Checked {
    /// The values of `parameter`, held against what `row` takes.
    ///
    /// Errors: `CKR_MECHANISM_PARAM_INVALID` for another shape, a hash or mask generator that is not
    /// known, and a hash other than the mechanism's own.
    pub(super) fn new(row: &Mechanism, parameter: &Parameter) -> Result<Self> {
        match (row.parameter, parameter) {
            (ParameterShape::None, Parameter::None) => Ok(Self::None),
            (ParameterShape::Pss, Parameter::Pss { hash, mgf, salt_len }) => {
                let pss = Pss {
                    hash: hash_of(*hash)?,
                    mgf: mgf_of(*mgf)?,
                    salt_len: usize::try_from(*salt_len).map_err(|_| invalid("salt length"))?,
                };
                if row.hash.is_some_and(|hash| hash != pss.hash) {
                    return Err(invalid("hash other than the mechanism's"));
                }
                Ok(Self::Pss(pss))
            }
            (ParameterShape::Oaep, Parameter::Oaep { hash, mgf, label }) => {
                Oaep::new(*hash, *mgf, label).map(Self::Oaep)
            }
            (ParameterShape::RsaAes, Parameter::RsaAes { key_bits, hash, mgf, label }) => {
                let key_len = match key_bits {
                    128 => 16,
                    192 => 24,
                    256 => 32,
                    _ => return Err(invalid("bits of the AES key")),
                };
                Ok(Self::RsaAes(key_len, Oaep::new(*hash, *mgf, label)?))
            }
            (ParameterShape::Iv, Parameter::Bytes(iv)) => {
                iv.as_slice().try_into().map(Self::Iv).map_err(|_| invalid("length of the IV"))
            }
            (ParameterShape::Counter, Parameter::Counter { bits, block }) => {
                let bits = u32::try_from(*bits).ok().filter(|bits| (1..=128).contains(bits));
                let bits = bits.ok_or_else(|| invalid("bits of the counter"))?;
                Ok(Self::Counter(Counter { bits, block: *block }))
            }
            (ParameterShape::OptionalIv(_), Parameter::None) => Ok(Self::None),
            (ParameterShape::OptionalIv(len), Parameter::Bytes(iv)) if iv.len() == len => {
                Ok(Self::WrapIv(iv.clone()))
            }
            (ParameterShape::Ecdh, Parameter::Ecdh { kdf, shared, public }) => {
                let kdf = ecdh::kdf(*kdf)?;
                Ok(Self::Ecdh(Ecdh { kdf, shared: shared.clone(), public: public.clone() }))
            }
            (ParameterShape::Data, Parameter::Data(data)) => Ok(Self::Data(data.clone())),
            (ParameterShape::CbcData, Parameter::CbcData { iv, data }) => {
                Ok(Self::CbcData(*iv, data.clone()))
            }
            (ParameterShape::Aead(mode), Parameter::Aead(given)) => {
                mode.checked(given.clone()).map(Self::Aead)
            }
            (ParameterShape::BitIndex, Parameter::BitIndex(at)) => {
                usize::try_from(*at).map(Self::BitIndex).map_err(|_| invalid("number of the bit"))
            }
            (ParameterShape::MacLength, Parameter::MacLength(len)) => {
                usize::try_from(*len).map(Self::MacLength).map_err(|_| invalid("length of the MAC"))
            }
            (ParameterShape::KeyHandle, Parameter::KeyHandle(handle)) => {
                Ok(Self::KeyHandle(*handle))
            }
            (ParameterShape::Hkdf, Parameter::Hkdf(given)) => Hkdf::new(given).map(Self::Hkdf),
            (ParameterShape::CounterKdf, Parameter::Kdf(given)) => {
                Kdf::new(Chain::Counter, given).map(Self::Kdf)
            }
            (ParameterShape::FeedbackKdf, Parameter::Kdf(given)) => {
                Kdf::new(Chain::Feedback, given).map(Self::Kdf)
            }
            (ParameterShape::DoublePipelineKdf, Parameter::Kdf(given)) => {
                Kdf::new(Chain::DoublePipeline, given).map(Self::Kdf)
            }
            _ => Err(invalid("shape")),
        }
    }

    /// The values for PSS, which [`new`](Self::new) made sure are there.
    pub(super) fn pss(&self) -> Result<&Pss> {
        match self {
            Self::Pss(pss) => Ok(pss),
            _ => Err(Error::bug("a PSS mechanism without its parameter")),
        }
    }

    /// The values for ECDH, which [`new`](Self::new) made sure are there.
    pub(super) fn ecdh(&self) -> Result<&Ecdh> {
        match self {
            Self::Ecdh(ecdh) => Ok(ecdh),
            _ => Err(Error::bug("ECDH without its parameter")),
        }
    }

    /// Takes out the values for GCM and CCM, which [`new`](Self::new) made sure are there.
    pub(super) fn take_aead(&mut self) -> Result<Aead> {
        match std::mem::replace(self, Self::None) {
            Self::Aead(aead) => Ok(aead),
            _ => Err(Error::bug("GCM or CCM without its parameter")),
        }
    }

    /// The values for OAEP, which [`new`](Self::new) made sure are there.
    pub(super) fn oaep(&self) -> Result<&Oaep> {
        match self {
            Self::Oaep(oaep) | Self::RsaAes(_, oaep) => Ok(oaep),
            _ => Err(Error::bug("OAEP without its parameter")),
        }
    }

    /// Bytes of the AES key of one use.
    pub(super) fn aes_key_len(&self) -> Result<usize> {
        match self {
            Self::RsaAes(len, _) => Ok(*len),
            _ => Err(Error::bug("a wrapping in two steps without its parameter")),
        }
    }
}

impl Oaep {
    fn new(hash: CK_MECHANISM_TYPE, mgf: CK_ULONG, label: &[u8]) -> Result<Self> {
        Ok(Self { hash: hash_of(hash)?, mgf: mgf_of(mgf)?, label: label.to_vec() })
    }
}

fn hash_of(ckm: CK_MECHANISM_TYPE) -> Result<Hash> {
    Hash::from_mechanism(ckm).ok_or_else(|| invalid("hash"))
}

fn mgf_of(mgf: CK_ULONG) -> Result<Hash> {
    Hash::from_mgf(mgf).ok_or_else(|| invalid("mask generation function"))
}

pub(super) fn invalid(what: &'static str) -> Error {
    Error::new(CKR_MECHANISM_PARAM_INVALID, format!("mechanism parameter: {what}"))
}
