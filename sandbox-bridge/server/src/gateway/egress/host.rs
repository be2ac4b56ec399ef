//! Names of hosts as clients and operators write them, brought to one form, and the patterns that allow them.
//!
//! Pure. An address in any spelling is no name here, so that nothing can be reached but by a name that was allowed.

use std::fmt;
use std::str::FromStr;

/// Longest name and longest label (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// Ports of an allowed host for which none was given.
const USUAL_PORTS: [u16; 2] = [443, 80];

/// Why a text is no name of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It is an address, in this or that spelling.
    #[error("it is an address; write the host's name")]
    Address,
    /// It has letters beyond ASCII.
    #[error("it is not ASCII; write it in its xn--… form (RFC 5890)")]
    NotAscii,
    /// It is neither.
    #[error("it is no host name")]
    Malformed,
    /// What stands behind the colon is no port.
    #[error("its port is not a number from 1 to 65535")]
    Port,
}

/// A name in its one form: lower case, ASCII, no dot at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if !text.is_ascii() {
            return Err(HostError::NotAscii);
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.starts_with('[') || name.contains(':') {
            return Err(HostError::Address);
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.split('.').all(is_label) {
            return Err(HostError::Malformed);
        }
        // What ends in a number is an IPv4 address to every parser of URLs: 127.1, 0x7f.1, 2130706433, 0177.0.0.1
        // (https://url.spec.whatwg.org/#ends-in-a-number-checker).
        if name.rsplit('.').next().is_some_and(is_number) {
            return Err(HostError::Address);
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= LABEL_BYTES_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        // Underscores are no letters of host names, and yet in use.
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_number(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_digit())
        || label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A host and a port that somebody wants to reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Whom.
    pub host: HostName,
    /// Where.
    pub port: u16,
}

impl Target {
    /// Reads `host:port`, or `host` where there is a usual port. User names in front have no place here.
    pub fn parse(authority: &str, usual_port: Option<u16>) -> Result<Self, HostError> {
        let (host, port) = split_port(authority)?;
        let port = port.or(usual_port).ok_or(HostError::Port)?;
        Ok(Self { host: HostName::parse(host)?, port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), HostError> {
    if authority.starts_with('[') || authority.matches(':').count() > 1 {
        return Err(HostError::Address);
    }
    let Some((host, port)) = authority.split_once(':') else { return Ok((authority, None)) };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or(HostError::Port)?;
    Ok((host, Some(port)))
}

/// Hosts that may be reached: one name, or everything below one, `*.example.org`; at one port, or at the usual two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    name: HostName,
    below: bool,
    port: Option<u16>,
}

impl HostPattern {
    /// Exactly one host at one port.
    #[must_use]
    pub fn exactly(target: Target) -> Self {
        Self { name: target.host, below: false, port: Some(target.port) }
    }

    /// Whether the name is meant, at whatever port.
    #[must_use]
    pub fn names(&self, host: &HostName) -> bool {
        if !self.below {
            return *host == self.name;
        }
        let above = host.as_str().strip_suffix(self.name.as_str());
        above.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }

    /// Whether this very port of the name is meant.
    #[must_use]
    pub fn allows(&self, target: &Target) -> bool {
        let port = self.port.map_or_else(|| USUAL_PORTS.contains(&target.port), |port| port == target.port);
        port && self.names(&target.host)
    }
}

impl HostPattern {
    /// Whether some name is meant by both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let is_below = |inner: &Self, outer: &Self| outer.below && outer.names(&inner.name);
        (self.name == other.name && self.below == other.below)
            || is_below(self, other)
            || is_below(other, self)
    }

    /// The hosts, as text, where the usual two ports are meant.
    pub(super) fn at_usual_ports(&self) -> Option<String> {
        let prefix = if self.below { "*." } else { "" };
        self.port.is_none().then(|| format!("{prefix}{}", self.name))
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |error: HostError| {
            format!("{text:?} is not HOST[:PORT], such as registry.example or *.cdn.example:8443: {error}")
        };
        let (host, port) = split_port(text.trim()).map_err(wrong)?;
        let (host, below) = host.strip_prefix("*.").map_or((host, false), |rest| (rest, true));
        Ok(Self { name: HostName::parse(host).map_err(wrong)?, below, port })
    }
}

impl<'de> serde::Deserialize<'de> for HostPattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form() {
        for (text, expected) in [
            ("Registry.Example", Ok("registry.example")),
            ("registry.example.", Ok("registry.example")),
            ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
            ("a_b.example", Ok("a_b.example")),
            ("localhost", Ok("localhost")),
            ("bücher.example", Err(HostError::NotAscii)),
            ("ⓔxample.org", Err(HostError::NotAscii)),
            ("registry.example..", Err(HostError::Malformed)),
            (".example", Err(HostError::Malformed)),
            ("", Err(HostError::Malformed)),
            (".", Err(HostError::Malformed)),
            ("-a.example", Err(HostError::Malformed)),
            ("a%2eexample", Err(HostError::Malformed)),
            ("a b", Err(HostError::Malformed)),
            ("user@a.example", Err(HostError::Malformed)),
            ("a.example/x", Err(HostError::Malformed)),
            ("a\0.example", Err(HostError::Malformed)),
        ] {
            assert_eq!(
                HostName::parse(text).as_ref().map(HostName::as_str),
                expected.as_ref().copied(),
                "{text}"
            );
        }
        assert_eq!(HostName::parse(&format!("{}.example", "a".repeat(64))), Err(HostError::Malformed));
        assert_eq!(HostName::parse(&"a.".repeat(128)), Err(HostError::Malformed));
    }

    #[test]
    fn an_address_is_no_name_in_any_spelling() {
        for text in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "0",
            "1.1.1.1",
            "registry.example.1",
            "[::1]",
            "::1",
            "[::ffff:127.0.0.1]",
            "[fe80::1%25eth0]",
            "0x",
        ] {
            assert_eq!(HostName::parse(text), Err(HostError::Address), "{text}");
        }
    }

    #[test]
    fn a_target_has_a_port() {
        let parse = |text, usual| Target::parse(text, usual).map(|target| target.to_string());
        assert_eq!(parse("A.example:443", None), Ok("a.example:443".to_owned()));
        assert_eq!(parse("a.example", Some(80)), Ok("a.example:80".to_owned()));
        for (text, error) in [
            ("a.example", HostError::Port),
            ("a.example:", HostError::Port),
            ("a.example:0", HostError::Port),
            ("a.example:+443", HostError::Port),
            ("a.example:65536", HostError::Port),
            ("a.example:443:443", HostError::Address),
            ("[::1]:443", HostError::Address),
            ("user@a.example:443", HostError::Malformed),
            ("user:password@a.example:443", HostError::Address),
        ] {
            assert_eq!(parse(text, None), Err(error), "{text}");
        }
    }

    #[test]
    fn a_pattern_ends_at_a_label_and_at_its_port() {
        let allows = |pattern: &str, target: &str| {
            let pattern: HostPattern = pattern.parse().unwrap();
            pattern.allows(&Target::parse(target, None).unwrap())
        };
        for (pattern, target, expected) in [
            ("registry.example", "registry.example:443", true),
            ("Registry.Example.", "registry.example.:80", true),
            ("registry.example", "registry.example:8443", false),
            ("registry.example:8443", "registry.example:8443", true),
            ("registry.example:8443", "registry.example:443", false),
            ("registry.example", "evilregistry.example:443", false),
            ("registry.example", "registry.example.evil.example:443", false),
            ("registry.example", "a.registry.example:443", false),
            ("*.example.org", "a.example.org:443", true),
            ("*.example.org", "a.b.example.org:443", true),
            ("*.example.org", "example.org:443", false),
            ("*.example.org", "evilexample.org:443", false),
            ("*.example.org", "a.example.org.evil:443", false),
        ] {
            assert_eq!(allows(pattern, target), expected, "{pattern} {target}");
        }
        for wrong in
            ["*", "*.", "a.*.example", "*a.example", "10.0.0.1", "a.example:x", "https://a.example", ""]
        {
            assert!(wrong.parse::<HostPattern>().is_err(), "{wrong}");
        }
    }
}
