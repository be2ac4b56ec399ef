/** A plot over time on a canvas, with the values under the pointer in its legend. Loaded when there is something to draw. */
import { createEffect, createSignal, For, type JSX, on, onCleanup, onMount } from "solid-js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { theme } from "../theme.js";

export interface Line {
  name: string;
  /** Class of its mark in the legend, whose colour the line takes. */
  tone: "quiet" | "accent" | "ok";
  kind: "bars" | "line";
  /** Nothing where there was nothing to measure: the line goes on to the next. */
  values: (number | null)[];
}

export interface PlotProps {
  /** Unix milliseconds, ascending. */
  moments: number[];
  lines: Line[];
  /** The whole of it in words, for those who do not see it. */
  summary: string;
  momentName(at: number): string;
  valueName(value: number): string;
  /** Of the vertical axis: a shorter form. */
  axisName(value: number): string;
  /** Whether only whole numbers can be. */
  isCount?: boolean;
}

const HEIGHT = 200;
const FONT = "11px 'Inter Variable', system-ui, sans-serif";

export default function Plot(props: PlotProps): JSX.Element {
  let box!: HTMLDivElement;
  const marks: HTMLElement[] = [];
  const [place, setPlace] = createSignal<number>();
  const [width, setWidth] = createSignal(0);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const [system, setSystem] = createSignal(scheme.matches);
  onMount(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(box);
    const change = (): void => void setSystem(scheme.matches);
    scheme.addEventListener("change", change);
    onCleanup(() => {
      observer.disconnect();
      scheme.removeEventListener("change", change);
    });
  });
  createEffect(
    on([() => props.moments, () => props.lines, width, theme, system], ([moments, lines, space]) => {
      if (space === 0) return;
      setPlace(undefined);
      const colours = marks.map((mark) => getComputedStyle(mark).color);
      const data: uPlot.AlignedData = [moments.map((at) => at / 1000), ...lines.map((line) => line.values)];
      const plot = new uPlot(describe(props, lines, colours, box, space, setPlace), data, box);
      onCleanup(() => plot.destroy());
    }),
  );
  const shown = (line: Line): string => {
    const at = place();
    return at === undefined ? "" : props.valueName(line.values[at] ?? 0);
  };
  return (
    <div class="plot">
      <div class="plot-legend">
        <For each={props.lines}>
          {(line, index) => (
            <span class={`plot-key tone-${line.tone} is-${line.kind}`}>
              <i
                ref={(mark) => {
                  marks[index()] = mark;
                }}
              />
              {line.name}
              <b>{shown(line)}</b>
            </span>
          )}
        </For>
        <span class="plot-moment">{at(props, place())}</span>
      </div>
      <div class="plot-canvas" ref={box} role="img" aria-label={props.summary} />
    </div>
  );
}

function at(props: PlotProps, place: number | undefined): string {
  const moment = place === undefined ? undefined : props.moments[place];
  return moment === undefined ? "" : props.momentName(moment);
}

function describe(
  props: PlotProps,
  lines: Line[],
  colours: string[],
  box: HTMLElement,
  width: number,
  point: (place: number | undefined) => void,
): uPlot.Options {
  const { color: ink, borderColor: hairline } = getComputedStyle(box);
  const bars = uPlot.paths.bars?.({ size: [0.72, 36], radius: 0.15 });
  const axis = { stroke: ink, font: FONT, ticks: { show: false }, grid: { stroke: hairline, width: 1 } };
  // Room for half a bar at both ends.
  const [first = 0, second = first + 24 * 3_600_000] = props.moments;
  const half = (second - first) / 2000;
  const increments =
    props.isCount === true ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5] : undefined;
  return {
    width,
    height: HEIGHT,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? undefined)] },
    scales: {
      x: { range: (_, min, max) => [min - half, max + half] },
      y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, values: "{D} {MMM}", space: 72, size: 26, gap: 6 } as uPlot.Axis,
      {
        ...axis,
        size: 52,
        space: 40,
        ...(increments === undefined ? {} : { incrs: increments }),
        values: (_, values) => values.map((value) => props.axisName(value)),
      },
    ],
    series: [
      {},
      ...lines.map((line, index): uPlot.Series => {
        const colour = colours[index] ?? ink;
        if (line.kind === "bars" && bars !== undefined)
          return { stroke: colour, fill: colour, width: 0, paths: bars, points: { show: false } };
        return {
          stroke: colour,
          width: 2,
          spanGaps: true,
          points: { show: props.moments.length < 2, size: 7, fill: colour },
        };
      }),
    ],
  };
}
