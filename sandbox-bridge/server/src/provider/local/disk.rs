//! Keeps sandboxes to their disk by watching them: an ordinary account cannot set quotas.
//!
//! Looking costs time, so it is done when a sandbox could be over its limit, by what the whole file system has grown since the last
//! look, and rarely otherwise. A sandbox that is over is stopped, counted again, and ended. Between two looks it may be over.

use super::inner::Inner;
use super::layout::Layout;
use super::sandbox::{Ending, Running, Stillness};
use super::usage::{Usage, measure};
use nix::sys::statvfs::statvfs;
use protocol::bridge::SandboxLimits;
use protocol::id::SandboxId;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often the file system is asked for its free room; that is one system call.
const TICK: Duration = Duration::from_millis(250);
/// A sandbox that may be over is looked at for no more than this part of the time.
const URGENT_SHARE: u32 = 10;
/// How often a sandbox is looked at that cannot be over, unless somebody else has freed what it took.
const SELDOM: Duration = Duration::from_secs(30);
/// And for no more than this part of the time.
const SELDOM_SHARE: u32 = 200;
/// Files for each MiB of disk, and for a small one; ext4 makes room for 64 per MiB.
const FILES_PER_MIB: u64 = 100;
const FILES_MIN: u64 = 4_096;

/// What a sandbox may take.
pub(super) fn allowed(limits: &SandboxLimits) -> Usage {
    let mib = u64::from(limits.disk_mib);
    Usage { bytes: mib << 20, files: (mib * FILES_PER_MIB).max(FILES_MIN) }
}

/// Why a sandbox that has taken this is ended, if it is.
fn evaluate(taken: Usage, allowed: Usage) -> Option<Ending> {
    if taken.bytes > allowed.bytes {
        Some(Ending::Disk)
    } else if taken.files > allowed.files {
        Some(Ending::Files)
    } else {
        None
    }
}

/// What was seen of one sandbox.
#[derive(Clone, Copy, Debug)]
struct Look {
    taken: Usage,
    /// What the whole file system had then.
    everybody: Usage,
    at: Instant,
    cost: Duration,
}

impl Look {
    /// Whether another one is due.
    fn is_due(&self, everybody: Usage, allowed: Usage, now: Instant) -> bool {
        let grown = Usage {
            bytes: everybody.bytes.saturating_sub(self.everybody.bytes),
            files: everybody.files.saturating_sub(self.everybody.files),
        };
        let mut at_most = self.taken;
        at_most += grown;
        let age = now.saturating_duration_since(self.at);
        if evaluate(at_most, allowed).is_some() {
            return age >= self.cost * URGENT_SHARE;
        }
        everybody != self.everybody && age >= SELDOM.max(self.cost * SELDOM_SHARE)
    }
}

/// Runs as long as the provider does.
pub(super) async fn watch(inner: Weak<Inner>) {
    let mut looks = HashMap::new();
    loop {
        tokio::time::sleep(TICK).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.sandboxes.all().is_empty() {
            looks.clear();
            continue;
        }
        let round = tokio::task::spawn_blocking(move || {
            if let Err(error) = look_around(&inner, &mut looks) {
                tracing::warn!(%error, "could not look how much disk the sandboxes take");
            }
            looks
        });
        looks = round.await.unwrap_or_default();
    }
}

fn look_around(inner: &Inner, looks: &mut HashMap<SandboxId, Look>) -> io::Result<()> {
    let all = inner.sandboxes.all();
    looks.retain(|id, _| all.iter().any(|running| running.state.sandbox_id == *id));
    let everybody = everybody(inner.layout.root())?;
    for running in all {
        let id = &running.state.sandbox_id;
        let allowed = allowed(&running.state.order.limits);
        let now = Instant::now();
        if looks.get(id).is_some_and(|look| !look.is_due(everybody, allowed, now)) {
            continue;
        }
        match taken(&inner.layout, &running) {
            Ok(taken) => {
                let look = Look { taken, everybody, at: now, cost: now.elapsed() };
                looks.insert(id.clone(), look);
                if evaluate(taken, allowed).is_some() {
                    end_if_over(&inner.layout, &running, allowed);
                }
            }
            // Gone, or rearranged: the next round tells.
            Err(error) => tracing::debug!(sandbox_id = %id, %error, "could not look how much disk it takes"),
        }
    }
    Ok(())
}

/// What all files of the file system take.
fn everybody(root: &Path) -> io::Result<Usage> {
    let data = statvfs(root)?;
    let bytes = data.blocks().saturating_sub(data.blocks_free()) * data.fragment_size();
    Ok(Usage { bytes, files: data.files().saturating_sub(data.files_free()) })
}

/// What a sandbox has written, files that it has removed but still holds open included.
fn taken(layout: &Layout, running: &Running) -> io::Result<Usage> {
    let directory = layout.sandbox(&running.state.sandbox_id);
    let mut taken = running.nameless_files();
    for part in ["upper", "tmp", "run"] {
        taken += measure(&directory.join(part), allowed(&running.state.order.limits).files)?;
    }
    Ok(taken)
}

/// Stops whatever writes, counts again, and ends the sandbox when it really is over. What cannot be stopped is ended too.
fn end_if_over(layout: &Layout, running: &Arc<Running>, allowed: Usage) {
    let id = &running.state.sandbox_id;
    let still = Stillness::begin(running, &layout.sandbox(id));
    let ending = match (&still, &taken(layout, running)) {
        (Ok(_), Ok(taken)) => evaluate(*taken, allowed),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(sandbox_id = %id, %error, "could not stop a sandbox that is over its disk");
            Some(Ending::Disk)
        }
    };
    if let Some(ending) = ending {
        tracing::info!(sandbox_id = %id, ?ending, "ending a sandbox that is over its disk");
        running.kill(ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn usage(mib: u64, files: u64) -> Usage {
        Usage { bytes: mib * MIB, files }
    }

    fn look(taken: Usage) -> Look {
        Look { taken, everybody: usage(1000, 1000), at: Instant::now(), cost: Duration::from_millis(10) }
    }

    #[test]
    fn bytes_and_files_are_both_limited() {
        let limits = SandboxLimits { disk_mib: 100, ..SandboxLimits::default() };
        let allowed = allowed(&limits);
        assert_eq!(allowed, usage(100, 10_000));
        assert_eq!(evaluate(usage(100, 10_000), allowed), None);
        assert_eq!(evaluate(usage(101, 1), allowed), Some(Ending::Disk));
        assert_eq!(evaluate(usage(1, 10_001), allowed), Some(Ending::Files));
        let small = SandboxLimits { disk_mib: 1, ..limits };
        assert_eq!(super::allowed(&small), usage(1, FILES_MIN));
    }

    #[test]
    fn a_sandbox_is_looked_at_when_it_could_be_over() {
        let look = look(usage(90, 10));
        let allowed = usage(100, 1000);
        let soon = look.at + Duration::from_millis(100);
        // Nobody has written enough for it.
        assert!(!look.is_due(usage(1010, 1000), allowed, soon));
        assert!(look.is_due(usage(1011, 1000), allowed, soon));
        assert!(look.is_due(usage(1000, 1991), allowed, soon));
        // But not more often than it costs.
        assert!(!look.is_due(usage(1011, 1000), allowed, look.at + Duration::from_millis(99)));
    }

    #[test]
    fn a_sandbox_is_looked_at_seldom_when_it_cannot_be_over() {
        let look = look(usage(1, 1));
        let allowed = usage(100, 1000);
        let late = look.at + SELDOM;
        // Somebody may have freed what it took.
        assert!(look.is_due(usage(999, 1000), allowed, late));
        assert!(!look.is_due(usage(999, 1000), allowed, late - Duration::from_secs(1)));
        // Where nothing has changed at all there is nothing to see.
        assert!(!look.is_due(look.everybody, allowed, late + SELDOM));
    }
}
