//! What must be there before anything runs: each step does nothing when its inputs have not changed.
//!
//! Everything is installed below the checkout, from the package registries; nothing on the machine is changed.

mod exports;
mod modules;
mod order;
mod prerequisites;
mod stamp;
mod tools;
mod wasm;

use crate::progress::{Done, Progress};
use crate::shell;
use anyhow::Context as _;
pub(crate) use prerequisites::{disk_free_gib, find};
pub(crate) use stamp::Stamp;
use std::path::{Path, PathBuf};
use std::process::Command;
pub(crate) use tools::TOOLS;

/// Version of Node below which npm cannot install the Node that is used.
pub(crate) const NODE_MAJOR_MIN: u32 = 20;
/// Free disk below which builds are likely to fail half-way.
pub(crate) const DISK_FREE_GIB_MIN: u64 = 3;
/// What Wasm and static programs are built for.
pub(crate) const TARGETS: &[&str] = &["wasm32-unknown-unknown", MUSL];
const MUSL: &str = "x86_64-unknown-linux-musl";
/// The native packages, with the features that only tests of generated files use: what the whole of `test` builds and runs.
pub(crate) const WORKSPACE: &[&str] =
    &["--workspace", "--exclude", "edge", "--features", "protocol/typescript,api/openapi"];

/// `--low-memory-unused` lets it put small additions into the instructions that load and store: nothing is below address 1024, where
/// the end of Rust's stack is.
const OPTIMISATIONS: &[&str] =
    &["-O", "--one-caller-inline-max-function-size=1", "--low-memory-unused", "--strip-debug"];
/// What rustc and wasm-bindgen use, all of which the Workers runtime has.
const WASM_FEATURES: &[&str] = &[
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-exception-handling",
];

/// Whether the Wasm is made small: 15 s more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Optimise {
    Yes,
    No,
}

/// How bridge and runner are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NativeProfile {
    Dev,
    /// As deployed; for measurements.
    Native,
}

impl NativeProfile {
    /// The profile's folder below the target folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Native => "native",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Native => "native",
        }
    }
}

/// Sets up the checkout.
pub(crate) struct Setup {
    pub(crate) progress: Progress,
    root: PathBuf,
}

impl Setup {
    pub(crate) fn new(progress: Progress) -> Self {
        Self { progress, root: stack::root() }
    }

    /// Everything that a running stack needs.
    pub(crate) fn stack(&self, profile: NativeProfile) -> anyhow::Result<()> {
        self.prerequisites()?;
        self.node_modules()?;
        self.edge(Optimise::No)?;
        self.native(profile)?;
        self.web()
    }

    /// Refuses early, with the remedy, what would fail late.
    pub(crate) fn prerequisites(&self) -> anyhow::Result<()> {
        self.progress.step("prerequisites", || prerequisites::check(&self.root).map(|()| Done::Unchanged))
    }

    /// npm packages exactly as locked, Node 24 among them.
    pub(crate) fn node_modules(&self) -> anyhow::Result<()> {
        self.progress.step("npm packages", || {
            if modules::are_installed(&self.root) {
                return Ok(Done::Unchanged);
            }
            modules::install(&self.root, &self.log("npm"))?;
            Ok(Done::Worked)
        })
    }

    fn log(&self, name: &str) -> PathBuf {
        self.root.join("target/logs").join(format!("{name}.log"))
    }

    fn rust_target(&self, target: &str) -> anyhow::Result<()> {
        let sysroot = shell::ask("rustc", &["--print", "sysroot"]).unwrap_or_default();
        if PathBuf::from(sysroot).join("lib/rustlib").join(target).join("lib").is_dir() {
            return Ok(());
        }
        self.progress.step(&format!("Rust target {target}"), || {
            anyhow::ensure!(
                find("rustup").is_some(),
                "the Rust target {target} is missing and rustup is not there to add it: install Rust by https://rustup.rs"
            );
            let mut command = Command::new("rustup");
            shell::run(command.current_dir(&self.root).args(["target", "add", target]), &self.log("rustup"))?;
            Ok(Done::Worked)
        })
    }

    /// The Worker as Wasm in `build/`.
    pub(crate) fn edge(&self, optimise: Optimise) -> anyhow::Result<()> {
        self.rust_target("wasm32-unknown-unknown")?;
        for tool in TOOLS {
            if !tools::is_installed(&self.root, tool) {
                let name = format!("{} {} (once, some minutes)", tool.name, tool.version);
                self.progress.step(&name, || {
                    tools::install(&self.root, tool, &self.log(tool.name)).map(|()| Done::Worked)
                })?;
            }
        }
        let mut stamp = Stamp::new(&self.root, "edge");
        for folder in [
            "workers/api",
            "workers/budget",
            "workers/edge",
            "workers/identity",
            "workers/github",
            "workers/metrics",
            "workers/privacy",
            "workers/slack",
            "durable-objects",
            "migrations",
        ] {
            stamp.add_folder(folder, &["rs", "toml", "sql"])?;
        }
        for file in ["Cargo.lock", "Cargo.toml", "rust-toolchain.toml"] {
            stamp.add_file(file)?;
        }
        let mut optimised = stamp.clone();
        optimised.add_text("optimised");
        if optimise == Optimise::Yes {
            stamp = optimised.clone();
        }
        let name = if optimise == Optimise::Yes { "edge Wasm, optimised" } else { "edge Wasm" };
        self.progress.step(name, || {
            // An optimised build of the same source is good for everything.
            let is_current = stamp.is_current() || optimised.is_current();
            if is_current && self.root.join("build/index_bg.wasm").is_file() {
                return Ok(Done::Unchanged);
            }
            self.build_edge(optimise)?;
            stamp.write()?;
            Ok(Done::Worked)
        })
    }

    fn build_edge(&self, optimise: Optimise) -> anyhow::Result<()> {
        let bin = self.root.join("node_modules/.bin");
        let mut command = Command::new(tools::path(&self.root, "worker-build"));
        command
            .current_dir(&self.root)
            .arg(self.root.join("workers/edge"))
            .arg("--out-dir")
            .arg(self.root.join("build"))
            .arg("--release")
            .arg("--no-opt")
            .env("WASM_BINDGEN_BIN", tools::path(&self.root, "wasm-bindgen"))
            .env("ESBUILD_BIN", bin.join("esbuild"))
            .env("PATH", shell::path_with_node());
        shell::run(&mut command, &self.log("edge"))?;
        match optimise {
            Optimise::Yes => self.optimise_edge(&bin.join("wasm-opt")),
            Optimise::No => Ok(()),
        }
    }

    /// What worker-build would do, but made for being sent compressed: without names of functions, with functions that are called once
    /// left where they are, and with functions that are alike side by side. Together a quarter of what is sent. The module with the
    /// names stays beside the stamps, for reading a stack.
    fn optimise_edge(&self, wasm_opt: &Path) -> anyhow::Result<()> {
        let module = self.root.join("build/index_bg.wasm");
        let stamps = self.root.join("target/stamps");
        std::fs::create_dir_all(&stamps)?;
        let named = stamps.join("index_bg.named.wasm");
        std::fs::copy(&module, &named)?;
        std::fs::write(&module, exports::without_unused_classes(&std::fs::read(&named)?)?)?;
        self.wasm_opt(wasm_opt, &module, &module, OPTIMISATIONS)?;
        let ordered = order::name_by_likeness(&std::fs::read(&module)?)?;
        std::fs::write(&module, ordered)?;
        self.wasm_opt(wasm_opt, &module, &module, &["--reorder-functions-by-name", "--strip-debug"])
    }

    fn wasm_opt(&self, program: &Path, from: &Path, to: &Path, options: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("PATH", shell::path_with_node());
        command.arg(from).arg("-o").arg(to).args(options).args(WASM_FEATURES);
        shell::run(&mut command, &self.log("edge-optimise"))
    }

    /// Bridge and runner; a deployment's bridge is static, so that it runs wherever it is copied to.
    pub(crate) fn native(&self, profile: NativeProfile) -> anyhow::Result<()> {
        self.rust_target(MUSL)?;
        let name = match profile {
            NativeProfile::Dev => "bridge and runner",
            NativeProfile::Native => "bridge and runner, optimised",
        };
        self.progress.step(name, || {
            match profile {
                NativeProfile::Dev => {
                    let mut bridge = shell::cargo();
                    bridge.args(["build", "--package", "sandbox-bridge", "--bin", "sandbox-bridge"]);
                    shell::run(&mut bridge, &self.log("bridge"))?;
                }
                NativeProfile::Native => self.build_static(profile, &["sandbox-bridge"], "bridge")?,
            }
            self.inside(profile, &["runner"])?;
            Ok(Done::Worked)
        })
    }

    /// The runner alone, for what starts sandboxes without a bridge.
    pub(crate) fn runner(&self, profile: NativeProfile) -> anyhow::Result<()> {
        self.rust_target(MUSL)?;
        self.progress.step("runner", || {
            self.inside(profile, &["runner"])?;
            Ok(Done::Worked)
        })
    }

    /// Every program and every test of the workspace at once: cargo would compile much of it again for each choice of packages, since
    /// their features differ.
    pub(crate) fn tests(&self) -> anyhow::Result<()> {
        self.rust_target(MUSL)?;
        self.progress.step("programs and tests", || {
            let mut all = shell::cargo();
            all.arg("build").args(WORKSPACE).args(["--bins", "--examples", "--tests"]);
            shell::run(&mut all, &self.log("tests"))?;
            self.inside(NativeProfile::Dev, &["runner", "jail-probe"])?;
            Ok(Done::Worked)
        })
    }

    /// The program that the tests run inside sandboxes.
    pub(crate) fn jail_probe(&self) -> anyhow::Result<()> {
        self.rust_target(MUSL)?;
        self.progress.step("jail probe", || {
            self.inside(NativeProfile::Dev, &["jail-probe"])?;
            Ok(Done::Worked)
        })
    }

    /// Programs that run inside sandboxes.
    fn inside(&self, profile: NativeProfile, packages: &[&str]) -> anyhow::Result<()> {
        self.build_static(profile, packages, "inside")
    }

    fn build_static(&self, profile: NativeProfile, packages: &[&str], log: &str) -> anyhow::Result<()> {
        let mut command = shell::cargo();
        command.args(["build", "--bins", "--profile", profile.name(), "--target", MUSL]);
        command.args(packages.iter().flat_map(|package| ["--package", package]));
        shell::run(&mut command, &self.log(log))
    }

    /// The web client in `workers/web/dist`.
    pub(crate) fn web(&self) -> anyhow::Result<()> {
        let mut stamp = Stamp::new(&self.root, "web");
        for folder in ["workers/web", "durable-objects/protocol/typescript"] {
            stamp.add_folder(folder, &[])?;
        }
        stamp.add_file("package-lock.json")?;
        self.progress.step("web client", || {
            if stamp.is_current() && self.root.join("workers/web/dist/index.html").is_file() {
                return Ok(Done::Unchanged);
            }
            let mut command = Command::new("npm");
            command
                .current_dir(&self.root)
                .args(["run", "build", "--workspace", "@farhand/web"])
                .env("PATH", shell::path_with_node());
            shell::run(&mut command, &self.log("web")).context("the web client does not build")?;
            stamp.write()?;
            Ok(Done::Worked)
        })
    }
}
