/** Small pure parts: where things stand, what the composer completes, what a session keeps besides its conversation. */
import type { Artifact, Item, Prompt } from "@farhand/protocol";
import { describe, expect, it } from "vitest";
import { filesByStep } from "../src/artifacts.js";
import { keptArtifacts } from "../src/kept-artifacts.js";
import { createPlaces, noticeId } from "../src/places.js";
import { knownFiles, suggestionsFor } from "../src/suggest.js";
import { type Command, findTrigger } from "../src/trigger.js";
import { AT, emptySnapshot, queued, textItem, toolItem } from "./support.js";

describe("places", () => {
  it("come from snapshots, pages and events, and the first event of an item is its place", () => {
    const places = createPlaces();
    const item = textItem("itm_1", "trn_1", "a");
    places.addPart({
      prompts: [queued("prm_1")],
      turns: [{ id: "trn_1", promptId: "prm_1", attempt: 1, startedAt: AT }],
      items: [item],
      places: { prompts: [2], turns: [5], items: [7] },
      notices: [{ seq: 6, at: AT, event: { type: "effect_failed", what: "push", reason: "403" } }],
    });
    places.note({ seq: 8, at: AT, event: { type: "item_changed", item } });
    places.note({ seq: 9, at: AT, event: { type: "item_changed", item: textItem("itm_2", "trn_1", "b") } });
    places.note({ seq: 10, at: AT, event: { type: "prompt_queued", prompt: queued("prm_2") } });
    expect([2, 5, 6, 7, 8, 9, 10].map(places.at)).toEqual([
      "prm_1",
      "trn_1",
      noticeId(6),
      "itm_1",
      undefined,
      "itm_2",
      "prm_2",
    ]);
    expect(places.of("itm_1")).toBe(7);
  });

  it("of a session that tells none are unknown", () => {
    const places = createPlaces();
    places.addPart({ prompts: [queued("prm_1")], turns: [], items: [] });
    expect(places.of("prm_1")).toBeUndefined();
  });
});

describe("what is being written", () => {
  const cases: [text: string, found: string | undefined][] = [
    ["@", "file 0 "],
    ["Look at @src/a", "file 8 src/a"],
    ["(@x", "file 1 x"],
    ["mail me@home", undefined],
    ["@src done", undefined],
    ["/", "command 0 "],
    ["/model son", "command 0 model son"],
    ["see /etc", undefined],
    ["/etc\nmore", undefined],
    ["/stop @a", "command 0 stop @a"],
  ];
  for (const [text, found] of cases) {
    it(JSON.stringify(text), () => {
      const trigger = findTrigger(text, text.length);
      expect(trigger && `${trigger.kind} ${trigger.from} ${trigger.query}`).toBe(found);
    });
  }

  it("counts only up to the caret", () => {
    expect(findTrigger("a @sr b", 5)).toEqual({ kind: "file", from: 2, query: "sr" });
  });
});

describe("suggestions", () => {
  const command = (name: string): Command => ({ name, detail: "", run: () => undefined });
  const read = (id: string, title: string): Item => {
    const item = toolItem(id, "trn_1", "");
    return item.content.type === "tool"
      ? { ...item, content: { ...item.content, name: "read", title } }
      : item;
  };
  const snapshot = emptySnapshot();
  snapshot.items = [
    read("itm_1", "src/cart/total.ts"),
    read("itm_2", "/etc/passwd"),
    read("itm_3", "../outside.ts"),
    read("itm_4", "total/readme.md"),
    read("itm_5", "src/subtotal.ts"),
    toolItem("itm_6", "trn_1", ""),
  ];
  const suggest = {
    session: { state: { seq: 1, snapshot }, history: { earlier: { items: [read("itm_0", "old.ts")] } } },
    commands: () => [command("stop"), command("steer"), command("model claude-sonnet-4-5")],
  } as unknown as Parameters<typeof suggestionsFor>[1];
  const keys = (kind: "file" | "command", query: string): string[] =>
    suggestionsFor({ kind, from: 0, query }, suggest).map(({ key }) => key);

  it("are files of the repository that were touched, newest first", () => {
    expect(knownFiles(snapshot, [read("itm_0", "old.ts")])).toEqual([
      "src/subtotal.ts",
      "total/readme.md",
      "src/cart/total.ts",
      "old.ts",
    ]);
  });

  it("put the beginning of a name before its middle, and that before its folders", () => {
    expect(keys("file", "TOTAL")).toEqual(["src/cart/total.ts", "src/subtotal.ts", "total/readme.md"]);
  });

  it("are commands whose words are there in order", () => {
    expect(keys("command", "st")).toEqual(["stop", "steer"]);
    expect(keys("command", "mod son")).toEqual(["model claude-sonnet-4-5"]);
    expect(keys("command", "sonnet")).toEqual([]);
  });
});

it("what a session keeps is listed once, newest first, without what was taken back", () => {
  const picture = { artifactId: "art_p", mediaType: "image/png", width: 2, height: 1, bytes: 9 };
  const prompts: Prompt[] = [
    queued("prm_1", {
      attachments: [
        { kind: "image", name: "p.png", bytes: 0, picture },
        { kind: "text", name: "a.txt", bytes: 3, textId: "art_t" },
        { kind: "capture", name: "Button", bytes: 3, textId: "art_c" },
      ],
    }),
    queued("prm_2", {
      state: "cancelled",
      attachments: [{ kind: "text", name: "gone.txt", bytes: 3, textId: "art_g" }],
    }),
  ];
  const output = toolItem("itm_1", "trn_1", "…");
  output.startedAt = AT + 5;
  if (output.content.type === "tool") output.content.artifactId = "art_o";
  const people = [{ userId: "usr_1", login: "ada", name: "Ada", joinedAt: AT }];
  const file = (
    id: string,
    at: number,
    content: Partial<Extract<Artifact["content"], { type: "file" }>>,
  ) => ({
    id,
    turnId: "trn_1",
    changedAt: AT + at,
    content: {
      type: "file" as const,
      name: "made",
      contentId: `${id}_c`,
      mediaType: "application/octet-stream",
      bytes: 7,
      ...content,
    },
  });
  const artifacts = [
    file("art_1", 6, {
      mediaType: "image/png",
      extent: { width: 2, height: 1 },
      itemId: "itm_1",
    }),
    file("art_2", 7, { mediaType: "text/plain", itemId: "itm_1" }),
    file("art_3", 8, {}),
  ];
  expect(
    keptArtifacts(prompts, [output, output], people, artifacts).map(({ kind, id, from }) => [kind, id, from]),
  ).toEqual([
    ["file", "art_3_c", "the agent"],
    ["text", "art_2_c", "the agent"],
    ["picture", "art_1_c", "the agent"],
    ["output", "art_o", "whole output"],
    ["picture", "art_p", "Ada"],
    ["text", "art_t", "Ada"],
  ]);
  const steps = filesByStep(artifacts, "trn_1");
  expect([...steps].map(([step, files]) => [step, files.map(({ id }) => id)])).toEqual([
    ["itm_1", ["art_1", "art_2"]],
    ["", ["art_3"]],
  ]);
  expect(filesByStep(artifacts, "trn_2").size).toBe(0);
});
