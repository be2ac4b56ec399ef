/** Browser tests with the system's Chromium. `ui.spec.ts` needs only a built client; `session.spec.ts` needs `FARHAND_URL`. */
import { defineConfig } from "@playwright/test";

const url = process.env.FARHAND_URL;

export default defineConfig({
  testDir: ".",
  // Measurements run alone, when they are asked for.
  testMatch: process.env.FARHAND_MEASURE === undefined ? "*.spec.ts" : "*.bench.ts",
  outputDir: "test-results/runs",
  workers: 1,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [["list"]],
  use: {
    baseURL: url ?? "http://farhand.localhost",
    locale: "en-GB",
    timezoneId: "UTC",
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-quic",
        "--disable-background-networking",
        "--no-first-run",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
