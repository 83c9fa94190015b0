//! Templates as the application gave them, copied out of its memory.

use cryptoki_sys::CK_ATTRIBUTE_TYPE;

/// One entry of a template: a type and the bytes of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAttribute {
    /// CKA_ type.
    pub kind: CK_ATTRIBUTE_TYPE,
    /// Value bytes as given (a CK_ULONG in the machine's own byte order).
    pub value: Vec<u8>,
}

/// What `C_GetAttributeValue` says of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeAnswer {
    /// Its value, in the bytes the application expects.
    Value(Vec<u8>),
    /// It exists and is not shown: `CKR_ATTRIBUTE_SENSITIVE`.
    Sensitive,
    /// This object has no such attribute: `CKR_ATTRIBUTE_TYPE_INVALID`.
    Invalid,
}
