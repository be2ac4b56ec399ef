//! WebSocket tickets: a page cannot put a cookie check on a socket that other sites can open too, so it fetches one of these first.
//!
//! A ticket is for one user, one session, one origin, and [`limit::TICKET_MS_MAX`]. That it is used once is recorded by the session's
//! object under [`Ticket::id`]; it travels in a header, never in a URL.

use crate::principal::Principal;
use protocol::id::SessionId;
use protocol::limit;
use protocol::sign::{Audience, Key, SignatureError, sign, verify};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What a verified ticket says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Random; the session refuses it a second time.
    #[serde(rename = "jti")]
    pub id: String,
    /// Who may connect.
    #[serde(flatten)]
    pub principal: Principal,
    /// To which session.
    pub session_id: SessionId,
    /// From pages of this origin. Absent for a client that is no browser: it fetched its ticket without an origin.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<String>,
    /// Only to watch.
    #[serde(default)]
    pub read_only: bool,
}

/// Why a ticket does not open the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Forged, changed, or too old.
    #[error("the ticket does not count: {0}")]
    Signature(SignatureError),
    /// For another session.
    #[error("the ticket is for another session")]
    Session,
    /// Fetched by a page of another origin.
    #[error("the ticket was fetched by a page of another origin")]
    Origin,
}

/// When a ticket that is issued at `now` stops being usable.
#[must_use]
pub fn expiry(now: Timestamp) -> Timestamp {
    now.plus_ms(limit::TICKET_MS_MAX)
}

/// Writes a ticket.
#[must_use]
pub fn issue(key: &Key, ticket: &Ticket, now: Timestamp) -> String {
    sign(key, Audience::Socket, ticket, now, expiry(now))
}

/// Reads a ticket that was presented for `session_id` with the `origin` header given.
pub fn read(
    key: &Key,
    text: &str,
    session_id: &SessionId,
    origin: Option<&str>,
    now: Timestamp,
) -> Result<Ticket, TicketError> {
    let ticket: Ticket = verify(key, Audience::Socket, text, now).map_err(TicketError::Signature)?;
    if ticket.session_id != *session_id {
        return Err(TicketError::Session);
    }
    if ticket.origin.is_some() && ticket.origin.as_deref() != origin {
        return Err(TicketError::Origin);
    }
    Ok(ticket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::tests::ada;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);
    const PAGE: &str = "https://farhand.example";

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    fn ticket(origin: Option<&str>) -> Ticket {
        Ticket {
            id: "00ff".into(),
            principal: ada(),
            session_id: SessionId::parse("ses_1").unwrap(),
            origin: origin.map(str::to_owned),
            read_only: false,
        }
    }

    fn check(
        origin: Option<&str>,
        session: &str,
        presented: Option<&str>,
        at: Timestamp,
    ) -> Result<Ticket, TicketError> {
        let text = issue(&key(1), &ticket(origin), NOW);
        read(&key(1), &text, &SessionId::parse(session).unwrap(), presented, at)
    }

    #[test]
    fn a_ticket_is_for_one_session_origin_and_minute() {
        let expired = TicketError::Signature(SignatureError::Expired);
        assert_eq!(check(Some(PAGE), "ses_1", Some(PAGE), NOW), Ok(ticket(Some(PAGE))));
        assert_eq!(check(Some(PAGE), "ses_1", Some(PAGE), NOW.plus_ms(59_999)), Ok(ticket(Some(PAGE))));
        assert_eq!(check(Some(PAGE), "ses_1", Some(PAGE), NOW.plus_ms(60_000)), Err(expired));
        assert_eq!(check(Some(PAGE), "ses_2", Some(PAGE), NOW), Err(TicketError::Session));
        assert_eq!(check(Some(PAGE), "ses_1", None, NOW), Err(TicketError::Origin));
        assert_eq!(
            check(Some(PAGE), "ses_1", Some("https://farhand.example.evil"), NOW),
            Err(TicketError::Origin)
        );
        assert_eq!(check(None, "ses_1", None, NOW), Ok(ticket(None)));
    }

    #[test]
    fn no_other_token_is_a_ticket() {
        let session = SessionId::parse("ses_1").unwrap();
        let read = |text: &str| read(&key(1), text, &session, None, NOW).map(|_| ());
        let signed = |key: &Key, audience| sign(key, audience, ticket(None), NOW, NOW.plus_ms(1));
        assert_eq!(read(&signed(&key(1), Audience::Socket)), Ok(()));
        assert_eq!(
            read(&signed(&key(1), Audience::Client)),
            Err(TicketError::Signature(SignatureError::Audience))
        );
        assert_eq!(
            read(&signed(&key(2), Audience::Socket)),
            Err(TicketError::Signature(SignatureError::Wrong))
        );
        for text in ["", "ticket", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
