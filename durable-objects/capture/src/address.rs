//! Addresses of pages without what may be private: no user, no values in the query, no fragment that is more than a name, no part of the
//! path that looks like a key. The extension's `cleanUrl` for what a browser has written already, so without a library that knows every
//! way of writing an address. Called by `read`.

use crate::pattern::word_or_line;
use crate::redact::{cut, is_invisible, is_opaque, redact_secrets};

/// Longer addresses are looked at up to here, in UTF-16 code units.
const LOOKED_AT_MAX: usize = 4000;
/// Names in a query that are shown.
const KEYS_MAX: usize = 8;
/// A run of such characters and at least so long may be a key.
const KEY_CHARACTERS_MIN: usize = 16;

/// The address, cut to so many UTF-16 code units; nothing where it is none.
#[must_use]
pub fn clean_url(address: &str, max: usize) -> Option<String> {
    let mut length = 0;
    let raw: String = address
        .trim()
        .chars()
        .take_while(|character| {
            length += character.len_utf16();
            length <= LOOKED_AT_MAX
        })
        .collect();
    // As a browser writes it, an address has neither of these (URL Standard §4.4).
    if raw.chars().any(|character| character.is_whitespace() || is_invisible(character)) {
        return None;
    }
    let (scheme, rest) = raw.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme) {
        return None;
    }
    if !matches!(scheme.as_str(), "http" | "https" | "file") {
        return Some(cut(&format!("{scheme}:…"), max));
    }
    let rest = rest.strip_prefix("//")?;
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path: Vec<String> = path.split('/').map(clean_part).collect();
    let shown = if scheme == "file" {
        // A path of the machine itself says who sits at it.
        format!("file:///{}", path.last().map_or("", String::as_str))
    } else {
        format!("{scheme}://{}/{}", clean_host(authority)?, path.join("/"))
    };
    Some(cut(&format!("{shown}{}{}", clean_query(query), clean_fragment(fragment)), max))
}

/// Host and port; who signs in with them is left out.
fn clean_host(authority: &str) -> Option<String> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (!host.is_empty() && host.len() <= 260 && host.bytes().all(fits)).then(|| host.to_ascii_lowercase())
}

fn clean_query(query: &str) -> String {
    let mut keys: Vec<String> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        let key = format!("{}=…", clean_part(key));
        if keys.len() < KEYS_MAX && !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() { String::new() } else { format!("?{}", keys.join("&")) }
}

fn clean_fragment(fragment: &str) -> String {
    let name = fragment.strip_prefix('/').unwrap_or(fragment);
    let is_name = (1..=40).contains(&name.len())
        && name.encode_utf16().all(word_or_line)
        && clean_part(fragment) == fragment;
    if is_name { format!("#{fragment}") } else { String::new() }
}

/// A part of a path or the name of a value, as it is or `…`.
fn clean_part(part: &str) -> String {
    const WITHHELD: &str = "…";
    let decoded = decode(part);
    let text = decoded.as_deref().unwrap_or(part);
    let units: Vec<u16> = text.encode_utf16().collect();
    let is_key = units.len() >= KEY_CHARACTERS_MIN
        && units.iter().all(|unit| word_or_line(*unit))
        && is_opaque(&units);
    let is_withheld = text.chars().any(is_invisible) || redact_secrets(text) != text || is_key;
    if is_withheld { WITHHELD.to_owned() } else { part.to_owned() }
}

/// Percent-encoded bytes as text (RFC 3986 §2.1); nothing where they are none.
fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}
