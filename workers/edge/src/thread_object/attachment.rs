//! A message's files, fetched with the bot's token and made attachments of its prompt. What a file is, and how much of it there is room
//! for, is `slack::file`'s to say.

use super::api::{Api, NoFile};
use super::message::Step;
use super::shell::Outcome;
use platform::crypto::base64;
use platform::host::now;
use protocol::attachment::Attachment;
use protocol::limit::ATTACHMENTS_MAX;
use slack::api::Answer;
use slack::event::File;
use slack::file::{Content, Room, Variant, parse_info, picture, render_missing, text};
use thread::state::Order;

/// Tries of a message while Slack does not give its files; then it goes on without them.
const TRIES_MAX: u32 = 4;

/// What goes along with a prompt.
pub(super) struct Carried<'a> {
    pub(super) attachments: Vec<Attachment>,
    /// What does not, and why.
    pub(super) missing: Vec<(&'a File, String)>,
}

/// Tells whoever attached it what does not go along.
pub(super) fn say_missing(missing: &[(&File, String)], about: &str, user: &str) -> Option<Order> {
    let words: Vec<(&str, String)> =
        missing.iter().map(|(file, why)| (file.name.as_str(), why.clone())).collect();
    (!words.is_empty()).then(|| Order::say(&format!("{about}/files"), user, &render_missing(&words), now()))
}

/// Why a file does not come.
enum Refusal {
    Later(String),
    For(String),
}

impl From<NoFile> for Refusal {
    fn from(why: NoFile) -> Self {
        match why {
            NoFile::Later(reason) => Self::Later(reason),
            NoFile::TooLarge => {
                Self::For("it is too large; attachments of a prompt have 180 KiB together".to_owned())
            }
            NoFile::Refused(reason) => Self::For(reason),
        }
    }
}

/// Fetches files, one after the other, because each leaves less room for the next.
pub(super) async fn gather<'a>(api: &Api<'_>, files: &'a [File], tries: u32) -> Step<Carried<'a>> {
    let mut carried = Carried { attachments: Vec::new(), missing: Vec::new() };
    let mut room = Room::default();
    for file in files {
        let found = if carried.attachments.len() < ATTACHMENTS_MAX {
            fetch(api, file, &mut room).await
        } else {
            Err(Refusal::For(format!("a prompt takes {ATTACHMENTS_MAX} attachments")))
        };
        match found {
            Ok(attachment) => carried.attachments.push(attachment),
            Err(Refusal::For(why)) => carried.missing.push((file, why)),
            Err(Refusal::Later(why)) if tries < TRIES_MAX => {
                return Err(Outcome::later(format!("a file does not come: {why}")));
            }
            Err(Refusal::Later(_)) => {
                carried.missing.push((file, "Slack does not give it at the moment".to_owned()));
            }
        }
    }
    Ok(carried)
}

async fn fetch(api: &Api<'_>, file: &File, room: &mut Room) -> Result<Attachment, Refusal> {
    if file.id.is_empty() {
        return Err(Refusal::For("Slack does not say where it is".to_owned()));
    }
    let info = match api.read("files.info", &format!("file={}", file.id)).await {
        Answer::Done(info) => info,
        Answer::Later { reason, .. } => return Err(Refusal::Later(reason)),
        Answer::Refused { reason, .. } => return Err(Refusal::For(reason)),
    };
    let attachment = match parse_info(&info, &api.settings.files_url).map_err(Refusal::For)? {
        Content::Picture(variants) => fetch_picture(api, file, &variants, *room).await?,
        Content::Text(variant) => {
            let content = fetch_variant(api, &variant, room.text_bytes()).await?;
            text(&file.name, content)
                .ok_or_else(|| Refusal::For("it is neither a picture nor text".to_owned()))?
        }
    };
    if room.take(&attachment) { Ok(attachment) } else { Err(NoFile::TooLarge.into()) }
}

/// The largest of the pictures that there is room for.
async fn fetch_picture(
    api: &Api<'_>,
    file: &File,
    variants: &[Variant],
    room: Room,
) -> Result<Attachment, Refusal> {
    let mut is_large = false;
    for variant in variants {
        match fetch_variant(api, variant, room.picture_bytes()).await {
            Ok(content) => {
                if let Some(attachment) = picture(&file.name, variant, &content, base64) {
                    return Ok(attachment);
                }
            }
            Err(NoFile::TooLarge) => is_large = true,
            Err(other @ (NoFile::Later(_) | NoFile::Refused(_))) => return Err(other.into()),
        }
    }
    Err(if is_large {
        NoFile::TooLarge.into()
    } else {
        Refusal::For("it is no picture that can be read here; PNG, JPEG and WebP can".to_owned())
    })
}

async fn fetch_variant(api: &Api<'_>, variant: &Variant, bytes_max: usize) -> Result<Vec<u8>, NoFile> {
    if variant.bytes.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(NoFile::TooLarge);
    }
    api.fetch(&variant.url, bytes_max).await
}
