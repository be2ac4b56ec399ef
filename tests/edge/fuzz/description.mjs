/**
 * The committed description of the API, as the fuzzer reads it: what there is in the deployment under test is offered among what is drawn,
 * and answers may have nothing that is not described.
 */

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const path = join(dirname(fileURLToPath(import.meta.url)), "../../../workers/web/public/openapi.json");
const FOLDER = "#/components/schemas/";

export const readDescription = async () => JSON.parse(await readFile(path, "utf8"));

/** Every `{method, path, operation}`. */
export const operationsOf = ({ paths }) =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );

/**
 * With `known`, values by the name of a parameter of paths or of a schema of texts, offered beside those that the description allows; for
 * the operations that `wanted` names.
 */
export function prepareDescription(description, known, wanted) {
  const prepared = structuredClone(description);
  const { schemas, responses } = prepared.components;
  for (const { method, path, operation } of operationsOf(prepared)) {
    if (!wanted(operation)) {
      delete prepared.paths[path][method];
      continue;
    }
    for (const parameter of operation.parameters ?? []) {
      const values = parameter.in === "path" ? known[parameter.name] : undefined;
      if (values) parameter.schema = { anyOf: [{ enum: values }, parameter.schema] };
    }
    for (const response of Object.values(operation.responses)) closeAnswer(response);
  }
  for (const response of Object.values(responses)) closeAnswer(response);
  for (const [path, methods] of Object.entries(prepared.paths))
    if (Object.keys(methods).length === 0) delete prepared.paths[path];
  // What is answered is described apart from what is asked, of which more may be drawn than is described.
  for (const [name, schema] of Object.entries(schemas)) {
    const answered = structuredClone(schema);
    close(answered);
    redirect(answered);
    schemas[`answered.${name}`] = answered;
  }
  for (const [name, values] of Object.entries(known))
    if (schemas[name]) schemas[name] = { anyOf: [{ enum: values }, schemas[name]] };
  return prepared;
}

function closeAnswer(response) {
  for (const content of Object.values(response.content ?? {})) {
    if (content.schema?.allOf) content.schema.unevaluatedProperties = false;
    else close(content.schema);
    redirect(content.schema);
  }
}

/** Objects have the members that are described and no others. `ErrorBody` is closed where it is refined. */
function close(schema) {
  if (schema === null || typeof schema !== "object") return;
  for (const member of Object.values(schema)) close(member);
  if (!schema.properties || schema.additionalProperties !== undefined || schema.properties.code) return;
  schema.additionalProperties = false;
}

function redirect(schema) {
  if (schema === null || typeof schema !== "object") return;
  if (schema.$ref?.startsWith(FOLDER)) schema.$ref = schema.$ref.replace(FOLDER, `${FOLDER}answered.`);
  for (const member of Object.values(schema)) redirect(member);
}
