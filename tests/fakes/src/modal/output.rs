//! What a process wrote, kept to be read from any offset, also by readers that come late or come back.

use bytes::Bytes;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

const PIECE_BYTES: usize = 64 * 1024;

/// A growing text of bytes with an end.
#[derive(Debug)]
pub(super) struct Output {
    kept: Mutex<Kept>,
    changed: watch::Sender<()>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    /// Offset of the first byte that is kept.
    start: u64,
    bytes: Vec<u8>,
    is_closed: bool,
}

/// What a reader gets.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) starting_offset: u64,
    pub(super) data: Bytes,
}

impl Output {
    /// Keeps the newest `bytes_max` bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { kept: Mutex::default(), changed: watch::channel(()).0, bytes_max }
    }

    pub(super) fn append(&self, data: &[u8]) {
        self.change(|kept| {
            kept.bytes.extend_from_slice(data);
            let surplus = kept.bytes.len().saturating_sub(self.bytes_max);
            kept.bytes.drain(..surplus);
            kept.start += surplus as u64;
        });
    }

    pub(super) fn close(&self) {
        self.change(|kept| kept.is_closed = true);
    }

    fn change(&self, apply: impl FnOnce(&mut Kept)) {
        apply(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
    }

    /// The next piece from an offset on, once there is one; `None` at the end.
    pub(super) async fn read(&self, offset: u64) -> Option<Piece> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            {
                let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                let starting_offset = offset.max(kept.start);
                let skipped = usize::try_from(starting_offset - kept.start).unwrap_or(usize::MAX);
                let rest = kept.bytes.get(skipped..).unwrap_or_default();
                if !rest.is_empty() {
                    let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
                    return Some(Piece { starting_offset, data: Bytes::copy_from_slice(piece) });
                }
                if kept.is_closed {
                    return None;
                }
            }
            changed.changed().await.ok()?;
        }
    }

    /// Copies a pipe or a terminal until its end, or until its process has ended and nothing is left in it: what a process left
    /// running in the background does not keep readers waiting.
    pub(super) async fn fill(&self, source: AsyncFd<OwnedFd>, mut ended: watch::Receiver<bool>) {
        let mut piece = vec![0; PIECE_BYTES];
        while !*ended.borrow_and_update() {
            tokio::select! {
                ready = source.readable() => {
                    let Ok(mut ready) = ready else { break };
                    match ready.try_io(|source| Ok(nix::unistd::read(source.get_ref(), &mut piece)?)) {
                        // A terminal whose last process ended says EIO.
                        Ok(Ok(0) | Err(_)) => break,
                        Ok(Ok(count)) => self.append(piece.get(..count).unwrap_or_default()),
                        Err(_would_block) => {}
                    }
                }
                _ = ended.changed() => {}
            }
        }
        while let Ok(count @ 1..) = nix::unistd::read(source.get_ref(), &mut piece) {
            self.append(piece.get(..count).unwrap_or_default());
        }
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_comes_late_is_told_where_the_output_begins() {
        let output = Output::new(4);
        output.append(b"abcdef");
        output.close();
        let piece = output.read(0).await.unwrap();
        assert_eq!((piece.starting_offset, piece.data.as_ref()), (2, b"cdef".as_slice()));
        assert!(output.read(6).await.is_none());
    }

    #[tokio::test]
    async fn a_reader_waits_for_what_comes() {
        let output = Output::new(100);
        output.append(b"one");
        let late = output.read(3);
        let write = async {
            output.append(b"two");
        };
        let (piece, ()) = tokio::join!(late, write);
        assert_eq!(piece.unwrap().data.as_ref(), b"two");
    }
}
