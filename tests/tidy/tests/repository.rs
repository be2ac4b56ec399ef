//! What we promise about the code: headers, sizes, borders between rooms, one truth for classes and migrations.
//! Each test reads the files that git tracks; a failing one names the file and what to do.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const LINES_MAX: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Tracked and new files whose name ends in one of `extensions`.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files failed: these tests need a checkout");
    let paths: BTreeSet<PathBuf> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|path| extensions.iter().any(|extension| path.ends_with(&format!(".{extension}"))))
        .map(PathBuf::from)
        .filter(|path| root().join(path).exists())
        .collect();
    paths.into_iter().collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn is_generated(path: &Path) -> bool {
    path.starts_with("durable-objects/protocol/typescript")
}

fn report(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
}

#[test]
fn every_source_file_opens_with_a_header() {
    let mut faults = Vec::new();
    for path in files(&["rs"]) {
        if !read(&path).starts_with("//!") {
            faults.push(format!(
                "{}: begin with `//!`: what it owns, what it never does, who calls it",
                path.display()
            ));
        }
    }
    for path in files(&["ts", "tsx", "mjs"]).into_iter().filter(|path| !is_generated(path)) {
        let text = read(&path);
        if !text.trim_start_matches("#!/usr/bin/env node\n").starts_with("/**") {
            faults.push(format!("{}: begin with `/** … */`", path.display()));
        }
    }
    report("files without header", &faults);
}

#[test]
fn no_file_outgrows_its_reader() {
    let mut faults = Vec::new();
    for path in files(&["rs", "ts", "tsx", "mjs", "css"]).into_iter().filter(|path| !is_generated(path)) {
        let lines = read(&path).lines().count();
        if lines > LINES_MAX {
            faults
                .push(format!("{}: {lines} lines, at most {LINES_MAX}: split it by concept", path.display()));
        }
    }
    report("files too long", &faults);
}

#[test]
fn every_crate_inherits_lints_and_versions() {
    let mut faults = Vec::new();
    for path in files(&["toml"])
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml") && path != Path::new("Cargo.toml"))
    {
        let manifest: toml::Table = read(&path).parse().unwrap();
        let inherits =
            manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        if inherits != Some(true) {
            faults.push(format!("{}: add [lints] workspace = true", path.display()));
        }
        for (name, dependency) in dependencies(&manifest) {
            if dependency.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                faults.push(format!(
                    "{}: {name}: versions live in the root manifest, use workspace = true",
                    path.display()
                ));
            }
        }
    }
    report("manifests", &faults);
}

fn dependencies(manifest: &toml::Table) -> Vec<(String, toml::Value)> {
    let mut tables: Vec<&toml::Value> = ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| manifest.get(*kind))
        .collect();
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    for target in targets.into_iter().flat_map(|targets| targets.values()) {
        tables.extend(["dependencies", "dev-dependencies"].iter().filter_map(|kind| target.get(*kind)));
    }
    tables
        .into_iter()
        .filter_map(toml::Value::as_table)
        .flat_map(|table| table.iter().map(|(name, value)| (name.clone(), value.clone())))
        .collect()
}

/// Folder, and words that no file in it may contain, with the reason.
const BORDERS: &[(&str, &[&str], &str)] = &[
    (
        "durable-objects/session/src/core",
        &[
            "std::time",
            "std::fs",
            "std::net",
            "getrandom",
            "worker::",
            "js_sys",
            "wasm_bindgen",
            "rusqlite",
            "SELECT ",
            "INSERT ",
        ],
        "cores take facts and the time as arguments; only stores know SQL",
    ),
    (
        "durable-objects/session/src/store",
        &["worker::", "js_sys", "wasm_bindgen", "getrandom", "std::time"],
        "stores run natively",
    ),
    (
        "durable-objects/repository/src/core",
        &[
            "std::time",
            "std::fs",
            "std::net",
            "getrandom",
            "worker::",
            "js_sys",
            "wasm_bindgen",
            "rusqlite",
            "SELECT ",
            "INSERT ",
        ],
        "cores take facts and the time as arguments; only stores know SQL",
    ),
    (
        "durable-objects/repository/src/store",
        &["worker::", "js_sys", "wasm_bindgen", "getrandom", "std::time"],
        "stores run natively",
    ),
    (
        "durable-objects/protocol/src",
        &["std::time", "std::fs", "std::net", "worker::", "tokio"],
        "protocol is data",
    ),
    ("workers/identity/src", &["std::time", "worker::", "js_sys", "getrandom"], "identity is pure"),
    (
        "workers/github/src",
        &["std::time", "worker::", "js_sys", "getrandom", "reqwest"],
        "github is pure: requests are values",
    ),
    (
        "workers/budget/src",
        &["std::time", "worker::", "js_sys", "getrandom", "reqwest", "rusqlite"],
        "budgets are pure: statements are values",
    ),
    (
        "workers/metrics/src",
        &["std::time", "worker::", "js_sys", "getrandom", "reqwest", "rusqlite"],
        "metrics are pure: statements are values",
    ),
    (
        "workers/slack/src",
        &["std::time", "worker::", "js_sys", "getrandom", "reqwest"],
        "slack is pure: what is asked and answered are values",
    ),
    (
        "durable-objects/thread/src",
        &["std::time", "worker::", "js_sys", "wasm_bindgen", "getrandom"],
        "the thread's rows and decisions run natively",
    ),
];

#[test]
fn no_room_reaches_over_its_border() {
    let mut faults = Vec::new();
    for (folder, words, reason) in BORDERS {
        for path in files(&["rs"]).into_iter().filter(|path| path.starts_with(folder)) {
            let text = read(&path);
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_test =
                path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
            for word in words.iter().filter(|word| !is_test && shipped.contains(**word)) {
                faults.push(format!("{}: `{word}`: {reason}", path.display()));
            }
        }
    }
    report("borders", &faults);
}

#[test]
fn wrangler_binds_and_migrates_exactly_the_exported_classes() {
    let wrangler: toml::Table = read(Path::new("wrangler.toml")).parse().unwrap();
    let names = |value: Option<&toml::Value>, key: &str| -> BTreeSet<String> {
        let rows = value.and_then(toml::Value::as_array).cloned().unwrap_or_default();
        rows.iter()
            .filter_map(|row| row.get(key))
            .filter_map(toml::Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let bound =
        names(wrangler.get("durable_objects").and_then(|objects| objects.get("bindings")), "class_name");
    let migrated: BTreeSet<String> = wrangler["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|migration| migration.get("new_sqlite_classes"))
        .filter_map(toml::Value::as_array)
        .flatten()
        .filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect();
    let entry = read(Path::new("workers/edge/entry.mjs"));
    let exported: BTreeSet<String> = entry
        .split("export class ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '{']).next())
        .map(str::to_owned)
        .collect();
    assert_eq!(bound, exported, "wrangler.toml bindings and the classes that workers/edge/entry.mjs exports");
    assert_eq!(
        migrated, exported,
        "wrangler.toml migrations and the classes that workers/edge/entry.mjs exports"
    );
}

#[test]
fn published_migrations_never_change() {
    let recorded = read(Path::new("tests/tidy/migrations.sha256"));
    let mut present = Vec::new();
    for path in files(&["sql"]).into_iter().filter(|path| path.starts_with("migrations")) {
        present.push(format!("{}  {}", protocol::sign::sha256_hex(read(&path).as_bytes()), path.display()));
    }
    let recorded: Vec<&str> = recorded.lines().collect();
    assert_eq!(
        present, recorded,
        "a published migration is never edited; a new one is added to tests/tidy/migrations.sha256"
    );
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut faults = Vec::new();
    for path in files(&["md"]) {
        let folder = root().join(&path).parent().unwrap().to_path_buf();
        for target in
            read(&path).split("](").skip(1).filter_map(|rest| rest.split(')').next().map(str::to_owned))
        {
            let target = target.split('#').next().unwrap_or_default();
            if !target.is_empty()
                && !target.contains("://")
                && !target.starts_with("mailto:")
                && !folder.join(target).exists()
            {
                faults.push(format!("{}: {target}", path.display()));
            }
        }
    }
    report("dead links", &faults);
}

/// Below `target` is what the build of a deployment makes, of packages that there are.
#[test]
fn deployments_name_files_that_there_are() {
    let recipe = read(Path::new("sandbox-bridge/Containerfile"));
    let guide = read(Path::new("workers/edge/README.md"));
    let unit = read(Path::new("sandbox-bridge/farhand-bridge.service"));
    let copied = recipe.lines().filter_map(|line| line.strip_prefix("COPY "));
    let installed = guide.lines().filter_map(|line| line.strip_prefix("install "));
    let mut faults = Vec::new();
    let mut programs = BTreeSet::new();
    for line in copied.chain(installed) {
        let words = line.split_whitespace().filter(|word| word.contains('/') && !word.starts_with('/'));
        for path in words.filter(|word| !word.starts_with("node_modules/")) {
            match path.strip_prefix("target/x86_64-unknown-linux-musl/native/") {
                Some(program) => {
                    programs.insert(program.to_owned());
                }
                None if root().join(path).is_file() => {}
                None => faults.push(format!("{line}: there is no {path}")),
            }
        }
    }
    assert_eq!(programs, ["runner", "sandbox-bridge"].map(str::to_owned).into(), "both are static");
    for path in ["/opt/farhand/sandbox-bridge", "/opt/farhand/runner"] {
        if !recipe.contains(path) || !(unit.contains(path) || guide.contains(path)) {
            faults.push(format!("{path} is not what is started"));
        }
    }
    let manifests = files(&["toml"]).into_iter().map(|path| read(&path)).collect::<Vec<_>>();
    for program in &programs {
        if !manifests.iter().any(|manifest| manifest.contains(&format!("name = \"{program}\""))) {
            faults.push(format!("{program}: there is no such package"));
        }
    }
    report("deployments", &faults);
}

#[test]
fn the_security_model_names_tests_that_there_are() {
    let text = read(Path::new("SECURITY.md"));
    let named: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.ends_with(".rs") || name.contains(".test.") || name.contains(".spec."))
        .collect();
    assert!(named.len() > 30, "the table of attacks could not be read: {named:?}");
    let lost = |name: &&&str| !root().join(name).exists() && !root().join("tests").join(name).exists();
    let faults: Vec<String> = named.iter().filter(lost).map(|name| (*name).to_owned()).collect();
    report("tests that are not there", &faults);
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[igno", "re"),
    ];
    let mut faults = Vec::new();
    for path in files(&["rs", "ts", "tsx", "mjs"]).into_iter().filter(|path| !is_generated(path)) {
        let text = read(&path);
        // A suite that needs an account elsewhere is run by a section of its own.
        let is_live = path.ends_with("live.rs");
        faults.extend(
            marks
                .iter()
                .filter(|mark| text.contains(**mark) && !(is_live && mark.starts_with('#')))
                .map(|mark| format!("{}: {mark}", path.display())),
        );
    }
    report("left for later", &faults);
}
