//! Guards `typescript/`: what is committed there is exactly what the Rust types say.
//! `UPDATE_GENERATED=1 cargo test -p protocol --features typescript` rewrites it.
#![cfg(feature = "typescript")]

use protocol::account::{
    ApiKeyList, ApiKeyMade, ApiKeyRequest, AuditPage, ErasureList, IntegrationList, PeopleList,
    RepositoryHints, SignInList,
};
use protocol::budget::{BudgetRequest, Budgets, HaltAnswer, HaltRequest};
use protocol::client::{
    ArchiveRequest, ClientMessage, Configuration, CreateSessionRequest, CreateSessionResponse, HistoryPage,
    PromptAccepted, PromptRequest, RepositoryList, ServerMessage, SessionList, SessionStatus, SignInRequest,
    TicketResponse,
};
use protocol::error::ErrorBody;
use protocol::metrics::Metrics;
use protocol::repository::RepositoryStatus;
use protocol::status::{DeploymentStatus, Readiness};
use protocol::timeline::User;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use ts_rs::{Config, TS};

fn exported() -> BTreeMap<PathBuf, String> {
    let folder = tempfile::tempdir().unwrap();
    let config =
        Config::new().with_out_dir(folder.path()).with_large_int("number").with_import_extension(Some("js"));
    macro_rules! export { ($($message:ty),* $(,)?) => { $(<$message as TS>::export_all(&config).unwrap();)* } }
    export![
        ApiKeyList,
        ApiKeyMade,
        ApiKeyRequest,
        ArchiveRequest,
        AuditPage,
        BudgetRequest,
        Budgets,
        ClientMessage,
        Configuration,
        CreateSessionRequest,
        CreateSessionResponse,
        DeploymentStatus,
        ErasureList,
        ErrorBody,
        HaltAnswer,
        HaltRequest,
        HistoryPage,
        IntegrationList,
        Metrics,
        PeopleList,
        PromptAccepted,
        PromptRequest,
        Readiness,
        RepositoryHints,
        RepositoryList,
        RepositoryStatus,
        ServerMessage,
        SessionList,
        SessionStatus,
        SignInList,
        SignInRequest,
        TicketResponse,
        User,
    ];
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        files.insert(
            PathBuf::from("types").join(path.file_name().unwrap()),
            std::fs::read_to_string(&path).unwrap(),
        );
    }
    let index: String = files
        .keys()
        .map(|path| path.file_stem().unwrap().to_str().unwrap())
        .map(|name| format!("export type {{ {name} }} from \"./types/{name}.js\";\n"))
        .collect();
    files.insert("index.ts".into(), format!("// Generated from the crate `protocol`. Do not edit.\n{index}"));
    files
}

#[test]
fn committed_typescript_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("typescript");
    let exported = exported();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        let _ = std::fs::remove_dir_all(root.join("types"));
        std::fs::create_dir_all(root.join("types")).unwrap();
        for (path, text) in &exported {
            std::fs::write(root.join(path), text).unwrap();
        }
    }
    for (path, text) in &exported {
        let committed = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(
            &committed == text,
            "{} is stale: UPDATE_GENERATED=1 cargo test -p protocol --features typescript",
            path.display()
        );
    }
    let committed = std::fs::read_dir(root.join("types")).unwrap().count();
    assert_eq!(committed, exported.len() - 1, "typescript/types has files that no type generates");
}
