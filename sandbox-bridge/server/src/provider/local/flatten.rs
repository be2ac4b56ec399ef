//! Joins a snapshot with everything it stands on into one layer, when its chain is too long or holds too much that nobody sees.
//!
//! The joined layer comes beside the snapshot's own by the same commit protocol and is preferred from then on; what is not
//! needed any more is swept. Runs in the background, after a snapshot was answered.

use super::content::allocated;
use super::layers::{self, Chain, ChainError, FLAT};
use super::layout::{BASE_LAYER, Layout};
use super::merge::{self, Kind, Marks};
use super::meta::{LayerMeta, Reason};
use super::publish::{Draft, NewLayer};
use protocol::id::SnapshotId;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A longer chain is joined.
const DEPTH_MAX: usize = 32;
/// A chain beyond this is joined before it is mounted, because the kernel takes one page of mount options.
pub(crate) const MOUNT_MAX: usize = 64;
/// Below this, nothing is won by joining.
const BYTES_MIN: u64 = 16 << 20;

/// Joins the snapshot when that is worth it. `guard` keeps others from sweeping while its result is held.
pub(crate) fn flatten_if_worth<G>(
    layout: &Layout,
    id: &SnapshotId,
    guard: impl Fn() -> G,
) -> io::Result<Option<LayerMeta>> {
    let chain = match layers::chain(layout, id, None) {
        Ok(chain) => chain,
        Err(ChainError::Unreadable(_, error)) => return Err(error),
        // Deleted meanwhile, or of no use: nobody waits for this.
        Err(
            ChainError::Missing(_)
            | ChainError::Foreign(_)
            | ChainError::Broken { .. }
            | ChainError::Damaged(..),
        ) => return Ok(None),
    };
    if !is_worth(layout, &chain)? {
        return Ok(None);
    }
    flatten(layout, id, chain, guard).map(Some)
}

fn flatten<G>(
    layout: &Layout,
    id: &SnapshotId,
    chain: Chain,
    guard: impl Fn() -> G,
) -> io::Result<LayerMeta> {
    let top = chain.metas.first().ok_or(io::ErrorKind::NotFound)?;
    let mut draft = Draft::begin(
        layout,
        NewLayer {
            name: &format!("{id}{FLAT}"),
            owner: top.owner.clone(),
            sandbox: top.sandbox_id.as_ref(),
            driver: top.driver,
            reason: Reason::Flattened,
            lowers: vec![BASE_LAYER.to_owned()],
            tools: top.tools.clone(),
            bytes_max: u64::MAX,
        },
    )?;
    draft.join(&paths(layout, &chain))?;
    draft.seal()?;
    let _guard = guard();
    let meta = draft.publish()?;
    // Its leases would keep what is not needed any more.
    drop(chain);
    layers::sweep(layout)?;
    Ok(meta)
}

/// The trees of a chain but the base, which is empty.
fn paths(layout: &Layout, chain: &Chain) -> Vec<PathBuf> {
    chain.metas.iter().map(|meta| layout.layer(&meta.name).join("fs")).collect()
}

fn is_worth(layout: &Layout, chain: &Chain) -> io::Result<bool> {
    if chain.metas.len() < 2 {
        return Ok(false);
    }
    if chain.metas.len() > DEPTH_MAX {
        return Ok(true);
    }
    let sum: u64 = chain.metas.iter().map(|meta| meta.bytes).sum();
    if sum < BYTES_MIN {
        return Ok(false);
    }
    let tops = merge::open_tops(&paths(layout, chain))?;
    Ok(sum > 2 * merged_bytes(&tops, 0)?)
}

/// What the layers would take as one.
fn merged_bytes(stack: &[OwnedFd], depth: usize) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in merge::list(stack, Marks::Apply, u64::MAX)? {
        bytes += match entry.kind() {
            Kind::File => allocated(&entry.data),
            Kind::Directory => {
                let below = merge::open_directory(stack, &entry, Marks::Apply, depth)?;
                merged_bytes(&below, depth + 1)?
            }
            Kind::Link | Kind::Fifo | Kind::Removed | Kind::Other => 0,
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
