//! OpenCode's stream of server-sent events as frames; ends with an error when it breaks or falls silent. Used by `opencode`.

use super::client::ClientError;
use super::wire::{Frame, Payload};
use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest_plain::Response;
use std::time::Duration;
use tokio::time::timeout;

/// OpenCode sends a heartbeat every 10 s.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A longer frame is not kept.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An open stream.
pub(super) struct EventStream {
    chunks: BoxStream<'static, reqwest_plain::Result<Vec<u8>>>,
    frames: FrameReader,
}

impl EventStream {
    /// Waits until the server says that it is connected: no event after that is missed.
    pub(super) async fn open(response: Response) -> Result<Self, ClientError> {
        let chunks = response.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec())).boxed();
        let mut stream = Self { chunks, frames: FrameReader::default() };
        while stream.next().await?.kind != "server.connected" {}
        Ok(stream)
    }

    /// The next event. Safe to be dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Payload, ClientError> {
        loop {
            while let Some(data) = self.frames.next() {
                // A frame of another shape is one of a newer version.
                if let Ok(frame) = serde_json::from_slice::<Frame>(&data) {
                    return Ok(frame.payload);
                }
            }
            let chunk = timeout(SILENCE_MAX, self.chunks.next()).await;
            let chunk = chunk.map_err(|_| ClientError::Stream("fell silent"))?;
            self.frames.feed(&chunk.ok_or(ClientError::Stream("ended"))??);
            if self.frames.buffer.len() > FRAME_BYTES_MAX {
                return Err(ClientError::Stream("sent a frame that is too long"));
            }
        }
    }
}

/// Splits bytes into the data of events.
#[derive(Default)]
struct FrameReader {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were taken already.
    taken: usize,
    /// Bytes in which no end of a frame was found.
    searched: usize,
}

impl FrameReader {
    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.searched = self.searched.saturating_sub(self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let from = self.searched.max(self.taken);
        let rest = self.buffer.get(from..)?;
        let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n").map(|end| from + end) else {
            self.searched = self.buffer.len().saturating_sub(1).max(self.taken);
            return None;
        };
        let frame = self.buffer.get(self.taken..end)?;
        let lines = frame.split(|byte| *byte == b'\n');
        let data: Vec<_> =
            lines.filter_map(|line| line.strip_prefix(b"data:")).map(|line| line.trim_ascii()).collect();
        let data = data.join(&b'\n');
        self.taken = end + 2;
        self.searched = self.taken;
        Some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_are_the_same_however_the_bytes_are_cut(cuts in prop::collection::vec(1..9_usize, 0..40)) {
            let bytes = b"data: {\"a\":1}\n\n: comment\ndata: x\ndata: y\n\n\n\ndata:z\n\ndata: unfinished";
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            let (mut rest, mut cuts) = (bytes.as_slice(), cuts.into_iter());
            while !rest.is_empty() {
                let (chunk, later) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
                rest = later;
                reader.feed(chunk);
                while let Some(frame) = reader.next() {
                    frames.push(String::from_utf8(frame).unwrap());
                }
            }
            prop_assert_eq!(frames, ["{\"a\":1}", "x\ny", "", "z"]);
        }
    }
}
