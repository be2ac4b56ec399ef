/**
 * Runs in the page's own world, where frameworks leave their traces on elements. Reads component names and source places, never props or
 * state, and changes nothing. Everything around it may be hostile: a failure of any part costs that part of the answer.
 * The build makes one self-contained function of it, which the service worker sends to the page.
 */
import { createReact } from "./react.js";
import { attempt, Components } from "./reader.js";
import type { NameAnswer, NameRequest } from "./request.js";
import { createSvelte } from "./svelte.js";
import { createVue } from "./vue.js";

export default function nameComponents(request: NameRequest): NameAnswer {
  const components = new Components();
  const readers = [createReact(components), createVue(components), createSvelte(components)];
  const elements = resolvePlaces(request);
  let framework: NameAnswer["framework"] = null;
  const found: [number, string | null][] = [];
  for (const [index, element] of elements.entries()) {
    // What the framework does not know, such as text that was set as HTML, belongs to the component around it.
    const around = request.places[index]?.[0] ?? -1;
    let component = around >= 0 ? (found[around]?.[0] ?? -1) : -1;
    let source: string | null = null;
    if (element !== null) {
      for (const reader of readers) {
        const own = attempt(() => reader.componentOf(element), undefined);
        if (own === undefined) continue;
        if (own >= 0) component = own;
        source = attempt(() => reader.sourceOf(element), null);
        framework ??= attempt(() => reader.kind(), null);
        break;
      }
    }
    found.push([component, source]);
  }
  return { framework, components: components.list, elements: found };
}

function resolvePlaces(request: NameRequest): (Element | null)[] {
  const elements: (Element | null)[] = [];
  for (const [parent, step, child, tag] of request.places) {
    const above = parent < 0 ? null : (elements[parent] ?? null);
    const element = attempt(() => {
      if (parent < 0) return document.documentElement;
      if (above === null) return null;
      if (step === 2) return (above as HTMLIFrameElement).contentDocument?.documentElement ?? null;
      return (step === 1 ? above.shadowRoot : above)?.children[child] ?? null;
    }, null);
    elements.push(attempt(() => element?.localName, undefined) === tag ? element : null);
  }
  return elements;
}
