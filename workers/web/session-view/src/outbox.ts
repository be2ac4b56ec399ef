/**
 * Prompts that were written but not yet acknowledged, kept in the browser's storage until they are.
 * Each keeps its id, so that sending it again after a lost connection or a reload neither loses nor doubles it.
 */
import type { PromptRequest } from "@farhand/protocol";

/** The part of `Storage` that is needed. */
export type KeyValueStore = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export class Outbox {
  readonly #store: KeyValueStore;
  readonly #key: string;
  #prompts: PromptRequest[];

  constructor(sessionId: string, store: KeyValueStore) {
    this.#store = store;
    this.#key = `farhand.outbox.${sessionId}`;
    this.#prompts = read(store, this.#key);
  }

  /** In the order of writing. */
  list(): readonly PromptRequest[] {
    return this.#prompts;
  }

  add(prompt: PromptRequest): void {
    if (this.#prompts.some((one) => one.id === prompt.id)) return;
    this.#prompts = [...this.#prompts, prompt];
    this.#save();
  }

  /** The session has it, or refused it. Gives the prompt back when it was waiting here. */
  settle(promptId: string): PromptRequest | undefined {
    const settled = this.#prompts.find((one) => one.id === promptId);
    if (settled === undefined) return undefined;
    this.#prompts = this.#prompts.filter((one) => one.id !== promptId);
    this.#save();
    return settled;
  }

  #save(): void {
    try {
      if (this.#prompts.length === 0) this.#store.removeItem(this.#key);
      else this.#store.setItem(this.#key, JSON.stringify(this.#prompts));
    } catch {
      // A full or forbidden storage costs only the survival of a reload; the prompts are still sent from memory.
    }
  }
}

function read(store: KeyValueStore, key: string): PromptRequest[] {
  try {
    const value: unknown = JSON.parse(store.getItem(key) ?? "[]");
    return Array.isArray(value) ? value.filter(isPrompt) : [];
  } catch {
    return [];
  }
}

function isPrompt(value: unknown): value is PromptRequest {
  if (typeof value !== "object" || value === null) return false;
  const { id, text, origin } = value as Record<string, unknown>;
  return typeof id === "string" && typeof text === "string" && typeof origin === "string";
}
