//! Calls that are the same each time: what an application does with a token.

use cryptoki_sys::*;

use super::calls;
use super::common::return_values::name;
use super::memory::{self, Memory};
use super::module;

pub const PIN: &[u8] = b"1234-user";
pub const SO_PIN: &[u8] = b"5678-officer";

/// Calls a function by its name.
pub fn raw(list: &CK_FUNCTION_LIST_3_2, function: &str, words: &[usize]) -> CK_RV {
    let rv = calls::call_words(list, calls::place(function), words);
    module::no_bug(function, rv);
    rv
}

/// The same, where nothing can be wrong.
pub fn must(list: &CK_FUNCTION_LIST_3_2, function: &str, words: &[usize]) {
    let rv = raw(list, function, words);
    if rv != CKR_OK {
        module::fail(&format!("{function}: {}", name(rv)));
    }
}

/// A read/write session in the owner's slot.
pub fn open(list: &CK_FUNCTION_LIST_3_2) -> Result<usize, CK_RV> {
    let mut memory = Memory::new();
    let place = memory.zeros(8);
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    match raw(list, "C_OpenSession", &[0, flags as usize, 0, 0, place]) {
        CKR_OK => Ok(memory::number(place) as usize),
        rv => Err(rv),
    }
}

pub fn log_in(list: &CK_FUNCTION_LIST_3_2, session: usize) {
    let mut memory = Memory::new();
    must(list, "C_Login", &[session, 1, memory.copy(PIN), PIN.len()]);
}

/// All objects.
pub fn find(list: &CK_FUNCTION_LIST_3_2, session: usize) -> Vec<CK_OBJECT_HANDLE> {
    let mut memory = Memory::new();
    let (found, count) = (memory.zeros(64 * 8), memory.zeros(8));
    if raw(list, "C_FindObjectsInit", &[session, 0, 0]) != CKR_OK {
        return Vec::new();
    }
    let rv = raw(list, "C_FindObjects", &[session, found, 64, count]);
    raw(list, "C_FindObjectsFinal", &[session]);
    if rv != CKR_OK {
        return Vec::new();
    }
    (0..memory::number(count)).map(|at| memory::number(found + at as usize * 8)).collect()
}

/// An application's calls. None of them needs to succeed.
pub struct Script<'a> {
    list: &'a CK_FUNCTION_LIST_3_2,
    session: usize,
    handles: Vec<CK_OBJECT_HANDLE>,
    memory: Memory,
}

/// One thing that an application does.
pub type Step = fn(&mut Script<'_>);

pub const STEPS: &[Step] = &[
    |script| script.look(),
    |script| script.search(),
    |script| script.sign(),
    |script| script.encrypt(),
    |script| script.decrypt(),
    |script| script.read(),
    |script| script.create(),
    |script| script.generate(),
    |script| script.generate_pair(),
    |script| script.derive(),
    |script| script.wrap(),
    |script| script.digest_and_random(),
    |script| script.change(),
    |script| script.pins(),
    |script| script.again(),
];

impl<'a> Script<'a> {
    /// `C_Initialize`, a session, the user's login.
    pub fn begin(list: &'a CK_FUNCTION_LIST_3_2) -> Self {
        raw(list, "C_Initialize", &[0]);
        let mut script = Self {
            list,
            session: open(list).unwrap_or(0),
            handles: Vec::new(),
            memory: Memory::new(),
        };
        script.login(1, PIN);
        script.search();
        script
    }

    pub fn finish(self) {
        raw(self.list, "C_Finalize", &[0]);
    }

    fn call(&mut self, function: &str, words: &[usize]) -> CK_RV {
        raw(self.list, function, words)
    }

    fn login(&mut self, user: usize, pin: &[u8]) {
        let place = self.memory.copy(pin);
        self.call("C_Login", &[self.session, user, place, pin.len()]);
    }

    fn mechanism(&mut self, mechanism: CK_MECHANISM_TYPE) -> usize {
        let parameter = match mechanism {
            CKM_AES_CBC_PAD => self.memory.zeros(16),
            CKM_CONCATENATE_DATA_AND_BASE => {
                let data = self.memory.zeros(4);
                let pData = std::ptr::with_exposed_provenance_mut(data);
                self.memory.value(CK_KEY_DERIVATION_STRING_DATA { pData, ulLen: 4 })
            }
            _ => 0,
        };
        self.memory.value(CK_MECHANISM {
            mechanism,
            pParameter: std::ptr::with_exposed_provenance_mut(parameter),
            ulParameterLen: if parameter == 0 { 0 } else { 16 },
        })
    }

    fn template(&mut self, entries: &[(CK_ATTRIBUTE_TYPE, &[u8])]) -> usize {
        let raw: Vec<CK_ATTRIBUTE> = entries
            .iter()
            .map(|(kind, value)| CK_ATTRIBUTE {
                type_: *kind,
                pValue: std::ptr::with_exposed_provenance_mut(self.memory.copy(value)),
                ulValueLen: value.len() as CK_ULONG,
            })
            .collect();
        self.memory.array(&raw)
    }

    /// A function with input and output.
    fn through(&mut self, function: &str, input: &[u8]) {
        let (start, out) = (self.memory.copy(input), self.memory.zeros(1024));
        let len = self.memory.value(1024_u64);
        self.call(function, &[self.session, start, input.len(), out, len]);
    }

    fn with_each(
        &mut self,
        begin: &str,
        go_on: &str,
        input: &[u8],
        mechanisms: &[CK_MECHANISM_TYPE],
    ) {
        for handle in self.handles.clone() {
            for mechanism in mechanisms {
                let mechanism = self.mechanism(*mechanism);
                if self.call(begin, &[self.session, mechanism, handle as usize]) == CKR_OK {
                    self.through(go_on, input);
                    break;
                }
            }
        }
    }

    fn look(&mut self) {
        let (info, list) = (self.memory.zeros(256), self.memory.zeros(512 * 8));
        for slot in 0..4 {
            self.call("C_GetSlotInfo", &[slot, info]);
            self.call("C_GetTokenInfo", &[slot, info]);
            let count = self.memory.value(512_u64);
            self.call("C_GetMechanismList", &[slot, list, count]);
        }
        self.call("C_GetMechanismInfo", &[0, CKM_ECDSA as usize, info]);
        self.call("C_GetSessionInfo", &[self.session, info]);
        let count = self.memory.value(4_u64);
        self.call("C_GetSlotList", &[1, list, count]);
    }

    fn search(&mut self) {
        self.handles = find(self.list, self.session);
    }

    fn sign(&mut self) {
        let mechanisms = [CKM_ECDSA, CKM_RSA_PKCS, CKM_SHA256_HMAC, CKM_AES_CMAC];
        self.with_each("C_SignInit", "C_Sign", &[7; 32], &mechanisms);
    }

    fn encrypt(&mut self) {
        self.with_each("C_EncryptInit", "C_Encrypt", &[7; 40], &[CKM_AES_CBC_PAD, CKM_RSA_PKCS]);
    }

    fn decrypt(&mut self) {
        self.with_each("C_DecryptInit", "C_Decrypt", &[7; 48], &[CKM_AES_CBC_PAD]);
        self.with_each("C_DecryptInit", "C_Decrypt", &[7; 256], &[CKM_RSA_PKCS]);
    }

    fn read(&mut self) {
        let room = [0; 300];
        let kinds = [
            CKA_LABEL,
            CKA_VALUE,
            CKA_EXTRACTABLE,
            CKA_MODULUS,
            CKA_PRIME_1,
            CKA_EC_POINT,
            CKA_CHECK_VALUE,
        ];
        for handle in self.handles.clone() {
            let template = self.template(&kinds.map(|kind| (kind, &room[..])));
            self.call(
                "C_GetAttributeValue",
                &[self.session, handle as usize, template, kinds.len()],
            );
            let size = self.memory.zeros(8);
            self.call("C_GetObjectSize", &[self.session, handle as usize, size]);
        }
    }

    fn create(&mut self) {
        for object in super::template::objects() {
            let (template, count) = super::template::place(&mut self.memory, &object);
            let handle = self.memory.zeros(8);
            self.call("C_CreateObject", &[self.session, template, count, handle]);
        }
        let template =
            self.template(&[(CKA_TOKEN, &[1]), (CKA_LABEL, b"made"), (CKA_CLASS, &[0; 8])]);
        let handle = self.memory.zeros(8);
        self.call("C_CreateObject", &[self.session, template, 3, handle]);
    }

    fn generate(&mut self) {
        for token in [0, 1] {
            let template =
                self.template(&[(CKA_TOKEN, &[token]), (CKA_VALUE_LEN, &16_u64.to_ne_bytes())]);
            for kind in [CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN] {
                let (mechanism, handle) = (self.mechanism(kind), self.memory.zeros(8));
                self.call("C_GenerateKey", &[self.session, mechanism, template, 2, handle]);
            }
        }
    }

    fn generate_pair(&mut self) {
        let mechanism = self.mechanism(CKM_EC_KEY_PAIR_GEN);
        let public = self.template(&[(CKA_EC_PARAMS, super::template::P256)]);
        let private = self.template(&[(CKA_SIGN, &[1]), (CKA_TOKEN, &[1])]);
        let (one, other) = (self.memory.zeros(8), self.memory.zeros(8));
        self.call(
            "C_GenerateKeyPair",
            &[self.session, mechanism, public, 1, private, 2, one, other],
        );
    }

    fn derive(&mut self) {
        let mechanism = self.mechanism(CKM_CONCATENATE_DATA_AND_BASE);
        let template = self.template(&[(CKA_CLASS, &CKO_SECRET_KEY.to_ne_bytes())]);
        for handle in self.handles.clone() {
            let new = self.memory.zeros(8);
            self.call("C_DeriveKey", &[self.session, mechanism, handle as usize, template, 1, new]);
        }
    }

    fn wrap(&mut self) {
        let mechanism = self.mechanism(CKM_AES_KEY_WRAP_KWP);
        let template = self.template(&[
            (CKA_CLASS, &CKO_SECRET_KEY.to_ne_bytes()),
            (CKA_KEY_TYPE, &CKK_GENERIC_SECRET.to_ne_bytes()),
        ]);
        for by in self.handles.clone() {
            for key in self.handles.clone() {
                let (out, len) = (self.memory.zeros(2048), self.memory.value(2048_u64));
                let (by, key) = (by as usize, key as usize);
                let words = [self.session, mechanism, by, key, out, len];
                if self.call("C_WrapKey", &words) == CKR_OK {
                    let (len, new) = (memory::number(len) as usize, self.memory.zeros(8));
                    let words = [self.session, mechanism, by, out, len, template, 2, new];
                    self.call("C_UnwrapKey", &words);
                }
            }
        }
    }

    fn digest_and_random(&mut self) {
        let mechanism = self.mechanism(CKM_SHA256);
        self.call("C_DigestInit", &[self.session, mechanism]);
        for handle in self.handles.clone() {
            self.call("C_DigestKey", &[self.session, handle as usize]);
        }
        let out = self.memory.zeros(100);
        self.call("C_GenerateRandom", &[self.session, out, 100]);
        self.call("C_SeedRandom", &[self.session, out, 100]);
    }

    fn change(&mut self) {
        let template = self.template(&[(CKA_LABEL, b"another"), (CKA_ID, b"another")]);
        for handle in self.handles.clone() {
            let handle = handle as usize;
            self.call("C_SetAttributeValue", &[self.session, handle, template, 2]);
            let new = self.memory.zeros(8);
            if self.call("C_CopyObject", &[self.session, handle, template, 2, new]) == CKR_OK {
                self.call("C_DestroyObject", &[self.session, memory::number(new) as usize]);
            }
        }
        if let Some(handle) = self.handles.pop() {
            self.call("C_DestroyObject", &[self.session, handle as usize]);
        }
    }

    fn pins(&mut self) {
        let (old, new) = (self.memory.copy(PIN), self.memory.copy(b"another"));
        self.call("C_SetPIN", &[self.session, old, PIN.len(), new, 7]);
        self.call("C_SetPIN", &[self.session, new, 7, old, PIN.len()]);
        self.call("C_Logout", &[self.session]);
        self.login(0, SO_PIN);
        self.call("C_InitPIN", &[self.session, old, PIN.len()]);
        self.call("C_Logout", &[self.session]);
        self.login(1, PIN);
    }

    fn again(&mut self) {
        raw(self.list, "C_Finalize", &[0]);
        raw(self.list, "C_Initialize", &[0]);
        self.session = open(self.list).unwrap_or(0);
        self.login(1, PIN);
        self.search();
    }
}
