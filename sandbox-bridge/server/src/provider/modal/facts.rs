//! What all replicas of the bridge have to agree on, in dictionaries at Modal: what was ordered, whose a sandbox is, what has ended,
//! what was saved.
//!
//! A fact is written once: of several who write at the same moment the first one's stands, and each of them reads that. Who hosts a
//! runner, and that a replica is alive, are the only entries that change. Decides nothing; the rest of the provider does.

use super::names::dictionary_name;
use super::{ModalClient, ModalError};
use crate::provider::{SandboxOrder, SessionOwner};
use protocol::id::{BuildId, RepositoryId, SandboxId};
use protocol::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tonic::Code;

/// How often a fact that is gone between its refusal and its reading is written again.
const WRITES_MAX: u32 = 3;

/// What was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ordered {
    pub(super) order: SandboxOrder,
    pub(super) ordered_at: Timestamp,
    /// Path of the runner inside.
    pub(super) runner: String,
    /// Which replica was asked first.
    pub(super) replica: String,
}

/// Whose a warm sandbox is, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Given {
    /// A session claimed it.
    Session(SessionOwner),
    /// It was to be thrown away before any session came.
    Nobody,
}

/// A dictionary of the app.
#[derive(Clone, Debug)]
pub(super) struct Dictionary(String);

/// The way to all facts.
pub(super) struct Facts {
    client: ModalClient,
    app: String,
    /// Orders, gifts and ends. Seven days after anybody asked for an entry last, Modal drops it, which is when nobody needs it.
    sandboxes: Dictionary,
    /// Snapshots and images; read once a day, so that they stay.
    pub(super) saved: Dictionary,
    /// Ids of a repository's images, for their list.
    images: Mutex<HashMap<RepositoryId, Dictionary>>,
}

impl Facts {
    /// Finds the app's dictionaries, or makes them.
    pub(super) async fn open(client: ModalClient, app: &str) -> Result<Self, ModalError> {
        let sandboxes = Dictionary(client.dictionary(&dictionary_name(app, "sandboxes")).await?);
        let saved = Dictionary(client.dictionary(&dictionary_name(app, "saved")).await?);
        Ok(Self { client, app: app.to_owned(), sandboxes, saved, images: Mutex::default() })
    }

    /// The dictionary with the ids of a repository's images.
    pub(super) async fn images(&self, repository: &RepositoryId) -> Result<Dictionary, ModalError> {
        let images = || self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = images().get(repository).cloned() {
            return Ok(known);
        }
        let name = dictionary_name(&self.app, &format!("images of {repository}"));
        let found = Dictionary(self.client.dictionary(&name).await?);
        images().insert(repository.clone(), found.clone());
        Ok(found)
    }

    /// Writes down what was ordered; answers what stands, and whether it is new.
    pub(super) async fn keep_order(
        &self,
        id: &SandboxId,
        ordered: &Ordered,
    ) -> Result<(Ordered, bool), ModalError> {
        self.first(&self.sandboxes, &format!("order/{id}"), ordered).await
    }

    pub(super) async fn order(&self, id: &SandboxId) -> Result<Option<Ordered>, ModalError> {
        self.read(&self.sandboxes, &format!("order/{id}")).await
    }

    /// Gives a warm sandbox away, for ever; answers who has it.
    pub(super) async fn give(&self, id: &SandboxId, to: &Given) -> Result<Given, ModalError> {
        Ok(self.first(&self.sandboxes, &format!("given/{id}"), to).await?.0)
    }

    pub(super) async fn given(&self, id: &SandboxId) -> Result<Option<Given>, ModalError> {
        self.read(&self.sandboxes, &format!("given/{id}")).await
    }

    /// No sandbox with this id is made from here on, and one that runs is to end.
    pub(super) async fn use_up(&self, id: &SandboxId) -> Result<(), ModalError> {
        self.write(&self.sandboxes, &format!("ended/{id}"), &crate::clock::now()).await
    }

    pub(super) async fn is_used_up(&self, id: &SandboxId) -> Result<bool, ModalError> {
        let ended: Option<Timestamp> = self.read(&self.sandboxes, &format!("ended/{id}")).await?;
        Ok(ended.is_some())
    }

    /// The sandbox's runner is connected to this replica from here on.
    pub(super) async fn set_host(&self, id: &SandboxId, replica: &str) -> Result<(), ModalError> {
        self.write(&self.sandboxes, &format!("host/{id}"), &replica).await
    }

    /// The replica that its runner was connected to last.
    pub(super) async fn host(&self, id: &SandboxId) -> Result<Option<String>, ModalError> {
        self.read(&self.sandboxes, &format!("host/{id}")).await
    }

    /// Makes a build this replica's; answers whose it is.
    pub(super) async fn hold_build(&self, id: &BuildId, replica: &str) -> Result<String, ModalError> {
        Ok(self.first(&self.sandboxes, &format!("build/{id}"), &replica.to_owned()).await?.0)
    }

    /// Says that a replica lives; each beat differs from the one before.
    pub(super) async fn beat(&self, replica: &str, beat: u64) -> Result<(), ModalError> {
        self.write(&self.sandboxes, &format!("beat/{replica}"), &beat).await
    }

    pub(super) async fn last_beat(&self, replica: &str) -> Result<Option<u64>, ModalError> {
        self.read(&self.sandboxes, &format!("beat/{replica}")).await
    }

    /// Writes a value where there is none; answers what stands, and whether it was written by this very call. `false` when that
    /// answer was lost on its way.
    pub(super) async fn first<T: Serialize + DeserializeOwned>(
        &self,
        Dictionary(dict): &Dictionary,
        key: &str,
        value: &T,
    ) -> Result<(T, bool), ModalError> {
        let bytes = serde_json::to_vec(value).map_err(|error| damaged(key, &error))?;
        for _ in 0..WRITES_MAX {
            let is_first = self.client.add_entry(dict, key, bytes.clone().into()).await?;
            if is_first {
                return Ok((parse(key, &bytes)?, true));
            }
            if let Some(there) = self.client.entry(dict, key).await? {
                return Ok((parse(key, &there)?, false));
            }
        }
        let text = format!("{key} is refused as there, and is not there");
        Err(ModalError::reported("write down what the bridges have to know", Code::DataLoss, text))
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        Dictionary(dict): &Dictionary,
        key: &str,
    ) -> Result<Option<T>, ModalError> {
        self.client.entry(dict, key).await?.map(|there| parse(key, &there)).transpose()
    }

    pub(super) async fn write<T: Serialize>(
        &self,
        Dictionary(dict): &Dictionary,
        key: &str,
        value: &T,
    ) -> Result<(), ModalError> {
        let bytes = serde_json::to_vec(value).map_err(|error| damaged(key, &error))?;
        self.client.set_entry(dict, key, bytes.into()).await
    }

    pub(super) async fn remove(&self, Dictionary(dict): &Dictionary, key: &str) -> Result<(), ModalError> {
        self.client.remove_entry(dict, key).await
    }

    pub(super) async fn keys(&self, Dictionary(dict): &Dictionary) -> Result<Vec<String>, ModalError> {
        self.client.entry_keys(dict).await
    }
}

fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, ModalError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(key, &error))
}

fn damaged(key: &str, error: &serde_json::Error) -> ModalError {
    let text = format!("{key} is not as a bridge of this version writes it: {error}");
    ModalError::reported("read what the bridges have written down", Code::DataLoss, text)
}
