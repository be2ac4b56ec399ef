//! The bridge's log: to standard error, in JSON where nobody reads along, since standard output has the listening line, and without any secret of the configuration.
//!
//! Nothing logs a secret on purpose; this is for the error texts of others. Called by `main`.

use crate::gateway::redact::{Redactor, forms};
use crate::trace::{CollectorError, Spans, line_filter};
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use tracing::Subscriber;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, registry};

static CONCEALED: OnceLock<Redactor> = OnceLock::new();

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people at a terminal.
    Text,
    /// One object of JSON for each: `timestamp`, `level`, `message`, `target`, the line's own fields, and `spans`, the outermost first,
    /// each with its `name` and ids.
    Json,
}

impl Format {
    /// As `FARHAND_LOG_FORMAT` says, `text` or `json`; where it says nothing, text for terminals.
    #[must_use]
    pub fn choose(setting: Option<&str>, is_terminal: bool) -> Self {
        match setting.map(str::trim) {
            Some("text") => Self::Text,
            Some("json") => Self::Json,
            Some(_) | None if is_terminal => Self::Text,
            Some(_) | None => Self::Json,
        }
    }
}

/// Begins to log, and to follow spans. `FARHAND_LOG` chooses lines, such as `debug` or `sandbox_bridge=debug`.
pub fn start() -> Result<Spans, CollectorError> {
    let variable = |name: &str| std::env::var(name).ok();
    let spans = Spans::of_environment(variable)?;
    let is_terminal = io::stderr().is_terminal();
    let format = Format::choose(variable("FARHAND_LOG_FORMAT").as_deref(), is_terminal);
    let lines = lines(format, is_terminal, || Lines(io::stderr())).with_filter(line_filter());
    registry().with(lines).with(spans.layer()).init();
    Ok(spans)
}

fn lines<S, W>(format: Format, colours: bool, to: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    match format {
        Format::Text => layer().with_ansi(colours).with_writer(to).boxed(),
        Format::Json => {
            let layer = layer().json().flatten_event(true).with_current_span(false).with_span_list(true);
            layer.with_writer(to).boxed()
        }
    }
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

        // The same, as lines are really made; nobody else in this process conceals anything.
        for format in [Format::Text, Format::Json] {
            let lines = lines_of(format, || {
                let _inside = tracing::info_span!("call", session = "ses_1", said = "canary+npm").entered();
                tracing::warn!(reason = "https://x:canary%2Fgit@y", "with \"canary/git\" and\nmore");
            });
            assert!(!lines.contains("canary") && lines.contains("ses_1"), "{lines}");
        }
    }

    #[test]
    fn a_line_of_json_has_the_ids_of_its_spans() {
        let line = lines_of(Format::Json, || {
            let call = tracing::info_span!(
                "call",
                session = "ses_1",
                generation = 3,
                trace_id = tracing::field::Empty
            );
            call.record("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736");
            let _inside = call.entered();
            let _boot = tracing::info_span!("boot").entered();
            tracing::info!(sandbox = "sbx_1", "made");
        });
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["message"], &line["level"], &line["sandbox"]),
            (&"made".into(), &"INFO".into(), &"sbx_1".into())
        );
        let spans = serde_json::json!([
            { "name": "call", "session": "ses_1", "generation": 3, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736" },
            { "name": "boot" },
        ]);
        assert_eq!(line["spans"], spans);
    }

    #[test]
    fn terminals_get_text_and_others_json_unless_it_is_said() {
        for (setting, is_terminal, format) in [
            (None, true, Format::Text),
            (None, false, Format::Json),
            (Some("json"), true, Format::Json),
            (Some("text"), false, Format::Text),
            (Some("loud"), false, Format::Json),
        ] {
            assert_eq!(Format::choose(setting, is_terminal), format, "{setting:?}");
        }
    }

    /// What is written while this is done.
    fn lines_of(format: Format, work: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = Shared::default();
        let to = written.clone();
        let subscriber = registry().with(lines(format, false, move || Lines(to.clone())));
        tracing::subscriber::with_default(subscriber, work);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }
}
