//! What goes along with a prompt, contents included: selections of web pages, pictures, text files. The same on its way from a client to
//! the session and from there to the runner.
//!
//! Read by hand from a [`Tree`], so that a client hears which member is wrong. Whether the contents are what they claim to be is for
//! `session::core` to check; what the timeline keeps of an attachment is [`PromptAttachment`].

use crate::id::ArtifactId;
use crate::objects;
use crate::tree::Tree;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

objects!(PromptAttachment, PictureFacts);

/// One attachment with its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[cfg_attr(feature = "schema", schemars(rename_all = "snake_case", rename_all_fields = "camelCase"))]
#[cfg_attr(feature = "typescript", ts(rename_all = "snake_case", rename_all_fields = "camelCase"))]
pub enum Attachment {
    /// A piece of a web page, as the extension selects it.
    Capture {
        /// As the crate `capture` and the extension have it, version 1. Other members beside it, such as the client's own outline, are
        /// left out.
        #[cfg_attr(feature = "typescript", ts(type = "object"))]
        #[cfg_attr(feature = "schema", schemars(with = "serde_json::Map<String, serde_json::Value>"))]
        capture: Tree,
        /// How the piece looked.
        #[cfg_attr(feature = "typescript", ts(optional))]
        picture: Option<Picture>,
    },
    /// A picture.
    Image {
        /// Of the file.
        name: String,
        /// Its content.
        picture: Picture,
    },
    /// A text file.
    Text {
        /// Of the file.
        name: String,
        /// Its content.
        text: String,
    },
}

/// A picture with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename_all = "camelCase"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "camelCase"))]
pub struct Picture {
    /// One of [`MEDIA_TYPES`].
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^image/(png|jpeg|webp)$")))]
    pub media_type: String,
    /// Base64 (RFC 4648 §4), with padding.
    pub data: String,
    /// In pixels.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_535)))]
    pub width: u32,
    /// In pixels.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_535)))]
    pub height: u32,
}

/// What pictures may be.
pub const MEDIA_TYPES: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];

/// A file that is text, whatever its name says.
pub const TEXT_TYPE: &str = "text/plain";

/// A file that is neither a picture of [`MEDIA_TYPES`] nor text: it is downloaded, never shown.
pub const BINARY_TYPE: &str = "application/octet-stream";

/// What the timeline tells of a [`Attachment`]. Contents: `GET /api/sessions/{id}/artifacts/{artifact_id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct PromptAttachment {
    /// What it is.
    pub kind: AttachmentKind,
    /// Of the file, or what was selected.
    pub name: String,
    /// Of the capture or the file; of its picture see there.
    pub bytes: u64,
    /// The outline of a capture, or the text of a file. It follows from the content, so that another content is another attachment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub text_id: Option<ArtifactId>,
    /// How it looks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub picture: Option<PictureFacts>,
    /// Where a capture was made, without what may be private.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub page_url: Option<String>,
    /// Elements of a capture.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub elements: Option<u32>,
}

/// What the timeline tells of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct PictureFacts {
    /// The picture; follows from its content.
    pub artifact_id: ArtifactId,
    /// One of [`MEDIA_TYPES`].
    pub media_type: String,
    /// In pixels, as the client says.
    pub width: u32,
    /// Likewise.
    pub height: u32,
    /// Of the picture.
    pub bytes: u64,
}

/// The kinds of attachments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    /// A piece of a web page.
    Capture,
    /// A picture.
    Image,
    /// A text file.
    Text,
    /// One of a newer version.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

impl Attachment {
    /// Reads one; the error says what is wrong and what would be right.
    pub fn read(tree: &Tree) -> Result<Self, String> {
        let kind = tree.get("type").and_then(Tree::text);
        let kind = kind.ok_or("an attachment is an object with the member `type`")?;
        match kind {
            "capture" => {
                let capture = tree.get("capture").filter(|capture| capture.is_object());
                let capture = capture.ok_or("a `capture` attachment has an object `capture`")?.clone();
                let picture = tree.get("picture").filter(|picture| **picture != Tree::Null);
                Ok(Self::Capture { capture, picture: picture.map(Picture::read).transpose()? })
            }
            "image" => {
                let picture = tree.get("picture").ok_or("an `image` attachment has a `picture`")?;
                Ok(Self::Image { name: member(tree, "name")?, picture: Picture::read(picture)? })
            }
            "text" => Ok(Self::Text { name: member(tree, "name")?, text: member(tree, "text")? }),
            other => {
                let other: String = other.chars().take(40).collect();
                Err(format!("an attachment is of the type `capture`, `image` or `text`, not {other:?}"))
            }
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_tree(&self) -> Tree {
        let (kind, members) = match self {
            Self::Capture { capture, picture } => {
                let picture = picture.iter().map(|picture| ("picture", picture.to_tree()));
                ("capture", [("capture", capture.clone())].into_iter().chain(picture).collect())
            }
            Self::Image { name, picture } => {
                ("image", vec![("name", name.as_str().into()), ("picture", picture.to_tree())])
            }
            Self::Text { name, text } => {
                ("text", vec![("name", name.as_str().into()), ("text", text.as_str().into())])
            }
        };
        object([("type", kind.into())].into_iter().chain(members))
    }
}

impl Picture {
    fn read(tree: &Tree) -> Result<Self, String> {
        let side = |name: &str| {
            let side = tree.get(name).and_then(Tree::number).filter(|side| (1.0..=65_535.0).contains(side));
            side.map(|side| side as u32).ok_or_else(|| format!("a picture's `{name}` is from 1 to 65535"))
        };
        let media_type = member(tree, "mediaType")?;
        if !MEDIA_TYPES.contains(&media_type.as_str()) {
            return Err(format!("a picture's `mediaType` is one of: {}", MEDIA_TYPES.join(", ")));
        }
        Ok(Self { media_type, data: member(tree, "data")?, width: side("width")?, height: side("height")? })
    }

    fn to_tree(&self) -> Tree {
        object([
            ("mediaType", self.media_type.as_str().into()),
            ("data", self.data.as_str().into()),
            ("width", Tree::Number(self.width.into())),
            ("height", Tree::Number(self.height.into())),
        ])
    }
}

fn member(tree: &Tree, name: &str) -> Result<String, String> {
    let text = tree.get(name).and_then(Tree::text);
    text.map(str::to_owned).ok_or_else(|| format!("an attachment's `{name}` is missing or no text"))
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Tree)>) -> Tree {
    Tree::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl Serialize for Attachment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_tree().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Attachment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&Tree::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Attachment, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn attachments_are_written_as_they_are_read() {
        for json in [
            r#"{"type":"capture","capture":{"version":1,"z":0,"a":1}}"#,
            r#"{"type":"capture","capture":{},"picture":{"mediaType":"image/webp","data":"AA==","width":1,"height":2}}"#,
            r#"{"type":"image","name":"a.png","picture":{"mediaType":"image/png","data":"","width":1,"height":1}}"#,
            r#"{"type":"text","name":"a.log","text":"one\ntwo"}"#,
        ] {
            assert_eq!(serde_json::to_string(&read(json).unwrap()).unwrap(), json);
        }
    }

    #[test]
    fn the_outline_of_a_client_is_left_out() {
        let read = read(r#"{"type":"capture","capture":{},"outline":"page: …","picture":null}"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"type":"capture","capture":{}}"#);
    }

    #[test]
    fn what_is_no_attachment_is_told_why() {
        for (json, why) in [
            ("7", "the member `type`"),
            ("[]", "the member `type`"),
            (r#"{"type":"video"}"#, "`capture`, `image` or `text`, not \"video\""),
            (r#"{"type":"capture","capture":[]}"#, "an object `capture`"),
            (r#"{"type":"image","name":"a"}"#, "has a `picture`"),
            (r#"{"type":"text","name":"a"}"#, "`text` is missing"),
            (
                r#"{"type":"image","name":"a","picture":{"mediaType":"image/svg+xml"}}"#,
                "image/png, image/jpeg, image/webp",
            ),
            (
                r#"{"type":"image","name":"a","picture":{"mediaType":"image/png","data":"","width":0,"height":1}}"#,
                "`width` is from 1",
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(why), "{json}: {error}");
        }
    }
}
