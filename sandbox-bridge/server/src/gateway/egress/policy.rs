//! What one repository's sandboxes may reach: decided from names alone, before anything is resolved.
//!
//! Pure. The configuration makes one [`Policy`] per repository; the proxy asks it for every connection and every request.

use super::host::{HostError, HostName, HostPattern, Target};
use super::reason::{Reason, Refused};
use crate::config::Secret;
use protocol::id::RepositoryId;

/// A secret that is put on for one host, by the name of the variable that has its stand-in inside.
#[derive(Clone, Debug)]
pub struct HostSecret {
    /// The variable inside, such as `NPM_TOKEN`.
    pub name: String,
    /// The only place where it is used, and only over TLS.
    pub target: Target,
    /// The secret.
    pub value: Secret,
}

/// What the sandboxes of one repository may reach.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Hosts.
    pub allow: Vec<HostPattern>,
    /// Hosts that may lead to addresses of the operator's own network.
    pub private: Vec<HostPattern>,
    /// Hosts whose requests are looked into, because only reading is allowed.
    pub read_only: Vec<HostPattern>,
    /// Secrets by host; their hosts are allowed.
    pub secrets: Vec<HostSecret>,
    /// Other repositories of the same code host that may be fetched.
    pub repositories: Vec<RepositoryId>,
    /// What its sandboxes may spend on models, each.
    pub budget_micro_dollars: Option<u64>,
}

/// How an allowed target is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permit {
    /// It may lead to private addresses.
    pub(super) private: bool,
    /// Only reading.
    pub(super) read_only: bool,
    /// TLS ends at the bridge, so that requests can be looked into.
    pub(super) inspected: bool,
}

impl Policy {
    /// Whether the target may be reached.
    pub(super) fn evaluate(&self, target: &Target) -> Result<Permit, Refused> {
        let among = |patterns: &[HostPattern]| patterns.iter().any(|pattern| pattern.allows(target));
        let has_secret = self.secrets_for(target).next().is_some();
        let private = among(&self.private);
        let read_only = among(&self.read_only);
        if private || read_only || has_secret || among(&self.allow) {
            return Ok(Permit { private, read_only, inspected: read_only || has_secret });
        }
        let reason = if self.names(&target.host) { Reason::PortNotAllowed } else { Reason::HostNotAllowed };
        Err(Refused::at(target, reason))
    }

    /// Whether the target may be reached.
    pub(crate) fn allows(&self, target: &Target) -> bool {
        self.evaluate(target).is_ok()
    }

    /// Whether this URL could be fetched through the proxy.
    pub(crate) fn allows_url(&self, url: &str) -> bool {
        let target = url::Url::parse(url).ok().and_then(|url| {
            let port = url.port_or_known_default()?;
            Target::parse(&format!("{}:{port}", url.host_str()?), None).ok()
        });
        target.is_some_and(|target| self.evaluate(&target).is_ok_and(|permit| !permit.inspected))
    }

    /// Hosts that a network of the provider's own may lead to directly: those at the usual ports, as far as no host is among them that
    /// has to be looked into. Everything else that is allowed goes through the proxy.
    pub(crate) fn direct_hosts(&self) -> Vec<String> {
        let is_inspected = |pattern: &HostPattern| {
            self.read_only.iter().any(|other| pattern.overlaps(other))
                || self.secrets.iter().any(|secret| pattern.names(&secret.target.host))
        };
        let direct = self.allow.iter().filter(|pattern| !is_inspected(pattern));
        direct.filter_map(HostPattern::at_usual_ports).collect()
    }

    /// The secrets that are for exactly this target.
    pub(super) fn secrets_for(&self, target: &Target) -> impl Iterator<Item = &HostSecret> {
        self.secrets.iter().filter(move |secret| secret.target == *target)
    }

    /// Whether the host is allowed at some port.
    pub(crate) fn names(&self, host: &HostName) -> bool {
        [&self.allow, &self.private, &self.read_only].into_iter().flatten().any(|pattern| pattern.names(host))
            || self.secrets.iter().any(|secret| secret.target.host == *host)
    }
}

/// Reads the authority of a request, or says why it leads nowhere.
pub(super) fn parse_target(authority: &str, usual_port: Option<u16>) -> Result<Target, Refused> {
    Target::parse(authority, usual_port).map_err(|error| {
        let reason = match error {
            HostError::Address => Reason::AddressNotName,
            HostError::NotAscii | HostError::Malformed | HostError::Port => Reason::HostMalformed,
        };
        Refused::unread(authority, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Policy {
            allow: patterns(&["a.example", "*.b.example:8443"]),
            private: patterns(&["intranet:8080"]),
            read_only: patterns(&["docs.example"]),
            secrets: vec![HostSecret {
                name: "NPM_TOKEN".to_owned(),
                target: Target::parse("registry.example:443", None).unwrap(),
                value: Secret::new("canary"),
            }],
            ..Policy::default()
        }
    }

    #[test]
    fn no_host_that_is_looked_into_is_reached_directly() {
        let mut policy = policy();
        assert_eq!(policy.direct_hosts(), ["a.example"]);
        policy.allow =
            ["*.example", "docs.example", "registry.example", "*.b.example", "x.docs.example", "c.example"]
                .map(|text| text.parse().unwrap())
                .to_vec();
        assert_eq!(policy.direct_hosts(), ["*.b.example", "x.docs.example", "c.example"]);
        policy.read_only = vec!["*.docs.example".parse().unwrap()];
        assert_eq!(policy.direct_hosts(), ["docs.example", "*.b.example", "c.example"]);
    }

    #[test]
    fn only_what_was_allowed_is_allowed() {
        let permit = |private, read_only, inspected| Ok(Permit { private, read_only, inspected });
        for (authority, expected) in [
            ("a.example:443", permit(false, false, false)),
            ("A.Example.:80", permit(false, false, false)),
            ("a.example:22", Err(Reason::PortNotAllowed)),
            ("x.b.example:8443", permit(false, false, false)),
            ("x.b.example:443", Err(Reason::PortNotAllowed)),
            ("b.example:8443", Err(Reason::HostNotAllowed)),
            ("intranet:8080", permit(true, false, false)),
            ("intranet:443", Err(Reason::PortNotAllowed)),
            ("docs.example:443", permit(false, true, true)),
            ("registry.example:443", permit(false, false, true)),
            ("registry.example:80", Err(Reason::PortNotAllowed)),
            ("evil.example:443", Err(Reason::HostNotAllowed)),
            ("127.0.0.1:443", Err(Reason::AddressNotName)),
            ("[::1]:443", Err(Reason::AddressNotName)),
            ("a.example", Err(Reason::HostMalformed)),
        ] {
            let decided = parse_target(authority, None).and_then(|target| policy().evaluate(&target));
            assert_eq!(decided.map_err(|refused| refused.reason), expected, "{authority}");
        }
        let nothing = Policy::default().evaluate(&Target::parse("a.example:443", None).unwrap());
        assert_eq!(nothing.unwrap_err().reason, Reason::HostNotAllowed);
    }
}
