//! What a sandbox has spent on models, and what its running calls may still spend: the budget counts both.
//!
//! A call reserves what it may cost when it begins, so that calls at the same time do not all pass on the same rest. Both sums are
//! kept in the sandbox's folder, so that the next bridge goes on from there; a call that died with its bridge has cost what it had
//! reserved. Belongs to the hub's sandbox; the model gateway writes it.

use super::usage::{ModelPrice, Tokens};
use crate::hub::Sandbox;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// In the sandbox's folder.
const FILE: &str = "models.json";

/// What a sandbox's model calls came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelCounts {
    /// Calls that a provider answered.
    pub calls: u64,
    /// All tokens.
    pub tokens: Tokens,
    /// What they cost, as far as there are prices.
    pub cost_micro_dollars: u64,
    /// From the last call until its first bytes.
    pub last_first_token: Option<Duration>,
}

/// [`ModelCounts`] of one sandbox, as they grow.
#[derive(Debug, Default)]
pub struct SandboxModels(Mutex<Spending>);

#[derive(Debug, Default)]
struct Spending {
    counts: ModelCounts,
    /// By calls that run.
    reserved: u64,
    file: Option<PathBuf>,
}

/// As it is written down.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    calls: u64,
    tokens: Tokens,
    cost_micro_dollars: u64,
    reserved_micro_dollars: u64,
}

/// Why a call may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoBudget {
    /// It has all been spent.
    Spent(u64),
    /// The rest may be needed by calls that run.
    Reserved,
}

/// What one call may cost, until it has ended.
pub(super) struct Reservation {
    sandbox: Arc<Sandbox>,
    amount: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.sandbox.models.release(std::mem::take(&mut self.amount));
    }
}

impl SandboxModels {
    /// So far.
    #[must_use]
    pub fn counts(&self) -> ModelCounts {
        self.lock().counts
    }

    /// Keeps it in this folder from here on, and takes over what an earlier bridge has kept there. Once is enough.
    pub fn keep_in(&self, folder: &Path) {
        let path = folder.join(FILE);
        let mut spending = self.lock();
        if spending.file.is_some() {
            return;
        }
        match fs::read(&path).and_then(|text| Ok(serde_json::from_slice::<Kept>(&text)?)) {
            Ok(kept) => {
                let counts = &mut spending.counts;
                counts.calls = counts.calls.saturating_add(kept.calls);
                counts.tokens.add(kept.tokens);
                let cost = kept.cost_micro_dollars.saturating_add(kept.reserved_micro_dollars);
                counts.cost_micro_dollars = counts.cost_micro_dollars.saturating_add(cost);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "what a sandbox has spent is unknown")
            }
        }
        spending.file = Some(path);
    }

    pub(super) fn add_call(&self, first_token: Duration) {
        let mut spending = self.lock();
        spending.counts.calls += 1;
        spending.counts.last_first_token = Some(first_token);
    }

    /// Lets a call begin that may cost so much, if something of the budget is neither spent nor reserved. The last one may so go
    /// beyond it, by no more than what it costs.
    pub(super) fn reserve(sandbox: &Arc<Sandbox>, amount: u64, budget: u64) -> Result<Reservation, NoBudget> {
        let mut spending = sandbox.models.lock();
        let spent = spending.counts.cost_micro_dollars;
        if spent >= budget {
            return Err(NoBudget::Spent(spent));
        }
        if spent.saturating_add(spending.reserved) >= budget {
            return Err(NoBudget::Reserved);
        }
        spending.reserved = spending.reserved.saturating_add(amount);
        spending.save();
        Ok(Reservation { sandbox: Arc::clone(sandbox), amount })
    }

    fn release(&self, amount: u64) {
        if amount > 0 {
            let mut spending = self.lock();
            spending.reserved = spending.reserved.saturating_sub(amount);
            spending.save();
        }
    }

    /// Takes in that a running call that had come to `before` has come to `now`.
    pub(super) fn grow(&self, before: Tokens, now: Tokens, price: Option<ModelPrice>) {
        self.lock().grow(before, now, price);
    }

    /// The same for a call that has ended, whose reservation ends with it. Written down when this returns.
    pub(super) fn settle(
        &self,
        before: Tokens,
        now: Tokens,
        price: Option<ModelPrice>,
        reservation: Option<Reservation>,
    ) {
        let mut spending = self.lock();
        spending.grow(before, now, price);
        if let Some(mut reservation) = reservation {
            spending.reserved = spending.reserved.saturating_sub(std::mem::take(&mut reservation.amount));
        }
        spending.save();
    }

    fn lock(&self) -> MutexGuard<'_, Spending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spending {
    fn grow(&mut self, before: Tokens, now: Tokens, price: Option<ModelPrice>) {
        self.counts.tokens.add(now.since(before));
        if let Some(price) = price {
            let more = price.cost(now).saturating_sub(price.cost(before));
            self.counts.cost_micro_dollars = self.counts.cost_micro_dollars.saturating_add(more);
        }
    }

    /// A hundred bytes, twice a call: not worth a thread. A bridge that is killed leaves the old file or the new one.
    fn save(&self) {
        let Some(path) = &self.file else { return };
        let kept = Kept {
            calls: self.counts.calls,
            tokens: self.counts.tokens,
            cost_micro_dollars: self.counts.cost_micro_dollars,
            reserved_micro_dollars: self.reserved,
        };
        let temporary = path.with_extension("tmp");
        let saved = serde_json::to_vec(&kept)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&temporary, text))
            .and_then(|()| fs::rename(&temporary, path));
        match saved {
            // The sandbox has ended in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(path = %path.display(), %error, "could not keep what was spent"),
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_rounded_up_and_grow_by_what_is_new() {
        let price = ModelPrice {
            input: 3_000_000,
            output: 15_000_000,
            cached_input: Some(300_000),
            cache_write: None,
        };
        let models = SandboxModels::default();
        let first = Tokens { input: 10, cached_input: 5, cache_write: 1, output: 0 };
        models.grow(Tokens::default(), first, Some(price));
        assert_eq!(models.counts().cost_micro_dollars, 35);
        models.grow(first, Tokens { output: 2, ..first }, Some(price));
        models.grow(Tokens::default(), Tokens { input: 1, ..Tokens::default() }, None);
        let counts = models.counts();
        assert_eq!((counts.cost_micro_dollars, counts.tokens.input, counts.tokens.output), (65, 11, 2));
    }

    #[test]
    fn the_next_bridge_goes_on_from_what_was_spent_and_what_running_calls_had_reserved() {
        let folder = tempfile::tempdir().unwrap();
        let price = ModelPrice { input: 1_000_000, output: 1_000_000, cached_input: None, cache_write: None };
        let tokens = Tokens { input: 7, output: 3, ..Tokens::default() };
        let models = SandboxModels::default();
        models.keep_in(folder.path());
        models.add_call(Duration::ZERO);
        models.lock().reserved = 40;
        models.settle(Tokens::default(), tokens, Some(price), None);
        let next = SandboxModels::default();
        next.keep_in(folder.path());
        next.keep_in(folder.path());
        let counts = next.counts();
        assert_eq!((counts.calls, counts.tokens, counts.cost_micro_dollars), (1, tokens, 50));
        fs::write(folder.path().join(FILE), "{").unwrap();
        let damaged = SandboxModels::default();
        damaged.keep_in(folder.path());
        assert_eq!(damaged.counts(), ModelCounts::default());
    }
}
