//! What a sandbox has spent on models, and what its running calls may still spend: the budget counts both.
//!
//! A call reserves what it may cost when it begins, so that calls at the same time do not all pass on the same rest. Both sums are
//! kept in the sandbox's folder, so that the next bridge goes on from there; a call that died with its bridge has cost what it had
//! reserved. The limits are the operator's budget of one sandbox, and the allowance that the session was granted. Belongs to the hub's sandbox; the model gateway writes it.

use super::usage::{ModelPrice, Tokens};
use crate::clock;
use crate::hub::Sandbox;
use protocol::budget::{Allowance, Spending as Reported};
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
    reserved: Amount,
    /// What the session was granted for it.
    allowance: Option<Allowance>,
    /// Whether a call was refused for good since then.
    refused: bool,
    file: Option<PathBuf>,
}

/// As it is written down.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    calls: u64,
    tokens: Tokens,
    cost_micro_dollars: u64,
    reserved_micro_dollars: u64,
    #[serde(default)]
    allowance: Option<Allowance>,
}

/// What a call may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    /// Where the model has a price.
    pub(super) micro_dollars: u64,
    pub(super) tokens: u64,
}

/// What a call must find room in.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// The operator's, of this one sandbox.
    pub(super) budget: Option<u64>,
    /// The session's.
    pub(super) allowance: Option<Allowance>,
}

/// Why a call may not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoBudget {
    /// The sandbox's budget has all been spent.
    Spent(u64),
    /// The rest may be needed by calls that run.
    Reserved,
    /// The session's allowance is used up or over; there may be more.
    Waits,
    /// The session's allowance is used up for good, for this reason.
    UsedUp(String),
}

/// What one call may cost, until it has ended.
pub(super) struct Reservation {
    sandbox: Arc<Sandbox>,
    amount: Amount,
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
                spending.allowance = kept.allowance;
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

    /// What the session hears with its events; `None` while there is nothing to tell.
    #[must_use]
    pub fn report(&self) -> Option<Reported> {
        let spending = self.lock();
        let (micro_dollars, tokens) = (spending.counts.cost_micro_dollars, spending.counts.tokens.total());
        let has_news = micro_dollars > 0 || tokens > 0 || spending.refused;
        has_news.then_some(Reported { micro_dollars, tokens, refused: spending.refused })
    }

    /// From here on calls must find room in this allowance, unless a newer one is there already.
    pub fn allow(&self, allowance: Allowance) {
        let mut spending = self.lock();
        if spending.allowance.as_ref().is_none_or(|known| known.asked_at <= allowance.asked_at) {
            spending.allowance = Some(allowance);
            spending.refused = false;
            spending.save();
        }
    }

    /// What limits the sandbox's calls.
    pub(super) fn limits(&self, budget: Option<u64>) -> Limits {
        let allowance = self.lock().allowance.clone();
        let is_limit =
            |allowance: &Allowance| allowance.micro_dollars.is_some() || allowance.tokens.is_some();
        Limits { budget, allowance: allowance.filter(is_limit) }
    }

    /// Lets a call begin that may cost so much, if of each limit something is neither spent nor reserved. The last one may so go beyond
    /// it, by no more than what it costs.
    pub(super) fn reserve(
        sandbox: &Arc<Sandbox>,
        amount: Amount,
        limits: &Limits,
    ) -> Result<Reservation, NoBudget> {
        let mut spending = sandbox.models.lock();
        let spent = spending.counts.cost_micro_dollars;
        let (reserved, tokens) = (spending.reserved, spending.counts.tokens.total());
        if limits.budget.is_some_and(|budget| spent >= budget) {
            return Err(NoBudget::Spent(spent));
        }
        if limits.budget.is_some_and(|budget| spent.saturating_add(reserved.micro_dollars) >= budget) {
            return Err(NoBudget::Reserved);
        }
        if let Some(allowance) = &limits.allowance {
            let is_beyond = |money: u64, tokens: u64| {
                allowance.micro_dollars.is_some_and(|limit| money >= limit)
                    || allowance.tokens.is_some_and(|limit| tokens >= limit)
            };
            if is_beyond(spent, tokens) && !allowance.more {
                spending.refused = true;
                return Err(NoBudget::UsedUp(allowance.reason.clone()));
            }
            let is_over = allowance.until.is_some_and(|until| until <= clock::now());
            if is_over || is_beyond(spent, tokens) {
                return Err(NoBudget::Waits);
            }
            let with_running = spent.saturating_add(reserved.micro_dollars);
            if is_beyond(with_running, tokens.saturating_add(reserved.tokens)) {
                return Err(NoBudget::Reserved);
            }
        }
        spending.reserved.micro_dollars = reserved.micro_dollars.saturating_add(amount.micro_dollars);
        spending.reserved.tokens = reserved.tokens.saturating_add(amount.tokens);
        spending.save();
        Ok(Reservation { sandbox: Arc::clone(sandbox), amount })
    }

    fn release(&self, amount: Amount) {
        if amount != Amount::default() {
            let mut spending = self.lock();
            spending.give_back(amount);
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
            let amount = std::mem::take(&mut reservation.amount);
            spending.give_back(amount);
        }
        spending.save();
    }

    fn lock(&self) -> MutexGuard<'_, Spending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spending {
    fn give_back(&mut self, amount: Amount) {
        self.reserved.micro_dollars = self.reserved.micro_dollars.saturating_sub(amount.micro_dollars);
        self.reserved.tokens = self.reserved.tokens.saturating_sub(amount.tokens);
    }

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
            reserved_micro_dollars: self.reserved.micro_dollars,
            allowance: self.allowance.clone(),
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
        models.lock().reserved = Amount { micro_dollars: 40, tokens: 4 };
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
