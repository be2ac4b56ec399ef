//! The signed API: who may call it, and that calls may be repeated.

use crate::support::{BRIDGE_SECRET, Stack, order, sandbox_id};
use protocol::bridge::{
    Capabilities, DeleteSnapshotRequest, Health, SandboxCreated, SnapshotRequest, SnapshotTaken,
    TerminateRequest,
};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::SessionId;
use protocol::sign::{Audience, BridgeKeys, sign_request};
use protocol::time::Timestamp;
use protocol::timeline::Isolation;
use reqwest::{Method, StatusCode};
use sandbox_bridge::clock;
use sandbox_bridge::provider::ProviderError;

struct Signature {
    key: BridgeKeys,
    to: Audience,
    method: &'static str,
    path: &'static str,
    body: &'static [u8],
    nonce: [u8; 16],
    at: Timestamp,
}

impl Signature {
    fn right() -> Self {
        Self {
            key: BridgeKeys::parse(BRIDGE_SECRET).unwrap(),
            to: Audience::Bridge,
            method: "GET",
            path: "/capabilities",
            body: b"",
            nonce: clock::random().unwrap(),
            at: clock::now(),
        }
    }

    fn sign(&self) -> String {
        sign_request(&self.key, self.to, self.method, self.path, self.body, self.nonce, self.at)
    }
}

async fn code(stack: &Stack, signature: &str) -> Option<ErrorCode> {
    let (status, body) = stack.send_as(signature, Method::GET, "/capabilities", Vec::new()).await;
    if status == StatusCode::OK {
        return None;
    }
    let error: ErrorBody = serde_json::from_slice(&body).unwrap();
    assert_eq!(error.code.http_status(), status.as_u16());
    Some(error.code)
}

#[tokio::test]
async fn only_the_signed_request_itself_is_let_in_and_only_once() {
    let stack = Stack::start().await;
    let right = Signature::right().sign();
    assert_eq!(code(&stack, &right).await, None);
    assert_eq!(code(&stack, &right).await, Some(ErrorCode::SignatureInvalid), "replayed");

    let now = clock::now();
    let other_key = BridgeKeys::parse(&"7".repeat(40)).unwrap();
    let wrong = [
        Signature { key: other_key, ..Signature::right() },
        Signature { to: Audience::Edge, ..Signature::right() },
        Signature { to: Audience::Gateway, ..Signature::right() },
        Signature { method: "PUT", ..Signature::right() },
        Signature { path: "/capabilities?x=1", ..Signature::right() },
        Signature { path: "/health", ..Signature::right() },
        Signature { body: b"{}", ..Signature::right() },
        Signature { at: Timestamp(now.0 - 61_000), ..Signature::right() },
        Signature { at: Timestamp(now.0 + 120_000), ..Signature::right() },
    ];
    for (index, signature) in wrong.iter().enumerate() {
        assert_eq!(
            code(&stack, &signature.sign()).await,
            Some(ErrorCode::SignatureInvalid),
            "number {index}"
        );
    }
    for text in ["", "Bearer", "Bearer a.b.c", "Basic eA==", right.trim_start_matches("Bearer ")] {
        assert_eq!(code(&stack, text).await, Some(ErrorCode::SignatureInvalid), "{text:?}");
    }
}

#[tokio::test]
async fn what_was_signed_before_the_start_must_be_signed_again() {
    let before = Signature { at: Timestamp(clock::now().0 - 1000), ..Signature::right() }.sign();
    let stack = Stack::start().await;
    assert_eq!(code(&stack, &before).await, Some(ErrorCode::Unavailable));
    assert_eq!(code(&stack, &Signature::right().sign()).await, None);
}

#[tokio::test]
async fn health_is_open_and_everything_else_is_not() {
    let stack = Stack::start().await;
    stack.create(&order("1", 1)).await;
    let health = stack.http.get(format!("{}/health", stack.bridge.url)).send().await.unwrap();
    let health: Health = health.json().await.unwrap();
    assert_eq!((health.protocol_version, health.sandboxes), (protocol::PROTOCOL_VERSION, 1));
    for path in ["/capabilities", "/sandboxes/sbx_1", "/", "/runner", "/git/acme/shop.git/info/refs"] {
        let response = stack.http.get(format!("{}{path}", stack.bridge.url)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let (status, body) = stack.send(Method::GET, "/capabilities", Vec::new()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(serde_json::from_slice::<Capabilities>(&body).unwrap().provider, "fake");
}

#[tokio::test]
async fn bad_requests_are_refused_in_words() {
    let stack = Stack::start().await;
    let valid = serde_json::to_vec(&order("1", 1)).unwrap();
    let mut default_branch = order("1", 1);
    default_branch.branch = "main".to_owned();
    let mut strange_branch = order("1", 1);
    strange_branch.branch = "../main".to_owned();
    for (method, path, body, expected) in [
        (Method::PUT, "/sandboxes/sbx_1", b"{".to_vec(), ErrorCode::BadRequest),
        (Method::PUT, "/sandboxes/sbx_1", b"{}".to_vec(), ErrorCode::BadRequest),
        (
            Method::PUT,
            "/sandboxes/sbx_1",
            serde_json::to_vec(&default_branch).unwrap(),
            ErrorCode::BadRequest,
        ),
        (
            Method::PUT,
            "/sandboxes/sbx_1",
            serde_json::to_vec(&strange_branch).unwrap(),
            ErrorCode::BadRequest,
        ),
        (Method::PUT, "/sandboxes/ses_1", valid.clone(), ErrorCode::BadRequest),
        (Method::PUT, "/sandboxes/..%2Fx", valid.clone(), ErrorCode::BadRequest),
        (Method::PUT, "/sandboxes/sbx_1", vec![b' '; 600 * 1024], ErrorCode::TooLarge),
        (Method::GET, "/sandboxes/sbx_1", Vec::new(), ErrorCode::MethodNotAllowed),
        (Method::GET, "/nothing", Vec::new(), ErrorCode::NotFound),
    ] {
        let (status, body) = stack.send(method, path, body).await;
        let error: ErrorBody = serde_json::from_slice(&body).unwrap();
        assert_eq!((error.code, status.as_u16()), (expected, expected.http_status()), "{path}");
        assert!(!error.message.is_empty());
    }
    assert!(stack.bridge.provider().calls().is_empty());
}

#[tokio::test]
async fn creating_twice_makes_one_sandbox() {
    let stack = Stack::start().await;
    let path = "/sandboxes/sbx_1";
    let order_1 = order("1", 1);
    let created = SandboxCreated { provider: "fake".to_owned(), isolation: Isolation::Weak };
    let both = tokio::join!(stack.put(path, &order_1), stack.put(path, &order_1));
    assert_eq!(both, (Ok(created.clone()), Ok(created.clone())));
    assert_eq!(stack.put(path, &order_1).await, Ok(created));
    assert_eq!(stack.bridge.provider().calls(), ["create sbx_1"]);

    let other = stack.put::<SandboxCreated>(path, &order("1", 2)).await.unwrap_err();
    assert_eq!(other.code, ErrorCode::IdConflict);
}

#[tokio::test]
async fn a_newer_generation_ends_the_older_sandbox_and_never_the_other_way_round() {
    let stack = Stack::start().await;
    stack.create(&order("1", 2)).await;
    let older = stack.put::<SandboxCreated>("/sandboxes/sbx_late", &order("1", 1)).await.unwrap_err();
    assert_eq!(older.code, ErrorCode::GenerationStale);
    stack.create(&order("1", 3)).await;
    crate::support::soon("the end of the older sandbox", async {
        while stack.bridge.provider().list_ids() != ["sbx_1-3"] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(stack.bridge.provider().calls(), ["create sbx_1-2", "create sbx_1-3", "terminate sbx_1-2"]);
}

#[tokio::test]
async fn a_refused_creation_says_why_and_can_be_tried_again() {
    let stack = Stack::start().await;
    let refuse = |error| *stack.bridge.provider().refusal.lock().unwrap() = Some(error);
    refuse(ProviderError::Rejected("no user namespaces; start with --weak-sandbox".to_owned()));
    let error = stack.put::<SandboxCreated>("/sandboxes/sbx_1", &order("1", 1)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::SandboxUnavailable);
    assert_eq!(error.message, "no user namespaces; start with --weak-sandbox");
    refuse(ProviderError::Unavailable {
        what: "create a folder".to_owned(),
        source: anyhow::anyhow!("disk full"),
    });
    let error = stack.put::<SandboxCreated>("/sandboxes/sbx_1", &order("1", 1)).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Unavailable, "create a folder: disk full"));
    assert!(stack.put::<SandboxCreated>("/sandboxes/sbx_1", &order("1", 1)).await.is_ok());
}

#[tokio::test]
async fn a_snapshot_is_deleted_for_its_session_however_often() {
    let stack = Stack::start().await;
    let delete = DeleteSnapshotRequest { session_id: SessionId::parse("ses_1").unwrap() };
    let path = "/snapshots/snp_1/deleted";
    for _ in 0..2 {
        assert_eq!(stack.put(path, &delete).await, Ok(serde_json::json!({})));
    }
    let fail = |error| *stack.bridge.provider().refusal.lock().unwrap() = Some(error);
    fail(ProviderError::NotFound("snp_1".to_owned()));
    assert_eq!(
        stack.put(path, &delete).await,
        Ok(serde_json::json!({})),
        "it is gone, and that was asked for"
    );
    fail(ProviderError::Rejected("the snapshot snp_1 belongs to another session".to_owned()));
    let refused = stack.put::<serde_json::Value>(path, &delete).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Forbidden);
    fail(ProviderError::Unavailable { what: "mark it".to_owned(), source: anyhow::anyhow!("disk full") });
    let failed = stack.put::<serde_json::Value>(path, &delete).await.unwrap_err();
    assert_eq!((failed.code, failed.message.as_str()), (ErrorCode::Unavailable, "mark it: disk full"));
    assert_eq!(stack.bridge.provider().calls(), ["delete snp_1 of ses_1"; 2]);
    let wrong = stack.put::<serde_json::Value>("/snapshots/sbx_1/deleted", &delete).await.unwrap_err();
    assert_eq!(wrong.code, ErrorCode::BadRequest);
}

#[tokio::test]
async fn snapshots_and_ends_carry_the_generation() {
    let stack = Stack::start().await;
    let id = stack.create(&order("1", 1)).await;
    let snapshot = format!("/sandboxes/{id}/snapshots/snp_1");
    let end = format!("/sandboxes/{id}/terminated");
    let taken: SnapshotTaken = stack.put(&snapshot, &SnapshotRequest { generation: 1 }).await.unwrap();
    assert_eq!((taken.snapshot_id.as_str(), taken.size_bytes), ("snp_1", 7));
    let stale = stack.put::<SnapshotTaken>(&snapshot, &SnapshotRequest { generation: 0 }).await.unwrap_err();
    assert_eq!(stale.code, ErrorCode::GenerationStale);
    let stale = stack
        .put::<serde_json::Value>(&end, &TerminateRequest { generation: 2, session_id: None })
        .await
        .unwrap_err();
    assert_eq!(stale.code, ErrorCode::GenerationStale);

    for _ in 0..2 {
        let ended: serde_json::Value =
            stack.put(&end, &TerminateRequest { generation: 1, session_id: None }).await.unwrap();
        assert_eq!(ended, serde_json::json!({}));
    }
    let gone = stack.put::<SnapshotTaken>(&snapshot, &SnapshotRequest { generation: 1 }).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::NotFound);
    // A late repeat of the order does not bring it back.
    let late = stack.put::<SandboxCreated>(&format!("/sandboxes/{id}"), &order("1", 1)).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::GenerationStale);
    let calls = ["create sbx_1-1", "snapshot sbx_1-1 snp_1", "terminate sbx_1-1"];
    assert_eq!(stack.bridge.provider().calls(), calls);
    assert_eq!(id, sandbox_id("1-1"));
}
