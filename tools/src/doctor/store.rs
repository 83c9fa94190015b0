//! The store: whether it can be used, and what is in it that cannot.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use hierarkey::admin::Admin;
use hierarkey::cryptoki::{
    CKF_TOKEN_INITIALIZED, CKF_USER_PIN_INITIALIZED, CKR_TOKEN_NOT_RECOGNIZED,
};
use hierarkey::error::{About, Error};
use hierarkey::os::directory::{Distrust, Reason};
use hierarkey::slot::slot_of;
use hierarkey::store::Sharing;
use hierarkey::tpm::Hierarchy;
use rustix::fs::Access;

use super::{Examination, Finding, note, problem, system, warning};

pub fn examine(examination: &mut Examination, admin: &Admin) {
    let (location, file) = admin.store_location();
    let path = location.directory.join(file);
    let readable = admin.store_version();
    examination.check(
        "store",
        match &readable {
            Err(error) => unusable(admin, error),
            Ok(None) if admin.store_writable().unwrap_or(false) => note(
                format!("there is no store at {} yet", location.directory.display()),
                "`hierarkey token init` makes it",
            ),
            Ok(None) => warning(
                format!(
                    "there is no store at {} yet, and this user cannot make it",
                    location.directory.display()
                ),
                "ask who may for a token (`hierarkey token init`), or use a store of your own: \
                 HIERARKEY_STORE",
            ),
            Ok(Some(_)) => Vec::new(),
        },
    );
    examination.check("store-permissions", permissions(admin, matches!(readable, Ok(Some(_)))));
    if let Ok(directory) = fs::metadata(&location.directory) {
        // Only where the group has a say.
        if directory.permissions().mode() & 0o070 != 0 && location.sharing != Sharing::Private {
            let reading = Access::READ_OK | Access::EXEC_OK;
            examination.check("store-group", system::group_of(&location.directory, reading));
        }
    }
    if let Ok(Some(_)) = readable {
        let free = free_bytes(&path);
        examination.check(
            "disk-space",
            match free {
                Some(free) if free < 1 << 20 => problem(
                    format!("{free} bytes are left on the store's disk"),
                    "make room: nothing can be stored",
                ),
                _ => Vec::new(),
            },
        );
        for hierarchy in Hierarchy::ALL {
            token(examination, admin, hierarchy);
        }
    }
}

fn unusable(admin: &Admin, error: &Error) -> Vec<Finding> {
    let directory = admin.store_directory();
    let remedy = match (error.about(), error.cause().map(Distrust::reason)) {
        (Some(About::NewerStore), _) => {
            "a newer Hierarkey wrote it: install that one again".to_owned()
        }
        (Some(About::InterruptedStore), _) => {
            "as a user who may write it, run `hierarkey status`: that undoes the change, and nothing \
             else is lost"
                .to_owned()
        }
        (Some(About::BusyStore), _) => {
            "end the program that holds it: `hierarkey status` names it".to_owned()
        }
        (_, Some(Reason::Mode(_))) => format!(
            "chmod go-w {0} {0}/*, or say in the configuration who shares it",
            directory.display()
        ),
        (_, Some(Reason::Owner(_))) => {
            format!("give it to root or to its user: chown -R USER {}", directory.display())
        }
        (_, Some(Reason::Link | Reason::NotADirectory | Reason::NotAFile | Reason::Relative)) => {
            "name the directory itself, by its whole path: HIERARKEY_STORE, or [store] directory in \
             the configuration; or move away what stands there"
                .to_owned()
        }
        _ if error.is_denied() => format!(
            "ask who owns {} to share it ([store] sharing in the configuration), or use a store of \
             your own: HIERARKEY_STORE",
            directory.display()
        ),
        _ => "put back the last copy of it that is whole; keys that are not in it are lost"
            .to_owned(),
    };
    problem(format!("{}: {error}", directory.display()), remedy)
}

fn permissions(admin: &Admin, is_there: bool) -> Vec<Finding> {
    let (location, file) = admin.store_location();
    let mut found = Vec::new();
    match admin.store_writable() {
        Ok(false) if location.read_only => found.extend(note(
            "the configuration makes the store read-only",
            "take read_only out of it to change tokens",
        )),
        Ok(false) if is_there => found.extend(note(
            format!("this user may not change {}", location.directory.display()),
            "keys can be used; to make some, be its owner or in the group that shares it",
        )),
        Ok(_) | Err(_) => {}
    }
    let path = location.directory.join(file);
    if fs::metadata(&path).is_ok_and(|status| status.mode() & 0o004 != 0) {
        found.extend(warning(
            format!("everybody may read {}", path.display()),
            "labels and certificates are seen by all: chmod o-rwx takes that back",
        ));
    }
    found
}

fn free_bytes(path: &std::path::Path) -> Option<u64> {
    let file = rustix::fs::statvfs(path).ok()?;
    Some(file.f_bavail.saturating_mul(file.f_frsize))
}

fn token(examination: &mut Examination, admin: &Admin, hierarchy: Hierarchy) {
    let name = format!("{}-token", hierarchy.name());
    if let Err(error) = admin.check_token(hierarchy) {
        if error.ck_rv() == CKR_TOKEN_NOT_RECOGNIZED {
            examination.check(
                &name,
                problem(
                    format!(
                        "the {} slot's token was made by another TPM, or this one was cleared: its \
                         keys are lost here",
                        hierarchy.name()
                    ),
                    format!(
                        "put the store back onto its own machine, or make room with hierarkey token \
                         remove --slot {} --destroy-keys",
                        hierarchy.name()
                    ),
                ),
            );
        }
        return;
    }
    let info = admin.provider().token_info(slot_of(hierarchy));
    let Some(info) = info.ok().filter(|info| info.flags & CKF_TOKEN_INITIALIZED != 0) else {
        return;
    };
    let mut found = Vec::new();
    if info.flags & CKF_USER_PIN_INITIALIZED == 0 {
        found.extend(warning(
            format!("the {} slot's token has no user PIN: nobody can log in", hierarchy.name()),
            format!("hierarkey token unblock --slot {}", hierarchy.name()),
        ));
    }
    match admin.rows_set_aside(hierarchy) {
        Ok(0) => {}
        Ok(count) => found.extend(problem(
            format!(
                "{count} objects of the {} slot's token were changed by somebody else, and are \
                 passed over",
                hierarchy.name()
            ),
            "find out who wrote to the store; put back the last copy of it that is whole",
        )),
        Err(error) => found.extend(problem(
            format!("the {} slot's objects cannot be read: {error}", hierarchy.name()),
            "put back the last copy of the store that is whole",
        )),
    }
    examination.check(&name, found);
}
