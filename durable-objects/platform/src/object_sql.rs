//! The store's port over the object's own SQLite. `transactionSync` is not wrapped by `worker`, so it is bound here.

use crate::sql::{Row, Sql, StoreError, Value};
use wasm_bindgen::prelude::*;
use worker::{SqlStorage, SqlStorageValue, Storage};

#[wasm_bindgen]
extern "C" {
    type SyncStorage;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &SyncStorage,
        body: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;
}

/// The object's SQLite.
#[derive(Debug)]
pub struct ObjectSql {
    storage: Storage,
    sql: SqlStorage,
}

impl ObjectSql {
    /// Over the object's storage.
    #[must_use]
    pub fn new(storage: Storage) -> Self {
        let sql = storage.sql();
        Self { storage, sql }
    }
}

impl Sql for ObjectSql {
    fn exec(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let bindings: Vec<JsValue> = params.iter().map(bind).collect();
        let cursor = self.sql.exec_raw(statement, bindings).map_err(refused)?;
        let mut rows = Vec::new();
        for row in cursor.raw() {
            let row = row.map_err(refused)?;
            rows.push(Row(row.into_iter().map(read).collect::<Result<_, _>>()?));
        }
        Ok(rows)
    }

    fn exec_script(&self, script: &str) -> Result<(), StoreError> {
        self.sql.exec_raw(script, None).map(|_| ()).map_err(refused)
    }

    fn transaction<T>(&self, body: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut body = Some(body);
        let mut value = None;
        self.run(&mut || {
            if let Some(body) = body.take() {
                value = Some(body()?);
            }
            Ok(())
        })?;
        value.ok_or_else(|| StoreError::Sql("the transaction did not run".to_owned()))
    }
}

impl ObjectSql {
    /// One for all kinds of values, because each would be code of its own.
    fn run(&self, body: &mut dyn FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let storage: &SyncStorage = self.storage.as_raw().unchecked_ref();
        let mut outcome = Ok(());
        let ended = storage.transaction_sync(&mut || {
            outcome = body();
            // Throwing is what rolls the transaction back.
            if outcome.is_err() { Err(JsValue::from_str("rolled back")) } else { Ok(JsValue::UNDEFINED) }
        });
        outcome?;
        ended.map(|_| ()).map_err(|error| StoreError::Sql(format!("the commit failed: {error:?}")))
    }
}

fn bind(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        #[expect(clippy::cast_precision_loss, reason = "numbers here are below 2^53")]
        Value::Integer(number) => JsValue::from_f64(*number as f64),
        Value::Real(number) => JsValue::from_f64(*number),
        Value::Text(text) => JsValue::from_str(text),
    }
}

fn read(value: SqlStorageValue) -> Result<Value, StoreError> {
    Ok(match value {
        SqlStorageValue::Null => Value::Null,
        SqlStorageValue::Integer(number) => Value::Integer(number),
        SqlStorageValue::Float(number) => Value::Real(number),
        SqlStorageValue::String(text) => Value::Text(text),
        SqlStorageValue::Boolean(_) | SqlStorageValue::Blob(_) => {
            return Err(StoreError::Corrupt("no table here has such a column".to_owned()));
        }
    })
}

fn refused(error: worker::Error) -> StoreError {
    StoreError::Sql(error.to_string())
}
