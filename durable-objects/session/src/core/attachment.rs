//! What goes along with a prompt: whether it is what it claims to be, what the timeline tells of it, and what is served of it later.
//!
//! A client is believed nothing: captures are cut and redacted again, pictures known by their first bytes, sizes and counts checked.
//! Pure. Called by `prompt`, and by the object when somebody asks for the contents.

use capture::{Capture, clean_name};
use platform::crypto::from_base64;
use protocol::attachment::{Attachment, Picture};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ArtifactId, PromptId};
use protocol::limit::{ATTACHMENT_NAME_CHARACTERS_MAX, ATTACHMENTS_BYTES_MAX, ATTACHMENTS_MAX, CAPTURES_MAX};
use protocol::sign::sha256_hex;
use protocol::timeline::{AttachmentKind, PictureFacts, PromptAttachment};

/// An attachment that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedAttachment {
    /// What the timeline tells of it.
    pub told: PromptAttachment,
    /// Its contents, as JSON of [`Attachment`].
    pub content: String,
}

/// What is served of an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// The outline of a capture, or a file.
    Text(String),
    /// A picture.
    Picture {
        /// One of [`protocol::attachment::MEDIA_TYPES`].
        media_type: String,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// Something to download.
    Binary(Vec<u8>),
}

/// Checks what goes along with one prompt.
pub(super) fn check_attachments(
    prompt_id: &PromptId,
    attachments: Vec<Attachment>,
) -> Result<Vec<CheckedAttachment>, ErrorBody> {
    let count = attachments.len();
    let too_many = |what: &str, max: usize| {
        Err(ErrorBody::new(
            ErrorCode::TooLarge,
            format!("a prompt takes at most {max} {what}; leave some out"),
        ))
    };
    if count > ATTACHMENTS_MAX {
        return too_many("attachments", ATTACHMENTS_MAX);
    }
    let is_capture = |attachment: &&Attachment| matches!(attachment, Attachment::Capture { .. });
    if attachments.iter().filter(is_capture).count() > CAPTURES_MAX {
        return too_many("captures", CAPTURES_MAX);
    }
    let mut checked = Vec::with_capacity(count);
    let mut bytes = 0;
    for (position, attachment) in attachments.into_iter().enumerate() {
        let one = check(prompt_id, position, attachment).map_err(|why| {
            let message = format!("attachment {} of the prompt is refused: {why}", position + 1);
            ErrorBody::new(ErrorCode::BadRequest, message)
        })?;
        bytes += one.content.len();
        checked.push(one);
    }
    if bytes > ATTACHMENTS_BYTES_MAX {
        let message = format!(
            "the prompt's attachments have {bytes} bytes together; at most {ATTACHMENTS_BYTES_MAX} are accepted"
        );
        return Err(ErrorBody::new(ErrorCode::TooLarge, message));
    }
    Ok(checked)
}

fn check(prompt_id: &PromptId, position: usize, attachment: Attachment) -> Result<CheckedAttachment, String> {
    let (mut told, content) = match attachment {
        Attachment::Capture { capture, picture } => check_capture(&Capture::read(&capture)?, picture)?,
        Attachment::Image { name, picture } => {
            let name = file_name(&name, "picture");
            let told = PromptAttachment {
                picture: Some(check_picture(&picture)?),
                ..nothing(AttachmentKind::Image, &name)
            };
            (told, Attachment::Image { name, picture })
        }
        Attachment::Text { name, text } => {
            if text.is_empty() || text.contains('\0') {
                return Err("it is empty or no text; attach a text file or a picture".to_owned());
            }
            let name = file_name(&name, "text");
            let told = PromptAttachment { bytes: text.len() as u64, ..nothing(AttachmentKind::Text, &name) };
            (told, Attachment::Text { name, text })
        }
    };
    let content = serde_json::to_string(&content).map_err(|error| error.to_string())?;
    // Ids follow from the content, so that a prompt's digest, which covers what is told, covers all of it.
    let id = |part: &str| {
        let digest = sha256_hex(format!("attachment\n{prompt_id}\n{position}\n{part}\n{content}").as_bytes());
        let unique: String = digest.chars().take(26).collect();
        ArtifactId::parse(&format!("{}_{unique}", ArtifactId::PREFIX)).map_err(|error| error.to_string())
    };
    match told.kind {
        AttachmentKind::Capture | AttachmentKind::Text => told.text_id = Some(id("text")?),
        AttachmentKind::Image | AttachmentKind::Unknown => {}
    }
    if let Some(picture) = &mut told.picture {
        picture.artifact_id = id("picture")?;
    }
    Ok(CheckedAttachment { told, content })
}

fn check_capture(
    capture: &Capture,
    picture: Option<Picture>,
) -> Result<(PromptAttachment, Attachment), String> {
    let tree = capture.to_tree();
    let told = PromptAttachment {
        bytes: tree.json_bytes() as u64,
        picture: picture.as_ref().map(check_picture).transpose()?,
        page_url: Some(capture.page.url.clone()),
        elements: u32::try_from(capture.elements()).ok(),
        ..nothing(AttachmentKind::Capture, &file_name(&capture.name(), "page"))
    };
    Ok((told, Attachment::Capture { capture: tree, picture }))
}

fn nothing(kind: AttachmentKind, name: &str) -> PromptAttachment {
    PromptAttachment {
        kind,
        name: name.to_owned(),
        bytes: 0,
        text_id: None,
        picture: None,
        page_url: None,
        elements: None,
    }
}

pub(super) fn file_name(name: &str, without: &str) -> String {
    let name = clean_name(name, ATTACHMENT_NAME_CHARACTERS_MAX);
    if name.is_empty() { without.to_owned() } else { name }
}

/// Its id comes later.
fn check_picture(picture: &Picture) -> Result<PictureFacts, String> {
    let bytes = decode(&picture.data).ok_or("the picture's `data` is not base64 with padding")?;
    if media_type_of(&bytes) != Some(picture.media_type.as_str()) {
        return Err(format!("the picture is not {}, which it claims to be", picture.media_type));
    }
    Ok(PictureFacts {
        artifact_id: ArtifactId::from_random([0; 16]),
        media_type: picture.media_type.clone(),
        width: picture.width,
        height: picture.height,
        bytes: bytes.len() as u64,
    })
}

/// As the address of data takes it (RFC 4648 §4): the one alphabet, padded, without line breaks.
pub(super) fn decode(data: &str) -> Option<Vec<u8>> {
    let plain = data.trim_end_matches('=');
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let fits = data.len().is_multiple_of(4) && data.len() - plain.len() <= 2 && plain.bytes().all(is_letter);
    if fits { from_base64(data) } else { None }
}

/// By the first bytes (MIME Sniffing Standard §6.1); the type that a client names is not believed.
pub(super) fn media_type_of(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// What is served as the text or as the picture of an attachment that was checked before.
#[must_use]
pub fn serve_attachment(attachment: Attachment, as_picture: bool) -> Option<Served> {
    let (text, picture) = match attachment {
        Attachment::Capture { capture, picture } => {
            (Capture::read(&capture).ok().map(|capture| capture.outline()), picture)
        }
        Attachment::Image { picture, .. } => (None, Some(picture)),
        Attachment::Text { text, .. } => (Some(text), None),
    };
    if !as_picture {
        return text.map(Served::Text);
    }
    let picture = picture?;
    Some(Served::Picture { bytes: decode(&picture.data)?, media_type: picture.media_type })
}
