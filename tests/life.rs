//! The library's own life in a process: loaded, used for all there is, finalized, unloaded, again and
//! again, and past the end of `main`. Of what it took nothing stays.

// Every block here calls the C ABI, or libc, with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;
#[allow(unused_macros, reason = "its functions are called by common::p11")]
#[path = "common/module.rs"]
mod module;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, fs, ptr};

use common::fixture::*;
use common::message_encryption::{AAD, Given, Messages};
use common::p11::*;
use common::wrapping::{Wrapping, kek, rsa_aes, secret, unwrapped};
use cryptoki_sys::*;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use module::in_own_process_with;

const TEXT: &[u8] = b"forty-eight bytes, which are three blocks of AES";

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn loaded() -> bool {
    fs::read_to_string("/proc/self/maps").unwrap().contains("/libhierarkey.so")
}

/// PINs set, mistaken and changed; the user in.
fn log_in(p: &P11) -> CK_SESSION_HANDLE {
    make_token(p, OWNER);
    let session = p.rw(OWNER);
    assert_eq!(p.login(session, CKU_USER, b"another PIN"), Err(CKR_PIN_INCORRECT));
    p.login(session, CKU_USER, PIN).unwrap();
    p.set_pin(session, PIN, b"changed").unwrap();
    p.set_pin(session, b"changed", PIN).unwrap();
    session
}

/// Signatures, secrets and hashes, whole and in parts.
fn use_keys(p: &P11, session: CK_SESSION_HANDLE) {
    let halves = [&TEXT[..16], &TEXT[16..]];
    let (ec_public, ec) = ec_pair(p, session, b"ec", true);
    let (rsa_public, rsa) = rsa_pair(p, session, b"rsa", false);
    for (ckm, key, public) in [
        (CKM_ECDSA_SHA256, ec, ec_public),
        (CKM_SHA256_RSA_PKCS, rsa, rsa_public),
        (CKM_SHA512_RSA_PKCS, rsa, rsa_public),
    ] {
        let whole = p.sign(session, Mech::plain(ckm), key, TEXT).unwrap();
        let parts = p.in_parts(Op::Sign, session, Mech::plain(ckm), key, &halves).unwrap();
        p.verify(session, Mech::plain(ckm), public, TEXT, &parts).unwrap();
        p.verify_parts(session, Mech::plain(ckm), public, &halves, &whole).unwrap();
        let forged = p.verify(session, Mech::plain(ckm), public, &TEXT[1..], &whole);
        assert_eq!(forged, Err(CKR_SIGNATURE_INVALID));
        let message = p.sign_message(session, Mech::plain(ckm), key, &halves).unwrap();
        p.verify_message(session, Mech::plain(ckm), public, &[TEXT], &message).unwrap();
    }
    let oaep = || Mech::oaep(CKM_SHA256, CKG_MGF1_SHA256, b"label");
    for mech in [oaep(), Mech::plain(CKM_RSA_PKCS)] {
        let sealed = p.encrypt(session, mech.clone(), rsa_public, TEXT).unwrap();
        assert_eq!(p.decrypt(session, mech, rsa, &sealed).unwrap(), TEXT);
    }
    let broken = p.decrypt(session, oaep(), rsa, &[5; 256]);
    assert_eq!(broken, Err(CKR_ENCRYPTED_DATA_INVALID));

    let aes = p.aes_key(session, &[1; 16]);
    for ckm in [CKM_AES_CBC, CKM_AES_CBC_PAD, CKM_AES_OFB, CKM_AES_CFB128, CKM_AES_CTS] {
        let mech = || Mech::bytes(ckm, &[3; 16]);
        let sealed = p.encrypt(session, mech(), aes, TEXT).unwrap();
        assert_eq!(p.in_parts(Op::Encrypt, session, mech(), aes, &halves).unwrap(), sealed);
        assert_eq!(p.in_parts(Op::Decrypt, session, mech(), aes, &[&sealed]).unwrap(), TEXT);
    }
    let messages = Messages { p, session };
    for given in Given::both(TEXT.len()) {
        messages.init(true, given.ckm, aes).unwrap();
        let mut with = given;
        let sealed = messages.in_parts(true, &mut with, AAD, &halves).unwrap();
        messages.finish(true).unwrap();
        messages.init(false, with.ckm, aes).unwrap();
        assert_eq!(messages.whole(false, &mut with, AAD, &sealed).unwrap(), TEXT);
        with.tag[0] ^= 1;
        let forged = messages.whole(false, &mut with, AAD, &sealed);
        assert_eq!(forged, Err(CKR_AEAD_DECRYPT_FAILED));
        messages.finish(false).unwrap();
    }
    let mac = p.sign(session, Mech::plain(CKM_AES_CMAC), aes, TEXT).unwrap();
    p.verify_parts(session, Mech::plain(CKM_AES_CMAC), aes, &halves, &mac).unwrap();
    let hmac = p.generic_key(session, &[2; 100]);
    let mac = p.sign(session, Mech::plain(CKM_SHA256_HMAC), hmac, TEXT).unwrap();
    p.verify(session, Mech::plain(CKM_SHA256_HMAC), hmac, TEXT, &mac).unwrap();
}

/// A hash that is saved and goes on elsewhere.
fn save_and_restore(p: &P11, session: CK_SESSION_HANDLE) {
    p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    p.update(Op::Digest, session, TEXT).unwrap();
    let (mut state, mut len) = (vec![0; 1024], 1024);
    let rv = unsafe { p.list.C_GetOperationState.unwrap()(session, state.as_mut_ptr(), &mut len) };
    assert_eq!(rv, CKR_OK);
    let other = p.rw(OWNER);
    let rv = unsafe { p.list.C_SetOperationState.unwrap()(other, state.as_mut_ptr(), len, 0, 0) };
    assert_eq!(rv, CKR_OK);
    let hash = p.finish(Op::Digest, session).unwrap();
    assert_eq!(p.finish(Op::Digest, other).unwrap(), hash);
    p.close(other).unwrap();
}

/// Keys that travel and keys from keys.
fn wrap_and_derive(p: &P11, session: CK_SESSION_HANDLE) {
    let with = kek(p, session);
    let usages = [CKA_SIGN, CKA_DERIVE];
    let key = p.create(session, &secret(CKK_GENERIC_SECRET, &[9; 32], &usages)).unwrap();
    for mech in [Mech::plain(CKM_AES_KEY_WRAP_KWP), Mech::bytes(CKM_AES_CBC_PAD, &[3; 16])] {
        let wrapped = p.wrap(session, mech.clone(), with, key).unwrap();
        let back = p.unwrap(session, mech, with, &wrapped, &unwrapped(CKK_GENERIC_SECRET)).unwrap();
        assert_eq!(p.get(session, back, CKA_VALUE).unwrap(), [9; 32]);
        p.destroy(session, back).unwrap();
    }
    let refused = p.unwrap(
        session,
        Mech::plain(CKM_AES_KEY_WRAP_KWP),
        with,
        &[7; 40],
        &unwrapped(CKK_GENERIC_SECRET),
    );
    assert_eq!(refused, Err(CKR_WRAPPED_KEY_INVALID));
    let public = [flag(CKA_WRAP, true), ulong(CKA_MODULUS_BITS, 2048)];
    let (rsa, _) = p
        .generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[flag(CKA_UNWRAP, true)])
        .unwrap();
    p.wrap(session, rsa_aes(256, CKM_SHA256, CKG_MGF1_SHA256), rsa, key).unwrap();
    let derived = [flag(CKA_EXTRACTABLE, true), flag(CKA_SENSITIVE, false)];
    let from = p.derive_key(session, Mech::plain(CKM_SHA256_KEY_DERIVATION), key, &derived);
    assert_eq!(p.get(session, from.unwrap(), CKA_VALUE).unwrap().len(), 32);
}

/// Objects made, copied, changed, searched, destroyed; and calls that are refused.
fn keep_objects(p: &P11, session: CK_SESSION_HANDLE) {
    let object = p.create(session, &data(b"kept", true, true)).unwrap();
    let copy = p.copy(session, object, &[bytes(CKA_LABEL, b"copy")]).unwrap();
    p.set(session, copy, &[bytes(CKA_LABEL, &[b'l'; 3000])]).unwrap();
    assert_eq!(p.find(session, &[ulong(CKA_CLASS, CKO_DATA)]).len(), 2);
    p.destroy(session, copy).unwrap();
    assert_eq!(p.destroy(session, copy), Err(CKR_OBJECT_HANDLE_INVALID));
    let nothing = [ulong(CKA_CLASS, CKO_PRIVATE_KEY)];
    assert_eq!(p.create(session, &nothing), Err(CKR_TEMPLATE_INCOMPLETE));
    assert_eq!(p.create(session, &[]), Err(CKR_TEMPLATE_INCOMPLETE));
    let strange = p.init(Op::Sign, session, Mech::bytes(CKM_RSA_PKCS_PSS, &[1; 3]), object);
    assert!(strange.is_err());
    assert_eq!(
        p.init(Op::Sign, 0, Mech::plain(CKM_ECDSA), object),
        Err(CKR_SESSION_HANDLE_INVALID)
    );
    p.random(session, 500).unwrap();
}

/// What the first life left in the store; sessions and operations are left open.
fn find_and_leave_open(p: &P11) {
    let session = p.rw(OWNER);
    p.login(session, CKU_USER, PIN).unwrap();
    assert_eq!(p.find(session, &[bytes(CKA_LABEL, b"kept")]).len(), 1);
    let wanted = [ulong(CKA_CLASS, CKO_PRIVATE_KEY), bytes(CKA_ID, b"ec")];
    let key = p.find(session, &wanted)[0];
    p.sign(session, Mech::plain(CKM_ECDSA_SHA256), key, TEXT).unwrap();
    p.init(Op::Sign, session, Mech::plain(CKM_ECDSA_SHA256), key).unwrap();
    p.update(Op::Sign, session, TEXT).unwrap();
    p.find_init(p.ro(OWNER), &[]).unwrap();
}

#[test]
fn nothing_stays_of_a_tokens_whole_life() {
    let _rig = Rig::new();
    let files = descriptors();
    let p = P11::start();
    let session = log_in(&p);
    use_keys(&p, session);
    save_and_restore(&p, session);
    wrap_and_derive(&p, session);
    keep_objects(&p, session);
    p.logout(session).unwrap();
    p.close_all(OWNER).unwrap();
    p.finalize().unwrap();
    assert_eq!(descriptors(), files, "C_Finalize leaves descriptors open");
    p.initialize().unwrap();
    find_and_leave_open(&p);
    p.finalize().unwrap();
    assert_eq!(descriptors(), files, "with sessions open it leaves more");
    p.unload();
    assert!(!loaded(), "something kept the module");
    assert_eq!(descriptors(), files);
}

/// Who unloads a library that was not finalized keeps what it had: nothing runs then. But the next
/// one, another library to the loader, has the token as it was.
#[test]
fn unloaded_with_sessions_and_operations_open_it_comes_back_with_the_token() {
    let _rig = Rig::new();
    let p = P11::start();
    let session = log_in(&p);
    ec_pair(&p, session, b"ec", true);
    p.create(session, &data(b"kept", true, true)).unwrap();
    for _ in 0..3 {
        p.close_all(OWNER).unwrap();
        find_and_leave_open(&p);
    }
    p.unload();
    assert!(!loaded(), "something kept the module");
    for _ in 0..3 {
        let p = P11::start();
        find_and_leave_open(&p);
        p.unload();
        assert!(!loaded(), "something kept the module");
    }
}

/// The bytes that are allocated. (Under a sanitizer, which counts by itself, none.)
fn allocated() -> usize {
    unsafe { libc::mallinfo2().uordblks }
}

#[test]
fn ten_thousand_lives_take_no_more_memory_and_descriptors_than_ten() {
    let lives = if env::var("HIERARKEY_TEST_SIZE").as_deref() == Ok("full") { 10_000 } else { 500 };
    in_own_process_with(
        "ten_thousand_lives_take_no_more_memory_and_descriptors_than_ten",
        // What a thread puts by of freed memory counts as allocated.
        |command| {
            command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
        },
        || {
            let t = Token::new();
            let session = t.user();
            ec_pair(&t.p, session, b"ec", true);
            t.p.finalize().unwrap();
            let live = || {
                t.p.initialize().unwrap();
                let session = t.p.rw(OWNER);
                assert_eq!(t.p.find(session, &[bytes(CKA_ID, b"ec")]).len(), 1);
                t.p.finalize().unwrap();
                (allocated(), descriptors())
            };
            let after = |lives| (0..lives).fold((0, 0), |_, _| live());
            assert_eq!(after(10), after(lives), "bytes and descriptors");
        },
    );
}

/// What the library keeps beside its sessions and tokens is lost with its statics when it is unloaded:
/// the settings of the log were, 72 bytes each time.
#[test]
fn fifty_libraries_loaded_and_unloaded_take_no_more_memory_and_descriptors_than_ten() {
    in_own_process_with(
        "fifty_libraries_loaded_and_unloaded_take_no_more_memory_and_descriptors_than_ten",
        |command| {
            command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
        },
        || {
            let rig = Rig::new();
            let log = rig.path().join("log");
            let config = format!("[log]\nlevel = \"debug\"\nfile = \"{}\"\n", log.display());
            fs::write(rig.path().join("no.toml"), config).unwrap();
            let load = || {
                let p = P11::load();
                p.initialize().unwrap();
                assert_eq!(p.slots(true).unwrap(), [OWNER]);
                p.finalize().unwrap();
                p.unload();
                (allocated(), descriptors())
            };
            let after = |times| (0..times).fold((0, 0), |_, _| load());
            assert_eq!(after(10), after(50), "bytes and descriptors");
            assert_ne!(fs::read_to_string(log).unwrap(), "");
        },
    );
}

/// What the exit handlers work with.
static AT_EXIT: OnceLock<(P11, CK_SESSION_HANDLE, CK_OBJECT_HANDLE, PathBuf)> = OnceLock::new();

/// Ends the process, as nobody is left to catch a panic.
fn or_abort(right: bool, what: &str) {
    if !right {
        eprintln!("{what}");
        std::process::abort();
    }
}

/// Runs before OpenSSL's own handler, being registered later: a provider that closes a connection.
extern "C" fn signs_at_exit() {
    let Some((p, session, key, _)) = AT_EXIT.get() else { return };
    let made = p.sign(*session, Mech::plain(CKM_ECDSA), *key, &[5; 32]);
    or_abort(made.is_ok(), "no signature before OpenSSL's exit handler");
}

/// Runs after it, being registered earlier: a program that finalizes its modules last.
extern "C" fn finalizes_at_exit() {
    let Some((p, session, key, done)) = AT_EXIT.get() else { return };
    let made = p.sign(*session, Mech::plain(CKM_ECDSA), *key, &[5; 32]);
    or_abort(made.is_ok(), "no signature after OpenSSL's exit handler");
    or_abort(p.finalize() == Ok(()), "no C_Finalize after OpenSSL's exit handler");
    let late = p.sign(*session, Mech::plain(CKM_ECDSA), *key, &[5; 32]);
    or_abort(late == Err(CKR_CRYPTOKI_NOT_INITIALIZED), "it signs when finalized");
    or_abort(fs::write(done, "").is_ok(), "not noted");
}

#[test]
fn exit_handlers_before_and_after_openssls_sign_and_finalize() {
    const DONE: &str = "HIERARKEY_TEST_DONE";
    let mut outside = None;
    in_own_process_with(
        "exit_handlers_before_and_after_openssls_sign_and_finalize",
        |command| {
            let rig = Rig::new();
            let done = rig.path().join("done");
            for name in ["HIERARKEY_TCTI", "HIERARKEY_STORE", "HIERARKEY_CONF"] {
                command.env(name, env::var_os(name).unwrap());
            }
            command.env(DONE, &done);
            outside = Some((rig, done));
        },
        || {
            assert_eq!(unsafe { libc::atexit(finalizes_at_exit) }, 0);
            let openssl = unsafe { Library::open(Some("libcrypto.so.3"), RTLD_NOW | RTLD_GLOBAL) };
            let openssl = openssl.expect("OpenSSL's libcrypto");
            type Init = unsafe extern "C" fn(u64, *const std::ffi::c_void) -> i32;
            let init = unsafe { openssl.get::<Init>(b"OPENSSL_init_crypto") }.unwrap();
            assert_eq!(unsafe { init(0, ptr::null()) }, 1);
            assert_eq!(unsafe { libc::atexit(signs_at_exit) }, 0);
            let p = P11::start();
            let session = log_in(&p);
            let (_, key) = ec_pair(&p, session, b"ec", true);
            let done = PathBuf::from(env::var_os(DONE).unwrap());
            assert!(AT_EXIT.set((p, session, key, done)).is_ok());
            // It stays, as in a program that is linked with it.
            std::mem::forget(openssl);
        },
    );
    if let Some((_rig, done)) = outside {
        assert!(done.exists(), "the handlers did not run");
    }
}
