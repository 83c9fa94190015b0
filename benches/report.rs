//! What the module costs: signatures beside the bare TPM command, start and search beside the size
//! of the store, TPM commands of each call. `make bench` prints it.
//!
//! Everything goes through the released .so's C ABI, on a software TPM that nobody else uses. Times
//! are medians of one run on one machine: their ratios mean something, they do not.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::fixture::*;
use common::p11::*;
use common::swtpm::{Swtpm, authorized_command, plain_command, response_code};
use common::tpm_proxy::Proxy;
use cryptoki_sys::*;

const RH_NULL: u32 = 0x4000_0007;
const CREATE_PRIMARY: u32 = 0x131;
const SIGN: u32 = 0x15d;
const FLUSH_CONTEXT: u32 = 0x165;

/// Times of `rounds` calls: their median.
fn median(rounds: usize, call: impl FnMut()) -> Duration {
    median_after(rounds, || {}, call)
}

/// The same, with something before each call that is not timed.
fn median_after(rounds: usize, mut before: impl FnMut(), mut call: impl FnMut()) -> Duration {
    before();
    call();
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            before();
            let start = Instant::now();
            call();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// TPM2_Sign with an empty password, on a new connection each time as the module makes one.
fn bare_sign(tpm: &Swtpm, public: &[u8], scheme: u16) -> Duration {
    let sensitive = [0, 4, 0, 0, 0, 0];
    let size = u16::try_from(public.len()).unwrap().to_be_bytes();
    let parameters = [&sensitive[..], &size, public, &[0, 0], &[0; 4]].concat();
    let made = tpm.transmit(&authorized_command(CREATE_PRIMARY, RH_NULL, &parameters));
    assert_eq!(response_code(&made), 0);
    let handle = u32::from_be_bytes(made[10..14].try_into().unwrap());
    let ticket = [0x80, 0x24, 0x40, 0, 0, 7, 0, 0];
    let parameters = [&[0, 32][..], &[7; 32], &scheme.to_be_bytes(), &[0, 0x0b], &ticket].concat();
    let command = authorized_command(SIGN, handle, &parameters);
    let time = median(200, || assert_eq!(response_code(&tpm.transmit(&command)), 0));
    tpm.transmit(&plain_command(FLUSH_CONTEXT, &handle.to_be_bytes()));
    time
}

fn signatures() {
    println!("## Signatures\n");
    println!("| key | bare TPM2_Sign | C_Sign, ECDSA unchecked | ratio | C_Sign | ratio |");
    println!("|---|---|---|---|---|---|");
    let attributes = [0, 4, 4, 0x72];
    let ec = [
        &[0, 0x23, 0, 0x0b][..],
        &attributes,
        &[0, 0],
        &[0, 0x10, 0, 0x10, 0, 3, 0, 0x10],
        &[0; 4],
    ]
    .concat();
    let rsa =
        [&[0, 1, 0, 0x0b][..], &attributes, &[0, 0], &[0, 0x10, 0, 0x10, 8, 0], &[0; 4], &[0, 0]]
            .concat();
    let rig = Rig::with_config("check_ec_signatures = false\n");
    let bare = [bare_sign(&rig.tpm, &ec, 0x18), bare_sign(&rig.tpm, &rsa, 0x14)];
    let t = Token::on(rig, OWNER);
    let mut times = Vec::new();
    for _ in 0..2 {
        let session = t.user();
        let (_, ec) = ec_pair(&t.p, session, b"1", true);
        let (_, rsa) = rsa_pair(&t.p, session, b"2", true);
        let sign = |mechanism, key| {
            median_after(
                200,
                || t.p.init(Op::Sign, session, Mech::plain(mechanism), key).unwrap(),
                || drop(t.p.one_shot(Op::Sign, session, &[7; 32]).unwrap()),
            )
        };
        times.push([sign(CKM_ECDSA, ec), sign(CKM_RSA_PKCS, rsa)]);
        t.p.finalize().unwrap();
        std::fs::write(t.rig.path().join("no.toml"), "").unwrap();
        t.p.initialize().unwrap();
    }
    t.p.finalize().unwrap();
    for (at, name) in ["P-256", "RSA-2048 (its check cannot be turned off)"].iter().enumerate() {
        let ratio = |time: Duration| time.as_secs_f64() / bare[at].as_secs_f64();
        let (unchecked, checked) = (times[0][at], times[1][at]);
        println!(
            "| {name} | {:.2} ms | {:.2} ms | {:.2} | {:.2} ms | {:.2} |",
            millis(bare[at]),
            millis(unchecked),
            ratio(unchecked),
            millis(checked),
            ratio(checked),
        );
    }
}

fn stores() {
    println!("\n## Start and search\n");
    println!("| objects | C_Initialize | find by CKA_LABEL | find by CKA_CLASS | peak memory |");
    println!("|---|---|---|---|---|");
    for objects in [10, 1_000, 10_000usize] {
        // Peak memory is the process's: each size has one of its own.
        let done = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("store")
            .arg(objects.to_string())
            .status()
            .unwrap();
        assert!(done.success());
    }
}

fn store(objects: usize) {
    let t = Token::new();
    let session = t.p.rw(OWNER);
    let template = |n: usize| data(format!("object {n}").as_bytes(), true, false);
    let first = t.p.create(session, &template(0)).unwrap();
    let unique = t.p.get(session, first, CKA_UNIQUE_ID).unwrap();
    assert_eq!(unique.len(), 32);
    for n in 1..objects {
        t.p.create(session, &template(n)).unwrap();
    }
    t.p.finalize().unwrap();
    let start = median(50, || {
        t.p.initialize().unwrap();
        t.p.finalize().unwrap();
    });
    t.p.initialize().unwrap();
    let session = t.p.ro(OWNER);
    let label = [bytes(CKA_LABEL, b"object 7")];
    let by_label = median(50, || assert_eq!(t.p.find(session, &label).len(), 1));
    let all = [ulong(CKA_CLASS, CKO_DATA)];
    let by_class = median(5, || assert_eq!(t.p.find(session, &all).len(), objects));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?");
    println!(
        "| {objects} | {:.3} ms | {:.3} ms | {:.1} ms | {} |",
        millis(start),
        millis(by_label),
        millis(by_class),
        peak.trim(),
    );
}

fn commands() {
    println!("\n## TPM commands\n");
    println!("Without TPM2_FlushContext, which is counted apart.\n");
    println!("| call | commands | flushes |\n|---|---|---|");
    let (rig, proxy) = Rig::tapped();
    let t = Token::on(rig, OWNER);
    t.p.finalize().unwrap();
    let p = &t.p;
    fn told<T>(proxy: &Proxy, name: &str, call: impl FnOnce() -> T) -> T {
        proxy.reset();
        let result = call();
        let commands = proxy.commands();
        let flushes = commands.iter().filter(|(code, _)| *code == FLUSH_CONTEXT).count();
        println!("| {name} | {} | {flushes} |", commands.len() - flushes);
        result
    }
    told(&proxy, "C_Initialize", || p.initialize().unwrap());
    told(&proxy, "C_GetSlotList (all)", || p.slots(false).unwrap());
    told(&proxy, "C_GetTokenInfo", || p.token_info(OWNER).unwrap());
    let session = told(&proxy, "C_OpenSession", || p.rw(OWNER));
    told(&proxy, "first search: attaching", || p.find(session, &[]));
    told(&proxy, "next search", || p.find(session, &[]));
    told(&proxy, "C_Login", || p.login(session, CKU_USER, PIN).unwrap());
    let (_, key) = told(&proxy, "C_GenerateKeyPair", || ec_pair(p, session, b"1", true));
    let sign = || p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).unwrap();
    told(&proxy, "C_Sign, first use of a key", sign);
    told(&proxy, "C_Sign, next", sign);
    told(&proxy, "C_GenerateRandom, 1000 bytes", || p.random(session, 1000).unwrap());
    told(&proxy, "C_Logout", || p.logout(session).unwrap());
    told(&proxy, "C_Login, next", || p.login(session, CKU_USER, PIN).unwrap());
    told(&proxy, "C_SetPIN", || p.set_pin(session, PIN, PIN).unwrap());
    p.logout(session).unwrap();
    p.login(session, CKU_SO, SO_PIN).unwrap();
    told(&proxy, "C_InitPIN", || p.init_pin(session, PIN).unwrap());
    told(&proxy, "C_Finalize", || p.finalize().unwrap());
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if arguments.next().as_deref() == Some("store") {
        return store(arguments.next().and_then(|n| n.parse().ok()).unwrap_or(10));
    }
    signatures();
    stores();
    commands();
}
