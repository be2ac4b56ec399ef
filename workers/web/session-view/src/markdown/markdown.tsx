/** Draws Markdown that may still be growing. Every node is built by Solid from an allow-list; nothing is parsed as HTML. */
import { createMemo, For, type JSX, Match, Switch } from "solid-js";
import { CopyButton } from "../components/copy-button.jsx";
import { MarkdownBlocks } from "./blocks.js";
import type { MarkdownNode } from "./nodes.js";

export function Markdown(props: { text: string; done: boolean }): JSX.Element {
  const parser = new MarkdownBlocks();
  const blocks = createMemo(() => parser.update(props.text, props.done));
  return (
    <div class="markdown" classList={{ "is-live": !props.done }}>
      <For each={blocks()}>{(block) => <Nodes nodes={block.nodes} />}</For>
    </div>
  );
}

function Nodes(props: { nodes: readonly MarkdownNode[] }): JSX.Element {
  return <For each={props.nodes}>{(node) => renderNode(node)}</For>;
}

function renderNode(node: MarkdownNode): JSX.Element {
  switch (node.type) {
    case "text":
      return node.text;
    case "break":
      return <br />;
    case "rule":
      return <hr />;
    case "code":
      return <code>{node.text}</code>;
    case "code_block":
      return <CodeBlock text={node.text} language={node.language} />;
    case "paragraph":
      return <p>{<Nodes nodes={node.children} />}</p>;
    case "strong":
      return <strong>{<Nodes nodes={node.children} />}</strong>;
    case "emphasis":
      return <em>{<Nodes nodes={node.children} />}</em>;
    case "deleted":
      return <del>{<Nodes nodes={node.children} />}</del>;
    case "quote":
      return <blockquote>{<Nodes nodes={node.children} />}</blockquote>;
    case "heading":
      // The page has its own headings; these come below them, and their looks do not depend on the level.
      return (
        <p class={`markdown-heading level-${Math.min(node.level, 4)}`}>{<Nodes nodes={node.children} />}</p>
      );
    case "link":
      return (
        <a href={node.href} target="_blank" rel="noopener noreferrer nofollow">
          <Nodes nodes={node.children} />
        </a>
      );
    case "list":
      return <List node={node} />;
    case "table":
      return <Table node={node} />;
  }
}

function CodeBlock(props: { text: string; language: string }): JSX.Element {
  return (
    <div class="code-block">
      <pre tabindex="0">
        <code>{props.text}</code>
      </pre>
      <CopyButton text={props.text} label="Copy code" />
    </div>
  );
}

function List(props: { node: Extract<MarkdownNode, { type: "list" }> }): JSX.Element {
  const items = (): JSX.Element => (
    <For each={props.node.items}>
      {(item) => (
        <li classList={{ "is-task": item.checked !== undefined }}>
          <Switch>
            <Match when={item.checked === true}>
              <span class="task-mark is-done" role="img" aria-label="done" />
            </Match>
            <Match when={item.checked === false}>
              <span class="task-mark" role="img" aria-label="open" />
            </Match>
          </Switch>
          <Nodes nodes={item.children} />
        </li>
      )}
    </For>
  );
  return props.node.ordered ? <ol start={props.node.start}>{items()}</ol> : <ul>{items()}</ul>;
}

function Table(props: { node: Extract<MarkdownNode, { type: "table" }> }): JSX.Element {
  const align = (column: number): string => `align-${props.node.align[column] ?? "left"}`;
  return (
    <div class="table-scroll">
      <table>
        <thead>
          <tr>
            <For each={props.node.header}>
              {(cell, column) => (
                <th class={align(column())} scope="col">
                  <Nodes nodes={cell} />
                </th>
              )}
            </For>
          </tr>
        </thead>
        <tbody>
          <For each={props.node.rows}>
            {(row) => (
              <tr>
                <For each={row}>
                  {(cell, column) => (
                    <td class={align(column())}>
                      <Nodes nodes={cell} />
                    </td>
                  )}
                </For>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </div>
  );
}
