/** Starts the side panel of one window. */
import "./styles/index.css";
import { render } from "solid-js/web";
import { App } from "./app.jsx";

const root = document.getElementById("root");
if (root === null) throw new Error("panel.html has no element with the id root");
const { id: windowId } = await chrome.windows.getCurrent();
if (windowId === undefined) throw new Error("the panel stands in no window");
render(() => <App windowId={windowId} />, root);
