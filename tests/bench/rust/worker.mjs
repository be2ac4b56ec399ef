/** The Worker of the product as it is deployed, and a way past it to its objects. */

import { WorkerEntrypoint } from "cloudflare:workers";
import Edge, { RepositoryObject, SessionObject } from "../../../workers/edge/entry.mjs";
import { route } from "../router.mjs";

export { RepositoryObject, SessionObject };

export default class extends WorkerEntrypoint {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/object/")) return route(request, this.env);
    if (pathname.startsWith("/repository/")) return this.#ask(request, pathname);
    if (pathname.startsWith("/claims/")) return this.#claim(request, pathname);
    return new Edge(this.ctx, this.env).fetch(request);
  }

  /** `/repository/<owner>/<name>/<call>` */
  #ask(request, pathname) {
    const [, , owner, name, call] = pathname.split("/");
    const object = this.env.REPOSITORY.getByName(`${owner}/${name}`);
    return object.fetch(new Request(`https://repository/${call}`, request));
  }

  /**
   * `/claims/<owner>/<name>/<ms>` with the ids of sessions: each claims once, at some moment within so many ms, as from as many requests.
   * Answers how long each waited, as this Worker sees it, and what it got.
   */
  async #claim(request, pathname) {
    const [, , owner, name, within] = pathname.split("/");
    const claim = async (sessionId) => {
      if (within > 0) await scheduler.wait(Math.random() * within);
      const object = this.env.REPOSITORY.getByName(`${owner}/${name}`);
      const body = JSON.stringify({ sessionId, generation: 1 });
      const started = performance.now();
      const answer = await object.fetch("https://repository/claim", { method: "POST", body });
      const { sandboxId } = await answer.json();
      return { ms: performance.now() - started, status: answer.status, sandboxId };
    };
    return Response.json(await Promise.all((await request.json()).map(claim)));
  }
}
