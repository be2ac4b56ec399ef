//! What is bound to a statement for D1; `d1` sends it. Those who only write statements need no more than this.

/// A value for a place in a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number below 2^53.
    Number(u64),
    /// Nothing.
    Null,
}

#[cfg(feature = "sqlite")]
impl rusqlite::ToSql for Value<'_> {
    /// As D1 binds it, whose numbers are those of JavaScript.
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
            Self::Number(number) => ValueRef::Real(*number as f64),
            Self::Null => ValueRef::Null,
        }))
    }
}
