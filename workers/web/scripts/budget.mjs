/**
 * Fails when the built client is larger than its budget: JavaScript and CSS that the session route loads, gzipped, and each chunk that
 * another page brings. Run after `vite build`; `npm run build` does both. `--json` prints the figures as one JSON line.
 */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipKb, loadedByDocument } from "./sizes.mjs";

const BUDGET_KB = { js: 90, css: 14, lazy: 30 };
const dist = fileURLToPath(new URL("../dist/", import.meta.url));

const all = readdirSync(dist, { recursive: true }).map(String);
/** The session route. */
const session = loadedByDocument(dist, "index.html");
const of = (names, ending) => names.filter((name) => name.endsWith(ending));
const lazy = all.filter((name) => /\.(?:js|css)$/.test(name) && !session.includes(name));
const sizes = {
  session_js_kb: gzipKb(dist, of(session, ".js")),
  session_css_kb: gzipKb(dist, of(session, ".css")),
  other_pages_kb: gzipKb(dist, lazy),
};
if (process.argv.includes("--json")) {
  console.log(JSON.stringify(sizes));
} else {
  console.log(
    `JavaScript ${sizes.session_js_kb} kB of ${BUDGET_KB.js}, CSS ${sizes.session_css_kb} kB of ${BUDGET_KB.css}, other pages ${sizes.other_pages_kb} kB (gzip)`,
  );
}
const tooLarge = lazy.filter((name) => gzipKb(dist, [name]) > BUDGET_KB.lazy);
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
