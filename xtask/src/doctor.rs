//! `doctor`: what this machine can and cannot do, each with the remedy.

use crate::setup::{self, DISK_FREE_GIB_MIN, NODE_MAJOR_MIN, TARGETS, TOOLS};
use crate::shell;
use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};
use stack::Binaries;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// `cargo xtask doctor`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) ok: bool,
    /// What was found.
    #[serde(default)]
    pub(crate) detail: String,
    /// Empty when nothing is to be done.
    #[serde(default)]
    pub(crate) remedy: String,
    /// Whether Farhand works without it.
    #[serde(default)]
    pub(crate) optional: bool,
}

/// What the bridge says of this machine.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct IsolationReport {
    /// Whether sandboxes get namespaces of their own.
    pub(crate) namespaces: bool,
    #[serde(default)]
    pub(crate) checks: Vec<Check>,
}

impl IsolationReport {
    /// What is missing, with remedies.
    pub(crate) fn missing(&self) -> String {
        let missing = self.checks.iter().filter(|check| !check.ok);
        let lines = missing.map(|check| format!("  {}: {}\n    {}", check.name, check.detail, check.remedy));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Asks the bridge what it can isolate here.
pub(crate) fn isolation(bridge: &Path) -> anyhow::Result<IsolationReport> {
    let state = stack::root().join("target/runs");
    std::fs::create_dir_all(&state).with_context(|| format!("cannot create {}", state.display()))?;
    let output = Command::new(bridge)
        .args(["doctor", "--json", "--state"])
        .arg(&state)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", bridge.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| {
        format!("`sandbox-bridge doctor` says {line:?} {}", String::from_utf8_lossy(&output.stderr).trim())
    })
}

/// Examines the machine.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let root = stack::root();
    let mut checks = programs();
    checks.extend(build_tools(&root));
    checks.push(disk(&root));
    checks.push(port(8787));
    checks.extend(keys());
    let bridge = Binaries::of_profile(setup::NativeProfile::Dev.folder()).bridge;
    let isolation = bridge.is_file().then(|| isolation(&bridge)).transpose()?;
    let tier = match &isolation {
        Some(report) if report.namespaces => "namespaces",
        Some(_) => "weak",
        None => "unknown",
    };
    checks.push(Check {
        name: "isolation".to_owned(),
        ok: tier != "weak",
        detail: tier.to_owned(),
        remedy: match tier {
            "unknown" => "build the bridge first: `cargo xtask build`".to_owned(),
            "weak" => "see below, or accept it with --weak-sandbox".to_owned(),
            _ => String::new(),
        },
        optional: true,
    });
    checks.extend(isolation.map(|report| report.checks).unwrap_or_default().into_iter().map(|check| Check {
        name: format!("isolation: {}", check.name),
        optional: true,
        ..check
    }));
    let ok = checks.iter().all(|check| check.ok || check.optional);
    if arguments.json {
        println!("{}", serde_json::json!({"ok": ok, "isolation": tier, "checks": checks}));
    } else {
        for check in &checks {
            let mark = if check.ok {
                "✓"
            } else if check.optional {
                "–"
            } else {
                "✗"
            };
            println!("{mark} {:<34} {}", check.name, check.detail);
            if !check.remedy.is_empty() {
                println!("    {}", check.remedy);
            }
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn found(name: &str, version: Option<String>, remedy: &str, optional: bool) -> Check {
    Check {
        name: name.to_owned(),
        ok: version.is_some(),
        remedy: if version.is_some() { String::new() } else { remedy.to_owned() },
        detail: version
            .map_or_else(|| "missing".to_owned(), |text| text.lines().next().unwrap_or_default().to_owned()),
        optional,
    }
}

fn programs() -> Vec<Check> {
    let node = shell::ask("node", &["--version"]).filter(|version| {
        let major =
            version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
        major.is_some_and(|major| major >= NODE_MAJOR_MIN)
    });
    let chromium =
        ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| setup::find(name));
    vec![
        found("git", shell::ask("git", &["--version"]), "apt-get install git", false),
        found("rustc", shell::ask("rustc", &["--version"]), "install Rust: https://rustup.rs", false),
        found("rustup", shell::ask("rustup", &["--version"]), "install Rust: https://rustup.rs", true),
        found("node", node, &format!("install Node {NODE_MAJOR_MIN} or later: https://nodejs.org"), false),
        found("npm", shell::ask("npm", &["--version"]), "comes with Node: https://nodejs.org", false),
        found("C compiler", shell::ask("cc", &["--version"]), "apt-get install build-essential", false),
        found(
            "cargo-nextest",
            shell::ask("cargo-nextest", &["nextest", "--version"]),
            "cargo install cargo-nextest (tests run without it, slower)",
            true,
        ),
        found(
            "Chromium",
            chromium.map(|path| path.display().to_string()),
            "apt-get install chromium (for the browser tests)",
            true,
        ),
    ]
}

fn build_tools(root: &Path) -> Vec<Check> {
    let installed = |path: &str| root.join(path).exists().then(|| "installed".to_owned());
    let mut checks: Vec<Check> = TOOLS
        .iter()
        .map(|tool| {
            let program = if tool.name == "wasm-bindgen-cli" { "wasm-bindgen" } else { tool.name };
            let version = installed(&format!("target/tools/bin/{program}")).map(|_| tool.version.to_owned());
            found(tool.name, version, "`cargo xtask build` installs it", true)
        })
        .collect();
    let sysroot = shell::ask("rustc", &["--print", "sysroot"]).unwrap_or_default();
    for target in TARGETS {
        let there =
            Path::new(&sysroot).join("lib/rustlib").join(target).is_dir().then(|| "installed".to_owned());
        checks.push(found(&format!("Rust target {target}"), there, "`cargo xtask build` adds it", true));
    }
    checks.push(found(
        "npm packages",
        installed("node_modules/.package-lock.json"),
        "`cargo xtask build` installs them",
        true,
    ));
    checks.push(found("edge Wasm", installed("build/index_bg.wasm"), "`cargo xtask build` makes it", true));
    checks.push(found(
        "web client",
        installed("workers/web/dist/index.html"),
        "`cargo xtask build` makes it",
        true,
    ));
    checks
}

fn disk(root: &Path) -> Check {
    let free = setup::disk_free_gib(root).unwrap_or(0);
    let ok = free >= DISK_FREE_GIB_MIN;
    let remedy =
        if ok { String::new() } else { format!("make room: {DISK_FREE_GIB_MIN} GiB are needed at least") };
    Check { name: "disk".to_owned(), ok, detail: format!("{free} GiB free"), remedy, optional: false }
}

fn port(port: u16) -> Check {
    let ok = TcpListener::bind(("127.0.0.1", port)).is_ok();
    let (detail, remedy) = if ok {
        ("free", "")
    } else {
        ("taken", "`cargo xtask dev --port` chooses another; `demo` takes a free one")
    };
    Check {
        name: format!("port {port}"),
        ok,
        detail: detail.to_owned(),
        remedy: remedy.to_owned(),
        optional: true,
    }
}

/// Names only; a value never leaves the environment.
fn keys() -> Vec<Check> {
    ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"]
        .into_iter()
        .map(|name| {
            let is_set = std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
            Check {
                name: name.to_owned(),
                ok: is_set,
                detail: if is_set { "set" } else { "not set" }.to_owned(),
                remedy: if is_set {
                    String::new()
                } else {
                    "without a key the demo model answers".to_owned()
                },
                optional: true,
            }
        })
        .collect()
}
