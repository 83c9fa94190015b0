//! dracut's module, with dracut's functions as it finds them.

mod common;

use std::fs;
use std::path::Path;

use common::{Outcome, PROGRAM, Rig, finish};

/// Runs `install` of the module for the system below `root`, with `tool` as the machine's hierarkey. It
/// prints what it takes along.
fn install(rig: &Rig, root: &Path, tool: &Path) -> Outcome {
    let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/dracut/90hierarkey/module-setup.sh");
    let programs = rig.path("programs");
    let _ = fs::remove_dir_all(&programs);
    fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(tool, programs.join("hierarkey")).unwrap();
    let _ = fs::remove_dir_all(rig.path("initrd"));
    let script = format!(
        "inst_simple() {{ echo \"takes $1\"; }}; inst_multiple() {{ :; }}; dfatal() {{ echo \"$@\"; }}
         inst_dir() {{ mkdir -p \"$initdir/$1\"; }}
         libdirs= initdir={initrd} dracutsysrootdir={root} PATH={programs}:$PATH
         . {hook} && install",
        initrd = rig.path("initrd").display(),
        root = root.display(),
        programs = programs.display(),
    );
    let mut command = rig.command("bash");
    command.args(["-c", &script]);
    finish(command)
}

#[test]
fn another_systems_ram_disk_gets_its_own_store_whatever_this_machine_has() {
    let rig = Rig::new();
    let root = rig.path("root");
    for store in ["var/lib/hierarkey", "srv/keys"] {
        fs::create_dir_all(root.join(store)).unwrap();
        fs::write(root.join(store).join("hierarkey.sqlite3"), "").unwrap();
    }
    // A machine whose own configuration names another place.
    let tool = rig.path("tool");
    let text = format!(
        "#!/bin/sh\n[ -n \"$HIERARKEY_CONF\" ] || {{ echo /host; exit; }}\nexec {PROGRAM} \"$@\"\n"
    );
    fs::write(&tool, text).unwrap();
    common::open_to_all(&tool, 0o755);
    let outcome = install(&rig, &root, &tool);
    let said = format!("{}{}", outcome.text(), outcome.stderr);
    assert_eq!(outcome.code, 0, "{said}");
    assert!(said.contains("takes /var/lib/hierarkey/hierarkey.sqlite3"), "{said}");
    // The other system's configuration.
    fs::create_dir_all(root.join("etc/hierarkey")).unwrap();
    let file = root.join("etc/hierarkey/hierarkey.toml");
    fs::write(file, "[store]\ndirectory = \"/srv/keys\"\n").unwrap();
    let outcome = install(&rig, &root, &tool);
    let said = format!("{}{}", outcome.text(), outcome.stderr);
    assert_eq!(outcome.code, 0, "{said}");
    assert!(said.contains("takes /srv/keys/hierarkey.sqlite3"), "{said}");
}
