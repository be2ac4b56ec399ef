//! A person who is in every table, removed: nothing of them is left, nobody else is touched, and what is counted counts as before; also
//! when the work is cut behind any of its transactions and begun again, and when sessions tell late.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use platform::bound::Value;
use privacy::erasure::{self, Statement};
use privacy::export;
use protocol::id::UserId;
use rusqlite::{Connection, params_from_iter};
use std::fs;
use std::path::Path;

const NOW: u64 = 1_795_348_800_000;

fn id(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

/// Ada Lovelace and Grace Hopper, each with a row wherever there can be one. Ada's id begins like that of a third, and her name is in no
/// other's.
fn populated() -> Connection {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/d1");
    let mut files: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let connection = Connection::open_in_memory().unwrap();
    for file in files {
        connection.execute_batch(&fs::read_to_string(&file).unwrap()).unwrap();
    }
    for (user, login, name, session) in [
        ("usr_github_1", "ada", "Ada Lovelace", "ses_a"),
        ("usr_github_12", "grace", "Grace Hopper", "ses_g"),
    ] {
        let rows = format!(
            "INSERT INTO users (user_id, login, name, email, created_at, seen_at) VALUES ('{user}', '{login}', '{name}', '{login}@farhand.example', 1, 1);
            INSERT INTO sessions (session_id, title, repository, created_by, created_by_name, created_at, updated_at, activity, seq)
                VALUES ('{session}', 't', 'acme/shop', '{user}', '{name}', 1, 1, 'idle', 1);
            INSERT INTO sign_ins (family, user_id, issuer, created_at, expires_at, browser) VALUES ('fam_{user}', '{user}', 'github', 1, 2, 'Firefox of {login}');
            INSERT INTO refresh_tokens (token_hash, family, created_at, expires_at) VALUES ('hash_{user}', 'fam_{user}', 1, 2);
            INSERT INTO sealed_tokens (user_id, provider, purpose, key_id, sealed, updated_at) VALUES ('{user}', 'github', 'code_host', 'k', 'sealed of {login}', 1);
            INSERT INTO api_keys (key_id, user_id, name, scope, secret_hash, created_at, expires_at) VALUES ('key_{user}', '{user}', 'laptop of {login}', 'read', 'h', 1, 2);
            INSERT INTO key_grants (code_hash, user_id, client, challenge, expires_at) VALUES ('grant_{user}', '{user}', 'c', 'c', 2);
            INSERT INTO repository_access (user_id, repository, access, checked_at) VALUES ('{user}', 'acme/shop', 'write', 1);
            INSERT INTO rate_counts (bucket, count, expires_at) VALUES ('keys {user} 17', 1, 2);
            INSERT INTO audit (at, actor, action, target, detail) VALUES (5, '{user}', 'sign_in', 'fam', 'github'),
                (6, '{user}', 'slack.link', 'T0/U_{login}', ''), (7, 'usr_github_12', 'user.remove', '{user}', '{login}'),
                (8, '{user}', 'sign_in.refused', '{login}', ''), (9, 'usr_github_12', 'budget.change', 'user {user}', 'day'),
                (1000 + length('{user}'), '{user}', 'halt', 'everything', 'because'), (2000 + length('{user}'), '{user}', 'halt.lift', 'everything', '');
            INSERT INTO halts (reason, halted_by, halted_at, lifted_by, lifted_at)
                VALUES ('because', '{name}', 1000 + length('{user}'), '{name}', 2000 + length('{user}'));
            INSERT INTO sockets VALUES ('tic_{user}', '{session}', '{user}', 'acme/shop', 'fam_{user}', 0, 1);
            INSERT INTO slack_links VALUES ('T0', 'U_{login}', '{user}', 1);
            INSERT INTO slack_link_codes VALUES ('code_{user}', 'T0', 'U_{login}', '{name}', 't', 2);
            INSERT INTO channel_repositories VALUES ('C_{session}', 'acme/shop', '{user}', 1);
            INSERT INTO budgets VALUES ('user', '{user}', 'day', 1, 1, 1, 1, 1);
            INSERT INTO budget_leases VALUES ('{session}', '{user}', 'acme/shop', 5, 5, 2);
            INSERT INTO slots VALUES ('{session}', 'session', '{user}', 'acme/shop', 2, 0), ('{session}', 'sandbox', '{user}', 'acme/shop', 2, 0);
            INSERT INTO slot_waits VALUES ('{session}', '{user}', 'acme/shop', 1, 0, 1);
            INSERT INTO spending VALUES ('{session}', '{user}', 3, 'acme/shop', 100, 10), ('ses_both', '{user}', 3, 'acme/shop', 40, 4);
            INSERT INTO session_people VALUES ('{session}', '{user}', 'acme/shop', 1, 2, 1, 3, 4, 5), ('ses_both', '{user}', 'acme/shop', 1, 1, 1, 1, 1, 1);"
        );
        connection.execute_batch(&rows).unwrap();
    }
    connection
        .execute_batch(
            "INSERT INTO session_facts (session_id, revision, repository, started_at, prompts, participants, input_tokens, output_tokens, cost_micro_usd)
            VALUES ('ses_both', 1, 'acme/shop', 1, 2, 2, 2, 2, 2), ('ses_a', 1, 'acme/shop', 1, 2, 1, 3, 4, 5);",
        )
        .unwrap();
    connection
}

fn run(connection: &Connection, sql: &str, values: &[Value<'_>]) -> usize {
    let mut statement = connection.prepare(sql).unwrap();
    let mut rows = statement.query(params_from_iter(values)).unwrap();
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        count += 1;
    }
    count
}

fn together(connection: &Connection, statements: &[Statement<'_>]) {
    connection.execute_batch("BEGIN").unwrap();
    for (sql, values) in statements {
        run(connection, sql, values);
    }
    connection.execute_batch("COMMIT").unwrap();
}

fn text(connection: &Connection, query: &str) -> String {
    connection
        .query_row(query, [], |row| row.get::<_, rusqlite::types::Value>(0))
        .map(|value| format!("{value:?}"))
        .unwrap()
}

/// Every row of every table, as text.
fn dump(connection: &Connection) -> Vec<String> {
    let names =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = connection.prepare(names).unwrap();
    let names: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut lines = Vec::new();
    for name in names {
        let mut statement = connection.prepare(&format!("SELECT * FROM {name} ORDER BY 1, 2")).unwrap();
        let width = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..width)
                .map(|column| format!("{:?}", row.get::<_, rusqlite::types::Value>(column).unwrap()));
            lines.push(format!("{name}: {}", values.collect::<Vec<_>>().join(" ")));
        }
    }
    lines
}

/// The same without what is the removal's own.
fn comparable(connection: &Connection) -> Vec<String> {
    dump(connection).into_iter().filter(|line| !line.starts_with("erasure")).collect()
}

const ADA: &str = "usr_github_1";
const NOBODY: &str = "usr_removed_x";

fn begin(connection: &Connection, operators: &str) -> usize {
    let values = [
        Value::Text(ADA),
        Value::Text(NOBODY),
        Value::Text(NOBODY),
        Value::Number(NOW),
        Value::Text(operators),
    ];
    run(connection, erasure::BEGIN, &values)
}

/// The transactions of a removal, in order; sockets are closed and sessions have answered.
fn steps<'a>(user: &'a UserId, nobody: &'a UserId) -> Vec<Vec<Statement<'a>>> {
    let (ada, pseudonym) = (Value::Text(user.as_str()), Value::Text(nobody.as_str()));
    let lock = erasure::LOCK.iter().map(|sql| ((*sql).to_owned(), vec![ada, Value::Number(NOW)])).collect();
    let find = vec![
        (erasure::FIND_SESSIONS.to_owned(), vec![ada, pseudonym]),
        (erasure::FOUND_SESSIONS.to_owned(), vec![pseudonym, Value::Number(NOW)]),
    ];
    let closed = vec![("DELETE FROM sockets WHERE user_id = ?1".to_owned(), vec![ada])];
    let asked = ["ses_a", "ses_both"].map(|session| {
        vec![(erasure::ASKED.to_owned(), vec![pseudonym, Value::Text(session), Value::Text("rewritten")])]
    });
    let [first, second] = asked;
    vec![
        lock,
        find,
        closed,
        first,
        second,
        erasure::sweep(user, nobody, NOW),
        erasure::finish(user, nobody, NOW),
    ]
}

#[test]
fn nothing_of_a_removed_person_is_left_and_nobody_else_is_touched() {
    let connection = populated();
    let before: Vec<String> =
        dump(&connection).into_iter().filter(|line| line.contains("usr_github_12")).collect();
    let hours = text(
        &connection,
        "SELECT json_group_array(json_array(scope, iif(scope = 'user', '', subject), day, money, tokens)) FROM (SELECT * FROM spent_days ORDER BY scope, money, subject)",
    );
    let people = text(&connection, "SELECT count(DISTINCT user_id) FROM session_people");
    assert_eq!(begin(&connection, "[]"), 1);
    assert_eq!(begin(&connection, "[]"), 0, "it begins once");
    let (ada, nobody) = (id(ADA), id(NOBODY));
    for step in steps(&ada, &nobody) {
        together(&connection, &step);
    }
    for line in dump(&connection) {
        let is_ada = |line: &str| line.contains("\"usr_github_1\"") || line.contains("user usr_github_1\"");
        let words = ["Ada", "ada@", "of ada", "U_ada", "\"ada\"", "_usr_github_1\"", "usr_github_1 "];
        assert!(!is_ada(&line) && !words.iter().any(|word| line.contains(word)), "{line}");
    }
    let after: Vec<String> =
        dump(&connection).into_iter().filter(|line| line.contains("usr_github_12")).collect();
    // Two lines of the log say what Grace did to Ada: they stay, about nobody.
    let changed: Vec<&String> = before.iter().filter(|line| !after.contains(line)).collect();
    assert_eq!(changed.len(), 2, "{changed:#?}");
    assert!(changed.iter().all(|line| line.starts_with("audit")));
    assert_eq!(text(&connection, "SELECT count(DISTINCT user_id) FROM session_people"), people);
    assert_eq!(
        text(
            &connection,
            "SELECT json_group_array(json_array(scope, iif(scope = 'user', '', subject), day, money, tokens)) FROM (SELECT * FROM spent_days ORDER BY scope, money, subject)"
        ),
        hours
    );
    assert_eq!(
        text(&connection, "SELECT user_id IS NULL AND finished_at IS NOT NULL FROM erasures"),
        "Integer(1)"
    );
    assert_eq!(text(&connection, "SELECT counts ->> '$.spending' FROM erasures"), "Integer(2)");
    assert_eq!(
        text(
            &connection,
            "SELECT group_concat(action) FROM audit WHERE target = 'usr_removed_x' AND action LIKE 'user.%'"
        ),
        "Text(\"user.remove,user.erased\")"
    );
}

#[test]
fn cut_anywhere_and_begun_again_it_comes_to_the_same() {
    let (ada, nobody) = (id(ADA), id(NOBODY));
    let whole = populated();
    begin(&whole, "[]");
    steps(&ada, &nobody).iter().for_each(|step| together(&whole, step));
    for cut in 1..steps(&ada, &nobody).len() {
        let connection = populated();
        begin(&connection, "[]");
        for step in steps(&ada, &nobody).iter().take(cut) {
            together(&connection, step);
        }
        // The last statement before the cut was on its way and is lost.
        connection.execute_batch("BEGIN").unwrap();
        if let Some((sql, values)) = steps(&ada, &nobody).get(cut).and_then(|step| step.first().cloned()) {
            run(&connection, &sql, &values);
        }
        connection.execute_batch("ROLLBACK").unwrap();
        steps(&ada, &nobody).iter().for_each(|step| together(&connection, step));
        assert_eq!(comparable(&connection), comparable(&whole), "cut behind transaction {cut}");
        // Done twice as a whole: the second time there is nothing to do.
        steps(&ada, &nobody).iter().for_each(|step| together(&connection, step));
        assert_eq!(comparable(&connection), comparable(&whole), "cut behind transaction {cut}, and repeated");
    }
}

#[test]
fn what_sessions_tell_late_is_swept_and_counted_once() {
    let (ada, nobody) = (id(ADA), id(NOBODY));
    let connection = populated();
    begin(&connection, "[]");
    let steps = steps(&ada, &nobody);
    for step in steps.iter().take(6) {
        together(&connection, step);
    }
    let sum =
        || text(&connection, "SELECT money || '/' || tokens FROM spent_days WHERE scope = 'organisation'");
    assert_eq!(sum(), "Text(\"280/28\")");
    // An old word with larger sums comes behind the sweep, and a new one in the new name.
    connection
        .execute_batch(
            "INSERT INTO spending VALUES ('ses_a', 'usr_github_1', 3, 'acme/shop', 130, 13);
            INSERT INTO session_people VALUES ('ses_a', 'usr_github_1', 'acme/shop', 1, 2, 1, 3, 4, 5);",
        )
        .unwrap();
    let progress = || text(&connection, "SELECT quiet_since FROM erasures");
    let later = NOW + 60_000;
    together(&connection, &erasure::sweep(&ada, &nobody, later));
    assert_eq!(progress(), format!("Integer({later})"), "there was something to change");
    assert_eq!(sum(), "Text(\"310/31\")", "the larger sum counts, once");
    together(&connection, &erasure::sweep(&ada, &nobody, later + 1));
    assert_eq!(progress(), format!("Integer({later})"), "and nothing since then");
    let rows = "SELECT count(*) FROM session_people WHERE session_id = 'ses_a'";
    assert_eq!(text(&connection, rows), "Integer(1)");
}

#[test]
fn the_last_operator_stays() {
    let connection = populated();
    assert_eq!(begin(&connection, r#"["ada"]"#), 0);
    assert_eq!(begin(&connection, r#"["ada","linus"]"#), 0, "one who never signed in does not count");
    connection.execute_batch("UPDATE users SET removed_at = 1 WHERE login = 'grace'").unwrap();
    assert_eq!(begin(&connection, r#"["ada","grace"]"#), 0, "nor one who was removed");
    connection.execute_batch("UPDATE users SET removed_at = NULL").unwrap();
    assert_eq!(begin(&connection, r#"["ada","grace"]"#), 1);
}

#[test]
fn the_log_changes_for_nobody_but_those_who_are_removed() {
    let connection = populated();
    let refused = |sql: &str| assert!(connection.execute_batch(sql).is_err(), "{sql}");
    refused("UPDATE audit SET actor = 'usr_removed_x' WHERE actor = 'usr_github_1'");
    refused("DELETE FROM audit");
    begin(&connection, "[]");
    refused("UPDATE audit SET actor = 'usr_removed_x' WHERE actor = 'usr_github_12'");
    refused("UPDATE audit SET actor = 'usr_other' WHERE actor = 'usr_github_1'");
    refused("UPDATE audit SET action = 'x' WHERE actor = 'usr_github_1'");
    refused("UPDATE audit SET at = 0 WHERE actor = 'usr_github_1'");
    refused("UPDATE audit SET detail = 'x' WHERE actor = 'usr_github_1'");
}

#[test]
fn an_export_has_a_row_of_every_table_and_no_secret() {
    let connection = populated();
    for (table, query) in export::queries() {
        let mut statement = connection.prepare(query).unwrap();
        let rows: Vec<String> =
            statement.query_map([ADA], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(!rows.is_empty(), "{table}");
        for row in rows {
            assert!(
                !row.contains("hash") && !row.contains("sealed of") && !row.contains("grace"),
                "{table}: {row}"
            );
        }
    }
    let values = [Value::Text(ADA), Value::Text(""), Value::Number(10)];
    assert_eq!(run(&connection, export::SESSIONS, &values), 2);
    let values = [Value::Text(ADA), Value::Text("ses_a"), Value::Number(10)];
    assert_eq!(run(&connection, export::SESSIONS, &values), 1);
}
