//! A TPM that is late, silent, dead or not to be believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::tpm_proxy::{Action, NO_ANSWER};

/// The command that asks a TPM that hung whether it is back.
const PROBE: u32 = 0x0000_017A;

/// A limit that a hung TPM does not keep.
const SHORT: Duration = Duration::from_millis(100);

/// A proxied TPM and a link that has had its first turn.
fn bench() -> (Swtpm, Proxy, Box<dyn Link>) {
    let tpm = Swtpm::start();
    let proxy = Proxy::before(&tpm);
    let mut link = link_to(&proxy.tcti());
    one_turn(&mut *link);
    proxy.reset();
    (tpm, proxy, link)
}

#[test]
fn an_answer_that_is_not_one_message_is_a_device_error_and_a_new_connection_heals_it() {
    let (_tpm, proxy, mut link) = bench();
    let whole = [&[0x80, 0x01, 0, 0, 0, 12, 0, 0, 0, 0][..], &[1, 2]].concat();
    let with_size = |size: u32, len: usize| {
        let mut bytes = whole.clone();
        bytes.resize(len, 0);
        bytes[2..6].copy_from_slice(&size.to_be_bytes());
        bytes
    };
    for (what, answer) in [
        ("nothing", vec![]),
        ("half a header", whole[..9].to_vec()),
        ("a byte too few", whole[..11].to_vec()),
        ("a byte too many", with_size(12, 13)),
        ("two at once", [&whole[..], &whole].concat()),
        ("a size below the header's", with_size(9, 12)),
        ("size zero", with_size(0, 12)),
        ("a size that nobody has", with_size(u32::MAX, 12)),
        ("more than a message may have", with_size(16 * 1024 + 1, 16 * 1024 + 1)),
        ("that in a header only", with_size(16 * 1024 + 1, 10)),
    ] {
        link.take().unwrap();
        proxy.fault_at(0, Action::AnswerAndDrop(answer));
        let error = link.transmit(&get_random(), PATIENCE).unwrap_err();
        assert_eq!(error.ck_rv(), CKR_DEVICE_ERROR, "{what}: {error}");
        assert!(link.transmit(&get_random(), PATIENCE).is_err(), "{what}: the connection is gone");
        link.reconnect().unwrap();
        answers(&mut *link);
        link.give_back(&Leftovers::default());
        assert_eq!(one_turn(&mut *link), Taken::StillMine, "{what}");
    }
}

#[test]
fn the_longest_message_passes_whole() {
    let (_tpm, proxy, mut link) = bench();
    let size = 16 * 1024;
    let mut answer: Vec<u8> = (0..size).map(|n| n as u8).collect();
    answer[2..6].copy_from_slice(&(size as u32).to_be_bytes());
    link.take().unwrap();
    proxy.fault_at(0, Action::Answer(answer.clone()));
    assert_eq!(link.transmit(&get_random(), PATIENCE).unwrap(), answer);
    answers(&mut *link);
}

#[test]
fn an_answer_before_its_question_is_not_taken_for_one() {
    let (_tpm, proxy, mut link) = bench();
    link.take().unwrap();
    proxy.fault_at(
        0,
        Action::AlterResponse(Box::new(|mut response| {
            // The header says so: this much is the answer. The rest is there in time for the next one.
            response.extend_from_within(..);
            response
        })),
    );
    assert!(link.transmit(&get_random(), PATIENCE).is_err());
    link.reconnect().unwrap();
    answers(&mut *link);
}

#[test]
fn a_hung_tpm_costs_its_limit_once_and_then_two_seconds_until_it_answers() {
    let (_tpm, proxy, mut link) = bench();
    let hangs = Arc::new(AtomicBool::new(true));
    let hung = Arc::clone(&hangs);
    proxy.set_hook(move |_| if hung.load(Ordering::SeqCst) { Action::Hang } else { Action::Pass });

    link.take().unwrap();
    let began = Instant::now();
    let error = link.transmit(&get_random(), SHORT).unwrap_err();
    assert_eq!(error.ck_rv(), CKR_DEVICE_ERROR);
    assert!(began.elapsed() >= SHORT, "it was given its time");
    assert_eq!(link.reconnect().unwrap_err().ck_rv(), CKR_DEVICE_ERROR);
    link.give_back(&Leftovers::default());

    assert_eq!(link.take().unwrap_err().ck_rv(), CKR_DEVICE_ERROR);
    // Well below the 30 s of an ordinary command, whatever else the machine does.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let asked: Vec<u32> = proxy.commands().into_iter().map(|(code, _)| code).collect();
    assert_eq!(asked, [0x17B, PROBE, PROBE], "each attempt asks once, nothing is sent again");

    hangs.store(false, Ordering::SeqCst);
    proxy.reset();
    assert_eq!(one_turn(&mut *link), Taken::Unknown, "what the lost command did is unknown");
    assert_eq!(one_turn(&mut *link), Taken::StillMine);
    assert_eq!(proxy.commands(), [(PROBE, 0), (0x17B, 0), (0x17B, 0)], "asked once, then trusted");
}

#[test]
fn half_an_answer_is_waited_for_no_longer_than_a_whole_one() {
    let (_tpm, proxy, mut link) = bench();
    link.take().unwrap();
    proxy.fault_at(
        0,
        Action::AlterResponse(Box::new(|mut response| {
            response.pop();
            response
        })),
    );
    assert_eq!(link.transmit(&get_random(), SHORT).unwrap_err().ck_rv(), CKR_DEVICE_ERROR);
    link.reconnect().unwrap();
    answers(&mut *link);
}

#[test]
fn a_late_answer_is_never_the_answer_to_the_next_command() {
    let (_tpm, proxy, mut link) = bench();
    link.take().unwrap();
    proxy.fault_at(0, Action::HangAfter);
    assert!(link.transmit(&get_random(), SHORT).is_err());
    link.reconnect().unwrap();
    answers(&mut *link);
    let codes = proxy.commands();
    assert_eq!(codes, [(0x17B, NO_ANSWER), (PROBE, 0), (0x17B, 0)]);
}

#[test]
fn a_turn_that_ends_after_a_lost_answer_leaves_the_unknown_behind() {
    for action in [Action::DropAnswer, Action::DropConnection] {
        let (_tpm, proxy, mut link) = bench();
        link.take().unwrap();
        proxy.fault_at(0, action);
        assert!(link.transmit(&get_random(), PATIENCE).is_err());
        link.give_back(&Leftovers::default());
        assert_eq!(one_turn(&mut *link), Taken::Unknown);
    }
}

#[test]
fn a_tpm_killed_under_a_command_is_a_device_error_and_then_found_again() {
    for action in [Action::KillTpm, Action::KillTpmAfter] {
        let (tpm, proxy, mut link) = bench();
        link.take().unwrap();
        proxy.fault_at(0, action);
        assert_eq!(link.transmit(&get_random(), PATIENCE).unwrap_err().ck_rv(), CKR_DEVICE_ERROR);
        link.give_back(&Leftovers::default());
        tpm.start_again();
        assert_eq!(one_turn(&mut *link), Taken::Unknown);
    }
}

#[test]
fn a_server_whose_backlog_is_full_is_a_device_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("full");
    let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
    let socket = || {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap()
    };
    let server = socket();
    rustix::net::bind(&server, &address).unwrap();
    rustix::net::listen(&server, 0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = socket();
        match rustix::net::connect(&client, &address) {
            Ok(()) => waiting.push(client),
            Err(error) => break assert_eq!(error, rustix::io::Errno::AGAIN),
        }
    }
    let mut link = link_to(&format!("swtpm:path={}", path.display()));
    assert_eq!(link.take().unwrap_err().ck_rv(), CKR_DEVICE_ERROR);
    assert!(waiting.iter().all(silent), "nobody was served or sent away");
}
