//! What a repository is told from others by where a message names none: read and written by whoever may push to it.

use super::guard::Admitted;
use super::repositories::code_host;
use super::sessions::note;
use crate::answer::{Answer, json_text};
use crate::body::fields;
use crate::context::Context;
use crate::index::Index;
use crate::roster::{Hints, Roster};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::RepositoryId;

const DESCRIPTION_CHARS_MAX: usize = 300;
const HINTS_CHARS_MAX: usize = 2000;
const CHANNELS_MAX: usize = 50;

/// Reads them.
pub(super) async fn read(context: &Context, admitted: &Admitted, id: &RepositoryId) -> Answer {
    let repository = code_host(context, &admitted.principal()?.user.id).await?.check_access(id).await?;
    json_text(200, Roster::new(&context.env)?.read_hints(&repository.id).await?)
}

/// Writes them.
pub(super) async fn save(context: &Context, admitted: &Admitted, id: &RepositoryId) -> Answer {
    let repository = code_host(context, &admitted.principal()?.user.id).await?.check_access(id).await?;
    let fields = fields(&admitted.body, &["description", "hints", "channels"])?;
    let description = text("description", fields.text("description")?, DESCRIPTION_CHARS_MAX)?;
    let hints = text("hints", fields.text("hints")?, HINTS_CHARS_MAX)?;
    let channels = fields.texts("channels")?;
    if channels.len() > CHANNELS_MAX || !channels.iter().all(|channel| is_channel(channel)) {
        return Err(bad(format!(
            "`channels` must be at most {CHANNELS_MAX} ids of channels, such as C024BE91L"
        )));
    }
    // A repository that nobody has worked on has no row yet.
    Index::new(&context.env)?.save_repository(&repository, context.now).await?;
    let by = &admitted.principal()?.user.id;
    let words = Hints { description, hints, channels: &channels };
    Roster::new(&context.env)?.save_hints(&repository.id, &words, by, context.now).await?;
    note(context, by, "repository.hints", repository.id.as_str()).await;
    json_text(200, "{}".to_owned())
}

fn text<'a>(name: &str, value: &'a str, chars_max: usize) -> Result<&'a str, ErrorBody> {
    let value = value.trim();
    let is_plain = value.chars().all(|letter| letter == '\n' || !letter.is_control());
    if is_plain && value.chars().count() <= chars_max {
        return Ok(value);
    }
    Err(bad(format!("`{name}` must have at most {chars_max} printable characters")))
}

/// As Slack writes them: a letter for the kind, then letters and digits (<https://api.slack.com/types/conversation>).
fn is_channel(text: &str) -> bool {
    (9..=21).contains(&text.len())
        && text.starts_with(['C', 'G'])
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn bad(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::BadRequest, message)
}
