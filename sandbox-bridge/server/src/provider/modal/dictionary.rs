//! Calls about dictionaries: named maps of bytes at Modal that all replicas of the bridge see.
//!
//! One function is one call. What stands in them is `facts`'.

use super::ModalError;
use super::client::{CALL_TIMEOUT, Control, ModalClient};
use super::retry::{CONTROL, Cursor};
use bytes::Bytes;
use modal_api::status;
use modal_api::{
    DictContentsRequest, DictEntry, DictGetOrCreateRequest, DictGetRequest, DictPopRequest,
    DictUpdateRequest, ObjectCreationType,
};
use tonic::Status;

const READ: &str = "read what the bridges have written down";
const WRITE: &str = "write down what the bridges have to know";

impl ModalClient {
    /// The dictionary of this name, made if there is none.
    pub(super) async fn dictionary(&self, name: &str) -> Result<String, ModalError> {
        let request = DictGetOrCreateRequest {
            deployment_name: name.to_owned(),
            environment_name: self.environment().to_owned(),
            object_creation_type: ObjectCreationType::CreateIfMissing.into(),
        };
        let call = async |mut control: Control, request| control.dict_get_or_create(request).await;
        Ok(self.unary(READ, request, CALL_TIMEOUT, call).await?.dict_id)
    }

    /// The value of a key.
    pub(super) async fn entry(&self, dict_id: &str, key: &str) -> Result<Option<Bytes>, ModalError> {
        let request = DictGetRequest { dict_id: dict_id.to_owned(), key: key.to_owned().into() };
        let call = async |mut control: Control, request| control.dict_get(request).await;
        let answer = self.unary(READ, request, CALL_TIMEOUT, call).await?;
        Ok(answer.value.filter(|_| answer.found))
    }

    /// Writes a value, whatever was there.
    pub(super) async fn set_entry(&self, dict_id: &str, key: &str, value: Bytes) -> Result<(), ModalError> {
        self.update(dict_id, key, value, false).await.map(drop)
    }

    /// Writes a value where there is none; of all who try it, one is told `true`, or none when that answer was lost.
    pub(super) async fn add_entry(&self, dict_id: &str, key: &str, value: Bytes) -> Result<bool, ModalError> {
        self.update(dict_id, key, value, true).await
    }

    async fn update(
        &self,
        dict_id: &str,
        key: &str,
        value: Bytes,
        if_not_exists: bool,
    ) -> Result<bool, ModalError> {
        let updates = vec![DictEntry { key: key.to_owned().into(), value }];
        let request = DictUpdateRequest { dict_id: dict_id.to_owned(), updates, if_not_exists };
        let call = async |mut control: Control, request| control.dict_update(request).await;
        Ok(self.unary(WRITE, request, CALL_TIMEOUT, call).await?.created)
    }

    /// Removes an entry, if it is there.
    pub(super) async fn remove_entry(&self, dict_id: &str, key: &str) -> Result<(), ModalError> {
        let request = DictPopRequest { dict_id: dict_id.to_owned(), key: key.to_owned().into() };
        let call = async |mut control: Control, request| control.dict_pop(request).await;
        self.unary(WRITE, request, CALL_TIMEOUT, call).await.map(drop)
    }

    /// All keys. Those that are not text are somebody else's and left out.
    pub(super) async fn entry_keys(&self, dict_id: &str) -> Result<Vec<String>, ModalError> {
        let mut cursor = Cursor::default();
        loop {
            let status = match self.read_keys(dict_id).await {
                Ok(keys) => return Ok(keys),
                Err(status) => status,
            };
            let retry_after = status::retry_after(&status);
            match cursor.reopen_after(&CONTROL, status.code(), retry_after) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(ModalError::new(READ, &status, retry_after)),
            }
        }
    }

    async fn read_keys(&self, dict_id: &str) -> Result<Vec<String>, Status> {
        let request = DictContentsRequest { dict_id: dict_id.to_owned(), keys: true, values: false };
        let call = async |mut control: Control, request| control.dict_contents(request).await;
        let mut stream = self.streaming(READ, request, call).await?;
        let mut keys = Vec::new();
        let silence = |_| Status::deadline_exceeded("the list of entries came to a stop");
        while let Some(entry) =
            tokio::time::timeout(CALL_TIMEOUT, stream.message()).await.map_err(silence)??
        {
            keys.extend(String::from_utf8(entry.key.to_vec()).ok());
        }
        Ok(keys)
    }
}
