//! The last things before the command: limits of each process, Landlock, the system call filter.

use super::identity::landlock_abi;
use super::spec::{Failed, Landlock, Refusal, RunLimits, Step};
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The newest version whose rights are asked for; an older kernel gives what it has.
const LANDLOCK: ABI = ABI::V6;
/// Where a sandbox may write at all.
const WRITABLE: &[&str] = &["/workspace", "/home/agent", "/tmp", "/run/farhand", "/dev", "/proc"];
const OPEN_FILES_MAX: u64 = 65_536;
/// The one value at which the kernel neither writes a core file nor starts the host's crash handler (`do_coredump`).
const CORE_BYTES: u64 = 1;

/// Sets the limits. Must run inside the user namespace, where processes are counted for this sandbox alone.
pub(crate) fn limit(limits: &RunLimits) -> Result<(), Refusal> {
    let set = |resource: Resource, value: u64| {
        let hard = getrlimit(resource).map_or(u64::MAX, |(_, hard)| hard);
        let value = value.min(hard);
        setrlimit(resource, value, value).failed(Step::Privileges, &format!("limit {resource:?}"))
    };
    set(Resource::RLIMIT_CORE, CORE_BYTES)?;
    set(Resource::RLIMIT_NOFILE, OPEN_FILES_MAX)?;
    if let Some(bytes) = limits.data_bytes {
        set(Resource::RLIMIT_DATA, bytes)?;
    }
    if let Some(bytes) = limits.file_bytes {
        set(Resource::RLIMIT_FSIZE, bytes)?;
    }
    if let Some(processes) = limits.processes {
        set(Resource::RLIMIT_NPROC, processes)?;
    }
    Ok(())
}

/// Reading and executing everywhere, writing in the writable places but no device nodes; no signals or abstract sockets beyond
/// the sandbox. Answers the version that holds, 0 for none.
pub(crate) fn landlock(need: Landlock) -> Result<i32, Refusal> {
    let refused = |error: &dyn std::fmt::Display| {
        Refusal::new(Step::Landlock, format!("could not restrict files: {error}"))
    };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(LANDLOCK)))
        .and_then(Ruleset::create)
        .map_err(|error| refused(&error))?;
    let rest = [("/", AccessFs::from_read(LANDLOCK))];
    let writing = AccessFs::from_all(LANDLOCK) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    for (path, rights) in WRITABLE.iter().map(|path| (*path, writing)).chain(rest) {
        let place = PathFd::new(path).map_err(|error| refused(&error))?;
        ruleset = ruleset.add_rule(PathBeneath::new(place, rights)).map_err(|error| refused(&error))?;
    }
    let status = ruleset.restrict_self().map_err(|error| refused(&error))?;
    match (status.ruleset != RulesetStatus::NotEnforced, need) {
        (true, _) => Ok(landlock_abi()),
        (false, Landlock::IfThere) => Ok(0),
        (false, Landlock::Required) => Err(Refusal::new(
            Step::Landlock,
            "could not restrict files: this kernel has no Landlock".to_owned(),
        )),
    }
}
