//! Private keys that come from outside.

use cryptoki_sys::{CKR_ATTRIBUTE_VALUE_INVALID, CKR_CURVE_NOT_SUPPORTED, CKR_KEY_SIZE_RANGE};

use crate::error::{Error, Result};
use crate::object::private_key::take_private_key;
use crate::object::public;
use crate::object::value::AttributeSet;
use crate::session::Call;
use crate::session::draft::Draft;
use crate::session::key_management::key_template;
use crate::tpm::{Abilities, KeyKind, KeyTemplate, Tpm};

impl Call<'_> {
    /// A draft of the private key whose values `object` has.
    ///
    /// Errors: those of [`take_private_key`]; `CKR_ATTRIBUTE_VALUE_INVALID` or
    /// `CKR_CURVE_NOT_SUPPORTED` for a key that this TPM does not have.
    pub(super) fn draft_private_key(&self, mut object: AttributeSet) -> Result<Draft> {
        let key = take_private_key(&mut object)?;
        let abilities = self.provider.abilities(self.cell.hierarchy)?;
        let kind = offered(public::kind(&key.public), &abilities)?;
        if object.is_token() {
            self.provider.check_writable()?;
        }
        let template = KeyTemplate {
            policy: self.key_policy(&object)?,
            ..key_template(kind, &object, &abilities)
        };
        self.draft_key(object, |provider, token, auth| {
            let imported =
                provider.engine.turn()?.import_key(&token.primary, &template, &key, auth);
            imported
                .map_err(|error| error.retold(&[CKR_KEY_SIZE_RANGE], CKR_ATTRIBUTE_VALUE_INVALID))
        })
    }
}

fn offered(kind: Option<KeyKind>, abilities: &Abilities) -> Result<KeyKind> {
    match kind {
        Some(KeyKind::Ec(curve)) if !abilities.has_curve(curve) => {
            Err(Error::new(CKR_CURVE_NOT_SUPPORTED, "the TPM has no keys on this curve"))
        }
        Some(KeyKind::Rsa { bits }) if !abilities.rsa_bits.contains(&bits) => Err(Error::new(
            CKR_ATTRIBUTE_VALUE_INVALID,
            "the TPM has no RSA keys with a modulus of this length",
        )),
        Some(kind) => Ok(kind),
        None => Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "no TPM has so long a modulus")),
    }
}
