//! The way to one pull request with the right text: find the one that is there, else read the template and open it, then bring our part
//! of its text up to date.
//!
//! A machine over answers: [`Flow::request`] says what to ask, [`Flow::take`] takes the answer. It may be cut at any point and begun
//! again; whatever was done before is found.

use super::body::{compose, merge};
use super::{
    Created, NewPullRequest, PullRequest, create_request, find_request, parse_created, parse_found,
    parse_pull_request, update_request,
};
use crate::error::Error;
use crate::request::Request;
use crate::template::{Template, file_request, find_template, list_request, parse_file, parse_list};
use protocol::id::RepositoryId;

/// How often a pull request that is there and then is not is looked for.
const FINDS_MAX: u32 = 3;

/// On the way to a pull request.
#[derive(Clone, Debug)]
pub struct Flow<'a> {
    repository: &'a RepositoryId,
    /// Its body is our part of the text.
    wanted: &'a NewPullRequest,
    state: State,
    finds: u32,
}

#[derive(Clone, Debug)]
enum State {
    Find,
    /// In which folder a template is looked for.
    List(usize),
    Read(Template),
    Create {
        body: String,
    },
    Update {
        number: u64,
        body: String,
    },
}

impl<'a> Flow<'a> {
    /// Towards a pull request of `wanted.head` whose text has `wanted.body` in it, as [`super::body::render_part`] writes it.
    #[must_use]
    pub fn new(repository: &'a RepositoryId, wanted: &'a NewPullRequest) -> Self {
        Self { repository, wanted, state: State::Find, finds: 0 }
    }

    /// What to ask next.
    #[must_use]
    pub fn request(&self) -> Request {
        match &self.state {
            State::Find => find_request(self.repository, &self.wanted.head),
            State::List(folder) => list_request(self.repository, *folder, &self.wanted.base),
            State::Read(template) => file_request(self.repository, template, &self.wanted.base),
            State::Create { body } => {
                create_request(self.repository, &NewPullRequest { body: body.clone(), ..self.wanted.clone() })
            }
            State::Update { number, body } => update_request(self.repository, *number, body),
        }
    }

    /// Takes the answer to [`Self::request`]. The pull request, when there is nothing more to ask.
    pub fn take(&mut self, status: u16, answer: &[u8]) -> Result<Option<PullRequest>, Error> {
        match std::mem::replace(&mut self.state, State::Find) {
            State::Find => self.take_found(parse_found(status, answer)?),
            State::List(folder) => {
                // Without a list there is no template: the folder is not there, or the token may not read it.
                let names = match parse_list(status, answer) {
                    Ok(names) => names,
                    Err(error @ Error::Unavailable { .. }) => return Err(error),
                    Err(Error::Rejected { .. }) => Vec::new(),
                };
                self.state = match find_template(folder, &names) {
                    Some(template) => State::Read(template),
                    None if folder + 1 < crate::template::FOLDERS.len() => State::List(folder + 1),
                    None => State::Create { body: self.wanted.body.clone() },
                };
                Ok(None)
            }
            State::Read(_) => {
                let template = match parse_file(status, answer) {
                    Ok(text) => text,
                    Err(error @ Error::Unavailable { .. }) => return Err(error),
                    Err(Error::Rejected { .. }) => String::new(),
                };
                self.state = State::Create { body: compose(&template, &self.wanted.body) };
                Ok(None)
            }
            State::Create { .. } => match parse_created(status, answer)? {
                Created::New(pull) => Ok(Some(pull)),
                // Somebody was quicker, or an earlier answer was lost.
                Created::AlreadyOpen => Ok(None),
            },
            State::Update { .. } => parse_pull_request(status, answer).map(Some),
        }
    }

    fn take_found(&mut self, found: Option<PullRequest>) -> Result<Option<PullRequest>, Error> {
        self.finds += 1;
        match found {
            Some(pull) => {
                let body = merge(&pull.body, &self.wanted.body);
                if body == pull.body.replace("\r\n", "\n") {
                    return Ok(Some(pull));
                }
                self.state = State::Update { number: pull.number, body };
                Ok(None)
            }
            None if self.finds >= FINDS_MAX => Err(Error::no_answer("the pull request was there and is not")),
            None => {
                self.state = State::List(0);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
