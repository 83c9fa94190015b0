//! Answers of the TPM, bent as the input says.

use super::bytes::Bytes;
use super::common::swtpm::{Swtpm, plain_command, response_code};
use super::common::tpm_proxy::{Action, Proxy};
use super::scene::Scene;
use super::script::{STEPS, Script};

/// Lets an application do what the input says while answers are bent; then the token must be as
/// good as before.
pub fn run(scene: &Scene, proxy: &Proxy, input: &[u8]) {
    let mut b = Bytes::new(input);
    let steps = [b.below(STEPS.len()), b.below(STEPS.len())];
    let from_the_beginning = b.once_in(2);
    let mut bus = Bus::new(&mut b);
    let mut bend = Some(move |command: &[u8]| bus.action(command));
    scene.reset();
    if from_the_beginning {
        bend.take().into_iter().for_each(|bend| proxy.set_hook(bend));
    }
    let mut script = Script::begin(scene.list);
    bend.take().into_iter().for_each(|bend| proxy.set_hook(bend));
    for step in steps {
        STEPS[step](&mut script);
    }
    script.finish();
    proxy.clear_hook();
    proxy.reset();
    flush(&scene.tpm);
    drop(scene.application());
    scene.reset();
}

/// What happens to the answer of one command.
#[derive(Clone, Debug)]
struct Bend {
    /// Which command, counted from 0.
    at: usize,
    how: u8,
    offset: usize,
    number: u64,
    bytes: Vec<u8>,
}

/// Bends the answers to the commands that the input names; the others pass.
struct Bus {
    bends: Vec<Bend>,
    sent: usize,
}

/// Commands whose answer begins with a handle, by TPM_CC.
const WITH_HANDLE: [u32; 8] = [0x131, 0x157, 0x167, 0x176, 0x161, 0x186, 0x15B, 0x191];

impl Bus {
    fn new(b: &mut Bytes<'_>) -> Self {
        let count = b.u8() % 6;
        let bends = (0..count)
            .map(|_| {
                let (at, how, offset, number) =
                    (b.below(96), b.u8() % 14, b.u16().into(), b.number());
                let len = b.below(40);
                Bend { at, how, offset, number, bytes: b.take(len).to_vec() }
            })
            .collect();
        Self { bends, sent: 0 }
    }

    /// What becomes of the next command.
    fn action(&mut self, command: &[u8]) -> Action {
        let at = self.sent;
        self.sent += 1;
        let Some(bend) = self.bends.iter().find(|bend| bend.at == at).cloned() else {
            return Action::Pass;
        };
        let code = response_code(command);
        match bend.how {
            12 => Action::DropAnswer,
            13 => Action::Answer(refusal(bend.number)),
            _ => Action::AlterResponse(Box::new(move |answer| bend.apply(code, answer))),
        }
    }
}

/// A TPM_RC of any kind: as it stands, or about a handle, a parameter or an auth session.
fn refusal(number: u64) -> Vec<u8> {
    let rc = number as u32 & 0xfff;
    // Retrying takes time and is asked for elsewhere.
    let rc = if [0x922, 0x908, 0x909].contains(&rc) || rc == 0 { 0x101 } else { rc };
    with_header(0x8001, rc, &[])
}

fn with_header(tag: u16, rc: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(10 + body.len()).unwrap_or(u32::MAX);
    [&tag.to_be_bytes()[..], &size.to_be_bytes(), &rc.to_be_bytes(), body].concat()
}

impl Bend {
    /// The answer as the module gets it, as long as it says: nobody waits for the rest.
    fn apply(&self, code: u32, answer: Vec<u8>) -> Vec<u8> {
        let (header, body) = answer.split_at(10.min(answer.len()));
        let [t0, t1, ..] = *header else { return answer };
        let (tag, rc) = (u16::from_be_bytes([t0, t1]), response_code(&answer));
        if rc != 0 {
            // To be believed although it failed.
            return if self.how == 0 { with_header(0x8002, 0, &self.bytes) } else { answer };
        }
        let handle = if WITH_HANDLE.contains(&code) { 4.min(body.len()) } else { 0 };
        let (handle, rest) = body.split_at(handle);
        if tag != 0x8002 || rest.len() < 4 {
            return with_header(tag, rc, &[handle, &self.change(rest)].concat());
        }
        if self.how == 11 {
            return with_header(tag, rc, &self.change(body));
        }
        // The parameters changed, the auth sessions' part as it was.
        let (size, rest) = rest.split_at(4);
        let size = u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize;
        let (parameters, area) = rest.split_at(size.min(rest.len()));
        let parameters = self.change(parameters);
        let size = u32::try_from(parameters.len()).unwrap_or(0).to_be_bytes();
        with_header(tag, rc, &[handle, &size[..], &parameters, area].concat())
    }

    fn change(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let at = if bytes.is_empty() { 0 } else { self.offset % bytes.len() };
        let put = |bytes: &mut Vec<u8>, with: &[u8]| {
            for (place, byte) in bytes.iter_mut().skip(at).zip(with) {
                *place = *byte;
            }
        };
        match self.how {
            0 => put(&mut bytes, &self.bytes),
            1 => put(&mut bytes, &[self.number as u8]),
            2 => put(&mut bytes, &(self.number as u16).to_be_bytes()),
            3 => put(&mut bytes, &(self.number as u32).to_be_bytes()),
            4 => bytes.truncate(at),
            5 => bytes.extend_from_slice(&self.bytes),
            6 => drop(bytes.splice(at..at, self.bytes.iter().copied())),
            7 => bytes = self.bytes.clone(),
            8 => bytes.resize(self.number as usize % 5000, self.offset as u8),
            9 => bytes.reverse(),
            10 => {
                let end = bytes.len().min(at + self.number as usize % 64);
                bytes.drain(at..end);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (self.number % 8);
                }
            }
        }
        bytes.truncate(5000);
        bytes
    }
}

/// Lets the TPM forget all objects and auth sessions: a TPM whose answers were bent has some that
/// nobody can know of. The module must not be connected.
fn flush(tpm: &Swtpm) {
    const GET_CAPABILITY: u32 = 0x17A;
    const FLUSH_CONTEXT: u32 = 0x165;
    for range in [0x8000_0000_u32, 0x0200_0000, 0x0300_0000] {
        let asked = [1, range, 64].map(u32::to_be_bytes).concat();
        let answer = tpm.transmit(&plain_command(GET_CAPABILITY, &asked));
        // Header, moreData, capability, count.
        for handle in answer.get(19..).unwrap_or_default().chunks_exact(4) {
            tpm.transmit(&plain_command(FLUSH_CONTEXT, handle));
        }
    }
}
