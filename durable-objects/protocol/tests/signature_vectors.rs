//! Golden vectors of the signatures between edge and bridge: this crate writes and reads them natively, the tests of the edge check the
//! same ones with an implementation of their own, and that against the Worker. Kept as `vectors.rs` says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use protocol::sign::{Audience, BridgeKeys, sign_answer, sign_request, verify_answer, verify_request};
use protocol::time::Timestamp;
use serde_json::{Value, json};
use std::path::Path;

const NOW: Timestamp = Timestamp(1_795_000_000_000);
const NONCE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
const SECRET: &str = "a-secret-of-the-golden-vectors-0123456789";

/// Direction, method, path, body, status, body of the answer.
const CASES: [(Audience, &str, &str, &str, u16, &str); 3] = [
    (Audience::Bridge, "PUT", "/sandboxes/sbx_1/commands/cmd_1", r#"{"generation":1}"#, 202, "{}"),
    (
        Audience::Edge,
        "POST",
        "/api/bridge/sessions/ses_1/events",
        "{\"text\":\"wörld 😀\"}",
        200,
        r#"{"acked":7}"#,
    ),
    (
        Audience::Edge,
        "POST",
        "/api/bridge/sessions/ses_1/ended?a=1&b=%20",
        "",
        404,
        r#"{"code":"not_found"}"#,
    ),
];

fn written() -> Value {
    let keys = BridgeKeys::parse(SECRET).unwrap();
    let cases = CASES.map(|(to, method, path, body, status, answer)| {
        let authorization = sign_request(&keys, to, method, path, body.as_bytes(), NONCE, NOW);
        let request =
            verify_request(&keys, to, Some(&authorization), method, path, body.as_bytes(), NOW).unwrap();
        let signature = sign_answer(&keys, to, &request, status, answer.as_bytes(), NOW);
        json!({
            "to": to, "method": method, "path": path, "body": body, "authorization": authorization,
            "status": status, "answer": answer, "signature": signature,
        })
    });
    json!({ "secret": SECRET, "now": NOW, "nonce": request_nonce(), "cases": cases })
}

fn request_nonce() -> String {
    NONCE.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/signatures.json");
    if std::env::var_os("UPDATE_GENERATED").is_some() && !path.exists() {
        std::fs::write(&path, serde_json::to_string_pretty(&written()).unwrap() + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| {
        panic!("no vectors: UPDATE_GENERATED=1 cargo test -p protocol --test signature_vectors")
    });
    serde_json::from_str(&text).unwrap()
}

#[test]
fn signatures_are_written_as_they_were_published() {
    assert_eq!(vectors(), written(), "a changed format needs new vectors, and a transition");
}

#[test]
fn published_signatures_are_read() {
    let keys = BridgeKeys::parse(SECRET).unwrap();
    let vectors = vectors();
    for case in vectors["cases"].as_array().unwrap() {
        let to: Audience = serde_json::from_value(case["to"].clone()).unwrap();
        let text = |name: &str| case[name].as_str().unwrap();
        let (method, path, body) = (text("method"), text("path"), text("body").as_bytes());
        let claims = verify_request(&keys, to, Some(text("authorization")), method, path, body, NOW).unwrap();
        assert_eq!(claims.nonce, vectors["nonce"]);
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let answer = text("answer").as_bytes();
        assert_eq!(verify_answer(&keys, to, NONCE, Some(text("signature")), status, answer, NOW), Ok(()));
    }
}
