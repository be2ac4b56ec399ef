//! Runs work that nobody waits for behind all other work of the machine: deleting and joining layers.

use std::io;

/// Runs it to its end on a thread of its own, with the lowest priority for processor and disk.
pub(crate) async fn at_idle_priority<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("idle".to_owned()).spawn(move || {
        step_back();
        let _ = done.send(work());
    })?;
    outcome.await.map_err(|_| io::Error::other("background work panicked"))
}

/// Lowers this thread; a kernel that does not let it is no reason to leave the work undone.
fn step_back() {
    /// `ioprio_set(2)`: the calling thread, and the last level of class 2. Class 3 would never be served on a busy disk, and the
    /// disk would fill up.
    const WHO_PROCESS: libc::c_int = 1;
    const LAST: libc::c_int = (2 << 13) | 7;
    // SAFETY: neither call touches memory of this process. On Linux both are about the calling thread alone.
    unsafe {
        libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, LAST);
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_thread_of_the_work_steps_back() {
        // SAFETY: asks about the calling thread.
        let priority = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = priority();
        assert_eq!(at_idle_priority(priority).await.unwrap(), 19);
        assert_eq!(priority(), before);
        assert!(at_idle_priority(|| panic!("in the background")).await.is_err());
    }
}
