//! `GET /api/ready`: whether the deployment can work, and what keeps it from that, for anybody; and the same with details, for operators.

use crate::answer::{Answer, json_text};
use crate::context::Context;
use crate::overview::Overview;
use platform::bridge::{Ask, Unanswered};
use platform::operator::Operator;
use protocol::status::ReasonCode;
use protocol::time::Timestamp;
use serde_json::{Value, json};
use std::cell::RefCell;

/// How long the bridge may take.
const BRIDGE_MS_MAX: u64 = 5_000;
/// How long an answer to anybody counts: whoever asks often asks nothing of database and bridge.
const KEPT_MS: u64 = 5_000;

thread_local! {
    static KNOWN: RefCell<Option<(Timestamp, Vec<ReasonCode>)>> = const { RefCell::new(None) };
}

/// For balancers and monitors.
pub(super) async fn ready(context: &Context) -> Answer {
    let known = KNOWN.with_borrow(|known| {
        let (at, codes) = known.as_ref()?;
        (context.now.ms_since(*at) < KEPT_MS).then(|| codes.clone())
    });
    let codes = match known {
        Some(codes) => codes,
        None => {
            let mut codes = bridge(context).await;
            codes.extend(database(context).await.map(|reason| reason.code));
            KNOWN.set(Some((context.now, codes.clone())));
            codes
        }
    };
    let reasons: Vec<Value> = codes
        .iter()
        .map(|code| render(&Reason { code: *code, message: code.message().to_owned() }))
        .collect();
    let status = if reasons.is_empty() { 200 } else { 503 };
    json_text(status, json!({ "ready": reasons.is_empty(), "reasons": reasons }).to_string())
}

/// A [`protocol::status::Reason`] that is written as a tree: structs cost the module more.
pub(super) struct Reason {
    code: ReasonCode,
    message: String,
}

pub(super) fn render(reason: &Reason) -> Value {
    json!({ "code": reason.code.as_str(), "message": reason.message })
}

/// What is wrong with the database.
pub(super) async fn database(context: &Context) -> Option<Reason> {
    let asked = async { Overview::new(&context.env)?.is_migrated().await };
    let (code, message) = match asked.await {
        Ok(true) => return None,
        Ok(false) => {
            (ReasonCode::Migrations, "the newest is not applied: `cargo xtask deploy` does that".to_owned())
        }
        Err(error) => (ReasonCode::Database, error.to_string()),
    };
    Some(Reason { code, message })
}

/// What keeps the bridge from working, by its own word.
async fn bridge(context: &Context) -> Vec<ReasonCode> {
    match replica(context, None).await {
        Ok(status) => {
            let reasons = status.as_ref().and_then(|status| status.get("reasons")?.as_array());
            let codes = reasons.into_iter().flatten().filter_map(|reason| reason.get("code")?.as_str());
            codes.map(ReasonCode::parse).collect()
        }
        Err(_) => vec![ReasonCode::Bridge],
    }
}

/// What a replica, or whichever has the bridge's common address, says of itself; `None` where it is too old for that.
pub(super) async fn replica(context: &Context, url: Option<&str>) -> Result<Option<Value>, String> {
    let bridge = Operator(&context.env).bridge();
    let ask = Ask::look("/status".to_owned(), BRIDGE_MS_MAX).traced(Some(context.trace));
    let answered = match url {
        Some(url) => bridge.look_at(url, &ask).await,
        None => bridge.send(&ask).await,
    };
    match answered {
        Ok(answered) if answered.status == 404 => Ok(None),
        Ok(answered) if answered.status == 200 => protocol::read_json(&answered.body)
            .map(Some)
            .map_err(|_| "its answer is not understood".to_owned()),
        Ok(answered) => Err(format!("it answered with status {}", answered.status)),
        Err(Unanswered::Misconfigured(reason) | Unanswered::Silent(reason)) => Err(reason),
    }
}
