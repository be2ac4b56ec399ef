//! A23: every way out that does not lead through the bridge, and every spelling of an address that the bridge must not take.

use crate::attempt::{Attempt, Must, Tried, errno};
use crate::facts::Facts;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::time::Duration;

const TIME: Duration = Duration::from_secs(3);
/// The bridge's socket, which PID 1 forwards to.
const DOOR: &str = "/run/farhand/socket/bridge.sock";

/// Public, private, metadata and link-local.
const ADDRESSES: &[&str] = &[
    "1.1.1.1",
    "8.8.8.8",
    "169.254.169.254",
    "10.0.0.1",
    "172.17.0.1",
    "192.168.0.1",
    "100.100.100.200",
    "224.0.0.1",
    "255.255.255.255",
    "2606:4700:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
];
const PORTS: &[u16] = &[22, 53, 80, 443];

/// The loopback and metadata addresses in every spelling that some parser takes.
const SPELLINGS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "127.000.000.001",
    "0",
    "0.0.0.0",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[::1%lo]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "sandbox",
    "ip6-localhost",
    "127.0.0.1.nip.io",
    "localtest.me",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "169.254.169.254",
    "2852039166",
    "[fd00:ec2::254]",
    "metadata.google.internal",
    "1.1.1.1",
    "16843009",
    "[2606:4700:4700::1111]",
];

/// Names that no list has, some of them dressed up as one that a list may have.
const NAMES: &[&str] = &[
    "example.com",
    "EXAMPLE.COM",
    "example.com.",
    "github.com.evil.example",
    "evilgithub.com",
    "github.com@evil.example",
    "github.com%00.evil.example",
    "github.com#.evil.example",
    "xn--gthub-n4a.com",
    "gıthub.com",
    "*.github.com",
    "",
];

pub(crate) fn attempts(facts: &Facts) -> Vec<Attempt> {
    let mut all = direct();
    all.extend(host(facts));
    all.extend(names());
    all.extend(through_the_bridge(facts));
    all.push(Attempt::new("A23", "a network device beside loopback", Must::Fail, || {
        let text = std::fs::read_to_string("/proc/net/dev").map_err(errno)?;
        let devices = text.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim);
        some(devices.filter(|name| *name != "lo").map(str::to_owned).collect())
    }));
    all.push(Attempt::new("A23", "a route", Must::Fail, || {
        let text = std::fs::read_to_string("/proc/net/route").map_err(errno)?;
        some(text.lines().skip(1).map(str::to_owned).collect())
    }));
    all
}

/// What was found, where nothing should be.
pub(crate) fn some(found: Vec<String>) -> Tried {
    if found.is_empty() { Err(0) } else { Ok(found.join(", ")) }
}

fn connect(address: SocketAddr) -> Tried {
    TcpStream::connect_timeout(&address, TIME).map(|_| format!("connected to {address}")).map_err(errno)
}

fn send(address: SocketAddr) -> Tried {
    let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(own).map_err(errno)?;
    let _ = socket.set_broadcast(true);
    socket.send_to(b"farhand", address).map(|sent| format!("sent {sent} bytes to {address}")).map_err(errno)
}

fn direct() -> Vec<Attempt> {
    let mut all = Vec::new();
    for text in ADDRESSES {
        let Ok(ip) = text.parse::<IpAddr>() else { continue };
        for port in PORTS {
            let address = SocketAddr::new(ip, *port);
            all.push(Attempt::new("A23", format!("TCP to {address}"), Must::Fail, move || connect(address)));
            all.push(Attempt::new("A23", format!("UDP to {address}"), Must::Fail, move || send(address)));
        }
    }
    all
}

/// The host's own loopback and Unix sockets.
fn host(facts: &Facts) -> Vec<Attempt> {
    let mut all = Vec::new();
    for ip in ["127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", "::"] {
        let Ok(ip) = ip.parse::<IpAddr>() else { continue };
        let address = SocketAddr::new(ip, facts.host_port);
        all.push(Attempt::new("A23", format!("host's loopback by {ip}"), Must::Fail, move || {
            connect(address)
        }));
    }
    let path = facts.host_socket.clone();
    all.push(Attempt::new("A23", "host's Unix socket", Must::Fail, move || {
        UnixStream::connect(&path).map(|_| "connected".to_owned()).map_err(errno)
    }));
    let name = facts.host_abstract_socket.clone();
    all.push(Attempt::new("A23", "host's abstract socket", Must::Fail, move || {
        let address = UnixAddress::from_abstract_name(name.as_bytes()).map_err(errno)?;
        UnixStream::connect_addr(&address).map(|_| "connected".to_owned()).map_err(errno)
    }));
    all.push(Attempt::new("A23", "a listing of the host's abstract sockets", Must::Fail, || {
        let text = std::fs::read_to_string("/proc/net/unix").map_err(errno)?;
        let names = text.lines().filter_map(|line| line.split_ascii_whitespace().nth(7));
        some(names.filter(|name| name.starts_with('@')).map(str::to_owned).collect())
    }));
    for path in [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
        "/tmp/.X11-unix/X0",
    ] {
        all.push(Attempt::new("A23", path, Must::Fail, move || {
            UnixStream::connect(path).map(|_| "connected".to_owned()).map_err(errno)
        }));
    }
    all
}

/// Resolving names, which would also be a way to carry data out.
fn names() -> Vec<Attempt> {
    let by_library = ["data-in-a-name.example.com"].map(|name| {
        Attempt::new("A23", format!("address of {name}"), Must::Fail, move || {
            let found = (name, 443).to_socket_addrs().map_err(errno)?;
            some(found.map(|address| address.to_string()).collect())
        })
    });
    let servers = ["127.0.0.53:53", "127.0.0.1:53", "127.0.0.11:53"].map(|server| {
        Attempt::new("A23", format!("answer of the name server {server}"), Must::Fail, move || {
            let socket = UdpSocket::bind("127.0.0.1:0").map_err(errno)?;
            socket.set_read_timeout(Some(Duration::from_millis(200))).map_err(errno)?;
            socket.connect(server).map_err(errno)?;
            let question =
                b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
            socket.send(question).map_err(errno)?;
            let length = socket.recv(&mut [0; 512]).map_err(errno)?;
            Ok(format!("{length} bytes"))
        })
    });
    by_library.into_iter().chain(servers).collect()
}

/// CONNECT, and a request with a whole URL, as clients send them to a proxy.
fn through_the_bridge(facts: &Facts) -> Vec<Attempt> {
    let mut all = vec![Attempt::new("A23", "no answer of the bridge at all", Must::Fail, || {
        match ask("GET /farhand-probe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") {
            Ok(_) | Err(ProxyError::Closed) => Err(0),
            Err(ProxyError::Unreachable(error)) => Ok(error),
        }
    })];
    let ports = [facts.host_port, 443, 80, 22];
    for host in SPELLINGS {
        for port in ports {
            all.extend(both_ways(host, port));
        }
    }
    for host in NAMES {
        for port in [443, 80, 22, 0] {
            all.extend(both_ways(host, port));
        }
    }
    all
}

fn both_ways(host: &'static str, port: u16) -> [Attempt; 2] {
    let requests = [
        ("CONNECT", format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")),
        (
            "GET",
            format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"),
        ),
    ];
    requests.map(|(verb, request)| {
        Attempt::new("A23", format!("{verb} {host:?}:{port} through the bridge"), Must::Fail, move || {
            match ask(&request) {
                Ok(line) if line.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) => Ok(line),
                Ok(_) | Err(ProxyError::Closed | ProxyError::Unreachable(_)) => Err(0),
            }
        })
    })
}

enum ProxyError {
    Unreachable(String),
    Closed,
}

/// Sends a request to the bridge; answers the first line of what comes back.
fn ask(request: &str) -> Result<String, ProxyError> {
    let unreachable = |error: std::io::Error| ProxyError::Unreachable(error.to_string());
    let stream = UnixStream::connect(DOOR).map_err(unreachable)?;
    stream.set_read_timeout(Some(TIME)).map_err(unreachable)?;
    (&stream).write_all(request.as_bytes()).map_err(|_| ProxyError::Closed)?;
    let mut line = String::new();
    match BufReader::new(stream).read_line(&mut line) {
        Ok(length) if length > 0 => Ok(line.trim_end().to_owned()),
        Ok(_) | Err(_) => Err(ProxyError::Closed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_are_all_different() {
        let mut all: Vec<&str> = SPELLINGS.iter().chain(NAMES).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
