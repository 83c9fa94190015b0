//! The access broker daemon, a real one on a bus of its own (Debian packages tpm2-abrmd,
//! libtss2-tcti-tabrmd0 and dbus).

use std::io::{BufRead, BufReader};
use std::time::Instant;

use super::*;

/// Takes a first turn of a daemon that is perhaps still starting.
fn first_turn(link: &mut dyn Link) -> Taken {
    let began = Instant::now();
    loop {
        match link.take() {
            Ok(taken) => return taken,
            Err(error) => assert!(began.elapsed() < PATIENCE, "the daemon is not there: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_daemon_carries_commands_and_keeps_the_connection_between_turns() {
    const BUS: &str = "DBUS_SESSION_BUS_ADDRESS";
    const ROLE: &str = "HIERARKEY_TEST_DAEMON";
    if std::env::var_os(ROLE).is_some() {
        let mut link = link_to("tabrmd:bus_type=session");
        assert_eq!(link.sharing(), Sharing::ResourceManager);
        assert_eq!(first_turn(&mut *link), Taken::Others(Leftovers::default()));
        answers(&mut *link);
        link.give_back(&Leftovers::default());
        assert_eq!(one_turn(&mut *link), Taken::StillMine);

        // No lock is in anybody's way: a second connection, while the first has its turn.
        let mut other = link_to("tabrmd:bus_type=session");
        link.take().unwrap();
        one_turn(&mut *other);

        // With the connection go its handles, and who takes the turn is told so.
        link.reconnect().unwrap();
        answers(&mut *link);
        link.give_back(&Leftovers::default());
        return;
    }

    let tpm = Swtpm::start();
    let mut bus = Command::new("dbus-daemon");
    bus.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]);
    let started = bus.stdout(Stdio::piped()).spawn();
    let mut bus = Process(started.expect("dbus-daemon (Debian package dbus-daemon)"));
    let mut address = String::new();
    BufReader::new(bus.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim();

    let mut daemon = Command::new("tpm2-abrmd");
    daemon.args(["--session", "--allow-root", &format!("--tcti={}", tpm.tcti())]);
    let started = daemon.env(BUS, address).stdout(Stdio::null()).spawn();
    let daemon = Process(started.expect("tpm2-abrmd (Debian package tpm2-abrmd)"));

    let name = "daemon::the_daemon_carries_commands_and_keeps_the_connection_between_turns";
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", name, "--nocapture"]).env(ROLE, "1").env(BUS, address);
    let status = test.stdout(Stdio::null()).status().unwrap();
    drop(daemon);
    assert!(status.success(), "the part of this test with the bus in its environment failed");
}
