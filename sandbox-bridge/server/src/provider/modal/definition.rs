//! A sandbox as it is ordered at Modal: what it starts from and with, what it may use and reach. Pure.
//!
//! Inside is the sandbox's own token and no other credential. Its first process waits for the kit and becomes the runner's `init`.

use super::kit::Kit;
use super::settings::{Inside, ModalConfig};
use crate::provider::environment::{Places, environment};
use crate::provider::{BootSecrets, Owner, SandboxRecord};
use modal_api::sandbox::OpenPortsOneof;
use modal_api::{NetworkAccess, NetworkAccessType, PortSpecs, Resources, Sandbox};
use std::collections::BTreeMap;
use url::{Host, Url};

/// Longest life at Modal.
const LIFE_SECS_MAX: u64 = 24 * 3600;
/// Where the repository is.
pub(super) const WORKSPACE: &str = "/workspace";
const HOME: &str = "/home/agent";
/// Where the supervisor listens.
pub(super) const CONTROL: &str = "/run/farhand/control.sock";
/// Below it is a spool for each sandbox: numbers begin anew with every one, and a snapshot has that of its own.
const SPOOLS: &str = "/run/farhand/spool";

/// Makes folders, waits for the kit ($1), and runs what follows.
const ENTRYPOINT: &str = r#"set -e
kit=$1; shift
mkdir -p /run/farhand "$HOME" "$FARHAND_WORKSPACE" /var/lib/farhand
for old in "${FARHAND_SPOOL%/*}"/*; do
    [ "$old" = "$FARHAND_SPOOL" ] || rm -rf "$old"
done
mkdir -p "$FARHAND_SPOOL"
tries=0
until [ -x "$kit/bin/runner" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 6000 ]; then echo "the runner was not sent" >&2; exit 1; fi
    sleep 0.05
done
cd "$FARHAND_WORKSPACE"
exec "$@"
"#;

/// An order that Modal would not take; the text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OrderError {
    #[error("sandboxes live at most 24 hours at Modal, not {0} ms; set SANDBOX_LIFE_MS to at most 86400000")]
    Life(u64),
    #[error("{0} is no name of an environment variable; a repository's secret needs another name")]
    Variable(String),
}

/// The definition of a sandbox.
pub(super) fn definition(
    config: &ModalConfig,
    kit: &Kit,
    name: &str,
    image_id: &str,
    record: &SandboxRecord,
    direct_hosts: &[String],
) -> Result<Sandbox, OrderError> {
    let limits = &record.order.limits;
    let timeout_secs = limits.life_ms.div_ceil(1000);
    if timeout_secs > LIFE_SECS_MAX {
        return Err(OrderError::Life(limits.life_ms));
    }
    let resources = Resources {
        memory_mb: limits.memory_mib,
        memory_mb_max: limits.memory_mib,
        milli_cpu: limits.cpu_millicores,
        milli_cpu_max: limits.cpu_millicores,
        ..Resources::default()
    };
    Ok(Sandbox {
        entrypoint_args: entrypoint(&config.inside, kit, &config.gateway_url, &record.order.owner),
        image_id: image_id.to_owned(),
        resources: Some(resources),
        timeout_secs: u32::try_from(timeout_secs.max(1)).unwrap_or(u32::MAX),
        workdir: Some("/".to_owned()),
        network_access: Some(network(&config.gateway_url, direct_hosts)),
        name: Some(name.to_owned()),
        open_ports_oneof: Some(OpenPortsOneof::OpenPorts(PortSpecs::default())),
        ..Sandbox::default()
    })
}

fn entrypoint(inside: &Inside, kit: &Kit, gateway: &Url, owner: &Owner) -> Vec<String> {
    let runner = kit.file("bin/runner");
    let gateway = gateway.as_str().trim_end_matches('/');
    let mut arguments = ["/bin/sh", "-c", ENTRYPOINT, "farhand", &kit.path].map(str::to_owned).to_vec();
    let init = ["init", "--listen", &inside.listen, "--bridge", gateway, "--control", CONTROL, "--"];
    arguments.push(runner.clone());
    arguments.extend(init.map(str::to_owned));
    let command = match owner {
        Owner::Build { .. } => &inside.build_command,
        Owner::Session(_) | Owner::Warm { .. } => &inside.command,
    };
    arguments.extend(command.iter().map(|word| word.replace("{runner}", &runner)));
    arguments
}

/// The bridge, and what the repository allows to be reached without it.
pub(super) fn network(gateway: &Url, direct_hosts: &[String]) -> NetworkAccess {
    let mut access = NetworkAccess {
        network_access_type: NetworkAccessType::Allowlist.into(),
        allowed_cidrs: Vec::new(),
        allowed_domains: direct_hosts.to_vec(),
    };
    match gateway.host() {
        Some(Host::Domain(name)) => access.allowed_domains.insert(0, name.to_owned()),
        Some(Host::Ipv4(address)) => access.allowed_cidrs.push(format!("{address}/32")),
        Some(Host::Ipv6(address)) => access.allowed_cidrs.push(format!("{address}/128")),
        None => {}
    }
    access
}

/// Variables of everything inside.
pub(super) fn variables(
    config: &ModalConfig,
    kit: &Kit,
    record: &SandboxRecord,
    secrets: &BootSecrets,
) -> Result<BTreeMap<String, String>, OrderError> {
    if let Some(name) = secrets.stand_ins.keys().find(|name| !is_variable(name)) {
        return Err(OrderError::Variable(name.clone()));
    }
    let path = format!(
        "{}:{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        kit.file("blocked"),
        kit.file("bin")
    );
    let ca_bundle = config.ca_bundle.as_ref().map(|_| kit.file("ca-bundle.pem"));
    let places = Places {
        bridge: &config.inside.listen,
        spool: &format!("{SPOOLS}/{}", record.sandbox_id),
        workspace: WORKSPACE,
        home: HOME,
        opencode: Some("opencode"),
        path: &path,
        ca_bundle: ca_bundle.as_deref(),
    };
    Ok(environment(&places, &record.sandbox_id, &record.order, secrets))
}

/// Names that Modal takes.
fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_leads_to_the_bridge_and_to_allowed_hosts_only() {
        let direct = ["registry.example".to_owned(), "*.cdn.example".to_owned()];
        let access = network(&"https://bridge.example:8443/".parse().unwrap(), &direct);
        assert_eq!(access.network_access_type(), NetworkAccessType::Allowlist);
        assert_eq!(access.allowed_domains, ["bridge.example", "registry.example", "*.cdn.example"]);
        assert!(access.allowed_cidrs.is_empty());
        let local = network(&"http://127.0.0.1:1".parse().unwrap(), &[]);
        assert_eq!((local.allowed_cidrs, local.allowed_domains), (vec!["127.0.0.1/32".to_owned()], vec![]));
        let six = network(&"http://[::1]:1".parse().unwrap(), &[]);
        assert_eq!(six.allowed_cidrs, ["::1/128"]);
    }

    #[test]
    fn names_of_variables_are_checked() {
        for (name, good) in [("NPM_TOKEN", true), ("_a1", true), ("1A", false), ("A-B", false), ("", false)] {
            assert_eq!(is_variable(name), good, "{name}");
        }
    }
}
