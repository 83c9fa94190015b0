//! What the table asks each module, and what of the answer stands in it.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use cryptoki_sys::*;

use crate::common::tpm_proxy::Proxy;
use crate::manners::{HELD, SECRET};
use crate::module::{Module, Place, said};
use crate::outcome::{self, Outcome, name};
use crate::ptool;
use crate::speed::{self, BULK, DIGESTED, LEAST};

const PATIENCE: Duration = Duration::from_secs(30);
/// How long a process is given beside those that hold the token, or to call one function.
const BESIDE: Duration = Duration::from_secs(3);
const OBJECTS: usize = 1000;

/// So many processes are started that hold the token.
const AT_ONCE: usize = 8;

/// A wrong authorization that the TPM's dictionary-attack logic counts, and one that it does not.
const AUTH_FAIL: u32 = 0x8e;
const BAD_AUTH: u32 = 0xa2;

/// A module with what it is measured on.
pub struct Subject<'a> {
    pub module: &'a Module,
    /// A token with three keys.
    keys: Place<'a>,
    /// A token with many objects.
    many: Place<'a>,
    /// A token with a key, for what may go wrong.
    spare: Place<'a>,
}

impl<'a> Subject<'a> {
    pub fn new(module: &'a Module) -> Self {
        let [keys, many, spare] = [0; 3].map(|_| Place::new(module));
        for (place, jobs) in [
            (&keys, &["token", "key ec", "key rsa", "key aes"][..]),
            (&many, &["token", &format!("fill {OBJECTS}")]),
            (&spare, &["token", "key ec", "key aes"]),
        ] {
            for job in jobs {
                let outcome = run(place, job);
                match outcome {
                    Outcome::Numbers(_) => {}
                    Outcome::Failed(CKR_FUNCTION_NOT_SUPPORTED) => ptool::make_aes_key(place),
                    trouble => eprintln!("{}: {job}: {}", module.name, trouble.trouble()),
                }
            }
        }
        Self { module, keys, many, spare }
    }
}

/// Something to find out: one answer, from which each row takes its part.
pub struct Question {
    ask: fn(&Subject) -> Outcome,
    /// Whether it is a time, and asked again.
    pub timed: bool,
    pub rows: &'static [Row],
}

pub struct Row {
    pub name: &'static str,
    /// Whether README's short table has it.
    pub short: bool,
    pub show: fn(&[f64]) -> String,
}

impl Question {
    pub fn ask(&self, subject: &Subject) -> Outcome {
        (self.ask)(subject)
    }
}

const fn row(name: &'static str, show: fn(&[f64]) -> String) -> Row {
    Row { name, short: false, show }
}

/// A row that README has too.
const fn main_row(name: &'static str, show: fn(&[f64]) -> String) -> Row {
    Row { name, short: true, show }
}

const fn timed(ask: fn(&Subject) -> Outcome, rows: &'static [Row]) -> Question {
    Question { ask, timed: true, rows }
}

const fn counted(ask: fn(&Subject) -> Outcome, rows: &'static [Row]) -> Question {
    Question { ask, timed: false, rows }
}

pub const QUESTIONS: &[Question] = &[
    timed(
        |subject| run(&subject.keys, "start"),
        &[
            row("the library loaded (dlopen)", |n| millis(n[0])),
            main_row("a new process up to its login", |n| millis(n[1])),
            row("C_Finalize", |n| millis(n[2])),
        ],
    ),
    timed(
        |subject| run(&subject.keys, "speed sign-p256"),
        &[main_row("ECDSA P-256 signatures", |n| rate(n[0]))],
    ),
    timed(
        |subject| run(&subject.keys, "speed sign-rsa"),
        &[main_row("RSA-2048 PKCS#1 v1.5 signatures", |n| rate(n[0]))],
    ),
    timed(
        |subject| run(&subject.keys, "speed verify-p256"),
        &[row("ECDSA P-256 verifications", |n| rate(n[0]))],
    ),
    timed(
        |subject| run(&subject.keys, "speed verify-rsa"),
        &[row("RSA-2048 verifications", |n| rate(n[0]))],
    ),
    timed(
        |subject| run(&subject.keys, "speed generate-p256"),
        &[row("P-256 pairs generated on the token", |n| generated(n[0], n[1]))],
    ),
    timed(
        |subject| run(&subject.keys, "speed cbc"),
        &[main_row("AES-256-CBC, 64 KiB in one call", |n| throughput(BULK, n[0]))],
    ),
    timed(
        |subject| run(&subject.keys, "speed cbc-parts"),
        &[row("AES-256-CBC, 64 KiB in parts of 1 KiB", |n| throughput(BULK, n[0]))],
    ),
    timed(
        |subject| run(&subject.keys, "speed gcm"),
        &[row("AES-256-GCM, 64 KiB in one call", |n| throughput(BULK, n[0]))],
    ),
    timed(
        |subject| run(&subject.keys, "speed sha256"),
        &[row("SHA-256, 1 MiB in one call", |n| throughput(DIGESTED, n[0]))],
    ),
    timed(
        |subject| run(&subject.many, "find"),
        &[
            row("library loaded and logged in, with 1000 data objects", |n| among(n[0], n[3])),
            main_row("all of 1000 data objects found", |n| among(n[1], n[3])),
            row("one of them found by its label", |n| among(n[2], n[3])),
        ],
    ),
    counted(
        commands,
        &[
            row("TPM commands of a process that logs in", |n| n[0].to_string()),
            row("of its first P-256 signature, besides", |n| n[1].to_string()),
            main_row("TPM commands of each further signature", |n| n[2].to_string()),
        ],
    ),
    timed(
        |subject| run(&subject.keys, "memory"),
        &[
            main_row("memory that it took to log in and sign", |n| format!("{:.1} MB", n[0] / 1e3)),
            row("the same at its peak", |n| format!("{:.1} MB", n[1] / 1e3)),
            row("threads that it started", |n| n[2].to_string()),
        ],
    ),
    counted(
        size,
        &[
            row("size of the .so", |n| format!("{:.1} MB", n[0] / 1e6)),
            row("libraries that it loads (ldd)", |n| n[1].to_string()),
        ],
    ),
    counted(
        |subject| run(&subject.keys, "lists"),
        &[
            main_row("PKCS#11", |n| format!("{}.{}", n[3], n[4])),
            main_row("mechanisms", |n| n[1].to_string()),
            row("slots", |n| n[0].to_string()),
        ],
    ),
    counted(
        functions,
        &[
            row("functions in its newest list", |n| n[0].to_string()),
            row("of which CKR_FUNCTION_NOT_SUPPORTED", |n| n[1].to_string()),
            row("of which do not outlive zeros for all arguments", |n| n[2].to_string()),
        ],
    ),
    counted(wrong_pin, &[row("a wrong PIN is refused by", refusal)]),
    counted(
        |subject| seen(subject, "encrypt-secret"),
        &[row("plaintext of an AES encryption, on the TPM's bus", |n| in_clear(n[0]))],
    ),
    counted(
        |subject| seen(subject, "import-secret"),
        &[row("AES key brought in by C_CreateObject, on the bus", |n| in_clear(n[0]))],
    ),
    counted(
        at_once,
        &[row("processes logged in at once, each with a signature made", |n| of_all(n[0]))],
    ),
    counted(
        |subject| run(&subject.spare, "fork"),
        &[
            row("a forked child that calls C_Initialize, logs in, signs", |n| said_by(n[0])),
            row("one that signs in its parent's session", |n| said_by(n[1])),
            row("the parent's next signature", |n| said_by(n[2])),
        ],
    ),
];

fn run(place: &Place, job: &str) -> Outcome {
    outcome::of(place, None, job, PATIENCE)
}

/// A job with somebody on the bus: what was said, and the commands and answers; none without a TPM.
fn tapped(place: &Place, job: &str) -> (Outcome, Vec<(u32, u32)>, Vec<u8>) {
    let Some(tpm) = &place.tpm else { return (run(place, job), vec![], vec![]) };
    let proxy = Proxy::before(tpm);
    // libtss2 wants the control socket beside it; it is there already the next time.
    let control = tpm.directory().join("tpm.ctrl");
    let _ = std::os::unix::fs::symlink(control, tpm.directory().join("proxy.ctrl"));
    let outcome = outcome::of(place, Some(&proxy), job, PATIENCE);
    (outcome, proxy.commands(), proxy.tap())
}

/// TPM commands of a process that only logs in, of its first signature, of each of ten more.
fn commands(subject: &Subject) -> Outcome {
    if subject.keys.tpm.is_none() {
        return Outcome::Numbers(vec![]);
    }
    let mut counts = [0.; 3];
    for (count, signatures) in counts.iter_mut().zip([0, 1, 11]) {
        let (outcome, commands, _) = tapped(&subject.keys, &format!("signatures {signatures}"));
        if outcome.numbers().is_none() {
            return outcome;
        }
        *count = commands.len() as f64;
    }
    let [none, one, eleven] = counts;
    Outcome::Numbers(vec![none, one - none, (eleven - one) / 10.])
}

/// Bytes of the library, and the number of those that it needs.
fn size(subject: &Subject) -> Outcome {
    let path = &subject.module.path;
    let bytes = std::fs::metadata(path).unwrap().len();
    let libraries = said("ldd", &[path.to_str().unwrap()]);
    Outcome::Numbers(vec![bytes as f64, libraries.lines().count() as f64])
}

/// Functions of the list, those that are not supported, those that the process does not outlive.
fn functions(subject: &Subject) -> Outcome {
    let lists = run(&subject.spare, "lists");
    let Some(listed) = lists.numbers().map(|numbers| numbers[2]) else { return lists };
    let (mut lacking, mut deadly) = (0, 0);
    for at in 0..listed as usize {
        match outcome::of(&subject.spare, None, &format!("function {at}"), BESIDE) {
            Outcome::Numbers(rv) if rv == [CKR_FUNCTION_NOT_SUPPORTED as f64] => lacking += 1,
            Outcome::Died(_) | Outcome::Endless(_) => deadly += 1,
            _ => {}
        }
    }
    Outcome::Numbers(vec![listed, lacking.into(), deadly.into()])
}

/// What a wrong PIN got, and what the TPM had to say about it.
fn wrong_pin(subject: &Subject) -> Outcome {
    let (outcome, commands, _) = tapped(&subject.spare, "wrong-pin");
    // TPM 2.0 Part 2, "TPM_RC": without the bits that say which handle, session or parameter.
    let refused = commands.iter().map(|(_, code)| code & 0xbf);
    let refused = refused.rev().find(|code| [AUTH_FAIL, BAD_AUTH].contains(code)).unwrap_or(0);
    match outcome {
        Outcome::Numbers(rv) => Outcome::Numbers(vec![rv[0], refused.into()]),
        trouble => trouble,
    }
}

/// Whether the secret of a job is seen on the bus.
fn seen(subject: &Subject, job: &str) -> Outcome {
    let (outcome, _, tap) = tapped(&subject.spare, job);
    match outcome {
        Outcome::Numbers(_) if subject.spare.tpm.is_none() => Outcome::Numbers(vec![]),
        Outcome::Numbers(_) => {
            let seen = tap.windows(16).any(|window| window == &SECRET[..16]);
            Outcome::Numbers(vec![seen.into()])
        }
        trouble => trouble,
    }
}

/// How many processes hold a login and have signed, all at once.
fn at_once(subject: &Subject) -> Outcome {
    let mut holders = Vec::new();
    for _ in 0..AT_ONCE {
        // Without `of`, which would clean the TPM up under the others.
        let mut holder = outcome::start(&subject.keys, None, "hold");
        let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // It is gone if nobody waits any more.
            let _ = tell.send(lines.map_while(Result::ok).any(|line| line == HELD));
        });
        let held = told.recv_timeout(BESIDE).unwrap_or(false);
        holders.push((holder, held));
        if !held {
            break;
        }
    }
    let mut held = 0;
    for (mut holder, holds) in holders {
        held += u8::from(holds);
        // The end of its stdin is the end of its work.
        drop(holder.stdin.take());
        outcome::end(&mut holder, BESIDE);
    }
    subject.keys.clean();
    Outcome::Numbers(vec![held.into()])
}

fn millis(time: f64) -> String {
    format!("{} ms", digits(time * 1e3))
}

fn rate(time: f64) -> String {
    format!("{} /s", digits(1. / time))
}

/// A rate, and of how many where the process got no further.
fn generated(time: f64, count: f64) -> String {
    let few =
        if count as usize >= LEAST { String::new() } else { format!(" ({count} in a process)") };
    format!("{}{few}", rate(time))
}

fn throughput(bytes: usize, time: f64) -> String {
    format!("{} MB/s", digits(bytes as f64 / time / 1e6))
}

/// A time, and of how many objects where there are not as many as the row says.
fn among(time: f64, count: f64) -> String {
    let few = if count as usize == OBJECTS { String::new() } else { format!(" ({count} objects)") };
    format!("{}{few}", millis(time))
}

/// About three digits.
fn digits(number: f64) -> String {
    match number {
        n if n >= 100. => format!("{n:.0}"),
        n if n >= 10. => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

fn of_all(count: f64) -> String {
    let more = if count as usize == AT_ONCE { " and more" } else { "" };
    format!("{count}{more}")
}

fn said_by(rv: f64) -> String {
    name(rv as CK_RV)
}

fn refusal(numbers: &[f64]) -> String {
    let by = match numbers[1] as u32 {
        AUTH_FAIL => "the TPM, which counts it",
        BAD_AUTH => "the TPM, which does not count it",
        _ => "the module",
    };
    match numbers[0] as CK_RV {
        CKR_PIN_INCORRECT => by.into(),
        rv => format!("{by}, as {}", name(rv)),
    }
}

fn in_clear(seen: f64) -> String {
    if seen == 1. { "in clear" } else { "encrypted" }.into()
}

/// What a module answered to one question, each time.
#[derive(Default)]
pub struct Answers(Vec<Outcome>);

impl Answers {
    pub fn add(&mut self, outcome: Outcome) {
        self.0.push(outcome);
    }

    /// For the table: of the medians, or the first trouble there was.
    pub fn show(&self, row: &Row) -> String {
        if let Some(trouble) = self.0.iter().find(|outcome| outcome.numbers().is_none()) {
            return trouble.trouble();
        }
        let times: Vec<_> = self.0.iter().filter_map(Outcome::numbers).collect();
        let len = times.iter().map(|numbers| numbers.len()).min().unwrap_or(0);
        if len == 0 {
            return "-".into();
        }
        let of = |at| speed::median(times.iter().map(|numbers| numbers[at]).collect());
        (row.show)(&(0..len).map(of).collect::<Vec<_>>())
    }
}
