//! Keys of the API as text: `fhk_<id>_<secret>`. The id finds the row, the secret opens it; of the secret only its SHA-256 is kept.

use protocol::sign::sha256_hex;

/// What every key begins with, so that scanners of leaked secrets recognise one.
pub const PREFIX: &str = "fhk_";
/// Random bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// How long a key may be good at most.
pub const DAYS_MAX: u64 = 366;
/// Keys that one user may have at a time.
pub const KEYS_MAX: u64 = 50;
/// Longest name of a key.
pub const NAME_CHARS_MAX: usize = 100;

/// A key that somebody presented. Neither printable nor serialisable.
#[derive(Clone, PartialEq, Eq)]
pub struct PresentedKey {
    /// Which row.
    pub id: String,
    /// SHA-256 of the secret, as the row has it.
    pub secret_hash: String,
}

/// Writes a key; the one time that it is whole. Also what of it is kept.
#[must_use]
pub fn render(id: &str, secret: &[u8; SECRET_BYTES]) -> (String, PresentedKey) {
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = PresentedKey { id: id.to_owned(), secret_hash: sha256_hex(secret.as_bytes()) };
    (format!("{PREFIX}{id}_{secret}"), kept)
}

/// Reads the value of an `authorization` header; `None` where it is no key.
#[must_use]
pub fn parse(authorization: &str) -> Option<PresentedKey> {
    let key = authorization.strip_prefix("Bearer ")?.strip_prefix(PREFIX)?;
    let (id, secret) = key.split_once('_')?;
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_key = id.len() == 16 && secret.len() == 2 * SECRET_BYTES && is_hex(id) && is_hex(secret);
    is_key.then(|| PresentedKey { id: id.to_owned(), secret_hash: sha256_hex(secret.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_is_kept_as_a_digest() {
        let (text, kept) = render("0123456789abcdef", &[7; SECRET_BYTES]);
        assert_eq!(text.len(), 4 + 16 + 1 + 64);
        assert!(parse(&format!("Bearer {text}")) == Some(kept.clone()));
        assert!(!kept.secret_hash.contains("0707") && kept.secret_hash.len() == 64);
    }

    #[test]
    fn nothing_else_is_a_key() {
        let (text, _) = render("0123456789abcdef", &[7; SECRET_BYTES]);
        for wrong in [
            String::new(),
            text.clone(),
            format!("bearer {text}"),
            format!("Bearer {text}0"),
            format!("Bearer {}", text.to_uppercase()),
            "Bearer fhk_".to_owned(),
            "Bearer fhk_0123456789abcdef_".to_owned(),
            format!("Bearer {}", text.replace("0123456789abcdef", "../../../../etc/x")),
        ] {
            assert!(parse(&wrong).is_none(), "{wrong}");
        }
    }
}
