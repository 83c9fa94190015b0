//! The kernel's device, played by a pseudo-terminal in raw mode: a character device that holds what
//! was written until it is read.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::*;

/// A device and the side of it where the TPM is.
struct Device {
    path: PathBuf,
    tpm: File,
    /// Keeps the device's mode between two users.
    _open: OwnedFd,
}

impl Device {
    fn new() -> Self {
        let tpm = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&tpm).unwrap();
        unlockpt(&tpm).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let device = ioctl_tiocgptpeer(&tpm, flags).unwrap();
        let mut mode = tcgetattr(&device).unwrap();
        mode.make_raw();
        tcsetattr(&device, OptionalActions::Now, &mode).unwrap();
        let path = ptsname(&tpm, Vec::new()).unwrap().into_string().unwrap().into();
        Self { path, tpm: tpm.into(), _open: device }
    }

    fn link(&self) -> Box<dyn Link> {
        link_to(&format!("device:{}", self.path.display()))
    }

    /// The TPM reads one command and answers with `bytes`.
    fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let patience = Timespec::try_from(PATIENCE).unwrap();
        let asked = poll(&mut [PollFd::new(&self.tpm, PollFlags::IN)], Some(&patience)).unwrap();
        assert_eq!(asked, 1, "no command came");
        let command = read_message(&mut self.tpm).unwrap();
        self.tpm.write_all(bytes).unwrap();
        command
    }
}

fn success(parameters: &[u8]) -> Vec<u8> {
    plain_command(0, parameters)
}

#[test]
fn a_device_carries_commands_and_is_closed_between_turns_where_nobody_manages_it() {
    let mut device = Device::new();
    let mut link = device.link();
    assert_eq!(link.sharing(), Sharing::Alone);
    for turn in 0..3u8 {
        let before = descriptors_of(&device.path);
        link.take().unwrap();
        assert_eq!(descriptors_of(&device.path), before + 1);
        let answer = success(&[turn; 300]);
        let expected = answer.clone();
        std::thread::scope(|scope| {
            let tpm = scope.spawn(|| device.answer(&answer));
            assert_eq!(link.transmit(&get_random(), PATIENCE).unwrap(), expected);
            assert_eq!(tpm.join().unwrap(), get_random());
        });
        link.give_back(&Leftovers::default());
        assert_eq!(descriptors_of(&device.path), before);
    }
}

/// How many descriptors of this process lead to `path`.
fn descriptors_of(path: &std::path::Path) -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets.filter(|target| target == path).count()
}

#[test]
fn a_device_that_links_lead_to_is_found() {
    let mut device = Device::new();
    let dir = tempfile::tempdir().unwrap();
    let link_path = dir.path().join("tpm");
    std::os::unix::fs::symlink(&device.path, &link_path).unwrap();
    let mut link = link_to(&format!("device:{}", link_path.display()));
    link.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| device.answer(&success(&[])));
        link.transmit(&get_random(), PATIENCE).unwrap();
    });
}

#[test]
fn a_device_that_is_still_at_work_is_not_asked_again_before_it_answered() {
    let mut device = Device::new();
    let mut link = device.link();
    link.take().unwrap();
    let before = descriptors_of(&device.path);
    let late = link.transmit(&get_random(), Duration::from_millis(50)).unwrap_err();
    assert_eq!(late.ck_rv(), CKR_DEVICE_ERROR);
    assert_eq!(link.reconnect().unwrap_err().ck_rv(), CKR_DEVICE_ERROR);
    link.give_back(&Leftovers::default());
    assert_eq!(link.take().unwrap_err().ck_rv(), CKR_DEVICE_ERROR);
    assert_eq!(descriptors_of(&device.path), before, "closing it would block the host");

    // The late answer comes, nobody mistakes it for another one, and the TPM is asked and trusted.
    assert_eq!(device.answer(&success(b"late")), get_random());
    std::thread::scope(|scope| {
        let tpm =
            scope.spawn(|| (device.answer(&success(b"probe")), device.answer(&success(b"new"))));
        assert_eq!(link.take().unwrap(), Taken::Unknown);
        assert_eq!(link.transmit(&get_random(), PATIENCE).unwrap(), success(b"new"));
        let (probe, command) = tpm.join().unwrap();
        assert_eq!(response_code(&probe), 0x17A);
        assert_eq!(command, get_random(), "the only one");
    });
    link.give_back(&Leftovers::default());
    assert_eq!(descriptors_of(&device.path), before - 1);
}

#[test]
fn a_device_s_answer_that_contradicts_its_header_is_a_device_error() {
    for answer in [&success(b"xy")[..11], &[&success(b"xy")[..], b"z"].concat(), &[0; 9]] {
        let mut device = Device::new();
        let mut link = device.link();
        link.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| device.answer(answer));
            let error = link.transmit(&get_random(), PATIENCE).unwrap_err();
            assert_eq!(error.ck_rv(), CKR_DEVICE_ERROR, "{answer:?}");
        });
    }
}

#[test]
fn a_device_that_is_pulled_out_is_a_device_error() {
    let device = Device::new();
    let mut link = device.link();
    link.take().unwrap();
    drop(device);
    assert_eq!(link.transmit(&get_random(), PATIENCE).unwrap_err().ck_rv(), CKR_DEVICE_ERROR);
}
