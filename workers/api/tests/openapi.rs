//! Guards `workers/web/public/openapi.json`: it describes every route of the table and none else, and is exactly what the code says.
//! `UPDATE_GENERATED=1 cargo test -p api --features openapi` rewrites it.
#![cfg(feature = "openapi")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use api::description::document;
use api::route::TABLE;
use protocol::client::{ArchiveRequest, CreateSessionRequest, PromptRequest, SignInRequest};
use protocol::repository::Recipe;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// `(method, path)` and the operation.
fn operations(document: &Value) -> BTreeMap<(String, String), Value> {
    let mut operations = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.insert((method.to_ascii_uppercase(), path.clone()), operation.clone());
        }
    }
    operations
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described: BTreeSet<_> = operations(&document()).into_keys().collect();
    let routes: BTreeSet<_> =
        TABLE.iter().map(|entry| (entry.method.to_owned(), entry.path.to_owned())).collect();
    assert_eq!(described, routes);
}

#[test]
fn operations_are_named_once_and_say_how_they_end() {
    let mut names = BTreeSet::new();
    for ((method, path), operation) in operations(&document()) {
        assert!(names.insert(operation["operationId"].to_string()), "{method} {path}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| matches!(status.as_bytes()[0], b'1'..=b'3')), "{method} {path}");
        assert!(operation["security"].is_array(), "{method} {path}");
        let variables = path.matches('{').count();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        assert_eq!(parameters.iter().filter(|parameter| parameter["in"] == "path").count(), variables);
    }
}

#[test]
fn every_reference_leads_to_a_schema_and_every_schema_is_referred_to() {
    let document = document();
    let mut referred = BTreeSet::from(
        ["ClientMessage", "ServerMessage", "ErrorBody"].map(|name| format!("#/components/schemas/{name}")),
    );
    collect(&document, &mut referred);
    let schemas: BTreeSet<String> = document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
        .map(|name| format!("#/components/schemas/{name}"))
        .collect();
    assert_eq!(referred, schemas);
}

fn collect(value: &Value, referred: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            referred.extend(reference.filter(|name| name.contains("/schemas/")).map(str::to_owned));
            members.values().for_each(|member| collect(member, referred));
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, referred)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn examples_are_read_by_the_types_that_take_them() {
    fn check<T: DeserializeOwned>(operations: &BTreeMap<(String, String), Value>, method: &str, path: &str) {
        let operation = &operations[&(method.to_owned(), path.to_owned())];
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        serde_json::from_str::<T>(&example.to_string()).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let operations = operations(&document());
    check::<CreateSessionRequest>(&operations, "POST", "/api/sessions");
    check::<PromptRequest>(&operations, "POST", "/api/sessions/{id}/message");
    check::<ArchiveRequest>(&operations, "PUT", "/api/sessions/{id}/archived");
    check::<SignInRequest>(&operations, "POST", "/api/sign-in");
    check::<Recipe>(&operations, "PUT", "/api/repositories/{owner}/{name}/settings");
}

#[test]
fn the_committed_description_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/public/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == text,
        "workers/web/public/openapi.json is stale: UPDATE_GENERATED=1 cargo test -p api --features openapi"
    );
}
