//! The ordered map of everything that runs as Wasm: sorted runs of entries, found by halving.
//!
//! The standard library's tree costs the module five to ten kilobytes for each type that is kept in one. Here a run never has more than
//! [`RUN_MAX`] entries, so that an insertion moves those at most, however large the map. Sessions, viewers and the edge's nonces are kept
//! in it; it does not know what they are.

use std::borrow::Borrow;
use std::fmt;

/// Entries of a run; a full one is cut in two. Large enough for most maps to be one run.
const RUN_MAX: usize = 256;

/// A map in the order of its keys.
#[derive(Clone)]
pub struct Map<K, V> {
    /// None of them empty, each with smaller keys than the next one.
    runs: Vec<Vec<(K, V)>>,
}

/// Where a key is, or belongs: the run, and the place in it.
struct Place {
    run: usize,
    at: Result<usize, usize>,
}

impl<K, V> Map<K, V> {
    /// Without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.runs.clear();
    }

    /// Entries, smallest key first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.runs.iter().flatten().map(|(key, value)| (key, value))
    }

    /// Entries whose values can be changed, smallest key first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.runs.iter_mut().flatten().map(|(key, value)| (&*key, value))
    }

    /// Values, that of the smallest key first.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.runs.iter().flatten().map(|(_, value)| value)
    }

    /// Values that can be changed, that of the smallest key first.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.runs.iter_mut().flatten().map(|(_, value)| value)
    }

    /// The entry with the smallest key.
    #[must_use]
    pub fn first(&self) -> Option<(&K, &V)> {
        self.runs.first()?.first().map(|(key, value)| (key, value))
    }

    /// Removes all entries for which `keep` answers no.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        for run in &mut self.runs {
            run.retain_mut(|(key, value)| keep(key, value));
        }
        self.runs.retain(|run| !run.is_empty());
    }
}

impl<K: Ord, V> Map<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key);
        self.runs.get(place.run)?.get(place.at.ok()?).map(|(_, value)| value)
    }

    /// The value of a key, which can be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key);
        self.runs.get_mut(place.run)?.get_mut(place.at.ok()?).map(|(_, value)| value)
    }

    /// Whether there is an entry with this key.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).at.is_ok()
    }

    /// Puts an entry in; the value that the key had before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Place { run: index, at } = self.find(&key);
        let Some(run) = self.runs.get_mut(index) else {
            self.runs.push(vec![(key, value)]);
            return None;
        };
        match at {
            Ok(at) => run.get_mut(at).map(|(_, known)| std::mem::replace(known, value)),
            Err(at) => {
                run.insert(at, (key, value));
                if run.len() >= RUN_MAX {
                    // Keys that come in order fill their runs: only the last entry begins the next one.
                    let is_in_order = at + 1 == run.len();
                    let rest = run.split_off(if is_in_order { at } else { RUN_MAX / 2 });
                    self.runs.insert(index + 1, rest);
                }
                None
            }
        }
    }

    /// Changes the value of a key, which begins as `absent` where there is none.
    pub fn change(&mut self, key: K, absent: V, change: impl FnOnce(&mut V)) {
        match self.get_mut(&key) {
            Some(value) => change(value),
            None => {
                let mut value = absent;
                change(&mut value);
                self.insert(key, value);
            }
        }
    }

    /// Removes an entry; the value that it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let Place { run: index, at } = self.find(key);
        let run = self.runs.get_mut(index)?;
        let (_, value) = run.remove(at.ok()?);
        if run.is_empty() {
            self.runs.remove(index);
        }
        Some(value)
    }

    /// The last run that begins with this key or a smaller one, the first where all are larger.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Place
    where
        K: Borrow<Q>,
    {
        let begun =
            self.runs.partition_point(|run| run.first().is_some_and(|(first, _)| first.borrow() <= key));
        let run = begun.saturating_sub(1);
        let at = self
            .runs
            .get(run)
            .map_or(Err(0), |run| run.binary_search_by(|(known, _)| known.borrow().cmp(key)));
        Place { run, at }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Maps are equal when their entries are; how they are cut into runs does not count.
impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
