/** Sets the chosen theme before the first picture, so that a page never flashes in the other one. See `src/theme.ts`. */
try {
  const theme = localStorage.getItem("farhand.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's theme holds.
}
