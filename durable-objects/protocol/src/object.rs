//! Structs that are read from JSON objects and from nothing else.
//!
//! serde derives a second way to read every struct, from an array of its fields in order. Nobody writes that, and it was a sixth of the
//! Worker's module. A struct asks for the one way with `#[serde(remote = "Self")]`, which keeps the derived functions from being the
//! traits, and with [`objects!`](crate::objects).
//!
//! Names of members are read by one function for all structs, rather than by one that is made for the fields of each.

use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Implements `Serialize` and `Deserialize` for structs with derived functions of the same names: `objects!(User, Prompt)`; or only the
/// latter: `objects!(read: Answer)`.
#[macro_export]
macro_rules! objects {
    (read: $($name:ty),+ $(,)?) => {$(
        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize($crate::object::ObjectOnly(deserializer))
            }
        }
    )+};
    ($($name:ty),+ $(,)?) => {$(
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize($crate::object::ObjectOnly(deserializer))
            }
        }
    )+};
}

/// Gives what it reads as an object, whatever is asked for.
#[derive(Debug)]
pub struct ObjectOnly<D>(pub D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectOnly<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Object(visitor))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The visitor of a struct, to which an object's members are given by [`Members`].
struct Object<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Object<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Members(members))
    }
}

/// Members whose names are read as text first.
struct Members<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        match self.0.next_key()? {
            Some(Text(name)) => seed.deserialize(StrDeserializer::new(&name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

/// A string that is copied only when it has escapes.
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(remote = "Self", rename_all = "camelCase")]
    struct Parcel {
        in_grams: u8,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        inside: Option<Box<Parcel>>,
    }
    objects!(Parcel);

    #[test]
    fn a_struct_is_an_object_and_no_array() {
        let text = r#"{"inGrams":7,"inside":{"inGrams":1}}"#;
        let parcel: Parcel = serde_json::from_str(text).unwrap();
        assert_eq!(parcel.inside, Some(Box::new(Parcel { in_grams: 1, inside: None })));
        assert_eq!(serde_json::to_string(&parcel).unwrap(), text);
        for (text, why) in [
            ("[7,null]", "invalid type: sequence, expected struct Parcel"),
            ("{}", "missing field `inGrams`"),
            (r#"{"inGrams":7"#, "EOF"),
        ] {
            let error = serde_json::from_str::<Parcel>(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
