//! Runs work that nobody waits for behind all other work of the machine: deleting and joining layers.

use std::io;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Such work of one provider: a piece at a time. On a busy machine pieces come faster than they are done, so those that wait must not
/// cost a thread each.
#[derive(Debug, Default)]
pub(crate) struct Background {
    turn: Arc<Mutex<()>>,
}

impl Background {
    /// Waits for its turn, then does it; also when nobody waits for its end any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        at_idle_priority(move || {
            let _turn = turn;
            work()
        })
        .await
    }
}

/// Runs it to its end on a thread of its own, with the lowest priority for processor and disk.
async fn at_idle_priority<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
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
    async fn pieces_wait_for_each_other_without_a_thread() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let background = Arc::new(Background::default());
        let begun = Arc::new(AtomicU32::new(0));
        let (go, held) = std::sync::mpsc::channel::<()>();
        let (ready, first_began) = tokio::sync::oneshot::channel();
        let first = {
            let (background, begun) = (Arc::clone(&background), Arc::clone(&begun));
            tokio::spawn(async move {
                let work = move || {
                    begun.fetch_add(1, Ordering::SeqCst);
                    let _ = ready.send(());
                    held.recv().is_ok()
                };
                background.run(work).await
            })
        };
        first_began.await.unwrap();
        let others: Vec<_> = (0..100)
            .map(|_| {
                let (background, begun) = (Arc::clone(&background), Arc::clone(&begun));
                tokio::spawn(
                    async move { background.run(move || begun.fetch_add(1, Ordering::SeqCst)).await },
                )
            })
            .collect();
        // Each of them has asked for its turn.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1, "two at a time");
        go.send(()).unwrap();
        assert!(first.await.unwrap().unwrap());
        let mut order = Vec::new();
        for other in others {
            order.push(other.await.unwrap().unwrap());
        }
        assert_eq!(order, (1..=100).collect::<Vec<_>>());
    }

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
