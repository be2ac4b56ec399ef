//! What sessions were given. Asked by session, by sandbox and by age; never in memory as a whole.

use super::Store;
use super::load::id;
use crate::core::{ClaimState, Claimant};
use platform::sql::{Sql, StoreError, Value};
use protocol::id::{ImageId, SandboxId, SessionId};
use protocol::time::Timestamp;

impl<S: Sql> Store<S> {
    /// What is remembered of a session.
    pub fn load_claimant(&self, session_id: &SessionId) -> Result<Option<Claimant>, StoreError> {
        let rows = self.sql.exec(
            "SELECT generation, at, state, sandbox_id, bridge_url, image_id FROM claims WHERE session_id = ?1",
            &[session_id.as_str().into()],
        )?;
        let Some(row) = rows.first() else { return Ok(None) };
        let state = match row.text(2)? {
            "has" => ClaimState::Has {
                sandbox_id: id(row, 3, SandboxId::parse)?,
                bridge_url: row.text(4)?.to_owned(),
                image_id: id(row, 5, ImageId::parse)?,
            },
            "over" => ClaimState::Over,
            _ => ClaimState::Nothing,
        };
        let (generation, at) = (row.number(0)?, row.timestamp(1)?);
        Ok(Some(Claimant { session_id: session_id.clone(), generation, at, state }))
    }

    /// Whether a session has this sandbox.
    pub fn is_claimed(&self, sandbox_id: &SandboxId) -> Result<bool, StoreError> {
        let rows =
            self.sql.exec("SELECT 1 FROM claims WHERE sandbox_id = ?1", &[sandbox_id.as_str().into()])?;
        Ok(!rows.is_empty())
    }

    /// Sandboxes that were handed out at this moment or later.
    pub fn load_claimed(&self, since: Timestamp) -> Result<Vec<SandboxId>, StoreError> {
        let query = "SELECT sandbox_id FROM claims WHERE at >= ?1 AND sandbox_id IS NOT NULL";
        self.sql.exec(query, &[since.into()])?.iter().map(|row| id(row, 0, SandboxId::parse)).collect()
    }

    pub(super) fn save_claimant(&self, claimant: &Claimant) -> Result<(), StoreError> {
        let (state, has) = match &claimant.state {
            ClaimState::Has { sandbox_id, bridge_url, image_id } => {
                ("has", Some((sandbox_id, bridge_url, image_id)))
            }
            ClaimState::Nothing => ("nothing", None),
            ClaimState::Over => ("over", None),
        };
        let values: [Value; 7] = [
            claimant.session_id.as_str().into(),
            claimant.generation.into(),
            claimant.at.into(),
            state.into(),
            has.map(|(sandbox_id, ..)| sandbox_id.as_str()).into(),
            has.map(|(_, bridge_url, _)| bridge_url.as_str()).into(),
            has.map(|(.., image_id)| image_id.as_str()).into(),
        ];
        self.sql.exec(
            "INSERT INTO claims VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (session_id) DO UPDATE SET \
             generation = ?2, at = ?3, state = ?4, sandbox_id = ?5, bridge_url = ?6, image_id = ?7",
            &values,
        )?;
        Ok(())
    }

    pub(super) fn forget_claims(&self, before: Timestamp) -> Result<(), StoreError> {
        self.sql.exec("DELETE FROM claims WHERE at < ?1", &[before.into()])?;
        Ok(())
    }
}
