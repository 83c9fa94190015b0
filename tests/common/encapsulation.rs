//! C_EncapsulateKey and C_DecapsulateKey with Rust's manners.

// Every block here calls the C ABI with pointers to values that outlive the call.
#![allow(dead_code, clippy::undocumented_unsafe_blocks)]

use cryptoki_sys::*;

use super::p11::*;

/// One call into `room` bytes; `None` asks for the length. Gives rv, length and handle.
pub fn encapsulate_raw(
    p: &P11,
    session: CK_SESSION_HANDLE,
    mut mech: Mech,
    key: CK_OBJECT_HANDLE,
    template: &[Attr],
    out: Option<&mut [u8]>,
) -> (CK_RV, usize, CK_OBJECT_HANDLE) {
    let mut template = raw(template);
    let mut made = 0xdead;
    let (rv, len) = into_room(out, |buffer, len| unsafe {
        p.list.C_EncapsulateKey.unwrap()(
            session,
            &mut mech.raw(),
            key,
            template.as_mut_ptr(),
            template.len() as CK_ULONG,
            buffer,
            len,
            &mut made,
        )
    });
    (rv, len, made)
}

pub fn encapsulate(
    p: &P11,
    session: CK_SESSION_HANDLE,
    mech: Mech,
    key: CK_OBJECT_HANDLE,
    template: &[Attr],
) -> Rv<(Vec<u8>, CK_OBJECT_HANDLE)> {
    let mut out = vec![0; 512];
    let (rv, len, made) = encapsulate_raw(p, session, mech, key, template, Some(&mut out));
    out.truncate(len);
    if rv == CKR_OK { Ok((out, made)) } else { Err(rv) }
}

pub fn decapsulate(
    p: &P11,
    session: CK_SESSION_HANDLE,
    mut mech: Mech,
    key: CK_OBJECT_HANDLE,
    ciphertext: &[u8],
    template: &[Attr],
) -> Rv<CK_OBJECT_HANDLE> {
    let mut template = raw(template);
    let mut made = 0;
    let rv = unsafe {
        p.list.C_DecapsulateKey.unwrap()(
            session,
            &mut mech.raw(),
            key,
            template.as_mut_ptr(),
            template.len() as CK_ULONG,
            ciphertext.as_ptr().cast_mut(),
            ciphertext.len() as CK_ULONG,
            &mut made,
        )
    };
    if rv == CKR_OK { Ok(made) } else { Err(rv) }
}
