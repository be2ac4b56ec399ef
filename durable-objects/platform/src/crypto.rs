//! Cryptography of the edge and the objects: AES-256-GCM and RS256 by the runtime's Web Crypto, HMAC and hashes by small Rust crates
//! that the module has anyway, so that they run natively too.
//!
//! Errors say which step failed and never what was in hand. It decides nothing: whose key it is, what it is for and what is bound to it
//! is for the callers, the store of sealed tokens and the code that speaks to GitHub.

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

#[cfg(target_arch = "wasm32")]
mod subtle;

#[cfg(target_arch = "wasm32")]
pub use subtle::{Sealed, open, seal, sign_rs256};

/// Bytes of an AES-256 key.
pub const SEAL_KEY_BYTES: usize = 32;
/// Bytes of a nonce of AES-GCM (NIST SP 800-38D §8.2.2: 96 random bits).
pub const SEAL_NONCE_BYTES: usize = 12;

/// Which step failed. Nothing of keys, plain texts or cipher texts is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// It is no key of the kind, or damaged.
    #[error("the key cannot be used: it is no key of this kind, or damaged")]
    Key,
    /// Another key, other associated data, or changed bytes.
    #[error("the sealed value does not open: it belongs elsewhere, to another key, or was changed")]
    NotAuthentic,
    /// The runtime refused.
    #[error("the runtime's cryptography refused the operation")]
    Refused,
}

/// An AES-256 key. Neither printable nor serialisable.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; SEAL_KEY_BYTES]);

impl SealKey {
    /// Takes the key's bytes; `None` when there are not [`SEAL_KEY_BYTES`] of them.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HMAC-SHA256 (RFC 2104).
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(message).finalize().into_bytes().into(),
        // HMAC takes keys of every length; that the constructor can fail is the trait's, not the algorithm's.
        Err(_) => [0; 32],
    }
}

/// Whether `tag` is the HMAC-SHA256 of `message`. Compares in constant time; an empty key or a tag of another length never matches.
#[must_use]
pub fn hmac_sha256_matches(key: &[u8], message: &[u8], tag: &[u8]) -> bool {
    !key.is_empty()
        && Hmac::<Sha256>::new_from_slice(key)
            .is_ok_and(|mac| mac.chain_update(message).verify_slice(tag).is_ok())
}

/// Bytes as base64 of the URL alphabet without padding (RFC 4648 §5).
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    use base64ct::Encoding as _;
    base64ct::Base64UrlUnpadded::encode_string(bytes)
}

/// Reads what [`base64url`] wrote.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    use base64ct::Encoding as _;
    base64ct::Base64UrlUnpadded::decode_vec(text).ok()
}

/// Bytes as base64 of the usual alphabet, with padding (RFC 4648 §4).
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    let mut text = base64url(bytes).replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Reads base64 of the usual alphabet or of the URL's, with or without padding. One decoder for all, because each is a kilobyte.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let plain = text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    from_base64url(&plain)
}

/// The labels of PEM (RFC 7468) that an RSA private key comes under: GitHub hands out PKCS#1.
const PKCS1_LABEL: &str = "RSA PRIVATE KEY";
const PKCS8_LABEL: &str = "PRIVATE KEY";

/// An RSA private key in PEM, PKCS#8 or PKCS#1 (RFC 8017 A.1.2), as PKCS#8 (RFC 5208), which is the one form that Web Crypto reads.
/// Line breaks may also be the two characters `\n`, as they are when a file was pasted into one line of a setting.
pub fn pkcs8_from_pem(pem: &str) -> Result<Vec<u8>, CryptoError> {
    let pem = pem.replace("\\n", "\n");
    let body = |label: &str| {
        let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let body: String = body.split_whitespace().collect();
        from_base64(&body).filter(|der| !der.is_empty())
    };
    if let Some(pkcs8) = body(PKCS8_LABEL) {
        return Ok(pkcs8);
    }
    body(PKCS1_LABEL).map(|pkcs1| wrap_pkcs1(&pkcs1)).ok_or(CryptoError::Key)
}

/// `PrivateKeyInfo` with version 0 and the algorithm rsaEncryption (1.2.840.113549.1.1.1, parameters NULL), in DER.
fn wrap_pkcs1(pkcs1: &[u8]) -> Vec<u8> {
    const VERSION_AND_ALGORITHM: [u8; 18] = [
        0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
        0x00,
    ];
    const SEQUENCE: u8 = 0x30;
    const OCTET_STRING: u8 = 0x04;
    let mut content = VERSION_AND_ALGORITHM.to_vec();
    content.extend(der(OCTET_STRING, pkcs1));
    der(SEQUENCE, &content)
}

/// A value of DER: tag, length in the shortest form (X.690 §8.1.3), content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut value = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => value.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            #[expect(clippy::cast_possible_truncation, reason = "a length has at most eight bytes")]
            value.push(0x80 | digits.len() as u8);
            value.extend(digits);
        }
    }
    value.extend_from_slice(content);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hmac_is_that_of_the_standard() {
        // RFC 4231 §4.3, test case 2.
        let tag = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&tag), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        // GitHub's own example for webhooks.
        let tag = hmac_sha256(b"It's a Secret to Everybody", b"Hello, World!");
        assert_eq!(hex(&tag), "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    }

    #[test]
    fn only_the_very_tag_of_a_key_that_is_one_matches() {
        let tag = hmac_sha256(b"key", b"message");
        assert!(hmac_sha256_matches(b"key", b"message", &tag));
        assert!(!hmac_sha256_matches(b"kez", b"message", &tag));
        assert!(!hmac_sha256_matches(b"key", b"massage", &tag));
        assert!(!hmac_sha256_matches(b"key", b"message", &tag[..31]));
        assert!(!hmac_sha256_matches(b"key", b"message", &[]));
        assert!(!hmac_sha256_matches(b"", b"message", &hmac_sha256(b"", b"message")));
    }

    #[test]
    fn base64_reads_back_and_refuses_what_is_none() {
        assert_eq!(base64url(&[0xfb, 0xff, 0xfe]), "-__-");
        assert_eq!(from_base64url("-__-"), Some(vec![0xfb, 0xff, 0xfe]));
        assert_eq!(from_base64("+//+"), Some(vec![0xfb, 0xff, 0xfe]));
        for text in ["a", "-__-=", "+//+", "*"] {
            assert_eq!(from_base64url(text), None, "{text}");
        }
    }

    #[test]
    fn both_kinds_of_pem_are_one_kind_of_der() {
        let pkcs1 = vec![7; 300];
        let base64 = {
            use base64ct::Encoding as _;
            base64ct::Base64::encode_string(&pkcs1)
        };
        let lines: Vec<String> =
            base64.as_bytes().chunks(64).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
        let pem =
            format!("-----BEGIN {PKCS1_LABEL}-----\n{}\n-----END {PKCS1_LABEL}-----\n", lines.join("\n"));
        let pkcs8 = pkcs8_from_pem(&pem).unwrap();
        assert_eq!(hex(&pkcs8[..26]), "30820142020100300d06092a864886f70d01010105000482012c");
        assert_eq!(&pkcs8[26..], pkcs1);
        assert_eq!(pkcs8_from_pem(&pem.replace('\n', "\\n")), Ok(pkcs8));
        assert_eq!(pkcs8_from_pem(&pem.replace("RSA ", "")), Ok(pkcs1));
        for wrong in ["", "-----BEGIN RSA PRIVATE KEY-----", &pem.replace("BwcH", "****")] {
            assert_eq!(pkcs8_from_pem(wrong), Err(CryptoError::Key));
        }
    }

    #[test]
    fn keys_are_not_printed_and_have_one_length() {
        assert!(SealKey::new(&[1; 31]).is_none() && SealKey::new(&[1; 33]).is_none());
        assert_eq!(format!("{:?}", SealKey::new(&[1; 32]).unwrap()), "SealKey(…)");
    }
}
