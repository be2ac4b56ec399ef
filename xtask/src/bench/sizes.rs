//! How much a browser and Cloudflare have to load, gzipped, in kB of 1000 bytes.

use crate::shell;
use anyhow::Context as _;
use serde_json::Value;

fn node(script: &[&str]) -> anyhow::Result<Value> {
    let output = shell::node_command("node", script).output().context("cannot run Node")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .with_context(|| format!("{line:?} {}", String::from_utf8_lossy(&output.stderr)))
}

/// The Worker's Wasm module as built for a deployment.
pub(super) fn wasm_gzip_kb() -> anyhow::Result<Value> {
    let script = "const {readFileSync}=require('node:fs'),{gzipSync}=require('node:zlib');\
        console.log(Math.round(gzipSync(readFileSync('build/index_bg.wasm'),{level:9}).length/100)/10)";
    node(&["-e", script])
}

/// JavaScript that the session route loads.
pub(super) fn session_js_kb() -> anyhow::Result<Value> {
    let value = node(&["workers/web/scripts/budget.mjs", "--json"])?;
    value.get("session_js_kb").cloned().context("the budget script says no size")
}

/// The package of the extension, built as it is handed out.
pub(super) fn extension_zip_kb() -> anyhow::Result<Value> {
    let log = stack::root().join("target/logs/bench-extension.log");
    shell::run(&mut shell::node_command("node", &["extension/scripts/build.mjs"]), &log)?;
    let value = node(&["extension/scripts/zip.mjs", "--json"])?;
    value.get("extension_zip_kb").cloned().context("the packing script says no size")
}
