//! A TPM that loses its power under processes that are logged in, as under daemons of a machine that sleeps: statement 133. A daemon
//! that hears of one failure may ask a person for the PIN again, so that not even the first call after it may fail.

mod common;

use common::fixture::*;
use common::p11::*;
use common::peer::{self, Peer};
use common::swtpm::Swtpm;
use common::tpm_proxy::Action;
use cryptoki_sys::*;

const ALL: [CK_SLOT_ID; 4] = [OWNER, ENDORSEMENT, PLATFORM, NULL];

fn sign(p: &P11, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Rv<()> {
    p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).map(drop)
}

/// How a TPM comes back, by TPM 2.0 Part 1, "Startup State".
#[derive(Clone, Copy, Debug, PartialEq)]
enum Power {
    /// After a cut.
    Cut,
    /// After TPM2_Shutdown(CLEAR).
    Reset,
    /// After TPM2_Shutdown(STATE), by TPM2_Startup(CLEAR): a machine that hibernated.
    Restart,
    /// After TPM2_Shutdown(STATE), by TPM2_Startup(STATE): a machine that slept.
    Resume,
}

const EVERY_WAY: [Power; 4] = [Power::Cut, Power::Reset, Power::Restart, Power::Resume];

impl Power {
    fn cycle(self, tpm: &Swtpm) {
        match self {
            Self::Cut => {
                tpm.kill();
                tpm.start_again();
            }
            Self::Reset => tpm.restart(),
            Self::Restart => {
                tpm.save_state();
                tpm.kill();
                tpm.start_again();
            }
            Self::Resume => {
                tpm.save_state();
                tpm.kill();
                tpm.resume();
            }
        }
    }
}

#[test]
fn c133_the_first_signature_after_the_machine_slept_needs_no_login_and_does_not_fail() {
    for slot in ALL {
        for power in EVERY_WAY {
            if slot == NULL && matches!(power, Power::Cut | Power::Reset) {
                continue; // its token ends with them: statement 129
            }
            let t = Token::in_slot(slot);
            let session = t.user();
            for on_token in [true, false] {
                let (_, key) = ec_pair(&t.p, session, b"1", on_token);
                sign(&t.p, session, key).unwrap();
                power.cycle(&t.rig.tpm);
                assert_eq!(sign(&t.p, session, key), Ok(()), "slot {slot}, {power:?}");
                assert_eq!(t.p.state(session), CKS_RW_USER_FUNCTIONS);
            }
            t.p.finalize().unwrap();
        }
    }
}

#[test]
fn c133_a_tpm_that_is_reset_under_two_processes_serves_both_at_once() {
    if peer::served() {
        return;
    }
    let t = Token::new();
    t.rig.tpm.set_lockout(32, 1000);
    let session = t.user();
    let (_, mine) = ec_pair(&t.p, session, b"1", true);
    let mut other = Peer::start("c133_a_tpm_that_is_reset_under_two_processes_serves_both_at_once");
    other.run("init").unwrap();
    let theirs = other.one("rw 0");
    other.run(&format!("login {theirs} user-1234")).unwrap();
    let pair = other.run(&format!("pair {theirs} 2 yes")).unwrap();
    let order = format!("sign {theirs} {}", pair[1]);
    for power in EVERY_WAY {
        // Who had the last turn before it, and who has the first after it.
        for (mine_last, mine_first) in [(true, true), (true, false), (false, true), (false, false)]
        {
            let mut turn = |my_turn: bool| {
                if my_turn { sign(&t.p, session, mine) } else { other.run(&order).map(drop) }
            };
            turn(!mine_last).unwrap();
            turn(mine_last).unwrap();
            power.cycle(&t.rig.tpm);
            let who = format!("{power:?}, last {mine_last}, first {mine_first}");
            assert_eq!(turn(mine_first), Ok(()), "{who}");
            assert_eq!(turn(!mine_first), Ok(()), "then the other: {who}");
        }
    }
    other.end();
}

#[test]
fn c133_what_is_asked_while_the_tpm_is_away_ends_no_session_and_no_login() {
    let t = Token::new();
    let session = t.user();
    let (_, key) = ec_pair(&t.p, session, b"1", true);
    let (_, fleeting) = ec_pair(&t.p, session, b"2", false);
    let asked: [(&str, &dyn Fn() -> Rv<()>); 7] = [
        ("C_GetSlotList", &|| t.p.slots(true).map(drop)),
        ("C_GetSlotInfo", &|| t.p.slot_info(t.slot).map(drop)),
        ("C_GetTokenInfo", &|| t.p.token_info(t.slot).map(drop)),
        ("C_GetMechanismList", &|| t.p.mechanisms(t.slot).map(drop)),
        ("C_OpenSession", &|| t.p.open(t.slot, CKF_SERIAL_SESSION).map(drop)),
        ("C_GenerateRandom", &|| t.p.random(session, 8).map(drop)),
        ("C_Sign", &|| sign(&t.p, session, key)),
    ];
    for (name, ask) in asked {
        t.rig.tpm.stop();
        let away = ask();
        let told = [CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT];
        assert!(away.is_ok() || told.contains(&away.unwrap_err()), "{name}: {away:x?}");
        t.rig.tpm.start_again();
        assert_eq!(t.p.state(session), CKS_RW_USER_FUNCTIONS, "{name}");
        assert_eq!(sign(&t.p, session, key), Ok(()), "{name}");
        assert_eq!(sign(&t.p, session, fleeting), Ok(()), "{name}");
    }
}

/// As the kernel's resource manager does it after a reset: what it kept for the connection cannot be loaded any more, so that
/// the first command is not even sent, whichever it is.
#[test]
fn c133_a_connection_that_is_lost_before_the_pin_went_out_fails_no_login() {
    const UNSEAL: u32 = 0x15e;
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    let session = t.user();
    t.p.logout(session).unwrap();
    proxy.reset();
    t.p.login(session, CKU_USER, PIN).unwrap();
    t.p.logout(session).unwrap();
    let commands = proxy.commands();
    let pin_goes_out = commands.iter().position(|(code, _)| *code == UNSEAL).unwrap();
    assert!(pin_goes_out > 0);
    for at in 0..pin_goes_out {
        proxy.fault_at(at, Action::DropConnection);
        assert_eq!(t.p.login(session, CKU_USER, PIN), Ok(()), "command {at}");
        proxy.clear_hook();
        t.p.logout(session).unwrap();
    }
    // Nobody knows whether this one was counted.
    proxy.reset();
    proxy.fault_at(pin_goes_out, Action::DropConnection);
    assert_eq!(t.p.login(session, CKU_USER, PIN), Err(CKR_DEVICE_ERROR));
    proxy.clear_hook();
    assert_eq!(proxy.commands().iter().filter(|(code, _)| *code == UNSEAL).count(), 1);
}
