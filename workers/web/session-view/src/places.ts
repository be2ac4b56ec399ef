/**
 * Which event brought what stands in the timeline, both ways round: links name a place by the number of that event. Filled from
 * snapshots, earlier pages and live events; asked when somebody copies or follows a link, so nothing here is reactive.
 */
import type { EventRecord, HistoryPage } from "@farhand/protocol";

type Part = Pick<HistoryPage, "prompts" | "turns" | "items" | "places"> & {
  notices?: readonly EventRecord[] | undefined;
};

export interface Places {
  /** The number of the event that brought this prompt, turn, item or notice. */
  of(id: string): number | undefined;
  /** What the event of this number brought. */
  at(place: number): string | undefined;
  /** A snapshot or an earlier page. */
  addPart(part: Part): void;
  /** An event that was applied. */
  note(record: EventRecord): void;
}

/** How a notice is called here; it has no id of its own. */
export function noticeId(seq: number): string {
  return `notice-${seq}`;
}

export function createPlaces(): Places {
  const placeOf = new Map<string, number>();
  const idAt = new Map<number, string>();
  const add = (id: string, place: number | undefined): void => {
    if (place === undefined) return;
    placeOf.set(id, place);
    idAt.set(place, id);
  };
  const addNew = (id: string, place: number): void => {
    if (!placeOf.has(id)) add(id, place);
  };
  return {
    of: (id) => placeOf.get(id),
    at: (place) => idAt.get(place),
    addPart({ prompts, turns, items, places, notices }) {
      for (const { seq } of notices ?? []) add(noticeId(seq), seq);
      if (places === undefined) return;
      for (const [index, { id }] of prompts.entries()) add(id, places.prompts[index]);
      for (const [index, { id }] of turns.entries()) add(id, places.turns[index]);
      for (const [index, { id }] of items.entries()) add(id, places.items[index]);
    },
    note({ seq, event }) {
      if (event.type === "prompt_queued") addNew(event.prompt.id, seq);
      else if (event.type === "turn_started") addNew(event.turn.id, seq);
      else if (event.type === "item_changed") addNew(event.item.id, seq);
      else addNew(noticeId(seq), seq);
    },
  };
}
