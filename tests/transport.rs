//! The byte pipes and the turns of processes, against emulators and through a proxy that breaks
//! what it carries.

#[path = "common/swtpm.rs"]
#[allow(dead_code)]
mod swtpm;
#[path = "common/tpm_proxy.rs"]
#[allow(dead_code)]
mod tpm_proxy;

#[path = "transport/daemon.rs"]
mod daemon;
#[path = "transport/device.rs"]
mod device;
#[path = "transport/faults.rs"]
mod faults;
#[path = "transport/turns.rs"]
mod turns;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_TOKEN_NOT_PRESENT};
use hierarkey::tpm::link::{Leftovers, Link, Sharing, Taken};
use hierarkey::tpm::transport::{TpmAddress, link};

use swtpm::{Swtpm, plain_command, read_message, response_code};
use tpm_proxy::Proxy;

/// More than any command here needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// TPM2_GetRandom(16): its responses differ, so that one cannot be taken for another.
fn get_random() -> Vec<u8> {
    plain_command(0x0000_017B, &[0, 16])
}

fn link_to(tcti: &str) -> Box<dyn Link> {
    link(&tcti.parse::<TpmAddress>().unwrap())
}

/// One whole turn with one command.
fn one_turn(link: &mut dyn Link) -> Taken {
    let taken = link.take().unwrap();
    answers(link);
    link.give_back(&Leftovers::default());
    taken
}

/// Within a turn: the TPM answers.
fn answers(link: &mut dyn Link) {
    let response = link.transmit(&get_random(), PATIENCE).unwrap();
    assert_eq!(response_code(&response), 0);
    assert_eq!(response.len(), 10 + 2 + 16);
}

/// A process of this test, killed at the latest with its value.
struct Process(Child);

impl Process {
    /// Runs test `name` of this executable alone, with `role` set to `value`.
    fn of_test(name: &str, role: &str, value: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(role, value);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn succeeds(mut self) {
        assert!(self.0.wait().unwrap().success(), "a process of this test failed");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_command_goes_to_swtpm_and_its_response_comes_back() {
    let tpm = Swtpm::start();
    let mut link = link_to(&tpm.tcti());
    assert_eq!(link.sharing(), Sharing::Alone);
    assert_eq!(link.take().unwrap(), Taken::Others(Leftovers::default()));
    let (one, two) =
        (link.transmit(&get_random(), PATIENCE), link.transmit(&get_random(), PATIENCE));
    assert_ne!(one.unwrap(), two.unwrap());
    link.give_back(&Leftovers::default());
}

#[test]
fn a_hundred_turns_and_a_hundred_reconnects_meet_the_same_tpm() {
    let tpm = Swtpm::start();
    let proxy = Proxy::before(&tpm);
    let mut link = link_to(&proxy.tcti());
    one_turn(&mut *link);
    for _ in 0..100 {
        assert_eq!(one_turn(&mut *link), Taken::StillMine);
    }
    assert_eq!(proxy.connections(), 101, "each turn has a connection of its own");
    assert_eq!(link.take().unwrap(), Taken::StillMine);
    for _ in 0..100 {
        link.reconnect().unwrap();
        answers(&mut *link);
    }
    link.give_back(&Leftovers::default());
    assert_eq!(proxy.commands(), vec![(0x17B, 0); 201], "and nothing else was sent");
}

#[test]
fn between_turns_others_reach_an_unshared_tpm() {
    let tpm = Swtpm::start();
    let mut link = link_to(&tpm.tcti());
    one_turn(&mut *link);
    assert_eq!(response_code(&tpm.transmit(&get_random())), 0);
    one_turn(&mut *link);
}

#[test]
fn tcp_carries_commands_as_a_unix_socket_does() {
    let tpm = Swtpm::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let relay = std::thread::spawn(move || {
        for client in listener.incoming().take(4) {
            let mut client = client.unwrap();
            while let Ok(command) = read_message(&mut client) {
                std::io::Write::write_all(&mut client, &tpm.transmit(&command)).unwrap();
            }
        }
    });
    for host in ["127.0.0.1", "localhost"] {
        let mut link = link_to(&format!("swtpm:host={host},port={port}"));
        one_turn(&mut *link);
        assert_eq!(one_turn(&mut *link), Taken::StillMine);
    }
    relay.join().unwrap();
}

#[test]
fn no_tpm_is_not_present_whatever_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    let no_socket = dir.path().join("file");
    std::fs::write(&no_socket, "").unwrap();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for tcti in [
        format!("swtpm:path={}/none", dir.path().display()),
        format!("swtpm:path={}", no_socket.display()),
        format!("swtpm:host=127.0.0.1,port={unused}"),
        format!("device:{}/tpmrm0", dir.path().display()),
        format!("device:{}/tpm0", dir.path().display()),
        format!("device:{}", no_socket.display()),
        "tabrmd:bus_name=no.such.daemon".into(),
    ] {
        let mut link = link_to(&tcti);
        for _ in 0..2 {
            assert_eq!(link.take().unwrap_err().ck_rv(), CKR_TOKEN_NOT_PRESENT, "{tcti}");
        }
        link.give_back(&Leftovers::default());
    }
}

#[test]
fn a_device_that_is_no_tpm_is_a_device_error() {
    for path in ["/dev/null", "/dev/zero", "/dev/full"] {
        let mut link = link_to(&format!("device:{path}"));
        link.take().unwrap();
        let error = link.transmit(&get_random(), PATIENCE).unwrap_err();
        assert_eq!(error.ck_rv(), CKR_DEVICE_ERROR, "{path}: {error}");
        link.give_back(&Leftovers::default());
    }
}

#[test]
fn a_tpm_that_dies_between_turns_is_absent_until_it_is_back() {
    let tpm = Swtpm::start();
    let mut link = link_to(&tpm.tcti());
    one_turn(&mut *link);
    tpm.kill();
    for _ in 0..3 {
        assert_eq!(link.take().unwrap_err().ck_rv(), CKR_TOKEN_NOT_PRESENT);
    }
    tpm.start_again();
    assert_eq!(one_turn(&mut *link), Taken::StillMine, "a turn without a TPM changed nothing");
}

#[test]
fn a_command_that_contradicts_its_header_is_never_sent() {
    let tpm = Swtpm::start();
    let proxy = Proxy::before(&tpm);
    let mut link = link_to(&proxy.tcti());
    link.take().unwrap();
    let whole = get_random();
    for command in [&whole[..11], &whole[..9], &[], &[&whole[..], &[0]].concat()] {
        assert!(link.transmit(command, PATIENCE).is_err());
    }
    assert_eq!(proxy.commands(), []);
    answers(&mut *link);
    link.give_back(&Leftovers::default());
}

/// The descriptors of this process.
fn descriptors() -> BTreeSet<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // By now the one that read the directory is closed again.
    let open = |fd: &i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok();
    numbers.iter().map(|number| number.parse().unwrap()).filter(open).collect()
}

#[test]
fn no_descriptor_leaks_or_outlives_an_exec() {
    const TCTI: &str = "HIERARKEY_TEST_DESCRIPTORS";
    let Ok(tcti) = std::env::var(TCTI) else {
        let tpm = Swtpm::start();
        let name = "no_descriptor_leaks_or_outlives_an_exec";
        return Process::of_test(name, TCTI, &tpm.tcti()).succeeds();
    };
    // Alone in its process: other tests open and close descriptors too.
    let before = descriptors();
    let mut link = link_to(&tcti);
    link.take().unwrap();
    let ours: Vec<i32> = descriptors().difference(&before).copied().collect();
    assert_eq!(ours.len(), 2, "the connection and the lock file");
    for fd in ours {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = u32::from_str_radix(flags, 8).unwrap();
        assert_ne!(flags & 0o2_000_000, 0, "descriptor {fd} is not closed on exec");
    }
    link.give_back(&Leftovers::default());
    for _ in 0..20 {
        one_turn(&mut *link);
    }
    drop(link);
    assert_eq!(descriptors(), before);
}

/// Nothing to be read: no data, no end.
fn silent(fd: impl AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)).unwrap() == 0
}
