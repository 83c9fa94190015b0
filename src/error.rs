//! What the application is told (`CK_RV`), why, and what failed underneath.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::{fmt, io, iter};

use cryptoki_sys::{CK_RV, CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR};
use rustix::io::Errno;

/// The result of everything below the C ABI.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure: the return value PKCS#11 names for it, the reason, and its cause.
///
/// The `CK_RV` *is* the classification: it is named where it is raised, so that a search for a
/// `CKR_` name ends at the line that raises it. Nothing secret goes into the reason.
#[derive(Debug)]
pub struct Error {
    rv: CK_RV,
    why: Cow<'static, str>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    tpm_rc: Option<u32>,
    about: Option<About>,
}

/// What a failure is about, where PKCS#11 has one return value for several things: what helps
/// differs, and so an administrator has to be told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The file of tokens and objects, not the TPM.
    Store,
    /// A store that a newer version of this library wrote.
    NewerStore,
    /// A store in which a process died in the middle of a change, for who may not undo it.
    InterruptedStore,
    /// A store that others held for too long.
    BusyStore,
    /// A slot whose token is not made yet.
    NoTokenYet,
    /// A token that this TPM cannot open: another one's, or made before it was cleared.
    ForeignToken,
}

impl Error {
    /// A rule of PKCS#11 was broken; `rv` names it, `why` says by what.
    pub fn new(rv: CK_RV, why: impl Into<Cow<'static, str>>) -> Self {
        Self { rv, why: why.into(), cause: None, tpm_rc: None, about: None }
    }

    /// A layer below failed with `cause`; only that layer chooses `rv` for it.
    pub fn because(
        rv: CK_RV,
        why: impl Into<Cow<'static, str>>,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { rv, why: why.into(), cause: Some(cause.into()), tpm_rc: None, about: None }
    }

    /// The TPM answered `rc`; `rv` is what `tpm/rc.rs` makes of it.
    pub fn from_tpm(rv: CK_RV, why: impl Into<Cow<'static, str>>, rc: u32) -> Self {
        Self { rv, why: why.into(), cause: None, tpm_rc: Some(rc), about: None }
    }

    /// Something that cannot happen did: a table without its row, an invariant broken.
    pub fn bug(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CKR_GENERAL_ERROR, why)
    }

    /// The same failure, and what it is about.
    #[must_use]
    pub fn concerning(mut self, about: About) -> Self {
        self.about = Some(about);
        self
    }

    /// The same failure under another return value, where the caller's function names it otherwise.
    #[must_use]
    pub fn told_as(mut self, rv: CK_RV) -> Self {
        self.rv = rv;
        self
    }

    /// The same failure, told as `rv` if it is one of `these`.
    #[must_use]
    pub fn retold(self, these: &[CK_RV], rv: CK_RV) -> Self {
        if these.contains(&self.rv) { self.told_as(rv) } else { self }
    }

    /// What the application is told.
    pub fn ck_rv(&self) -> CK_RV {
        self.rv
    }

    /// The TPM's response code, where a TPM answered with one: `ulDeviceError` shows it.
    pub fn tpm_rc(&self) -> Option<u32> {
        self.tpm_rc
    }

    /// What it is about, where the return value does not say.
    pub fn about(&self) -> Option<About> {
        self.about
    }

    /// Whether the system underneath let this user not do it.
    pub fn is_denied(&self) -> bool {
        let told = self.cause::<io::Error>().map(io::Error::kind);
        let told = told.or_else(|| self.cause::<Errno>().map(|errno| errno.kind()));
        told == Some(io::ErrorKind::PermissionDenied)
    }

    /// What failed underneath, if a `T` is among it.
    pub fn cause<T: StdError + 'static>(&self) -> Option<&T> {
        self.causes().find_map(|cause| cause.downcast_ref())
    }

    /// What failed underneath, from the top down.
    fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        iter::successors(self.source(), |&cause| cause.source())
    }
}

impl From<getrandom::Error> for Error {
    fn from(cause: getrandom::Error) -> Self {
        Self::because(CKR_FUNCTION_FAILED, "no random bytes from the system", cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (CKR 0x{:x}", self.why, self.rv)?;
        if let Some(rc) = self.tpm_rc {
            write!(f, ", TPM_RC 0x{rc:x}")?;
        }
        f.write_str(")")?;
        self.causes().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn StdError + 'static))
    }
}
