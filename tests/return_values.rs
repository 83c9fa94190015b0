//! Which return values a function has: conformance statements 43, 44, 61, 67 to 69, 76, 78, 80, 126.

// Every unsafe block calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::ptr;

use common::fixture::*;
use common::p11::*;
use common::prototypes::PROTOTYPES;
use cryptoki_sys::*;

/// Errors that any function with a session has, and what the arguments' shape gives.
const WITH_SESSION: [CK_RV; 6] = [
    CKR_OK,
    CKR_ARGUMENTS_BAD,
    CKR_FUNCTION_FAILED,
    CKR_DEVICE_ERROR,
    CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_CLOSED,
];

/// PKCS#11 v3.1, "Return values" of each function that is offered, beyond those above.
const OWN: [(&str, &[CK_RV]); 35] = [
    (
        "C_InitPIN",
        &[
            CKR_PIN_INVALID,
            CKR_PIN_LEN_RANGE,
            CKR_SESSION_READ_ONLY,
            CKR_TOKEN_WRITE_PROTECTED,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    (
        "C_SetPIN",
        &[
            CKR_PIN_INCORRECT,
            CKR_PIN_INVALID,
            CKR_PIN_LEN_RANGE,
            CKR_PIN_LOCKED,
            CKR_SESSION_READ_ONLY,
            CKR_TOKEN_WRITE_PROTECTED,
        ],
    ),
    ("C_CloseSession", &[]),
    ("C_GetSessionInfo", &[]),
    ("C_SessionCancel", &[CKR_OPERATION_CANCEL_FAILED, CKR_TOKEN_NOT_PRESENT]),
    (
        "C_Login",
        &[
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_PIN_INCORRECT,
            CKR_PIN_LOCKED,
            CKR_SESSION_READ_ONLY_EXISTS,
            CKR_USER_ALREADY_LOGGED_IN,
            CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
            CKR_USER_PIN_NOT_INITIALIZED,
            CKR_USER_TOO_MANY_TYPES,
            CKR_USER_TYPE_INVALID,
        ],
    ),
    (
        "C_LoginUser",
        &[
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_PIN_INCORRECT,
            CKR_PIN_LOCKED,
            CKR_SESSION_READ_ONLY_EXISTS,
            CKR_USER_ALREADY_LOGGED_IN,
            CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
            CKR_USER_PIN_NOT_INITIALIZED,
            CKR_USER_TOO_MANY_TYPES,
            CKR_USER_TYPE_INVALID,
        ],
    ),
    ("C_Logout", &[CKR_USER_NOT_LOGGED_IN]),
    (
        "C_CreateObject",
        &[
            CKR_ATTRIBUTE_READ_ONLY,
            CKR_ATTRIBUTE_TYPE_INVALID,
            CKR_ATTRIBUTE_VALUE_INVALID,
            CKR_CURVE_NOT_SUPPORTED,
            CKR_DOMAIN_PARAMS_INVALID,
            CKR_PIN_EXPIRED,
            CKR_SESSION_READ_ONLY,
            CKR_TEMPLATE_INCOMPLETE,
            CKR_TEMPLATE_INCONSISTENT,
            CKR_TOKEN_WRITE_PROTECTED,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    (
        "C_CopyObject",
        &[
            CKR_ACTION_PROHIBITED,
            CKR_ATTRIBUTE_READ_ONLY,
            CKR_ATTRIBUTE_TYPE_INVALID,
            CKR_ATTRIBUTE_VALUE_INVALID,
            CKR_OBJECT_HANDLE_INVALID,
            CKR_PIN_EXPIRED,
            CKR_SESSION_READ_ONLY,
            CKR_TEMPLATE_INCONSISTENT,
            CKR_TOKEN_WRITE_PROTECTED,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    (
        "C_DestroyObject",
        &[
            CKR_ACTION_PROHIBITED,
            CKR_OBJECT_HANDLE_INVALID,
            CKR_PIN_EXPIRED,
            CKR_SESSION_READ_ONLY,
            CKR_TOKEN_WRITE_PROTECTED,
        ],
    ),
    ("C_GetObjectSize", &[CKR_INFORMATION_SENSITIVE, CKR_OBJECT_HANDLE_INVALID]),
    (
        "C_GetAttributeValue",
        &[
            CKR_ATTRIBUTE_SENSITIVE,
            CKR_ATTRIBUTE_TYPE_INVALID,
            CKR_BUFFER_TOO_SMALL,
            CKR_OBJECT_HANDLE_INVALID,
        ],
    ),
    (
        "C_SetAttributeValue",
        &[
            CKR_ACTION_PROHIBITED,
            CKR_ATTRIBUTE_READ_ONLY,
            CKR_ATTRIBUTE_TYPE_INVALID,
            CKR_ATTRIBUTE_VALUE_INVALID,
            CKR_OBJECT_HANDLE_INVALID,
            CKR_SESSION_READ_ONLY,
            CKR_TEMPLATE_INCONSISTENT,
            CKR_TOKEN_WRITE_PROTECTED,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    (
        "C_FindObjectsInit",
        &[
            CKR_ATTRIBUTE_TYPE_INVALID,
            CKR_ATTRIBUTE_VALUE_INVALID,
            CKR_OPERATION_ACTIVE,
            CKR_PIN_EXPIRED,
        ],
    ),
    ("C_FindObjects", &[CKR_OPERATION_NOT_INITIALIZED]),
    ("C_FindObjectsFinal", &[CKR_OPERATION_NOT_INITIALIZED]),
    ("C_EncryptInit", INIT),
    (
        "C_Encrypt",
        &[
            CKR_BUFFER_TOO_SMALL,
            CKR_DATA_INVALID,
            CKR_DATA_LEN_RANGE,
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_OPERATION_ACTIVE,
        ],
    ),
    ("C_DecryptInit", INIT),
    (
        "C_Decrypt",
        &[
            CKR_BUFFER_TOO_SMALL,
            CKR_ENCRYPTED_DATA_INVALID,
            CKR_ENCRYPTED_DATA_LEN_RANGE,
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_OPERATION_ACTIVE,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    (
        "C_DigestInit",
        &[
            CKR_MECHANISM_INVALID,
            CKR_MECHANISM_PARAM_INVALID,
            CKR_OPERATION_ACTIVE,
            CKR_PIN_EXPIRED,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    ("C_Digest", &[CKR_BUFFER_TOO_SMALL, CKR_OPERATION_NOT_INITIALIZED, CKR_OPERATION_ACTIVE]),
    ("C_DigestUpdate", &[CKR_OPERATION_NOT_INITIALIZED, CKR_OPERATION_ACTIVE]),
    (
        "C_DigestKey",
        &[
            CKR_KEY_HANDLE_INVALID,
            CKR_KEY_INDIGESTIBLE,
            CKR_KEY_SIZE_RANGE,
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_OPERATION_ACTIVE,
        ],
    ),
    ("C_DigestFinal", &[CKR_BUFFER_TOO_SMALL, CKR_OPERATION_NOT_INITIALIZED, CKR_OPERATION_ACTIVE]),
    ("C_SignInit", INIT),
    (
        "C_Sign",
        &[
            CKR_BUFFER_TOO_SMALL,
            CKR_DATA_INVALID,
            CKR_DATA_LEN_RANGE,
            CKR_FUNCTION_REJECTED,
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_OPERATION_ACTIVE,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    (
        "C_SignUpdate",
        &[
            CKR_DATA_LEN_RANGE,
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_OPERATION_ACTIVE,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    ("C_VerifyInit", INIT),
    (
        "C_Verify",
        &[
            CKR_DATA_INVALID,
            CKR_DATA_LEN_RANGE,
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_OPERATION_ACTIVE,
            CKR_SIGNATURE_INVALID,
            CKR_SIGNATURE_LEN_RANGE,
        ],
    ),
    (
        "C_GenerateKeyPair",
        &[
            CKR_ATTRIBUTE_READ_ONLY,
            CKR_ATTRIBUTE_TYPE_INVALID,
            CKR_ATTRIBUTE_VALUE_INVALID,
            CKR_CURVE_NOT_SUPPORTED,
            CKR_DOMAIN_PARAMS_INVALID,
            CKR_MECHANISM_INVALID,
            CKR_MECHANISM_PARAM_INVALID,
            CKR_OPERATION_ACTIVE,
            CKR_SESSION_READ_ONLY,
            CKR_TEMPLATE_INCOMPLETE,
            CKR_TEMPLATE_INCONSISTENT,
            CKR_TOKEN_WRITE_PROTECTED,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    (
        "C_SeedRandom",
        &[
            CKR_OPERATION_ACTIVE,
            CKR_RANDOM_SEED_NOT_SUPPORTED,
            CKR_RANDOM_NO_RNG,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
    ("C_GenerateRandom", &[CKR_OPERATION_ACTIVE, CKR_RANDOM_NO_RNG, CKR_USER_NOT_LOGGED_IN]),
    (
        "C_SignFinal",
        &[
            CKR_BUFFER_TOO_SMALL,
            CKR_DATA_LEN_RANGE,
            CKR_FUNCTION_REJECTED,
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_OPERATION_ACTIVE,
            CKR_USER_NOT_LOGGED_IN,
        ],
    ),
];

const INIT: &[CK_RV] = &[
    CKR_KEY_FUNCTION_NOT_PERMITTED,
    CKR_KEY_HANDLE_INVALID,
    CKR_KEY_SIZE_RANGE,
    CKR_KEY_TYPE_INCONSISTENT,
    CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
    CKR_OPERATION_ACTIVE,
    CKR_PIN_EXPIRED,
    CKR_USER_NOT_LOGGED_IN,
];

type Any = unsafe extern "C" fn(
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
) -> CK_RV;

/// Calls the function `at` of the list with `session`, `number` for each other number, and
/// `pointer` for each pointer.
fn call(p: &P11, at: usize, session: CK_SESSION_HANDLE, number: usize, pointer: usize) -> CK_RV {
    let mut a: Vec<usize> = PROTOTYPES[at]
        .1
        .chars()
        .map(|kind| match kind {
            's' => session as usize,
            'n' => number,
            _ => pointer,
        })
        .collect();
    a.resize(10, 0);
    let first = (&raw const p.list.C_Initialize).cast::<Any>();
    unsafe {
        let function = *first.add(at);
        function(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9])
    }
}

#[test]
fn c069_every_result_is_in_the_functions_list() {
    let t = Token::new();
    t.rig.tpm.set_lockout(1000, 1000);
    let p = &t.p;
    for login in [None, Some((CKU_USER, PIN)), Some((CKU_SO, SO_PIN))] {
        let officer = matches!(login, Some((CKU_SO, _)));
        // It keeps the login while the sessions beside it come and go.
        let anchor = p.rw(t.slot);
        let enter = || {
            if let Some((user, pin)) = login
                && p.state(anchor) == CKS_RW_PUBLIC_SESSION
            {
                p.login(anchor, user, pin).unwrap();
            }
        };
        for (name, own) in OWN {
            let at = PROTOTYPES.iter().position(|(other, _)| *other == name).unwrap();
            for read_write in [true, officer] {
                // Zeros are an empty mechanism, an empty PIN, a length of 0, the end of a text.
                for (number, zeros) in
                    [(0, false), (1, false), (usize::MAX, false), (0, true), (4, true)]
                {
                    enter();
                    let session = if read_write { p.rw(t.slot) } else { p.ro(t.slot) };
                    let mut memory = [0_u64; 512];
                    let pointer = if zeros { memory.as_mut_ptr() as usize } else { 0 };
                    let told = call(p, at, session, number, pointer);
                    assert!(
                        WITH_SESSION.contains(&told) || own.contains(&told),
                        "{name} gave {told:#x} (number {number:#x}, zeros {zeros}, {login:x?})"
                    );
                    let closed = p.close(session);
                    assert!(closed.is_ok() || name == "C_CloseSession", "{name}: {closed:x?}");
                }
            }
        }
        p.close(anchor).unwrap();
    }
}

#[test]
fn c126_what_is_not_offered_says_so_after_the_session_check() {
    let t = Token::new();
    let session = t.user();
    let not_offered = ["C_MessageEncryptInit"];
    for name in not_offered {
        let at = PROTOTYPES.iter().position(|(other, _)| *other == name).unwrap();
        assert_eq!(call(&t.p, at, 12_345, 0, 0), CKR_SESSION_HANDLE_INVALID, "{name}");
        assert_eq!(call(&t.p, at, session, 0, 0), CKR_FUNCTION_NOT_SUPPORTED, "{name}");
    }
}

#[test]
fn c043_cancelling_ends_what_is_named_and_nothing_else() {
    let t = Token::new();
    let session = t.user();
    let (_, key) = ec_pair(&t.p, session, b"1", false);
    let cancel = |flags| unsafe { t.p.list.C_SessionCancel.unwrap()(session, flags) };
    t.p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), key).unwrap();
    assert_eq!(cancel(0), CKR_OK);
    assert_eq!(cancel(CKF_DIGEST | CKF_FIND_OBJECTS), CKR_OK);
    t.p.one_shot(Op::Sign, session, &[1; 32]).unwrap();
    t.p.init(Op::Sign, session, Mech::plain(CKM_ECDSA), key).unwrap();
    assert_eq!(cancel(CKF_SIGN), CKR_OK);
    let after = t.p.one_shot(Op::Sign, session, &[1; 32]);
    assert_eq!(after, Err(CKR_OPERATION_NOT_INITIALIZED));
    t.p.find_init(session, &[]).unwrap();
    assert_eq!(cancel(CKF_FIND_OBJECTS), CKR_OK);
    assert_eq!(t.p.find_final(session), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c061_a_user_name_is_refused_without_a_try_and_an_empty_one_is_c_login() {
    let t = Token::new();
    let session = t.p.rw(t.slot);
    let login = |pin: &[u8], name: &[u8]| unsafe {
        t.p.list.C_LoginUser.unwrap()(
            session,
            CKU_USER,
            pin.as_ptr().cast_mut(),
            pin.len() as CK_ULONG,
            name.as_ptr().cast_mut(),
            name.len() as CK_ULONG,
        )
    };
    let low = || t.p.token_info(t.slot).unwrap().flags & CKF_USER_PIN_COUNT_LOW != 0;
    assert_eq!(login(PIN, b"somebody"), CKR_PIN_INCORRECT);
    assert!(!low());
    assert_eq!(login(b"wrong", b""), CKR_PIN_INCORRECT);
    assert!(low());
    assert_eq!(login(PIN, b""), CKR_OK);
    assert_eq!(t.p.state(session), CKS_RW_USER_FUNCTIONS);
}

#[test]
fn c076_without_a_place_for_the_length_nothing_is_done() {
    let t = Token::new();
    let session = t.user();
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    let mut out = [0xaa; 64];
    let mut data = *b"data";
    let digest = t.p.list.C_Digest.unwrap();
    let rv = unsafe { digest(session, data.as_mut_ptr(), 4, out.as_mut_ptr(), ptr::null_mut()) };
    assert_eq!(rv, CKR_ARGUMENTS_BAD);
    assert_eq!(out, [0xaa; 64]);
}

#[test]
fn c077_a_digest_may_be_written_over_its_input() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    let expected = t.p.digest(session, CKM_SHA256, &[7; 100]).unwrap();
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    for shift in [0, 1] {
        if shift > 0 {
            t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
        }
        let mut memory = [7; 100];
        let (data, mut len) = (memory.as_mut_ptr(), 32);
        let digest = t.p.list.C_Digest.unwrap();
        let rv = unsafe { digest(session, data, 100, data.add(shift), &mut len) };
        assert_eq!((rv, len), (CKR_OK, 32));
        assert_eq!(memory[shift..shift + 32], expected);
    }
}

#[test]
fn c078_c080_an_empty_update_is_fine_and_a_failing_one_ends_the_operation() {
    let t = Token::new();
    let session = t.p.ro(t.slot);
    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.update(Op::Digest, session, b"").unwrap();
    let update = t.p.list.C_DigestUpdate.unwrap();
    assert_eq!(unsafe { update(session, ptr::null_mut(), 0) }, CKR_OK);
    t.p.update(Op::Digest, session, b"abc").unwrap();
    assert_eq!(t.p.finish(Op::Digest, session).unwrap()[..4], [0xba, 0x78, 0x16, 0xbf]);

    t.p.init(Op::Digest, session, Mech::plain(CKM_SHA256), 0).unwrap();
    t.p.update(Op::Digest, session, b"abc").unwrap();
    assert_eq!(unsafe { update(session, ptr::null_mut(), 5) }, CKR_ARGUMENTS_BAD);
    assert_eq!(t.p.finish(Op::Digest, session), Err(CKR_OPERATION_NOT_INITIALIZED));
}

#[test]
fn c068_a_session_function_never_says_that_the_token_is_not_present() {
    let t = Token::new();
    let session = t.user();
    let (_, key) = ec_pair(&t.p, session, b"1", true);
    t.rig.tpm.kill();
    let told = [
        t.p.sign(session, Mech::plain(CKM_ECDSA), key, &[1; 32]).map(|_| ()),
        t.p.random(session, 8).map(|_| ()),
        t.p.set_pin(session, PIN, b"other"),
    ];
    for rv in told {
        let rv = rv.unwrap_err();
        assert!(matches!(rv, CKR_DEVICE_ERROR | CKR_DEVICE_REMOVED), "{rv:#x}");
    }
}
