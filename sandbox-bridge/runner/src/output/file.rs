//! Pictures and other files that people may want to see: those that tools answer with and those that are left for them, within the
//! limits of the wire. Used by `output`.

use super::Output;
use protocol::id::ItemId;
use protocol::limit::{FILE_BYTES_MAX, TURN_FILES_MAX};
use protocol::runner::RunnerEvent;
use protocol::timeline::NoticeLevel;
use std::collections::BTreeSet;

/// A file with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MadeFile {
    /// Without folders.
    pub(crate) name: String,
    /// Base64 (RFC 4648 §4), with padding.
    pub(crate) data: String,
}

impl MadeFile {
    /// Of the content.
    pub(crate) fn bytes(&self) -> usize {
        let padding = self.data.bytes().rev().take_while(|byte| *byte == b'=').count();
        (self.data.len() / 4 * 3).saturating_sub(padding)
    }
}

/// What a turn has brought of them.
#[derive(Default)]
pub(super) struct Files {
    /// Calls whose files are sent; an agent tells the end of a call more than once.
    calls: BTreeSet<String>,
    sent: usize,
    left_out: usize,
}

impl Output {
    /// What the call `key` answered with, after its state.
    pub(crate) async fn keep_files(&mut self, key: &str, files: Vec<MadeFile>) {
        if files.is_empty() || !self.files.calls.insert(key.to_owned()) {
            return;
        }
        let item_id = self.tool_of(key).id().clone();
        for file in files {
            self.keep_file(Some(item_id.clone()), file).await;
        }
    }

    /// What the agent left for people.
    pub(crate) async fn keep_left(&mut self, files: Vec<MadeFile>) {
        for file in files {
            self.keep_file(None, file).await;
        }
    }

    async fn keep_file(&mut self, item_id: Option<ItemId>, file: MadeFile) {
        let bytes = file.bytes();
        let MadeFile { name, data } = file;
        if bytes > FILE_BYTES_MAX {
            let line = format!(
                "`{name}` is not kept as an artifact: it has more than {} KiB.",
                FILE_BYTES_MAX / 1024
            );
            return self.notice(NoticeLevel::Warning, &line).await;
        }
        if self.files.sent >= TURN_FILES_MAX {
            self.files.left_out += 1;
            let line = format!(
                "Only the first {TURN_FILES_MAX} files of this turn are kept as artifacts; {} more are not.",
                self.files.left_out
            );
            return self.replace_notice("files", NoticeLevel::Warning, &line).await;
        }
        self.files.sent += 1;
        let turn_id = self.turn_id.clone();
        self.spool.append(RunnerEvent::FileMade { turn_id, item_id, name, data }).await;
    }
}
