//! Mechanisms with their parameters. A structure is the one that belongs to the mechanism in that
//! function, and what it points to is there: more the ABI does not let a caller be wrong about.

use cryptoki_sys::*;

use super::bytes::Bytes;
use super::mechanisms::Shape::{self, *};
use super::mechanisms::{FITTING, MECHANISMS};
use super::memory::Memory;
use super::template;

/// What the function does with the mechanism, where one mechanism has several structures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Operation,
    Wrapping,
    AuthenticatedWrapping,
    Messages,
}

const HASHES: [CK_MECHANISM_TYPE; 8] = [
    CKM_SHA256,
    CKM_SHA_1,
    CKM_SHA384,
    CKM_SHA512,
    CKM_SHA3_256,
    CKM_SHA224,
    CKM_AES_CMAC,
    u64::MAX,
];
const MGFS: [CK_RSA_PKCS_MGF_TYPE; 4] = [CKG_MGF1_SHA256, CKG_MGF1_SHA1, CKG_MGF1_SHA512, u64::MAX];
const GENERATORS: [CK_GENERATOR_FUNCTION; 6] = [
    CKG_NO_GENERATE,
    CKG_GENERATE,
    CKG_GENERATE_COUNTER,
    CKG_GENERATE_RANDOM,
    CKG_GENERATE_COUNTER_XOR,
    u64::MAX,
];

/// The caller's side: what it may be asked to put into a parameter.
pub struct Caller<'a, 'b> {
    pub b: &'a mut Bytes<'b>,
    pub memory: &'a mut Memory,
    /// Handles of objects.
    pub handles: &'a [CK_OBJECT_HANDLE],
    /// What calls gave so far.
    pub pool: &'a [Vec<u8>],
    /// Where handles of further keys come.
    pub made: Vec<usize>,
    /// Which of the handles go with the mechanism of this call.
    pub fitting: &'static [usize],
}

fn pointer<T>(start: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(start)
}

impl Caller<'_, '_> {
    /// A mechanism, or NULL: its address.
    pub fn mechanism(&mut self, function: &str, purpose: Purpose) -> usize {
        let (mut shape, list) = self.b.one_of(MECHANISMS);
        let mut ckm = self.b.one_of(list);
        let begins = |names: &[&str]| names.iter().any(|name| function.starts_with(name));
        match self.b.u8() {
            0..=7 => return 0,
            8..=63 => {}
            _ => {
                if let Some((_, list)) = FITTING.iter().find(|(names, _)| begins(names)) {
                    (ckm, self.fitting) = self.b.one_of(list);
                    let row = MECHANISMS.iter().find(|(_, list)| list.contains(&ckm));
                    shape = row.expect("a row of each mechanism").0;
                }
            }
        }
        let (start, len) = match self.b.u8() % 16 {
            0 => (0, 0),
            1 => (0, self.b.number()),
            // No structure has such a length, so that none is looked for there.
            2 => self.odd(),
            _ => self.parameter(shape, purpose),
        };
        self.memory.value(CK_MECHANISM {
            mechanism: ckm,
            pParameter: pointer(start),
            ulParameterLen: len,
        })
    }

    fn odd(&mut self) -> (usize, u64) {
        let len = self.b.below(100) * 2 + 1;
        (self.memory.zeros(len), len as u64)
    }

    fn structure<T: Copy>(&mut self, value: T) -> (usize, u64) {
        (self.memory.value(value), size_of::<T>() as u64)
    }

    /// Bytes as a call takes them: a pointer and a length.
    pub fn data(&mut self) -> (usize, u64) {
        match self.b.u8() {
            0..=7 => (0, 0),
            8..=15 => (0, self.b.number()),
            // Longer than any memory: nobody may begin to read.
            16..=19 => (self.memory.zeros(1), u64::MAX >> (self.b.u8() % 2)),
            20..=99 if !self.pool.is_empty() => {
                let mut bytes = self.pool[self.b.below(self.pool.len())].clone();
                match self.b.u8() % 8 {
                    0 if !bytes.is_empty() => {
                        let at = self.b.below(bytes.len());
                        bytes[at] ^= self.b.u8();
                    }
                    1 => bytes.truncate(self.b.below(bytes.len() + 1)),
                    2 => bytes.push(self.b.u8()),
                    _ => {}
                }
                (self.memory.copy(&bytes), bytes.len() as u64)
            }
            100..=139 => self.sized(&[16, 32, 64, 1, 0, 15, 17, 20, 48]),
            140..=147 => self.sized(&[255, 256, 257, 4096, 65_535, 65_536, 65_537]),
            148..=155 => {
                let bytes = self.b.one_of(&[template::POINT, template::SCALAR, template::P256]);
                (self.memory.copy(bytes), bytes.len() as u64)
            }
            _ => {
                let len = self.b.below(48);
                let bytes = self.b.take(len);
                (self.memory.copy(bytes), bytes.len() as u64)
            }
        }
    }

    fn sized(&mut self, sizes: &[usize]) -> (usize, u64) {
        let (len, fill) = (self.b.one_of(sizes), self.b.u8());
        (self.memory.copy(&vec![fill; len]), len as u64)
    }

    /// A nonce: mostly as long as one is.
    fn nonce(&mut self) -> (usize, u64) {
        if self.b.once_in(4) { self.data() } else { self.sized(&[12, 13, 8, 7, 16, 1]) }
    }

    /// A place for a tag, and its length in bytes.
    fn tag(&mut self) -> (usize, u64) {
        match self.b.u8() % 16 {
            0 => (0, self.b.number()),
            1 => self.data(),
            _ => self.sized(&[16, 12, 4, 0, 8, 15, 17, 32]),
        }
    }

    pub fn handle(&mut self) -> CK_OBJECT_HANDLE {
        match self.b.u8() {
            0..=7 => self.b.number(),
            8..=199 if !self.fitting.is_empty() => {
                let at = self.b.one_of(self.fitting);
                self.handles.get(at).copied().unwrap_or(0)
            }
            _ if self.handles.is_empty() => 0,
            _ => self.b.one_of(self.handles),
        }
    }

    fn block(&mut self) -> [u8; 16] {
        [self.b.u8(); 16]
    }

    fn parameter(&mut self, shape: Shape, purpose: Purpose) -> (usize, u64) {
        match shape {
            Nothing => (0, 0),
            Block => self.sized(&[16, 16, 16, 12, 8, 4, 15, 17]),
            Number => {
                let number = self.b.number();
                self.structure(number)
            }
            Handle => {
                let handle = self.handle();
                self.structure(handle)
            }
            Counter => {
                let (ulCounterBits, cb) = (self.b.number(), self.block());
                self.structure(CK_AES_CTR_PARAMS { ulCounterBits, cb })
            }
            Pss => {
                let (hashAlg, mgf) = (self.b.one_of(&HASHES), self.b.one_of(&MGFS));
                let sLen = self.b.number();
                self.structure(CK_RSA_PKCS_PSS_PARAMS { hashAlg, mgf, sLen })
            }
            Oaep => {
                let oaep = self.oaep();
                self.structure(oaep)
            }
            RsaAes => {
                let oaep = self.oaep();
                let place = if self.b.once_in(8) { 0 } else { self.memory.value(oaep) };
                let ulAESKeyBits = self.b.one_of(&[256, 128, 192, 0, u64::MAX]);
                let pOAEPParams = pointer(place);
                self.structure(CK_RSA_AES_KEY_WRAP_PARAMS { ulAESKeyBits, pOAEPParams })
            }
            Ecdh => {
                let (kdf, (shared, shared_len), (public, public_len)) =
                    (self.b.one_of(&[1, 5, 6, 2, 0, u64::MAX]), self.data(), self.data());
                self.structure(CK_ECDH1_DERIVE_PARAMS {
                    kdf,
                    ulSharedDataLen: shared_len,
                    pSharedData: pointer(shared),
                    ulPublicDataLen: public_len,
                    pPublicData: pointer(public),
                })
            }
            Text => {
                let (start, len) = self.data();
                self.structure(CK_KEY_DERIVATION_STRING_DATA { pData: pointer(start), ulLen: len })
            }
            BlockAndText => {
                let (iv, (start, length)) = (self.block(), self.data());
                let pData = pointer(start);
                self.structure(CK_AES_CBC_ENCRYPT_DATA_PARAMS { iv, pData, length })
            }
            Gcm | Ccm if purpose == Purpose::AuthenticatedWrapping => {
                self.message(matches!(shape, Gcm))
            }
            Gcm => self.gcm(purpose),
            Ccm => self.ccm(purpose),
            Hkdf => self.hkdf(),
            Kdf => {
                let (inputs, count) = self.kdf_inputs();
                let (keys, keys_count) = self.further_keys();
                let prfType = self.prf();
                self.structure(CK_SP800_108_KDF_PARAMS {
                    prfType,
                    ulNumberOfDataParams: count,
                    pDataParams: pointer(inputs),
                    ulAdditionalDerivedKeys: keys_count,
                    pAdditionalDerivedKeys: pointer(keys),
                })
            }
            Feedback => {
                let (inputs, count) = self.kdf_inputs();
                let (keys, keys_count) = self.further_keys();
                let (prfType, (iv, iv_len)) = (self.prf(), self.data());
                self.structure(CK_SP800_108_FEEDBACK_KDF_PARAMS {
                    prfType,
                    ulNumberOfDataParams: count,
                    pDataParams: pointer(inputs),
                    ulIVLen: iv_len,
                    pIV: pointer(iv),
                    ulAdditionalDerivedKeys: keys_count,
                    pAdditionalDerivedKeys: pointer(keys),
                })
            }
        }
    }

    fn oaep(&mut self) -> CK_RSA_PKCS_OAEP_PARAMS {
        let (start, len) = if self.b.once_in(2) { self.data() } else { (0, 0) };
        CK_RSA_PKCS_OAEP_PARAMS {
            hashAlg: self.b.one_of(&HASHES),
            mgf: self.b.one_of(&MGFS),
            source: self.b.one_of(&[CKZ_DATA_SPECIFIED, 0, 2]),
            pSourceData: pointer(start),
            ulSourceDataLen: len,
        }
    }

    fn gcm(&mut self, purpose: Purpose) -> (usize, u64) {
        let ((iv, iv_len), (aad, aad_len)) = (self.nonce(), self.data());
        let ulTagBits =
            if self.b.once_in(4) { self.b.number() } else { self.b.one_of(&[128, 96, 32]) };
        if purpose == Purpose::Wrapping && self.b.once_in(2) {
            let (ulIvFixedBits, ivGenerator) = (self.b.number(), self.b.one_of(&GENERATORS));
            return self.structure(CK_GCM_WRAP_PARAMS {
                pIv: pointer(iv),
                ulIvLen: iv_len,
                ulIvFixedBits,
                ivGenerator,
                pAAD: pointer(aad),
                ulAADLen: aad_len,
                ulTagBits,
            });
        }
        let ulIvBits = self.b.number();
        self.structure(CK_GCM_PARAMS {
            pIv: pointer(iv),
            ulIvLen: iv_len,
            ulIvBits,
            pAAD: pointer(aad),
            ulAADLen: aad_len,
            ulTagBits,
        })
    }

    fn ccm(&mut self, purpose: Purpose) -> (usize, u64) {
        let ((nonce, nonce_len), (aad, aad_len)) = (self.nonce(), self.data());
        let ulMACLen = if self.b.once_in(4) { self.b.number() } else { self.b.one_of(&[16, 8, 4]) };
        let ulDataLen = self.b.number();
        if purpose == Purpose::Wrapping && self.b.once_in(2) {
            let (ulNonceFixedBits, nonceGenerator) = (self.b.number(), self.b.one_of(&GENERATORS));
            return self.structure(CK_CCM_WRAP_PARAMS {
                ulDataLen,
                pNonce: pointer(nonce),
                ulNonceLen: nonce_len,
                ulNonceFixedBits,
                nonceGenerator,
                pAAD: pointer(aad),
                ulAADLen: aad_len,
                ulMACLen,
            });
        }
        self.structure(CK_CCM_PARAMS {
            ulDataLen,
            pNonce: pointer(nonce),
            ulNonceLen: nonce_len,
            pAAD: pointer(aad),
            ulAADLen: aad_len,
            ulMACLen,
        })
    }

    /// A message's parameter, or what may stand in its place.
    pub fn message_parameter(&mut self) -> (usize, u64) {
        match self.b.u8() % 16 {
            0 => (0, 0),
            1 => (0, self.b.number()),
            2 => self.odd(),
            choice => self.message(choice % 2 == 1),
        }
    }

    fn message(&mut self, gcm: bool) -> (usize, u64) {
        let ((nonce, nonce_len), (tag, tag_len)) = (self.nonce(), self.tag());
        let (fixed, generator) = (self.b.number(), self.b.one_of(&GENERATORS));
        if gcm {
            return self.structure(CK_GCM_MESSAGE_PARAMS {
                pIv: pointer(nonce),
                ulIvLen: nonce_len,
                ulIvFixedBits: fixed,
                ivGenerator: generator,
                pTag: pointer(tag),
                // Where the length is no memory's, neither are its bits.
                ulTagBits: tag_len.saturating_mul(8),
            });
        }
        let ulDataLen = self.b.number();
        self.structure(CK_CCM_MESSAGE_PARAMS {
            ulDataLen,
            pNonce: pointer(nonce),
            ulNonceLen: nonce_len,
            ulNonceFixedBits: fixed,
            nonceGenerator: generator,
            pMAC: pointer(tag),
            ulMACLen: tag_len,
        })
    }

    fn hkdf(&mut self) -> (usize, u64) {
        let ((salt, salt_len), (info, info_len)) = (self.data(), self.data());
        let (bExtract, bExpand) = (self.b.u8() % 3, self.b.u8() % 3);
        let prfHashMechanism = self.b.one_of(&HASHES);
        let ulSaltType =
            self.b.one_of(&[CKF_HKDF_SALT_NULL, CKF_HKDF_SALT_DATA, CKF_HKDF_SALT_KEY, 9]);
        let hSaltKey = self.handle();
        self.structure(CK_HKDF_PARAMS {
            bExtract,
            bExpand,
            prfHashMechanism,
            ulSaltType,
            pSalt: pointer(salt),
            ulSaltLen: salt_len,
            hSaltKey,
            pInfo: pointer(info),
            ulInfoLen: info_len,
        })
    }

    fn prf(&mut self) -> CK_MECHANISM_TYPE {
        self.b.one_of(&[
            CKM_SHA256_HMAC,
            CKM_AES_CMAC,
            CKM_SHA_1_HMAC,
            CKM_SHA512_HMAC,
            CKM_SHA256,
            0,
        ])
    }

    fn kdf_inputs(&mut self) -> (usize, u64) {
        if self.b.once_in(24) {
            return (0, self.b.number());
        }
        let mut list = Vec::new();
        for _ in 0..self.b.u8() % 5 {
            let (type_, (start, len)) = match self.b.u8() % 8 {
                0 => (CK_SP800_108_ITERATION_VARIABLE, (0, 0)),
                at @ 1..=3 => {
                    let format = CK_SP800_108_COUNTER_FORMAT {
                        bLittleEndian: self.b.u8() % 2,
                        ulWidthInBits: self.b.one_of(&[32, 8, 16, 64, 0, 7, u64::MAX]),
                    };
                    let counter = if at == 3 {
                        CK_SP800_108_COUNTER
                    } else {
                        CK_SP800_108_ITERATION_VARIABLE
                    };
                    (counter, self.structure(format))
                }
                4 => {
                    let format = CK_SP800_108_DKM_LENGTH_FORMAT {
                        dkmLengthMethod: self.b.one_of(&[1, 2, 0, u64::MAX]),
                        bLittleEndian: self.b.u8() % 2,
                        ulWidthInBits: self.b.one_of(&[32, 8, 16, 64, 0, 7, u64::MAX]),
                    };
                    (CK_SP800_108_DKM_LENGTH, self.structure(format))
                }
                5 => {
                    let handle = self.handle();
                    (CK_SP800_108_KEY_HANDLE, self.structure(handle))
                }
                6 => (self.b.number() | 16, self.odd()),
                _ => (CK_SP800_108_BYTE_ARRAY, self.data()),
            };
            list.push(CK_PRF_DATA_PARAM { type_, pValue: pointer(start), ulValueLen: len });
        }
        (self.memory.array(&list), list.len() as u64)
    }

    fn further_keys(&mut self) -> (usize, u64) {
        if !self.b.once_in(4) {
            return (0, 0);
        }
        let mut list = Vec::new();
        for _ in 0..self.b.u8() % 4 {
            let entries = template::any(self.b, self.pool);
            let (start, count) = template::place(self.memory, &entries);
            let handle = if self.b.once_in(8) { 0 } else { self.memory.zeros(8) };
            self.made.push(handle);
            list.push(CK_DERIVED_KEY {
                pTemplate: pointer(start),
                ulAttributeCount: count as u64,
                phKey: pointer(handle),
            });
        }
        (self.memory.array(&list), list.len() as u64)
    }
}
