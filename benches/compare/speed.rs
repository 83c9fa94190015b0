//! The jobs that are timed. Times are seconds.

use std::time::{Duration, Instant};

use cryptoki_sys::*;

use crate::common::aead::gcm;
use crate::common::fixture::PIN;
use crate::common::p11::*;
use crate::job::{self, AES, Client, EC, RSA};

/// How long an operation is repeated.
const ENOUGH: Duration = Duration::from_millis(250);
/// Not fewer than these even if they take longer.
pub const LEAST: usize = 5;

pub const BULK: usize = 64 << 10;
pub const PART: usize = 1 << 10;
pub const DIGESTED: usize = 1 << 20;

/// The median time of a call, after one that is not timed.
fn pace<T>(mut call: impl FnMut() -> Rv<T>) -> Rv<f64> {
    drop(call()?);
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < LEAST || began.elapsed() < ENOUGH {
        let start = Instant::now();
        drop(call()?);
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// A process's start: loading the module, then up to the login, then C_Finalize.
pub fn start(module: &str) -> Rv<Vec<f64>> {
    let began = Instant::now();
    let p = P11::load_other(module);
    let loaded = Instant::now();
    p.initialize()?;
    let session = p.open(job::slot(&p)?, CKF_SERIAL_SESSION)?;
    p.login(session, CKU_USER, PIN)?;
    let ready = Instant::now();
    p.finalize()?;
    let times = [loaded - began, ready - loaded, ready.elapsed()];
    Ok(times.map(|time| time.as_secs_f64()).to_vec())
}

/// The time of one operation of this kind.
pub fn of(module: &str, kind: &str) -> Rv<Vec<f64>> {
    let client = Client::user(module)?;
    let Client { p, session } = &client;
    let session = *session;
    let cbc = || Mech::bytes(CKM_AES_CBC, &[7; 16]);
    let sign = |ckm, id| {
        let key = client.find(CKO_PRIVATE_KEY, id)?;
        pace(|| p.sign(session, Mech::plain(ckm), key, &[7; 32]))
    };
    let verify = |ckm, id| {
        let key = client.find(CKO_PRIVATE_KEY, id)?;
        let signature = p.sign(session, Mech::plain(ckm), key, &[7; 32])?;
        let key = client.find(CKO_PUBLIC_KEY, id)?;
        pace(|| p.verify(session, Mech::plain(ckm), key, &[7; 32], &signature))
    };
    let encrypt = |mechanism: &dyn Fn() -> Mech| {
        let key = client.find(CKO_SECRET_KEY, AES)?;
        pace(|| bulk(&client, Op::Encrypt, mechanism(), key, &[7; BULK]))
    };
    let time = match kind {
        "sign-p256" => sign(CKM_ECDSA, EC),
        "sign-rsa" => sign(CKM_RSA_PKCS, RSA),
        "verify-p256" => verify(CKM_ECDSA, EC),
        "verify-rsa" => verify(CKM_RSA_PKCS, RSA),
        "cbc" => encrypt(&cbc),
        "gcm" => encrypt(&|| gcm(&[7; 12], &[], 128)),
        "cbc-parts" => {
            let key = client.find(CKO_SECRET_KEY, AES)?;
            pace(|| in_parts(&client, cbc(), key))
        }
        "sha256" => {
            let data = vec![7; DIGESTED];
            pace(|| bulk(&client, Op::Digest, Mech::plain(CKM_SHA256), 0, &data))
        }
        "generate-p256" => return generate(&client),
        _ => panic!("no such kind: {kind}"),
    };
    Ok(vec![time?])
}

/// An operation on all of the data in one call.
fn bulk(client: &Client, op: Op, mechanism: Mech, key: CK_OBJECT_HANDLE, data: &[u8]) -> Rv<()> {
    client.p.init(op, client.session, mechanism, key)?;
    let mut out = vec![0; BULK + 64];
    match client.p.one_shot_raw(op, client.session, data, Some(&mut out)).0 {
        CKR_OK => Ok(()),
        rv => Err(rv),
    }
}

/// Encrypts as much as `bulk`, part by part.
fn in_parts(client: &Client, mechanism: Mech, key: CK_OBJECT_HANDLE) -> Rv<()> {
    client.p.init(Op::Encrypt, client.session, mechanism, key)?;
    let update = client.p.list.C_EncryptUpdate.unwrap();
    let mut part = [7; PART];
    let mut out = [0; PART + 64];
    for _ in 0..BULK / PART {
        let mut len = out.len() as CK_ULONG;
        let (from, to) = (part.as_mut_ptr(), out.as_mut_ptr());
        match unsafe { update(client.session, from, PART as CK_ULONG, to, &mut len) } {
            CKR_OK => {}
            rv => return Err(rv),
        }
    }
    client.p.finish(Op::Encrypt, client.session).map(drop)
}

/// P-256 pairs on the token: the time of one, and of how many in this process. Each is destroyed
/// before the next, which is not timed; a module that keeps them in the TPM gets no further.
fn generate(client: &Client) -> Rv<Vec<f64>> {
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < LEAST || began.elapsed() < ENOUGH {
        let start = Instant::now();
        let (public, private) = match job::generate_pair(client, b"new") {
            Err(rv) if times.is_empty() => return Err(rv),
            Err(_) => break,
            Ok(pair) => pair,
        };
        times.push(start.elapsed().as_secs_f64());
        client.p.destroy(client.session, public)?;
        client.p.destroy(client.session, private)?;
    }
    let count = times.len() as f64;
    Ok(vec![median(times), count])
}

/// The time from the library's loading to the login beside many data objects, to find all of them, and
/// one by its label; and how many there are.
pub fn find(module: &str) -> Rv<Vec<f64>> {
    let began = Instant::now();
    let client = Client::user(module)?;
    let login = began.elapsed().as_secs_f64();
    let class = [ulong(CKA_CLASS, CKO_DATA)];
    let one = [bytes(CKA_LABEL, b"object 7")];
    let count = job::all(&client.p, client.session, &class)?.len();
    let every = pace(|| job::all(&client.p, client.session, &class))?;
    if job::all(&client.p, client.session, &one)?.len() != 1 {
        return Err(CKR_GENERAL_ERROR);
    }
    let one = pace(|| job::all(&client.p, client.session, &one))?;
    Ok(vec![login, every, one, count as f64])
}

/// Resident memory (kB) that the module brought by the time it has signed, the most there was
/// meanwhile, and the threads that it started.
pub fn memory(module: &str) -> Rv<Vec<f64>> {
    let before = status("VmRSS:");
    let client = Client::user(module)?;
    let key = client.find(CKO_PRIVATE_KEY, EC)?;
    client.p.sign(client.session, Mech::plain(CKM_ECDSA), key, &[7; 32])?;
    Ok(vec![status("VmRSS:") - before, status("VmHWM:") - before, status("Threads:") - 1.])
}

/// A number of /proc/self/status.
fn status(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
