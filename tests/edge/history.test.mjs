/** History: what the first snapshot leaves out comes page by page, and together they are everything. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { startRunner, textItem, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";

const TURNS = 14;
const ITEMS = 6;
const PAGES_MAX = 200;

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

/** Turns with several large items each; answers what there must be in the end. */
async function longSession() {
  const runner = await startRunner(edge, ada, "turn 0");
  const { sessionId } = runner;
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const expected = { prompts: [], turns: [], items: [] };
  for (let number = 0; number < TURNS; number += 1) {
    if (number > 0)
      assert.equal(
        (await ada.post(`/api/sessions/${sessionId}/message`, prompt(`turn ${number}`))).status,
        202,
      );
    const turn = await runner.turn(({ prompt }) => prompt === `turn ${number}`);
    expected.prompts.push(`turn ${number}`);
    expected.turns.push(turn.turnId);
    await runner.receive(turn);
    for (let item = 0; item < ITEMS; item += 1) {
      const text = `${number}.${item} `.repeat(8000);
      const id = `itm_${number}x${item}`;
      expected.items.push([id, text]);
      assert.equal((await runner.report(textItem(turn.turnId, id, text, true))).status, 200);
    }
    assert.equal((await runner.report(turnEnded(turn))).status, 200);
  }
  return { sessionId, expected };
}

/** Puts an older part before a newer one; a turn may be in both, and only it. */
function join(older, newer) {
  const ids = (list) => new Set(list.map(({ id }) => id));
  const both = [...ids(older.turns)].filter((id) => ids(newer.turns).has(id));
  assert.ok(both.length <= 1, `turns in two pages: ${both}`);
  assert.equal([...ids(older.items)].filter((id) => ids(newer.items).has(id)).length, 0, "an item twice");
  const merge = (from, into) => [...from.filter(({ id }) => !ids(into).has(id)), ...into];
  return {
    prompts: merge(older.prompts, newer.prompts),
    turns: merge(older.turns, newer.turns),
    items: [...older.items, ...newer.items],
  };
}

test("snapshot and pages together are everything, in order, each once", async () => {
  const { sessionId, expected } = await longSession();
  const viewer = await view(edge, ada, sessionId);
  const { snapshot } = viewer.frames.find(({ type }) => type === "snapshot");
  assert.ok(JSON.stringify(snapshot).length < 2.5 * 1024 * 1024, "a snapshot is no whole session");
  assert.ok(snapshot.earlier !== undefined, "something is left out");
  let { prompts, turns, items } = snapshot;
  let before = snapshot.earlier;
  let pages = 0;
  while (before !== undefined) {
    const { status, body } = await ada.get(`/api/sessions/${sessionId}/history?before=${before}`);
    assert.equal(status, 200, JSON.stringify(body));
    assert.ok(body.items.length > 0 || body.turns.length > 0, "a page has something");
    for (const kind of ["prompts", "turns", "items"])
      assert.equal(body.places[kind].length, body[kind].length, `each of the ${kind} has its place`);
    assert.ok(
      body.places.items.every((place) => place < before),
      "what is earlier stands before",
    );
    ({ prompts, turns, items } = join(body, { prompts, turns, items }));
    if (body.earlier !== undefined) assert.ok(body.earlier < before, "it goes backwards");
    before = body.earlier;
    pages += 1;
    assert.ok(pages < PAGES_MAX);
  }
  assert.ok(pages > 1);
  assert.deepEqual(
    prompts.map(({ text }) => text),
    expected.prompts,
  );
  assert.deepEqual(
    turns.map(({ id }) => id),
    expected.turns,
  );
  assert.deepEqual(
    items.map(({ id, content }) => [id, content.text]),
    expected.items,
  );
  assert.ok(items.every((item) => turns.some(({ id }) => id === item.turnId)));

  await edge.sleep(sessionId);
  const again = await ada.get(`/api/sessions/${sessionId}/history?before=${snapshot.earlier}`);
  assert.ok(again.body.items.length > 0, "and it can be asked again");
  const first = await ada.get(`/api/sessions/${sessionId}/history?before=0`);
  const nothing = { prompts: [], turns: [], items: [] };
  assert.deepEqual([first.status, first.body], [200, { ...nothing, places: nothing }]);
  await viewer.close();
});

test("a short session has no history", async () => {
  const { body } = await ada.post("/api/sessions", { repository: "acme/shop", prompt: prompt("short") });
  const viewer = await view(edge, ada, body.sessionId);
  assert.equal(viewer.state.snapshot.earlier, undefined);
  const grace = await edge.client(GRACE);
  assert.equal((await grace.get(`/api/sessions/${body.sessionId}/history?before=1`)).status, 200);
  await viewer.close();
});
