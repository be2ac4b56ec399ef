/** Who uses this client, and what the deployment offers. Loaded once; `sign_in_required` from any request ends up here. */
import type { Configuration, User } from "@farhand/protocol";
import { createSignal } from "solid-js";
import { ApiError, api } from "./api.js";

export type Account =
  | { state: "loading" }
  | { state: "failed"; message: string }
  | { state: "signed_out"; configuration: Configuration }
  | { state: "signed_in"; configuration: Configuration; user: User };

const [account, setAccount] = createSignal<Account>({ state: "loading" });

export { account };

export async function loadAccount(): Promise<void> {
  setAccount({ state: "loading" });
  try {
    const [configuration, user] = await Promise.all([api.configuration(), currentUser()]);
    setAccount(
      user === null ? { state: "signed_out", configuration } : { state: "signed_in", configuration, user },
    );
  } catch (error) {
    setAccount({ state: "failed", message: messageOf(error) });
  }
}

export async function signIn(login: string): Promise<void> {
  const user = await api.signIn({ login });
  const now = account();
  if (now.state === "signed_out") setAccount({ state: "signed_in", configuration: now.configuration, user });
}

export async function signOut(): Promise<void> {
  await api.signOut();
  leaveAccount();
}

/** Some request said that nobody is signed in any more. */
export function leaveAccount(): void {
  const now = account();
  if (now.state === "signed_in") setAccount({ state: "signed_out", configuration: now.configuration });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong. Try again.";
}

async function currentUser(): Promise<User | null> {
  try {
    return await api.me();
  } catch (error) {
    if (error instanceof ApiError && error.code === "sign_in_required") return null;
    throw error;
  }
}
