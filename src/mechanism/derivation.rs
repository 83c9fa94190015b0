//! Derivation of secrets from a key.

use cryptoki_sys::{CK_OBJECT_HANDLE, CKM_HKDF_DATA};

use super::derivation_parameter::Salt;
use super::parameter::{Checked, MechanismChoice};
use super::row::{BaseValue, Derive};
use super::task::{KeyFacts, Task, required};
use crate::error::{Error, Result};
use crate::tpm::{Abilities, PrivateKey, SecretBytes};

/// A derivation about to be made.
pub struct Deriving {
    task: Task,
    derive: Derive,
}

/// The keys of a derivation.
pub struct Keys<'a> {
    /// The base key.
    pub base: &'a mut dyn PrivateKey,
    /// Those that [`other_keys`](Deriving::other_keys) named, in that order.
    pub others: Vec<Box<dyn PrivateKey + 'a>>,
}

/// A key that the parameter names beside the base key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherKey {
    /// Its handle.
    pub handle: CK_OBJECT_HANDLE,
    /// What is made of it.
    pub value: BaseValue,
}

/// What a derived key takes over of the attributes CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE
/// where there are several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherits {
    /// Those of the base key.
    Base,
    /// What is true of every key.
    All,
    /// What is true of one of the keys; and CKA_SENSITIVE and CKA_EXTRACTABLE of the base key, where
    /// the template does not say.
    Any,
}

impl Deriving {
    /// Errors: `CKR_MECHANISM_INVALID` (unknown, not offered, does not derive),
    /// `CKR_MECHANISM_PARAM_INVALID`, `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_SIZE_RANGE`.
    ///
    /// PKCS#11 v3.1, C_DeriveKey.
    pub fn new(choice: &MechanismChoice, abilities: &Abilities, key: &KeyFacts) -> Result<Self> {
        let task = Task::new(choice, abilities, key)?;
        let derive = required(task.row, task.row.derive, "derive")?;
        Ok(Self { task, derive })
    }

    /// The keys that the parameter names.
    pub fn other_keys(&self) -> Vec<OtherKey> {
        let key = |handle, value| OtherKey { handle, value };
        match &self.task.parameter {
            Checked::KeyHandle(handle) => vec![key(*handle, BaseValue::Shown)],
            Checked::Hkdf(hkdf) => match hkdf.salt {
                Salt::Key(handle) => vec![key(handle, BaseValue::Stays)],
                _ => Vec::new(),
            },
            Checked::Kdf(kdf) => kdf.keys().map(|h| key(h, BaseValue::Digested)).collect(),
            _ => Vec::new(),
        }
    }

    /// What becomes of the base key's value.
    pub fn base_value(&self) -> BaseValue {
        match &self.task.parameter {
            Checked::Hkdf(hkdf) if hkdf.extract => BaseValue::Digested,
            _ => self.task.row.base_value,
        }
    }

    /// What a derived key takes over.
    pub fn inherits(&self) -> Inherits {
        match &self.task.parameter {
            Checked::KeyHandle(_) => Inherits::All,
            Checked::Kdf(_) => Inherits::Any,
            _ => Inherits::Base,
        }
    }

    /// Whether it makes a data object, not a key.
    pub fn makes_data(&self) -> bool {
        self.task.row.ckm == CKM_HKDF_DATA
    }

    /// A secret for each of `lens`, of so many bytes where that is said. More than one is asked of
    /// mechanisms that take additional keys only.
    ///
    /// Errors: `CKR_KEY_SIZE_RANGE` for more than there is; `CKR_TEMPLATE_INCOMPLETE` where the
    /// mechanism gives any number of bytes; those of the TPM.
    pub fn derive(&self, lens: &[Option<usize>], keys: &mut Keys<'_>) -> Result<Vec<SecretBytes>> {
        match self.derive {
            Derive::One(derive) => match lens {
                [len] => derive(&self.task, *len, keys.base).map(|made| vec![made]),
                _ => Err(Error::bug("several keys of a mechanism that makes one")),
            },
            Derive::Several(derive) => derive(&self.task, lens, keys),
        }
    }
}
