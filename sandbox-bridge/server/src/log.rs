//! The bridge's log: to standard error, since standard output has the listening line, and without any secret of the configuration.
//!
//! Nothing logs a secret on purpose; this is for the error texts of others. Called by `main`.

use crate::gateway::redact::{Redactor, forms};
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

static CONCEALED: OnceLock<Redactor> = OnceLock::new();

/// Begins to log. `FARHAND_LOG` chooses, such as `debug` or `sandbox_bridge=debug`.
pub fn start() {
    let filter = EnvFilter::try_from_env("FARHAND_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    let lines = || Lines(io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(lines).init();
}

/// From here on none of these is ever written.
pub fn conceal<'a>(secrets: impl Iterator<Item = &'a str>) {
    // A second set cannot come: the configuration is read once.
    let _ = CONCEALED.set(Redactor::new(secrets.flat_map(forms)));
}

/// Takes one whole line with each write, as the formatter gives them.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match CONCEALED.get() {
            Some(redactor) => self.0.write_all(&redactor.whole(line))?,
            None => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BRIDGE_KEY_VARIABLE, GIT_CREDENTIALS_VARIABLE, REPOSITORY_POLICY_VARIABLE, Secrets};

    #[test]
    fn no_secret_of_the_configuration_is_written_in_any_form() {
        let secrets = Secrets::read(|name| match name {
            BRIDGE_KEY_VARIABLE => Some("canary-bridge-key-of-at-least-32-bytes".to_owned()),
            GIT_CREDENTIALS_VARIABLE => Some(r#"{"https://git.example": "canary/git"}"#.to_owned()),
            REPOSITORY_POLICY_VARIABLE => Some(
                r#"{"acme/shop": {"secrets": {"A": {"host": "a.example", "value": "canary+npm"}}}}"#
                    .to_owned(),
            ),
            _ => None,
        });
        conceal(secrets.unwrap().all());
        let mut lines = Lines(Vec::new());
        let said = b"key canary-bridge-key-of-at-least-32-bytes, url https://x:canary%2Fgit@y, header canary+npm, and text\n";
        assert_eq!(lines.write(said).unwrap(), said.len());
        let written = String::from_utf8(lines.0).unwrap();
        assert!(!written.contains("canary") && written.ends_with("and text\n"), "{written}");
    }
}
