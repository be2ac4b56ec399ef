/**
 * What a deployment's API answers, or why it did not: the one way in which web client and extension read it. Every failure becomes an
 * `ApiError` with words to show; nothing is retried here, and nothing is sent.
 */
import type { ErrorBody, ErrorCode } from "@farhand/protocol";
import { capitalised } from "./format.js";

export class ApiError extends Error {
  constructor(
    /** The deployment's own, or `unavailable` when there was no answer that says one. */
    readonly code: ErrorCode,
    message: string,
  ) {
    super(capitalised(message));
  }
}

/** Sends a request; a network that does not carry it becomes an error with `unreachable` as its words. */
export async function sendRequest(
  send: () => Promise<Response>,
  { unreachable, signal }: { unreachable: string; signal: AbortSignal | undefined },
): Promise<Response> {
  try {
    return await send();
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    throw new ApiError("unavailable", unreachable);
  }
}

/** The JSON of an answer. `foreign` are the words for one that is none, where that may happen. */
export async function readAnswer<T>(response: Response, foreign?: string): Promise<T> {
  if (!response.ok) throw await readFailure(response);
  const answer: unknown = await response.json().catch(() => undefined);
  if (answer === undefined && foreign !== undefined) throw new ApiError("unavailable", foreign);
  return answer as T;
}

/** What an answer that is a refusal says. */
export async function readFailure(response: Response): Promise<ApiError> {
  const error = (await response.json().catch(() => undefined)) as Partial<ErrorBody> | undefined;
  return new ApiError(
    error?.code ?? "unavailable",
    error?.message ?? `The server answered with ${response.status}. Try again.`,
  );
}
