//! B10, on this machine's namespaces: `cargo bench --profile native -p sandbox-bridge --bench snapshots`.
//!
//! A snapshot with 44,000 files is restored, against `cp -a` of the same files, both with warm caches; then a sandbox that stands
//! on it is saved after 25 of them were changed. Beside: a sandbox that has written as many files itself is saved for the first time
//! and again. The last line of standard output is one JSON object. Called by `cargo xtask bench`.

mod shared;

use anyhow::{bail, ensure};
use protocol::bridge::SandboxSource;
use protocol::id::{SandboxId, SnapshotId};
use sandbox_bridge::provider::local::archive::{self, ArchiveLimits};
use sandbox_bridge::provider::local::{Account, DEFAULT_ACCOUNT, LocalConfig, LocalProvider};
use sandbox_bridge::provider::{BootSecrets, SandboxOrder, SandboxProvider};
use serde_json::json;
use shared::{median, ms, order, require_isolation, rounded, session};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const DIRECTORIES: usize = 4_000;
const FILES_IN_EACH: usize = 11;
const BYTES_MAX: usize = 24 * 1024;
const ROUNDS: usize = 9;
const COPIES: usize = 2;
const PATIENCE: Duration = Duration::from_secs(180);
/// Changes 25 files at every word of the bench, which is a file; before the first one, it may be told to copy everything.
const AGENT: &str = "while ! test -e /tmp/begin; do sleep 0.01; done;
    if grep -q copy /tmp/begin; then mkdir /workspace/all; cp -a /workspace/[0-9]* /workspace/all; fi;
    round=0; while :; do round=$((round+1)); while ! test -e /tmp/go-$round; do sleep 0.01; done;
    for d in $(seq 1000 1024); do echo $round > /workspace/$d/file-3; done; : > /tmp/done-$round; done";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let state = place.path().join("state");
    let mut config = LocalConfig::new(state.clone(), PathBuf::from("/bin/sh"));
    config.launcher = PathBuf::from(env!("CARGO_BIN_EXE_sandbox-bridge"));
    config.command = ["/bin/sh", "-c", AGENT].map(str::to_owned).to_vec();
    let provider = LocalProvider::start(config, axum::Router::new())?;
    require_isolation(&provider)?;
    let bench = Bench { provider, state };
    let measured = bench.measure(place.path()).await;
    // Also when something failed: sandboxes outlive whoever made them.
    for record in bench.provider.list() {
        bench.provider.terminate(&record.sandbox_id).await?;
    }
    println!("{}", measured?);
    Ok(())
}

struct Bench {
    provider: LocalProvider,
    state: PathBuf,
}

impl Bench {
    async fn measure(&self, place: &Path) -> anyhow::Result<serde_json::Value> {
        let snapshot = self.fill()?;
        let restore = self.restore(&snapshot).await?;
        let copy = self.copy(&snapshot, place)?;
        let save = median(self.save("changes", &snapshot).await?.split_off(1))?;
        let own = self.save("copy", &snapshot).await?;
        let (Some(first), again) = (own.first().copied(), median(own.get(1..).unwrap_or_default().to_vec())?)
        else {
            bail!("nothing was measured");
        };
        eprintln!(
            "{} files: restore {restore:.1} ms, cp -a {copy:.0} ms: 1/{:.0}; snapshot after 25 changed files {save:.1} ms; \
         of as many files of its own {first:.0} ms, again after 25 changes {again:.0} ms",
            DIRECTORIES * FILES_IN_EACH,
            copy / restore
        );
        Ok(json!({"B10": {
            "restore_ms": rounded(restore),
            "cp_ms": rounded(copy),
            "restore_times_faster": rounded(copy / restore),
            "snapshot_25_ms": rounded(save),
            "snapshot_own_first_ms": rounded(first),
            "snapshot_own_again_ms": rounded(again),
        }}))
    }

    /// A snapshot of many files, by way of an archive.
    fn fill(&self) -> anyhow::Result<SnapshotId> {
        let id = SnapshotId::parse("snp_many")?;
        let (reader, writer) = std::io::pipe()?;
        let written = std::thread::spawn(move || write_archive(writer));
        let own = nix::unistd::geteuid();
        let account = if own.is_root() {
            DEFAULT_ACCOUNT
        } else {
            Account { uid: own.as_raw(), gid: nix::unistd::getegid().as_raw() }
        };
        archive::import(&self.state, account, &id, &session()?, reader, ArchiveLimits::default())?;
        written.join().map_err(|_| anyhow::anyhow!("the archive was not written"))??;
        Ok(id)
    }

    async fn create(&self, name: &str, snapshot: &SnapshotId) -> anyhow::Result<SandboxId> {
        let id = SandboxId::parse(&format!("sbx_{name}"))?;
        let secrets = BootSecrets { sandbox_token: "bench".to_owned(), ..BootSecrets::default() };
        let source = SandboxSource::Snapshot { snapshot_id: snapshot.clone() };
        let order = SandboxOrder::of_session(&order(session()?, source)?);
        self.provider.create(&id, &order, &secrets).await?;
        Ok(id)
    }

    /// From the order until its processes run on the restored files.
    async fn restore(&self, snapshot: &SnapshotId) -> anyhow::Result<f64> {
        let mut samples = Vec::new();
        for round in 0..=ROUNDS {
            let began = Instant::now();
            let id = self.create(&format!("restore{round}"), snapshot).await?;
            if round > 0 {
                samples.push(ms(began));
            }
            self.provider.terminate(&id).await?;
        }
        median(samples)
    }

    /// What there would be without layers.
    fn copy(&self, snapshot: &SnapshotId, place: &Path) -> anyhow::Result<f64> {
        let source = self.state.join("layers").join(snapshot.as_str()).join("fs");
        let mut samples = Vec::new();
        for round in 0..=COPIES {
            let target = place.join(format!("copy-{round}"));
            let began = Instant::now();
            let status = Command::new("cp").arg("-a").arg(&source).arg(&target).status()?;
            ensure!(status.success(), "cp failed");
            if round > 0 {
                samples.push(ms(began));
            }
            fs::remove_dir_all(&target)?;
        }
        median(samples)
    }

    /// From the order until the snapshot is on disk, one after the other.
    async fn save(&self, what: &str, snapshot: &SnapshotId) -> anyhow::Result<Vec<f64>> {
        let mut samples = Vec::new();
        let id = self.create(what, snapshot).await?;
        let inside = self.state.join("sandboxes").join(id.as_str()).join("tmp");
        fs::write(inside.join("begin.part"), what)?;
        fs::rename(inside.join("begin.part"), inside.join("begin"))?;
        for round in 1..=ROUNDS + 1 {
            fs::write(inside.join(format!("go-{round}")), "")?;
            let begun = Instant::now();
            while !inside.join(format!("done-{round}")).exists() {
                ensure!(begun.elapsed() < PATIENCE, "the sandbox does not work");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let next = SnapshotId::parse(&format!("snp_{what}{round}"))?;
            let began = Instant::now();
            let taken = self.provider.snapshot(&id, &next).await?;
            samples.push(ms(began));
            let is_expected = match (what, round) {
                ("copy", 1) => taken.size_bytes > 100 << 20,
                // What it wrote just before the first one was not settled then.
                ("copy", _) => (50..16 << 20).contains(&taken.size_bytes),
                _ => (50..=100).contains(&taken.size_bytes),
            };
            let log = self.state.join("sandboxes").join(id.as_str()).join("witness/log");
            ensure!(
                is_expected,
                "the sandbox has not changed what it should, in round {round}: {taken:?}: {}",
                fs::read_to_string(log).unwrap_or_default()
            );
            self.provider
                .delete_snapshot(&SnapshotId::parse(&format!("snp_{what}{}", round - 1))?, &session()?)
                .await?;
        }
        self.provider.terminate(&id).await?;
        Ok(samples)
    }
}

/// Files of many sizes whose content repeats little.
fn write_archive(out: impl std::io::Write) -> anyhow::Result<()> {
    let mut builder = tar::Builder::new(zstd::Encoder::new(out, 1)?);
    let mut seed: u64 = 1;
    let mut content = vec![0u8; BYTES_MAX];
    for directory in 0..DIRECTORIES {
        for file in 0..FILES_IN_EACH {
            for word in content.chunks_exact_mut(8) {
                // A generator of Marsaglia's (xorshift64), so that every run has the same files.
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                word.copy_from_slice(&seed.to_le_bytes());
            }
            let size = usize::try_from(seed % BYTES_MAX as u64)?;
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_mtime(1_000_000_000);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(size as u64);
            let path = format!("workspace/{directory}/file-{file}");
            builder.append_data(&mut header, path, content.get(..size).unwrap_or_default())?;
        }
    }
    builder.into_inner()?.finish()?;
    Ok(())
}
