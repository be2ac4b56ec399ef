/** A repository's object for the Worker: hands every call of a session to the process of the tests, and answers what that answers. */

import { DurableObject } from "cloudflare:workers";

export class RepositoryObject extends DurableObject {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    return fetch(new URL(pathname, this.env.REPOSITORY_URL), {
      method: request.method,
      headers: { "content-type": "application/json" },
      body: await request.text(),
    });
  }
}

export default {
  fetch: () => new Response("not found", { status: 404 }),
};
