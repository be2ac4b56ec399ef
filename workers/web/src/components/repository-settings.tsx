/**
 * What wins over the recipe in a repository: commands, secrets by name, hosts, limits, the pool. Values of secrets are never here; and a host
 * that the operator has not allowed is told with the line that allows it, because settings cannot reach further than the operator's policy.
 */
import type { Recipe, RepositoryId, RepositoryStatus, SandboxLimits } from "@farhand/protocol";
import { CopyButton } from "@farhand/session-view";
import { createSignal, type JSX, onMount, Show } from "solid-js";
import { api } from "../api.js";
import { Field, Form, Section } from "./parts.jsx";

const DEFAULT_LIMITS: SandboxLimits = {
  cpuMillicores: 2000,
  memoryMib: 4096,
  diskMib: 10_240,
  lifeMs: 4 * 3_600_000,
};

/** The fields of the form, as text. */
export interface Draft {
  baseImage: string;
  setup: string;
  build: string;
  warm: string;
  start: string;
  tools: string;
  secrets: string;
  allowedHosts: string;
  poolTarget: string;
  cores: string;
  memoryMib: string;
  diskMib: string;
}

export function draftOf(settings: Recipe): Draft {
  const lines = (list: readonly string[] | undefined): string => (list ?? []).join("\n");
  const { limits } = settings;
  return {
    baseImage: settings.baseImage ?? "",
    setup: lines(settings.setup),
    build: lines(settings.build),
    warm: lines(settings.warm),
    start: settings.start ?? "",
    tools: lines(settings.tools),
    secrets: lines(settings.secrets),
    allowedHosts: lines(settings.allowedHosts),
    poolTarget: settings.poolTarget === undefined ? "" : String(settings.poolTarget),
    cores: limits === undefined ? "" : String(limits.cpuMillicores / 1000),
    memoryMib: limits === undefined ? "" : String(limits.memoryMib),
    diskMib: limits === undefined ? "" : String(limits.diskMib),
  };
}

/** What an empty field leaves out is the repository's own word. */
export function recipeOf(draft: Draft, before: Recipe): Recipe {
  const recipe: Recipe = {};
  for (const field of ["setup", "build", "warm", "tools", "secrets", "allowedHosts"] as const) {
    const lines = draft[field]
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
    if (lines.length > 0) recipe[field] = lines;
  }
  for (const field of ["baseImage", "start"] as const) {
    if (draft[field].trim() !== "") recipe[field] = draft[field].trim();
  }
  if (draft.poolTarget.trim() !== "") recipe.poolTarget = Number(draft.poolTarget);
  const { cores, memoryMib, diskMib } = draft;
  if ([cores, memoryMib, diskMib].some((value) => value.trim() !== "")) {
    const usual = before.limits ?? DEFAULT_LIMITS;
    const given = (value: string, otherwise: number): number =>
      value.trim() === "" ? otherwise : Number(value);
    recipe.limits = {
      cpuMillicores: Math.round(given(cores, usual.cpuMillicores / 1000) * 1000),
      memoryMib: given(memoryMib, usual.memoryMib),
      diskMib: given(diskMib, usual.diskMib),
      lifeMs: usual.lifeMs,
    };
  }
  return recipe;
}

export function RepositorySettings(props: {
  repository: RepositoryId;
  status: RepositoryStatus;
  again(): Promise<void>;
}): JSX.Element {
  // What others save in the meantime does not move under the cursor; saving writes what is seen here.
  const before = props.status.settings ?? {};
  const asked = new URLSearchParams(location.search).get("host");
  const [draft, setDraft] = createSignal(draftOf(before));
  const set = (field: keyof Draft) => (value: string) => setDraft({ ...draft(), [field]: value });
  let hosts: HTMLDivElement | undefined;
  onMount(() => {
    if (asked !== null) hosts?.scrollIntoView({ block: "center" });
  });
  const save = async (): Promise<void> => {
    await api.saveSettings(props.repository, recipeOf(draft(), before));
    await props.again();
  };
  return (
    <Section
      title="Settings"
      text="These win over the recipe in the repository; an empty field leaves it to that. A new build follows, and warm sandboxes are made anew."
    >
      <Form action="Save and build" done="Saved. A build follows." onSubmit={save}>
        <Field
          label="Set-up commands"
          rows={2}
          mono
          value={draft().setup}
          onInput={set("setup")}
          hint="One to a line. A failure ends the build."
        />
        <Field label="Build commands" rows={2} mono value={draft().build} onInput={set("build")} />
        <Field
          label="Warm-up commands"
          rows={2}
          mono
          value={draft().warm}
          onInput={set("warm")}
          hint="They fill caches; a failure is noted."
        />
        <div class="fields">
          <Field label="Development server" mono value={draft().start} onInput={set("start")} />
          <Field label="Base image" mono value={draft().baseImage} onInput={set("baseImage")} />
        </div>
        <div class="fields">
          <Field
            label="Warm sandboxes"
            type="number"
            min={0}
            max={50}
            value={draft().poolTarget}
            onInput={set("poolTarget")}
          />
          <Field label="Cores" type="number" min={0} value={draft().cores} onInput={set("cores")} />
          <Field
            label="Memory in MiB"
            type="number"
            min={1}
            value={draft().memoryMib}
            onInput={set("memoryMib")}
          />
          <Field label="Disk in MiB" type="number" min={1} value={draft().diskMib} onInput={set("diskMib")} />
        </div>
        <div class="fields">
          <Field
            label="Secrets, by name"
            rows={3}
            mono
            value={draft().secrets}
            onInput={set("secrets")}
            hint="Values are the operator's, and never shown. A name that is not configured fails the build."
          />
          <Field label="Tools, by name" rows={3} mono value={draft().tools} onInput={set("tools")} />
        </div>
        <div ref={hosts} id="hosts">
          <Show when={asked}>
            {(host) => (
              <AskedHost
                repository={props.repository}
                host={host()}
                listed={draft().allowedHosts.split("\n").includes(host())}
                onAdd={() =>
                  set("allowedHosts")([draft().allowedHosts.trim(), host()].filter(Boolean).join("\n"))
                }
              />
            )}
          </Show>
          <Field
            label="Hosts that must be reachable"
            rows={3}
            mono
            value={draft().allowedHosts}
            onInput={set("allowedHosts")}
            hint="HOST or HOST:PORT, one to a line. The operator must have allowed them; a build says which are not."
          />
        </div>
      </Form>
    </Section>
  );
}

/** A host that a sandbox was refused: what the operator adds, and the way to ask for it in the settings. */
function AskedHost(props: {
  repository: RepositoryId;
  host: string;
  listed: boolean;
  onAdd(): void;
}): JSX.Element {
  const policy = (): string => JSON.stringify({ [props.repository]: { allow_hosts: [props.host] } });
  return (
    <div class="new-key" role="note">
      <p>
        A sandbox was refused <strong>“{props.host}”</strong>. To allow it for this repository, the operator
        adds it to the bridge's FARHAND_REPOSITORY_POLICY:
      </p>
      <p class="new-key-text">
        <code>{policy()}</code>
        <CopyButton text={policy()} label="Copy the policy" />
      </p>
      <p>Once it is allowed there, list it here too, so that a build says when it is missing.</p>
      <button type="button" class="button is-small" disabled={props.listed} onClick={() => props.onAdd()}>
        {props.listed ? "It is in the list below" : "Add it to the list below"}
      </button>
    </div>
  );
}
