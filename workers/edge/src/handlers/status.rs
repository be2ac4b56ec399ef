//! `GET /api/operator/status`: how the deployment is at this moment, as [`protocol::status::DeploymentStatus`] says. Database, replicas of
//! the bridge, sessions that work and repositories are asked at once; what does not answer is said, and keeps nothing else from being
//! shown. What they answer is passed on as it is: reading it into structs would be ten kilobytes of the module.

use super::ready::{database, render, replica};
use crate::answer::{Answer, json_text};
use crate::context::Context;
use crate::overview::{Counts, Listed, Overview};
use crate::{repository_object, session_object};
use futures::future::join_all;
use platform::operator::Operator;
use protocol::id::{RepositoryId, SessionId};
use repository::call::Call as RepositoryCall;
use serde_json::{Value, json};
use session::call::Call;
use std::pin::Pin;

/// Sessions that are asked: their objects are awake, or were a moment ago.
const SESSIONS_MAX: u64 = 40;
const REPOSITORIES_MAX: u64 = 40;
/// Replicas beside the common address.
const REPLICAS_MAX: usize = 12;

/// One question. Boxed, so that one piece of code waits for all kinds of them.
type Asked<'a> = Pin<Box<dyn Future<Output = Option<Value>> + 'a>>;

pub(super) async fn status(context: &Context) -> Answer {
    let reason = database(context).await;
    let Listed { counts, sessions, repositories } = list(context).await.unwrap_or_default();
    let Counts { running, failed, idle } = counts;
    let mut asks: Vec<Asked<'_>> = vec![Box::pin(replica_at(context, None))];
    asks.extend(sessions.iter().map(|id| -> Asked<'_> { Box::pin(load(context, id)) }));
    asks.extend(repositories.iter().map(|id| -> Asked<'_> { Box::pin(look(context, id)) }));
    let mut told = join_all(asks).await.into_iter();
    let mut replicas: Vec<Value> = told.next().flatten().into_iter().collect();
    let loads: Vec<Value> = told.by_ref().take(sessions.len()).flatten().collect();
    let repositories: Vec<Value> = told.flatten().collect();

    let mut urls: Vec<&str> = Vec::new();
    for url in loads.iter().filter_map(|load| load.get("bridgeUrl")?.as_str()) {
        let is_common = replicas.iter().any(|common| common.get("url").is_some_and(|known| known == url));
        if !is_common && !urls.contains(&url) && urls.len() < REPLICAS_MAX {
            urls.push(url);
        }
    }
    let asks = urls.into_iter().map(|url| -> Asked<'_> { Box::pin(replica_at(context, Some(url))) });
    replicas.extend(join_all(asks.collect::<Vec<_>>()).await.into_iter().flatten());
    let reasons: Vec<Value> = reason.iter().map(render).collect();
    let silent = sessions.len() - loads.len();
    let status = json!({
        "at": context.now.0,
        "version": env!("CARGO_PKG_VERSION"),
        "reasons": reasons,
        "replicas": replicas,
        "sessions":
            { "running": running, "failed": failed, "idle": idle, "silent": silent, "asked": loads },
        "repositories": repositories,
    });
    json_text(200, status.to_string())
}

async fn replica_at(context: &Context, url: Option<&str>) -> Option<Value> {
    let answered = replica(context, url).await;
    let url = url.map_or_else(|| Operator(&context.env).bridge().url, str::to_owned);
    Some(match answered {
        Ok(Some(status)) => json!({ "url": url, "status": status }),
        Ok(None) => json!({ "url": url, "error": "it does not say how it is: upgrade the bridge" }),
        Err(error) => json!({ "url": url, "error": error }),
    })
}

/// What the index lists. Without the database nothing is; that is among the reasons.
async fn list(context: &Context) -> Option<Listed> {
    Overview::new(&context.env).ok()?.list(SESSIONS_MAX, REPOSITORIES_MAX).await.ok()
}

async fn load(context: &Context, id: &SessionId) -> Option<Value> {
    read(session_object::get(&context.env, id, Call::Load).await).await
}

async fn look(context: &Context, id: &RepositoryId) -> Option<Value> {
    let mut status = read(repository_object::get(&context.env, id, RepositoryCall::Status).await).await;
    // The page of the repository has them all.
    if let Some(Value::Array(builds)) = status.as_mut().and_then(|status| status.get_mut("builds")) {
        builds.truncate(1);
    }
    let mut told = json!({ "repository": id.as_str() });
    if let (Some(status), Value::Object(told)) = (status, &mut told) {
        told.insert("status".to_owned(), status);
    }
    Some(told)
}

/// What an object said, if it said what was asked for.
async fn read(answer: Answer) -> Option<Value> {
    let mut answer = answer.ok()?;
    let body = answer.bytes().await.ok()?;
    if answer.status_code() == 200 { protocol::read_json(&body).ok() } else { None }
}
