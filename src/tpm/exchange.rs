//! One command and its response: header, handles, authorizations, parameters.
//! TPM 2.0 Part 1, "Command/Response Structure".

use std::time::{Duration, Instant};

use cryptoki_sys::CKR_DEVICE_ERROR;
use sha2::{Digest, Sha256};
use tss_esapi::constants::tss as tpm2;

use crate::error::{Error, Result};
use crate::tpm::auth_session::{AuthSession, DECRYPT, ENCRYPT, Nonce, nonce};
use crate::tpm::encryption_rules::{Rule, check, rule};
use crate::tpm::link::Link;
use crate::tpm::rc::{Class, classify};
use crate::tpm::wire::{Reader, Writer};
use crate::tpm::{Direction, SecretBytes};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// The same for commands that make keys.
const KEY_GENERATION: Duration = Duration::from_secs(120);
/// How long a TPM that asks for another try is obeyed.
const RETRIES: Duration = Duration::from_secs(10);
/// Pause before the first other try; each doubles it, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What a command gives, or a few that are made again together (`recovery.rs`).
pub type Attempt<T> = std::result::Result<T, Failure>;

/// Why a command gave nothing.
#[derive(Debug)]
pub enum Failure {
    /// The TPM answered with this TPM_RC.
    Rc(&'static str, u32),
    /// It answered so to a command that a dictionary-attack protected object authorized: the
    /// authorization may have been counted as a try.
    Tried(&'static str, u32),
    /// The answer is not what the TPM sent, or the auth session is out of step.
    Altered(Error),
    /// The connection failed, before or after the TPM saw the command.
    Transport(Error),
    /// Nothing was sent.
    Refused(Error),
}

impl Failure {
    /// The same, for a command that a dictionary-attack protected object authorized.
    pub fn tried(self) -> Self {
        match self {
            Self::Rc(name, rc) => Self::Tried(name, rc),
            other => other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// A handle with the Name that authorizations vouch for.
#[derive(Clone)]
pub struct Handle {
    /// TPM_HANDLE.
    pub number: u32,
    /// Its Name; the number itself for a hierarchy or an auth session.
    pub name: Vec<u8>,
}

impl Handle {
    /// A permanent handle, which is its own Name.
    pub fn permanent(number: u32) -> Self {
        Self { number, name: number.to_be_bytes().to_vec() }
    }
}

/// A command about to be sent.
pub struct Command {
    rule: &'static Rule,
    handles: Vec<Handle>,
    parameters: Vec<u8>,
    returns_handle: bool,
}

/// An auth session as this command uses it.
pub struct Use<'a> {
    /// The auth session.
    pub session: &'a mut AuthSession,
    /// The authValue of the handle it authorizes; empty for one that only encrypts.
    pub auth: &'a [u8],
    /// [`CONTINUE`](crate::tpm::auth_session::CONTINUE), [`DECRYPT`], [`ENCRYPT`].
    pub attributes: u8,
}

/// The authorization area of a command.
pub enum Authorization<'a> {
    /// No auth session at all.
    None,
    /// The empty authValue of the only handle: nothing is secret.
    Empty,
    /// One auth session for each handle that needs authorization, then those that only encrypt.
    Sessions(Vec<Use<'a>>),
}

/// What a command gave.
pub struct Response {
    /// The handle it returned; 0 where it returns none.
    pub handle: u32,
    /// Its parameters, the first decrypted.
    pub parameters: SecretBytes,
}

impl Response {
    /// What `shape` reads in its parameters. One that they have not was not the TPM's answer.
    pub fn read<'a, T>(&'a self, shape: impl FnOnce(&mut Reader<'a>) -> Result<T>) -> Attempt<T> {
        shape(&mut Reader::new(&self.parameters)).map_err(Failure::Altered)
    }
}

impl Command {
    /// The command `code` (TPM_CC) without handles and parameters.
    pub fn new(code: u32) -> Result<Self> {
        Ok(Self {
            rule: rule(code)?,
            handles: Vec::new(),
            parameters: Vec::new(),
            returns_handle: false,
        })
    }

    /// Adds a handle.
    #[must_use]
    pub fn handle(mut self, handle: Handle) -> Self {
        self.handles.push(handle);
        self
    }

    /// Sets the parameters.
    #[must_use]
    pub fn parameters(mut self, parameters: Writer) -> Self {
        self.parameters = parameters.finish();
        self
    }

    /// The response begins with a handle.
    #[must_use]
    pub fn returns_handle(mut self) -> Self {
        self.returns_handle = true;
        self
    }

    /// Sends it and reads the response.
    pub fn send(
        mut self,
        link: &mut dyn Link,
        authorization: Authorization<'_>,
    ) -> Attempt<Response> {
        let mut uses = match authorization {
            Authorization::None => {
                check(self.rule, false, false, false)?;
                return self.exchange(link, tpm2::TPM2_ST_NO_SESSIONS, &[], &mut [], &[]);
            }
            Authorization::Empty => {
                check(self.rule, false, false, false)?;
                let area = Writer::new().u32(tpm2::TPM2_RS_PW).u16(0).u8(1).u16(0).finish();
                return self.exchange(link, tpm2::TPM2_ST_SESSIONS, &area, &mut [], &[]);
            }
            Authorization::Sessions(uses) => uses,
        };
        let encrypts = |flag| uses.iter().position(|used| used.attributes & flag != 0);
        let (encrypts_in, encrypts_out) = (encrypts(DECRYPT), encrypts(ENCRYPT));
        let has_value = |at: Option<usize>| {
            at.and_then(|at| uses.get(at)).is_none_or(|used| used.session.has_value(used.auth))
        };
        check(
            self.rule,
            encrypts_in.is_some(),
            encrypts_out.is_some(),
            has_value(encrypts_in) && has_value(encrypts_out),
        )?;
        let nonces =
            uses.iter().map(|_| nonce()).collect::<Result<Vec<Nonce>>>().map_err(Failure::from)?;
        if let Some((used, nonce)) = encrypts_in.and_then(|at| uses.get(at).zip(nonces.get(at))) {
            let first = first_sized(&mut self.parameters)?;
            let (newer, older) = (nonce, used.session.nonce_tpm());
            used.session.cipher(used.auth, newer, older, Direction::Encrypt, first)?;
        }
        let area = self.authorization_area(&uses, &nonces, encrypts_in, encrypts_out)?;
        self.exchange(link, tpm2::TPM2_ST_SESSIONS, &area, &mut uses, &nonces)
    }

    /// cpHash and an authorization for each auth session. The first one's HMAC also covers the
    /// nonces of others that encrypt, so that they cannot be left out.
    fn authorization_area(
        &self,
        uses: &[Use<'_>],
        nonces: &[Nonce],
        encrypts_in: Option<usize>,
        encrypts_out: Option<usize>,
    ) -> Result<Vec<u8>> {
        let mut hash = Sha256::new().chain_update(self.rule.command.to_be_bytes());
        for handle in &self.handles {
            hash.update(&handle.name);
        }
        let hash = hash.chain_update(&self.parameters).finalize();
        let nonce_of = |at: Option<usize>| {
            at.filter(|at| *at != 0)
                .and_then(|at| uses.get(at))
                .map(|used| used.session.nonce_tpm())
        };
        let mut extra = nonce_of(encrypts_in).unwrap_or_default().to_vec();
        if encrypts_out != encrypts_in {
            extra.extend_from_slice(nonce_of(encrypts_out).unwrap_or_default());
        }
        let mut area = Writer::new();
        for (at, (used, nonce)) in uses.iter().zip(nonces).enumerate() {
            let extra = if at == 0 { &extra[..] } else { &[] };
            let hmac = used.session.hmac(
                used.auth,
                &hash,
                nonce,
                used.session.nonce_tpm(),
                extra,
                used.attributes,
            )?;
            area = area.u32(used.session.handle).sized(nonce).u8(used.attributes).sized(&hmac);
        }
        Ok(area.finish())
    }

    fn exchange(
        &self,
        link: &mut dyn Link,
        tag: u16,
        area: &[u8],
        uses: &mut [Use<'_>],
        nonces: &[Nonce],
    ) -> Attempt<Response> {
        let mut body = Writer::new();
        for handle in &self.handles {
            body = body.u32(handle.number);
        }
        if tag == tpm2::TPM2_ST_SESSIONS {
            body = body.u32(u32::try_from(area.len()).unwrap_or(u32::MAX)).bytes(area);
        }
        let body = body.bytes(&self.parameters).finish();
        let size = u32::try_from(body.len().saturating_add(10)).unwrap_or(u32::MAX);
        let packet = Writer::new().u16(tag).u32(size).u32(self.rule.command).bytes(&body).finish();
        let response = self.transmit(link, &packet)?;
        self.read(&response, tag, uses, nonces)
    }

    /// Sends the same bytes until the TPM does not ask for another try: a try refused with
    /// TPM_RC_RETRY changes nothing, not even a nonce.
    fn transmit(&self, link: &mut dyn Link, packet: &[u8]) -> Attempt<Vec<u8>> {
        let limit = match self.rule.command {
            tpm2::TPM2_CC_Create | tpm2::TPM2_CC_CreatePrimary => KEY_GENERATION,
            _ => ANSWER,
        };
        let until = Instant::now() + RETRIES;
        let mut pause = FIRST_PAUSE;
        loop {
            let response = link.transmit(packet, limit).map_err(Failure::Transport)?;
            let rc = response_code(&response).map_err(Failure::Altered)?;
            log::debug!(target: "hierarkey::tpm", "{} -> 0x{rc:03x}", self.rule.name);
            match classify(rc) {
                Class::Success => return Ok(response),
                Class::Retry if Instant::now() < until => {
                    std::thread::sleep(pause);
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
                _ => return Err(Failure::Rc(self.rule.name, rc)),
            }
        }
    }

    fn read(
        &self,
        response: &[u8],
        tag: u16,
        uses: &mut [Use<'_>],
        nonces: &[Nonce],
    ) -> Attempt<Response> {
        let parse = || -> Result<(u32, Vec<u8>, Reader<'_>)> {
            let mut reader = Reader::new(response);
            if reader.u16()? != tag {
                return Err(Error::new(CKR_DEVICE_ERROR, "a response with another tag"));
            }
            reader.u32()?;
            reader.u32()?;
            let handle = if self.returns_handle { reader.u32()? } else { 0 };
            if tag == tpm2::TPM2_ST_NO_SESSIONS {
                let parameters = reader.rest().to_vec();
                return Ok((handle, parameters, reader));
            }
            let len = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
            let parameters = reader.bytes(len)?.to_vec();
            Ok((handle, parameters, reader))
        };
        let (handle, parameters, mut reader) = parse().map_err(Failure::Altered)?;
        let mut parameters = SecretBytes::new(parameters);
        let hash = Sha256::new()
            .chain_update([0; 4])
            .chain_update(self.rule.command.to_be_bytes())
            .chain_update(&*parameters)
            .finalize();
        for (used, nonce) in uses.iter_mut().zip(nonces) {
            let mut accept = || -> Result<()> {
                let nonce_tpm = reader.sized()?;
                let attributes = reader.u8()?;
                let hmac = reader.sized()?;
                used.session.accept(used.auth, &hash, nonce_tpm, nonce, attributes, hmac)?;
                if used.attributes & ENCRYPT != 0 {
                    let first = first_sized(&mut parameters)?;
                    let (newer, older) = (nonce_tpm, nonce);
                    used.session.cipher(used.auth, newer, older, Direction::Decrypt, first)?;
                }
                Ok(())
            };
            accept().map_err(Failure::Altered)?;
        }
        if uses.is_empty() && tag == tpm2::TPM2_ST_SESSIONS {
            reader.rest();
        }
        reader.end().map_err(Failure::Altered)?;
        Ok(Response { handle, parameters })
    }
}

fn response_code(response: &[u8]) -> Result<u32> {
    let mut reader = Reader::new(response);
    reader.u16()?;
    reader.u32()?;
    reader.u32()
}

/// The contents of the first parameter, a TPM2B.
fn first_sized(parameters: &mut [u8]) -> Result<&mut [u8]> {
    let len = usize::from(Reader::new(parameters).u16()?);
    parameters
        .get_mut(2..len.saturating_add(2))
        .ok_or_else(|| Error::new(CKR_DEVICE_ERROR, "a parameter shorter than it says"))
}
