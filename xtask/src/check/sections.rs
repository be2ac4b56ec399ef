//! The sections of `test` in their order, and how each is run and counted.

use super::count::{Count, Runner, count};
use super::{Run, modal};
use crate::setup::{Setup, WORKSPACE, find};
use crate::shell;
use anyhow::{Context as _, bail};
use stack::{Agent, Options, Stack};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;

/// How much of a failed section's output is shown.
const TAIL_LINES: usize = 60;

type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + 'a>>;

/// One section.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// Whether Worker, bridge, runner and web client must be built first.
    pub(super) needs_stack: bool,
    pub(super) run: for<'a> fn(&'a Run) -> Running<'a>,
}

/// What a section showed.
pub(super) struct Outcome {
    pub(super) count: Count,
    pub(super) trouble: Option<String>,
}

/// In order: what is quick and often wrong first.
pub(super) const SECTIONS: &[Section] = &[
    Section { name: "format", needs_stack: false, run: |_| Box::pin(async { format() }) },
    Section { name: "clippy", needs_stack: false, run: |_| Box::pin(async { clippy() }) },
    Section { name: "clippy-wasm", needs_stack: false, run: |_| Box::pin(async { clippy_wasm() }) },
    Section { name: "rust", needs_stack: true, run: |run| Box::pin(async { rust(run) }) },
    Section { name: "modal", needs_stack: false, run: |run| Box::pin(async { modal(run) }) },
    Section { name: "slack", needs_stack: false, run: |run| Box::pin(async { slack(run) }) },
    Section { name: "live", needs_stack: true, run: |_| Box::pin(async { live() }) },
    Section {
        name: "types",
        needs_stack: false,
        run: |_| Box::pin(async { node_program("types", Runner::Single, "tsc", &["--build"]) }),
    },
    Section {
        name: "biome",
        needs_stack: false,
        run: |_| Box::pin(async { node_program("biome", Runner::Single, "biome", &["check"]) }),
    },
    Section { name: "session-view", needs_stack: false, run: |_| Box::pin(async { session_view() }) },
    Section { name: "extension-units", needs_stack: false, run: |_| Box::pin(async { extension_units() }) },
    Section { name: "web-budget", needs_stack: true, run: |_| Box::pin(async { web_budget() }) },
    Section { name: "edge", needs_stack: true, run: |run| Box::pin(async { edge(run) }) },
    Section { name: "fuzz", needs_stack: true, run: |_| Box::pin(async { fuzz() }) },
    Section { name: "deploy", needs_stack: true, run: |_| Box::pin(async { deploy() }) },
    Section { name: "end-to-end", needs_stack: true, run: |run| Box::pin(async { end_to_end(run) }) },
    Section { name: "browser", needs_stack: true, run: |run| Box::pin(browser(&run.setup)) },
    Section { name: "extension", needs_stack: true, run: |run| Box::pin(async { extension(&run.setup) }) },
];

pub(super) fn log(name: &str) -> PathBuf {
    stack::root().join("target/logs").join(format!("test-{name}.log"))
}

/// A program of the workspace.
fn built(name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| stack::root().join("target"), PathBuf::from);
    target.join("debug").join(name)
}

/// Runs a program to its end, and counts its tests.
fn section(name: &str, runner: Runner, command: &mut Command) -> anyhow::Result<Outcome> {
    let log = log(name);
    let succeeded = shell::run(command, &log).is_ok();
    let output = std::fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let counted = match runner {
        Runner::Single => Count { passed: u64::from(succeeded), failed: 0 },
        Runner::CargoTest | Runner::Nextest | Runner::Node | Runner::Vitest | Runner::Playwright => {
            count(runner, &String::from_utf8_lossy(&output))
        }
    };
    let count = counted.settle(succeeded);
    let trouble =
        (count.failed > 0).then(|| format!("{}\n({})", shell::tail(&log, TAIL_LINES), log.display()));
    Ok(Outcome { count, trouble })
}

fn format() -> anyhow::Result<Outcome> {
    section("format", Runner::Single, shell::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> anyhow::Result<Outcome> {
    let arguments = [
        "clippy",
        "--workspace",
        "--exclude",
        "edge",
        "--all-targets",
        "--keep-going",
        "--",
        "-D",
        "warnings",
    ];
    section("clippy", Runner::Single, shell::cargo().args(arguments))
}

fn clippy_wasm() -> anyhow::Result<Outcome> {
    let target = "wasm32-unknown-unknown";
    let arguments = [
        "clippy",
        "-p",
        "edge",
        "-p",
        "session",
        "-p",
        "repository",
        "-p",
        "platform",
        "-p",
        "thread",
        "--target",
        target,
        "--",
        "-D",
        "warnings",
    ];
    section("clippy-wasm", Runner::Single, shell::cargo().args(arguments))
}

/// Whose tests run.
#[derive(Clone, Copy)]
enum Packages {
    AllBut(&'static [&'static str]),
    Only(&'static str),
}

/// `cargo nextest run`, or `cargo test` where nextest is not installed.
fn cargo_tests(run: &Run, packages: Packages) -> (Runner, Command) {
    let mut command = shell::cargo();
    if find("cargo-nextest").is_none() {
        command.args(["test", "--no-fail-fast"]);
        match packages {
            Packages::AllBut(others) => {
                command.args(WORKSPACE).args(others.iter().flat_map(|one| ["--exclude", one]))
            }
            Packages::Only(one) => command.args(["--package", one]),
        };
        return (Runner::CargoTest, command);
    }
    command.args(["nextest", "run", "--config-file", "tests/nextest.toml", "--no-fail-fast"]);
    match packages {
        Packages::AllBut(others) => {
            let others = others.iter().map(|one| format!(" - package({one})"));
            command.args(WORKSPACE).arg("--filterset").arg(format!("all(){}", others.collect::<String>()))
        }
        Packages::Only(one) if run.whole => {
            command.args(WORKSPACE).arg("--filterset").arg(format!("package({one})"))
        }
        Packages::Only(one) => command.args(["--package", one]),
    };
    (Runner::Nextest, command)
}

/// All tests but those that have sections of their own.
fn rust(run: &Run) -> anyhow::Result<Outcome> {
    let (runner, mut command) = cargo_tests(run, Packages::AllBut(&["end-to-end", "modal-conformance"]));
    section("rust", runner, &mut command)
}

/// Our messages and our stand-in against Modal's own Python package.
fn modal(run: &Run) -> anyhow::Result<Outcome> {
    let python = modal::python(modal::MODAL)?;
    let (runner, mut command) = cargo_tests(run, Packages::Only("modal-conformance"));
    section("modal", runner, command.env("FARHAND_MODAL_PYTHON", python))
}

/// Our stand-in for Slack, and our messages, against Slack's own SDK.
fn slack(run: &Run) -> anyhow::Result<Outcome> {
    let python = modal::python(modal::SLACK)?;
    let (root, log) = (stack::root(), log("slack-build"));
    if !run.whole {
        shell::run(shell::cargo().args(["build", "--package", "fakes", "--bin", "slack-workspace"]), &log)?;
        shell::run(shell::cargo().args(["build", "--package", "slack", "--example", "messages"]), &log)?;
    }
    let messages = root.join("target/logs/slack-messages.json");
    shell::run(&mut Command::new(built("examples/messages")), &messages)?;
    let mut check = Command::new(python);
    check.arg(root.join("tests/slack/python/check.py")).arg(built("slack-workspace")).arg(messages);
    section("slack", Runner::Single, &mut check)
}

/// The providers' suite at Modal itself, where the environment has an account.
fn live() -> anyhow::Result<Outcome> {
    let has_account =
        ["MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"].iter().all(|name| std::env::var_os(name).is_some());
    if !has_account {
        eprintln!("  not run: MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are not set");
        return Ok(Outcome { count: Count::default(), trouble: None });
    }
    let mut command = shell::cargo();
    command.args(["test", "-p", "sandbox-bridge", "--test", "provider", "--", "--ignored", "live::"]);
    section("live", Runner::CargoTest, &mut command)
}

fn node_program(name: &str, runner: Runner, program: &str, arguments: &[&str]) -> anyhow::Result<Outcome> {
    section(name, runner, &mut shell::node_command(program, arguments))
}

fn session_view() -> anyhow::Result<Outcome> {
    let mut command = shell::node_command("vitest", &["run"]);
    section(
        "session-view",
        Runner::Vitest,
        command.current_dir(stack::root().join("workers/web/session-view")),
    )
}

fn extension_units() -> anyhow::Result<Outcome> {
    let mut command = shell::node_command("vitest", &["run"]);
    section("extension-units", Runner::Vitest, command.current_dir(stack::root().join("extension")))
}

fn web_budget() -> anyhow::Result<Outcome> {
    node_program("web-budget", Runner::Single, "node", &["workers/web/scripts/budget.mjs"])
}

fn edge(run: &Run) -> anyhow::Result<Outcome> {
    let folder = stack::root().join("tests/edge");
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".test.mjs"))
        .map(|name| format!("tests/edge/{name}"))
        .collect();
    files.sort();
    if !run.whole {
        // Some of them try the stand-ins for GitHub and Slack, and `farhand`, which are programs of their own.
        let programs = ["build", "--package", "fakes", "--package", "cli", "--bins"];
        shell::run(shell::cargo().args(programs), &log("stand-ins"))?;
    }
    // Two at a time: each file has a Worker of its own, and one leaves half of two cores idle.
    let mut arguments =
        vec!["--test", "--test-concurrency=2", "--test-timeout=120000", "--test-reporter=spec"];
    arguments.extend(files.iter().map(String::as_str));
    let mut command = shell::node_command("node", &arguments);
    section("edge", Runner::Node, command.env("FARHAND_EDGE_PREBUILT", "1"))
}

/// That description against the running Worker, for a minute or as long as `FARHAND_FUZZ_SECONDS` says.
fn fuzz() -> anyhow::Result<Outcome> {
    let python = modal::python(modal::FUZZ)?;
    let arguments = ["--test", "--test-reporter=spec", "tests/edge/fuzz/fuzz.test.mjs"];
    let mut command = shell::node_command("node", &arguments);
    command.env("FARHAND_EDGE_PREBUILT", "1").env("FARHAND_FUZZ_PYTHON", python);
    section("fuzz", Runner::Node, &mut command)
}

/// A deployment as the operator's guide says it, up to what needs an account: the file of `--init`, filled in, packed by wrangler.
fn deploy() -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("farhand.toml");
    let command = |option: &str| -> anyhow::Result<Command> {
        // Not this process's own file: building the tests has put another in its place.
        let mut command = Command::new(built("xtask"));
        command.args(["deploy", option, "--file"]).arg(&file).current_dir(stack::root());
        command.env("FARHAND_EDGE_PREBUILT", "1");
        Ok(command)
    };
    shell::run(&mut command("--init")?, &log("deploy-init"))?;
    let filled = [
        ("public_url", "https://farhand.example.com"),
        ("GITHUB_CLIENT_ID", "Iv1.0123456789abcdef"),
        ("BRIDGE_URL", "https://bridge.example.com"),
        ("OPERATORS", "ada"),
    ];
    let mut text = std::fs::read_to_string(&file)?;
    for (name, value) in filled {
        let empty = format!("\n{name} = \"\"\n");
        anyhow::ensure!(text.contains(&empty), "the file has no {name} to fill in");
        text = text.replacen(&empty, &format!("\n{name} = \"{value}\"\n"), 1);
    }
    std::fs::write(&file, text)?;
    section("deploy", Runner::Single, &mut command("--dry-run")?)
}

fn end_to_end(run: &Run) -> anyhow::Result<Outcome> {
    let (runner, mut command) = cargo_tests(run, Packages::Only("end-to-end"));
    if runner == Runner::Nextest {
        // Each starts a whole stack, which waits more than it computes.
        command.args(["--test-threads", "3"]);
    }
    section("end-to-end", runner, &mut command)
}

/// The web client in Chromium against a running stack.
async fn browser(setup: &Setup) -> anyhow::Result<Outcome> {
    let chromium = chromium(setup)?;
    let mut options = Options::new("browser");
    options.agent = Agent::Scripted;
    options.weak_sandbox = crate::demo::weak_sandbox(false, false, &options.binaries, &setup.progress)?;
    let stack = Stack::start(options).await?;
    let mut command = shell::node_command("playwright", &["test"]);
    command
        .current_dir(stack::root().join("tests/browser"))
        .env("FARHAND_URL", stack.url())
        .env("FARHAND_CODE_HOST_URL", stack.github().url())
        .env("CHROMIUM", chromium);
    // The stand-ins answer on this runtime meanwhile.
    let outcome =
        tokio::task::spawn_blocking(move || section("browser", Runner::Playwright, &mut command)).await;
    drop(stack);
    outcome.context("the browser tests were lost")?
}

/// The Chrome extension, built, packed within its budget, and unpacked in Chromium beside pages of its own.
fn extension(setup: &Setup) -> anyhow::Result<Outcome> {
    let chromium = chromium(setup)?;
    let log = log("extension-build");
    for script in ["extension/scripts/build.mjs", "extension/scripts/zip.mjs"] {
        shell::run(&mut shell::node_command("node", &[script]), &log)
            .with_context(|| shell::tail(&log, TAIL_LINES))?;
    }
    let mut command = shell::node_command("playwright", &["test"]);
    command
        .current_dir(stack::root().join("tests/extension"))
        .env("CHROMIUM", chromium)
        .env("FARHAND_EDGE_PREBUILT", "1");
    section("extension", Runner::Playwright, &mut command)
}

fn chromium(setup: &Setup) -> anyhow::Result<PathBuf> {
    let search = || ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| find(name));
    if let Some(found) = search() {
        return Ok(found);
    }
    if !nix::unistd::Uid::effective().is_root() || find("apt-get").is_none() {
        bail!("Chromium is missing: install it (`sudo apt-get install chromium`) for the browser tests");
    }
    setup.progress.note("installing Chromium for the browser tests …");
    let install = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        shell::run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"), &log("chromium"))
    };
    install(&["update"])?;
    install(&["install", "--yes", "--no-install-recommends", "chromium"])?;
    search().context("Chromium was installed but cannot be found")
}
