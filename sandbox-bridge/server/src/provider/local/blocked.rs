//! Commands that the operator keeps agents from: where the program would be stands one that says so and ends with 126.
//!
//! This is guidance, not a wall: a language's own library gets as far as the network lets it. What can be reached is decided by the
//! bridge alone. Called when the provider starts, and for the binds of each sandbox.

use super::layout::Layout;
use crate::launcher::{Bind, BindAccess};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Blocked unless the operator says otherwise: each has a way through the bridge that needs no credentials.
pub const DEFAULT_BLOCKED: &[&str] = &["curl", "wget", "ssh"];
/// Below `tools/`; in the weak tier it comes first in PATH.
pub(super) const FOLDER: &str = "blocked";
/// Where programs of the host are looked for, as they are inside.
const PLACES: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A name that can stand in a file name and in a message.
#[must_use]
pub fn is_command_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
}

/// Writes what stands in for each command.
pub(super) fn install(layout: &Layout, names: &[String]) -> io::Result<()> {
    let folder = layout.tools().join(FOLDER);
    if folder.exists() {
        // What an earlier bridge blocked may be allowed.
        layout.discard(&folder)?;
    }
    layout.make_passage(&folder)?;
    for name in names.iter().filter(|name| is_command_name(name)) {
        let path = folder.join(name);
        fs::write(&path, stand_in(name))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// A script that says why the command is not there.
pub(crate) fn stand_in(name: &str) -> String {
    let lines = [
        format!("{name}: blocked in this sandbox."),
        "Allowed hosts can be reached with git, npm, pip, cargo, and with whatever heeds HTTPS_PROXY; git needs no credentials here."
            .to_owned(),
        "The operator of this bridge can allow the command: the list is what --block-command names, and may be empty.".to_owned(),
    ];
    let echoes: Vec<String> = lines.iter().map(|line| format!("echo '{line}' >&2\n")).collect();
    format!("#!/bin/sh\n{}exit 126\n", echoes.concat())
}

/// What is put over programs of the host, once for each file whatever its names.
pub(super) fn binds(names: &[String]) -> Vec<Bind> {
    let mut seen = HashSet::new();
    let candidates = names.iter().filter(|name| is_command_name(name)).flat_map(|name| {
        PLACES.iter().filter_map(move |place| Some((name, program(&Path::new(place).join(name))?)))
    });
    let fresh = candidates.filter(|(_, (_, identity))| seen.insert(*identity));
    let found = fresh.filter(|(name, (path, _))| is_its_own(name, path)).map(|(name, (path, _))| Bind {
        source: format!("tools/{FOLDER}/{name}"),
        target: path.to_string_lossy().into_owned(),
        access: BindAccess::ReadOnly,
    });
    found.collect()
}

/// The file behind a name, and what tells it from all others.
fn program(path: &Path) -> Option<(PathBuf, (u64, u64))> {
    let path = fs::canonicalize(path).ok()?;
    let data = fs::metadata(&path).ok()?;
    data.is_file().then(|| (path, (data.dev(), data.ino())))
}

/// Whether the file is that command and nothing else: `wget` may lead to `busybox`, which is a hundred others too.
fn is_its_own(name: &str, path: &Path) -> bool {
    let own = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
    if !own {
        tracing::warn!(command = name, path = %path.display(), "cannot be blocked: the same file is other commands too");
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path_and_no_shell() {
        for (name, is_name) in [
            ("curl", true),
            ("g++", true),
            ("python3.12", true),
            ("", false),
            ("../x", false),
            ("a b", false),
            ("'", false),
            (".x", false),
        ] {
            assert_eq!(is_command_name(name), is_name, "{name}");
        }
    }

    #[test]
    fn one_file_with_two_names_is_covered_once() {
        let binds = binds(&["sh".to_owned(), "no-such-command".to_owned()]);
        // `sh` leads to another program on most systems, which must stay what it is.
        assert!(binds.len() <= 1, "{binds:?}");
        let twice = super::binds(&["env".to_owned(), "env".to_owned()]);
        assert_eq!(twice.len(), 1, "{twice:?}");
        assert_eq!(twice[0].source, "tools/blocked/env");
        assert!(twice[0].target.ends_with("/env"));
    }

    #[test]
    fn what_stands_in_is_honest() {
        expect_test::expect![[r#"
            #!/bin/sh
            echo 'curl: blocked in this sandbox.' >&2
            echo 'Allowed hosts can be reached with git, npm, pip, cargo, and with whatever heeds HTTPS_PROXY; git needs no credentials here.' >&2
            echo 'The operator of this bridge can allow the command: the list is what --block-command names, and may be empty.' >&2
            exit 126
        "#]].assert_eq(&stand_in("curl"));
    }
}
