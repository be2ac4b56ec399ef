//! Contents that go along with prompts: written with the prompt, read for the runner, and by whoever looks at them later.

use super::Store;
use super::row::{from_json, push_element};
use super::sql::{Sql, StoreError, Value};
use crate::core::CheckedAttachment;
use protocol::attachment::Attachment;
use protocol::id::{ArtifactId, PromptId};

impl<S: Sql> Store<S> {
    pub(super) fn save_attachments(
        &self,
        prompt_id: &PromptId,
        attachments: &[CheckedAttachment],
    ) -> Result<(), StoreError> {
        for (position, CheckedAttachment { told, content }) in attachments.iter().enumerate() {
            let artifact = |id: Option<&ArtifactId>| id.map_or(Value::Null, |id| id.as_str().into());
            self.sql.exec(
                "INSERT INTO attachments (prompt_id, position, text_id, picture_id, content) VALUES (?1, ?2, ?3, ?4, ?5)",
                &[
                    prompt_id.as_str().into(),
                    (position as u64).into(),
                    artifact(told.text_id.as_ref()),
                    artifact(told.picture.as_ref().map(|picture| &picture.artifact_id)),
                    content.as_str().into(),
                ],
            )?;
        }
        Ok(())
    }

    /// What goes along with a prompt, in order.
    pub(super) fn load_attachments(&self, prompt_id: &PromptId) -> Result<Vec<Attachment>, StoreError> {
        let rows = self.sql.exec(
            "SELECT content FROM attachments WHERE prompt_id = ?1 ORDER BY position",
            &[prompt_id.as_str().into()],
        )?;
        let mut list = String::from("[");
        for row in &rows {
            push_element(&mut list, row.text(0)?);
        }
        list.push(']');
        from_json(&list)
    }

    /// The attachment with this text or picture, and whether it is the picture that was asked for.
    pub fn load_attachment(&self, id: &ArtifactId) -> Result<Option<(Attachment, bool)>, StoreError> {
        let row = self.first_row(
            "SELECT content, 0 FROM attachments WHERE text_id = ?1 \
             UNION ALL SELECT content, 1 FROM attachments WHERE picture_id = ?1",
            &[id.as_str().into()],
        )?;
        row.map(|row| Ok((from_json(row.text(0)?)?, row.number(1)? == 1))).transpose()
    }
}
