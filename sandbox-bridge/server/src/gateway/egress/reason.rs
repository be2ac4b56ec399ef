//! Why a sandbox did not get out: one code per reason, what it means, and what to do about it.
//!
//! The codes are read by machines and stand in events and counters; the words are for whoever reads the client's error. Pure.

use super::host::Target;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use hyper::ext::ReasonPhrase;
use serde_json::json;

/// Header with the code, for clients that show headers and no bodies.
const REASON_HEADER: HeaderName = HeaderName::from_static("x-farhand-reason");

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nobody allowed this host.
    HostNotAllowed,
    /// The host is allowed, at other ports.
    PortNotAllowed,
    /// An address in place of a name.
    AddressNotName,
    /// No host, or not one.
    HostMalformed,
    /// The name leads to an address that is not public.
    AddressNotPublic,
    /// The name leads nowhere.
    HostUnknown,
    /// Nothing answers there.
    HostUnreachable,
    /// The other side's certificate is not good.
    CertificateInvalid,
    /// What came through a tunnel is neither TLS nor HTTP.
    NotTls,
    /// The TLS client named no host.
    TlsNameMissing,
    /// It named another host than the one that it had asked for.
    TlsNameDiffers,
    /// The request is for another host than the connection.
    HostHeaderDiffers,
    /// Only reading is allowed there.
    ReadOnly,
    /// The connection would become something that cannot be checked.
    UpgradeRefused,
    /// The stand-in of a secret was sent to a host that it is not for.
    SecretElsewhere,
    /// A header has more than the one stand-in.
    SecretAmbiguous,
    /// A credential that the bridge has not given out.
    CredentialForeign,
    /// The answer is encoded so that secrets could not be found in it.
    AnswerEncoded,
    /// The request cannot be read in one way only.
    RequestMalformed,
    /// There is no proxy for this sandbox.
    NoProxy,
}

impl Reason {
    /// The code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::HostNotAllowed => "host_not_allowed",
            Self::PortNotAllowed => "port_not_allowed",
            Self::AddressNotName => "address_not_name",
            Self::HostMalformed => "host_malformed",
            Self::AddressNotPublic => "address_not_public",
            Self::HostUnknown => "host_unknown",
            Self::HostUnreachable => "host_unreachable",
            Self::CertificateInvalid => "certificate_invalid",
            Self::NotTls => "not_tls",
            Self::TlsNameMissing => "tls_name_missing",
            Self::TlsNameDiffers => "tls_name_differs",
            Self::HostHeaderDiffers => "host_header_differs",
            Self::ReadOnly => "read_only",
            Self::UpgradeRefused => "upgrade_refused",
            Self::SecretElsewhere => "secret_elsewhere",
            Self::SecretAmbiguous => "secret_ambiguous",
            Self::CredentialForeign => "credential_foreign",
            Self::AnswerEncoded => "answer_encoded",
            Self::RequestMalformed => "request_malformed",
            Self::NoProxy => "no_proxy",
        }
    }

    /// Whether policy says no, which people are told; the rest is trouble on the way, which the client hears alone.
    #[must_use]
    pub fn is_denial(self) -> bool {
        match self {
            Self::HostNotAllowed
            | Self::PortNotAllowed
            | Self::AddressNotName
            | Self::HostMalformed
            | Self::AddressNotPublic
            | Self::NotTls
            | Self::TlsNameMissing
            | Self::TlsNameDiffers
            | Self::HostHeaderDiffers
            | Self::ReadOnly
            | Self::UpgradeRefused
            | Self::SecretElsewhere
            | Self::SecretAmbiguous
            | Self::CredentialForeign
            | Self::AnswerEncoded
            | Self::RequestMalformed
            | Self::NoProxy => true,
            Self::HostUnknown | Self::HostUnreachable | Self::CertificateInvalid => false,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::HostUnknown | Self::HostUnreachable | Self::CertificateInvalid | Self::AnswerEncoded => {
                StatusCode::BAD_GATEWAY
            }
            Self::RequestMalformed | Self::HostMalformed => StatusCode::BAD_REQUEST,
            Self::HostNotAllowed
            | Self::PortNotAllowed
            | Self::AddressNotName
            | Self::AddressNotPublic
            | Self::NotTls
            | Self::TlsNameMissing
            | Self::TlsNameDiffers
            | Self::HostHeaderDiffers
            | Self::ReadOnly
            | Self::UpgradeRefused
            | Self::SecretElsewhere
            | Self::SecretAmbiguous
            | Self::CredentialForeign
            | Self::NoProxy => StatusCode::FORBIDDEN,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::HostNotAllowed => {
                "is not among this sandbox's allowed hosts; the operator adds it with --allow-host, or for this repository in FARHAND_REPOSITORY_POLICY"
            }
            Self::PortNotAllowed => {
                "is allowed at other ports only; the operator adds this one with --allow-host HOST:PORT"
            }
            Self::AddressNotName => "is an address; ask for the host by its name",
            Self::HostMalformed => "is no host that could be reached; write it as NAME:PORT, in ASCII",
            Self::AddressNotPublic => {
                "leads to an address that is not public; for a host of the operator's own network, the operator adds --private-host"
            }
            Self::HostUnknown => {
                "is not known to the bridge's name service; check the spelling, or try again"
            }
            Self::HostUnreachable => "cannot be reached from the bridge; try again",
            Self::CertificateInvalid => {
                "shows a certificate that the bridge does not trust; for an authority of the operator's own, the operator adds --extra-ca"
            }
            Self::NotTls => "was sent something that is neither TLS nor HTTP; only these two pass",
            Self::TlsNameMissing => {
                "was asked for by a TLS client that names no host; use one that sends SNI"
            }
            Self::TlsNameDiffers => {
                "was asked for, but the TLS client names another host; ask for the host that is meant"
            }
            Self::HostHeaderDiffers => {
                "was asked for, but the request is for another host; ask for the host that is meant"
            }
            Self::ReadOnly => "can only be read from this sandbox: GET, HEAD and OPTIONS, without overrides",
            Self::UpgradeRefused => "cannot be spoken to by WebSocket or another protocol from this sandbox",
            Self::SecretElsewhere => {
                "was sent the stand-in of a secret that is for another host, port or protocol; see FARHAND_REPOSITORY_POLICY"
            }
            Self::SecretAmbiguous => "was sent several stand-ins of secrets in one header; send one",
            Self::CredentialForeign => {
                "takes only the secret that this repository has for it; take the credential out of the client's settings"
            }
            Self::AnswerEncoded => {
                "answers in an encoding that cannot be checked for secrets; ask for a plain one"
            }
            Self::RequestMalformed => "was sent a request that can be read in more than one way",
            Self::NoProxy => {
                "cannot be reached through the bridge: this sandbox is not isolated and has the machine's own network"
            }
        }
    }
}

/// A request that goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it was to go, as far as that is known, in a form that is safe to show.
    pub host: String,
    /// At which port; 0 where there was none.
    pub port: u16,
    /// Why it does not.
    pub reason: Reason,
}

/// Longest host that is repeated to anybody.
const SHOWN_BYTES_MAX: usize = 253;

impl Refused {
    /// On the way to this target.
    #[must_use]
    pub fn at(target: &Target, reason: Reason) -> Self {
        Self { host: target.host.to_string(), port: target.port, reason }
    }

    /// With a host that could not be read; what is shown of it is printable ASCII.
    #[must_use]
    pub fn unread(authority: &str, reason: Reason) -> Self {
        // What stands in front of an @ may be a password.
        let shown = authority.rsplit('@').next().unwrap_or_default();
        let shown = shown.chars().filter(char::is_ascii_graphic).take(SHOWN_BYTES_MAX);
        Self { host: shown.collect(), port: 0, reason }
    }

    /// For humans.
    #[must_use]
    pub fn message(&self) -> String {
        let host = if self.host.is_empty() { "what was asked for" } else { &self.host };
        match self.port {
            0 => format!("{host} {}", self.reason.words()),
            port => format!("{host}:{port} {}", self.reason.words()),
        }
    }

    /// As the client hears it. Many show nothing of the answer to a CONNECT but its first line, so that has the code as well.
    #[must_use]
    pub fn response(&self) -> Response {
        let code = self.reason.code();
        let body = json!({ "error": code, "message": self.message(), "host": self.host, "port": self.port });
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() = self.reason.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REASON_HEADER, HeaderValue::from_static(code));
        // What the client sends next may belong to the request that was refused.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response.extensions_mut().insert(ReasonPhrase::from_static(code.as_bytes()));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_host_is_short_printable_and_without_a_password() {
        let refused = Refused::unread("user:canary@a\r\nb\u{202e}.example", Reason::HostMalformed);
        assert_eq!((refused.host.as_str(), refused.port), ("ab.example", 0));
        assert_eq!(Refused::unread(&"a".repeat(9999), Reason::HostMalformed).host.len(), 253);
        assert!(
            Refused::unread("", Reason::RequestMalformed)
                .message()
                .starts_with("what was asked for was sent")
        );
    }

    #[test]
    fn the_code_is_in_the_status_line_a_header_and_the_body() {
        let target = Target::parse("a.example:22", None).unwrap();
        let response = Refused::at(&target, Reason::PortNotAllowed).response();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers()["x-farhand-reason"], "port_not_allowed");
        let phrase = response.extensions().get::<ReasonPhrase>().unwrap();
        assert_eq!(phrase.as_bytes(), b"port_not_allowed");
    }
}
