//! Keys whose policy asks for somebody's authorization: the TPM itself refuses every way around it.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::swtpm::{Swtpm, plain_command, response_code};
use cryptoki_sys::{CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_USER_NOT_LOGGED_IN};
use hierarkey::error::Result;
use hierarkey::tpm::engine::{Engine, HierarchyAuths};
use hierarkey::tpm::link::{Leftovers, Link, Sharing, Taken};
use hierarkey::tpm::transport::{TpmAddress, link};
use hierarkey::tpm::{
    Approver, Auth, Blob, Curve, HashAlg, Hierarchy, Key, KeyKind, KeyTemplate, Primary, PublicKey,
    Scheme, SealTemplate, Tpm, approval_policy, public_key,
};

const LOAD: u32 = 0x157;
const SIGN: u32 = 0x15d;
const START_AUTH_SESSION: u32 = 0x176;
const POLICY_AUTH_VALUE: u32 = 0x16b;
const PERSISTENT: u32 = 0x8100_0001;
const RS_PW: u32 = 0x4000_0009;
const AUTH_UNAVAILABLE: u32 = 0x12f;
/// TPM_RC_POLICY_FAIL of the first session.
const POLICY_FAIL: u32 = 0x99d;

/// A link that says somebody manages the TPM behind it.
struct Managed(Box<dyn Link>);

impl Link for Managed {
    fn sharing(&self) -> Sharing {
        Sharing::ResourceManager
    }
    fn take(&mut self) -> Result<Taken> {
        self.0.take()
    }
    fn transmit(&mut self, command: &[u8], limit: Duration) -> Result<Vec<u8>> {
        self.0.transmit(command, limit)
    }
    fn reconnect(&mut self) -> Result<()> {
        self.0.reconnect()
    }
    fn doubt(&mut self) {
        self.0.doubt();
    }
    fn give_back(&mut self, leftovers: &Leftovers) {
        self.0.give_back(leftovers);
    }
}

/// An engine on an emulator, and somebody whose authorization keys ask for.
struct Bench {
    engine: Engine,
    parent: Primary,
    user: Blob,
    policy: [u8; 32],
    tpm: Swtpm,
}

const USER_AUTH: [u8; 32] = [5; 32];
const KEY_AUTH: [u8; 32] = [6; 32];

impl Bench {
    fn new(sharing: Sharing) -> Self {
        let tpm = Swtpm::start();
        let alone = link(&tpm.tcti().parse::<TpmAddress>().unwrap());
        let link = match sharing {
            Sharing::Alone => alone,
            Sharing::ResourceManager => Box::new(Managed(alone)),
        };
        let engine = Engine::new(Some(link), HierarchyAuths::default());
        let (parent, user) = {
            let mut turn = engine.turn().unwrap();
            let parent = turn.create_primary(Hierarchy::Owner).unwrap();
            let template = SealTemplate { dictionary_attack_protected: true, officer: None };
            let user = turn.seal(&parent, &template, b"x", &Auth::new(&USER_AUTH)).unwrap();
            (parent, user)
        };
        let policy = approval_policy(&user.public).unwrap();
        Self { engine, parent, user, policy, tpm }
    }

    fn key(&self, kind: KeyKind, policy: Option<[u8; 32]>) -> Blob {
        let template = KeyTemplate {
            kind,
            sign: true,
            decrypt: true,
            scheme: None,
            extractable: false,
            policy,
        };
        let mut turn = self.engine.turn().unwrap();
        turn.create_key(&self.parent, &template, &Auth::new(&KEY_AUTH)).unwrap()
    }

    fn ec(&self, policy: Option<[u8; 32]>) -> Blob {
        self.key(KeyKind::Ec(Curve::P256), policy)
    }

    /// One turn with `blob`, approved with `auth`.
    fn with<T>(
        &self,
        blob: &Blob,
        auth: Option<[u8; 32]>,
        call: impl FnOnce(&mut dyn Tpm, &Key<'_>) -> Result<T>,
    ) -> Result<T> {
        let key_auth = Auth::new(&KEY_AUTH);
        let key = Key { parent: &self.parent, blob, auth: &key_auth };
        let mut turn = self.engine.turn()?;
        if let Some(auth) = auth {
            let approver = Approver { blob: self.user.clone(), auth: Auth::new(&auth) };
            turn.approve(Arc::new(approver));
        }
        call(&mut turn, &key)
    }

    fn signs(&self, blob: &Blob, auth: Option<[u8; 32]>) -> Result<Vec<u8>> {
        self.with(blob, auth, |tpm, key| tpm.sign(key, &[7; 32], Scheme::Ecdsa(HashAlg::Sha256)))
    }

    fn tries(&self) -> u32 {
        self.engine.turn().unwrap().status().unwrap().lockout_counter
    }

    fn handles(&self) -> Vec<u8> {
        [0x8000_0000u32, 0x0200_0000]
            .into_iter()
            .flat_map(|range| {
                let parameters = [1, range, 64].map(u32::to_be_bytes).concat();
                self.tpm.transmit(&plain_command(0x17a, &parameters))[19..].to_vec()
            })
            .collect()
    }
}

/// A command with one handle and an authorization area.
fn authorized(code: u32, handle: u32, area: &[u8], parameters: &[u8]) -> Vec<u8> {
    let area_len = u32::try_from(area.len()).unwrap().to_be_bytes();
    let body = [&handle.to_be_bytes()[..], &area_len, area, parameters].concat();
    let size = u32::try_from(10 + body.len()).unwrap();
    [&[0x80, 0x02][..], &size.to_be_bytes(), &code.to_be_bytes(), &body].concat()
}

/// An authorization: a session or password, its nonce, and what it proves.
fn area(session: u32, nonce: &[u8], proof: &[u8]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&[0, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    [&session.to_be_bytes()[..], &sized(nonce), &[1], &sized(proof)].concat()
}

fn handle_of(answer: &[u8]) -> u32 {
    assert_eq!(response_code(answer), 0);
    u32::from_be_bytes(answer[10..14].try_into().unwrap())
}

#[test]
fn the_keys_own_authorization_is_refused_by_the_tpm() {
    let b = Bench::new(Sharing::Alone);
    let (asks, plain) = (b.ec(Some(b.policy)), b.ec(None));
    b.engine.close();
    // What somebody does who has the blob and its authValue, and every way to the TPM.
    let digest = [&[0, 32][..], &[7; 32]].concat();
    let scheme = [0, 0x18, 0, 0x0b];
    let ticket = [0x80, 0x24, 0x40, 0, 0, 7, 0, 0];
    let to_sign = [&digest[..], &scheme, &ticket].concat();
    let sign = |key: u32, area: &[u8]| {
        response_code(&b.tpm.transmit(&authorized(SIGN, key, area, &to_sign)))
    };
    let load = |blob: &Blob| {
        let blob = [&blob.private[..], &blob.public].concat();
        handle_of(&b.tpm.transmit(&authorized(LOAD, PERSISTENT, &area(RS_PW, &[], &[]), &blob)))
    };
    let by_password = area(RS_PW, &[], &KEY_AUTH);
    assert_eq!(sign(load(&plain), &by_password), 0, "of another key it is enough");
    let key = load(&asks);
    assert_eq!(sign(key, &by_password), AUTH_UNAVAILABLE);

    // A policy session in which the user has not been asked; type 0 is HMAC, 1 policy.
    for (kind, refusal) in [(0, AUTH_UNAVAILABLE), (1, POLICY_FAIL)] {
        let null = 0x4000_0007u32.to_be_bytes();
        let nonce = [&[0, 32][..], &[1; 32]].concat();
        let start = [&null[..], &null, &nonce, &[0, 0, kind, 0, 0x10, 0, 0x0b]].concat();
        let session = handle_of(&b.tpm.transmit(&plain_command(START_AUTH_SESSION, &start)));
        if kind == 1 {
            let command = plain_command(POLICY_AUTH_VALUE, &session.to_be_bytes());
            assert_eq!(response_code(&b.tpm.transmit(&command)), 0);
        }
        assert_eq!(sign(key, &area(session, &[2; 32], &[3; 32])), refusal, "session type {kind}");
    }
}

#[test]
fn a_key_that_asks_is_used_with_the_users_authorization_only() {
    let b = Bench::new(Sharing::Alone);
    let key = b.ec(Some(b.policy));
    assert_eq!(b.signs(&key, None).unwrap_err().ck_rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(b.tries(), 0);
    assert_eq!(b.signs(&key, Some([4; 32])).unwrap_err().ck_rv(), CKR_PIN_INCORRECT);
    assert_eq!(b.tries(), 1, "one try, and no second");
    assert_eq!(b.signs(&key, Some(USER_AUTH)).unwrap().len(), 64);
    // A turn later it is asked for again.
    assert_eq!(b.signs(&key, None).unwrap_err().ck_rv(), CKR_USER_NOT_LOGGED_IN);

    // Its authValue is needed as well: it is the key of the policy session.
    let wrong = Auth::new(&[9; 32]);
    let refused = b.with(&key, Some(USER_AUTH), |tpm, key| {
        tpm.sign(&Key { auth: &wrong, ..*key }, &[7; 32], Scheme::Ecdsa(HashAlg::Sha256))
    });
    assert_eq!(refused.unwrap_err().ck_rv(), cryptoki_sys::CKR_DEVICE_ERROR);
    assert_eq!(b.tries(), 1);

    // Another approver than the key's is none.
    let other = approval_policy(&key.public).unwrap();
    let others = b.ec(Some(other));
    assert!(b.signs(&others, Some(USER_AUTH)).is_err());

    b.tpm.set_lockout(1, 1000);
    assert_eq!(b.signs(&key, Some(USER_AUTH)).unwrap_err().ck_rv(), CKR_PIN_LOCKED);
}

#[test]
fn every_use_of_a_key_that_asks_leaves_nothing_behind() {
    for sharing in [Sharing::Alone, Sharing::ResourceManager] {
        let b = Bench::new(sharing);
        let policy = Some(b.policy);
        let (one, two) = (b.ec(policy), b.ec(None));
        let rsa = b.key(KeyKind::Rsa { bits: 2048 }, policy);
        b.signs(&two, None).unwrap();
        let before = b.handles();
        assert_eq!(b.signs(&one, Some(USER_AUTH)).unwrap().len(), 64);
        assert!(b.signs(&one, Some([4; 32])).is_err());

        let block = [&[0][..], &[0x55; 255]].concat();
        let raw = b.with(&rsa, Some(USER_AUTH), |tpm, key| tpm.rsa_decrypt(key, &block)).unwrap();
        assert_eq!(raw.len(), 256);
        assert_eq!(public_power(&rsa, &raw), block, "the response was decrypted");

        let point = |blob: &Blob| match public_key(&blob.public).unwrap() {
            PublicKey::Ec { x, y, .. } => (x, y),
            PublicKey::Rsa { .. } => unreachable!("an EC key"),
        };
        let ((x1, y1), (x2, y2)) = (point(&one), point(&two));
        let there = b.with(&one, Some(USER_AUTH), |tpm, key| tpm.ecdh(key, &x2, &y2)).unwrap();
        let back = b.with(&two, None, |tpm, key| tpm.ecdh(key, &x1, &y1)).unwrap();
        assert_eq!(there, back);
        assert_eq!(b.handles(), before, "{sharing:?}");
        b.engine.close();
        assert_eq!(b.handles(), [0; 0], "{sharing:?}");
    }
}

/// `number` to the power of the public exponent, as long as the modulus.
fn public_power(rsa: &Blob, number: &[u8]) -> Vec<u8> {
    use rsa::BigUint;
    let PublicKey::Rsa { modulus, exponent } = public_key(&rsa.public).unwrap() else {
        unreachable!("an RSA key")
    };
    let [number, exponent, modulus] = [number, &exponent, &modulus].map(BigUint::from_bytes_be);
    let power = number.modpow(&exponent, &modulus).to_bytes_be();
    [vec![0; 256 - power.len()], power].concat()
}
