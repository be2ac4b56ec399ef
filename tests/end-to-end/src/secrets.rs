//! Looks for what nobody may ever read.

use anyhow::{Context as _, ensure};
use protocol::client::SessionSnapshot;
use stack::Stack;
use std::path::Path;

/// No credential is in a timeline or a log.
pub fn no_secrets<'a>(
    stack: &Stack,
    views: impl IntoIterator<Item = &'a SessionSnapshot>,
) -> anyhow::Result<()> {
    let mut texts = Vec::new();
    for view in views {
        let name = format!("the timeline of {}", view.session.id);
        texts.push((name, serde_json::to_vec(view).context("the view")?));
    }
    for folder in ["logs", "sandboxes/logs"] {
        read_files(&stack.directory().join(folder), &mut texts)?;
    }
    for canary in stack.canaries() {
        let has_it = |text: &[u8]| text.windows(canary.len()).any(|part| part == canary.as_bytes());
        let found = texts.iter().find(|(_, text)| has_it(text));
        ensure!(found.is_none(), "a credential is in {}", found.map_or("", |(name, _)| name));
    }
    Ok(())
}

fn read_files(folder: &Path, texts: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    // Where nothing was written, nothing is wrong.
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        texts.push((path.display().to_string(), std::fs::read(&path)?));
    }
    Ok(())
}
