/** A code host for the Worker: the few answers of GitHub's API and of git that sessions begin with, and what was asked of it. */

import { createServer } from "node:http";
import { startPulls } from "./pulls.mjs";
import { Gate } from "./wait.mjs";

/** Starts one on loopback. Repositories: `acme/shop` and `acme/site` work, the others fail as they are named. */
export async function startCodeHost() {
  const requests = [];
  const gate = new Gate();
  /** How many pull requests anybody has created, by repository; a search in others fails. */
  const counts = new Map();
  let pulls;
  const server = createServer(async (request, response) => {
    await gate.pass();
    requests.push({ method: request.method, url: request.url, headers: request.headers });
    const url = new URL(request.url, base);
    let text = "";
    for await (const piece of request) text += piece;
    const json = (status, value) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    const { method, headers } = request;
    const body = text ? JSON.parse(text) : undefined;
    const answered = pulls.answer({ method, path: url.pathname, query: url.searchParams, headers, body });
    if (answered === undefined) return request.socket.destroy();
    if (answered) return json(...answered);
    const git = url.pathname.match(/^\/git\/(.+)\.git\/info\/refs$/);
    if (git) return answerGit(git[1], request, response);
    if (!/^Bearer token-of-(ada|grace|linus)$/.test(headers.authorization ?? "")) {
      return json(401, { message: "Bad credentials" });
    }
    if (url.pathname === "/user/repos")
      return json(200, ["acme/site", "acme/shop", "acme/archived"].map(describe));
    if (url.pathname === "/search/issues") {
      const repository = url.searchParams.get("q").match(/\brepo:(\S+)/)?.[1];
      const total = counts.get(repository);
      return total === undefined
        ? json(502, { message: "Server Error" })
        : json(200, { total_count: total, incomplete_results: false, items: [] });
    }
    const found = url.pathname.match(/^\/repos\/([^/]+\/[^/]+)$/);
    if (!found) return json(404, { message: "Not Found" });
    if (found[1] === "acme/broken") return json(502, { message: "Server Error" });
    if (found[1] === "acme/dropped") return request.socket.destroy();
    if (!known.includes(found[1])) return json(404, { message: "Not Found" });
    json(200, describe(found[1]));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  pulls = startPulls(base);
  const known = [
    "acme/shop",
    "acme/site",
    "acme/archived",
    "acme/read-only",
    "acme/no-git",
    "acme/gone",
    "acme/plain",
    "acme/moved",
  ];

  function describe(name) {
    let cloneUrl = `${base}/git/${name}.git`;
    if (name === "acme/gone") cloneUrl = "http://127.0.0.1:9/acme/gone.git";
    if (name === "acme/plain") cloneUrl = "http://git.example/acme/plain.git";
    return {
      full_name: name,
      description: `All about ${name}`,
      default_branch: "main",
      clone_url: cloneUrl,
      archived: name === "acme/archived",
      permissions: { push: name !== "acme/read-only" },
    };
  }

  function answerGit(name, request, response) {
    const [, credential] = (request.headers.authorization ?? "").split(" ");
    const login = Buffer.from(credential ?? "", "base64").toString();
    if (!/^x-access-token:token-of-(ada|grace|linus)$/.test(login)) {
      response.writeHead(401, { "www-authenticate": "Basic" });
      return response.end();
    }
    if (name === "acme/no-git") {
      response.writeHead(200, { "content-type": "text/html" });
      return response.end("<html>please sign in</html>");
    }
    if (name === "acme/moved") {
      response.writeHead(302, { location: `${base}/git/acme/shop.git/info/refs?service=git-upload-pack` });
      return response.end();
    }
    response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
    response.end("001e# service=git-upload-pack\n0000000eversion 2\n0000");
  }

  return {
    url: base,
    requests,
    /** Every request passes it. */
    gate,
    counts,
    pulls,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
