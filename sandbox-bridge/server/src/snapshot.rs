//! `sandbox-bridge snapshot`: takes a snapshot out of the state directory as an archive, or makes one of an archive.
//!
//! Works beside a running bridge. Prints one JSON object; `-` as the file is standard output or input.

use anyhow::Context;
use clap::Subcommand;
use nix::unistd::{Gid, Uid};
use protocol::id::{SessionId, SnapshotId};
use sandbox_bridge::provider::local::archive::{self, ArchiveLimits};
use sandbox_bridge::provider::local::{Account, DEFAULT_ACCOUNT};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What to do with a snapshot.
#[derive(Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Write what a sandbox restored from the snapshot would see, as tar in zstd.
    Export {
        /// Which snapshot.
        #[arg(value_parser = snapshot_id)]
        id: SnapshotId,
        /// Where to; an existing file is replaced when the archive is complete.
        file: PathBuf,
        /// Folder of the local provider.
        #[arg(long, env = "FARHAND_STATE")]
        state: PathBuf,
    },
    /// Make a snapshot of an archive with `workspace` and `home`. At most 200,000 entries, 4 GiB, 64 folders deep.
    Import {
        /// Where from.
        file: PathBuf,
        /// Whose session it will belong to.
        #[arg(long, value_parser = session_id)]
        session: SessionId,
        /// Its id; where absent, a new one.
        #[arg(long, value_parser = snapshot_id)]
        id: Option<SnapshotId>,
        /// Folder of the local provider.
        #[arg(long, env = "FARHAND_STATE")]
        state: PathBuf,
    },
}

/// Does it.
pub(crate) fn run(command: SnapshotCommand) -> anyhow::Result<()> {
    match command {
        SnapshotCommand::Export { id, file, state } => export(&id, &file, &existing(&state)?),
        SnapshotCommand::Import { file, session, id, state } => {
            import(&file, &session, id, &existing(&state)?)
        }
    }
}

/// A mistyped folder must not become one.
fn existing(state: &Path) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(
        state.join("layers").is_dir(),
        "{} is no state folder of a bridge; name the one that it has as --state",
        state.display()
    );
    Ok(state.to_owned())
}

fn export(id: &SnapshotId, file: &Path, state: &Path) -> anyhow::Result<()> {
    let describe = |archived: archive::Archived| {
        serde_json::json!({
            "snapshot_id": id, "entries": archived.entries, "bytes": archived.bytes, "skipped": archived.skipped
        })
    };
    if file == Path::new("-") {
        let archived = archive::export(state, account(), id, BufWriter::new(io::stdout().lock()))?;
        eprintln!("{}", describe(archived));
        return Ok(());
    }
    let mut name = file.file_name().context("the file has no name")?.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = file.with_file_name(name);
    let written = || -> anyhow::Result<archive::Archived> {
        let mut out = BufWriter::new(
            File::create_new(&part).with_context(|| format!("could not make {}", part.display()))?,
        );
        let archived = archive::export(state, account(), id, &mut out)?;
        out.flush().and_then(|()| out.get_ref().sync_all()).context("could not write the archive")?;
        fs::rename(&part, file).with_context(|| format!("could not make {}", file.display()))?;
        Ok(archived)
    };
    let archived = written().inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })?;
    println!("{}", describe(archived));
    Ok(())
}

fn import(file: &Path, session: &SessionId, id: Option<SnapshotId>, state: &Path) -> anyhow::Result<()> {
    let id = match id {
        Some(id) => id,
        None => {
            let mut random = [0; 16];
            getrandom::fill(&mut random).context("there is no randomness for an id")?;
            SnapshotId::from_random(random)
        }
    };
    let limits = ArchiveLimits::default();
    let archived = if file == Path::new("-") {
        archive::import(state, account(), &id, session, io::stdin().lock(), limits)?
    } else {
        let archive = File::open(file).with_context(|| format!("could not open {}", file.display()))?;
        archive::import(state, account(), &id, session, BufReader::new(archive), limits)?
    };
    println!(
        "{}",
        serde_json::json!({"snapshot_id": id, "entries": archived.entries, "bytes": archived.bytes})
    );
    Ok(())
}

/// Whom the files of sandboxes belong to, as the bridge has it.
fn account() -> Account {
    match (Uid::effective(), Gid::effective()) {
        (uid, _) if uid.is_root() => DEFAULT_ACCOUNT,
        (uid, gid) => Account { uid: uid.as_raw(), gid: gid.as_raw() },
    }
}

fn snapshot_id(text: &str) -> Result<SnapshotId, String> {
    SnapshotId::parse(text).map_err(|error| error.to_string())
}

fn session_id(text: &str) -> Result<SessionId, String> {
    SessionId::parse(text).map_err(|error| error.to_string())
}
