//! Names that follow from ours: what a sandbox is called at Modal, and the keys that make calls repeatable. Pure.

use protocol::sign::sha256_hex;

/// Longest name of a sandbox or an app at Modal.
const NAME_BYTES_MAX: usize = 64;

/// Whether Modal takes this as the name of an app or a sandbox.
#[must_use]
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The sandbox's name at Modal: its own id where that fits, else something as unique. A name is held by one running sandbox of an
/// app at a time, which is what makes creating repeatable.
#[must_use]
pub(super) fn sandbox_name(id: &str) -> String {
    if is_name(id) {
        return id.to_owned();
    }
    let digest = sha256_hex(id.as_bytes());
    format!("sbx-{}", digest.get(..40).unwrap_or_default())
}

/// The name of one of the app's dictionaries; the same for all replicas.
#[must_use]
pub(super) fn dictionary_name(app: &str, what: &str) -> String {
    let name = format!("{app}.{what}");
    if is_name(&name) {
        return name;
    }
    let digest = sha256_hex(format!("{app}\n{what}").as_bytes());
    format!("farhand-{}", digest.get(..40).unwrap_or_default())
}

/// A UUID that is always the same for the same text (written as version 4 of RFC 9562, which is what Modal's clients send).
#[must_use]
pub(super) fn uuid_of(text: &str) -> String {
    let digest = sha256_hex(text.as_bytes());
    let hex = |from: usize, to: usize| digest.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", hex(0, 8), hex(8, 12), hex(12, 15), hex(15, 18), hex(18, 30))
}

/// A UUID that nobody had before.
#[must_use]
pub(super) fn new_uuid() -> String {
    // Without randomness of the system time still tells calls of one process apart.
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let random = crate::clock::random().unwrap_or_default();
    uuid_of(&format!("{random:?} {count} {:?} {}", std::time::SystemTime::now(), std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn an_id_that_fits_is_the_name_and_others_stay_apart() {
        assert_eq!(sandbox_name("sbx_1a-b"), "sbx_1a-b");
        let long =
            [format!("sbx_{}a", "x".repeat(80)), format!("sbx_{}b", "x".repeat(80)), "sbx/ü".to_owned()];
        let names: HashSet<String> = long.iter().map(|id| sandbox_name(id)).collect();
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|name| is_name(name)));
    }

    #[test]
    fn every_app_and_repository_has_dictionaries_of_its_own() {
        assert_eq!(dictionary_name("farhand", "sandboxes"), "farhand.sandboxes");
        let long = "x".repeat(64);
        let all = [
            (long.as_str(), "sandboxes"),
            (long.as_str(), "snapshots"),
            ("farhand", "images of acme/shop"),
            ("farhand", "images of acme/shed"),
            ("other", "images of acme/shop"),
        ];
        let names: HashSet<String> = all.iter().map(|(app, what)| dictionary_name(app, what)).collect();
        assert_eq!(names.len(), all.len());
        assert!(names.iter().all(|name| is_name(name)));
    }

    #[test]
    fn a_key_is_a_uuid_and_the_same_for_the_same_text() {
        let one = uuid_of("snp_1");
        assert_eq!(one, uuid_of("snp_1"));
        assert_ne!(one, uuid_of("snp_2"));
        assert_ne!(new_uuid(), new_uuid());
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(one.as_bytes()[14], b'4');
    }
}
