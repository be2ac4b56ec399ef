//! What a session has of one person: told to that person, or given a pseudonym. Names the same tables as `privacy::table`.

use super::Store;
use super::sql::{Sql, StoreError};
use protocol::account::PSEUDONYM_PREFIX;
use protocol::id::UserId;
use protocol::timeline::User;

/// Columns with the id of a user.
const IDS: [(&str, &str); 7] = [
    ("session", "created_by"),
    ("prompts", "author_id"),
    ("prompts", "edited_by"),
    ("prompts", "cancelled_by"),
    ("turns", "stop_requested_by"),
    ("messages", "author_id"),
    ("participants", "user_id"),
];
/// Columns of JSON that may have such ids as texts of their own.
const JSON: [(&str, &str); 6] = [
    ("events", "data"),
    ("notices", "data"),
    ("artifacts", "content"),
    ("outbox", "payload"),
    ("sandbox", "pull"),
    ("sandbox", "account"),
];

/// What is said of the session, of the person in it, of the prompts and what went along with them, and of what else they did: queries of one
/// column, each with the name of its rows. `?1` is the user.
const EXPORT: [(&str, &str); 5] = [
    (
        "session",
        "SELECT json_object('title', title, 'repository', repository, 'branch', branch, 'createdAt', created_at, \
         'createdByThem', json(iif(created_by = ?1, 'true', 'false'))) FROM session",
    ),
    (
        "participant",
        "SELECT json_object('login', login, 'name', name, 'email', email, 'role', role, 'joinedAt', joined_at) \
         FROM participants WHERE user_id = ?1",
    ),
    (
        "prompt",
        "SELECT json_object('id', prompt_id, 'submittedAt', submitted_at, 'origin', origin, 'state', state, 'model', model, \
         'effort', effort, 'text', (SELECT content FROM messages m WHERE m.prompt_id = prompts.prompt_id AND role = 'user'), \
         'attachments', json(attachments)) FROM prompts WHERE author_id = ?1 ORDER BY seq",
    ),
    (
        "attachment",
        "SELECT json_object('promptId', prompt_id, 'position', position, 'content', json(content)) \
         FROM attachments JOIN prompts USING (prompt_id) WHERE author_id = ?1 ORDER BY seq, position",
    ),
    (
        "event",
        "SELECT json_object('seq', seq, 'at', at, 'data', json(data)) FROM events \
         WHERE instr(data, '\"' || ?1 || '\"') > 0 AND data ->> '$.type' <> 'prompt_queued' ORDER BY seq",
    ),
];

impl<S: Sql> Store<S> {
    /// What the session has of a person: pairs of a kind and a JSON object.
    pub fn export_person(&self, user: &UserId) -> Result<Vec<(&'static str, String)>, StoreError> {
        let mut rows = Vec::new();
        for (kind, query) in EXPORT {
            for row in self.sql.exec(query, &[user.as_str().into()])? {
                rows.push((kind, row.text(0)?.to_owned()));
            }
        }
        Ok(rows)
    }

    /// Puts `pseudonym` in the place of a user, wherever somebody's name stands; what was written stays. Who comes next is made an owner,
    /// where there would be none. The machine in memory is another one from then on.
    pub fn erase_person(&self, user: &UserId, pseudonym: &User) -> Result<(), StoreError> {
        self.sql.transaction(|| {
            self.rename_in_text(user, pseudonym)?;
            let ids = [user.as_str().into(), pseudonym.id.as_str().into()];
            for (table, column) in JSON {
                let change = format!(
                    "UPDATE {table} SET {column} = replace({column}, '\"' || ?1 || '\"', '\"' || ?2 || '\"') \
                     WHERE instr({column}, '\"' || ?1 || '\"') > 0"
                );
                self.sql.exec(&change, &ids)?;
            }
            for (table, column) in IDS {
                self.sql.exec(&format!("UPDATE {table} SET {column} = ?2 WHERE {column} = ?1"), &ids)?;
            }
            let person = [
                pseudonym.id.as_str().into(),
                pseudonym.login.as_str().into(),
                pseudonym.name.as_str().into(),
                pseudonym.email.as_str().into(),
            ];
            self.sql.exec(
                "UPDATE participants SET login = ?2, name = ?3, email = ?4, role = 'viewer' WHERE user_id = ?1",
                &person,
            )?;
            let name = [person[0].clone(), person[2].clone()];
            self.sql.exec("UPDATE messages SET author_name = ?2 WHERE author_id = ?1", &name)?;
            self.sql.exec(
                "UPDATE participants SET role = 'owner' WHERE NOT EXISTS (SELECT 1 FROM participants WHERE role = 'owner') \
                 AND user_id = (SELECT user_id FROM participants WHERE instr(user_id, ?1) <> 1 \
                 ORDER BY role = 'viewer', joined_at, user_id LIMIT 1)",
                &[PSEUDONYM_PREFIX.into()],
            )?;
            Ok(())
        })
    }

    /// Names that events tell beside the id, and in the reason of a hold.
    fn rename_in_text(&self, user: &UserId, pseudonym: &User) -> Result<(), StoreError> {
        let name =
            self.first_row("SELECT name FROM participants WHERE user_id = ?1", &[user.as_str().into()])?;
        let name = name.map(|row| row.text(0).map(str::to_owned)).transpose()?.unwrap_or_default();
        let renamed = [user.as_str().into(), pseudonym.login.as_str().into(), pseudonym.name.as_str().into()];
        self.sql.exec(
            "UPDATE events SET data = json_set(data, '$.participant.login', ?2, '$.participant.name', ?3) \
             WHERE data ->> '$.type' = 'participant_joined' AND data ->> '$.participant.userId' = ?1",
            &renamed,
        )?;
        if name.is_empty() {
            return Ok(());
        }
        let named = [name.into(), pseudonym.name.as_str().into()];
        for (table, column, path) in
            [("events", "data", "$.hold.reason"), ("sandbox", "account", "$.state.hold.reason")]
        {
            let change = format!(
                "UPDATE {table} SET {column} = json_set({column}, '{path}', \
                 replace({column} ->> '{path}', 'of ' || ?1, 'of ' || ?2)) \
                 WHERE instr({column} ->> '{path}', 'of ' || ?1) > 0"
            );
            self.sql.exec(&change, &named)?;
        }
        Ok(())
    }
}
