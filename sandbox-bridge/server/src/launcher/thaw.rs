//! The witness's part in a snapshot: lets the sandbox go on when the bridge that made it stand still has died.
//!
//! The bridge connects before it stops anything, undoes that itself, says so, and hangs up. A connection that ends without the word
//! is a bridge that died. The files that let a control group go on are opened before the witness gives its privileges up.

use super::spec::{Failed, Refusal, Step};
use nix::poll::{PollFd, PollFlags};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

/// What the bridge says when the sandbox goes on.
pub const GOES_ON: u8 = b'g';
/// Nobody but the bridge can connect, and it needs one.
const CONNECTIONS_MAX: usize = 8;

/// Who may have made the sandbox stand still, and how to undo it.
pub(crate) struct Thaw {
    listener: Option<UnixListener>,
    files: Vec<(File, String)>,
    bridges: Vec<UnixStream>,
}

impl Thaw {
    /// `files` are those of the sandbox's control groups, with what to write there; one that is missing freezes nothing either.
    pub(crate) fn new(listener: Option<UnixListener>, files: &[(String, String)]) -> Result<Self, Refusal> {
        if let Some(listener) = &listener {
            listener.set_nonblocking(true).failed(Step::Spec, "listen for the bridge")?;
        }
        let open = |(path, word): &(String, String)| {
            Some((OpenOptions::new().write(true).open(path).ok()?, word.clone()))
        };
        Ok(Self { listener, files: files.iter().filter_map(open).collect(), bridges: Vec::new() })
    }

    /// What [`Thaw::serve`] is to be called for.
    pub(crate) fn watched(&self) -> impl Iterator<Item = PollFd<'_>> {
        let listener = self.listener.iter().map(AsFd::as_fd);
        let all = listener.chain(self.bridges.iter().map(AsFd::as_fd));
        all.map(|file| PollFd::new(file, PollFlags::POLLIN))
    }

    /// Takes in who connected and who hung up; answers whether a bridge died. Then the groups go on already.
    pub(crate) fn serve(&mut self) -> bool {
        while let Some(Ok((bridge, _))) = self.listener.as_ref().map(UnixListener::accept) {
            // A further one is not listened to, and its end is no news.
            if self.bridges.len() < CONNECTIONS_MAX && bridge.set_nonblocking(true).is_ok() {
                self.bridges.push(bridge);
            }
        }
        let mut died = false;
        self.bridges.retain_mut(|bridge| match bridge.read(&mut [0; 1]) {
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
            Ok(count) => {
                died |= count == 0;
                false
            }
        });
        for (file, word) in self.files.iter_mut().filter(|_| died) {
            let _ = file.write_all(word.as_bytes());
        }
        died
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bridge_that_hangs_up_without_a_word_has_died() {
        let place = tempfile::tempdir().unwrap();
        let (socket, state) = (place.path().join("socket"), place.path().join("state"));
        std::fs::write(&state, "").unwrap();
        let files = [(&state, "go"), (&place.path().join("missing"), "go")]
            .map(|(path, word)| (path.to_string_lossy().into_owned(), word.to_owned()));
        let mut thaw = Thaw::new(Some(UnixListener::bind(&socket).unwrap()), &files).unwrap();
        assert!(!thaw.serve() && thaw.watched().count() == 1);
        let mut living = UnixStream::connect(&socket).unwrap();
        assert!(!thaw.serve() && thaw.watched().count() == 2);
        living.write_all(&[GOES_ON]).unwrap();
        drop(living);
        assert!(!thaw.serve() && thaw.watched().count() == 1);
        assert_eq!(std::fs::read_to_string(&state).unwrap(), "");
        let other = UnixStream::connect(&socket).unwrap();
        drop(UnixStream::connect(&socket).unwrap());
        assert!(thaw.serve() && thaw.watched().count() == 2);
        assert_eq!(std::fs::read_to_string(&state).unwrap(), "go");
        drop(other);
        assert!(thaw.serve());
    }
}
