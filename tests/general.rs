//! The library's life and the slots: conformance statements 1 to 23 and 30.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::ptr;

use common::fixture::*;
use common::p11::*;
use cryptoki_sys::*;

#[test]
fn c002_a_second_initialize_is_refused_and_harms_nothing() {
    let t = Token::new();
    let session = t.user();
    assert_eq!(t.p.initialize(), Err(CKR_CRYPTOKI_ALREADY_INITIALIZED));
    assert_eq!(t.p.state(session), CKS_RW_USER_FUNCTIONS);
}

fn initialize(p: &P11, args: &mut CK_C_INITIALIZE_ARGS) -> CK_RV {
    unsafe { p.list.C_Initialize.unwrap()(ptr::from_mut(args).cast()) }
}

unsafe extern "C" fn mutex(_: *mut std::ffi::c_void) -> CK_RV {
    panic!("the caller's mutexes are not needed")
}

unsafe extern "C" fn create_mutex(_: *mut *mut std::ffi::c_void) -> CK_RV {
    panic!("the caller's mutexes are not needed")
}

#[test]
fn c003_c004_initialize_arguments_are_checked() {
    let _rig = Rig::new();
    let p = P11::load();
    let mut args = CK_C_INITIALIZE_ARGS { pReserved: ptr::dangling_mut(), ..Default::default() };
    assert_eq!(initialize(&p, &mut args), CKR_ARGUMENTS_BAD);
    // All of the four callbacks or none of them.
    for given in 0..16 {
        let has = |bit: u32| given & (1 << bit) != 0;
        let mut args = CK_C_INITIALIZE_ARGS {
            CreateMutex: has(0).then_some(create_mutex),
            DestroyMutex: has(1).then_some(mutex),
            LockMutex: has(2).then_some(mutex),
            UnlockMutex: has(3).then_some(mutex),
            ..Default::default()
        };
        for flags in [0, CKF_OS_LOCKING_OK] {
            args.flags = flags;
            let told = initialize(&p, &mut args);
            if [0, 15].contains(&given) {
                assert_eq!((told, p.finalize()), (CKR_OK, Ok(())), "{given:04b}");
            } else {
                assert_eq!(told, CKR_ARGUMENTS_BAD, "{given:04b}");
                assert_eq!(p.finalize(), Err(CKR_CRYPTOKI_NOT_INITIALIZED), "{given:04b}");
            }
        }
    }
}

#[test]
fn c005_c006_every_legal_way_to_initialize_is_accepted() {
    let _rig = Rig::new();
    let p = P11::load();
    let callbacks = CK_C_INITIALIZE_ARGS {
        CreateMutex: Some(create_mutex),
        DestroyMutex: Some(mutex),
        LockMutex: Some(mutex),
        UnlockMutex: Some(mutex),
        ..Default::default()
    };
    let both = CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS;
    for (args, flags) in [
        (CK_C_INITIALIZE_ARGS::default(), 0),
        (CK_C_INITIALIZE_ARGS::default(), both),
        (callbacks, 0),
        (callbacks, CKF_OS_LOCKING_OK),
    ] {
        let mut args = CK_C_INITIALIZE_ARGS { flags, ..args };
        assert_eq!(initialize(&p, &mut args), CKR_OK);
        p.slots(true).unwrap();
        p.finalize().unwrap();
    }
}

#[test]
fn c007_nss_may_put_a_string_into_reserved_where_the_configuration_allows() {
    let _rig = Rig::with_config("[compatibility]\nnss_reserved = true\n");
    let p = P11::load();
    let mut args = CK_C_INITIALIZE_ARGS {
        pReserved: c"configdir=''".as_ptr() as *mut _,
        ..Default::default()
    };
    assert_eq!(initialize(&p, &mut args), CKR_OK);
}

#[test]
fn c008_finalize_takes_no_argument_and_works_once() {
    let t = Token::new();
    let rv = unsafe { t.p.list.C_Finalize.unwrap()(ptr::dangling_mut()) };
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
    t.p.ro(t.slot);
    t.p.finalize().unwrap();
    assert_eq!(t.p.finalize(), Err(CKR_CRYPTOKI_NOT_INITIALIZED));
}

#[test]
fn c009_nothing_of_the_first_life_is_valid_in_the_second() {
    let t = Token::new();
    let session = t.user();
    let (_, private) = ec_pair(&t.p, session, b"1", true);
    t.p.create(session, &data(b"x", false, false)).unwrap();
    t.p.finalize().unwrap();
    t.p.initialize().unwrap();
    assert_eq!(t.p.session_info(session).err(), Some(CKR_SESSION_HANDLE_INVALID));
    let session = t.p.rw(t.slot);
    assert_eq!(t.p.state(session), CKS_RW_PUBLIC_SESSION);
    assert_eq!(t.p.get(session, private, CKA_ID), Err(CKR_OBJECT_HANDLE_INVALID));
    assert_eq!(t.p.find(session, &[ulong(CKA_CLASS, CKO_DATA)]), []);
}

#[test]
fn c010_waiting_for_a_slot_is_not_offered() {
    let _rig = Rig::new();
    let p = P11::start();
    let mut slot = 0;
    let wait = p.list.C_WaitForSlotEvent.unwrap();
    assert_eq!(unsafe { wait(0, &mut slot, ptr::null_mut()) }, CKR_FUNCTION_NOT_SUPPORTED);
}

#[test]
fn c030_there_is_never_a_slot_event() {
    let _rig = Rig::new();
    let p = P11::start();
    let mut slot = 0;
    let wait = p.list.C_WaitForSlotEvent.unwrap();
    let rv = unsafe { wait(CKF_DONT_BLOCK, &mut slot, ptr::null_mut()) };
    assert_eq!(rv, CKR_NO_EVENT);
    let rv = unsafe { wait(CKF_DONT_BLOCK, &mut slot, ptr::dangling_mut()) };
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
}

#[test]
fn c011_without_a_tpm_the_library_starts_and_shows_empty_slots() {
    let rig = Rig::new();
    rig.tpm.kill();
    let p = P11::start();
    assert_eq!(p.slots(false).unwrap(), [0, 1, 2, 3]);
    assert_eq!(p.slots(true).unwrap(), [] as [CK_SLOT_ID; 0]);
    for slot in 0..4 {
        assert_eq!(p.slot_info(slot).unwrap().flags & CKF_TOKEN_PRESENT, 0);
        assert_eq!(p.token_info(slot).err(), Some(CKR_TOKEN_NOT_PRESENT));
        assert_eq!(p.open(slot, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_PRESENT));
        assert_eq!(p.mechanisms(slot), Err(CKR_TOKEN_NOT_PRESENT));
    }
    p.finalize().unwrap();
}

#[test]
fn c011_with_a_wrong_configuration_too() {
    let _rig = Rig::with_config("[store]\nunknown_setting = 3\n");
    let p = P11::start();
    assert_eq!(p.slots(false).unwrap(), [0, 1, 2, 3]);
    assert_eq!(p.slots(true).unwrap(), [] as [CK_SLOT_ID; 0]);
}

#[test]
fn c012_a_forked_child_is_another_application() {
    let t = Token::new();
    let session = t.user();
    let (public, private) = ec_pair(&t.p, session, b"1", true);
    // SAFETY: the child calls the module and _exit only.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = (|| {
            if t.p.session_info(session).err() != Some(CKR_CRYPTOKI_NOT_INITIALIZED) {
                return 1;
            }
            if t.p.initialize().is_err() {
                return 2;
            }
            let mine = t.p.rw(t.slot);
            if t.p.state(mine) != CKS_RW_PUBLIC_SESSION {
                return 3;
            }
            if t.p.login(mine, CKU_USER, PIN).is_err() {
                return 4;
            }
            let keys = t.p.find(mine, &[ulong(CKA_CLASS, CKO_PRIVATE_KEY)]);
            if keys.len() != 1 {
                return 5;
            }
            if t.p.sign(mine, Mech::plain(CKM_ECDSA), keys[0], &[1; 32]).is_err() {
                return 6;
            }
            if t.p.finalize().is_err() { 7 } else { 0 }
        })();
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    for _ in 0..20 {
        let signature = t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[2; 32]).unwrap();
        t.p.verify(session, Mech::plain(CKM_ECDSA), public, &[2; 32], &signature).unwrap();
    }
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(libc::WEXITSTATUS(status), 0);
    assert_eq!(t.p.state(session), CKS_RW_USER_FUNCTIONS);
    t.p.sign(session, Mech::plain(CKM_ECDSA), private, &[3; 32]).unwrap();
}

#[test]
fn c013_info_has_the_lists_version_and_padded_text() {
    let _rig = Rig::new();
    let p = P11::start();
    let mut info = CK_INFO::default();
    assert_eq!(unsafe { p.list.C_GetInfo.unwrap()(&mut info) }, CKR_OK);
    assert_eq!((info.cryptokiVersion.major, info.cryptokiVersion.minor), (3, 2));
    assert!(!info.manufacturerID.contains(&0) && !info.libraryDescription.contains(&0));
    assert!(info.manufacturerID.starts_with(b"Hierarkey "));
}

#[test]
fn c015_nothing_runs_in_parallel() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    let (status, cancel) =
        (t.p.list.C_GetFunctionStatus.unwrap(), t.p.list.C_CancelFunction.unwrap());
    unsafe {
        assert_eq!(status(session), CKR_FUNCTION_NOT_PARALLEL);
        assert_eq!(cancel(session), CKR_FUNCTION_NOT_PARALLEL);
        assert_eq!(status(session + 99), CKR_SESSION_HANDLE_INVALID);
    }
}

#[test]
fn c016_the_slot_list_follows_the_two_call_convention() {
    let _rig = Rig::new();
    let p = P11::start();
    let list = p.list.C_GetSlotList.unwrap();
    let mut slots = [77; 4];
    let mut count = 2;
    unsafe {
        assert_eq!(list(0, slots.as_mut_ptr(), &mut count), CKR_BUFFER_TOO_SMALL);
        assert_eq!((count, slots), (4, [77; 4]));
        assert_eq!(list(0, slots.as_mut_ptr(), ptr::null_mut()), CKR_ARGUMENTS_BAD);
    }
    assert_eq!(p.slots(false).unwrap(), [0, 1, 2, 3]);
}

#[test]
fn c018_every_slot_has_its_info_and_no_other_does() {
    let _rig = Rig::new();
    let p = P11::start();
    for slot in p.slots(false).unwrap() {
        let info = p.slot_info(slot).unwrap();
        assert_ne!(info.flags & CKF_HW_SLOT, 0);
        assert!(!info.slotDescription.contains(&0));
    }
    assert_eq!(p.slot_info(4).err(), Some(CKR_SLOT_ID_INVALID));
    assert_eq!(p.token_info(CK_SLOT_ID::MAX).err(), Some(CKR_SLOT_ID_INVALID));
}

#[test]
fn c018_a_slot_that_is_empty_while_there_is_a_tpm_is_one_for_removable_tokens() {
    let _rig = Rig::new();
    let p = P11::start();
    let has = |slot, flag| p.slot_info(slot).unwrap().flags & flag != 0;
    let removable = || [OWNER, ENDORSEMENT, PLATFORM, NULL].map(|s| has(s, CKF_REMOVABLE_DEVICE));
    let before = removable();
    for (slot, removable) in before.into_iter().enumerate() {
        let slot = slot as CK_SLOT_ID;
        assert!(removable || has(slot, CKF_TOKEN_PRESENT), "{slot}");
    }
    make_token(&p, NULL);
    assert!(has(NULL, CKF_TOKEN_PRESENT));
    assert_eq!(removable(), before, "the flag of a slot never changes");
    assert!(!has(OWNER, CKF_REMOVABLE_DEVICE), "a TPM is soldered to its board");
}

#[test]
fn c019_c128_an_uninitialised_owner_token_shows_and_opens() {
    let _rig = Rig::new();
    let p = P11::start();
    assert_eq!(p.slots(true).unwrap(), [OWNER]);
    let info = p.token_info(OWNER).unwrap();
    assert_eq!(info.flags & CKF_TOKEN_INITIALIZED, 0);
    let session = p.ro(OWNER);
    assert_eq!(p.find(session, &[]), []);
    assert_eq!(p.random(session, 16).unwrap().len(), 16);
    assert_eq!(p.login(session, CKU_USER, PIN), Err(CKR_TOKEN_NOT_INITIALIZED));
    for slot in [ENDORSEMENT, PLATFORM, NULL] {
        assert_eq!(p.token_info(slot).err(), Some(CKR_TOKEN_NOT_PRESENT));
        assert_eq!(p.open(slot, CKF_SERIAL_SESSION), Err(CKR_TOKEN_NOT_PRESENT));
    }
}

#[test]
fn c020_token_flags_are_true_at_each_moment() {
    let rig = Rig::new();
    let p = P11::start();
    let flags = || p.token_info(OWNER).unwrap().flags;
    let always =
        CKF_RNG | CKF_LOGIN_REQUIRED | CKF_RESTORE_KEY_NOT_NEEDED | CKF_DUAL_CRYPTO_OPERATIONS;
    assert_eq!(flags(), always);
    p.init_token(OWNER, SO_PIN, "x").unwrap();
    assert_eq!(flags(), always | CKF_TOKEN_INITIALIZED);
    let session = p.rw(OWNER);
    p.login(session, CKU_SO, SO_PIN).unwrap();
    p.init_pin(session, PIN).unwrap();
    assert_eq!(flags(), always | CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED);
    drop(rig);
}

#[test]
fn c020_the_flags_about_pins_follow_each_try() {
    let t = Token::new();
    t.rig.tpm.set_lockout(3, 1000);
    let session = t.p.rw(t.slot);
    let low = CKF_USER_PIN_COUNT_LOW | CKF_SO_PIN_COUNT_LOW;
    let last = CKF_USER_PIN_FINAL_TRY | CKF_SO_PIN_FINAL_TRY;
    let locked = CKF_USER_PIN_LOCKED | CKF_SO_PIN_LOCKED;
    let flags = || t.p.token_info(t.slot).unwrap().flags & (low | last | locked);
    assert_eq!(flags(), 0);
    assert_eq!(t.p.login(session, CKU_USER, b"wrong"), Err(CKR_PIN_INCORRECT));
    assert_eq!(flags(), low);
    assert_eq!(t.p.login(session, CKU_USER, b"wrong"), Err(CKR_PIN_INCORRECT));
    assert_eq!(flags(), low | last);
    // The counter is the TPM's, which the right one does not set back.
    t.p.login(session, CKU_USER, PIN).unwrap();
    assert_eq!(flags(), low | last);
    t.p.logout(session).unwrap();
    assert_eq!(t.p.login(session, CKU_USER, b"wrong"), Err(CKR_PIN_INCORRECT));
    assert_eq!(flags(), low | locked);
    assert_eq!(t.p.login(session, CKU_USER, PIN), Err(CKR_PIN_LOCKED));
    assert_eq!(t.p.login(session, CKU_SO, SO_PIN), Err(CKR_PIN_LOCKED));
    assert_eq!(t.p.set_pin(session, PIN, b"another"), Err(CKR_PIN_LOCKED));
}

#[test]
fn c021_sessions_are_counted() {
    let t = Token::new();
    let (_ro, rw) = (t.p.ro(t.slot), t.p.rw(t.slot));
    let info = t.p.token_info(t.slot).unwrap();
    assert_eq!((info.ulSessionCount, info.ulRwSessionCount), (2, 1));
    t.p.close(rw).unwrap();
    let info = t.p.token_info(t.slot).unwrap();
    assert_eq!((info.ulSessionCount, info.ulRwSessionCount), (1, 0));
}

#[test]
fn c022_every_listed_mechanism_has_its_info_and_is_listed_once() {
    let t = Token::new();
    let list = t.p.mechanisms(t.slot).unwrap();
    let mut unique = list.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), list.len());
    for ckm in &list {
        let info = t.p.mechanism_info(t.slot, *ckm).unwrap();
        assert!(info.ulMinKeySize <= info.ulMaxKeySize, "{ckm:#x}");
        assert_ne!(info.flags, 0, "{ckm:#x}");
    }
    let unknown = t.p.mechanism_info(t.slot, 0x7fff_0000).err();
    assert_eq!(unknown, Some(CKR_MECHANISM_INVALID));
    for needed in [CKM_RSA_PKCS, CKM_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS, CKM_ECDSA, CKM_SHA512] {
        assert!(list.contains(&needed), "{needed:#x}");
    }
}

#[test]
fn every_slot_can_hold_a_token_of_its_own() {
    let rig = Rig::new();
    let p = P11::start();
    let mut serials = std::collections::BTreeSet::new();
    for slot in 0..4 {
        make_token(&p, slot);
        let session = p.rw(slot);
        p.login(session, CKU_USER, PIN).unwrap();
        let (public, private) = ec_pair(&p, session, b"1", true);
        let signature = p.sign(session, Mech::plain(CKM_ECDSA), private, &[5; 32]).unwrap();
        p.verify(session, Mech::plain(CKM_ECDSA), public, &[5; 32], &signature).unwrap();
        assert_eq!(p.find(session, &[]).len(), 2, "slot {slot} sees its own objects only");
        assert!(serials.insert(p.token_info(slot).unwrap().serialNumber));
    }
    assert_eq!(p.slots(true).unwrap(), [0, 1, 2, 3]);
    drop(rig);
}
