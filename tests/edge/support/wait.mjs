/** Waiting for states, always with a bound. */

const POLL_MS = 20;
export const WAIT_MS = 10_000;

/** Looks again and again until `look` answers something that fits; an error that says what did not come and what was there last. */
export async function until(look, fits, what, waitMs = WAIT_MS) {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const seen = await look();
    if (fits(seen)) return seen;
    if (performance.now() > deadline)
      throw new Error(`${what} did not come; last seen was ${JSON.stringify(seen)?.slice(0, 2000)}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A list that grows, and those who wait for something in it. */
export class Growing {
  list = [];
  #checks = new Set();

  add(...entries) {
    this.list.push(...entries);
    this.changed();
  }

  changed() {
    for (const check of [...this.#checks]) check();
  }

  /** What `find` answers once it is not undefined, now or within the bound. */
  wait(find, what, waitMs = WAIT_MS) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = find();
        if (found === undefined) return;
        clearTimeout(timer);
        this.#checks.delete(check);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.#checks.delete(check);
        const last = JSON.stringify(this.list.slice(-20)).slice(-3000);
        reject(new Error(`${what} did not come; the last of ${this.list.length} were ${last}`));
      }, waitMs);
      this.#checks.add(check);
      check();
    });
  }
}

/** Something that everybody has to pass: while it is closed, whoever comes is held. */
export class Gate {
  held = 0;
  #opened = Promise.resolve();
  #open = () => {};

  close() {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open() {
    this.#open();
  }

  async pass() {
    this.held += 1;
    await this.#opened;
    this.held -= 1;
  }
}
