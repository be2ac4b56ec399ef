//! The git gateway with real git on both sides: what goes through, what does not, and that the credential stays outside.

use crate::support::code_host::{CodeHost, TOKEN, git, try_git};
use crate::support::provider::Place;
use crate::support::{GatewaySettings, Stack, order, soon};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::id::SandboxId;
use reqwest::StatusCode;
use sandbox_bridge::config::Secret;
use sandbox_bridge::gateway::egress::EgressSettings;
use std::path::PathBuf;
use tempfile::TempDir;

struct Scene {
    stack: Stack,
    host: CodeHost,
    sandbox: SandboxId,
    place: Place,
    home: TempDir,
}

impl Scene {
    async fn start() -> Self {
        Self::start_for("/acme/shop.git").await
    }

    async fn start_for(clone_path: &str) -> Self {
        let host = CodeHost::start().await;
        let git_credentials = [(host.url.clone(), Secret::new(TOKEN))].into();
        Self::begin(host, GatewaySettings { git_credentials, ..GatewaySettings::default() }, clone_path).await
    }

    async fn begin(host: CodeHost, gateway: GatewaySettings, clone_path: &str) -> Self {
        let stack = Stack::start_with(gateway).await;
        let mut order = order("1", 1);
        order.repository.clone_url = format!("{}{clone_path}", host.url);
        let sandbox = stack.create(&order).await;
        let place = stack.bridge.provider().place(&sandbox);
        Self { stack, host, sandbox, place, home: TempDir::new().unwrap() }
    }

    fn remote(&self) -> String {
        format!("http://agent:{}@{}/git/acme/shop.git", self.place.token, self.place.url)
    }

    async fn clone(&self) -> PathBuf {
        git(self.home.path(), &["clone", "-q", &self.remote(), "work"]).await;
        self.home.path().join("work")
    }

    /// A clone with one more commit on the session's branch.
    async fn changed(&self) -> PathBuf {
        let work = self.clone().await;
        git(&work, &["checkout", "-q", "-b", "farhand/one"]).await;
        // Larger than git's post buffer, so that it is sent in chunks after a probe.
        let noise: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(work.join("noise"), noise).unwrap();
        git(&work, &["add", "."]).await;
        git(&work, &["commit", "-q", "-m", "Change"]).await;
        work
    }

    async fn branches(&self) -> String {
        git(&self.host.repository(), &["for-each-ref", "--format=%(refname)"]).await
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.place.url);
        self.stack.http.get(url).bearer_auth(&self.place.token).send().await.unwrap()
    }
}

#[tokio::test]
async fn the_session_branch_is_cloned_pushed_and_fetched() {
    let scene = Scene::start().await;
    let work = scene.changed().await;
    assert_eq!(std::fs::read_to_string(work.join("README.md")).unwrap(), "shop\n");
    git(&work, &["push", "-q", "origin", "farhand/one"]).await;
    let head = git(&work, &["rev-parse", "HEAD"]).await;
    assert_eq!(git(&scene.host.repository(), &["rev-parse", "refs/heads/farhand/one"]).await, head);

    git(&work, &["commit", "-q", "--allow-empty", "-m", "Again"]).await;
    git(&work, &["push", "-q", "origin", "HEAD:refs/heads/farhand/one"]).await;
    git(&work, &["push", "-q", "origin", "farhand/one"]).await;
    let shallow = scene.home.path();
    git(shallow, &["clone", "-q", "--depth", "1", "-b", "farhand/one", &scene.remote(), "shallow"]).await;
    git(&shallow.join("shallow"), &["commit", "-q", "--allow-empty", "-m", "From shallow"]).await;
    git(&shallow.join("shallow"), &["push", "-q", "origin", "farhand/one"]).await;
    git(&work, &["fetch", "-q", "origin"]).await;
    assert_eq!(git(&work, &["log", "-1", "--format=%s", "origin/farhand/one"]).await, "From shallow");
    assert_eq!(scene.branches().await, "refs/heads/farhand/one\nrefs/heads/main");
    let versions =
        scene.host.seen.lock().unwrap().iter().filter(|headers| headers.contains_key("git-protocol")).count();
    assert!(versions > 0, "protocol version 2 was never asked for");
}

#[tokio::test]
async fn a17_every_other_push_is_refused_in_words() {
    let scene = Scene::start().await;
    let work = scene.changed().await;
    git(&work, &["push", "-q", "origin", "farhand/one"]).await;
    let before = scene.branches().await;
    let main = git(&scene.host.repository(), &["rev-parse", "main"]).await;
    let rule = "only farhand/one can be pushed from this session";
    for (refs, words) in [
        (vec!["HEAD:refs/heads/main"], rule),
        (vec!["--force", "HEAD:refs/heads/main"], rule),
        (vec!["HEAD:refs/heads/farhand/two"], rule),
        (vec!["HEAD:refs/tags/v1"], rule),
        (vec![":main"], rule),
        (vec!["--mirror"], rule),
        (vec![":farhand/one"], "cannot be deleted"),
        (vec!["HEAD~1:refs/heads/farhand/one", "HEAD:refs/heads/other", "--force"], rule),
    ] {
        let output = try_git(&work, &[&["push", "origin"], refs.as_slice()].concat()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{refs:?}");
        assert!(said.contains("remote rejected") && said.contains(words), "{refs:?}: {said}");
    }
    assert_eq!(scene.branches().await, before);
    assert_eq!(git(&scene.host.repository(), &["rev-parse", "main"]).await, main);
}

#[tokio::test]
async fn the_credential_never_reaches_the_sandbox() {
    let scene = Scene::start().await;
    let remote = format!("http://{}/git/acme/shop.git", scene.place.url);
    let basic = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let own = format!("http.extraHeader=Authorization: Bearer {}", scene.place.token);
    let cookie = "http.extraHeader=Cookie: session=agent";
    let mut clone = tokio::process::Command::new("git");
    clone
        .args(["-c", &own, "-c", cookie, "clone", &remote, "traced"])
        .current_dir(scene.home.path())
        .env("HOME", scene.home.path())
        .env("GIT_TRACE_CURL", "1")
        .env("GIT_TRACE_PACKET", "1");
    let output = soon("the end of git", clone.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("HTTP/1.1 200"), "{said}");
    assert!(!said.contains(TOKEN) && !said.contains(&basic), "{said}");
    let seen = scene.host.seen.lock().unwrap().clone();
    assert!(!seen.is_empty());
    for headers in seen {
        let all = format!("{headers:?}");
        assert!(!all.contains(&scene.place.token) && !headers.contains_key("cookie"), "{all}");
        assert_eq!(headers["authorization"], format!("Basic {basic}"));
    }
}

#[tokio::test]
async fn nothing_but_the_session_repository_and_its_three_services_is_there() {
    let scene = Scene::start().await;
    let refs = "info/refs?service=git-upload-pack";
    for (path, status) in [
        (format!("/git/acme/shop.git/{refs}"), StatusCode::OK),
        (format!("/git/acme/other.git/{refs}"), StatusCode::FORBIDDEN),
        (format!("/git/ACME/shop.git/{refs}"), StatusCode::FORBIDDEN),
        (format!("/git/acme/shop.git.git/{refs}"), StatusCode::FORBIDDEN),
        (format!("/git/acme%2F..%2Facme/shop.git/{refs}"), StatusCode::FORBIDDEN),
        ("/git/acme/shop.git/info/refs".to_owned(), StatusCode::NOT_FOUND),
        (format!("/git/acme/shop.git/{refs}&x=1"), StatusCode::NOT_FOUND),
        ("/git/acme/shop.git/info/refs?service=git-upload-archive".to_owned(), StatusCode::NOT_FOUND),
        ("/git/acme/shop.git/objects/info/packs".to_owned(), StatusCode::NOT_FOUND),
        ("/git/acme/shop.git/git-upload-pack".to_owned(), StatusCode::NOT_FOUND),
        ("/git/acme/shop.git/%2E%2E/x/info/refs".to_owned(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(scene.get(&path).await.status(), status, "{path}");
    }
    let anonymous = scene.stack.http.get(format!("http://{}/git/acme/shop.git/{refs}", scene.place.url));
    let response = anonymous.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key("www-authenticate"));
    assert_eq!(scene.host.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_push_that_cannot_be_read_goes_no_further() {
    let scene = Scene::start().await;
    let url = format!("http://{}/git/acme/shop.git/git-receive-pack", scene.place.url);
    let post = || scene.stack.http.post(&url).basic_auth("agent", Some(&scene.place.token));
    let main = format!("{:040} {:040} refs/heads/main\0", 0, 1);
    let push = format!("{:04x}{main}0000PACK", main.len() + 4);
    for (request, status) in [
        (post().body("PACK"), StatusCode::BAD_REQUEST),
        (post().body(""), StatusCode::BAD_REQUEST),
        (post().body(push[..30].to_owned()), StatusCode::BAD_REQUEST),
        (post().body("0030".repeat(20_000)), StatusCode::BAD_REQUEST),
        (post().body(push.clone()), StatusCode::FORBIDDEN),
        (post().header("content-encoding", "gzip").body(push.clone()), StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    assert!(scene.host.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn trouble_at_the_code_host_is_told_in_words() {
    let moved = Scene::start_for("/acme/moved.git").await;
    let output = try_git(moved.home.path(), &["clone", &moved.remote(), "x"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("has moved"), "{said}");

    let missing = Scene::start_for("/acme/missing.git").await;
    let output = try_git(missing.home.path(), &["clone", &missing.remote(), "x"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the code host knows no acme/shop"), "{said}");

    let stack = Stack::start().await;
    let sandbox = stack.create(&order("1", 1)).await;
    let place = stack.bridge.provider().place(&sandbox);
    let url = format!("http://{}/git/acme/shop.git/info/refs?service=git-upload-pack", place.url);
    let response = stack.http.get(url).bearer_auth(&place.token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let text = response.text().await.unwrap();
    assert_eq!(text, "nothing opens http://127.0.0.1:1 for the bridge: this deployment has no GitHub App\n");
    assert_eq!(moved.sandbox, missing.sandbox);
}

/// A code host with one more repository than the session's, whose operator lists it or not.
async fn scene_with_library(policy: Option<&str>, allow: bool) -> Scene {
    let host = CodeHost::start().await;
    git(host.root.path(), &["clone", "-q", "--bare", "acme/shop.git", "acme/lib.git"]).await;
    let policy = policy.map(|policy| serde_json::from_str(policy).unwrap());
    let egress = EgressSettings {
        private_hosts: if allow { vec![host.authority().parse().unwrap()] } else { Vec::new() },
        ..EgressSettings::default()
    };
    let gateway = GatewaySettings {
        git_credentials: [(host.url.clone(), Secret::new(TOKEN))].into(),
        repositories: policy.map(|policy| (order("1", 1).repository.id, policy)).into_iter().collect(),
        egress,
        ..GatewaySettings::default()
    };
    Scene::begin(host, gateway, "/acme/shop.git").await
}

#[tokio::test]
async fn a17_listed_repositories_are_fetched_as_submodules_and_never_pushed() {
    let scene = scene_with_library(Some(r#"{"repositories": ["acme/lib"]}"#), false).await;
    let work = scene.changed().await;
    let absolute = format!("{}/acme/lib.git", scene.host.url);
    for (path, url) in [("relative", "../lib.git"), ("absolute", absolute.as_str())] {
        git(&work, &["config", "-f", ".gitmodules", &format!("submodule.{path}.path"), path]).await;
        git(&work, &["config", "-f", ".gitmodules", &format!("submodule.{path}.url"), url]).await;
        let head = git(&scene.host.root.path().join("acme/lib.git"), &["rev-parse", "main"]).await;
        git(&work, &["update-index", "--add", "--cacheinfo", &format!("160000,{head},{path}")]).await;
    }
    let gateway = format!("http://agent:{}@{}", scene.place.token, scene.place.url);
    // As the runner tells it the agent's git.
    let rewrite = format!("url.{gateway}/git/.insteadOf={}/", scene.host.url);
    git(&work, &["-c", &rewrite, "submodule", "update", "--init", "--quiet"]).await;
    for path in ["relative", "absolute"] {
        assert_eq!(std::fs::read_to_string(work.join(path).join("README.md")).unwrap(), "shop\n");
    }
    let output =
        try_git(&work, &["push", &format!("{gateway}/git/acme/lib.git"), "HEAD:refs/heads/farhand/one"])
            .await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("403"), "{said}");
    let refs =
        git(&scene.host.root.path().join("acme/lib.git"), &["for-each-ref", "--format=%(refname)"]).await;
    assert_eq!(refs, "refs/heads/main");
}

#[tokio::test]
async fn unlisted_repositories_are_refused_in_words_or_read_without_the_credential() {
    let refs = "/git/acme/lib.git/info/refs?service=git-upload-pack";
    let scene = scene_with_library(None, false).await;
    let response = scene.get(refs).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let said = response.text().await.unwrap();
    assert!(said.contains("lists \"acme/lib\" under \"repositories\""), "{said}");
    assert!(scene.host.seen.lock().unwrap().is_empty());
    // Where the host is allowed anyway, this one says no to whoever has no credential.
    let scene = scene_with_library(Some("{}"), true).await;
    assert_eq!(scene.get(refs).await.status(), StatusCode::BAD_GATEWAY);
    let seen = scene.host.seen.lock().unwrap().clone();
    assert!(seen.len() == 1 && !seen[0].contains_key("authorization"), "{seen:?}");
    let refs = "/git/acme/lib.git/info/refs?service=git-receive-pack";
    assert_eq!(scene.get(refs).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_gets_it_only_for_what_goes_on() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let scene = Scene::start().await;
    let body = "0000";
    for (path, expected) in [
        ("/git/acme/shop.git/git-receive-pack", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"),
        ("/git/acme/other.git/git-receive-pack", "HTTP/1.1 403 Forbidden"),
        ("/git/acme/shop.git/git-upload-archive", "HTTP/1.1 404 Not Found"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(&scene.place.url).await.unwrap();
        let basic = STANDARD.encode(format!("agent:{}", scene.place.token));
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: bridge\r\nAuthorization: Basic {basic}\r\nExpect: 100-continue\r\n\
             Content-Type: application/x-git-receive-pack-request\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = vec![0; 12];
        soon("the first answer", stream.read_exact(&mut said)).await.unwrap();
        if said.ends_with(b"100") {
            stream.write_all(body.as_bytes()).await.unwrap();
        }
        soon("the answer", stream.read_to_end(&mut said)).await.unwrap();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.starts_with(expected), "{path}: {said}");
    }
}

#[tokio::test]
async fn compressed_questions_pass_and_endless_ones_do_not() {
    let scene = Scene::start().await;
    let work = scene.clone().await;
    // git compresses what it asks once that is longer than a kilobyte: many refs of which it has all.
    for n in 0..40 {
        git(&work, &["commit", "-q", "--allow-empty", "-m", &format!("{n}")]).await;
        git(&work, &["branch", &format!("b{n}")]).await;
    }
    git(&scene.host.root.path().join("seed"), &["commit", "-q", "--allow-empty", "-m", "New"]).await;
    git(&scene.host.root.path().join("seed"), &["push", "-q", "../acme/shop.git", "main"]).await;
    git(&work, &["fetch", "-q", "origin"]).await;
    assert_eq!(git(&work, &["log", "-1", "--format=%s", "origin/main"]).await, "New");
    let seen = scene.host.seen.lock().unwrap().clone();
    assert!(seen.iter().any(|headers| headers.get("content-encoding").is_some_and(|value| value == "gzip")));

    let url = format!("http://{}/git/acme/shop.git/git-upload-pack", scene.place.url);
    let endless = scene.stack.http.post(url).bearer_auth(&scene.place.token).body(vec![b'0'; 65 << 20]);
    assert_eq!(endless.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}
