/** Reads what callers send the plain object; what is not as expected is refused before anything is stored. */

/** A caller's mistake: an answer of the API. */
export class Refusal extends Error {
  constructor(status, code, message, more) {
    super(message);
    this.status = status;
    this.body = { code, message, ...more };
  }
}

const bad = (message) => new Refusal(400, "bad_request", message);

const text = (value) => typeof value === "string";
const number = (value) => Number.isSafeInteger(value) && value >= 0;
const object = (value) => typeof value === "object" && value !== null;
const flag = (value) => typeof value === "boolean";

const CONTENT = {
  text: (it) => text(it.text) && flag(it.done),
  reasoning: (it) => text(it.text) && flag(it.done),
  tool: (it) =>
    text(it.name) &&
    text(it.title) &&
    text(it.input) &&
    text(it.output) &&
    number(it.omittedBytes) &&
    object(it.state),
  plan: (it) => Array.isArray(it.steps) && it.steps.every((step) => text(step.text) && text(step.state)),
  notice: (it) => text(it.level) && text(it.text),
};

const EVENT = {
  setup_step: (it) => text(it.step),
  ready: (it) => text(it.agent),
  turn_received: (it) => text(it.turnId) && number(it.attempt),
  item_changed: ({ item }) =>
    object(item) &&
    text(item.id) &&
    text(item.turnId) &&
    number(item.startedAt) &&
    object(item.content) &&
    (CONTENT[item.content.type]?.(item.content) ?? true),
  item_appended: (it) => text(it.itemId) && number(it.offset) && text(it.text),
  turn_ended: (it) => text(it.turnId) && object(it.outcome) && object(it.usage),
};

/** A batch of a bridge: at least one event, numbers gapless. */
export function readBatch(batch) {
  if (!object(batch) || !text(batch.sandboxId) || !number(batch.generation) || !Array.isArray(batch.events)) {
    throw bad("the body is not a batch");
  }
  if (batch.events.length === 0) throw bad("a batch has at least one event");
  let next = batch.events[0]?.seq;
  for (const record of batch.events) {
    if (!object(record) || record.seq !== next || !number(record.at) || !object(record.event)) {
      throw bad("the batch's numbers have a gap");
    }
    if (EVENT[record.event.type]?.(record.event) === false)
      throw bad(`event ${record.seq} is not as expected`);
    next += 1;
  }
  return batch;
}

const PROMPT_BYTES_MAX = 64 * 1024;

/** A prompt as a client submits it. */
export function readPrompt(prompt) {
  if (
    !object(prompt) ||
    !/^prm_[a-z0-9_-]{1,60}$/.test(prompt.id) ||
    !text(prompt.text) ||
    !text(prompt.origin)
  ) {
    throw bad("this is not a prompt");
  }
  if (prompt.text.trim() === "") throw bad("the prompt is empty");
  if (prompt.text.length > PROMPT_BYTES_MAX) throw new Refusal(413, "too_large", "the prompt is too long");
  return prompt;
}
