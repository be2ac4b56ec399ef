/** A figure of the page of metrics: a plot or the same as a table, and the same as a file. */
import { createSignal, createUniqueId, For, type JSX, Show } from "solid-js";

export interface Column<Row> {
  name: string;
  /** What it means. */
  help?: string | undefined;
  cell(row: Row): string;
  /** Names stand on the left, numbers on the right. */
  isName?: boolean;
}

export interface FigureProps<Row> {
  title: string;
  /** What it shows, in a few words. */
  text: string;
  columns: Column<Row>[];
  rows: Row[];
  /** Where the table is as CSV. */
  csv: string;
  /** Whether the meanings of the columns are shown. */
  explains: boolean;
  /** What stands in place of an empty table. */
  none: string;
  /** The plot; the table is all there is where absent. */
  plot?: JSX.Element;
}

export function Figure<Row>(props: FigureProps<Row>): JSX.Element {
  const heading = createUniqueId();
  const [tabled, setTabled] = createSignal(false);
  const isTable = (): boolean => tabled() || props.plot === undefined;
  return (
    <section class="figure" aria-labelledby={heading}>
      <header class="figure-head">
        <div>
          <h2 id={heading}>{props.title}</h2>
          <p class="figure-text">{props.text}</p>
        </div>
        <div class="figure-actions">
          <Show when={props.plot !== undefined && props.rows.length > 0}>
            <button
              type="button"
              class="text-button"
              aria-pressed={tabled()}
              aria-label={`${props.title} as a table`}
              onClick={() => setTabled(!tabled())}
            >
              Table
            </button>
          </Show>
          <a class="text-button" href={props.csv} download="" aria-label={`${props.title} as CSV`}>
            CSV
          </a>
        </div>
      </header>
      <Show when={props.rows.length > 0} fallback={<p class="figure-none">{props.none}</p>}>
        <Show when={isTable()} fallback={props.plot}>
          <Table columns={props.columns} rows={props.rows} label={props.title} />
        </Show>
        <Show when={props.explains && isTable()}>
          <dl class="meanings">
            <For each={props.columns.filter((column) => column.help !== undefined)}>
              {(column) => (
                <div>
                  <dt>{column.name}</dt>
                  <dd>{column.help}</dd>
                </div>
              )}
            </For>
          </dl>
        </Show>
      </Show>
    </section>
  );
}

function Table<Row>(props: { columns: Column<Row>[]; rows: Row[]; label: string }): JSX.Element {
  return (
    // Wide tables are moved with the keyboard, too.
    <section class="table-scroll" tabindex="0" aria-label={`${props.label}, table`}>
      <table class="table">
        <thead>
          <tr>
            <For each={props.columns}>
              {(column) => (
                <th scope="col" classList={{ "is-name": column.isName === true }}>
                  {column.name}
                </th>
              )}
            </For>
          </tr>
        </thead>
        <tbody>
          <For each={props.rows}>
            {(row) => (
              <tr>
                <For each={props.columns}>
                  {(column) => (
                    <Show when={column.isName} fallback={<td>{column.cell(row)}</td>}>
                      <th scope="row">{column.cell(row)}</th>
                    </Show>
                  )}
                </For>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </section>
  );
}
