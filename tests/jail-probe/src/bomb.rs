//! A32: uses up one resource as fast as it can. Each bomb has bounds of its own, in amount and time, and ends by itself.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::{ForkResult, Pid, fork};
use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

const FORKS_MAX: u64 = 6_000;
const MEMORY_MIB_MAX: u64 = 2_048;
const DISK_MIB_MAX: u64 = 1_024;
const FILES_MAX: u64 = 100_000;
const DESCRIPTORS_MAX: u64 = 200_000;
const LOG_MIB_MAX: u64 = 4_096;
const FORK_TIME: Duration = Duration::from_secs(2);
const TIME_MAX: Duration = Duration::from_secs(60);

/// `kind` with an amount; prints what it got in one JSON object.
pub(crate) fn run(kind: &str, rest: &[&str]) -> Result<(), String> {
    let amount: u64 = match rest.first() {
        Some(text) => text.parse().map_err(|_| format!("{text} is no amount"))?,
        None => u64::MAX,
    };
    let got = match kind {
        "fork" => forks(amount.min(FORKS_MAX)),
        "zombie" => zombies(amount.min(FORKS_MAX)),
        "memory" => memory(amount.min(MEMORY_MIB_MAX)),
        "disk" => disk(amount.min(DISK_MIB_MAX)),
        "unlinked" => unlinked(amount.min(DISK_MIB_MAX)),
        "inode" => inodes(amount.min(FILES_MAX)),
        "cpu" => processor(Duration::from_millis(amount).min(TIME_MAX)),
        "descriptor" => descriptors(amount.min(DESCRIPTORS_MAX)),
        "log" => log(amount.min(LOG_MIB_MAX)),
        other => return Err(format!("there is no bomb {other:?}")),
    };
    println!("{{\"got\":{got}}}");
    Ok(())
}

/// Every process starts others until no more can be started; then all compute until the time is over.
fn forks(amount: u64) -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    let end = Instant::now() + FORK_TIME;
    let (protection, sharing) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh mapping that nothing else refers to, as large as asked for and never unmapped.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, sharing, -1, 0) };
    if page == libc::MAP_FAILED {
        return 0;
    }
    // SAFETY: the page is zero, aligned, lives as long as the process, and is only used by this type.
    let made: &AtomicU64 = unsafe { &*page.cast::<AtomicU64>() };
    // SAFETY: the probe has one thread, so the child may run any code.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
            while Instant::now() < end && made.load(Ordering::Relaxed) < amount {
                // SAFETY: as above.
                if matches!(unsafe { fork() }, Ok(ForkResult::Parent { .. })) {
                    made.fetch_add(1, Ordering::Relaxed);
                }
            }
            while Instant::now() < end {
                std::hint::spin_loop();
            }
            // Whoever ended by itself would make room for another one, and the number would be no measure.
            std::thread::sleep(TIME_MAX);
            std::process::exit(0)
        }
        Ok(ForkResult::Parent { child }) => {
            std::thread::sleep(end.saturating_duration_since(Instant::now()));
            let _ = kill(Pid::from_raw(-child.as_raw()), Signal::SIGKILL);
            made.load(Ordering::Relaxed)
        }
        Err(_) => 0,
    }
}

fn spin_until(end: Instant) -> ! {
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    std::process::exit(0)
}

/// Children that have ended and that nobody collects.
fn zombies(amount: u64) -> u64 {
    let mut got = 0;
    while got < amount {
        // SAFETY: as above.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => std::process::exit(0),
            Ok(ForkResult::Parent { .. }) => got += 1,
            Err(_) => break,
        }
    }
    std::thread::sleep(Duration::from_secs(2));
    got
}

/// Touches every page.
fn memory(mib: u64) -> u64 {
    let mut held: Vec<Vec<u8>> = Vec::new();
    for number in 0..mib {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(1 << 20).is_err() {
            break;
        }
        block.resize(1 << 20, number as u8 | 1);
        held.push(block);
    }
    std::hint::black_box(&held);
    held.len() as u64
}

/// Files of 4 MiB each in the workspace.
fn disk(mib: u64) -> u64 {
    let piece = vec![b'x'; 1 << 20];
    let mut got = 0;
    let _ = fs::create_dir("/workspace/bomb");
    for number in 0..mib.div_ceil(4) {
        let Ok(mut file) = File::create(format!("/workspace/bomb/{number}")) else { return got };
        for _ in 0..4 {
            if file.write_all(&piece).is_err() {
                return got;
            }
            got += 1;
        }
    }
    // Whoever watches needs a moment to notice.
    std::thread::sleep(TIME_MAX / 2);
    got
}

/// The same in files without names.
fn unlinked(mib: u64) -> u64 {
    let piece = vec![b'x'; 1 << 20];
    let mut held = Vec::new();
    let mut got = 0;
    while got < mib {
        let path = "/workspace/unlinked";
        let Ok(mut file) = File::create(path) else { break };
        let _ = fs::remove_file(path);
        for _ in 0..8 {
            if file.write_all(&piece).is_err() {
                return got;
            }
            got += 1;
        }
        held.push(file);
    }
    std::thread::sleep(TIME_MAX / 2);
    drop(held);
    got
}

/// Empty files.
fn inodes(amount: u64) -> u64 {
    for number in 0..amount {
        let folder = format!("/workspace/inodes/{}", number / 1000);
        if number % 1000 == 0 && fs::create_dir_all(&folder).is_err() {
            return number;
        }
        if File::create(format!("{folder}/{number}")).is_err() {
            return number;
        }
    }
    std::thread::sleep(TIME_MAX / 2);
    amount
}

/// Four processes that compute; answers the processor time they got, in thousandths of the time that passed.
fn processor(time: Duration) -> u64 {
    let began = Instant::now();
    let mut children = Vec::new();
    for _ in 0..4 {
        // SAFETY: as above.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => spin_until(began + time),
            Ok(ForkResult::Parent { child }) => children.push(child),
            Err(_) => break,
        }
    }
    for child in children {
        let _ = nix::sys::wait::waitpid(child, None);
    }
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(0, |usage| usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds());
    let passed = began.elapsed().as_millis().max(1);
    u64::try_from(u128::from(used.unsigned_abs()) * 1000 / passed).unwrap_or(u64::MAX)
}

/// Descriptors that are never closed, in several processes.
fn descriptors(amount: u64) -> u64 {
    let mut held = Vec::new();
    while (held.len() as u64) < amount {
        match File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(_) => break,
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    held.len() as u64
}

/// Lines on standard output, which is to be the log of PID 1.
fn log(mib: u64) -> u64 {
    let line = [vec![b'y'; 1023], b"\n".to_vec()].concat();
    let mut out = std::io::stdout().lock();
    let end = Instant::now() + Duration::from_secs(4);
    let mut kib = 0;
    while kib < mib * 1024 && Instant::now() < end {
        if out.write_all(&line).is_err() {
            break;
        }
        kib += 1;
    }
    kib / 1024
}
