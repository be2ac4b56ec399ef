/** A repository's builds and warm sandboxes as a bridge reports them. */

import { until } from "./wait.mjs";

/** What a build makes. */
export const origin = (commit) => ({ commit: commit.repeat(40), recipeFingerprint: "0".repeat(64) });

/** The running build's order; `seen` are builds that are known already. */
export async function nextBuild(edge, repository, seen = []) {
  const order = await edge.bridge.request(
    ({ path, body }) =>
      /^\/builds\/[^/]+$/.test(path) &&
      body.repository.id === repository &&
      !seen.includes(path.split("/")[2]),
    "the order of a build",
  );
  return { buildId: order.path.split("/")[2], order: order.body };
}

/** Ends a build well. */
export async function finishBuild(edge, repository, { buildId, order }, commit = "a", recipe = {}) {
  edge.bridge.inventory.builds.delete(buildId);
  edge.bridge.inventory.images.add(order.imageId);
  const outcome = { type: "built", imageId: order.imageId, origin: origin(commit), recipe, sizeBytes: 5 };
  return edge.reportOfRepository(repository, `builds/${buildId}/ended`, { outcome });
}

/**
 * Says of every ordered warm sandbox of this image that it is ready, until so many were; their ids. They are at the bridges of these
 * addresses in turn.
 */
export async function readyUp(edge, repository, imageId, count, known = new Set(), urls = [edge.bridge.url]) {
  const ordered = () =>
    edge.bridge.requests
      .filter(({ path, body }) => path.endsWith("/warm") && body.imageId === imageId)
      .map(({ path }) => path.split("/")[2])
      .filter((id) => !known.has(id));
  await until(ordered, ({ length }) => length >= count, `${count} orders of warm sandboxes`);
  const ids = ordered();
  await Promise.all(
    ids.map(async (id, index) => {
      known.add(id);
      const report = {
        bridgeUrl: urls[index % urls.length],
        state: { type: "ready", agent: "scripted" },
      };
      const { status, body } = await edge.reportOfRepository(repository, `sandboxes/${id}`, report);
      if (status !== 200) throw new Error(`ready: ${status} ${JSON.stringify(body)}`);
    }),
  );
  return ids;
}
