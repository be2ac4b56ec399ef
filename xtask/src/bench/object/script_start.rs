//! How long the Worker's script takes to start: a workerd with nothing else, from its start to the first answer, less the same with a
//! script that does nothing.

use super::server::{Place, pin};
use crate::bench::statistics::Spread;
use anyhow::{Context as _, bail};
use nix::unistd::Pid;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

const ROUNDS: usize = 11;
const TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_micros(500);
/// Modules of the Worker, the entry first; workerd resolves their imports by these names.
const MODULES: &[(&str, &str)] = &[
    ("workers/edge/entry.mjs", "esModule"),
    ("build/index.js", "esModule"),
    ("build/index_bg.wasm", "wasm"),
];
const EMPTY: &str = "export default { fetch() { return new Response(\"yes\"); } };";
const OBJECT: &str = "durableObjectNamespaces = [(className = \"SessionObject\", uniqueKey = \"sessions\", enableSql = true)], \
    durableObjectStorage = (inMemory = void), \
    bindings = [(name = \"SIGN_IN\", text = \"github\"), (name = \"MODELS\", text = \"[]\")]";

fn compatibility_date() -> anyhow::Result<String> {
    let configuration = std::fs::read_to_string(stack::root().join("wrangler.toml"))?;
    let line = configuration.lines().find_map(|line| line.strip_prefix("compatibility_date = "));
    Ok(line.context("wrangler.toml has no compatibility date")?.trim_matches('"').to_owned())
}

/// Writes the configuration of one workerd; its modules are copied beside it, because it names them by relative paths.
fn configure(folder: &Path, is_empty: bool, port: u16) -> anyhow::Result<()> {
    let mut modules = Vec::new();
    if is_empty {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("empty.mjs"), EMPTY)?;
        modules.push("(name = \"empty.mjs\", esModule = embed \"empty.mjs\")".to_owned());
    }
    for (name, kind) in MODULES.iter().filter(|_| !is_empty) {
        let copy = folder.join(name);
        std::fs::create_dir_all(copy.parent().unwrap_or(folder))?;
        std::fs::copy(stack::root().join(name), copy).with_context(|| format!("{name} is not built"))?;
        modules.push(format!("(name = \"{name}\", {kind} = embed \"{name}\")"));
    }
    let object = if is_empty { "" } else { OBJECT };
    let comma = if is_empty { "" } else { ", " };
    let text = format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (services = [(name = \"main\", worker = .main)], \
         sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (), service = \"main\")]);\n\
         const main :Workerd.Worker = (modules = [{}], compatibilityDate = \"{}\"{comma}{object});\n",
        modules.join(", "),
        compatibility_date()?,
    );
    std::fs::write(folder.join("config.capnp"), text)?;
    Ok(())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// From start to the first answer, in ms.
async fn start(folder: &Path, is_empty: bool) -> anyhow::Result<f64> {
    let port = free_port()?;
    configure(folder, is_empty, port)?;
    let started = Instant::now();
    // The npm package's `workerd` is a script; this is the program.
    let mut child = Command::new(stack::root().join("node_modules/workerd/bin/workerd"))
        .args(["serve", "config.capnp"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log"))?)
        .kill_on_drop(true)
        .spawn()
        .context("cannot run workerd")?;
    if let Some(id) = child.id() {
        pin(Pid::from_raw(i32::try_from(id)?), Place::Server)?;
    }
    let answered = loop {
        if let Ok(elapsed) = ask(port, started).await {
            break elapsed;
        }
        if started.elapsed() > TIMEOUT {
            bail!("workerd does not answer: {}", crate::shell::tail(&folder.join("log"), 10));
        }
        tokio::time::sleep(POLL).await;
    };
    child.kill().await?;
    Ok(answered)
}

async fn ask(port: u16, started: Instant) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /api/health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 "), "no answer");
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}

/// What our script adds.
pub(super) async fn measure(folder: &Path) -> anyhow::Result<Spread> {
    let mut added = Vec::new();
    let empty = folder.join("empty");
    let worker = folder.join("worker");
    std::fs::create_dir_all(&worker)?;
    for index in 0..=ROUNDS {
        let nothing = start(&empty, true).await?;
        let ours = start(&worker, false).await?;
        // The first round fills the file cache.
        if index > 0 {
            added.push(ours - nothing);
        }
    }
    Spread::of(&added)
}
