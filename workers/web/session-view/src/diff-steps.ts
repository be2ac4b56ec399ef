/** Steps from change to change in a diff that is shown: each begins a run of changed lines, or is a file that is closed. */

/** Marks where one can step to. */
export const STEP = "data-step";

/** Goes to the next change, or with -1 to the one before: from the one that was gone to last, else from what is in view. */
export function stepThroughDiff(step: 1 | -1): void {
  const diff = document.querySelector<HTMLElement>(".diff");
  // What is hidden has no extent.
  if (diff === null || diff.offsetParent === null) return;
  const places = [...diff.querySelectorAll<HTMLElement>(`[${STEP}]`)];
  const target = places[indexFrom(diff, places, step)];
  if (target === undefined) return;
  for (const marked of diff.querySelectorAll("[data-current]")) marked.removeAttribute("data-current");
  target.dataset.current = "";
  if (!target.matches("button")) target.tabIndex = -1;
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
}

function indexFrom(diff: HTMLElement, places: readonly HTMLElement[], step: 1 | -1): number {
  const current = places.findIndex((place) => place.hasAttribute("data-current"));
  if (current >= 0) return Math.min(places.length - 1, Math.max(0, current + step));
  const edge = diff.parentElement?.getBoundingClientRect().top ?? 0;
  const below = places.findIndex((place) => place.getBoundingClientRect().top >= edge);
  if (below < 0) return places.length - 1;
  return step > 0 ? below : Math.max(0, below - 1);
}
