//! Pictures and other files that the agent makes or looks at: what they are, how many are kept, under which ids.
//!
//! A runner is not believed: the content alone says what a file is. What is no picture that a browser may show and no text is only ever
//! downloaded. Pure. Called by `runner`, and by the object when somebody asks for a content.

use super::attachment::{Served, decode, file_name, media_type_of};
use super::input::{Effect, Work};
use super::limit::PIXELS_MAX;
use super::step::Step;
use protocol::attachment::{BINARY_TYPE, MEDIA_TYPES, TEXT_TYPE};
use protocol::id::{ArtifactId, ItemId, TurnId};
use protocol::limit::{FILE_BYTES_MAX, SESSION_FILES_MAX, TURN_FILES_MAX};
use protocol::sign::sha256_hex;
use protocol::timeline::{Artifact, ArtifactContent, Extent, Item, ItemContent, NoticeLevel, SessionEvent};

/// What waits for the store of artifacts: a tool's whole output, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// One of [`MEDIA_TYPES`], [`TEXT_TYPE`] or [`BINARY_TYPE`].
    pub media_type: String,
    /// All of it if it is text, else base64 (RFC 4648 §4).
    pub text: String,
}

impl Output {
    /// A text.
    #[must_use]
    pub fn of_text(text: String) -> Self {
        Self { media_type: TEXT_TYPE.to_owned(), text }
    }

    /// As it is served; nothing where it is not what it was when it was taken.
    #[must_use]
    pub fn serve(self) -> Option<Served> {
        if self.media_type == TEXT_TYPE {
            return Some(Served::Text(self.text));
        }
        let bytes = decode(&self.text)?;
        Some(if MEDIA_TYPES.contains(&self.media_type.as_str()) {
            Served::Picture { media_type: self.media_type, bytes }
        } else {
            Served::Binary(bytes)
        })
    }
}

/// `file_made`, as the runner says it.
pub(super) struct MadeFile {
    pub(super) turn_id: TurnId,
    pub(super) item_id: Option<ItemId>,
    pub(super) name: String,
    pub(super) data: String,
}

/// What a file turned out to be.
struct Content {
    output: Output,
    bytes: u64,
    extent: Option<Extent>,
}

impl Step<'_> {
    /// Keeps a file of the running turn, or says why not.
    pub(super) fn keep_file(&mut self, made: MadeFile) {
        let Some(turn) = self.session.turn.as_ref().filter(|turn| turn.id == made.turn_id) else { return };
        if made.item_id.as_ref().is_some_and(|item_id| !turn.items.contains_key(item_id)) {
            return;
        }
        let name = file_name(&made.name, "file");
        let content = match read(&made.data) {
            Ok(content) => content,
            Err(why) => return self.refuse_file(made.turn_id, &name, &why),
        };
        let content_id = id_of(&["content", &content.output.media_type, &content.output.text]);
        // A call brings a content once; what is left in the folder for artifacts is replaced by what has its name.
        let id = match &made.item_id {
            Some(item_id) => {
                content_id.as_ref().and_then(|id| id_of(&["call", item_id.as_str(), id.as_str()]))
            }
            None => id_of(&["folder", &name]),
        };
        let (Some(id), Some(content_id)) = (id, content_id) else { return };
        if let Some(why) = self.has_no_room(&id, &made.turn_id) {
            return self.refuse_file(made.turn_id, &name, &why);
        }
        self.session.files.insert(id.clone(), made.turn_id.clone());
        let Content { output, bytes, extent } = content;
        let media_type = output.media_type.clone();
        self.order(Effect::SaveOutput { artifact_id: content_id.clone(), output });
        self.enqueue(Work::StoreOutput { artifact_id: content_id.clone() });
        let content =
            ArtifactContent::File { name, item_id: made.item_id, content_id, media_type, bytes, extent };
        let artifact = Artifact { id, turn_id: made.turn_id, changed_at: self.now(), content };
        self.record(SessionEvent::ArtifactChanged { artifact });
    }

    /// Why one more file cannot be kept.
    fn has_no_room(&self, id: &ArtifactId, turn_id: &TurnId) -> Option<String> {
        let files = &self.session.files;
        let is_new = !files.contains_key(id);
        let of_turn = files.values().filter(|known| *known == turn_id).count();
        if files.get(id) != Some(turn_id) && of_turn >= TURN_FILES_MAX {
            return Some(format!("a turn brings at most {TURN_FILES_MAX} files"));
        }
        (is_new && files.len() >= SESSION_FILES_MAX)
            .then(|| format!("a session keeps at most {SESSION_FILES_MAX} files"))
    }

    /// As an item, of which a turn has only so many.
    fn refuse_file(&mut self, turn_id: TurnId, name: &str, why: &str) {
        let id = ItemId::from_random(self.draw());
        let text = format!("`{name}` is not kept as an artifact: {why}.");
        let content = ItemContent::Notice { level: NoticeLevel::Warning, text };
        self.change_item(Item { id, turn_id, started_at: self.now(), content });
    }
}

fn read(data: &str) -> Result<Content, String> {
    let too_long = || format!("it has more than {} KiB", FILE_BYTES_MAX / 1024);
    // Base64 has four characters for three bytes.
    if data.len() > FILE_BYTES_MAX.div_ceil(3) * 4 {
        return Err(too_long());
    }
    let bytes = decode(data).ok_or("it did not arrive whole")?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(too_long());
    }
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    let length = bytes.len() as u64;
    if let Some((media_type, extent)) = picture_of(&bytes) {
        let output = Output { media_type: media_type.to_owned(), text: data.to_owned() };
        return Ok(Content { output, bytes: length, extent: Some(extent) });
    }
    let output = match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Output::of_text(text),
        Ok(_) | Err(_) => Output { media_type: BINARY_TYPE.to_owned(), text: data.to_owned() },
    };
    Ok(Content { output, bytes: length, extent: None })
}

/// What a browser may show. A picture that would fill its memory is none.
fn picture_of(bytes: &[u8]) -> Option<(&'static str, Extent)> {
    let media_type = media_type_of(bytes)?;
    let size = imagesize::blob_size(bytes).ok()?;
    let extent = Extent { width: u32::try_from(size.width).ok()?, height: u32::try_from(size.height).ok()? };
    let pixels = u64::from(extent.width) * u64::from(extent.height);
    (1..=PIXELS_MAX).contains(&pixels).then_some((media_type, extent))
}

/// The same for the same parts, so that what comes twice is kept once.
fn id_of(parts: &[&str]) -> Option<ArtifactId> {
    let digest = sha256_hex(format!("file\n{}", parts.join("\n")).as_bytes());
    let unique: String = digest.chars().take(26).collect();
    ArtifactId::parse(&format!("{}_{unique}", ArtifactId::PREFIX)).ok()
}
