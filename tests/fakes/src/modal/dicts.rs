//! Dictionaries of the stand-in: an entry that is neither read nor written for seven days is gone, as Modal documents it.

use super::service::{Service, random_id};
use bytes::Bytes;
use modal_api::{DictEntry, DictGetOrCreateRequest, DictUpdateRequest, ObjectCreationType};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Status;

/// How long an entry is kept after it was read or written last.
const ENTRY_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A named map.
#[derive(Default)]
pub(super) struct Dict {
    environment: String,
    name: String,
    entries: BTreeMap<Bytes, Entry>,
}

struct Entry {
    value: Bytes,
    used_at: Duration,
}

impl Dict {
    fn live(&mut self, key: &Bytes, now: Duration) -> Option<&mut Entry> {
        self.entries.retain(|_, entry| now.saturating_sub(entry.used_at) < ENTRY_LIFE);
        self.entries.get_mut(key)
    }
}

impl Service {
    pub(super) fn dict_get_or_create(&self, request: DictGetOrCreateRequest) -> Result<String, Status> {
        let kind = request.object_creation_type();
        let DictGetOrCreateRequest { deployment_name: name, environment_name: environment, .. } = request;
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if name.is_empty() || name.len() > 64 || !is_name(&name) {
            return Err(Status::invalid_argument("a dictionary's name has 1 to 64 of [a-zA-Z0-9-_.]"));
        }
        let mut state = self.lock();
        let known = state.dicts.iter().find(|(_, dict)| dict.name == name && dict.environment == environment);
        let known = known.map(|(id, _)| id.clone());
        match (known, kind) {
            (Some(id), ObjectCreationType::Unspecified | ObjectCreationType::CreateIfMissing) => Ok(id),
            (None, ObjectCreationType::CreateIfMissing | ObjectCreationType::CreateFailIfExists) => {
                let id = random_id("di-");
                state.dicts.insert(id.clone(), Dict { environment, name, entries: BTreeMap::new() });
                Ok(id)
            }
            (Some(_), ObjectCreationType::CreateFailIfExists) => {
                Err(Status::already_exists(format!("Dict '{name}' already exists")))
            }
            (None, ObjectCreationType::Unspecified) => {
                Err(Status::not_found(format!("Dict '{name}' not found")))
            }
            (_, ObjectCreationType::CreateOverwriteIfExists | ObjectCreationType::AnonymousOwnedByApp) => {
                Err(Status::unimplemented("the stand-in has named dictionaries only"))
            }
        }
    }

    /// Does something with a dictionary at a moment.
    pub(super) fn with_dict<T>(
        &self,
        id: &str,
        work: impl FnOnce(&mut Dict, Duration) -> T,
    ) -> Result<T, Status> {
        let now = self.clock.now();
        let mut state = self.lock();
        let dict = state.dicts.get_mut(id);
        let dict = dict.ok_or_else(|| Status::not_found(format!("Dict {id} not found")))?;
        Ok(work(dict, now))
    }

    pub(super) fn dict_get(&self, id: &str, key: &Bytes) -> Result<Option<Bytes>, Status> {
        self.with_dict(id, |dict, now| {
            let entry = dict.live(key, now)?;
            entry.used_at = now;
            Some(entry.value.clone())
        })
    }

    pub(super) fn dict_pop(&self, id: &str, key: &Bytes) -> Result<Option<Bytes>, Status> {
        self.with_dict(id, |dict, now| {
            dict.live(key, now)?;
            dict.entries.remove(key).map(|entry| entry.value)
        })
    }

    /// Whether all of it was written.
    pub(super) fn dict_update(&self, request: DictUpdateRequest) -> Result<bool, Status> {
        self.with_dict(&request.dict_id, |dict, now| {
            let mut all_new = true;
            for DictEntry { key, value } in request.updates {
                if dict.live(&key, now).is_some() {
                    all_new = false;
                    if request.if_not_exists {
                        continue;
                    }
                }
                dict.entries.insert(key, Entry { value, used_at: now });
            }
            all_new
        })
    }

    pub(super) fn dict_contents(&self, id: &str, keys: bool, values: bool) -> Result<Vec<DictEntry>, Status> {
        self.with_dict(id, |dict, now| {
            dict.live(&Bytes::new(), now);
            let shown = |wanted: bool, bytes: &Bytes| if wanted { bytes.clone() } else { Bytes::new() };
            let entries = dict.entries.iter();
            entries
                .map(|(key, entry)| DictEntry { key: shown(keys, key), value: shown(values, &entry.value) })
                .collect()
        })
    }
}
