//! Where a browser goes after it has signed in. Called at the edge when somebody leaves for the code host.

/// A path of our own to go to: anything that a browser could take for another site, or for our API, is the start page.
#[must_use]
pub fn own_path(to: &str) -> String {
    let is_own = to.starts_with('/')
        && !to.starts_with("/api/")
        && to.len() <= 512
        && !matches!(to.as_bytes().get(1), Some(b'/' | b'\\'))
        && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own { to.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for own in ["/", "/new", "/sessions/ses_1?x=1#y"] {
            assert_eq!(own_path(own), own);
        }
        for foreign in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/a\r\nset-cookie: x",
            "/api/sign-out",
            " /",
        ] {
            assert_eq!(own_path(foreign), "/", "{foreign:?}");
        }
    }
}
