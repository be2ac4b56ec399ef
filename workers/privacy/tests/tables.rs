//! No table and no column that could hold a person is forgotten: all migrations are applied, and what they make is compared with the list.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use privacy::table::{Database, Erasure, Export, TABLES};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The databases, and where their migrations are.
const DATABASES: [(Database, &str); 4] = [
    (Database::Index, "d1"),
    (Database::Session, "session"),
    (Database::Repository, "repository"),
    (Database::Thread, "thread"),
];

/// Parts of names of columns that may hold a person.
const SUSPICIOUS: [&str; 18] = [
    "user",
    "author",
    "person",
    "people",
    "login",
    "email",
    "name",
    "owner",
    "actor",
    "member",
    "slack",
    "reviewer",
    "participant",
    "creator",
    "browser",
    "address",
    "bucket",
    "subject",
];
/// Types of columns that are read as a whole may hold anybody.
const WHOLE: [&str; 7] = ["data", "payload", "content", "pull", "account", "message", "detail"];

fn migrated(folder: &str) -> Connection {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(folder);
    let mut files: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let connection = Connection::open_in_memory().unwrap();
    for file in files {
        connection.execute_batch(&fs::read_to_string(&file).unwrap()).unwrap();
    }
    connection
}

/// `table.column` of every column there is.
fn columns(connection: &Connection) -> Vec<(String, String)> {
    let query = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid";
    let mut statement = connection.prepare(query).unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_table_is_in_the_list_and_every_column_that_could_hold_a_person() {
    let mut missing = Vec::new();
    for (database, folder) in DATABASES {
        let there = columns(&migrated(folder));
        assert!(there.len() > 5, "{folder} has tables");
        for (name, column) in there {
            let table = TABLES.iter().find(|table| table.database == database && table.name == name);
            let Some(table) = table else {
                missing.push(format!("{folder}: table {name}"));
                continue;
            };
            let is_named = table.people.contains(&column.as_str()) || table.others.contains(&column.as_str());
            let is_suspicious =
                column.ends_with("_by") || SUSPICIOUS.iter().any(|part| column.contains(part));
            if (is_suspicious || WHOLE.contains(&column.as_str())) && !is_named {
                missing.push(format!("{folder}: {name}.{column}"));
            }
        }
    }
    assert_eq!(missing, [""; 0], "say in privacy::table what becomes of these when a person is removed");
}

#[test]
fn the_list_names_nothing_that_there_is_not() {
    for (database, folder) in DATABASES {
        let there: BTreeSet<_> = columns(&migrated(folder)).into_iter().collect();
        for table in TABLES.iter().filter(|table| table.database == database) {
            let named = table.people.iter().chain(table.others);
            for column in named {
                assert!(
                    there.contains(&(table.name.to_owned(), (*column).to_owned())),
                    "{folder}: {}.{column}",
                    table.name
                );
            }
            assert!(there.iter().any(|(name, _)| name == table.name), "{folder}: {}", table.name);
            assert_eq!(
                TABLES.iter().filter(|other| (other.database, other.name) == (database, table.name)).count(),
                1
            );
        }
    }
}

#[test]
fn who_holds_a_person_says_what_becomes_of_it() {
    for table in TABLES.iter().filter(|table| !table.people.is_empty()) {
        let is_said = match table.erasure {
            Erasure::Now(statements) | Erasure::AtLast(statements) => !statements.is_empty(),
            Erasure::ByObject => table.export == Export::ByObject,
            Erasure::Expires(why) | Erasure::Stays(why) => why != "it holds nobody",
        };
        assert!(is_said, "{}", table.name);
        assert_ne!(table.export, Export::Nothing("it holds nobody"), "{}", table.name);
    }
}
