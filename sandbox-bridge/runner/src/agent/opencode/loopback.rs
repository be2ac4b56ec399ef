//! As much of an HTTP server as OpenCode needs to be answered on loopback: one request for each connection. Used by `warm` and `door`.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// Reads a request to its end; one that is too long is cut.
pub(super) async fn read_request(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while !is_whole(&request) && request.len() < REQUEST_BYTES_MAX {
        let length = socket.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        request.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    Ok(request)
}

/// Answers, and ends the connection.
pub(super) async fn answer(socket: &mut TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await?;
    socket.shutdown().await
}

/// Whether head and body have arrived. Without a length the end of the body shows by its closing chunk.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(request.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) => request.len() >= end + 4 + length,
        None if head.starts_with("get ") => true,
        None => request.ends_with(b"0\r\n\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_last_byte() {
        assert!(is_whole(b"GET /pass HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!is_whole(b"GET /pass HTTP/1.1\r\nHost: a\r\n"));
        assert!(!is_whole(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"));
        assert!(is_whole(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"));
        assert!(!is_whole(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"));
        assert!(is_whole(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"));
    }
}
