//! The log of one run, kept only where somebody will read it.

/// Lines of a run, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A trace that keeps everything.
    #[must_use]
    pub(crate) fn kept() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    /// A trace that keeps nothing.
    #[must_use]
    pub(crate) fn none() -> Self {
        Self { lines: None }
    }

    /// Adds a line; what it says is worked out only when it is kept.
    pub(crate) fn line(&mut self, now_ms: u64, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>9.3} {}", std::time::Duration::from_millis(now_ms).as_secs_f64(), what()));
        }
    }

    /// What was kept.
    #[must_use]
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
