/**
 * A turn's items in one batch of the plain object: folds what the runner reported, merges pieces of the same text that follow each
 * other, and writes each item once per batch.
 */

/** The name of the text that grows. */
const GROWING = { text: "text", reasoning: "text", tool: "output" };

class OpenItems {
  #turn;
  #store;
  #changed = new Map();
  #grown = new Map();
  /** The piece that the next one may continue. */
  #piece = null;

  constructor(turn, store) {
    this.#turn = turn;
    this.#store = store;
  }

  change(item, record) {
    if (item.turnId !== this.#turn?.id) return;
    this.#flushPiece(record);
    const growing = GROWING[item.content.type];
    const text = growing ? item.content[growing] : "";
    // Where the text is known already, the rest is told without it.
    const isRevision = growing && text === this.#turn.texts.get(item.id);
    const bare = growing ? { ...item, content: { ...item.content, [growing]: "" } } : item;
    const seq = record(isRevision ? { type: "item_revised", item: bare } : { type: "item_changed", item });
    this.#turn.texts.set(item.id, text);
    this.#grown.delete(item.id);
    const row = [item.id, seq, item.turnId, item.startedAt, JSON.stringify(bare.content), text];
    this.#changed.set(item.id, row);
  }

  append({ itemId, offset, text }, record) {
    const known = this.#turn?.texts.get(itemId);
    if (known?.length !== offset) return;
    this.#turn.texts.set(itemId, known + text);
    if (this.#piece?.itemId === itemId) {
      this.#piece.text += text;
    } else {
      this.#flushPiece(record);
      this.#piece = { itemId, offset, text };
    }
  }

  #flushPiece(record) {
    const piece = this.#piece;
    if (!piece) return;
    this.#piece = null;
    record({ type: "item_appended", ...piece });
    const row = this.#changed.get(piece.itemId);
    if (row) row[5] += piece.text;
    else this.#grown.set(piece.itemId, (this.#grown.get(piece.itemId) ?? "") + piece.text);
  }

  /** Writes what changed. */
  save(record) {
    this.#flushPiece(record);
    if (this.#changed.size > 0) this.#store.saveItems([...this.#changed.values()]);
    if (this.#grown.size > 0) this.#store.appendTexts([...this.#grown]);
    this.#changed.clear();
    this.#grown.clear();
  }
}

export function openItems(turn, store) {
  return new OpenItems(turn, store);
}

/** Takes an event about items; `false` when it is about something else. */
export function translate(event, items, record) {
  switch (event.type) {
    case "item_changed":
      items.change(event.item, record);
      return true;
    case "item_appended":
      items.append(event, record);
      return true;
    default:
      return false;
  }
}
