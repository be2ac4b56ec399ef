//! One operation: what is sent, what is answered, and with which codes it is refused. Who may ask, and how that is proven, is not said here: it
//! follows from the route table.

use super::schemas::Schemas;
use protocol::error::ErrorCode;
use schemars::JsonSchema;
use serde_json::{Value, json};

/// JSON, as almost everything.
pub(super) const JSON: &str = "application/json";

/// What a body is described by.
type Describe = Box<dyn Fn(&mut Schemas) -> Value>;

/// What is sent along.
pub(super) struct Body {
    pub(super) media_type: &'static str,
    pub(super) schema: Describe,
    pub(super) example: Option<Value>,
}

/// One way in which it ends well, or is sent elsewhere.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    /// Media type and schema of each form of its body.
    pub(super) content: Vec<(&'static str, Describe)>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

/// An operation.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: &'static str,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    /// Beyond those that follow from who may ask.
    pub(super) refusals: Vec<ErrorCode>,
}

/// Begins one: its row in the route table, its name for programs, and what it does.
pub(super) fn operation(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    Operation {
        method,
        path,
        id,
        summary,
        about: "",
        parameters: Vec::new(),
        body: None,
        answers: Vec::new(),
        refusals: Vec::new(),
    }
}

impl Operation {
    /// Whether the Worker's guard stands before it; pages are static assets.
    pub(super) fn is_guarded(&self) -> bool {
        self.path.starts_with("/api/") || self.path == "/metrics"
    }

    /// More about it.
    pub(super) fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// A parameter of the query that may be left out.
    pub(super) fn query(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.parameters.push(json!({ "name": name, "in": "query", "description": about, "schema": schema }));
        self
    }

    /// One that may not.
    pub(super) fn needs_query(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.parameters.push(
            json!({ "name": name, "in": "query", "required": true, "description": about, "schema": schema }),
        );
        self
    }

    /// A header that must be there.
    pub(super) fn needs_header(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.parameters.push(
            json!({ "name": name, "in": "header", "required": true, "description": about, "schema": schema }),
        );
        self
    }

    /// Takes this type as JSON.
    pub(super) fn takes<T: JsonSchema + 'static>(self) -> Self {
        self.takes_as(JSON, Schemas::asked::<T>)
    }

    /// Takes a body of this schema.
    pub(super) fn takes_as(
        mut self,
        media_type: &'static str,
        schema: impl Fn(&mut Schemas) -> Value + 'static,
    ) -> Self {
        self.body = Some(Body { media_type, schema: Box::new(schema), example: None });
        self
    }

    /// Takes a JSON object with exactly these texts, which are all needed.
    pub(super) fn takes_texts(self, fields: &'static [(&'static str, &'static str)]) -> Self {
        self.takes_as(JSON, move |_| object(fields.iter().map(|(name, about)| (*name, text(about)))))
    }

    /// An example of the body.
    pub(super) fn example(mut self, example: Value) -> Self {
        if let Some(body) = &mut self.body {
            body.example = Some(example);
        }
        self
    }

    /// Answers this type as JSON.
    pub(super) fn answers<T: JsonSchema + 'static>(self, status: u16, about: &'static str) -> Self {
        self.answers_as(status, about, JSON, Schemas::answered::<T>)
    }

    /// Answers a body of this schema. Said twice for a status: either.
    pub(super) fn answers_as(
        mut self,
        status: u16,
        about: &'static str,
        media_type: &'static str,
        schema: impl Fn(&mut Schemas) -> Value + 'static,
    ) -> Self {
        let content: (&'static str, Describe) = (media_type, Box::new(schema));
        match self.answers.iter_mut().find(|answer| answer.status == status) {
            Some(answer) => answer.content.push(content),
            None => self.answers.push(Answer { status, about, content: vec![content], headers: Vec::new() }),
        }
        self
    }

    /// Answers a JSON object with exactly these members.
    pub(super) fn answers_object<const N: usize>(
        self,
        status: u16,
        about: &'static str,
        members: [(&'static str, Value); N],
    ) -> Self {
        let schema = object(members);
        self.answers_as(status, about, JSON, move |_| schema.clone())
    }

    /// Answers `{}`.
    pub(super) fn answers_done(self, status: u16, about: &'static str) -> Self {
        self.answers_object(status, about, [])
    }

    /// Answers without a body.
    pub(super) fn answers_nothing(mut self, status: u16, about: &'static str) -> Self {
        self.answers.push(Answer { status, about, content: Vec::new(), headers: Vec::new() });
        self
    }

    /// A header of the answer that was said last.
    pub(super) fn with_header(mut self, name: &'static str, about: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, about));
        }
        self
    }

    /// Is refused with these codes, too.
    pub(super) fn refuses(mut self, codes: &[ErrorCode]) -> Self {
        self.refusals.extend(codes);
        self
    }
}

/// An object with exactly these members, all of them.
pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let members: serde_json::Map<String, Value> =
        members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let required: Vec<&String> = members.keys().collect();
    json!({ "type": "object", "properties": members, "required": required, "additionalProperties": false })
}

/// A text.
pub(super) fn text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

/// A number that counts something.
pub(super) fn count(about: &str) -> Value {
    json!({ "type": "integer", "format": "uint64", "minimum": 0, "description": about })
}

/// One of these words.
pub(super) fn word(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}
