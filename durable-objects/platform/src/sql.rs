//! The port to SQLite: three methods, and values without surprises. Booleans do not exist here; they are 0 and 1.

use protocol::time::Timestamp;

/// What the store needs of a SQLite connection.
pub trait Sql {
    /// Runs one statement with `?1`, `?2`, … bound in order, and gives all rows.
    fn exec(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, StoreError>;

    /// Runs several statements without parameters.
    fn exec_script(&self, script: &str) -> Result<(), StoreError>;

    /// Runs `body` so that all of its writes happen, or, when it fails, none.
    fn transaction<T>(&self, body: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError>;
}

/// A value of SQLite.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A whole number; below 2^53, because it passes through JavaScript.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(i64::from(number))
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::from(at.0)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of an answer, read by position.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// Text in a column that is never NULL.
    pub fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.text_or_null(column)?.ok_or_else(|| self.unexpected(column, "text"))
    }

    /// Text in a column that may be NULL.
    pub fn text_or_null(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            Some(Value::Integer(_) | Value::Real(_)) | None => Err(self.unexpected(column, "text")),
        }
    }

    /// A whole number that is not negative.
    pub fn number(&self, column: usize) -> Result<u64, StoreError> {
        self.number_or_null(column)?.ok_or_else(|| self.unexpected(column, "a number"))
    }

    /// A whole number that is not negative, or NULL.
    pub fn number_or_null(&self, column: usize) -> Result<Option<u64>, StoreError> {
        match self.0.get(column) {
            Some(Value::Integer(number)) => {
                u64::try_from(*number).map(Some).map_err(|_| self.unexpected(column, "a number"))
            }
            Some(Value::Null) => Ok(None),
            Some(Value::Text(_) | Value::Real(_)) | None => Err(self.unexpected(column, "a number")),
        }
    }

    /// A number with a fraction; a whole one counts, because JavaScript does not tell them apart.
    pub fn real(&self, column: usize) -> Result<f64, StoreError> {
        match self.0.get(column) {
            Some(Value::Real(number)) => Ok(*number),
            #[expect(clippy::cast_precision_loss, reason = "numbers here are below 2^53")]
            Some(Value::Integer(number)) => Ok(*number as f64),
            Some(Value::Text(_) | Value::Null) | None => Err(self.unexpected(column, "a number")),
        }
    }

    /// A moment.
    pub fn timestamp(&self, column: usize) -> Result<Timestamp, StoreError> {
        self.number(column).map(Timestamp)
    }

    fn unexpected(&self, column: usize, expected: &str) -> StoreError {
        let found = match self.0.get(column) {
            Some(Value::Null) => "NULL",
            Some(Value::Integer(_)) => "a number out of range",
            Some(Value::Real(_)) => "a fraction",
            Some(Value::Text(_)) => "text",
            None => "nothing",
        };
        StoreError::Corrupt(format!("column {column}: expected {expected}, found {found}"))
    }
}

/// What can go wrong with a store. None of it is the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused a statement.
    #[error("SQLite refused: {0}")]
    Sql(String),
    /// What is stored cannot be read.
    #[error("what is stored cannot be read: {0}")]
    Corrupt(String),
}
