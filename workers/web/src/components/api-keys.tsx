/** A person's keys of the API: made with a scope and an end, shown once, listed without their secret, revoked. */
import type { ApiKey, ApiKeyMade, KeyScope } from "@farhand/protocol";
import { CopyButton, Icon } from "@farhand/session-view";
import { createSignal, For, type JSX, Show } from "solid-js";
import { api } from "../api.js";
import { createLoad } from "../load.js";
import { dateText } from "../words.js";
import { Confirm } from "./confirm.jsx";
import { Await, Field, Form, Section } from "./parts.jsx";

const DAYS: readonly number[] = [7, 30, 90, 365];

export function ApiKeys(): JSX.Element {
  const keys = createLoad(async () => (await api.keys()).keys);
  const [made, setMade] = createSignal<(ApiKeyMade & { name: string }) | null>(null);
  const [ending, setEnding] = createSignal<ApiKey | null>(null);
  return (
    <Section
      title="API keys"
      text={
        <>
          For scripts and other programs. A key acts in your name, in the repositories that you may use. The{" "}
          <a href="/openapi.json">description of the API</a> says what they can ask.
        </>
      }
    >
      <Show when={made()}>
        {(key) => (
          <div class="new-key" role="status">
            <p>
              <strong>{key().name}</strong> is made. Copy it now: it is not shown again.
            </p>
            <p class="new-key-text">
              <code>{key().key}</code>
              <CopyButton text={key().key} label="Copy the key" />
            </p>
            <button type="button" class="text-button" onClick={() => setMade(null)}>
              I have it
            </button>
          </div>
        )}
      </Show>
      <Await load={keys}>
        {(list) => (
          <ul class="rows" aria-label="Keys">
            <For each={list()} fallback={<li class="rows-none">You have no keys.</li>}>
              {(key) => <KeyRow apiKey={key} onEnd={() => setEnding(key)} />}
            </For>
          </ul>
        )}
      </Await>
      <NewKey
        onMade={(key) => {
          setMade(key);
          void keys.again();
        }}
      />
      <Show when={ending()}>
        {(key) => (
          <Confirm
            title={`Revoke “${key().name}”?`}
            text="Programs that use it are refused from now on."
            action="Revoke"
            onConfirm={async () => {
              await api.revokeKey(key().id);
              await keys.again();
            }}
            onClose={() => setEnding(null)}
          />
        )}
      </Show>
    </Section>
  );
}

function KeyRow(props: { apiKey: ApiKey; onEnd(): void }): JSX.Element {
  const scope = (): string => (props.apiKey.scope === "write" ? "reads and writes" : "reads");
  const used = (): string =>
    props.apiKey.usedAt === null ? "never used" : `used ${dateText(props.apiKey.usedAt)}`;
  return (
    <li class="row">
      <Icon name="lock" />
      <span class="row-text">
        <span class="row-name">{props.apiKey.name}</span>
        <span class="row-detail">
          {scope()} · {used()} · ends {dateText(props.apiKey.expiresAt)}
        </span>
      </span>
      <button type="button" class="button is-small" onClick={() => props.onEnd()}>
        Revoke<span class="visually-hidden"> {props.apiKey.name}</span>
      </button>
    </li>
  );
}

function NewKey(props: { onMade(key: ApiKeyMade & { name: string }): void }): JSX.Element {
  const [name, setName] = createSignal("");
  const [scope, setScope] = createSignal<KeyScope>("read");
  const [days, setDays] = createSignal(30);
  const create = async (): Promise<void> => {
    const asked = { name: name().trim(), scope: scope(), days: days() };
    const key = await api.createKey(asked);
    setName("");
    props.onMade({ ...key, name: asked.name });
  };
  return (
    <Form action="Make a key" done="" onSubmit={create}>
      <div class="fields">
        <Field label="What the key is for" value={name()} onInput={setName} required />
        <label class="field">
          <span>It may</span>
          <select
            value={scope()}
            onChange={(event) => setScope(event.currentTarget.value === "write" ? "write" : "read")}
          >
            <option value="read">read</option>
            <option value="write">read and write</option>
          </select>
        </label>
        <label class="field">
          <span>It ends after</span>
          <select value={days()} onChange={(event) => setDays(Number(event.currentTarget.value))}>
            <For each={DAYS}>{(one) => <option value={one}>{one} days</option>}</For>
          </select>
        </label>
      </div>
    </Form>
  );
}
