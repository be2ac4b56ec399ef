/**
 * What stands behind the `#` of an address goes to no server, and so would not come back from a sign-in elsewhere. This tab keeps it
 * meanwhile, for the page that it is of.
 */
const KEY = "farhand.fragment";

/** On the way out. */
export function keepFragment(): void {
  if (location.hash !== "") sessionStorage.setItem(KEY, location.pathname + location.hash);
}

/** On the way in, before anything reads the address. What was kept counts once. */
export function restoreFragment(): void {
  const [path, hash] = sessionStorage.getItem(KEY)?.split("#") ?? [];
  sessionStorage.removeItem(KEY);
  if (path === location.pathname && location.hash === "" && hash !== undefined)
    history.replaceState(history.state, "", `${path}${location.search}#${hash}`);
}
