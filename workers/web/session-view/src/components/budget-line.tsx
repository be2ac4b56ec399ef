/** Above the composer: what holds prompts back, why the last turn was ended, or that a budget comes to its end. */
import type { Budget, Hold } from "@farhand/protocol";
import { type JSX, Match, Switch } from "solid-js";
import { budgetName, limitText, WARN_PERCENT, worstOf } from "../budgets.js";
import type { Session } from "../session-store.js";
import { Icon } from "./icons.jsx";

export function BudgetLine(props: { session: Session; mayPrompt: boolean }): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  const hold = (): Hold | undefined => snapshot()?.budget?.hold;
  /** Of the last turn, as long as nothing else has been asked for since. */
  const ended = (): Hold | undefined => {
    const now = snapshot();
    const held = now?.turns.at(-1)?.end?.held;
    const follows = held?.kind === "loop" || held?.kind === "time";
    return follows && now?.queue.length === 0 ? held : undefined;
  };
  const warning = (): Budget | undefined => {
    const worst = worstOf(snapshot()?.budget?.budgets ?? []);
    return worst !== undefined && worst.percent >= WARN_PERCENT ? worst.budget : undefined;
  };
  return (
    <Switch>
      <Match when={hold()}>
        {(one) => <Line tone={one().kind === "slots" ? "is-waiting" : "is-held"} text={one().reason} />}
      </Match>
      <Match when={ended()}>
        {(one) => (
          <Line tone="is-held" text={one().reason}>
            <button
              type="button"
              class="button is-small"
              hidden={!props.mayPrompt}
              onClick={() => props.session.submit({ text: "Continue.", attachments: [], steer: false })}
            >
              Continue anyway
            </button>
          </Line>
        )}
      </Match>
      <Match when={warning()}>
        {(one) => (
          <Line
            tone="is-warning"
            text={`${budgetName(one())} comes to its end: ${limitText(one())}. The agent is stopped when it is used up.`}
          />
        )}
      </Match>
    </Switch>
  );
}

function Line(props: {
  tone: "is-held" | "is-waiting" | "is-warning";
  text: string;
  children?: JSX.Element;
}): JSX.Element {
  return (
    <div class={`budget-line ${props.tone}`} role="status">
      <Icon name={props.tone === "is-waiting" ? "clock" : "alert"} size={16} />
      <span>{props.text}</span>
      {props.children}
    </div>
  );
}
