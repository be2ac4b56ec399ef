/** What a repository is told from others by where a message names none, as in Slack: a sentence, words, and channels of its own. */
import type { RepositoryHints, RepositoryId } from "@farhand/protocol";
import { createSignal, type JSX } from "solid-js";
import { api } from "../api.js";
import { createLoad } from "../load.js";
import { Await, Field, Form, Section } from "./parts.jsx";

export function RepositoryHintsForm(props: { repository: RepositoryId }): JSX.Element {
  const hints = createLoad(() => api.hints(props.repository));
  return (
    <Section title="In Slack" text="Where a message does not name a repository, one is chosen by these.">
      <Await load={hints}>{(value) => <HintsForm repository={props.repository} value={value()} />}</Await>
    </Section>
  );
}

function HintsForm(props: { repository: RepositoryId; value: RepositoryHints }): JSX.Element {
  const [description, setDescription] = createSignal(props.value.description);
  const [words, setWords] = createSignal(props.value.hints);
  const [channels, setChannels] = createSignal(props.value.channels.join("\n"));
  const save = async (): Promise<void> => {
    await api.saveHints(props.repository, {
      description: description().trim(),
      hints: words().trim(),
      channels: channels()
        .split(/[\s,]+/)
        .filter(Boolean),
    });
  };
  return (
    <Form action="Save" onSubmit={save}>
      <Field
        label="What it is, in a sentence"
        value={description()}
        onInput={setDescription}
        hint="Empty: its description at the code host."
      />
      <div class="fields">
        <Field
          label="Words that mean it"
          rows={4}
          value={words()}
          onInput={setWords}
          hint="One to a line: products, pages, teams."
        />
        <Field
          label="Channels of its own"
          rows={4}
          mono
          value={channels()}
          onInput={setChannels}
          hint="Ids of channels, such as C024BE91L. Their messages are about it unless they say otherwise."
        />
      </div>
    </Form>
  );
}
