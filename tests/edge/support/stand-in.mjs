/** The stand-in for GitHub that the whole stack uses, as a program of its own. */

import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const program = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/code-host");

/** Starts one whose App is `app`; accounts `ada`, `grace` and `linus` with the tokens `token-of-…`. */
export async function startGithub(app) {
  const accounts = ["ada", "grace", "linus"].map((login) => ({
    login,
    name: login,
    email: `${login}@farhand.example`,
    token: `token-of-${login}`,
  }));
  const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.write(`${JSON.stringify({ accounts, app })}\n`);
  const failed = new Promise((_, reject) => {
    child.once("error", (error) =>
      reject(new Error(`cannot start ${program}: build it with cargo build -p fakes`, { cause: error })),
    );
    child.once("exit", (code) => reject(new Error(`the stand-in ended with ${code}`)));
  });
  failed.catch(() => {});
  const first = new Promise((resolve) => createInterface(child.stdout).once("line", resolve));
  const { listening, api, control } = JSON.parse(await Promise.race([first, failed]));
  return {
    url: listening,
    api,
    /** An order to its other side. */
    async tell(order) {
      const answer = await (
        await fetch(control, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(order),
        })
      ).json();
      if (answer.error) throw new Error(answer.error);
      return answer;
    },
    async close() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.stdin.end();
      await ended;
    },
  };
}
