//! The log of edge and objects: one line of JSON for each thing worth knowing, with the ids of what it is about.
//!
//! `level` and `message` come first; then `incident`, `session`, `turn`, `generation`, `repository`, `trace_id`, `span_id` and whatever
//! else is known, under the names that the bridge's log has, too. Ids and reasons, never bodies, prompts or tokens. [`render`] also
//! runs natively; on the platform a line goes to the console of its level.

use protocol::trace::TraceParent;
use serde_json::Value;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Worth a look; it goes on, or is tried again.
    Warn,
    /// Something is broken or lost.
    Error,
}

/// What a line is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About(String);

impl About {
    /// Adds a word, such as an id.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.put(name, &Value::from(value));
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.put(name, &Value::from(value));
        self
    }

    /// Adds the trace, where there is one.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        match trace {
            Some(trace) => self.with("trace_id", &trace.trace_id()).with("span_id", &trace.span_id()),
            None => self,
        }
    }

    fn put(&mut self, name: &str, value: &Value) {
        self.0.push_str(&format!(",\"{name}\":{value}"));
    }
}

/// A line as it is written.
#[must_use]
pub fn render(level: Level, message: &str, about: &About) -> String {
    let level = match level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    format!("{{\"level\":\"{level}\",\"message\":{}{}}}", Value::from(message), about.0)
}

/// Writes a line.
#[cfg(target_arch = "wasm32")]
pub fn write(level: Level, message: &str, about: &About) {
    use worker::wasm_bindgen::JsValue;
    use worker::web_sys::console;
    let line = JsValue::from_str(&render(level, message, about));
    match level {
        Level::Info => console::log_1(&line),
        Level::Warn => console::warn_1(&line),
        Level::Error => console::error_1(&line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_json_whatever_is_in_it() {
        let trace = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let about = About::default()
            .with("session", "ses_1")
            .number("generation", 3)
            .traced(trace)
            .with("reason", "a\n\"b\"");
        let line = render(Level::Warn, "it\tcame\r\nlater", &about);
        assert!(!line.contains('\n'), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "level": "warn",
            "message": "it\tcame\r\nlater",
            "session": "ses_1",
            "generation": 3,
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "reason": "a\n\"b\"",
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn without_a_trace_nothing_is_said_of_one() {
        assert_eq!(
            render(Level::Info, "begun", &About::default().traced(None)),
            r#"{"level":"info","message":"begun"}"#
        );
    }
}
