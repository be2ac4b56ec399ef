/** The edge of the inspector that makes it wider or narrower, by pointer and by keyboard; the width is kept in the browser. */
import { createSignal, type JSX } from "solid-js";

const KEY = "farhand.inspector-width";
const MIN_PX = 360;
const MAX_PX = 640;
const USUAL_PX = 432;
const STEP_PX = 16;

const [width, setWidth] = createSignal(readWidth());

/** In CSS pixels. */
export const inspectorWidth = width;

function readWidth(): number {
  const kept = Number(localStorage.getItem(KEY) ?? USUAL_PX);
  return Number.isFinite(kept) ? within(kept) : USUAL_PX;
}

function within(px: number): number {
  return Math.round(Math.min(MAX_PX, Math.max(MIN_PX, px)));
}

function keep(): void {
  if (width() === USUAL_PX) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, String(width()));
}

export function InspectorEdge(): JSX.Element {
  const onKeyDown = (event: KeyboardEvent): void => {
    const next = {
      ArrowLeft: width() + STEP_PX,
      ArrowRight: width() - STEP_PX,
      Home: MIN_PX,
      End: MAX_PX,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    setWidth(within(next));
    keep();
  };
  const onPointerDown = (event: PointerEvent & { currentTarget: HTMLElement }): void => {
    if (event.button !== 0) return;
    event.preventDefault();
    const edge: HTMLElement = event.currentTarget;
    const end = edge.parentElement?.getBoundingClientRect().right ?? innerWidth;
    const held = new AbortController();
    const { signal } = held;
    edge.setPointerCapture(event.pointerId);
    edge.focus();
    edge.addEventListener("pointermove", (moved) => setWidth(within(end - moved.clientX)), { signal });
    const release = (): void => {
      held.abort();
      keep();
    };
    edge.addEventListener("pointerup", release, { signal });
    edge.addEventListener("pointercancel", release, { signal });
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a rule cannot be moved
    <div
      class="inspector-edge"
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the inspector"
      aria-valuemin={MIN_PX}
      aria-valuemax={MAX_PX}
      aria-valuenow={width()}
      aria-valuetext={`${width()} pixels`}
      title="Drag, or press the arrow keys; a double click gives the usual width"
      tabindex="0"
      onKeyDown={onKeyDown}
      onPointerDown={onPointerDown}
      onDblClick={() => {
        setWidth(USUAL_PX);
        keep();
      }}
    />
  );
}
