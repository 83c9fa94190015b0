//! What MACs come to: HMAC with SHA-256 and CMAC with AES, whole or shortened.

use aes::Aes128;
use aes::cipher::{BlockEncrypt, KeyInit};
use cryptoki_sys::*;
use hmac::Mac;

use super::mechanism::{Mechanism, Parameter};
use super::state::{Model, Operation};

const BLOCK: usize = 16;

/// The mechanisms that are MACs here.
pub const MACS: [CK_MECHANISM_TYPE; 4] =
    [CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL, CKM_AES_CMAC, CKM_AES_CMAC_GENERAL];

impl Mechanism {
    /// The MAC of `data`, if the mechanism makes one.
    pub fn mac(self, key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
        let mut whole = match self.ckm {
            CKM_SHA256_HMAC | CKM_SHA256_HMAC_GENERAL => hmac(key, data),
            CKM_AES_CMAC | CKM_AES_CMAC_GENERAL => cmac(key, data),
            _ => return None,
        };
        if let Parameter::MacLen(len) = self.parameter {
            whole.truncate(len as usize);
        }
        Some(whole)
    }
}

impl Model {
    /// The MAC of `data` that an operation makes, if it is about one.
    pub(super) fn mac(&self, operation: &Operation, data: &[u8]) -> Option<Vec<u8>> {
        let key = self.secrets.get(&self.pair_of(operation)?)?;
        operation.mechanism.mac(key, data)
    }
}

pub fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = <hmac::Hmac<sha2::Sha256> as Mac>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// NIST SP 800-38B: the last block is masked with one of two subkeys, by whether it is whole.
fn cmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let aes = Aes128::new_from_slice(key).unwrap();
    let encrypt = |block: u128| {
        let mut block = block.to_be_bytes().into();
        aes.encrypt_block(&mut block);
        u128::from_be_bytes(block.into())
    };
    let double = |x: u128| (x << 1) ^ if x >> 127 == 1 { 0x87 } else { 0 };
    let mut blocks = data.chunks(BLOCK).collect::<Vec<_>>();
    let last = blocks.pop().unwrap_or_default();
    let whole = last.len() == BLOCK;
    let mut padded = [0; BLOCK];
    padded[..last.len()].copy_from_slice(last);
    if !whole {
        padded[last.len()] = 0x80;
    }
    let subkey = double(encrypt(0));
    let last = u128::from_be_bytes(padded) ^ if whole { subkey } else { double(subkey) };
    let chained = blocks.into_iter().fold(0, |chain, block| {
        encrypt(chain ^ u128::from_be_bytes(block.try_into().expect("all but the last are whole")))
    });
    encrypt(chained ^ last).to_be_bytes().to_vec()
}
