//! What goes on in the sandbox, for the bridge's figures.

use super::processes;
use protocol::supervisor::SupervisorStats;

/// Reads it now.
pub(super) fn read(commands: usize) -> SupervisorStats {
    let one = |name, otherwise: u64| {
        let value = nix::unistd::sysconf(name).ok().flatten();
        value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(otherwise)
    };
    let ticks_per_second = one(nix::unistd::SysconfVar::CLK_TCK, 100);
    let page_bytes = one(nix::unistd::SysconfVar::PAGE_SIZE, 4096);
    let mut stats = SupervisorStats {
        commands: u32::try_from(commands).unwrap_or(u32::MAX),
        ..SupervisorStats::default()
    };
    let mut ticks = 0_u64;
    for process in processes::own().into_iter().chain(processes::all()) {
        stats.processes += 1;
        stats.threads = stats.threads.saturating_add(process.threads);
        stats.resident_bytes =
            stats.resident_bytes.saturating_add(process.resident_pages.saturating_mul(page_bytes));
        ticks = ticks.saturating_add(process.processor_ticks);
    }
    stats.processor_ms = ticks.saturating_mul(1000) / ticks_per_second;
    stats
}
