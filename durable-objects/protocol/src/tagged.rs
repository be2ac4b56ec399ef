//! Enums whose JSON is one object with a member that names the variant: `{"type": "stop", "turnId": …}`.
//!
//! serde derives that shape too (`tag`), but reads it by building a tree of the whole object first, with code for that in every
//! variant. Here a tag that stands first, where all of our own writers put it, costs nothing: the members behind it are read as the
//! variant's. In front of another tag the members are kept as text meanwhile. An enum asks for it with `#[serde(remote = "Self")]`,
//! which keeps the derived functions from being the traits, and with [`tagged!`](crate::tagged). It is read from JSON text only, not
//! from a `serde_json::Value`.

use crate::object::Text;
use serde::Serialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, VariantAccess, Visitor,
};
use serde::ser::{Error as _, Impossible, SerializeStruct, SerializeStructVariant, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

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
                $crate::tagged::read($tag, deserializer)
            }
        }

        impl<'de> $crate::tagged::FromTagged<'de> for $name {
            fn from_tagged<A: ::serde::de::MapAccess<'de>>(
                tagged: $crate::tagged::Tagged<'de, A>,
            ) -> Result<Self, A::Error> {
                Self::deserialize(tagged)
            }
        }
    )+};
}

/// What [`tagged!`](crate::tagged) makes of a derived enum.
pub trait FromTagged<'de>: Sized {
    /// Reads the variant that the tag names.
    fn from_tagged<A: MapAccess<'de>>(tagged: Tagged<'de, A>) -> Result<Self, A::Error>;
}

/// Reads an object with a member `tag`; fails where there is none.
pub fn read<'de, T: FromTagged<'de>, D: Deserializer<'de>>(
    tag: &'static str,
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_map(ObjectVisitor { tag, value: PhantomData })
}

struct ObjectVisitor<T> {
    tag: &'static str,
    value: PhantomData<T>,
}

impl<'de, T: FromTagged<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with the member `{}`", self.tag)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<T, A::Error> {
        let mut before = Vec::new();
        while let Some(Text(member)) = object.next_key()? {
            if member == self.tag {
                let Text(tag) = object.next_value()?;
                before.reverse();
                return T::from_tagged(Tagged { tag, members: Members { before, value: None, object } });
            }
            before.push((member, object.next_value()?));
        }
        Err(A::Error::missing_field(self.tag))
    }
}

/// An object whose tag is known.
pub struct Tagged<'de, A> {
    tag: Cow<'de, str>,
    members: Members<'de, A>,
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Tagged<'de, A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Tagged<'de, A> {
    type Error = A::Error;
    type Variant = Members<'de, A>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        Ok((seed.deserialize(StrDeserializer::new(&self.tag))?, self.members))
    }
}

/// What a variant is read from: all members of the object but its tag.
pub struct Members<'de, A> {
    /// Those that stood before the tag, the first one last.
    before: Vec<(Cow<'de, str>, &'de RawValue)>,
    /// Of the key that was read last, where it is one of these.
    value: Option<&'de RawValue>,
    object: A,
}

impl<'de, A: MapAccess<'de>> Members<'de, A> {
    fn next_name(&mut self) -> Result<Option<Cow<'de, str>>, A::Error> {
        match self.before.pop() {
            Some((name, value)) => {
                self.value = Some(value);
                Ok(Some(name))
            }
            None => Ok(self.object.next_key()?.map(|Text(name)| name)),
        }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        match self.next_name()? {
            Some(name) => seed.deserialize(StrDeserializer::new(&name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value.take() {
            Some(value) => {
                let mut json = serde_json::Deserializer::from_str(value.get());
                seed.deserialize(&mut json).map_err(A::Error::custom)
            }
            None => self.object.next_value_seed(seed),
        }
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Members<'de, A> {
    type Error = A::Error;

    fn unit_variant(mut self) -> Result<(), A::Error> {
        while self.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        seed.deserialize(MapAccessDeserializer::new(self))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, A::Error> {
        Err(A::Error::custom(UNNAMED))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(self)
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
    type SerializeStructVariant = Behind<S::SerializeStruct>;

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
        self.begin(name, variant, len).map(Behind)
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

/// The object of a variant, after its tag.
pub struct Behind<S>(S);

impl<S: SerializeStruct> SerializeStructVariant for Behind<S> {
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
        assert_eq!(
            read(r#"{"placeName":7,"type":"rest","type":"fly"}"#),
            Ok(Move::Rest),
            "the first tag counts"
        );
    }

    #[test]
    fn what_is_no_tagged_object_is_told_why() {
        for (text, why) in [
            ("7", "an object with the member `type`"),
            ("[]", "an object with the member `type`"),
            ("{}", "missing field `type`"),
            (r#"{"type":7}"#, "expected a string"),
            (r#"{"type":"go_to"}"#, "missing field `placeName`"),
            (r#"{"type":"go_to","placeName":7}"#, "expected a string"),
            (r#"{"type":"go_to","placeName":"x""#, "EOF"),
            (r#"{"type":"go_to","placeName":"x",}"#, "trailing comma"),
            (r#"{"type":"go_to","placeName":"x","then":{}}"#, "missing field `type`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
