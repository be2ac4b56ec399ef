//! Reads a patch of git line by line into hunks, within a limit. Pure; called by `diff`.

use super::diff::Entry;
use protocol::timeline::{DiffLine, DiffLineKind, Hunk};

/// Puts the hunks of a patch into the files of a list. The patch has its sections in the order of the list.
pub(super) struct PatchReader<'a> {
    entries: &'a mut [Entry],
    /// Sections begun; the first has 1.
    section: usize,
    /// Which entry the section belongs to, counted from 1.
    current: usize,
    sections_left: usize,
    /// Lines that the hunk still has on each side.
    old_left: u32,
    new_left: u32,
    bytes_left: usize,
    /// Bytes that the current file has taken.
    taken: usize,
}

impl<'a> PatchReader<'a> {
    pub(super) fn new(entries: &'a mut [Entry], bytes_max: usize) -> Self {
        Self {
            entries,
            section: 0,
            current: 0,
            sections_left: 0,
            old_left: 0,
            new_left: 0,
            bytes_left: bytes_max,
            taken: 0,
        }
    }

    /// Whether every listed file has been read or nothing more would be kept.
    pub(super) fn is_full(&self) -> bool {
        self.current > self.entries.len()
    }

    fn entry(&mut self) -> Option<&mut Entry> {
        self.entries.get_mut(self.current.checked_sub(1)?)
    }

    pub(super) fn read(&mut self, line: &str) {
        if self.old_left > 0 || self.new_left > 0 {
            self.read_hunk_line(line);
        } else if line.starts_with("diff --git ") {
            self.begin_section();
        } else if let Some((old, new, heading)) = parse_hunk_header(line) {
            (self.old_left, self.new_left) = (old.count, new.count);
            let hunk = Hunk {
                old_start: old.start,
                new_start: new.start,
                heading: heading.to_owned(),
                lines: Vec::new(),
            };
            if self.take(&hunk)
                && let Some(entry) = self.entry()
            {
                entry.file.hunks.push(hunk);
            }
        } else if line.starts_with("Binary files ")
            && let Some(entry) = self.entry()
        {
            entry.file.omitted = true;
        }
    }

    fn begin_section(&mut self) {
        self.section += 1;
        if self.sections_left > 1 {
            self.sections_left -= 1;
            return;
        }
        self.bytes_left -= self.taken;
        self.taken = 0;
        self.current += 1;
        self.sections_left = self.entry().map_or(1, |entry| entry.sections);
    }

    fn read_hunk_line(&mut self, line: &str) {
        let (kind, text) = match line.split_at_checked(1) {
            Some(("+", text)) => (DiffLineKind::Added, text),
            Some(("-", text)) => (DiffLineKind::Removed, text),
            // "\ No newline at end of file".
            Some(("\\", _)) => return,
            Some((" ", text)) => (DiffLineKind::Context, text),
            Some(_) | None => (DiffLineKind::Context, line),
        };
        if matches!(kind, DiffLineKind::Context | DiffLineKind::Removed) {
            self.old_left = self.old_left.saturating_sub(1);
        }
        if matches!(kind, DiffLineKind::Context | DiffLineKind::Added) {
            self.new_left = self.new_left.saturating_sub(1);
        }
        let line = DiffLine { kind, text: text.to_owned() };
        if self.take(&line)
            && let Some(hunk) = self.entry().and_then(|entry| entry.file.hunks.last_mut())
        {
            hunk.lines.push(line);
        }
    }

    /// Counts a piece against the limit. A file that does not fit loses all its hunks, and what it took is free again.
    fn take(&mut self, piece: &impl serde::Serialize) -> bool {
        let bytes = serde_json::to_string(piece).map_or(usize::MAX, |json| json.len() + 1);
        let fits = self.taken.saturating_add(bytes) <= self.bytes_left;
        match self.entry() {
            Some(entry) if entry.file.omitted => return false,
            Some(entry) if !fits => {
                entry.file.omitted = true;
                entry.file.hunks = Vec::new();
            }
            Some(_) => {
                self.taken += bytes;
                return true;
            }
            None => return false,
        }
        self.taken = 0;
        false
    }

    /// Files that the patch did not get to are marked.
    pub(super) fn finish(self) {
        for entry in self.entries.iter_mut().skip(self.current) {
            entry.file.omitted = true;
        }
    }
}

#[derive(Clone, Copy)]
struct Side {
    start: u32,
    count: u32,
}

/// `@@ -1,2 +3,4 @@ heading`.
fn parse_hunk_header(line: &str) -> Option<(Side, Side, &str)> {
    let (sides, heading) = line.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = sides.split_once(" +")?;
    let side = |text: &str| {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some(Side { start: start.parse().ok()?, count: count.parse().ok()? })
    };
    Some((side(old)?, side(new)?, heading.strip_prefix(' ').unwrap_or(heading)))
}
