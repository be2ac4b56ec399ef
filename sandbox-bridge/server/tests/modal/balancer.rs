//! What stands between the Worker and several bridges: passes each request to one of them in turn. Builds are the test's own: their
//! orders stay here, and images are made by a provider beside the bridges.

use crate::object::{EDGE_SECRET, Worker};
use crate::support::{build_order, new_sandbox_id, secrets, soon};
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::IntoResponse;
use protocol::id::{BuildId, SandboxId};
use protocol::repository::{BuildEnded, BuildImageRequest, BuildOutcome, ImageOrigin, Recipe};
use protocol::sign::{ANSWER_HEADER, Audience, BridgeKeys, sign_answer, verify_request};
use sandbox_bridge::clock;
use sandbox_bridge::provider::modal::ModalProvider;
use sandbox_bridge::provider::{ImageRecord, SandboxOrder, SandboxProvider};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// See above.
pub(crate) struct Balancer {
    targets: Mutex<Vec<String>>,
    turn: AtomicUsize,
    http: reqwest::Client,
    /// Warm sandboxes that a bridge has made.
    pub(crate) warm: watch::Sender<Vec<SandboxId>>,
    builds: watch::Sender<Option<(BuildId, BuildImageRequest)>>,
}

impl Balancer {
    /// Answers its address, too.
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let balancer = Arc::new(Self {
            targets: Mutex::default(),
            turn: AtomicUsize::new(0),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            warm: watch::Sender::new(Vec::new()),
            builds: watch::Sender::new(None),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(pass).with_state(Arc::clone(&balancer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (balancer, url)
    }

    /// Passes requests to these from here on.
    pub(crate) fn aim(&self, urls: Vec<String>) {
        *self.targets.lock().unwrap() = urls;
    }

    /// Whose turn it is among so many.
    pub(crate) fn next(&self, count: usize) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % count
    }

    /// Makes the image that the object has ordered a build of.
    pub(crate) async fn build(&self, provider: &ModalProvider, worker: &Worker) {
        let mut builds = self.builds.subscribe();
        let ordered = soon("the order of a build", builds.wait_for(Option::is_some)).await.unwrap().clone();
        let (build_id, request) = ordered.unwrap();
        let id = new_sandbox_id();
        let order = SandboxOrder { repository: request.repository.clone(), ..build_order() };
        soon("a sandbox", provider.create(&id, &order, &secrets())).await.unwrap();
        let origin = ImageOrigin { commit: "a".repeat(40), recipe_fingerprint: "0".repeat(64) };
        let record = ImageRecord {
            image_id: request.image_id.clone(),
            repository: request.repository.id.clone(),
            origin: origin.clone(),
            recipe: Recipe::default(),
            settings: request.settings.clone(),
        };
        soon("the image", provider.save_image(&id, &record)).await.unwrap();
        soon("the end", provider.terminate(&id)).await.unwrap();
        let recipe = Recipe::default();
        let outcome = BuildOutcome::Built { image_id: request.image_id, origin, recipe, size_bytes: 1 };
        worker.report(&format!("builds/{build_id}/ended"), &BuildEnded { outcome }).await;
    }
}

/// Signs whatever is answered: what the test answers itself is the bridge's word to the edge, too.
async fn pass(
    balancer: State<Arc<Balancer>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let (keys, path) = (BridgeKeys::parse(EDGE_SECRET).unwrap(), uri.path().to_owned());
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    let now = clock::now();
    let (word, bytes) = (method.to_string(), body.clone());
    let request =
        verify_request(&keys, Audience::Bridge, Some(&authorization), &word, &path, &bytes, now).unwrap();
    let (status, text) = carry(balancer, method, OriginalUri(uri), headers, body).await;
    let signature = sign_answer(&keys, Audience::Bridge, &request, status.as_u16(), &text, clock::now());
    (status, [(ANSWER_HEADER, signature)], text)
}

async fn carry(
    State(balancer): State<Arc<Balancer>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Bytes) {
    let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    if let ["builds", build] = parts.as_slice() {
        let order = (BuildId::parse(build).unwrap(), serde_json::from_slice(&body).unwrap());
        balancer.builds.send_replace(Some(order));
        return (StatusCode::ACCEPTED, Bytes::from_static(b"{}"));
    }
    let targets = balancer.targets.lock().unwrap().clone();
    if targets.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(b"{}"));
    }
    let url = format!("{}{}", targets[balancer.next(targets.len())], uri.path());
    let call = balancer.http.request(method, url).header("authorization", &headers["authorization"]);
    let Ok(answer) = call.body(body).send().await else {
        return (StatusCode::BAD_GATEWAY, Bytes::from_static(b"{}"));
    };
    let status = answer.status();
    let text = answer.bytes().await.unwrap_or_default();
    if let ["sandboxes", id, "warm"] = parts.as_slice()
        && status.is_success()
    {
        let id = SandboxId::parse(id).unwrap();
        balancer.warm.send_modify(|ids| {
            if !ids.contains(&id) {
                ids.push(id);
            }
        });
    }
    (status, text)
}
