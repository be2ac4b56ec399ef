//! A session's changes as a patch that `git apply` takes.

use protocol::timeline::{DiffLineKind, FileDiff, FileStatus, Hunk};
use std::fmt::Write as _;

/// Writes all files, and on the side what cannot be told: binary and very large ones.
pub(crate) fn render(files: &[FileDiff]) -> (String, Vec<String>) {
    let mut patch = String::new();
    let mut omitted = Vec::new();
    for file in files {
        if file.omitted {
            omitted.push(file.path.clone());
            continue;
        }
        file_patch(&mut patch, file);
    }
    (patch, omitted)
}

fn file_patch(patch: &mut String, file: &FileDiff) {
    let before = file.previous_path.as_deref().unwrap_or(&file.path);
    let after = &file.path;
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(patch, "{text}");
    };
    line(format_args!("diff --git a/{before} b/{after}"));
    match file.status {
        FileStatus::Added => line(format_args!("new file mode 100644")),
        FileStatus::Deleted => line(format_args!("deleted file mode 100644")),
        FileStatus::Renamed => {
            line(format_args!("rename from {before}"));
            line(format_args!("rename to {after}"));
        }
        FileStatus::Modified | FileStatus::Unknown => {}
    }
    if file.hunks.is_empty() {
        return;
    }
    match file.status {
        FileStatus::Added => line(format_args!("--- /dev/null")),
        FileStatus::Modified | FileStatus::Deleted | FileStatus::Renamed | FileStatus::Unknown => {
            line(format_args!("--- a/{before}"));
        }
    }
    match file.status {
        FileStatus::Deleted => line(format_args!("+++ /dev/null")),
        FileStatus::Modified | FileStatus::Added | FileStatus::Renamed | FileStatus::Unknown => {
            line(format_args!("+++ b/{after}"));
        }
    }
    for hunk in &file.hunks {
        hunk_patch(patch, hunk);
    }
}

fn hunk_patch(patch: &mut String, hunk: &Hunk) {
    let without = |kind: DiffLineKind| hunk.lines.iter().filter(|line| line.kind != kind).count();
    let (old, new) = (without(DiffLineKind::Added), without(DiffLineKind::Removed));
    let heading = if hunk.heading.is_empty() { String::new() } else { format!(" {}", hunk.heading) };
    let _ = writeln!(patch, "@@ -{},{old} +{},{new} @@{heading}", hunk.old_start, hunk.new_start);
    for line in &hunk.lines {
        let mark = match line.kind {
            DiffLineKind::Context => ' ',
            DiffLineKind::Added => '+',
            DiffLineKind::Removed => '-',
        };
        let _ = writeln!(patch, "{mark}{}", line.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::timeline::DiffLine;

    fn file(path: &str, status: FileStatus, lines: &[(DiffLineKind, &str)]) -> FileDiff {
        let lines: Vec<DiffLine> =
            lines.iter().map(|(kind, text)| DiffLine { kind: *kind, text: (*text).to_owned() }).collect();
        let hunks = if lines.is_empty() {
            Vec::new()
        } else {
            let old_start = u32::from(status != FileStatus::Added);
            let new_start = u32::from(status != FileStatus::Deleted);
            vec![Hunk { old_start, new_start, heading: String::new(), lines }]
        };
        let (path, previous_path) = match path.split_once(" from ") {
            Some((path, previous)) => (path.to_owned(), Some(previous.to_owned())),
            None => (path.to_owned(), None),
        };
        FileDiff { path, previous_path, status, additions: 0, deletions: 0, hunks, omitted: false }
    }

    #[test]
    fn git_applies_what_is_written() {
        use DiffLineKind::{Added, Context, Removed};
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [("kept.txt", "one\ntwo\n"), ("gone.txt", "x\n"), ("old name.txt", "same\n")] {
            std::fs::write(folder.path().join(path), text).unwrap();
        }
        let (patch, omitted) = render(&[
            file("kept.txt", FileStatus::Modified, &[(Context, "one"), (Removed, "two"), (Added, "three")]),
            file("new.txt", FileStatus::Added, &[(Added, "here")]),
            file("gone.txt", FileStatus::Deleted, &[(Removed, "x")]),
            file("new name.txt from old name.txt", FileStatus::Renamed, &[]),
            FileDiff { omitted: true, ..file("picture.png", FileStatus::Added, &[]) },
        ]);
        assert_eq!(omitted, ["picture.png"]);
        std::fs::write(folder.path().join("patch"), &patch).unwrap();
        let applied = std::process::Command::new("git")
            .args(["apply", "patch"])
            .current_dir(folder.path())
            .env("GIT_CEILING_DIRECTORIES", folder.path())
            .output()
            .unwrap();
        assert!(applied.status.success(), "{}\n{patch}", String::from_utf8_lossy(&applied.stderr));
        let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap_or_default();
        assert_eq!(
            ["kept.txt", "new.txt", "gone.txt", "new name.txt"].map(read),
            ["one\nthree\n", "here\n", "", "same\n"]
        );
    }
}
