//! The code host with the real git client and a plain HTTP client.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use fakes::github::{Account, Github, GithubOptions, Recorded};
use fakes::{FakesError, seed, token};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

fn account(login: &str) -> Account {
    Account {
        login: login.into(),
        name: format!("{login} X"),
        email: format!("{login}@x.example"),
        token: token::user_token(),
    }
}

async fn start(root: &Path) -> (Github, Vec<Account>, String) {
    let accounts = vec![account("ada"), account("grace")];
    let app_token = token::installation_token();
    let options = GithubOptions {
        root: root.join("git"),
        port: 0,
        accounts: accounts.clone(),
        app_token: app_token.clone(),
        app: None,
    };
    seed::shop(&options.root).await.unwrap();
    (Github::start(options).await.unwrap(), accounts, app_token)
}

async fn git(directory: &Path, arguments: &[&str]) -> Output {
    tokio::process::Command::new("git")
        .current_dir(directory)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@x.example", "-c", "credential.helper="])
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .await
        .unwrap()
}

async fn run(directory: &Path, arguments: &[&str]) -> String {
    let output = git(directory, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn clone_url(github: &Github, token: &str) -> String {
    github.url().replace("http://", &format!("http://x-access-token:{token}@")) + "/acme/shop.git"
}

struct Api<'a> {
    github: &'a Github,
    token: String,
}

impl Api<'_> {
    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.github.api_url());
        let mut request = reqwest::Client::new().request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(reqwest::Method::GET, path, None).await
    }

    async fn open(&self, head: &str) -> (u16, Value) {
        let body = json!({"title": "T <b>", "body": "B & \"C\"", "head": head, "base": "main"});
        self.call(reqwest::Method::POST, "/repos/acme/shop/pulls", Some(body)).await
    }
}

#[tokio::test]
async fn a_branch_is_cloned_pushed_and_proposed() {
    let folder = tempfile::tempdir().unwrap();
    let (github, accounts, app_token) = start(folder.path()).await;
    run(folder.path(), &["clone", "--quiet", &clone_url(&github, &app_token), "work"]).await;
    let work = folder.path().join("work");
    let large: String = (0..200_000u32).map(|n| format!("{:08x}\n", n.wrapping_mul(2_654_435_761))).collect();
    std::fs::write(work.join("large.txt"), large).unwrap();
    run(&work, &["checkout", "--quiet", "-b", "farhand/x"]).await;
    run(&work, &["add", "."]).await;
    run(&work, &["commit", "--quiet", "-m", "Large"]).await;
    run(&work, &["push", "--quiet", "origin", "farhand/x"]).await;
    let commit = run(&work, &["rev-parse", "HEAD"]).await;
    assert_eq!(github.git("acme/shop", &["rev-parse", "farhand/x"]).await.unwrap(), commit);
    assert_eq!(
        github.git("acme/shop", &["log", "-1", "--format=%an <%ae>", "farhand/x"]).await.unwrap(),
        "Ada <ada@x.example>"
    );

    let ada = Api { github: &github, token: accounts[0].token.clone() };
    let (status, pull) = ada.open("acme:farhand/x").await;
    assert_eq!((status, &pull["number"], &pull["user"]["login"]), (201, &json!(1), &json!("ada")));
    assert_eq!((&pull["head"]["sha"], &pull["commits"]), (&json!(commit), &json!(1)));
    assert_eq!(ada.get("/repos/acme/shop/pulls/1").await, (200, pull.clone()));
    assert_eq!(ada.get("/repos/acme/shop/pulls?head=acme:farhand/x&state=open").await, (200, json!([pull])));
    assert_eq!(ada.get("/repos/acme/shop/pulls?head=acme:other").await, (200, json!([])));
    for (created, total) in
        [("2000-01-01T00:00:00Z..2100-01-01T00:00:00Z", 1), ("2000-01-01T00:00:00Z..2000-12-31T23:59:59Z", 0)]
    {
        let path = format!("/search/issues?per_page=1&q=repo%3Aacme%2Fshop%20is%3Apr%20created%3A{created}");
        assert_eq!(
            ada.get(&path).await,
            (200, json!({"total_count": total, "incomplete_results": false, "items": []}))
        );
    }

    let page = reqwest::get(pull["html_url"].as_str().unwrap()).await.unwrap().text().await.unwrap();
    assert!(
        page.contains("T &lt;b&gt;")
            && page.contains("B &amp; &quot;C&quot;")
            && page.contains("+++ b/large.txt"),
        "{page:.900}"
    );

    let (status, again) = ada.open("farhand/x").await;
    assert_eq!(status, 422);
    assert_eq!(again["errors"][0]["message"], "A pull request already exists for acme:farhand/x.");
    assert_eq!(github.pulls("acme/shop").len(), 1);
    let (status, missing) = ada.open("nope").await;
    assert_eq!(
        (status, &missing["errors"][0]["field"], &missing["errors"][0]["code"]),
        (422, &json!("head"), &json!("invalid"))
    );
    let (status, same) = ada.open("main").await;
    assert_eq!((status, &same["errors"][0]["message"]), (422, &json!("No commits between main and main")));
    assert!(github.requests().contains(&Recorded {
        method: "POST".into(),
        path: "/api/v3/repos/acme/shop/pulls".into(),
        who: Some("ada".into()),
        status: 201,
    }));
}

#[tokio::test]
async fn a_token_opens_what_its_owner_may_see() {
    let folder = tempfile::tempdir().unwrap();
    let (github, accounts, app_token) = start(folder.path()).await;
    let ada = Api { github: &github, token: accounts[0].token.clone() };
    let (status, user) = ada.get("/user").await;
    assert_eq!((status, &user["login"], &user["email"]), (200, &json!("ada"), &json!("ada@x.example")));
    let (status, repository) = ada.get("/repos/acme/shop").await;
    assert_eq!((status, &repository["default_branch"]), (200, &json!("main")));
    assert_eq!(repository["clone_url"], format!("{}/acme/shop.git", github.url()));
    assert_eq!(ada.get("/user/repos?per_page=100").await, (200, json!([repository])));
    assert_eq!(ada.get("/repos/acme/nope").await.0, 404);
    assert_eq!(ada.get("/repos/acme/%2e%2e").await.0, 404);
    assert_eq!(ada.get("/nope").await.1["message"], "Not Found");

    github.hide("grace", "acme/shop");
    let grace = Api { github: &github, token: accounts[1].token.clone() };
    assert_eq!(grace.get("/user/repos").await, (200, json!([])));
    assert_eq!(grace.get("/repos/acme/shop").await.0, 404);
    let refused = git(folder.path(), &["clone", &clone_url(&github, &accounts[1].token), "hidden"]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not found"));

    let nobody = Api { github: &github, token: "wrong".into() };
    assert_eq!(nobody.get("/user").await.1["message"], "Bad credentials");
    let anonymous = reqwest::get(format!("{}/acme/shop.git/info/refs?service=git-upload-pack", github.url()))
        .await
        .unwrap();
    assert_eq!(anonymous.status(), 401);
    assert!(anonymous.headers().contains_key("www-authenticate"));
    let app = Api { github: &github, token: app_token };
    assert_eq!(app.get("/user").await.0, 403);
    assert_eq!(app.get("/repos/acme/shop").await.0, 200);
}

#[tokio::test]
async fn pull_requests_outlive_the_stand_in() {
    let folder = tempfile::tempdir().unwrap();
    let (github, accounts, _) = start(folder.path()).await;
    github.git("acme/shop", &["branch", "x"]).await.unwrap();
    let tree = github.git("acme/shop", &["rev-parse", "main^{tree}"]).await.unwrap();
    let identity = ["-c", "user.name=a", "-c", "user.email=b@c"];
    let commit = [&identity[..], &["commit-tree", &tree, "-p", "main", "-m", "m"]].concat();
    let commit = github.git("acme/shop", &commit).await.unwrap();
    github.git("acme/shop", &["update-ref", "refs/heads/x", &commit]).await.unwrap();
    assert_eq!(Api { github: &github, token: accounts[1].token.clone() }.open("x").await.0, 201);
    let options = GithubOptions {
        root: github.root().to_owned(),
        port: 0,
        accounts: accounts.clone(),
        app_token: token::installation_token(),
        app: None,
    };
    drop(github);
    let github = Github::start(options).await.unwrap();
    assert_eq!(github.pulls("acme/shop")[0].author, "grace");
}

#[tokio::test]
async fn a_repository_of_ones_own_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own repo");
    std::fs::create_dir(&own).unwrap();
    run(&own, &["init", "--quiet", "--initial-branch", "trunk"]).await;
    let root = folder.path().join("git");
    let origin = own.to_str().unwrap();
    assert!(matches!(seed::import(&root, origin).await, Err(FakesError::RepositoryEmpty { .. })));
    std::fs::write(own.join("a"), "1").unwrap();
    run(&own, &["add", "."]).await;
    run(&own, &["commit", "--quiet", "-m", "one"]).await;
    let seeded = seed::import(&root, origin).await.unwrap();
    assert_eq!((seeded.repository.as_str(), seeded.default_branch.as_str()), ("local/own-repo", "trunk"));
    run(&own, &["checkout", "--quiet", "--detach"]).await;
    assert_eq!(seed::import(&root, origin).await.unwrap().default_branch, "trunk");

    for wrong in [folder.path().to_str().unwrap(), "/nowhere/at-all", "http://127.0.0.1:9/a/b.git"] {
        let error = seed::import(&root, wrong).await.unwrap_err();
        assert!(matches!(error, FakesError::RepositoryUnreachable { .. }), "{error}");
    }
    let error = seed::import(&root, "http://me:geheim@127.0.0.1:9/a/b.git").await.unwrap_err();
    assert!(!error.to_string().contains("geheim"), "{error}");
}
