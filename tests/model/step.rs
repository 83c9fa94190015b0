//! One call with its real arguments, and what was answered: all that passes between the module and
//! the model.

use cryptoki_sys::*;

use super::dual::Dual;
use super::keys::KeyCall;
use super::mechanism::Mechanism;
use super::messages::MessageCall;
use super::signed::SignedCall;
use crate::common::p11::Attr;

/// An operation that works on data. A search is one too, but has calls of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Encrypt,
    Decrypt,
    Digest,
    Sign,
    Verify,
    /// With a signature that is known when it begins; it has calls of its own, but for the parts.
    VerifyKnown,
}

impl Kind {
    /// Those that a mechanism is for.
    pub const ALL: [Self; 5] =
        [Self::Encrypt, Self::Decrypt, Self::Digest, Self::Sign, Self::Verify];

    pub fn flag(self) -> CK_FLAGS {
        match self {
            Self::Encrypt => CKF_ENCRYPT,
            Self::Decrypt => CKF_DECRYPT,
            Self::Digest => CKF_DIGEST,
            Self::Sign => CKF_SIGN,
            Self::Verify | Self::VerifyKnown => CKF_VERIFY,
        }
    }
}

/// How much room the caller gives for output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// A NULL buffer: the length is asked for.
    Query,
    /// One byte, which is less than most output here has.
    Small,
    /// More than any output here has.
    Enough,
}

/// A call. Handles, PINs and data are what the module gets.
#[derive(Clone, Debug)]
pub enum Step {
    Initialize,
    Finalize,
    Open {
        slot: CK_SLOT_ID,
        flags: CK_FLAGS,
    },
    Close {
        session: CK_SESSION_HANDLE,
    },
    CloseAll {
        slot: CK_SLOT_ID,
    },
    SessionInfo {
        session: CK_SESSION_HANDLE,
    },
    TokenInfo {
        slot: CK_SLOT_ID,
    },
    InitToken {
        slot: CK_SLOT_ID,
        pin: Vec<u8>,
        label: &'static str,
    },
    Login {
        session: CK_SESSION_HANDLE,
        user: CK_USER_TYPE,
        pin: Vec<u8>,
    },
    Logout {
        session: CK_SESSION_HANDLE,
    },
    InitPin {
        session: CK_SESSION_HANDLE,
        pin: Vec<u8>,
    },
    SetPin {
        session: CK_SESSION_HANDLE,
        old: Vec<u8>,
        new: Vec<u8>,
    },
    Create {
        session: CK_SESSION_HANDLE,
        template: Vec<Attr>,
    },
    Copy {
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        template: Vec<Attr>,
    },
    Destroy {
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
    },
    Get {
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        wanted: Vec<Wanted>,
    },
    Set {
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        template: Vec<Attr>,
    },
    FindInit {
        session: CK_SESSION_HANDLE,
        template: Vec<Attr>,
    },
    Find {
        session: CK_SESSION_HANDLE,
        max: usize,
    },
    FindFinal {
        session: CK_SESSION_HANDLE,
    },
    Begin {
        session: CK_SESSION_HANDLE,
        kind: Kind,
        mechanism: Mechanism,
        key: CK_OBJECT_HANDLE,
    },
    /// `C_…Init` with a NULL mechanism.
    BeginNull {
        session: CK_SESSION_HANDLE,
        kind: Kind,
        key: CK_OBJECT_HANDLE,
    },
    OneShot {
        session: CK_SESSION_HANDLE,
        kind: Kind,
        data: Vec<u8>,
        room: Room,
    },
    /// What gives no output has [`Room::Enough`].
    Update {
        session: CK_SESSION_HANDLE,
        kind: Kind,
        data: Vec<u8>,
        room: Room,
    },
    /// A part for two operations.
    Dual {
        session: CK_SESSION_HANDLE,
        dual: Dual,
        data: Vec<u8>,
        room: Room,
    },
    Final {
        session: CK_SESSION_HANDLE,
        kind: Kind,
        room: Room,
    },
    Verify {
        session: CK_SESSION_HANDLE,
        data: Vec<u8>,
        signature: Vec<u8>,
    },
    VerifyFinal {
        session: CK_SESSION_HANDLE,
        signature: Vec<u8>,
    },
    /// `C_VerifySignatureInit`.
    BeginKnown {
        session: CK_SESSION_HANDLE,
        mechanism: Mechanism,
        key: CK_OBJECT_HANDLE,
        signature: Vec<u8>,
    },
    /// `C_VerifySignature`, or `C_VerifySignatureFinal` without data.
    VerifyKnown {
        session: CK_SESSION_HANDLE,
        data: Option<Vec<u8>>,
    },
    /// One about messages that are encrypted, or decrypted.
    Message {
        session: CK_SESSION_HANDLE,
        encrypts: bool,
        call: MessageCall,
    },
    /// One about messages that are signed, or verified.
    Signed {
        session: CK_SESSION_HANDLE,
        kind: Kind,
        call: SignedCall,
    },
    /// One that makes a secret key or gives one away.
    Key {
        session: CK_SESSION_HANDLE,
        call: KeyCall,
    },
    GetState {
        session: CK_SESSION_HANDLE,
        room: Room,
    },
    SetState {
        session: CK_SESSION_HANDLE,
        bytes: Vec<u8>,
        /// For both keys.
        key: CK_OBJECT_HANDLE,
    },
    Cancel {
        session: CK_SESSION_HANDLE,
        flags: CK_FLAGS,
    },
    Random {
        session: CK_SESSION_HANDLE,
        len: usize,
    },
    /// A P-256 pair.
    GeneratePair {
        session: CK_SESSION_HANDLE,
        public: Vec<Attr>,
        private: Vec<Attr>,
    },
}

/// One entry of a `C_GetAttributeValue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub kind: CK_ATTRIBUTE_TYPE,
    pub room: Room,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub rv: CK_RV,
    pub given: Given,
}

/// The output of a call. On an error mostly [`Given::Nothing`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    Nothing,
    Session(CK_SESSION_HANDLE),
    Born(Vec<Born>),
    /// Handles, with CKA_UNIQUE_ID of those that the model does not know yet.
    Found(Vec<(CK_OBJECT_HANDLE, Option<Vec<u8>>)>),
    /// The length said, and the bytes where there was room for them.
    Output {
        len: usize,
        bytes: Vec<u8>,
    },
    /// The same of a message, with its nonce and its tag as they are afterwards.
    Message {
        len: usize,
        bytes: Vec<u8>,
        nonce: Vec<u8>,
        tag: Vec<u8>,
    },
    /// For each entry the length, and the bytes where there was room for them.
    Values(Vec<(CK_ULONG, Vec<u8>)>),
    SessionInfo {
        slot: CK_SLOT_ID,
        state: CK_STATE,
        flags: CK_FLAGS,
    },
    TokenInfo {
        flags: CK_FLAGS,
        sessions: CK_ULONG,
        rw_sessions: CK_ULONG,
        label: Vec<u8>,
    },
}

/// A new object: its handle, and those of [`READ`] that it answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Born {
    pub handle: CK_OBJECT_HANDLE,
    pub attributes: Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)>,
}

/// The attributes that the model follows.
pub const READ: [CK_ATTRIBUTE_TYPE; 29] = [
    CKA_CLASS,
    CKA_UNIQUE_ID,
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_DESTROYABLE,
    CKA_LABEL,
    CKA_VALUE,
    CKA_APPLICATION,
    CKA_CERTIFICATE_TYPE,
    CKA_TRUSTED,
    CKA_SUBJECT,
    CKA_KEY_TYPE,
    CKA_ID,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_DERIVE,
    CKA_SENSITIVE,
    CKA_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_NEVER_EXTRACTABLE,
    CKA_WRAP_WITH_TRUSTED,
    CKA_LOCAL,
    CKA_ALWAYS_AUTHENTICATE,
];
