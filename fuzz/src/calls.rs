//! C_ functions called as the input says, with arguments of the right kind and any value.

use cryptoki_sys::*;

use super::bytes::Bytes;
use super::common::prototypes::Any;
use super::memory::{self, Memory};
use super::parameter::{Caller, Purpose};
use super::template;

/// What each function takes, in the order of the lists.
///
/// | letter | what |
/// |---|---|
/// | `s` `i` `h` `u` `q` | a session, a slot, an object, a type of user, a type of mechanism |
/// | `n` | another number |
/// | `m` `x` `y` `g` | a mechanism: of an operation, of wrapping, of wrapping with a tag, of messages |
/// | `M` | a message's parameter and its length |
/// | `t` `T` | a template and its count; one to be filled |
/// | `d` | bytes and their length |
/// | `o` `w` | a buffer and a pointer to its length; one with the length itself |
/// | `H` `S` `O` | places for an object, for a session, for another number |
/// | `c` `j` | a list of numbers, of interfaces, with a pointer to its length |
/// | `F` | a list of objects, its length, a place for how many |
/// | `I` | a place for a structure |
/// | `a` `k` `l` `v` | arguments of C_Initialize, a name, a label, a version |
/// | `0` | NULL, where anything else is a callback or reserved; `z` mostly NULL |
const SIGNATURES: [(&str, &str); 104] = [
    ("C_Initialize", "a"),
    ("C_Finalize", "z"),
    ("C_GetInfo", "I"),
    ("C_GetFunctionList", "O"),
    ("C_GetSlotList", "nc"),
    ("C_GetSlotInfo", "iI"),
    ("C_GetTokenInfo", "iI"),
    ("C_GetMechanismList", "ic"),
    ("C_GetMechanismInfo", "iqI"),
    ("C_InitToken", "idl"),
    ("C_InitPIN", "sd"),
    ("C_SetPIN", "sdd"),
    ("C_OpenSession", "in00S"),
    ("C_CloseSession", "s"),
    ("C_CloseAllSessions", "i"),
    ("C_GetSessionInfo", "sI"),
    ("C_GetOperationState", "so"),
    ("C_SetOperationState", "sdhh"),
    ("C_Login", "sud"),
    ("C_Logout", "s"),
    ("C_CreateObject", "stH"),
    ("C_CopyObject", "shtH"),
    ("C_DestroyObject", "sh"),
    ("C_GetObjectSize", "shO"),
    ("C_GetAttributeValue", "shT"),
    ("C_SetAttributeValue", "sht"),
    ("C_FindObjectsInit", "st"),
    ("C_FindObjects", "sF"),
    ("C_FindObjectsFinal", "s"),
    ("C_EncryptInit", "smh"),
    ("C_Encrypt", "sdo"),
    ("C_EncryptUpdate", "sdo"),
    ("C_EncryptFinal", "so"),
    ("C_DecryptInit", "smh"),
    ("C_Decrypt", "sdo"),
    ("C_DecryptUpdate", "sdo"),
    ("C_DecryptFinal", "so"),
    ("C_DigestInit", "sm"),
    ("C_Digest", "sdo"),
    ("C_DigestUpdate", "sd"),
    ("C_DigestKey", "sh"),
    ("C_DigestFinal", "so"),
    ("C_SignInit", "smh"),
    ("C_Sign", "sdo"),
    ("C_SignUpdate", "sd"),
    ("C_SignFinal", "so"),
    ("C_SignRecoverInit", "smh"),
    ("C_SignRecover", "sdo"),
    ("C_VerifyInit", "smh"),
    ("C_Verify", "sdd"),
    ("C_VerifyUpdate", "sd"),
    ("C_VerifyFinal", "sd"),
    ("C_VerifyRecoverInit", "smh"),
    ("C_VerifyRecover", "sdo"),
    ("C_DigestEncryptUpdate", "sdo"),
    ("C_DecryptDigestUpdate", "sdo"),
    ("C_SignEncryptUpdate", "sdo"),
    ("C_DecryptVerifyUpdate", "sdo"),
    ("C_GenerateKey", "smtH"),
    ("C_GenerateKeyPair", "smttHH"),
    ("C_WrapKey", "sxhho"),
    ("C_UnwrapKey", "sxhdtH"),
    ("C_DeriveKey", "smhtH"),
    ("C_SeedRandom", "sd"),
    ("C_GenerateRandom", "sw"),
    ("C_GetFunctionStatus", "s"),
    ("C_CancelFunction", "s"),
    ("C_WaitForSlotEvent", "nOz"),
    ("C_GetInterfaceList", "j"),
    ("C_GetInterface", "kvOn"),
    ("C_LoginUser", "sudd"),
    ("C_SessionCancel", "sn"),
    ("C_MessageEncryptInit", "sgh"),
    ("C_EncryptMessage", "sMddo"),
    ("C_EncryptMessageBegin", "sMd"),
    ("C_EncryptMessageNext", "sMdon"),
    ("C_MessageEncryptFinal", "s"),
    ("C_MessageDecryptInit", "sgh"),
    ("C_DecryptMessage", "sMddo"),
    ("C_DecryptMessageBegin", "sMd"),
    ("C_DecryptMessageNext", "sMdon"),
    ("C_MessageDecryptFinal", "s"),
    ("C_MessageSignInit", "sgh"),
    ("C_SignMessage", "sMdo"),
    ("C_SignMessageBegin", "sM"),
    ("C_SignMessageNext", "sMdo"),
    ("C_MessageSignFinal", "s"),
    ("C_MessageVerifyInit", "sgh"),
    ("C_VerifyMessage", "sMdd"),
    ("C_VerifyMessageBegin", "sM"),
    ("C_VerifyMessageNext", "sMdd"),
    ("C_MessageVerifyFinal", "s"),
    ("C_EncapsulateKey", "smhtoH"),
    ("C_DecapsulateKey", "smhtdH"),
    ("C_VerifySignatureInit", "smhd"),
    ("C_VerifySignature", "sd"),
    ("C_VerifySignatureUpdate", "sd"),
    ("C_VerifySignatureFinal", "s"),
    ("C_GetSessionValidationFlags", "snO"),
    ("C_AsyncComplete", "skI"),
    ("C_AsyncGetID", "skO"),
    ("C_AsyncJoin", "sknw"),
    ("C_WrapKeyAuthenticated", "syhhdo"),
    ("C_UnwrapKeyAuthenticated", "syhdtdH"),
];

/// An application, as far as it knows its sessions and objects.
pub struct Application<'a> {
    pub list: &'a CK_FUNCTION_LIST_3_2,
    pub sessions: Vec<CK_SESSION_HANDLE>,
    pub handles: Vec<CK_OBJECT_HANDLE>,
    /// What calls wrote to their buffers: signatures, ciphertexts, states. The newest last.
    pub pool: Vec<Vec<u8>>,
    /// Asked about each answer.
    pub judge: fn(&str, CK_RV),
}

/// Where a function is in the lists.
pub fn place(name: &str) -> usize {
    SIGNATURES.iter().position(|(other, _)| *other == name).expect("a function's name")
}

/// Calls the function at a place of the lists. Each word is a number, or the address of memory that
/// is as the function wants it.
pub fn call_words(list: &CK_FUNCTION_LIST_3_2, at: usize, words: &[usize]) -> CK_RV {
    let mut ten = [0; 10];
    ten[..words.len()].copy_from_slice(words);
    let from = (&raw const list.C_Initialize).cast::<usize>();
    assert!(at < SIGNATURES.len(), "no such function");
    // SAFETY: the list has as many functions as SIGNATURES has rows, each a pointer; arguments are
    // words, in registers and on the stack, and one too many is not looked at.
    unsafe {
        let function = std::ptr::with_exposed_provenance::<()>(*from.add(at));
        let function = std::mem::transmute::<*const (), Any>(function);
        let [a, b, c, d, e, f, g, h, i, j] = ten;
        function(a, b, c, d, e, f, g, h, i, j)
    }
}

/// Where a call's answers come.
#[derive(Default)]
struct Answers {
    objects: Vec<usize>,
    sessions: Vec<usize>,
    buffers: Vec<(usize, usize, usize)>,
    /// Which objects go with the call's mechanism.
    fitting: &'static [usize],
}

/// Calls after which others have little to say.
const ENDS: [&str; 6] = [
    "C_Finalize",
    "C_Initialize",
    "C_InitToken",
    "C_CloseSession",
    "C_CloseAllSessions",
    "C_Logout",
];

/// Calls that do something by themselves, or after which others do.
const BEGINNINGS: [&str; 24] = [
    "C_EncryptInit",
    "C_DecryptInit",
    "C_SignInit",
    "C_VerifyInit",
    "C_DigestInit",
    "C_SignRecoverInit",
    "C_VerifyRecoverInit",
    "C_MessageEncryptInit",
    "C_MessageDecryptInit",
    "C_MessageSignInit",
    "C_MessageVerifyInit",
    "C_VerifySignatureInit",
    "C_WrapKey",
    "C_UnwrapKey",
    "C_DeriveKey",
    "C_EncapsulateKey",
    "C_DecapsulateKey",
    "C_WrapKeyAuthenticated",
    "C_UnwrapKeyAuthenticated",
    "C_GenerateKey",
    "C_CreateObject",
    "C_CopyObject",
    "C_GetOperationState",
    "C_SetOperationState",
];

/// The functions that templates go to; some more often than others.
pub const ABOUT_OBJECTS: [&str; 14] = [
    "C_CreateObject",
    "C_CopyObject",
    "C_SetAttributeValue",
    "C_GetAttributeValue",
    "C_GetObjectSize",
    "C_DestroyObject",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_GenerateKey",
    "C_GenerateKeyPair",
    "C_DeriveKey",
    "C_CreateObject",
    "C_SetAttributeValue",
];

/// More than any sequence of interest; inputs are as long as they are.
const MOST_CALLS: usize = 40;

impl Application<'_> {
    /// Calls until the input ends.
    pub fn run(&mut self, b: &mut Bytes<'_>) {
        let mut last: Option<usize> = None;
        for _ in 0..MOST_CALLS {
            if b.is_empty() {
                return;
            }
            let at = match last {
                // What began mostly goes on: with a function that stands behind it in the lists.
                Some(last) if !b.once_in(4) => (last + 1 + b.below(4)).min(SIGNATURES.len() - 1),
                _ if b.once_in(2) => place(b.one_of(&BEGINNINGS)),
                _ => b.below(SIGNATURES.len()),
            };
            // What ends all is no news most of the time.
            if !ENDS.contains(&SIGNATURES[at].0) || b.once_in(8) {
                let rv = self.call(b, at);
                last = (rv == CKR_OK && SIGNATURES[at].0.ends_with("Init")).then_some(at).or(last);
                if rv != CKR_OK && b.once_in(4) {
                    last = None;
                }
            }
        }
    }

    /// The functions of these names only.
    pub fn run_some(&mut self, b: &mut Bytes<'_>, names: &[&str]) {
        for _ in 0..MOST_CALLS {
            if b.is_empty() {
                return;
            }
            let at = place(b.one_of(names));
            self.call(b, at);
        }
    }

    fn call(&mut self, b: &mut Bytes<'_>, at: usize) -> CK_RV {
        let (name, signature) = SIGNATURES[at];
        let mut memory = Memory::new();
        let mut answers = Answers::default();
        let mut words = Vec::new();
        for letter in signature.chars() {
            self.argument(b, (name, letter), &mut memory, &mut answers, &mut words);
        }
        let rv = call_words(self.list, at, &words);
        (self.judge)(name, rv);
        if rv == CKR_OK {
            self.learn(&answers);
        }
        rv
    }

    fn learn(&mut self, answers: &Answers) {
        let told = |places: &[usize]| -> Vec<u64> {
            places.iter().filter(|place| **place != 0).map(|place| memory::number(*place)).collect()
        };
        self.handles.extend(told(&answers.objects));
        self.sessions.extend(told(&answers.sessions));
        for (start, room, len) in &answers.buffers {
            let len = memory::number(*len) as usize;
            if *start != 0 && len <= *room {
                self.pool.push(memory::read(*start, len));
            }
        }
        if self.pool.len() > 16 {
            self.pool.remove(0);
        }
    }

    fn argument(
        &self,
        b: &mut Bytes<'_>,
        (name, letter): (&str, char),
        memory: &mut Memory,
        answers: &mut Answers,
        words: &mut Vec<usize>,
    ) {
        let mut caller = Caller {
            b,
            memory,
            handles: &self.handles,
            pool: &self.pool,
            made: Vec::new(),
            fitting: answers.fitting,
        };
        let pair = |(start, len): (usize, u64)| vec![start, len as usize];
        let added = match letter {
            's' if caller.b.once_in(32) => vec![caller.b.number() as usize],
            's' => vec![match self.sessions.as_slice() {
                [] => 0,
                // The one that is logged in, most of the time.
                [first, ..] if !caller.b.once_in(8) => *first as usize,
                sessions => caller.b.one_of(sessions) as usize,
            }],
            'i' => vec![caller.b.one_of(&[0, 0, 0, 0, 1, 2, 3, 4, usize::MAX])],
            'h' => vec![caller.handle() as usize],
            'u' => vec![caller.b.one_of(&[1, 0, 2, 3, usize::MAX])],
            'q' => vec![caller.b.one_of(&[CKM_ECDSA, CKM_AES_GCM, CKM_SHA256, 0, 77]) as usize],
            'n' => {
                let flag = 1_usize << (caller.b.u8() % 32);
                vec![if caller.b.once_in(2) { flag } else { caller.b.number() as usize }]
            }
            'm' => vec![caller.mechanism(name, Purpose::Operation)],
            'x' => vec![caller.mechanism(name, Purpose::Wrapping)],
            'y' => vec![caller.mechanism(name, Purpose::AuthenticatedWrapping)],
            'g' => vec![caller.mechanism(name, Purpose::Messages)],
            'M' => pair(caller.message_parameter()),
            't' => {
                let entries = template::any(caller.b, &self.pool);
                let (start, count) = template::place(caller.memory, &entries);
                match caller.b.u8() {
                    0 => vec![0, 0],
                    1 => vec![0, caller.b.number() as usize],
                    2 => vec![start, usize::MAX >> (caller.b.u8() % 5)],
                    _ => vec![start, count],
                }
            }
            'T' => {
                let entries = template::questions(caller.b);
                let (start, count) = template::place(caller.memory, &entries);
                vec![start, count]
            }
            'd' => pair(caller.data()),
            'o' => {
                let room =
                    caller.b.one_of(&[600, 600, 600, 0, 1, 15, 16, 32, 64, 71, 72, 256, 5000]);
                let (start, len) = match caller.b.u8() {
                    0..=31 => (0, caller.memory.value(caller.b.number())),
                    32..=35 => (caller.memory.zeros(room), 0),
                    _ => (caller.memory.zeros(room), caller.memory.value(room as u64)),
                };
                if len != 0 {
                    answers.buffers.push((start, room, len));
                }
                vec![start, len]
            }
            'w' => match caller.b.u8() {
                0 => vec![0, caller.b.number() as usize],
                1 => vec![0, 0],
                _ => {
                    let len = caller.b.one_of(&[16, 0, 1, 64, 65, 300, 5000]);
                    vec![caller.memory.zeros(len), len]
                }
            },
            'H' | 'S' | 'O' => {
                let place = if caller.b.once_in(32) { 0 } else { caller.memory.zeros(8) };
                match letter {
                    'H' => answers.objects.push(place),
                    'S' => answers.sessions.push(place),
                    _ => {}
                }
                vec![place]
            }
            'c' | 'j' => {
                let size = if letter == 'c' { 8 } else { size_of::<CK_INTERFACE>() };
                let count = caller.b.below(300);
                match caller.b.u8() % 8 {
                    0 => vec![0, caller.memory.value(caller.b.number())],
                    1 => vec![caller.memory.zeros(count * size), 0],
                    _ => {
                        let start = caller.memory.zeros(count * size);
                        vec![start, caller.memory.value(count as u64)]
                    }
                }
            }
            'F' => {
                let count = caller.b.below(40);
                let start = if caller.b.once_in(16) { 0 } else { caller.memory.zeros(count * 8) };
                let told = if caller.b.once_in(16) { 0 } else { caller.memory.zeros(8) };
                vec![start, count, told]
            }
            // No structure of PKCS#11 is as long.
            'I' => vec![if caller.b.once_in(16) { 0 } else { caller.memory.zeros(256) }],
            'a' => vec![if caller.b.once_in(4) {
                let mut arguments =
                    CK_C_INITIALIZE_ARGS { flags: caller.b.number(), ..Default::default() };
                if caller.b.once_in(4) {
                    arguments.pReserved = std::ptr::with_exposed_provenance_mut(1);
                }
                caller.memory.value(arguments)
            } else {
                0
            }],
            'k' => vec![match caller.b.u8() % 4 {
                0 => 0,
                1 => caller.memory.copy(b"PKCS 11\0"),
                _ => {
                    let len = caller.b.below(12);
                    let name = [caller.b.take(len), &[0]].concat();
                    caller.memory.copy(&name)
                }
            }],
            'l' => vec![caller.memory.zeros(32)],
            'v' => vec![if caller.b.once_in(2) {
                0
            } else {
                let version = [caller.b.u8() % 4, caller.b.u8() % 4];
                caller.memory.copy(&version)
            }],
            'z' => vec![usize::from(caller.b.once_in(16))],
            '0' => vec![0],
            other => unreachable!("no argument is called {other}"),
        };
        answers.fitting = caller.fitting;
        answers.objects.append(&mut caller.made);
        words.extend(added);
    }
}

/// The words of a function's arguments, by its row.
#[cfg(test)]
pub fn words(at: usize) -> (&'static str, usize) {
    let (name, signature) = SIGNATURES[at];
    let wide = |letter: char| match letter {
        'M' | 't' | 'T' | 'd' | 'o' | 'w' | 'c' | 'j' => 2,
        'F' => 3,
        _ => 1,
    };
    (name, signature.chars().map(wide).sum())
}
