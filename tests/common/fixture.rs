//! A TPM, a store and the module, private to one test.
//!
//! The environment belongs to the process, so each test must have one of its own: cargo-nextest
//! runs them so, and `cargo test` does not.

#![allow(dead_code)]

use std::path::Path;

use cryptoki_sys::*;
use tempfile::TempDir;

use super::p11::{Attr, P11, bytes, flag, ulong};
use super::swtpm::Swtpm;
use super::tpm_proxy::Proxy;

pub const SO_PIN: &[u8] = b"officer-1234";
pub const PIN: &[u8] = b"user-1234";

/// The DER of the OID of P-224.
pub const P224: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x21];
/// The DER of the OID of P-256.
pub const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// The DER of the OID of P-384.
pub const P384: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x22];
/// The DER of the OID of P-521.
pub const P521: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x23];

/// A slot by number.
pub const OWNER: CK_SLOT_ID = 0;
pub const ENDORSEMENT: CK_SLOT_ID = 1;
pub const PLATFORM: CK_SLOT_ID = 2;
pub const NULL: CK_SLOT_ID = 3;

/// The TPM and the store of one test.
pub struct Rig {
    pub tpm: Swtpm,
    pub store: TempDir,
}

impl Rig {
    /// A fresh TPM and an empty store, set for this process.
    pub fn new() -> Self {
        let tpm = Swtpm::start();
        let store = TempDir::new().unwrap();
        let rig = Self { tpm, store };
        rig.set("HIERARKEY_TCTI", &rig.tpm.tcti());
        rig.set("HIERARKEY_STORE", rig.store.path().to_str().unwrap());
        let none = rig.store.path().join("no.toml");
        std::fs::write(&none, "").unwrap();
        rig.set("HIERARKEY_CONF", none.to_str().unwrap());
        rig
    }

    /// The same with somebody on the bus.
    pub fn tapped() -> (Self, Proxy) {
        let rig = Self::new();
        let proxy = Proxy::before(&rig.tpm);
        rig.set("HIERARKEY_TCTI", &proxy.tcti());
        (rig, proxy)
    }

    /// The same with a configuration file.
    pub fn with_config(toml: &str) -> Self {
        let rig = Self::new();
        std::fs::write(rig.store.path().join("no.toml"), toml).unwrap();
        rig
    }

    #[allow(clippy::disallowed_methods)] // A test's process is its own.
    pub fn set(&self, name: &str, value: &str) {
        // SAFETY: the test has one thread so far, and a process of its own.
        unsafe { std::env::set_var(name, value) };
    }

    #[allow(clippy::disallowed_methods)] // A test's process is its own.
    pub fn unset(&self, name: &str) {
        // SAFETY: as in `set`.
        unsafe { std::env::remove_var(name) };
    }

    pub fn database(&self) -> std::path::PathBuf {
        self.store.path().join("hierarkey.sqlite3")
    }

    pub fn path(&self) -> &Path {
        self.store.path()
    }
}

/// A token in one slot, initialised, with both PINs set, and the module initialised.
pub struct Token {
    pub p: P11,
    pub slot: CK_SLOT_ID,
    pub rig: Rig,
}

impl Token {
    /// In the owner slot.
    pub fn new() -> Self {
        Self::on(Rig::new(), OWNER)
    }

    pub fn in_slot(slot: CK_SLOT_ID) -> Self {
        Self::on(Rig::new(), slot)
    }

    pub fn on(rig: Rig, slot: CK_SLOT_ID) -> Self {
        let p = P11::start();
        make_token(&p, slot);
        Self { p, slot, rig }
    }

    /// A read/write session with the user in.
    pub fn user(&self) -> CK_SESSION_HANDLE {
        let session = self.p.rw(self.slot);
        self.p.login(session, CKU_USER, PIN).unwrap();
        session
    }
}

pub fn make_token(p: &P11, slot: CK_SLOT_ID) {
    p.init_token(slot, SO_PIN, "test token").unwrap();
    let session = p.rw(slot);
    p.login(session, CKU_SO, SO_PIN).unwrap();
    p.init_pin(session, PIN).unwrap();
    p.close(session).unwrap();
}

/// Generates a P-256 pair with CKA_ID `id`, on the token or in the session: (public, private).
pub fn ec_pair(
    p: &P11,
    session: CK_SESSION_HANDLE,
    id: &[u8],
    token: bool,
) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let (public, private) = pair_templates(id, token);
    let public = [public, vec![bytes(CKA_EC_PARAMS, P256)]].concat();
    p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).unwrap()
}

/// Generates an RSA-2048 pair that signs and decrypts: (public, private).
pub fn rsa_pair(
    p: &P11,
    session: CK_SESSION_HANDLE,
    id: &[u8],
    token: bool,
) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    let (public, private) = pair_templates(id, token);
    let public = [
        public,
        vec![
            ulong(CKA_MODULUS_BITS, 2048),
            flag(CKA_ENCRYPT, true),
            bytes(CKA_PUBLIC_EXPONENT, &[1, 0, 1]),
        ],
    ]
    .concat();
    let private = [private, vec![flag(CKA_DECRYPT, true)]].concat();
    p.generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &private).unwrap()
}

fn pair_templates(id: &[u8], token: bool) -> (Vec<Attr>, Vec<Attr>) {
    let public = vec![
        flag(CKA_TOKEN, token),
        flag(CKA_VERIFY, true),
        bytes(CKA_ID, id),
        bytes(CKA_LABEL, b"pair"),
    ];
    let private = vec![
        flag(CKA_TOKEN, token),
        flag(CKA_PRIVATE, true),
        flag(CKA_SIGN, true),
        bytes(CKA_ID, id),
        bytes(CKA_LABEL, b"pair"),
    ];
    (public, private)
}

/// A data object's template.
pub fn data(label: &[u8], token: bool, private: bool) -> Vec<Attr> {
    vec![
        ulong(CKA_CLASS, CKO_DATA),
        flag(CKA_TOKEN, token),
        flag(CKA_PRIVATE, private),
        bytes(CKA_LABEL, label),
        bytes(CKA_VALUE, b"value of a data object"),
    ]
}
