//! The real runner binary as PID 1: its forwarder, its end, and the zombies it collects.

use crate::support::{AGENT, Bench, PATIENCE, new_sandbox_id, of, request, secrets};
use sandbox_bridge::provider::SandboxProvider;
use std::path::PathBuf;
use std::time::Instant;

/// The static build, where somebody has made it.
pub(crate) fn runner() -> Option<PathBuf> {
    let named = std::env::var_os("TEST_RUNNER").map(PathBuf::from);
    let built = || {
        let target = crate::support::launcher().parent()?.parent()?.to_owned();
        let builds = ["debug", "release", "native"];
        builds
            .iter()
            .map(|build| target.join("x86_64-unknown-linux-musl").join(build).join("runner"))
            .find(|path| path.exists())
    };
    let found = named.or_else(built);
    if found.is_none() {
        println!(
            "skipped: build it with cargo build -p runner --target x86_64-unknown-linux-musl, or name it in TEST_RUNNER"
        );
    }
    found
}

/// OpenCode's own binary, where somebody has named it.
pub(crate) fn opencode() -> Option<PathBuf> {
    let named = std::env::var_os("TEST_OPENCODE").map(PathBuf::from);
    if named.is_none() {
        println!("skipped: name OpenCode's binary in TEST_OPENCODE");
    }
    named
}

fn start(child: &str) -> Option<Bench> {
    let runner = runner()?;
    let command = ["/opt/farhand/bin/runner", "init", "--", "/bin/sh", "-c", child].map(str::to_owned);
    Bench::start_with(|config| {
        config.runner = runner;
        config.command = command.to_vec();
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn its_forwarder_leads_to_the_bridge() {
    let Some(bench) = start(&format!("URL=$FARHAND_BRIDGE_URL; {AGENT}")) else { return };
    let began = Instant::now();
    let id = bench.create(&request()).await;
    crate::support::until("it has called", || bench.desk.calls(&id) > 0).await;
    println!("create, and first byte through the forwarder: {:?}", began.elapsed());
    assert_eq!(
        bench.desk.ok(&id, "tr '\\0' '\\n' < /proc/1/cmdline | head -n 2").await,
        "/opt/farhand/bin/runner\ninit\n"
    );
    let size = 5 << 20;
    let script = format!(
        "head -c {size} /dev/zero | tr '\\0' y > big; curl -s --data-binary @big $FARHAND_BRIDGE_URL/size"
    );
    assert_eq!(bench.desk.ok(&id, &script).await, size.to_string());
    bench.desk.ok(&id, "for i in 1 2 3 4 5; do (sleep 0.01 &) ; done; sleep 0.1").await;
    let zombies = bench.desk.ok(&id, "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true").await;
    assert_eq!(zombies, "0\n");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_child_s_end_is_its_own_and_everybody_else_s() {
    let Some(bench) = start("setsid sleep 1000 & exit 7") else { return };
    let mut exits = bench.provider.exits().unwrap();
    let id = new_sandbox_id();
    bench.provider.create(&id, &of(&request()), &secrets()).await.unwrap();
    let exit = tokio::time::timeout(PATIENCE, exits.recv()).await.unwrap().unwrap();
    assert_eq!(exit.reason, "the runner ended with exit code 7");
    assert_eq!(crate::support::processes_with(&format!("FARHAND_SANDBOX_ID={id}")), Vec::<i32>::new());
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode_starts_within_the_limits() {
    let Some(opencode) = opencode() else { return };
    let Some(runner) = runner() else { return };
    let Some(bench) = Bench::start_with(|config| {
        config.runner = runner;
        config.opencode = Some(opencode);
    }) else {
        return;
    };
    let id = bench.create(&request()).await;
    let script = "cd /tmp; export OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_AUTOUPDATE=1; $FARHAND_OPENCODE serve --port 4096 > log 2>&1 & \
                  for i in $(seq 200); do grep -q listening /tmp/log && break; sleep 0.1; done; cat /tmp/log; \
                  curl -s --noproxy '*' -o /dev/null -w ' %{http_code}' http://127.0.0.1:4096/config; kill $!";
    let seen = bench.desk.run(&id, script).await;
    assert!(seen.output.contains("listening on http://127.0.0.1:4096"), "{}", seen.output);
    assert!(seen.output.trim_end().ends_with("200"), "{}", seen.output);
    bench.finish().await;
}
