//! A network of a fake sandbox's own: a loopback on which nothing but the sandbox listens, so that several may use the same ports, and
//! ways from there to ports of this machine.
//!
//! The new process opens the listeners between fork and exec, because a socket stays in the network that it was made in, and hands
//! them to the stand-in, which passes connections on.

use super::process::Exit;
use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn, bind, listen,
    recvmsg, socket,
};
use std::io::{self, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The new process's part.
pub(super) struct Inside {
    ports: Vec<u16>,
    to_outside: UnixStream,
}

/// The stand-in's part.
pub(super) struct Outside {
    ports: Vec<u16>,
    from_inside: UnixStream,
}

/// Both parts, for ways to these ports.
pub(super) fn pair(ports: &[u16]) -> io::Result<(Inside, Outside)> {
    let (to_outside, from_inside) = UnixStream::pair()?;
    Ok((Inside { ports: ports.to_owned(), to_outside }, Outside { ports: ports.to_owned(), from_inside }))
}

impl Inside {
    /// Makes the loopback work and sends its listeners out. To be called in the new network, between fork and exec: it makes system
    /// calls, and neither allocates nor takes a lock.
    pub(super) fn open(&self) -> io::Result<()> {
        raise_loopback()?;
        for port in &self.ports {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let listener = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
            let [a, b, c, d] = Ipv4Addr::LOCALHOST.octets();
            bind(listener.as_raw_fd(), &SockaddrIn::new(a, b, c, d, *port))?;
            listen(&listener, Backlog::MAXCONN)?;
            send(&self.to_outside, &listener)?;
        }
        Ok(())
    }
}

impl Outside {
    /// Passes connections on until the process has ended. The process has been started.
    pub(super) fn serve(self, exit: &watch::Receiver<Option<Exit>>) -> io::Result<()> {
        for port in &self.ports {
            let listener = std::net::TcpListener::from(receive(&self.from_inside)?);
            tokio::spawn(pass_on(TcpListener::from_std(listener)?, *port, exit.clone()));
        }
        Ok(())
    }
}

async fn pass_on(listener: TcpListener, port: u16, mut exit: watch::Receiver<Option<Exit>>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = exit.wait_for(Option::is_some) => return,
        };
        let Ok((mut inner, _)) = accepted else { return };
        tokio::spawn(async move {
            // Nobody there: the connection ends, as one that is refused does a moment later.
            if let Ok(mut outer) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            }
        });
    }
}

fn raise_loopback() -> io::Result<()> {
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: zeros are a request without a name; the call reads the struct, which this frame owns. See netdevice(7).
    let result = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
            *to = libc::c_char::from_ne_bytes([*from]);
        }
        request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
        libc::ioctl(any.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// One descriptor, without allocating; see cmsg(3).
fn send(through: &UnixStream, what: &OwnedFd) -> io::Result<()> {
    let fd = what.as_raw_fd();
    let mut byte = [0_u8; 1];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    let mut space = [0_u64; 8];
    // SAFETY: the header and what it points to are this frame's; the space has the alignment of a control message and is larger than
    // one descriptor needs.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        message.msg_control = space.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of_val(&fd) as libc::c_uint) as usize;
        let control = libc::CMSG_FIRSTHDR(&raw const message);
        (*control).cmsg_level = libc::SOL_SOCKET;
        (*control).cmsg_type = libc::SCM_RIGHTS;
        (*control).cmsg_len = libc::CMSG_LEN(size_of_val(&fd) as libc::c_uint) as usize;
        libc::CMSG_DATA(control).cast::<libc::c_int>().write_unaligned(fd);
        libc::sendmsg(through.as_raw_fd(), &raw const message, 0)
    };
    if sent == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn receive(from: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = [0_u8; 1];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!([libc::c_int; 1]);
    let received = recvmsg::<()>(from.as_raw_fd(), &mut data, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = message
            && let Some(fd) = fds.first()
        {
            // SAFETY: the kernel has just made this descriptor for us.
            return Ok(unsafe { OwnedFd::from_raw_fd(*fd) });
        }
    }
    Err(io::Error::other("the new process has sent no listener"))
}
