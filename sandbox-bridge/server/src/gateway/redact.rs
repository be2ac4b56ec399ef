//! Takes secrets out of what streams by, should the other side send them back.
//!
//! A secret is overwritten in place, so lengths stay true. Only bytes that could be the beginning of a secret are held back until
//! the next chunk. Used for answers to sandboxes and for the bridge's own log.

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use std::collections::BTreeSet;

/// Overwrites every occurrence of some secrets in a stream of chunks.
pub(crate) struct Redactor {
    /// The longest first: one secret may be part of another.
    secrets: Vec<memmem::Finder<'static>>,
    held: BytesMut,
}

impl Redactor {
    /// A redactor for these secrets; empty ones are passed over.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let distinct: BTreeSet<String> = secrets.into_iter().filter(|secret| !secret.is_empty()).collect();
        let mut secrets: Vec<_> =
            distinct.iter().map(|secret| memmem::Finder::new(secret.as_bytes()).into_owned()).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.needle().len()));
        Self { secrets, held: BytesMut::new() }
    }

    /// What can be passed on after this chunk.
    pub(crate) fn pass(&mut self, chunk: Bytes) -> Bytes {
        if self.held.is_empty() && !self.secrets.iter().any(|secret| touches(&chunk, secret)) {
            return chunk;
        }
        self.held.extend_from_slice(&chunk);
        let keep = self.secrets.iter().map(|secret| begun(&self.held, secret.needle())).max().unwrap_or(0);
        let passed = self.held.len() - keep;
        overwrite(&mut self.held, passed, &self.secrets);
        self.held.split_to(passed).freeze()
    }

    /// What was held back when the stream ended.
    pub(crate) fn finish(&mut self) -> Bytes {
        let end = self.held.len();
        overwrite(&mut self.held, end, &self.secrets);
        self.held.split().freeze()
    }

    /// A text that is complete.
    pub(crate) fn whole(&self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        let end = text.len();
        overwrite(&mut text, end, &self.secrets);
        text
    }
}

/// The forms in which a secret may come back: as it is, and as it stands in JSON, in a URL, and in Base64.
pub(crate) fn forms(secret: &str) -> Vec<String> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    let slashed = json.replace('/', "\\/");
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    vec![secret.to_owned(), json, slashed, url.replace('+', "%20"), url, STANDARD.encode(secret)]
}

/// Overwrites the secrets that begin before `end`.
fn overwrite(text: &mut [u8], end: usize, secrets: &[memmem::Finder]) {
    for secret in secrets {
        let len = secret.needle().len();
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| secret.find(rest)).map(|at| from + at) {
            if at >= end {
                break;
            }
            if let Some(place) = text.get_mut(at..at + len) {
                place.fill(b'*');
            }
            from = at + len;
        }
    }
}

fn touches(chunk: &[u8], secret: &memmem::Finder) -> bool {
    secret.find(chunk).is_some() || begun(chunk, secret.needle()) > 0
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

    #[test]
    fn a_secret_inside_of_another_gives_nothing_of_it_away() {
        let text = "abc abcdef abcd xabcdef";
        for first in 1..text.len() {
            assert_eq!(stream(text, &[first, 1], &["abc", "abcdef"]), "*** ****** ***d x******", "{first}");
        }
    }

    #[test]
    fn a_secret_is_known_in_the_forms_in_which_it_comes_back() {
        let secret = "a/b+c=\"d é";
        let all = forms(secret);
        let json = serde_json::json!({ "echo": secret }).to_string();
        let url = "https://x/?q=a%2Fb%2Bc%3D%22d%20%C3%A9";
        for echo in [secret, json.as_str(), url, r#""a\/b+c=\"d é""#, "YS9iK2M9ImQgw6k="] {
            let out = stream(echo, &[3], &all.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(out.contains("*****") && !out.contains("b+c") && !out.contains("b%2B"), "{echo}: {out}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_cutting_of_a_stream_lets_a_secret_through(
            parts in proptest::collection::vec(proptest::prop_oneof![
                proptest::strategy::Just("canary".to_owned()),
                proptest::strategy::Just("canary-long".to_owned()),
                proptest::string::string_regex("[cany -]{0,6}").unwrap(),
            ], 0..12),
            sizes in proptest::collection::vec(1_usize..9, 1..8),
        ) {
            let text = parts.concat();
            let out = stream(&text, &sizes, &["canary", "canary-long"]);
            proptest::prop_assert_eq!(out.len(), text.len());
            proptest::prop_assert!(!out.contains("canary"));
            let expected = text.replace("canary-long", &"*".repeat(11)).replace("canary", "******");
            proptest::prop_assert_eq!(out, expected);
        }
    }
}
