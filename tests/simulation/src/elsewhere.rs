//! The other things that a session reaches: the code host with its pull requests, the session index, the store of artifacts.

use crate::happening::{Answer, Ask, AskBody, Happening, IndexEntry};
use crate::plan::Fault;
use crate::scene::Scene;
use protocol::id::{ArtifactId, UserId};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is there.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// Author and head of each pull request.
    pub(crate) pull_requests: Vec<(UserId, String)>,
    pub(crate) index: Option<IndexEntry>,
    pub(crate) artifacts: BTreeMap<ArtifactId, Rc<str>>,
}

impl Elsewhere {
    /// Carries a request out; its answer may be lost on the way back.
    pub(crate) fn take_ask(&mut self, scene: &mut Scene, ask: Ask) {
        let answer = match ask.body {
            AskBody::PullRequest(order) => {
                if scene.strikes(Fault::CodeHostDown) {
                    Answer::Nothing
                } else if scene.strikes(Fault::CodeHostRefuses) {
                    Answer::CodeHostRefused("the token is not allowed to".to_owned())
                } else {
                    let head = order.change.branch;
                    let known = self.pull_requests.iter().position(|(_, known)| *known == head);
                    let number = known.unwrap_or_else(|| {
                        self.pull_requests.push((order.author, head));
                        self.pull_requests.len() - 1
                    });
                    Answer::PullRequest {
                        number: 1 + number as u64,
                        url: format!("https://code.example/pull/{}", 1 + number),
                        title: "Change".to_owned(),
                        base: "main".to_owned(),
                    }
                }
            }
            AskBody::UpdateIndex(entry) => {
                if scene.strikes(Fault::IndexDown) {
                    Answer::Nothing
                } else {
                    if self.index.as_ref().is_none_or(|known| entry.seq >= known.seq) {
                        self.index = Some(entry);
                    }
                    Answer::Done
                }
            }
            AskBody::RemoveIndex => {
                if scene.strikes(Fault::IndexDown) {
                    Answer::Nothing
                } else {
                    self.index = None;
                    Answer::Done
                }
            }
            AskBody::Store { artifact_id, text } => {
                if scene.strikes(Fault::ArtifactsDown) {
                    Answer::Nothing
                } else {
                    self.artifacts.insert(artifact_id, text);
                    Answer::Done
                }
            }
            AskBody::DeleteArtifacts => {
                if scene.strikes(Fault::ArtifactsDown) {
                    Answer::Nothing
                } else {
                    self.artifacts.clear();
                    Answer::Done
                }
            }
            AskBody::Claim { .. }
            | AskBody::Release { .. }
            | AskBody::Bind { .. }
            | AskBody::Create { .. }
            | AskBody::Command { .. }
            | AskBody::Snapshot { .. }
            | AskBody::Terminate { .. }
            | AskBody::DeleteSnapshot { .. } => return,
        };
        if !scene.strikes(Fault::RequestLost) {
            let hop = scene.hop();
            scene.after(hop, Happening::Answered(ask.call, answer));
        }
    }
}
