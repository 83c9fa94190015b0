//! Keys derived from others.

use cryptoki_sys::*;

use crate::error::{Error, Result};
use crate::mechanism::parameter::MechanismChoice;
use crate::mechanism::{BaseValue, Deriving, Inherits, Keys};
use crate::object::secret_key::wanted_len;
use crate::object::template::{RawAttribute, template};
use crate::object::value::{AttributeSet, Value};
use crate::object::{Path, nested, new_object};
use crate::session::Call;
use crate::session::draft::Draft;
use crate::session::key::{BoundKey, DERIVE, Usable};
use crate::tpm::{PrivateKey, SECRET, SecretBytes};

/// What is to be made, before there is a value.
struct Plan {
    object: AttributeSet,
    /// Bytes of the value, where the template settles it.
    len: Option<usize>,
}

/// What the attributes of new keys follow from.
struct Origin<'a> {
    deriving: &'a Deriving,
    base: &'a AttributeSet,
    others: &'a [Usable],
}

/// Why nothing was derived.
pub struct NotDerived {
    /// The failure.
    pub error: Error,
    /// The number of the template that it is about, if it is about one.
    pub template: Option<usize>,
}

impl From<Error> for NotDerived {
    fn from(error: Error) -> Self {
        Self { error, template: None }
    }
}

impl NotDerived {
    fn template(at: usize) -> impl Fn(Error) -> Self {
        move |error| Self { error, template: Some(at) }
    }
}

impl Call<'_> {
    /// Derives a secret key from the key `base` for each of `templates`, all or none; the first is
    /// the one that every mechanism makes. PKCS#11 v3.1, C_DeriveKey.
    ///
    /// Errors: the templates'; `CKR_KEY_HANDLE_INVALID`, `CKR_KEY_TYPE_INCONSISTENT` (its type,
    /// CKA_DERIVE, or a value that does not leave the TPM), `CKR_KEY_SIZE_RANGE`,
    /// `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`.
    pub fn derive_keys(
        &mut self,
        choice: &MechanismChoice,
        base: CK_OBJECT_HANDLE,
        templates: &[Vec<RawAttribute>],
    ) -> std::result::Result<Vec<CK_OBJECT_HANDLE>, NotDerived> {
        let base = self.usable_key(base, choice, DERIVE).map_err(told)?;
        let deriving = Deriving::new(choice, &base.abilities, &base.facts)?;
        may_leave(&base.object.attributes, deriving.base_value())?;
        let mut others = Vec::new();
        for other in deriving.other_keys() {
            let key = self.usable_key(other.handle, choice, DERIVE).map_err(told)?;
            may_leave(&key.object.attributes, other.value)?;
            others.push(key);
        }
        let origin = Origin { deriving: &deriving, base: &base.object.attributes, others: &others };
        let mut plans = Vec::with_capacity(templates.len());
        for (at, raw) in templates.iter().enumerate() {
            plans.push(self.plan(&origin, raw).map_err(NotDerived::template(at))?);
        }
        let lens: Vec<_> = plans.iter().map(|plan| plan.len).collect();
        let base = self.bind(base.object)?;
        let others: Vec<_> =
            others.into_iter().map(|key| self.bind(key.object)).collect::<Result<_>>()?;
        let values = self.secrets(&deriving, &lens, &base, &others)?;
        let mut drafts = Vec::with_capacity(plans.len());
        for (at, (plan, value)) in plans.into_iter().zip(values).enumerate() {
            drafts.push(self.derived(plan, &value).map_err(NotDerived::template(at))?);
        }
        Ok(self.add(drafts)?)
    }

    fn secrets(
        &self,
        deriving: &Deriving,
        lens: &[Option<usize>],
        base: &BoundKey,
        others: &[BoundKey],
    ) -> Result<Vec<SecretBytes>> {
        let engine = &self.provider.engine;
        let mut base = base.in_tpm(engine);
        let others = others
            .iter()
            .map(|key| Box::new(key.in_tpm(engine)) as Box<dyn PrivateKey + '_>)
            .collect();
        deriving.derive(lens, &mut Keys { base: &mut base, others })
    }

    /// The object that the template `raw` describes, as far as it follows from its origin.
    fn plan(&self, origin: &Origin<'_>, raw: &[RawAttribute]) -> Result<Plan> {
        let mut given = nested::add(origin.base, CKA_DERIVE_TEMPLATE, template(raw)?)?;
        if origin.deriving.makes_data() {
            return self.plan_data(origin, given);
        }
        origin.guard(&mut given)?;
        let path = Path::Derive {
            always_sensitive: origin.is(CKA_ALWAYS_SENSITIVE),
            never_extractable: origin.is(CKA_NEVER_EXTRACTABLE),
        };
        let object = new_object(path, &given, self.actor())?;
        nested::check_added(origin.base, CKA_DERIVE_TEMPLATE, &object)?;
        let len = said_len(&object)?;
        Ok(Plan { object, len })
    }

    /// A data object. Its template says how long the value is by CKA_VALUE_LEN, as if it were a key.
    /// PKCS#11 v3.2, "HKDF Data".
    fn plan_data(&self, origin: &Origin<'_>, mut given: AttributeSet) -> Result<Plan> {
        let class = Value::Ulong(CKO_DATA);
        if given.has(CKA_VALUE)
            || given.insert(CKA_CLASS, class.clone()).is_some_and(|c| c != class)
        {
            let why = "the mechanism makes a data object, and its value";
            return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, why));
        }
        let len = given.ulong(CKA_VALUE_LEN).map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        given.remove(CKA_VALUE_LEN);
        let object = new_object(Path::Create, &given, self.actor())?;
        nested::check_added(origin.base, CKA_DERIVE_TEMPLATE, &object)?;
        Ok(Plan { object, len })
    }

    fn derived(&self, plan: Plan, value: &[u8]) -> Result<Draft> {
        let Plan { mut object, .. } = plan;
        if object.class() == Some(CKO_DATA) {
            object.insert(CKA_VALUE, Value::bytes(value));
            return Ok(Draft::plain(object));
        }
        self.draft_of_value(object, value)
    }
}

impl Origin<'_> {
    /// What the mechanism says of CKA_SENSITIVE and CKA_EXTRACTABLE, said in the template `given`.
    ///
    /// Errors: `CKR_TEMPLATE_INCONSISTENT`.
    fn guard(&self, given: &mut AttributeSet) -> Result<()> {
        let shows = self.deriving.base_value() == BaseValue::Shown;
        let sensitive = self.each().any(|key| key.is_true(CKA_SENSITIVE));
        let yes = Value::Bool(true);
        // What shows a sensitive value is as sensitive.
        if shows
            && sensitive
            && given.insert(CKA_SENSITIVE, yes.clone()).is_some_and(|said| said != yes)
        {
            let why = "a key derived from a sensitive one is sensitive";
            return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, why));
        }
        if self.deriving.inherits() == Inherits::Any {
            for cka in [CKA_SENSITIVE, CKA_EXTRACTABLE] {
                if !given.has(cka) {
                    given.insert(cka, Value::Bool(self.base.is_true(cka)));
                }
            }
        }
        Ok(())
    }

    /// What new keys take over of the attribute `cka`.
    fn is(&self, cka: CK_ATTRIBUTE_TYPE) -> bool {
        match self.deriving.inherits() {
            Inherits::Base => self.base.is_true(cka),
            Inherits::All => self.each().all(|key| key.is_true(cka)),
            Inherits::Any => self.each().any(|key| key.is_true(cka)),
        }
    }

    /// The keys that it comes from.
    fn each(&self) -> impl Iterator<Item = &AttributeSet> {
        [self.base].into_iter().chain(self.others.iter().map(|key| &key.object.attributes))
    }
}

/// How long the template says that the key is.
///
/// Errors: `CKR_KEY_SIZE_RANGE` for longer than any, and for nothing at all;
/// `CKR_TEMPLATE_INCOMPLETE` for a key of several lengths without one.
pub(super) fn said_len(object: &AttributeSet) -> Result<Option<usize>> {
    if object.key_type() != Some(CKK_AES) && !object.has(CKA_VALUE_LEN) {
        return Ok(None);
    }
    let len = wanted_len(object, None)?;
    if !(1..=SECRET).contains(&len) {
        return Err(Error::new(CKR_KEY_SIZE_RANGE, "no secret key is of this length"));
    }
    Ok(Some(len))
}

/// Whether the value of `key` may leave the TPM, where that is what becomes of it. One that leaves
/// under trusted keys only would leave as a part of another key, which any key wraps.
fn may_leave(key: &AttributeSet, value: BaseValue) -> Result<()> {
    let may = match value {
        BaseValue::Stays => true,
        BaseValue::Digested => key.is_true(CKA_EXTRACTABLE),
        BaseValue::Shown => key.is_true(CKA_EXTRACTABLE) && !key.is_true(CKA_WRAP_WITH_TRUSTED),
    };
    if may {
        return Ok(());
    }
    Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, "the key's value does not leave the TPM"))
}

/// `C_DeriveKey` has no code of its own for a key that is not for it.
fn told(error: Error) -> Error {
    error.retold(&[CKR_KEY_FUNCTION_NOT_PERMITTED], CKR_KEY_TYPE_INCONSISTENT)
}
