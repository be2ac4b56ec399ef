/**
 * The part of the code host with pull requests and the GitHub App: what GitHub's API answers to the few questions that the Worker asks,
 * and ways to cut it off at any call, before it does what it is asked or after.
 */

import { createHmac, createVerify, generateKeyPairSync, randomUUID } from "node:crypto";

const pem = { type: "pkcs1", format: "pem" };

/** Starts with nothing open. `url` is the code host's own address. */
export function startPulls(url) {
  const keys = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: pem,
  });
  const tokens = new Map([
    ["token-of-ada", "ada"],
    ["token-of-grace", "grace"],
    ["token-of-linus", "linus"],
  ]);
  const host = {
    appId: "Iv1.of-the-edge-tests",
    privateKey: keys.privateKey,
    /** What the App may do and is told of. */
    facts: {
      permissions: {
        contents: "write",
        pull_requests: "write",
        checks: "read",
        statuses: "read",
        members: "read",
      },
      events: [
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "issue_comment",
        "check_run",
        "status",
        "organization",
        "membership",
        "team",
        "member",
        "repository",
      ],
    },
    /** Repositories that the App is installed for. */
    installed: new Set(["acme/shop"]),
    /** Logins whose tokens count for nothing. */
    refused: new Set(),
    /** Every call here: method, path, who, body. */
    calls: [],
    pulls: [],
    /** Files by path, in every repository. */
    files: {},
    checks: [],
    /** Decides about each call what is cut: "before" or "after"; gets the call and how many were of this head or pull request. */
    cut: () => undefined,
    answer,
    open: (head) => host.pulls.filter((pull) => pull.head.ref === head && pull.state === "open"),
    /** A pull request as a webhook has it. */
    payload: (pull, more = {}) => ({
      action: "edited",
      pull_request: pull,
      repository: { full_name: "acme/shop" },
      ...more,
    }),
    touch(pull, change) {
      Object.assign(pull, change, { updated_at: time(Date.now() + host.pulls.length * 1000) });
    },
  };
  const time = (ms) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

  /** Who asks: a user's login, `app` by its JWT, or a repository by its installation token. */
  function whoIs(authorization = "") {
    const token = authorization.replace("Bearer ", "");
    if (tokens.has(token)) return host.refused.has(tokens.get(token)) ? undefined : tokens.get(token);
    const [header, payload, signature] = token.split(".");
    if (!signature) return undefined;
    const verifier = createVerify("RSA-SHA256").update(`${header}.${payload}`);
    if (!verifier.verify(keys.publicKey, signature, "base64url")) return undefined;
    const { iss, iat, exp } = JSON.parse(Buffer.from(payload, "base64url").toString());
    const now = Date.now() / 1000;
    const isValid = iss === host.appId && iat <= now && exp > now && exp - iat <= 600;
    return isValid ? "app" : undefined;
  }

  /** Status and body; undefined where the connection breaks; null for what is none of its paths. */
  function answer({ method, path, query, headers, body }) {
    const found = path.match(
      /^(?:\/repos\/([^/]+\/[^/]+)\/(installation|pulls|contents|commits)|\/app(?:\/installations\/(\d+)\/access_tokens)?)(.*)$/,
    );
    if (!found) return null;
    const who = whoIs(headers.authorization);
    const [, repository, kind] = found;
    const call = {
      method,
      path,
      who,
      repository,
      body,
      head: body?.head ?? query.get("head")?.split(":")[1],
    };
    const number = Number(path.match(/\/pulls\/(\d+)/)?.[1]);
    call.head ??= host.pulls.find((pull) => pull.number === number)?.head.ref;
    host.calls.push(call);
    const cut = host.cut(call, host.calls.filter(({ head }) => head && head === call.head).length);
    if (cut === "before") return undefined;
    const answered = carryOut(call, kind, path, query);
    return cut === "after" ? undefined : answered;
  }

  function carryOut(call, kind, path, query) {
    const { who, method, repository, body } = call;
    if (!who) return [401, { message: "Bad credentials" }];
    if (path === "/app")
      return who === "app"
        ? [200, { slug: "farhand", installations_count: host.installed.size, ...host.facts }]
        : [401, { message: "A JSON web token could not be decoded" }];
    if (path.startsWith("/app/")) {
      const scope = `acme/${body.repositories[0]}`;
      if (who !== "app") return [401, { message: "A JSON web token could not be decoded" }];
      if (body.repositories.length !== 1 || !host.installed.has(scope))
        return [422, { message: "not accessible" }];
      const token = `ghs_${randomUUID()}`;
      tokens.set(token, `app of ${scope}`);
      return [
        201,
        {
          token,
          expires_at: time(Date.now() + 3_600_000),
          permissions: body.permissions,
          repositories: [{ full_name: scope }],
        },
      ];
    }
    if (kind === "installation") {
      if (who !== "app") return [401, { message: "A JSON web token could not be decoded" }];
      return host.installed.has(repository)
        ? [200, { id: 7, suspended_at: null }]
        : [404, { message: "Not Found" }];
    }
    if (who === "app") return [401, { message: "Bad credentials" }];
    if (who.startsWith("app of ") && who !== `app of ${repository}`) return [404, { message: "Not Found" }];
    if (kind === "contents") return contents(decodeURIComponent(path.split("/contents/")[1] ?? ""));
    const part = path.match(/\/commits\/[^/]+\/(check-runs|status)$/)?.[1];
    if (part === "check-runs") return [200, { total_count: host.checks.length, check_runs: host.checks }];
    if (part === "status") return [200, { sha: "0".repeat(40), state: "pending", statuses: [] }];
    if (path.endsWith("/reviews")) return [200, []];
    if (method === "GET" && path.endsWith("/pulls")) return [200, host.open(query.get("head").split(":")[1])];
    if (method === "POST") {
      if (host.open(body.head).length > 0)
        return [
          422,
          {
            message: "Validation Failed",
            errors: [{ message: `A pull request already exists for acme:${body.head}.` }],
          },
        ];
      const pull = {
        number: host.pulls.length + 1,
        html_url: `${url}/${repository}/pull/${host.pulls.length + 1}`,
        title: body.title,
        body: body.body,
        state: "open",
        merged_at: null,
        user: { login: who },
        head: { ref: body.head, sha: "a".repeat(40) },
        base: { ref: body.base },
        updated_at: time(Date.now()),
      };
      host.pulls.push(pull);
      return [201, pull];
    }
    const pull = host.pulls.find((pull) => path.endsWith(`/pulls/${pull.number}`));
    if (!pull) return [404, { message: "Not Found" }];
    if (method === "PATCH") host.touch(pull, { body: body.body, updated_by: who });
    return [200, pull];
  }

  function contents(path) {
    if (host.files[path] !== undefined)
      return [
        200,
        { type: "file", encoding: "base64", content: Buffer.from(host.files[path]).toString("base64") },
      ];
    const names = Object.keys(host.files).filter((name) => name.split("/").slice(0, -1).join("/") === path);
    if (names.length === 0) return [404, { message: "Not Found" }];
    return [200, names.map((name) => ({ name: name.split("/").at(-1), type: "file" }))];
  }

  return host;
}

/** Headers of a webhook, signed as GitHub does. */
export function signWebhook(secret, event, body, delivery = randomUUID()) {
  return {
    "content-type": "application/json",
    "x-github-event": event,
    "x-github-delivery": delivery,
    "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
  };
}
