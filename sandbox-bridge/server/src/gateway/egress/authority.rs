//! The bridge's own certificate authority, for the connections that it looks into: one leaf per host, made when it is needed.
//!
//! Its key stays in the state folder, readable by the bridge alone; sandboxes get the certificate, in a bundle with the machine's own
//! authorities. Only sandboxes of this bridge trust it.

use super::host::HostName;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

const KEY_NAME: &str = "authority-key.pem";
const CERTIFICATE_NAME: &str = "authority.pem";
const BUNDLE_NAME: &str = "ca-bundle.pem";
/// How long the authority is good.
const YEARS: u64 = 10;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a leaf is good, and when it is made anew.
const LEAF_DAYS: u32 = 14;
const LEAF_RENEWED_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Hosts have to be listed by name or pattern; beyond this many, leaves are made again.
const LEAVES_MAX: usize = 256;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its folder cannot be used.
    #[error("could not use {path}")]
    Folder {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is in its folder is no key, or one cannot be made.
    #[error("the certificate authority in {path} is damaged; remove the folder, and a new one is made")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// Vouches for hosts towards the sandboxes of this bridge.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    bundle: PathBuf,
    leaves: Mutex<HashMap<HostName, (Instant, Arc<ServerConfig>)>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(…)")
    }
}

impl Authority {
    /// Opens the authority in this folder, or makes it there; `extra` are authorities that sandboxes trust as well.
    pub fn open(folder: &Path, extra: &[CertificateDer<'static>]) -> Result<Self, AuthorityError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| AuthorityError::Folder { path, source }
        };
        fs::DirBuilder::new().mode(0o700).recursive(true).create(folder).map_err(failed(folder))?;
        let (key_path, certificate_path) = (folder.join(KEY_NAME), folder.join(CERTIFICATE_NAME));
        let damaged = |source| AuthorityError::Damaged { path: key_path.clone(), source };
        let key = match fs::read_to_string(&key_path) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(damaged)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(damaged)?;
                write_new(&key_path, &key.serialize_pem(), 0o600).map_err(failed(&key_path))?;
                key
            }
            Err(error) => return Err(failed(&key_path)(error)),
        };
        let certificate = match fs::read_to_string(&certificate_path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pem = parameters().self_signed(&key).map_err(damaged)?.pem();
                write_new(&certificate_path, &pem, 0o644).map_err(failed(&certificate_path))?;
                pem
            }
            Err(error) => return Err(failed(&certificate_path)(error)),
        };
        let bundle = folder.join(BUNDLE_NAME);
        write_new(&bundle, &bundle_text(&certificate, extra), 0o644).map_err(failed(&bundle))?;
        Ok(Self { issuer: Issuer::new(parameters(), key), bundle, leaves: Mutex::default() })
    }

    /// The file with everything that sandboxes are to trust.
    #[must_use]
    pub fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// How to be this host towards a sandbox.
    pub(super) fn leaf(&self, host: &HostName) -> Result<Arc<ServerConfig>, AuthorityError> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) =
            leaves.get(host).filter(|(made_at, _)| made_at.elapsed() < LEAF_RENEWED_AFTER)
        {
            return Ok(config.clone());
        }
        if leaves.len() >= LEAVES_MAX {
            leaves.clear();
        }
        let config = Arc::new(self.make_leaf(host)?);
        leaves.insert(host.clone(), (Instant::now(), config.clone()));
        Ok(config)
    }

    fn make_leaf(&self, host: &HostName) -> Result<ServerConfig, AuthorityError> {
        let damaged = |source| AuthorityError::Damaged { path: self.bundle.clone(), source };
        let key = KeyPair::generate().map_err(damaged)?;
        let mut leaf = CertificateParams::new(vec![host.to_string()]).map_err(damaged)?;
        let now = SystemTime::now();
        leaf.distinguished_name = named(host.as_str());
        leaf.not_before = (now - DAY).into();
        leaf.not_after = (now + DAY * LEAF_DAYS).into();
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = leaf.signed_by(&key, &self.issuer).map_err(damaged)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        // The only protocol whose requests are looked into.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The cryptography of all TLS of the bridge.
pub(crate) fn crypto() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reads a file of certificates.
pub fn read_certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let text = fs::read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| wrong(format!("it is no PEM file: {error}")))?;
    if found.is_empty() { Err(wrong("it has no certificate".to_owned())) } else { Ok(found) }
}

/// The authorities of this machine.
pub(super) fn machine_certificates() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some certificate authorities of this machine cannot be read");
    }
    found.certs
}

fn parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let now = SystemTime::now();
    parameters.distinguished_name = named("Farhand sandbox bridge");
    parameters.not_before = (now - DAY).into();
    parameters.not_after = (now + Duration::from_secs(YEARS * 365 * 24 * 3600)).into();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn named(name: &str) -> DistinguishedName {
    // Longer common names are not valid (RFC 5280, appendix A.1); clients read the alternative name.
    let short: String = name.chars().take(64).collect();
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, short);
    distinguished
}

fn bundle_text(own: &str, extra: &[CertificateDer<'static>]) -> String {
    use base64::Engine;
    let mut text = own.to_owned();
    for certificate in machine_certificates().iter().chain(extra) {
        let encoded = base64::engine::general_purpose::STANDARD.encode(certificate);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(64) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// Whole or not at all, and never readable by others for a moment.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_outlives_the_bridge_and_its_key_is_the_bridges_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("egress");
        let authority = Authority::open(&folder, &[]).unwrap();
        let key = fs::read_to_string(folder.join(KEY_NAME)).unwrap();
        let bundle = fs::read_to_string(authority.bundle()).unwrap();
        assert_eq!(fs::metadata(folder.join(KEY_NAME)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!bundle.contains("PRIVATE"));
        let host = HostName::parse("a.example").unwrap();
        assert!(Arc::ptr_eq(&authority.leaf(&host).unwrap(), &authority.leaf(&host).unwrap()));

        let own = read_certificates(&folder.join(CERTIFICATE_NAME)).unwrap();
        let again = Authority::open(&folder, &own).unwrap();
        assert_eq!(fs::read_to_string(folder.join(KEY_NAME)).unwrap(), key);
        let both = read_certificates(again.bundle()).unwrap();
        assert_eq!((both.first(), both.last()), (own.first(), own.last()));

        fs::write(folder.join(KEY_NAME), "damaged").unwrap();
        assert!(matches!(Authority::open(&folder, &[]), Err(AuthorityError::Damaged { .. })));
    }
}
