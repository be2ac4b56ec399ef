//! People who sign in at the code host, and a bridge without a token of its own: the App opens the repository, the author's token the pull
//! request, and webhooks tell what becomes of it. None of the secrets on that way is found anywhere else.

use crate::{Observer, session};
use anyhow::{Context, ensure};
use protocol::pull::PullState;
use protocol::timeline::{ArtifactContent, SessionEvent, TurnOutcome};
use reqwest::Method;
use serde_json::{Value, json};
use stack::{Agent, Binaries, Client, Options, Stack};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Long enough for a test, short enough that refresh tokens come along.
const TOKEN_LIFE: Duration = Duration::from_secs(8 * 3600);

async fn start(name: &str) -> anyhow::Result<Stack> {
    let options =
        Options { agent: Agent::Scripted, copies_worker: true, github_sign_in: true, ..Options::new(name) };
    let stack = Stack::start(options).await?;
    stack.github().expire_tokens(TOKEN_LIFE);
    Ok(stack)
}

/// A session whose first turn has changed something, with its pull request open and its sandbox saved.
async fn changed(ada: &Client) -> anyhow::Result<(protocol::id::SessionId, Observer)> {
    let (id, mut observer) = session(ada, "say I will add a note.\nwrite NOTES.md hello").await?;
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed && end.change.is_some(), "{end:?}");
    observer.until("the pull request", |observer| observer.pull_request().is_some()).await?;
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    Ok((id, observer))
}

/// What the code host was asked: method, whose token, path without query.
fn asked(stack: &Stack) -> Vec<(String, Option<String>, String)> {
    let one = |request: stack::fakes::github::Recorded| {
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        (request.method, request.who, path)
    };
    stack.github().requests().into_iter().map(one).collect()
}

async fn merge(stack: &Stack, number: u64) -> anyhow::Result<()> {
    let secrets = stack.github().secrets();
    let token = secrets.iter().rfind(|secret| secret.starts_with("ghu_")).context("nobody has a token")?;
    let url = format!("{}/repos/acme/shop/pulls/{number}/merge", stack.github().api_url());
    let answer = reqwest::Client::new().put(url).bearer_auth(token).json(&json!({})).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    Ok(())
}

#[tokio::test]
async fn a19_through_the_app_a_prompt_becomes_a_pull_request_of_its_author_and_a_webhook_merges_it()
-> anyhow::Result<()> {
    let stack = start("app").await?;
    let ada = stack.sign_in_at_code_host("ada").await?;
    ensure!(ada.user().id.as_str().starts_with("usr_github_"), "{:?}", ada.user());
    let (_, mut observer) = changed(&ada).await?;
    let opened = observer.view.artifacts.iter().find_map(|artifact| {
        let ArtifactContent::PullRequest { number, author, progress, .. } = &artifact.content else {
            return None;
        };
        Some((*number, author.clone(), progress.by_app))
    });
    let (number, author, by_app) = opened.context("no pull request")?;
    assert_eq!((&author, by_app), (&ada.user().id, false));
    let pulls = stack.github().pulls("acme/shop");
    assert_eq!(pulls.iter().map(|pull| pull.author.as_str()).collect::<Vec<_>>(), ["ada"]);

    let asked = asked(&stack);
    let whose = |method: &str, end: &str| -> Vec<Option<&str>> {
        let fits = asked.iter().filter(|(known, _, path)| known == method && path.ends_with(end));
        fits.map(|(_, who, _)| who.as_deref()).collect()
    };
    assert_eq!(whose("POST", "/repos/acme/shop/pulls"), [Some("ada")], "opened with the author's token");
    let app = Some(stack::fakes::github::APP_LOGIN);
    let pushed = whose("POST", "/git-receive-pack");
    ensure!(!pushed.is_empty() && pushed.iter().all(|who| *who == app), "pushed by the App: {pushed:?}");
    ensure!(!whose("POST", "/access_tokens").is_empty(), "no token of an installation was made");

    merge(&stack, number).await?;
    let is_merged = |event: &SessionEvent| {
        matches!(event, SessionEvent::PullRequestChanged { state: PullState::Merged, .. })
    };
    observer.until("the word that it was merged", |observer| observer.has_event(is_merged)).await?;
    let told = stack.github().delivered();
    ensure!(told.iter().all(|delivery| delivery.status == 200), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn a11_who_takes_the_authorisation_back_waits_with_the_pull_request_for_the_next_sign_in()
-> anyhow::Result<()> {
    let stack = start("revoked").await?;
    let ada = stack.sign_in_at_code_host("ada").await?;
    let (id, mut observer) = session(&ada, "say Wait.\nwrite NOTES.md hello\nwait 1500").await?;
    observer.text_of(5).await?;
    stack.github().revoke("ada");
    let told = |event: &SessionEvent| matches!(event, SessionEvent::EffectFailed { reason, .. } if reason.contains("has signed in again"));
    observer.until("the word that she has to", |observer| observer.has_event(told)).await?;
    ensure!(stack.github().pulls("acme/shop").is_empty(), "opened by somebody else");
    let again = stack.sign_in_at_code_host("ada").await?;
    let mut back = Observer::join(&again, &id).await?;
    back.until("the pull request", |observer| observer.pull_request().is_some()).await?;
    assert_eq!(
        stack.github().pulls("acme/shop").iter().map(|pull| pull.author.as_str()).collect::<Vec<_>>(),
        ["ada"]
    );
    Ok(())
}

/// Matches the canary, but not itself, where the prompt is kept. In a basic expression nothing of what canaries are made of is special
/// but the dot, which matches itself too.
fn pattern(canary: &str) -> String {
    let mut letters = canary.chars();
    let first = letters.next().unwrap_or_default();
    format!("-e '[{first}]{}'", letters.as_str())
}

/// Everything secret of the run so far, and what says that it is.
async fn canaries(
    stack: &Stack,
    ada: &Client,
    id: &protocol::id::SessionId,
) -> anyhow::Result<Vec<(String, &'static str)>> {
    let key: Value = ada
        .request(Method::POST, "/api/keys", Some(&json!({"name": "k", "scope": "write", "days": 1})))
        .await?;
    let key = key.get("key").and_then(Value::as_str).context("no key")?.to_owned();
    let url = format!("{}/api/me", stack.url());
    let answer = reqwest::Client::new().get(url).bearer_auth(&key).send().await?;
    ensure!(answer.status().is_success(), "the key opens nothing: {}", answer.status());
    let mut all: Vec<(String, &'static str)> = vec![(key, "a key of the API")];
    all.extend(ada.cookies().into_iter().map(|cookie| (cookie, "a cookie")));
    all.push((ada.ticket(id).await?.ticket, "a ticket"));
    let kind = |secret: &str| match secret.get(..4) {
        Some("ghu_") => "a user's token",
        Some("ghr_") => "a refresh token",
        Some("ghs_") => "an installation's token",
        _ => "a secret of the configuration",
    };
    all.extend(stack.canaries().into_iter().map(|secret| {
        let kind = kind(&secret);
        (secret, kind)
    }));
    for wanted in ["a user's token", "a refresh token", "an installation's token", "a cookie"] {
        ensure!(all.iter().any(|(_, kind)| *kind == wanted), "{wanted} is missing");
    }
    ensure!(all.iter().all(|(secret, _)| secret.len() >= 16), "too short to be found for sure");
    Ok(all)
}

/// Which of these secrets a text has in it.
fn found(canaries: &[(String, &'static str)], text: &str) -> Vec<&'static str> {
    canaries.iter().filter(|(secret, _)| text.contains(secret.as_str())).map(|(_, kind)| *kind).collect()
}

/// Files below a folder that have one of the secrets in them.
fn files_with(canaries: &[(String, &'static str)], folder: &Path) -> anyhow::Result<String> {
    let mut search = Command::new("grep")
        .args(["-rlaF", "--exclude=secrets.json", "--exclude=.dev.vars", "-f", "-"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let patterns: String = canaries.iter().map(|(secret, _)| format!("{secret}\n")).collect();
    search.stdin.take().context("no input")?.write_all(patterns.as_bytes())?;
    let output = search.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Searches the memory of the sandbox's processes from outside; answers what was found and how much was read.
fn memory_with(canaries: &[(String, &'static str)], pid: i32) -> anyhow::Result<(Vec<&'static str>, u64)> {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(&pid.to_string()).context("the sandbox has ended")?;
    let (mut seen, mut bytes) = (Vec::new(), 0);
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if namespace(&name).as_ref() != Some(&own) {
            continue;
        }
        let Ok(maps) = std::fs::read_to_string(entry.path().join("maps")) else { continue };
        let Ok(mut memory) = File::open(entry.path().join("mem")) else { continue };
        for line in
            maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")))
        {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let Some((from, to)) = range else { continue };
            let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
            let mut content = Vec::new();
            // What is mapped and not there cannot be read.
            let _ = memory
                .seek(SeekFrom::Start(from))
                .and_then(|_| (&mut memory).take((to - from).min(64 << 20)).read_to_end(&mut content));
            bytes += content.len() as u64;
            seen.extend(found(canaries, &String::from_utf8_lossy(&content)));
        }
    }
    Ok((seen, bytes))
}

/// The saved sandbox as it leaves the machine, unpacked.
fn exported(stack: &Stack, observer: &Observer) -> anyhow::Result<Vec<u8>> {
    let id = observer.events.iter().find_map(|record| {
        let SessionEvent::SnapshotTaken { snapshot_id, .. } = &record.event else { return None };
        Some(snapshot_id.clone())
    });
    let output = Command::new(Binaries::of_profile("debug").bridge)
        .args(["snapshot", "export", id.context("no snapshot")?.as_str(), "-", "--state"])
        .arg(stack.directory().join("sandboxes"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(zstd::stream::decode_all(output.stdout.as_slice())?)
}

/// What the Worker says to those whom it refuses, each with a real secret in the wrong place.
async fn refusals(stack: &Stack, canaries: &[(String, &'static str)]) -> anyhow::Result<String> {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut text = String::new();
    for (secret, _) in canaries {
        for request in [
            http.get(format!("{}/api/keys", stack.url())).bearer_auth(secret),
            http.get(format!("{}/api/sessions", stack.url()))
                .header("cookie", format!("farhand_session={secret}")),
            http.post(format!("{}/api/webhooks/github", stack.url())).header("x-hub-signature-256", secret),
            http.post(format!("{}/api/bridge/repositories/acme/shop/credential", stack.url()))
                .bearer_auth(secret),
            http.get(format!("{}/sandboxes", stack.bridge_url())).bearer_auth(secret),
        ] {
            let answer = request.send().await?;
            text.push_str(&format!("{:?}{}", answer.headers().clone(), answer.text().await?));
        }
    }
    Ok(text)
}

#[tokio::test]
async fn a20_a44_no_secret_of_the_way_from_sign_in_to_merge_is_anywhere_else() -> anyhow::Result<()> {
    let stack = start("secrets").await?;
    let ada = stack.sign_in_at_code_host("ada").await?;
    let (id, mut observer) = changed(&ada).await?;
    let canaries = canaries(&stack, &ada, &id).await?;

    let patterns: Vec<String> = canaries.iter().map(|(secret, _)| pattern(secret)).collect();
    let patterns = patterns.join(" ");
    let inside = [
        format!("run env | grep -c {patterns}"),
        format!("run cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c {patterns}"),
        format!("run git config --list --show-origin | grep -c {patterns}"),
        format!(
            "run find / /workspace /home /run /tmp -xdev -type f -not -path '/usr/*' -not -path '/opt/*' -not -path '/dev/*' -print0 2>/dev/null | xargs -0 grep -als {patterns} 2>/dev/null | wc -l"
        ),
        "write MORE.md more".to_owned(),
    ];
    ada.submit(&id, &Client::prompt(&inside.join("\n"))).await?;
    let end = observer.turns_over(2).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    assert_eq!(
        observer.output().split_whitespace().collect::<Vec<_>>(),
        ["0"; 4],
        "{:?}",
        observer.view.items
    );
    observer.until("the second snapshot", |observer| observer.snapshots() == 2).await?;
    if let Some(sandbox) = stack.sandboxes().first() {
        let (seen, bytes) = memory_with(&canaries, sandbox.pid)?;
        assert_eq!(seen, Vec::<&str>::new(), "in the memory of the sandbox");
        println!("{bytes} bytes of the sandbox's memory have none");
    }
    let archive = exported(&stack, &observer)?;
    ensure!(archive.len() > 512, "the snapshot is empty");
    assert_eq!(found(&canaries, &String::from_utf8_lossy(&archive)), Vec::<&str>::new(), "in the snapshot");

    merge(&stack, observer.pull_request().context("no pull request")?).await?;
    let is_merged = |event: &SessionEvent| matches!(event, SessionEvent::PullRequestChanged { .. });
    observer.until("the word that it was merged", |observer| observer.has_event(is_merged)).await?;
    let errors = refusals(&stack, &canaries).await?;
    ensure!(errors.contains("sign_in_required") && errors.contains("signature_invalid"), "{errors:.500}");
    let urls: String = asked(&stack).into_iter().map(|(_, _, path)| format!("{path}\n")).collect();
    let pulls = format!("{:?}", stack.github().pulls("acme/shop"));
    let audit = ada.request::<Value>(Method::GET, "/api/keys", None::<&()>).await?.to_string();
    for (what, text) in [
        ("the timeline", format!("{:?}{:?}", observer.view, observer.events)),
        ("an error", errors),
        ("a URL", urls),
        ("the pull request", pulls),
        ("the list of keys", audit),
    ] {
        assert_eq!(found(&canaries, &text), Vec::<&str>::new(), "in {what}");
    }
    // One place has a secret, so that a search that finds nothing would be noticed.
    let control = stack.directory().join("control");
    std::fs::write(&control, &canaries.last().context("no secret")?.0)?;
    let files = files_with(&canaries, stack.directory())?;
    assert_eq!(
        files.trim(),
        control.to_string_lossy(),
        "logs, databases, sandboxes and repositories have none"
    );
    Ok(())
}
