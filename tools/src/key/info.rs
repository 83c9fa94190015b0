//! A key as its objects show it: private and public half and certificates hang together by CKA_ID.

use hierarkey::cryptoki::*;
use hierarkey::error::Error;
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::name::Name;
use crate::token_session::{Handle, Session, bytes, flag, ulong};
use crate::uri::{self, Part};

/// A key.
#[derive(Serialize, JsonSchema, Clone)]
pub struct KeyInfo {
    pub label: String,
    /// CKA_ID in hexadecimal.
    pub id: String,
    /// "rsa-2048", "ec-p256", "aes-256", "hmac-256" and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the private or secret key was seen: false also without a login.
    pub private: bool,
    /// Whether its public key is on the token.
    pub public: bool,
    /// How many certificates have its id.
    pub certificates: usize,
    /// What the key is for, as far as it was seen: "sign", "decrypt", "derive", "unwrap".
    pub uses: Vec<String>,
    /// Whether the TPM itself made it: false means that it existed outside. Null where the private
    /// key was not seen.
    pub made_in_tpm: Option<bool>,
    /// Whether it may leave the TPM. Null where the private key was not seen.
    pub extractable: Option<bool>,
    /// Whether each use asks for the PIN again. Null where the private key was not seen.
    pub always_authenticate: Option<bool>,
    pub uri: String,
}

/// The objects of one key.
#[derive(Clone, Default)]
pub struct Key {
    pub private: Option<Handle>,
    pub public: Option<Handle>,
    pub secret: Option<Handle>,
    pub certificates: Vec<Handle>,
    pub id: Vec<u8>,
    pub label: String,
}

/// The uses of a private or secret key, and of its counterpart.
const USES: &[(&str, CK_ATTRIBUTE_TYPE, CK_ATTRIBUTE_TYPE)] = &[
    ("sign", CKA_SIGN, CKA_VERIFY),
    ("decrypt", CKA_DECRYPT, CKA_ENCRYPT),
    ("derive", CKA_DERIVE, CKA_DERIVE),
    ("unwrap", CKA_UNWRAP, CKA_WRAP),
];

impl Key {
    /// The object that has the secret, or else the public key.
    pub fn main(&self) -> Option<Handle> {
        self.private.or(self.secret).or(self.public)
    }

    /// The one that signs and decrypts.
    pub fn private_half(&self, name: &Name) -> Result<Handle> {
        self.private
            .or(self.secret)
            .ok_or_else(|| Failure::not_found(format!("the token has no private key {name}")))
    }

    /// Every object of it but the certificates.
    pub fn objects(&self) -> Vec<Handle> {
        [self.private, self.secret, self.public].into_iter().flatten().collect()
    }

    pub fn info(&self, session: &Session<'_>) -> Result<KeyInfo> {
        let main = self.main().ok_or_else(|| Failure::not_found("the key is gone"))?;
        let inside = self.private.or(self.secret);
        let mut uses = Vec::new();
        for (name, own, counterpart) in USES {
            let seen = match inside {
                Some(key) => session.is_set(key, *own)?,
                // A public key does not tell whether its private one derives.
                None => *own != CKA_DERIVE && session.is_set(main, *counterpart)?,
            };
            if seen {
                uses.push((*name).to_owned());
            }
        }
        let told = |kind| inside.map(|key| session.is_set(key, kind)).transpose();
        let facts = session.facts()?;
        let part = if self.secret.is_some() { Part::SecretKey } else { Part::Private };
        Ok(KeyInfo {
            label: self.label.clone(),
            id: hex::encode(&self.id),
            kind: kind(session, main)?,
            private: inside.is_some(),
            public: self.public.is_some(),
            certificates: self.certificates.len(),
            uses,
            made_in_tpm: told(CKA_LOCAL)?,
            extractable: told(CKA_EXTRACTABLE)?,
            always_authenticate: told(CKA_ALWAYS_AUTHENTICATE)?,
            uri: uri::of_object(facts, &self.id, &self.label, Some(part)),
        })
    }

    /// The public key as DER, from whichever half tells it.
    pub fn public_key_info(&self, session: &Session<'_>) -> Result<Vec<u8>> {
        for half in [self.public, self.private].into_iter().flatten() {
            let info = session.attribute(half, CKA_PUBLIC_KEY_INFO)?.unwrap_or_default();
            if !info.is_empty() {
                return Ok(info);
            }
        }
        Err(Failure::input("a secret key has no public key"))
    }
}

/// "rsa-2048" and so on.
pub fn kind(session: &Session<'_>, object: Handle) -> Result<String> {
    let bits = |attribute| {
        Ok::<_, Failure>(session.attribute(object, attribute)?.unwrap_or_default().len() * 8)
    };
    let secret_bits =
        || Ok::<_, Failure>(session.number(object, CKA_VALUE_LEN)?.unwrap_or_default() * 8);
    Ok(match session.number(object, CKA_KEY_TYPE)?.unwrap_or(CK_UNAVAILABLE_INFORMATION) {
        CKK_RSA => format!("rsa-{}", bits(CKA_MODULUS)?),
        CKK_EC => {
            let params = session.attribute(object, CKA_EC_PARAMS)?.unwrap_or_default();
            let curve = CURVES.iter().find(|(_, der)| *der == params.as_slice());
            format!("ec-{}", curve.map_or("unknown", |(name, _)| name))
        }
        CKK_AES => format!("aes-{}", secret_bits()?),
        CKK_GENERIC_SECRET => format!("hmac-{}", secret_bits()?),
        other => format!("0x{other:x}"),
    })
}

/// Curves and the DER of their names.
pub const CURVES: &[(&str, &[u8])] = &[
    ("p256", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
    ("p384", &[6, 5, 0x2b, 0x81, 4, 0, 0x22]),
    ("p521", &[6, 5, 0x2b, 0x81, 4, 0, 0x23]),
];

/// Every key of the token that this session sees.
pub fn all(session: &Session<'_>) -> Result<Vec<Key>> {
    let mut keys: Vec<Key> = Vec::new();
    for class in [CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY] {
        for object in session.find(vec![ulong(CKA_CLASS, class), flag(CKA_TOKEN, true)])? {
            let id = session.attribute(object, CKA_ID)?.unwrap_or_default();
            let label = session.text(object, CKA_LABEL)?;
            let half = if class == CKO_PUBLIC_KEY && !id.is_empty() {
                keys.iter_mut().find(|key| key.id == id && key.public.is_none())
            } else {
                None
            };
            match (class, half) {
                (CKO_PUBLIC_KEY, Some(key)) => key.public = Some(object),
                (CKO_PUBLIC_KEY, None) => {
                    keys.push(Key { public: Some(object), id, label, ..Key::default() });
                }
                (CKO_SECRET_KEY, _) => {
                    keys.push(Key { secret: Some(object), id, label, ..Key::default() });
                }
                _ => keys.push(Key { private: Some(object), id, label, ..Key::default() }),
            }
        }
    }
    for key in keys.iter_mut().filter(|key| !key.id.is_empty()) {
        key.certificates = session.find(vec![
            ulong(CKA_CLASS, CKO_CERTIFICATE),
            flag(CKA_TOKEN, true),
            bytes(CKA_ID, key.id.clone()),
        ])?;
    }
    Ok(keys)
}

/// The one key called `name`.
pub fn one(session: &Session<'_>, name: &Name) -> Result<Key> {
    let classes = [CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY];
    let objects = name.all(session, &classes)?;
    let named = |key: &&Key| key.objects().iter().any(|object| objects.contains(object));
    let keys = all(session)?;
    let mut found = keys.iter().filter(named);
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key.clone()),
        (None, _) => Err(Failure::not_found(format!(
            "there is no key {name} on the token (`hierarkey key list` has them)"
        ))),
        _ => Err(Failure::not_found(format!(
            "several keys are called {name}: name one by its id: (`hierarkey key list` has them)"
        ))),
    }
}

/// Fails where a key called `label` or with `id` is on the token: two of a name are a trap.
pub fn must_be_new(session: &Session<'_>, label: &str, id: &[u8]) -> Result<()> {
    let classes = [CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY];
    for name in [Name::Label(label.to_owned()), Name::Id(id.to_vec())] {
        if !name.all(session, &classes)?.is_empty() {
            return Err(Failure::input(format!(
                "a key {name} is on the token already: choose another name, or delete that key first"
            )));
        }
    }
    Ok(())
}

/// A refusal by the module of what a key was to be for, if it is one, in the words of the options.
pub fn wrong_use(kind: &str, uses: &[super::generate::Use], error: Error) -> Failure {
    if error.ck_rv() != CKR_TEMPLATE_INCONSISTENT {
        return error.into();
    }
    let uses = uses.iter().map(|one| one.name()).collect::<Vec<_>>().join(" and ");
    Failure::input(format!("no {kind} key is for {uses}: choose another --use ({error})"))
}

/// The attributes that say what a key is for; each is said, so that no default adds a use.
pub fn use_attributes(
    uses: &[super::generate::Use],
    private: bool,
    both: bool,
) -> Vec<hierarkey::object::template::RawAttribute> {
    let mut attributes = Vec::new();
    for (name, own, counterpart) in USES {
        let on = uses.iter().any(|one| one.name() == *name);
        if private {
            attributes.push(flag(*own, on));
        }
        if !private || both {
            // A public key derives nothing.
            if *counterpart != CKA_DERIVE {
                attributes.push(flag(*counterpart, on));
            }
        }
    }
    attributes
}
