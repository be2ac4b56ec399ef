/** The few pictures of the interface, drawn on a 24 grid with one stroke width. Decoration: meaning is always in words beside them. */
import { For, type JSX, Show } from "solid-js";

const PATHS = {
  alert: ["M12 7.5v5.5", "M12 16.4v.1", "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18z"],
  archive: ["M4 4.5h16v4H4z", "M5.5 8.5v11h13v-11", "M10 12.5h4"],
  arrowDown: ["M12 5v14", "M6 13l6 6l6-6"],
  arrowUp: ["M12 19V5", "M6 11l6-6l6 6"],
  branch: [
    "M6.5 8.5v7",
    "M6.5 3.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5z",
    "M6.5 15.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5z",
    "M17.5 5.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5z",
    "M17.5 10.5c0 4-4 3.6-8.6 6",
  ],
  camera: ["M4 7.5h3.5l1.5-2.5h6l1.5 2.5H20V19H4z", "M12 9.8a3.2 3.2 0 1 0 0 6.4a3.2 3.2 0 0 0 0-6.4z"],
  chart: ["M4 4v16h16", "M8.5 16.500v-4", "M13 16.500v-9", "M17.500 16.500v-6"],
  check: ["M4.5 12.8l4.8 4.7L19.5 7"],
  chevron: ["M9.5 6l6 6l-6 6"],
  chevrons: ["M8 9.5l4-4l4 4", "M8 14.5l4 4l4-4"],
  circle: ["M12 4a8 8 0 1 0 0 16a8 8 0 0 0 0-16z"],
  clock: ["M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17z", "M12 7.5V12l3 2"],
  copy: ["M9 9h10.5v11.5H9z", "M15 9V3.5H4.5V15H9"],
  cross: ["M6 6l12 12", "M18 6L6 18"],
  dash: ["M6 12h12"],
  edit: ["M13 4H6.5v16h11v-6", "M18.6 4.2l1.7 1.7l-7.5 7.4l-2.4.7l.7-2.4z"],
  external: ["M13.5 4.5h6v6", "M19.5 4.5l-9 9", "M17.5 14v5.5h-13v-13H10"],
  file: ["M6 3.5h7.5L18.5 9v11.5H6z", "M13.5 3.5V9h5"],
  filter: ["M4 7h16", "M7.5 12h9", "M10.5 17h3"],
  effort: ["M4.500 17.500a9 9 0 1 1 15 0", "M12 13.500l4-4.500", "M12 13.300v.1"],
  globe: [
    "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17z",
    "M3.5 12h17",
    "M12 3.5c3 2.6 3.6 5.5 3.6 8.5s-.6 5.9-3.6 8.5c-3-2.6-3.6-5.5-3.6-8.5s.6-5.9 3.6-8.5z",
  ],
  grip: ["M9 6v.1", "M15 6v.1", "M9 12v.1", "M15 12v.1", "M9 18v.1", "M15 18v.1"],
  info: ["M12 11v5.5", "M12 7.6v.1", "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18z"],
  keyboard: ["M3 6.5h18v11H3z", "M7 10.3v.1", "M11 10.3v.1", "M15 10.3v.1", "M8.5 14h7"],
  link: [
    "M10 13.500a4 4 0 0 0 5.700 0l3-3a4 4 0 0 0-5.700-5.700l-1.200 1.200",
    "M14 10.500a4 4 0 0 0-5.700 0l-3 3a4 4 0 0 0 5.700 5.700l1.200-1.200",
  ],
  lock: ["M6 11h12v9H6z", "M8.5 11V8a3.5 3.5 0 0 1 7 0v3"],
  menu: ["M4 7h16", "M4 12h16", "M4 17h16"],
  model: [
    "M7 7h10v10H7z",
    "M10 10h4v4h-4z",
    "M10 3.5V7",
    "M14 3.5V7",
    "M10 17v3.5",
    "M14 17v3.5",
    "M3.5 10H7",
    "M3.5 14H7",
    "M17 10h3.5",
    "M17 14h3.5",
  ],
  more: ["M6 12v.1", "M12 12v.1", "M18 12v.1"],
  moon: ["M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z"],
  panel: ["M4 4.5h16v15H4z", "M14.5 4.5v15"],
  plan: [
    "M4 6.3l1.5 1.5L8.3 5",
    "M4 12.3l1.5 1.5L8.3 11",
    "M4 18.3l1.5 1.5L8.3 17",
    "M12 6.5h8",
    "M12 12.5h8",
    "M12 18.5h8",
  ],
  plus: ["M12 5v14", "M5 12h14"],
  pull: [
    "M6.5 8.5v7",
    "M6.5 3.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5z",
    "M6.5 15.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5z",
    "M17.5 15.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5z",
    "M17.5 15.5V9c0-1.7-.8-2.5-2.5-2.5h-2.5",
    "M15 3.8l-2.7 2.7L15 9.2",
  ],
  repository: ["M3.5 6h6l2 2.5h9V19h-17z"],
  search: ["M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z", "M15.3 15.3L20 20"],
  select: [
    "M4 8V4h4",
    "M16 4h4v4",
    "M8 20H4v-4",
    "M11.5 4h1",
    "M4 11.5v1",
    "M20 11.5v.5",
    "M12 11.8l8 3.2l-3.6 1.5l-1.4 3.6z",
  ],
  settings: [
    "M12 9a3 3 0 1 0 0 6a3 3 0 0 0 0-6z",
    "M12 3.500v2.300",
    "M12 18.200v2.300",
    "M3.500 12h2.300",
    "M18.200 12h2.300",
    "M6 6l1.600 1.600",
    "M16.400 16.400L18 18",
    "M18 6l-1.600 1.600",
    "M7.600 16.400L6 18",
  ],
  shield: ["M12 3.5l7 2.5v5.5c0 4.4-2.8 7.4-7 9c-4.2-1.6-7-4.6-7-9V6z"],
  shieldOff: [
    "M8.2 4.9L12 3.5l7 2.5v5.5c0 1.3-.2 2.5-.7 3.6",
    "M16 17.9a13 13 0 0 1-4 2.6c-4.2-1.6-7-4.6-7-9V6.5",
    "M4 4l16 16",
  ],
  sidebar: ["M4 4.5h16v15H4z", "M9.5 4.5v15"],
  signOut: ["M10 4.5H4.5v15H10", "M15.5 8l4 4l-4 4", "M19.5 12H9.5"],
  steer: ["M5 5v6.5a3 3 0 0 0 3 3h11", "M14.5 10l4.5 4.5l-4.5 4.5"],
  sun: [
    "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8z",
    "M12 2.5v2",
    "M12 19.5v2",
    "M2.5 12h2",
    "M19.5 12h2",
    "M5.3 5.3l1.4 1.4",
    "M17.3 17.3l1.4 1.4",
    "M18.7 5.3l-1.4 1.4",
    "M6.7 17.3l-1.4 1.4",
  ],
  system: ["M3.5 5h17v11.5h-17z", "M9 20h6", "M12 16.5V20"],
  terminal: ["M5 7l5 5l-5 5", "M12.5 17.5H19"],
  trash: ["M4.5 7h15", "M9 7V4.5h6V7", "M6.5 7l1 13h9l1-13"],
  thought: [
    "M12 4c4.7 0 8.5 2.9 8.5 6.6s-3.800 6.600-8.5 6.600c-.9 0-1.800-.1-2.600-.3L5 19.500l.8-4C4.400 14.300 3.5 12.5 3.5 10.600C3.5 6.900 7.300 4 12 4z",
    "M8.5 10.600v.1",
    "M12 10.600v.1",
    "M15.5 10.600v.1",
  ],
  tool: [
    "M14.5 6.5a4 4 0 0 1 5-1.800l-2.600 2.600l.4 1.900l1.900.4l2-2.100a4 4 0 0 1-5.400 5L8 20.200a2 2 0 0 1-2.900-2.900l7.700-7.700a4 4 0 0 1 1.700-3.100z",
  ],
  warning: ["M12 4L21 19.500H3z", "M12 10v4.5", "M12 17v.1"],
} as const;

export type IconName = keyof typeof PATHS;

export function Icon(props: { name: IconName; size?: number; class?: string }): JSX.Element {
  return (
    <svg
      class={`icon ${props.class ?? ""}`}
      width={props.size ?? 15}
      height={props.size ?? 15}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <For each={PATHS[props.name]}>{(path) => <path d={path} />}</For>
    </svg>
  );
}

/** The ring of something that goes on. */
export function Spinner(props: { label?: string }): JSX.Element {
  return (
    <Show when={props.label} fallback={<span class="spinner" aria-hidden="true" />}>
      {(label) => <span class="spinner" role="img" aria-label={label()} />}
    </Show>
  );
}
