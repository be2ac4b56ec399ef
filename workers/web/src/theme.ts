/** The theme: what the system has, or light, or dark. `public/theme.js` sets it before the first picture. */
import { createSignal } from "solid-js";

export type Theme = "system" | "light" | "dark";

const KEY = "farhand.theme";
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

const chosen = document.documentElement.dataset.theme;
const [theme, setTheme] = createSignal<Theme>(chosen === "light" || chosen === "dark" ? chosen : "system");

export { theme };

/** On to the next one. */
export function cycleTheme(): void {
  chooseTheme(NEXT[theme()]);
}

/** Takes this one. */
export function chooseTheme(next: Theme): void {
  setTheme(next);
  if (next === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(KEY);
  } else {
    document.documentElement.dataset.theme = next;
    localStorage.setItem(KEY, next);
  }
}
