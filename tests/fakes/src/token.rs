//! Random secrets, made anew for every run, so that none is ever in a file of the repository.

/// `bytes` random bytes as hexadecimal digits.
///
/// The operating system's generator does not fail on the systems that Farhand runs on; should it, the secret is unusable rather
/// than guessable.
#[must_use]
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0u8; bytes];
    match getrandom::fill(&mut buffer) {
        Ok(()) => buffer.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(_) => String::new(),
    }
}

/// A token of a user, in the shape that GitHub gives them.
#[must_use]
pub fn user_token() -> String {
    format!("ghu_{}", random_hex(18))
}

/// A token of an app installation, in the shape that GitHub gives them.
#[must_use]
pub fn installation_token() -> String {
    format!("ghs_{}", random_hex(18))
}
