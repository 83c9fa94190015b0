//! A TPM that answers with errors, rubbish or nothing, at every command of every kind of call.

mod common;

use std::time::{Duration, Instant};

use common::cases::ecdh;
use common::fixture::*;
use common::p11::*;
use common::swtpm::{Swtpm, plain_command, response_code};
use common::tpm_proxy::{Action, Proxy};
use cryptoki_sys::*;

const UNSEAL: u32 = 0x15e;
const OBJECT_CHANGE_AUTH: u32 = 0x150;
const POLICY_SECRET: u32 = 0x151;

/// What goes wrong with one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The TPM never sees it; this TPM_RC is the answer.
    Rc(u32),
    DropConnection,
    DropAnswer,
    /// The TPM runs it; its answer lacks the last byte, and its header says so.
    Shortened,
    /// The TPM runs it; its answer ends before the length in its header, and the connection with it.
    Truncated,
    /// The TPM runs it; its answer has bytes too many.
    Oversized,
    KillBefore,
    KillAfter,
}

const CODES: [u32; 17] = [
    0x901, 0x902, 0x903, 0x904, 0x905, 0x906, 0x908, 0x922, 0x910, 0x918, 0x101, 0x921, 0x98e,
    0x9a2, 0x1df, 0x100, 0x923,
];
const BROKEN: [Fault; 5] = [
    Fault::DropConnection,
    Fault::DropAnswer,
    Fault::Shortened,
    Fault::Truncated,
    Fault::Oversized,
];

impl Fault {
    fn action(self) -> Action {
        let sized = |mut answer: Vec<u8>| {
            let size = u32::try_from(answer.len()).unwrap().to_be_bytes();
            answer[2..6].copy_from_slice(&size);
            answer
        };
        match self {
            Self::Rc(rc) => {
                let head = [0x80, 0x01, 0, 0, 0, 10];
                Action::Answer([&head[..], &rc.to_be_bytes()].concat())
            }
            Self::DropConnection => Action::DropConnection,
            Self::DropAnswer => Action::DropAnswer,
            Self::Shortened => Action::AlterResponse(Box::new(move |mut answer| {
                // Less than a header is a TPM that hangs, and takes as long.
                if answer.len() > 10 {
                    answer.pop();
                }
                sized(answer)
            })),
            // A header that announces more than comes.
            Self::Truncated => {
                Action::AnswerAndDrop(vec![0x80, 0x02, 0, 0, 0, 60, 0, 0, 0, 0, 1, 2, 3])
            }
            Self::Oversized => Action::AlterResponse(Box::new(move |mut answer| {
                answer.extend_from_slice(&[0x55; 64]);
                sized(answer)
            })),
            Self::KillBefore => Action::KillTpm,
            Self::KillAfter => Action::KillTpmAfter,
        }
    }

    fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }

    /// Whether a call may answer `rv` when the command `code` meets this fault.
    fn allows(self, rv: CK_RV, code: u32) -> bool {
        let pin = matches!(code, UNSEAL | OBJECT_CHANGE_AUTH | POLICY_SECRET);
        match rv {
            CKR_OK | CKR_DEVICE_ERROR => true,
            CKR_DEVICE_MEMORY => matches!(self, Self::Rc(0x901..=0x906)),
            CKR_TOKEN_NOT_RECOGNIZED => self == Self::Rc(0x1df),
            CKR_PIN_LOCKED => self == Self::Rc(0x921) && pin,
            // C_InitPIN has neither of the two: its caller gave no PIN that could be wrong.
            CKR_FUNCTION_FAILED => matches!(self, Self::Rc(0x921 | 0x98e)) && pin,
            CKR_PIN_INCORRECT => self == Self::Rc(0x98e) && pin,
            _ => false,
        }
    }
}

/// A token on a watched bus, with the PINs' tries without end.
struct Bench {
    p: P11,
    proxy: Proxy,
    rig: Rig,
    slot: CK_SLOT_ID,
}

/// What a scenario works with, begun anew for every fault.
struct Scene<'a> {
    p: &'a P11,
    slot: CK_SLOT_ID,
    session: CK_SESSION_HANDLE,
    ec: CK_OBJECT_HANDLE,
    rsa: CK_OBJECT_HANDLE,
    secret: &'a [u8],
}

/// Who is in when the scenario begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// No session is even open.
    Nothing,
    Public,
    User,
    Officer,
}

impl Bench {
    fn new() -> Self {
        let rig = Rig::new();
        rig.tpm.set_lockout(100_000, 0);
        let proxy = Proxy::before(&rig.tpm);
        rig.set("HIERARKEY_TCTI", &proxy.tcti());
        let p = P11::start();
        make_token(&p, OWNER);
        Self { p, proxy, rig, slot: OWNER }
    }

    /// Plays `call` with each of `faults` at each of its commands, and once more without.
    fn play(&self, who: Who, faults: &[Fault], call: impl Fn(&Scene) -> Rv<()>) {
        let p = &self.p;
        let session = p.rw(self.slot);
        p.login(session, CKU_USER, PIN).unwrap();
        ec_pair(p, session, b"ec", true);
        asking_pair(p, session);
        secrets(p, session);
        let (public, _) = rsa_pair(p, session, b"rsa", true);
        let secret = p.encrypt(session, Mech::plain(CKM_RSA_PKCS), public, b"plain text").unwrap();
        p.finalize().unwrap();
        let mut wrong = Vec::new();
        for fault in faults {
            for n in 0.. {
                let said = self.once(who, &secret, *fault, n, &call, &mut wrong);
                if !said {
                    assert!(n > 0, "the call sends no command");
                    break;
                }
            }
        }
        assert!(wrong.is_empty(), "{} faults went wrong:\n{}", wrong.len(), wrong.join("\n"));
    }

    /// One fault at command `n` of the call. Whether the call has so many commands.
    fn once(
        &self,
        who: Who,
        secret: &[u8],
        fault: Fault,
        n: usize,
        call: &impl Fn(&Scene) -> Rv<()>,
        wrong: &mut Vec<String>,
    ) -> bool {
        let p = &self.p;
        p.initialize().unwrap();
        let mut scene = Scene { p, slot: self.slot, session: 0, ec: 0, rsa: 0, secret };
        if who != Who::Nothing {
            scene.session = p.rw(self.slot);
            match who {
                Who::User => p.login(scene.session, CKU_USER, PIN).unwrap(),
                Who::Officer => p.login(scene.session, CKU_SO, SO_PIN).unwrap(),
                Who::Public | Who::Nothing => {}
            }
        }
        if who == Who::User {
            let private = |id| [ulong(CKA_CLASS, CKO_PRIVATE_KEY), bytes(CKA_ID, id)];
            scene.ec = p.find(scene.session, &private(b"ec"))[0];
            scene.rsa = p.find(scene.session, &private(b"rsa"))[0];
        }
        self.proxy.reset();
        self.proxy.fault_at(n, fault.action());
        let began = Instant::now();
        let told = call(&scene).err().unwrap_or(CKR_OK);
        if began.elapsed() > Duration::from_secs(5) {
            println!("{fault:x?} at {n} took {:?}: {:x?}", began.elapsed(), self.proxy.commands());
        }
        let commands = self.proxy.commands();
        self.proxy.clear_hook();
        let met = commands.get(n).map(|command| command.0);
        if fault.kills() && met.is_some() {
            self.rig.tpm.start_again();
        }
        if let Some(code) = met {
            let mut complain = |what: String| {
                wrong.push(format!("{fault:x?} at {n} (command {code:x}): {what}, {commands:x?}"));
            };
            if !fault.allows(told, code) {
                complain(format!("the call says 0x{told:x}"));
            }
            if matches!(fault, Fault::Rc(0x922 | 0x908)) && told != CKR_OK {
                complain(format!("the TPM's wish for a repeat makes 0x{told:x}"));
            }
            self.proxy.reset();
            if let Err(rv) = call(&scene) {
                let commands = self.proxy.commands();
                complain(format!("the next call says 0x{rv:x} {commands:x?}"));
            }
        }
        p.finalize().unwrap();
        let left = handles(&self.rig.tpm);
        if !left.is_empty() {
            wrong.push(format!("{fault:x?} at {n} ({met:x?}) leaves {left:x?}: {commands:x?}"));
            for handle in left {
                self.rig.tpm.transmit(&plain_command(0x165, &handle.to_be_bytes()));
            }
        }
        met.is_some()
    }
}

/// The transient objects and auth sessions that are in the TPM.
fn handles(tpm: &Swtpm) -> Vec<u32> {
    [0x8000_0000u32, 0x0200_0000, 0x0300_0000]
        .into_iter()
        .flat_map(|range| of(tpm, range))
        .collect()
}

fn of(tpm: &Swtpm, range: u32) -> Vec<u32> {
    let parameters = [1, range, 64].map(u32::to_be_bytes).concat();
    let response = tpm.transmit(&plain_command(0x17a, &parameters));
    assert_eq!(response_code(&response), 0);
    let listed = response[19..].chunks_exact(4);
    let all = listed.map(|handle| u32::from_be_bytes(handle.try_into().unwrap()));
    // Policy sessions (0x03) are listed among the loaded ones (0x02).
    all.filter(|handle| (handle >> 24 == 0x80) == (range >> 24 == 0x80)).collect()
}

fn said_and_broken() -> Vec<Fault> {
    CODES.map(Fault::Rc).into_iter().chain(BROKEN).collect()
}

const KILLS: [Fault; 2] = [Fault::KillBefore, Fault::KillAfter];

fn init_token(s: &Scene) -> Rv<()> {
    s.p.init_token(s.slot, SO_PIN, "again")
}

fn init_pin(s: &Scene) -> Rv<()> {
    s.p.init_pin(s.session, PIN)
}

fn set_pin(s: &Scene) -> Rv<()> {
    s.p.set_pin(s.session, PIN, PIN)
}

/// A login, and the way back if it succeeds.
fn login(s: &Scene) -> Rv<()> {
    s.p.login(s.session, CKU_USER, PIN)?;
    s.p.logout(s.session)
}

fn generate(s: &Scene) -> Rv<()> {
    let public = [flag(CKA_TOKEN, false), bytes(CKA_EC_PARAMS, P256)];
    let private = [flag(CKA_TOKEN, false), flag(CKA_SIGN, true)];
    s.p.generate_pair(s.session, CKM_EC_KEY_PAIR_GEN, &public, &private).map(|_| ())
}

fn import(s: &Scene) -> Rv<()> {
    let template = [
        ulong(CKA_CLASS, CKO_PRIVATE_KEY),
        ulong(CKA_KEY_TYPE, CKK_EC),
        bytes(CKA_EC_PARAMS, P256),
        bytes(CKA_VALUE, &[7; 32]),
    ];
    s.p.create(s.session, &template).map(|_| ())
}

fn sign(s: &Scene) -> Rv<()> {
    s.p.sign(s.session, Mech::plain(CKM_ECDSA), s.ec, &[7; 32]).map(|_| ())
}

fn decrypt(s: &Scene) -> Rv<()> {
    let plain = s.p.decrypt(s.session, Mech::plain(CKM_RSA_PKCS), s.rsa, s.secret)?;
    assert_eq!(plain, b"plain text");
    Ok(())
}

/// A P-256 pair on the token whose private half asks for the PIN at each use.
fn asking_pair(p: &P11, session: CK_SESSION_HANDLE) {
    let public = [flag(CKA_TOKEN, true), bytes(CKA_EC_PARAMS, P256)];
    let private = [flag(CKA_TOKEN, true), flag(CKA_ALWAYS_AUTHENTICATE, true)];
    p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).unwrap();
}

/// A signature with the PIN. Whatever fails, no operation stays; a locked PIN has logged the user out.
fn sign_with_pin(s: &Scene) -> Rv<()> {
    if s.p.state(s.session) == CKS_RW_PUBLIC_SESSION {
        s.p.login(s.session, CKU_USER, PIN)?;
    }
    let key = s.p.find(s.session, &[flag(CKA_ALWAYS_AUTHENTICATE, true)])[0];
    s.p.init(Op::Sign, s.session, Mech::plain(CKM_ECDSA), key)?;
    let proved = s.p.login(s.session, CKU_CONTEXT_SPECIFIC, PIN);
    let signed = s.p.one_shot(Op::Sign, s.session, &[7; 32]).map(|_| ());
    proved.and(signed)
}

/// What is seen of the secret key that may leave.
const SECRET: [u8; 32] = [0x71; 32];

/// A secret key that may leave, and a pair that agrees, on the token.
fn secrets(p: &P11, session: CK_SESSION_HANDLE) {
    let own = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        flag(CKA_TOKEN, true),
        flag(CKA_SIGN, true),
        flag(CKA_EXTRACTABLE, true),
        flag(CKA_SENSITIVE, false),
        bytes(CKA_VALUE, &SECRET),
        bytes(CKA_ID, b"secret"),
    ];
    p.create(session, &own).unwrap();
    let public = [flag(CKA_TOKEN, true), bytes(CKA_EC_PARAMS, P256)];
    let private = [flag(CKA_TOKEN, true), flag(CKA_DERIVE, true), bytes(CKA_ID, b"agrees")];
    p.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).unwrap();
}

/// The MAC of a message that takes several commands.
fn mac(s: &Scene) -> Rv<()> {
    use hmac::Mac;
    let key = s.p.find(s.session, &[bytes(CKA_ID, b"secret")])[0];
    let mac = s.p.sign(s.session, Mech::plain(CKM_SHA256_HMAC), key, &[5; 3000])?;
    let other = hmac::Hmac::<sha2::Sha256>::new_from_slice(&SECRET).unwrap();
    assert_eq!(mac, *other.chain_update([5; 3000]).finalize().into_bytes());
    Ok(())
}

/// A value out of the TPM.
fn reveal(s: &Scene) -> Rv<()> {
    let key = s.p.find(s.session, &[bytes(CKA_ID, b"secret")])[0];
    assert_eq!(s.p.get(s.session, key, CKA_VALUE)?, SECRET);
    Ok(())
}

/// A copy has an authValue of its own.
fn copy(s: &Scene) -> Rv<()> {
    let key = s.p.find(s.session, &[bytes(CKA_ID, b"secret"), flag(CKA_TOKEN, true)])[0];
    s.p.copy(s.session, key, &[flag(CKA_TOKEN, false)]).map(|_| ())
}

fn derive(s: &Scene) -> Rv<()> {
    let key = s.p.find(s.session, &[bytes(CKA_ID, b"agrees")])[0];
    let point = s.p.get(s.session, key, CKA_EC_POINT)?;
    let mech = ecdh(CKM_ECDH1_DERIVE, CKD_NULL, &point);
    s.p.derive_key(s.session, mech, key, &[ulong(CKA_VALUE_LEN, 32)]).map(|_| ())
}

fn random(s: &Scene) -> Rv<()> {
    s.p.random(s.session, 100).map(|_| ())
}

fn find(s: &Scene) -> Rv<()> {
    s.p.find_init(s.session, &[])?;
    s.p.find_some(s.session, 10)?;
    s.p.find_final(s.session)
}

macro_rules! scenarios {
    ($($name:ident $killed:ident: $who:ident, $call:expr;)*) => {$(
        #[test]
        fn $name() {
            Bench::new().play(Who::$who, &said_and_broken(), $call);
        }

        #[test]
        fn $killed() {
            Bench::new().play(Who::$who, &KILLS, $call);
        }
    )*};
}

scenarios! {
    init_pin_survives_every_fault c133_init_pin_survives_power_cuts: Officer, init_pin;
    set_pin_survives_every_fault c133_set_pin_survives_power_cuts: Public, set_pin;
    login_survives_every_fault c133_login_survives_power_cuts: Public, login;
    key_generation_survives_every_fault c133_key_generation_survives_power_cuts: User, generate;
    an_import_survives_every_fault c133_an_import_survives_power_cuts: User, import;
    signing_survives_every_fault c133_signing_survives_power_cuts: User, sign;
    decryption_survives_every_fault c133_decryption_survives_power_cuts: User, decrypt;
    signing_with_a_pin_survives_every_fault c133_signing_with_a_pin_survives_power_cuts: User, sign_with_pin;
    a_long_mac_survives_every_fault c133_a_long_mac_survives_power_cuts: User, mac;
    a_value_that_is_read_survives_every_fault c133_a_value_that_is_read_survives_power_cuts: User, reveal;
    a_copy_survives_every_fault c133_a_copy_survives_power_cuts: User, copy;
    a_derivation_survives_every_fault c133_a_derivation_survives_power_cuts: User, derive;
    random_survives_every_fault c133_random_survives_power_cuts: User, random;
    a_search_survives_every_fault c133_a_search_survives_power_cuts: Public, find;
}

#[test]
fn init_token_survives_every_error_code() {
    Bench::new().play(Who::Nothing, &CODES.map(Fault::Rc), init_token);
}

#[test]
fn init_token_survives_every_broken_answer() {
    Bench::new().play(Who::Nothing, &BROKEN, init_token);
}

#[test]
fn c133_init_token_survives_power_cuts() {
    Bench::new().play(Who::Nothing, &KILLS, init_token);
}

#[test]
fn c133_a_tpm_restarted_while_idle_is_used_again_without_c_initialize() {
    let t = Token::new();
    let session = t.user();
    let (_, key) = ec_pair(&t.p, session, b"1", true);
    let (_, fleeting) = ec_pair(&t.p, session, b"2", false);
    for clean in [true, false] {
        for key in [key, fleeting] {
            t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).unwrap();
            if clean {
                t.rig.tpm.restart();
            } else {
                t.rig.tpm.kill();
                t.rig.tpm.start_again();
            }
            let first = t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]);
            assert!(matches!(first, Ok(_) | Err(CKR_DEVICE_ERROR)), "{first:x?}");
            t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).unwrap();
            assert_eq!(t.p.state(session), CKS_RW_USER_FUNCTIONS, "the login survives");
        }
    }
}

#[test]
fn c133_while_the_tpm_is_away_calls_fail_and_then_they_work() {
    let t = Token::new();
    let session = t.user();
    let (_, key) = ec_pair(&t.p, session, b"1", true);
    t.rig.tpm.stop();
    let away = t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]);
    assert!(matches!(away, Err(CKR_DEVICE_ERROR | CKR_DEVICE_REMOVED)), "{away:x?}");
    t.rig.tpm.start_again();
    t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).unwrap();
}

#[test]
fn c132_a_call_to_a_tpm_that_hangs_returns() {
    let bench = Bench::new();
    let p = &bench.p;
    let session = p.rw(OWNER);
    p.login(session, CKU_USER, PIN).unwrap();
    bench.proxy.set_hook(|_| Action::Hang);
    let began = Instant::now();
    assert_eq!(p.random(session, 8), Err(CKR_DEVICE_ERROR));
    // 30 s for the answer, and as much again for a machine that is busy.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    bench.proxy.clear_hook();
    p.random(session, 8).unwrap();
}
