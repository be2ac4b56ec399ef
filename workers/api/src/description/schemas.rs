//! The schemas of what goes in and out, collected from the types of `protocol` under the names that they have there.
//!
//! What is asked is described as it is read, what is answered as it is written: of one type that differs only in what may be absent. Where a
//! type goes both ways and does differ, the one that is asked is called `…Request`.

use protocol::limit;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Numbers on the wire stay below it, so that JavaScript reads them exactly.
pub(super) const EXACT_MAX: u64 = (1 << 53) - 1;
const FOLDER: &str = "#/components/schemas/";

/// What the comments of the types call limits.
const LIMITS: &[(&str, usize)] = &[
    ("PROMPT_BYTES_MAX", limit::PROMPT_BYTES_MAX),
    ("ATTACHMENTS_MAX", limit::ATTACHMENTS_MAX),
    ("CAPTURES_MAX", limit::CAPTURES_MAX),
    ("ATTACHMENTS_BYTES_MAX", limit::ATTACHMENTS_BYTES_MAX),
    ("NOTICES_MAX", limit::NOTICES_MAX),
    ("BUILD_LOG_PIECE_BYTES_MAX", limit::BUILD_LOG_PIECE_BYTES_MAX),
    ("EGRESS_DENIALS_MAX", limit::EGRESS_DENIALS_MAX),
];

/// Makes and keeps schemas.
pub(super) struct Schemas {
    asked: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Schemas {
    /// Without any.
    pub(super) fn new() -> Self {
        let settings = || {
            let mut settings = SchemaSettings::draft2020_12();
            settings.definitions_path =
                FOLDER.trim_start_matches('#').trim_end_matches('/').to_owned().into();
            settings
        };
        Self {
            asked: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
        }
    }

    /// Of a body that is sent here.
    pub(super) fn asked<T: JsonSchema>(&mut self) -> Value {
        // Marked until it is known whether it differs from what is answered.
        let mut schema = self.asked.subschema_for::<T>().to_value();
        mark(&mut schema);
        schema
    }

    /// Of the body of an answer.
    pub(super) fn answered<T: JsonSchema>(&mut self) -> Value {
        self.answered.subschema_for::<T>().to_value()
    }

    /// All of them by name; and `document`, which speaks of them, with the names that they have.
    pub(super) fn finish(mut self, mut document: Value) -> (Map<String, Value>, Value) {
        let mut schemas = self.answered.take_definitions(true);
        let asked = self.asked.take_definitions(true);
        // What refers to a type that differs does, too.
        let mut differing: Vec<String> = Vec::new();
        loop {
            let before = differing.len();
            for (name, schema) in &asked {
                let refers = differing.iter().any(|other| refers_to(schema, other));
                let differs = schemas.get(name).is_some_and(|other| other != schema);
                let is_shared = schemas.contains_key(name);
                if !differing.contains(name) && (differs || (refers && is_shared)) {
                    differing.push(name.clone());
                }
            }
            if differing.len() == before {
                break;
            }
        }
        let renamed = |name: &str| {
            if differing.iter().any(|other| other == name) {
                format!("{name}Request")
            } else {
                name.to_owned()
            }
        };
        for (name, mut schema) in asked {
            mark(&mut schema);
            settle(&mut schema, &renamed);
            schemas.insert(renamed(&name), schema);
        }
        settle(&mut document, &renamed);
        for schema in schemas.values_mut() {
            tidy(schema);
        }
        tidy(&mut document);
        (schemas, document)
    }
}

/// Where a reference to what is asked begins until its name is known.
const MARK: &str = "asked:";

fn mark(schema: &mut Value) {
    each_reference(schema, &|reference| reference.replace(FOLDER, MARK));
}

fn settle(value: &mut Value, renamed: &dyn Fn(&str) -> String) {
    each_reference(value, &|reference| match reference.strip_prefix(MARK) {
        Some(name) => format!("{FOLDER}{}", renamed(name)),
        None => reference.to_owned(),
    });
}

fn each_reference(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let (Value::String(reference), "$ref") = (&mut *member, name.as_str()) {
                    *reference = change(reference);
                }
                each_reference(member, change);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| each_reference(element, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn refers_to(schema: &Value, name: &str) -> bool {
    match schema {
        Value::Object(members) => {
            let target = format!("{FOLDER}{name}");
            members.get("$ref").and_then(Value::as_str) == Some(&target)
                || members.values().any(|member| refers_to(member, name))
        }
        Value::Array(elements) => elements.iter().any(|element| refers_to(element, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Says formats and limits as OpenAPI does, and comments without the links of Rust.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(format) = members.get("format").and_then(Value::as_str) {
                let known = match format {
                    "uint64" => Some(("int64", EXACT_MAX)),
                    "uint32" | "uint" => Some(("int64", u64::from(u32::MAX))),
                    "uint16" => Some(("int32", u64::from(u16::MAX))),
                    _ => None,
                };
                if let Some((format, maximum)) = known {
                    members.insert("format".to_owned(), json!(format));
                    members.entry("maximum").or_insert(json!(maximum));
                }
            }
            for (name, member) in members {
                if let (Value::String(text), "description") = (&mut *member, name.as_str()) {
                    *text = plain(text);
                }
                tidy(member);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A comment without the brackets and paths of links, and with limits as numbers.
pub(super) fn plain(comment: &str) -> String {
    let mut text = String::new();
    let mut rest = comment;
    while let Some((before, after)) = rest.split_once("[`") {
        text.push_str(before);
        let Some((link, behind)) = after.split_once("`]") else { break };
        let name = link.rsplit("::").next().unwrap_or(link);
        match LIMITS.iter().find(|(limit, _)| *limit == name) {
            Some((_, number)) => text.push_str(&number.to_string()),
            None => text.push_str(&format!("`{name}`")),
        }
        rest = behind;
    }
    text.push_str(rest);
    // A comment is broken to the width of its file.
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}
