//! Whether a request came from our own page: the defence against other sites that make a signed-in browser act.
//!
//! Browsers cannot lie in `origin` and `sec-fetch-site`; programs can, but they have no cookie of somebody else to ride on.

/// What a request says about the page behind it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Provenance<'a> {
    /// Header `origin`.
    pub origin: Option<&'a str>,
    /// Header `sec-fetch-site`.
    pub fetch_site: Option<&'a str>,
    /// Whether a `cookie` header came along.
    pub has_cookie: bool,
}

/// The request comes, or may come, from a page of another origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It names another origin.
    #[error("the request came from a page of another origin; open Farhand at its own address")]
    Foreign,
    /// It carries a cookie but nothing that says which page sent it.
    #[error(
        "a request that changes something and carries a cookie must say where it comes from: send the header `origin` with this server's own origin"
    )]
    Unproven,
}

/// Decides whether a request that changes something may go on. `own` are the origins under which this deployment is reached.
pub fn evaluate_change(provenance: Provenance<'_>, own: &[&str]) -> Result<(), OriginError> {
    match (provenance.origin, provenance.fetch_site) {
        (Some(origin), _) => is_own(origin, own),
        (None, Some("same-origin" | "none")) => Ok(()),
        (None, Some(_)) => Err(OriginError::Foreign),
        (None, None) if provenance.has_cookie => Err(OriginError::Unproven),
        (None, None) => Ok(()),
    }
}

/// Decides whether a WebSocket handshake may go on. Browsers always send `origin` with one; the ticket does the rest.
pub fn evaluate_socket(provenance: Provenance<'_>, own: &[&str]) -> Result<(), OriginError> {
    match provenance.origin {
        Some(origin) => is_own(origin, own),
        // A socket needs no cookie, so one without origin is either no browser, or not a page's.
        None if provenance.has_cookie => Err(OriginError::Unproven),
        None => Ok(()),
    }
}

/// Whether a body's media type is JSON, which no HTML form can send.
#[must_use]
pub fn is_json(content_type: Option<&str>) -> bool {
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn is_own(origin: &str, own: &[&str]) -> Result<(), OriginError> {
    if own.contains(&origin) { Ok(()) } else { Err(OriginError::Foreign) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[&str] = &["https://farhand.example", "http://127.0.0.1:8787"];

    #[test]
    fn changes() {
        use OriginError::{Foreign, Unproven};
        let own = Some("https://farhand.example");
        for (origin, fetch_site, has_cookie, expected) in [
            (own, None, true, Ok(())),
            (Some("http://127.0.0.1:8787"), Some("cross-site"), true, Ok(())),
            (Some("https://evil.example"), None, true, Err(Foreign)),
            (Some("https://evil.example"), Some("same-origin"), false, Err(Foreign)),
            (Some("https://farhand.example.evil"), None, true, Err(Foreign)),
            (Some("http://farhand.example"), None, true, Err(Foreign)),
            (Some("https://farhand.example:444"), None, true, Err(Foreign)),
            (Some("null"), None, false, Err(Foreign)),
            (Some(""), None, true, Err(Foreign)),
            (None, Some("same-origin"), true, Ok(())),
            (None, Some("none"), true, Ok(())),
            (None, Some("same-site"), true, Err(Foreign)),
            (None, Some("cross-site"), false, Err(Foreign)),
            (None, None, true, Err(Unproven)),
            (None, None, false, Ok(())),
        ] {
            let provenance = Provenance { origin, fetch_site, has_cookie };
            assert_eq!(evaluate_change(provenance, OWN), expected, "{provenance:?}");
        }
    }

    #[test]
    fn sockets() {
        for (origin, has_cookie, expected) in [
            (Some("https://farhand.example"), true, Ok(())),
            (Some("https://farhand.example"), false, Ok(())),
            (Some("https://evil.example"), true, Err(OriginError::Foreign)),
            (Some("null"), false, Err(OriginError::Foreign)),
            (None, true, Err(OriginError::Unproven)),
            (None, false, Ok(())),
        ] {
            let provenance = Provenance { origin, fetch_site: None, has_cookie };
            assert_eq!(evaluate_socket(provenance, OWN), expected, "{provenance:?}");
        }
    }

    #[test]
    fn media_types() {
        for json in ["application/json", "Application/JSON; charset=utf-8", " application/json "] {
            assert!(is_json(Some(json)), "{json}");
        }
        for other in [
            "",
            "text/plain",
            "application/jsonp",
            "application/x-www-form-urlencoded",
            "text/plain; application/json",
        ] {
            assert!(!is_json(Some(other)), "{other}");
        }
        assert!(!is_json(None));
    }
}
