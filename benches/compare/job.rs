//! What is done with a module, each time in a process that it has for itself, and what all jobs stand on.

use cryptoki_sys::*;

use crate::common::fixture::{P256, PIN, SO_PIN};
use crate::common::p11::*;
use crate::outcome::Outcome;
use crate::{manners, speed};

pub const LABEL: &str = "compared";
pub const EC: &[u8] = b"ec";
pub const RSA: &[u8] = b"rsa";
pub const AES: &[u8] = b"aes";

/// Does the job, whose name a number or another word may follow, and says what came of it.
pub fn run(job: &str, module: &str) {
    let (what, how) = job.split_once(' ').unwrap_or((job, ""));
    let number = || how.parse().expect("a number behind the job's name");
    Outcome::say(match what {
        "token" => token(module),
        "key" => key(module, how),
        "fill" => fill(module, number()),
        "start" => speed::start(module),
        "speed" => speed::of(module, how),
        "find" => speed::find(module),
        "memory" => speed::memory(module),
        "signatures" => manners::signatures(module, number()),
        "lists" => manners::lists(module),
        "function" => manners::function(module, number()),
        "hold" => manners::hold(module),
        "wrong-pin" => manners::wrong_pin(module),
        "encrypt-secret" => manners::encrypt_secret(module),
        "import-secret" => manners::import_secret(module),
        "fork" => manners::fork(module),
        _ => panic!("no such job: {job}"),
    });
}

/// The module with a session on the token.
pub struct Client {
    pub p: P11,
    pub session: CK_SESSION_HANDLE,
}

impl Client {
    /// Everything up to the user's login.
    pub fn user(module: &str) -> Rv<Self> {
        let client = Self::public(P11::load_other(module))?;
        client.p.login(client.session, CKU_USER, PIN)?;
        Ok(client)
    }

    /// A session without a login.
    pub fn public(p: P11) -> Rv<Self> {
        p.initialize()?;
        let session = p.open(slot(&p)?, CKF_SERIAL_SESSION | CKF_RW_SESSION)?;
        Ok(Self { p, session })
    }

    /// The key of this class and name.
    pub fn find(&self, class: CK_OBJECT_CLASS, name: &[u8]) -> Rv<CK_OBJECT_HANDLE> {
        let template = [ulong(CKA_CLASS, class), bytes(CKA_LABEL, name)];
        let found = all(&self.p, self.session, &template)?;
        found.first().copied().ok_or(CKR_KEY_HANDLE_INVALID)
    }
}

/// The token's slot.
pub fn slot(p: &P11) -> Rv<CK_SLOT_ID> {
    for slot in p.slots(true)? {
        if p.token_info(slot)?.label.starts_with(LABEL.as_bytes()) {
            return Ok(slot);
        }
    }
    Err(CKR_TOKEN_NOT_PRESENT)
}

/// Every object that matches.
pub fn all(p: &P11, session: CK_SESSION_HANDLE, template: &[Attr]) -> Rv<Vec<CK_OBJECT_HANDLE>> {
    p.find_init(session, template)?;
    let mut all = Vec::new();
    loop {
        let some = p.find_some(session, 64)?;
        if some.is_empty() {
            break;
        }
        all.extend(some);
    }
    p.find_final(session)?;
    Ok(all)
}

/// The token and both its PINs.
fn token(module: &str) -> Rv<Vec<f64>> {
    let p = P11::load_other(module);
    p.initialize()?;
    let first = *p.slots(true)?.first().ok_or(CKR_TOKEN_NOT_PRESENT)?;
    p.init_token(first, SO_PIN, LABEL)?;
    // Some modules have another slot for it now, and look for it when they start.
    p.finalize()?;
    let Client { p, session } = Client::public(p)?;
    p.login(session, CKU_SO, SO_PIN)?;
    p.init_pin(session, PIN)?;
    p.finalize()?;
    Ok(vec![])
}

/// One of the keys that the other jobs find by its name.
fn key(module: &str, name: &str) -> Rv<Vec<f64>> {
    let client = Client::user(module)?;
    match name.as_bytes() {
        AES => generate_aes(&client)?,
        id => drop(generate_pair(&client, id)?),
    }
    client.p.finalize()?;
    Ok(vec![])
}

/// A pair on the token that signs: P-256, or RSA-2048 if it is to be named so.
pub fn generate_pair(client: &Client, id: &[u8]) -> Rv<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
    let (mechanism, parameters) = match id {
        RSA => (
            CKM_RSA_PKCS_KEY_PAIR_GEN,
            vec![ulong(CKA_MODULUS_BITS, 2048), bytes(CKA_PUBLIC_EXPONENT, &[1, 0, 1])],
        ),
        _ => (CKM_EC_KEY_PAIR_GEN, vec![bytes(CKA_EC_PARAMS, P256)]),
    };
    let both = [flag(CKA_TOKEN, true), bytes(CKA_ID, id), bytes(CKA_LABEL, id)];
    let public = [&both[..], &[flag(CKA_VERIFY, true)], &parameters].concat();
    let private = [&both[..], &[flag(CKA_PRIVATE, true), flag(CKA_SIGN, true)]].concat();
    client.p.generate_pair(client.session, mechanism, &public, &private)
}

fn generate_aes(client: &Client) -> Rv<()> {
    let template = [
        flag(CKA_TOKEN, true),
        flag(CKA_PRIVATE, true),
        bytes(CKA_ID, AES),
        bytes(CKA_LABEL, AES),
        flag(CKA_ENCRYPT, true),
        flag(CKA_DECRYPT, true),
        ulong(CKA_VALUE_LEN, 32),
    ];
    let mut template = raw(&template);
    let mut mechanism = Mech::plain(CKM_AES_KEY_GEN);
    let mut key = 0;
    let rv = unsafe {
        client.p.list.C_GenerateKey.unwrap()(
            client.session,
            &mut mechanism.raw(),
            template.as_mut_ptr(),
            template.len() as CK_ULONG,
            &mut key,
        )
    };
    if rv == CKR_OK { Ok(()) } else { Err(rv) }
}

/// Private data objects up to this number, or as many as there are after 20 seconds: their number.
fn fill(module: &str, wanted: usize) -> Rv<Vec<f64>> {
    let client = Client::user(module)?;
    let began = std::time::Instant::now();
    let mut made = 0;
    while made < wanted && began.elapsed().as_secs() < 20 {
        let label = format!("object {made}");
        let template = crate::common::fixture::data(label.as_bytes(), true, true);
        client.p.create(client.session, &template)?;
        made += 1;
    }
    client.p.finalize()?;
    Ok(vec![made as f64])
}
