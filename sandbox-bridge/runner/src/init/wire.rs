//! Frames of the control socket: reading them without losing any when a wait is given up, and writing them.

use protocol::supervisor::{FRAME_HEADER_BYTES, FrameKind, frame, parse_frame_header};
use serde::Serialize;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Reads frames. What a cancelled read got is kept for the next one.
pub(super) struct FrameReader<R> {
    reader: R,
    buffer: Vec<u8>,
    filled: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; FRAME_HEADER_BYTES], filled: 0 }
    }

    /// The next frame; `None` at the end of the stream, wherever that is.
    pub(super) async fn next(&mut self) -> io::Result<Option<(FrameKind, Vec<u8>)>> {
        loop {
            if let Some(header) = self.buffer.first_chunk().filter(|_| self.filled >= FRAME_HEADER_BYTES) {
                let (kind, length) = parse_frame_header(*header).map_err(io::Error::other)?;
                let whole = FRAME_HEADER_BYTES + length;
                self.buffer.resize(whole, 0);
                if self.filled == whole {
                    self.filled = 0;
                    let content = self.buffer.split_off(FRAME_HEADER_BYTES);
                    return Ok(Some((kind, content)));
                }
            }
            let rest = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match self.reader.read(rest).await? {
                0 => return Ok(None),
                count => self.filled += count,
            }
        }
    }

    /// The stream, for bytes that are not in frames. Nothing of them has been read.
    pub(super) fn into_inner(self) -> R {
        self.reader
    }
}

/// Writes one frame.
pub(super) async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    kind: FrameKind,
    content: &[u8],
) -> io::Result<()> {
    writer.write_all(&frame(kind, content)).await
}

/// Writes one frame of JSON.
pub(super) async fn write_json<T: Serialize>(
    writer: &mut (impl AsyncWrite + Unpin),
    kind: FrameKind,
    value: &T,
) -> io::Result<()> {
    write(writer, kind, &serde_json::to_vec(value)?).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn frames_arrive_whole_however_they_are_cut_and_cancelled() {
        let (mut near, far) = tokio::io::duplex(3);
        let mut reader = FrameReader::new(far);
        let bytes = [frame(FrameKind::Input, b"abcdefgh"), frame(FrameKind::Input, b"")].concat();
        let writing = tokio::spawn(async move {
            near.write_all(&bytes).await.unwrap();
            near
        });
        let mut frames = Vec::new();
        while frames.len() < 2 {
            // Polled once and dropped, again and again.
            tokio::select! {
                biased;
                frame = reader.next() => frames.push(frame.unwrap().unwrap()),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(frames, [(FrameKind::Input, b"abcdefgh".to_vec()), (FrameKind::Input, Vec::new())]);
        drop(writing.await.unwrap());
        assert_eq!(reader.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_an_error_and_not_an_allocation() {
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(&[0, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
        let outcome = tokio::time::timeout(Duration::from_secs(5), FrameReader::new(far).next()).await;
        assert!(outcome.unwrap().unwrap_err().to_string().contains("too long"));
    }
}
