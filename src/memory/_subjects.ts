import { Fifo } from "../store/_fifo.ts";

/** An entry of a subject. */
interface Place {
  readonly subject: Subject;
  /** Its index in the stream. */
  readonly index: number;
  readonly revision: number;
}

interface Subject {
  revision: number;
  /** Its entries that were not removed, in order. */
  places: Place[];
}

/** The subjects of one stream: their last revisions, which stay, and where their entries are. */
export class Subjects {
  #byName = new Map<string, Subject>();
  /** The entries of all subjects, in the order of the stream. */
  #places = new Fifo<Place>();

  revisionOf(name: string): number {
    return this.#byName.get(name)?.revision ?? 0;
  }

  /** Returns the revision of the entry with this index: the next one after the subject's last one and after `base`. */
  add(name: string, index: number, base: number): number {
    let subject = this.#byName.get(name);
    if (subject === undefined) this.#byName.set(name, subject = { revision: 0, places: [] });
    const revision = subject.revision = Math.max(subject.revision, base) + 1;
    const place = { subject, index, revision };
    subject.places.push(place);
    this.#places.push(place);
    return revision;
  }

  /** Returns at most `size` entries with revisions from `low` to `high`, both included: the first or the last of them. */
  page(name: string, low: number, high: number, size: number, last: boolean): readonly Place[] {
    const places = this.#byName.get(name)?.places ?? [];
    const [from, to] = [countBelow(places, low), countBelow(places, high + 1)];
    return last ? places.slice(Math.max(from, to - size), to) : places.slice(from, Math.min(to, from + size));
  }

  /** Forgets the entries before this index. */
  trim(start: number): void {
    const removed = new Map<Subject, number>();
    for (let place = this.#places.peek(); place !== undefined && place.index < start; place = this.#places.peek()) {
      removed.set(place.subject, (removed.get(place.subject) ?? 0) + 1);
      this.#places.shift();
    }
    for (const [{ places }, count] of removed) places.splice(0, count);
  }
}

/** Counts the entries whose revision is below this one. */
function countBelow(places: readonly Place[], revision: number): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle]!.revision < revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
