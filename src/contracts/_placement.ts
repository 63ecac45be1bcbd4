import type { Gap } from "./_gap.ts";
import { type Contract, streamOf } from "./catalogue.ts";

/** The findings of a change, for each side. */
export interface Changes {
  readonly readers: readonly Change[];
  readonly entries: readonly Change[];
}

/** A finding of one type and one side. */
export type Change = Pick<Gap, "verdict" | "message">;

const NONE: Changes = { readers: [], entries: [] };

/** Findings about the stream and the subject of a class that both catalogues have. */
export function moved(was: Contract, is: Contract): Changes {
  const [streams, subjects] = [streamChange(was, is), subjectChange(was, is)];
  return { readers: [...streams.readers, ...subjects.readers], entries: [...streams.entries, ...subjects.entries] };
}

/** Findings about a new class that joins a stream of old ones. */
export function joined(is: Contract, old: Iterable<Contract>): Changes {
  const sharing = [...old].filter((each) => streamOf(each) === streamOf(is));
  if (sharing.length === 0) return NONE;
  const stream = JSON.stringify(streamOf(is));
  const bare = is["x-subject"] === undefined && sharing.every((each) => each["x-subject"] !== undefined);
  return {
    readers: [note(`the type is new in the stream ${stream}: its groups skip the type until alterGroup adds it`)],
    entries: bare
      ? [unknown(
        `the classes of the stream ${stream} name a subject and this class does not: the stream can then have neither ` +
          `revisions nor partitions; name a subject, or another stream`,
      )]
      : [],
  };
}

function streamChange(was: Contract, is: Contract): Changes {
  const [from, to] = [JSON.stringify(streamOf(was)), JSON.stringify(streamOf(is))];
  if (from === to) return NONE;
  return {
    readers: [breaks(`new events go to the stream ${to}, and old readers read ${from}`)],
    entries: [breaks(
      `stored entries stay in the stream ${from}, and the class reads ${to}: keep the class, and publish to ${to} with a ` +
        `class of another type`,
    )],
  };
}

function subjectChange(was: Contract, is: Contract): Changes {
  const [from, to] = [pathOf(was), pathOf(is)];
  if (from === to) return NONE;
  if (from === undefined) return added(was, to!);
  if (to === undefined) {
    return {
      readers: [note(`new events have the subject that the caller gives; without one, old readers take ${from}`)],
      entries: [breaks(
        `the class no longer takes the subject from ${from}: unless the caller gives it, the order, the history and the ` +
          `revisions of each subject end with the stored entries`,
      )],
    };
  }
  if (is["x-version"] > was["x-version"]) {
    const open = unknown(`the subject moved from ${from} to ${to}: check that the value is the same`);
    return { readers: [open], entries: [open] };
  }
  return {
    readers: [breaks(
      `old classes take the subject from ${from} and new ones from ${to}: events about one thing have two subjects, ` +
        `and so no common order, partition or revision`,
    )],
    entries: [breaks(
      `stored entries keep the subject of ${from}, and new events have that of ${to}: the history and the revisions of ` +
        `each subject end with the stored entries`,
    )],
  };
}

/** A subject path in a class that had none. Entries have the subject that the caller gave, or none. */
function added(was: Contract, path: string): Changes {
  const unsure = was["x-encrypted"] === true
    ? [unknown(
      `stored values are encrypted with the key of the subject that the caller gave: check that it was always ${path}, ` +
        `because deleting the key of another subject does not delete them`,
    )]
    : [];
  return {
    readers: [
      note(`new events have the subject of ${path}; old processes publish with the subject that the caller gives`),
    ],
    entries: [
      note(`stored entries keep their subject, and those without one have that of ${path}; none has a revision`),
      ...unsure,
    ],
  };
}

function pathOf({ "x-subject": path }: Contract): string | undefined {
  return path === undefined ? undefined : `detail.${path}`;
}

const note = (message: string): Change => ({ verdict: "note", message });
const unknown = (message: string): Change => ({ verdict: "unknown", message });
const breaks = (message: string): Change => ({ verdict: "breaks", message });
