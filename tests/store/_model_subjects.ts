import { assertEquals } from "@std/assert";
import { type EventStore, type RevisedOptions, StoreError, type SubjectRange } from "../../src/store/mod.ts";
import type { Command } from "./_commands.ts";

const SUBJECTS = ["a", "b", "c"];

/** An entry with a revision. */
interface Numbered {
  readonly text: string;
  readonly subject: string;
  readonly revision: number;
}

/** The model of the subjects of one stream. */
export class ModelSubjects {
  #last = new Map<string, number>(SUBJECTS.map((subject) => [subject, 0]));
  #entries: Numbered[] = [];
  #batches = 0;

  /** The fields that a store adds to the entry with this text. */
  fieldsOf(text: string): string[] {
    const entry = this.#entries.find((entry) => entry.text === text);
    return entry === undefined ? [] : ["revision", String(entry.revision)];
  }

  /**
   * Appends entries with these texts to a model and to a store.
   *
   * @param stores The stores over the same data: the second one gets the same batch again.
   * @param fieldsOf The fields of a text.
   * @param stored Called with each entry that the store has.
   */
  async append(
    stores: readonly [EventStore, EventStore],
    stream: string,
    { subjects, expected, base }: Command & { do: "revise" },
    texts: readonly string[],
    fieldsOf: (text: string) => string[],
    stored: (text: string, position: `${number}-${number}`) => void,
  ): Promise<void> {
    const names = subjects.map((subject) => SUBJECTS[subject]!);
    const lastOf = (name: string) => Math.max(this.#last.get(name)!, names.includes(name) ? base : 0);
    const demanded = expected && {
      subject: SUBJECTS[expected.subject]!,
      revision: Math.max(0, lastOf(SUBJECTS[expected.subject]!) + expected.off),
    };
    const sequence = ++this.#batches;
    const options: RevisedOptions = {
      producer: { id: "reviser", sequence, decided: sequence - 1, known: false },
      ...(demanded && { expected: demanded }),
    };
    const records = texts.map((text, nth) => ({ fields: fieldsOf(text), subject: names[nth]!, base }));
    const send = (store: EventStore) => answerOf(store.appendRevised(stream, records, options));
    const answer = await send(stores[0]);
    assertEquals(await send(stores[1]), answer, "the answer to a repeated batch");
    if (demanded !== undefined && demanded.revision !== lastOf(demanded.subject)) {
      return assertEquals(answer, { conflict: lastOf(demanded.subject) });
    }
    const revised = answer as readonly { readonly position: `${number}-${number}`; readonly revision: number }[];
    for (const name of new Set(names)) this.#last.set(name, lastOf(name));
    const revisions = names.map((name) => {
      const revision = this.#last.get(name)! + 1;
      this.#last.set(name, revision);
      return revision;
    });
    assertEquals(revised.map(({ revision }) => revision), revisions, "revisions");
    for (const [nth, text] of texts.entries()) {
      this.#entries.push({ text, subject: names[nth]!, revision: revisions[nth]! });
      stored(text, revised[nth]!.position);
    }
  }

  /** @param isThere Whether the entry with this text was not removed. */
  async read(
    store: EventStore,
    stream: string,
    { subject, from, to, limit, reverse }: Command & { do: "read subject" },
    isThere: (text: string) => boolean,
  ): Promise<void> {
    const name = SUBJECTS[subject]!;
    const range: SubjectRange = {
      reverse,
      fromRevision: from,
      ...(to !== undefined && { toRevision: to }),
      ...(limit !== undefined && { limit }),
    };
    const entries = this.#entries.filter((entry) =>
      entry.subject === name && entry.revision >= from && entry.revision <= (to ?? Infinity) && isThere(entry.text)
    );
    const expected = (reverse ? entries.toReversed() : entries).slice(0, limit);
    const pages = await Array.fromAsync(store.readSubject(stream, name, range));
    assertEquals(pages.flat().map(({ fields }) => fields[1]), expected.map(({ text }) => text), "entries of a subject");
  }

  async compare(store: EventStore, stream: string): Promise<void> {
    const last = await Promise.all(SUBJECTS.map((subject) => store.revision(stream, subject)));
    assertEquals(last, SUBJECTS.map((subject) => this.#last.get(subject)!), "last revisions");
  }
}

/** The fields of an entry without those that only its store interprets. */
export function ownFields(fields: readonly string[]): readonly string[] {
  return fields.at(-2) === "previous" ? fields.slice(0, -2) : fields;
}

async function answerOf(appending: ReturnType<EventStore["appendRevised"]>) {
  try {
    return await appending;
  } catch (error) {
    if (!(error instanceof StoreError) || error.kind !== "conflict") throw error;
    return { conflict: error.revision };
  }
}
