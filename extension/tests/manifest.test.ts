/** What the extension may do at most. More than this is a decision of its own. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const manifest = JSON.parse(readFileSync(new URL("../manifest.json", import.meta.url), "utf8")) as Record<
  string,
  unknown
>;

test("the extension asks for no host, no history and no cookies", () => {
  expect(manifest.permissions).toEqual([
    "activeTab",
    "contextMenus",
    "identity",
    "scripting",
    "sidePanel",
    "storage",
  ]);
  expect(manifest.optional_host_permissions).toEqual(["https://*/*", "http://*/*"]);
  for (const key of [
    "host_permissions",
    "content_scripts",
    "web_accessible_resources",
    "externally_connectable",
    "sandbox",
  ]) {
    expect(manifest[key], key).toBeUndefined();
  }
});

test("its pages run nothing but their own scripts", () => {
  const { extension_pages: policy } = manifest.content_security_policy as { extension_pages: string };
  expect(policy).toContain("default-src 'none'; script-src 'self';");
  expect(policy).not.toContain("unsafe");
});

test("its id follows from its key, so that deployments can name it", () => {
  const digest = createHash("sha256")
    .update(Buffer.from(String(manifest.key), "base64"))
    .digest("hex");
  const id = [...digest.slice(0, 32)]
    .map((digit) => String.fromCharCode(97 + Number.parseInt(digit, 16)))
    .join("");
  expect(id).toBe("enbmhbgjjakbhommiecphdjfgnmpmgkj");
});
