//! A mechanism's parameter, copied out of the caller's structures when an operation begins.

use cryptoki_sys::{CK_MECHANISM_TYPE, CK_ULONG};

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
    /// Bytes of another shape, or of a length that fits none: refused by every mechanism that
    /// takes a structured one.
    Bytes(Vec<u8>),
}

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
}
