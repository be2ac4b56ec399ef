/** The Worker's own route table, and addresses made from its patterns. A new variable of a route needs an example here. */

import assert from "node:assert/strict";
import { read } from "./edge.mjs";

/** Well-formed, and of nothing that there is. */
const EXAMPLES = {
  id: "ses_none",
  artifact_id: "art_none",
  owner: "acme",
  name: "shop",
  build_id: "bld_none",
  reservation_id: "rsv_none",
  sandbox_id: "sbx_none",
  key_id: "0123456789abcdef",
  user_id: "usr_none",
  sign_in_id: "0123456789abcdef0123456789abcdef",
};

/** `{method, path, access, action}` of every route. */
export async function listRoutes(edge) {
  return (await read(await edge.server.fetch("/api/test/routes"))).body;
}

/** The pattern with every `{variable}` filled in: from `values` by its name, else by example. */
export function fillPath(pattern, values = {}) {
  return pattern.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? EXAMPLES[name];
    assert.ok(value, `${pattern} has a new variable: give an example of ${name} in support/routes.mjs`);
    return value;
  });
}
