/** What the build makes of `framework/page-function.ts`: the same, as one function that needs nothing around it. */
declare module "virtual:page-function" {
  import type { NameAnswer, NameRequest } from "../framework/request.js";
  export function nameComponents(request: NameRequest): NameAnswer;
}
