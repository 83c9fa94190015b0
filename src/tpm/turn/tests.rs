//! Turns of two links in one process; tests/transport.rs has those of two processes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;

/// A private place for lock files and a file that stands for a TPM's socket.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("locks")).unwrap();
        std::fs::write(dir.path().join("tpm"), "").unwrap();
        Self { dir }
    }

    fn turnstile_to(&self, tpm: PathBuf) -> Turnstile {
        let places = Places {
            system: self.dir.path().join("locks"),
            runtime: self.dir.path().join("no runtime"),
            temporary: self.dir.path().join("nowhere"),
        };
        Turnstile::new(TpmAddress::SwtpmUnix(tpm), places)
    }

    fn turnstile(&self) -> Turnstile {
        self.turnstile_to(self.dir.path().join("tpm"))
    }

    /// The only lock file.
    fn lock_file(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(self.dir.path().join("locks")).unwrap();
        let path = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none(), "more than one lock file");
        path
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn leftovers() -> Leftovers {
    Leftovers { transient: vec![0x8000_0001], auth_sessions: vec![0x0200_0000] }
}

#[test]
fn the_first_turn_begins_with_nothing_to_flush() {
    let bench = Bench::new();
    assert_eq!(bench.turnstile().enter(soon()).unwrap(), Taken::Others(Leftovers::default()));
}

#[test]
fn the_same_link_finds_its_handles_again() {
    let bench = Bench::new();
    let mut link = bench.turnstile();
    link.enter(soon()).unwrap();
    link.leave(&leftovers());
    assert_eq!(link.enter(soon()).unwrap(), Taken::StillMine);
}

#[test]
fn another_link_is_told_what_was_left_and_the_first_then_that_others_came() {
    let bench = Bench::new();
    let (mut one, mut two) = (bench.turnstile(), bench.turnstile());
    one.enter(soon()).unwrap();
    one.leave(&leftovers());
    assert_eq!(two.enter(soon()).unwrap(), Taken::Others(leftovers()));
    two.leave(&Leftovers::default());
    assert_eq!(one.enter(soon()).unwrap(), Taken::Others(Leftovers::default()));
}

#[test]
fn a_turn_that_was_never_given_back_leaves_the_unknown_behind() {
    let bench = Bench::new();
    let mut one = bench.turnstile();
    one.enter(soon()).unwrap();
    drop(one);
    let mut two = bench.turnstile();
    assert_eq!(two.enter(soon()).unwrap(), Taken::Unknown);
    two.leave(&leftovers());
    assert_eq!(two.enter(soon()).unwrap(), Taken::StillMine, "one look is enough");
}

#[test]
fn a_turn_left_in_disorder_is_unknown_to_its_own_taker_too() {
    let bench = Bench::new();
    let mut link = bench.turnstile();
    link.enter(soon()).unwrap();
    link.leave_in_disorder();
    assert_eq!(link.enter(soon()).unwrap(), Taken::Unknown);
}

#[test]
fn a_withdrawn_turn_leaves_everything_as_it_was_found() {
    let bench = Bench::new();
    let (mut one, mut two) = (bench.turnstile(), bench.turnstile());
    one.enter(soon()).unwrap();
    one.leave(&leftovers());
    two.enter(soon()).unwrap();
    two.withdraw();
    assert_eq!(one.enter(soon()).unwrap(), Taken::StillMine);
    drop(one);
    two.enter(soon()).unwrap();
    two.withdraw();
    assert_eq!(two.enter(soon()).unwrap(), Taken::Unknown, "a withdrawal heals nothing");
}

#[test]
fn two_links_in_one_process_exclude_each_other() {
    let bench = Bench::new();
    let (mut one, mut two) = (bench.turnstile(), bench.turnstile());
    one.enter(soon()).unwrap();
    let began = Instant::now();
    let error = two.enter(Deadline::after(Duration::from_millis(50))).unwrap_err();
    assert_eq!(error.ck_rv(), CKR_DEVICE_ERROR);
    assert!(began.elapsed() >= Duration::from_millis(50), "it waited for its turn");
    one.leave(&Leftovers::default());
    two.enter(soon()).unwrap();
}

#[test]
fn a_turn_that_was_never_given_back_is_followed_by_one_that_has_to_look() {
    let bench = Bench::new();
    let (mut link, mut other) = (bench.turnstile(), bench.turnstile());
    link.enter(soon()).unwrap();
    assert_eq!(link.enter(soon()).unwrap(), Taken::Unknown);
    assert!(link.inside());
    assert!(other.enter(Deadline::after(Duration::ZERO)).is_err(), "nobody else is let in");
    link.leave(&leftovers());
    assert_eq!(other.enter(soon()).unwrap(), Taken::Others(leftovers()));
}

#[test]
fn a_damaged_record_is_unknown_and_written_anew() {
    let bench = Bench::new();
    let mut link = bench.turnstile();
    link.enter(soon()).unwrap();
    link.leave(&leftovers());
    let whole = std::fs::read(bench.lock_file()).unwrap();
    let longer = [&whole[..], &[0]].concat();
    for damaged in [&whole[..whole.len() - 1], &longer, b"", b"not a record"] {
        std::fs::write(bench.lock_file(), damaged).unwrap();
        assert_eq!(link.enter(soon()).unwrap(), Taken::Unknown, "{} bytes", damaged.len());
        link.leave(&leftovers());
        assert_eq!(std::fs::read(bench.lock_file()).unwrap(), whole);
    }
}

#[test]
fn a_removed_lock_file_divides_nobody() {
    let bench = Bench::new();
    let (mut one, mut two) = (bench.turnstile(), bench.turnstile());
    one.enter(soon()).unwrap();
    one.leave(&leftovers());
    std::fs::remove_file(bench.lock_file()).unwrap();
    two.enter(soon()).unwrap();
    assert!(one.enter(Deadline::after(Duration::from_millis(20))).is_err(), "both lock one file");
    two.leave(&leftovers());
    assert_eq!(one.enter(soon()).unwrap(), Taken::Others(leftovers()));
}

#[test]
fn every_spelling_of_a_path_is_the_same_tpm_and_another_path_another_one() {
    let bench = Bench::new();
    let path = bench.dir.path();
    std::os::unix::fs::symlink("tpm", path.join("link")).unwrap();
    std::fs::write(path.join("other"), "").unwrap();
    let mut one = bench.turnstile();
    one.enter(soon()).unwrap();
    for same in [path.join("link"), path.join("locks/../tpm")] {
        let brief = Deadline::after(Duration::from_millis(5));
        assert!(bench.turnstile_to(same.clone()).enter(brief).is_err(), "{same:?}");
    }
    bench.turnstile_to(path.join("other")).enter(soon()).unwrap();
}

#[test]
fn without_a_tpm_there_is_no_turn_to_wait_for() {
    let bench = Bench::new();
    let error = bench.turnstile_to(bench.dir.path().join("none")).enter(soon()).unwrap_err();
    assert_eq!(error.ck_rv(), CKR_TOKEN_NOT_PRESENT);
}

#[test]
fn the_name_of_a_host_is_not_case_sensitive_and_localhost_is_an_address() {
    let name =
        |host: &str, port| identity(&TpmAddress::SwtpmTcp { host: host.into(), port }).unwrap().0;
    assert_eq!(name("localhost", 2321), name("127.0.0.1", 2321));
    assert_eq!(name("TPM.example", 2321), name("tpm.example", 2321));
    assert_ne!(name("localhost", 2321), name("localhost", 2322));
}
