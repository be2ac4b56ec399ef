//! D1 by the two calls that suffice: rows of one statement, and several statements that happen together or not at all.
//!
//! It knows no table. Values are bound, never written into a statement, and rows are read column by column: the module has no reader
//! for objects of JavaScript.

pub use crate::bound::Value;
use js_sys::Array;
use worker::wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, Env};

/// One row of a result.
#[derive(Debug)]
pub struct Row(Array);

impl Row {
    /// A column of text; empty where it is none.
    #[must_use]
    pub fn text(&self, column: u32) -> String {
        self.0.get(column).as_string().unwrap_or_default()
    }

    /// A column of text; `None` where it is none.
    #[must_use]
    pub fn text_or_null(&self, column: u32) -> Option<String> {
        self.0.get(column).as_string()
    }

    /// A column with a number, which may have a fraction; `None` where it is null.
    #[must_use]
    pub fn real(&self, column: u32) -> Option<f64> {
        self.0.get(column).as_f64()
    }

    /// A column with a whole number; `None` where it is null.
    #[must_use]
    pub fn number(&self, column: u32) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and below 2^53")]
        self.0.get(column).as_f64().map(|number| number as u64)
    }
}

/// The database of this deployment, binding `DB`.
#[derive(Debug)]
pub struct Database(D1Database);

impl Database {
    /// Opens it.
    pub fn new(env: &Env) -> worker::Result<Self> {
        env.d1("DB").map(Self)
    }

    /// Runs a statement; its rows, which for one that changes something are those of its `RETURNING`.
    pub async fn rows(&self, sql: &str, values: &[Value<'_>]) -> worker::Result<Vec<Row>> {
        let rows = self.statement(sql, values)?.raw_js_value().await?;
        Ok(rows.iter().map(|row| Row(Array::from(row))).collect())
    }

    /// Runs statements in one transaction.
    pub async fn together(&self, statements: &[(&str, &[Value<'_>])]) -> worker::Result<()> {
        let statements: worker::Result<Vec<_>> =
            statements.iter().map(|(sql, values)| self.statement(sql, values)).collect();
        self.0.batch(statements?).await.map(|_| ())
    }

    fn statement(&self, sql: &str, values: &[Value<'_>]) -> worker::Result<D1PreparedStatement> {
        let values: Vec<JsValue> = values.iter().map(|value| value.to_js()).collect();
        self.0.prepare(sql).bind(&values)
    }
}

impl Value<'_> {
    fn to_js(self) -> JsValue {
        match self {
            Self::Text(text) => JsValue::from_str(text),
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
            Self::Number(number) => JsValue::from_f64(number as f64),
            Self::Null => JsValue::NULL,
        }
    }
}
