/**
 * GitHub as sign-in sees it: its pages of OAuth with PKCE, tokens that expire and are refreshed once, people, addresses, organisations,
 * teams and repositories. What it does wrong is said by the test.
 */

import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";

export const CLIENT_ID = "Iv1.edge";
export const CLIENT_SECRET = "canary-client-secret-of-the-edge-tests";

const digest = (text) => createHash("sha256").update(text).digest("base64url");

/** Starts one on loopback. `people`: login → `{id, name, email, verified, organisations, teams, repositories}`. */
export async function startGithub(people) {
  const codes = new Map();
  const tokens = new Map();
  const refreshTokens = new Map();
  const github = {
    people,
    requests: [],
    /** Seconds that tokens are good for; `undefined`: they do not expire. */
    lifetime: undefined,
    /** Milliseconds that the answer to a refresh takes. */
    refreshDelay: 0,
    refreshes: 0,
    /** Path → status with which it is answered. */
    failures: new Map(),
    /** Whose authorisation the application has ended. */
    ended: [],
    /** Every secret that it ever gave away. */
    secrets: [],
    revoke: (login) => {
      for (const [token, owner] of tokens) if (owner === login) tokens.delete(token);
    },
    forgetRefreshTokens: () => refreshTokens.clear(),
  };
  const secret = (prefix) => {
    const text = `${prefix}_canary${randomBytes(16).toString("hex")}`;
    github.secrets.push(text);
    return text;
  };
  /** What somebody does on the page: allow it, as this account. Answers where the browser goes next. */
  github.allow = (location, login) => {
    const url = new URL(location);
    const value = (name) => url.searchParams.get(name);
    if (url.pathname !== "/login/oauth/authorize" || value("client_id") !== CLIENT_ID)
      throw new Error(location);
    const code = secret("code");
    codes.set(code, { login, challenge: value("code_challenge"), redirect: value("redirect_uri") });
    return `${value("redirect_uri")}?code=${code}&state=${encodeURIComponent(value("state"))}`;
  };
  function give(login) {
    const access = secret("ghu");
    tokens.set(access, login);
    if (github.lifetime === undefined) return { access_token: access, token_type: "bearer", scope: "" };
    const refresh = secret("ghr");
    refreshTokens.set(refresh, { login, access });
    return {
      access_token: access,
      expires_in: github.lifetime,
      refresh_token: refresh,
      refresh_token_expires_in: 15_897_600,
      token_type: "bearer",
    };
  }
  function exchange(form) {
    if (form.get("client_id") !== CLIENT_ID || form.get("client_secret") !== CLIENT_SECRET)
      return { error: "incorrect_client_credentials" };
    if (form.get("grant_type") === "refresh_token") {
      const known = refreshTokens.get(form.get("refresh_token"));
      if (!known) return { error: "bad_refresh_token" };
      github.refreshes += 1;
      // The old pair dies on use.
      refreshTokens.delete(form.get("refresh_token"));
      tokens.delete(known.access);
      return give(known.login);
    }
    const known = codes.get(form.get("code"));
    codes.delete(form.get("code"));
    if (
      !known ||
      known.challenge !== digest(form.get("code_verifier") ?? "") ||
      known.redirect !== form.get("redirect_uri")
    )
      return { error: "bad_verification_code" };
    return give(known.login);
  }
  function ask(path, login) {
    const person = people[login];
    if (path === "/user")
      return [200, { login: person.login ?? login, id: person.id, name: person.name ?? null, email: null }];
    if (path === "/user/emails")
      return [
        200,
        [{ email: person.email, primary: true, verified: person.verified !== false, visibility: null }],
      ];
    if (path === "/user/repos") return [200, (person.repositories ?? []).map((name) => describe(name))];
    const organisation = path.match(/^\/user\/memberships\/orgs\/([\w-]+)$/);
    const state = organisation && person.organisations?.[organisation[1]];
    if (state) return [200, { state, role: "member" }];
    const team = path.match(/^\/orgs\/([\w-]+)\/teams\/([\w-]+)\/memberships\/([\w-]+)$/);
    if (team && person.teams?.includes(`${team[1]}/${team[2]}`))
      return [200, { state: "active", role: "member" }];
    const repository = path.match(/^\/repos\/([\w-]+\/[\w-]+)$/)?.[1];
    if (person.repositories?.includes(repository)) return [200, describe(repository)];
    if (person.readable?.includes(repository)) return [200, describe(repository, false)];
    return [404, { message: "Not Found" }];
  }
  const describe = (name, push = true) => ({
    full_name: name,
    description: null,
    default_branch: "main",
    clone_url: `${github.url}/git/${name}.git`,
    archived: false,
    permissions: { push, pull: true },
  });
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, github.url);
    const json = (status, value) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    let body = "";
    for await (const piece of request) body += piece;
    github.requests.push({ method: request.method, path: url.pathname, headers: request.headers, body });
    const failure = github.failures.get(url.pathname);
    if (failure) return json(failure, { message: "Server Error" });
    if (url.pathname === "/login/oauth/access_token") {
      const form = new URLSearchParams(body);
      if (form.has("refresh_token")) await new Promise((resolve) => setTimeout(resolve, github.refreshDelay));
      return json(200, exchange(form));
    }
    // "Delete an app authorization": the application's own credentials, and a token that is good.
    if (request.method === "DELETE" && url.pathname === `/applications/${CLIENT_ID}/grant`) {
      const pair = Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString("base64");
      const owner = tokens.get(JSON.parse(body).access_token);
      if (request.headers.authorization !== `Basic ${pair}`) return json(404, { message: "Not Found" });
      if (owner === undefined) return json(422, { message: "Validation Failed" });
      github.revoke(owner);
      for (const [token, { login }] of refreshTokens) if (login === owner) refreshTokens.delete(token);
      github.ended.push(owner);
      return response.writeHead(204).end();
    }
    if (url.pathname.startsWith("/git/")) {
      response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
      return response.end("001e# service=git-upload-pack\n0000000eversion 2\n0000");
    }
    const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
    const login = tokens.get(token);
    if (!login) return json(401, { message: "Bad credentials" });
    json(...ask(url.pathname, login));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  github.url = `http://127.0.0.1:${server.address().port}`;
  github.close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return github;
}

/** A browser: keeps cookies, follows nothing by itself, says where its pages come from. */
export class Browser {
  cookies = new Map();

  constructor(edge) {
    this.edge = edge;
  }

  get cookie() {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async fetch(path, { method = "GET", value, headers = {} } = {}) {
    const { origin } = this.edge;
    const sent = { ...(this.cookies.size > 0 ? { cookie: this.cookie } : {}), ...headers };
    if (method !== "GET") Object.assign(sent, { origin, "content-type": "application/json", ...headers });
    const body = method === "GET" ? undefined : JSON.stringify(value ?? {});
    const response = await this.edge.server.fetch(new URL(path, origin), {
      method,
      headers: sent,
      body,
      redirect: "manual",
    });
    for (const header of response.headers.getSetCookie()) {
      const [, name, text] = header.match(/^([^=]+)=([^;]*)/);
      if (/max-age=0(;|$)/i.test(header)) this.cookies.delete(name);
      else this.cookies.set(name, text);
    }
    const text = await response.text();
    let read = text;
    try {
      read = JSON.parse(text);
    } catch {}
    return { status: response.status, headers: response.headers, body: read };
  }

  /** The way to the code host and back as `login`; the last answer. */
  async signIn(github, login, to = "/") {
    const away = await this.fetch(`/api/sign-in/github?to=${encodeURIComponent(to)}`);
    return this.fetch(github.allow(away.headers.get("location"), login));
  }
}
