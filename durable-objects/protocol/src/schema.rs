//! JSON Schemas of texts with a form of their own, for the description of the HTTP API.

/// Implements `JsonSchema` for a newtype of a text: pattern, longest length, and what it is.
macro_rules! text {
    ($name:ident: $pattern:expr, $length_max:expr, $about:expr) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "maxLength": $length_max,
                    "description": $about.trim(),
                })
            }
        }
    };
}
pub(crate) use text;
