/** Paths of source files as builds tell them, and what of them is told on. */
import { expect, test } from "vitest";
import { fileStem, firstOwnFrame, repositoryPlace } from "../src/framework/source.js";
import { evaluatePage } from "../src/panel/page.js";

test.each([
  ["/home/jo/work/shop/src/cart/total.tsx", "src/cart/total.tsx"],
  ["/Users/jo/app/shop/packages/ui/src/button.tsx", "packages/ui/src/button.tsx"],
  ["C:\\Users\\jo\\shop\\src\\App.jsx", "src/App.jsx"],
  ["webpack-internal:///./src/App.jsx", "src/App.jsx"],
  ["webpack-internal:///(app-pages-browser)/./app/page.tsx", "app/page.tsx"],
  ["http://localhost:5173/src/App.jsx?t=17", "src/App.jsx"],
  ["http://localhost:5173/@fs/home/jo/shop/src/App.jsx", "src/App.jsx"],
  ["src/App.svelte", "src/App.svelte"],
  ["/srv/www/one/two/three/four.js", "two/three/four.js"],
])("%s is told as %s", (file, told) => {
  expect(repositoryPlace(file)).toBe(told);
});

test("libraries and paths that climb are not told", () => {
  expect(repositoryPlace("/home/jo/shop/node_modules/lib/src/index.js")).toBeNull();
  expect(repositoryPlace("/home/jo/shop/../../etc/passwd")).toBeNull();
});

test("line and column are told where they are numbers", () => {
  expect(repositoryPlace("src/App.jsx", 12, 5)).toBe("src/App.jsx:12:5");
  expect(repositoryPlace("src/App.jsx", "12", -1)).toBe("src/App.jsx");
});

test("of a stack the first frame of the application counts, and of a bundle none", () => {
  const frames = (file: string): string =>
    `Error: react-stack-top-frame\n    at exports.jsxDEV (http://localhost:5173/node_modules/.vite/deps/react.js:1:2)\n    at AddButton (${file}:9:25)\n    at react_stack_bottom_frame (x.js:1:1)`;
  expect(firstOwnFrame(frames("http://localhost:5173/src/add-button.jsx"))).toBe("src/add-button.jsx");
  expect(firstOwnFrame(frames("http://localhost:5173/assets/index-3f2a.js"))).toBeNull();
});

test("a component is called like its file", () => {
  expect(fileStem("src/cart/AddButton.vue?x=1")).toBe("AddButton");
});

test("a tab is readable, locked or forbidden by what the browser tells of it", () => {
  expect(evaluatePage(undefined)).toEqual({ state: "none" });
  expect(evaluatePage({ id: 1 })).toEqual({ state: "locked", tabId: 1 });
  expect(evaluatePage({ id: 1, url: "https://shop.example:8443/cart?x=1" })).toEqual({
    state: "readable",
    tabId: 1,
    host: "shop.example:8443",
    path: "/cart",
  });
  expect(evaluatePage({ id: 1, url: "chrome://settings" }).state).toBe("forbidden");
  expect(evaluatePage({ id: 1, url: "https://chromewebstore.google.com/detail/x" }).state).toBe("forbidden");
});
