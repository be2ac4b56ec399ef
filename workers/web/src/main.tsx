/** Starts the web client. */
import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "./styles/index.css";
import { render } from "solid-js/web";
import { App } from "./app.jsx";
import { restoreFragment } from "./fragment.js";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no element with the id root");
restoreFragment();
render(() => <App />, root);
