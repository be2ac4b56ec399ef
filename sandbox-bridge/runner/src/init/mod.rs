//! The first process of a sandbox: forwards the loopback address of the bridge to the sandbox's socket, or through a tunnel to where
//! the bridge is, runs the runner, collects ended processes, and carries out the bridge's orders on the control socket.
//!
//! It reads nothing of what it forwards. The bridge may go away and come back: the socket is opened again for each connection, so
//! connections simply fail meanwhile. Called by `main.rs` for `runner init`; the launcher starts it.

mod children;
mod control;
mod dial;
mod exec;
mod freeze;
mod processes;
mod spawn;
mod stats;
mod tunnel;
mod wire;

use children::Children;
use control::Control;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tunnel::Tunnel;

/// Where the bridge is reached inside a sandbox.
pub(crate) const LISTEN: &str = "127.0.0.1:3128";
/// Where the launcher mounts the directory of the bridge's socket.
pub(crate) const SOCKET: &str = "/run/farhand/socket/bridge.sock";
const BUFFER_BYTES: usize = 32 * 1024;
const PAUSE: Duration = Duration::from_millis(20);

/// The `--listen` of a sandbox that shares the host's network: its processes reach the bridge without a forwarder.
const NOWHERE: &str = "none";

/// `runner init [--listen ADDRESS] [--socket PATH | --bridge URL] [--control PATH] [-- COMMAND…]`; without a command it runs this
/// very binary as `runner run`, and with `none` for an address it forwards nothing. `--control` makes the control socket where
/// nobody left one.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let outcome = Options::parse(arguments).and_then(|options| {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(supervise(options))
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("runner init: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    listen: String,
    way: Way,
    control: Option<PathBuf>,
    command: Vec<String>,
}

/// How the bridge is reached from here.
#[derive(Clone)]
enum Way {
    /// By a socket that only this sandbox can see.
    Socket(PathBuf),
    /// Over the network.
    Tunnel(Tunnel),
}

impl Options {
    fn parse(arguments: &[String]) -> io::Result<Self> {
        let way = Way::Socket(SOCKET.into());
        let mut options = Self { listen: LISTEN.to_owned(), way, control: None, command: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let missing = || io::Error::other(format!("{argument} needs a value"));
                arguments.next().cloned().ok_or_else(missing)
            };
            match argument.as_str() {
                "--listen" => options.listen = value()?,
                "--socket" => options.way = Way::Socket(value()?.into()),
                "--bridge" => options.way = Way::Tunnel(Tunnel::new(&value()?, std::env::var)?),
                "--control" => options.control = Some(value()?.into()),
                "--" => options.command = arguments.by_ref().cloned().collect(),
                other => return Err(io::Error::other(format!("{other} is not an option"))),
            }
        }
        if options.command.is_empty() {
            let own = std::env::current_exe()?;
            options.command = vec![own.to_string_lossy().into_owned(), "run".to_owned()];
        }
        Ok(options)
    }
}

/// Ends with the runner's exit code; the kernel then ends whatever else is in the process namespace.
async fn supervise(options: Options) -> io::Result<u8> {
    let orders = match &options.control {
        Some(path) => {
            // Where there is no launcher this may not be PID 1; what its children leave behind is collected all the same.
            nix::sys::prctl::set_child_subreaper(true)?;
            Some(control::open(path)?)
        }
        None => control::inherited()?,
    };
    // Both before the runner, so that it never finds the door closed and its end is never missed.
    let listener = match options.listen.as_str() {
        NOWHERE => None,
        address => Some(TcpListener::bind(address).await?),
    };
    let mut ended = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (program, arguments) =
        options.command.split_first().ok_or_else(|| io::Error::other("there is nothing to run"))?;
    let runner = Command::new(program)
        .args(arguments)
        .env_remove(control::DESCRIPTOR)
        .spawn()
        .map_err(|error| io::Error::other(format!("could not run {program}: {error}")))?;
    let runner = Pid::from_raw(runner.id().cast_signed());
    let children = Children::default();
    let control = Control::new(children.clone());
    loop {
        tokio::select! {
            _ = ended.recv() => {
                if let Some(code) = children.collect(runner) {
                    return Ok(code);
                }
            }
            _ = terminate.recv() => {
                let _ = kill(runner, Signal::SIGTERM);
            }
            order = next_order(orders.as_ref()) => match order {
                Ok(connection) => control.serve(connection),
                // Out of descriptors, most likely: some have to be closed first.
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            accepted = next_outgoing(listener.as_ref()) => match accepted {
                Ok(connection) => {
                    tokio::spawn(forward(connection, options.way.clone()));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

async fn next_order(orders: Option<&UnixListener>) -> io::Result<UnixStream> {
    match orders {
        Some(orders) => orders.accept().await.map(|(connection, _)| connection),
        None => pending().await,
    }
}

async fn next_outgoing(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(connection, _)| connection),
        None => pending().await,
    }
}

async fn forward(mut outer: TcpStream, way: Way) {
    let _ = outer.set_nodelay(true);
    match way {
        Way::Socket(path) => {
            if let Ok(mut bridge) = UnixStream::connect(path).await {
                let _ =
                    copy_bidirectional_with_sizes(&mut outer, &mut bridge, BUFFER_BYTES, BUFFER_BYTES).await;
            }
        }
        Way::Tunnel(tunnel) => tunnel.pass(outer).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    fn options(arguments: &[&str]) -> io::Result<Options> {
        Options::parse(&arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_options_it_runs_itself() {
        let options = options(&[]).unwrap();
        assert_eq!(options.listen, LISTEN);
        assert!(matches!(&options.way, Way::Socket(path) if path.to_str() == Some(SOCKET)));
        assert_eq!(options.command.last().unwrap(), "run");
    }

    #[test]
    fn everything_behind_the_dashes_is_the_command() {
        let options = options(&["--listen", "127.0.0.1:0", "--", "/bin/echo", "--listen"]).unwrap();
        assert_eq!(options.listen, "127.0.0.1:0");
        assert_eq!(options.command, ["/bin/echo", "--listen"]);
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let refusal = options(&["--port", "1"]).err().unwrap();
        assert_eq!(refusal.to_string(), "--port is not an option");
        assert_eq!(options(&["--socket"]).err().unwrap().to_string(), "--socket needs a value");
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_a_missing_bridge_closes_the_connection() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.sock");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = path.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(forward(connection, Way::Socket(socket.clone())));
            }
        });

        let mut early = TcpStream::connect(address).await.unwrap();
        assert_eq!(early.read(&mut [0; 1]).await.unwrap_or(0), 0);

        let bridge = UnixListener::bind(&path).unwrap();
        let mut inner = TcpStream::connect(address).await.unwrap();
        inner.write_all(b"question").await.unwrap();
        let (mut outer, _) = bridge.accept().await.unwrap();
        let mut question = [0; 8];
        outer.read_exact(&mut question).await.unwrap();
        outer.write_all(b"answer").await.unwrap();
        outer.shutdown().await.unwrap();
        let mut answer = String::new();
        inner.read_to_string(&mut answer).await.unwrap();
        assert_eq!((&question, answer.as_str()), (b"question", "answer"));
    }
}
