//! The module through its C ABI, with Rust's manners: every call is `Result<T, CK_RV>`.

#![allow(dead_code)]
// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(clippy::undocumented_unsafe_blocks)]

use std::path::PathBuf;
use std::ptr;

use cryptoki_sys::*;

pub use super::argument::*;
pub use super::operation::Op;
use super::return_values::checked;

pub type Rv<T> = Result<T, CK_RV>;

pub(super) fn ok(rv: CK_RV) -> Rv<()> {
    if rv == CKR_OK { Ok(()) } else { Err(rv) }
}

/// A call that gives output, into this much room; `None` asks for the length. Gives rv and length.
pub fn into_room(
    out: Option<&mut [u8]>,
    call: impl FnOnce(*mut CK_BYTE, &mut CK_ULONG) -> CK_RV,
) -> (CK_RV, usize) {
    let (buffer, mut len) = match out {
        Some(out) => (out.as_mut_ptr(), out.len() as CK_ULONG),
        None => (ptr::null_mut(), 0),
    };
    let rv = call(buffer, &mut len);
    (rv, len as usize)
}

/// The module that cargo built for this test executable: beside it, in target/*/deps.
pub fn module_path() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let beside = executable.parent().unwrap().join("libhierarkey.so");
    assert!(beside.exists(), "{} is missing", beside.display());
    beside
}

/// The loaded module.
pub struct P11 {
    /// Each function of it ends the process when it returns what it does not have.
    pub list: &'static CK_FUNCTION_LIST_3_2,
    _library: &'static libloading::Library,
}

impl P11 {
    /// Loads the module and leaves it loaded; does not initialise it.
    pub fn load() -> Self {
        let library = unsafe { libloading::Library::new(module_path()) }.unwrap();
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        unsafe {
            let get: libloading::Symbol<
                unsafe extern "C" fn(
                    *mut CK_UTF8CHAR,
                    *mut CK_VERSION,
                    *mut *mut CK_INTERFACE,
                    CK_FLAGS,
                ) -> CK_RV,
            > = library.get(b"C_GetInterface\0").unwrap();
            let mut interface = ptr::null_mut();
            let rv = get(ptr::null_mut(), ptr::null_mut(), &mut interface, 0);
            assert_eq!(rv, CKR_OK);
            let list = (*interface).pFunctionList.cast::<CK_FUNCTION_LIST_3_2>();
            assert_eq!((*list).version.minor, 2);
            Self { list: checked(&*list), _library: library }
        }
    }

    /// Loads another module, which may have the 2.40 list only: the rest of the list is then empty.
    pub fn load_other(path: &str) -> Self {
        let library = unsafe { libloading::Library::new(path) }.unwrap();
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        unsafe {
            let get: libloading::Symbol<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV> =
                library.get(b"C_GetFunctionList\0").unwrap();
            let mut list = ptr::null_mut();
            assert_eq!(get(&mut list), CKR_OK);
            // The later lists begin as the first one does.
            let whole: &mut CK_FUNCTION_LIST_3_2 = Box::leak(Box::new(std::mem::zeroed()));
            ptr::from_mut(whole).cast::<CK_FUNCTION_LIST>().copy_from_nonoverlapping(list, 1);
            Self { list: whole, _library: library }
        }
    }

    /// Unloads what `load` loaded.
    pub fn unload(self) {
        let Self { list, _library: library } = self;
        // SAFETY: both were leaked by `load`, and nobody else has them.
        unsafe {
            drop(Box::from_raw(ptr::from_ref(list).cast_mut()));
            Box::from_raw(ptr::from_ref(library).cast_mut()).close().unwrap();
        }
    }

    /// Loads and initialises it.
    pub fn start() -> Self {
        let p11 = Self::load();
        p11.initialize().unwrap();
        p11
    }

    pub fn initialize(&self) -> Rv<()> {
        ok(unsafe { self.list.C_Initialize.unwrap()(ptr::null_mut()) })
    }

    pub fn finalize(&self) -> Rv<()> {
        ok(unsafe { self.list.C_Finalize.unwrap()(ptr::null_mut()) })
    }

    pub fn slots(&self, present: bool) -> Rv<Vec<CK_SLOT_ID>> {
        let call = self.list.C_GetSlotList.unwrap();
        let mut count = 0;
        ok(unsafe { call(present.into(), ptr::null_mut(), &mut count) })?;
        let mut slots = vec![0; count as usize];
        ok(unsafe { call(present.into(), slots.as_mut_ptr(), &mut count) })?;
        slots.truncate(count as usize);
        Ok(slots)
    }

    pub fn slot_info(&self, slot: CK_SLOT_ID) -> Rv<CK_SLOT_INFO> {
        let mut info = CK_SLOT_INFO::default();
        ok(unsafe { self.list.C_GetSlotInfo.unwrap()(slot, &mut info) }).map(|()| info)
    }

    pub fn token_info(&self, slot: CK_SLOT_ID) -> Rv<CK_TOKEN_INFO> {
        let mut info = CK_TOKEN_INFO::default();
        ok(unsafe { self.list.C_GetTokenInfo.unwrap()(slot, &mut info) }).map(|()| info)
    }

    pub fn mechanisms(&self, slot: CK_SLOT_ID) -> Rv<Vec<CK_MECHANISM_TYPE>> {
        let call = self.list.C_GetMechanismList.unwrap();
        let mut count = 0;
        ok(unsafe { call(slot, ptr::null_mut(), &mut count) })?;
        let mut list = vec![0; count as usize];
        ok(unsafe { call(slot, list.as_mut_ptr(), &mut count) })?;
        list.truncate(count as usize);
        Ok(list)
    }

    pub fn mechanism_info(
        &self,
        slot: CK_SLOT_ID,
        ckm: CK_MECHANISM_TYPE,
    ) -> Rv<CK_MECHANISM_INFO> {
        let mut info = CK_MECHANISM_INFO::default();
        ok(unsafe { self.list.C_GetMechanismInfo.unwrap()(slot, ckm, &mut info) }).map(|()| info)
    }

    pub fn init_token(&self, slot: CK_SLOT_ID, pin: &[u8], label: &str) -> Rv<()> {
        let mut padded = [b' '; 32];
        padded[..label.len()].copy_from_slice(label.as_bytes());
        ok(unsafe {
            self.list.C_InitToken.unwrap()(
                slot,
                pin.as_ptr().cast_mut(),
                pin.len() as CK_ULONG,
                padded.as_mut_ptr(),
            )
        })
    }

    pub fn open(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Rv<CK_SESSION_HANDLE> {
        let mut handle = 0;
        ok(unsafe {
            self.list.C_OpenSession.unwrap()(slot, flags, ptr::null_mut(), None, &mut handle)
        })
        .map(|()| handle)
    }

    /// A read/write session.
    pub fn rw(&self, slot: CK_SLOT_ID) -> CK_SESSION_HANDLE {
        self.open(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION).unwrap()
    }

    /// A read-only session.
    pub fn ro(&self, slot: CK_SLOT_ID) -> CK_SESSION_HANDLE {
        self.open(slot, CKF_SERIAL_SESSION).unwrap()
    }

    pub fn close(&self, session: CK_SESSION_HANDLE) -> Rv<()> {
        ok(unsafe { self.list.C_CloseSession.unwrap()(session) })
    }

    pub fn close_all(&self, slot: CK_SLOT_ID) -> Rv<()> {
        ok(unsafe { self.list.C_CloseAllSessions.unwrap()(slot) })
    }

    pub fn session_info(&self, session: CK_SESSION_HANDLE) -> Rv<CK_SESSION_INFO> {
        let mut info = CK_SESSION_INFO::default();
        ok(unsafe { self.list.C_GetSessionInfo.unwrap()(session, &mut info) }).map(|()| info)
    }

    pub fn state(&self, session: CK_SESSION_HANDLE) -> CK_STATE {
        self.session_info(session).unwrap().state
    }

    pub fn login(&self, session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: &[u8]) -> Rv<()> {
        ok(unsafe {
            self.list.C_Login.unwrap()(
                session,
                user,
                pin.as_ptr().cast_mut(),
                pin.len() as CK_ULONG,
            )
        })
    }

    pub fn login_user(
        &self,
        session: CK_SESSION_HANDLE,
        user: CK_USER_TYPE,
        pin: &[u8],
        name: &[u8],
    ) -> Rv<()> {
        ok(unsafe {
            self.list.C_LoginUser.unwrap()(
                session,
                user,
                pin.as_ptr().cast_mut(),
                pin.len() as CK_ULONG,
                name.as_ptr().cast_mut(),
                name.len() as CK_ULONG,
            )
        })
    }

    pub fn logout(&self, session: CK_SESSION_HANDLE) -> Rv<()> {
        ok(unsafe { self.list.C_Logout.unwrap()(session) })
    }

    pub fn init_pin(&self, session: CK_SESSION_HANDLE, pin: &[u8]) -> Rv<()> {
        ok(unsafe {
            self.list.C_InitPIN.unwrap()(session, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG)
        })
    }

    pub fn set_pin(&self, session: CK_SESSION_HANDLE, old: &[u8], new: &[u8]) -> Rv<()> {
        ok(unsafe {
            self.list.C_SetPIN.unwrap()(
                session,
                old.as_ptr().cast_mut(),
                old.len() as CK_ULONG,
                new.as_ptr().cast_mut(),
                new.len() as CK_ULONG,
            )
        })
    }

    pub fn create(&self, session: CK_SESSION_HANDLE, template: &[Attr]) -> Rv<CK_OBJECT_HANDLE> {
        let mut raw = raw(template);
        let mut handle = 0;
        ok(unsafe {
            self.list.C_CreateObject.unwrap()(
                session,
                raw.as_mut_ptr(),
                raw.len() as CK_ULONG,
                &mut handle,
            )
        })
        .map(|()| handle)
    }

    pub fn copy(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> Rv<CK_OBJECT_HANDLE> {
        let mut raw = raw(template);
        let mut handle = 0;
        ok(unsafe {
            self.list.C_CopyObject.unwrap()(
                session,
                object,
                raw.as_mut_ptr(),
                raw.len() as CK_ULONG,
                &mut handle,
            )
        })
        .map(|()| handle)
    }

    pub fn destroy(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Rv<()> {
        ok(unsafe { self.list.C_DestroyObject.unwrap()(session, object) })
    }

    pub fn size(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Rv<CK_ULONG> {
        let mut size = 0;
        ok(unsafe { self.list.C_GetObjectSize.unwrap()(session, object, &mut size) }).map(|()| size)
    }

    /// One attribute's value: the length query, then the value.
    pub fn get(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> Rv<Vec<u8>> {
        let call = self.list.C_GetAttributeValue.unwrap();
        let mut entry = CK_ATTRIBUTE { type_: kind, pValue: ptr::null_mut(), ulValueLen: 0 };
        ok(unsafe { call(session, object, &mut entry, 1) })?;
        let mut value = vec![0u8; entry.ulValueLen as usize];
        entry.pValue = value.as_mut_ptr().cast();
        ok(unsafe { call(session, object, &mut entry, 1) })?;
        assert_eq!(entry.ulValueLen as usize, value.len());
        Ok(value)
    }

    pub fn get_bool(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> Rv<bool> {
        self.get(session, object, kind).map(|value| match value[..] {
            [0] => false,
            [1] => true,
            _ => panic!("not a CK_BBOOL: {value:?}"),
        })
    }

    pub fn get_ulong(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> Rv<CK_ULONG> {
        self.get(session, object, kind)
            .map(|value| CK_ULONG::from_ne_bytes(value.try_into().unwrap()))
    }

    pub fn set(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        template: &[Attr],
    ) -> Rv<()> {
        let mut raw = raw(template);
        ok(unsafe {
            self.list.C_SetAttributeValue.unwrap()(
                session,
                object,
                raw.as_mut_ptr(),
                raw.len() as CK_ULONG,
            )
        })
    }

    pub fn find_init(&self, session: CK_SESSION_HANDLE, template: &[Attr]) -> Rv<()> {
        let mut raw = raw(template);
        let entries = if raw.is_empty() { ptr::null_mut() } else { raw.as_mut_ptr() };
        ok(unsafe { self.list.C_FindObjectsInit.unwrap()(session, entries, raw.len() as CK_ULONG) })
    }

    pub fn find_some(&self, session: CK_SESSION_HANDLE, max: usize) -> Rv<Vec<CK_OBJECT_HANDLE>> {
        let mut found = vec![0; max];
        let mut count = 0;
        ok(unsafe {
            self.list.C_FindObjects.unwrap()(
                session,
                found.as_mut_ptr(),
                max as CK_ULONG,
                &mut count,
            )
        })?;
        found.truncate(count as usize);
        Ok(found)
    }

    pub fn find_final(&self, session: CK_SESSION_HANDLE) -> Rv<()> {
        ok(unsafe { self.list.C_FindObjectsFinal.unwrap()(session) })
    }

    /// Everything that matches.
    pub fn find(&self, session: CK_SESSION_HANDLE, template: &[Attr]) -> Vec<CK_OBJECT_HANDLE> {
        self.find_init(session, template).unwrap();
        let mut all = Vec::new();
        loop {
            let some = self.find_some(session, 7).unwrap();
            if some.is_empty() {
                break;
            }
            all.extend(some);
        }
        self.find_final(session).unwrap();
        all
    }

    pub fn generate_pair(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        public: &[Attr],
        private: &[Attr],
    ) -> Rv<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
        let mut mechanism = Mech::plain(mechanism);
        let (mut public, mut private) = (raw(public), raw(private));
        let mut handles = (0, 0);
        ok(unsafe {
            self.list.C_GenerateKeyPair.unwrap()(
                session,
                &mut mechanism.raw(),
                public.as_mut_ptr(),
                public.len() as CK_ULONG,
                private.as_mut_ptr(),
                private.len() as CK_ULONG,
                &mut handles.0,
                &mut handles.1,
            )
        })
        .map(|()| handles)
    }

    pub fn random(&self, session: CK_SESSION_HANDLE, len: usize) -> Rv<Vec<u8>> {
        let mut bytes = vec![0; len];
        ok(unsafe {
            self.list.C_GenerateRandom.unwrap()(session, bytes.as_mut_ptr(), len as CK_ULONG)
        })
        .map(|()| bytes)
    }
}
