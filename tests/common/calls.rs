//! For each function that takes pointers: arguments with which it succeeds, as words.

#![allow(dead_code, reason = "each test program uses a part")]
// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

use cryptoki_sys::*;

use super::fixture::*;
use super::p11::*;
use super::prototypes::Any;
use super::prototypes::PROTOTYPES;
use super::return_values::place;

/// Every operation that `C_SessionCancel` knows.
pub const EVERY_OPERATION: CK_FLAGS = CKF_ENCRYPT
    | CKF_DECRYPT
    | CKF_DIGEST
    | CKF_SIGN
    | CKF_VERIFY
    | CKF_FIND_OBJECTS
    | CKF_SIGN_RECOVER
    | CKF_VERIFY_RECOVER;

/// Calls the function at this place of the lists.
pub fn call(p: &P11, at: usize, arguments: &[usize]) -> CK_RV {
    let mut a = [0; 10];
    a[..arguments.len()].copy_from_slice(arguments);
    let first = (&raw const p.list.C_Initialize).cast::<Any>();
    unsafe {
        let function = *first.add(at);
        function(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9])
    }
}

/// Calls a function by name with `session`, `number` for each other number, and `pointer` for
/// each pointer.
pub fn call_with(
    p: &P11,
    name: &str,
    session: CK_SESSION_HANDLE,
    number: usize,
    pointer: usize,
) -> CK_RV {
    let at = place(name);
    let arguments: Vec<usize> = PROTOTYPES[at]
        .1
        .chars()
        .map(|kind| match kind {
            's' => session as usize,
            'n' => number,
            _ => pointer,
        })
        .collect();
    call(p, at, &arguments)
}

/// A token with the user in, keys of its session and one object.
pub struct Scene {
    pub t: Token,
    pub session: CK_SESSION_HANDLE,
    pub ec: (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE),
    pub rsa: (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE),
    pub object: CK_OBJECT_HANDLE,
    secret: Vec<u8>,
    signature: Vec<u8>,
}

/// Memory that is never freed: its address outlives every call.
fn kept<T>(value: T) -> usize {
    std::ptr::from_mut(Box::leak(Box::new(value))).expose_provenance()
}

fn memory() -> usize {
    kept([0_u64; 512])
}

fn text(bytes: &[u8]) -> usize {
    bytes.to_vec().leak().as_mut_ptr().expose_provenance()
}

fn mechanism(ckm: CK_MECHANISM_TYPE) -> usize {
    kept(CK_MECHANISM { mechanism: ckm, pParameter: std::ptr::null_mut(), ulParameterLen: 0 })
}

fn template(attributes: &[Attr]) -> usize {
    let entries: Vec<CK_ATTRIBUTE> = attributes
        .iter()
        .map(|Attr(kind, value)| CK_ATTRIBUTE {
            type_: *kind,
            pValue: value.clone().leak().as_mut_ptr().cast(),
            ulValueLen: value.len() as CK_ULONG,
        })
        .collect();
    entries.leak().as_mut_ptr().expose_provenance()
}

const DATA: &[u8] = b"data of a call";

impl Scene {
    pub fn new() -> Self {
        Self::on(Rig::new())
    }

    pub fn on(rig: Rig) -> Self {
        let t = Token::on(rig, OWNER);
        let session = t.user();
        let ec = ec_pair(&t.p, session, b"1", false);
        let rsa = rsa_pair(&t.p, session, b"2", false);
        let object = t.p.create(session, &data(b"object", false, false)).unwrap();
        let secret = t.p.encrypt(session, Mech::plain(CKM_RSA_PKCS), rsa.0, DATA).unwrap();
        let signature = t.p.sign(session, Mech::plain(CKM_ECDSA_SHA256), ec.1, DATA).unwrap();
        Self { t, session, ec, rsa, object, secret, signature }
    }

    pub fn cancel(&self) {
        let cancel = self.t.p.list.C_SessionCancel.unwrap();
        assert_eq!(unsafe { cancel(self.session, EVERY_OPERATION) }, CKR_OK);
    }

    /// The arguments of a call that succeeds in a session without an operation; begins what the
    /// call goes on with. `None` for functions without pointers and those that are not here.
    pub fn arguments(&self, name: &str) -> Option<Vec<usize>> {
        let (s, slot, p) = (self.session as usize, self.t.slot as usize, &self.t.p);
        let sha256_ec = || Mech::plain(CKM_ECDSA_SHA256);
        let digest = || p.init(Op::Digest, self.session, Mech::plain(CKM_SHA256), 0).unwrap();
        let sign = || p.init(Op::Sign, self.session, sha256_ec(), self.ec.1).unwrap();
        let verify = || p.verify_init(self.session, &mut sha256_ec(), self.ec.0).unwrap();
        let part = || [s, text(DATA), DATA.len()];
        let out = || [memory(), kept(1024)];
        let signature = || [text(&self.signature), self.signature.len()];
        let label = template(&[bytes(CKA_LABEL, b"label")]);
        Some(match name {
            "C_GetInfo" | "C_GetFunctionList" => vec![memory()],
            "C_GetSlotList" => vec![1, memory(), kept(16)],
            "C_GetSlotInfo" | "C_GetTokenInfo" => vec![slot, memory()],
            "C_GetMechanismList" => vec![slot, memory(), kept(512)],
            "C_GetMechanismInfo" => vec![slot, CKM_ECDSA as usize, memory()],
            "C_OpenSession" => {
                vec![slot, (CKF_SERIAL_SESSION | CKF_RW_SESSION) as usize, 0, 0, memory()]
            }
            "C_GetInterfaceList" => vec![memory(), kept(8)],
            "C_GetInterface" => {
                vec![text(b"PKCS 11\0"), kept(CK_VERSION { major: 3, minor: 0 }), memory(), 0]
            }
            "C_SetPIN" => vec![s, text(PIN), PIN.len(), text(PIN), PIN.len()],
            "C_GetSessionInfo" => vec![s, memory()],
            "C_CreateObject" => {
                let data = data(b"made", false, false);
                vec![s, template(&data), data.len(), memory()]
            }
            "C_CopyObject" => vec![s, self.object as usize, label, 1, memory()],
            "C_GetObjectSize" => vec![s, self.object as usize, memory()],
            "C_GetAttributeValue" => {
                vec![s, self.object as usize, template(&[bytes(CKA_LABEL, &[0; 40])]), 1]
            }
            "C_SetAttributeValue" => vec![s, self.object as usize, label, 1],
            "C_FindObjectsInit" => vec![s, label, 1],
            "C_FindObjects" => {
                p.find_init(self.session, &[]).unwrap();
                vec![s, memory(), 4, memory()]
            }
            "C_EncryptInit" => vec![s, mechanism(CKM_RSA_PKCS), self.rsa.0 as usize],
            "C_Encrypt" => {
                p.init(Op::Encrypt, self.session, Mech::plain(CKM_RSA_PKCS), self.rsa.0).unwrap();
                [&part()[..], &out()].concat()
            }
            "C_DecryptInit" => vec![s, mechanism(CKM_RSA_PKCS), self.rsa.1 as usize],
            "C_Decrypt" => {
                p.init(Op::Decrypt, self.session, Mech::plain(CKM_RSA_PKCS), self.rsa.1).unwrap();
                [&[s, text(&self.secret), self.secret.len()], &out()[..]].concat()
            }
            "C_DigestInit" => vec![s, mechanism(CKM_SHA256)],
            "C_Digest" => {
                digest();
                [&part()[..], &out()].concat()
            }
            "C_DigestUpdate" => {
                digest();
                part().to_vec()
            }
            "C_DigestFinal" => {
                digest();
                [&[s], &out()[..]].concat()
            }
            "C_SignInit" => vec![s, mechanism(CKM_ECDSA), self.ec.1 as usize],
            "C_Sign" => {
                sign();
                [&part()[..], &out()].concat()
            }
            "C_SignUpdate" => {
                sign();
                part().to_vec()
            }
            "C_SignFinal" => {
                sign();
                p.update(Op::Sign, self.session, DATA).unwrap();
                [&[s], &out()[..]].concat()
            }
            "C_VerifyInit" => vec![s, mechanism(CKM_ECDSA), self.ec.0 as usize],
            "C_Verify" => {
                verify();
                [&part()[..], &signature()].concat()
            }
            "C_VerifyUpdate" => {
                verify();
                part().to_vec()
            }
            "C_VerifyFinal" => {
                verify();
                let [_, data, len] = part();
                assert_eq!(call(p, place("C_VerifyUpdate"), &[s, data, len]), CKR_OK);
                [&[s], &signature()[..]].concat()
            }
            "C_GenerateKeyPair" => {
                let public = template(&[bytes(CKA_EC_PARAMS, P256)]);
                let private = template(&[flag(CKA_SIGN, true)]);
                let generator = mechanism(CKM_EC_KEY_PAIR_GEN);
                vec![s, generator, public, 1, private, 1, memory(), memory()]
            }
            "C_GenerateRandom" => vec![s, memory(), 16],
            _ => return None,
        })
    }
}

/// What NULL says for the pointer at `argument` of a function, where it says something. Elsewhere
/// it is a bad argument.
pub fn null_is_allowed(name: &str, argument: usize) -> bool {
    match name {
        // Tell the number, or the length.
        "C_GetSlotList" | "C_GetMechanismList" | "C_DigestFinal" | "C_SignFinal" => argument == 1,
        "C_GetInterfaceList" => argument == 0,
        "C_Encrypt" | "C_Decrypt" | "C_Digest" | "C_Sign" => argument == 3,
        // No context, no callback.
        "C_OpenSession" => argument == 2 || argument == 3,
        // Any name, any version.
        "C_GetInterface" => argument < 2,
        _ => false,
    }
}
