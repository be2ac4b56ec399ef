//! The removal of a person: in which order, what is waited for, and the statements. Every step may be cut anywhere and done again.
//!
//! First nothing of theirs opens anything, and what is open is closed. Then each of their sessions is asked: it goes where it was theirs
//! alone, and else it knows the pseudonym from then on. Then the tables are swept. What a session had not told by then comes late, so the
//! tables are swept again until nothing has come for [`QUIET_MS`]; at last the row of the person goes, and with it what would tell who it was.

use crate::table::{Database, Erasure, REMOVED_NAME, TABLES};
use platform::bound::Value;
use protocol::id::UserId;
use protocol::timeline::User;

/// A session tries to tell the index what it knows at least every ten minutes (`session::core::retry`); twice that and half as much again.
pub const QUIET_MS: u64 = 25 * 60_000;
/// Between two sweeps while nothing comes.
pub const SWEEP_MS: u64 = 8 * 60_000;
/// Sessions that are asked at the same time.
pub const SESSIONS_AT_ONCE: u64 = 20;
/// Rounds of sessions for one event; what is left is done by the next.
pub const ROUNDS_MAX: usize = 20;

/// How far a removal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sockets of the person that may still be open.
    pub sockets: u64,
    /// Sessions that were not asked yet, or have something elsewhere that is being removed.
    pub sessions: u64,
    /// When there was last something to change.
    pub quiet_since: u64,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Sockets are open: a session that changes now would learn the old name again.
    CloseSockets,
    /// Sessions are to be asked.
    AskSessions,
    /// The tables are to be swept, and looked at again then.
    Sweep {
        /// When, in Unix milliseconds.
        again_at: u64,
    },
    /// Nothing has come for long enough.
    Finish,
}

/// What is to be done next.
#[must_use]
pub fn evaluate_next(progress: Progress, now: u64) -> Next {
    if progress.sockets > 0 {
        Next::CloseSockets
    } else if progress.sessions > 0 {
        Next::AskSessions
    } else if now >= progress.quiet_since.saturating_add(QUIET_MS) {
        Next::Finish
    } else {
        Next::Sweep { again_at: now.saturating_add(SWEEP_MS) }
    }
}

/// Who stands in a removed person's place.
#[must_use]
pub fn pseudonym(id: UserId) -> User {
    User {
        id,
        login: "removed".to_owned(),
        name: REMOVED_NAME.to_owned(),
        // Commits want an address; this one is nobody's (RFC 2606).
        email: "removed@farhand.invalid".to_owned(),
    }
}

/// Begins a removal. `?1` the user, `?2` the pseudonym, `?3` who wants it, `?4` now, `?5` JSON of the logins of operators in small letters where
/// the user is one, else `[]`: without another of them who may sign in, nothing begins. One row where it has begun.
pub const BEGIN: &str = "INSERT INTO erasures (pseudonym, user_id, requested_by, requested_at, next_at, quiet_since)
    SELECT ?2, ?1, ?3, ?4, ?4, ?4
    WHERE EXISTS (SELECT 1 FROM users WHERE user_id = ?1) AND (json_array_length(?5) = 0 OR EXISTS (SELECT 1 FROM users u
        WHERE u.user_id <> ?1 AND lower(u.login) IN (SELECT value FROM json_each(?5)) AND coalesce(u.refused_at, u.removed_at) IS NULL))
    ON CONFLICT (user_id) DO NOTHING RETURNING pseudonym";

/// From then on nothing of the user (`?1`) opens anything; `?2` is now.
pub const LOCK: [&str; 4] = [
    "UPDATE users SET removed_at = coalesce(removed_at, ?2) WHERE user_id = ?1",
    "UPDATE sign_ins SET revoked_at = ?2 WHERE user_id = ?1 AND revoked_at IS NULL",
    "UPDATE api_keys SET revoked_at = ?2 WHERE user_id = ?1 AND revoked_at IS NULL",
    "UPDATE key_grants SET expires_at = min(expires_at, ?2) WHERE user_id = ?1",
];

/// Removals that are due, the oldest first: user, pseudonym; `?1` is now.
pub const DUE: &str = "SELECT user_id, pseudonym FROM erasures WHERE finished_at IS NULL AND next_at <= ?1 ORDER BY next_at LIMIT 10";

/// Writes down the sessions that a user (`?1`) was in, for the pseudonym (`?2`).
pub const FIND_SESSIONS: &str = concat!(
    "INSERT INTO erasure_sessions (pseudonym, session_id, outcome) SELECT ?2, session_id, 'waiting' FROM (",
    crate::sessions_of!(),
    ") WHERE true ON CONFLICT (pseudonym, session_id) DO NOTHING"
);

/// Goes with it, behind it: whether that has found something for the pseudonym (`?1`) now (`?2`).
pub const FOUND_SESSIONS: &str =
    "UPDATE erasures SET quiet_since = iif(changes() = 0, quiet_since, ?2) WHERE pseudonym = ?1";

/// [`Progress`] of a removal, by user and pseudonym.
pub const PROGRESS: &str = "SELECT (SELECT count(*) FROM sockets WHERE user_id = ?1),
        (SELECT count(*) FROM erasure_sessions s WHERE s.pseudonym = ?2 AND s.outcome IN ('waiting', 'deleting')), quiet_since
    FROM erasures WHERE pseudonym = ?2";

/// Sessions to be asked for a pseudonym (`?1`), behind the session `?2`; at most `?3`.
pub const NEXT_SESSIONS: &str = "SELECT session_id FROM erasure_sessions
    WHERE pseudonym = ?1 AND outcome IN ('waiting', 'deleting') AND session_id > ?2 ORDER BY session_id LIMIT ?3";

/// Keeps what a session (`?2`) has answered for a pseudonym (`?1`): `?3`. One that was deleted stays so.
pub const ASKED: &str = "UPDATE erasure_sessions SET outcome = ?3 WHERE pseudonym = ?1 AND session_id = ?2";

/// Looks again at `?2`, with what is in the way (`?3`).
pub const LATER: &str = "UPDATE erasures SET next_at = ?2, problem = ?3 WHERE pseudonym = ?1";

/// The latest removals as JSON objects, those under way first; who is meant is said only while it is.
pub const LIST: &str = "SELECT json_object('id', e.pseudonym, 'login', u.login, 'requestedAt', e.requested_at, 'requestedBy',
        CASE WHEN e.requested_by = e.pseudonym THEN NULL ELSE coalesce((SELECT r.name FROM users r WHERE r.user_id = e.requested_by), 'Removed person') END,
        'state', CASE WHEN e.finished_at IS NOT NULL THEN 'done'
            WHEN e.next_at > e.requested_at AND e.problem IS NULL AND NOT EXISTS (SELECT 1 FROM erasure_sessions s WHERE s.pseudonym = e.pseudonym AND s.outcome IN ('waiting', 'deleting'))
            THEN 'watching' ELSE 'working' END,
        'finishedAt', e.finished_at, 'problem', e.problem,
        'sessionsLeft', (SELECT count(*) FROM erasure_sessions s WHERE s.pseudonym = e.pseudonym AND s.outcome IN ('waiting', 'deleting')),
        'sessionsDeleted', (SELECT count(*) FROM erasure_sessions s WHERE s.pseudonym = e.pseudonym AND s.outcome = 'deleted'),
        'sessionsRewritten', (SELECT count(*) FROM erasure_sessions s WHERE s.pseudonym = e.pseudonym AND s.outcome = 'rewritten'),
        'rows', json(e.counts))
    FROM erasures e LEFT JOIN users u ON u.user_id = e.user_id
    ORDER BY e.finished_at IS NOT NULL, e.requested_at DESC LIMIT 50";

/// A statement with what is bound to it.
pub type Statement<'a> = (String, Vec<Value<'a>>);

/// Sweeps the tables, in one transaction: each statement, and after it how many rows it changed.
#[must_use]
pub fn sweep<'a>(user: &'a UserId, pseudonym: &'a UserId, now: u64) -> Vec<Statement<'a>> {
    let mut statements = Vec::new();
    for table in TABLES.iter().filter(|table| table.database == Database::Index) {
        if let Erasure::Now(changes) = table.erasure {
            push(&mut statements, table.name, changes, user, pseudonym);
        }
    }
    statements.push((
        "UPDATE erasures SET quiet_since = iif(found > seen, ?2, quiet_since), seen = found, problem = NULL WHERE pseudonym = ?1"
            .to_owned(),
        vec![Value::Text(pseudonym.as_str()), Value::Number(now)],
    ));
    statements
}

/// Ends it, in one transaction: what goes at last, the line of the log, and who it was.
#[must_use]
pub fn finish<'a>(user: &'a UserId, pseudonym: &'a UserId, now: u64) -> Vec<Statement<'a>> {
    let mut statements = sweep(user, pseudonym, now);
    for table in TABLES {
        if let Erasure::AtLast(changes) = table.erasure {
            push(&mut statements, table.name, changes, user, pseudonym);
        }
    }
    let whom = vec![Value::Text(pseudonym.as_str()), Value::Number(now)];
    statements.push((
        "INSERT INTO audit (at, actor, action, target) SELECT ?2, requested_by, 'user.erased', pseudonym FROM erasures
        WHERE pseudonym = ?1 AND finished_at IS NULL"
            .to_owned(),
        whom.clone(),
    ));
    statements.push((
        "UPDATE erasures SET user_id = NULL, finished_at = ?2, problem = NULL WHERE pseudonym = ?1 AND finished_at IS NULL"
            .to_owned(),
        whom,
    ));
    statements
}

fn push<'a>(
    statements: &mut Vec<Statement<'a>>,
    table: &str,
    changes: &[&'static str],
    user: &'a UserId,
    pseudonym: &'a UserId,
) {
    for change in changes {
        let mut values = vec![Value::Text(user.as_str())];
        if change.contains("?2") {
            values.push(Value::Text(pseudonym.as_str()));
        }
        statements.push(((*change).to_owned(), values));
        statements.push((
            format!(
                "UPDATE erasures SET found = found + changes(),
                counts = iif(changes() = 0, counts, json_set(counts, '$.{table}', coalesce(counts ->> '$.{table}', 0) + changes()))
                WHERE pseudonym = ?1"
            ),
            vec![Value::Text(pseudonym.as_str())],
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::account::is_pseudonym;

    #[test]
    fn nothing_is_swept_before_sockets_are_closed_and_sessions_know() {
        let progress = Progress { sockets: 1, sessions: 2, quiet_since: 0 };
        assert_eq!(evaluate_next(progress, u64::MAX), Next::CloseSockets);
        let progress = Progress { sockets: 0, ..progress };
        assert_eq!(evaluate_next(progress, u64::MAX), Next::AskSessions);
        let progress = Progress { sessions: 0, quiet_since: 1000, ..progress };
        assert_eq!(evaluate_next(progress, 1000), Next::Sweep { again_at: 1000 + SWEEP_MS });
        assert_eq!(
            evaluate_next(progress, 999 + QUIET_MS),
            Next::Sweep { again_at: 999 + QUIET_MS + SWEEP_MS }
        );
        assert_eq!(evaluate_next(progress, 1000 + QUIET_MS), Next::Finish);
    }

    #[test]
    fn a_pseudonym_is_known_by_its_id() {
        let id = |id: &str| UserId::parse(id).unwrap();
        assert!(is_pseudonym(&pseudonym(id("usr_removed_1")).id));
        assert!(!is_pseudonym(&id("usr_github_1")));
    }
}
