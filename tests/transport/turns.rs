//! Several takers of one TPM: links, processes, forked children.

use std::io::{BufRead, BufReader, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

#[test]
fn two_links_hand_each_other_what_they_left_loaded() {
    let tpm = Swtpm::start();
    let (mut one, mut two) = (link_to(&tpm.tcti()), link_to(&tpm.tcti()));
    let left = Leftovers { transient: vec![0x8000_0000], auth_sessions: vec![0x0200_0001] };
    one.take().unwrap();
    one.give_back(&left);
    assert_eq!(one.take().unwrap(), Taken::StillMine);
    one.give_back(&left);
    assert_eq!(two.take().unwrap(), Taken::Others(left));
    two.give_back(&Leftovers::default());
    assert_eq!(one.take().unwrap(), Taken::Others(Leftovers::default()));
}

/// Adds one to the number in `path` in two steps, which only an exclusive turn makes one.
fn count(path: &Path) {
    let number: u32 = std::fs::read_to_string(path).unwrap().parse().unwrap();
    std::thread::yield_now();
    std::fs::write(path, (number + 1).to_string()).unwrap();
}

fn count_in_turns(tcti: &str, counter: &Path, turns: usize) {
    let mut link = link_to(tcti);
    for _ in 0..turns {
        assert_ne!(link.take().unwrap(), Taken::Unknown, "nobody died");
        count(counter);
        answers(&mut *link);
        link.give_back(&Leftovers::default());
    }
}

#[test]
fn processes_and_threads_take_turns_one_at_a_time() {
    const ROLE: &str = "HIERARKEY_TEST_COUNTING";
    const TURNS: usize = 100;
    if let Ok(role) = std::env::var(ROLE) {
        let (tcti, counter) = role.split_once('|').unwrap();
        return count_in_turns(tcti, Path::new(counter), TURNS);
    }
    let tpm = Swtpm::start();
    let counter = tpm.directory().join("counter");
    std::fs::write(&counter, "0").unwrap();
    let role = format!("{}|{}", tpm.tcti(), counter.display());
    let name = "turns::processes_and_threads_take_turns_one_at_a_time";
    let processes: Vec<Process> = (0..3).map(|_| Process::of_test(name, ROLE, &role)).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| count_in_turns(&tpm.tcti(), &counter, TURNS));
        }
    });
    processes.into_iter().for_each(Process::succeeds);
    assert_eq!(std::fs::read_to_string(&counter).unwrap(), (5 * TURNS).to_string());
}

#[test]
fn a_taker_that_is_killed_in_its_turn_leaves_the_unknown_behind() {
    const ROLE: &str = "HIERARKEY_TEST_TO_BE_KILLED";
    if let Ok(tcti) = std::env::var(ROLE) {
        let mut link = link_to(&tcti);
        link.take().unwrap();
        answers(&mut *link);
        println!("\ntaken");
        // Until the kill, or the end of a parent that failed.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    }
    let tpm = Swtpm::start();
    let mut link = link_to(&tpm.tcti());
    one_turn(&mut *link);
    let name = "turns::a_taker_that_is_killed_in_its_turn_leaves_the_unknown_behind";
    let mut process = Process::of_test(name, ROLE, &tpm.tcti());
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "taken"), "the process took its turn");
    drop(process);
    assert_eq!(one_turn(&mut *link), Taken::Unknown);
    assert_eq!(one_turn(&mut *link), Taken::StillMine);
}

#[test]
fn who_waits_for_a_turn_gets_it_when_it_is_given_back() {
    let tpm = Swtpm::start();
    let (mut one, mut two) = (link_to(&tpm.tcti()), link_to(&tpm.tcti()));
    one.take().unwrap();
    let (sender, taken) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || sender.send(one_turn(&mut *two)).unwrap());
        assert!(taken.recv_timeout(Duration::from_millis(50)).is_err(), "the turn is taken");
        answers(&mut *one);
        one.give_back(&Leftovers::default());
        assert_eq!(taken.recv_timeout(PATIENCE), Ok(Taken::Others(Leftovers::default())));
    });
}

/// Sends a forked child on its way, also out of a test that fails.
struct Go(PipeWriter);

impl Drop for Go {
    fn drop(&mut self) {
        let _ = self.0.write_all(b"!");
    }
}

/// Forks. While `during` runs the child is a copy of this process with all its descriptors; then it
/// executes another program, or dies.
fn forked(executes: bool, during: impl FnOnce()) {
    let (mut is_alive, mut alive) = std::io::pipe().unwrap();
    let (mut may_go, go) = std::io::pipe().unwrap();
    let mut command = Command::new("true");
    let stay = move || {
        alive.write_all(b"!")?;
        may_go.read_exact(&mut [0])?;
        if executes { Ok(()) } else { Err(std::io::ErrorKind::Other.into()) }
    };
    // SAFETY: between fork and exec the closure makes system calls only.
    unsafe { command.pre_exec(stay) };
    std::thread::scope(|scope| {
        let go = Go(go);
        let child = scope.spawn(move || command.status());
        is_alive.read_exact(&mut [0]).unwrap();
        during();
        drop(go);
        assert_eq!(child.join().unwrap().is_ok(), executes);
    });
}

#[test]
fn a_forked_child_keeps_neither_the_turn_nor_the_connection_of_its_parent() {
    let tpm = Swtpm::start();
    let (mut one, mut two) = (link_to(&tpm.tcti()), link_to(&tpm.tcti()));
    one.take().unwrap();
    answers(&mut *one);
    forked(true, || {
        answers(&mut *one);
        one.give_back(&Leftovers::default());
        // The child still has copies of both descriptors.
        assert_eq!(one_turn(&mut *two), Taken::Others(Leftovers::default()));
        assert_eq!(one_turn(&mut *one), Taken::Others(Leftovers::default()));
    });
}

#[test]
fn a_forked_child_that_ends_leaves_the_turn_and_the_connection_to_its_parent() {
    for executes in [true, false] {
        let tpm = Swtpm::start();
        let (mut one, mut two) = (link_to(&tpm.tcti()), link_to(&tpm.tcti()));
        one.take().unwrap();
        forked(executes, || ());
        let (sender, taken) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || sender.send(one_turn(&mut *two)).unwrap());
            assert!(taken.recv_timeout(Duration::from_millis(50)).is_err(), "the turn is taken");
            answers(&mut *one);
            one.give_back(&Leftovers::default());
            taken.recv_timeout(PATIENCE).unwrap();
        });
    }
}
