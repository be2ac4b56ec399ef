//! The processes of this sandbox as `/proc` shows them, the supervisor left out. Used for stillness and for figures.

use std::fs;

/// One process; fields as in `proc_pid_stat(5)`.
pub(super) struct Process {
    pub(super) pid: i32,
    parent: i32,
    state: char,
    pub(super) threads: u32,
    pub(super) processor_ticks: u64,
    pub(super) resident_pages: u64,
}

/// All that there are at the moment.
pub(super) fn all() -> Vec<Process> {
    let own = std::process::id().cast_signed();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own).filter_map(read).collect()
}

/// This process itself.
pub(super) fn own() -> Option<Process> {
    read(std::process::id().cast_signed())
}

fn read(pid: i32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(pid: i32, text: &str) -> Option<Process> {
    // The name in parentheses may itself contain blanks and parentheses; the last one ends it. The state is field 3.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3);
    let number = |place: usize| field(place)?.parse::<u64>().ok();
    Some(Process {
        pid,
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        threads: u32::try_from(number(20)?).unwrap_or(u32::MAX),
        processor_ticks: number(14)? + number(15)?,
        resident_pages: number(24)?,
    })
}

fn is_at_rest(state: char) -> bool {
    matches!(state, 'T' | 't' | 'Z' | 'X')
}

impl Process {
    /// Whether a signal stopped it.
    pub(super) fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// Whether no thread of it runs: all are stopped, ended, or wait for a child that is.
    pub(super) fn is_still(&self, all: &[Self]) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return true };
        threads.flatten().all(|thread| {
            let text = fs::read_to_string(thread.path().join("stat"));
            match text.ok().and_then(|text| parse(self.pid, &text)).map(|thread| thread.state) {
                None => true,
                // After vfork the parent sleeps until the child executes something, and the child is stopped.
                Some('D') => all.iter().any(|other| other.parent == self.pid && other.is_stopped()),
                Some(state) => is_at_rest(state),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_no_field() {
        let text = "7 (a) S (b)) T 3 7 7 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 9 0 100 4096 33 1";
        let process = parse(7, text).unwrap();
        assert_eq!((process.parent, process.state, process.threads), (3, 'T', 9));
        assert_eq!((process.processor_ticks, process.resident_pages), (110, 33));
        assert!(process.is_stopped());
        assert!(parse(7, "7 (cut) S 3").is_none());
    }

    #[test]
    fn this_process_is_there_and_runs() {
        let own = own().unwrap();
        assert!(own.threads >= 1 && !own.is_still(&[]));
        assert!(all().iter().all(|process| process.pid != own.pid));
    }
}
