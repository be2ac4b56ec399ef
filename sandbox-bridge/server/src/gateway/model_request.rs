//! What the model gateway reads of a request, and the one thing that it may add: that a stream tells its usage.
//!
//! Pure. Everything else stays as it was sent, byte for byte, and in its order, since providers cache by it.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What matters of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ModelRequest {
    /// Which model.
    pub(super) model: String,
    /// The most that it may write, as far as the request says so.
    pub(super) output_tokens_max: Option<u64>,
    /// As it goes out.
    pub(super) body: Bytes,
}

/// Why a request goes no further.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    /// It cannot be read.
    #[error("the request is not one JSON object")]
    NotAnObject,
    /// Two readers could read it differently.
    #[error("the request has {0:?} twice")]
    Twice(String),
}

/// Reads a request; `asks_usage` for streams of an API that tells usage only when asked.
pub(super) fn parse(body: Bytes, asks_usage: bool) -> Result<ModelRequest, RequestError> {
    let Object(fields) = serde_json::from_slice(&body).map_err(|_| RequestError::NotAnObject)?;
    for (at, (name, _)) in fields.iter().enumerate() {
        if fields.iter().skip(at + 1).any(|(other, _)| other == name) {
            return Err(RequestError::Twice(name.clone()));
        }
    }
    let field = |name: &str| fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.get());
    let model = field("model").and_then(|text| serde_json::from_str::<String>(text).ok()).unwrap_or_default();
    let number = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok());
    let output_tokens_max = ["max_completion_tokens", "max_output_tokens", "max_tokens"]
        .into_iter()
        .find_map(number)
        .map(|tokens| tokens.saturating_mul(number("n").unwrap_or(1)));
    if !asks_usage || field("stream") != Some("true") {
        return Ok(ModelRequest { model, output_tokens_max, body });
    }
    let options = field("stream_options").unwrap_or("{}");
    let mut options: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(options).unwrap_or_default();
    if options.get("include_usage") == Some(&true.into()) {
        return Ok(ModelRequest { model, output_tokens_max, body });
    }
    options.insert("include_usage".to_owned(), true.into());
    let mut changed = String::with_capacity(body.len() + 64);
    let own = serde_json::Value::Object(options).to_string();
    let kept =
        fields.iter().filter(|(name, _)| name != "stream_options").map(|(name, value)| (name, value.get()));
    for (name, value) in kept.chain([(&"stream_options".to_owned(), own.as_str())]) {
        changed.push(if changed.is_empty() { '{' } else { ',' });
        changed.push_str(&serde_json::Value::from(name.as_str()).to_string());
        changed.push(':');
        changed.push_str(value);
    }
    changed.push('}');
    Ok(ModelRequest { model, output_tokens_max, body: changed.into() })
}

/// The fields of an object in their order, with their values as they were written.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &'static str, asks_usage: bool) -> Result<String, RequestError> {
        parse(Bytes::from_static(text.as_bytes()), asks_usage)
            .map(|request| String::from_utf8(request.body.to_vec()).unwrap())
    }

    #[test]
    fn only_streams_that_would_not_tell_their_usage_are_changed() {
        for text in [
            "{}",
            r#"{"model": "a", "b": 1.0, "a": 2}"#,
            r#"{"stream":false}"#,
            r#"{"stream":true, "stream_options": {"include_usage": true, "x": 1} }"#,
        ] {
            assert_eq!(body(text, true).as_deref(), Ok(text));
        }
        let chat = r#"{"z": 1.50, "stream": true, "tools": [{"b":1, "a":2}], "model": "m"}"#;
        assert_eq!(body(chat, false).as_deref(), Ok(chat));
        assert_eq!(
            body(chat, true).as_deref(),
            Ok(
                r#"{"z":1.50,"stream":true,"tools":[{"b":1, "a":2}],"model":"m","stream_options":{"include_usage":true}}"#
            )
        );
        let hiding = r#"{"stream_options": {"include_usage": false, "x": 1}, "stream": true}"#;
        assert_eq!(
            body(hiding, true).as_deref(),
            Ok(r#"{"stream":true,"stream_options":{"include_usage":true,"x":1}}"#)
        );
        assert_eq!(
            body(r#"{"stream_options": null, "stream": true}"#, true)
                .unwrap()
                .matches("include_usage")
                .count(),
            1
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_goes_no_further() {
        assert_eq!(
            body(r#"{"model": "cheap", "\u006dodel": "dear"}"#, true),
            Err(RequestError::Twice("model".into()))
        );
        for text in ["", "[]", "1", "{", "{} {}", "null"] {
            assert_eq!(body(text, true), Err(RequestError::NotAnObject), "{text}");
        }
        let request = parse(Bytes::from_static(br#"{"model": "m\u0031"}"#), true).unwrap();
        assert_eq!(request.model, "m1");
    }

    #[test]
    fn the_most_that_a_model_may_write_is_found_in_all_three_apis() {
        for (text, expected) in [
            (r#"{"max_tokens": 100}"#, Some(100)),
            (r#"{"max_completion_tokens": 7, "max_tokens": 100, "n": 3}"#, Some(21)),
            (r#"{"max_output_tokens": 5}"#, Some(5)),
            (r#"{"max_tokens": -1}"#, None),
            (r#"{"max_tokens": null}"#, None),
            ("{}", None),
        ] {
            let request = parse(Bytes::from_static(text.as_bytes()), false).unwrap();
            assert_eq!(request.output_tokens_max, expected, "{text}");
        }
    }
}
