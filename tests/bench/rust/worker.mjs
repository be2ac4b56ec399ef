/** The Worker of the product as it is deployed, and a way past it to its objects. */

import { WorkerEntrypoint } from "cloudflare:workers";
import Edge, { SessionObject } from "../../../workers/edge/entry.mjs";
import { route } from "../router.mjs";

export { SessionObject };

export default class extends WorkerEntrypoint {
  fetch(request) {
    if (new URL(request.url).pathname.startsWith("/object/")) return route(request, this.env);
    return new Edge(this.ctx, this.env).fetch(request);
  }
}
