//! How many TPM commands each call costs: exactly, on a TPM that nobody manages. FlushContext of
//! what stayed loaded and the TPM's own TPM_RC_RETRY are counted apart.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use common::fixture::*;
use common::p11::*;
use common::secret::*;
use common::tpm_proxy::Proxy;
use cryptoki_sys::*;

const FLUSH_CONTEXT: u32 = 0x165;
const RC_RETRY: u32 = 0x922;

/// A token with a counter on its bus, and how many commands `call` sends, flushes and repeats aside.
struct Counted {
    t: Token,
    proxy: Proxy,
}

impl Counted {
    fn new() -> Self {
        let (rig, proxy) = Rig::tapped();
        let t = Token::on(rig, OWNER);
        Self { t, proxy }
    }

    /// The module starts anew: nothing is known or loaded.
    fn restarted() -> Self {
        let counted = Self::new();
        counted.t.p.finalize().unwrap();
        counted.t.p.initialize().unwrap();
        counted.proxy.reset();
        counted
    }

    fn cost<T>(&self, call: impl FnOnce(&P11) -> T) -> (T, usize) {
        self.proxy.reset();
        let result = call(&self.t.p);
        let commands = self.proxy.commands();
        let counted =
            commands.iter().filter(|(code, rc)| *code != FLUSH_CONTEXT && *rc != RC_RETRY).count();
        (result, counted)
    }

    fn costs<T>(&self, commands: usize, call: impl FnOnce(&P11) -> T) -> T {
        let (result, counted) = self.cost(call);
        assert_eq!(counted, commands, "{:x?}", self.proxy.commands());
        result
    }

    fn costs_at_most<T>(&self, commands: usize, call: impl FnOnce(&P11) -> T) -> T {
        let (result, counted) = self.cost(call);
        assert!(counted <= commands, "{counted}: {:x?}", self.proxy.commands());
        result
    }
}

#[test]
fn what_needs_no_tpm_sends_it_nothing() {
    let c = Counted::new();
    c.t.p.finalize().unwrap();
    c.costs(0, |p| p.initialize().unwrap());
    c.costs(0, |p| p.slots(false).unwrap());
    let session = c.costs(0, |p| p.rw(OWNER));
    c.costs(0, |p| p.session_info(session).unwrap());
    c.costs(0, |p| p.close(session).unwrap());
    c.costs(0, |p| p.finalize().unwrap());
}

#[test]
fn looking_at_slots_costs_one_command_each_time() {
    let c = Counted::restarted();
    // The count and the list are two calls.
    c.costs(2, |p| p.slots(true).unwrap());
    c.costs(1, |p| p.slot_info(OWNER).unwrap());
    c.costs(1, |p| p.token_info(OWNER).unwrap());
    make_token(&c.t.p, NULL);
    c.costs(2, |p| p.token_info(NULL).unwrap());
}

#[test]
fn the_first_look_at_public_objects_attaches_the_token_and_the_next_is_free() {
    let c = Counted::restarted();
    let session = c.t.p.ro(OWNER);
    c.costs_at_most(5, |p| p.find(session, &[]));
    c.costs(0, |p| p.find(session, &[]));
    c.costs_at_most(1, |p| p.mechanisms(OWNER).unwrap());
    c.costs(0, |p| p.mechanisms(OWNER).unwrap());
}

#[test]
fn a_login_costs_four_commands_at_most() {
    let c = Counted::restarted();
    let session = c.t.p.rw(OWNER);
    c.costs_at_most(4, |p| p.login(session, CKU_USER, PIN).unwrap());
    c.costs(0, |p| p.logout(session).unwrap());
    // The auth session is there by now.
    c.costs(2, |p| p.login(session, CKU_USER, PIN).unwrap());
}

#[test]
fn the_first_signature_of_a_key_loads_it_and_the_next_is_one_command() {
    let c = Counted::new();
    let session = c.t.user();
    for (make, mechanism) in [
        (ec_pair as fn(&P11, _, &[u8], _) -> _, CKM_ECDSA),
        (rsa_pair as fn(&P11, _, &[u8], _) -> _, CKM_RSA_PKCS),
    ] {
        let (public, private) = c.costs(1, |p| make(p, session, b"1", true));
        let mech = || Mech::plain(mechanism);
        c.costs_at_most(3, |p| p.sign(session, mech(), private, &[1; 32]).unwrap());
        let signature = c.costs(1, |p| p.sign(session, mech(), private, &[1; 32]).unwrap());
        c.costs(0, |p| p.verify(session, mech(), public, &[1; 32], &signature).unwrap());
        c.costs(0, |p| p.get(session, private, CKA_ID).unwrap());
        c.costs(0, |p| p.find(session, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]));
    }
}

#[test]
fn a_signature_that_asks_for_the_pin_costs_eight_commands_each_time() {
    let c = Counted::new();
    let session = c.t.user();
    let public = [flag(CKA_TOKEN, true), bytes(CKA_EC_PARAMS, P256)];
    let private = [flag(CKA_TOKEN, true), flag(CKA_ALWAYS_AUTHENTICATE, true)];
    let (_, key) =
        c.costs(1, |p| p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).unwrap());
    for _ in 0..2 {
        c.costs(0, |p| p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), key).unwrap());
        // Load and Unseal: the PIN is proved before the operation goes on.
        c.costs(2, |p| p.login(session, CKU_CONTEXT_SPECIFIC, PIN).unwrap());
        c.costs(0, |p| p.one_shot_raw(Op::Sign, session, &[1; 32], None));
        // Two Loads, StartAuthSession, PolicySecret, PolicyAuthValue, Sign: nothing of it stays.
        c.costs(6, |p| p.one_shot(Op::Sign, session, &[1; 32]).unwrap());
    }
}

#[test]
fn a_secret_key_is_made_and_checked_in_three_commands_and_loaded_then() {
    let c = Counted::new();
    let session = c.t.user();
    let sized = [ulong(CKA_VALUE_LEN, 32)];
    let unchecked = [&sized[..], &[bytes(CKA_CHECK_VALUE, b"")]].concat();
    let ecb = || Mech::plain(CKM_AES_ECB);
    // GetRandom, Create.
    c.costs(2, |p| p.generate_key(session, CKM_GENERIC_SECRET_KEY_GEN, &sized).unwrap());
    // Create, Load, EncryptDecrypt2 of one block.
    let key = c.costs(3, |p| p.generate_key(session, CKM_AES_KEY_GEN, &sized).unwrap());
    c.costs(1, |p| p.encrypt(session, ecb(), key, &[0; 16]).unwrap());
    let key = c.costs(1, |p| p.generate_key(session, CKM_AES_KEY_GEN, &unchecked).unwrap());
    c.costs(2, |p| p.encrypt(session, ecb(), key, &[0; 16]).unwrap());
}

#[test]
fn a_length_query_costs_nothing_extra() {
    let c = Counted::new();
    let session = c.t.user();
    let (public, private) = rsa_pair(&c.t.p, session, b"1", false);
    let secret =
        c.costs(0, |p| p.encrypt(session, Mech::plain(CKM_RSA_PKCS), public, b"x").unwrap());
    c.t.p.decrypt(session, Mech::plain(CKM_RSA_PKCS), private, &secret).unwrap();
    c.costs(1, |p| {
        p.init(Op::Decrypt, session, Mech::plain(CKM_RSA_PKCS), private).unwrap();
        let query = p.one_shot_raw(Op::Decrypt, session, &secret, None);
        assert_eq!(query, (CKR_OK, 245));
        let mut none = [0; 0];
        let short = p.one_shot_raw(Op::Decrypt, session, &secret, Some(&mut none));
        assert_eq!(short, (CKR_BUFFER_TOO_SMALL, 1));
        assert_eq!(p.one_shot(Op::Decrypt, session, &secret).unwrap(), b"x");
    });
    c.costs(1, |p| {
        p.init(Op::Sign, session, Mech::plain(CKM_RSA_PKCS), private).unwrap();
        assert_eq!(p.one_shot_raw(Op::Sign, session, b"x", None), (CKR_OK, 256));
        p.one_shot(Op::Sign, session, b"x").unwrap();
    });
}

#[test]
fn random_bytes_cost_a_command_for_each_64() {
    let c = Counted::new();
    let session = c.t.user();
    c.t.p.random(session, 1).unwrap();
    for (len, commands) in [(1, 1), (64, 1), (65, 2), (1000, 16)] {
        c.costs(commands, |p| p.random(session, len).unwrap());
    }
    c.costs(0, |p| p.random(session, 0).unwrap());
}

#[test]
fn a_megabyte_costs_a_command_for_each_kibibyte() {
    let c = Counted::new();
    let (t, session) = (&c.t, c.t.user());
    let key = t.p.aes_key(session, &[3; 16]);
    let plain = vec![7; 1 << 20];
    t.p.encrypt(session, Mech::plain(CKM_AES_ECB), key, &[0; 16]).unwrap();
    let with_iv = |ckm| Mech::bytes(ckm, &[9; 16]);
    for (mech, commands) in [
        (Mech::plain(CKM_AES_ECB), 1024),
        (with_iv(CKM_AES_CBC), 1024),
        // The padding is a block of its own.
        (with_iv(CKM_AES_CBC_PAD), 1025),
        (ctr(128, [9; 16]), 1024),
        (with_iv(CKM_AES_CFB128), 1024),
        // A block of each command keeps the key stream off the bus.
        (with_iv(CKM_AES_OFB), 1041),
    ] {
        let run = |op, data: &[u8]| {
            t.p.init(op, session, mech.clone(), key).unwrap();
            let mut out = vec![0; (1 << 20) + 16];
            let (rv, len) =
                c.costs(commands, |p| p.one_shot_raw(op, session, data, Some(&mut out)));
            assert_eq!(rv, CKR_OK);
            out.truncate(len);
            out
        };
        let sealed = run(Op::Encrypt, &plain);
        assert_eq!(run(Op::Decrypt, &sealed), plain);
    }
}

#[test]
fn changing_pins_stays_within_seven_and_twelve() {
    let c = Counted::restarted();
    let session = c.t.p.rw(OWNER);
    c.t.p.find(session, &[]);
    c.costs_at_most(7, |p| p.set_pin(session, PIN, b"another").unwrap());
    c.t.p.login(session, CKU_SO, SO_PIN).unwrap();
    c.costs_at_most(7, |p| p.set_pin(session, SO_PIN, b"new officer").unwrap());
    c.costs_at_most(12, |p| p.init_pin(session, b"reset").unwrap());
}

#[test]
fn a_whole_signing_process_is_short() {
    let c = Counted::new();
    let session = c.t.user();
    ec_pair(&c.t.p, session, b"1", true);
    c.t.p.finalize().unwrap();
    c.costs_at_most(9, |p| {
        p.initialize().unwrap();
        p.slots(false).unwrap();
        let session = p.ro(OWNER);
        p.login(session, CKU_USER, PIN).unwrap();
        let key = p.find(session, &[bytes(CKA_ID, b"1"), ulong(CKA_CLASS, CKO_PRIVATE_KEY)])[0];
        p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).unwrap();
        p.finalize().unwrap();
    });
}

#[test]
fn nothing_stays_in_the_tpm_after_finalize() {
    let c = Counted::new();
    let session = c.t.user();
    let (_, key) = ec_pair(&c.t.p, session, b"1", true);
    c.t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).unwrap();
    c.t.p.finalize().unwrap();
    for first in [0x8000_0000u32, 0x0200_0000] {
        // TPM2_GetCapability, TPM_CAP_HANDLES.
        let mut command = vec![0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7a, 0, 0, 0, 1];
        command.extend(first.to_be_bytes());
        command.extend(10u32.to_be_bytes());
        let answer = c.t.rig.tpm.transmit(&command);
        assert_eq!(answer[15..19], [0; 4], "no handle from {first:#x}: {answer:x?}");
    }
}
