//! What is asked of a thread's object, and what it is called.

/// Binding in `wrangler.toml`.
pub const BINDING: &str = "THREAD";

/// Name of the object that owns a thread; each part is checked for its form before.
#[must_use]
pub fn object_name(team: &str, channel: &str, thread: &str) -> String {
    format!("{team}/{channel}/{thread}")
}

/// Everything that is asked of it; all are `POST` with JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `{message, home}`: a message, stored before the answer.
    Message,
    /// `{interaction, home}`: a click, stored before the answer.
    Interaction,
    /// `{user}`: a Slack user has linked an account.
    Linked,
    /// What the session looks like, from the session.
    View,
}

impl Call {
    const ALL: [Self; 4] = [Self::Message, Self::Interaction, Self::Linked, Self::View];

    /// Path at the object.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Message => "/message",
            Self::Interaction => "/interaction",
            Self::Linked => "/linked",
            Self::View => "/view",
        }
    }

    /// URL for a request to the object's stub; the host means nothing.
    #[must_use]
    pub fn url(self) -> String {
        format!("https://thread{}", self.path())
    }

    /// The call of a request that arrived at the object.
    #[must_use]
    pub fn find(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.path() == path)
    }
}
