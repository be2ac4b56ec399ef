//! What one HTTP request must be like before it goes out: for the connection's host, readable in one way, and allowed.
//!
//! Pure. Used for plain requests and for those inside of TLS that ends at the bridge.

use super::host::Target;
use super::policy::{Permit, parse_target};
use super::reason::{Reason, Refused};
use super::stand_in::{self, Exchange};
use axum::http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, IF_RANGE, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

/// Headers that are about one connection (RFC 9110, section 7.6.1), and those that its neighbours invented.
const CONNECTION_HEADERS: [HeaderName; 11] = [
    CONNECTION,
    EXPECT,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
/// Headers by which frameworks let a request be another one than its method says.
const OVERRIDE_HEADERS: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// Makes a request into the one that goes out. Answers the secrets that were put on, in the forms in which they must not come back.
pub(super) fn prepare(
    parts: &mut Parts,
    target: &Target,
    usual_port: u16,
    permit: Permit,
    secrets: &[Exchange],
) -> Result<Vec<String>, Reason> {
    check_host(parts, target, usual_port)?;
    let websocket =
        parts.headers.get_all(UPGRADE).iter().any(|value| {
            value.to_str().map_or(true, |value| value.to_ascii_lowercase().contains("websocket"))
        });
    if websocket {
        return Err(Reason::UpgradeRefused);
    }
    if permit.read_only && !only_reads(parts) {
        return Err(Reason::ReadOnly);
    }
    // The body is framed anew; a length beside another framing would be a second opinion.
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        parts.headers.remove(CONTENT_LENGTH);
    }
    remove_connection_headers(&mut parts.headers);
    if parts.uri.path_and_query().is_some_and(|path| stand_in::is_in(path.as_str())) {
        return Err(Reason::SecretElsewhere);
    }
    let sent = stand_in::exchange(&mut parts.headers, secrets)?;
    if !secrets.is_empty() {
        // Compressed, or a few bytes at a time, a secret could come back unseen.
        parts.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        parts.headers.remove(RANGE);
        parts.headers.remove(IF_RANGE);
    }
    Ok(sent)
}

/// Every word about the host must be the same.
fn check_host(parts: &mut Parts, target: &Target, usual_port: u16) -> Result<(), Reason> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| Reason::RequestMalformed)?,
        (None, None) if parts.version == Version::HTTP_10 => {
            let host = HeaderValue::from_str(&target.to_string()).map_err(|_| Reason::RequestMalformed)?;
            parts.headers.insert(HOST, host);
            return Ok(());
        }
        (None, _) | (Some(_), Some(_)) => return Err(Reason::RequestMalformed),
    };
    let same =
        |authority: &str| parse_target(authority, Some(usual_port)).is_ok_and(|named| named == *target);
    let in_line = parts.uri.authority().is_none_or(|authority| same(authority.as_str()));
    if same(host) && in_line { Ok(()) } else { Err(Reason::HostHeaderDiffers) }
}

fn only_reads(parts: &Parts) -> bool {
    let overridden = OVERRIDE_HEADERS.iter().any(|name| parts.headers.contains_key(*name))
        || parts.uri.query().is_some_and(|query| {
            query
                .split('&')
                .any(|pair| pair.split('=').next().is_some_and(|key| key.eq_ignore_ascii_case("_method")))
        });
    let has_body = parts.headers.contains_key(TRANSFER_ENCODING)
        || parts.headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0");
    matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) && !overridden && !has_body
}

/// Takes off what is about one connection, also what its `Connection` header names.
pub(super) fn remove_connection_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // To name these would change what the request is.
        .filter(|name| ![HOST, CONTENT_LENGTH].contains(name))
        .collect();
    for name in named.iter().chain(&CONNECTION_HEADERS) {
        headers.remove(name);
    }
}

/// The authority of an absolute-form request; `https` has no place there, since nobody would have checked the other side.
pub(super) fn absolute_target(parts: &Parts) -> Result<Target, Refused> {
    let authority = parts.uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    if parts.uri.scheme_str() != Some("http") {
        return Err(Refused::unread(authority, Reason::RequestMalformed));
    }
    parse_target(authority, Some(80))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    const READ_ONLY: Permit = Permit { private: false, read_only: true, inspected: true };
    const USUAL: Permit = Permit { private: false, read_only: false, inspected: false };

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn outcome(parts: &mut Parts, permit: Permit) -> Result<(), Reason> {
        let target = Target::parse("a.example:80", None).unwrap();
        prepare(parts, &target, 80, permit, &[]).map(|sent| assert!(sent.is_empty()))
    }

    #[test]
    fn line_and_header_name_the_host_of_the_connection() {
        for (uri, hosts, expected) in [
            ("http://a.example/x", vec!["a.example"], Ok(())),
            ("http://A.example:80/x", vec!["a.EXAMPLE."], Ok(())),
            ("/x", vec!["a.example:80"], Ok(())),
            ("/x", vec!["b.example"], Err(Reason::HostHeaderDiffers)),
            ("http://b.example/x", vec!["a.example"], Err(Reason::HostHeaderDiffers)),
            ("/x", vec!["a.example:8080"], Err(Reason::HostHeaderDiffers)),
            ("/x", vec!["a.example", "b.example"], Err(Reason::RequestMalformed)),
            ("/x", vec!["a.example", "a.example"], Err(Reason::RequestMalformed)),
            ("/x", vec![], Err(Reason::RequestMalformed)),
            ("/x", vec![""], Err(Reason::HostHeaderDiffers)),
            ("/x", vec!["127.0.0.1"], Err(Reason::HostHeaderDiffers)),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(outcome(&mut request("GET", uri, &headers), USUAL), expected, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn what_is_about_one_connection_stays_there() {
        let mut parts = request(
            "POST",
            "/x",
            &[
                ("host", "a.example"),
                ("connection", "keep-alive, X-Hop, Host, content-length"),
                ("x-hop", "1"),
                ("keep-alive", "5"),
                ("proxy-authorization", "Basic x"),
                ("proxy-connection", "keep-alive"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("expect", "100-continue"),
                ("content-length", "3"),
                ("x-kept", "1"),
            ],
        );
        assert_eq!(outcome(&mut parts, USUAL), Ok(()));
        let mut names: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "host", "x-kept"]);
    }

    #[test]
    fn reading_only_means_reading_in_every_disguise() {
        let host = ("host", "a.example");
        for (method, uri, header, expected) in [
            ("GET", "/x?a=b", ("x-kept", "1"), Ok(())),
            ("HEAD", "/x", ("content-length", "0"), Ok(())),
            ("OPTIONS", "/x", ("x-kept", "1"), Ok(())),
            ("POST", "/x", ("x-kept", "1"), Err(Reason::ReadOnly)),
            ("PUT", "/x", ("x-kept", "1"), Err(Reason::ReadOnly)),
            ("PROPFIND", "/x", ("x-kept", "1"), Err(Reason::ReadOnly)),
            ("get", "/x", ("x-kept", "1"), Err(Reason::ReadOnly)),
            ("GET", "/x", ("x-http-method-override", "DELETE"), Err(Reason::ReadOnly)),
            ("GET", "/x", ("X-Method-Override", "PUT"), Err(Reason::ReadOnly)),
            ("GET", "/x?_Method=DELETE", ("x-kept", "1"), Err(Reason::ReadOnly)),
            ("GET", "/x", ("content-length", "4"), Err(Reason::ReadOnly)),
            ("GET", "/x", ("transfer-encoding", "chunked"), Err(Reason::ReadOnly)),
            ("GET", "/x", ("upgrade", "WebSocket"), Err(Reason::UpgradeRefused)),
        ] {
            let mut parts = request(method, uri, &[host, header]);
            assert_eq!(outcome(&mut parts, READ_ONLY), expected, "{method} {uri} {header:?}");
        }
    }

    #[test]
    fn a_stand_in_stays_inside_wherever_it_stands() {
        let stand_in = format!("{}{}", stand_in::PREFIX, "0".repeat(40));
        for (uri, value) in [(format!("/x?token={stand_in}"), "1".to_owned()), ("/x".to_owned(), stand_in)] {
            let mut parts = request("GET", &uri, &[("host", "a.example"), ("x-any", &value)]);
            assert_eq!(outcome(&mut parts, USUAL), Err(Reason::SecretElsewhere), "{uri}");
        }
    }

    #[test]
    fn only_plain_requests_come_in_absolute_form() {
        let parts = request("GET", "http://A.example:8080/x", &[]);
        assert_eq!(absolute_target(&parts).unwrap().to_string(), "a.example:8080");
        for (uri, reason) in [
            ("https://a.example/x", Reason::RequestMalformed),
            ("ftp://a.example/x", Reason::RequestMalformed),
            ("http://user@a.example/x", Reason::HostMalformed),
            ("http://127.0.0.1/x", Reason::AddressNotName),
            ("http://[::1]/x", Reason::AddressNotName),
        ] {
            assert_eq!(absolute_target(&request("GET", uri, &[])).unwrap_err().reason, reason, "{uri}");
        }
    }
}
