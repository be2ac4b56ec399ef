/** Opens and closes something that lies over the page beside its button: a press elsewhere and Escape close it. */
import { type Accessor, createSignal, createUniqueId, onCleanup } from "solid-js";

export interface Popover {
  open: Accessor<boolean>;
  /** Connects the button to what it opens. */
  panelId: string;
  setOpen(open: boolean): void;
  toggle(): void;
  /** For the element that contains button and panel. */
  frame(element: HTMLElement): void;
  onKeyDown(event: KeyboardEvent): void;
}

export function createPopover(): Popover {
  const [open, setOpen] = createSignal(false);
  let frame: HTMLElement | undefined;
  const listeners = new AbortController();
  document.addEventListener(
    "pointerdown",
    (event) => {
      if (open() && event.target instanceof Node && !frame?.contains(event.target)) setOpen(false);
    },
    { signal: listeners.signal },
  );
  onCleanup(() => listeners.abort());
  return {
    open,
    panelId: createUniqueId(),
    setOpen,
    toggle: () => setOpen(!open()),
    frame: (element) => {
      frame = element;
    },
    onKeyDown: (event) => {
      if (event.key !== "Escape" || !open()) return;
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
      frame?.querySelector<HTMLElement>("[aria-expanded]")?.focus();
    },
  };
}
