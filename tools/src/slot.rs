//! A slot by the name of its hierarchy.

use clap::{Args, ValueEnum};
use hierarkey::tpm::Hierarchy;

use crate::pin::UserPin;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Slot {
    Owner,
    Endorsement,
    Platform,
    Null,
}

impl Slot {
    pub fn hierarchy(self) -> Hierarchy {
        match self {
            Self::Owner => Hierarchy::Owner,
            Self::Endorsement => Hierarchy::Endorsement,
            Self::Platform => Hierarchy::Platform,
            Self::Null => Hierarchy::Null,
        }
    }
}

/// Which token, for whoever needs no PIN.
#[derive(Args, Clone, Debug)]
pub struct Where {
    /// The hierarchy whose token it is
    #[arg(long, value_enum, default_value = "owner")]
    pub slot: Slot,
}

/// Which token, and its user's PIN.
#[derive(Args, Clone, Debug)]
pub struct AsUser {
    #[command(flatten)]
    pub at: Where,
    #[command(flatten)]
    pub pin: UserPin,
}
