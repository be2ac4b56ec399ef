//! What the local provider is told, and what it makes of it on this machine: the tier of isolation.

use super::blocked::{self, DEFAULT_BLOCKED};
use super::boot;
use super::layout::Layout;
use super::meta::SnapshotDriver;
use super::preflight::{Preflight, Strength};
use crate::launcher::{Account, Landlock};
use std::io;
use std::path::PathBuf;

/// The account of sandboxes where the bridge is root, unless configured otherwise.
pub const DEFAULT_ACCOUNT: Account = Account { uid: 61184, gid: 61184 };

/// The runner, by its path inside.
const RUNNER: &str = "/opt/farhand/bin/runner";

/// What the local provider needs to know.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Sandboxes and snapshots; on a file system with `user.*` attributes.
    pub state_dir: PathBuf,
    /// The static runner binary.
    pub runner: PathBuf,
    /// OpenCode, where the agent is used.
    pub opencode: Option<PathBuf>,
    /// Less isolation is accepted: no Landlock, or plain processes where namespaces are missing.
    pub weak_sandbox: bool,
    /// Plain processes even where namespaces are there; for tests of that tier.
    pub force_weak: bool,
    /// Whether sandboxes that are over their disk are ended. Off for tests of what else keeps them to it.
    pub watch_disk: bool,
    /// Whom sandboxes run as when the bridge is root; otherwise they run as the bridge's own account.
    pub account: Account,
    /// The certificate authorities that sandboxes trust, where these are not simply the machine's own.
    pub ca_bundle: Option<PathBuf>,
    /// More of the host inside every sandbox, read-only.
    pub tool_mounts: Vec<ToolMount>,
    /// Names of commands that a stand-in takes the place of; see [`DEFAULT_BLOCKED`].
    pub blocked_commands: Vec<String>,
    /// What is started as the launcher: this very binary.
    pub launcher: PathBuf,
    /// What PID 1 executes, by its path inside.
    pub command: Vec<String>,
    /// What PID 1 executes in a sandbox in which an image is built: it waits until it is ended.
    pub build_command: Vec<String>,
    /// Names of base images that this machine's own files count as.
    pub base_images: Vec<String>,
    /// What runs in place of the runner in the weak tier.
    pub weak_command: Option<Vec<String>>,
    /// How snapshots are made; where absent, with the overlay if the kernel has it.
    pub snapshot_driver: Option<SnapshotDriver>,
}

impl LocalConfig {
    /// The usual settings around a state directory and a runner.
    #[must_use]
    pub fn new(state_dir: PathBuf, runner: PathBuf) -> Self {
        Self {
            state_dir,
            runner,
            opencode: None,
            weak_sandbox: false,
            force_weak: false,
            watch_disk: true,
            account: DEFAULT_ACCOUNT,
            ca_bundle: None,
            tool_mounts: Vec::new(),
            blocked_commands: DEFAULT_BLOCKED.iter().map(|name| (*name).to_owned()).collect(),
            launcher: PathBuf::from("/proc/self/exe"),
            command: [RUNNER, "init"].map(str::to_owned).to_vec(),
            build_command: [RUNNER, "init", "--", RUNNER, "rest"].map(str::to_owned).to_vec(),
            base_images: Vec::new(),
            weak_command: None,
            snapshot_driver: None,
        }
    }
}

/// A directory or file of the host that sandboxes see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolMount {
    /// How recipes call it; one without a name is for every sandbox.
    pub name: Option<String>,
    /// On the host; symbolic links are followed once, at the start.
    pub host: PathBuf,
    /// Inside, absolute; not within a place that the sandbox can write.
    pub inside: PathBuf,
}

impl ToolMount {
    /// Whether a sandbox that asks for these has it.
    pub(super) fn is_for(&self, tools: &[String]) -> bool {
        self.name.as_ref().is_none_or(|name| tools.contains(name))
    }
}

/// Why the provider could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory is not usable.
    #[error("could not use the state directory {path}")]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A binary that sandboxes need is not usable.
    #[error("could not provide {what} to sandboxes")]
    Tool {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How sandboxes are kept apart on this machine.
#[derive(Clone, Debug)]
pub(crate) enum Tier {
    /// As they should be.
    Namespaces {
        /// Whether memory is limited for a sandbox as a whole.
        group_memory: bool,
        /// Whether Landlock is a condition; somebody has agreed to less where it is not.
        landlock: Landlock,
    },
    /// As plain processes of this account.
    Weak {
        /// Whom they run as; the bridge itself where its state directory is closed to others.
        account: Account,
        /// Whether memory is limited for a sandbox as a whole.
        group_memory: bool,
    },
    /// Not at all, for this reason.
    Refused {
        /// For humans, with the remedy.
        reason: String,
    },
}

impl Tier {
    /// Whether a sandbox as a whole cannot take more memory than it may.
    pub(super) fn group_limits_memory(&self) -> bool {
        match self {
            Self::Namespaces { group_memory, .. } | Self::Weak { group_memory, .. } => *group_memory,
            Self::Refused { .. } => false,
        }
    }

    /// Whether a sandbox may be without Landlock.
    pub(super) fn landlock(&self) -> Landlock {
        match self {
            Self::Namespaces { landlock, .. } => *landlock,
            Self::Weak { .. } | Self::Refused { .. } => Landlock::Required,
        }
    }

    /// Whom sandboxes run as.
    pub(super) fn account(&self, usual: Account) -> Account {
        match self {
            Self::Weak { account, .. } => *account,
            Self::Namespaces { .. } | Self::Refused { .. } => usual,
        }
    }
}

/// How this provider makes snapshots: plain processes have no overlay.
pub(super) fn choose_driver(config: &LocalConfig, tier: &Tier, preflight: &Preflight) -> SnapshotDriver {
    match (tier, config.snapshot_driver) {
        (Tier::Weak { .. }, _) => SnapshotDriver::Copy,
        (Tier::Namespaces { .. } | Tier::Refused { .. }, Some(driver)) => driver,
        (Tier::Namespaces { .. } | Tier::Refused { .. }, None) if preflight.overlay => {
            SnapshotDriver::Overlay
        }
        (Tier::Namespaces { .. } | Tier::Refused { .. }, None) => SnapshotDriver::Copy,
    }
}

/// Puts what sandboxes need under the state directory, where their account can reach it.
pub(super) fn install_tools(config: &mut LocalConfig, layout: &Layout) -> Result<(), StartError> {
    let install = |path: &PathBuf, name: &str| {
        layout.install_tool(path, name).map_err(|source| StartError::Tool { what: name.to_owned(), source })
    };
    install(&config.runner, "runner")?;
    if let Some(opencode) = &config.opencode {
        install(opencode, "opencode")?;
    }
    blocked::install(layout, &config.blocked_commands)
        .map_err(|source| StartError::Tool { what: "stand-ins of blocked commands".to_owned(), source })?;
    if let Some(bundle) = &config.ca_bundle {
        install(bundle, boot::CA_BUNDLE)?;
    }
    for mount in &mut config.tool_mounts {
        let what = mount.host.display().to_string();
        mount.host =
            std::fs::canonicalize(&mount.host).map_err(|source| StartError::Tool { what, source })?;
    }
    Ok(())
}

/// What the preflight and the settings come to.
pub(super) fn choose_tier(
    config: &LocalConfig,
    layout: &Layout,
    preflight: &Preflight,
    own: Account,
) -> Tier {
    let group_memory = preflight.limits("memory");
    if preflight.namespaces && !config.force_weak {
        return Tier::Namespaces { group_memory, landlock: Landlock::Required };
    }
    if preflight.isolation == Strength::NoLandlock && config.weak_sandbox && !config.force_weak {
        return Tier::Namespaces { group_memory, landlock: Landlock::IfThere };
    }
    if config.weak_sandbox || config.force_weak {
        let usable = preflight.has_account() && boot::can_enter(layout.root(), config.account);
        let account = if usable { config.account } else { own };
        return Tier::Weak { account, group_memory };
    }
    let reason = preflight.missing().first().cloned().unwrap_or_default();
    Tier::Refused {
        reason: format!(
            "This machine cannot isolate sandboxes: {reason} Or accept what there is with --weak-sandbox; without user namespaces \
             that is plain processes, which can read what the bridge's account can read."
        ),
    }
}
