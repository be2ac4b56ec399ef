/** What the web client and the extension's side panel share: the live view of one session. */
export { Avatar, People } from "./components/avatar.jsx";
export { Composer, ModelSelect } from "./components/composer.jsx";
export { ConnectionBar } from "./components/connection-bar.jsx";
export { CopyButton } from "./components/copy-button.jsx";
export { Details } from "./components/details.jsx";
export { DiffView } from "./components/diff.jsx";
export { Dock } from "./components/dock.jsx";
export { LineCounts } from "./components/fold-row.jsx";
export { Icon, type IconName, Spinner } from "./components/icons.jsx";
export { SandboxPill } from "./components/sandbox-pill.jsx";
export { TimelineView } from "./components/timeline-view.jsx";
export { type ConnectionStatus, type StopReason, TicketRefused } from "./connection.js";
export { formatAge, startOfDay } from "./format.js";
export { newPromptId } from "./ids.js";
export { keyName } from "./keys.js";
export { openSession, type Session } from "./session-store.js";
export { artifactOf, runningTurn } from "./timeline.js";
