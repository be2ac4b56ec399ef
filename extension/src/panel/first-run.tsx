/** The two steps before anything else: where the deployment is, and who sits here. */
import { Icon, Spinner } from "@farhand/session-view";
import { createSignal, createUniqueId, type JSX, Show } from "solid-js";
import { type Account, originPattern, parseAddress, signIn, thisBrowser } from "../account.js";
import { createDeployment } from "../deployment.js";

export function AddressForm(props: { onAddress(address: string): void }): JSX.Element {
  const [typed, setTyped] = createSignal("");
  const [problem, setProblem] = createSignal<string | null>(null);
  const [busy, setBusy] = createSignal(false);
  const problemId = createUniqueId();
  const connect = async (): Promise<void> => {
    const parsed = parseAddress(typed());
    if ("problem" in parsed) {
      setProblem(parsed.problem);
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      // First of all: the browser asks only while it still knows that somebody pressed something.
      const allowed = await chrome.permissions.request({ origins: [originPattern(parsed.address)] });
      if (!allowed) {
        setProblem(
          "The panel can only talk to your deployment if the browser may let it. Press Connect again and allow it.",
        );
        return;
      }
      await createDeployment(parsed.address, null).configuration();
      props.onAddress(parsed.address);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : "Something went wrong. Try again.");
    } finally {
      setBusy(false);
    }
  };
  return (
    <main class="page first-run">
      <div class="first-run-column">
        <p class="brand">
          <span class="mark" aria-hidden="true" />
          Farhand
        </p>
        <h1>Point at what is wrong, and an agent works on it</h1>
        <ol class="steps">
          <Step
            icon="select"
            text="Select a part of any page. Its structure and components go along, without a screenshot."
          />
          <Step icon="edit" text="Say what should change." />
          <Step icon="pull" text="Watch the agent here. It ends in a pull request in your name." />
        </ol>
        <form
          class="address-form"
          onSubmit={(event) => {
            event.preventDefault();
            void connect();
          }}
        >
          <label for={`${problemId}-address`}>Where does your team open Farhand?</label>
          <input
            id={`${problemId}-address`}
            class="text-field"
            type="text"
            inputmode="url"
            autocomplete="url"
            spellcheck={false}
            placeholder="farhand.example.com"
            value={typed()}
            aria-invalid={problem() !== null}
            aria-describedby={problemId}
            onInput={(event) => {
              setTyped(event.currentTarget.value);
              setProblem(null);
            }}
          />
          <p class="field-problem" id={problemId} role="alert">
            {problem()}
          </p>
          <button type="submit" class="button is-primary" disabled={busy()}>
            <Show when={busy()}>
              <Spinner />
            </Show>
            Connect
          </button>
        </form>
      </div>
    </main>
  );
}

function Step(props: { icon: "select" | "edit" | "pull"; text: string }): JSX.Element {
  return (
    <li>
      <span class="step-icon">
        <Icon name={props.icon} size={16} />
      </span>
      <span>{props.text}</span>
    </li>
  );
}

export function SignIn(props: {
  address: string;
  onSignedIn(account: Required<Account>): void;
  onOther(): void;
}): JSX.Element {
  const [busy, setBusy] = createSignal(false);
  const [problem, setProblem] = createSignal<string | null>(null);
  const start = async (): Promise<void> => {
    setBusy(true);
    setProblem(null);
    try {
      props.onSignedIn(await signIn(props.address, thisBrowser));
    } catch (error) {
      setProblem(error instanceof Error ? error.message : "Something went wrong. Try again.");
      setBusy(false);
    }
  };
  return (
    <main class="page first-run">
      <div class="first-run-column">
        <p class="brand">
          <span class="mark" aria-hidden="true" />
          Farhand
        </p>
        <h1>Sign in</h1>
        <p class="quiet">
          A window of <strong>{new URL(props.address).host}</strong> opens and asks whether this browser may
          work in your name: see your sessions, and send prompts. You can end that at any time, here or there.
        </p>
        <Show when={problem()}>
          <p class="form-error" role="alert">
            <Icon name="alert" size={14} />
            <span>{problem()}</span>
          </p>
        </Show>
        <button type="button" class="button is-primary" disabled={busy()} onClick={() => void start()}>
          <Show when={busy()}>
            <Spinner />
          </Show>
          {busy() ? "Waiting for the window" : "Sign in"}
        </button>
        <button type="button" class="text-button" onClick={() => props.onOther()}>
          Use another address
        </button>
      </div>
    </main>
  );
}
