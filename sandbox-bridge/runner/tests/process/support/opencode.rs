//! The real OpenCode behind a proxy of the test's: its event stream can be cut, and its process is known.

use super::Place;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What a test does to one OpenCode.
#[derive(Clone)]
pub(crate) struct ProxiedOpencode {
    folder: PathBuf,
    /// Where OpenCode itself listens.
    port: u16,
    events: Arc<Mutex<EventConnections>>,
}

#[derive(Default)]
struct EventConnections {
    cut: CancellationToken,
    /// After how many bytes each coming stream breaks.
    cuts: Vec<usize>,
}

impl ProxiedOpencode {
    /// Prepares a program that starts OpenCode behind a proxy; the proxy lives as long as the test.
    pub(crate) async fn new(place: &Place, opencode: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        let folder = place.folder.path().join("proxied");
        std::fs::create_dir_all(&folder).unwrap();
        // The runner chooses a port for each start: that is where the proxy has to listen.
        let script = format!(
            "#!/bin/sh\necho $$ > {0}/pid.new && mv {0}/pid.new {0}/pid\necho $5 > {0}/port.new && mv {0}/port.new {0}/port\n\
             exec {1} serve --hostname 127.0.0.1 --port {port}\n",
            folder.display(),
            opencode.display()
        );
        std::fs::write(folder.join("opencode"), script).unwrap();
        std::fs::set_permissions(folder.join("opencode"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let proxied = Self { folder, port, events: Arc::default() };
        tokio::spawn(proxied.clone().serve());
        proxied
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.join("opencode")
    }

    /// The process that runs now.
    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        let pid = std::fs::read_to_string(self.folder.join("pid")).unwrap();
        nix::unistd::Pid::from_raw(pid.trim().parse().unwrap())
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// Breaks the event streams that are open.
    pub(crate) fn cut(&self) {
        let mut events = self.events.lock().unwrap();
        std::mem::take(&mut events.cut).cancel();
    }

    /// Breaks the event streams that come, each after so many bytes.
    pub(crate) fn cut_after(&self, bytes: &[usize]) {
        self.events.lock().unwrap().cuts = bytes.iter().rev().copied().collect();
    }

    /// How many of the ordered cuts are still to come.
    pub(crate) fn cuts_left(&self) -> usize {
        self.events.lock().unwrap().cuts.len()
    }

    async fn serve(self) {
        loop {
            let port = loop {
                let text = std::fs::read_to_string(self.folder.join("port")).unwrap_or_default();
                if let Ok(port) = text.trim().parse::<u16>() {
                    break port;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            std::fs::remove_file(self.folder.join("port")).unwrap();
            let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
            let proxied = self.clone();
            tokio::spawn(async move {
                while let Ok((connection, _)) = listener.accept().await {
                    tokio::spawn(proxied.clone().pass_on(connection));
                }
            });
        }
    }

    async fn pass_on(self, mut outer: TcpStream) {
        let Ok(mut inner) = TcpStream::connect(("127.0.0.1", self.port)).await else { return };
        drop((outer.set_nodelay(true), inner.set_nodelay(true)));
        let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
        let (mut cut, mut left) = (CancellationToken::new(), usize::MAX);
        loop {
            tokio::select! {
                count = outer.read(&mut asked) => {
                    let Ok(count @ 1..) = count else { return };
                    if asked[..count].windows(17).any(|part| part == b"GET /global/event") {
                        let mut events = self.events.lock().unwrap();
                        (cut, left) = (events.cut.clone(), events.cuts.pop().unwrap_or(usize::MAX));
                    }
                    if inner.write_all(&asked[..count]).await.is_err() {
                        return;
                    }
                }
                count = inner.read(&mut answered) => {
                    let Ok(count @ 1..) = count else { return };
                    let passed = count.min(left);
                    left -= passed;
                    if outer.write_all(&answered[..passed]).await.is_err() || left == 0 {
                        return;
                    }
                }
                () = cut.cancelled() => return,
            }
        }
    }
}
