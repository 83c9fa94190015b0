//! The jobs that look how a module behaves.

use std::ffi::c_void;
use std::io::{Read as _, Write as _};
use std::ptr;

use cryptoki_sys::*;

use crate::common::fixture::PIN;
use crate::common::p11::*;
use crate::common::prototypes::Any;
use crate::common::prototypes::PROTOTYPES;
use crate::job::{self, AES, Client, EC};

/// What the bus is searched for: no 16 bytes of it come twice.
pub const SECRET: [u8; 240] = {
    let mut secret = [0; 240];
    let mut at = 0;
    while at < secret.len() {
        secret[at] = (at as u8) ^ 0xa5;
        at += 1;
    }
    secret
};

/// What the process that holds the token says once it does.
pub const HELD: &str = "held";

/// A whole process with as many P-256 signatures.
pub fn signatures(module: &str, count: usize) -> Rv<Vec<f64>> {
    let client = Client::user(module)?;
    let key = client.find(CKO_PRIVATE_KEY, EC)?;
    for _ in 0..count {
        sign(&client, key)?;
    }
    client.p.finalize()?;
    Ok(vec![])
}

fn sign(client: &Client, key: CK_OBJECT_HANDLE) -> Rv<()> {
    client.p.sign(client.session, Mech::plain(CKM_ECDSA), key, &[7; 32]).map(drop)
}

/// The numbers of slots, mechanisms and functions, and the version of PKCS#11, major and minor.
pub fn lists(module: &str) -> Rv<Vec<f64>> {
    let p = P11::load_other(module);
    p.initialize()?;
    let slots = p.slots(false)?.len();
    let mechanisms = p.mechanisms(job::slot(&p)?)?.len();
    let (version, functions) = function_list(module);
    let numbers = [slots, mechanisms, functions.len(), version.major.into(), version.minor.into()];
    Ok(numbers.map(|n| n as f64).to_vec())
}

/// What the function at this place of the list returns for a session and zeros.
pub fn function(module: &str, at: usize) -> Rv<Vec<f64>> {
    let client = Client::public(P11::load_other(module))?;
    let (_, functions) = function_list(module);
    let name = PROTOTYPES[at].0;
    let first = match name {
        // It would wait for ever.
        "C_WaitForSlotEvent" => CKF_DONT_BLOCK,
        name if PROTOTYPES[at].1.starts_with('s') && name != "C_Initialize" => client.session,
        _ => 0,
    };
    let Some(function) = functions[at] else { return Ok(vec![CKR_FUNCTION_NOT_SUPPORTED as f64]) };
    let rv = unsafe { function(first as usize, 0, 0, 0, 0, 0, 0, 0, 0, 0) };
    Ok(vec![rv as f64])
}

/// The functions of the newest list that the module has.
fn function_list(module: &str) -> (CK_VERSION, Vec<Option<Any>>) {
    type GetList = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV;
    type GetInterfaces = unsafe extern "C" fn(*mut CK_INTERFACE, *mut CK_ULONG) -> CK_RV;
    unsafe {
        let library = libloading::Library::new(module).unwrap();
        let mut lists = vec![ptr::null_mut()];
        let get = library.get::<GetList>(b"C_GetFunctionList\0").unwrap();
        assert_eq!(get(&mut lists[0]), CKR_OK);
        if let Ok(get) = library.get::<GetInterfaces>(b"C_GetInterfaceList\0") {
            let mut interfaces = [CK_INTERFACE::default(); 16];
            let mut count = interfaces.len() as CK_ULONG;
            assert_eq!(get(interfaces.as_mut_ptr(), &mut count), CKR_OK);
            let standard = interfaces[..count as usize].iter().filter(|interface| {
                let name = std::ffi::CStr::from_ptr(interface.pInterfaceName.cast());
                name.to_bytes() == b"PKCS 11"
            });
            lists.extend(standard.map(|interface| interface.pFunctionList.cast()));
        }
        let version =
            |list: &*mut CK_FUNCTION_LIST| ((**list).version.major, (**list).version.minor);
        let newest = *lists.iter().max_by_key(|list| version(list)).unwrap();
        let len = match version(&newest) {
            (2, _) => 68,
            (3, 0 | 1) => 92,
            _ => PROTOTYPES.len(),
        };
        let first = (&raw const (*newest.cast::<CK_FUNCTION_LIST_3_2>()).C_Initialize).cast();
        ((*newest).version, std::slice::from_raw_parts(first, len).to_vec())
    }
}

/// Logs in and signs, and goes on holding the session until stdin ends.
pub fn hold(module: &str) -> Rv<Vec<f64>> {
    let client = Client::user(module)?;
    sign(&client, client.find(CKO_PRIVATE_KEY, EC)?)?;
    println!("\n{HELD}");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
    client.p.finalize()?;
    Ok(vec![])
}

/// What C_Login says to a wrong PIN.
pub fn wrong_pin(module: &str) -> Rv<Vec<f64>> {
    let client = Client::public(P11::load_other(module))?;
    let rv = client.p.login(client.session, CKU_USER, b"wrong-4321").err().unwrap_or(CKR_OK);
    client.p.finalize()?;
    Ok(vec![rv as f64])
}

/// Encrypts what nobody on the bus should see.
pub fn encrypt_secret(module: &str) -> Rv<Vec<f64>> {
    let client = Client::user(module)?;
    let key = client.find(CKO_SECRET_KEY, AES)?;
    client.p.encrypt(client.session, Mech::bytes(CKM_AES_CBC, &[7; 16]), key, &SECRET)?;
    client.p.finalize()?;
    Ok(vec![])
}

/// Brings an AES key in, and uses it.
pub fn import_secret(module: &str) -> Rv<Vec<f64>> {
    let client = Client::user(module)?;
    let template = [
        ulong(CKA_CLASS, CKO_SECRET_KEY),
        ulong(CKA_KEY_TYPE, CKK_AES),
        flag(CKA_TOKEN, true),
        flag(CKA_PRIVATE, true),
        flag(CKA_ENCRYPT, true),
        flag(CKA_DECRYPT, true),
        bytes(CKA_VALUE, &SECRET[..16]),
    ];
    let key = client.p.create(client.session, &template)?;
    client.p.encrypt(client.session, Mech::bytes(CKM_AES_CBC, &[7; 16]), key, &[7; 16])?;
    client.p.finalize()?;
    Ok(vec![])
}

/// What a forked child gets that starts anew, as it should, and one that goes on with what it inherited;
/// and whether the parent's session still works afterwards.
pub fn fork(module: &str) -> Rv<Vec<f64>> {
    let client = Client::user(module)?;
    let key = client.find(CKO_PRIVATE_KEY, EC)?;
    sign(&client, key)?;
    let anew = forked(|| {
        client.p.initialize()?;
        let session = client.p.open(job::slot(&client.p)?, CKF_SERIAL_SESSION)?;
        client.p.login(session, CKU_USER, PIN)?;
        let name = [ulong(CKA_CLASS, CKO_PRIVATE_KEY), bytes(CKA_LABEL, EC)];
        let key = *job::all(&client.p, session, &name)?.first().ok_or(CKR_KEY_HANDLE_INVALID)?;
        client.p.sign(session, Mech::plain(CKM_ECDSA), key, &[7; 32]).map(drop)
    });
    let inherited = forked(|| sign(&client, key));
    let parent = sign(&client, key).err().unwrap_or(CKR_OK);
    Ok([anew, inherited, parent].map(|rv| rv as f64).to_vec())
}

/// What a child of this process gets; one that dies or hangs has no answer, which is CKR_FUNCTION_FAILED here.
fn forked(work: impl FnOnce() -> Rv<()>) -> CK_RV {
    let mut pipe = [0; 2];
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    let mut rv = CKR_FUNCTION_FAILED;
    let (address, len) = ((&raw mut rv).cast::<c_void>(), size_of::<CK_RV>());
    match unsafe { libc::fork() } {
        0 => unsafe {
            libc::alarm(5);
            *address.cast() = work().err().unwrap_or(CKR_OK);
            libc::write(pipe[1], address, len);
            libc::_exit(0)
        },
        child => unsafe {
            libc::close(pipe[1]);
            libc::read(pipe[0], address, len);
            libc::waitpid(child, ptr::null_mut(), 0);
            libc::close(pipe[0]);
        },
    }
    rv
}
