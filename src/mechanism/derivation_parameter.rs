//! Parameters of derivations that take in more than bytes: other keys by their handles, and lists.

use cryptoki_sys::{CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_ULONG};

/// CK_HKDF_PARAMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HkdfParameter {
    /// bExtract.
    pub extract: bool,
    /// bExpand.
    pub expand: bool,
    /// prfHashMechanism, a CKM_ digest.
    pub hash: CK_MECHANISM_TYPE,
    /// The salt of the extraction.
    pub salt: Salt,
    /// pInfo.
    pub info: Vec<u8>,
}

/// The salt of HKDF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Salt {
    /// CKF_HKDF_SALT_NULL.
    None,
    /// CKF_HKDF_SALT_DATA.
    Data(Vec<u8>),
    /// CKF_HKDF_SALT_KEY: the handle of a secret key.
    Key(CK_OBJECT_HANDLE),
}

/// CK_SP800_108_KDF_PARAMS and CK_SP800_108_FEEDBACK_KDF_PARAMS, but for the additional keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KdfParameter {
    /// prfType, a CKM_ MAC.
    pub prf: CK_MECHANISM_TYPE,
    /// What the PRF is given, in this order.
    pub inputs: Vec<PrfInput>,
    /// pIV, empty where there is none.
    pub iv: Vec<u8>,
}

/// CK_PRF_DATA_PARAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrfInput {
    /// CK_SP800_108_ITERATION_VARIABLE: with a format where it is a counter.
    Iteration(Option<NumberFormat>),
    /// CK_SP800_108_COUNTER.
    Counter(NumberFormat),
    /// CK_SP800_108_DKM_LENGTH: dkmLengthMethod, and the format.
    Length(CK_ULONG, NumberFormat),
    /// CK_SP800_108_BYTE_ARRAY.
    Bytes(Vec<u8>),
    /// CK_SP800_108_KEY_HANDLE: the value of this secret key.
    Key(CK_OBJECT_HANDLE),
}

/// How a number becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberFormat {
    /// bLittleEndian.
    pub little_endian: bool,
    /// ulWidthInBits.
    pub bits: CK_ULONG,
}
