//! The clients that agents use, as they are: git, npm, pip, cargo and Node's fetch reach allowed hosts, and say why not others.

use super::{Scene, Wishes};
use crate::support::code_host::git;
use crate::support::soon;
use axum::Router;
use axum::extract::{Path as UrlPath, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use protocol::sign::sha256_hex;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::process::Command;

/// A registry that gives nothing to anybody without the secret.
const POLICY: &str =
    r#"{"secrets": {"NPM_TOKEN": {"host": "secure.example:{secure}", "value": "canary-npm-token"}}}"#;

/// What the origins serve.
fn site() -> TempDir {
    TempDir::new().unwrap()
}

fn files(folder: &Path) -> Router {
    Router::new().fallback(get(file)).with_state(folder.to_owned())
}

async fn file(State(folder): State<PathBuf>, request: Request) -> Response {
    let path = folder.join(request.uri().path().trim_start_matches('/'));
    let path = if path.is_dir() { path.join("index.html") } else { path };
    let kind = if path.extension().is_some_and(|end| end == "html") {
        "text/html"
    } else {
        "application/octet-stream"
    };
    match std::fs::read(path) {
        Ok(bytes) => ([("content-type", kind)], bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Scene {
    /// The client in the environment of a sandbox.
    async fn run(
        &self,
        folder: &Path,
        program: impl AsRef<std::ffi::OsStr>,
        arguments: &[&str],
    ) -> (bool, String) {
        let bundle = self.folder.path().join("egress/ca-bundle.pem");
        let proxy = format!("http://{}", self.place.url);
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.env("PATH", std::env::var("PATH").unwrap()).env("HOME", folder).envs(&self.place.stand_ins);
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"] {
            command.env(name, &proxy);
        }
        for name in [
            "SSL_CERT_FILE",
            "GIT_SSL_CAINFO",
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "NODE_EXTRA_CA_CERTS",
            "NPM_CONFIG_CAFILE",
            "CARGO_HTTP_CAINFO",
            "PIP_CERT",
        ] {
            command.env(name, &bundle);
        }
        command
            .env("NODE_USE_ENV_PROXY", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        if let Some(rustc) = std::env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"))
        {
            command.env("RUSTC", rustc);
        }
        let Output { status, stdout, stderr } = soon("the end of a client", command.output()).await.unwrap();
        let said = [stdout, stderr].concat();
        (status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn url(&self) -> String {
        format!("https://{}", self.secure_authority())
    }
}

/// Whether the client is on this machine.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    if !found {
        println!("skipped: there is no {program}");
    }
    found
}

#[tokio::test]
async fn git_clones_from_an_allowed_host() {
    let site = site();
    let root = site.path();
    git(root, &["init", "-q", "-b", "main", "seed"]).await;
    git(&root.join("seed"), &["commit", "-q", "--allow-empty", "-m", "Begin"]).await;
    git(root, &["clone", "-q", "--bare", "seed", "lib.git"]).await;
    git(&root.join("lib.git"), &["update-server-info"]).await;
    let scene = Scene::start_with(Wishes { router: Some(files(root)), ..Wishes::default() }).await;
    let home = TempDir::new().unwrap();
    let (worked, said) =
        scene.run(home.path(), "git", &["clone", &format!("{}/lib.git", scene.url()), "x"]).await;
    assert!(worked, "{said}");
    assert_eq!(git(&home.path().join("x"), &["log", "--format=%s"]).await, "Begin");
    let (worked, said) = scene.run(home.path(), "git", &["clone", "https://evil.example/lib.git", "y"]).await;
    assert!(!worked && said.contains("CONNECT tunnel failed, response 403"), "{said}");
    scene.until_reported("host_not_allowed").await;
}

#[tokio::test]
async fn npm_reads_and_packs_with_a_secret_that_it_does_not_have() {
    if !has("npm") {
        return;
    }
    let site = site();
    let package = site.path().join("package");
    std::fs::create_dir(&package).unwrap();
    std::fs::write(package.join("package.json"), r#"{"name": "demo", "version": "1.2.3"}"#).unwrap();
    let archive = site.path().join("demo.tgz");
    let tar = Command::new("tar")
        .args(["-czf"])
        .arg(&archive)
        .arg("package")
        .current_dir(site.path())
        .status()
        .await;
    assert!(tar.unwrap().success());
    let archive = std::fs::read(archive).unwrap();
    let authorised = |headers: &HeaderMap| {
        headers.get("authorization").is_some_and(|value| value == "Bearer canary-npm-token")
    };
    let metadata = async move |headers: HeaderMap| {
        if !authorised(&headers) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let host = headers["host"].to_str().unwrap();
        let version = serde_json::json!({
            "name": "demo", "version": "1.2.3", "description": format!("seen with {}", headers["authorization"].to_str().unwrap()),
            "dist": { "tarball": format!("https://{host}/demo/-/demo-1.2.3.tgz") },
        });
        let all = serde_json::json!({ "name": "demo", "dist-tags": { "latest": "1.2.3" }, "versions": { "1.2.3": version } });
        axum::Json(all).into_response()
    };
    let tarball = async move |headers: HeaderMap| {
        if authorised(&headers) {
            archive.clone().into_response()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        }
    };
    let router = Router::new().route("/demo", get(metadata)).route("/demo/-/demo-1.2.3.tgz", get(tarball));
    let scene = Scene::start_with(Wishes { router: Some(router), policy: POLICY, ..Wishes::default() }).await;
    let home = TempDir::new().unwrap();
    let settings = format!(
        "registry={0}/\n//{1}/:_authToken=${{NPM_TOKEN}}\nupdate-notifier=false\nfetch-retries=0\n",
        scene.url(),
        scene.secure_authority()
    );
    std::fs::write(home.path().join(".npmrc"), settings).unwrap();
    let (worked, said) = scene.run(home.path(), "npm", &["view", "demo", "--json"]).await;
    assert!(
        worked && said.contains("1.2.3") && said.contains(&"*".repeat(16)) && !said.contains("canary"),
        "{said}"
    );
    let (worked, said) = scene.run(home.path(), "npm", &["pack", "demo"]).await;
    assert!(worked && home.path().join("demo-1.2.3.tgz").exists(), "{said}");
    let (worked, said) = scene
        .run(
            home.path(),
            "npm",
            &["view", "demo", "--registry", "https://evil.example/", "--fetch-retries=0"],
        )
        .await;
    assert!(!worked && said.contains("403"), "{said}");
    scene.until_reported("host_not_allowed").await;
}

#[tokio::test]
async fn pip_downloads_from_an_allowed_index() {
    if !has("python3") {
        return;
    }
    let site = site();
    let name = "demo-1.0-py3-none-any.whl";
    std::fs::create_dir_all(site.path().join("simple/demo")).unwrap();
    let link = format!("<!DOCTYPE html><a href=\"/{name}\">{name}</a>");
    std::fs::write(site.path().join("simple/demo/index.html"), link).unwrap();
    let script = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as wheel:\n    wheel.writestr('demo.py', '')\n    wheel.writestr('demo-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n')\n    wheel.writestr('demo-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nTag: py3-none-any\\n')\n    wheel.writestr('demo-1.0.dist-info/RECORD', '')\n";
    let made = Command::new("python3").args(["-c", script]).arg(site.path().join(name)).status().await;
    assert!(made.unwrap().success());
    let scene = Scene::start_with(Wishes { router: Some(files(site.path())), ..Wishes::default() }).await;
    let home = TempDir::new().unwrap();
    let usual = [
        "-m",
        "pip",
        "download",
        "demo",
        "--no-deps",
        "--disable-pip-version-check",
        "--retries",
        "1",
        "--index-url",
    ];
    let (worked, said) = scene
        .run(home.path(), "python3", &[usual.as_slice(), &[&format!("{}/simple/", scene.url())]].concat())
        .await;
    if said.contains("No module named pip") {
        println!("skipped: there is no pip");
        return;
    }
    assert!(worked && home.path().join(name).exists(), "{said}");
    let (worked, said) = scene
        .run(home.path(), "python3", &[usual.as_slice(), &["https://evil.example/simple/"]].concat())
        .await;
    assert!(!worked && said.contains("403 host_not_allowed"), "{said}");
}

#[tokio::test]
async fn cargo_fetches_from_an_allowed_sparse_index() {
    let Some(cargo) = std::env::var_os("CARGO") else {
        println!("skipped: these tests were not started by cargo");
        return;
    };
    let site = site();
    let sources = site.path().join("demo-1.0.0");
    std::fs::create_dir_all(sources.join("src")).unwrap();
    std::fs::write(
        sources.join("Cargo.toml"),
        "[package]\nname = \"demo\"\nversion = \"1.0.0\"\nedition = \"2021\"\n",
    )
    .unwrap();
    std::fs::write(sources.join("src/lib.rs"), "").unwrap();
    let archive = site.path().join("demo.crate");
    let tar = Command::new("tar")
        .args(["-czf"])
        .arg(&archive)
        .arg("demo-1.0.0")
        .current_dir(site.path())
        .status()
        .await;
    assert!(tar.unwrap().success());
    let archive = std::fs::read(archive).unwrap();
    let line = serde_json::json!({
        "name": "demo", "vers": "1.0.0", "deps": [], "cksum": sha256_hex(&archive), "features": {}, "yanked": false,
    });
    let config = async |headers: HeaderMap| {
        format!("{{\"dl\": \"https://{}/dl\"}}", headers["host"].to_str().unwrap())
    };
    let download = async move |UrlPath(_): UrlPath<(String, String)>| archive.clone();
    let router = Router::new()
        .route("/index/config.json", get(config))
        .route("/index/de/mo/demo", get(async move || line.to_string()))
        .route("/dl/{name}/{version}/download", get(download));
    let scene = Scene::start_with(Wishes { router: Some(router), ..Wishes::default() }).await;
    let project = |index: &str| {
        let home = TempDir::new().unwrap();
        let folder = home.path();
        std::fs::create_dir_all(folder.join("src")).unwrap();
        std::fs::create_dir_all(folder.join(".cargo")).unwrap();
        std::fs::write(folder.join("src/lib.rs"), "").unwrap();
        let manifest = "[package]\nname = \"user\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ndemo = { version = \"1\", registry = \"own\" }\n";
        std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        let config = format!("[registries.own]\nindex = \"sparse+{index}/\"\n[net]\nretry = 0\n");
        std::fs::write(folder.join(".cargo/config.toml"), config).unwrap();
        home
    };
    let home = project(&format!("{}/index", scene.url()));
    let (worked, said) = scene.run(home.path(), &cargo, &["fetch"]).await;
    assert!(worked && said.contains("Downloaded demo v1.0.0"), "{said}");
    let home = project("https://evil.example/index");
    let (worked, said) = scene.run(home.path(), &cargo, &["fetch"]).await;
    assert!(!worked && said.contains("403"), "{said}");
}

#[tokio::test]
async fn nodes_own_fetch_goes_through_the_proxy() {
    let named = std::env::var_os("TEST_NODE").map(PathBuf::from);
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../node_modules/.bin/node");
    let node = named.unwrap_or(if installed.exists() { installed } else { "node".into() });
    let version =
        Command::new(&node).arg("--version").output().await.map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).trim().trim_start_matches('v').to_owned();
    // Older ones know no proxy.
    if version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_none_or(|major| major < 24) {
        println!(
            "skipped: Node 24 is needed, there is {version:?}; install the packages of this repository, or name one in TEST_NODE"
        );
        return;
    }
    let scene = Scene::start().await;
    let home = TempDir::new().unwrap();
    let script = "fetch(process.argv[1]).then(async (answer) => console.log(answer.status, await answer.text()), (error) => { console.log(require('util').inspect(error)); process.exit(1); })";
    let (worked, said) = scene.run(home.path(), &node, &["-e", script, &scene.url()]).await;
    assert!(worked && said.trim() == "200 there", "{said}");
    let plain = format!("http://plain.example:{}/", scene.plain.port);
    let (worked, said) = scene.run(home.path(), &node, &["-e", script, &plain]).await;
    assert!(worked && said.trim() == "200 there", "{said}");
    let (worked, said) = scene.run(home.path(), &node, &["-e", script, "https://evil.example/"]).await;
    assert!(!worked && said.contains("403"), "{said}");
    assert_eq!(scene.secure.seen()[0].headers["host"], scene.secure_authority().as_str());
    scene.until_reported("host_not_allowed").await;
}
