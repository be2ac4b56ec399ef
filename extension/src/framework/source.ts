/** Paths of source files, cut to what lies inside the repository: where somebody's home folder is stays on their machine. Pure. */

/** Folders that commonly stand at the top of a repository or of a package in it, the outer ones first. */
const TOPS = [
  ["packages", "apps", "libs", "workspaces"],
  ["src"],
  ["app", "pages", "components", "lib", "client"],
];
const KEPT_WITHOUT_TOP = 3;

/** `src/cart/total.tsx:12:5`, or null for what is no source of this repository. */
export function repositoryPlace(file: string, line?: unknown, column?: unknown): string | null {
  const path = repositoryPath(file);
  if (path === null) return null;
  const numbers = [line, column].filter((one) => typeof one === "number" && Number.isInteger(one) && one > 0);
  return [path, ...numbers].join(":");
}

function repositoryPath(file: string): string | null {
  const plain = file
    .slice(0, 1000)
    .replace(/[?#].*$/, "")
    .replace(/\\/g, "/")
    .replace(/^(?:[a-z][a-z+.-]*:\/{2,3}[^/]*\/)+/i, "/")
    .replace(/^webpack-internal:\/*/, "/")
    .replace(/\/\([\w-]+\)\/\.\//, "/")
    .replace(/\/\.\//g, "/")
    .replace(/^\/?@fs\//, "/");
  if (plain.includes("/node_modules/") || /(^|\/)\.\.(\/|$)/.test(plain)) return null;
  const parts = plain.split("/").filter((part) => part !== "" && part !== ".");
  const home = parts[0] === "home" || parts[0] === "Users" ? 2 : /^[A-Za-z]:$/.test(parts[0] ?? "") ? 1 : 0;
  const inside = parts.slice(parts[home] === "Users" && home === 1 ? 3 : home);
  if (inside.length === 0) return null;
  for (const names of TOPS) {
    const top = inside.findIndex((part, index) => index < inside.length - 1 && names.includes(part));
    if (top >= 0) return inside.slice(top).join("/");
  }
  return inside.slice(-KEPT_WITHOUT_TOP).join("/");
}

/** Frames that belong to React, and those of what JSX is turned into. */
const REACT_FRAME =
  /react[-_]stack[-_](?:top|bottom)[-_]frame|react-dom|\/react\.|node_modules|^at (?:[\w$]+\.)*(?:jsxs?(?:DEV)?|createElement)\b/;

/**
 * The file of the first frame that is the application's own. Lines of a stack are those of the transformed module, which differ from the
 * file's, so none is given; a bundle's name says nothing, so neither is that.
 */
export function firstOwnFrame(stack: string): string | null {
  for (const line of stack.slice(0, 8000).split("\n").slice(0, 40)) {
    const place = /(?:\(|\s|@)((?:[a-z][a-z+.-]*:\/\/|webpack-internal:|\/)[^\s()]+?):\d+(?::\d+)?\)?$/.exec(
      line.trim(),
    );
    const file = place?.[1];
    if (file === undefined || REACT_FRAME.test(line.trim())) continue;
    return /\.(?:[jt]sx|vue|svelte)(?:[?#]|$)/.test(file) ? repositoryPlace(file) : null;
  }
  return null;
}

/** `AddButton` of `src/cart/AddButton.vue`. */
export function fileStem(file: string): string {
  const name =
    file
      .replace(/[?#].*$/, "")
      .split(/[\\/]/)
      .at(-1) ?? "";
  return name.replace(/\.[^.]*$/, "");
}
