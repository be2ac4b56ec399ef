//! Enums whose JSON is one object with a member that names the variant: `{"type": "stop", "turnId": …}`.
//!
//! serde derives that shape too (`tag`), but reads it by building a tree of the whole object first, with code for that in every
//! variant. Here the tag is looked up in the text, and then the text is read as that variant. An enum asks for it with
//! `#[serde(remote = "Self")]`, which keeps the derived functions from being the traits, and with [`tagged!`](crate::tagged). It is
//! read from JSON text only, not from a `serde_json::Value`.

use serde::Serialize;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, VariantAccess,
    Visitor,
};
use serde::ser::{Error as _, Impossible, SerializeStruct, SerializeStructVariant, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Implements `Serialize` and `Deserialize` for enums with derived functions of the same names: `tagged!("type": Event, Command)`.
#[macro_export]
macro_rules! tagged {
    ($tag:literal: $($name:ty),+ $(,)?) => {$(
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, $crate::tagged::Tagging::new($tag, serializer))
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let tagged = $crate::tagged::Tagged::read($tag, deserializer)?;
                Self::deserialize(tagged).map_err(::serde::de::Error::custom)
            }
        }
    )+};
}

type JsonError = serde_json::Error;
type Json<'de> = serde_json::Deserializer<serde_json::de::SliceRead<'de>>;

/// An object whose tag is known.
pub struct Tagged<'de> {
    tag: Cow<'de, str>,
    object: &'de str,
}

impl<'de> Tagged<'de> {
    /// Finds the tag; fails where there is none.
    pub fn read<D: Deserializer<'de>>(tag: &'static str, deserializer: D) -> Result<Self, D::Error> {
        let object = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        Self::find(tag, object).map_err(D::Error::custom)
    }

    fn find(name: &'static str, object: &'de str) -> Result<Self, JsonError> {
        let tag = json(object).deserialize_map(TagVisitor { name })?;
        Ok(Self { tag, object })
    }
}

fn json(text: &str) -> Json<'_> {
    // Not `from_str`: one kind of reader is half of the code of two.
    serde_json::Deserializer::from_slice(text.as_bytes())
}

struct TagVisitor {
    name: &'static str,
}

impl<'de> Visitor<'de> for TagVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with the member `{}`", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Text(member)) = members.next_key()? {
            if member != self.name {
                members.next_value::<serde::de::IgnoredAny>()?;
            } else if found.is_none() {
                let Text(tag) = members.next_value()?;
                found = Some(tag);
            } else {
                return Err(A::Error::duplicate_field(self.name));
            }
        }
        found.ok_or_else(|| A::Error::missing_field(self.name))
    }
}

/// A string that is copied only when it has escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
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

impl<'de> Deserializer<'de> for Tagged<'de> {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Tagged<'de> {
    type Error = JsonError;
    type Variant = Variant<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), JsonError> {
        let variant =
            seed.deserialize(IntoDeserializer::<JsonError>::into_deserializer(self.tag.as_ref()))?;
        Ok((variant, Variant(self.object)))
    }
}

/// What a variant is read from: the object, its tag included.
pub struct Variant<'de>(&'de str);

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = JsonError;

    fn unit_variant(self) -> Result<(), JsonError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, JsonError> {
        seed.deserialize(&mut json(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, JsonError> {
        Err(serde::de::Error::custom(UNNAMED))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        json(self.0).deserialize_struct("", fields, visitor)
    }
}

const UNNAMED: &str = "only variants whose fields have names, or that are one struct, can be tagged";

/// Writes variants as objects that begin with their tag.
pub struct Tagging<S> {
    tag: &'static str,
    /// Known when it is the one struct of this variant that is written.
    variant: Option<&'static str>,
    inner: S,
}

impl<S: Serializer> Tagging<S> {
    /// Writes to `inner`.
    pub fn new(tag: &'static str, inner: S) -> Self {
        Self { tag, variant: None, inner }
    }

    fn begin(
        self,
        name: &'static str,
        variant: &'static str,
        len: usize,
    ) -> Result<S::SerializeStruct, S::Error> {
        let mut object = self.inner.serialize_struct(name, len + 1)?;
        object.serialize_field(self.tag, variant)?;
        Ok(object)
    }

    fn refuse<T>(&self) -> Result<T, S::Error> {
        Err(S::Error::custom(UNNAMED))
    }
}

/// Refuses what has no members that a tag could stand before.
macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)+) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$ok, S::Error> {
            self.refuse()
        }
    )+};
}

impl<S: Serializer> Serializer for Tagging<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Impossible<S::Ok, S::Error>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Impossible<S::Ok, S::Error>;
    type SerializeMap = Impossible<S::Ok, S::Error>;
    type SerializeStruct = S::SerializeStruct;
    type SerializeStructVariant = Members<S::SerializeStruct>;

    fn serialize_unit_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.begin(name, variant, 0)?.end()
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.begin(name, variant, len).map(Members)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<S::SerializeStruct, S::Error> {
        match self.variant {
            Some(variant) => self.begin(name, variant, len),
            None => self.refuse(),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(Self { variant: Some(variant), ..self })
    }

    refuse! {
        serialize_bool(bool) -> S::Ok;
        serialize_i8(i8) -> S::Ok;
        serialize_i16(i16) -> S::Ok;
        serialize_i32(i32) -> S::Ok;
        serialize_i64(i64) -> S::Ok;
        serialize_u8(u8) -> S::Ok;
        serialize_u16(u16) -> S::Ok;
        serialize_u32(u32) -> S::Ok;
        serialize_u64(u64) -> S::Ok;
        serialize_f32(f32) -> S::Ok;
        serialize_f64(f64) -> S::Ok;
        serialize_char(char) -> S::Ok;
        serialize_str(&str) -> S::Ok;
        serialize_bytes(&[u8]) -> S::Ok;
        serialize_none() -> S::Ok;
        serialize_unit() -> S::Ok;
        serialize_unit_struct(&'static str) -> S::Ok;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<S::Ok, S::Error> {
        self.refuse()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<S::Ok, S::Error> {
        self.refuse()
    }
}

/// The members of a variant, after its tag.
pub struct Members<S>(S);

impl<S: SerializeStruct> SerializeStructVariant for Members<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), S::Error> {
        self.0.serialize_field(key, value)
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
        self.0.skip_field(key)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
    enum Move {
        GoTo {
            place_name: String,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            then: Option<Box<Move>>,
        },
        Rest,
        Send(Parcel),
        #[serde(other)]
        Unknown,
    }
    tagged!("type": Move);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Parcel {
        weight: u8,
    }

    fn read(text: &str) -> Result<Move, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn variants_are_objects_that_begin_with_their_tag() {
        let there = Move::GoTo { place_name: "\"Ä\"".into(), then: Some(Box::new(Move::Rest)) };
        let text = serde_json::to_string(&there).unwrap();
        assert_eq!(text, r#"{"type":"go_to","placeName":"\"Ä\"","then":{"type":"rest"}}"#);
        assert_eq!(read(&text), Ok(there));
    }

    #[test]
    fn a_variant_may_be_a_struct() {
        let text = r#"{"type":"send","weight":7}"#;
        assert_eq!(read(text), Ok(Move::Send(Parcel { weight: 7 })));
        assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
    }

    #[test]
    fn the_tag_may_stand_anywhere_and_be_escaped() {
        let here = Ok(Move::GoTo { place_name: "x".into(), then: None });
        assert_eq!(read(r#"{"placeName":"x","then":null,"type":"go_to"}"#), here);
        assert_eq!(read(r#" { "t\u0079pe" : "go\u005fto" , "placeName" : "x" , "more" : [{}] } "#), here);
    }

    #[test]
    fn a_variant_of_a_newer_version_is_unknown() {
        assert_eq!(read(r#"{"type":"fly","placeName":7}"#), Ok(Move::Unknown));
        assert_eq!(read(r#"{"type":"rest","placeName":7}"#), Ok(Move::Rest));
    }

    #[test]
    fn what_is_no_tagged_object_is_told_why() {
        for (text, why) in [
            ("7", "an object with the member `type`"),
            ("[]", "an object with the member `type`"),
            ("{}", "missing field `type`"),
            (r#"{"type":7}"#, "expected a string"),
            (r#"{"type":"rest","type":"rest"}"#, "duplicate field `type`"),
            (r#"{"type":"go_to"}"#, "missing field `placeName`"),
            (r#"{"type":"go_to","placeName":7}"#, "expected a string"),
            (r#"{"type":"go_to","placeName":"x""#, "EOF"),
            (r#"{"type":"go_to","placeName":"x",}"#, "key must be a string"),
            (r#"{"type":"go_to","placeName":"x","then":{}}"#, "missing field `type`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
