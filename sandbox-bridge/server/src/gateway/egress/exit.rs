//! From an allowed name to a connection: resolve, check each address, connect to exactly a checked one.
//!
//! The name is resolved once per connection and never again, so an answer that changes afterwards changes nothing. What flows is
//! counted, and a connection on which nothing flows ends.

use super::address::{Reach, reach};
use super::host::{HostName, Target};
use super::policy::Permit;
use super::reason::{Reason, Refused};
use super::state::Counters;
use futures::future::BoxFuture;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};

/// Longest wait for the name service.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses that are tried.
const ADDRESSES_MAX: usize = 6;
/// Each lookup of the system's holds a thread.
const LOOKUPS_MAX: usize = 64;

/// Answers which addresses a name has.
pub trait Resolver: Send + Sync + 'static {
    /// All of them, best first.
    fn resolve<'a>(&'a self, host: &'a HostName) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The name service of this machine.
pub struct SystemResolver {
    free: Semaphore,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { free: Semaphore::new(LOOKUPS_MAX) }
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a HostName) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let _one = self.free.acquire().await;
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Connects sandboxes to what they may reach.
pub(super) struct Exit {
    resolver: Arc<dyn Resolver>,
    idle_timeout: Duration,
}

impl Exit {
    pub(super) fn new(resolver: Arc<dyn Resolver>, idle_timeout: Duration) -> Self {
        Self { resolver, idle_timeout }
    }

    /// A connection to one of the target's addresses that its permit covers.
    pub(super) async fn connect(
        &self,
        target: &Target,
        permit: Permit,
        counters: Arc<Counters>,
    ) -> Result<Metered<TcpStream>, Refused> {
        let refused = |reason| Refused::at(target, reason);
        let found = tokio::time::timeout(RESOLVE_TIMEOUT, self.resolver.resolve(&target.host)).await;
        let found = found.ok().and_then(Result::ok).filter(|found| !found.is_empty());
        let found = found.ok_or_else(|| refused(Reason::HostUnknown))?;
        let mut checked = found.into_iter().filter(|address| may_connect(*address, permit)).peekable();
        if checked.peek().is_none() {
            return Err(refused(Reason::AddressNotPublic));
        }
        for address in checked.take(ADDRESSES_MAX) {
            let connecting = TcpStream::connect(SocketAddr::new(address, target.port));
            if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                // Without it small records wait for the other side's acknowledgement.
                let _ = stream.set_nodelay(true);
                return Ok(Metered::new(stream, counters, self.idle_timeout));
            }
        }
        Err(refused(Reason::HostUnreachable))
    }
}

fn may_connect(address: IpAddr, permit: Permit) -> bool {
    match reach(address) {
        Reach::Public => true,
        Reach::Private => permit.private,
        Reach::Forbidden => false,
    }
}

/// A connection to the outside whose bytes are counted, and which fails when nothing flows for too long.
pub(super) struct Metered<S> {
    stream: S,
    counters: Arc<Counters>,
    idle_timeout: Duration,
    flowed_at: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Metered<S> {
    fn new(stream: S, counters: Arc<Counters>, idle_timeout: Duration) -> Self {
        let alarm = Box::pin(tokio::time::sleep(idle_timeout));
        Self { stream, counters, idle_timeout, flowed_at: Instant::now(), alarm }
    }

    /// Pending until the time is up; what flowed meanwhile moves the alarm only when it rings.
    fn poll_idle<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let until = self.flowed_at + self.idle_timeout;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(until);
        }
    }

    fn after_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.flowed_at = Instant::now();
                self.counters.add_sent(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_idle(cx),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                self.flowed_at = Instant::now();
                self.counters.add_received(buf.filled().len() - before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_idle(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.after_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.after_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers with what is next in its list.
    struct Flipping(Mutex<Vec<Vec<IpAddr>>>);

    impl Resolver for Flipping {
        fn resolve<'a>(&'a self, _: &'a HostName) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            let answer = self.0.lock().unwrap().pop().ok_or_else(|| io::ErrorKind::NotFound.into());
            Box::pin(async move { answer })
        }
    }

    fn exit(answers: &[&[&str]]) -> Exit {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        let resolver = Flipping(Mutex::new(answers.iter().rev().map(parse).collect()));
        Exit::new(Arc::new(resolver), Duration::from_secs(60))
    }

    const PUBLIC: Permit = Permit { private: false, read_only: false, inspected: false };
    const PRIVATE: Permit = Permit { private: true, ..PUBLIC };

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_before_anything_is_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target =
            Target::parse(&format!("a.example:{}", listener.local_addr().unwrap().port()), None).unwrap();
        let inside: [&[&str]; 7] = [
            &["127.0.0.1"],
            &["::ffff:127.0.0.1"],
            &["::1"],
            &["169.254.169.254"],
            &["10.0.0.1", "127.0.0.1"],
            &["64:ff9b::7f00:1"],
            &["0.0.0.0"],
        ];
        let exit = exit(&inside);
        for addresses in inside {
            let refused = exit.connect(&target, PUBLIC, Arc::default()).await.err().unwrap();
            assert_eq!(refused.reason, Reason::AddressNotPublic, "{addresses:?}");
        }
        assert_eq!(
            exit.connect(&target, PUBLIC, Arc::default()).await.err().unwrap().reason,
            Reason::HostUnknown
        );
        let accepted = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(accepted.is_err(), "something was connected");
    }

    #[tokio::test]
    async fn what_was_checked_is_what_is_connected_and_bad_addresses_among_good_ones_are_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target =
            Target::parse(&format!("a.example:{}", listener.local_addr().unwrap().port()), None).unwrap();
        let exit = exit(&[&["169.254.169.254", "127.0.0.1"], &["169.254.169.254"]]);
        let counters = Arc::new(Counters::default());
        let mut stream = exit.connect(&target, PRIVATE, counters.clone()).await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        stream.write_all(b"there").await.unwrap();
        other.write_all(b"and back").await.unwrap();
        let mut back = [0; 8];
        stream.read_exact(&mut back).await.unwrap();
        let read = counters.read();
        assert_eq!((&back, read.sent_bytes, read.received_bytes), (b"and back", 5, 8));
        // The second answer of the same name is judged anew.
        let refused = exit.connect(&target, PRIVATE, counters).await.err().unwrap();
        assert_eq!(refused.reason, Reason::AddressNotPublic);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_flows_ends() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Metered::new(near, Arc::default(), Duration::from_secs(10));
        let begin = Instant::now();
        far.write_all(b"x").await.unwrap();
        let mut one = [0; 1];
        tokio::time::sleep(Duration::from_secs(7)).await;
        near.read_exact(&mut one).await.unwrap();
        let error = near.read(&mut one).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), 17);
    }
}
