//! Which requests a proxy treats otherwise than by passing them on. Pure.

/// What happens with a request instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is not passed on, and its connection is reset.
    LoseRequest,
    /// It is carried out; its connection is reset when the answer begins: a lost acknowledgement.
    LoseAnswer,
    /// It is carried out; the answer is kept back, and nobody learns of it until the connections are released or cut.
    HoldAnswer,
    /// It is not passed on; the proxy answers itself.
    Answer {
        /// HTTP status.
        status: u16,
        /// JSON.
        body: String,
    },
    /// The same, signed as the bridge with this key: a refusal that counts.
    AnswerAsBridge {
        /// HTTP status.
        status: u16,
        /// JSON.
        body: String,
        /// Shared by edge and bridge.
        key: String,
    },
}

/// Requests by method and a part of their path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    method: String,
    path: String,
    then: Then,
    every: u64,
    left: u64,
    seen: u64,
}

impl Rule {
    /// For each request with this method whose path contains `path`.
    #[must_use]
    pub fn new(method: &str, path: &str, then: Then) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), then, every: 1, left: u64::MAX, seen: 0 }
    }

    /// Only so often.
    #[must_use]
    pub fn times(self, left: u64) -> Self {
        Self { left, ..self }
    }

    /// Only the first of this many, and the first after those, and so on.
    #[must_use]
    pub fn every(self, every: u64) -> Self {
        Self { every: every.max(1), ..self }
    }

    /// What is to happen with this request; counts it.
    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<Then> {
        if self.left == 0 || method != self.method || !path.contains(&self.path) {
            return None;
        }
        let is_due = self.seen.is_multiple_of(self.every);
        self.seen += 1;
        is_due.then(|| {
            self.left -= 1;
            self.then.clone()
        })
    }
}

/// Method and path of the request that begins with these bytes; `None` when none does.
pub(super) fn request_line(bytes: &[u8]) -> Option<(&str, &str)> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    let line = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut words = line.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_method && version.starts_with("HTTP/1.")).then_some((method, path))
}

/// How many bytes of the request that begins with these are still to come.
pub(super) fn missing_bytes(bytes: &[u8]) -> u64 {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return 0 };
    let text = String::from_utf8_lossy(bytes.get(..head).unwrap_or_default()).to_ascii_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<u64>().ok());
    let here = (bytes.len() - head - 4) as u64;
    length.unwrap_or(0).saturating_sub(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_counts_what_fits() {
        let mut rule = Rule::new("POST", "/events", Then::LoseAnswer).every(2).times(2);
        let mut take = |method: &str, path: &str| rule.take(method, path).is_some();
        assert!(!take("GET", "/api/events"));
        assert!(!take("POST", "/api/attached"));
        let taken: Vec<bool> = (0..6).map(|_| take("POST", "/api/events")).collect();
        assert_eq!(taken, [true, false, true, false, false, false]);
    }

    #[test]
    fn the_beginning_of_a_request_is_known() {
        let request = b"PUT /sandboxes/sbx_1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";
        assert_eq!(request_line(request), Some(("PUT", "/sandboxes/sbx_1")));
        assert_eq!(missing_bytes(request), 7);
        for other in
            [&b"\x81\x85\x01\x02\x03\x04"[..], b"HTTP/1.1 200 OK\r\n", b"put / HTTP/1.1\r\n", b"GET /"]
        {
            assert_eq!(request_line(other), None, "{other:?}");
        }
    }
}
