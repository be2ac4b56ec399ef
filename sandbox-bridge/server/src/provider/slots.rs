//! The places of sandboxes by their ids, in memory: whoever changes one holds its gate. The same for every provider.
//!
//! Knows nothing of what runs; nothing in here is written down. Called by the providers.

use protocol::id::SandboxId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The place of one id.
pub(super) struct Slot<R> {
    /// Held by whoever changes what is there.
    pub(super) gate: tokio::sync::Mutex<()>,
    running: Mutex<Option<Arc<R>>>,
}

impl<R> Slot<R> {
    /// What runs there.
    pub(super) fn running(&self) -> Option<Arc<R>> {
        lock(&self.running).clone()
    }
}

/// All places, of what `R` says of a sandbox that runs.
pub(super) struct Slots<R>(Mutex<HashMap<SandboxId, Arc<Slot<R>>>>);

impl<R> Default for Slots<R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<R> Slots<R> {
    /// The place of an id, made where there is none.
    pub(super) fn slot(&self, id: &SandboxId) -> Arc<Slot<R>> {
        let empty = || Arc::new(Slot { gate: tokio::sync::Mutex::default(), running: Mutex::default() });
        Arc::clone(lock(&self.0).entry(id.clone()).or_insert_with(empty))
    }

    /// The sandbox that runs under this id.
    pub(super) fn find(&self, id: &SandboxId) -> Option<Arc<R>> {
        lock(&self.0).get(id)?.running()
    }

    /// Every sandbox that runs.
    pub(super) fn all(&self) -> Vec<Arc<R>> {
        lock(&self.0).values().filter_map(|slot| slot.running()).collect()
    }

    /// From here on this one runs under the id.
    pub(super) fn put(&self, id: &SandboxId, running: Arc<R>) {
        *lock(&self.slot(id).running) = Some(running);
    }

    /// Drops an id; whoever waits at its gate finds that nothing runs there any more.
    pub(super) fn remove(&self, id: &SandboxId) {
        if let Some(slot) = lock(&self.0).remove(id) {
            lock(&slot.running).take();
        }
    }

    /// Drops the places where nothing runs and nobody waits.
    pub(super) fn sweep(&self) {
        lock(&self.0).retain(|_, slot| slot.running().is_some() || Arc::strong_count(slot) > 1);
    }
}

/// A poisoned lock guards nothing that a panic could have left half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_at_the_gate_of_what_was_dropped_finds_nothing() {
        let (slots, id) = (Slots::<u8>::default(), SandboxId::parse("sbx_1").unwrap());
        let waiting = slots.slot(&id);
        slots.put(&id, Arc::new(1));
        assert_eq!((waiting.running().as_deref(), slots.all().len()), (Some(&1), 1));
        slots.sweep();
        assert!(slots.find(&id).is_some(), "what runs stays");
        slots.remove(&id);
        assert_eq!((waiting.running(), slots.find(&id)), (None, None));
        drop(slots.slot(&id));
        slots.sweep();
        assert!(!Arc::ptr_eq(&waiting, &slots.slot(&id)));
    }
}
