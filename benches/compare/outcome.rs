//! What a job's process said, or how it ended.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use cryptoki_sys::*;

use crate::common::p11::Rv;
use crate::common::tpm_proxy::Proxy;
use crate::module::Place;

/// What a line with the outcome begins with: modules may write to the output as well.
const MARK: &str = "outcome:";

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The job's numbers; their meaning is the job's.
    Numbers(Vec<f64>),
    /// A call failed.
    Failed(CK_RV),
    /// The process died, by this signal or with this status.
    Died(String),
    /// It was stopped after as many seconds.
    Endless(u64),
}

impl Outcome {
    /// Says it to the process that started this one.
    pub fn say(result: Rv<Vec<f64>>) {
        match result {
            Ok(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(f64::to_string).collect();
                println!("\n{MARK} numbers {}", numbers.join(" "));
            }
            Err(rv) => println!("\n{MARK} failed {rv}"),
        }
    }

    fn heard(output: &str) -> Option<Self> {
        let line = output.lines().rev().find_map(|line| line.strip_prefix(MARK))?;
        let (what, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match what {
            "numbers" => rest.split_whitespace().map(|n| n.parse().ok()).collect::<Option<_>>(),
            "failed" => return rest.parse().ok().map(Self::Failed),
            _ => None,
        }
        .map(Self::Numbers)
    }

    pub fn numbers(&self) -> Option<&[f64]> {
        match self {
            Self::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// For the table, where there are no numbers.
    pub fn trouble(&self) -> String {
        match self {
            Self::Numbers(_) => "?".into(),
            Self::Failed(rv) => format!("fails: {}", name(*rv)),
            Self::Died(how) => format!("dies: {how}"),
            Self::Endless(seconds) => format!("no end in {seconds} s"),
        }
    }
}

/// Runs a job in a process of its own.
pub fn of(place: &Place, proxy: Option<&Proxy>, job: &str, limit: Duration) -> Outcome {
    let mut child = start(place, proxy, job);
    let outcome = wait(&mut child, limit);
    place.clean();
    outcome
}

/// Starts the process of a job. What it says is in its stdout, and its stdin ends when the child is dropped.
pub fn start(place: &Place, proxy: Option<&Proxy>, job: &str) -> Child {
    place
        .command(proxy)
        .arg(job)
        .arg(&place.module.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits for the process, and no longer than `limit`.
fn wait(child: &mut Child, limit: Duration) -> Outcome {
    let Some(status) = end(child, limit) else { return Outcome::Endless(limit.as_secs()) };
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    if let Some(signal) = status.signal() {
        return Outcome::Died(format!("signal {signal}"));
    }
    let heard = Outcome::heard(&String::from_utf8_lossy(&output));
    heard.unwrap_or_else(|| Outcome::Died(status.to_string()))
}

/// Waits for the end of the process; one that has none in time is stopped.
pub fn end(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if began.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The names of these values, for [`name`].
macro_rules! names {
    ($($name:ident)*) => { &[$(($name, stringify!($name))),*] };
}

const NAMES: &[(CK_RV, &str)] = names! {
    CKR_HOST_MEMORY CKR_SLOT_ID_INVALID CKR_GENERAL_ERROR CKR_FUNCTION_FAILED CKR_ARGUMENTS_BAD
    CKR_ATTRIBUTE_READ_ONLY CKR_ATTRIBUTE_SENSITIVE CKR_ATTRIBUTE_TYPE_INVALID
    CKR_ATTRIBUTE_VALUE_INVALID CKR_DATA_INVALID CKR_DATA_LEN_RANGE CKR_DEVICE_ERROR
    CKR_DEVICE_MEMORY CKR_DEVICE_REMOVED CKR_ENCRYPTED_DATA_INVALID CKR_FUNCTION_NOT_SUPPORTED
    CKR_KEY_HANDLE_INVALID CKR_KEY_SIZE_RANGE CKR_KEY_TYPE_INCONSISTENT
    CKR_KEY_FUNCTION_NOT_PERMITTED CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID
    CKR_OBJECT_HANDLE_INVALID CKR_OPERATION_ACTIVE CKR_OPERATION_NOT_INITIALIZED CKR_PIN_INCORRECT
    CKR_PIN_LEN_RANGE CKR_PIN_LOCKED CKR_SESSION_CLOSED CKR_SESSION_COUNT
    CKR_SESSION_HANDLE_INVALID CKR_SESSION_READ_ONLY CKR_SIGNATURE_INVALID CKR_TEMPLATE_INCOMPLETE
    CKR_TEMPLATE_INCONSISTENT CKR_TOKEN_NOT_PRESENT CKR_TOKEN_WRITE_PROTECTED
    CKR_USER_ALREADY_LOGGED_IN CKR_USER_NOT_LOGGED_IN CKR_USER_PIN_NOT_INITIALIZED
    CKR_BUFFER_TOO_SMALL CKR_CRYPTOKI_NOT_INITIALIZED CKR_CRYPTOKI_ALREADY_INITIALIZED
    CKR_CURVE_NOT_SUPPORTED CKR_DOMAIN_PARAMS_INVALID CKR_OK
};

/// A return value's name, or its number.
pub fn name(rv: CK_RV) -> String {
    let known = NAMES.iter().find(|(value, _)| *value == rv);
    known.map_or_else(|| format!("0x{rv:x}"), |(_, name)| (*name).into())
}
