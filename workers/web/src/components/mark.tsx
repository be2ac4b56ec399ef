/** The mark of the product: the one place with a gradient. */
import type { JSX } from "solid-js";

export function Mark(): JSX.Element {
  return <span class="mark" aria-hidden="true" />;
}
