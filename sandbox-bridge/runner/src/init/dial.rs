//! Connects the bridge to a port that something inside the sandbox listens on. Reads nothing of what passes.

use super::control::{Refusal, answer};
use super::wire::FrameReader;
use super::{BUFFER_BYTES, LISTEN};
use protocol::supervisor::{RefusalReason, SupervisorAnswer};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{copy_bidirectional_with_sizes, join};
use tokio::net::TcpStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// On loopback an answer is immediate unless the other side's queue is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Refuses, or answers and passes bytes on until both sides have ended.
pub(super) async fn serve(
    port: u16,
    reader: FrameReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
) -> Result<(), Option<Refusal>> {
    if std::process::id() != 1 {
        let text = "this sandbox has no network of its own, so a port here may be anybody's";
        return Err(Some(Refusal(RefusalReason::Unsupported, text.to_owned())));
    }
    if LISTEN.parse().is_ok_and(|own: SocketAddr| own.port() == port) {
        // Whoever came in through it would go out as this sandbox.
        let text = format!("port {port} leads back to the bridge");
        return Err(Some(Refusal(RefusalReason::Rejected, text)));
    }
    let mut inner = connect(port).await.map_err(|error| {
        let text = if error.kind() == io::ErrorKind::ConnectionRefused {
            format!("nothing listens on port {port} in the sandbox")
        } else {
            format!("could not connect to port {port} in the sandbox: {error}")
        };
        Some(Refusal(RefusalReason::PortClosed, text))
    })?;
    answer(writer, &SupervisorAnswer::Connected).await.map_err(|_| None)?;
    let mut outer = join(reader.into_inner(), writer);
    let _ = copy_bidirectional_with_sizes(&mut outer, &mut inner, BUFFER_BYTES, BUFFER_BYTES).await;
    Ok(())
}

/// Servers on `localhost` listen on one of the two addresses, often on one only.
async fn connect(port: u16) -> io::Result<TcpStream> {
    let to = async |address: IpAddr| {
        let connecting = TcpStream::connect((address, port));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??;
        stream.set_nodelay(true)?;
        io::Result::Ok(stream)
    };
    match to(Ipv4Addr::LOCALHOST.into()).await {
        Ok(stream) => Ok(stream),
        Err(error) => to(Ipv6Addr::LOCALHOST.into()).await.map_err(|_| error),
    }
}
