//! Remembers by content what a step was done with, so that it is done again exactly when something changed.

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Folders with results, not sources.
const SKIPPED: &[&str] =
    &["node_modules", "dist", "target", "build", "test-results", "playwright-report", ".wrangler"];

/// The inputs of one step.
#[derive(Clone)]
pub(crate) struct Stamp {
    root: PathBuf,
    file: PathBuf,
    hash: Sha256,
}

impl Stamp {
    pub(crate) fn new(root: &Path, name: &str) -> Self {
        Self { root: root.to_owned(), file: root.join("target/stamps").join(name), hash: Sha256::new() }
    }

    pub(crate) fn add_text(&mut self, text: &str) {
        self.hash.update((text.len() as u64).to_le_bytes());
        self.hash.update(text);
    }

    /// A file below the root; a missing one is an input too.
    pub(crate) fn add_file(&mut self, path: &str) -> anyhow::Result<()> {
        self.add_path(&self.root.join(path))
    }

    fn add_path(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned();
        self.add_text(&name);
        match std::fs::read(path) {
            Ok(content) => {
                self.hash.update((content.len() as u64).to_le_bytes());
                self.hash.update(&content);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.add_text("missing"),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
        Ok(())
    }

    /// All files below a folder with one of these endings; all of them when none is given.
    pub(crate) fn add_folder(&mut self, folder: &str, endings: &[&str]) -> anyhow::Result<()> {
        let mut files = Vec::new();
        collect(&self.root.join(folder), endings, &mut files)?;
        files.sort();
        for file in files {
            self.add_path(&file)?;
        }
        Ok(())
    }

    fn text(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the step was last done with the very same inputs.
    pub(crate) fn is_current(&self) -> bool {
        std::fs::read_to_string(&self.file).is_ok_and(|known| known == self.text())
    }

    /// The step is done with these inputs.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        if let Some(parent) = self.file.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        std::fs::write(&self.file, self.text())
            .with_context(|| format!("cannot write {}", self.file.display()))
    }
}

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            if !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                collect(&path, endings, found)?;
            }
        } else if kind.is_file() {
            let ending = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if endings.is_empty() || endings.contains(&ending) {
                found.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(root: &Path) -> Stamp {
        let mut stamp = Stamp::new(root, "x");
        stamp.add_folder("src", &["rs"]).unwrap();
        stamp.add_file("Cargo.lock").unwrap();
        stamp
    }

    #[test]
    fn a_step_is_done_again_when_an_input_changed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("src/deep")).unwrap();
        std::fs::write(root.join("src/deep/a.rs"), "1").unwrap();
        assert!(!stamp(root).is_current());
        stamp(root).write().unwrap();
        assert!(stamp(root).is_current());
        let changes: &[(&str, &str)] = &[("src/deep/a.rs", "2"), ("src/b.rs", ""), ("Cargo.lock", "x")];
        for (path, content) in changes {
            std::fs::write(root.join(path), content).unwrap();
            assert!(!stamp(root).is_current(), "{path}");
            stamp(root).write().unwrap();
        }
        std::fs::rename(root.join("src/b.rs"), root.join("src/c.rs")).unwrap();
        assert!(!stamp(root).is_current(), "a renamed file");
        stamp(root).write().unwrap();
        std::fs::write(root.join("src/notes.md"), "x").unwrap();
        std::fs::create_dir_all(root.join("src/dist")).unwrap();
        std::fs::write(root.join("src/dist/a.rs"), "x").unwrap();
        assert!(stamp(root).is_current(), "what is no input");
    }
}
