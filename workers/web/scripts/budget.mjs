/**
 * Fails when the built client is larger than its budget: JavaScript and CSS that the session route loads, gzipped, and each chunk that
 * another page brings. Run after `vite build`; `npm run build` does both. `--json` prints the figures as one JSON line.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET_KB = { js: 90, css: 14, lazy: 30 };
const dist = fileURLToPath(new URL("../dist/", import.meta.url));

const gzipKb = (names) =>
  Math.round(
    names.reduce((sum, name) => sum + gzipSync(readFileSync(dist + name), { level: 9 }).length, 0) / 100,
  ) / 10;

/** What the document names, and what that imports without being asked: the session route. */
function sessionRoute() {
  const document = readFileSync(`${dist}index.html`, "utf8");
  const names = new Set(
    [...document.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css))"/g)].map(([, name]) => name),
  );
  for (const name of names) {
    if (!name.endsWith(".js")) continue;
    const code = readFileSync(dist + name, "utf8");
    for (const [, imported] of code.matchAll(/\b(?:import|from)\s*"\.\/([^"]+\.js)"/g))
      names.add(`${name.slice(0, name.lastIndexOf("/") + 1)}${imported}`);
  }
  return [...names];
}

const all = readdirSync(dist, { recursive: true }).map(String);
const session = sessionRoute();
const of = (names, ending) => names.filter((name) => name.endsWith(ending));
const lazy = all.filter((name) => /\.(?:js|css)$/.test(name) && !session.includes(name));
const sizes = {
  session_js_kb: gzipKb(of(session, ".js")),
  session_css_kb: gzipKb(of(session, ".css")),
  other_pages_kb: gzipKb(lazy),
};
if (process.argv.includes("--json")) {
  console.log(JSON.stringify(sizes));
} else {
  console.log(
    `JavaScript ${sizes.session_js_kb} kB of ${BUDGET_KB.js}, CSS ${sizes.session_css_kb} kB of ${BUDGET_KB.css}, other pages ${sizes.other_pages_kb} kB (gzip)`,
  );
}
const tooLarge = lazy.filter((name) => gzipKb([name]) > BUDGET_KB.lazy);
if (
  sizes.session_js_kb === 0 ||
  sizes.session_js_kb > BUDGET_KB.js ||
  sizes.session_css_kb > BUDGET_KB.css ||
  tooLarge.length > 0
) {
  console.error(
    `Over budget, or nothing built. ${tooLarge.join(", ")} See what grew with \`npx vite build --mode development\`.`,
  );
  process.exit(1);
}
