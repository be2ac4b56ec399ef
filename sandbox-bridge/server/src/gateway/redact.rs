//! Takes a secret out of an answer that streams by, should the other side send it back.
//!
//! The secret is overwritten in place, so lengths stay true. Only bytes that could be the beginning of the secret are held back
//! until the next chunk.

use bytes::{Bytes, BytesMut};

/// Overwrites every occurrence of some secrets in a stream of chunks.
pub(super) struct Redactor {
    secrets: Vec<Vec<u8>>,
    held: BytesMut,
}

impl Redactor {
    /// A redactor for these secrets; empty ones are passed over.
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let secrets =
            secrets.into_iter().map(String::into_bytes).filter(|secret| !secret.is_empty()).collect();
        Self { secrets, held: BytesMut::new() }
    }

    /// What can be passed on after this chunk.
    pub(super) fn pass(&mut self, chunk: Bytes) -> Bytes {
        if self.held.is_empty() && !self.secrets.iter().any(|secret| touches(&chunk, secret)) {
            return chunk;
        }
        self.held.extend_from_slice(&chunk);
        for secret in &self.secrets {
            while let Some(at) = find(&self.held, secret) {
                if let Some(place) = self.held.get_mut(at..at + secret.len()) {
                    place.fill(b'*');
                }
            }
        }
        let keep = self.secrets.iter().map(|secret| begun(&self.held, secret)).max().unwrap_or(0);
        self.held.split_to(self.held.len() - keep).freeze()
    }

    /// What was held back when the stream ended: no secret, since it is not complete.
    pub(super) fn finish(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

fn touches(chunk: &[u8], secret: &[u8]) -> bool {
    find(chunk, secret).is_some() || begun(chunk, secret) > 0
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Length of the longest beginning of `secret`, short of all of it, with which `chunk` ends.
fn begun(chunk: &[u8], secret: &[u8]) -> usize {
    (1..secret.len())
        .rev()
        .find(|len| secret.get(..*len).is_some_and(|start| chunk.ends_with(start)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str, sizes: &[usize], secrets: &[&str]) -> String {
        let mut redactor = Redactor::new(secrets.iter().map(ToString::to_string));
        let mut rest = Bytes::copy_from_slice(text.as_bytes());
        let mut out = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let chunk = rest.split_to((*size).min(rest.len()));
            out.extend_from_slice(&redactor.pass(chunk));
        }
        out.extend_from_slice(&redactor.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_secret_is_found_across_every_chunk_border() {
        let text = "x canary canarcanary y canar";
        for first in 1..text.len() {
            for then in 1..text.len() {
                let out = stream(text, &[first, then], &["canary"]);
                assert_eq!(out, "x ****** canar****** y canar", "chunks of {first} and {then}");
            }
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_passed_on_at_once() {
        let mut redactor = Redactor::new(["secret".to_owned()]);
        assert_eq!(redactor.pass(Bytes::from_static(b"data: hello\n")), "data: hello\n");
        assert_eq!(redactor.pass(Bytes::from_static(b"my sec")), "my ");
        assert_eq!(redactor.pass(Bytes::from_static(b"ond")), "second");
        assert_eq!(redactor.finish(), "");
    }

    #[test]
    fn several_secrets_are_found() {
        assert_eq!(stream("a token b b64 c", &[3], &["token", "b64", ""]), "a ***** b *** c");
    }
}
