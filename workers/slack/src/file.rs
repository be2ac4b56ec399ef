//! Files of messages: where their contents are, and what becomes of them as attachments of a prompt.
//!
//! Attachments have little room, so that of a large picture one of the smaller ones is taken that Slack makes (docs.slack.dev, "File object").
//! Contents decide what a file is; what Slack or its owner say of it does not. Fetching is the caller's work.

use crate::text::cut;
use protocol::attachment::{Attachment, MEDIA_TYPES, Picture};
use protocol::limit::ATTACHMENTS_BYTES_MAX;
use serde_json::Value;

/// Longest edges of the pictures that Slack makes, the largest first.
const THUMBS: [u32; 8] = [1024, 960, 800, 720, 480, 360, 160, 80];
/// One picture leaves room for others; the web client's are no larger.
const PICTURE_BYTES_MAX: usize = 80 * 1024;
/// What an attachment needs beside its content.
const FRAME_BYTES: usize = 400;
const SIDE_MAX: u64 = 65_535;
const NAME_CHARS_MAX: usize = 60;

/// One way to get a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Where.
    pub url: String,
    /// In pixels; 0 for what is no picture.
    pub width: u32,
    /// Likewise.
    pub height: u32,
    /// As far as Slack says.
    pub bytes: Option<u64>,
}

/// What a file says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A picture, the largest first.
    Picture(Vec<Variant>),
    /// Something else, which may be text.
    Text(Variant),
}

/// How much room a prompt has.
#[derive(Clone, Copy, Debug)]
pub struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(ATTACHMENTS_BYTES_MAX)
    }
}

impl Room {
    /// Bytes that a picture may have.
    #[must_use]
    pub fn picture_bytes(self) -> usize {
        (self.0.saturating_sub(FRAME_BYTES) / 4 * 3).min(PICTURE_BYTES_MAX)
    }

    /// Bytes that a text may have.
    #[must_use]
    pub fn text_bytes(self) -> usize {
        self.0.saturating_sub(FRAME_BYTES)
    }

    /// Takes an attachment in, if it fits.
    pub fn take(&mut self, attachment: &Attachment) -> bool {
        // As the session counts: its JSON.
        let bytes = serde_json::to_string(attachment).map_or(usize::MAX, |json| json.len());
        let fits = bytes <= self.0;
        if fits {
            self.0 -= bytes;
        }
        fits
    }
}

/// Reads an answer to `files.info`; `home` is where Slack's files are, without a slash at the end. The error is for people.
pub fn parse_info(answer: &Value, home: &str) -> Result<Content, String> {
    let info = answer.get("file").unwrap_or(&Value::Null);
    let text = |name: &str| info.get(name).and_then(Value::as_str).unwrap_or_default();
    let side = |name: &str| {
        let side = info.get(name).and_then(Value::as_u64).filter(|side| (1..=SIDE_MAX).contains(side));
        side.and_then(|side| u32::try_from(side).ok()).unwrap_or_default()
    };
    match text("mode") {
        "tombstone" => return Err("it was deleted".to_owned()),
        "hidden_by_limit" => return Err("Slack hides it, because it is too old for your plan".to_owned()),
        _ => {}
    }
    let is_ours = |url: &str| url.strip_prefix(home).is_some_and(|rest| rest.starts_with('/'));
    let url = ["url_private_download", "url_private"].map(text).into_iter().find(|url| is_ours(url));
    let url = url.ok_or("it is not kept by Slack; upload the file itself")?.to_owned();
    let bytes = info.get("size").and_then(Value::as_u64);
    let kind = text("mimetype");
    if !kind.starts_with("image/") || kind == "image/svg+xml" {
        return Ok(Content::Text(Variant { url, width: 0, height: 0, bytes }));
    }
    let mut variants = vec![Variant { url, width: side("original_w"), height: side("original_h"), bytes }];
    for edge in THUMBS {
        let url = text(&format!("thumb_{edge}"));
        let (width, height) = (side(&format!("thumb_{edge}_w")), side(&format!("thumb_{edge}_h")));
        if is_ours(url) {
            variants.push(Variant { url: url.to_owned(), width, height, bytes: None });
        }
    }
    // Slack measures all but a few; a picture without sides could not be laid out.
    variants.retain(|variant| variant.width > 0 && variant.height > 0);
    if variants.is_empty() {
        Err("Slack cannot show it as a picture".to_owned())
    } else {
        Ok(Content::Picture(variants))
    }
}

/// A picture as an attachment; `None` where its bytes are of no kind that is taken.
#[must_use]
pub fn picture(
    name: &str,
    variant: &Variant,
    bytes: &[u8],
    encode: fn(&[u8]) -> String,
) -> Option<Attachment> {
    let [png, jpeg, webp] = MEDIA_TYPES;
    let media_type = match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => png,
        [0xff, 0xd8, 0xff, ..] => jpeg,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp,
        _ => return None,
    };
    let Variant { width, height, .. } = *variant;
    let picture = Picture { media_type: media_type.to_owned(), data: encode(bytes), width, height };
    Some(Attachment::Image { name: name.to_owned(), picture })
}

/// A text as an attachment; `None` where it is none.
#[must_use]
pub fn text(name: &str, bytes: Vec<u8>) -> Option<Attachment> {
    let text = String::from_utf8(bytes).ok().filter(|text| !text.is_empty() && !text.contains('\0'))?;
    Some(Attachment::Text { name: name.to_owned(), text })
}

/// Tells an author what does not go along: names and reasons.
#[must_use]
pub fn render_missing(missing: &[(&str, String)]) -> String {
    let lines = missing.iter().map(|(name, why)| {
        let name = if name.is_empty() { "a file" } else { name };
        format!("\n• {}: {why}", cut(name, NAME_CHARS_MAX))
    });
    format!("I work without what you attached here:{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HOME: &str = "https://files.slack.com";

    fn info(more: Value) -> Value {
        let mut file = json!({
            "id": "F1", "mimetype": "image/png", "size": 2_000_000, "url_private": "https://files.slack.com/files-pri/T1-F1/a.png",
            "original_w": 3000, "original_h": 2000,
        });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "file": file })
    }

    fn encode(bytes: &[u8]) -> String {
        "A".repeat(bytes.len() * 4 / 3)
    }

    #[test]
    fn a_picture_comes_with_the_smaller_ones_of_slack() {
        let thumbs = json!({
            "thumb_720": "https://files.slack.com/files-tmb/T1-F1/a_720.png", "thumb_720_w": 720, "thumb_720_h": 480,
            "thumb_360": "https://elsewhere.example/a_360.png", "thumb_360_w": 360, "thumb_360_h": 240,
            "thumb_80": "https://files.slack.com/files-tmb/T1-F1/a_80.png",
        });
        let Content::Picture(variants) = parse_info(&info(thumbs), HOME).unwrap() else {
            panic!("no picture")
        };
        let seen: Vec<(u32, Option<u64>)> = variants.iter().map(|one| (one.width, one.bytes)).collect();
        assert_eq!(seen, [(3000, Some(2_000_000)), (720, None)]);
    }

    #[test]
    fn only_what_slack_keeps_is_fetched() {
        for url in [
            "https://files.slack.com.evil.example/a.png",
            "https://files.slack.com@evil.example/a.png",
            "http://files.slack.com/a.png",
            "https://docs.example/a.png",
            "",
        ] {
            let told = parse_info(&info(json!({ "url_private": url })), HOME).unwrap_err();
            assert!(told.contains("not kept by Slack"), "{url}: {told}");
        }
        assert!(parse_info(&info(json!({"mode": "tombstone"})), HOME).unwrap_err().contains("deleted"));
        assert!(parse_info(&Value::Null, HOME).is_err());
        let log = json!({"mimetype": "text/plain", "size": 3});
        assert!(matches!(parse_info(&info(log), HOME), Ok(Content::Text(Variant { bytes: Some(3), .. }))));
    }

    #[test]
    fn contents_say_what_a_file_is() {
        let variant = Variant { url: String::new(), width: 2, height: 3, bytes: None };
        let of = |bytes: &[u8]| match picture("a", &variant, bytes, encode) {
            Some(Attachment::Image { picture, .. }) => Some(picture.media_type),
            Some(Attachment::Capture { .. } | Attachment::Text { .. }) | None => None,
        };
        assert_eq!(of(b"\x89PNG\r\n\x1a\n...").as_deref(), Some("image/png"));
        assert_eq!(of(b"\xff\xd8\xff...").as_deref(), Some("image/jpeg"));
        assert_eq!(of(b"RIFF....WEBP...").as_deref(), Some("image/webp"));
        assert_eq!(of(b"<html>sign in</html>"), None);
        assert_eq!(of(b"GIF89a"), None);
        assert!(text("a", b"one\n".to_vec()).is_some());
        for other in [&b""[..], b"a\0b", b"\xff\xfe"] {
            assert_eq!(text("a", other.to_vec()), None);
        }
    }

    #[test]
    fn everything_together_fits() {
        let mut room = Room::default();
        let variant = Variant { url: String::new(), width: 2, height: 3, bytes: None };
        let mut taken = 0;
        loop {
            let bytes = [b"\xff\xd8\xff".to_vec(), vec![0; room.picture_bytes().saturating_sub(3)]].concat();
            let one = picture("a.jpg", &variant, &bytes, encode).unwrap();
            if room.picture_bytes() < 1024 || !room.take(&one) {
                break;
            }
            taken += serde_json::to_string(&one).unwrap().len();
        }
        assert!(taken > ATTACHMENTS_BYTES_MAX * 9 / 10 && taken <= ATTACHMENTS_BYTES_MAX, "{taken}");
        let quoted = text("a", vec![b'"'; room.text_bytes() + FRAME_BYTES]).unwrap();
        assert!(!room.take(&quoted), "what is longer as JSON is counted so");
    }

    #[test]
    fn what_is_missing_is_named_with_its_reason() {
        let told =
            render_missing(&[("report.pdf", "it is no text".to_owned()), ("", "it was deleted".to_owned())]);
        assert_eq!(
            told,
            "I work without what you attached here:\n• report.pdf: it is no text\n• a file: it was deleted"
        );
    }
}
