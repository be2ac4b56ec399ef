//! Every table that there is: which of its columns hold a person, what of it a person gets, and what becomes of it when the person is removed.
//!
//! A test reads all migrations and demands that each table and each column that could hold a person is here.

/// Where a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Database {
    /// D1.
    Index,
    /// The object of a session; `session::store` exports and erases what is in it.
    Session,
    /// The object of a repository.
    Repository,
    /// The object of a Slack thread.
    Thread,
}

/// What a person gets of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// The rows of this query, each one JSON object; `?1` is the user's id.
    Rows(&'static str),
    /// Its object answers.
    ByObject,
    /// Nothing, because of this.
    Nothing(&'static str),
}

/// What becomes of what a table has of a removed person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// These statements, in this order; `?1` is the user's id and `?2` the pseudonym. They may be repeated.
    Now(&'static [&'static str]),
    /// The same, when everything else is done.
    AtLast(&'static [&'static str]),
    /// Its object does it.
    ByObject,
    /// It goes by itself, soon.
    Expires(&'static str),
    /// It stays, because of this.
    Stays(&'static str),
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Where.
    pub database: Database,
    /// Its name.
    pub name: &'static str,
    /// Columns that hold a person: an id, a name, an address, or JSON that has some.
    pub people: &'static [&'static str],
    /// Columns whose names look like it and that do not.
    pub others: &'static [&'static str],
    /// What the person gets.
    pub export: Export,
    /// What becomes of it.
    pub erasure: Erasure,
}

impl Table {
    const fn new(
        database: Database,
        name: &'static str,
        people: &'static [&'static str],
        export: Export,
        erasure: Erasure,
    ) -> Self {
        Self { database, name, people, others: &[], export, erasure }
    }

    const fn but(self, others: &'static [&'static str]) -> Self {
        Self { others, ..self }
    }
}

/// What stands where a removed person's name was.
pub const REMOVED_NAME: &str = "Removed person";

const NOBODY: (Export, Erasure) = (Export::Nothing("it holds nobody"), Erasure::Stays("it holds nobody"));
const SECRET: &str = "it is a secret, or the digest of one";

const fn index(
    name: &'static str,
    people: &'static [&'static str],
    export: Export,
    erasure: Erasure,
) -> Table {
    Table::new(Database::Index, name, people, export, erasure)
}

const fn nobody(database: Database, name: &'static str) -> Table {
    Table::new(database, name, &[], NOBODY.0, NOBODY.1)
}

const fn in_session(name: &'static str, people: &'static [&'static str]) -> Table {
    Table::new(Database::Session, name, people, Export::ByObject, Erasure::ByObject)
}

/// All of them. Statements run in this order: what leads to other rows comes after them.
pub const TABLES: &[Table] = &[
    index(
        "sessions",
        &["created_by", "created_by_name"],
        Export::Rows(
            "SELECT json_object('sessionId', session_id, 'title', title, 'repository', repository, 'createdAt', created_at,
                'updatedAt', updated_at, 'pullRequestNumber', pull_request_number)
            FROM sessions WHERE created_by = ?1 ORDER BY created_at",
        ),
        Erasure::Now(&[
            "UPDATE sessions SET created_by = ?2, created_by_name = 'Removed person' WHERE created_by = ?1",
        ]),
    ),
    index(
        "session_people",
        &["user_id"],
        Export::Rows(
            "SELECT json_object('sessionId', session_id, 'repository', repository, 'prompts', prompts, 'promptedAt', prompted_at,
                'inputTokens', input_tokens, 'outputTokens', output_tokens, 'costMicroUsd', cost_micro_usd)
            FROM session_people WHERE user_id = ?1 ORDER BY started_at",
        ),
        // A session that has spoken of the pseudonym already knows more than the older row.
        Erasure::Now(&[
            "DELETE FROM session_people WHERE user_id = ?1 AND EXISTS (SELECT 1 FROM session_people p
                WHERE p.session_id = session_people.session_id AND p.user_id = ?2)",
            "UPDATE session_people SET user_id = ?2 WHERE user_id = ?1",
        ]),
    ),
    index(
        "spending",
        &["user_id"],
        Export::Rows(
            "SELECT json_object('sessionId', session_id, 'repository', repository, 'day', day, 'microDollars', money, 'tokens', tokens)
            FROM spending WHERE user_id = ?1 ORDER BY day",
        ),
        // Where both names have a row, the sums are told twice: the larger one counts, and the triggers take the other out of all sums.
        Erasure::Now(&[
            "UPDATE spending SET
                money = max(money, (SELECT o.money FROM spending o WHERE o.session_id = spending.session_id AND o.day = spending.day AND o.user_id = ?1)),
                tokens = max(tokens, (SELECT o.tokens FROM spending o WHERE o.session_id = spending.session_id AND o.day = spending.day AND o.user_id = ?1))
            WHERE user_id = ?2 AND EXISTS (SELECT 1 FROM spending o
                WHERE o.session_id = spending.session_id AND o.day = spending.day AND o.user_id = ?1)",
            "UPDATE spending SET money = 0, tokens = 0 WHERE user_id = ?1 AND EXISTS (SELECT 1 FROM spending p
                WHERE p.session_id = spending.session_id AND p.day = spending.day AND p.user_id = ?2)",
            "DELETE FROM spending WHERE user_id = ?1 AND EXISTS (SELECT 1 FROM spending p
                WHERE p.session_id = spending.session_id AND p.day = spending.day AND p.user_id = ?2)",
            "UPDATE spending SET user_id = ?2 WHERE user_id = ?1",
        ]),
    ),
    index(
        "spent_days",
        &["subject"],
        Export::Rows(
            "SELECT json_object('day', day, 'microDollars', money, 'tokens', tokens)
            FROM spent_days WHERE scope = 'user' AND subject = ?1 ORDER BY day",
        ),
        Erasure::Now(&[
            "INSERT INTO spent_days (scope, subject, day, money, tokens)
            SELECT scope, ?2, day, money, tokens FROM spent_days WHERE scope = 'user' AND subject = ?1
            ON CONFLICT (scope, subject, day) DO UPDATE SET money = money + excluded.money, tokens = tokens + excluded.tokens",
            "DELETE FROM spent_days WHERE scope = 'user' AND subject = ?1",
        ]),
    ),
    index(
        "budgets",
        &["subject"],
        Export::Rows(
            "SELECT json_object('period', period, 'microDollars', money, 'tokens', tokens, 'turnMs', turn_ms,
                'sessionsMax', sessions_max, 'sandboxesMax', sandboxes_max)
            FROM budgets WHERE scope = 'user' AND subject = ?1",
        ),
        Erasure::Now(&["DELETE FROM budgets WHERE scope = 'user' AND subject = ?1"]),
    ),
    index(
        "budget_leases",
        &["user_id"],
        Export::Nothing("it lasts for a turn"),
        Erasure::Now(&["UPDATE budget_leases SET user_id = ?2 WHERE user_id = ?1"]),
    ),
    index(
        "slots",
        &["user_id"],
        Export::Nothing("it lasts for a turn or a sandbox"),
        Erasure::Now(&["UPDATE slots SET user_id = ?2 WHERE user_id = ?1"]),
    ),
    index(
        "slot_waits",
        &["user_id"],
        Export::Nothing("it lasts until there is a slot"),
        Erasure::Now(&["UPDATE slot_waits SET user_id = ?2 WHERE user_id = ?1"]),
    ),
    index(
        "sealed_tokens",
        &["user_id"],
        Export::Rows(
            "SELECT json_object('provider', provider, 'purpose', purpose, 'updatedAt', updated_at) FROM sealed_tokens WHERE user_id = ?1",
        ),
        // Sooner, as soon as the code host has ended what they stand for.
        Erasure::AtLast(&["DELETE FROM sealed_tokens WHERE user_id = ?1"]),
    ),
    index(
        "refresh_tokens",
        &[],
        Export::Nothing(SECRET),
        Erasure::Now(&[
            "DELETE FROM refresh_tokens WHERE family IN (SELECT family FROM sign_ins WHERE user_id = ?1)",
        ]),
    ),
    index(
        "sign_ins",
        &["user_id", "browser"],
        Export::Rows(
            "SELECT json_object('issuer', issuer, 'browser', browser, 'createdAt', created_at, 'expiresAt', expires_at, 'endedAt', revoked_at)
            FROM sign_ins WHERE user_id = ?1 ORDER BY created_at",
        ),
        Erasure::Now(&["DELETE FROM sign_ins WHERE user_id = ?1"]),
    ),
    index(
        "api_keys",
        &["user_id", "name"],
        Export::Rows(
            "SELECT json_object('id', key_id, 'name', name, 'scope', scope, 'createdAt', created_at, 'expiresAt', expires_at,
                'usedAt', used_at, 'revokedAt', revoked_at)
            FROM api_keys WHERE user_id = ?1 ORDER BY created_at",
        ),
        Erasure::Now(&["DELETE FROM api_keys WHERE user_id = ?1"]),
    ),
    index(
        "key_grants",
        &["user_id"],
        Export::Nothing(SECRET),
        Erasure::Now(&["DELETE FROM key_grants WHERE user_id = ?1"]),
    ),
    index(
        "repository_access",
        &["user_id"],
        Export::Rows(
            "SELECT json_object('repository', repository, 'access', access, 'checkedAt', checked_at) FROM repository_access WHERE user_id = ?1",
        ),
        Erasure::Now(&["DELETE FROM repository_access WHERE user_id = ?1"]),
    ),
    index(
        "rate_counts",
        &["bucket"],
        Export::Nothing("it lasts for minutes"),
        Erasure::Now(&["DELETE FROM rate_counts WHERE instr(bucket || ' ', ' ' || ?1 || ' ') > 0"]),
    ),
    index(
        "sockets",
        &["user_id", "credential"],
        Export::Nothing("it lasts for as long as a page is open"),
        Erasure::Now(&["DELETE FROM sockets WHERE user_id = ?1"]),
    ),
    index(
        "slack_link_codes",
        &["slack_user_id", "slack_name"],
        Export::Nothing("it lasts for ten minutes"),
        Erasure::Now(&["DELETE FROM slack_link_codes WHERE (team_id, slack_user_id) IN
                (SELECT team_id, slack_user_id FROM slack_links WHERE user_id = ?1)"]),
    ),
    index(
        "slack_links",
        &["slack_user_id", "user_id"],
        Export::Rows(
            "SELECT json_object('team', team_id, 'slackUser', slack_user_id, 'linkedAt', linked_at) FROM slack_links WHERE user_id = ?1",
        ),
        Erasure::Now(&["DELETE FROM slack_links WHERE user_id = ?1"]),
    ),
    index(
        "channel_repositories",
        &["set_by"],
        Export::Rows(
            "SELECT json_object('channel', channel, 'repository', repository, 'setAt', set_at) FROM channel_repositories WHERE set_by = ?1",
        ),
        Erasure::Now(&["UPDATE channel_repositories SET set_by = ?2 WHERE set_by = ?1"]),
    ),
    index(
        "halts",
        &["halted_by", "lifted_by"],
        Export::Nothing("the lines of the audit log say the same"),
        // A halt has the operator's name; whose it was, the log knows.
        Erasure::Now(&[
            "UPDATE halts SET halted_by = 'Removed person' WHERE halted_by <> 'Removed person' AND EXISTS
                (SELECT 1 FROM audit a WHERE a.action = 'halt' AND a.at = halted_at AND a.actor IN (?1, ?2))",
            "UPDATE halts SET lifted_by = 'Removed person' WHERE lifted_by <> 'Removed person' AND EXISTS
                (SELECT 1 FROM audit a WHERE a.action = 'halt.lift' AND a.at = lifted_at AND a.actor IN (?1, ?2))",
        ]),
    ),
    index(
        "audit",
        &["actor", "target", "detail"],
        Export::Rows(
            "SELECT json_object('at', at, 'action', action, 'target', target, 'detail', detail, 'byThem', json(iif(actor = ?1, 'true', 'false')))
            FROM audit WHERE actor = ?1 OR target IN (?1, 'user ' || ?1) ORDER BY audit_id",
        ),
        Erasure::Now(&[
            "UPDATE audit SET actor = iif(actor = ?1, ?2, actor),
                target = CASE WHEN target = 'user ' || ?1 THEN 'user ' || ?2 ELSE ?2 END,
                detail = iif(action IN ('user.remove', 'user.restore'), '', detail)
            WHERE target IN (?1, 'user ' || ?1) OR actor = ?1 AND action = 'slack.link'
                OR action = 'sign_in.refused' AND target = (SELECT login FROM users WHERE user_id = ?1) COLLATE NOCASE",
            "UPDATE audit SET actor = ?2 WHERE actor = ?1",
        ]),
    ),
    index(
        "erasures",
        &["user_id", "requested_by"],
        Export::Nothing("the person it is about is gone with it"),
        Erasure::Now(&["UPDATE erasures SET requested_by = ?2 WHERE requested_by = ?1"]),
    ),
    index(
        "users",
        &["user_id", "login", "name", "email"],
        Export::Rows(
            "SELECT json_object('id', user_id, 'login', login, 'name', name, 'email', email, 'createdAt', created_at, 'seenAt', seen_at,
                'checkedAt', checked_at, 'refusedAt', refused_at, 'removedAt', removed_at)
            FROM users WHERE user_id = ?1",
        ),
        Erasure::AtLast(&["DELETE FROM users WHERE user_id = ?1"]),
    ),
    index(
        "attempts",
        &[],
        Export::Nothing("nobody is known yet who signs in"),
        Erasure::Expires("ten minutes"),
    )
    .but(&["browser_hash"]),
    nobody(Database::Index, "erasure_sessions"),
    nobody(Database::Index, "repositories"),
    nobody(Database::Index, "pull_requests"),
    nobody(Database::Index, "deliveries"),
    nobody(Database::Index, "session_facts").but(&["participants"]),
    nobody(Database::Index, "sandbox_starts"),
    nobody(Database::Index, "metric_hours"),
    nobody(Database::Index, "start_totals"),
    nobody(Database::Index, "pull_totals"),
    nobody(Database::Index, "held_sessions"),
    in_session("session", &["created_by"]),
    in_session("events", &["data"]),
    in_session("participants", &["user_id", "login", "name", "email"]),
    in_session("prompts", &["author_id", "edited_by", "cancelled_by"]),
    in_session("messages", &["author_id", "author_name", "content"]),
    in_session("turns", &["stop_requested_by"]),
    in_session("artifacts", &["content"]),
    in_session("notices", &["data"]),
    in_session("sandbox", &["pull", "account"]).but(&["warmed_at"]),
    in_session("outbox", &["payload"]),
    in_session("attachments", &["content"]),
    Table::new(
        Database::Session,
        "items",
        &[],
        Export::Nothing("the agent wrote it"),
        Erasure::Stays("the agent wrote it"),
    )
    .but(&["content"]),
    Table::new(
        Database::Session,
        "outputs",
        &[],
        Export::Nothing("a tool wrote it"),
        Erasure::Stays("a tool wrote it"),
    ),
    nobody(Database::Session, "queue"),
    nobody(Database::Session, "tickets"),
    nobody(Database::Session, "thread").but(&["name"]),
    Table::new(
        Database::Repository,
        "reservers",
        &["user_id"],
        Export::Nothing("it lasts for minutes"),
        Erasure::Expires("a minute after the last letter of a prompt"),
    ),
    nobody(Database::Repository, "repository"),
    nobody(Database::Repository, "builds"),
    nobody(Database::Repository, "log_pieces"),
    nobody(Database::Repository, "images"),
    nobody(Database::Repository, "sandboxes"),
    nobody(Database::Repository, "claims"),
    nobody(Database::Repository, "outbox"),
    Table::new(
        Database::Thread,
        "thread",
        &["data"],
        Export::Nothing("it is Slack's: who began the thread, by Slack's own id"),
        Erasure::Stays("it is Slack's: who began the thread, by Slack's own id"),
    ),
    Table::new(
        Database::Thread,
        "waiting",
        &["user_id", "message"],
        Export::Nothing("it is Slack's, until the account is linked or a repository chosen"),
        Erasure::Stays("it is Slack's, until the account is linked or a repository chosen"),
    ),
    Table::new(
        Database::Thread,
        "outbox",
        &["payload"],
        Export::Nothing("it lasts until it is done"),
        Erasure::Expires("when it is done"),
    ),
    nobody(Database::Thread, "taken"),
];
