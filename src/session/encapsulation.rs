//! Keys that are made with a public key, for who has the private one.

use cryptoki_sys::*;

use crate::error::{Error, Result};
use crate::mechanism::parameter::MechanismChoice;
use crate::mechanism::{
    self, Deriving, Encapsulated, Encapsulating, Keys, opens_by_deriving, with_ciphertext,
};
use crate::object::template::{RawAttribute, template};
use crate::object::{Path, nested, new_object};
use crate::session::Call;
use crate::session::deriving::said_len;
use crate::session::key::{DECAPSULATE, ENCAPSULATE};
use crate::session::operation::Destination;
use crate::session::wrapping::{Opening, UNWRAPPING, leaving, told};

/// Neither key was always in a TPM: what it is made of was outside.
const PATH: Path = Path::Derive { always_sensitive: false, never_extractable: false };

impl Call<'_> {
    /// Makes a secret key with the public key `key`, and gives out the ciphertext from which the
    /// private key makes it too. Without room for that there is no key. PKCS#11 v3.2,
    /// C_EncapsulateKey.
    ///
    /// Errors: the template's; `CKR_KEY_HANDLE_INVALID` (also where CKA_ENCAPSULATE_TEMPLATE does
    /// not fit), `CKR_KEY_TYPE_INCONSISTENT`, `CKR_KEY_FUNCTION_NOT_PERMITTED`,
    /// `CKR_KEY_SIZE_RANGE`, `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    pub fn encapsulate_key(
        &mut self,
        choice: &MechanismChoice,
        key: CK_OBJECT_HANDLE,
        raw: &[RawAttribute],
        ciphertext: impl Destination,
    ) -> Result<Option<CK_OBJECT_HANDLE>> {
        let with = self.usable_key(key, choice, ENCAPSULATE)?;
        let encapsulating = Encapsulating::new(choice, &with.abilities, &with.facts)?;
        let object = new_object(PATH, &leaving(template(raw)?), self.actor())?;
        if !nested::fits(&with.object.attributes, CKA_ENCAPSULATE_TEMPLATE, &object) {
            let why = "CKA_ENCAPSULATE_TEMPLATE wants another key";
            return Err(Error::new(CKR_KEY_HANDLE_INVALID, why));
        }
        let len = said_len(&object)?;
        let mut made = None;
        ciphertext.fill(encapsulating.ciphertext_len(), || {
            let Encapsulated { ciphertext, secret } = encapsulating
                .run(len)
                .map_err(|error| error.retold(&[CKR_DATA_LEN_RANGE], CKR_KEY_SIZE_RANGE))?;
            let draft = self.draft_of_value(object, &secret)?;
            made = Some(self.add_one(draft)?);
            Ok(ciphertext)
        })?;
        Ok(made)
    }

    /// Makes the secret key that `ciphertext` was made with, by the private key `key`. PKCS#11 v3.2,
    /// C_DecapsulateKey.
    ///
    /// Errors: the template's; `CKR_UNWRAPPING_KEY_HANDLE_INVALID`,
    /// `CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT` (its type, or CKA_DECAPSULATE),
    /// `CKR_WRAPPED_KEY_LEN_RANGE`, `CKR_WRAPPED_KEY_INVALID`, `CKR_MECHANISM_INVALID`,
    /// `CKR_MECHANISM_PARAM_INVALID`.
    pub fn decapsulate_key(
        &mut self,
        choice: &MechanismChoice,
        key: CK_OBJECT_HANDLE,
        ciphertext: &[u8],
        raw: &[RawAttribute],
    ) -> Result<CK_OBJECT_HANDLE> {
        let abilities = self.provider.abilities(self.cell.hierarchy)?;
        let given = template(raw)?;
        if !mechanism::find(choice.ckm, &abilities).is_ok_and(opens_by_deriving) {
            let opening =
                Opening { usage: DECAPSULATE, template: CKA_DECAPSULATE_TEMPLATE, path: PATH };
            return self.open_key(&opening, choice, key, ciphertext, given);
        }
        let with =
            self.usable_key(key, choice, DECAPSULATE).map_err(|error| told(error, &UNWRAPPING))?;
        let opened = with_ciphertext(choice, ciphertext)?;
        let deriving = Deriving::new(&opened, &with.abilities, &with.facts).map_err(|error| {
            match error.ck_rv() {
                // The rest of the parameter was good: it is the ciphertext.
                CKR_MECHANISM_PARAM_INVALID => error.told_as(CKR_WRAPPED_KEY_INVALID),
                _ => told(error, &UNWRAPPING),
            }
        })?;
        let attributes = &with.object.attributes;
        let given = nested::add(attributes, CKA_DECAPSULATE_TEMPLATE, given)?;
        let object = new_object(PATH, &leaving(given), self.actor())?;
        nested::check_added(attributes, CKA_DECAPSULATE_TEMPLATE, &object)?;
        let len = said_len(&object).map_err(of_wrapped)?;
        let key = self.bind(with.object)?;
        let mut base = key.in_tpm(&self.provider.engine);
        let mut keys = Keys { base: &mut base, others: Vec::new() };
        let secrets = deriving.derive(&[len], &mut keys).map_err(of_wrapped)?;
        let secret = secrets.first().ok_or_else(|| Error::bug("nothing was derived"))?;
        let draft = self.draft_of_value(object, secret).map_err(of_wrapped)?;
        self.add_one(draft)
    }
}

/// What is wrong with the length, in this function's words.
fn of_wrapped(error: Error) -> Error {
    error.retold(&[CKR_KEY_SIZE_RANGE], CKR_WRAPPED_KEY_LEN_RANGE)
}
