/** The figures below the numbers: over time, from session to merge, by repository, starts, images, people. */
import type { Metrics, MetricsPart, RepositoryMetrics, StartMetrics } from "@farhand/protocol";
import { createMemo, type JSX, lazy, Suspense } from "solid-js";
import { type Bar, Bars } from "./bars.jsx";
import { type Column, Figure } from "./figure.jsx";
import { type Asked, csvPath } from "./period.js";
import type { Line } from "./plot.jsx";
import {
  age,
  average,
  count,
  dateName,
  duration,
  money,
  partName,
  percent,
  START_NAMES,
  STEP_NAMES,
  tokens,
} from "./words.js";

// Drawn after the numbers are there.
const Plot = lazy(() => import("./plot.jsx"));

/** Repositories that are drawn; the table has all. */
const BARS_MAX = 12;

interface Props {
  metrics: Metrics;
  asked: Asked;
  explains: boolean;
}

export function Figures(props: Props): JSX.Element {
  return (
    <>
      <Sessions {...props} />
      <div class="figure-pair">
        <FirstToken {...props} />
        <Cost {...props} />
      </div>
      <Funnel {...props} />
      <Repositories {...props} />
      <Starts {...props} />
      <div class="figure-pair">
        <People {...props} />
        <Images {...props} />
      </div>
    </>
  );
}

function Sessions(props: Props): JSX.Element {
  const step = () => props.metrics.period.step;
  const lines = createMemo((): Line[] => {
    const of = (value: (part: MetricsPart) => number) => props.metrics.series.map(value);
    return [
      { name: "Sessions", tone: "quiet", kind: "bars", values: of((part) => part.sessions) },
      { name: "Pull requests", tone: "accent", kind: "line", values: of((part) => part.pullRequestsCreated) },
      { name: "Merged", tone: "ok", kind: "line", values: of((part) => part.pullRequestsMerged) },
    ];
  });
  return (
    <Figure
      title="Sessions and pull requests"
      text={`${STEP_NAMES[step()]}, by when the session started`}
      columns={seriesColumns(props.metrics, [
        ["Sessions", "sessions", count],
        ["Pull requests", "pullRequestsCreated", count],
        ["Merged", "pullRequestsMerged", count],
        ["Multiplayer", "multiplayerSessions", count],
        ["Prompts", "prompts", count],
      ])}
      rows={props.metrics.series}
      csv={csvPath(props.asked, "series")}
      explains={props.explains}
      none="The period is empty."
      plot={
        <Over metrics={props.metrics} lines={lines()} value={count} axis={tokens} isCount what="sessions" />
      }
    />
  );
}

function FirstToken(props: Props): JSX.Element {
  const lines = createMemo((): Line[] => [
    {
      name: "Average",
      tone: "accent",
      kind: "line",
      values: props.metrics.series.map((part) => part.firstTokenAverageMs || null),
    },
  ]);
  return (
    <Figure
      title="Time to first token"
      text={`${STEP_NAMES[props.metrics.period.step]}, average`}
      columns={seriesColumns(props.metrics, [["Average", "firstTokenAverageMs", duration]])}
      rows={props.metrics.series}
      csv={csvPath(props.asked, "series")}
      explains={props.explains}
      none="The period is empty."
      plot={
        <Over
          metrics={props.metrics}
          lines={lines()}
          value={duration}
          axis={duration}
          what="time to first token"
        />
      }
    />
  );
}

function Cost(props: Props): JSX.Element {
  const lines = createMemo((): Line[] => [
    { name: "Cost", tone: "quiet", kind: "bars", values: props.metrics.series.map((part) => part.costUsd) },
  ]);
  return (
    <Figure
      title="Cost"
      text={`${STEP_NAMES[props.metrics.period.step]}, of the models`}
      columns={seriesColumns(props.metrics, [
        ["Cost", "costUsd", money],
        ["Tokens read", "inputTokens", tokens],
        ["Tokens written", "outputTokens", tokens],
      ])}
      rows={props.metrics.series}
      csv={csvPath(props.asked, "series")}
      explains={props.explains}
      none="The period is empty."
      plot={
        <Over
          metrics={props.metrics}
          lines={lines()}
          value={money}
          axis={(usd) => `$${tokens(usd)}`}
          what="cost"
        />
      }
    />
  );
}

/** A plot over the period's parts. */
function Over(props: {
  metrics: Metrics;
  lines: Line[];
  value(value: number): string;
  axis(value: number): string;
  isCount?: boolean;
  what: string;
}): JSX.Element {
  const moments = createMemo(() => props.metrics.series.map((part) => part.startsAt));
  const summary = (): string => {
    const [line] = props.lines;
    const values = (line?.values ?? []).map((value) => value ?? 0);
    const most = Math.max(0, ...values);
    const at = moments()[values.indexOf(most)];
    const name = at === undefined ? "" : partName(at, props.metrics.period.step);
    return `Plot of ${props.what} ${STEP_NAMES[props.metrics.period.step]}: most ${props.value(most)}, ${name}. The table has every value.`;
  };
  return (
    <Suspense fallback={<div class="plot is-waiting" />}>
      <Plot
        moments={moments()}
        lines={props.lines}
        summary={summary()}
        momentName={(at) => partName(at, props.metrics.period.step)}
        valueName={props.value}
        axisName={props.axis}
        isCount={props.isCount === true}
      />
    </Suspense>
  );
}

function seriesColumns(
  metrics: Metrics,
  columns: [name: string, field: Exclude<keyof MetricsPart, "startsAt">, write: (value: number) => string][],
): Column<MetricsPart>[] {
  const moment: Column<MetricsPart> = {
    name: "From",
    isName: true,
    cell: (part) => partName(part.startsAt, metrics.period.step),
  };
  return [
    moment,
    ...columns.map(
      ([name, field, write]): Column<MetricsPart> => ({
        name,
        help: metrics.definitions.series?.[field],
        cell: (part) => write(part[field]),
      }),
    ),
  ];
}

function Funnel(props: Props): JSX.Element {
  const steps = createMemo(() => {
    const { sessions, pullRequestsCreated, pullRequestsMerged } = props.metrics.adoption;
    const of = (part: number, whole: number): string => percent(whole === 0 ? 0 : part / whole);
    return [
      { name: "Sessions", number: sessions, share: "", tone: "quiet" as const },
      {
        name: "Pull request opened",
        number: pullRequestsCreated,
        share: `${of(pullRequestsCreated, sessions)} of sessions`,
        tone: "accent" as const,
      },
      {
        name: "Merged",
        number: pullRequestsMerged,
        share: `${of(pullRequestsMerged, pullRequestsCreated)} of pull requests`,
        tone: "ok" as const,
      },
    ];
  });
  const bars = (): Bar[] =>
    steps().map(({ name, number, share, tone }) => ({
      name,
      values: share === "" ? count(number) : `${count(number)} · ${share}`,
      lengths: [{ share: number / Math.max(1, props.metrics.adoption.sessions), tone }],
    }));
  return (
    <Figure
      title="From session to merge"
      text="what became of the sessions of the period"
      columns={[
        { name: "Step", isName: true, cell: (step) => step.name },
        { name: "Number", cell: (step) => count(step.number) },
        { name: "Share", cell: (step) => step.share || "–" },
      ]}
      rows={steps()}
      csv={csvPath(props.asked, "adoption")}
      explains={props.explains}
      none=""
      plot={<Bars bars={bars()} />}
    />
  );
}

function Repositories(props: Props): JSX.Element {
  const bars = (): Bar[] => {
    const most = Math.max(1, ...props.metrics.repositories.map((one) => one.sessions));
    return props.metrics.repositories.slice(0, BARS_MAX).map((one) => ({
      name: one.repository,
      values: `${count(one.sessions)} · ${count(one.pullRequestsCreated)} · ${count(one.pullRequestsMerged)}`,
      detail: shareText(one),
      lengths: [
        { share: one.sessions / most, tone: "quiet" },
        { share: one.pullRequestsCreated / most, tone: "accent" },
        { share: one.pullRequestsMerged / most, tone: "ok" },
      ],
    }));
  };
  const columns = (): Column<RepositoryMetrics>[] => {
    const help = (field: keyof RepositoryMetrics) => props.metrics.definitions.repositories?.[field];
    return [
      { name: "Repository", isName: true, cell: (one) => one.repository },
      { name: "Sessions", help: help("sessions"), cell: (one) => count(one.sessions) },
      {
        name: "Pull requests",
        help: help("pullRequestsCreated"),
        cell: (one) => count(one.pullRequestsCreated),
      },
      { name: "Merged", help: help("pullRequestsMerged"), cell: (one) => count(one.pullRequestsMerged) },
      { name: "Merge rate", help: help("mergeRate"), cell: (one) => percent(one.mergeRate) },
      {
        name: "Share of all pull requests",
        help: help("agentShare"),
        cell: (one) => (one.agentShare === null ? "–" : percent(one.agentShare)),
      },
      {
        name: "Prompts per session",
        help: help("averagePrompts"),
        cell: (one) => average(one.averagePrompts),
      },
      { name: "Tokens", cell: (one) => tokens(one.inputTokens + one.outputTokens) },
      { name: "Cost", help: help("costUsd"), cell: (one) => money(one.costUsd) },
    ];
  };
  return (
    <Figure
      title="Repositories"
      text="sessions, pull requests and merged ones"
      columns={columns()}
      rows={props.metrics.repositories}
      csv={csvPath(props.asked, "repositories")}
      explains={props.explains}
      none="No session of the period, and no pull request of one."
      plot={
        <Bars
          bars={bars()}
          legend={[
            { name: "Sessions", tone: "quiet" },
            { name: "Pull requests", tone: "accent" },
            { name: "Merged", tone: "ok" },
          ]}
        />
      }
    />
  );
}

function shareText(one: RepositoryMetrics): string {
  const prompts = `${average(one.averagePrompts)} prompts per session`;
  if (one.agentShare === null || one.allPullRequests === null) return prompts;
  return `${percent(one.agentShare)} of ${count(one.allPullRequests)} pull requests by everybody · ${prompts}`;
}

function Starts(props: Props): JSX.Element {
  const help = (field: string) => props.metrics.definitions.starts?.[field];
  const time = (name: string, field: "p50Ms" | "p95Ms" | "averageMs"): Column<StartMetrics> => ({
    name,
    help: help(field),
    cell: (one) => (one.starts === 0 ? "–" : duration(one[field])),
  });
  return (
    <Figure
      title="From prompt to agent"
      text="by what the sandbox was made from"
      columns={[
        { name: "Start", help: help("kind"), isName: true, cell: (one) => START_NAMES[one.kind] ?? one.kind },
        { name: "Starts", help: help("starts"), cell: (one) => count(one.starts) },
        {
          name: "Share",
          help: help("share"),
          cell: (one) => (one.kind === "snapshot" ? "–" : percent(one.share)),
        },
        time("Median", "p50Ms"),
        time("p95", "p95Ms"),
        time("Average", "averageMs"),
      ]}
      rows={props.metrics.starts}
      csv={csvPath(props.asked, "starts")}
      explains={props.explains}
      none=""
    />
  );
}

function People(props: Props): JSX.Element {
  const help = (field: string) => props.metrics.definitions.people?.[field];
  return (
    <Figure
      title={props.metrics.isEverything ? "People" : "You"}
      text="prompts, and what they took"
      columns={[
        { name: "Name", isName: true, cell: (one) => one.name || one.userId },
        { name: "Sessions", help: help("sessions"), cell: (one) => count(one.sessions) },
        { name: "Prompts", help: help("prompts"), cell: (one) => count(one.prompts) },
        { name: "Tokens", cell: (one) => tokens(one.inputTokens + one.outputTokens) },
        { name: "Cost", help: help("costUsd"), cell: (one) => money(one.costUsd) },
      ]}
      rows={props.metrics.people}
      csv={csvPath(props.asked, "people")}
      explains={props.explains}
      none="Nobody has taken part in a session of the period."
    />
  );
}

function Images(props: Props): JSX.Element {
  const help = (field: string) => props.metrics.definitions.images?.[field];
  return (
    <Figure
      title="Images"
      text="how old they are now"
      columns={[
        { name: "Repository", isName: true, cell: (one) => one.repository },
        { name: "Age", help: help("ageMs"), cell: (one) => age(one.ageMs) },
        { name: "Made", help: help("builtAt"), cell: (one) => dateName(one.builtAt) },
      ]}
      rows={props.metrics.images}
      csv={csvPath(props.asked, "images")}
      explains={props.explains}
      none="No repository has an image."
    />
  );
}
