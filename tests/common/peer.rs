//! Another process with the module in it: this test's own program, run again, which does what it
//! is told line by line on either of two threads.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use cryptoki_sys::*;

use super::fixture::{data, ec_pair};
use super::p11::{Attr, Mech, P11, Rv, bytes};

const ROLE: &str = "HIERARKEY_TEST_PEER";
/// What begins a line that is an answer, and not the test harness's.
const MARK: &str = "\u{1}peer ";

/// What the test runs as in this process: the words it was started with as a peer, if it was.
pub fn role() -> Option<Vec<String>> {
    let role = std::env::var(ROLE).ok()?;
    Some(role.split(' ').map(str::to_owned).collect())
}

/// If this process is a peer, serves until its input ends, and says so: the test ends then.
pub fn served() -> bool {
    if role().is_none() {
        return false;
    }
    let workers = [worker(), worker()];
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (thread, words) = line.split_once(' ').unwrap();
        let (ask, answer) = &workers[if thread == "2" { 1 } else { 0 }];
        ask.send(words.to_owned()).unwrap();
        tell(&answer.recv().unwrap());
    }
    true
}

/// Says one line to the test that started this process.
pub fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    // The harness may have left a line unfinished.
    writeln!(out, "\n{MARK}{line}").unwrap();
    out.flush().unwrap();
}

fn worker() -> (Sender<String>, Receiver<String>) {
    let (ask, asked) = channel::<String>();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let p = P11::load();
        for line in asked {
            let words: Vec<&str> = line.split(' ').collect();
            let answer = match run(&p, &words) {
                Ok(numbers) => numbers.iter().fold("ok".to_owned(), |mut line, n| {
                    write!(line, " {n}").unwrap();
                    line
                }),
                Err(rv) => format!("rv {rv}"),
            };
            tell.send(answer).unwrap();
        }
    });
    (ask, told)
}

fn run(p: &P11, words: &[&str]) -> Rv<Vec<CK_ULONG>> {
    let n = |i: usize| words[i].parse::<CK_ULONG>().unwrap();
    let b = |i: usize| words[i].as_bytes();
    let yes = |i: usize| words[i] == "yes";
    let none = |()| Vec::new();
    let serial = CKF_SERIAL_SESSION;
    match words[0] {
        "init" => p.initialize().map(none),
        "finalize" => p.finalize().map(none),
        "slots" => p.slots(true),
        "rw" => p.open(n(1), serial | CKF_RW_SESSION).map(|s| vec![s]),
        "ro" => p.open(n(1), serial).map(|s| vec![s]),
        "close" => p.close(n(1)).map(none),
        "close-all" => p.close_all(n(1)).map(none),
        "login" => p.login(n(1), CKU_USER, b(2)).map(none),
        "login-so" => p.login(n(1), CKU_SO, b(2)).map(none),
        "logout" => p.logout(n(1)).map(none),
        "state" => p.session_info(n(1)).map(|info| vec![info.state]),
        "flags" => p.token_info(n(1)).map(|info| vec![info.flags]),
        "set-pin" => p.set_pin(n(1), b(2), b(3)).map(none),
        "init-pin" => p.init_pin(n(1), b(2)).map(none),
        "init-token" => p.init_token(n(1), b(2), words[3]).map(none),
        "pair" => {
            let (public, private) = ec_pair(p, n(1), b(2), yes(3));
            Ok(vec![public, private])
        }
        "data" => p.create(n(1), &data(b(2), yes(3), yes(4))).map(|object| vec![object]),
        "rename" => p.set(n(1), n(2), &[bytes(CKA_LABEL, b(3))]).map(none),
        "mark" => p.set(n(1), n(2), &[bytes(CKA_LABEL, b(3)), bytes(CKA_ID, b(3))]).map(none),
        "destroy" => p.destroy(n(1), n(2)).map(none),
        "find" => {
            let template: Vec<Attr> =
                words.get(2).map(|label| bytes(CKA_LABEL, label.as_bytes())).into_iter().collect();
            Ok(p.find(n(1), &template))
        }
        "label-size" => p.get(n(1), n(2), CKA_LABEL).map(|label| vec![label.len() as CK_ULONG]),
        "sign" => p.sign(n(1), Mech::plain(CKM_ECDSA), n(2), &[7; 32]).map(|_| Vec::new()),
        other => panic!("{other} is no order"),
    }
}

/// The other process.
pub struct Peer {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Runs `test`, the calling test's own name, again as a peer. The environment is this
    /// process's.
    pub fn start(test: &str) -> Self {
        Self::start_as(test, "serve", &[])
    }

    /// The same with words for [`role`], behind the command line `before` (to drop privileges).
    pub fn start_as(test: &str, words: &str, before: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = match before {
            [] => Command::new(&program),
            [first, others @ ..] => {
                let mut command = Command::new(first);
                command.args(others).arg(&program);
                command
            }
        };
        let mut child = command
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, orders, answers }
    }

    /// The next line it tells; none when it ended.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.answers.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // A line without its end is one that a kill cut off.
            if let Some(told) = line.strip_prefix(MARK).and_then(|line| line.strip_suffix('\n')) {
                return Some(told.to_owned());
            }
        }
    }

    /// An order to one of its two threads, and what came of it.
    pub fn on(&mut self, thread: u8, order: &str) -> Rv<Vec<CK_ULONG>> {
        writeln!(self.orders.as_mut().unwrap(), "{thread} {order}").unwrap();
        let answer = self.hear().unwrap_or_else(|| panic!("the peer died of {order:?}"));
        let (kind, numbers) = answer.split_once(' ').unwrap_or((&answer, ""));
        let mut numbers = numbers.split_whitespace().map(|n| n.parse::<CK_ULONG>().unwrap());
        if kind == "ok" { Ok(numbers.collect()) } else { Err(numbers.next().unwrap()) }
    }

    pub fn run(&mut self, order: &str) -> Rv<Vec<CK_ULONG>> {
        self.on(1, order)
    }

    /// The one number that an order gives.
    pub fn one(&mut self, order: &str) -> CK_ULONG {
        let numbers = self.run(order).unwrap_or_else(|rv| panic!("{order:?} gave 0x{rv:x}"));
        assert_eq!(numbers.len(), 1, "{order:?} gave {numbers:?}");
        numbers[0]
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// The end of its input, and its own end in good order.
    pub fn end(mut self) {
        drop(self.orders.take());
        while self.hear().is_some() {}
        assert!(self.child.wait().unwrap().success(), "the peer failed");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
