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
