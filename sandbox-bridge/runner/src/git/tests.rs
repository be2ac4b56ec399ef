//! Diffs of real repositories: every kind of change, hostile names, limits.

use super::command::Git;
use super::diff::{Total, of_branch};
use crate::environment::Environment;
use protocol::id::SandboxId;
use protocol::limit::DIFF_BYTES_MAX;
use protocol::timeline::{DiffLineKind, FileDiff, FileStatus};
use std::path::Path;

async fn git(folder: &Path, arguments: &[&str]) {
    let mut command = tokio::process::Command::new("git");
    command
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
        .args(arguments)
        .current_dir(folder);
    assert!(command.status().await.unwrap().success(), "git {arguments:?}");
}

/// Makes a first commit with `before`, a second with `after`, and gives the diff between them.
async fn diff(before: impl Fn(&Path), after: impl Fn(&Path)) -> (Total, Vec<FileDiff>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    git(path, &["init", "--quiet", "--initial-branch=main"]).await;
    before(path);
    git(path, &["add", "--all"]).await;
    git(path, &["commit", "--quiet", "--allow-empty", "-m", "before"]).await;
    git(path, &["update-ref", "refs/remotes/origin/main", "HEAD"]).await;
    after(path);
    git(path, &["add", "--all"]).await;
    git(path, &["commit", "--quiet", "--allow-empty", "-m", "after"]).await;
    // Settings of people change what is shown, but not what is read.
    for (key, value) in [
        ("diff.noprefix", "true"),
        ("diff.renames", "false"),
        ("color.ui", "always"),
        ("diff.external", "false"),
    ] {
        git(path, &["config", key, value]).await;
    }
    let environment = Environment {
        bridge_url: "http://127.0.0.1:1".into(),
        token: "token".into(),
        sandbox_id: SandboxId::parse("sbx_1").unwrap(),
        generation: 1,
        spool: path.into(),
        workspace: path.into(),
        code_host: None,
        opencode: None,
        home: path.into(),
    };
    of_branch(&Git::new(&environment), "main", "HEAD").await.unwrap()
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), content).unwrap();
}

fn shown(file: &FileDiff) -> String {
    let line = |kind, text: &str| match kind {
        DiffLineKind::Context => format!(" {text}"),
        DiffLineKind::Added => format!("+{text}"),
        DiffLineKind::Removed => format!("-{text}"),
    };
    let lines = file.hunks.iter().flat_map(|hunk| &hunk.lines).map(|part| line(part.kind, &part.text));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_kind_of_change_is_told() {
    let lines: String = (1..=20).map(|line| format!("line {line}\n")).collect();
    let (total, files) = diff(
        |folder| {
            write(folder, "changed.txt", lines.replace("line 9\n", "fn nine() {\n"));
            write(folder, "gone.txt", "x\ny\n");
            write(folder, "moved.txt", &lines);
            write(folder, "picture.png", [0, 1, 2]);
            write(folder, "script.sh", "#!/bin/sh\n");
            write(folder, "link", "text\n");
        },
        |folder| {
            write(
                folder,
                "changed.txt",
                lines.replace("line 9\n", "fn nine() {\n").replace("line 15", "LINE 15"),
            );
            std::fs::remove_file(folder.join("gone.txt")).unwrap();
            std::fs::rename(folder.join("moved.txt"), folder.join("there.txt")).unwrap();
            write(folder, "picture.png", [0, 1, 3]);
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(folder.join("script.sh"), PermissionsExt::from_mode(0o755)).unwrap();
            std::fs::remove_file(folder.join("link")).unwrap();
            std::os::unix::fs::symlink("changed.txt", folder.join("link")).unwrap();
            write(
                folder,
                "open-ended.txt",
                "--- not a header\n+++ nor this\n@@ -1 +1 @@\ndiff --git a/x b/x",
            );
        },
    )
    .await;
    let told: Vec<_> =
        files.iter().map(|f| (f.path.as_str(), f.status, f.additions, f.deletions, f.omitted)).collect();
    assert_eq!(
        told,
        [
            ("changed.txt", FileStatus::Modified, 1, 1, false),
            ("gone.txt", FileStatus::Deleted, 0, 2, false),
            ("link", FileStatus::Modified, 1, 1, false),
            ("open-ended.txt", FileStatus::Added, 4, 0, false),
            ("picture.png", FileStatus::Modified, 0, 0, true),
            ("script.sh", FileStatus::Modified, 0, 0, false),
            ("there.txt", FileStatus::Renamed, 0, 0, false),
        ]
    );
    assert_eq!(total, Total { files: 7, additions: 6, deletions: 4 });
    assert_eq!(files[6].previous_path.as_deref(), Some("moved.txt"));
    let hunk = &files[0].hunks[0];
    assert_eq!((hunk.old_start, hunk.new_start, hunk.heading.as_str()), (12, 12, "line 11"));
    assert_eq!(
        shown(&files[0]),
        " line 12\n line 13\n line 14\n-line 15\n+LINE 15\n line 16\n line 17\n line 18"
    );
    assert_eq!(shown(&files[2]), "-text\n+changed.txt");
    assert_eq!(shown(&files[3]), "+--- not a header\n++++ nor this\n+@@ -1 +1 @@\n+diff --git a/x b/x");
    assert_eq!(files[5].hunks, []);
}

#[tokio::test]
async fn names_are_never_quoted_and_never_taken_for_something_else() {
    let names = ["\"quoted\"", "-x", "a\nb", "a\tb", "diff --git a b", "sp ace", "ä\u{1f600}", "🦀\\n"];
    let (total, files) =
        diff(|_| {}, |folder| names.iter().for_each(|name| write(folder, name, "1\n"))).await;
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(files.iter().map(|file| file.path.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(total, Total { files: 8, additions: 8, deletions: 0 });
    assert!(files.iter().all(|file| shown(file) == "+1"));
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_listed_and_the_others_are_shown() {
    let long = "0123456789\n".repeat(DIFF_BYTES_MAX / 11);
    let (total, files) = diff(
        |_| {},
        |folder| {
            write(folder, "a.txt", "1\n");
            write(folder, "b.txt", &long);
            write(folder, "c.txt", "1\n");
            write(folder, "d.min.js", "x".repeat(3_000_000));
        },
    )
    .await;
    let told: Vec<_> =
        files.iter().map(|file| (file.path.as_str(), file.omitted, file.hunks.len())).collect();
    assert_eq!(told[..3], [("a.txt", false, 1), ("b.txt", true, 0), ("c.txt", false, 1)]);
    assert_eq!(total.additions as usize, 3 + DIFF_BYTES_MAX / 11);
    assert!(serde_json::to_string(&files).unwrap().len() <= DIFF_BYTES_MAX + 1000);
}
