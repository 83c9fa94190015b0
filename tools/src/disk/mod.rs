//! `hierarkey disk`: opens what systemd-cryptenroll enrolled, where there is no systemd: in the initial
//! RAM disks of Debian's initramfs-tools.
//!
//! | file | what |
//! |---|---|
//! | `header.rs` | what a volume's header has of tokens |
//! | `wanted.rs` | which token and key it means |

pub mod header;
mod wanted;

use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use clap::{Args, Subcommand};
use hierarkey::admin::Admin;
use hierarkey::cryptoki::*;
use schemars::JsonSchema;
use serde::Serialize;
use zeroize::Zeroizing;

use self::header::{Enrolled, Volume};
use self::wanted::Wanted;
use crate::failure::{Failure, Kind, Result};
use crate::lockout::LockoutReport;
use crate::output::{Output, Report, Style};
use crate::pin::UserPin;
use crate::slot::Where;
use crate::token_session::{Handle, Session, flag, no_tpm, plain, ulong};

#[derive(Subcommand)]
pub enum Command {
    /// Say whether the token's PIN opens a volume now, without asking for it
    Check(CheckArguments),
    /// Print the passphrase that opens a volume, as the token's key decrypts it
    Passphrase(PassphraseArguments),
    /// Print the directory of the store, which whatever makes a RAM disk takes along
    Store,
}

#[derive(Args)]
pub struct What {
    /// The LUKS2 volume, or the file that has its header
    device: PathBuf,
    /// Use up the last PIN that the TPM takes, too: after a wrong one it takes none for a while
    #[arg(long)]
    last_try: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Args)]
pub struct CheckArguments {
    #[command(flatten)]
    what: What,
}

#[derive(Args)]
pub struct PassphraseArguments {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    pin: UserPin,
}

/// What `disk check` answers.
#[derive(Serialize, JsonSchema)]
pub struct CheckReport {
    pub device: String,
    pub uuid: String,
    /// The label of the token that opens it.
    pub token: String,
    /// Wrong PINs that the TPM takes before it locks.
    pub tries_left: u32,
}

impl Report for CheckReport {
    fn text(&self, _: Style) -> String {
        format!("{}: the PIN of token \"{}\" opens it\n", self.device, self.token)
    }
}

/// What `disk passphrase` answers.
#[derive(Serialize, JsonSchema)]
pub struct PassphraseReport {
    /// It opens the volume, without a newline at its end.
    pub passphrase: String,
}

impl Report for PassphraseReport {
    /// cryptsetup takes each byte that it reads for one of the passphrase's.
    fn text(&self, _: Style) -> String {
        self.passphrase.clone()
    }
}

/// What `disk store` answers.
#[derive(Serialize, JsonSchema)]
pub struct StoreReport {
    pub directory: PathBuf,
}

impl Report for StoreReport {
    fn text(&self, _: Style) -> String {
        format!("{}\n", self.directory.display())
    }
}

pub fn run(out: Output, admin: &Admin, command: Command) -> Result<()> {
    match command {
        Command::Check(CheckArguments { what }) => out.show(&look(admin, &what)?.report),
        Command::Passphrase(PassphraseArguments { what, pin }) => {
            let mut lock = look(admin, &what)?;
            lock.session.login_user(&pin.source())?;
            let secret = lock.open()?;
            out.show(&PassphraseReport { passphrase: Base64::encode_string(&secret) })
        }
        Command::Store => out.show(&StoreReport { directory: admin.store_directory() }),
    }
}

/// A volume, and the token that opens it.
struct Lock<'a> {
    session: Session<'a>,
    enrolled: Vec<(Wanted, Enrolled)>,
    report: CheckReport,
}

/// All that can be known without a PIN, so that none is asked for in vain.
fn look<'a>(admin: &'a Admin, what: &What) -> Result<Lock<'a>> {
    let device = what.device.display().to_string();
    let volume = Volume::read(&what.device)?;
    if volume.enrolled.is_empty() {
        return Err(Failure::not_found(format!(
            "{device}: no token is enrolled in its header: systemd-cryptenroll \
             --pkcs11-token-uri=… does it, and wipes the old one if there was one"
        )));
    }
    let session = Session::open(admin, what.at.slot)?;
    let facts = session.facts()?;
    let ours = |one: Enrolled| Some((Wanted::parse(&one.uri)?, one));
    let enrolled: Vec<_> = volume
        .enrolled
        .into_iter()
        .filter_map(ours)
        .filter(|(wanted, _)| wanted.is(facts))
        .collect();
    if enrolled.is_empty() {
        return Err(Failure::not_found(format!(
            "{device}: another token than \"{}\" is enrolled in its header",
            facts.label
        )));
    }
    let (_, status) = admin.tpm().map_err(|error| no_tpm(admin, &error))?;
    let lockout = LockoutReport::of(&status);
    may_try(&lockout, what.last_try)?;
    let token = facts.label.clone();
    let report = CheckReport { device, uuid: volume.uuid, token, tries_left: lockout.tries_left };
    Ok(Lock { session, enrolled, report })
}

/// A TPM that takes no PIN any more takes none for other keys either, nor tomorrow perhaps: whoever
/// boots a machine by guessing is not to bring it about.
fn may_try(lockout: &LockoutReport, last_try: bool) -> Result<()> {
    let wait = format!(
        "one try is given back every {} s, `hierarkey lockout reset` gives back all",
        lockout.seconds_per_try
    );
    if lockout.locked || lockout.tries_left == 0 {
        let why = format!("the TPM accepts no PIN now, after too many wrong ones: {wait}");
        return Err(Failure::new(Kind::Locked, why));
    }
    if lockout.tries_left == 1 && lockout.tries > 1 && !last_try {
        let why = format!("the last PIN that the TPM takes is not used up for a disk: {wait}");
        return Err(Failure::new(Kind::Locked, why));
    }
    Ok(())
}

impl Lock<'_> {
    /// What the token's key makes of what is in the header.
    fn open(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut keys = Vec::new();
        for (wanted, enrolled) in &self.enrolled {
            for (key, opens) in self.keys(wanted, enrolled.key.len())? {
                keys.push((key, opens, enrolled));
            }
        }
        // A wrong RSA key decrypts to something, too: nobody would hear of the mistake.
        match keys.as_slice() {
            [(key, opens, enrolled)] => opens(&self.session, *key, &enrolled.key),
            [] => Err(Failure::not_found(
                "the token has no key that decrypts what is in the volume's header: the key was \
                 deleted, or made anew",
            )),
            several => Err(Failure::not_found(format!(
                "the token has {} keys that may be the volume's: enrol it by a URI that names one \
                 with ;object=…",
                several.len()
            ))),
        }
    }

    /// The keys that the header may mean, and how each is used.
    fn keys(&self, wanted: &Wanted, len: usize) -> Result<Vec<(Handle, Opens)>> {
        let session = &self.session;
        let mut template = wanted.attributes();
        template.extend([ulong(CKA_CLASS, CKO_PRIVATE_KEY), flag(CKA_TOKEN, true)]);
        let mut keys = Vec::new();
        for key in session.find(template)? {
            let opens = match session.number(key, CKA_KEY_TYPE)? {
                Some(CKK_RSA)
                    if session.is_set(key, CKA_DECRYPT)?
                        && session.attribute(key, CKA_MODULUS)?.unwrap_or_default().len()
                            == len =>
                {
                    decrypts
                }
                Some(CKK_EC) if session.is_set(key, CKA_DERIVE)? && len % 2 == 1 => agrees,
                _ => continue,
            };
            keys.push((key, opens as Opens));
        }
        Ok(keys)
    }
}

type Opens = fn(&Session<'_>, Handle, &[u8]) -> Result<Zeroizing<Vec<u8>>>;

fn decrypts(session: &Session<'_>, key: Handle, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    session.decrypt(plain(CKM_RSA_PKCS), key, ciphertext).map(Zeroizing::new)
}

fn agrees(session: &Session<'_>, key: Handle, point: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    session.agree(key, point.to_vec()).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_try_is_kept_unless_it_is_asked_for() {
        let lockout = |tries_left, tries, locked| LockoutReport {
            tries_left,
            tries,
            seconds_per_try: 600,
            locked,
            authorization_set: false,
        };
        assert!(may_try(&lockout(2, 3, false), false).is_ok());
        let kept = may_try(&lockout(1, 3, false), false).unwrap_err();
        assert_eq!(kept.kind, Kind::Locked);
        assert!(kept.message.contains("600 s"), "{kept}");
        assert!(may_try(&lockout(1, 3, false), true).is_ok());
        // A TPM that takes one wrong PIN alone has no other try to spend.
        assert!(may_try(&lockout(1, 1, false), false).is_ok());
        assert!(may_try(&lockout(0, 3, true), true).is_err());
    }
}
