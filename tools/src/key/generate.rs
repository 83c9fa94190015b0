//! `hierarkey key generate`.

use clap::{Args, ValueEnum};
use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;
use hierarkey::object::template::RawAttribute;

use super::info::{self, CURVES, Key};
use super::list::KeyReport;
use crate::failure::{Failure, Result};
use crate::name::{self, Id, Name};
use crate::output::Output;
use crate::slot::AsUser;
use crate::token_session::{Handle, Session, bytes, flag, plain, ulong};

#[derive(Args)]
pub struct Arguments {
    /// The key's name
    label: String,
    /// What key to make
    #[arg(long = "type", value_enum, default_value = "ec-p256")]
    kind: KeyType,
    /// What it is for (default: sign; of an AES key: decrypt)
    #[arg(long = "use", value_enum, value_delimiter = ',', value_name = "USE,...")]
    uses: Vec<Use>,
    /// CKA_ID in hexadecimal (default: random)
    #[arg(long, value_parser = name::parse_id, value_name = "HEX")]
    id: Option<Id>,
    /// Ask for the PIN at each use: the TPM itself demands it
    #[arg(long)]
    always_authenticate: bool,
    #[command(flatten)]
    who: AsUser,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyType {
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    EcP256,
    EcP384,
    EcP521,
    #[value(name = "aes-128")]
    Aes128,
    #[value(name = "aes-192")]
    Aes192,
    #[value(name = "aes-256")]
    Aes256,
    #[value(name = "hmac-256")]
    Hmac256,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Use {
    /// Sign; of a secret key: make and check MACs
    Sign,
    /// Decrypt; of a secret key: encrypt too
    Decrypt,
    /// Agree on or derive other keys
    Derive,
    /// Unwrap keys; of a secret key: wrap too
    Unwrap,
}

impl Use {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Decrypt => "decrypt",
            Self::Derive => "derive",
            Self::Unwrap => "unwrap",
        }
    }
}

/// How a type is made.
enum Making {
    Rsa(CK_ULONG),
    Ec(&'static str),
    Secret(CK_MECHANISM_TYPE, CK_KEY_TYPE, CK_ULONG),
}

impl KeyType {
    fn making(self) -> Making {
        match self {
            Self::Rsa2048 => Making::Rsa(2048),
            Self::Rsa3072 => Making::Rsa(3072),
            Self::Rsa4096 => Making::Rsa(4096),
            Self::EcP256 => Making::Ec("p256"),
            Self::EcP384 => Making::Ec("p384"),
            Self::EcP521 => Making::Ec("p521"),
            Self::Aes128 => Making::Secret(CKM_AES_KEY_GEN, CKK_AES, 16),
            Self::Aes192 => Making::Secret(CKM_AES_KEY_GEN, CKK_AES, 24),
            Self::Aes256 => Making::Secret(CKM_AES_KEY_GEN, CKK_AES, 32),
            Self::Hmac256 => Making::Secret(CKM_GENERIC_SECRET_KEY_GEN, CKK_GENERIC_SECRET, 32),
        }
    }

    fn default_use(self) -> Use {
        match self.making() {
            Making::Secret(_, CKK_AES, _) => Use::Decrypt,
            _ => Use::Sign,
        }
    }
}

/// What is to be made.
pub struct Wanted<'a> {
    pub label: &'a str,
    pub id: Vec<u8>,
    pub kind: KeyType,
    pub uses: &'a [Use],
    pub always_authenticate: bool,
}

/// A random CKA_ID.
pub fn new_id() -> Result<Vec<u8>> {
    let mut id = vec![0; 8];
    getrandom::fill(&mut id)
        .map_err(|error| Failure::new(crate::failure::Kind::Failed, error.to_string()))?;
    Ok(id)
}

/// A label that other programs can be told.
pub fn check_label(label: &str) -> Result<()> {
    if label.is_empty() || label.len() > 128 || label.chars().any(char::is_control) {
        return Err(Failure::input("a label has 1 to 128 bytes and no control characters"));
    }
    if !matches!(label.parse(), Ok(Name::Label(_))) {
        let why = "a label does not begin with id: or uid:, which name a key by its CKA_ID or CKA_UNIQUE_ID";
        return Err(Failure::input(why));
    }
    Ok(())
}

/// Makes the key in the TPM, with all its objects or none.
pub fn make(session: &Session<'_>, wanted: &Wanted<'_>) -> Result<Key> {
    check_label(wanted.label)?;
    let _turn = session.turn();
    info::must_be_new(session, wanted.label, &wanted.id)?;
    let uses = if wanted.uses.is_empty() { &[wanted.kind.default_use()] } else { wanted.uses };
    let common = || {
        vec![
            flag(CKA_TOKEN, true),
            bytes(CKA_LABEL, wanted.label.as_bytes()),
            bytes(CKA_ID, wanted.id.clone()),
        ]
    };
    let private = |both| {
        let mut template = common();
        template.extend([flag(CKA_PRIVATE, true), flag(CKA_SENSITIVE, true)]);
        template.push(flag(CKA_EXTRACTABLE, false));
        template.extend(info::use_attributes(uses, true, both));
        template
    };
    let kind = wanted.kind.to_possible_value();
    let kind = kind.as_ref().map_or("such", |value| value.get_name());
    let wrong_use = |error| info::wrong_use(kind, uses, error);
    let mut key = Key { id: wanted.id.clone(), label: wanted.label.to_owned(), ..Key::default() };
    let pair = |mechanism, numbers: Vec<RawAttribute>| -> Result<(Handle, Handle)> {
        let mut public = common();
        public.extend(info::use_attributes(uses, false, false));
        public.extend(numbers);
        let mut private = private(false);
        if wanted.always_authenticate {
            private.push(flag(CKA_ALWAYS_AUTHENTICATE, true));
        }
        let made = session.call(|call| call.generate_key_pair(plain(mechanism), public, private));
        made.map_err(wrong_use)
    };
    match wanted.kind.making() {
        Making::Rsa(bits) => {
            let numbers = vec![ulong(CKA_MODULUS_BITS, bits)];
            let (public, private) = pair(CKM_RSA_PKCS_KEY_PAIR_GEN, numbers)?;
            (key.public, key.private) = (Some(public), Some(private));
        }
        Making::Ec(curve) => {
            let params = CURVES.iter().find(|(name, _)| *name == curve).map_or(&[][..], |c| c.1);
            let (public, private) = pair(CKM_EC_KEY_PAIR_GEN, vec![bytes(CKA_EC_PARAMS, params)])?;
            (key.public, key.private) = (Some(public), Some(private));
        }
        Making::Secret(..) if wanted.always_authenticate => {
            return Err(Failure::input("only private keys ask for the PIN at each use"));
        }
        Making::Secret(mechanism, key_type, len) => {
            let mut template = private(true);
            template.extend([ulong(CKA_KEY_TYPE, key_type), ulong(CKA_VALUE_LEN, len)]);
            let made = session.call(|call| call.generate_key(plain(mechanism), template));
            key.secret = Some(made.map_err(wrong_use)?);
        }
    }
    Ok(key)
}

pub fn run(out: Output, admin: &Admin, arguments: &Arguments) -> Result<()> {
    check_label(&arguments.label)?;
    let session = Session::of_user(admin, arguments.who.at.slot, &arguments.who.pin.source())?;
    let wanted = Wanted {
        label: &arguments.label,
        id: arguments.id.clone().map_or_else(new_id, |id| Ok(id.0))?,
        kind: arguments.kind,
        uses: &arguments.uses,
        always_authenticate: arguments.always_authenticate,
    };
    let key = out.working("the TPM makes the key", || make(&session, &wanted))?;
    out.done(&KeyReport { key: key.info(&session)? })
}
