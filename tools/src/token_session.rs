//! A session with one token: PKCS#11's calls with Rust's manners. Everything here goes through the
//! module's own rules, as any application's calls do.

use std::cell::OnceCell;

use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;
use hierarkey::error::{Error, Result as ModuleResult};
use hierarkey::mechanism::parameter::{MechanismChoice, Parameter};
use hierarkey::object::template::{AttributeAnswer, RawAttribute};
use hierarkey::provider::{Call, with_session};
use hierarkey::session::operation::{Delivery, Destination};
use hierarkey::slot::slot_of;
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind, Result};
use crate::pin::Source;
use crate::slot::Slot;
use crate::turn::Turn;

pub type Handle = CK_OBJECT_HANDLE;

/// A read/write session, closed with its value.
pub struct Session<'a> {
    admin: &'a Admin,
    pub slot: Slot,
    handle: CK_SESSION_HANDLE,
    /// The user's PIN, for keys that ask for it at each use.
    pin: Option<Zeroizing<Vec<u8>>>,
    /// Asked once: each time would be a command of the TPM's.
    facts: OnceCell<TokenFacts>,
}

/// An attribute that is a CK_BBOOL.
pub fn flag(kind: CK_ATTRIBUTE_TYPE, on: bool) -> RawAttribute {
    RawAttribute::bytes(kind, [u8::from(on)])
}

/// An attribute that is a CK_ULONG.
pub fn ulong(kind: CK_ATTRIBUTE_TYPE, number: CK_ULONG) -> RawAttribute {
    RawAttribute::bytes(kind, number.to_ne_bytes())
}

/// Any other.
pub fn bytes(kind: CK_ATTRIBUTE_TYPE, value: impl Into<Vec<u8>>) -> RawAttribute {
    RawAttribute::bytes(kind, value)
}

/// A mechanism without a parameter.
pub fn plain(ckm: CK_MECHANISM_TYPE) -> MechanismChoice {
    MechanismChoice { ckm, parameter: Parameter::None }
}

/// What a token says of itself.
pub struct TokenFacts {
    pub label: String,
    pub serial: String,
    pub manufacturer: String,
    pub model: String,
}

impl<'a> Session<'a> {
    /// Opens one on the token in `slot`; a slot without a token is a failure.
    pub fn open(admin: &'a Admin, slot: Slot) -> Result<Self> {
        let session = Self::open_any(admin, slot)?;
        // Found out before a PIN is asked for: later calls would tell it as an error of the TPM's.
        match admin.check_token(slot.hierarchy()) {
            Err(error) if error.ck_rv() == CKR_TOKEN_NOT_RECOGNIZED => return Err(error.into()),
            _ => {}
        }
        session.facts()?;
        Ok(session)
    }

    /// The same whether or not there is a token.
    pub fn open_any(admin: &'a Admin, slot: Slot) -> Result<Self> {
        let id = slot_of(slot.hierarchy());
        let opened = admin.provider().open_session(id, CKF_SERIAL_SESSION | CKF_RW_SESSION);
        let handle = opened.map_err(|error| why_absent(admin, error))?;
        Ok(Self { admin, slot, handle, pin: None, facts: OnceCell::new() })
    }

    /// The same with the user logged in.
    pub fn of_user(admin: &'a Admin, slot: Slot, pin: &Source) -> Result<Self> {
        let mut session = Self::open(admin, slot)?;
        session.login_user(pin)?;
        Ok(session)
    }

    pub fn login_user(&mut self, pin: &Source) -> Result<()> {
        let pin = pin.read()?;
        self.login(CKU_USER, &pin)?;
        self.pin = Some(pin);
        Ok(())
    }

    pub fn login(&self, who: CK_USER_TYPE, pin: &[u8]) -> Result<()> {
        self.call(|call| call.login(who, pin)).map_err(|error| self.about_pin(who, error))
    }

    /// Looks at what is on the token and changes it while no other `hierarkey` does.
    pub fn turn(&self) -> Turn {
        Turn::take(self.admin)
    }

    /// A failure about a PIN says how many tries are left.
    pub fn about_pin(&self, who: CK_USER_TYPE, error: Error) -> Failure {
        if error.ck_rv() != CKR_PIN_INCORRECT {
            return error.into();
        }
        let whose = if who == CKU_SO { "security officer's PIN" } else { "PIN" };
        let left = self.admin.tpm().ok().map(|(_, status)| {
            (status.max_auth_fail.saturating_sub(status.lockout_counter), status.max_auth_fail)
        });
        let message = match left {
            Some((left, of)) => format!("the {whose} is wrong: {left} of {of} tries are left"),
            None => format!("the {whose} is wrong"),
        };
        Failure::new(Kind::Pin, message)
    }

    /// Runs one call of the module's.
    pub fn call<T>(&self, body: impl FnOnce(&mut Call<'_>) -> ModuleResult<T>) -> ModuleResult<T> {
        with_session(self.handle, body)
    }

    /// The token's names; a slot without a token is a failure.
    pub fn facts(&self) -> Result<&TokenFacts> {
        match self.facts.get() {
            Some(facts) => Ok(facts),
            None => self.ask_facts().map(|facts| self.facts.get_or_init(|| facts)),
        }
    }

    fn ask_facts(&self) -> Result<TokenFacts> {
        let info = self.admin.provider().token_info(slot_of(self.slot.hierarchy()));
        let info = info.map_err(|error| why_absent(self.admin, error))?;
        if info.flags & CKF_TOKEN_INITIALIZED == 0 {
            // The module shows a store that it cannot read as an empty slot; here the reason counts.
            self.admin.store_readable()?;
            return Err(Error::new(CKR_TOKEN_NOT_INITIALIZED, "no token").into());
        }
        let text = |field: &[u8]| String::from_utf8_lossy(field).trim_end().to_owned();
        Ok(TokenFacts {
            label: text(&info.label),
            serial: text(&info.serialNumber),
            manufacturer: text(&info.manufacturerID),
            model: text(&info.model),
        })
    }

    /// All objects that match.
    pub fn find(&self, template: Vec<RawAttribute>) -> Result<Vec<Handle>> {
        let found = self.call(|call| {
            call.find_init(template)?;
            let mut found = Vec::new();
            loop {
                let more = call.find(64)?;
                if more.is_empty() {
                    break;
                }
                found.extend(more);
            }
            call.find_final()?;
            Ok(found)
        });
        Ok(found?)
    }

    /// An attribute's value; `None` where the object has none or does not show it.
    pub fn attribute(&self, object: Handle, kind: CK_ATTRIBUTE_TYPE) -> Result<Option<Vec<u8>>> {
        let mut answers = self.call(|call| call.attribute_values(object, &[kind]))?;
        Ok(match answers.pop() {
            Some(AttributeAnswer::Value(value)) => Some(value),
            _ => None,
        })
    }

    pub fn number(&self, object: Handle, kind: CK_ATTRIBUTE_TYPE) -> Result<Option<CK_ULONG>> {
        let value = self.attribute(object, kind)?;
        Ok(value.and_then(|value| Some(CK_ULONG::from_ne_bytes(value.try_into().ok()?))))
    }

    pub fn is_set(&self, object: Handle, kind: CK_ATTRIBUTE_TYPE) -> Result<bool> {
        Ok(self.attribute(object, kind)?.as_deref() == Some(&[1]))
    }

    pub fn text(&self, object: Handle, kind: CK_ATTRIBUTE_TYPE) -> Result<String> {
        let value = self.attribute(object, kind)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&value).into_owned())
    }

    /// Creates objects of the token, all or none.
    pub fn create_all(&self, templates: &[Vec<RawAttribute>]) -> Result<Vec<Handle>> {
        Ok(self.call(|call| call.create_objects(templates))?)
    }

    /// Takes back what a command made before it failed.
    pub fn destroy_all(&self, objects: &[Handle]) {
        for object in objects {
            let _ = self.call(|call| call.destroy_object(*object));
        }
    }

    /// Destroys objects, all or none.
    pub fn destroy(&self, objects: &[Handle]) -> Result<()> {
        Ok(self.call(|call| call.destroy_objects(objects))?)
    }

    /// Changes attributes of all of these objects, or of none.
    pub fn set(&self, objects: &[Handle], template: Vec<RawAttribute>) -> Result<()> {
        Ok(self.call(|call| call.set_attribute_values_of_all(objects, template))?)
    }

    /// What a key that asks for the PIN at each use wants before the use.
    fn approve(&self, key: Handle) -> Result<()> {
        if self.is_set(key, CKA_ALWAYS_AUTHENTICATE)? {
            let pin = self.pin.clone().unwrap_or_default();
            self.login(CKU_CONTEXT_SPECIFIC, &pin)?;
        }
        Ok(())
    }

    pub fn sign(&self, choice: MechanismChoice, key: Handle, data: &[u8]) -> Result<Vec<u8>> {
        let mut signature = Vec::new();
        self.call(|call| call.sign_init(Some(choice), key))?;
        self.approve(key)?;
        self.call(|call| call.sign(data, Sink(&mut signature)))?;
        Ok(signature)
    }

    pub fn verify(
        &self,
        choice: MechanismChoice,
        key: Handle,
        data: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        Ok(self.call(|call| {
            call.verify_init(Some(choice), key)?;
            call.verify(data, signature)
        })?)
    }

    pub fn encrypt(&self, choice: MechanismChoice, key: Handle, data: &[u8]) -> Result<Vec<u8>> {
        let mut result = Vec::new();
        self.call(|call| {
            call.encrypt_init(Some(choice), key)?;
            call.encrypt(data, Sink(&mut result))
        })?;
        Ok(result)
    }

    pub fn decrypt(&self, choice: MechanismChoice, key: Handle, data: &[u8]) -> Result<Vec<u8>> {
        let mut result = Vec::new();
        self.call(|call| call.decrypt_init(Some(choice), key))?;
        self.approve(key)?;
        self.call(|call| call.decrypt(data, Sink(&mut result)))?;
        Ok(result)
    }

    /// What a key and another's public point come to (CKM_ECDH1_DERIVE without a KDF); empty where
    /// the module gives none away.
    pub fn agree(&self, private: Handle, public: Vec<u8>) -> Result<Vec<u8>> {
        let parameter = Parameter::Ecdh { kdf: CKD_NULL, shared: Vec::new(), public };
        let choice = MechanismChoice { ckm: CKM_ECDH1_DERIVE, parameter };
        let template = vec![
            ulong(CKA_CLASS, CKO_SECRET_KEY),
            ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
            flag(CKA_TOKEN, false),
            flag(CKA_SENSITIVE, false),
            flag(CKA_EXTRACTABLE, true),
        ];
        let made = self.call(|call| {
            call.derive_keys(&choice, private, &[template]).map_err(|refused| refused.error)
        })?;
        match made.as_slice() {
            [secret] => Ok(self.attribute(*secret, CKA_VALUE)?.unwrap_or_default()),
            _ => Ok(Vec::new()),
        }
    }

    /// Random bytes of the TPM.
    pub fn random(&self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len);
        self.call(|call| call.generate_random(len, &mut |part| bytes.extend_from_slice(part)))?;
        Ok(bytes)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let _ = self.admin.provider().close_session(self.handle);
    }
}

/// The module says only that no token is there; the TPM's or the store's own failure says why.
pub fn why_absent(admin: &Admin, error: Error) -> Failure {
    if error.ck_rv() == CKR_TOKEN_NOT_PRESENT {
        if let Err(cause) = admin.tpm() {
            return no_tpm(admin, &cause);
        }
        if let Err(cause) = admin.store_readable() {
            return cause.into();
        }
    }
    error.into()
}

/// The TPM does not answer.
pub fn no_tpm(admin: &Admin, cause: &Error) -> Failure {
    let kind = if cause.is_denied() { Kind::Denied } else { Kind::NoTpm };
    let address = admin.tpm_address();
    Failure::new(
        kind,
        format!("the TPM at {address} does not answer: {cause}; `hierarkey doctor` says more"),
    )
}

/// A result that takes what room it needs.
struct Sink<'a>(&'a mut Vec<u8>);

impl Destination for Sink<'_> {
    fn fill(
        self,
        _needed: usize,
        produce: impl FnOnce() -> ModuleResult<Vec<u8>>,
    ) -> ModuleResult<Delivery> {
        *self.0 = produce()?;
        Ok(Delivery::Written)
    }

    fn fill_once(
        self,
        made: &mut Option<Zeroizing<Vec<u8>>>,
        _bound: usize,
        _least: usize,
        produce: impl FnOnce() -> ModuleResult<Zeroizing<Vec<u8>>>,
    ) -> ModuleResult<Delivery> {
        let result = match made.take() {
            Some(result) => result,
            None => produce()?,
        };
        *self.0 = result.to_vec();
        Ok(Delivery::Written)
    }
}
