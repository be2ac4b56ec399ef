/** The Worker of the plain object. */

import { route } from "../router.mjs";

export { SessionObject } from "./session-object.mjs";

export default { fetch: route };
