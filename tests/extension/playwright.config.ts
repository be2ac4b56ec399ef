/** Tests of the built extension in a real Chromium; `fixture/chrome.ts` starts it. Build it before: `npm run build -w @farhand/extension`. */
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.ts",
  outputDir: "test-results/runs",
  workers: 1,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [["list"]],
});
