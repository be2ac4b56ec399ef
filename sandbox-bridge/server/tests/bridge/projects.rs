//! Images of projects as people have them, through detection, set-up and build, in real sandboxes and without a registry: what each
//! depends on is a folder beside it.

use crate::images::Scene;
use crate::restart::{is_over, is_ready, sandbox_of, turn};
use protocol::bridge::{CommandRequest, CreateSandboxRequest, SandboxSource, TerminateRequest};
use protocol::repository::{BuildImageRequest, Recipe};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

/// A project, and what is to be seen of it.
struct Project<'a> {
    files: &'a [(&'a str, &'a str)],
    settings: Recipe,
    /// What the build's log says.
    said: &'a [&'a str],
    /// A command of the agent that succeeds where the build has been.
    check: &'a str,
}

/// Builds what is found out about the project; then a session starts from the image.
async fn build_and_use(mut scene: Scene, project: Project<'_>) {
    let Project { files, settings, said, check } = project;
    scene.commit(files).await;
    let order = BuildImageRequest { settings, ..scene.order("img_found") };
    scene.built("found", &order).await;
    let log = scene.log();
    assert!(said.iter().all(|part| log.contains(part)), "{said:?}: {log}");
    assert!(!log.contains("exit code"), "{log}");

    let source = SandboxSource::Image { image_id: order.image_id };
    let sandbox = format!("/sandboxes/{}", scene.program.sandbox_id);
    let create = CreateSandboxRequest { source, ..sandbox_of(&scene.host, 1) };
    scene.program.put::<Value>(&sandbox, &create).await;
    scene.edge.until("ready", is_ready).await;
    let check = format!("run {check} && echo \"left: [$(git status --porcelain)]\"");
    let command = CommandRequest { generation: 1, command: turn("1", &check) };
    scene.program.put::<Value>(&format!("{sandbox}/commands/cmd_1"), &command).await;
    scene.edge.until("the end of the turn", is_over).await;
    let text = serde_json::to_string(&scene.edge.read(|session| session.stored.clone())).unwrap();
    assert!(text.contains("left: []"), "what was built is there, and none of it is to be committed: {text}");
    scene
        .program
        .put::<Value>(&format!("{sandbox}/terminated"), &TerminateRequest { generation: 1, session_id: None })
        .await;
    scene.until_nothing_runs().await;
    scene.program.kill().await;
}

/// Whether a program works on this machine, which sandboxes see; says so where it does not.
fn has(program: &str, arguments: &[&str]) -> bool {
    let works = std::process::Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: {program} {} does not work here", arguments.join(" "));
    }
    works
}

#[tokio::test]
async fn a_project_of_npm_is_installed_built_and_tested() {
    if !has("/usr/bin/npm", &["--version"]) {
        return;
    }
    let package = r#"{"name": "shop", "version": "1.0.0", "private": true,
        "scripts": {"build": "node -p \"require('greeting')\" > built.txt", "test": "test -s built.txt"},
        "dependencies": {"greeting": "file:greeting"}}"#;
    let lock = r#"{"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
        "": {"name": "shop", "version": "1.0.0", "dependencies": {"greeting": "file:greeting"}},
        "greeting": {"version": "1.0.0"}, "node_modules/greeting": {"resolved": "greeting", "link": true}}}"#;
    let files = [
        ("package.json", package),
        ("package-lock.json", lock),
        ("greeting/package.json", r#"{"name": "greeting", "version": "1.0.0", "main": "index.js"}"#),
        ("greeting/index.js", "module.exports = 'hello';\n"),
    ];
    let Some(scene) = Scene::start("npm").await else { return };
    let project = Project {
        files: &files,
        settings: Recipe::default(),
        said: &["found package-lock.json: npm", "npm ci", "npm run build", "npm test"],
        check: "grep hello built.txt && node -e \"require('greeting')\"",
    };
    build_and_use(scene, project).await;
}

/// A build backend that lies in the project: it needs no package to be built with.
const BACKEND: &str = r#"import os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, info = "greeting-1.0.0-py3-none-any.whl", "greeting-1.0.0.dist-info"
    files = {
        "greeting.py": "WORD = 'hello'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)
    return name
"#;

#[tokio::test]
async fn a_project_of_python_gets_its_environment_with_its_requirements() {
    if !has("/usr/bin/python3", &["-c", "import ensurepip, venv"]) {
        return;
    }
    let pyproject = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\n\
                     [project]\nname = \"greeting\"\nversion = \"1.0.0\"\n";
    let files = [
        ("requirements.txt", "./greeting\n"),
        ("greeting/pyproject.toml", pyproject),
        ("greeting/backend.py", BACKEND),
    ];
    let Some(scene) = Scene::start("python").await else { return };
    let project = Project {
        files: &files,
        settings: Recipe::default(),
        said: &[
            "found requirements.txt: pip",
            "python3 -m venv .venv",
            "Successfully installed greeting-1.0.0",
        ],
        check: ".venv/bin/python -c 'import greeting; assert greeting.WORD == \"hello\"'",
    };
    build_and_use(scene, project).await;
}

/// The toolchain that these tests run by, linked to where sandboxes may look.
fn toolchain() -> Option<TempDir> {
    let found = std::env::var_os("CARGO").map(PathBuf::from).and_then(|cargo| cargo.canonicalize().ok());
    let from = found.and_then(|cargo| Some(cargo.parent()?.parent()?.to_owned()));
    let Some(from) = from.filter(|folder| folder.join("bin/rustc").exists()) else {
        println!("skipped: these tests were not started by cargo of a toolchain");
        return None;
    };
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let parts = ["bin", "lib"].map(|part| from.join(part));
    let linked = std::process::Command::new("cp").arg("-al").args(parts).arg(folder.path()).status();
    if !linked.is_ok_and(|status| status.success()) {
        println!("skipped: {} cannot be linked to {}", from.display(), folder.path().display());
        return None;
    }
    Some(folder)
}

#[tokio::test]
async fn a_project_of_cargo_is_fetched_and_built() {
    let Some(toolchain) = toolchain() else { return };
    let Some(mut scene) = Scene::start("cargo").await else { return };
    scene.program.kill().await;
    scene.program.arguments.push(format!("--tool=rust:{}=/usr/local", toolchain.path().display()));
    scene.program.start().await;
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n\
                    [dependencies]\ngreeting = { path = \"greeting\" }\n\n[workspace]\n";
    let lock = "version = 4\n\n[[package]]\nname = \"greeting\"\nversion = \"1.0.0\"\n\n\
                [[package]]\nname = \"shop\"\nversion = \"0.1.0\"\ndependencies = [\n \"greeting\",\n]\n";
    let files = [
        ("Cargo.toml", manifest),
        ("Cargo.lock", lock),
        ("src/lib.rs", "pub fn greet() -> &'static str { greeting::WORD }\n"),
        ("greeting/Cargo.toml", "[package]\nname = \"greeting\"\nversion = \"1.0.0\"\nedition = \"2021\"\n"),
        ("greeting/src/lib.rs", "pub const WORD: &str = \"hello\";\n"),
        (".gitignore", "/target\n"),
    ];
    let project = Project {
        files: &files,
        settings: Recipe { tools: Some(vec!["rust".to_owned()]), ..Recipe::default() },
        said: &["found Cargo.lock: cargo", "cargo fetch --locked", "cargo build", "Finished"],
        check: "ls target/debug/libshop.rlib",
    };
    build_and_use(scene, project).await;
}
