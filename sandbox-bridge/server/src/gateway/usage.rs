//! What a model call costs: tokens read from the provider's own answer as it streams by, and their price.
//!
//! Usage comes in the fields of the three APIs (OpenAI Chat and Responses, Anthropic Messages). An answer that is cut before its
//! usage came is estimated, so that hanging up saves nothing. The model gateway reads it, `spending` adds it up.

use serde::{Deserialize, Serialize};

/// Longest line, and longest whole answer, in which usage is looked for.
const LINE_BYTES_MAX: usize = 1024 * 1024;
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Characters of a token, when nobody has counted.
pub(super) const BYTES_PER_TOKEN: u64 = 4;
const MILLION: u128 = 1_000_000;

/// Prices of a model, in millionths of a dollar for a million tokens: 3 dollars for a million are 3000000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// What the model reads.
    pub input: u64,
    /// What it writes.
    pub output: u64,
    /// What it reads and has read before; as `input` where absent.
    pub cached_input: Option<u64>,
    /// What it reads and remembers for later; as `input` where absent.
    pub cache_write: Option<u64>,
}

/// Tokens, each counted in one field only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Read for the first time.
    pub input: u64,
    /// Read from the provider's cache.
    pub cached_input: u64,
    /// Read and put there.
    pub cache_write: u64,
    /// Written.
    pub output: u64,
}

impl Tokens {
    /// All of them, read and written.
    #[must_use]
    pub fn total(self) -> u64 {
        let read = self.input.saturating_add(self.cached_input).saturating_add(self.cache_write);
        read.saturating_add(self.output)
    }

    pub(super) fn add(&mut self, more: Self) {
        self.input = self.input.saturating_add(more.input);
        self.cached_input = self.cached_input.saturating_add(more.cached_input);
        self.cache_write = self.cache_write.saturating_add(more.cache_write);
        self.output = self.output.saturating_add(more.output);
    }

    /// What has come since it was `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            input: self.input.saturating_sub(before.input),
            cached_input: self.cached_input.saturating_sub(before.cached_input),
            cache_write: self.cache_write.saturating_sub(before.cache_write),
            output: self.output.saturating_sub(before.output),
        }
    }
}

impl ModelPrice {
    pub(super) fn cost(&self, tokens: Tokens) -> u64 {
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = of(tokens.input, self.input)
            + of(tokens.cached_input, self.cached_input.unwrap_or(self.input))
            + of(tokens.cache_write, self.cache_write.unwrap_or(self.input))
            + of(tokens.output, self.output);
        u64::try_from(sum.div_ceil(MILLION)).unwrap_or(u64::MAX)
    }
}

/// Finds the usage in an answer that streams by.
pub(super) struct UsageReader {
    is_stream: bool,
    held: Vec<u8>,
    /// The line, or the whole, is longer than is looked at.
    is_too_long: bool,
    events: u64,
    found: Option<Tokens>,
    /// What was found includes the end of the answer.
    is_final: bool,
}

impl UsageReader {
    /// For a stream of events, or for one JSON object.
    pub(super) fn new(is_stream: bool) -> Self {
        Self { is_stream, held: Vec::new(), is_too_long: false, events: 0, found: None, is_final: false }
    }

    pub(super) fn read(&mut self, chunk: &[u8]) {
        if !self.is_stream {
            return self.hold(chunk, ANSWER_BYTES_MAX);
        }
        let mut rest = chunk;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at);
            self.hold(line, LINE_BYTES_MAX);
            self.end_line();
            rest = after.get(1..).unwrap_or_default();
        }
        self.hold(rest, LINE_BYTES_MAX);
    }

    fn hold(&mut self, bytes: &[u8], max: usize) {
        if self.held.len() + bytes.len() > max {
            self.is_too_long = true;
            self.held = Vec::new();
        }
        if !self.is_too_long {
            self.held.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.held);
        if !std::mem::take(&mut self.is_too_long)
            && let Some(data) = line.strip_prefix(b"data:")
        {
            self.events += 1;
            self.look_into(data);
        }
        // The room is used again.
        self.held = line;
        self.held.clear();
    }

    fn look_into(&mut self, json: &[u8]) {
        // Most pieces of a stream have none, and need not be parsed.
        if memchr::memmem::find(json, b"\"usage\"").is_none() {
            return;
        }
        let Ok(envelope) = serde_json::from_slice::<Envelope>(json) else { return };
        let last = envelope.usage.or_else(|| envelope.response.and_then(|response| response.usage));
        self.is_final |= last.is_some();
        let usages = [last, envelope.message.and_then(|message| message.usage)];
        for usage in usages.into_iter().flatten() {
            let (now, before) = (usage.tokens(), self.found.unwrap_or_default());
            // Later counts of the same call include the earlier ones.
            self.found = Some(Tokens {
                input: now.input.max(before.input),
                cached_input: now.cached_input.max(before.cached_input),
                cache_write: now.cache_write.max(before.cache_write),
                output: now.output.max(before.output),
            });
        }
    }

    /// What the provider has said so far.
    pub(super) fn found(&self) -> Option<Tokens> {
        self.found
    }

    /// What the call came to. `request_bytes` and the number of pieces count where the provider did not come to saying it.
    pub(super) fn finish(&mut self, request_bytes: usize) -> Tokens {
        if !self.is_stream && !self.is_too_long {
            let whole = std::mem::take(&mut self.held);
            self.look_into(&whole);
        }
        let found = self.found.unwrap_or_default();
        if self.is_final {
            return found;
        }
        let read = found.input + found.cached_input + found.cache_write;
        let input = if read > 0 { found.input } else { request_bytes as u64 / BYTES_PER_TOKEN };
        Tokens { input, output: found.output.max(self.events), ..found }
    }

    /// Whether the provider has said what the call came to.
    pub(super) fn is_final(&self) -> bool {
        self.is_final
    }
}

/// Where the three APIs put their usage: at the top, in `response` (Responses), in `message` (Messages, at the beginning).
#[derive(Deserialize)]
struct Envelope {
    usage: Option<Usage>,
    response: Option<Inner>,
    message: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    usage: Option<Usage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    input_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Usage {
    /// OpenAI's input includes what came from the cache, Anthropic's does not.
    fn tokens(&self) -> Tokens {
        let details = self.prompt_tokens_details.as_ref().or(self.input_tokens_details.as_ref());
        let included = details.and_then(|details| details.cached_tokens).unwrap_or(0);
        let input = self.prompt_tokens.or(self.input_tokens).unwrap_or(0);
        Tokens {
            input: input.saturating_sub(included),
            cached_input: included + self.cache_read_input_tokens.unwrap_or(0),
            cache_write: self.cache_creation_input_tokens.unwrap_or(0),
            output: self.completion_tokens.or(self.output_tokens).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\": {}\"}}],\"usage\":null}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"prompt_tokens_details\":{\"cached_tokens\":60}}}\n\ndata: [DONE]\n\n";
    const RESPONSES: &str = "event: response.completed\r\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":5}}}\r\n\r\n";
    const MESSAGES: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":30,\"cache_creation_input_tokens\":4,\"output_tokens\":1}}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}\n\n";

    fn read(text: &str, size: usize, is_stream: bool) -> Tokens {
        let mut reader = UsageReader::new(is_stream);
        text.as_bytes().chunks(size).for_each(|chunk| reader.read(chunk));
        reader.finish(400)
    }

    #[test]
    fn usage_is_found_in_all_three_apis_wherever_the_stream_is_cut() {
        for size in 1..200 {
            assert_eq!(
                read(CHAT, size, true),
                Tokens { input: 40, cached_input: 60, cache_write: 0, output: 20 }
            );
            assert_eq!(read(RESPONSES, size, true), Tokens { input: 7, output: 5, ..Tokens::default() });
            let messages = Tokens { input: 9, cached_input: 30, cache_write: 4, output: 15 };
            assert_eq!(read(MESSAGES, size, true), messages);
        }
        let whole = r#"{"id":"x","usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        assert_eq!(read(whole, 9, false), Tokens { input: 3, output: 4, ..Tokens::default() });
    }

    #[test]
    fn hanging_up_before_the_usage_came_saves_nothing() {
        let cut = CHAT.split_at(CHAT.find("data: [").unwrap() - 60).0;
        assert_eq!(read(cut, 50, true), Tokens { input: 100, output: 1, ..Tokens::default() });
        let cut = MESSAGES.split("event: message_delta").next().unwrap();
        assert_eq!(read(cut, 50, true), Tokens { input: 9, cached_input: 30, cache_write: 4, output: 2 });
        assert_eq!(read("not json", 50, false).input, 100);
    }

    #[test]
    fn an_endless_line_is_passed_over_and_the_next_one_read() {
        let text = format!("data: {}\n{CHAT}", "x".repeat(3 * LINE_BYTES_MAX));
        assert_eq!(read(&text, 60_000, true).output, 20);
        assert_eq!(read(&"x".repeat(2 * ANSWER_BYTES_MAX), 60_000, false).input, 100);
    }
}
