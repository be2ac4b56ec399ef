//! Starts the launcher for one sandbox and hears whether it works. Knows where things are inside; keeps nothing.

use super::blocked;
use super::cgroup::{Group, PROCESSES_MAX};
use super::exec::{CONTROL_NAME, GUARD_NAME};
use super::layout::{CONTROL_DIRECTORY, HOME, Layout, WORKSPACE};
use super::meta::SnapshotDriver;
use super::settings::{LocalConfig, Tier};
use super::state::SandboxState;
use crate::launcher::{Account, Bind, BindAccess, LaunchReport, LaunchSpec, Purpose, RunLimits};
use crate::provider::environment::{CA_VARIABLES, Places, environment};
use crate::provider::{BootSecrets, Owner};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where PID 1 forwards to the bridge.
const BRIDGE_INSIDE: &str = "127.0.0.1:3128";
/// Browsers and databases want some; it is memory, and charged to it.
const SHARED_MEMORY_BYTES_MAX: u64 = 512 << 20;
/// Name among the tools, and path inside, of the certificate authorities that sandboxes trust.
pub(super) const CA_BUNDLE: &str = "ca-bundle.pem";
const CA_BUNDLE_INSIDE: &str = "/opt/farhand/ca-bundle.pem";
const LOG_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// A launcher that has answered.
pub(crate) struct Boot {
    /// Its answer.
    pub(crate) report: LaunchReport,
}

/// Runs the launcher with this spec, in the state directory. After `Started` it lives on as the witness and must be reaped;
/// after every other answer it has ended and is reaped.
pub(crate) fn launch(state: &Path, launcher: &Path, spec: &LaunchSpec) -> io::Result<Boot> {
    let mut child = Command::new(launcher)
        .arg("__launch")
        .env_clear()
        .current_dir(state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| {
            // The kernel's words for it would make people wait.
            let remedy = if error.kind() == io::ErrorKind::WouldBlock {
                "; end sandboxes, or let the bridge have more processes (pids.max, TasksMax=)"
            } else {
                ""
            };
            io::Error::new(error.kind(), format!("could not run {}: {error}{remedy}", launcher.display()))
        })?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let text = serde_json::to_vec(spec)?;
    if let Some(mut input) = input {
        // An early end of the launcher shows in its answer.
        let _ = input.write_all(&text);
    }
    let mut line = String::new();
    if let Some(output) = output {
        BufReader::new(output).read_line(&mut line)?;
    }
    let report = serde_json::from_str(&line).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is not a launcher: it said {line:?}", launcher.display()),
        )
    });
    if !matches!(report, Ok(LaunchReport::Started { .. })) {
        child.wait()?;
    }
    Ok(Boot { report: report? })
}

/// The spec of a sandbox whose directories are there.
pub(crate) fn spec(
    config: &LocalConfig,
    layout: &Layout,
    tier: &Tier,
    state: &SandboxState,
    group: &Group,
    secrets: &BootSecrets,
) -> LaunchSpec {
    let limits = &state.order.limits;
    let memory_by_group = tier.group_limits_memory();
    let directory = format!("sandboxes/{}", state.sandbox_id);
    let mut spec = LaunchSpec {
        control: Some(format!("{directory}/{CONTROL_DIRECTORY}/{CONTROL_NAME}")),
        guard: Some(format!("{directory}/{CONTROL_DIRECTORY}/{GUARD_NAME}")),
        directory,
        account: tier.account(layout.account()),
        lowers: match state.driver {
            SnapshotDriver::Overlay => state.lowers.iter().map(|name| format!("layers/{name}/fs")).collect(),
            SnapshotDriver::Copy => Vec::new(),
        },
        binds: Vec::new(),
        command: match state.order.owner {
            Owner::Build { .. } => config.build_command.clone(),
            Owner::Session(_) | Owner::Warm { .. } => config.command.clone(),
        },
        environment: variables(config, state, secrets),
        working_directory: "/workspace".to_owned(),
        limits: RunLimits {
            // Not the address space: agents reserve many times what they use.
            data_bytes: (!memory_by_group).then_some(u64::from(limits.memory_mib) << 20),
            file_bytes: Some(u64::from(limits.disk_mib) << 20),
            processes: Some(PROCESSES_MAX),
        },
        cgroups: group.join_files(),
        thaw: group.thaw_files(),
        shared_memory_bytes: (u64::from(limits.memory_mib) << 20).div_ceil(4).min(SHARED_MEMORY_BYTES_MAX),
        log_bytes_max: LOG_BYTES_MAX,
        purpose: Purpose::Boot,
        landlock: tier.landlock(),
    };
    match tier {
        Tier::Namespaces { .. } => spec.binds = binds(config, &state.tools),
        Tier::Weak { .. } => {
            weaken(&mut spec, config, layout, state);
            spec.environment.retain(|name, value| secrets.stand_ins.get(name) != Some(value));
        }
        Tier::Refused { .. } => {}
    }
    spec
}

fn binds(config: &LocalConfig, tools: &[String]) -> Vec<Bind> {
    let tool = |name: &str| Bind {
        source: format!("tools/{name}"),
        target: format!("/opt/farhand/bin/{name}"),
        access: BindAccess::ReadOnly,
    };
    let mut binds = vec![tool("runner")];
    if config.opencode.is_some() {
        binds.push(tool("opencode"));
    }
    if config.ca_bundle.is_some() {
        binds.push(Bind { target: CA_BUNDLE_INSIDE.to_owned(), ..tool(CA_BUNDLE) });
    }
    let wanted = config.tool_mounts.iter().filter(|mount| mount.is_for(tools));
    binds.extend(wanted.map(|mount| Bind {
        source: mount.host.to_string_lossy().into_owned(),
        target: mount.inside.to_string_lossy().into_owned(),
        access: BindAccess::ReadOnly,
    }));
    binds.extend(blocked::binds(&config.blocked_commands));
    binds
}

/// Where things are in the sandbox's own root.
fn variables(config: &LocalConfig, state: &SandboxState, secrets: &BootSecrets) -> BTreeMap<String, String> {
    let places = Places {
        bridge: BRIDGE_INSIDE,
        spool: "/run/farhand/spool",
        workspace: "/workspace",
        home: "/home/agent",
        opencode: config.opencode.as_ref().map(|_| "/opt/farhand/bin/opencode"),
        path: "/opt/farhand/bin:/usr/local/bin:/usr/bin:/bin",
        ca_bundle: config.ca_bundle.as_ref().map(|_| CA_BUNDLE_INSIDE),
    };
    environment(&places, &state.sandbox_id, &state.order, secrets)
}

/// The same sandbox as plain processes: paths of the host where there is no root of its own, and no forwarder.
fn weaken(spec: &mut LaunchSpec, config: &LocalConfig, layout: &Layout, state: &SandboxState) {
    let host = layout.sandbox(&state.sandbox_id);
    let path = |below: &str| host.join(below).to_string_lossy().into_owned();
    let tools = layout.tools();
    let blocked = tools.join(blocked::FOLDER);
    let tool = |name: &str| tools.join(name).to_string_lossy().into_owned();
    let workspace = path(&format!("upper/{WORKSPACE}"));
    spec.purpose = Purpose::Weak;
    let runner = tool("runner");
    let init = [&runner, "init", "--listen", "none"].map(str::to_owned);
    spec.command = match (&state.order.owner, &config.weak_command) {
        (Owner::Build { .. }, _) => {
            [&init[..], &["--".to_owned(), runner.clone(), "rest".to_owned()]].concat()
        }
        (Owner::Session(_) | Owner::Warm { .. }, Some(command)) => command.clone(),
        (Owner::Session(_) | Owner::Warm { .. }, None) => init.to_vec(),
    };
    let bridge = format!("http://127.0.0.1:{}", state.weak_port.unwrap_or_default());
    let opencode = config.opencode.as_ref().map(|_| tool("opencode"));
    let replacements = [
        ("FARHAND_BRIDGE_URL", Some(bridge)),
        ("FARHAND_SPOOL", Some(path("run/spool"))),
        ("FARHAND_WORKSPACE", Some(workspace.clone())),
        ("FARHAND_OPENCODE", opencode),
        ("HOME", Some(path(&format!("upper/{HOME}")))),
        ("TMPDIR", Some(path("tmp"))),
        ("PATH", Some(format!("{}:{}:/usr/local/bin:/usr/bin:/bin", blocked.display(), tools.display()))),
    ];
    for (name, value) in replacements {
        if let Some(value) = value {
            spec.environment.insert(name.to_owned(), value);
        }
    }
    // Nothing stops these processes from going out directly, so nothing is gained by sending them through the bridge.
    spec.environment.retain(|name, _| {
        !name.to_ascii_lowercase().ends_with("_proxy") && !CA_VARIABLES.contains(&name.as_str())
    });
    spec.working_directory = workspace;
}

/// Whether this account could walk down to the directory by its absolute path.
pub(crate) fn can_enter(directory: &Path, account: Account) -> bool {
    use std::os::unix::fs::MetadataExt;
    directory.ancestors().all(|path| {
        std::fs::metadata(path).is_ok_and(|data| {
            let bits = match (data.uid() == account.uid, data.gid() == account.gid) {
                (true, _) => data.mode() >> 6,
                (false, true) => data.mode() >> 3,
                (false, false) => data.mode(),
            };
            bits & 1 == 1
        })
    })
}
