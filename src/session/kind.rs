//! Which kinds of operation may be active together in one session.

use cryptoki_sys::{
    CK_FLAGS, CKF_DECRYPT, CKF_DIGEST, CKF_ENCRYPT, CKF_FIND_OBJECTS, CKF_MESSAGE_DECRYPT,
    CKF_MESSAGE_ENCRYPT, CKF_MESSAGE_SIGN, CKF_MESSAGE_VERIFY, CKF_SIGN, CKF_SIGN_RECOVER,
    CKF_VERIFY, CKF_VERIFY_RECOVER,
};

/// A kind of operation a session can have one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `C_EncryptInit`.
    Encrypt,
    /// `C_DecryptInit`.
    Decrypt,
    /// `C_DigestInit`.
    Digest,
    /// `C_SignInit`.
    Sign,
    /// `C_SignRecoverInit`.
    SignRecover,
    /// `C_VerifyInit`.
    Verify,
    /// `C_VerifyRecoverInit`.
    VerifyRecover,
    /// `C_VerifySignatureInit`: a verification whose signature is known first.
    VerifySignature,
    /// `C_MessageEncryptInit`.
    MessageEncrypt,
    /// `C_MessageDecryptInit`.
    MessageDecrypt,
    /// `C_MessageSignInit`.
    MessageSign,
    /// `C_MessageVerifyInit`.
    MessageVerify,
    /// `C_FindObjectsInit`.
    Search,
}

/// The four pairs the dual-function calls work on (PKCS#11 v3.1, "Dual-function cryptographic
/// functions"). Everything else is alone in its session.
const PAIRS: [(Kind, Kind); 4] = [
    (Kind::Digest, Kind::Encrypt),
    (Kind::Decrypt, Kind::Digest),
    (Kind::Sign, Kind::Encrypt),
    (Kind::Decrypt, Kind::Verify),
];

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::Digest,
        Self::Sign,
        Self::SignRecover,
        Self::Verify,
        Self::VerifyRecover,
        Self::VerifySignature,
        Self::MessageEncrypt,
        Self::MessageDecrypt,
        Self::MessageSign,
        Self::MessageVerify,
        Self::Search,
    ];

    /// Whether `self` may begin beside what is active already.
    pub fn may_begin_beside(self, mut active: impl Iterator<Item = Self>) -> bool {
        match (active.next(), active.next()) {
            (None, _) => true,
            (Some(other), None) => PAIRS.contains(&(self, other)) || PAIRS.contains(&(other, self)),
            (Some(_), Some(_)) => false,
        }
    }

    /// The flag that names it in `C_SessionCancel`. Both ways to verify have the same.
    pub fn flag(self) -> CK_FLAGS {
        match self {
            Self::Encrypt => CKF_ENCRYPT,
            Self::Decrypt => CKF_DECRYPT,
            Self::Digest => CKF_DIGEST,
            Self::Sign => CKF_SIGN,
            Self::SignRecover => CKF_SIGN_RECOVER,
            Self::Verify | Self::VerifySignature => CKF_VERIFY,
            Self::VerifyRecover => CKF_VERIFY_RECOVER,
            Self::MessageEncrypt => CKF_MESSAGE_ENCRYPT,
            Self::MessageDecrypt => CKF_MESSAGE_DECRYPT,
            Self::MessageSign => CKF_MESSAGE_SIGN,
            Self::MessageVerify => CKF_MESSAGE_VERIFY,
            Self::Search => CKF_FIND_OBJECTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_four_pairs_stand_together() {
        let mut together = 0;
        for a in Kind::ALL {
            assert!(a.may_begin_beside([].into_iter()));
            for b in Kind::ALL {
                assert_eq!(
                    a.may_begin_beside([b].into_iter()),
                    b.may_begin_beside([a].into_iter()),
                );
                together += usize::from(a.may_begin_beside([b].into_iter()));
                for c in Kind::ALL {
                    assert!(!a.may_begin_beside([b, c].into_iter()));
                }
            }
        }
        assert_eq!(together, 8, "four pairs, each in two orders");
    }
}
