/**
 * A36 and A37: two hundred texts that would run a script or fetch something, if an agent's words, a tool's output or a title were ever
 * taken for more than text. Nothing runs, nothing is asked of anybody, and the words are there to read.
 */
import { expect, test } from "@playwright/test";
import { Deployment } from "./fixture/deployment.js";
import { running, SESSIONS } from "./fixture/facts.js";

const HIT = "globalThis.hit=1";
const AWAY = "https://evil.test/";

/** What would run or fetch, each with a word by which it is found on the page. */
const PAYLOADS = [
  `<script>${HIT}</script>`,
  `<img src=x onerror="${HIT}">`,
  `<img src="${AWAY}p.png">`,
  `<svg onload="${HIT}"><use href="${AWAY}s.svg#x"/></svg>`,
  `<svg><script>${HIT}</script></svg>`,
  `<math><mtext><style><img src=x onerror="${HIT}"></style></mtext></math>`,
  `<iframe src="javascript:${HIT}"></iframe>`,
  `<iframe srcdoc="<script>parent.hit=1</script>"></iframe>`,
  `<object data="${AWAY}o"></object>`,
  `<embed src="${AWAY}e">`,
  `<link rel="stylesheet" href="${AWAY}c.css">`,
  `<link rel="prefetch" href="${AWAY}pre">`,
  `<meta http-equiv="refresh" content="0;url=${AWAY}">`,
  `<base href="${AWAY}">`,
  `<style>@import "${AWAY}i.css"; body { background: url(${AWAY}b.png) }</style>`,
  `<div style="background:url(${AWAY}d.png)">d</div>`,
  `<a href="javascript:${HIT}">a</a>`,
  `<form action="${AWAY}"><button>b</button></form>`,
  `<details open ontoggle="${HIT}">d</details>`,
  `<input autofocus onfocus="${HIT}">`,
  `<video src="${AWAY}v.mp4" onerror="${HIT}" autoplay></video>`,
  `<audio src="${AWAY}a.mp3" autoplay></audio>`,
  `<template shadowrootmode="open"><img src=x onerror="${HIT}"></template>`,
  `![p](${AWAY}m.png)`,
  `![p](data:image/svg+xml,<svg onload="${HIT}"/>)`,
  `[j](javascript:${HIT})`,
  `[j](JaVa\tScRiPt:${HIT})`,
  `[j](data:text/html,<script>${HIT}</script>)`,
  `[j](vbscript:${HIT})`,
  `<javascript:${HIT}>`,
  `[ref]: javascript:${HIT}\n\n[ref]`,
  `[x](${AWAY} "\\"onmouseover=${HIT}")`,
  `<!-- --><script>${HIT}</script><!-- -->`,
  `&lt;script&gt;${HIT}&lt;/script&gt;`,
  `\u202e<script>${HIT}</script>\u202c`,
  `\u200b<\u200bscript>${HIT}</script>`,
  `\u001b]8;;javascript:${HIT}\u0007link\u001b]8;;\u0007`,
  `\u001b[31m<img src=x onerror="${HIT}">\u001b[0m`,
  `</div></main></body><script>${HIT}</script>`,
  `"'><script>${HIT}</script>`,
];

/** Where in a text they stand. */
const PLACES: ((payload: string) => string)[] = [
  (payload) => payload,
  (payload) => `# ${payload}`,
  (payload) => `| a | b |\n|---|---|\n| ${payload} | c |`,
  (payload) => `- one\n  > ${payload}`,
  (payload) => `**${payload}** [${payload}](${AWAY})`,
];

const TEXTS = PLACES.flatMap((place, index) =>
  PAYLOADS.map((payload, number) => `word${index}x${number}\n\n${place(payload)}`),
);

test("A36 A37: two hundred hostile texts run nothing and ask nobody", async ({ page, baseURL }) => {
  test.setTimeout(120_000);
  expect(TEXTS).toHaveLength(200);
  const requests: string[] = [];
  const surprises: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("dialog", (dialog) => surprises.push(dialog.message()));
  page.on("popup", (popup) => surprises.push(popup.url()));
  const deployment = new Deployment(page);
  deployment.snapshot = running();
  deployment.sessions = SESSIONS;
  await deployment.install();
  await page.goto("/sessions/ses_cart");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(/Cart total/);
  const log = page.getByRole("log");
  for (const [index, text] of TEXTS.entries()) {
    deployment.emit({
      type: "item_changed",
      item: {
        id: `itm_bad${index}`,
        turnId: "trn_1",
        startedAt: 0,
        content: { type: "text", text, done: true },
      },
    });
  }
  for (const payload of PAYLOADS) {
    deployment.emit({
      type: "title_changed",
      title: `Cart total ${payload.replaceAll("\n", " ")}`,
      by: "usr_jo",
    });
    deployment.emit({ type: "effect_failed", what: payload, reason: payload });
  }
  // The last of each kind is there, so all are.
  await expect(log).toContainText(`word4x${PAYLOADS.length - 1}`, { timeout: 60_000 });
  await expect(log).toContainText("word0x0");
  await expect(page.getByRole("heading", { level: 1 })).toContainText("<script>");
  const active =
    "img, script, iframe, object, embed, link, meta, base, style, form, video, audio, template, math";
  await expect(log.locator(active)).toHaveCount(0);
  const odd = await page.evaluate(() =>
    [...document.querySelectorAll("*")].flatMap((element) =>
      element
        .getAttributeNames()
        .filter(
          (name) =>
            name.startsWith("on") ||
            /^\s*(?:javascript|data|vbscript):/i.test(element.getAttribute(name) ?? ""),
        )
        .map((name) => `${element.tagName} ${name}`),
    ),
  );
  expect(odd).toEqual([]);
  expect(await page.evaluate(() => "hit" in globalThis)).toBe(false);
  expect(surprises).toEqual([]);
  expect(deployment.complaints).toEqual([]);
  const own = new URL(baseURL ?? "").origin;
  expect(requests.filter((url) => new URL(url).origin !== own)).toEqual([]);
});
