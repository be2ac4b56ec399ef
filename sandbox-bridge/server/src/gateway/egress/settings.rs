//! What the operator sets about the way out, and the proxy that is made of it.

use super::Egress;
use super::authority::{Authority, crypto, machine_certificates};
use super::exit::{Exit, Resolver, SystemResolver};
use super::host::{HostPattern, Target};
use super::policy::{HostSecret, Policy};
use super::stand_in::StandIns;
use crate::config::Secret;
use crate::edge::EdgeClient;
use protocol::id::RepositoryId;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsConnector;

/// How long a connection may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Port of a secret's host for which none was given.
const HTTPS_PORT: u16 = 443;

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Connections would have to be looked into, and there is nothing to do it with.
    #[error(
        "{0} has secrets or read-only hosts, for which the bridge needs a certificate authority of its own"
    )]
    Authority(RepositoryId),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// A certificate of `--extra-ca` cannot be used.
    #[error("a certificate of --extra-ca cannot be used")]
    ExtraAuthority(#[source] rustls::Error),
}

/// One repository's part of `FARHAND_REPOSITORY_POLICY`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepositoryPolicy {
    /// Hosts beside those for all repositories, `HOST[:PORT]`.
    pub allow_hosts: Vec<HostPattern>,
    /// Hosts that can be read and nothing else.
    pub read_only_hosts: Vec<HostPattern>,
    /// Other repositories of the same code host that can be fetched, as submodules.
    pub repositories: Vec<RepositoryId>,
    /// By the name of the variable that has the stand-in.
    pub secrets: BTreeMap<String, SecretPolicy>,
    /// What each sandbox may spend on models, in place of the budget for all.
    pub budget_micro_dollars: Option<u64>,
}

/// A secret of a repository.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretPolicy {
    /// Where it is sent, and nowhere else: `HOST[:PORT]`, always by TLS.
    pub host: SecretHost,
    /// The secret; or else
    #[serde(default)]
    pub value: Option<Secret>,
    /// the bridge's own environment variable that has it.
    #[serde(default)]
    pub value_env: Option<String>,
}

/// The host of a secret: one, not a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretHost(pub Target);

impl<'de> Deserialize<'de> for SecretHost {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let target = Target::parse(&text, Some(HTTPS_PORT));
        target.map(Self).map_err(|error| {
            serde::de::Error::custom(format!(
                "{text:?} is not HOST[:PORT], such as registry.example: {error}"
            ))
        })
    }
}

/// What the operator sets for all repositories, and what the machine adds.
#[derive(Clone, Default)]
pub struct EgressSettings {
    /// Allowed for all.
    pub allow_hosts: Vec<HostPattern>,
    /// Allowed for all, also when they lead to private addresses.
    pub private_hosts: Vec<HostPattern>,
    /// Trusted beside the machine's own authorities.
    pub extra_authorities: Vec<CertificateDer<'static>>,
    /// Where connections are to be looked into.
    pub authority: Option<Arc<Authority>>,
    /// What each sandbox may spend on models.
    pub budget_micro_dollars: Option<u64>,
    /// In place of the machine's name service.
    pub resolver: Option<Arc<dyn Resolver>>,
}

impl std::fmt::Debug for EgressSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EgressSettings")
            .field("allow_hosts", &self.allow_hosts)
            .field("private_hosts", &self.private_hosts)
            .finish_non_exhaustive()
    }
}

impl Egress {
    /// The proxy for these settings; `keys` are the bridge's own, from which stand-ins are made.
    pub(crate) fn new(
        settings: &EgressSettings,
        repositories: BTreeMap<RepositoryId, RepositoryPolicy>,
        keys: &[Secret],
        edge: EdgeClient,
    ) -> Result<Arc<Self>, EgressError> {
        let mut by_repository = BTreeMap::new();
        for (id, own) in repositories {
            let policy = settings.policy(own);
            let inspects = !policy.secrets.is_empty() || !policy.read_only.is_empty();
            if inspects && settings.authority.is_none() {
                return Err(EgressError::Authority(id));
            }
            by_repository.insert(id, Arc::new(policy));
        }
        let resolver = settings.resolver.clone().unwrap_or_else(|| Arc::new(SystemResolver::default()));
        Ok(Arc::new(Self {
            by_repository,
            otherwise: Arc::new(settings.policy(RepositoryPolicy::default())),
            exit: Exit::new(resolver, IDLE_TIMEOUT),
            authority: settings.authority.clone(),
            tls: connector(&settings.extra_authorities)?,
            stand_ins: StandIns::new(keys.to_vec()),
            edge,
        }))
    }
}

impl EgressSettings {
    fn policy(&self, own: RepositoryPolicy) -> Policy {
        let secrets = own.secrets.into_iter().filter_map(|(name, secret)| {
            // The configuration has put the value here, wherever it came from.
            Some(HostSecret { name, target: secret.host.0, value: secret.value? })
        });
        Policy {
            allow: [self.allow_hosts.clone(), own.allow_hosts].concat(),
            private: self.private_hosts.clone(),
            read_only: own.read_only_hosts,
            secrets: secrets.collect(),
            repositories: own.repositories,
            budget_micro_dollars: own.budget_micro_dollars.or(self.budget_micro_dollars),
        }
    }
}

/// TLS towards hosts that are looked into.
fn connector(extra: &[CertificateDer<'static>]) -> Result<TlsConnector, EgressError> {
    let mut roots = RootCertStore::empty();
    // Some machines have authorities that no library takes; those of the operator have to work.
    roots.add_parsable_certificates(machine_certificates());
    for certificate in extra {
        roots.add(certificate.clone()).map_err(EgressError::ExtraAuthority)?;
    }
    let mut config = ClientConfig::builder_with_provider(crypto())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
