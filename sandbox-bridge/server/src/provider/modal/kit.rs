//! What every sandbox gets beside its image: the runner, stand-ins of blocked commands, certificate authorities. One archive, made
//! when the provider starts.
//!
//! It is sent into a sandbox once, under a name that follows from its content, so a snapshot that has it needs nothing sent. The
//! sandbox's entrypoint waits for it.

use super::ModalError;
use super::exec::{Exec, ExecEnd, ExecFile, ExecOrder};
use super::router::CommandRouter;
use super::settings::{ModalConfig, SettingsError};
use crate::provider::local::stand_in;
use bytes::Bytes;
use protocol::sign::sha256_hex;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;

/// Where kits are inside. Not below a folder that images have read-only, nor one that is emptied at a start.
const FOLDER: &str = "/var/lib/farhand";
/// Longest time for sending it.
const SEND_TIMEOUT: Duration = Duration::from_secs(180);
const WHAT: &str = "send the runner into the sandbox";

/// Says whether the kit ($1) is there already; otherwise unpacks it from its input, beside its place and then into it, and removes
/// those of earlier bridges. Two replicas may do it at the same moment: the second one finds the place taken.
const RECEIVE: &str = r#"set -e
if [ -d "$1" ]; then echo have; exit 0; fi
echo need
mkdir -p "$1.part-$$"
tar -x -f - -C "$1.part-$$"
for other in "${1%/*}"/kit-*; do
    case "$other" in "$1"|"$1".part-*) ;; *) rm -rf "$other" ;; esac
done
mv -T "$1.part-$$" "$1" 2>/dev/null || { [ -d "$1" ] && rm -rf "$1.part-$$"; }
"#;

/// The archive and its name.
pub(super) struct Kit {
    archive: Bytes,
    /// Where it is inside.
    pub(super) path: String,
}

impl Kit {
    /// Reads everything from this machine. Blocks.
    pub(super) fn read(config: &ModalConfig) -> Result<Self, SettingsError> {
        let read = |path: &std::path::Path| {
            std::fs::read(path).map_err(|source| SettingsError::Runner { path: path.to_owned(), source })
        };
        let mut files = vec![("bin/runner".to_owned(), 0o755, read(&config.runner)?)];
        if let Some(path) = &config.ca_bundle {
            files.push(("ca-bundle.pem".to_owned(), 0o644, read(path)?));
        }
        for name in &config.blocked_commands {
            files.push((format!("blocked/{name}"), 0o755, stand_in(name).into_bytes()));
        }
        let archive =
            pack(&files).map_err(|source| SettingsError::Runner { path: config.runner.clone(), source })?;
        let digest = sha256_hex(&archive);
        let path = format!("{FOLDER}/kit-{}", digest.get(..16).unwrap_or_default());
        Ok(Self { archive: archive.into(), path })
    }

    /// Path of a file of it inside.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Makes sure that the sandbox has it.
    pub(super) async fn send(&self, router: Arc<CommandRouter>) -> Result<(), ModalError> {
        let arguments = ["/bin/sh", "-c", RECEIVE, "farhand", &self.path].map(str::to_owned).to_vec();
        let folder = Some("/".to_owned());
        let order = ExecOrder { arguments, folder, timeout: Some(SEND_TIMEOUT), ..ExecOrder::default() };
        let exec = Exec::start(router, order).await?;
        let mut output = exec.output(ExecFile::Stdout);
        let mut said = Vec::new();
        while !said.contains(&b'\n') {
            match output.next().await? {
                Some(piece) => said.extend_from_slice(&piece),
                None => break,
            }
        }
        if said == b"need\n" {
            exec.send_all(&self.archive).await?;
        }
        match exec.wait().await? {
            ExecEnd::Code(0) if said == b"have\n" || said == b"need\n" => Ok(()),
            end @ (ExecEnd::Code(_) | ExecEnd::Signal(_)) => {
                let mut errors = exec.output(ExecFile::Stderr);
                let words = errors.next().await?.unwrap_or_default();
                let words = String::from_utf8_lossy(&words).into_owned();
                let text = format!("{end:?}: {words}; the image needs sh, tar and room below {FOLDER}");
                Err(ModalError::reported(WHAT, Code::Aborted, text))
            }
        }
    }
}

fn pack(files: &[(String, u32, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode, content) in files {
        // No times and owners: the same content is to have the same name.
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_archive() {
        let files = vec![("bin/runner".to_owned(), 0o755, vec![1, 2, 3])];
        assert_eq!(pack(&files).unwrap(), pack(&files).unwrap());
        assert_ne!(pack(&files).unwrap(), pack(&[("bin/runner".to_owned(), 0o755, vec![1, 2, 4])]).unwrap());
    }
}
