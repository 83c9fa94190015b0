//! A token that holds something, for what happens to its store.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cryptoki_sys::*;

use crate::common::fixture::*;
use crate::common::p11::*;

pub fn sign(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Rv<Vec<u8>> {
    p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32])
}

pub fn key_of(p: &P11, session: CK_SESSION_HANDLE, id: &[u8]) -> Vec<CK_OBJECT_HANDLE> {
    p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY), bytes(CKA_ID, id)])
}

pub fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A token with two pairs and two data objects: six objects.
pub fn furnished() -> Token {
    let t = Token::new();
    let session = t.user();
    ec_pair(&t.p, session, b"1", true);
    ec_pair(&t.p, session, b"2", true);
    t.p.create(session, &data(b"public", true, false)).unwrap();
    t.p.create(session, &data(b"private", true, true)).unwrap();
    t.p.finalize().unwrap();
    t
}
