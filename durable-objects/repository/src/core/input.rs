//! Everything that can happen to a repository, and everything it can order.

use super::state::Claimant;
use crate::call::{
    ClaimAnswer, ClaimCall, ConfigureCall, EndedCall, LogCall, ReleaseCall, ReserveCall, WarmCall,
};
use protocol::error::ErrorBody;
use protocol::id::{BuildId, ImageId, SandboxId};
use protocol::repository::Inventory;
use protocol::time::Timestamp;

/// What an input is judged under.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The present moment.
    pub now: Timestamp,
    /// Fresh random bytes, from which ids are drawn.
    pub random: [u8; 16],
}

/// A cause.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// It is to be built from there, in this way.
    Configured(ConfigureCall),
    /// Somebody wants an image of the newest commit.
    BuildRequested,
    /// A session wants a sandbox.
    Claimed {
        /// What it asks.
        call: ClaimCall,
        /// What is remembered of it.
        seen: Option<Claimant>,
    },
    /// A session does not want what it claimed.
    Released {
        /// What it says.
        call: ReleaseCall,
        /// What is remembered of it.
        seen: Option<Claimant>,
    },
    /// Somebody composes a prompt.
    Reserved(ReserveCall),
    /// A build said something.
    LogReported(LogCall),
    /// A build is over.
    BuildEnded(EndedCall),
    /// A warm sandbox changed.
    WarmReported {
        /// How it is.
        call: WarmCall,
        /// Whether a session has it.
        claimed: bool,
    },
    /// What came of an order.
    WorkDone {
        /// Which.
        work: Work,
        /// How it went.
        outcome: WorkOutcome,
        /// Whether the sandbox that it is about is a session's by now.
        claimed: bool,
    },
    /// A time that was asked for has come, or somebody sees to it that none was missed.
    DeadlineReached,
}

/// A consequence. The changed state itself is stored with it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Is to happen outside, until it has.
    Enqueue(Work),
    /// Need not happen any more.
    Withdraw(Work),
    /// Remembers what a session got.
    SaveClaimant(Claimant),
    /// Forgets sessions that were last heard of before.
    ForgetClaims {
        /// When.
        before: Timestamp,
    },
    /// A log grows.
    AppendLog {
        /// Of which build.
        build_id: BuildId,
        /// Bytes before it.
        at: u64,
        /// By what.
        text: String,
    },
    /// A log is not kept any longer.
    DropLog(BuildId),
    /// What the caller hears.
    Reply(Reply),
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is so.
    Done,
    /// It will be so.
    Accepted,
    /// Of a claim.
    Claim(ClaimAnswer),
    /// How far a log is here.
    LogAcked {
        /// Bytes.
        offset: u64,
    },
    /// No.
    Refused(ErrorBody),
}

/// Something that must happen outside. What it needs beside its id is known when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Makes an image.
    StartBuild(BuildId),
    /// Ends a build.
    CancelBuild(BuildId),
    /// Removes an image for good.
    DeleteImage(ImageId),
    /// Makes a warm sandbox.
    Fill(SandboxId),
    /// Ends a sandbox that no session has.
    Discard(SandboxId),
    /// Asks what the provider has.
    TakeInventory,
}

/// How an order went.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkOutcome {
    /// It is done.
    Done,
    /// What the provider had when it was asked.
    Inventory {
        /// That.
        inventory: Inventory,
        /// When it was asked.
        asked_at: Timestamp,
        /// Sandboxes that sessions were given lately.
        claimed: Vec<SandboxId>,
    },
    /// What it needs is not there.
    Gone {
        /// In the bridge's words.
        reason: String,
    },
    /// It did not work now.
    Delayed {
        /// Why, for humans.
        reason: String,
        /// How long the provider wants to be left alone.
        retry_after_ms: Option<u64>,
    },
    /// It was understood and refused.
    Rejected {
        /// Why, for humans.
        reason: String,
    },
}

impl Work {
    /// Its name in the outbox: the same order twice is one.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::StartBuild(id) => format!("build/{id}"),
            // Names of removals stand together in the alphabet: the outbox reads them apart from all others.
            Self::CancelBuild(id) => format!("cancel/{id}"),
            Self::DeleteImage(id) => format!("delete/{id}"),
            Self::Fill(id) => format!("fill/{id}"),
            Self::Discard(id) => format!("discard/{id}"),
            Self::TakeInventory => "inventory/".to_owned(),
        }
    }

    /// The work of a name in the outbox.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (kind, id) = key.split_once('/')?;
        match kind {
            "build" => BuildId::parse(id).ok().map(Self::StartBuild),
            "cancel" => BuildId::parse(id).ok().map(Self::CancelBuild),
            "delete" => ImageId::parse(id).ok().map(Self::DeleteImage),
            "fill" => SandboxId::parse(id).ok().map(Self::Fill),
            "discard" => SandboxId::parse(id).ok().map(Self::Discard),
            "inventory" => Some(Self::TakeInventory),
            _ => None,
        }
    }

    /// Whether it ends or removes something, which nobody waits for.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        match self {
            Self::CancelBuild(_) | Self::DeleteImage(_) | Self::Discard(_) => true,
            Self::StartBuild(_) | Self::Fill(_) | Self::TakeInventory => false,
        }
    }

    /// Whether it makes something, and so shows whether the provider works.
    #[must_use]
    pub fn is_making(&self) -> bool {
        match self {
            Self::StartBuild(_) | Self::Fill(_) => true,
            Self::CancelBuild(_) | Self::DeleteImage(_) | Self::Discard(_) | Self::TakeInventory => false,
        }
    }
}
