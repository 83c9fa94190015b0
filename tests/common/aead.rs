//! GCM and CCM: parameters, and other implementations of both.

// The blocks that are not safe call the C ABI with pointers to values that outlive the call.
#![allow(dead_code, clippy::undocumented_unsafe_blocks)]

use aes::cipher::consts::*;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use cryptoki_sys::*;

use super::p11::{Mech, Op, P11, Rv};

pub fn hex(text: &str) -> Vec<u8> {
    if text == "-" { Vec::new() } else { hex::decode(text).unwrap() }
}

/// The cases of a file of vectors: key, nonce, associated data, plaintext, ciphertext, tag.
pub fn cases(file: &str) -> Vec<[Vec<u8>; 6]> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<Vec<u8>> = line.split(' ').map(hex).collect();
            fields.try_into().unwrap()
        })
        .collect()
}

/// Memory that is never freed: a parameter's structure points to it.
pub fn kept(bytes: &[u8]) -> *mut u8 {
    bytes.to_vec().leak().as_mut_ptr()
}

/// The bytes of a C structure.
pub fn structure<T: Copy>(given: T) -> Vec<u8> {
    let at = (&raw const given).cast::<u8>();
    unsafe { std::slice::from_raw_parts(at, size_of::<T>()) }.to_vec()
}

pub fn gcm_structure(nonce: &[u8], aad: &[u8], tag_bits: usize) -> CK_GCM_PARAMS {
    CK_GCM_PARAMS {
        pIv: kept(nonce),
        ulIvLen: nonce.len() as CK_ULONG,
        ulIvBits: 0,
        pAAD: kept(aad),
        ulAADLen: aad.len() as CK_ULONG,
        ulTagBits: tag_bits as CK_ULONG,
    }
}

/// `CKM_AES_GCM` for one operation.
pub fn gcm(nonce: &[u8], aad: &[u8], tag_bits: usize) -> Mech {
    Mech::bytes(CKM_AES_GCM, &structure(gcm_structure(nonce, aad, tag_bits)))
}

/// `CKM_AES_GMAC`.
pub fn gmac(nonce: &[u8], tag_bits: usize) -> Mech {
    Mech::bytes(CKM_AES_GMAC, &structure(gcm_structure(nonce, &[], tag_bits)))
}

/// `CKM_AES_CCM` for one operation on `len` bytes.
pub fn ccm(len: usize, nonce: &[u8], aad: &[u8], tag_len: usize) -> Mech {
    let given = CK_CCM_PARAMS {
        ulDataLen: len as CK_ULONG,
        pNonce: kept(nonce),
        ulNonceLen: nonce.len() as CK_ULONG,
        pAAD: kept(aad),
        ulAADLen: aad.len() as CK_ULONG,
        ulMACLen: tag_len as CK_ULONG,
    };
    Mech::bytes(CKM_AES_CCM, &structure(given))
}

impl P11 {
    /// The one-shot call by the two-call convention, whatever the length. Gives the output, which
    /// has the length that was asked for.
    pub fn two_calls(
        &self,
        op: Op,
        session: CK_SESSION_HANDLE,
        mech: Mech,
        key: CK_OBJECT_HANDLE,
        data: &[u8],
    ) -> Rv<Vec<u8>> {
        self.init(op, session, mech, key)?;
        let (rv, needed) = self.one_shot_raw(op, session, data, None);
        if rv != CKR_OK {
            return Err(rv);
        }
        let mut out = vec![0; needed];
        let (rv, len) = self.one_shot_raw(op, session, data, Some(&mut out));
        if rv != CKR_OK {
            assert!(out.iter().all(|byte| *byte == 0), "nothing is released with an error");
            return Err(rv);
        }
        assert_eq!(len, needed, "the length is known");
        Ok(out)
    }
}

/// Another implementation of GCM: ciphertext and whole tag.
pub fn other_gcm(key: &[u8], nonce: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    fn run<C: Aead + KeyInit>(key: &[u8], nonce: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let cipher = C::new_from_slice(key).unwrap();
        cipher.encrypt(nonce.into(), Payload { msg: plain, aad }).unwrap()
    }
    type Gcm<C, N> = aes_gcm::AesGcm<C, N>;
    match (key.len(), nonce.len()) {
        (16, 12) => run::<Gcm<aes::Aes128, U12>>(key, nonce, aad, plain),
        (24, 12) => run::<Gcm<aes::Aes192, U12>>(key, nonce, aad, plain),
        (32, 12) => run::<Gcm<aes::Aes256, U12>>(key, nonce, aad, plain),
        (16, 1) => run::<Gcm<aes::Aes128, U1>>(key, nonce, aad, plain),
        (16, 8) => run::<Gcm<aes::Aes128, U8>>(key, nonce, aad, plain),
        (16, 16) => run::<Gcm<aes::Aes128, U16>>(key, nonce, aad, plain),
        (16, 60) => run::<Gcm<aes::Aes128, U60>>(key, nonce, aad, plain),
        (16, 128) => run::<Gcm<aes::Aes128, U128>>(key, nonce, aad, plain),
        lens => panic!("no other GCM for {lens:?}"),
    }
}

/// Another implementation of CCM: ciphertext and tag.
pub fn other_ccm(key: &[u8], nonce: &[u8], aad: &[u8], plain: &[u8], tag_len: usize) -> Vec<u8> {
    use ccm::aead::{Aead, KeyInit, Payload};
    macro_rules! lens {
        ($($tag:literal $nonce:literal $key:literal: $c:ident $m:ident $n:ident,)*) => {
            match (tag_len, nonce.len(), key.len()) {
                $(($tag, $nonce, $key) => {
                    let cipher = ccm::Ccm::<aes::$c, $m, $n>::new_from_slice(key).unwrap();
                    cipher.encrypt(nonce.into(), Payload { msg: plain, aad }).unwrap()
                })*
                lens => panic!("no other CCM for {lens:?}"),
            }
        };
    }
    lens! {
        4 7 16: Aes128 U4 U7, 6 8 16: Aes128 U6 U8, 8 9 16: Aes128 U8 U9, 10 10 16: Aes128 U10 U10,
        12 11 16: Aes128 U12 U11, 14 12 16: Aes128 U14 U12, 16 13 16: Aes128 U16 U13,
        16 12 16: Aes128 U16 U12, 16 12 24: Aes192 U16 U12, 16 12 32: Aes256 U16 U12, 8 13 32: Aes256 U8 U13,
    }
}
